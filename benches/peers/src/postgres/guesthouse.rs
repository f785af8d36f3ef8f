//! Guesthouse.

use async_trait::async_trait;
use guesthouse::{Accounts, become_host, become_hosts, sign_up};
use sea_orm::{ConnectOptions, Database, DatabaseConnection};
use uuid::Uuid;

use crate::peer::{BulkPeer, PAGE, Peer};

pub struct Guesthouse(pub DatabaseConnection);

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

impl Guesthouse {
    pub async fn connect(url: &str, connections: usize, pool: Pool) -> Self {
        Self(
            Database::connect(options(url, connections, pool))
                .await
                .unwrap(),
        )
    }
}

pub fn options(url: &str, connections: usize, pool: Pool) -> ConnectOptions {
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
impl Peer for Guesthouse {
    async fn sign_up(&self, _: usize, email: String) {
        let account = sign_up(&self.0, email.parse().unwrap()).await.unwrap();
        assert_eq!(account.guest.unwrap().user_id, account.user.id);
    }

    async fn become_host(&self, _: usize, user_id: Uuid) -> bool {
        let onboarding = become_host(&self.0, user_id).await.unwrap();
        assert_eq!(onboarding.model().user_id, user_id);
        onboarding.is_new()
    }

    async fn page(&self, _: usize, after: Uuid) -> (usize, usize) {
        let limit = PAGE.try_into().unwrap();
        let page = Accounts::all()
            .after(after)
            .limit(limit)
            .fetch(&self.0)
            .await
            .unwrap();
        let hosts = page.accounts.iter().filter(|account| account.is_host());
        (page.accounts.len(), hosts.count())
    }
}

#[async_trait]
impl BulkPeer for Guesthouse {
    async fn become_hosts(&self, _: usize, user_ids: &[Uuid]) -> usize {
        become_hosts(&self.0, user_ids).await.unwrap().new.len()
    }
}
