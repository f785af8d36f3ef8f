//! Any role for many owners at once.

use std::fmt::Debug;

use guesthouse::{Onboardings, OwnerId, offboard, onboard, onboard_all, retry};
use sea_orm::{Iterable, TransactionTrait, sea_query::ValueType};

use super::{Kind, owner_of, rows, value_of};
use crate::{
    support::{Backend as On, TestDb as Db, at_once},
    transactions::until_someone_waits,
};

of_each_role!(
    nothing_to_do_sends_nothing,
    beyond_every_bind_limit,
    undone_with_the_callers_transaction,
    two_calls_at_once_share_the_work,
    fifty_calls_make_each_row_once,
    after_a_winner_that_rolls_back,
    after_a_winner_that_commits,
    a_row_that_goes_away_meanwhile_is_made_anew,
);

/// A row for each owner. No number is a badge, on which two couriers could clash.
fn offered<R: Kind>(owners: &[OwnerId<R>]) -> Vec<R::ActiveModel>
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    let numbered = owners.iter().enumerate();
    numbered
        .map(|(n, owner)| R::row(*owner, 3 * (n % 50)))
        .collect()
}

/// The rows in an order of their own, to compare them in any.
fn sorted<M: Debug>(rows: impl IntoIterator<Item = M>) -> Vec<String> {
    let mut rows: Vec<_> = rows.into_iter().map(|row| format!("{row:?}")).collect();
    rows.sort_unstable();
    rows
}

async fn nothing_to_do_sends_nothing<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let (pool, statements) = db.counted_pool().await;
    let done = onboard_all::<R>(&pool, Vec::new()).await.unwrap();
    assert_eq!(done, Onboardings::default());
    assert_eq!(statements.take(), [""; 0]);
}

/// More values than any database has binds, in as many statements as a few rows take. MariaDB
/// looks at first who has the role, and asks what fits into a packet.
async fn beyond_every_bind_limit<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let number = 65_536 / R::Column::iter().count() + 1;
    let owners = R::many_owners(&db, number).await;
    let (pool, statements) = db.counted_pool().await;

    let done = onboard_all::<R>(&pool, offered::<R>(&owners))
        .await
        .unwrap();

    let sent = statements.take().len();
    match db.backend {
        On::Sqlite | On::Postgres => assert_eq!(sent, 1),
        On::MariaDb => assert!([2, 3].contains(&sent), "{sent}"),
    }
    let made = done.new.iter().map(owner_of::<R>);
    assert!(made.eq(owners.iter().map(|owner| value_of(*owner))));
    assert_eq!((done.existing, done.unknown), (vec![], vec![]));
    assert_eq!(sorted(rows::<R>(&db).await), sorted(done.new));
}

async fn undone_with_the_callers_transaction<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let owners = R::many_owners(&db, 3).await;
    let there = onboard::<R>(&db.pool, R::row(owners[0], 0)).await.unwrap();
    let there = there.into_model();

    let txn = db.pool.begin().await.unwrap();
    let mut rows_offered = offered::<R>(&owners);
    rows_offered.push(R::row(R::NOBODY, 3));
    let done = onboard_all::<R>(&txn, rows_offered).await.unwrap();
    assert_eq!((done.new.len(), done.unknown), (2, vec![R::NOBODY]));
    assert_eq!(done.existing, std::slice::from_ref(&there));
    let again = onboard_all::<R>(&txn, offered::<R>(&owners)).await.unwrap();
    assert_eq!((again.new.len(), again.existing.len()), (0, 3));
    txn.rollback().await.unwrap();

    assert_eq!(rows::<R>(&db).await, [there]);
}

/// Two callers with the same owners in opposite orders.
async fn two_calls_at_once_share_the_work<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    const OWNERS: usize = 300;
    R::create_tables(&db).await;
    let one = R::many_owners(&db, OWNERS).await;
    let other: Vec<_> = one.iter().rev().copied().collect();
    let calls = [one, other].map(|owners| {
        let pool = db.pool.clone();
        tokio::spawn(async move { onboard_all::<R>(&pool, offered::<R>(&owners)).await })
    });
    let (mut new, mut existing) = (Vec::new(), Vec::new());
    for call in calls {
        let done = call.await.unwrap().unwrap();
        assert_eq!(done.new.len() + done.existing.len(), OWNERS);
        assert_eq!(done.unknown, []);
        new.extend(done.new);
        existing.extend(done.existing);
    }
    let stored = sorted(rows::<R>(&db).await);
    assert_eq!(stored.len(), OWNERS);
    assert_eq!(sorted(new), stored);
    assert_eq!(sorted(existing), stored);
}

/// Each caller has the same five owners in another order.
async fn fifty_calls_make_each_row_once<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let owners = R::many_owners(&db, 5).await;
    let pool = db.pool.clone();
    let answers = at_once(move |n| {
        let (pool, mut owners) = (pool.clone(), owners.clone());
        owners.rotate_left(n % 5);
        async move {
            retry(|| onboard_all::<R>(&pool, offered::<R>(&owners)))
                .await
                .unwrap()
        }
    })
    .await;
    let stored = rows::<R>(&db).await;
    assert_eq!(stored.len(), 5);
    let mut new = Vec::new();
    for done in answers {
        assert_eq!(done.new.len() + done.existing.len(), 5);
        assert!(done.existing.iter().all(|row| stored.contains(row)));
        new.extend(done.new);
    }
    assert_eq!(sorted(new), sorted(stored));
}

async fn after_a_winner_that_rolls_back<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let owners = R::many_owners(&db, 3).await;
    let first = db.pool.begin().await.unwrap();
    let lost = onboard::<R>(&first, R::row(owners[1], 3)).await.unwrap();
    assert!(lost.is_new());
    let (pool, all) = (db.pool.clone(), offered::<R>(&owners));
    let second = tokio::spawn(async move { onboard_all::<R>(&pool, all).await });
    until_someone_waits(&db).await;

    first.rollback().await.unwrap();

    let done = second.await.unwrap().unwrap();
    assert_eq!((done.new.len(), done.existing), (3, vec![]));
    assert_eq!(sorted(rows::<R>(&db).await), sorted(done.new));
}

async fn after_a_winner_that_commits<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let owners = R::many_owners(&db, 3).await;
    let first = db.pool.begin().await.unwrap();
    let row = onboard::<R>(&first, R::row(owners[1], 3)).await.unwrap();
    let (pool, all) = (db.pool.clone(), offered::<R>(&owners));
    let second = tokio::spawn(async move { onboard_all::<R>(&pool, all).await });
    until_someone_waits(&db).await;

    first.commit().await.unwrap();

    let done = second.await.unwrap().unwrap();
    assert_eq!(done.existing, [row.into_model()]);
    let made: Vec<_> = done.new.iter().map(owner_of::<R>).collect();
    assert_eq!(made, [owners[0], owners[2]].map(value_of));
    assert_eq!(
        sorted(rows::<R>(&db).await),
        sorted(done.new.into_iter().chain(done.existing))
    );
}

/// MariaDB does not wait: the row is still there.
async fn a_row_that_goes_away_meanwhile_is_made_anew<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let owner = R::owner(&db, 0).await;
    let row = onboard::<R>(&db.pool, R::row(owner, 0)).await.unwrap();
    let row = row.into_model();
    let ending = db.pool.begin().await.unwrap();
    let gone = offboard::<R>(&ending, owner).await.unwrap();
    assert_eq!(gone.as_ref(), Some(&row));
    let (pool, anew) = (db.pool.clone(), vec![R::row(owner, 3)]);
    let making = tokio::spawn(async move { onboard_all::<R>(&pool, anew).await });
    if db.backend == On::MariaDb {
        assert_eq!(making.await.unwrap().unwrap().existing, [row]);
        ending.commit().await.unwrap();
        assert_eq!(rows::<R>(&db).await, []);
        return;
    }
    until_someone_waits(&db).await;

    ending.commit().await.unwrap();

    let done = making.await.unwrap().unwrap();
    assert_eq!((done.new.len(), done.existing), (1, vec![]));
    assert_eq!(rows::<R>(&db).await, done.new);
}
