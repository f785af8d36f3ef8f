//! Trying again after contention, and after nothing else.

use std::{future::Future, time::Duration};

use backon::{ExponentialBuilder, Retryable};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    SqliteTransactionMode, TransactionOptions, TransactionTrait,
};

use crate::{error::Error, statements::alive::is_over};

/// The first attempt and at most seven more, after pauses of 5 ms doubling to half a second, each
/// lengthened by a random share so that the losers of one race do not meet again.
fn policy() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(5))
        .with_max_delay(Duration::from_millis(500))
        .with_max_times(7)
        .with_jitter()
}

fn log_retry(error: &Error, pause: Duration) {
    tracing::debug!(%error, ?pause, "contention: trying again");
}

/// Calls `call` until it ends in something other than [`Error::Contention`], at most eight times.
///
/// For one operation outside a transaction. Inside a transaction of the caller's it would be wrong:
/// after contention the transaction is over, and repeating its last statement repeats only a part
/// of it; see [`transaction`].
///
/// # Errors
///
/// Whatever `call` returned last. [`Error::OutcomeUnknown`] is not repeated: the call may have been
/// done.
///
/// # Examples
///
/// ```
/// use guesthouse::{become_host, retry, sign_up};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// let ada = sign_up(&db, "ada@example.com".parse()?).await?.user;
///
/// let host = retry(|| become_host(&db, ada.id)).await?;
/// assert!(host.is_new());
/// # Ok(())
/// # }
/// ```
pub async fn retry<T, F>(call: impl Fn() -> F + Send + Sync) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>> + Send,
{
    call.retry(policy())
        .when(Error::is_retryable)
        .notify(log_retry)
        .await
}

/// Runs `work` in a transaction and commits it; after contention, at any statement or at the
/// `COMMIT`, rolls back and runs it again, at most eight times in all.
///
/// `work` may run several times, so it does nothing that a rollback does not undo. Its error rolls
/// the transaction back; a refusal that it handles itself does not. On SQLite the transaction takes
/// the write lock at once (`BEGIN IMMEDIATE`), since a transaction that reads first cannot wait for
/// it later.
///
/// # Errors
///
/// - What `work` returned last.
/// - [`Error::Contention`] if the last attempt met it too.
/// - [`Error::OutcomeUnknown`] if the connection was lost at the `COMMIT`; it is not repeated.
/// - [`Error::Aborted`] on PostgreSQL if `work` passed over an error that had ended the
///   transaction: PostgreSQL would answer the `COMMIT` of it with success and keep nothing.
/// - [`Error::Database`] for anything else.
///
/// # Transactions
///
/// One for each attempt. PostgreSQL: one statement more before the `COMMIT`, to see that the
/// transaction is alive.
///
/// # Concurrency
///
/// In a spawned task the closure is `async move` and owns what it captures.
///
/// # Examples
///
/// ```
/// use guesthouse::{become_host, retry, sign_up};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// let email: guesthouse::Email = "ada@example.com".parse()?;
/// let host = retry::transaction(&db, async |txn| {
///     let ada = sign_up(txn, email.clone()).await?.user;
///     become_host(txn, ada.id).await
/// })
/// .await?;
/// assert!(host.is_new());
/// # Ok(())
/// # }
/// ```
pub async fn transaction<T>(
    db: &DatabaseConnection,
    work: impl AsyncFn(&DatabaseTransaction) -> Result<T, Error>,
) -> Result<T, Error> {
    let attempt = || async {
        let txn = begin_to_write(db).await?;
        match work(&txn).await {
            Ok(done) => commit(txn).await.map(|()| done),
            Err(error) => {
                // The database may have ended the transaction already: that error stays.
                let undone = txn.rollback().await;
                match undone {
                    Err(source) if error.is_refusal() => Err(Error::of_read(source)),
                    _ => Err(error),
                }
            }
        }
    };
    attempt
        .retry(policy())
        .when(Error::is_retryable)
        .notify(log_retry)
        .await
}

/// Begins in a task of its own, which comes to its end and rolls back by itself if the caller goes:
/// sqlx counts a transaction only after the server has answered, and would give the connection back
/// to the pool inside one.
async fn begin_to_write(db: &DatabaseConnection) -> Result<DatabaseTransaction, Error> {
    let db = db.clone();
    let beginning = tokio::spawn(async move {
        db.begin_with_options(TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        })
        .await
    });
    let begun = beginning.await.unwrap_or_else(|stopped| {
        Err(DbErr::Custom(format!(
            "the runtime is shutting down: {stopped}"
        )))
    });
    begun.map_err(Error::of_read)
}

/// Commits what is still there. PostgreSQL answers the COMMIT of a transaction that an overlooked
/// error has ended with success, and keeps nothing; so does MariaDB/MySQL.
async fn commit(txn: DatabaseTransaction) -> Result<(), Error> {
    let over = match txn.get_database_backend() {
        DbBackend::Postgres => txn.execute_unprepared("SELECT 1").await.map(|_| false),
        _ => is_over(&txn).await,
    };
    match over {
        Ok(false) => {}
        Ok(true) => {
            // What the rollback ends is over, so its own answer is of no interest.
            let _ = txn.rollback().await;
            return Err(Error::over());
        }
        Err(source) => return Err(Error::of_read(source)),
    }
    // The connection commits by itself once the transaction is at its end.
    txn.commit()
        .await
        .map_err(Error::of_write::<DatabaseConnection>)
}
