//! sqlx with its pool, and the very statements that Guesthouse sends.

use async_trait::async_trait;
use chrono::{SubsecRound, Utc};
use sqlx::{AssertSqlSafe, Connection, PgExecutor, PgPool, Row as _, postgres::PgPoolOptions};
use uuid::Uuid;

use super::Pool;
use crate::{
    peer::{BulkPeer, Peer, Row, Time, counts},
    statements::Statements,
};

pub struct Sqlx {
    pool: PgPool,
    sql: Statements,
}

impl Sqlx {
    pub async fn connect(url: &str, connections: usize, pool: Pool, sql: Statements) -> Self {
        let connections = connections.try_into().unwrap();
        let mut options = PgPoolOptions::new().max_connections(connections);
        if pool >= Pool::WithoutPing {
            options = options.test_before_acquire(false);
        }
        if pool >= Pool::AndKept {
            options = options
                .min_connections(connections)
                .idle_timeout(None)
                .max_lifetime(None);
        }
        Self {
            pool: options.connect(url).await.unwrap(),
            sql,
        }
    }
}

fn now() -> Time {
    Utc::now().trunc_subsecs(6)
}

/// On a pool or on a connection; whether the host is new.
pub async fn become_host_on<'c>(db: impl PgExecutor<'c>, sql: &str, user_id: Uuid) -> bool {
    let now = now();
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(user_id)
        .bind(Uuid::now_v7())
        .bind(user_id)
        .bind(now)
        .bind(now)
        .fetch_all(db)
        .await
        .unwrap();
    let row = &rows[0];
    let host: (Uuid, Uuid, Time, Time) = (row.get(0), row.get(1), row.get(2), row.get(3));
    assert_eq!(host.1, user_id);
    row.get(4)
}

#[async_trait]
impl Peer for Sqlx {
    async fn sign_up(&self, _: usize, email: String) {
        let (user_id, now) = (Uuid::now_v7(), now());
        let rows = sqlx::query(AssertSqlSafe(self.sql.sign_up[0].as_str()))
            .bind(user_id)
            .bind(email)
            .bind(now)
            .bind(now)
            .bind(Uuid::now_v7())
            .bind(user_id)
            .bind(now)
            .bind(now)
            .fetch_all(&self.pool)
            .await
            .unwrap();
        let user: (Uuid, String, Time, Time) = (
            rows[0].get(0),
            rows[0].get(1),
            rows[0].get(2),
            rows[0].get(3),
        );
        let guest: (Uuid, Uuid, Time, Time) = (
            rows[0].get(4),
            rows[0].get(5),
            rows[0].get(6),
            rows[0].get(7),
        );
        assert_eq!((user.0, user.2), (guest.1, guest.2));
    }

    async fn become_host(&self, _: usize, user_id: Uuid) -> bool {
        become_host_on(&self.pool, &self.sql.become_host[0], user_id).await
    }

    async fn page(&self, _: usize, after: Uuid) -> (usize, usize) {
        let rows = sqlx::query(AssertSqlSafe(self.sql.page[0].as_str()))
            .bind(after)
            .bind(after)
            .bind(after)
            .bind(101_i64)
            .fetch_all(&self.pool)
            .await
            .unwrap();
        let role = |row: &sqlx::postgres::PgRow, at: usize| {
            let id: Option<Uuid> = row.get(at);
            id.map(|id| (id, row.get(at + 1), row.get(at + 2), row.get(at + 3)))
        };
        let mut rows: Vec<_> = rows
            .iter()
            .map(|row| Row {
                user: (row.get(0), row.get(1), row.get(2), row.get(3)),
                guest: role(row, 4),
                host: role(row, 8),
            })
            .collect();
        rows.truncate(100);
        counts(&rows)
    }
}

#[async_trait]
impl BulkPeer for Sqlx {
    async fn become_hosts(&self, _: usize, user_ids: &[Uuid]) -> usize {
        let ids: Vec<_> = user_ids.iter().map(|_| Uuid::now_v7()).collect();
        let now = vec![now(); ids.len()];
        let mut txn = self.pool.begin().await.unwrap();
        let mut new = 0;
        for ((ids, users), now) in ids
            .chunks(5_000)
            .zip(user_ids.chunks(5_000))
            .zip(now.chunks(5_000))
        {
            let mut savepoint = txn.begin().await.unwrap();
            let made = sqlx::query(AssertSqlSafe(self.sql.become_hosts[0].as_str()))
                .bind(ids)
                .bind(users)
                .bind(now)
                .bind(now)
                .execute(&mut *savepoint)
                .await
                .unwrap();
            savepoint.commit().await.unwrap();
            new += made.rows_affected();
        }
        txn.commit().await.unwrap();
        new.try_into().unwrap()
    }
}
