//! A database for each peer: the same schema, the same rows.

use guesthouse_migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, Statement};
use uuid::Uuid;

/// Users who are there from the beginning; every fifth is a host.
pub const SEEDED: usize = 20_000;

pub struct Home {
    pub url: String,
    db: DatabaseConnection,
}

async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await.unwrap()
}

/// Users in SQL, with ids that ascend as those of UUIDv7 do.
fn users(prefix: u32, from: usize, to: usize) -> String {
    format!(
        "SELECT ('{prefix:08x}-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid AS id, n
         FROM generate_series({from}, {to}) AS n"
    )
}

pub fn seeded_id(n: usize) -> Uuid {
    id(SEED, n)
}

fn id(prefix: u32, n: usize) -> Uuid {
    Uuid::from_u128(u128::from(prefix) << 96 | 0x7000_8000 << 48 | n as u128)
}

const SEED: u32 = 0x0180_0000;

impl Home {
    pub async fn create(server: &str, name: &str) -> Self {
        Self::of_size(server, name, SEEDED).await
    }

    /// With so many users.
    pub async fn of_size(server: &str, name: &str, users_wanted: usize) -> Self {
        let (address, _) = server.rsplit_once('/').unwrap();
        let admin = connect(server).await;
        for sql in [
            format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
            format!("CREATE DATABASE {name}"),
        ] {
            admin.execute_unprepared(&sql).await.unwrap();
        }
        let url = format!("{address}/{name}");
        let home = Self {
            db: connect(&url).await,
            url,
        };
        Migrator::up(&home.db, None).await.unwrap();
        home.make_users(SEED, users_wanted).await;
        home.execute(&format!(
            "INSERT INTO hosts (id, user_id) SELECT gen_random_uuid(), id FROM ({}) AS u
             WHERE n % 5 = 0",
            users(SEED, 1, users_wanted)
        ))
        .await;
        // Cleaned by hand between rounds, at the same point for everyone.
        for table in ["users", "guests", "hosts"] {
            home.execute(&format!(
                "ALTER TABLE {table} SET (autovacuum_enabled = off)"
            ))
            .await;
        }
        home.vacuum().await;
        home
    }

    async fn vacuum(&self) {
        self.execute("VACUUM (ANALYZE) users, guests, hosts").await;
    }

    async fn make_users(&self, prefix: u32, count: usize) {
        let users = users(prefix, 1, count);
        self.execute(&format!(
            "WITH u AS (INSERT INTO users (id, email)
                 SELECT id, id || '@example.com' FROM ({users}) AS u RETURNING id)
             INSERT INTO guests (id, user_id) SELECT gen_random_uuid(), id FROM u"
        ))
        .await;
    }

    /// Users to be made hosts; gives their ids.
    pub async fn fresh_users(&self, round: usize, count: usize) -> Vec<Uuid> {
        let prefix = 0x0190_0000 + u32::try_from(round).unwrap();
        self.make_users(prefix, count).await;
        (1..=count).map(|n| id(prefix, n)).collect()
    }

    /// Removes all that was not there from the beginning.
    pub async fn clean(&self) {
        let last = seeded_id(SEEDED);
        for sql in [
            format!("DELETE FROM hosts WHERE user_id > '{last}'"),
            format!("DELETE FROM guests WHERE user_id > '{last}'"),
            format!("DELETE FROM users WHERE id > '{last}'"),
        ] {
            self.execute(&sql).await;
        }
        self.vacuum().await;
    }

    pub async fn count(&self, table: &str) -> usize {
        let sql = format!("SELECT count(*) FROM {table}");
        self.ask::<i64>(&sql).await.try_into().unwrap()
    }

    pub async fn ask<T: sea_orm::TryGetable>(&self, sql: &str) -> T {
        let statement = Statement::from_string(sea_orm::DbBackend::Postgres, sql);
        let row = self.db.query_one_raw(statement).await.unwrap().unwrap();
        row.try_get_by_index(0).unwrap()
    }

    async fn execute(&self, sql: &str) {
        self.db.execute_unprepared(sql).await.unwrap();
    }
}
