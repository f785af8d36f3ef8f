//! Callers at work, until they are told to stop.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use sea_orm::DatabaseConnection;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::ledger::Ledger;

/// Callers who all sign up the same people and make them hosts, one person after the other, so that
/// they race for every row.
pub struct Load {
    pub ledger: Arc<Ledger>,
    stop: Arc<AtomicBool>,
    callers: Vec<JoinHandle<()>>,
}

impl Load {
    /// So many callers on each pool; every second one onboards in a transaction.
    pub fn start(pools: &[DatabaseConnection], callers_on_each: usize) -> Self {
        let ledger = Arc::new(Ledger::new());
        let stop = Arc::new(AtomicBool::new(false));
        let first = Uuid::now_v7();
        let callers = pools
            .iter()
            .flat_map(|pool| (0..callers_on_each).map(move |nth| (pool.clone(), nth % 2 == 1)))
            .map(|(pool, in_transaction)| {
                let (ledger, stop) = (ledger.clone(), stop.clone());
                tokio::spawn(async move {
                    for user_id in ids_from(first) {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        ledger.sign_up(&pool, user_id).await;
                        if in_transaction {
                            ledger.become_host_in_transaction(&pool, user_id).await;
                        } else {
                            ledger.become_host(&pool, user_id).await;
                        }
                    }
                })
            })
            .collect();
        Self {
            ledger,
            stop,
            callers,
        }
    }

    /// Lets every caller finish the call it is in.
    pub async fn stop(self) -> Arc<Ledger> {
        self.stop.store(true, Ordering::Relaxed);
        assert!(!self.callers.is_empty());
        for caller in self.callers {
            caller.await.unwrap();
        }
        self.ledger
    }
}

/// Ids that every caller, in whatever process, meets in the same order.
pub fn ids_from(first: Uuid) -> impl Iterator<Item = Uuid> + Send {
    (0..).map(move |n: u128| Uuid::from_u128(first.as_u128() + n))
}
