//! What the database's own catalogue has of the tables, in one form for every backend.

mod definition;
mod known;
mod mysql;
mod postgres;
mod sqlite;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseConnection, DatabaseConnectionType, DatabaseTransaction,
    DbBackend, DbErr, DeriveActiveEnum, EnumIter, FromQueryResult, QueryResult, RuntimeErr,
    Statement, TransactionTrait, Value, sqlx,
};

use super::Table as Wanted;
use crate::retry::to_the_end;

pub(super) use self::{
    definition::{Bound, Clause, Demand, mentions},
    known::Known,
};

/// What the catalogue has of the tables that were asked for.
pub(super) struct Catalogue {
    /// What is wrong with the settings of the connections.
    pub settings: BTreeSet<Setting>,
    pub dialect: Dialect,
    pub tables: BTreeMap<String, Table>,
}

/// How a backend handles types.
pub(super) struct Dialect {
    /// A connection of the backend, in words.
    pub connection: &'static str,
    /// What a type is called in a declaration.
    pub name: fn(Kind) -> &'static str,
    /// Whether a column declared like this returns the values that it is given.
    pub holds: fn(Kind, &str) -> bool,
    /// Whether some moments cannot be read, so that a check has to keep them out.
    pub unreadable_moments: bool,
    /// Whether a trigger that runs before an insert can give a value to a column.
    pub triggers_fill: bool,
}

/// A setting of a connection under which a promise does not hold.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Setting {
    /// The version of the server.
    NotMariaDb(String),
    ForeignKeysOff,
    UniqueChecksOff,
    ChecksOff,
    AutocommitOff,
    CompletionType(String),
    NoJournal,
    NotStrict,
    /// `sql_mode` has `ORACLE`, which parses compound statements otherwise.
    Oracle,
    CharacterSet(String),
    /// PostgreSQL's name for it.
    Encoding(String),
    ReadUncommitted,
    /// That matters only to a column of the type `timestamp`.
    TimeZone(String),
    /// On connections that are yet to be opened.
    AtFirst(Box<Setting>),
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
    /// What is wrong with how the rows are stored.
    pub storage: Vec<Storage>,
    pub columns: Vec<Column>,
    pub indexes: Vec<Index>,
    pub foreign_keys: Vec<ForeignKey>,
    /// What checks demand.
    pub demands: Vec<Demand>,
    pub clauses: Vec<Clause>,
    pub interventions: Vec<Intervention>,
    /// Whether its definition could not be read.
    pub unread: bool,
}

/// A way of storing rows under which a promise does not hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Storage {
    NoTransactions,
    Unlogged,
    Temporary,
    Inherited,
    Inherits,
    Hidden,
    /// Another connection finds another table by its name, or none.
    Elsewhere,
}

#[derive(FromQueryResult)]
pub(super) struct Column {
    table_name: String,
    /// That of the table, as words separated by commas.
    storage: Option<String>,
    pub name: String,
    pub declared: String,
    /// How many characters fit, if that is limited.
    pub characters: Option<i64>,
    pub nullable: bool,
    /// Whether an insert that leaves it out gets a value other than null.
    pub filled: bool,
    /// The expression for that value, if the column declares one, or that of a generated column.
    pub default_value: Option<String>,
    /// The collation, if different texts can be equal under it.
    pub folding: Option<String>,
    /// The character set, if there are texts that it cannot hold.
    pub charset: Option<String>,
    pub upkeep: Option<Upkeep>,
}

/// How the database sets a column whatever value is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub(super) enum Upkeep {
    #[sea_orm(string_value = "generated")]
    Generated,
    #[sea_orm(string_value = "on update")]
    OnUpdate,
    /// The end of a version of the row, which is a part of every key of its table.
    #[sea_orm(string_value = "row end")]
    RowEnd,
}

pub(super) struct Index {
    pub name: String,
    pub primary: bool,
    pub unique: bool,
    /// Whether it is that of an exclusion constraint under which no two rows may be equal.
    pub excludes: bool,
    /// Whether it keeps out a second null.
    pub nulls_equal: bool,
    pub flaw: Option<Flaw>,
    /// The collation, if different texts can be equal under it and it is not the column's, or else
    /// such an operator class.
    pub folding: Option<String>,
    pub parts: Vec<Part>,
}

/// One part of what an index is over.
pub(super) enum Part {
    Column(String),
    Expression(String),
}

/// Why a unique index does not keep a column unique, or is not the arbiter that an insert needs.
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
    /// Built in an order of texts that is no longer the collation's.
    #[sea_orm(string_value = "outdated")]
    Outdated,
}

pub(super) struct ForeignKey {
    name: String,
    pub columns: Vec<String>,
    pub to_table: String,
    pub to_columns: Vec<String>,
    pub on_delete: String,
    pub flaw: Option<KeyFlaw>,
}

/// Why a row can belong to nobody in spite of a foreign key.
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
    excludes: bool,
    nulls_equal: bool,
    flaw: Option<Flaw>,
    folding: Option<String>,
    column_name: Option<String>,
    expression: Option<String>,
}

/// One column of a foreign key; a key comes as its parts, in order.
#[derive(FromQueryResult)]
struct KeyPart {
    table_name: String,
    key_name: String,
    column_name: String,
    to_table: String,
    to_column: String,
    on_delete: String,
    flaw: Option<KeyFlaw>,
}

/// A trigger or a rule, which runs between a statement and its row.
#[derive(FromQueryResult)]
pub(super) struct Intervention {
    table_name: String,
    pub name: String,
    pub is_rule: bool,
    /// Whether it can suppress the row: it runs before, or instead.
    pub is_before: bool,
    /// Such as `INSERT OR UPDATE`.
    pub events: String,
}

/// All that is known of the tables, by kind.
#[derive(Default)]
struct Rows {
    columns: Vec<Column>,
    index_parts: Vec<IndexPart>,
    key_parts: Vec<KeyPart>,
    demands: Vec<(String, Demand)>,
    clauses: Vec<(String, Clause)>,
    interventions: Vec<Intervention>,
    /// Tables whose definition could not be read.
    unread: Vec<String>,
    /// Tables that another connection finds elsewhere.
    elsewhere: Vec<String>,
}

/// Reads what the catalogue has of the wanted tables, on one connection: another one may look for
/// tables in another schema, or have temporary ones.
///
/// It goes on to its end if the caller is dropped: sqlx would give the connection back to the pool
/// inside a transaction that it had not counted yet, or, of MariaDB, with half an answer.
pub(super) async fn read(db: &DatabaseConnection, wanted: &[Wanted]) -> Result<Catalogue, DbErr> {
    let (db, wanted) = (db.clone(), wanted.to_vec());
    to_the_end(async move { read_all(&db, &wanted).await }).await
}

async fn read_all(db: &DatabaseConnection, wanted: &[Wanted]) -> Result<Catalogue, DbErr> {
    let backend = db.get_database_backend();
    let names = Names::of(wanted, backend);
    let tables: Vec<_> = names.tables.iter().map(|it| it.asked.as_str()).collect();
    let access = (backend == DbBackend::Postgres).then_some(AccessMode::ReadOnly);
    let connection = db.begin_with_config(None, access).await?;
    let (settings, dialect, mut found) = match backend {
        DbBackend::Postgres => postgres::read(db, &connection, &tables).await,
        DbBackend::MySql => mysql::read(db, &connection, &names.tables).await,
        _ => sqlite::read(db, &connection, &tables).await,
    }?;
    connection.rollback().await?;
    names.spell(&mut found);
    Ok(Catalogue {
        settings,
        dialect,
        tables: found.by_table(),
    })
}

/// What a backend reports of settings and tables.
type Found = (BTreeSet<Setting>, Dialect, Rows);

/// The names that are wanted, by their spelling in the catalogue: case does not matter on SQLite
/// and, for columns, on MariaDB, and PostgreSQL is asked for a table by its quoted name.
struct Names {
    tables: Vec<Named>,
    /// With the name of the table.
    columns: BTreeMap<(String, String), String>,
}

/// The names of a table.
struct Named {
    wanted: String,
    asked: String,
    schema: Option<String>,
    /// Without the schema.
    table: String,
    /// Whether it is compared, and not only referred to.
    is_compared: bool,
}

impl Names {
    fn of(wanted: &[Wanted], backend: DbBackend) -> Self {
        let compared = wanted
            .iter()
            .map(|it| (it.name.as_str(), it.schema.as_deref(), true));
        let owners = wanted.iter().flat_map(Wanted::names_of_owners);
        let owners = owners.map(|(name, schema)| (name, schema, false));
        let mut tables = Vec::<Named>::new();
        for (name, schema, is_compared) in compared.chain(owners) {
            if !tables.iter().any(|known| known.wanted == name) {
                tables.push(Named::of(name, schema, is_compared, backend));
            }
        }
        let columns = wanted.iter().flat_map(Wanted::names_of_columns);
        let columns = columns.filter(|_| backend != DbBackend::Postgres);
        Self {
            tables,
            columns: columns
                .map(|(table, name)| ((table.to_owned(), name.to_lowercase()), name.to_owned()))
                .collect(),
        }
    }

    /// Replaces every name by its wanted spelling.
    fn spell(&self, found: &mut Rows) {
        let table = |name: &mut String| {
            if let Some(table) = self.tables.iter().find(|it| it.asked == *name) {
                name.clone_from(&table.wanted);
            }
        };
        let column = |table: &str, name: &mut String| {
            if let Some(wanted) = self.columns.get(&(table.to_owned(), name.clone())) {
                name.clone_from(wanted);
            }
        };
        for found in &mut found.columns {
            table(&mut found.table_name);
            column(&found.table_name, &mut found.name);
        }
        for part in &mut found.index_parts {
            table(&mut part.table_name);
            let name = part.column_name.iter_mut();
            name.for_each(|name| column(&part.table_name, name));
        }
        for part in &mut found.key_parts {
            table(&mut part.table_name);
            table(&mut part.to_table);
            column(&part.table_name, &mut part.column_name);
            column(&part.to_table, &mut part.to_column);
        }
        for (name, _) in &mut found.demands {
            table(name);
        }
        for (of, clause) in &mut found.clauses {
            table(of);
            clause.column.iter_mut().for_each(|name| column(of, name));
        }
        for intervention in &mut found.interventions {
            table(&mut intervention.table_name);
        }
        found.unread.iter_mut().for_each(table);
        found.elsewhere.iter_mut().for_each(table);
    }
}

impl Named {
    fn of(name: &str, schema: Option<&str>, is_compared: bool, backend: DbBackend) -> Self {
        let table = match schema {
            Some(schema) => &name[schema.len() + 1..],
            None => name,
        };
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let asked = match (backend, schema) {
            (DbBackend::Postgres, Some(schema)) => format!("{}.{}", quoted(schema), quoted(table)),
            (DbBackend::Postgres, None) => quoted(table),
            (DbBackend::MySql, _) => name.to_owned(),
            _ => name.to_lowercase(),
        };
        Self {
            wanted: name.to_owned(),
            asked,
            schema: schema.map(str::to_owned),
            table: table.to_owned(),
            is_compared,
        }
    }
}

/// The rows of one statement, in which `{names}` stands for the names of the tables.
async fn rows<R: FromQueryResult>(
    connection: &DatabaseTransaction,
    sql: &str,
    names: &[&str],
) -> Result<Vec<R>, DbErr> {
    let backend = connection.get_database_backend();
    let binds = (1..=names.len()).map(|n| match backend {
        DbBackend::Postgres => format!("(${n}::text)"),
        _ => "?".to_owned(),
    });
    let sql = sql.replace("{names}", &binds.collect::<Vec<_>>().join(", "));
    let names = names.iter().map(|name| Value::from(*name));
    let statement = Statement::from_sql_and_values(backend, sql, names);
    R::find_by_statement(statement).all(connection).await
}

/// The row that a query for settings returns on this connection and on each idle one of the pool:
/// every connection has settings of its own, and finds tables in its own way. Those in use cannot be
/// asked.
async fn settings<R: FromQueryResult>(
    db: &DatabaseConnection,
    connection: &DatabaseTransaction,
    sql: &str,
) -> Result<Vec<R>, DbErr> {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let mut all = R::find_by_statement(statement).all(connection).await?;
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

/// The tables that a connection finds elsewhere than the first one, which is the one that reads them.
/// `places` has where each connection finds each of the tables.
fn elsewhere<'a, P: PartialEq>(
    tables: &'a [&str],
    places: &'a [Vec<P>],
) -> impl Iterator<Item = String> + 'a {
    let differs = |at: usize| places.iter().any(|it| it.get(at) != places[0].get(at));
    let found = tables
        .iter()
        .enumerate()
        .filter(move |&(at, _)| differs(at));
    found.map(|(_, &name)| name.to_owned())
}

async fn settings_of_idle<DB, R>(pool: &sqlx::Pool<DB>, sql: &str) -> Result<Vec<R>, DbErr>
where
    DB: sqlx::Database,
    for<'c> &'c mut DB::Connection: sqlx::Executor<'c, Database = DB>,
    QueryResult: From<DB::Row>,
    R: FromQueryResult,
{
    // Held together, so that the pool hands out another one each time.
    let mut held: Vec<_> = std::iter::from_fn(|| pool.try_acquire()).collect();
    let mut all = Vec::new();
    for connection in &mut held {
        // The names of tables in it are quoted.
        let row = sqlx::Executor::fetch_one(&mut **connection, sqlx::AssertSqlSafe(sql))
            .await
            .map_err(|error| DbErr::Query(RuntimeErr::SqlxError(Arc::new(error))))?;
        all.push(R::from_query_result(&row.into(), "")?);
    }
    Ok(all)
}

impl Rows {
    /// The rows by table. A table without a column counts as missing.
    fn by_table(self) -> BTreeMap<String, Table> {
        let mut tables = BTreeMap::<String, Table>::new();
        for column in self.columns {
            let table = tables.entry(column.table_name.clone()).or_default();
            if table.columns.is_empty() {
                table.storage = storage(column.storage.as_deref().unwrap_or_default());
            }
            table.columns.push(column);
        }
        for mut part in self.index_parts {
            if let Some(table) = tables.get_mut(&part.table_name) {
                let column = table
                    .columns
                    .iter()
                    .find(|column| part.column_name.as_ref() == Some(&column.name));
                // The column's own collation is reported with the column.
                part.folding = part
                    .folding
                    .filter(|own| column.and_then(|column| column.folding.as_ref()) != Some(own));
                table.add_to_index(part);
            }
        }
        for part in self.key_parts {
            if let Some(table) = tables.get_mut(&part.table_name) {
                table.add_to_key(part);
            }
        }
        for (name, demand) in self.demands {
            if let Some(table) = tables.get_mut(&name) {
                table.demands.push(demand);
            }
        }
        for (name, clause) in self.clauses {
            if let Some(table) = tables.get_mut(&name) {
                table.clauses.push(clause);
            }
        }
        for intervention in self.interventions {
            if let Some(table) = tables.get_mut(&intervention.table_name) {
                table.interventions.push(intervention);
            }
        }
        for name in self.unread {
            if let Some(table) = tables.get_mut(&name) {
                table.unread = true;
            }
        }
        for name in self.elsewhere {
            if let Some(table) = tables.get_mut(&name) {
                table.storage.push(Storage::Elsewhere);
            }
        }
        tables
    }
}

fn storage(words: &str) -> Vec<Storage> {
    let known = |word| match word {
        "no transactions" => Some(Storage::NoTransactions),
        "unlogged" => Some(Storage::Unlogged),
        "temporary" => Some(Storage::Temporary),
        "inherited" => Some(Storage::Inherited),
        "inherits" => Some(Storage::Inherits),
        "hidden" => Some(Storage::Hidden),
        _ => None,
    };
    words.split(',').filter_map(known).collect()
}

impl Table {
    fn add_to_index(&mut self, row: IndexPart) {
        let part = match row.column_name {
            Some(name) => Part::Column(name),
            None => Part::Expression(row.expression.unwrap_or_default()),
        };
        match self.indexes.last_mut() {
            Some(index) if index.name == row.index_name => {
                index.parts.push(part);
                index.flaw = index.flaw.or(row.flaw);
                index.folding = index.folding.take().or(row.folding);
            }
            _ => self.indexes.push(Index {
                name: row.index_name,
                primary: row.is_primary,
                unique: row.is_unique,
                excludes: row.excludes,
                nulls_equal: row.nulls_equal,
                flaw: row.flaw,
                folding: row.folding,
                parts: vec![part],
            }),
        }
    }

    fn add_to_key(&mut self, row: KeyPart) {
        match self.foreign_keys.last_mut() {
            Some(key) if key.name == row.key_name => {
                key.columns.push(row.column_name);
                key.to_columns.push(row.to_column);
            }
            _ => self.foreign_keys.push(ForeignKey {
                name: row.key_name,
                columns: vec![row.column_name],
                to_table: row.to_table,
                to_columns: vec![row.to_column],
                on_delete: row.on_delete,
                flaw: row.flaw,
            }),
        }
    }
}
