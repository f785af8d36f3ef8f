//! sqlx with its pool, and the very statements that Guesthouse sends.

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, Utc};
use sqlx::{AssertSqlSafe, Executor, Row as _, SqlitePool, sqlite::SqlitePoolOptions};
use uuid::Uuid;

use crate::{
    peer::{Peer, Row, counts},
    statements::Statements,
};

pub struct Sqlx {
    pool: SqlitePool,
    sql: Statements,
}

impl Sqlx {
    pub async fn open(url: &str, sql: Statements) -> Self {
        let options = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None);
        let pool = options.connect(url).await.unwrap();
        pool.execute("PRAGMA synchronous = NORMAL").await.unwrap();
        Self { pool, sql }
    }
}

fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

#[async_trait]
impl Peer for Sqlx {
    async fn sign_up(&self, _: usize, email: String) {
        let (user_id, now) = (Uuid::now_v7(), now());
        let mut txn = self.pool.begin().await.unwrap();
        let user = sqlx::query(AssertSqlSafe(self.sql.sign_up[0].as_str()))
            .bind(user_id)
            .bind(email)
            .bind(now)
            .bind(now)
            .fetch_all(&mut *txn)
            .await
            .unwrap();
        let guest = sqlx::query(AssertSqlSafe(self.sql.sign_up[1].as_str()))
            .bind(Uuid::now_v7())
            .bind(user_id)
            .bind(now)
            .bind(now)
            .bind(user_id)
            .fetch_all(&mut *txn)
            .await
            .unwrap();
        txn.commit().await.unwrap();
        // The guest was inserted, and then both rows were read.
        assert_eq!(guest.len(), 2);
        assert_eq!(user[0].get::<Uuid, _>(0), guest[1].get::<Uuid, _>(0));
    }

    async fn become_host(&self, _: usize, user_id: Uuid) -> bool {
        let now = now();
        let rows = sqlx::query(AssertSqlSafe(self.sql.become_host[0].as_str()))
            .bind(Uuid::now_v7())
            .bind(user_id)
            .bind(now)
            .bind(now)
            .bind(user_id)
            .bind(user_id)
            .fetch_all(&self.pool)
            .await
            .unwrap();
        assert_eq!(rows[0].get::<Uuid, _>(1), user_id);
        // A new host comes twice: as it was inserted, and as it was read.
        rows.len() == 2
    }

    async fn page(&self, _: usize, after: Uuid) -> (usize, usize) {
        let rows = sqlx::query(AssertSqlSafe(self.sql.page[0].as_str()))
            .bind(after)
            .bind(101_i64)
            .fetch_all(&self.pool)
            .await
            .unwrap();
        let role = |row: &sqlx::sqlite::SqliteRow, at: usize| {
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
