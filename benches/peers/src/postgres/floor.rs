//! The floor: tokio-postgres, a connection of its own for each caller, prepared statements, the best
//! single statement for each job.

use async_trait::async_trait;
use tokio_postgres::{Client, NoTls, Statement};
use uuid::Uuid;

use crate::peer::{BulkPeer, PAGE_SQL, Peer, Row, counts};

const SIGN_UP: &str = "WITH u AS (INSERT INTO users (id, email) VALUES ($1, $2)
    ON CONFLICT (email) DO NOTHING RETURNING id, email, created_at, updated_at),
    g AS (INSERT INTO guests (id, user_id) SELECT $3, id FROM u
    RETURNING id, user_id, created_at, updated_at)
    SELECT * FROM u, g";
const BECOME_HOST: &str = "WITH n AS (INSERT INTO hosts (id, user_id) VALUES ($1, $2)
    ON CONFLICT (user_id) DO NOTHING RETURNING id, user_id, created_at, updated_at)
    SELECT id, user_id, created_at, updated_at, true FROM n UNION ALL
    SELECT id, user_id, created_at, updated_at, false FROM hosts WHERE user_id = $2";
/// Fails as a whole if a user does not exist or is a host.
pub const BECOME_HOSTS: &str = "INSERT INTO hosts (id, user_id)
    SELECT * FROM unnest($1::uuid[], $2::uuid[])";

struct Connection {
    client: Client,
    sign_up: Statement,
    become_host: Statement,
    page: Statement,
    become_hosts: Statement,
}

pub struct Floor(Vec<Connection>);

impl Floor {
    pub async fn connect(url: &str, connections: usize) -> Self {
        let mut all = Vec::new();
        for _ in 0..connections {
            let (client, driver) = tokio_postgres::connect(url, NoTls).await.unwrap();
            tokio::spawn(driver);
            all.push(Connection {
                sign_up: client.prepare(SIGN_UP).await.unwrap(),
                become_host: client.prepare(BECOME_HOST).await.unwrap(),
                page: client.prepare(PAGE_SQL).await.unwrap(),
                become_hosts: client.prepare(BECOME_HOSTS).await.unwrap(),
                client,
            });
        }
        Self(all)
    }
}

#[async_trait]
impl Peer for Floor {
    async fn sign_up(&self, caller: usize, email: String) {
        let Connection {
            client, sign_up, ..
        } = &self.0[caller];
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
            [&Uuid::now_v7(), &email, &Uuid::now_v7()];
        let row = client.query_one(sign_up, &values).await.unwrap();
        assert_eq!(row.get::<_, Uuid>(0), row.get::<_, Uuid>(5));
    }

    async fn become_host(&self, caller: usize, user_id: Uuid) -> bool {
        let Connection {
            client,
            become_host,
            ..
        } = &self.0[caller];
        let row = client
            .query_one(become_host, &[&Uuid::now_v7(), &user_id])
            .await
            .unwrap();
        assert_eq!(row.get::<_, Uuid>(1), user_id);
        row.get(4)
    }

    async fn page(&self, caller: usize, after: Uuid) -> (usize, usize) {
        let Connection { client, page, .. } = &self.0[caller];
        let rows = client.query(page, &[&after]).await.unwrap();
        let role = |row: &tokio_postgres::Row, at: usize| {
            let id: Option<Uuid> = row.get(at);
            id.map(|id| (id, row.get(at + 1), row.get(at + 2), row.get(at + 3)))
        };
        let rows: Vec<_> = rows
            .iter()
            .map(|row| Row {
                user: (row.get(0), row.get(1), row.get(2), row.get(3)),
                guest: role(row, 4),
                host: role(row, 8),
            })
            .collect();
        counts(&rows)
    }
}

#[async_trait]
impl BulkPeer for Floor {
    async fn become_hosts(&self, caller: usize, user_ids: &[Uuid]) -> usize {
        let Connection {
            client,
            become_hosts,
            ..
        } = &self.0[caller];
        let ids: Vec<_> = user_ids.iter().map(|_| Uuid::now_v7()).collect();
        let made = client.execute(become_hosts, &[&ids, &user_ids]).await;
        made.unwrap().try_into().unwrap()
    }
}
