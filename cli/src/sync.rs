//! Keeps the entities in step with the live schema.
//!
//! [`generate`] reads the database and makes every file in memory; [`write()`] puts them in a
//! folder, [`diff`] shows what it would do. A table `cleaners` becomes the module `cleaner`. A
//! foreign key with a unique index on it becomes a has-one on the other side (`user.cleaner`), any
//! other a has-many (`user.reviews`). The entities and the ER diagram (`schema.mmd`) are drawn from
//! that.
//!
//! What cannot be written is refused with its table and column, and nothing is changed. A foreign
//! key that is neither unique nor named after the other table is called by its columns
//! (`review.author`, `user.reviews_by_author`). A type without a counterpart in Rust, such as `citext`
//! and `inet`, or a decimal of more than 28 digits, is read and written as a text. `attributes.txt` in the folder has derives and
//! attributes of entities, enums and fields, which every sync keeps; enums have the derives of `*` too:
//!
//! ```text
//! *           #[derive(serde::Serialize)]
//! user.email  #[serde(skip)]
//! ```
//!
//! The same schema gives the same bytes, on every run, from SQLite, PostgreSQL and MariaDB/MySQL,
//! as far as the databases distinguish what a migration declares:
//!
//! | declared | SQLite | PostgreSQL | MariaDB/MySQL |
//! | --- | --- | --- | --- |
//! | `integer` | `i64` | `i32` | `i32` |
//! | unsigned integers | as signed ones | as longer ones | unsigned |
//! | `string` without a length | none | none | 255 |
//! | `decimal` without digits | none | none | 10, none after the point |
//! | `timestamp` | `DateTime` | `DateTime` | `DateTimeWithTimeZone` |
//! | `json_binary` | `JsonBinary` | `JsonBinary` | `Json` |
//! | an enum | a text | an enum | a text |
//! | a foreign key without an action on delete | no action | no action | `Restrict` |
//!
//! ```
//! use guesthouse_cli::sync;
//! use sea_orm_migration::{MigratorTrait, sea_orm::Database};
//! # mod app { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/app.rs")); }
//! # use app::AppMigrator;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # if !cfg!(feature = "sqlite") { return Ok(()); }
//! let db = Database::connect("sqlite::memory:").await?;
//! AppMigrator::up(&db, None).await?;
//! let files = sync::generate(&db).await?;
//!
//! let folder = tempfile::tempdir()?;
//! let written = sync::write(folder.path(), &files)?;
//! assert_eq!(written, ["mod.rs", "place.rs", "schema.mmd"]);
//!
//! assert!(sync::write(folder.path(), &files)?.is_empty(), "nothing is left to do");
//! assert_eq!(sync::diff(folder.path(), &files)?, "");
//! # Ok(())
//! # }
//! ```

use std::{io, path::PathBuf};

use sea_orm_migration::sea_orm::{DatabaseConnection, DbErr};

use self::attributes::Attributes;

mod attributes;
mod diagram;
mod entities;
mod files;
mod names;
mod read;
mod relations;
mod table;
mod types;

pub(crate) use files::tables_to_remove;
pub use files::{attributes, diff, write};
pub(crate) use names::singular;
pub(crate) use read::reads_all_databases;

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

/// What [`generate_with`] takes besides the schema.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The table of applied migrations, which gets no entity; `seaql_migrations` unless a migrator
    /// gives it another name.
    pub migration_table: String,
    /// The text of `attributes.txt`: attributes that entities, enums and fields are given.
    pub attributes: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            migration_table: "seaql_migrations".to_owned(),
            attributes: String::new(),
        }
    }
}

/// What [`generate_with`] makes of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Generated {
    /// Sorted by name: one a table, `mod.rs` and `schema.mmd`.
    pub files: Vec<GeneratedFile>,
    /// What is in the database and not in the entities, what has another name there, and which features
    /// of `sea-orm` the entities need: a line each.
    pub notes: Vec<String>,
}

/// Makes the entities and the ER diagram of the schema `db` is connected to.
///
/// The files are sorted by name: one a table, `mod.rs` and `schema.mmd`. The table of migrations is
/// left out.
///
/// # Errors
///
/// [`SyncError::Database`] if the schema cannot be read, [`SyncError::Schema`] if no migration has
/// been applied to it, if the role may not read all of it, and for what the entities cannot express.
pub async fn generate(db: &DatabaseConnection) -> Result<Vec<GeneratedFile>, SyncError> {
    Ok(generate_with(db, &Options::default()).await?.files)
}

/// As [`generate`], for a migrator with a table of its own and for entities with attributes.
///
/// ```
/// use guesthouse_cli::sync;
/// use sea_orm_migration::{MigratorTrait, sea_orm::Database};
/// # mod app { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/app.rs")); }
/// # use app::AppMigrator;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if !cfg!(feature = "sqlite") { return Ok(()); }
/// let db = Database::connect("sqlite::memory:").await?;
/// AppMigrator::up(&db, None).await?;
///
/// let mut options = sync::Options::default();
/// options.attributes = "place #[derive(serde::Serialize)]".to_owned();
/// let generated = sync::generate_with(&db, &options).await?;
///
/// let place = generated.files.iter().find(|file| file.name == "place.rs");
/// assert!(place.is_some_and(|place| place.content.contains("DeriveEntityModel, serde::Serialize)]")));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// As [`generate`], and [`SyncError::Schema`] for a line of the attributes that cannot be read, or that
/// names no entity, enum or field.
pub async fn generate_with(
    db: &DatabaseConnection,
    options: &Options,
) -> Result<Generated, SyncError> {
    let attributes = Attributes::parse(&options.attributes)?;
    let schema = read::schema(db, &options.migration_table).await?;
    let (mut files, mut notes) = entities::generate(&schema, &attributes)?;
    notes.extend(schema.notes.iter().cloned());
    notes.sort();
    files.push(diagram::generate(&schema));
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Generated { files, notes })
}
