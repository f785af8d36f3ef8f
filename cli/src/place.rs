//! Where migrations are applied: in the schema to which the search path leads.

use sea_orm_migration::{
    SchemaManager,
    sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement},
};

#[cfg(feature = "program")]
use crate::drop_table;
use crate::{connection, log::Log};

/// A connection on which the schema of `log` is the one that statements write to: `db`, unless
/// another schema stands before it in the search path.
pub(crate) async fn of(log: &Log, db: &DatabaseConnection) -> Result<DatabaseConnection, DbErr> {
    let Some(schema) = &log.schema else {
        return Ok(db.clone());
    };
    let path = Statement::from_sql_and_values(
        DbBackend::Postgres,
        "SELECT concat_ws(', ', quote_ident($1), nullif(current_setting('search_path'), ''))
         WHERE current_schema() IS DISTINCT FROM $1::text",
        [schema.as_str().into()],
    );
    let Some(path) = db.query_one_raw(path).await? else {
        return Ok(db.clone());
    };
    let path: String = path.try_get_by_index(0)?;
    if !cfg!(feature = "postgres") {
        return Err(DbErr::Migration(format!(
            "the migrations are recorded in the schema `{schema}`: put it first in the search path"
        )));
    }
    let one = connection::beside(db).await?;
    one.execute_unprepared(&format!("SET search_path = {path}"))
        .await?;
    Ok(one)
}

/// The tables of Guesthouse, each with the migration that creates it. Only they are known before a
/// migration runs; any other migration refuses by itself, with [`refuse_to_hide`].
const TABLES: [(&str, &str); 3] = [
    ("users", "m20260901_000001_create_users"),
    ("guests", "m20260901_000002_create_guests"),
    ("hosts", "m20260901_000003_create_hosts"),
];

/// An error if a table of Guesthouse, created by one of `migrations`, would hide another of that
/// name. A refusal in the migration itself would be too late: `fresh` has dropped every table by
/// then.
pub(crate) async fn refuse_to_hide_by<'a>(
    db: &DatabaseConnection,
    migrations: impl Iterator<Item = &'a str>,
) -> Result<(), DbErr> {
    for table in migrations.filter_map(table_of) {
        refuse_to_hide_on(db, table).await?;
    }
    Ok(())
}

/// An error if a table of Guesthouse, created by one of `migrations`, could not be dropped when they are
/// rolled back in this order. A refusal in the migration itself would be too late: those after it have been
/// rolled back by then.
#[cfg(feature = "program")]
pub(crate) async fn refuse_to_drop_for<'a>(
    db: &DatabaseConnection,
    migrations: impl Iterator<Item = &'a str>,
) -> Result<(), DbErr> {
    let tables: Vec<_> = migrations.map(table_of).collect();
    // One of the app's own may drop what refers to a table.
    let are_all_known = tables.iter().all(Option::is_some);
    let mut gone = Vec::new();
    for table in tables.into_iter().flatten() {
        drop_table::refuse_rows_ahead(db, table).await?;
        if are_all_known {
            drop_table::refuse_referred_to(db, table, &gone).await?;
        }
        gone.push(table);
    }
    Ok(())
}

fn table_of(migration: &str) -> Option<&'static str> {
    let mut tables = TABLES.into_iter();
    let (table, _) = tables.find(|(_, creates_it)| *creates_it == migration)?;
    Some(table)
}

/// Refuses in the `up` of a migration to create a table that would hide another of its name.
///
/// With several schemas in PostgreSQL's search path a table is created in the first of them. If
/// another schema of the path has one of that name, its rows would be hidden from every
/// program with this path. The other databases have no search path: there it does nothing.
///
/// ```
/// use guesthouse_cli::refuse_to_hide;
/// use sea_orm_migration::prelude::*;
///
/// #[derive(DeriveMigrationName)]
/// struct CreatePlaces;
///
/// #[async_trait::async_trait]
/// impl MigrationTrait for CreatePlaces {
///     async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
///         refuse_to_hide(manager, "places").await?;
///         let id = ColumnDef::new("id").uuid().not_null().primary_key().take();
///         manager.create_table(Table::create().table("places").col(id).take()).await
///     }
/// }
/// # struct App;
/// # impl MigratorTrait for App {
/// #     fn migrations() -> Vec<Box<dyn MigrationTrait>> { vec![Box::new(CreatePlaces)] }
/// # }
/// #
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), DbErr> {
/// # if !cfg!(feature = "sqlite") { return Ok(()); }
/// # let db = sea_orm_migration::sea_orm::Database::connect("sqlite::memory:").await?;
/// App::up(&db, None).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// `DbErr::Migration`, which names the table and the schema that has one.
pub async fn refuse_to_hide(manager: &SchemaManager<'_>, table: &str) -> Result<(), DbErr> {
    refuse_to_hide_on(manager.get_connection(), table).await
}

async fn refuse_to_hide_on(db: &impl ConnectionTrait, table: &str) -> Result<(), DbErr> {
    let Some(schema) = behind(db, table).await? else {
        return Ok(());
    };
    Err(DbErr::Migration(format!(
        "table `{table}` is in the schema `{schema}` already, and a second one would hide it: name \
         the schema to use (--database-schema), or put no other into the search path"
    )))
}

/// The schema that has such a table, if one behind the first of PostgreSQL's search path does.
pub(crate) async fn behind(
    db: &impl ConnectionTrait,
    table: &str,
) -> Result<Option<String>, DbErr> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(None);
    }
    let behind = Statement::from_sql_and_values(
        DbBackend::Postgres,
        "SELECT nspname::text FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
         WHERE relname = $1 AND relkind IN ('r', 'p', 'v', 'm', 'f')
           AND nspname = ANY (current_schemas(false)) AND nspname <> current_schema()
         ORDER BY array_position(current_schemas(false), nspname)",
        [table.into()],
    );
    let row = db.query_one_raw(behind).await?;
    row.map(|row| row.try_get_by_index(0)).transpose()
}
