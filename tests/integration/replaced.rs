//! A new row that another caller has replaced before it is read.

use std::{
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use guesthouse::{Error, become_host, stop_hosting};
use sea_orm::{
    DatabaseConnection,
    sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

use crate::support::TestDb as Db;

on_sqlite!(a_row_that_was_replaced_is_not_the_new_one);

/// On SQLite the new row is read after it is written, and another caller can end it and onboard in
/// between: the new row is still one's own. The worker of such a connection stops after the insert as
/// long as nobody takes its answer. On a busy machine it may not have come so far when the others have
/// tried, so there are several rounds.
async fn a_row_that_was_replaced_is_not_the_new_one(db: Db) {
    let options: SqliteConnectOptions = db.url.parse().unwrap();
    let slow = pool(options.clone().row_buffer_size(1)).await;
    // While the insert is not at its end the file is locked, and nobody can come in between.
    let quick = pool(options.busy_timeout(Duration::from_millis(10))).await;
    let mut replaced = 0;
    for round in 0..60 {
        for polls in 1..30 {
            let user = db.user(&format!("user{round}.{polls}")).await.id;
            let mut call = pin!(become_host(&slow, user));
            if answered_within(polls, call.as_mut()).await {
                break;
            }
            let mut other = None;
            for _ in 0..50 {
                match stop_hosting(&quick, user).await {
                    Ok(None) => {}
                    Ok(Some(_)) => {
                        other = Some(become_host(&quick, user).await.unwrap().into_model());
                        break;
                    }
                    Err(Error::Contention { .. }) => break,
                    Err(error) => panic!("{error:?}"),
                }
            }
            let answer = call.await.unwrap();
            let Some(other) = other else { continue };
            replaced += 1;
            assert!(answer.is_new());
            assert_ne!(answer.model().id, other.id);
            assert!(db.rows().await.hosts.contains(&other));
        }
        if replaced > 0 {
            break;
        }
    }
    assert!(replaced > 0, "nobody came in between");
    slow.close().await.unwrap();
    quick.close().await.unwrap();
}

async fn pool(options: SqliteConnectOptions) -> DatabaseConnection {
    let one = SqlitePoolOptions::new().max_connections(1);
    one.connect_with(options).await.unwrap().into()
}

/// Whether a call answers before it has been polled so often; each poll but the first waits for the
/// call to be woken.
async fn answered_within<F: Future>(polls: usize, mut call: Pin<&mut F>) -> bool {
    let mut polled = 0;
    std::future::poll_fn(|context| {
        if call.as_mut().poll(context).is_ready() {
            return Poll::Ready(true);
        }
        polled += 1;
        match polled < polls {
            true => Poll::Pending,
            false => Poll::Ready(false),
        }
    })
    .await
}
