//! Another address for a user.

use guesthouse::{Account, Error, change_email};
use sea_orm::TransactionTrait;
use uuid::Uuid;

use crate::support::{Rows, TestDb, email};

on_each_backend!(
    the_user_is_stored_with_the_new_address,
    ones_own_address_is_not_taken,
    refusals_write_nothing_and_leave_the_transaction_usable,
    undone_with_the_callers_transaction,
);

async fn the_user_is_stored_with_the_new_address(db: TestDb) {
    let (before, grace) = (db.user("ada").await, db.user("grace").await);

    let after = change_email(&db.pool, before.id, "Countess@Example.com".parse().unwrap())
        .await
        .unwrap();

    assert_eq!(after.email, "countess@example.com");
    assert_eq!((after.id, after.created_at), (before.id, before.created_at));
    assert!(after.updated_at > before.updated_at);
    assert_eq!(db.rows().await.users, [after.clone(), grace]);
    assert_eq!(
        Account::find_by_email(&db.pool, &email("ada"))
            .await
            .unwrap(),
        None
    );
    let found = Account::find_by_email(&db.pool, &email("countess"))
        .await
        .unwrap();
    assert_eq!(found.unwrap().user, after);
}

async fn ones_own_address_is_not_taken(db: TestDb) {
    let ada = db.user("ada").await;
    let same = change_email(&db.pool, ada.id, email("ada")).await.unwrap();
    assert_eq!((same.id, same.email), (ada.id, ada.email));
}

async fn refusals_write_nothing_and_leave_the_transaction_usable(db: TestDb) {
    let (ada, grace) = (db.user("ada").await, db.user("grace").await);
    let before = db.rows().await;

    let txn = db.pool.begin().await.unwrap();
    let taken = change_email(&txn, ada.id, email("grace")).await;
    assert!(matches!(taken, Err(Error::EmailTaken)), "{taken:?}");
    let nobody = change_email(&txn, Uuid::nil(), email("nobody")).await;
    assert!(
        matches!(nobody, Err(Error::UserNotFound { user_id }) if user_id.is_nil()),
        "{nobody:?}"
    );
    assert!(Account::find(&txn, grace.id).await.unwrap().is_some());
    txn.commit().await.unwrap();

    let taken = change_email(&db.pool, ada.id, email("grace")).await;
    assert!(matches!(taken, Err(Error::EmailTaken)), "{taken:?}");
    assert_eq!(db.rows().await, before);
}

async fn undone_with_the_callers_transaction(db: TestDb) {
    let ada = db.user("ada").await;
    let before = db.rows().await;
    let txn = db.pool.begin().await.unwrap();
    change_email(&txn, ada.id, email("countess")).await.unwrap();
    drop(txn);
    let Rows { users, .. } = db.rows().await;
    assert_eq!(users, before.users);
}
