//! Dropping a table in a `down`, unless it holds rows.

#[cfg(feature = "mysql")]
use sea_orm_migration::sea_orm::{RuntimeErr, SqlxMySqlError};
use sea_orm_migration::{
    prelude::*,
    sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, Statement, TransactionTrait},
};

use crate::{force, waiting};

/// Drops a table in the `down` of a migration, unless it holds rows.
///
/// So a `down` by mistake loses no row. `down --force`, [`forced`](crate::forced) and `GUESTHOUSE_FORCE_DOWN=1`
/// drop the table with its rows.
///
/// No row comes in between the check and the drop, which are in one transaction: the migration's, or one
/// of its own. On the servers that transaction locks the table, and waits for those that have used it.
/// On MariaDB/MySQL the lock commits what the migration has done so far, as each DROP does, and takes the
/// right `LOCK TABLES`; a table that is gone counts as dropped there.
///
/// ```
/// use guesthouse_cli::drop_table;
/// use sea_orm_migration::{prelude::*, sea_orm::Database};
///
/// struct CreatePlaces;
///
/// impl MigrationName for CreatePlaces {
///     fn name(&self) -> &str {
///         "m20261001_000001_create_places"
///     }
/// }
///
/// #[async_trait::async_trait]
/// impl MigrationTrait for CreatePlaces {
///     async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
///         let id = ColumnDef::new("id").uuid().not_null().primary_key().take();
///         manager.create_table(Table::create().table("places").col(id).take()).await
///     }
///
///     async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
///         drop_table(manager, "places").await
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
/// # use sea_orm_migration::sea_orm::ConnectionTrait;
/// let db = Database::connect("sqlite::memory:").await?;
/// App::up(&db, None).await?;
/// db.execute_unprepared("INSERT INTO places (id) VALUES ('here')").await?;
///
/// let refusal = App::down(&db, None).await.unwrap_err();
/// assert!(refusal.to_string().contains("`places` still holds rows"));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// `DbErr::Migration`, and nothing is dropped, if the table holds rows, if row level security may hide
/// rows of it from this role, if this user may not lock it on MariaDB/MySQL, or if another table refers
/// to it, or rows of one on SQLite.
pub async fn drop_table(manager: &SchemaManager<'_>, table: &str) -> Result<(), DbErr> {
    let pool = match manager.get_connection() {
        SchemaManagerConnection::Transaction(transaction) => {
            return drop_in(transaction, table).await;
        }
        SchemaManagerConnection::OwnedTransaction(transaction) => {
            return drop_in(transaction, table).await;
        }
        SchemaManagerConnection::Connection(pool) => pool,
    };
    let transaction = pool.begin().await?;
    drop_in(&transaction, table).await?;
    transaction.commit().await
}

/// The lock, the check and the drop are on one connection.
async fn drop_in(transaction: &DatabaseTransaction, table: &str) -> Result<(), DbErr> {
    match transaction.get_database_backend() {
        DbBackend::MySql if !exists_on_mysql(transaction, table).await? => Ok(()),
        DbBackend::MySql if force::is_forced() => drop_unless_used(transaction, table).await,
        DbBackend::MySql => {
            lock_on_mysql(transaction, table).await?;
            let dropped = drop_unless_used(transaction, table).await;
            // Until then the session may use no other table.
            let unlocked = transaction.execute_unprepared("UNLOCK TABLES").await;
            dropped.and(unlocked.map(|_| ()))
        }
        DbBackend::Postgres => {
            let lock = format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", quoted(table));
            waiting::for_table(table, transaction.execute_unprepared(&lock)).await?;
            drop_unless_used(transaction, table).await
        }
        _ => drop_unless_used(transaction, table).await,
    }
}

/// A transaction that has written to the table has it until the end: what it commits is in the table
/// when the lock is had.
async fn lock_on_mysql(transaction: &DatabaseTransaction, table: &str) -> Result<(), DbErr> {
    let lock = format!("LOCK TABLES `{}` WRITE", table.replace('`', "``"));
    let locked = waiting::for_table(table, transaction.execute_unprepared(&lock)).await;
    match locked {
        Err(error) if may_not_lock(&error) => Err(DbErr::Migration(format!(
            "table `{table}` cannot be locked by this user, who has no right to LOCK TABLES: a row \
             that another transaction commits meanwhile would be dropped with it"
        ))),
        locked => locked.map(|_| ()),
    }
}

#[cfg(feature = "mysql")]
fn may_not_lock(error: &DbErr) -> bool {
    const DENIED_IN_THE_DATABASE: u16 = 1044;
    let DbErr::Exec(RuntimeErr::SqlxError(error)) = error else {
        return false;
    };
    let refusal = error.as_database_error();
    let refusal = refusal.and_then(|refusal| refusal.try_downcast_ref::<SqlxMySqlError>());
    refusal.is_some_and(|refusal| refusal.number() == DENIED_IN_THE_DATABASE)
}

#[cfg(not(feature = "mysql"))]
fn may_not_lock(_error: &DbErr) -> bool {
    false
}

async fn drop_unless_used(transaction: &DatabaseTransaction, table: &str) -> Result<(), DbErr> {
    if !force::is_forced() {
        refuse_rows(transaction, table).await?;
    }
    refuse_referred_to(transaction, table, &[]).await?;
    let drop = Table::drop().table(Alias::new(table)).take();
    match waiting::for_table(table, transaction.execute(&drop)).await {
        Err(error) if error.to_string().contains("FOREIGN KEY constraint failed") => {
            name_referring_on_sqlite(transaction, table).await?;
            Err(error)
        }
        dropped => dropped.map(|_| ()),
    }
}

/// What [`drop_table`] would refuse for the sake of rows, as long as nothing has been rolled back. Rows may
/// come in afterwards.
#[cfg(feature = "program")]
pub(crate) async fn refuse_rows_ahead(db: &impl ConnectionTrait, table: &str) -> Result<(), DbErr> {
    let exists = match db.get_database_backend() {
        DbBackend::MySql => exists_on_mysql(db, table).await?,
        DbBackend::Postgres => {
            let exists = "SELECT 1 WHERE to_regclass($1::text) IS NOT NULL";
            let name = [quoted(table).into()];
            let exists = Statement::from_sql_and_values(DbBackend::Postgres, exists, name);
            db.query_one_raw(exists).await?.is_some()
        }
        _ => exists_on_sqlite(db, table).await?,
    };
    // What is gone, or has another name by now, is the business of the migrations.
    if !exists || force::is_forced() {
        return Ok(());
    }
    waiting::for_table(table, refuse_rows(db, table)).await
}

/// An error if the table holds rows, or may hold some that are hidden.
async fn refuse_rows(db: &impl ConnectionTrait, table: &str) -> Result<(), DbErr> {
    let a_row = Query::select()
        .expr(Expr::val(1))
        .from(Alias::new(table))
        .limit(1)
        .take();
    if db.query_one(&a_row).await?.is_some() {
        return Err(DbErr::Migration(format!(
            "table `{table}` still holds rows; `down --force` or GUESTHOUSE_FORCE_DOWN=1 drops it \
             with them"
        )));
    }
    if db.get_database_backend() == DbBackend::Postgres && hides_rows(db, table).await? {
        return Err(DbErr::Migration(format!(
            "table `{table}` may hold rows that row level security hides from this role: roll back \
             as a role that bypasses it, or with `down --force` or GUESTHOUSE_FORCE_DOWN=1"
        )));
    }
    Ok(())
}

/// A name as PostgreSQL reads it, whatever characters it has.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// An error if another table than those that are `gone` by then refers to this one. The servers' own
/// refusals do not name it.
pub(crate) async fn refuse_referred_to(
    db: &impl ConnectionTrait,
    table: &str,
    gone: &[&str],
) -> Result<(), DbErr> {
    let referring = match db.get_database_backend() {
        DbBackend::MySql => Statement::from_sql_and_values(
            DbBackend::MySql,
            "SELECT DISTINCT if(table_schema = database(), table_name,
                                concat(table_schema, '.', table_name)) AS name
             FROM information_schema.key_column_usage
             WHERE referenced_table_schema = database() AND referenced_table_name = ?
               AND NOT (table_schema = database() AND table_name = ?)
             ORDER BY name",
            [table.into(), table.into()],
        ),
        DbBackend::Postgres => Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT DISTINCT conrelid::regclass::text AS name
             FROM pg_constraint
             WHERE contype = 'f' AND confrelid = to_regclass($1::text) AND conrelid <> confrelid
             ORDER BY name",
            [quoted(table).into()],
        ),
        _ => return Ok(()),
    };
    let rows = db.query_all_raw(referring).await?;
    let names: Result<Vec<String>, _> = rows.iter().map(|row| row.try_get_by_index(0)).collect();
    let other = names?
        .into_iter()
        .find(|name| !gone.contains(&name.as_str()));
    other.map_or(Ok(()), |other| {
        Err(DbErr::Migration(format!(
            "table `{table}` cannot be dropped while `{other}` refers to it"
        )))
    })
}

/// SQLite names no table either. It refuses only if the other table has rows, so it is asked first.
async fn name_referring_on_sqlite(db: &impl ConnectionTrait, table: &str) -> Result<(), DbErr> {
    let referring = Statement::from_sql_and_values(
        DbBackend::Sqlite,
        "SELECT DISTINCT t.name
         FROM pragma_table_list AS t, pragma_foreign_key_list(t.name) AS f
         WHERE t.schema = 'main' AND lower(f.\"table\") = lower($1) AND lower(t.name) <> lower($1)
         ORDER BY t.name",
        [table.into()],
    );
    let rows = db.query_all_raw(referring).await?;
    let names: Result<Vec<String>, _> = rows.iter().map(|row| row.try_get_by_index(0)).collect();
    let names = names?.join("`, `");
    if names.is_empty() {
        return Ok(());
    }
    Err(DbErr::Migration(format!(
        "table `{table}` cannot be dropped while rows of `{names}` refer to it"
    )))
}

async fn hides_rows(db: &impl ConnectionTrait, table: &str) -> Result<bool, DbErr> {
    let active = Statement::from_sql_and_values(
        DbBackend::Postgres,
        "SELECT 1 WHERE row_security_active($1::text)",
        [quoted(table).into()],
    );
    Ok(db.query_one_raw(active).await?.is_some())
}

/// Whether the database has the table, on MariaDB/MySQL.
///
/// SeaORM's own `has_table` needs its feature for MySQL, which this crate cannot demand of a program
/// that brings its own drivers.
///
/// # Errors
///
/// Returns the database's error.
pub async fn exists_on_mysql(db: &impl ConnectionTrait, table: &str) -> Result<bool, DbErr> {
    let statement = Statement::from_sql_and_values(
        DbBackend::MySql,
        "SELECT 1 FROM information_schema.tables
         WHERE table_schema = database() AND table_name = ?",
        [table.into()],
    );
    Ok(db.query_one_raw(statement).await?.is_some())
}

pub(crate) async fn exists_on_sqlite(
    db: &impl ConnectionTrait,
    table: &str,
) -> Result<bool, DbErr> {
    let exists = Statement::from_sql_and_values(
        DbBackend::Sqlite,
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND lower(name) = lower($1)",
        [table.into()],
    );
    Ok(db.query_one_raw(exists).await?.is_some())
}
