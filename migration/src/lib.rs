//! The schema of Guesthouse: one migration a table, and the program that applies them.
//!
//! [`Migrator`] lists the migrations for SQLite, PostgreSQL and MariaDB/MySQL. An app with tables
//! of its own lists its migrations after these in a migrator of its own and passes it to
//! `cli::run`, which gives it the same commands.
//!
//! The migrations know nothing of the entities: what a migration does must not change with today's
//! code. The crate `guesthouse-cli` applies them and has the program, for any migrator; the program
//! needs the feature `cli`.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "cli")]
pub use guesthouse_cli as cli;
#[cfg(feature = "cli")]
pub use guesthouse_cli::sync;
pub use guesthouse_cli::{drop_table, forced, refuse_to_hide, up};
pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::*;

mod columns;
mod m20260901_000001_create_users;
mod m20260901_000002_create_guests;
mod m20260901_000003_create_hosts;
mod table;

/// The migrations of Guesthouse, oldest first.
///
/// Each one is safe to run again after it was cut off half-way. Rolling back a table that still
/// holds rows is refused; see [`forced`].
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20260901_000001_create_users::Migration),
            Box::new(m20260901_000002_create_guests::Migration),
            Box::new(m20260901_000003_create_hosts::Migration),
        ]
    }
}
