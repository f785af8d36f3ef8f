//! Owners who are deleted while a call of any role waits for that, and rows that are made while an
//! owner is deleted.

use std::fmt::Debug;

use guesthouse::{Error, OwnerId, backfill, onboard, onboard_all, retry};
use sea_orm::{EntityName, TransactionTrait, Value, sea_query::ValueType};

use super::{Kind, owner_of, owners, rows, value_of};
use crate::{
    support::{Backend as On, TestDb as Db},
    transactions::until_someone_waits,
};

of_each_role!(
    an_owner_deleted_meanwhile_is_not_found,
    an_owner_deleted_meanwhile_is_not_found_in_a_transaction,
    one_of_many_deleted_meanwhile_is_unknown,
    one_deleted_meanwhile_is_left_out_of_a_backfill,
    an_owner_whose_deletion_is_rolled_back_is_found,
    a_row_made_meanwhile_keeps_its_owner,
);

/// Whether the error says of this owner that it does not exist.
fn says_not_found<R: Kind>(error: &Error, owner: OwnerId<R>) -> bool
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    let of_owners = R::Owner::default();
    match error {
        Error::UserNotFound { user_id } => {
            of_owners.table_name() == "users" && value_of(owner) == Value::from(*user_id)
        }
        Error::OwnerNotFound { table } => {
            of_owners.table_name() != "users" && *table == of_owners.table_name()
        }
        _ => false,
    }
}

async fn an_owner_deleted_meanwhile_is_not_found<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let owner = R::owner(&db, 0).await;
    let deleting = db.pool.begin().await.unwrap();
    R::delete_owner(&deleting, owner).await.unwrap();
    let pool = db.pool.clone();
    let onboarding = tokio::spawn(async move { onboard::<R>(&pool, R::row(owner, 1)).await });
    until_someone_waits(&db).await;

    deleting.commit().await.unwrap();

    let error = onboarding.await.unwrap().unwrap_err();
    assert!(says_not_found::<R>(&error, owner), "{error:?}");
    assert_eq!(rows::<R>(&db).await, []);
}

/// On PostgreSQL the refusal of the foreign key has ended the transaction; another one does not find
/// the owner. So it is on MariaDB where the server does not let a transaction lock what has changed
/// since its first read.
async fn an_owner_deleted_meanwhile_is_not_found_in_a_transaction<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let owner = R::owner(&db, 0).await;
    let deleting = db.pool.begin().await.unwrap();
    R::delete_owner(&deleting, owner).await.unwrap();
    let pool = db.pool.clone();
    let onboarding = tokio::spawn(async move {
        let txn = pool.begin().await.unwrap();
        let answer = onboard::<R>(&txn, R::row(owner, 1)).await;
        (answer, txn.commit().await)
    });
    until_someone_waits(&db).await;

    deleting.commit().await.unwrap();

    let (answer, committed) = onboarding.await.unwrap();
    let error = answer.unwrap_err();
    let is_over = match db.backend {
        On::Sqlite => false,
        On::Postgres => true,
        On::MariaDb => !db.finds_what_it_clashed_with().await,
    };
    match is_over {
        true => assert!(error.is_retryable(), "{error:?}"),
        false => {
            assert!(says_not_found::<R>(&error, owner), "{error:?}");
            committed.unwrap();
        }
    }
    let again = retry(|| onboard::<R>(&db.pool, R::row(owner, 2))).await;
    let error = again.unwrap_err();
    assert!(says_not_found::<R>(&error, owner), "{error:?}");
    assert_eq!(rows::<R>(&db).await, []);
}

async fn one_of_many_deleted_meanwhile_is_unknown<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let three = owners::<R>(&db, 3).await;
    let deleting = db.pool.begin().await.unwrap();
    R::delete_owner(&deleting, three[1]).await.unwrap();
    let pool = db.pool.clone();
    let offered: Vec<_> = three.iter().map(|owner| R::row(*owner, 3)).collect();
    let onboarding = tokio::spawn(async move { onboard_all::<R>(&pool, offered).await });
    until_someone_waits(&db).await;

    deleting.commit().await.unwrap();

    let done = onboarding.await.unwrap().unwrap();
    assert_eq!((done.existing, done.unknown), (vec![], vec![three[1]]));
    let made: Vec<_> = done.new.iter().map(owner_of::<R>).collect();
    assert_eq!(made, [three[0], three[2]].map(value_of));
    let stored = rows::<R>(&db).await;
    assert_eq!(stored.len(), 2);
    assert!(done.new.iter().all(|row| stored.contains(row)));
}

async fn one_deleted_meanwhile_is_left_out_of_a_backfill<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let three = owners::<R>(&db, 3).await;
    let deleting = db.pool.begin().await.unwrap();
    R::delete_owner(&deleting, three[1]).await.unwrap();
    let pool = db.pool.clone();
    let giving =
        tokio::spawn(async move { backfill::<R>(&pool, |owner| R::row(owner, 3), |_| {}).await });
    until_someone_waits(&db).await;

    deleting.commit().await.unwrap();

    assert_eq!(giving.await.unwrap().unwrap(), 2);
    let mut stored: Vec<_> = rows::<R>(&db).await.iter().map(owner_of::<R>).collect();
    stored.sort_by_key(|owner| *owner != value_of(three[0]));
    assert_eq!(stored, [three[0], three[2]].map(value_of));
}

async fn an_owner_whose_deletion_is_rolled_back_is_found<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let owner = R::owner(&db, 0).await;
    let deleting = db.pool.begin().await.unwrap();
    R::delete_owner(&deleting, owner).await.unwrap();
    let pool = db.pool.clone();
    let onboarding = tokio::spawn(async move { onboard::<R>(&pool, R::row(owner, 1)).await });
    until_someone_waits(&db).await;

    deleting.rollback().await.unwrap();

    let row = onboarding.await.unwrap().unwrap();
    assert!(row.is_new());
    assert_eq!(rows::<R>(&db).await, [row.into_model()]);
}

/// The foreign key refuses to delete the owner.
async fn a_row_made_meanwhile_keeps_its_owner<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let owner = R::owner(&db, 0).await;
    let onboarding = db.pool.begin().await.unwrap();
    let row = onboard::<R>(&onboarding, R::row(owner, 1)).await.unwrap();
    let committing = async {
        until_someone_waits(&db).await;
        onboarding.commit().await.unwrap();
    };

    let (deleted, ()) = tokio::join!(R::delete_owner(&db.pool, owner), committing);

    match deleted.unwrap_err() {
        Error::StillReferenced { .. } => {}
        // Members are deleted by hand here, as `delete_user_as` would delete their profile too.
        Error::Database { .. } => assert_eq!(R::default().table_name(), "profiles"),
        error => panic!("{error:?}"),
    }
    assert_eq!(rows::<R>(&db).await, [row.into_model()]);
    assert!(
        !onboard::<R>(&db.pool, R::row(owner, 2))
            .await
            .unwrap()
            .is_new()
    );
}
