//! The schema of Guesthouse: one migration a table, and the command line that runs them.
//!
//! [`Migrator`] lists the migrations for SQLite, PostgreSQL and MariaDB/MySQL. An app with tables
//! of its own puts its migrations behind these in a migrator of its own and hands it to `cli::run`,
//! which gives it the same commands.
//!
//! The migrations know nothing of the entities: what a migration does must not change with today's
//! code.

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::*;

#[cfg(feature = "cli")]
pub mod cli;
mod columns;
mod connection;
mod force;
mod log;
mod m20260901_000001_create_users;
mod m20260901_000002_create_guests;
mod m20260901_000003_create_hosts;
mod place;
#[cfg(feature = "cli")]
pub mod sync;
mod table;
mod turn;
mod up;

pub use force::forced;
pub use table::drop_table;
pub use up::up;

/// The migrations of Guesthouse, oldest first.
///
/// Each one is safe to run again after it was cut off half-way. Rolling back a table that still
/// holds rows is refused; see [`forced`].
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        tables().map(|(_, migration)| migration).into()
    }
}

/// The tables of this library, each with the migration that creates it.
fn tables() -> [(&'static str, Box<dyn MigrationTrait>); 3] {
    [
        ("users", Box::new(m20260901_000001_create_users::Migration)),
        (
            "guests",
            Box::new(m20260901_000002_create_guests::Migration),
        ),
        ("hosts", Box::new(m20260901_000003_create_hosts::Migration)),
    ]
}
