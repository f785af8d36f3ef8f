//! What the database's own catalogue says of the tables, in one form for every backend.

mod definition;
mod mysql;
mod postgres;
mod sqlite;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use sea_orm::{
    DatabaseConnection, DatabaseConnectionType, DbBackend, DbErr, DeriveActiveEnum, EnumIter,
    FromQueryResult, QueryResult, RuntimeErr, Statement, Value, sqlx,
};

use super::Table as Wanted;

pub(super) use definition::mentions;

/// What there is of the tables that were asked for.
pub(super) struct Catalogue {
    /// What is wrong with the settings of the connections.
    pub settings: BTreeSet<Setting>,
    pub dialect: Dialect,
    pub tables: BTreeMap<String, Table>,
}

/// How a backend goes about types.
pub(super) struct Dialect {
    /// A connection of the backend, in words.
    pub connection: &'static str,
    /// What a type is called in a declaration.
    pub name: fn(Kind) -> &'static str,
    /// Whether a column declared like this gives back the values that it is given.
    pub holds: fn(Kind, &str) -> bool,
    /// The check that keeps a moment within what can be read, as [`definition::bare`] has it;
    /// `None` if the type has no other moments.
    pub readable: Option<fn(&str) -> String>,
}

/// A setting of a connection under which a promise does not hold.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Setting {
    ForeignKeysOff,
    /// Off on the connections that are yet to be opened.
    ForeignKeysOffAtFirst,
    UniqueChecksOff,
    ChecksOff,
    AutocommitOff,
    CompletionType(String),
    NoJournal,
    NotStrict,
    CharacterSet(String),
    ReadUncommitted,
}

/// The kinds of value that the tables hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Uuid,
    Text,
    /// With its microseconds.
    Moment,
}

#[derive(Default)]
pub(super) struct Table {
    /// What is wrong with the way in which the rows are kept.
    pub storage: Option<Storage>,
    pub columns: Vec<Column>,
    pub indexes: Vec<Index>,
    pub foreign_keys: Vec<ForeignKey>,
    /// What checks demand, as [`definition::bare`] has it.
    pub checks: Vec<String>,
}

/// A way of keeping rows under which a promise does not hold.
#[derive(Clone, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub(super) enum Storage {
    #[sea_orm(string_value = "no transactions")]
    NoTransactions,
    #[sea_orm(string_value = "unlogged")]
    Unlogged,
    #[sea_orm(string_value = "temporary")]
    Temporary,
    #[sea_orm(string_value = "inherited")]
    Inherited,
}

#[derive(FromQueryResult)]
pub(super) struct Column {
    table_name: String,
    storage: Option<Storage>,
    pub name: String,
    pub declared: String,
    /// How many characters fit, if that is limited.
    pub characters: Option<i64>,
    pub nullable: bool,
    /// Whether an insert that leaves it out gets a value other than null.
    pub filled: bool,
    /// The collation, if different texts can be equal under it.
    pub folding: Option<String>,
}

pub(super) struct Index {
    pub name: String,
    pub primary: bool,
    pub unique: bool,
    pub flaw: Option<Flaw>,
    pub parts: Vec<Part>,
}

/// What an index is over.
pub(super) enum Part {
    Column(String),
    Expression(String),
}

/// Why a unique index does not keep a column unique, or is not the judge that an insert needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub(super) enum Flaw {
    #[sea_orm(string_value = "partial")]
    Partial,
    #[sea_orm(string_value = "deferrable")]
    Deferrable,
    #[sea_orm(string_value = "invalid")]
    Invalid,
    #[sea_orm(string_value = "prefix")]
    Prefix,
}

/// A foreign key of one column.
#[derive(FromQueryResult)]
pub(super) struct ForeignKey {
    table_name: String,
    pub column_name: String,
    pub to_table: String,
    pub to_column: String,
    pub on_delete: String,
    pub flaw: Option<KeyFlaw>,
}

/// Why a foreign key does not keep a row from belonging to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub(super) enum KeyFlaw {
    #[sea_orm(string_value = "not enforced")]
    NotEnforced,
    #[sea_orm(string_value = "disabled")]
    Disabled,
    #[sea_orm(string_value = "not validated")]
    NotValidated,
    #[sea_orm(string_value = "deferred")]
    Deferred,
}

/// One column or expression of an index; an index comes as its parts, in order.
#[derive(FromQueryResult)]
struct IndexPart {
    table_name: String,
    index_name: String,
    is_primary: bool,
    is_unique: bool,
    flaw: Option<Flaw>,
    column_name: Option<String>,
    expression: Option<String>,
}

#[derive(FromQueryResult)]
struct Check {
    table_name: String,
    expression: String,
}

/// Reads what the catalogue has of the wanted tables.
pub(super) async fn read(db: &DatabaseConnection, wanted: &[Wanted]) -> Result<Catalogue, DbErr> {
    let names: Vec<_> = wanted.iter().map(|table| table.name.as_str()).collect();
    match db.get_database_backend() {
        DbBackend::Postgres => postgres::read(db, &names).await,
        DbBackend::MySql => mysql::read(db, &names).await,
        _ => sqlite::read(db, &names).await,
    }
}

/// The rows of one statement, in which `{names}` stands for the names of the tables.
async fn rows<R: FromQueryResult>(
    db: &DatabaseConnection,
    sql: &str,
    names: &[&str],
) -> Result<Vec<R>, DbErr> {
    let backend = db.get_database_backend();
    let binds = (1..=names.len()).map(|n| match backend {
        DbBackend::Postgres => format!("(${n}::text)"),
        _ => "?".to_owned(),
    });
    let sql = sql.replace("{names}", &binds.collect::<Vec<_>>().join(", "));
    let names = names.iter().map(|name| Value::from(*name));
    let statement = Statement::from_sql_and_values(backend, sql, names);
    R::find_by_statement(statement).all(db).await
}

/// What a query for one row of settings answers on a connection that the pool chooses, and on each
/// one that is idle: every connection has settings of its own. Those in use cannot be asked.
async fn settings<R: FromQueryResult>(
    db: &DatabaseConnection,
    sql: &'static str,
) -> Result<Vec<R>, DbErr> {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let mut all = R::find_by_statement(statement).all(db).await?;
    match &db.inner {
        #[cfg(feature = "sqlite")]
        DatabaseConnectionType::SqlxSqlitePoolConnection(_) => {
            all.extend(settings_of_idle(db.get_sqlite_connection_pool(), sql).await?);
        }
        #[cfg(feature = "postgres")]
        DatabaseConnectionType::SqlxPostgresPoolConnection(_) => {
            all.extend(settings_of_idle(db.get_postgres_connection_pool(), sql).await?);
        }
        #[cfg(feature = "mysql")]
        DatabaseConnectionType::SqlxMySqlPoolConnection(_) => {
            all.extend(settings_of_idle(db.get_mysql_connection_pool(), sql).await?);
        }
        _ => {}
    }
    Ok(all)
}

async fn settings_of_idle<DB, R>(pool: &sqlx::Pool<DB>, sql: &'static str) -> Result<Vec<R>, DbErr>
where
    DB: sqlx::Database,
    for<'c> &'c mut DB::Connection: sqlx::Executor<'c, Database = DB>,
    QueryResult: From<DB::Row>,
    R: FromQueryResult,
{
    // Held together, so that the pool gives out another one each time.
    let mut held: Vec<_> = std::iter::from_fn(|| pool.try_acquire()).collect();
    let mut all = Vec::new();
    for connection in &mut held {
        let row = sqlx::Executor::fetch_one(&mut **connection, sql)
            .await
            .map_err(|error| DbErr::Query(RuntimeErr::SqlxError(Arc::new(error))))?;
        all.push(R::from_query_result(&row.into(), "")?);
    }
    Ok(all)
}

/// Sorts rows of the catalogue by table. A table without a column is none.
fn by_table(
    columns: Vec<Column>,
    index_parts: Vec<IndexPart>,
    foreign_keys: Vec<ForeignKey>,
    checks: Vec<Check>,
) -> BTreeMap<String, Table> {
    let mut tables = BTreeMap::<String, Table>::new();
    for column in columns {
        let table = tables.entry(column.table_name.clone()).or_default();
        table.storage.clone_from(&column.storage);
        table.columns.push(column);
    }
    for part in index_parts {
        if let Some(table) = tables.get_mut(&part.table_name) {
            table.add(part);
        }
    }
    for key in foreign_keys {
        if let Some(table) = tables.get_mut(&key.table_name) {
            table.foreign_keys.push(key);
        }
    }
    for check in checks {
        if let Some(table) = tables.get_mut(&check.table_name) {
            table.checks.push(definition::bare(&check.expression));
        }
    }
    tables
}

impl Table {
    fn add(&mut self, row: IndexPart) {
        let part = match row.column_name {
            Some(name) => Part::Column(name),
            None => Part::Expression(row.expression.unwrap_or_default()),
        };
        match self.indexes.last_mut() {
            Some(index) if index.name == row.index_name => {
                index.parts.push(part);
                index.flaw = index.flaw.or(row.flaw);
            }
            _ => self.indexes.push(Index {
                name: row.index_name,
                primary: row.is_primary,
                unique: row.is_unique,
                flaw: row.flaw,
                parts: vec![part],
            }),
        }
    }
}
