//! The log of migrations, and how it compares with the migrations that a program has.

use std::collections::BTreeSet;

#[cfg(feature = "mysql")]
use sea_orm_migration::sea_orm::{RuntimeErr, SqlxMySqlError};
use sea_orm_migration::{
    MigratorTrait,
    sea_orm::{
        ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement,
        sea_query::{Alias, IntoTableRef, Query},
    },
};

use crate::table;

/// The migrations of a program, and what the log says of them.
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
        let mut schema = None;
        let exists = match db.get_database_backend() {
            DbBackend::Postgres => {
                schema = schema_on_postgres(db, &table).await?;
                schema.is_some()
            }
            DbBackend::MySql => exists_on_mysql(db, &table).await?,
            _ => exists_on_sqlite(db, &table).await?,
        };
        let applied = match exists {
            true => versions(db, schema.clone(), table).await?,
            false => BTreeSet::new(),
        };
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

    /// The migrations of `M` where no database is, so none has been applied.
    #[cfg(feature = "cli")]
    pub(crate) fn of_nothing<M: MigratorTrait>() -> Result<Self, DbErr> {
        Ok(Self::new(names::<M>()?, None, &BTreeSet::new()))
    }

    /// The migrations of the program that have been applied, in order.
    #[cfg(feature = "cli")]
    pub(crate) fn applied(&self) -> impl Iterator<Item = &str> {
        let applied = self.migrations.iter().filter(|(_, applied)| *applied);
        applied.map(|(name, _)| name.as_str())
    }

    /// Every migration of the program, in order.
    #[cfg(feature = "cli")]
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

async fn versions(
    db: &DatabaseConnection,
    schema: Option<String>,
    table: String,
) -> Result<BTreeSet<String>, DbErr> {
    let table = Alias::new(table);
    let table = match schema {
        Some(schema) => (Alias::new(schema), table).into_table_ref(),
        None => table.into_table_ref(),
    };
    let versions = Query::select().column("version").from(table).take();
    let rows = db.query_all(&versions).await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// The schema in which a statement that names `table` finds it. The catalogue shows it to every
/// role, whatever the role may read.
async fn schema_on_postgres(db: &DatabaseConnection, table: &str) -> Result<Option<String>, DbErr> {
    let schema = Statement::from_sql_and_values(
        DbBackend::Postgres,
        "SELECT nspname::text FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
         WHERE pg_class.oid = to_regclass(quote_ident($1))",
        [table.into()],
    );
    let row = db.query_one_raw(schema).await?;
    row.map(|row| row.try_get_by_index(0)).transpose()
}

async fn exists_on_sqlite(db: &DatabaseConnection, table: &str) -> Result<bool, DbErr> {
    let exists = Statement::from_sql_and_values(
        DbBackend::Sqlite,
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND lower(name) = lower($1)",
        [table.into()],
    );
    Ok(db.query_one_raw(exists).await?.is_some())
}

/// The catalogue hides a table from a user who has no right on it, so the table itself is asked.
async fn exists_on_mysql(db: &DatabaseConnection, table: &str) -> Result<bool, DbErr> {
    if table::exists_on_mysql(db, table).await? {
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
