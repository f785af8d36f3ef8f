//! Two tasks give one owner a role and take it away, at random: some order of their calls, one after the
//! other, explains every answer and what is stored.
//!
//! The numbers of the rows are multiples of three: such a courier has no badge, on which two could clash.

use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use guesthouse::{Error, OwnerId, offboard, onboard};
use sea_orm::{ConnectionTrait, TransactionTrait, sea_query::ValueType};
use tokio::sync::Barrier;

use super::{Kind, rows};
use crate::support::TestDb as Db;

const ROUNDS: usize = 40;
const CALLS: usize = 4;

/// What a call was told.
#[derive(Clone, Debug, PartialEq)]
enum Answer<M> {
    New(M),
    Existing(M),
    Ended(Option<M>),
    /// Contention: nothing was written.
    Nothing,
}

/// A call, and the moments between which it took effect.
#[derive(Clone, Debug)]
struct Event<M> {
    answer: Answer<M>,
    begun: u64,
    ended: u64,
}

of_each_role!(on_a_pool, on_one_transaction,);

async fn on_a_pool<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    for round in 0..ROUNDS {
        let owner = R::owner(&db, round).await;
        let pool = Arc::new(db.pool.clone());
        let events = two_tasks::<R, _>(&pool, owner, round).await;
        explains::<R>(&db, owner, &events).await;
    }
}

/// What is stored after the COMMIT is what the calls have reported.
async fn on_one_transaction<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    for round in 0..ROUNDS {
        let owner = R::owner(&db, round).await;
        let txn = Arc::new(db.pool.begin().await.unwrap());
        let events = two_tasks::<R, _>(&txn, owner, round).await;
        let txn = Arc::into_inner(txn).expect("both tasks have ended");
        txn.commit().await.unwrap();
        explains::<R>(&db, owner, &events).await;
    }
}

async fn two_tasks<R: Kind, C>(db: &Arc<C>, owner: OwnerId<R>, round: usize) -> Vec<Event<R::Model>>
where
    C: ConnectionTrait + TransactionTrait + Send + Sync + 'static,
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    let clock = Arc::new(AtomicU64::new(0));
    let start = Arc::new(Barrier::new(2));
    let mut seeds = fastrand::Rng::with_seed(round as u64);
    let tasks = [(); 2].map(|()| {
        let (db, clock, start) = (db.clone(), clock.clone(), start.clone());
        let mut rng = seeds.fork();
        tokio::spawn(async move {
            let mut events = Vec::new();
            start.wait().await;
            for n in 0..CALLS {
                let begun = clock.fetch_add(1, Ordering::SeqCst);
                let answer = match rng.bool() {
                    true => onboard::<R>(&*db, R::row(owner, 3 * n)).await.map(|done| {
                        match done.is_new() {
                            true => Answer::New(done.into_model()),
                            false => Answer::Existing(done.into_model()),
                        }
                    }),
                    false => offboard::<R>(&*db, owner).await.map(Answer::Ended),
                };
                let answer = match answer {
                    Err(Error::Contention { .. }) => Answer::Nothing,
                    answer => answer.unwrap(),
                };
                let ended = clock.fetch_add(1, Ordering::SeqCst);
                events.push(Event {
                    answer,
                    begun,
                    ended,
                });
            }
            events
        })
    });
    let mut events = Vec::new();
    for task in tasks {
        events.extend(task.await.unwrap());
    }
    events
}

async fn explains<R: Kind>(db: &Db, owner: OwnerId<R>, events: &[Event<R::Model>])
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    let stored = rows::<R>(db).await;
    let mut own = stored
        .into_iter()
        .filter(|row| super::owner_of::<R>(row) == super::value_of(owner));
    let (row, second) = (own.next(), own.next());
    assert!(second.is_none(), "two rows: {row:?}, {second:?}");
    let events: Vec<_> = events.iter().collect();
    assert!(
        has_an_explanation(&events, None, row.as_ref()),
        "{events:#?} end in {row:?}"
    );
}

/// Whether the calls, made one by one, lead from `state` to `stored`.
fn has_an_explanation<M: Clone + PartialEq>(
    left: &[&Event<M>],
    state: Option<&M>,
    stored: Option<&M>,
) -> bool {
    if left.is_empty() {
        return state == stored;
    }
    left.iter().enumerate().any(|(n, event)| {
        let comes_too_early = left.iter().any(|other| other.ended < event.begun);
        if comes_too_early {
            return false;
        }
        let next = match &event.answer {
            Answer::New(row) if state.is_none() => Some(row),
            Answer::Existing(row) if state == Some(row) => state,
            Answer::Ended(row) if row.as_ref() == state => None,
            Answer::Nothing => state,
            _ => return false,
        };
        let mut others = left.to_vec();
        others.remove(n);
        has_an_explanation(&others, next, stored)
    })
}

#[test]
fn two_new_rows_have_no_explanation() {
    let both = [("a", 0, 3), ("b", 1, 2)].map(|(row, begun, ended)| Event {
        answer: Answer::New(row),
        begun,
        ended,
    });
    let both: Vec<_> = both.iter().collect();
    assert!(!has_an_explanation(&both, None, Some(&"a")));
    assert!(has_an_explanation(&both[..1], None, Some(&"a")));
}

#[test]
fn a_row_that_is_lost_has_no_explanation() {
    let new = Event {
        answer: Answer::New("a"),
        begun: 0,
        ended: 1,
    };
    assert!(!has_an_explanation(&[&new], None, None));
}

#[test]
fn a_call_does_not_take_effect_before_it_begins() {
    let new = Event {
        answer: Answer::New("a"),
        begun: 0,
        ended: 1,
    };
    let ended = Event {
        answer: Answer::Ended(None),
        begun: 2,
        ended: 3,
    };
    assert!(!has_an_explanation(&[&new, &ended], None, Some(&"a")));
}
