//! Signing up under an id of the caller's, which can be repeated.

use std::{collections::BTreeSet, sync::Arc};

use guesthouse::{Account, Error, become_host, change_email, delete_user, retry, sign_up_with_id};
use sea_orm::{IsolationLevel, TransactionTrait};
use tokio::sync::Barrier;
use uuid::Uuid;

use crate::support::{Backend as On, TestDb, email};

on_each_backend!(
    gives_the_one_account,
    refuses_what_belongs_to_another,
    an_address_that_changed_since_is_another,
    refusals_leave_the_callers_transaction_usable,
    an_account_that_the_transaction_cannot_see,
    fifty_callers_get_one_account,
    sends_one_statement_more_if_the_account_exists,
);

/// Every repetition gives the account as it is stored by then, and writes nothing.
async fn gives_the_one_account(db: TestDb) {
    let id = Uuid::now_v7();
    let ada = sign_up_with_id(&db.pool, id, email("ada")).await.unwrap();
    assert_eq!(ada.user.id, id);
    assert_eq!(ada.guest.as_ref().map(|guest| guest.user_id), Some(id));
    let stored = db.rows().await;
    assert_eq!(
        (stored.users.len(), stored.guests.len(), stored.hosts.len()),
        (1, 1, 0)
    );

    assert_eq!(
        sign_up_with_id(&db.pool, id, email("ada")).await.unwrap(),
        ada
    );
    assert_eq!(db.rows().await, stored);

    let host = become_host(&db.pool, id).await.unwrap().into_model();
    let now = sign_up_with_id(&db.pool, id, email("ada")).await.unwrap();
    assert_eq!(
        now,
        Account {
            host: Some(host),
            ..ada
        }
    );
}

async fn refuses_what_belongs_to_another(db: TestDb) {
    let ada = db.user("ada").await;
    let grace = db.user("grace").await;
    let before = db.rows().await;

    let address = sign_up_with_id(&db.pool, Uuid::now_v7(), email("ada")).await;
    assert!(matches!(address, Err(Error::EmailTaken)), "{address:?}");
    for other in ["mary", "grace"] {
        let id = sign_up_with_id(&db.pool, ada.id, email(other)).await;
        let Err(error @ Error::UserIdTaken { user_id }) = id else {
            panic!("{id:?}")
        };
        assert_eq!(user_id, ada.id);
        assert_eq!(
            error.to_string(),
            format!("user {} has another e-mail address", ada.id)
        );
        assert_eq!(
            format!("{error:?}"),
            format!("UserIdTaken {{ user_id: {} }}", ada.id)
        );
        assert!(!error.is_retryable());
    }
    assert_eq!(db.rows().await, before);

    delete_user(&db.pool, grace.id).await.unwrap();
    assert!(
        sign_up_with_id(&db.pool, grace.id, email("grace"))
            .await
            .is_ok()
    );
}

/// The address was changed after the first call: the id tells that it was this user.
async fn an_address_that_changed_since_is_another(db: TestDb) {
    let id = Uuid::now_v7();
    sign_up_with_id(&db.pool, id, email("ada")).await.unwrap();
    change_email(&db.pool, id, email("countess")).await.unwrap();

    let again = sign_up_with_id(&db.pool, id, email("ada")).await;

    assert!(matches!(again, Err(Error::UserIdTaken { .. })), "{again:?}");
    assert_eq!(db.rows().await.users.len(), 1);
}

async fn refusals_leave_the_callers_transaction_usable(db: TestDb) {
    let ada = db.user("ada").await;

    let txn = db.pool.begin().await.unwrap();
    let id = sign_up_with_id(&txn, ada.id, email("mary")).await;
    assert!(matches!(id, Err(Error::UserIdTaken { .. })), "{id:?}");
    let address = sign_up_with_id(&txn, Uuid::now_v7(), email("ada")).await;
    assert!(matches!(address, Err(Error::EmailTaken)), "{address:?}");
    let own = sign_up_with_id(&txn, ada.id, email("ada")).await.unwrap();
    assert_eq!(own.user, ada);
    let grace = sign_up_with_id(&txn, Uuid::now_v7(), email("grace"))
        .await
        .unwrap();
    txn.commit().await.unwrap();

    assert_eq!(
        Account::find(&db.pool, grace.user.id).await.unwrap(),
        Some(grace)
    );
    assert_eq!(db.rows().await.users.len(), 2);
}

/// An account made after the caller's snapshot: seen on MariaDB, contention elsewhere, and never
/// a second one.
async fn an_account_that_the_transaction_cannot_see(db: TestDb) {
    if db.backend == On::Sqlite {
        return; // has no REPEATABLE READ to ask for
    }
    let id = Uuid::now_v7();
    let level = Some(IsolationLevel::RepeatableRead);
    let txn = db.pool.begin_with_config(level, None).await.unwrap();
    assert_eq!(Account::find(&txn, id).await.unwrap(), None);
    let ada = sign_up_with_id(&db.pool, id, email("ada")).await.unwrap();

    let again = sign_up_with_id(&txn, id, email("ada")).await;

    match db.finds_what_it_clashed_with().await {
        true => assert_eq!(again.unwrap(), ada),
        false => assert!(matches!(again, Err(Error::Contention { .. })), "{again:?}"),
    }
    txn.rollback().await.unwrap();
    assert_eq!(db.rows().await.users, [ada.user]);
}

async fn fifty_callers_get_one_account(db: TestDb) {
    const CALLERS: usize = 50;
    let id = Uuid::now_v7();
    let start = Arc::new(Barrier::new(CALLERS));
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (start, db) = (start.clone(), db.pool.clone());
            tokio::spawn(async move {
                start.wait().await;
                retry(|| sign_up_with_id(&db, id, email("ada"))).await
            })
        })
        .collect();
    let mut guests = BTreeSet::new();
    for caller in callers {
        let account = caller.await.unwrap().unwrap();
        assert_eq!(account.user.id, id);
        guests.insert(account.guest.unwrap().id);
    }
    let stored = db.rows().await;
    assert_eq!(
        (stored.users.len(), stored.guests.len(), stored.hosts.len()),
        (1, 1, 0)
    );
    assert_eq!(guests, BTreeSet::from([stored.guests[0].id]));
}

async fn sends_one_statement_more_if_the_account_exists(db: TestDb) {
    let (pool, statements) = db.counted_pool().await;
    let new = if db.backend == On::Sqlite { 2 } else { 1 };
    let id = Uuid::now_v7();

    sign_up_with_id(&pool, id, email("ada")).await.unwrap();
    assert_eq!(statements.take().len(), new);
    sign_up_with_id(&pool, id, email("ada")).await.unwrap();
    assert_eq!(statements.take().len(), 2);
}
