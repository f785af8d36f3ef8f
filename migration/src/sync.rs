//! Keeps the entities in step with the live schema.
//!
//! [`generate`] reads the database and makes every file in memory; [`write()`] puts them in a
//! folder, [`diff`] shows what it would do. A table `cleaners` becomes the module `cleaner`. A
//! foreign key with a unique index on it becomes a has-one on the other side (`user.cleaner`), any
//! other a has-many (`user.reviews`). The entities and the ER diagram (`schema.mmd`) are drawn from
//! that.
//!
//! The same schema gives the same bytes, on every run, from SQLite and from PostgreSQL. Two types
//! have no counterpart: an enum of PostgreSQL, and `integer`, which has 64 bits on SQLite and 32 on
//! PostgreSQL. MariaDB/MySQL is not read: a UUID is `binary(16)` there, and looks like any bytes.
//!
//! ```
//! use guesthouse_migration::{Migrator, sync};
//! use sea_orm_migration::{MigratorTrait, sea_orm::Database};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # if !cfg!(feature = "sqlite") { return Ok(()); }
//! let db = Database::connect("sqlite::memory:").await?;
//! Migrator::up(&db, None).await?;
//! let files = sync::generate(&db).await?;
//!
//! let folder = tempfile::tempdir()?;
//! let written = sync::write(folder.path(), &files)?;
//! assert_eq!(written, ["guest.rs", "host.rs", "mod.rs", "schema.mmd", "user.rs"]);
//!
//! assert!(sync::write(folder.path(), &files)?.is_empty(), "nothing is left to do");
//! assert_eq!(sync::diff(folder.path(), &files)?, "");
//! # Ok(())
//! # }
//! ```

use std::{io, path::PathBuf};

use sea_orm_migration::sea_orm::{DatabaseConnection, DbErr};

mod diagram;
#[cfg_attr(
    not(any(feature = "postgres", feature = "sqlite")),
    expect(dead_code, reason = "MariaDB/MySQL alone is not read")
)]
mod discover;
mod entities;
mod files;
mod naming;
#[cfg_attr(
    not(any(feature = "postgres", feature = "sqlite")),
    expect(dead_code, reason = "MariaDB/MySQL alone is not read")
)]
mod table;

pub use files::{diff, write};

/// What stands at the top of every written file; a file without it is never overwritten or removed.
const HEADER: &str = "Written by `sync` from the live schema; not to be edited.";

/// One file of the entity folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedFile {
    /// The name inside the folder, such as `user.rs`.
    pub name: String,
    /// The whole text.
    pub content: String,
}

/// Why the entities could not be brought in step. The folder is then as it was before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The schema holds something that no entity can be written for.
    #[error("{0}")]
    Schema(String),
    /// The schema could not be read.
    #[error("the schema could not be read")]
    Database(#[from] DbErr),
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file that `sync` did not write is in the way.
    #[error("{} was not written by sync; move it out of the way", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
}

/// Makes the entities and the ER diagram of the schema `db` is connected to.
///
/// The files are sorted by name: one a table, `mod.rs` and `schema.mmd`. The table of migrations is
/// left out.
///
/// # Errors
///
/// [`SyncError::Database`] if the schema cannot be read, [`SyncError::Schema`] on MariaDB/MySQL,
/// for two tables with the same singular and for what the entities cannot express.
pub async fn generate(db: &DatabaseConnection) -> Result<Vec<GeneratedFile>, SyncError> {
    let tables = discover::tables(db).await?;
    let mut files = entities::generate(&tables)?;
    files.push(diagram::generate(&tables)?);
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}
