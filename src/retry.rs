//! Trying again after contention, and after nothing else.

use std::{error::Error as StdError, future::Future, time::Duration};

use backon::{ExponentialBuilder, Retryable};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, RuntimeErr,
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

fn log_retry<E>(_: &E, pause: Duration) {
    tracing::debug!(?pause, "contention: trying again");
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
/// `E` is this library's [`Error`] or an error type of the app's own that is made from it, such as
/// an enum of `thiserror` with a variant `#[from] guesthouse::Error`. Contention is found wherever
/// it is among the [sources](std::error::Error::source) of an error, also as a `DbErr` of the app's
/// own statements: a deadlock there is tried again like one here.
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
/// Those of this library come as `E`.
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
pub async fn transaction<T, E>(
    db: &DatabaseConnection,
    work: impl AsyncFn(&DatabaseTransaction) -> Result<T, E>,
) -> Result<T, E>
where
    E: StdError + From<Error> + 'static,
{
    transaction_with(db, TransactionOptions::default(), work).await
}

/// As [`transaction`], with an isolation level, an access mode or SQLite's way to begin, which is
/// [`Immediate`](SqliteTransactionMode::Immediate) unless `options` give another.
///
/// # Errors
///
/// Those of [`transaction`].
///
/// # Transactions
///
/// Those of [`transaction`].
///
/// # Examples
///
/// ```
/// use guesthouse::{Account, Error, become_host, retry, sign_up};
/// use sea_orm::{DbErr, IsolationLevel, TransactionOptions};
///
/// #[derive(Debug, thiserror::Error)]
/// enum AppError {
///     #[error("only guests of an account become hosts")]
///     NotAGuest,
///     #[error(transparent)]
///     Guesthouse(#[from] Error),
///     #[error(transparent)]
///     Database(#[from] DbErr),
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// let ada = sign_up(&db, "ada@example.com".parse()?).await?.user;
///
/// let serializable = TransactionOptions {
///     isolation_level: Some(IsolationLevel::Serializable),
///     ..Default::default()
/// };
/// let host = retry::transaction_with(&db, serializable, async |txn| {
///     match Account::find(txn, ada.id).await? {
///         Some(Account { guest: Some(_), .. }) => Ok(become_host(txn, ada.id).await?),
///         _ => Err(AppError::NotAGuest),
///     }
/// })
/// .await?;
/// assert!(host.is_new());
/// # Ok(())
/// # }
/// ```
pub async fn transaction_with<T, E>(
    db: &DatabaseConnection,
    options: TransactionOptions,
    work: impl AsyncFn(&DatabaseTransaction) -> Result<T, E>,
) -> Result<T, E>
where
    E: StdError + From<Error> + 'static,
{
    let options = TransactionOptions {
        sqlite_transaction_mode: options
            .sqlite_transaction_mode
            .or(Some(SqliteTransactionMode::Immediate)),
        ..options
    };
    let attempt = || async {
        let txn = begin(db, options).await?;
        match work(&txn).await {
            Ok(done) => Ok(commit(txn).await.map(|()| done)?),
            Err(error) => {
                // The database may have ended the transaction already: that error stays.
                let undone = txn.rollback().await;
                match undone {
                    Err(source) if !has_failed(&error) => Err(Error::of_read(source).into()),
                    _ => Err(error),
                }
            }
        }
    };
    attempt
        .retry(policy())
        .when(is_contention)
        .notify(log_retry)
        .await
}

/// Whether contention is what the error comes from.
fn is_contention(error: &(impl StdError + 'static)) -> bool {
    originally(error).is_some_and(|error| error.is_retryable())
}

/// Whether the error comes from a failure of the database, not from a refusal or from the app.
fn has_failed(error: &(impl StdError + 'static)) -> bool {
    originally(error).is_some_and(|error| !error.is_refusal())
}

/// The error of this library or of SeaORM that an error is, or comes from.
fn originally(error: &(impl StdError + 'static)) -> Option<Error> {
    let mut source: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<Error>() {
            return Some(error.clone());
        }
        if let Some(error) = error.downcast_ref::<DbErr>() {
            return Some(Error::from(error.clone()));
        }
        // What a transparent error shows of a `DbErr`.
        if let Some(error) = error.downcast_ref::<RuntimeErr>() {
            return Some(Error::from(DbErr::Query(error.clone())));
        }
        source = error.source();
    }
    None
}

/// Begins in a task of its own, which comes to its end and rolls back by itself if the caller goes:
/// sqlx counts a transaction only after the server has answered, and would give the connection back
/// to the pool inside one.
async fn begin(
    db: &DatabaseConnection,
    options: TransactionOptions,
) -> Result<DatabaseTransaction, Error> {
    let db = db.clone();
    let beginning = tokio::spawn(async move { db.begin_with_options(options).await });
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
