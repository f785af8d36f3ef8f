//! What a pool costs a call: its settings, and doing without.

use std::{sync::Arc, time::Instant};

use guesthouse::{Session, become_host};
use sea_orm::{DatabaseConnection, TransactionTrait};
use sqlx::{Connection as _, PgConnection};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::{
    database::Home,
    measure::{Size, median},
    peer::Peer,
    postgres::{Guesthouse, Pool, Sqlx, become_host_on, open},
    statements::Statements,
};

/// How many calls share a transaction.
const A_TRANSACTION: usize = 100;

/// One way to get at a connection for `become_host`.
#[derive(Clone)]
enum Way {
    Pooled(DatabaseConnection),
    InTransactions(DatabaseConnection),
    Sessions(Arc<Guesthouse<Session>>),
    SqlxPooled(Arc<Sqlx>),
    SqlxHeld(Arc<Vec<Mutex<PgConnection>>>, Arc<str>),
}

const WAYS: [&str; 7] = [
    "SeaORM's default pool",
    "and no ping when a connection is taken",
    "and all connections open from the beginning, for good",
    "and a hundred calls to a transaction",
    "a `Session` for each caller",
    "sqlx's pool with the settings of the third row, same SQL",
    "sqlx without a pool, a connection for each caller, same SQL",
];

impl Way {
    async fn open(name: &str, url: &str, connections: usize, sql: &Statements) -> Self {
        let pool = |pool| open(url, connections, pool);
        match WAYS.iter().position(|way| *way == name).unwrap() {
            0 => Self::Pooled(pool(Pool::Default).await),
            1 => Self::Pooled(pool(Pool::WithoutPing).await),
            2 => Self::Pooled(pool(Pool::AndKept).await),
            3 => Self::InTransactions(pool(Pool::AndKept).await),
            4 => Self::Sessions(Arc::new(Guesthouse::hold(url, connections).await)),
            5 => {
                let sqlx = Sqlx::connect(url, connections, Pool::AndKept, sql.clone()).await;
                Self::SqlxPooled(Arc::new(sqlx))
            }
            _ => {
                let mut held = Vec::new();
                for _ in 0..connections {
                    held.push(Mutex::new(PgConnection::connect(url).await.unwrap()));
                }
                Self::SqlxHeld(Arc::new(held), sql.become_host[0].as_str().into())
            }
        }
    }

    async fn become_hosts(self, caller: usize, user_ids: Vec<Uuid>) {
        match self {
            Self::Pooled(db) => {
                for user_id in user_ids {
                    assert!(become_host(&db, user_id).await.unwrap().is_new());
                }
            }
            Self::InTransactions(db) => {
                for user_ids in user_ids.chunks(A_TRANSACTION) {
                    let txn = db.begin().await.unwrap();
                    for user_id in user_ids {
                        assert!(become_host(&txn, *user_id).await.unwrap().is_new());
                    }
                    txn.commit().await.unwrap();
                }
            }
            Self::Sessions(sessions) => {
                for user_id in user_ids {
                    assert!(sessions.become_host(caller, user_id).await);
                }
            }
            Self::SqlxPooled(sqlx) => {
                for user_id in user_ids {
                    assert!(sqlx.become_host(caller, user_id).await);
                }
            }
            Self::SqlxHeld(held, sql) => {
                let mut connection = held[caller].lock().await;
                for user_id in user_ids {
                    assert!(become_host_on(&mut *connection, &sql, user_id).await);
                }
            }
        }
    }
}

/// Calls per second each way, at 1 and at 8 connections, as multiples of the first way.
pub async fn rounds(server: &str, sql: &Statements, size: Size) -> Vec<(&'static str, f64, f64)> {
    let one = rates(server, sql, 1, size).await;
    let eight = rates(server, sql, 8, size).await;
    let times = |rates: &[Vec<f64>], n: usize| median(&rates[n]) / median(&rates[0]);
    (0..WAYS.len())
        .map(|n| (WAYS[n], times(&one, n), times(&eight, n)))
        .collect()
}

async fn rates(server: &str, sql: &Statements, connections: usize, size: Size) -> Vec<Vec<f64>> {
    let mut ways = Vec::new();
    for (n, name) in WAYS.iter().enumerate() {
        let home = Home::create(server, &format!("pool_{connections}_{n}")).await;
        let way = Way::open(name, &home.url, connections, sql).await;
        ways.push((way, home));
    }
    let mut rates = vec![Vec::new(); WAYS.len()];
    for round in 0..=size.rounds {
        for step in 0..WAYS.len() {
            let n = (round + step) % WAYS.len();
            let (way, home) = &ways[n];
            home.clean().await;
            let users = home.fresh_users(round, connections * size.calls).await;
            let before = home.count("hosts").await;

            let begun = Instant::now();
            let tasks: Vec<_> = users
                .chunks(size.calls)
                .enumerate()
                .map(|(caller, users)| {
                    tokio::spawn(way.clone().become_hosts(caller, users.to_vec()))
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            let time = begun.elapsed().as_secs_f64();

            assert_eq!(home.count("hosts").await, before + users.len());
            if round > 0 {
                rates[n].push(users.len() as f64 / time);
            }
        }
    }
    rates
}
