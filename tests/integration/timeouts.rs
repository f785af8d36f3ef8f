//! A statement that was broken off by a time limit or by an administrator is not told as lost to
//! another caller, and is not repeated.

use std::sync::atomic::{AtomicUsize, Ordering};

use guesthouse::{Error, become_host, retry, stop_hosting, transaction};
use sea_orm::{ConnectionTrait, TransactionTrait};

use crate::{support::TestDb as Db, transactions::until_someone_waits};

fn is_told_as_broken_off(error: &Error) {
    assert!(matches!(error, Error::Database { .. }), "{error:?}");
    assert!(!error.is_retryable());
    let text = error.to_string();
    assert!(
        text.contains("57014") && !text.contains("another caller"),
        "{text}"
    );
}

/// Hosting takes longer than anybody waits.
async fn slow_hosting(db: &Db) {
    db.execute(
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN PERFORM pg_sleep(60); RETURN coalesce(NEW, OLD); END $$;
         CREATE TRIGGER dawdle BEFORE INSERT OR DELETE ON hosts
         FOR EACH ROW EXECUTE FUNCTION dawdle()",
    )
    .await;
}

on_postgres!(
    a_statement_timeout_is_not_contention,
    a_cancel_is_not_contention,
    a_lock_timeout_is_contention,
);

async fn a_statement_timeout_is_not_contention(db: Db) {
    let (ada, host) = (db.user("ada").await.id, db.host("grace").await);
    slow_hosting(&db).await;
    let pool = db.pool_of(1).await;
    let setting = "SET statement_timeout = '50ms'";
    pool.execute_unprepared(setting).await.unwrap();
    let calls = AtomicUsize::new(0);

    let begun = retry(|| {
        calls.fetch_add(1, Ordering::Relaxed);
        become_host(&pool, ada)
    })
    .await;
    is_told_as_broken_off(&begun.unwrap_err());
    let ended = retry(|| {
        calls.fetch_add(1, Ordering::Relaxed);
        stop_hosting(&pool, host.user_id)
    })
    .await;
    is_told_as_broken_off(&ended.unwrap_err());
    let within = transaction(&pool, async |txn| {
        calls.fetch_add(1, Ordering::Relaxed);
        become_host(txn, ada).await
    })
    .await;
    is_told_as_broken_off(&within.unwrap_err());

    assert_eq!(calls.into_inner(), 3);
    assert_eq!(db.rows().await.hosts, std::slice::from_ref(&host));

    // The one connection of the pool goes on as it was.
    let setting = "SET statement_timeout = 0";
    pool.execute_unprepared(setting).await.unwrap();
    db.execute("DROP TRIGGER dawdle ON hosts").await;
    assert!(become_host(&pool, ada).await.unwrap().is_new());
    assert!(stop_hosting(&pool, host.user_id).await.unwrap().is_some());
}

/// What an administrator has cancelled is not sent again.
async fn a_cancel_is_not_contention(db: Db) {
    let ada = db.user("ada").await.id;
    for inside_a_transaction in [false, true] {
        let holding = db.pool.begin().await.unwrap();
        assert!(become_host(&holding, ada).await.unwrap().is_new());
        let pool = db.pool_of(1).await;
        let waiting = tokio::spawn(async move {
            let calls = AtomicUsize::new(0);
            let counted = || calls.fetch_add(1, Ordering::Relaxed);
            let answer = match inside_a_transaction {
                false => {
                    retry(|| {
                        counted();
                        become_host(&pool, ada)
                    })
                    .await
                }
                true => {
                    let txn = pool.begin().await.unwrap();
                    counted();
                    become_host(&txn, ada).await
                }
            };
            (answer, calls.into_inner())
        });
        until_someone_waits(&db).await;
        db.execute(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        .await;

        // A call that was repeated waits for the holder, who lets go of it only now.
        let finished = tokio::time::timeout(std::time::Duration::from_secs(20), waiting).await;
        holding.rollback().await.unwrap();
        let (answer, calls) = finished.expect("the call was repeated").unwrap();
        is_told_as_broken_off(&answer.unwrap_err());
        assert_eq!(calls, 1);
    }
    assert_eq!(db.rows().await.hosts.len(), 0);
}

/// Waiting for another caller's lock is another matter.
async fn a_lock_timeout_is_contention(db: Db) {
    let ada = db.user("ada").await.id;
    let holding = db.pool.begin().await.unwrap();
    assert!(become_host(&holding, ada).await.unwrap().is_new());
    let pool = db.pool_of(1).await;
    let setting = "SET lock_timeout = '1ms'";
    pool.execute_unprepared(setting).await.unwrap();
    let calls = AtomicUsize::new(0);

    let answer = retry(|| {
        calls.fetch_add(1, Ordering::Relaxed);
        become_host(&pool, ada)
    })
    .await;

    assert!(
        matches!(answer, Err(Error::Contention { .. })),
        "{answer:?}"
    );
    assert_eq!(calls.into_inner(), 8);
    holding.rollback().await.unwrap();
    assert!(become_host(&pool, ada).await.unwrap().is_new());
}
