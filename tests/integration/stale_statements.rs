//! A prepared statement that the server no longer has, or has for a table as it was: nothing was
//! executed, so it is sent again.

use std::sync::atomic::{AtomicUsize, Ordering};

use guesthouse::{
    Account, Accounts, Error, audit, backfill_guests, become_host, become_hosts, change_email,
    delete_user, sign_up, sign_up_all, sign_up_with_id, stop_hosting, transaction,
};
use sea_orm::{ConnectionTrait, DatabaseConnection, TransactionTrait};
use uuid::Uuid;

use crate::support::{TestDb as Db, email};

const CALLS: [&str; 14] = [
    "find",
    "find_by_email",
    "fetch",
    "count",
    "audit",
    "sign_up",
    "sign_up_with_id",
    "sign_up_all",
    "become_host",
    "become_hosts",
    "stop_hosting",
    "change_email",
    "delete_user",
    "backfill_guests",
];

/// Somebody for each run of a call: who becomes a host, who stops hosting, who is deleted.
struct People {
    user: Uuid,
    host: Uuid,
    name: String,
}

impl People {
    /// Made on a connection of its own, on which nothing is stale.
    async fn of(db: &Db, name: &str) -> Self {
        let fresh = db.pool_of(1).await;
        let user = sign_up(&fresh, email(&format!("{name}-user"))).await;
        let host = sign_up(&fresh, email(&format!("{name}-host"))).await;
        let host = host.unwrap().user.id;
        let _ = become_host(&fresh, host).await.unwrap();
        fresh.close().await.unwrap();
        Self {
            user: user.unwrap().user.id,
            host,
            name: name.to_owned(),
        }
    }
}

async fn run_call<C>(call: &str, db: &C, people: &People) -> Result<(), Error>
where
    C: ConnectionTrait + TransactionTrait,
{
    let People { user, host, name } = people;
    let new = email(name);
    match call {
        "find" => Account::find(db, *host).await.map(drop),
        "find_by_email" => Account::find_by_email(db, &new).await.map(drop),
        "fetch" => Accounts::all().fetch(db).await.map(drop),
        "count" => Accounts::hosts().count(db).await.map(drop),
        "audit" => audit(db).await.map(drop),
        "sign_up" => sign_up(db, new).await.map(drop),
        "sign_up_with_id" => sign_up_with_id(db, Uuid::now_v7(), new).await.map(drop),
        "sign_up_all" => sign_up_all(db, vec![new]).await.map(drop),
        "become_host" => become_host(db, *user).await.map(drop),
        "become_hosts" => become_hosts(db, &[*user, *host]).await.map(drop),
        "stop_hosting" => stop_hosting(db, *host).await.map(drop),
        "change_email" => change_email(db, *user, new).await.map(drop),
        "delete_user" => delete_user(db, *user).await,
        "backfill_guests" => backfill_guests(db, |_| ()).await.map(drop),
        other => unreachable!("{other}"),
    }
}

/// How statements that are prepared on a connection go stale.
#[derive(Clone, Copy, Debug)]
enum Stale {
    /// The columns have another type than when they were prepared: 0A000.
    Altered,
    /// The server has forgotten them: 26000.
    Forgotten(&'static str),
}

impl Stale {
    /// `turn` makes each alteration another one.
    async fn happen(self, db: &Db, connection: &impl ConnectionTrait, turn: usize) {
        match self {
            Self::Altered => {
                let (text, precision) = match turn % 2 {
                    0 => ("text", 6),
                    _ => ("varchar(254)", 5),
                };
                db.execute(&format!(
                    "ALTER TABLE users ALTER email TYPE {text};
                     ALTER TABLE guests ALTER created_at TYPE timestamptz({precision});
                     ALTER TABLE hosts ALTER created_at TYPE timestamptz({precision})"
                ))
                .await;
            }
            Self::Forgotten(sql) => {
                connection.execute_unprepared(sql).await.unwrap();
            }
        }
    }
}

/// A pool of one connection, on which the call's statements are prepared, those that it sends in a
/// transaction too.
async fn warm(db: &Db, call: &str, name: &str) -> DatabaseConnection {
    let pool = db.pool_of(1).await;
    let people = People::of(db, &format!("{name}-alone")).await;
    run_call(call, &pool, &people).await.unwrap();
    let people = People::of(db, &format!("{name}-within")).await;
    let txn = pool.begin().await.unwrap();
    run_call(call, &txn, &people).await.unwrap();
    txn.commit().await.unwrap();
    pool
}

/// Each call, the first time after.
async fn on_a_pool(db: Db, stale: Stale) {
    let mut wrong = Vec::new();
    for (turn, call) in CALLS.into_iter().enumerate() {
        let name = call.replace('_', "-");
        let pool = warm(&db, call, &name).await;
        let people = People::of(&db, &name).await;
        stale.happen(&db, &pool, turn).await;
        for time in ["first", "second"] {
            let people = match time {
                "first" => &people,
                _ => &People::of(&db, &format!("{name}-again")).await,
            };
            let answer = run_call(call, &pool, people).await;
            if answer.is_err() {
                wrong.push(format!("{call}, {time} time: {answer:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{stale:?}: {wrong:#?}");
}

/// In a transaction: the call goes through or is to be tried again, and `transaction` does.
async fn in_a_transaction(db: Db, stale: Stale) {
    let mut wrong = Vec::new();
    for (turn, call) in CALLS.into_iter().enumerate() {
        let name = call.replace('_', "-");
        let pool = warm(&db, call, &name).await;
        let people = People::of(&db, &name).await;

        let txn = pool.begin().await.unwrap();
        stale.happen(&db, &txn, turn * 2).await;
        let answer = run_call(call, &txn, &people).await;
        if !matches!(answer, Ok(()) | Err(Error::Contention { .. })) {
            wrong.push(format!("{call}: {answer:?}"));
        }
        txn.rollback().await.unwrap();
        pool.close().await.unwrap();

        let pool = warm(&db, call, &format!("{name}-anew")).await;
        let attempts = AtomicUsize::new(0);
        let outcome = transaction(&pool, async |txn| {
            if attempts.fetch_add(1, Ordering::Relaxed) == 0 {
                stale.happen(&db, txn, turn * 2 + 1).await;
            }
            run_call(call, txn, &people).await
        })
        .await;
        if outcome.is_err() {
            wrong.push(format!("{call}, {attempts:?} attempts: {outcome:?}"));
        }
    }
    assert!(wrong.is_empty(), "{stale:?}: {wrong:#?}");
}

on_postgres!(
    after_a_column_was_altered,
    after_deallocate_all,
    after_discard_all,
    in_a_transaction_after_a_column_was_altered,
    in_a_transaction_after_deallocate_all,
);

async fn after_a_column_was_altered(db: Db) {
    on_a_pool(db, Stale::Altered).await;
}

async fn after_deallocate_all(db: Db) {
    on_a_pool(db, Stale::Forgotten("DEALLOCATE ALL")).await;
}

async fn after_discard_all(db: Db) {
    on_a_pool(db, Stale::Forgotten("DISCARD ALL")).await;
}

async fn in_a_transaction_after_a_column_was_altered(db: Db) {
    in_a_transaction(db, Stale::Altered).await;
}

async fn in_a_transaction_after_deallocate_all(db: Db) {
    in_a_transaction(db, Stale::Forgotten("DEALLOCATE ALL")).await;
}
