//! How many statements each operation sends, as its documentation says.
//!
//! `BEGIN`, `SAVEPOINT`, `COMMIT` and `ROLLBACK` are not counted; operations that need a
//! transaction of their own say so.

use guesthouse::{
    Account, Accounts, become_host, change_email, delete_user, sign_up, stop_hosting,
};
use uuid::Uuid;

use crate::support::{TestDb, email};

/// The budgets in the order of the backends.
fn on(backend: crate::support::Backend, sqlite: usize, postgres: usize, mariadb: usize) -> usize {
    match backend {
        crate::support::Backend::Sqlite => sqlite,
        crate::support::Backend::Postgres => postgres,
        crate::support::Backend::MariaDb => mariadb,
    }
}

on_each_backend!(
    signing_up,
    becoming_a_host,
    reading,
    changing_the_email,
    ceasing_to_be_a_host,
    deleting,
);

async fn signing_up(db: TestDb) {
    let (pool, statements) = db.counted_pool().await;

    let ada = sign_up(&pool, email("ada")).await;
    assert!(ada.is_ok());
    assert_eq!(statements.take().len(), on(db.backend, 2, 1, 1));

    let taken = sign_up(&pool, email("ada")).await;
    assert!(taken.is_err());
    assert_eq!(statements.take().len(), 2);
}

async fn becoming_a_host(db: TestDb) {
    let ada = db.user("ada").await;
    let (pool, statements) = db.counted_pool().await;

    assert!(become_host(&pool, ada.id).await.unwrap().is_new());
    assert_eq!(statements.take().len(), 1);

    assert!(!become_host(&pool, ada.id).await.unwrap().is_new());
    assert_eq!(statements.take().len(), on(db.backend, 1, 1, 2));

    assert!(become_host(&pool, Uuid::nil()).await.is_err());
    assert_eq!(statements.take().len(), on(db.backend, 1, 2, 2));
}

async fn reading(db: TestDb) {
    let ada = db.host("ada").await;
    let (pool, statements) = db.counted_pool().await;

    Account::find(&pool, ada.user_id).await.unwrap().unwrap();
    assert_eq!(statements.take().len(), 1);

    Account::find_by_email(&pool, &email("ada"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(statements.take().len(), 1);

    for accounts in every_filter() {
        accounts.clone().fetch(&pool).await.unwrap();
        assert_eq!(statements.take().len(), 1);
        accounts.clone().count(&pool).await.unwrap();
        assert_eq!(statements.take().len(), 1);
        accounts.limit(0).fetch(&pool).await.unwrap();
        assert_eq!(statements.take().len(), 0);
    }
}

async fn changing_the_email(db: TestDb) {
    let ada = db.user("ada").await;
    let (pool, statements) = db.counted_pool().await;

    change_email(&pool, ada.id, email("countess"))
        .await
        .unwrap();
    assert_eq!(statements.take().len(), 1);
}

async fn ceasing_to_be_a_host(db: TestDb) {
    let ada = db.host("ada").await;
    let (pool, statements) = db.counted_pool().await;

    stop_hosting(&pool, ada.user_id).await.unwrap();
    assert_eq!(statements.take().len(), 2);
    stop_hosting(&pool, ada.user_id).await.unwrap();
    assert_eq!(statements.take().len(), 1);
}

async fn deleting(db: TestDb) {
    let (ada, grace) = (db.user("ada").await, db.host("grace").await);
    let (pool, statements) = db.counted_pool().await;

    delete_user(&pool, ada.id).await.unwrap();
    assert_eq!(statements.take().len(), 1);
    assert!(delete_user(&pool, grace.user_id).await.is_err());
    assert_eq!(statements.take().len(), 2);
}

fn every_filter() -> [Accounts; 4] {
    [
        Accounts::all(),
        Accounts::hosts(),
        Accounts::without_host(),
        Accounts::without_guest(),
    ]
}
