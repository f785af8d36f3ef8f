//! Several statements, or one that may fail, as a unit: a transaction of its own, or a savepoint
//! inside the caller's.

use std::any::TypeId;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, TransactionSession,
    TransactionTrait,
};

use crate::error::{Error, Sent};

/// Begins a transaction on a connection, or sets a savepoint in the caller's transaction.
///
/// Dropping what it returns undoes everything sent through it, so a cancelled future leaves
/// nothing behind.
pub(crate) async fn begin<C>(db: &C) -> Result<C::Transaction, Error>
where
    C: ConnectionTrait + TransactionTrait,
{
    let failed = |source| Error::from_driver(source, Sent::Revocable);
    if db.get_database_backend() == DbBackend::Postgres && !commits_by_itself::<C>() {
        // When a dead transaction refuses a SAVEPOINT, sqlx 0.9 rolls all of it back, and what the
        // caller sends next would commit statement by statement. It does no such thing when any
        // other statement is refused.
        db.execute_unprepared("SELECT 1").await.map_err(failed)?;
    }
    db.begin().await.map_err(failed)
}

/// Commits what `outcome` did, or undoes it and gives the reason back.
pub(crate) async fn finish<C, T>(
    unit: C::Transaction,
    outcome: Result<T, Error>,
) -> Result<T, Error>
where
    C: ConnectionTrait + TransactionTrait,
{
    match outcome {
        Ok(done) => match unit.commit().await {
            Ok(()) => Ok(done),
            Err(source) => Err(Error::from_driver(source, last_word_of::<C>())),
        },
        Err(error) => match unit.rollback().await {
            // A refusal promises that the caller can go on, so a failed rollback weighs more. After
            // a failure the database may have ended the transaction already: that error stays.
            Err(source) if error.is_refusal() => Err(Error::from_driver(source, Sent::Revocable)),
            _ => Err(error),
        },
    }
}

/// Whether each statement on `C` is for certain a transaction of its own, which an error cannot spoil
/// for anybody.
pub(crate) fn commits_by_itself<C: ConnectionTrait>() -> bool {
    typeid::of::<C>() == TypeId::of::<DatabaseConnection>()
}

/// What losing the reply to a write, or to the end of a unit of work, would mean on `C`.
///
/// Inside the caller's transaction nothing is final. Any other connection counts as one that
/// commits by itself: a wrong "unknown" costs a second look, a wrong "not done" costs the row.
pub(crate) fn last_word_of<C: ConnectionTrait>() -> Sent {
    if typeid::of::<C>() == TypeId::of::<DatabaseTransaction>() {
        Sent::Revocable
    } else {
        Sent::Final
    }
}
