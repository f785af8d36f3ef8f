//! Two tasks that use one transaction at the same time.

use std::sync::Arc;

use futures_util::future::try_join_all;
use guesthouse::{
    Account, Email, Error, become_host, change_email, delete_user, host, sign_up, sign_up_all,
};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, DatabaseTransaction, TransactionTrait};
use uuid::Uuid;

use crate::support::{GiveUp, TestDb as Db, email};

const ROUNDS: usize = 40;
const CALLERS: usize = 8;

async fn people(db: &Db) -> Vec<Uuid> {
    let emails = (0..CALLERS).map(|_| email(&unique())).collect();
    let sign_ups = sign_up_all(&db.pool, emails).await.unwrap();
    let ids: Vec<_> = sign_ups
        .created
        .iter()
        .map(|account| account.user.id)
        .collect();
    assert_eq!(ids.len(), CALLERS);
    ids
}

fn unique() -> String {
    Uuid::now_v7().simple().to_string()
}

async fn commit(txn: Arc<DatabaseTransaction>) {
    let txn = Arc::into_inner(txn).expect("all tasks have ended");
    txn.commit().await.unwrap();
}

/// What the app itself does meanwhile: a plain insert for each of its people.
async fn insert_hosts(txn: Arc<DatabaseTransaction>, user_ids: Vec<Uuid>) -> Vec<host::Model> {
    let mut hosts = Vec::new();
    for user_id in user_ids {
        let host = host::ActiveModel {
            user_id: Set(user_id),
            ..Default::default()
        };
        // An error of the other task's may be answered here: then the row is not there.
        hosts.extend(host.insert(&*txn).await);
    }
    hosts
}

/// The app's inserts beside a call that is refused every time: what was acknowledged is stored.
async fn inserts_beside<F>(db: &Db, refused: F)
where
    F: AsyncFn(&DatabaseTransaction) -> Result<(), Error>,
{
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let before = db.rows().await.hosts;
        let ids = people(db).await;
        let txn = Arc::new(db.pool.begin().await.unwrap());
        let inserting = tokio::spawn(insert_hosts(txn.clone(), ids));
        let mut refusals = 0;
        while refusals < CALLERS || !inserting.is_finished() {
            let answer = refused(&txn).await;
            answer.unwrap_or_else(|error| {
                panic!("{error:?}: {:?}", std::error::Error::source(&error))
            });
            refusals += 1;
        }
        let inserted = inserting.await.unwrap();
        commit(txn).await;

        acknowledged += inserted.len();
        let mut expected = before;
        expected.extend(inserted);
        expected.sort_by_key(|host| host.id);
        assert_eq!(db.rows().await.hosts, expected, "round {round}");
    }
    assert!(acknowledged > 0);
}

on_each_backend!(
    a_refusal_undoes_no_change_of_another_task,
    a_dropped_call_leaves_a_long_call_alone,
    a_dropped_call_leaves_what_is_done_before_and_after,
    an_insert_beside_a_taken_address,
    an_insert_beside_a_sign_up_with_a_taken_address,
    an_insert_beside_the_deletion_of_a_host,
);

/// Every second caller wants an address that is taken.
async fn a_refusal_undoes_no_change_of_another_task(db: Db) {
    db.user("taken").await;
    let ids = people(&db).await;
    for round in 0..ROUNDS {
        let txn = Arc::new(db.pool.begin().await.unwrap());
        let callers = ids.iter().enumerate().map(|(n, &user_id)| {
            let txn = txn.clone();
            let wanted = if n % 2 == 0 {
                "taken".to_owned()
            } else {
                unique()
            };
            tokio::spawn(async move { change_email(&*txn, user_id, email(&wanted)).await })
        });
        let answers = try_join_all(callers).await.unwrap();
        commit(txn).await;

        let stored = db.rows().await.users;
        for (n, answer) in answers.into_iter().enumerate() {
            match answer {
                Err(Error::EmailTaken) if n % 2 == 0 => {}
                Ok(changed) if n % 2 == 1 => {
                    assert!(
                        stored.contains(&changed),
                        "round {round}, caller {n}: {changed:?} is lost"
                    );
                }
                other => panic!("round {round}, caller {n}: {other:?}"),
            }
        }
    }
}

/// The one who gives up was waiting for the other, at whatever point.
async fn a_dropped_call_leaves_a_long_call_alone(db: Db) {
    const MANY: usize = 3_000;
    for polls in 1..6 {
        for at_once in [true, false] {
            let txn = db.pool.begin().await.unwrap();
            let emails: Vec<Email> = (0..MANY).map(|_| email(&unique())).collect();
            let late = unique();
            let give_up = GiveUp { polls, at_once };
            let (sign_ups, given_up) = tokio::join!(
                sign_up_all(&txn, emails),
                give_up.on(sign_up(&txn, email(&late))),
            );
            let sign_ups = sign_ups.unwrap();
            assert_eq!((sign_ups.created.len(), sign_ups.taken.len()), (MANY, 0));
            txn.commit().await.unwrap();

            let stored = db.rows().await.users;
            for account in &sign_ups.created {
                let user = &account.user;
                let found = stored.binary_search_by_key(&user.id, |stored| stored.id);
                assert_eq!(found.map(|at| &stored[at]), Ok(user), "after {polls} polls");
            }
            if let Some(account) = given_up {
                assert!(
                    stored.contains(&account.unwrap().user),
                    "after {polls} polls"
                );
            }
            db.execute("DELETE FROM guests").await;
            db.execute("DELETE FROM users").await;
        }
    }
}

/// What was done before and what is done after stays, whether the call in between was or not.
async fn a_dropped_call_leaves_what_is_done_before_and_after(db: Db) {
    for round in 0..ROUNDS {
        for polls in 0..10 {
            let give_up = GiveUp {
                polls,
                at_once: round % 2 == 0,
            };
            let txn = db.pool.begin().await.unwrap();
            let first = sign_up(&txn, email(&unique())).await.unwrap();
            let _given_up = give_up.on(sign_up(&txn, email(&unique()))).await;
            let third = sign_up(&txn, email(&unique())).await;
            let committed = txn.commit().await;

            let stored = Account::find(&db.pool, first.user.id).await.unwrap();
            match (third, committed) {
                (Ok(third), Ok(())) => {
                    assert_eq!(stored, Some(first), "round {round}, {give_up:?}");
                    let stored = Account::find(&db.pool, third.user.id).await.unwrap();
                    assert_eq!(stored, Some(third), "round {round}, {give_up:?}");
                }
                // The transaction is spoilt, and says so.
                _ => assert_eq!(stored, None, "round {round}, {give_up:?}"),
            }
        }
    }
}

async fn an_insert_beside_a_taken_address(db: Db) {
    let (ada, _) = (db.user("ada").await, db.user("taken").await);
    inserts_beside(&db, async |txn| {
        match change_email(txn, ada.id, email("taken")).await {
            Err(Error::EmailTaken) => Ok(()),
            other => other.map(|changed| panic!("{changed:?}")),
        }
    })
    .await;
}

async fn an_insert_beside_a_sign_up_with_a_taken_address(db: Db) {
    db.user("taken").await;
    inserts_beside(&db, async |txn| match sign_up(txn, email("taken")).await {
        Err(Error::EmailTaken) => Ok(()),
        other => other.map(|account| panic!("{account:?}")),
    })
    .await;
}

async fn an_insert_beside_the_deletion_of_a_host(db: Db) {
    let ada = db.user("ada").await;
    let _ada = become_host(&db.pool, ada.id).await.unwrap();
    inserts_beside(&db, async |txn| match delete_user(txn, ada.id).await {
        Err(Error::StillHost { .. }) => Ok(()),
        other => other.map(|()| panic!("deleted")),
    })
    .await;
}
