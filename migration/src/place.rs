//! Where migrations are applied: in the schema to which the search path leads.

use sea_orm_migration::sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement,
};

use crate::{connection, log::Log, tables};

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

/// An error if one of this library's tables, created by one of `migrations`, would hide another of
/// that name: the rows of a live table would be gone from the sight of whoever uses it.
pub(crate) async fn refuse_to_hide<'a>(
    db: &DatabaseConnection,
    migrations: impl Iterator<Item = &'a str>,
) -> Result<(), DbErr> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    for migration in migrations {
        for (table, creates_it) in tables() {
            if creates_it.name() == migration {
                refuse_to_hide_table(db, table).await?;
            }
        }
    }
    Ok(())
}

/// As [`refuse_to_hide`], of one table on PostgreSQL.
pub(crate) async fn refuse_to_hide_table(
    db: &impl ConnectionTrait,
    table: &str,
) -> Result<(), DbErr> {
    let hidden = Statement::from_sql_and_values(
        DbBackend::Postgres,
        "SELECT nspname::text FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
         WHERE relname = $1 AND relkind IN ('r', 'p', 'v', 'm', 'f')
           AND nspname = ANY (current_schemas(false)) AND nspname <> current_schema()
         ORDER BY array_position(current_schemas(false), nspname)",
        [table.into()],
    );
    let Some(row) = db.query_one_raw(hidden).await? else {
        return Ok(());
    };
    let schema: String = row.try_get_by_index(0)?;
    Err(DbErr::Migration(format!(
        "table `{table}` is in the schema `{schema}` already, and a second one would hide it: name \
         the schema to use (--database-schema), or put no other into the search path"
    )))
}
