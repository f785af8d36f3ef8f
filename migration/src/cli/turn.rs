//! One migration program at a time: the second waits for its turn and then finds the work done.

use std::{fs::File, io};

use sea_orm_migration::sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, RuntimeErr,
    Statement,
};
use tokio::task;

use super::failure;

/// The right to migrate a database; it ends with the program at the latest.
pub(super) enum Turn {
    /// A connection whose session holds the backend's advisory lock.
    Session(DatabaseConnection),
    /// SQLite has no such lock, and one on its own file would be in the way of the migration.
    LockFile(File),
    /// A database in memory is nobody else's.
    Alone,
}

impl Turn {
    /// Waits until no other program migrates `db`.
    pub(super) async fn take(
        db: &DatabaseConnection,
        options: ConnectOptions,
    ) -> Result<Self, DbErr> {
        match db.get_database_backend() {
            DbBackend::Postgres => advisory_lock(options).await.map(Self::Session),
            DbBackend::MySql => named_lock(options).await.map(Self::Session),
            _ => lock_file(db).await,
        }
    }

    pub(super) async fn end(self) -> Result<(), DbErr> {
        match self {
            Self::Session(connection) => connection.close().await,
            Self::LockFile(file) => file.unlock().map_err(of_the_system),
            Self::Alone => Ok(()),
        }
    }
}

/// A pool of one connection that is never given up for being idle or old: its end is the lock's
/// end.
async fn session(mut options: ConnectOptions) -> Result<DatabaseConnection, DbErr> {
    options
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None);
    Database::connect(options).await
}

async fn advisory_lock(options: ConnectOptions) -> Result<DatabaseConnection, DbErr> {
    const LOCK_NOT_AVAILABLE: &str = "55P03";
    let session = session(options).await?;
    // Waiting keeps a snapshot open, which a `CREATE INDEX CONCURRENTLY` of the other program waits
    // for in turn: so the wait is cut off and begun anew.
    session
        .execute_unprepared("SET lock_timeout = '1s'")
        .await?;
    let lock = "SELECT pg_advisory_lock(hashtext('guesthouse-migration'))";
    loop {
        match session.execute_unprepared(lock).await {
            Ok(_) => return Ok(session),
            Err(error) if failure::code(&error).as_deref() == Some(LOCK_NOT_AVAILABLE) => {}
            Err(error) => return Err(error),
        }
    }
}

async fn named_lock(options: ConnectOptions) -> Result<DatabaseConnection, DbErr> {
    let session = session(options).await?;
    // The name is one for the whole server; a year is as good as for ever. Another node of a Galera
    // cluster knows nothing of the lock: there the second program fails on a clash, and finds the
    // work done when it is run again.
    let lock = Statement::from_string(
        DbBackend::MySql,
        "SELECT GET_LOCK(CONCAT('guesthouse-', MD5(DATABASE())), 31536000)",
    );
    let taken: Option<i64> = match session.query_one_raw(lock).await? {
        Some(row) => row.try_get_by_index(0)?,
        None => None,
    };
    if taken != Some(1) {
        return Err(DbErr::Custom(
            "the lock for migrations could not be taken".to_owned(),
        ));
    }
    Ok(session)
}

async fn lock_file(db: &DatabaseConnection) -> Result<Turn, DbErr> {
    let database = Statement::from_string(
        db.get_database_backend(),
        "SELECT file FROM pragma_database_list WHERE name = 'main'",
    );
    let path: Option<String> = match db.query_one_raw(database).await? {
        Some(row) => row.try_get_by_index(0)?,
        None => None,
    };
    let Some(path) = path.filter(|path| !path.is_empty()) else {
        return Ok(Turn::Alone);
    };
    // It is left behind: removing it would let a third program lock a new file of the same name.
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(format!("{path}-lock"))
        .map_err(of_the_system)?;
    let locked = task::spawn_blocking(move || file.lock().map(|()| file)).await;
    match locked.map_err(io::Error::other).flatten() {
        Ok(file) => Ok(Turn::LockFile(file)),
        Err(error) => Err(of_the_system(error)),
    }
}

fn of_the_system(error: io::Error) -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(std::sync::Arc::new(error.into())))
}
