//! The program that migrates a database and keeps the entities in step with it, for any migrator.
//!
//! [`up`] applies what is pending when an app starts, however many instances of it start at once.
//! [`drop_table`] and [`refuse_to_hide`] guard the migrations of an app against losing rows.
//!
//! With the feature `program`, on by default, `run` is the command line of an app's migrations:
//! SeaORM's commands, `generate` for a new migration, `sync`, which writes the entities from the
//! live schema, and `verify`, `audit` and `backfill`, which look after a live database. A `Program`
//! takes the app's own migrator and its `guesthouse::Model`; nothing here needs the tables of
//! Guesthouse.
//!
//! `guesthouse-migration` uses this crate without its features, so that an app which only applies
//! migrations compiles no command line.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod connection;
mod drop_table;
mod force;
mod log;
mod place;
#[cfg(feature = "program")]
mod program;
#[cfg(feature = "program")]
pub mod sync;
mod turn;
mod up;
mod waiting;

pub use drop_table::drop_table;
#[doc(hidden)] // for `guesthouse-migration`
pub use drop_table::exists_on_mysql;
pub use force::forced;
pub use place::refuse_to_hide;
#[cfg(feature = "program")]
pub use program::{Program, run, run_from};
pub use up::up;
