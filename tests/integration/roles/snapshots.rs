//! Transactions under REPEATABLE READ, whose snapshot differs from what another caller has committed.
//!
//! MariaDB's locking reads see it, unless `innodb_snapshot_isolation` is on; elsewhere the transaction
//! has to be run again. [`super::meetings`] has the same for `onboard`.

use std::fmt::Debug;

use guesthouse::{Error, OwnerId, backfill, offboard, onboard, onboard_all, retry};
use sea_orm::{DatabaseTransaction, IsolationLevel, TransactionTrait, sea_query::ValueType};

use super::{Kind, owner_of, owners, rows, value_of};
use crate::support::{Backend as On, TestDb as Db};

of_each_role!(
    one_of_many_rows_made_meanwhile,
    a_row_made_meanwhile_and_a_backfill,
    a_row_made_meanwhile_is_not_ended,
    a_row_ended_meanwhile_is_ended_once,
);

/// A transaction that has read these rows, and so fixed what it sees.
async fn reader<R: Kind>(db: &Db, seen: &[R::Model]) -> DatabaseTransaction
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    let level = match db.backend {
        On::Sqlite => {
            db.execute("PRAGMA journal_mode = WAL").await;
            None
        }
        On::Postgres | On::MariaDb => Some(IsolationLevel::RepeatableRead),
    };
    let txn = db.pool.begin_with_config(level, None).await.unwrap();
    assert_eq!(R::find().all(&txn).await.unwrap(), seen);
    txn
}

fn has_to_run_again<T: Debug>(answer: &Result<T, Error>) {
    assert!(
        matches!(answer, Err(Error::Contention { .. })),
        "{answer:?}"
    );
}

async fn one_of_many_rows_made_meanwhile<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let two = owners::<R>(&db, 2).await;
    let txn = reader::<R>(&db, &[]).await;
    let row = onboard::<R>(&db.pool, R::row(two[0], 0)).await.unwrap();
    let row = row.into_model();
    let offered = || two.iter().map(|owner| R::row(*owner, 3)).collect();

    let answer = onboard_all::<R>(&txn, offered()).await;

    if db.finds_what_it_clashed_with().await {
        let done = answer.unwrap();
        assert_eq!(done.existing, std::slice::from_ref(&row));
        let made: Vec<_> = done.new.iter().map(owner_of::<R>).collect();
        assert_eq!(made, [value_of(two[1])]);
    } else {
        has_to_run_again(&answer);
    }
    txn.rollback().await.unwrap();
    assert_eq!(rows::<R>(&db).await, std::slice::from_ref(&row));
    let again = retry(|| onboard_all::<R>(&db.pool, offered()))
        .await
        .unwrap();
    assert_eq!((again.new.len(), again.existing), (1, vec![row]));
}

async fn a_row_made_meanwhile_and_a_backfill<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let two = owners::<R>(&db, 2).await;
    let txn = reader::<R>(&db, &[]).await;
    let row = onboard::<R>(&db.pool, R::row(two[0], 0)).await.unwrap();
    let row = row.into_model();

    let answer = backfill::<R>(&txn, |owner| R::row(owner, 3), |_| {}).await;

    match db.finds_what_it_clashed_with().await {
        true => assert_eq!(answer.unwrap(), 1),
        false => has_to_run_again(&answer),
    }
    txn.rollback().await.unwrap();
    assert_eq!(rows::<R>(&db).await, std::slice::from_ref(&row));
    let again = backfill::<R>(&db.pool, |owner| R::row(owner, 3), |_| {}).await;
    assert_eq!(again.unwrap(), 1);
    let stored = rows::<R>(&db).await;
    assert_eq!((stored.len(), stored.contains(&row)), (2, true));
}

/// The transaction does not see it.
async fn a_row_made_meanwhile_is_not_ended<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let owner = R::owner(&db, 0).await;
    let txn = reader::<R>(&db, &[]).await;
    let row = onboard::<R>(&db.pool, R::row(owner, 0)).await.unwrap();

    assert_eq!(offboard::<R>(&txn, owner).await.unwrap(), None);

    txn.commit().await.unwrap();
    assert_eq!(rows::<R>(&db).await, [row.into_model()]);
}

/// The transaction still sees it, and nobody is given a row that another caller has ended.
async fn a_row_ended_meanwhile_is_ended_once<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let owner = R::owner(&db, 0).await;
    let row = onboard::<R>(&db.pool, R::row(owner, 0)).await.unwrap();
    let row = row.into_model();
    let txn = reader::<R>(&db, std::slice::from_ref(&row)).await;
    let ended = offboard::<R>(&db.pool, owner).await.unwrap();
    assert_eq!(ended, Some(row));

    let answer = offboard::<R>(&txn, owner).await;

    has_to_run_again(&answer);
    txn.rollback().await.unwrap();
    assert_eq!(offboard::<R>(&db.pool, owner).await.unwrap(), None);
    assert_eq!(rows::<R>(&db).await, []);
}
