// Written by `sync` from the live schema; not to be edited.

pub mod guest;
pub mod host;
pub mod user;
