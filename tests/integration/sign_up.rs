//! Signing up makes a user and a guest, together or not at all.

use guesthouse::{Account, Error, guest, sign_up, user};
use sea_orm::{EntityTrait, TransactionTrait};

use crate::support::{Rows, TestDb, email};

on_each_backend!(
    makes_a_user_and_its_guest,
    one_address_has_one_account,
    near_misses_are_other_addresses,
    a_refusal_leaves_the_callers_transaction_usable,
    a_rolled_back_transaction_leaves_nothing,
    no_guest_no_user,
    no_guest_no_user_in_a_savepoint,
    one_connection_is_enough,
);

/// What sign-up returns is what is stored, to the microsecond.
async fn makes_a_user_and_its_guest(db: TestDb) {
    let account = sign_up(&db.pool, email("ada")).await.unwrap();

    assert_eq!(account.user.email, "ada@example.com");
    assert_eq!(account.user.id.get_version_num(), 7);
    assert_eq!(account.user.created_at, account.user.updated_at);
    let guest = account.guest.clone().unwrap();
    assert_eq!(guest.user_id, account.user.id);
    assert_eq!(account.host, None);
    let stored = Rows {
        users: vec![account.user],
        guests: vec![guest],
        hosts: vec![],
    };
    assert_eq!(db.rows().await, stored);
}

/// Blanks around, case and the way accents are typed make no other address.
async fn one_address_has_one_account(db: TestDb) {
    sign_up(&db.pool, " Jos\u{e9}@Example.COM ".parse().unwrap())
        .await
        .unwrap();
    let before = db.rows().await;

    for spelling in [
        "jos\u{e9}@example.com",
        "jose\u{301}@example.com",
        "JOS\u{c9}@EXAMPLE.com\n",
    ] {
        let again = sign_up(&db.pool, spelling.parse().unwrap()).await;
        assert!(matches!(again, Err(Error::EmailTaken)), "{again:?}");
    }
    assert_eq!(db.rows().await, before);
}

/// What the database would fold, a trailing accent or a similar letter, is another address.
async fn near_misses_are_other_addresses(db: TestDb) {
    let near = [
        "e@example.com",
        "\u{e9}@example.com",
        "ss@example.com",
        "\u{df}@example.com",
    ];
    for address in near {
        sign_up(&db.pool, address.parse().unwrap()).await.unwrap();
    }
    assert_eq!(db.rows().await.users.len(), near.len());
}

async fn a_refusal_leaves_the_callers_transaction_usable(db: TestDb) {
    db.user("ada").await;

    let txn = db.pool.begin().await.unwrap();
    let taken = sign_up(&txn, email("ada")).await;
    assert!(matches!(taken, Err(Error::EmailTaken)), "{taken:?}");
    let grace = sign_up(&txn, email("grace")).await.unwrap();
    txn.commit().await.unwrap();

    assert_eq!(
        Account::find(&db.pool, grace.user.id).await.unwrap(),
        Some(grace)
    );
    assert_eq!(db.rows().await.users.len(), 2);
}

async fn a_rolled_back_transaction_leaves_nothing(db: TestDb) {
    let before = db.rows().await;

    let txn = db.pool.begin().await.unwrap();
    sign_up(&txn, email("ada")).await.unwrap();
    txn.rollback().await.unwrap();
    assert_eq!(db.rows().await, before);

    let txn = db.pool.begin().await.unwrap();
    sign_up(&txn, email("ada")).await.unwrap();
    drop(txn);
    assert_eq!(db.rows().await, before);
}

/// The second insert fails: the first one is undone.
async fn no_guest_no_user(db: TestDb) {
    db.execute("DROP TABLE guests").await;

    let failed = sign_up(&db.pool, email("ada")).await;

    assert!(matches!(failed, Err(Error::Database { .. })), "{failed:?}");
    assert_eq!(user::Entity::find().all(&db.pool).await.unwrap().len(), 0);
}

/// The same inside the caller's transaction, which goes on (on PostgreSQL an error other than
/// a refusal ends it, so the caller's savepoint is what keeps it).
async fn no_guest_no_user_in_a_savepoint(db: TestDb) {
    db.execute("ALTER TABLE guests RENAME TO guests_elsewhere")
        .await;

    let txn = db.pool.begin().await.unwrap();
    let savepoint = txn.begin().await.unwrap();
    let failed = sign_up(&savepoint, email("ada")).await;
    assert!(matches!(failed, Err(Error::Database { .. })), "{failed:?}");
    savepoint.rollback().await.unwrap();
    txn.commit().await.unwrap();

    db.execute("ALTER TABLE guests_elsewhere RENAME TO guests")
        .await;
    assert_eq!(
        db.rows().await,
        Rows {
            users: vec![],
            guests: vec![],
            hosts: vec![]
        }
    );
}

/// A pool of one connection never waits for itself.
async fn one_connection_is_enough(db: TestDb) {
    let pool = db.pool_of(1).await;
    let ada = sign_up(&pool, email("ada")).await.unwrap();
    let taken = sign_up(&pool, email("ada")).await;
    assert!(matches!(taken, Err(Error::EmailTaken)), "{taken:?}");
    let guests = guest::Entity::find().all(&pool).await.unwrap();
    assert_eq!(guests, [ada.guest.unwrap()]);
}
