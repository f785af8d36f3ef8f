//! Trying again after contention, and after nothing else.

use std::{error::Error as StdError, fmt, future::Future, time::Duration};

use backon::{
    BackoffBuilder, ExponentialBackoff, ExponentialBuilder, Retryable, Sleeper, TokioSleeper,
};
use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbErr, RuntimeErr, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};

use crate::{
    error::Error,
    statements::alive::{is_over_at_commit, roll_back},
};

/// The first attempt and at most seven more, after pauses of 5 ms doubling to half a second, each
/// lengthened by a random share so that the losers of one race do not collide again.
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

/// Calls `call` until it returns something other than [`Error::Contention`], at most eight times.
///
/// For one operation outside a transaction. Inside a transaction of the caller's it would be wrong:
/// after contention the transaction may be over, and repeating its last call repeats only a part of
/// it; see [`transaction`].
///
/// # Errors
///
/// The last error of `call`. It is not called again after [`Error::OutcomeUnknown`], since it may
/// have been done.
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
/// `work` may run several times, so it must do nothing that a rollback does not undo. Its error
/// rolls the transaction back; a refusal that it handles itself does not. On SQLite the transaction
/// takes the write lock at once (`BEGIN IMMEDIATE`), since a transaction that reads first cannot
/// wait for it later.
///
/// `E` is this library's [`Error`] or an error type of the app's own that is made from it, such as
/// an enum of `thiserror` with a variant `#[from] guesthouse::Error`. Contention is found anywhere
/// among the [sources](std::error::Error::source) of an error, also as a `DbErr` of the app's own
/// statements: `work` runs again after a deadlock there too.
///
/// # Errors
///
/// - The last error of `work`.
/// - [`Error::Contention`] if the last attempt met it too.
/// - [`Error::OutcomeUnknown`] if the connection was lost at the `COMMIT`; `work` is not run again.
/// - [`Error::Aborted`] if `work` ignored an error that had ended the transaction. PostgreSQL would
///   answer its `COMMIT` with success and keep nothing.
/// - [`Error::Database`] for anything else.
///
/// Errors of this library are returned as `E`.
///
/// # Transactions
///
/// One for each attempt, with one statement before the `COMMIT`, which checks that the transaction
/// is not over.
///
/// # Concurrency
///
/// In a spawned task and in an axum handler, whose futures are [`Send`], the closure must be
/// `async move` and own what it captures; [`attempts`] does the same with borrows.
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

/// As [`transaction`], with an isolation level, an access mode or SQLite's transaction mode, which
/// is [`Immediate`](SqliteTransactionMode::Immediate) unless `options` give another.
///
/// # Errors
///
/// Those of [`transaction`].
///
/// # Transactions
///
/// Those of [`transaction`].
///
/// # Concurrency
///
/// As [`transaction`].
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
    let mut attempts = attempts(db).with(options);
    loop {
        let txn = attempts.begin().await?;
        let outcome = work(&txn).await;
        if let Some(answer) = attempts.end(txn, outcome).await {
            return answer;
        }
    }
}

/// [`transaction`] without a closure: attempts that the caller begins and ends.
///
/// A closure that borrows what it captures makes a future that is not `Send` for every lifetime, so
/// it does not compile in an axum handler or in [`tokio::spawn`]. This does, and can do all that
/// `transaction` can.
///
/// # Examples
///
/// ```
/// use guesthouse::{Account, Email, Error, Onboarding, become_host, host, retry, sign_up};
/// use sea_orm::{DatabaseConnection, DatabaseTransaction};
///
/// async fn accept(txn: &DatabaseTransaction, email: &Email) -> Result<host::Model, Error> {
///     let user = sign_up(txn, email.clone()).await?.user;
///     become_host(txn, user.id).await.map(Onboarding::into_model)
/// }
///
/// async fn accept_host(db: &DatabaseConnection, email: &Email) -> Result<host::Model, Error> {
///     let mut attempts = retry::attempts(db);
///     loop {
///         let txn = attempts.begin().await?;
///         let outcome = accept(&txn, email).await;
///         if let Some(answer) = attempts.end(txn, outcome).await {
///             return answer;
///         }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// let email: Email = "ada@example.com".parse()?;
/// let host = accept_host(&db, &email).await?;
/// assert!(Account::find(&db, host.user_id).await?.is_some_and(|account| account.is_host()));
/// # Ok(())
/// # }
/// ```
pub fn attempts(db: &DatabaseConnection) -> Attempts<'_> {
    Attempts {
        db,
        options: TransactionOptions::default(),
        pauses: policy().build(),
    }
}

/// Attempts at one transaction; see [`attempts`].
#[must_use = "does nothing until `begin`"]
pub struct Attempts<'a> {
    db: &'a DatabaseConnection,
    options: TransactionOptions,
    pauses: ExponentialBackoff,
}

impl Attempts<'_> {
    /// Sets an isolation level, an access mode or SQLite's transaction mode, which is
    /// [`Immediate`](SqliteTransactionMode::Immediate) unless `options` give another.
    pub fn with(self, options: TransactionOptions) -> Self {
        Self { options, ..self }
    }

    /// Sets the number of attempts, the first among them: eight unless this sets another. 0 counts
    /// as 1.
    ///
    /// # Examples
    ///
    /// ```
    /// use guesthouse::{Error, retry};
    ///
    /// # async fn once(db: &sea_orm::DatabaseConnection) -> Result<(), Error> {
    /// let mut attempts = retry::attempts(db).at_most(1);
    /// let txn = attempts.begin().await?;
    /// let answer = attempts.end(txn, Ok::<_, Error>(())).await;
    /// assert!(answer.is_some(), "there is no second attempt");
    /// # Ok(())
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
    /// # once(&db).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn at_most(self, attempts: u32) -> Self {
        let repeated = attempts.saturating_sub(1) as usize;
        Self {
            pauses: policy().with_max_times(repeated).build(),
            ..self
        }
    }

    /// Begins a transaction, and tries again after contention as [`transaction`] does.
    ///
    /// # Errors
    ///
    /// [`Error::Contention`] if the last attempt met it too; [`Error::Database`] for anything else.
    ///
    /// # Transactions
    ///
    /// One `BEGIN` for each attempt; the caller's statements follow.
    pub async fn begin(&mut self) -> Result<DatabaseTransaction, Error> {
        let options = TransactionOptions {
            sqlite_transaction_mode: self
                .options
                .sqlite_transaction_mode
                .or(Some(SqliteTransactionMode::Immediate)),
            ..self.options
        };
        loop {
            match begin(self.db, options).await.map_err(Error::of_read) {
                Err(error) if self.goes_on_after(&error).await => {}
                outcome => return outcome,
            }
        }
    }

    /// Commits the transaction if `outcome` is `Ok`, else rolls it back.
    ///
    /// Returns the outcome, or `None` if another attempt is to follow after contention.
    ///
    /// # Transactions
    ///
    /// One statement, which checks that the transaction is not over, and the `COMMIT`; or the
    /// `ROLLBACK` alone.
    pub async fn end<T, E>(
        &mut self,
        txn: DatabaseTransaction,
        outcome: Result<T, E>,
    ) -> Option<Result<T, E>>
    where
        E: StdError + From<Error> + 'static,
    {
        let answer = match outcome {
            Ok(done) => commit(txn).await.map(|()| done).map_err(E::from),
            Err(error) => match roll_back(txn).await {
                // The database may have ended the transaction already: then `error` is the answer.
                Err(source) if !has_failed(&error) => Err(Error::of_read(source).into()),
                _ => Err(error),
            },
        };
        if let Err(error) = &answer
            && let Some(error) = originally(error)
            && self.goes_on_after(&error).await
        {
            return None;
        }
        Some(answer)
    }

    /// After contention, waits for the next attempt if there is to be one.
    async fn goes_on_after(&mut self, error: &Error) -> bool {
        if !error.is_retryable() {
            return false;
        }
        let Some(pause) = self.pauses.next() else {
            return false;
        };
        log_retry(error, pause);
        TokioSleeper.sleep(pause).await;
        true
    }
}

impl fmt::Debug for Attempts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempts")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Whether the error comes from a failure of the database, not from a refusal or from the app.
fn has_failed(error: &(impl StdError + 'static)) -> bool {
    originally(error).is_some_and(|error| !error.is_refusal())
}

/// The error of this library or of SeaORM that an error is, or comes from (D26).
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

/// Begins in a task of its own, which rolls back if the caller is dropped: sqlx counts a transaction
/// only after the server has answered, and would give the connection back to the pool inside one.
async fn begin(
    db: &DatabaseConnection,
    options: TransactionOptions,
) -> Result<DatabaseTransaction, DbErr> {
    let db = db.clone();
    to_the_end(async move { db.begin_with_options(options).await }).await
}

/// Runs `work` in a task of its own, which goes on to its end if the caller is dropped.
pub(crate) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, DbErr>> + Send + 'static,
) -> Result<T, DbErr> {
    tokio::spawn(work).await.unwrap_or_else(|stopped| {
        Err(DbErr::Custom(format!(
            "the runtime is shutting down: {stopped}"
        )))
    })
}

/// Commits the transaction, unless it is over.
async fn commit(txn: DatabaseTransaction) -> Result<(), Error> {
    match is_over_at_commit(&txn).await {
        Ok(false) => {}
        Ok(true) => {
            // The transaction is over, so the answer to the rollback does not matter.
            let _ = roll_back(txn).await;
            return Err(Error::over());
        }
        Err(source) => return Err(Error::of_read(source)),
    }
    // After a lost COMMIT the outcome is as unknown as on a connection that commits by itself.
    txn.commit()
        .await
        .map_err(Error::of_write::<DatabaseConnection>)
}
