//! A caller who stops waiting, at every point where that is possible.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use guesthouse::{Account, become_host, change_email, delete_user, sign_up};
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};

use crate::support::{TestDb as Db, email};

/// Polls a future so many times and then gives up on it.
struct GiveUpAfter<F> {
    future: Pin<Box<F>>,
    polls: usize,
}

impl<F: Future> Future for GiveUpAfter<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        self.future.as_mut().poll(context).map(Some)
    }
}

/// Starts the call again and again, each time on a connection of its own and with one poll more,
/// until it comes to its end. Returns how often it was cancelled.
async fn cancel_everywhere<F, T, Check>(db: &Db, mut call: F, mut check: Check) -> usize
where
    F: AsyncFnMut(DatabaseConnection, usize) -> T,
    Check: AsyncFnMut(usize, Option<T>),
{
    for polls in 0.. {
        let pool = db.pool_of(1).await;
        let outcome = GiveUpAfter {
            future: Box::pin(call(pool, polls)),
            polls,
        }
        .await;
        let done = outcome.is_some();
        check(polls, outcome).await;
        if done {
            return polls;
        }
    }
    unreachable!("the call ends at some number of polls")
}

/// Users and guests at one moment.
async fn users_and_guests(db: &Db) -> (i64, i64) {
    let row = db
        .pool
        .query_one_raw(Statement::from_string(
            db.pool.get_database_backend(),
            "SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM guests) AS guests",
        ))
        .await
        .unwrap()
        .unwrap();
    (
        row.try_get("", "users").unwrap(),
        row.try_get("", "guests").unwrap(),
    )
}

on_each_backend! {
    async fn signing_up_leaves_both_rows_or_none(db: TestDb) {
        let cancelled = cancel_everywhere(
            &db,
            async |pool, n| sign_up(&pool, email(&format!("user{n}"))).await,
            async |n, outcome| {
                let (users, guests) = users_and_guests(&db).await;
                assert_eq!(users, guests, "after {n} polls");
                if let Some(account) = outcome {
                    let account = account.unwrap();
                    assert_eq!(Account::find(&db.pool, account.user.id).await.unwrap(), Some(account));
                }
            },
        )
        .await;
        assert!(cancelled >= 1, "cancelled {cancelled} times");
        assert_eq!(db.rows().await.hosts.len(), 0);
    }

    async fn deleting_removes_both_rows_or_none(db: TestDb) {
        let mut ids = Vec::new();
        for n in 0..40 {
            ids.push(db.user(&format!("user{n}")).await.id);
        }
        let cancelled = cancel_everywhere(
            &db,
            async |pool, n| delete_user(&pool, ids[n]).await,
            async |n, outcome| {
                let (users, guests) = users_and_guests(&db).await;
                assert_eq!(users, guests, "after {n} polls");
                if let Some(deleted) = outcome {
                    deleted.unwrap();
                    assert_eq!(Account::find(&db.pool, ids[n]).await.unwrap(), None);
                }
            },
        )
        .await;
        assert!(cancelled >= 1, "cancelled {cancelled} times");
    }

    /// Whatever the cancelled calls did, a further one gives the one host.
    async fn becoming_a_host_can_be_repeated(db: TestDb) {
        let ada = db.user("ada").await;
        let cancelled = cancel_everywhere(
            &db,
            async |pool, _| become_host(&pool, ada.id).await,
            async |n, outcome| {
                let host = become_host(&db.pool, ada.id).await.unwrap().into_model();
                assert_eq!(db.rows().await.hosts, std::slice::from_ref(&host), "after {n} polls");
                if let Some(done) = outcome {
                    assert_eq!(done.unwrap().into_model(), host);
                }
            },
        )
        .await;
        assert!(cancelled >= 1, "cancelled {cancelled} times");
    }

    async fn changing_an_address_is_done_or_not(db: TestDb) {
        let ada = db.user("ada").await;
        let cancelled = cancel_everywhere(
            &db,
            async |pool, n| change_email(&pool, ada.id, email(&format!("ada{n}"))).await,
            async |n, outcome| {
                let stored = db.rows().await.users.remove(0);
                if let Some(changed) = outcome {
                    assert_eq!(changed.unwrap(), stored);
                    assert_eq!(stored.email, format!("ada{n}@example.com"));
                }
            },
        )
        .await;
        assert!(cancelled >= 1, "cancelled {cancelled} times");
    }
}
