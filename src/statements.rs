//! The statements: one file an operation, with its three databases side by side, and the parts that
//! they share. Beside them only `schema` and `session` send SQL.

pub(crate) mod accounts;
pub(crate) mod alive;
mod block;
pub(crate) mod evidence;
pub(crate) mod hidden;
pub(crate) mod input;
pub(crate) mod key;
pub(crate) mod offboard;
pub(crate) mod onboard;
pub(crate) mod onboard_all;
pub(crate) mod owners;
mod parts;
mod queue;
mod raised;
mod send;
mod text;
pub(crate) mod totals;
pub(crate) mod without;

#[cfg(feature = "postgres")]
pub(crate) use block::postgres::Refusal;
