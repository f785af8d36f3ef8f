//! Deleting a user with its guest, both or neither.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Related, Statement, TransactionTrait, Value};

use super::names::AccountNames as Names;
use crate::statements::{
    block::{mariadb::still_in_transaction, sqlite},
    raised,
    send::{execute, query},
};
use crate::{accounts::SignUp, scope::Scope};

const NOT_DELETED: &str = "the user was not deleted";

/// Deletes the user with this key and its guest, and returns whether there was such a user. A key
/// that refuses is an error, and so is a user who is still there.
///
/// SQLite: one statement. PostgreSQL: one, in a transaction the three of a block. MariaDB:
/// one, and another for a user without a guest.
pub(crate) async fn delete<U: SignUp, C>(db: &C, key: &Value) -> Result<bool, DbErr>
where
    C: ConnectionTrait + TransactionTrait,
    U::Guest: Related<U>,
{
    let backend = db.get_database_backend();
    let names = Names::of::<U>(backend);
    match backend {
        #[cfg(feature = "postgres")]
        DbBackend::Postgres if crate::statements::alive::is_transaction_on_postgres(db).await? => {
            in_a_block_on_postgres(db, &names, key).await
        }
        DbBackend::Postgres => on_postgres(db, &names, key).await,
        DbBackend::MySql => on_mysql(db, &names, key).await,
        _ => on_sqlite(db, &names, key).await,
    }
}

/// The statement fails if the user was there when it began and was not deleted by it: something
/// kept the user, or another call deleted it.
async fn on_postgres(db: &impl ConnectionTrait, names: &Names, key: &Value) -> Result<bool, DbErr> {
    let Names {
        users,
        id,
        guests,
        user_id,
        ..
    } = names;
    let kept =
        format!("NOT EXISTS (SELECT FROM gone) AND EXISTS (SELECT FROM {users} WHERE {id} = $3)");
    let check = raised::on_postgres(&kept, NOT_DELETED, "(SELECT count(*) FROM gone)");
    let sql = format!(
        "WITH guest AS (DELETE FROM {guests} WHERE {user_id} = $1), \
         gone AS (DELETE FROM {users} WHERE {id} = $2 RETURNING {id}) \
         SELECT EXISTS (SELECT FROM gone), {check}"
    );
    let values = [key.clone(), key.clone(), key.clone()];
    let rows = query(
        db,
        Statement::from_sql_and_values(DbBackend::Postgres, sql, values),
    )
    .await?;
    match rows.first() {
        Some(row) => row.try_get_by_index(0),
        None => Ok(false),
    }
}

#[cfg(feature = "postgres")]
async fn in_a_block_on_postgres(
    db: &impl ConnectionTrait,
    names: &Names,
    key: &Value,
) -> Result<bool, DbErr> {
    use crate::statements::block::postgres;

    let Names {
        users,
        id,
        guests,
        user_id,
        ..
    } = names;
    let values = [(format!("{users}.{id}%TYPE"), key.clone())];
    let steps = format!(
        "DELETE FROM {guests} WHERE {user_id} = v0; DELETE FROM {users} WHERE {id} = v0; \
         GET DIAGNOSTICS changed = ROW_COUNT; \
         IF changed = 0 AND EXISTS (SELECT FROM {users} WHERE {id} = v0) THEN \
         RAISE EXCEPTION '{}'; END IF;",
        raised::message(NOT_DELETED)
    );
    Ok(postgres::run(db, &values, &steps).await? > 0)
}

/// The guest comes first in the join, so that its row is deleted before that of the user.
async fn on_mysql<C: ConnectionTrait>(db: &C, names: &Names, key: &Value) -> Result<bool, DbErr> {
    let Names {
        users,
        id,
        guests,
        user_id,
        ..
    } = names;
    let alive = still_in_transaction(Scope::of::<C>());
    let both = format!(
        "DELETE {guests}, {users} FROM {guests} STRAIGHT_JOIN {users} \
         ON {users}.{id} = {guests}.{user_id} WHERE {guests}.{user_id} = ?"
    );
    let alone = format!("DELETE FROM {users} WHERE {id} = ?");
    for sql in [both, alone] {
        let sql = format!("{sql}{alive}");
        let statement = Statement::from_sql_and_values(DbBackend::MySql, sql, [key.clone()]);
        if execute(db, statement).await? > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn on_sqlite<C>(db: &C, names: &Names, key: &Value) -> Result<bool, DbErr>
where
    C: ConnectionTrait + TransactionTrait,
{
    const NO_USER: &str = "there is no such user";

    let Names {
        users,
        id,
        guests,
        user_id,
        ..
    } = names;
    let is_there = format!("EXISTS (SELECT 1 FROM {users} WHERE {id} = NEW.v0)");
    let steps = format!(
        "{} DELETE FROM {guests} WHERE {user_id} = NEW.v0; \
         DELETE FROM {users} WHERE {id} = NEW.v0; {}",
        raised::on_sqlite(&format!("NOT {is_there}"), NO_USER),
        raised::on_sqlite(&is_there, NOT_DELETED)
    );
    let sql = sqlite::block(1, &steps, "SELECT 1");
    let block = Statement::from_sql_and_values(DbBackend::Sqlite, sql, [key.clone()]);
    match sqlite::run(db, block).await {
        Ok(_) => Ok(true),
        Err(refusal) if raised::is(&refusal, NO_USER) => Ok(false),
        Err(refusal) => Err(refusal),
    }
}

/// Whether the error is that of a user who is still there.
pub(crate) fn is_kept(error: &DbErr) -> bool {
    raised::is(error, NOT_DELETED)
}
