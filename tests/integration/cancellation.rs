//! A caller who stops waiting, at every point where that is possible.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use guesthouse::{become_host, change_email, delete_user, sign_up, stop_hosting};
use sea_orm::{DatabaseConnection, EntityTrait, PaginatorTrait};

use crate::support::email;

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

/// Starts the call again and again, giving it one poll more each time, until it comes to its end.
/// Returns how often it was cancelled.
async fn cancel_everywhere<F, Fut, T, Check>(mut call: F, mut check: Check) -> usize
where
    F: FnMut(usize) -> Fut,
    Fut: Future<Output = T>,
    Check: AsyncFnMut(usize, Option<T>),
{
    for polls in 0.. {
        let outcome = GiveUpAfter {
            future: Box::pin(call(polls)),
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

async fn counts(pool: &DatabaseConnection) -> (u64, u64, u64) {
    (
        guesthouse::user::Entity::find().count(pool).await.unwrap(),
        guesthouse::guest::Entity::find().count(pool).await.unwrap(),
        guesthouse::host::Entity::find().count(pool).await.unwrap(),
    )
}

// The pools have one connection: a statement that is still running when its caller gives up is
// finished or undone before the next one on that connection looks.
on_each_backend! {
    async fn signing_up_leaves_both_rows_or_none(db: TestDb) {
        let pool = db.pool_of(1).await;
        let cancelled = cancel_everywhere(
            |n| { let pool = pool.clone(); async move { sign_up(&pool, email(&format!("user{n}"))).await } },
            async |n, outcome| {
                let (users, guests, hosts) = counts(&pool).await;
                assert_eq!((users, hosts), (guests, 0), "after {n} polls");
                assert!(users <= n as u64 + 1);
                if let Some(account) = outcome {
                    account.unwrap();
                }
            },
        )
        .await;
        assert!(cancelled >= 2, "cancelled {cancelled} times");
    }

    async fn deleting_removes_both_rows_or_none(db: TestDb) {
        let mut ids = Vec::new();
        for n in 0..60 {
            ids.push(db.user(&format!("user{n}")).await.id);
        }
        let pool = db.pool_of(1).await;
        let cancelled = cancel_everywhere(
            |n| { let (pool, id) = (pool.clone(), ids[n]); async move { delete_user(&pool, id).await } },
            async |n, outcome| {
                let (users, guests, _) = counts(&pool).await;
                assert_eq!(users, guests, "after {n} polls");
                if let Some(deleted) = outcome {
                    deleted.unwrap();
                }
            },
        )
        .await;
        assert!(cancelled >= 2, "cancelled {cancelled} times");
    }

    /// Whatever a cancelled call did, the next one gives the one host.
    async fn becoming_a_host_can_be_repeated(db: TestDb) {
        let pool = db.pool_of(1).await;
        let ada = db.user("ada").await;
        let cancelled = cancel_everywhere(
            |_| { let pool = pool.clone(); async move { become_host(&pool, ada.id).await } },
            async |n, outcome| {
                let (_, _, hosts) = counts(&pool).await;
                assert!(hosts <= 1, "{hosts} hosts after {n} polls");
                let host = become_host(&pool, ada.id).await.unwrap();
                assert_eq!(host.is_new(), hosts == 0, "after {n} polls");
                if let Some(done) = outcome {
                    assert_eq!(done.unwrap().into_model(), *host.model());
                }
                stop_hosting(&pool, ada.id).await.unwrap();
            },
        )
        .await;
        assert!(cancelled >= 1, "cancelled {cancelled} times");
    }

    async fn changing_an_address_is_done_or_not(db: TestDb) {
        let pool = db.pool_of(1).await;
        let ada = db.user("ada").await;
        let cancelled = cancel_everywhere(
            |n| { let pool = pool.clone(); async move { change_email(&pool, ada.id, email(&format!("ada{n}"))).await } },
            async |n, outcome| {
                let stored = guesthouse::user::Entity::find().one(&pool).await.unwrap().unwrap();
                if let Some(changed) = outcome {
                    assert_eq!(changed.unwrap(), stored);
                    assert_eq!(stored.email, format!("ada{n}@example.com"));
                }
            },
        )
        .await;
        assert!(cancelled >= 2, "cancelled {cancelled} times");
    }
}
