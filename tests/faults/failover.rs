//! A PostgreSQL primary that dies, and the standby that takes its place.

use std::time::Duration;

use guesthouse::{Error, become_host};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use tokio::time::timeout;
use uuid::Uuid;

use super::{
    database,
    ledger::{Answer, Ledger, Operation},
    load::Load,
    proxy::Proxy,
    servers::Servers,
    twin,
};

const BETWEEN: usize = 300;

/// Primary and standby, reached through one address that can be moved, as a load balancer's can.
struct Pair {
    servers: Servers,
    proxy: Proxy,
    /// The database on the primary.
    primary: String,
    /// The database on the standby.
    standby: String,
    /// The database through the address that can be moved.
    url: String,
}

impl Pair {
    async fn start() -> Self {
        let servers = Servers::run("postgres-pair");
        let primary = database::create(servers.url("PAIR_PRIMARY")).await;
        let standby = database::on(servers.url("PAIR_STANDBY"));
        let proxy = Proxy::to(database::socket(&primary)).await;
        let url = database::through(proxy.port, &primary);
        Self {
            servers,
            proxy,
            primary,
            standby,
            url,
        }
    }

    /// Kills the primary and lets the standby take over.
    async fn fail_over(&self) {
        self.servers.signal("pair-primary", "KILL");
        let standby = database::pool(&self.standby, 1).await;
        // It has no standby of its own to wait for.
        standby
            .execute_unprepared("ALTER SYSTEM SET synchronous_standby_names = ''")
            .await
            .unwrap();
        standby
            .execute_unprepared("SELECT pg_promote(true, 20)")
            .await
            .unwrap();
        standby.close().await.unwrap();
        database::until(&self.standby, "SELECT NOT pg_is_in_recovery()").await;
        self.proxy.retarget(database::socket(&self.standby));
    }

    /// Stops the process that sends the primary's changes, so that nothing leaves it any more.
    async fn freeze_replication(&self, admin: &DatabaseConnection) -> i32 {
        let sender = database::ask(admin, "SELECT pid FROM pg_stat_replication")
            .await
            .unwrap();
        self.servers.signal_child("pair-primary", "STOP", sender);
        sender
    }
}

pub async fn the_standby_takes_over() {
    let pair = Pair::start().await;
    let pools = [
        database::pool(&pair.url, 3).await,
        database::pool(&pair.url, 3).await,
    ];
    let load = Load::start(&pools, 3);
    load.ledger.until_acknowledged(BETWEEN).await;

    pair.fail_over().await;

    load.ledger.until_acknowledged(BETWEEN).await;
    let ledger = load.stop().await;
    assert_eq!(ledger.figures().out_of_time, 0);
    assert_eq!(ledger.check(&pools[0]).await, Ok(()));
    ledger.settle(&pools[1]).await;
    assert_eq!(ledger.check(&pools[0]).await, Ok(()));
    ledger.report("failover");
    twin::is_caught(&pools).await;
}

/// The session ends while its commit waits for the standby: the row is there, and nobody heard of it.
pub async fn a_commit_waits_for_the_standby() {
    let pair = Pair::start().await;
    let admin = database::pool(&pair.primary, 1).await;
    let db = database::pool(&pair.url, 2).await;
    let ledger = Ledger::new();
    let user_id = Uuid::now_v7();
    ledger.sign_up(&db, user_id).await;
    let sender = pair.freeze_replication(&admin).await;

    let waiting = tokio::spawn({
        let db = db.clone();
        async move { become_host(&db, user_id).await }
    });
    let waits = "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    database::until(&pair.primary, waits).await;
    let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE wait_event = 'SyncRep'";
    assert!(database::ask::<bool>(&admin, terminate).await.unwrap());

    let error = waiting.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error:?}");
    ledger.note(Operation::BecomeHost, user_id, Answer::Unknown);
    let host = twin::find(&admin, user_id)
        .await
        .expect("it is done, here at least");

    pair.servers.signal_child("pair-primary", "CONT", sender);
    let again = ledger.become_host(&db, user_id).await;
    assert_eq!(again, Answer::Acknowledged(host.id));
    assert_eq!(ledger.check(&admin).await, Ok(()));
    ledger.report("failover, a commit that waits");
}

/// What was acknowledged before the standby had it is lost in a failover, and the check finds it. The
/// same with a synchronous standby acknowledges nothing and loses nothing.
pub async fn an_asynchronous_standby_loses() {
    const CALLS: usize = 10;
    for synchronous in [false, true] {
        let pair = Pair::start().await;
        let admin = database::pool(&pair.primary, 1).await;
        let db = database::pool(&pair.url, 2).await;
        let ledger = Ledger::new();
        let mut users = Vec::new();
        for _ in 0..CALLS {
            users.push(Uuid::now_v7());
            ledger.sign_up(&db, users[users.len() - 1]).await;
        }
        if !synchronous {
            let stop_waiting = "ALTER SYSTEM SET synchronous_standby_names = ''";
            admin.execute_unprepared(stop_waiting).await.unwrap();
            admin
                .execute_unprepared("SELECT pg_reload_conf()")
                .await
                .unwrap();
            let waits_no_more = "SELECT current_setting('synchronous_standby_names') = ''";
            database::until(&pair.primary, waits_no_more).await;
        }
        pair.freeze_replication(&admin).await;

        for user_id in users {
            // Nothing but the caller's own patience ends the wait for a standby.
            let call = timeout(Duration::from_millis(300), become_host(&db, user_id)).await;
            let answer = match call {
                Ok(host) => Answer::Acknowledged(host.unwrap().into_model().id),
                Err(_) => Answer::Unknown,
            };
            ledger.note(Operation::BecomeHost, user_id, answer);
        }
        pair.fail_over().await;

        let promoted = database::pool(&pair.standby, 2).await;
        let verdict = ledger.check(&promoted).await;
        let figures = ledger.figures();
        if synchronous {
            assert_eq!((figures.acknowledged, figures.unknown), (CALLS, CALLS));
            assert_eq!(verdict, Ok(()));
            ledger.settle(&promoted).await;
            assert_eq!(ledger.check(&promoted).await, Ok(()));
            ledger.report("failover, synchronous, replication frozen");
        } else {
            assert_eq!((figures.acknowledged, figures.unknown), (2 * CALLS, 0));
            let lost = verdict.unwrap_err();
            assert_eq!(lost.len(), CALLS, "{lost:?}");
            assert!(
                lost.iter().all(|violation| violation.ends_with("is lost")),
                "{lost:?}"
            );
            assert_eq!(ledger.figures().lost, CALLS);
            ledger.report("failover, asynchronous, replication frozen");
        }
    }
}
