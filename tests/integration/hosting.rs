//! Becoming a host, once, and ceasing to be one.

use guesthouse::{Account, Error, Onboarding, become_host, stop_hosting};
use sea_orm::TransactionTrait;
use uuid::Uuid;

use crate::support::{Rows, TestDb};

on_each_backend!(
    the_first_call_makes_the_host,
    later_calls_find_it,
    an_unknown_user_cannot_become_a_host,
    a_refusal_leaves_the_callers_transaction_usable,
    a_rolled_back_transaction_leaves_no_host,
    stop_hosting_returns_what_it_deleted,
    a_former_host_can_become_one_again,
    a_referenced_host_stays,
    stopping_is_undone_with_the_callers_transaction,
);

async fn the_first_call_makes_the_host(db: TestDb) {
    let ada = db.user("ada").await;

    let onboarding = become_host(&db.pool, ada.id).await.unwrap();

    assert!(onboarding.is_new());
    assert_eq!(onboarding.model().user_id, ada.id);
    assert_eq!(onboarding.model().id.get_version_num(), 7);
    assert_eq!(db.rows().await.hosts, [onboarding.into_model()]);
}

async fn later_calls_find_it(db: TestDb) {
    let host = db.host("ada").await;
    let before = db.rows().await;

    for _ in 0..3 {
        let again = become_host(&db.pool, host.user_id).await.unwrap();
        assert_eq!(again, Onboarding::Existing(host.clone()));
    }
    assert_eq!(db.rows().await, before);
}

async fn an_unknown_user_cannot_become_a_host(db: TestDb) {
    db.host("ada").await;
    let before = db.rows().await;

    for user_id in [Uuid::nil(), Uuid::max(), Uuid::now_v7()] {
        let refused = become_host(&db.pool, user_id).await;
        assert!(
            matches!(refused, Err(Error::UserNotFound { user_id: id }) if id == user_id),
            "{refused:?}",
        );
    }
    assert_eq!(db.rows().await, before);
}

async fn a_refusal_leaves_the_callers_transaction_usable(db: TestDb) {
    let ada = db.user("ada").await;

    let txn = db.pool.begin().await.unwrap();
    let nobody = become_host(&txn, Uuid::nil()).await;
    assert!(
        matches!(nobody, Err(Error::UserNotFound { .. })),
        "{nobody:?}"
    );
    let host = become_host(&txn, ada.id).await.unwrap();
    assert!(host.is_new());
    assert_eq!(
        become_host(&txn, ada.id).await.unwrap(),
        Onboarding::Existing(host.model().clone())
    );
    txn.commit().await.unwrap();

    assert_eq!(db.rows().await.hosts, [host.into_model()]);
}

async fn a_rolled_back_transaction_leaves_no_host(db: TestDb) {
    let ada = db.user("ada").await;

    let txn = db.pool.begin().await.unwrap();
    assert!(become_host(&txn, ada.id).await.unwrap().is_new());
    txn.rollback().await.unwrap();

    let txn = db.pool.begin().await.unwrap();
    assert!(become_host(&txn, ada.id).await.unwrap().is_new());
    drop(txn);

    assert_eq!(db.rows().await.hosts.len(), 0);
    assert!(become_host(&db.pool, ada.id).await.unwrap().is_new());
}

async fn stop_hosting_returns_what_it_deleted(db: TestDb) {
    let host = db.host("ada").await;
    let other = db.host("grace").await;

    assert_eq!(
        stop_hosting(&db.pool, host.user_id).await.unwrap(),
        Some(host.clone())
    );
    assert_eq!(stop_hosting(&db.pool, host.user_id).await.unwrap(), None);
    assert_eq!(stop_hosting(&db.pool, Uuid::nil()).await.unwrap(), None);

    assert_eq!(db.rows().await.hosts, [other]);
    let account = Account::find(&db.pool, host.user_id)
        .await
        .unwrap()
        .unwrap();
    assert!(!account.is_host());
    assert!(account.guest.is_some());
}

async fn a_former_host_can_become_one_again(db: TestDb) {
    let host = db.host("ada").await;
    stop_hosting(&db.pool, host.user_id).await.unwrap();

    let again = become_host(&db.pool, host.user_id).await.unwrap();

    assert!(again.is_new());
    assert_ne!(again.model().id, host.id);
}

/// A table of the app restricts the host: it stays, and so does the caller's transaction.
async fn a_referenced_host_stays(db: TestDb) {
    let host = db.host("ada").await;
    crate::courier::reference(&db, "hosts", host.id).await;
    let before = db.rows().await;

    let refused = stop_hosting(&db.pool, host.user_id).await;
    assert!(
        matches!(refused, Err(Error::StillReferenced { .. })),
        "{refused:?}"
    );

    let txn = db.pool.begin().await.unwrap();
    let refused = stop_hosting(&txn, host.user_id).await;
    assert!(
        matches!(refused, Err(Error::StillReferenced { .. })),
        "{refused:?}"
    );
    let grace = guesthouse::sign_up(&txn, crate::support::email("grace"))
        .await
        .unwrap();
    txn.commit().await.unwrap();

    let Rows {
        users,
        guests,
        hosts,
    } = db.rows().await;
    assert_eq!(hosts, before.hosts);
    assert_eq!(users, [before.users, vec![grace.user]].concat());
    assert_eq!(guests, [before.guests, vec![grace.guest.unwrap()]].concat());
}

async fn stopping_is_undone_with_the_callers_transaction(db: TestDb) {
    let host = db.host("ada").await;

    let txn = db.pool.begin().await.unwrap();
    assert_eq!(
        stop_hosting(&txn, host.user_id).await.unwrap(),
        Some(host.clone())
    );
    txn.rollback().await.unwrap();

    assert_eq!(db.rows().await.hosts, [host]);
}
