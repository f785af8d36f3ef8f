//! One connection of a pool, taken out of it (D33).

use std::time::Duration;

use sea_orm::{
    DatabaseConnection, DatabaseConnectionType, DbErr, ExecResult, QueryResult, RuntimeErr,
    Statement,
    error::ConnAcquireErr,
    sea_query::Values,
    sqlx::{self, AssertSqlSafe, Executor, IntoArguments, pool::PoolConnection},
};
use sea_query_sqlx::SqlxValues;

/// A connection that is closed when it is dropped: nobody else gets one on which a statement was
/// cut off, or whose settings a caller has changed.
pub(super) struct Held {
    connection: Connection,
    stays_open: bool,
}

enum Connection {
    #[cfg(feature = "postgres")]
    Postgres(PoolConnection<sqlx::Postgres>),
    #[cfg(feature = "mysql")]
    MySql(PoolConnection<sqlx::MySql>),
    #[cfg(feature = "sqlite")]
    Sqlite(PoolConnection<sqlx::Sqlite>),
}

/// `$body`, with `$connection` bound to the connection of sqlx, whichever it is.
macro_rules! with {
    ($held:expr, $connection:ident => $body:expr) => {
        match $held {
            #[cfg(feature = "postgres")]
            Connection::Postgres($connection) => $body,
            #[cfg(feature = "mysql")]
            Connection::MySql($connection) => $body,
            #[cfg(feature = "sqlite")]
            Connection::Sqlite($connection) => $body,
        }
    };
}

impl Held {
    /// A connection, and how long the pool lets a caller wait for one.
    pub(super) async fn acquire(db: &DatabaseConnection) -> Result<(Self, Duration), DbErr> {
        let (connection, patience) = match &db.inner {
            #[cfg(feature = "postgres")]
            DatabaseConnectionType::SqlxPostgresPoolConnection(_) => {
                let pool = db.get_postgres_connection_pool();
                let connection = pool.acquire().await.map(Connection::Postgres);
                (connection, pool.options().get_acquire_timeout())
            }
            #[cfg(feature = "mysql")]
            DatabaseConnectionType::SqlxMySqlPoolConnection(_) => {
                let pool = db.get_mysql_connection_pool();
                let connection = pool.acquire().await.map(Connection::MySql);
                (connection, pool.options().get_acquire_timeout())
            }
            #[cfg(feature = "sqlite")]
            DatabaseConnectionType::SqlxSqlitePoolConnection(_) => {
                let pool = db.get_sqlite_connection_pool();
                let connection = pool.acquire().await.map(Connection::Sqlite);
                (connection, pool.options().get_acquire_timeout())
            }
            _ => return Err(gone()),
        };
        match connection {
            Ok(connection) => {
                let held = Self {
                    connection,
                    stays_open: false,
                };
                Ok((held, patience))
            }
            Err(sqlx::Error::PoolTimedOut) => Err(timed_out()),
            Err(sqlx::Error::PoolClosed) => Err(gone()),
            Err(error) => Err(DbErr::Conn(RuntimeErr::SqlxError(error.into()))),
        }
    }

    /// Gives the connection back to its pool.
    pub(super) fn give_back(mut self) {
        self.stays_open = true;
    }

    pub(super) async fn execute(&mut self, statement: Statement) -> Result<ExecResult, DbErr> {
        with!(&mut self.connection, connection => execute(connection, statement).await)
    }

    pub(super) async fn query(&mut self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        with!(&mut self.connection, connection => query(connection, statement).await)
    }

    /// Executes SQL text that may hold several statements.
    pub(super) async fn execute_unprepared(&mut self, sql: &str) -> Result<ExecResult, DbErr> {
        with!(&mut self.connection, connection => {
            let outcome = connection.execute(AssertSqlSafe(sql)).await;
            outcome.map(ExecResult::from).map_err(exec_error)
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.stays_open {
            with!(&mut self.connection, connection => connection.close_on_drop());
        }
    }
}

/// There is no connection, and nothing was sent.
pub(super) fn gone() -> DbErr {
    DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed)
}

/// Another task has kept the connection for as long as a caller waits for one.
pub(super) fn timed_out() -> DbErr {
    DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)
}

async fn execute<DB>(
    connection: &mut PoolConnection<DB>,
    statement: Statement,
) -> Result<ExecResult, DbErr>
where
    DB: sqlx::Database,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    SqlxValues: IntoArguments<DB>,
    ExecResult: From<DB::QueryResult>,
{
    let Statement { sql, values, .. } = statement;
    let values = SqlxValues(values.unwrap_or_else(|| Values(Vec::new())));
    let query = sqlx::query_with(AssertSqlSafe(sql), values);
    let outcome = query.execute(&mut **connection).await;
    outcome.map(ExecResult::from).map_err(exec_error)
}

async fn query<DB>(
    connection: &mut PoolConnection<DB>,
    statement: Statement,
) -> Result<Vec<QueryResult>, DbErr>
where
    DB: sqlx::Database,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    SqlxValues: IntoArguments<DB>,
    QueryResult: From<DB::Row>,
{
    let Statement { sql, values, .. } = statement;
    let values = SqlxValues(values.unwrap_or_else(|| Values(Vec::new())));
    let query = sqlx::query_with(AssertSqlSafe(sql), values);
    match query.fetch_all(&mut **connection).await {
        Ok(rows) => Ok(rows.into_iter().map(QueryResult::from).collect()),
        Err(error) => Err(DbErr::Query(RuntimeErr::SqlxError(error.into()))),
    }
}

fn exec_error(error: sqlx::Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(error.into()))
}
