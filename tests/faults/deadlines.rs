//! Callers who give up: calls that are dropped at any point, on connections that others use next.
//!
//! Eight callers share a pool of four. Most of their calls have a deadline of some milliseconds or
//! of some polls, and the caller goes on with somebody else when it has passed; the others run to
//! their end, and what these acknowledge must be stored, whatever was dropped before on the same
//! connection or in the same transaction.

mod caller;
mod claims;
mod give_up;
mod twin;

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use guesthouse::{backfill_guests, become_host, sign_up};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend,
    sqlx::{self, AssertSqlSafe, Executor},
};
use tempfile::TempDir;
use tokio::time::timeout;

use super::{database, servers::Servers};
use caller::{Caller, Hands, TAKEN};
use claims::Claims;

const CONNECTIONS: u32 = 4;
const CALLERS: usize = 8;
const CALLS_OF_EACH: usize = 2_500;
const CALLS_OF_A_TWIN: usize = 400;
const ROUNDS_OF_THE_TWIN: usize = 12;
const A_SECOND: Duration = Duration::from_secs(1);

pub async fn on_sqlite() {
    let folder = TempDir::new().unwrap();
    let url = format!("sqlite://{}/deadlines.db?mode=rwc", folder.path().display());
    let db = database::pool(&url, 1).await;
    // It stays with the file.
    db.execute_unprepared("PRAGMA journal_mode = WAL")
        .await
        .unwrap();
    db.close().await.unwrap();
    database::migrate(&url).await;
    run("deadlines_sqlite", &url).await;
}

pub async fn on_postgres() {
    let servers = Servers::run("postgres");
    let url = database::create(servers.url("POSTGRES")).await;
    run("deadlines_postgres", &url).await;
}

pub async fn on_mariadb() {
    let servers = Servers::run("mariadb");
    let server = servers.url("MARIADB");
    let url = database::create(server).await;
    // Locks that a dropped call leaves behind are reported as contention, before anybody gives up on the
    // whole group.
    let admin = database::pool(server, 1).await;
    let short = "SET GLOBAL innodb_lock_wait_timeout = 2";
    admin.execute_unprepared(short).await.unwrap();
    admin.close().await.unwrap();
    run("deadlines_mariadb", &url).await;
}

async fn run(group: &str, url: &str) {
    the_twin_is_caught(&format!("{group}, twin"), url).await;

    let claims = load(group, url, Hands::Ours, CALLS_OF_EACH).await;
    claims.report(group);
    assert_eq!(claims.violations(), Vec::<String>::new());
    let calls = claims.figures().calls;
    assert!(calls >= CALLERS * CALLS_OF_EACH, "{calls} calls");
}

async fn the_twin_is_caught(group: &str, url: &str) {
    for _ in 0..ROUNDS_OF_THE_TWIN {
        let claims = load(group, url, Hands::ByHand, CALLS_OF_A_TWIN).await;
        claims.report(group);
        if claims.figures().lost > 0 {
            return;
        }
    }
    panic!("{group} is never caught");
}

/// Lets the callers work, and looks at what they, their pool and the database are left with.
async fn load(group: &str, url: &str, hands: Hands, calls: usize) -> Arc<Claims> {
    let seed = fastrand::u64(..);
    println!("{group}: seed {seed}");
    let mut seeds = fastrand::Rng::with_seed(seed);
    let other = database::pool(url, 2).await;
    for table in ["hosts", "guests", "users"] {
        let empty = format!("DELETE FROM {table}");
        other.execute_unprepared(&empty).await.unwrap();
    }
    let taken = sign_up(&other, TAKEN.parse().unwrap()).await.unwrap().user;
    let taken = become_host(&other, taken.id).await.unwrap().into_model();

    let pool = database::pool(url, CONNECTIONS).await;
    let claims = Arc::new(Claims::new());
    let callers = (0..CALLERS).map(|n| {
        let rng = fastrand::Rng::with_seed(seeds.u64(..));
        let caller = Caller::new(n, pool.clone(), hands, rng, claims.clone());
        tokio::spawn(caller.work(calls))
    });
    for caller in join_all(callers).await {
        if let Err(panic) = caller {
            claims.violated(format!("a caller panicked: {panic}"));
        }
    }

    every_connection_writes(&pool, &other, &claims).await;
    match timeout(database::PATIENCE, backfill_guests(&pool, |_| {})).await {
        Ok(Ok(_)) => {}
        other => claims.violated(format!("the last back-fill: {other:?}")),
    }
    if timeout(A_SECOND, pool.close()).await.is_err() {
        claims.violated("the pool is not closed within a second".to_owned());
    }
    claims.check(&other, taken.user_id).await;
    other.close().await.unwrap();
    claims
}

/// Each connection of the pool, all of them held at once, does a write that another pool sees.
async fn every_connection_writes(
    pool: &DatabaseConnection,
    other: &DatabaseConnection,
    claims: &Claims,
) {
    let wrote = match pool.get_database_backend() {
        DbBackend::Sqlite => write_on_each(pool.get_sqlite_connection_pool(), other).await,
        DbBackend::Postgres => write_on_each(pool.get_postgres_connection_pool(), other).await,
        _ => write_on_each(pool.get_mysql_connection_pool(), other).await,
    };
    if wrote != i64::from(CONNECTIONS) {
        claims.violated(format!(
            "of {CONNECTIONS} connections {wrote} commit a write"
        ));
    }
}

async fn write_on_each<DB: sqlx::Database>(pool: &sqlx::Pool<DB>, other: &DatabaseConnection) -> i64
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        held.extend(pool.acquire().await);
    }
    for (n, connection) in held.iter_mut().enumerate() {
        let sql = format!("INSERT INTO users (email) VALUES ('connection{n}@example.com')");
        // Whether it is there counts, not what is answered.
        let _ = (&mut **connection)
            .execute(sqlx::raw_sql(AssertSqlSafe(sql)))
            .await;
    }
    let written = "FROM users WHERE email LIKE 'connection%'";
    let seen = database::ask(other, &format!("SELECT count(*) {written}"))
        .await
        .unwrap();
    drop(held);
    if seen == i64::from(CONNECTIONS) {
        let delete = format!("DELETE {written}");
        other.execute_unprepared(&delete).await.unwrap();
    }
    seen
}
