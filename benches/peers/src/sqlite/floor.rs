//! The floor: rusqlite on the caller's own thread, statements prepared once.

use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use chrono::Utc;
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};
use uuid::Uuid;

use crate::peer::Peer;

const INSERT_USER: &str = "INSERT INTO users (id, email, created_at, updated_at)
    VALUES (?1, ?2, ?3, ?3) ON CONFLICT (email) DO NOTHING";
const INSERT_GUEST: &str = "INSERT INTO guests (id, user_id, created_at, updated_at)
    VALUES (?1, ?2, ?3, ?3)";
const INSERT_HOST: &str = "INSERT INTO hosts (id, user_id, created_at, updated_at)
    SELECT ?1, id, ?3, ?3 FROM users WHERE id = ?2 ON CONFLICT (user_id) DO NOTHING RETURNING id";
const FIND_HOST: &str = "SELECT id, user_id, created_at, updated_at FROM hosts WHERE user_id = ?1";
const PAGE: &str = "SELECT u.id, u.email, u.created_at, u.updated_at, g.id, g.user_id,
    g.created_at, g.updated_at, h.id, h.user_id, h.created_at, h.updated_at FROM users u
    LEFT JOIN guests g ON g.user_id = u.id LEFT JOIN hosts h ON h.user_id = u.id
    WHERE u.id > ?1 ORDER BY u.id LIMIT 100";

pub struct Floor(Mutex<Connection>);

impl Floor {
    pub fn open(path: &str) -> Self {
        let connection = Connection::open(path).unwrap();
        connection
            .pragma_update(None, "synchronous", "NORMAL")
            .unwrap();
        connection
            .pragma_update(None, "foreign_keys", true)
            .unwrap();
        Self(Mutex::new(connection))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap()
    }
}

fn now() -> String {
    Utc::now().format("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string()
}

fn new_id() -> [u8; 16] {
    Uuid::now_v7().into_bytes()
}

#[async_trait]
impl Peer for Floor {
    async fn sign_up(&self, _: usize, email: String) {
        let (user_id, now) = (new_id(), now());
        let mut connection = self.connection();
        let txn = connection.transaction().unwrap();
        let mut user = txn.prepare_cached(INSERT_USER).unwrap();
        assert_eq!(user.execute(params![user_id, email, now]).unwrap(), 1);
        drop(user);
        let mut guest = txn.prepare_cached(INSERT_GUEST).unwrap();
        guest.execute(params![new_id(), user_id, now]).unwrap();
        drop(guest);
        txn.commit().unwrap();
    }

    async fn become_host(&self, _: usize, user_id: Uuid) -> bool {
        let user_id = user_id.into_bytes();
        let connection = self.connection();
        let mut insert = connection.prepare_cached(INSERT_HOST).unwrap();
        let id = |row: &SqlRow<'_>| row.get::<_, [u8; 16]>(0);
        if insert
            .query_row(params![new_id(), user_id, now()], id)
            .optional()
            .unwrap()
            .is_some()
        {
            return true;
        }
        let mut find = connection.prepare_cached(FIND_HOST).unwrap();
        find.query_row(params![user_id], id).unwrap();
        false
    }

    async fn page(&self, _: usize, after: Uuid) -> (usize, usize) {
        let connection = self.connection();
        let mut page = connection.prepare_cached(PAGE).unwrap();
        let mut rows = page.query(params![after.into_bytes()]).unwrap();
        let (mut accounts, mut hosts) = (0, 0);
        while let Some(row) = rows.next().unwrap() {
            let email: String = row.get(1).unwrap();
            let host: Option<[u8; 16]> = row.get(8).unwrap();
            assert!(!email.is_empty());
            accounts += 1;
            hosts += usize::from(host.is_some());
        }
        (accounts, hosts)
    }
}
