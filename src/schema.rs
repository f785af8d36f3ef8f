//! What must hold in the live database, and the check that it does (D27).

mod catalogue;
mod comparison;

use std::{any::type_name, fmt};

use sea_orm::{
    ColumnTrait, ColumnType, DatabaseConnection, DbErr, EntityTrait, Iden, IdenStatic, Iterable,
    PrimaryKeyToColumn, Related, RelationDef, sea_query::ForeignKeyAction,
};
use serde::Serialize;
use tracing::{Span, instrument, warn};

use self::comparison::{About, Warning};
use crate::{accounts::SignUp, error, model::Model, role::Role, user};

/// Checks that the live schema upholds the guarantees of this library.
///
/// It reads the catalogue and the settings of connections, and no row of any table; a database role
/// that may only read the tables can run it. A table that the role cannot see is reported as
/// missing.
///
/// It checks, of `users`, `guests` and `hosts`:
///
/// - the columns: their types (a domain counts as its base type), whether they may be null, and
///   that they keep the value that they are given: none is generated, and only `updated_at` may be
///   rewritten on every update; that any address fits, in length and character set, and that
///   different addresses differ under the column's collation;
/// - the primary keys and the unique indexes: that they are complete, valid, not deferrable, and
///   compare the values themselves, in the order that their collation has today and on PostgreSQL by
///   an operator class of its own. Another unique index over the same column must not be deferrable or
///   compare by another rule;
/// - every foreign key over these columns: what it does on delete, that the one to the owner is
///   validated and enforced (on PostgreSQL by triggers on both tables, which somebody may have
///   disabled), and that no other one would refuse every insert of this library;
/// - every foreign key of the app's own columns to one of these tables: it must not cascade, since
///   deleting the other row would take this one along;
/// - the check that keeps addresses in lower case and, on PostgreSQL, those that keep timestamps
///   within the years 1 to 9999, as sqlx panics when it reads others. A stricter check is as good;
/// - `ON CONFLICT` clauses of SQLite other than `ABORT`, and rules of PostgreSQL, which replace a
///   refusal or a statement;
/// - how rows are stored: by `InnoDB` on MariaDB; on PostgreSQL in logged tables that neither
///   inherit nor are inherited from, and without row level security that applies to the database
///   role; everywhere in a table that is not temporary, and that every idle connection finds by its
///   name: `search_path`, `USE` and temporary tables can lead to another one. A temporary table of
///   another connection is not seen on MariaDB.
///
/// It checks the settings, on every idle connection of the pool, under which an `Ok` might not be
/// kept or might not be true:
///
/// - SQLite: `foreign_keys`, `ignore_check_constraints`, and `journal_mode`, which must not be
///   `OFF`;
/// - PostgreSQL: `client_encoding`, and `session_replication_role`, also as the database or the role
///   sets it for new connections;
/// - MariaDB: `foreign_key_checks`, `unique_checks`, `check_constraint_checks`, `autocommit`,
///   `completion_type`, a strict `sql_mode` without `ORACLE`, and an isolation level other than READ
///   UNCOMMITTED, on the connection and on the server for new ones; `utf8mb4` for client, connection
///   and results; and, where a column that is checked is a `timestamp`, a `time_zone` that is UTC.
///   The server has to be MariaDB 10.6 or later, and not MySQL.
///
/// It does not check connections that are in use, nor settings that affect durability alone, such
/// as `synchronous_commit` and `innodb_flush_log_at_trx_commit`.
///
/// Indexes and constraints may have any name. Tables and columns that this library does not know
/// are ignored, unless such a column requires a value, which no call of this library gives, a check
/// refuses what is there without one, or a unique index or exclusion constraint over such columns
/// would take one row and refuse the next. Of a check or an expression it knows no more than literals,
/// nulls and comparisons of these show; what it does not know is no difference.
///
/// What breaks no guarantee by itself is a warning through `tracing`: an index that is redundant
/// beside the unique one; a trigger, since its effect is unknown (on MariaDB the database role sees
/// those of tables on which it has the `TRIGGER` privilege); a rule that adds statements to a
/// DELETE; another foreign key of the app's own columns that removes or changes rows; a column
/// that requires a value, if a trigger may give it.
///
/// # Errors
///
/// - [`SchemaError::Drift`]: every difference, always in the same order: the settings, then table
///   by table (`users`, `guests`, `hosts`), first those of the table, then column by column as the
///   entity has them, then by kind.
/// - [`SchemaError::Database`]: the catalogue could not be read.
///
/// # Transactions
///
/// One, which writes nothing, so that everything is read on one connection. SQLite: five
/// statements. PostgreSQL: seven. MariaDB: four, and one for each of the three tables that exists.
/// All: one more on each idle connection of the pool, as each has settings of its own.
///
/// # Concurrency
///
/// It looks at the schema as it is now, and locks no row. What is changed later is found by the next
/// call.
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
pub async fn verify_schema(db: &DatabaseConnection) -> Result<(), SchemaError> {
    Model::accounts().verify(db).await
}

#[instrument(level = "debug", skip_all, fields(error.type), err(level = "debug"))]
pub(crate) async fn verify(db: &DatabaseConnection, expected: &[Table]) -> Result<(), SchemaError> {
    let catalogue = catalogue::read(db, expected).await.map_err(|error| {
        Span::current().record("error.type", "database");
        SchemaError::Database(error)
    })?;
    let outcome = comparison::compare(&catalogue, expected);
    for Warning {
        table,
        about,
        message,
    } in outcome.warnings
    {
        match about {
            About::Index { column, index } => warn!(table, column, index, "{message}"),
            About::Trigger(trigger) => warn!(table, trigger, "{message}"),
            About::Rule(rule) => warn!(table, rule, "{message}"),
            About::ForeignKey(columns) => warn!(table, columns, "{message}"),
            About::Column(column) => warn!(table, column, "{message}"),
        }
    }
    if outcome.differences.is_empty() {
        Ok(())
    } else {
        Span::current().record("error.type", "drift");
        Err(SchemaError::Drift(outcome.differences))
    }
}

/// Why [`verify_schema`] failed.
///
/// `Display` and `Debug` hold names and types of the schema, no row and no connection string. The
/// driver's error is reachable only through [`source`](std::error::Error::source).
#[derive(Clone)]
pub enum SchemaError {
    /// The database differs from what the library needs. `Display` prints one difference a line.
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
    /// The table it is about; the first table checked if it is about a setting of a connection.
    pub table: String,
    /// The column; `None` if it is about the whole table.
    pub column: Option<String>,
    /// What is needed, such as `unique`.
    pub expected: String,
    /// What is there and the harm it could do, such as `is not unique: a user could get two hosts`.
    /// The column is the subject of this sentence; without a column, the sentence is complete.
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
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// With its schema, if the entity has one.
    pub(crate) name: String,
    schema: Option<String>,
    /// What one of its rows is called, with its article.
    row: String,
    /// What nobody could do without the table.
    purpose: String,
    /// Whether an insert takes any of its keys as the arbiter, not a certain one.
    any_key_is_arbiter: bool,
    columns: Vec<Column>,
}

/// What a column must be.
#[derive(Clone, Debug)]
struct Column {
    name: &'static str,
    kind: ColumnType,
    nullable: bool,
    primary: bool,
    unique: bool,
    refers_to: Option<Reference>,
    /// Whether a check must keep it in lower case. Entities do not declare checks.
    lower_case: bool,
    /// Whether its type and bounds must be those that the migrations make. Of an app's own columns
    /// that holds for keys and the address.
    ours: bool,
    /// Whether this library gives it a value in each insert.
    written: bool,
    /// Whether it is meant to change with each update.
    follows_updates: bool,
}

/// The foreign key a column must have.
#[derive(Clone, Debug)]
struct Reference {
    /// With its schema, if the entity has one.
    table: String,
    schema: Option<String>,
    column: String,
    /// What one row of that table is called, without its article.
    owner: String,
    on_delete: ForeignKeyAction,
}

impl Table {
    /// The table of this library's users.
    pub(crate) fn of_users() -> Self {
        let mut users = Self::of::<user::Entity>("sign up");
        for column in &mut users.columns {
            column.lower_case = column.name == user::Column::Email.as_str();
        }
        users.any_key_is_arbiter = true;
        users.ours()
    }

    /// The table of this library's guests or hosts.
    pub(crate) fn of_accounts<R>(purpose: &str) -> Self
    where
        R: Role + Related<R::Owner>,
    {
        Self::of_role::<R>(purpose).ours()
    }

    /// The table of an app's own users, whose address is unique.
    pub(crate) fn of_sign_up<U: SignUp>() -> Self
    where
        U::Guest: Related<U>,
    {
        let mut users = Self::of::<U>("sign up");
        for column in &mut users.columns {
            let is_email = column.name == U::email().as_str();
            column.unique |= is_email;
            column.ours |= is_email;
            column.written |= is_email;
        }
        users.any_key_is_arbiter = true;
        users
    }

    /// The table of a role, whose foreign key is not null and unique, whatever the entity declares.
    pub(crate) fn of_role<R>(purpose: &str) -> Self
    where
        R: Role + Related<R::Owner>,
    {
        let mut role = Self::of::<R>(purpose);
        let relation = <R as Related<R::Owner>>::to();
        for column in &mut role.columns {
            if column.name == R::owner_id().as_str() {
                column.nullable = false;
                column.unique = true;
                column.ours = true;
                column.written = true;
                column.refers_to = Some(reference::<R::Owner>(&relation));
            }
        }
        role
    }

    /// The names of the tables that it refers to, each with its schema.
    fn names_of_owners(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let references = self.columns.iter().flat_map(|column| &column.refers_to);
        references.map(|reference| (reference.table.as_str(), reference.schema.as_deref()))
    }

    /// The names of the columns of this table and of those that it refers to, each with its table.
    fn names_of_columns(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = self
            .columns
            .iter()
            .map(|column| (self.name.as_str(), column.name));
        let references = self.columns.iter().flat_map(|column| &column.refers_to);
        own.chain(references.map(|reference| (reference.table.as_str(), reference.column.as_str())))
    }

    fn of<E: EntityTrait>(purpose: &str) -> Self {
        Self {
            name: table_name::<E>(),
            schema: schema_name::<E>(),
            row: with_article(&model_name::<E>().replace('_', " ")),
            purpose: purpose.to_owned(),
            any_key_is_arbiter: false,
            columns: E::Column::iter().map(column::<E>).collect(),
        }
    }

    fn ours(mut self) -> Self {
        for column in &mut self.columns {
            column.ours = true;
            column.written = true;
            column.follows_updates = column.name == user::Column::UpdatedAt.as_str();
        }
        self
    }
}

fn column<E: EntityTrait>(column: E::Column) -> Column {
    let (name, def) = (column.as_str(), column.def());
    let primary = E::PrimaryKey::iter().any(|key| key.into_column().as_str() == name);
    Column {
        name,
        kind: def.get_column_type().clone(),
        nullable: def.is_null(),
        primary,
        unique: def.is_unique(),
        refers_to: None,
        lower_case: false,
        ours: primary,
        written: false,
        follows_updates: false,
    }
}

/// RESTRICT if the entity declares no action: PostgreSQL and MariaDB then refuse the delete.
fn reference<O: EntityTrait>(relation: &RelationDef) -> Reference {
    Reference {
        table: table_name::<O>(),
        schema: schema_name::<O>(),
        column: relation.to_col.to_string(),
        owner: model_name::<O>().replace('_', " "),
        on_delete: relation.on_delete.unwrap_or(ForeignKeyAction::Restrict),
    }
}

/// The name of the table, with its schema if the entity has one.
fn table_name<E: EntityTrait>() -> String {
    let name = E::default().table_name().to_owned();
    match schema_name::<E>() {
        Some(schema) => format!("{schema}.{name}"),
        None => name,
    }
}

fn schema_name<E: EntityTrait>() -> Option<String> {
    E::default().schema_name().map(str::to_owned)
}

/// The name of the module that holds the entity, which names one row: `courier`. An entity in the
/// root of a crate has no such module, and is called by the name of its table.
pub(crate) fn model_name<E: EntityTrait>() -> String {
    let path = type_name::<E>();
    let mut modules = path.rsplit("::").skip(1);
    match (modules.next(), modules.next()) {
        (Some(module), Some(_)) => module.to_owned(),
        _ => E::default().table_name().to_owned(),
    }
}

pub(crate) fn with_article(noun: &str) -> String {
    match noun.starts_with(['a', 'e', 'i', 'o']) {
        true => format!("an {noun}"),
        false => format!("a {noun}"),
    }
}
