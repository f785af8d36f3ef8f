//! One program at a time migrates a database: the second waits for its turn and then finds the work
//! done (D30).

use std::{
    fs::{File, TryLockError},
    io,
    time::Duration,
};

use sea_orm_migration::sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, Statement,
    TransactionTrait,
};
use tokio::{
    sync::{Mutex, MutexGuard},
    task, time,
};

use crate::connection;

/// The right to migrate a database. Dropping it gives it up, too, at the latest when the program ends.
pub(crate) enum Turn {
    /// A transaction on a connection beside the pool. It does nothing but hold the lock of
    /// PostgreSQL, or keep the session that holds the one of MariaDB/MySQL.
    Transaction(DatabaseTransaction),
    /// SQLite has no such lock, and one on its own file would be in the way of the migration.
    LockFile(File),
    /// A SQLite database in memory is this process's own.
    Process { _turn: MutexGuard<'static, ()> },
}

impl Turn {
    /// Waits until nobody else migrates `db`.
    pub(crate) async fn take(db: &DatabaseConnection) -> Result<Self, DbErr> {
        if db.get_database_backend() == DbBackend::Sqlite {
            return match database_file(db).await? {
                Some(path) => lock_file(&path).await.map(Self::LockFile),
                None => Ok(lock_process().await),
            };
        }
        let beside = connection::beside(db).await?;
        let mut wait = Wait::default();
        loop {
            // Each try is a transaction of its own: a `CREATE INDEX CONCURRENTLY` of the program that
            // has the turn waits for every transaction that had a snapshot when it began.
            let transaction = beside.begin().await?;
            if try_lock(&transaction).await? {
                return Ok(Self::Transaction(transaction));
            }
            transaction.rollback().await?;
            wait.a_moment().await;
        }
    }

    /// Gives the turn to the next one.
    pub(crate) async fn end(self) {
        // What was to be done is done. A connection that fails here gives up the lock by itself.
        match self {
            Self::Transaction(transaction) => {
                if transaction.get_database_backend() == DbBackend::MySql {
                    let release = format!("DO RELEASE_LOCK({MYSQL_LOCK})");
                    let _ = transaction.execute_unprepared(&release).await;
                    let timeouts = set_mysql_timeouts("DEFAULT", "DEFAULT");
                    let _ = transaction.execute_unprepared(&timeouts).await;
                }
                let _ = transaction.rollback().await;
            }
            Self::LockFile(file) => {
                let _ = file.unlock();
            }
            Self::Process { .. } => {}
        }
    }
}

/// Names of locks hold for the whole server. Another node of a Galera cluster knows nothing of the
/// lock: there the second program fails on a clash, and finds the work done when it is run again.
const MYSQL_LOCK: &str = "CONCAT('guesthouse-', LEFT(SHA2(DATABASE(), 256), 32))";

async fn try_lock(transaction: &DatabaseTransaction) -> Result<bool, DbErr> {
    if transaction.get_database_backend() == DbBackend::MySql {
        try_mysql(transaction).await
    } else {
        try_postgres(transaction).await
    }
}

/// Every statement goes unprepared, and the lock ends with the transaction: so it holds through a
/// pooler that gives a session to one transaction after the other.
async fn try_postgres(transaction: &DatabaseTransaction) -> Result<bool, DbErr> {
    // At the levels above this one the transaction would keep its snapshot, see above.
    let level = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED";
    transaction.execute_unprepared(level).await?;
    // Those that this version of the server has. A migration may take longer than any of them.
    let no_timeout = "SELECT set_config(name, '0', true) FROM pg_settings
         WHERE name IN ('idle_in_transaction_session_timeout', 'idle_session_timeout',
                        'lock_timeout', 'statement_timeout', 'transaction_timeout')";
    transaction.execute_unprepared(no_timeout).await?;
    let lock = "SELECT 1 WHERE pg_try_advisory_xact_lock(hashtext('guesthouse-migration'))";
    Ok(transaction.execute_unprepared(lock).await?.rows_affected() == 1)
}

async fn try_mysql(transaction: &DatabaseTransaction) -> Result<bool, DbErr> {
    let lock = format!("SELECT GET_LOCK({MYSQL_LOCK}, 0)");
    let lock = Statement::from_string(DbBackend::MySql, lock);
    let taken: Option<i64> = match transaction.query_one_raw(lock).await? {
        Some(row) => row.try_get_by_index(0)?,
        None => None,
    };
    match taken {
        Some(1) => {
            let no_timeout = set_mysql_timeouts("2147483", "0");
            transaction.execute_unprepared(&no_timeout).await?;
            Ok(true)
        }
        Some(_) => Ok(false),
        None => Err(DbErr::Migration(
            "the lock for migrations could not be taken".to_owned(),
        )),
    }
}

/// How long a session may do nothing, which is all it does while a migration runs. MySQL reads what
/// only MariaDB knows as a comment.
fn set_mysql_timeouts(wait: &str, idle: &str) -> String {
    format!(
        "SET SESSION wait_timeout = {wait} /*M!100300 , idle_transaction_timeout = {idle},
         idle_readonly_transaction_timeout = {idle}, idle_write_transaction_timeout = {idle} */"
    )
}

async fn database_file(db: &DatabaseConnection) -> Result<Option<String>, DbErr> {
    let database = Statement::from_string(
        DbBackend::Sqlite,
        "SELECT file FROM pragma_database_list WHERE name = 'main'",
    );
    let path: Option<String> = match db.query_one_raw(database).await? {
        Some(row) => row.try_get_by_index(0)?,
        None => None,
    };
    Ok(path.filter(|path| !path.is_empty()))
}

async fn lock_file(path: &str) -> Result<File, DbErr> {
    let failed = |error: io::Error| {
        DbErr::Migration(format!(
            "the lock file {path}-lock cannot be taken: {error}"
        ))
    };
    // It is left behind: removing it would let a third program lock a new file of the same name.
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(format!("{path}-lock"))
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => Wait::default().announce(),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let locked = task::spawn_blocking(move || file.lock().map(|()| file)).await;
    locked.map_err(io::Error::other).flatten().map_err(failed)
}

async fn lock_process() -> Turn {
    static IN_MEMORY: Mutex<()> = Mutex::const_new(());
    Turn::Process {
        _turn: IN_MEMORY.lock().await,
    }
}

/// Waiting for the turn, which is reported once.
#[derive(Default)]
struct Wait {
    announced: bool,
}

impl Wait {
    fn announce(&mut self) {
        if !self.announced {
            tracing::info!("Waiting for another migration program");
        }
        self.announced = true;
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a statement that waits for the lock would have a snapshot"
    )]
    async fn a_moment(&mut self) {
        self.announce();
        time::sleep(Duration::from_millis(100)).await;
    }
}
