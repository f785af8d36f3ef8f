//! What every peer has to do.

use async_trait::async_trait;
use uuid::Uuid;

/// One way to write the app. Each call is asserted by who measures it.
#[async_trait]
pub trait Peer: Send + Sync {
    /// Makes a user and a guest.
    async fn sign_up(&self, caller: usize, email: String);

    /// Makes the user a host, once; whether this call did it.
    async fn become_host(&self, caller: usize, user_id: Uuid) -> bool;

    /// Reads the 100 accounts after this id, with guest and host; how many, and how many are hosts.
    async fn page(&self, caller: usize, after: Uuid) -> (usize, usize);
}

/// A peer that is measured with many rows at once too, which only those on PostgreSQL are.
#[async_trait]
pub trait BulkPeer: Peer {
    /// Makes all of them hosts; how many are new.
    async fn become_hosts(&self, caller: usize, user_ids: &[Uuid]) -> usize;
}

pub const PAGE: usize = 100;

/// What a page is decoded to, by those who have no entities of their own.
pub struct Row {
    pub user: (Uuid, String, Time, Time),
    pub guest: Option<(Uuid, Uuid, Time, Time)>,
    pub host: Option<(Uuid, Uuid, Time, Time)>,
}

pub type Time = chrono::DateTime<chrono::Utc>;

/// How many rows, and how many of them are hosts.
pub fn counts(rows: &[Row]) -> (usize, usize) {
    let complete = |row: &&Row| {
        let own = |role: &Option<(Uuid, Uuid, Time, Time)>| {
            role.as_ref().is_none_or(|role| role.1 == row.user.0)
        };
        !row.user.1.is_empty() && own(&row.guest) && own(&row.host)
    };
    let rows: Vec<_> = rows.iter().filter(complete).collect();
    (
        rows.len(),
        rows.iter().filter(|row| row.host.is_some()).count(),
    )
}

/// The SELECT of a page, for those who write SQL.
pub const PAGE_SQL: &str = "SELECT u.id, u.email, u.created_at, u.updated_at,
    g.id, g.user_id, g.created_at, g.updated_at, h.id, h.user_id, h.created_at, h.updated_at
    FROM users u LEFT JOIN guests g ON g.user_id = u.id AND g.user_id > $1
    LEFT JOIN hosts h ON h.user_id = u.id AND h.user_id > $1
    WHERE u.id > $1 ORDER BY u.id LIMIT 100";
