//! What must hold in the live database, and the question whether it does.

mod catalogue;
mod comparison;

use std::fmt;

use sea_orm::{
    ColumnTrait, ColumnType, DatabaseConnection, DbErr, EntityTrait, Iden, IdenStatic, Iterable,
    PrimaryKeyToColumn, RelationDef, RelationTrait, sea_query::ForeignKeyAction,
};
use serde::Serialize;
use tracing::{instrument, warn};

use crate::{error, guest, host, user};

/// Looks whether the live database is what the promises of this library rest on.
///
/// It reads the catalogue and the settings of connections, and no row of any table; a role that may
/// do no more than read the tables can run it. A table that the role cannot see is missing to it.
///
/// It checks, of `users`, `guests` and `hosts`:
///
/// - the columns, their types, and whether they may be null;
/// - the primary keys and the unique indexes;
/// - the foreign keys: what they do on delete, and that they are validated and enforced (on
///   PostgreSQL by triggers on both tables, which somebody may have disabled);
/// - the check that keeps addresses in lower case and, on PostgreSQL, those that keep timestamps
///   within the years 1 to 9999, as sqlx panics when it reads others;
/// - how rows are kept: by `InnoDB` on MariaDB/MySQL; on PostgreSQL in logged tables that no other
///   table inherits from.
///
/// It checks the settings of every connection of the pool that is idle, under which an `Ok` might
/// not be kept or might not be true:
///
/// - SQLite: `foreign_keys`, `ignore_check_constraints`, and `journal_mode`, which must not be `OFF`;
/// - PostgreSQL: `session_replication_role`;
/// - MariaDB/MySQL: `foreign_key_checks`, `unique_checks`, `check_constraint_checks`, `autocommit`,
///   `completion_type`, a strict `sql_mode`, `utf8mb4` for client, connection and results, and an
///   isolation level other than READ UNCOMMITTED.
///
/// It does not check connections that are in use, nor settings that are about durability alone, such
/// as `synchronous_commit` and `innodb_flush_log_at_trx_commit`.
///
/// Names of indexes and constraints are free. Tables and columns that this library does not know are
/// left alone, unless such a column has to be given a value, which nobody here would do.
///
/// An index that is not needed beside the unique one is reported as a warning through `tracing`.
///
/// # Errors
///
/// - [`SchemaError::Drift`]: every difference, in the same order each time: the settings, then by
///   table (`users`, `guests`, `hosts`), then column as the entity has them, then kind.
/// - [`SchemaError::Database`]: the catalogue could not be read.
///
/// # Transactions
///
/// Opens none. PostgreSQL and SQLite: five statements. MariaDB/MySQL: four, and one for each of the
/// three tables that is there. All: one more on each connection of the pool that is idle, as each
/// has settings of its own.
///
/// # Examples
///
/// ```
/// use guesthouse::{SchemaError, verify_schema};
/// # use sea_orm::ConnectionTrait;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// verify_schema(&db).await?;
///
/// db.execute_unprepared("DROP INDEX hosts_user_id").await?;
/// let Err(SchemaError::Drift(differences)) = verify_schema(&db).await else {
///     return Err("the index is gone".into());
/// };
/// assert_eq!(
///     differences[0].to_string(),
///     "hosts.user_id is not unique: a user could get two hosts"
/// );
/// # Ok(())
/// # }
/// ```
#[instrument(level = "debug", skip_all, err(level = "debug"))]
pub async fn verify_schema(db: &DatabaseConnection) -> Result<(), SchemaError> {
    let expected = expected();
    let catalogue = catalogue::read(db, &expected)
        .await
        .map_err(SchemaError::Database)?;
    let outcome = comparison::compare(&catalogue, &expected);
    for index in outcome.redundant {
        warn!(
            table = index.table,
            column = index.column,
            index = index.name,
            "this index is redundant: another one keeps the column unique"
        );
    }
    if outcome.differences.is_empty() {
        Ok(())
    } else {
        Err(SchemaError::Drift(outcome.differences))
    }
}

/// Why [`verify_schema`] did not answer yes.
///
/// `Display` and `Debug` hold names and types of the schema, no row and no connection string. What
/// the driver said is reachable through [`source`](std::error::Error::source) only.
#[derive(Clone)]
pub enum SchemaError {
    /// The database differs from what the library needs. Displayed with one difference a line.
    Drift(Vec<Difference>),
    /// The catalogue could not be read.
    Database(DbErr),
}

/// One thing about the live database that breaks a promise.
///
/// `Display` is one line in the words of the domain, such as `hosts.user_id is not unique: a user
/// could get two hosts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The table it is about; `users` where it is about a setting of the connection.
    pub table: String,
    /// The column, `None` if it is about all of the table.
    pub column: Option<String>,
    /// What is needed, such as `unique`.
    pub expected: String,
    /// What is there and what could come of it, such as `is not unique: a user could get two
    /// hosts`. With a column, that is the subject of the sentence; without, the sentence is whole.
    pub found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(column) = &self.column {
            write!(f, "{}.{column} ", self.table)?;
        }
        f.write_str(&self.found)
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drift(differences) => {
                for (line, difference) in differences.iter().enumerate() {
                    let end_of_last = if line > 0 { "\n" } else { "" };
                    write!(f, "{end_of_last}{difference}")?;
                }
                Ok(())
            }
            Self::Database(source) => {
                f.write_str("the catalogue of the database could not be read")?;
                match error::code(source) {
                    Some(code) => write!(f, " (code {code})"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl fmt::Debug for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drift(differences) => f.debug_tuple("Drift").field(differences).finish(),
            Self::Database(source) => {
                let mut debug = f.debug_struct("Database");
                if let Some(code) = error::code(source) {
                    debug.field("code", &code);
                }
                debug.finish()
            }
        }
    }
}

impl std::error::Error for SchemaError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Drift(_) => None,
            Self::Database(source) => Some(source),
        }
    }
}

// ---- what must hold ----

/// What a table must be.
struct Table {
    name: &'static str,
    /// One of its rows, with its article.
    row: &'static str,
    /// What nobody could do without the table.
    purpose: &'static str,
    columns: Vec<Column>,
}

/// What a column must be.
struct Column {
    name: &'static str,
    kind: ColumnType,
    nullable: bool,
    primary: bool,
    unique: bool,
    refers_to: Option<Reference>,
    /// The check that keeps it in lower case. Entities know nothing of checks.
    lower_case: bool,
}

/// The foreign key a column must have.
struct Reference {
    table: String,
    column: String,
    on_delete: ForeignKeyAction,
}

/// The three tables, in the order in which differences are reported.
fn expected() -> [Table; 3] {
    let mut users = table::<user::Entity>("a user", "sign up");
    for column in &mut users.columns {
        column.lower_case = column.name == user::Column::Email.as_str();
    }
    [
        users,
        table::<guest::Entity>("a guest", "sign up"),
        table::<host::Entity>("a host", "become a host"),
    ]
}

fn table<E: EntityTrait>(row: &'static str, purpose: &'static str) -> Table {
    Table {
        name: E::default().table_name(),
        row,
        purpose,
        columns: E::Column::iter().map(column::<E>).collect(),
    }
}

fn column<E: EntityTrait>(column: E::Column) -> Column {
    let (name, def) = (column.as_str(), column.def());
    Column {
        name,
        kind: def.get_column_type().clone(),
        nullable: def.is_null(),
        primary: E::PrimaryKey::iter().any(|key| key.into_column().as_str() == name),
        unique: def.is_unique(),
        refers_to: E::Relation::iter()
            .map(|relation| relation.def())
            .filter(|relation| !relation.is_owner && relation.from_col.to_string() == name)
            .find_map(reference),
        lower_case: false,
    }
}

fn reference(relation: RelationDef) -> Option<Reference> {
    Some(Reference {
        table: relation.to_tbl.sea_orm_table().to_string(),
        column: relation.to_col.to_string(),
        on_delete: relation.on_delete?,
    })
}
