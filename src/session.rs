//! One connection of a pool, held for several calls without a transaction.

use std::{fmt, sync::Arc, time::Duration};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, Statement,
};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::timeout,
};

use crate::error::Error;

mod held;
mod transaction;

use held::{Held, gone, timed_out};
pub use transaction::SessionTransaction;

/// One connection of a pool, held for several calls.
///
/// Each call commits by itself, as on the pool.
///
/// A pool pings a connection whenever it is taken and given back; a session does not, so each call
/// saves one or two round trips. Settings of the connection stay between calls: the role, the
/// tenant for row level security, `wsrep_sync_wait` of Galera for reading what was just written.
///
/// Nobody else gets a connection in an unknown state. When the session is dropped its connection is
/// closed; [`Session::release`] gives it back to the pool. A call that is dropped before its answer
/// closes the connection too, and the session refuses every later statement.
///
/// # Errors
///
/// Statements are refused with [`DbErr::ConnectionAcquire`], and not sent, after a call was
/// dropped, and when a transaction of another task keeps the connection for longer than the pool's
/// `acquire_timeout`. A statement that begins a transaction is refused with [`DbErr::Custom`]: the
/// next call would return `Ok` and not be committed. Open one with
/// [`begin`](sea_orm::TransactionTrait::begin).
///
/// # Concurrency
///
/// Calls of several tasks on one session wait for each other.
///
/// # Examples
///
/// ```
/// use guesthouse::{Session, become_host, sign_up};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// let session = Session::acquire(&db).await?;
/// let ada = sign_up(&session, "ada@example.com".parse()?).await?;
/// let host = become_host(&session, ada.user.id).await?;
/// session.release().await;
///
/// assert!(host.is_new());
/// # Ok(())
/// # }
/// ```
pub struct Session {
    slot: Slot,
}

impl Session {
    /// Takes a connection out of the pool.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] if the pool has no connection in time, is closed, or cannot connect.
    pub async fn acquire(db: &DatabaseConnection) -> Result<Self, Error> {
        let (held, patience) = Held::acquire(db).await?;
        let slot = Slot {
            backend: db.get_database_backend(),
            patience,
            held: Arc::new(Mutex::new(Some(held))),
        };
        Ok(Self { slot })
    }

    /// Gives the connection back to the pool, as it is.
    ///
    /// Its settings stay for the next caller who gets it; to discard them, drop the session
    /// instead. After a dropped call there is nothing to give back.
    pub async fn release(self) {
        if let Some(held) = self.slot.held.lock().await.take() {
            held.give_back();
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

/// Where a session or one of its transactions has its connection.
///
/// It is empty after a call was dropped: while a statement is under way, the connection belongs to
/// the call.
struct Slot {
    held: Arc<Mutex<Option<Held>>>,
    backend: DbBackend,
    patience: Duration,
}

impl Slot {
    /// Takes the connection once no other task uses it, and returns the place to put it back.
    async fn take(&self) -> Result<(OwnedMutexGuard<Option<Held>>, Held), DbErr> {
        let lock = Arc::clone(&self.held).lock_owned();
        let mut place = timeout(self.patience, lock)
            .await
            .map_err(|_| timed_out())?;
        let held = place.take().ok_or_else(gone)?;
        Ok((place, held))
    }

    async fn execute(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let (mut slot, mut held) = self.take().await?;
        let outcome = held.execute(statement).await;
        *slot = Some(held);
        outcome
    }

    async fn query(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let (mut slot, mut held) = self.take().await?;
        let outcome = held.query(statement).await;
        *slot = Some(held);
        outcome
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let (mut slot, mut held) = self.take().await?;
        let outcome = held.execute_unprepared(sql).await;
        *slot = Some(held);
        outcome
    }
}

#[sea_orm::prelude::async_trait::async_trait]
impl ConnectionTrait for Session {
    fn get_database_backend(&self) -> DbBackend {
        self.slot.backend
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        refuse_to_begin(&statement.sql)?;
        self.slot.execute(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        refuse_to_begin(sql)?;
        self.slot.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let rows = self.query_all_raw(statement).await?;
        Ok(rows.into_iter().next())
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        refuse_to_begin(&statement.sql)?;
        self.slot.query(statement).await
    }
}

/// Refuses a text after which the next statement would not commit by itself.
fn refuse_to_begin(sql: &str) -> Result<(), DbErr> {
    for statement in statements(sql) {
        match Beginning::of(statement) {
            Beginning::Transaction => {
                return Err(DbErr::Custom(
                    "on a session each statement commits by itself: `begin` opens a transaction"
                        .into(),
                ));
            }
            Beginning::Body => return Ok(()),
            Beginning::Other => {}
        }
    }
    Ok(())
}

/// How a statement begins.
enum Beginning {
    Transaction,
    /// A block or a definition, which has statements of its own.
    Body,
    Other,
}

impl Beginning {
    fn of(mut sql: &str) -> Self {
        while let Some(rest) = after_comment(sql.trim_start()) {
            sql = rest;
        }
        let mut words = sql.split(|c: char| !c.is_ascii_alphanumeric());
        let mut word = || words.find(|word| !word.is_empty()).unwrap_or_default();
        match word().to_ascii_uppercase().as_str() {
            // MariaDB: BEGIN NOT ATOMIC is a block, not a transaction.
            "BEGIN" if word().eq_ignore_ascii_case("NOT") => Self::Body,
            "CREATE" | "DO" => Self::Body,
            // SQLite: a savepoint opens a transaction.
            "BEGIN" | "START" | "XA" | "SAVEPOINT" => Self::Transaction,
            "SET" if sql.to_ascii_lowercase().contains("autocommit") => Self::Transaction,
            _ => Self::Other,
        }
    }
}

/// The statements of a text. What is in quotes ends none.
fn statements(sql: &str) -> impl Iterator<Item = &str> {
    let mut quote = None;
    sql.split(move |c: char| {
        match quote {
            Some(open) if c == open => quote = None,
            None if matches!(c, '\'' | '"' | '`') => quote = Some(c),
            _ => {}
        }
        quote.is_none() && c == ';'
    })
}

/// What follows the comment that a text begins with.
fn after_comment(sql: &str) -> Option<&str> {
    let (_, rest) = match sql.strip_prefix("--") {
        Some(rest) => rest.split_once('\n')?,
        None => sql.strip_prefix("/*")?.split_once("*/")?,
    };
    Some(rest)
}
