//! Guesthouse.

use async_trait::async_trait;
use guesthouse::{Accounts, Session, become_host, become_hosts, sign_up};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, TransactionTrait};
use uuid::Uuid;

use crate::peer::{BulkPeer, PAGE, Peer};

/// A pool for all callers, or a session for each.
pub struct Guesthouse<C>(pub Vec<C>);

/// The settings of the pool, of which each row of the table of settings adds one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pool {
    /// SeaORM's own, with the number of connections given.
    Default,
    /// No ping when a connection is taken.
    WithoutPing,
    /// All connections open from the beginning, and for good.
    AndKept,
}

impl Guesthouse<DatabaseConnection> {
    pub async fn connect(url: &str, connections: usize, pool: Pool) -> Self {
        Self(vec![open(url, connections, pool).await])
    }
}

impl Guesthouse<Session> {
    pub async fn hold(url: &str, connections: usize) -> Self {
        let pool = open(url, connections, Pool::Default).await;
        let mut held = Vec::new();
        for _ in 0..connections {
            held.push(Session::acquire(&pool).await.unwrap());
        }
        Self(held)
    }
}

impl<C> Guesthouse<C> {
    fn of(&self, caller: usize) -> &C {
        &self.0[caller % self.0.len()]
    }
}

pub async fn open(url: &str, connections: usize, pool: Pool) -> DatabaseConnection {
    Database::connect(options(url, connections, pool))
        .await
        .unwrap()
}

fn options(url: &str, connections: usize, pool: Pool) -> ConnectOptions {
    let connections = connections.try_into().unwrap();
    let mut options = ConnectOptions::new(url);
    options.max_connections(connections).sqlx_logging(false);
    if pool >= Pool::WithoutPing {
        options.test_before_acquire(false);
    }
    if pool >= Pool::AndKept {
        options
            .min_connections(connections)
            .idle_timeout(None)
            .max_lifetime(None);
    }
    options
}

#[async_trait]
impl<C: ConnectionTrait + TransactionTrait + Send> Peer for Guesthouse<C> {
    async fn sign_up(&self, caller: usize, email: String) {
        let account = sign_up(self.of(caller), email.parse().unwrap())
            .await
            .unwrap();
        assert_eq!(account.guest.unwrap().user_id, account.user.id);
    }

    async fn become_host(&self, caller: usize, user_id: Uuid) -> bool {
        let onboarding = become_host(self.of(caller), user_id).await.unwrap();
        assert_eq!(onboarding.model().user_id, user_id);
        onboarding.is_new()
    }

    async fn page(&self, caller: usize, after: Uuid) -> (usize, usize) {
        let limit = PAGE.try_into().unwrap();
        let page = Accounts::all()
            .after(after)
            .limit(limit)
            .fetch(self.of(caller))
            .await
            .unwrap();
        let hosts = page.accounts.iter().filter(|account| account.is_host());
        (page.accounts.len(), hosts.count())
    }
}

#[async_trait]
impl<C: ConnectionTrait + TransactionTrait + Send> BulkPeer for Guesthouse<C> {
    async fn become_hosts(&self, caller: usize, user_ids: &[Uuid]) -> usize {
        become_hosts(self.of(caller), user_ids)
            .await
            .unwrap()
            .new
            .len()
    }
}
