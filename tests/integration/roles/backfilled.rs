//! A back-fill of any role that is stopped half-way and run again, or runs beside others.

use std::{
    cell::Cell,
    collections::BTreeSet,
    fmt::Debug,
    future::{Future, poll_fn},
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::Poll,
};

use guesthouse::{Error, OwnerId, backfill, onboard};
use sea_orm::{ActiveModelTrait, EntityTrait, QuerySelect, TransactionTrait, sea_query::ValueType};

use super::{Kind, owner_of, rows};
use crate::{
    support::{Backend as On, GiveUp, TestDb as Db},
    transactions::until_someone_waits,
};

/// How many owners a batch has.
const BATCH: usize = 1_000;

/// More than a batch takes.
const MOST_POLLS: usize = 100;

of_each_role!(
    works_in_batches_and_gives_each_owner_one_row,
    goes_on_after_a_panic_between_batches,
    goes_on_after_a_panic_within_a_batch,
    goes_on_after_its_connection_was_killed,
    goes_on_after_it_was_dropped_at_any_point,
    beside_itself_and_beside_onboardings,
    sets_the_owner_whatever_the_row_says,
    undone_with_the_callers_transaction,
);

/// Rows of any number, of which no two clash on a badge.
fn any_row<R: Kind>(owner: OwnerId<R>) -> R::ActiveModel
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::row(owner, 3)
}

/// The rows, one for each of so many owners.
async fn one_for_each_of<R: Kind>(db: &Db, owners: usize) -> Vec<R::Model>
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    let stored = rows::<R>(db).await;
    let distinct: BTreeSet<_> = stored
        .iter()
        .map(|row| format!("{:?}", owner_of::<R>(row)))
        .collect();
    assert_eq!((stored.len(), distinct.len()), (owners, owners));
    stored
}

/// Runs the back-fill again: it gives the rest, and leaves what was given.
async fn gives_the_rest<R: Kind>(db: &Db, given: &[R::Model], rest: usize)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    let more = backfill::<R>(&db.pool, any_row::<R>, |_| {}).await;
    assert_eq!(more.unwrap(), rest as u64);
    let stored: BTreeSet<_> = one_for_each_of::<R>(db, given.len() + rest)
        .await
        .iter()
        .map(|row| format!("{row:?}"))
        .collect();
    assert!(given.iter().all(|row| stored.contains(&format!("{row:?}"))));
}

async fn works_in_batches_and_gives_each_owner_one_row<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let owners = R::many_owners(&db, 2 * BATCH + 101).await;
    let there = onboard::<R>(&db.pool, any_row::<R>(owners[7])).await;
    let there = there.unwrap().into_model();

    let mut totals = Vec::new();
    let given = backfill::<R>(&db.pool, any_row::<R>, |total| totals.push(total)).await;

    assert_eq!((given.unwrap(), totals), (2_100, vec![1_000, 2_000, 2_100]));
    let stored = one_for_each_of::<R>(&db, owners.len()).await;
    assert!(stored.contains(&there));
    gives_the_rest::<R>(&db, &stored, 0).await;
}

async fn goes_on_after_a_panic_between_batches<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    R::many_owners(&db, 2 * BATCH + 50).await;
    let pool = db.pool.clone();
    let stopped = tokio::spawn(async move {
        let stop = |total| assert!(total < 2_000, "stopped after the second batch");
        backfill::<R>(&pool, any_row::<R>, stop).await
    });
    assert!(stopped.await.unwrap_err().is_panic());

    let given = one_for_each_of::<R>(&db, 2 * BATCH).await;
    gives_the_rest::<R>(&db, &given, 50).await;
}

async fn goes_on_after_a_panic_within_a_batch<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    R::many_owners(&db, BATCH + 50).await;
    let pool = db.pool.clone();
    let stopped = tokio::spawn(async move {
        let made = AtomicUsize::new(0);
        let row = |owner| {
            let before = made.fetch_add(1, Ordering::Relaxed);
            assert!(before < BATCH + 25, "stopped in the second batch");
            any_row::<R>(owner)
        };
        backfill::<R>(&pool, row, |_| {}).await
    });
    assert!(stopped.await.unwrap_err().is_panic());

    let given = one_for_each_of::<R>(&db, BATCH).await;
    gives_the_rest::<R>(&db, &given, 50).await;
}

/// An administrator ends the session in the second batch, which waits for an owner. SQLite has no
/// sessions.
async fn goes_on_after_its_connection_was_killed<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    let waits = match db.backend {
        On::Sqlite => return,
        On::Postgres => {
            "SELECT pid::text FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'"
        }
        On::MariaDb => {
            "SELECT CAST(p.id AS char) FROM information_schema.innodb_trx t
             JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
             WHERE p.db = database() AND t.trx_state = 'LOCK WAIT'"
        }
    };
    R::create_tables(&db).await;
    R::many_owners(&db, BATCH + 49).await;
    let last = R::owner(&db, 0).await;
    let locking = db.pool.begin().await.unwrap();
    let lock = R::Owner::find_by_id(last).lock_exclusive();
    assert!(lock.one(&locking).await.unwrap().is_some());
    let pool = db.pool_of(1).await;
    let call = tokio::spawn(async move { backfill::<R>(&pool, any_row::<R>, |_| {}).await });
    until_someone_waits(&db).await;
    let session = db.text(waits).await;
    match db.backend {
        On::MariaDb => db.execute(&format!("KILL {session}")).await,
        _ => {
            let end = format!("SELECT pg_terminate_backend({session})::text");
            assert_eq!(db.text(&end).await, "true");
        }
    }

    let stopped = call.await.unwrap();

    assert!(
        matches!(stopped, Err(Error::OutcomeUnknown { .. })),
        "{stopped:?}"
    );
    locking.rollback().await.unwrap();
    let given = one_for_each_of::<R>(&db, BATCH).await;
    gives_the_rest::<R>(&db, &given, 50).await;
}

/// The back-fill is polled so many times after its first batch, and then dropped.
async fn goes_on_after_it_was_dropped_at_any_point<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    R::many_owners(&db, BATCH + 50).await;
    'moments: for at_once in [true, false] {
        for polls in 0..MOST_POLLS {
            let cut = GiveUp { polls, at_once };
            let pool = db.pool_of(1).await;
            let total = Cell::new(0);
            let call = backfill::<R>(&pool, any_row::<R>, |given| total.set(given));
            let answer = cut_after_a_batch(call, &total, cut).await;
            let acknowledged = rows::<R>(&db).await;
            assert!(acknowledged.len() >= BATCH, "{cut:?}");

            // On the same connection, which may still be at work for the call that was dropped.
            let rest = backfill::<R>(&pool, any_row::<R>, |_| {}).await.unwrap();

            pool.close().await.unwrap();
            let has_ended = answer.is_some();
            match answer {
                Some(given) => assert_eq!((given.unwrap(), rest), (1_050, 0), "{cut:?}"),
                None => assert!([0, 50].contains(&rest), "{cut:?}: {rest}"),
            }
            let stored: BTreeSet<_> = one_for_each_of::<R>(&db, BATCH + 50)
                .await
                .iter()
                .map(|row| format!("{row:?}"))
                .collect();
            let is_kept = |row: &R::Model| stored.contains(&format!("{row:?}"));
            assert!(acknowledged.iter().all(is_kept), "{cut:?}");
            R::delete_many().exec(&db.pool).await.unwrap();
            if has_ended {
                continue 'moments;
            }
        }
        panic!("{MOST_POLLS} polls do not end it");
    }
}

/// Polls the call until its first batch is given, and as often as `cut` says after that.
async fn cut_after_a_batch<F: Future>(
    call: F,
    total: &Cell<u64>,
    cut: GiveUp,
) -> Option<F::Output> {
    let mut call = pin!(call);
    let mut left = cut.polls;
    poll_fn(|context| {
        if total.get() > 0 {
            if left == 0 {
                return Poll::Ready(None);
            }
            left -= 1;
        }
        match call.as_mut().poll(context) {
            Poll::Pending if total.get() > 0 && left == 0 && cut.at_once => Poll::Ready(None),
            other => other.map(Some),
        }
    })
    .await
}

async fn beside_itself_and_beside_onboardings<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let owners = R::many_owners(&db, 2 * BATCH + 100).await;
    let calls = [(); 2].map(|()| {
        let pool = db.pool.clone();
        tokio::spawn(async move {
            // Two that lock the same owners may meet; the one that gives way goes on.
            loop {
                match backfill::<R>(&pool, any_row::<R>, |_| {}).await {
                    Ok(_) => return,
                    Err(error) if error.is_retryable() => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        })
    });
    let mut told = Vec::new();
    for owner in owners.iter().rev().step_by(100) {
        let answer = guesthouse::retry(|| onboard::<R>(&db.pool, any_row::<R>(*owner))).await;
        told.push(answer.unwrap().into_model());
    }
    for call in calls {
        call.await.unwrap();
    }
    let stored = one_for_each_of::<R>(&db, owners.len()).await;
    assert!(told.iter().all(|row| stored.contains(row)));
}

async fn sets_the_owner_whatever_the_row_says<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let owners = R::many_owners(&db, 3).await;
    let of_another = |_| any_row::<R>(owners[0]);
    let given = backfill::<R>(&db.pool, of_another, |_| {}).await;
    assert_eq!(given.unwrap(), 3);
    one_for_each_of::<R>(&db, 3).await;

    R::delete_many().exec(&db.pool).await.unwrap();
    let of_nobody = |owner| {
        let mut row = any_row::<R>(owner);
        row.not_set(R::owner_id());
        row
    };
    let given = backfill::<R>(&db.pool, of_nobody, |_| {}).await;
    assert_eq!(given.unwrap(), 3);
    one_for_each_of::<R>(&db, 3).await;
}

async fn undone_with_the_callers_transaction<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    R::many_owners(&db, BATCH + 10).await;
    let txn = db.pool.begin().await.unwrap();
    let given = backfill::<R>(&txn, any_row::<R>, |_| {}).await;
    assert_eq!(given.unwrap(), 1_010);
    txn.rollback().await.unwrap();
    assert_eq!(rows::<R>(&db).await, []);
}
