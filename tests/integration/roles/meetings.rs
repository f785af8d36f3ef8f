//! Callers of any role whose transactions meet, and what each call costs.

use std::fmt::Debug;

use guesthouse::{Error, Onboarding, OwnerId, become_host, offboard, onboard, retry, stop_hosting};
use sea_orm::{IsolationLevel, TransactionTrait, sea_query::ValueType};
use uuid::Uuid;

use super::{Kind, rows};
use crate::{
    support::{Backend as On, TestDb as Db},
    transactions::until_someone_waits,
};

of_each_role!(
    after_a_winner_that_rolls_back,
    after_a_winner_that_commits,
    under_repeatable_read,
    costs_what_a_host_costs,
);

/// A second caller waits for the first, and is the first when that one rolls back.
async fn after_a_winner_that_rolls_back<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let owner = R::owner(&db, 0).await;
    let first = db.pool.begin().await.unwrap();
    let lost = onboard::<R>(&first, R::row(owner, 1)).await.unwrap();
    assert!(lost.is_new());
    let pool = db.pool.clone();
    let second = tokio::spawn(async move { onboard::<R>(&pool, R::row(owner, 2)).await });
    until_someone_waits(&db).await;

    first.rollback().await.unwrap();

    let kept = second.await.unwrap().unwrap();
    assert!(kept.is_new());
    assert_eq!(rows::<R>(&db).await, [kept.into_model()]);
}

/// A second caller waits for the first, and finds its row.
async fn after_a_winner_that_commits<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let owner = R::owner(&db, 0).await;
    let first = db.pool.begin().await.unwrap();
    let row = onboard::<R>(&first, R::row(owner, 1)).await.unwrap();
    let pool = db.pool.clone();
    let second = tokio::spawn(async move { onboard::<R>(&pool, R::row(owner, 2)).await });
    until_someone_waits(&db).await;

    first.commit().await.unwrap();

    let row = row.into_model();
    assert_eq!(
        second.await.unwrap().unwrap(),
        Onboarding::Existing(row.clone())
    );
    assert_eq!(rows::<R>(&db).await, [row]);
}

/// A row that the snapshot of the transaction does not show is found, or the transaction has to be run
/// again; nothing else is reported of it.
async fn under_repeatable_read<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    if db.backend == On::Sqlite {
        db.execute("PRAGMA journal_mode = WAL").await;
    }
    let owner = R::owner(&db, 0).await;
    let level = (db.backend != On::Sqlite).then_some(IsolationLevel::RepeatableRead);
    let txn = db.pool.begin_with_config(level, None).await.unwrap();
    assert_eq!(R::find().all(&txn).await.unwrap(), []);
    let row = onboard::<R>(&db.pool, R::row(owner, 1))
        .await
        .unwrap()
        .into_model();

    let answer = onboard::<R>(&txn, R::row(owner, 2)).await;

    if db.finds_what_it_clashed_with().await {
        assert_eq!(answer.unwrap(), Onboarding::Existing(row.clone()));
        txn.commit().await.unwrap();
    } else {
        assert!(
            matches!(answer, Err(Error::Contention { .. })),
            "{answer:?}"
        );
        txn.rollback().await.unwrap();
    }
    let again = retry(|| onboard::<R>(&db.pool, R::row(owner, 3))).await;
    assert_eq!(again.unwrap(), Onboarding::Existing(row.clone()));
    assert_eq!(rows::<R>(&db).await, [row]);
}

/// A role of the app's own takes as many statements as a host.
async fn costs_what_a_host_costs<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let owner = R::owner(&db, 0).await;
    let user_id = db.user("ada").await.id;
    let (pool, statements) = db.counted_pool().await;
    let sent = || statements.take().len();

    let of_host = (
        become_host(&pool, user_id).await.unwrap().is_new(),
        sent(),
        become_host(&pool, user_id).await.unwrap().is_new(),
        sent(),
        become_host(&pool, Uuid::nil()).await.is_err(),
        sent(),
        stop_hosting(&pool, user_id).await.unwrap().is_some(),
        sent(),
        stop_hosting(&pool, user_id).await.unwrap().is_some(),
        sent(),
    );
    let of_role = (
        onboard::<R>(&pool, R::row(owner, 1))
            .await
            .unwrap()
            .is_new(),
        sent(),
        onboard::<R>(&pool, R::row(owner, 2))
            .await
            .unwrap()
            .is_new(),
        sent(),
        onboard::<R>(&pool, R::row(R::NOBODY, 3)).await.is_err(),
        sent(),
        offboard::<R>(&pool, owner).await.unwrap().is_some(),
        sent(),
        offboard::<R>(&pool, owner).await.unwrap().is_some(),
        sent(),
    );

    assert_eq!(of_role, of_host);
    assert_eq!(rows::<R>(&db).await, []);
}
