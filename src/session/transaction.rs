//! Transactions and savepoints on a session.

use std::{fmt, pin::Pin, sync::Arc};

use sea_orm::{
    AccessMode, ConnectionTrait, DbBackend, DbErr, ExecResult, IsolationLevel, QueryResult,
    Statement, TransactionError, TransactionOptions, TransactionSession, TransactionTrait,
    prelude::async_trait::async_trait,
};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{Session, Slot, held::Held};
use crate::error::{code, database_error};

/// A transaction on a [`Session`], or a savepoint in one.
///
/// It has the connection until it ends; statements on the session itself wait meanwhile. Dropping
/// one closes the connection, which rolls back the whole transaction.
///
/// [`SessionTransaction::commit`] returns an error, and nothing is kept, if the database has ended
/// the transaction or an earlier error has aborted it. On PostgreSQL and MariaDB a plain `COMMIT`
/// would succeed then.
pub struct SessionTransaction {
    slot: Slot,
    /// Where the connection goes when the transaction ends.
    home: OwnedMutexGuard<Option<Held>>,
    /// 1 is the transaction, 2 a savepoint in it, and so on.
    depth: u32,
}

impl Slot {
    async fn begin(
        &self,
        depth: u32,
        options: TransactionOptions,
    ) -> Result<SessionTransaction, DbErr> {
        let (mut home, mut held) = self.take().await?;
        for sql in beginning(self.backend, depth, options) {
            if let Err(error) = held.execute_unprepared(&sql).await {
                *home = Some(held);
                return Err(error);
            }
        }
        let slot = Slot {
            held: Arc::new(Mutex::new(Some(held))),
            backend: self.backend,
            patience: self.patience,
        };
        Ok(SessionTransaction { slot, home, depth })
    }
}

impl SessionTransaction {
    /// Commits the transaction, or keeps what was done since the savepoint.
    ///
    /// # Errors
    ///
    /// The error of the database: nothing is kept, and the session goes on. If the connection is
    /// lost, the transaction may have been committed, and the session is over.
    pub async fn commit(self) -> Result<(), DbErr> {
        self.end(true).await
    }

    /// Rolls back the transaction, or what was done since the savepoint.
    ///
    /// # Errors
    ///
    /// The error of the connection. The database rolls back by itself when a connection ends.
    pub async fn rollback(self) -> Result<(), DbErr> {
        self.end(false).await
    }

    /// Ends it and gives the connection back, unless the connection is lost.
    async fn end(mut self, commits: bool) -> Result<(), DbErr> {
        let (_, mut held) = self.slot.take().await?;
        let outcome = match commits {
            true => held.execute_unprepared(&self.committing()).await.map(drop),
            false => Ok(()),
        };
        let is_lost = |error: &DbErr| database_error(error).is_none();
        if outcome.as_ref().is_err_and(is_lost) {
            return outcome;
        }
        if outcome.is_err() || !commits {
            match held.execute_unprepared(&self.undoing()).await {
                Err(error) if !self.was_ended(&error) => return outcome.and(Err(error)),
                _ => {}
            }
        }
        *self.home = Some(held);
        outcome
    }

    /// Before the COMMIT comes a statement that fails if there is nothing to commit.
    fn committing(&self) -> String {
        let savepoint = savepoint(self.depth);
        match (self.depth, self.slot.backend) {
            (1, DbBackend::Postgres) => "SELECT 1; COMMIT".into(),
            (1, DbBackend::MySql) => {
                format!("SAVEPOINT {savepoint}; RELEASE SAVEPOINT {savepoint}; COMMIT")
            }
            (1, _) => "COMMIT".into(),
            _ => format!("RELEASE SAVEPOINT {savepoint}"),
        }
    }

    fn undoing(&self) -> String {
        let savepoint = savepoint(self.depth);
        match self.depth {
            1 => "ROLLBACK".into(),
            _ => format!("ROLLBACK TO SAVEPOINT {savepoint}; RELEASE SAVEPOINT {savepoint}"),
        }
    }

    /// Whether a ROLLBACK was refused because the database, SQLite, has ended the transaction
    /// itself.
    fn was_ended(&self, refusal: &DbErr) -> bool {
        self.depth == 1
            && self.slot.backend == DbBackend::Sqlite
            && code(refusal).as_deref() == Some("1")
    }
}

fn beginning(backend: DbBackend, depth: u32, options: TransactionOptions) -> Vec<String> {
    if depth > 1 {
        return vec![format!("SAVEPOINT {}", savepoint(depth))];
    }
    let level = options
        .isolation_level
        .map(|level| format!("ISOLATION LEVEL {level}"));
    let access = options.access_mode.map(|access| access.to_string());
    let modes: Vec<_> = level.into_iter().chain(access).collect();
    match backend {
        DbBackend::Sqlite => {
            let mode = options.sqlite_transaction_mode;
            let keyword = mode.map_or("DEFERRED", |mode| mode.sqlite_keyword());
            vec![format!("BEGIN {keyword}")]
        }
        DbBackend::MySql if !modes.is_empty() => {
            let set = format!("SET TRANSACTION {}", modes.join(", "));
            vec![set, "START TRANSACTION".into()]
        }
        _ => vec![format!("BEGIN {}", modes.join(" "))],
    }
}

fn savepoint(depth: u32) -> String {
    format!("guesthouse_session_{depth}")
}

#[async_trait]
impl TransactionSession for SessionTransaction {
    async fn commit(self) -> Result<(), DbErr> {
        self.end(true).await
    }

    async fn rollback(self) -> Result<(), DbErr> {
        self.end(false).await
    }
}

#[async_trait]
impl ConnectionTrait for SessionTransaction {
    fn get_database_backend(&self) -> DbBackend {
        self.slot.backend
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.slot.execute(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.slot.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let rows = self.query_all_raw(statement).await?;
        Ok(rows.into_iter().next())
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.slot.query(statement).await
    }
}

/// Begins a transaction on `$connection`, at this depth in the session.
macro_rules! begin_on {
    ($connection:ty, $depth:expr) => {
        #[async_trait]
        impl TransactionTrait for $connection {
            type Transaction = SessionTransaction;

            async fn begin(&self) -> Result<SessionTransaction, DbErr> {
                self.begin_with_options(TransactionOptions::default()).await
            }

            async fn begin_with_config(
                &self,
                isolation_level: Option<IsolationLevel>,
                access_mode: Option<AccessMode>,
            ) -> Result<SessionTransaction, DbErr> {
                let options = TransactionOptions {
                    isolation_level,
                    access_mode,
                    ..Default::default()
                };
                self.begin_with_options(options).await
            }

            async fn begin_with_options(
                &self,
                options: TransactionOptions,
            ) -> Result<SessionTransaction, DbErr> {
                let depth: fn(&Self) -> u32 = $depth;
                self.slot.begin(depth(self), options).await
            }

            async fn transaction<F, T, E>(&self, callback: F) -> Result<T, TransactionError<E>>
            where
                F: for<'c> FnOnce(&'c SessionTransaction) -> Work<'c, T, E> + Send,
                T: Send,
                E: fmt::Display + fmt::Debug + Send,
            {
                run(self.begin().await, callback).await
            }

            async fn transaction_with_config<F, T, E>(
                &self,
                callback: F,
                isolation_level: Option<IsolationLevel>,
                access_mode: Option<AccessMode>,
            ) -> Result<T, TransactionError<E>>
            where
                F: for<'c> FnOnce(&'c SessionTransaction) -> Work<'c, T, E> + Send,
                T: Send,
                E: fmt::Display + fmt::Debug + Send,
            {
                let begun = self.begin_with_config(isolation_level, access_mode).await;
                run(begun, callback).await
            }
        }
    };
}

begin_on!(Session, |_| 1);
begin_on!(SessionTransaction, |outer| outer.depth + 1);

type Work<'c, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>>;

/// Commits what `callback` has done if it succeeds, and rolls it back if not.
async fn run<F, T, E>(
    begun: Result<SessionTransaction, DbErr>,
    callback: F,
) -> Result<T, TransactionError<E>>
where
    F: for<'c> FnOnce(&'c SessionTransaction) -> Work<'c, T, E>,
    E: fmt::Display + fmt::Debug,
{
    let transaction = begun.map_err(TransactionError::Connection)?;
    let outcome = callback(&transaction).await;
    transaction
        .end(outcome.is_ok())
        .await
        .map_err(TransactionError::Connection)?;
    outcome.map_err(TransactionError::Transaction)
}

impl fmt::Debug for SessionTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionTransaction")
            .field("depth", &self.depth)
            .finish_non_exhaustive()
    }
}
