//! Fifty callers at once.
//!
//! Each race is checked twice: on the library, which must pass, and on a twin that reads first and
//! inserts on the strength of what it read, which must fail. A check that lets the twin pass could
//! not fail at all.

use std::{collections::BTreeSet, future::Future, sync::Arc};

use guesthouse::{Error, Onboarding, become_host, guest, host, sign_up, user};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, DatabaseConnection, DbErr, EntityTrait,
    QueryFilter,
};
use tokio::sync::Barrier;
use uuid::Uuid;

use crate::support::{Backend, CALLERS, Rows, TestDb, at_once, email};

/// Starts all callers at the same moment and collects what each was told.
async fn race<F, Fut, T>(call: F) -> Vec<T>
where
    F: Fn(Arc<Barrier>) -> Fut,
    Fut: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let twin = Arc::new(Barrier::new(CALLERS));
    let answers = at_once(|_| call(twin.clone())).await;
    assert_eq!(answers.len(), CALLERS);
    answers
}

/// One `New`, all others `Existing`, all the same host, and that one stored.
fn check_hosts<E: std::fmt::Debug>(
    answers: &[Result<Onboarding<host::Model>, E>],
    rows: &Rows,
) -> Result<(), String> {
    let failed: Vec<_> = answers.iter().filter(|answer| answer.is_err()).collect();
    if let Some(first) = failed.first() {
        return Err(format!(
            "{} callers failed, one with {first:?}",
            failed.len()
        ));
    }
    let found: Vec<_> = answers.iter().flatten().collect();
    let new = found
        .iter()
        .filter(|onboarding| onboarding.is_new())
        .count();
    let ids: BTreeSet<_> = found
        .iter()
        .map(|onboarding| onboarding.model().id)
        .collect();
    let stored: BTreeSet<_> = rows.hosts.iter().map(|host| host.id).collect();
    if (new, ids.len(), rows.hosts.len()) != (1, 1, 1) || ids != stored {
        return Err(format!(
            "{new} new, {} ids, {} rows",
            ids.len(),
            rows.hosts.len()
        ));
    }
    Ok(())
}

/// One account, everyone else told that the address is taken, one user and one guest stored.
fn check_accounts<T>(answers: &[Result<T, Error>], rows: &Rows) -> Result<(), String> {
    let made = answers.iter().filter(|answer| answer.is_ok()).count();
    let taken = answers
        .iter()
        .filter(|answer| matches!(answer, Err(Error::EmailTaken)))
        .count();
    let stored = (rows.users.len(), rows.guests.len(), rows.hosts.len());
    if (made, taken, stored) != (1, CALLERS - 1, (1, 1, 0)) {
        return Err(format!("{made} made, {taken} taken, {stored:?} stored"));
    }
    Ok(())
}

/// Reads, then inserts: what an app writes by hand. All callers read before any inserts, which is
/// how it goes wrong on a busy day.
async fn find_or_insert_host(
    db: DatabaseConnection,
    user_id: Uuid,
    everyone_has_read: Arc<Barrier>,
) -> Result<Onboarding<host::Model>, DbErr> {
    let found = host::Entity::find()
        .filter(host::Column::UserId.eq(user_id))
        .one(&db)
        .await?;
    everyone_has_read.wait().await;
    match found {
        Some(host) => Ok(Onboarding::Existing(host)),
        None => {
            let host = host::ActiveModel {
                user_id: Set(user_id),
                ..Default::default()
            };
            host.insert(&db).await.map(Onboarding::New)
        }
    }
}

/// The same for signing up.
async fn find_or_insert_user(
    db: DatabaseConnection,
    everyone_has_read: Arc<Barrier>,
) -> Result<user::Model, Error> {
    let failed = |source| Error::Database { source };
    let address = String::from(email("ada"));
    let find = user::Entity::find().filter(user::Column::Email.eq(&address));
    let found = find.one(&db).await.map_err(failed)?;
    everyone_has_read.wait().await;
    if found.is_some() {
        return Err(Error::EmailTaken);
    }
    let user = user::ActiveModel {
        email: Set(address),
        ..Default::default()
    };
    let user = user.insert(&db).await.map_err(failed)?;
    let guest = guest::ActiveModel {
        user_id: Set(user.id),
        ..Default::default()
    };
    guest.insert(&db).await.map_err(failed)?;
    Ok(user)
}

on_each_backend!(
    fifty_callers_make_one_host,
    the_twin_of_become_host_is_caught,
    without_the_index_the_twin_makes_fifty_hosts,
    fifty_callers_make_one_account,
    the_twin_of_sign_up_is_caught,
    fifty_users_become_hosts_at_once,
);

async fn fifty_callers_make_one_host(db: TestDb) {
    let ada = db.user("ada").await;
    let answers = race(|_| {
        let db = db.pool.clone();
        async move { become_host(&db, ada.id).await }
    })
    .await;
    assert_eq!(check_hosts(&answers, &db.rows().await), Ok(()));
}

async fn the_twin_of_become_host_is_caught(db: TestDb) {
    let ada = db.user("ada").await;
    let answers = race(|read| find_or_insert_host(db.pool.clone(), ada.id, read)).await;
    let verdict = check_hosts(&answers, &db.rows().await);
    assert!(verdict.is_err(), "reading first passed for safe");
}

/// Without the unique index nothing holds the twin back.
async fn without_the_index_the_twin_makes_fifty_hosts(db: TestDb) {
    let ada = db.user("ada").await;
    if db.backend == Backend::MariaDb {
        // The foreign key needs an index, so another one takes its place.
        db.execute("CREATE INDEX plain ON hosts (user_id)").await;
        db.execute("DROP INDEX hosts_user_id ON hosts").await;
    } else {
        db.execute("DROP INDEX hosts_user_id").await;
    }
    let answers = race(|read| find_or_insert_host(db.pool.clone(), ada.id, read)).await;
    assert_eq!(db.rows().await.hosts.len(), CALLERS);
    assert!(check_hosts(&answers, &db.rows().await).is_err());
}

async fn fifty_callers_make_one_account(db: TestDb) {
    let answers = race(|_| {
        let db = db.pool.clone();
        async move { sign_up(&db, email("ada")).await }
    })
    .await;
    assert_eq!(check_accounts(&answers, &db.rows().await), Ok(()));
}

async fn the_twin_of_sign_up_is_caught(db: TestDb) {
    let answers = race(|read| find_or_insert_user(db.pool.clone(), read)).await;
    let verdict = check_accounts(&answers, &db.rows().await);
    assert!(verdict.is_err(), "reading first passed for safe");
}

/// Every user is served, and each gets one host.
async fn fifty_users_become_hosts_at_once(db: TestDb) {
    let mut users = Vec::new();
    for n in 0..CALLERS {
        users.push(db.user(&format!("user{n}")).await.id);
    }
    let calls: Vec<_> = users
        .iter()
        .flat_map(|&user_id| [user_id, user_id])
        .map(|user_id| {
            let db = db.pool.clone();
            tokio::spawn(async move { become_host(&db, user_id).await })
        })
        .collect();
    let mut new = 0;
    for call in calls {
        new += usize::from(call.await.unwrap().unwrap().is_new());
    }
    assert_eq!(new, CALLERS);
    let hosts: BTreeSet<_> = db
        .rows()
        .await
        .hosts
        .into_iter()
        .map(|host| host.user_id)
        .collect();
    assert_eq!(hosts, users.into_iter().collect());
}
