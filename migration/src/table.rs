//! Creating and dropping one table, so that a run which was cut off can be run again.

use sea_orm_migration::{
    prelude::*,
    sea_orm::{ConnectionTrait, DbBackend, Statement},
};

use crate::force;

/// What every migration here answers to [`MigrationTrait::use_transaction`].
///
/// On PostgreSQL and SQLite the table and the record of the migration come together or not at all,
/// and SQLite stays on one connection of the pool. MariaDB/MySQL commit at each `CREATE` and `DROP`
/// whatever is asked, so there the transaction is without effect, and [`create`] and [`drop`]
/// accept what a run that died before recording its work left behind.
pub(crate) const USE_TRANSACTION: Option<bool> = Some(true);

/// Creates `table` with its one unique index.
pub(crate) async fn create(
    manager: &SchemaManager<'_>,
    mut table: TableCreateStatement,
    mut unique: IndexCreateStatement,
) -> Result<(), DbErr> {
    if manager.get_database_backend() == DbBackend::MySql {
        // One statement, so the table is there whole or not at all, and one that is there was made
        // by an earlier run. Elsewhere a table of that name is somebody else's and has to be an
        // error.
        table.index(&mut unique).if_not_exists();
        table.engine("InnoDB").character_set("utf8mb4");
        return manager.create_table(table).await;
    }
    manager.create_table(table).await?;
    manager.create_index(unique).await
}

/// Drops `table` if it is empty or the rollback is forced.
pub(crate) async fn drop(manager: &SchemaManager<'_>, table: &'static str) -> Result<(), DbErr> {
    let db = manager.get_connection();
    let backend = manager.get_database_backend();
    if backend == DbBackend::MySql && !exists_on_mysql(db, table).await? {
        return Ok(());
    }
    if backend == DbBackend::Postgres {
        // No row may come in between the look and the drop.
        db.execute_unprepared(&format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
            .await?;
    }
    let a_row = Statement::from_string(backend, format!("SELECT 1 FROM {table} LIMIT 1"));
    if !force::is_forced() && db.query_one_raw(a_row).await?.is_some() {
        return Err(DbErr::Migration(format!(
            "table `{table}` still holds rows; `down --force` or GUESTHOUSE_FORCE_DOWN=1 drops it \
             with them"
        )));
    }
    manager.drop_table(Table::drop().table(table).take()).await
}

/// SeaORM's own `has_table` answers only where its feature for MySQL is on, which is not this
/// crate's to demand of a program that brings its own drivers.
async fn exists_on_mysql(db: &impl ConnectionTrait, table: &str) -> Result<bool, DbErr> {
    let statement = Statement::from_sql_and_values(
        DbBackend::MySql,
        "SELECT 1 FROM information_schema.tables
         WHERE table_schema = database() AND table_name = ?",
        [table.into()],
    );
    Ok(db.query_one_raw(statement).await?.is_some())
}
