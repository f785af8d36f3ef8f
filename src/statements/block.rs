//! Several statements, or one that a key may refuse, as one: the server runs them as a whole or not
//! at all, whatever becomes of the caller. So nothing is left to be undone by a later statement,
//! which a dropped call would never send, and which would undo the work of another task on the same
//! transaction (D5).

#[cfg(feature = "mysql")]
pub(super) mod call;
pub(super) mod mariadb;
#[cfg(feature = "postgres")]
pub(super) mod postgres;
pub(super) mod sqlite;
