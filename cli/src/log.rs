//! The log of migrations, and how it compares with the migrations that a program has.

use std::collections::BTreeSet;

#[cfg(feature = "mysql")]
use sea_orm_migration::sea_orm::{RuntimeErr, SqlxMySqlError};
use sea_orm_migration::{
    MigratorTrait,
    sea_orm::{
        ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement,
        sea_query::{Alias, IntoTableRef, Query, TableRef},
    },
};

use crate::{drop_table, waiting};

/// The migrations of a program, and what the log has of them.
pub(crate) struct Log {
    /// The schema of the log on PostgreSQL, if there is a log where the search path leads.
    pub(crate) schema: Option<String>,
    /// Every migration of the program by name, and whether it has been applied.
    pub(crate) migrations: Vec<(String, bool)>,
    /// What has been applied and is not among the migrations of the program.
    pub(crate) unknown: Vec<String>,
}

impl Log {
    /// Reads the log of `M` where the search path leads to one. It creates nothing.
    pub(crate) async fn read<M: MigratorTrait>(db: &DatabaseConnection) -> Result<Self, DbErr> {
        let names = names::<M>()?;
        let table = M::migration_table_name().to_string();
        let (schema, applied) = applied(db, &table).await?;
        Ok(Self::new(names, schema, &applied))
    }

    fn new(names: Vec<String>, schema: Option<String>, applied: &BTreeSet<String>) -> Self {
        let unknown = applied.iter().filter(|name| !names.contains(name));
        Self {
            schema,
            unknown: unknown.cloned().collect(),
            migrations: names
                .into_iter()
                .map(|name| (name.clone(), applied.contains(&name)))
                .collect(),
        }
    }

    /// The migrations of `M` where there is no database, so none has been applied.
    #[cfg(feature = "program")]
    pub(crate) fn of_nothing<M: MigratorTrait>() -> Result<Self, DbErr> {
        Ok(Self::new(names::<M>()?, None, &BTreeSet::new()))
    }

    /// The migrations of the program that have been applied, in order.
    #[cfg(feature = "program")]
    pub(crate) fn applied(&self) -> impl Iterator<Item = &str> {
        let applied = self.migrations.iter().filter(|(_, applied)| *applied);
        applied.map(|(name, _)| name.as_str())
    }

    /// Every migration of the program, in order.
    #[cfg(feature = "program")]
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.migrations.iter().map(|(name, _)| name.as_str())
    }

    /// The migrations that have not been applied, in order.
    pub(crate) fn pending(&self) -> impl Iterator<Item = &str> {
        let pending = self.migrations.iter().filter(|(_, applied)| !applied);
        pending.map(|(name, _)| name.as_str())
    }

    /// Whether nothing is pending. An error if something was applied that the program does not
    /// know.
    pub(crate) fn is_complete(&self) -> Result<bool, DbErr> {
        if !self.unknown.is_empty() {
            return Err(DbErr::Migration(format!(
                "this program does not know what was applied to the database: '{}'",
                self.unknown.join("', '")
            )));
        }
        Ok(self.pending().next().is_none())
    }
}

/// The names of the migrations of `M`, each of which is the key of a row in the log.
fn names<M: MigratorTrait>() -> Result<Vec<String>, DbErr> {
    let migrations = M::migrations();
    let mut names = Vec::with_capacity(migrations.len());
    for migration in &migrations {
        let name = migration.name().to_owned();
        if names.contains(&name) {
            return Err(DbErr::Migration(format!(
                "two migrations are named `{name}`: only one of them would be applied"
            )));
        }
        names.push(name);
    }
    Ok(names)
}

/// The schema of the log on PostgreSQL, if there is a log where the search path leads, and what has been
/// applied according to it.
pub(crate) async fn applied(
    db: &DatabaseConnection,
    table: &str,
) -> Result<(Option<String>, BTreeSet<String>), DbErr> {
    let exists = match db.get_database_backend() {
        DbBackend::Postgres => return read_on_postgres(db, table).await,
        DbBackend::MySql => exists_on_mysql(db, table).await?,
        _ => drop_table::exists_on_sqlite(db, table).await?,
    };
    let applied = match exists {
        true => versions(db, table, Alias::new(table).into_table_ref()).await?,
        false => BTreeSet::new(),
    };
    Ok((None, applied))
}

async fn versions(
    db: &DatabaseConnection,
    name: &str,
    table: TableRef,
) -> Result<BTreeSet<String>, DbErr> {
    let versions = Query::select().column("version").from(table).take();
    let rows = waiting::for_table(name, db.query_all(&versions)).await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// The schema of the first log in the search path that has an entry, or of the first one, with what
/// has been applied. SeaORM's own `up` may have put an empty one in front.
async fn read_on_postgres(
    db: &DatabaseConnection,
    table: &str,
) -> Result<(Option<String>, BTreeSet<String>), DbErr> {
    // The catalogue shows it to every role, whatever the role may read.
    let schemas = Statement::from_sql_and_values(
        DbBackend::Postgres,
        "SELECT nspname::text, row_security_active(pg_class.oid)
         FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
         WHERE relname = $1 AND relkind IN ('r', 'p', 'v', 'm', 'f')
           AND nspname = ANY (current_schemas(false))
         ORDER BY array_position(current_schemas(false), nspname)",
        [table.into()],
    );
    let schemas = db.query_all_raw(schemas).await?;
    if schemas.is_empty() {
        refuse_an_empty_path(db).await?;
    }
    let mut first = None;
    for row in schemas {
        let schema: String = row.try_get_by_index(0)?;
        if row.try_get_by_index(1)? {
            return Err(DbErr::Migration(format!(
                "row level security hides the log of migrations in the schema `{schema}`: what was \
                 applied would be taken for pending"
            )));
        }
        let log = (Alias::new(&schema), Alias::new(table)).into_table_ref();
        let applied = versions(db, table, log).await?;
        if !applied.is_empty() {
            return Ok((Some(schema), applied));
        }
        first.get_or_insert(schema);
    }
    Ok((first, BTreeSet::new()))
}

/// An error if no schema of the search path can be used: a log that is there would be taken for none.
async fn refuse_an_empty_path(db: &DatabaseConnection) -> Result<(), DbErr> {
    let path = Statement::from_string(
        DbBackend::Postgres,
        "SELECT current_setting('search_path') WHERE current_schema() IS NULL",
    );
    let Some(row) = db.query_one_raw(path).await? else {
        return Ok(());
    };
    let path: String = row.try_get_by_index(0)?;
    Err(DbErr::Migration(format!(
        "no schema of the search path ({path}) is there for this role to use: nothing can be read"
    )))
}

/// The catalogue hides a table from a user without rights on it, so the table itself is queried too.
async fn exists_on_mysql(db: &DatabaseConnection, table: &str) -> Result<bool, DbErr> {
    if drop_table::exists_on_mysql(db, table).await? {
        return Ok(true);
    }
    #[cfg(feature = "mysql")]
    {
        const NO_SUCH_TABLE: u16 = 1146;
        const NO_DATABASE: u16 = 1046;
        let one = Query::select()
            .column("version")
            .from(Alias::new(table))
            .limit(1)
            .take();
        match db.query_one(&one).await {
            Err(DbErr::Query(RuntimeErr::SqlxError(error)))
                if error
                    .as_database_error()
                    .and_then(|error| error.try_downcast_ref::<SqlxMySqlError>())
                    .is_some_and(|error| {
                        [NO_SUCH_TABLE, NO_DATABASE].contains(&error.number())
                    }) => {}
            answer => return answer.map(|_| true),
        }
    }
    Ok(false)
}
