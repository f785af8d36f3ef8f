//! A migrated database on a group's server, and connections to it.

use std::time::{Duration, Instant};

use guesthouse_migration::{Migrator, MigratorTrait};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbErr, Statement, TryGetable,
};

pub const NAME: &str = "guesthouse_faults";

/// How long anything may take that is not itself held up by a fault.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Makes the database, with the schema in it, and gives its address.
pub async fn create(server: &str) -> String {
    let admin = pool(server, 1).await;
    admin
        .execute_unprepared(&format!("CREATE DATABASE {NAME}"))
        .await
        .unwrap();
    admin.close().await.unwrap();
    let url = on(server);
    migrate(&url).await;
    url
}

pub async fn migrate(url: &str) {
    let db = pool(url, 1).await;
    Migrator::up(&db, None).await.unwrap();
    db.close().await.unwrap();
}

/// The address of the database on another server of the same cluster.
pub fn on(server: &str) -> String {
    let (address, _) = server.rsplit_once('/').unwrap();
    format!("{address}/{NAME}")
}

/// The same address by another port.
pub fn through(port: u16, url: &str) -> String {
    let (scheme_and_user, rest) = url.split_once('@').unwrap();
    let (_, name) = rest.split_once('/').unwrap();
    format!("{scheme_and_user}@127.0.0.1:{port}/{name}")
}

/// `127.0.0.1:PORT` of an address.
pub fn socket(url: &str) -> String {
    let (_, rest) = url.split_once('@').unwrap();
    rest.split_once('/').unwrap().0.to_owned()
}

fn options(url: &str, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(3))
        .sqlx_logging(false);
    options
}

/// A pool on a server that is up.
pub async fn pool(url: &str, connections: u32) -> DatabaseConnection {
    Database::connect(options(url, connections)).await.unwrap()
}

/// A pool whose every connection begins with a statement.
pub async fn pool_with(url: &str, connections: u32, first: &'static str) -> DatabaseConnection {
    let mut options = options(url, connections);
    options.after_connect(move |db| {
        Box::pin(async move { db.execute_unprepared(first).await.map(|_| ()) })
    });
    Database::connect(options).await.unwrap()
}

/// The first column of the first row.
pub async fn ask<T: TryGetable>(db: &DatabaseConnection, sql: &str) -> Result<T, DbErr> {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let row = db.query_one_raw(statement).await?;
    row.ok_or(DbErr::RecordNotFound(String::new()))?
        .try_get_by_index(0)
}

/// Asks until the answer is yes. A server that is down answers no.
pub async fn until(url: &str, question: &str) {
    let asked = Instant::now();
    let mut times = 0;
    while asked.elapsed() < PATIENCE {
        times += 1;
        let mut options = options(url, 1);
        options.acquire_timeout(Duration::from_secs(1));
        if let Ok(db) = Database::connect(options).await {
            let answer = ask::<bool>(&db, question).await;
            // The pool of a server that has just died cannot say good-bye.
            let _ = db.close().await;
            if answer.is_ok_and(|yes| yes) {
                return;
            }
        }
        tokio::task::yield_now().await;
    }
    panic!("asked {times} times, never got a yes: {question}");
}
