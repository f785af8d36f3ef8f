//! What a refusal leaves locked in the caller's MariaDB transaction: nothing that others need.

use guesthouse::{
    Error, become_host, become_hosts, change_email, delete_user, sign_up, sign_up_all,
    sign_up_with_id, stop_hosting,
};
use sea_orm::{ConnectionTrait, DatabaseTransaction, IsolationLevel, TransactionTrait};
use uuid::Uuid;

use crate::support::{TestDb as Db, email};

/// Calls that answer no, or that there is nothing to do.
const CALLS: [&str; 13] = [
    "become_host of an unknown user",
    "become_host of a host",
    "become_hosts of a host and of an unknown user",
    "stop_hosting of a user who is not a host",
    "stop_hosting of an unknown user",
    "delete_user of an unknown user",
    "sign_up with a taken address",
    "sign_up_with_id with a taken address",
    "sign_up_with_id once more",
    "sign_up_with_id once more of a host",
    "sign_up_all with a taken address",
    "change_email to a taken address",
    "change_email of an unknown user",
];

async fn say_no(
    call: &str,
    txn: &DatabaseTransaction,
    host: Uuid,
    user: Uuid,
) -> Result<(), Error> {
    let (unknown, taken) = (Uuid::now_v7(), email("ada"));
    match call {
        "become_host of an unknown user" => become_host(txn, unknown).await.map(drop),
        "become_host of a host" => become_host(txn, host).await.map(drop),
        "become_hosts of a host and of an unknown user" => {
            become_hosts(txn, &[host, unknown]).await.map(drop)
        }
        "stop_hosting of a user who is not a host" => stop_hosting(txn, user).await.map(drop),
        "stop_hosting of an unknown user" => stop_hosting(txn, unknown).await.map(drop),
        "delete_user of an unknown user" => delete_user(txn, unknown).await,
        "sign_up with a taken address" => sign_up(txn, taken).await.map(drop),
        "sign_up_with_id with a taken address" => {
            sign_up_with_id(txn, unknown, taken).await.map(drop)
        }
        "sign_up_with_id once more" => sign_up_with_id(txn, user, email("bob")).await.map(drop),
        "sign_up_with_id once more of a host" => sign_up_with_id(txn, host, taken).await.map(drop),
        "sign_up_all with a taken address" => sign_up_all(txn, vec![taken]).await.map(drop),
        "change_email to a taken address" => change_email(txn, user, taken).await.map(drop),
        "change_email of an unknown user" => {
            change_email(txn, unknown, email("new")).await.map(drop)
        }
        other => unreachable!("{other}"),
    }
}

fn is_no(answer: &Result<(), Error>) -> bool {
    matches!(
        answer,
        Ok(()) | Err(Error::UserNotFound { .. } | Error::EmailTaken | Error::UserIdTaken { .. })
    )
}

async fn others_go_on(db: Db, users: usize) {
    let host = db.host("ada").await.user_id;
    let user = db.user("bob").await.id;
    // Next to bob; no user between them is a host.
    let mut neighbours = Vec::new();
    for n in 0..CALLS.len().max(users) {
        neighbours.push(db.user(&format!("user{n:02}")).await.id);
    }
    neighbours.reverse();
    let others = db.pool_of(1).await;
    let setting = "SET innodb_lock_wait_timeout = 1";
    others.execute_unprepared(setting).await.unwrap();
    let mut wrong = Vec::new();
    for (n, call) in CALLS.into_iter().enumerate() {
        let yan = db.host(&format!("yan{n:02}")).await.user_id;
        let zoe = db.user(&format!("zoe{n:02}")).await.id;
        let level = Some(IsolationLevel::RepeatableRead);
        let txn = db.pool.begin_with_config(level, None).await.unwrap();
        let answer = say_no(call, &txn, host, user).await;
        assert!(is_no(&answer), "{call}: {answer:?}");

        let answers = [
            sign_up(&others, email(&format!("zz{n:02}")))
                .await
                .map(drop),
            become_host(&others, neighbours[n]).await.map(drop),
            become_host(&others, zoe).await.map(drop),
            stop_hosting(&others, yan).await.map(drop),
        ];
        txn.commit().await.unwrap();
        let names = [
            "sign_up",
            "become_host next to it",
            "become_host",
            "stop_hosting",
        ];
        for (answer, other) in answers.iter().zip(names) {
            if answer.is_err() {
                wrong.push(format!("{call}, then another's {other}: {answer:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

on_mariadb!(others_go_on_with_few_users, others_go_on_with_more_users);

async fn others_go_on_with_few_users(db: Db) {
    others_go_on(db, 0).await;
}

async fn others_go_on_with_more_users(db: Db) {
    others_go_on(db, 60).await;
}
