//! Deleting a user: with the guest, never with a host or with rows of the app.

use guesthouse::{Account, Error, delete_user, sign_up_with_id, stop_hosting};
use sea_orm::TransactionTrait;
use uuid::Uuid;

use crate::{
    support::{Rows, TestDb, email},
    transactions::until_someone_waits,
};

on_each_backend!(
    user_and_guest_go_together,
    a_host_is_not_deleted,
    rows_of_the_app_keep_the_user,
    rows_of_the_app_keep_the_guest,
    an_unknown_user_cannot_be_deleted,
    undone_with_the_callers_transaction,
    one_connection_is_enough,
    a_user_who_came_back_meanwhile_is_deleted,
);

async fn user_and_guest_go_together(db: TestDb) {
    let ada = db.user("ada").await;
    let grace = db.user("grace").await;

    delete_user(&db.pool, ada.id).await.unwrap();

    let Rows {
        users,
        guests,
        hosts,
    } = db.rows().await;
    assert_eq!(users, std::slice::from_ref(&grace));
    assert_eq!(
        guests.iter().map(|guest| guest.user_id).collect::<Vec<_>>(),
        [grace.id]
    );
    assert!(hosts.is_empty(), "{hosts:?}");
}

async fn a_host_is_not_deleted(db: TestDb) {
    let host = db.host("ada").await;
    let before = db.rows().await;

    let txn = db.pool.begin().await.unwrap();
    for _ in 0..2 {
        let refused = delete_user(&txn, host.user_id).await;
        assert!(
            matches!(refused, Err(Error::StillHost { user_id }) if user_id == host.user_id),
            "{refused:?}",
        );
    }
    assert!(
        Account::find(&txn, host.user_id)
            .await
            .unwrap()
            .unwrap()
            .guest
            .is_some()
    );
    txn.commit().await.unwrap();
    let refused = delete_user(&db.pool, host.user_id).await;
    assert!(
        matches!(refused, Err(Error::StillHost { .. })),
        "{refused:?}"
    );
    assert_eq!(db.rows().await, before);

    stop_hosting(&db.pool, host.user_id).await.unwrap();
    delete_user(&db.pool, host.user_id).await.unwrap();
    assert_eq!(
        db.rows().await,
        Rows {
            users: vec![],
            guests: vec![],
            hosts: vec![]
        }
    );
}

async fn rows_of_the_app_keep_the_user(db: TestDb) {
    let ada = db.user("ada").await;
    crate::courier::reference(&db, "users", ada.id).await;
    let before = db.rows().await;

    let txn = db.pool.begin().await.unwrap();
    let refused = delete_user(&txn, ada.id).await;
    assert!(
        matches!(refused, Err(Error::StillReferenced { .. })),
        "{refused:?}"
    );
    txn.commit().await.unwrap();
    assert_eq!(db.rows().await, before);

    db.execute("DELETE FROM bookings").await;
    delete_user(&db.pool, ada.id).await.unwrap();
}

async fn rows_of_the_app_keep_the_guest(db: TestDb) {
    let ada = db.user("ada").await;
    let guest = db.rows().await.guests.remove(0);
    crate::courier::reference(&db, "guests", guest.id).await;
    let before = db.rows().await;

    let refused = delete_user(&db.pool, ada.id).await;

    assert!(
        matches!(refused, Err(Error::StillReferenced { .. })),
        "{refused:?}"
    );
    assert_eq!(db.rows().await, before);
}

async fn an_unknown_user_cannot_be_deleted(db: TestDb) {
    db.user("ada").await;
    let before = db.rows().await;
    for user_id in [Uuid::nil(), Uuid::max(), Uuid::now_v7()] {
        let refused = delete_user(&db.pool, user_id).await;
        assert!(
            matches!(refused, Err(Error::UserNotFound { user_id: id }) if id == user_id),
            "{refused:?}"
        );
    }
    assert_eq!(db.rows().await, before);
}

async fn undone_with_the_callers_transaction(db: TestDb) {
    let ada = db.user("ada").await;
    let before = db.rows().await;
    let txn = db.pool.begin().await.unwrap();
    delete_user(&txn, ada.id).await.unwrap();
    txn.rollback().await.unwrap();
    assert_eq!(db.rows().await, before);
}

async fn one_connection_is_enough(db: TestDb) {
    let host = db.host("ada").await;
    let pool = db.pool_of(1).await;
    let refused = delete_user(&pool, host.user_id).await;
    assert!(
        matches!(refused, Err(Error::StillHost { .. })),
        "{refused:?}"
    );
    stop_hosting(&pool, host.user_id).await.unwrap();
    delete_user(&pool, host.user_id).await.unwrap();
}

/// The user goes and comes back, with another guest, while this caller waits for the first one:
/// the new guest is the user's own, and no reason to refuse.
async fn a_user_who_came_back_meanwhile_is_deleted(db: TestDb) {
    let ada = db.user("ada").await;
    let txn = db.pool.begin().await.unwrap();
    delete_user(&txn, ada.id).await.unwrap();
    sign_up_with_id(&txn, ada.id, email("ada")).await.unwrap();
    let waiting = tokio::spawn({
        let pool = db.pool.clone();
        async move { delete_user(&pool, ada.id).await }
    });
    until_someone_waits(&db).await;
    txn.commit().await.unwrap();

    let deleted = waiting.await.unwrap();

    assert!(deleted.is_ok(), "{deleted:?}");
    assert_eq!(
        db.rows().await,
        Rows {
            users: vec![],
            guests: vec![],
            hosts: vec![]
        }
    );
}
