//! Whether the caller's transaction is still open.
//!
//! PostgreSQL refuses every statement of a transaction that has failed. MariaDB ends one at a
//! deadlock, SQLite at `RAISE(ROLLBACK)` or a full disk, and from then on each statement commits by
//! itself.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, TransactionSession};

use tokio::sync::OwnedMutexGuard;

use super::queue;
use crate::{
    error::{Error, code, database_error},
    scope::Scope,
};

/// The turn of a call that writes. It ends when this is dropped.
///
/// Hooks run outside it, since what they call on the same transaction waits for a turn too (D25).
pub(crate) type Turn = Option<OwnedMutexGuard<()>>;

/// Begins a call that writes, unless the database has ended the transaction of the caller.
///
/// A call in a transaction may take several statements. It waits here until no other task on that
/// transaction is between two of its own.
pub(crate) async fn turn<C: ConnectionTrait>(db: &C) -> Result<Turn, Error> {
    let takes_turns = match Scope::of::<C>() {
        Scope::Transaction => true,
        Scope::Unknown => db.get_database_backend() == DbBackend::MySql,
        Scope::Autocommit => false,
    };
    let turn = match takes_turns {
        true => Some(queue::of_calls(db).lock_owned().await),
        false => None,
    };
    match is_over(db).await {
        Ok(false) => Ok(turn),
        Ok(true) => Err(Error::over()),
        Err(source) => Err(Error::of_read(source)),
    }
}

/// Whether a look comes before a write: on MariaDB in a transaction, where a refused write would
/// lock more than the row that refuses it until that transaction ends (D4).
pub(crate) fn looks_first<C: ConnectionTrait>(db: &C) -> bool {
    db.get_database_backend() == DbBackend::MySql && Scope::of::<C>() != Scope::Autocommit
}

/// Whether an insert of many rows cannot leave out those that exist: on MariaDB leaving them out
/// would also ignore other errors, and lock others out.
pub(crate) fn leaves_out_no_row<C: ConnectionTrait>(db: &C) -> bool {
    db.get_database_backend() == DbBackend::MySql
}

/// Whether a refused statement ends the caller's transaction.
pub(crate) fn ends_with_a_refusal<C: ConnectionTrait>(db: &C) -> bool {
    db.get_database_backend() == DbBackend::Postgres && Scope::of::<C>() != Scope::Autocommit
}

/// Whether there is nothing left to commit. If an ignored error has ended the transaction,
/// PostgreSQL answers the COMMIT with success and keeps nothing; here it reports the error (D10).
pub(crate) async fn is_over_at_commit<C: ConnectionTrait>(db: &C) -> Result<bool, DbErr> {
    match db.get_database_backend() {
        DbBackend::Postgres => db.execute_unprepared("SELECT 1").await.map(|_| false),
        _ => is_over(db).await,
    }
}

/// Rolls back a transaction that the database may have ended already.
///
/// sqlx counts a transaction of SQLite until a ROLLBACK succeeds, and without one to end it fails: from
/// then on the connection would begin none but savepoints, and what is committed later would be lost.
/// So there is one to end. Within a transaction BEGIN is an error that changes nothing.
pub(crate) async fn roll_back<T>(txn: T) -> Result<(), DbErr>
where
    T: ConnectionTrait + TransactionSession,
{
    if txn.get_database_backend() == DbBackend::Sqlite {
        let _ = txn.execute_unprepared("BEGIN").await;
    }
    txn.rollback().await
}

/// The turn of a call on a transaction of a type that is not SeaORM's, for which [`turn`] takes
/// none.
#[cfg(feature = "postgres")]
pub(super) async fn turn_on_unknown<C: ConnectionTrait>(db: &C) -> Turn {
    match Scope::of::<C>() {
        Scope::Unknown => Some(queue::of_calls(db).lock_owned().await),
        Scope::Autocommit | Scope::Transaction => None,
    }
}

/// Whether the database has ended the transaction of the caller.
async fn is_over<C: ConnectionTrait>(db: &C) -> Result<bool, DbErr> {
    if Scope::of::<C>() != Scope::Transaction {
        return Ok(false);
    }
    match db.get_database_backend() {
        DbBackend::MySql => has_no_savepoints(db).await,
        DbBackend::Sqlite => can_begin(db).await,
        _ => Ok(false),
    }
}

/// Whether this is a transaction: by the type of the connection, or by PostgreSQL itself where the
/// type is unknown.
///
/// A savepoint outside a transaction is refused without consequence. One that is left behind by a
/// dropped call changes nothing either.
#[cfg(feature = "postgres")]
pub(super) async fn is_transaction_on_postgres<C: ConnectionTrait>(db: &C) -> Result<bool, DbErr> {
    let scope = Scope::of::<C>();
    if scope != Scope::Unknown {
        return Ok(scope == Scope::Transaction);
    }
    match db.execute_unprepared("SAVEPOINT guesthouse_scope").await {
        Ok(_) => {
            db.execute_unprepared("RELEASE SAVEPOINT guesthouse_scope")
                .await?;
            Ok(true)
        }
        // https://www.postgresql.org/docs/current/errcodes-appendix.html: no active SQL
        // transaction.
        Err(error) if code(&error).as_deref() == Some("25P01") => Ok(false),
        Err(error) => Err(error),
    }
}

/// Outside a transaction a savepoint is not kept, and there is none to release.
pub(super) async fn has_no_savepoints(db: &impl ConnectionTrait) -> Result<bool, DbErr> {
    let probe = "SAVEPOINT guesthouse_alive; RELEASE SAVEPOINT guesthouse_alive";
    match after_a_dropped_call(db, probe).await {
        Ok(()) => Ok(false),
        // https://mariadb.com/kb/en/mariadb-error-codes/: SAVEPOINT does not exist.
        Err(error) if code(&error).as_deref() == Some("1305") => Ok(true),
        Err(error) => Err(error),
    }
}

/// Executes a statement that can be executed twice. On MariaDB the first answer can be the error of
/// an earlier statement, whose caller did not wait for it.
pub(super) async fn after_a_dropped_call(
    db: &impl ConnectionTrait,
    sql: &str,
) -> Result<(), DbErr> {
    match db.execute_unprepared(sql).await {
        Err(error) if database_error(&error).is_some() => db.execute_unprepared(sql).await,
        outcome => outcome,
    }
    .map(drop)
}

/// Within a transaction BEGIN is an error that changes nothing.
async fn can_begin(db: &impl ConnectionTrait) -> Result<bool, DbErr> {
    match db.execute_unprepared("BEGIN").await {
        Ok(_) => {
            db.execute_unprepared("ROLLBACK").await?;
            Ok(true)
        }
        Err(error) if code(&error).as_deref() == Some("1") => Ok(false),
        Err(error) => Err(error),
    }
}
