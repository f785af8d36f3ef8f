//! Reading one account.

use guesthouse::{Account, sign_up};
use sea_orm::TransactionTrait;
use uuid::Uuid;

use crate::support::{TestDb, email};

on_each_backend!(
    by_id_and_by_email,
    an_unknown_user_is_none,
    a_user_without_a_guest,
    inside_the_callers_transaction,
);

async fn by_id_and_by_email(db: TestDb) {
    let ada = sign_up(&db.pool, email("ada")).await.unwrap();
    let host = db.host("grace").await;

    assert_eq!(
        Account::find(&db.pool, ada.user.id).await.unwrap(),
        Some(ada.clone())
    );
    assert_eq!(
        Account::find_by_email(&db.pool, &"  ADA@example.com".parse().unwrap())
            .await
            .unwrap(),
        Some(ada),
    );
    let grace = Account::find(&db.pool, host.user_id)
        .await
        .unwrap()
        .unwrap();
    assert!(grace.is_host());
    assert_eq!(grace.host, Some(host));
    assert_eq!(grace.guest.unwrap().user_id, grace.user.id);
}

async fn an_unknown_user_is_none(db: TestDb) {
    db.user("ada").await;
    assert_eq!(Account::find(&db.pool, Uuid::nil()).await.unwrap(), None);
    assert_eq!(
        Account::find_by_email(&db.pool, &email("grace"))
            .await
            .unwrap(),
        None
    );
}

/// A user who was not made by `sign_up` has no guest, and is still read.
async fn a_user_without_a_guest(db: TestDb) {
    let ada = db.user("ada").await;
    db.execute("DELETE FROM guests").await;
    let account = Account::find(&db.pool, ada.id).await.unwrap().unwrap();
    assert_eq!(
        account,
        Account {
            user: ada,
            guest: None,
            host: None
        }
    );
}

async fn inside_the_callers_transaction(db: TestDb) {
    let txn = db.pool.begin().await.unwrap();
    let ada = sign_up(&txn, email("ada")).await.unwrap();
    assert_eq!(Account::find(&txn, ada.user.id).await.unwrap(), Some(ada));
    txn.rollback().await.unwrap();
}
