//! What cannot succeed is refused once, in true words, and spoils nothing: a pool without a free
//! connection, and a server that only reads.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use guesthouse::{
    Account, Error, Session, become_host, become_hosts, change_email, delete_user, retry, sign_up,
    sign_up_all, stop_hosting, transaction,
};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbErr, TransactionTrait,
    error::ConnAcquireErr,
};

use crate::support::{Backend as On, TestDb as Db, email};

/// A pool of one connection, for which nobody waits long.
async fn impatient(db: &Db) -> DatabaseConnection {
    let mut options = ConnectOptions::new(&db.url);
    options
        .max_connections(1)
        .acquire_timeout(Duration::from_millis(100))
        .idle_timeout(None)
        .max_lifetime(None)
        .sqlx_logging(false);
    Database::connect(options).await.unwrap()
}

fn has_timed_out(error: &Error) -> bool {
    matches!(
        error,
        Error::Database {
            source: DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)
        }
    )
}

/// Every operation that writes, each through `retry`, and how often it was tried.
async fn every_write(db: &DatabaseConnection, people: &People) -> Vec<(Error, usize)> {
    let mut refused = Vec::new();
    macro_rules! refused {
        ($call:expr) => {{
            let tried = AtomicUsize::new(0);
            let outcome = retry(|| {
                tried.fetch_add(1, Ordering::Relaxed);
                async { $call.await.map(drop) }
            });
            refused.push((outcome.await.unwrap_err(), tried.into_inner()));
        }};
    }
    refused!(sign_up(db, email("mary")));
    refused!(sign_up_all(db, vec![email("mary"), email("joan")]));
    refused!(become_host(db, people.guest));
    refused!(become_hosts(db, &[people.guest]));
    refused!(stop_hosting(db, people.host));
    refused!(change_email(db, people.guest, email("mary")));
    refused!(delete_user(db, people.guest));
    let (guest, tried) = (people.guest, AtomicUsize::new(0));
    let outcome = transaction(db, async |txn| {
        tried.fetch_add(1, Ordering::Relaxed);
        become_host(txn, guest).await.map(drop)
    });
    let error = outcome.await.unwrap_err();
    // A pool without a connection has not let it begin.
    refused.push((error, tried.into_inner().max(1)));
    refused
}

/// Whom the calls are about.
struct People {
    host: uuid::Uuid,
    guest: uuid::Uuid,
}

impl People {
    async fn create(db: &Db) -> Self {
        Self {
            host: db.host("ada").await.user_id,
            guest: db.user("grace").await.id,
        }
    }
}

on_each_backend!(
    a_pool_without_a_free_connection,
    a_session_whose_transaction_stays_open,
    a_server_that_only_reads,
);

/// Nothing was sent, so nothing is unknown.
async fn a_pool_without_a_free_connection(db: Db) {
    let people = People::create(&db).await;
    let before = db.rows().await;
    let pool = impatient(&db).await;
    let held = Session::acquire(&pool).await.unwrap();

    for (error, tried) in every_write(&pool, &people).await {
        assert!(has_timed_out(&error), "{error:?}");
        assert_eq!(
            (tried, error.code(), error.is_retryable()),
            (1, None, false)
        );
    }
    let refused = Session::acquire(&pool).await.unwrap_err();
    assert!(has_timed_out(&refused), "{refused:?}");
    assert_eq!(db.rows().await, before);

    held.release().await;
    assert!(become_host(&pool, people.guest).await.unwrap().is_new());
}

/// A transaction keeps the connection of its session: a second task is refused, not hung.
async fn a_session_whose_transaction_stays_open(db: Db) {
    let people = People::create(&db).await;
    let session = Session::acquire(&impatient(&db).await).await.unwrap();
    let txn = session.begin().await.unwrap();
    let refused = become_host(&session, people.guest).await.unwrap_err();
    assert!(has_timed_out(&refused), "{refused:?}");
    assert!(become_host(&txn, people.guest).await.unwrap().is_new());
    txn.commit().await.unwrap();
    assert!(!become_host(&session, people.guest).await.unwrap().is_new());
}

/// A standby, a replica, or a file on a disk that is mounted so.
async fn a_server_that_only_reads(db: Db) {
    let people = People::create(&db).await;
    let before = db.rows().await;
    let pool = db.pool_of(1).await;
    let (on, off, code) = match db.backend {
        On::Sqlite => ("PRAGMA query_only = ON", "PRAGMA query_only = OFF", "8"),
        On::Postgres => (
            "SET default_transaction_read_only = on",
            "SET default_transaction_read_only = off",
            "25006",
        ),
        On::MariaDb => (
            "SET SESSION TRANSACTION READ ONLY",
            "SET SESSION TRANSACTION READ WRITE",
            "1792",
        ),
    };
    pool.execute_unprepared(on).await.unwrap();

    for (error, tried) in every_write(&pool, &people).await {
        assert!(matches!(error, Error::Database { .. }), "{error:?}");
        assert_eq!((tried, error.code().as_deref()), (1, Some(code)), "{error}");
        assert!(!error.to_string().contains("rolled back"), "{error}");
    }
    assert!(
        Account::find(&pool, people.host).await.unwrap().is_some(),
        "reads go on"
    );
    assert_eq!(db.rows().await, before);

    pool.execute_unprepared(off).await.unwrap();
    assert!(become_host(&pool, people.guest).await.unwrap().is_new());
}

on_sqlite!(a_file_that_may_only_be_read);

/// On a disk that is mounted so. A setting of the session can be taken back; this cannot.
async fn a_file_that_may_only_be_read(db: Db) {
    let people = People::create(&db).await;
    let before = db.rows().await;
    let read_only = db.url.replace("mode=rwc", "mode=ro");
    let pool = Database::connect(read_only).await.unwrap();

    for (error, tried) in every_write(&pool, &people).await {
        assert!(matches!(error, Error::Database { .. }), "{error:?}");
        assert_eq!((tried, error.code().as_deref()), (1, Some("8")), "{error}");
    }
    let ada = Account::find(&pool, people.host).await.unwrap();
    assert!(ada.is_some(), "reads go on");
    assert_eq!(db.rows().await, before);
    pool.close().await.unwrap();
}
