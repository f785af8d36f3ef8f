//! PgBouncer in transaction mode, which gives one session to one client after the other.
//!
//! A version that keeps the prepared statements of its clients apart (from 1.21) serves every call
//! with the settings as they come. One that does not is the twin: calls fail, whatever the setting
//! of sqlx, and still no acknowledged row is lost.

use super::{
    database,
    ledger::{Figures, Ledger},
    load::Load,
    servers::Servers,
    twin,
};

/// What is acknowledged through a pooler that serves.
const ENOUGH: usize = 2_000;
/// And through one that does not.
const A_FEW: usize = 50;

pub async fn a_session_is_shared() {
    let servers = Servers::run("pgbouncer-prepared");
    let url = database::create(servers.url("BEHIND_PGBOUNCER")).await;
    let direct = [database::pool(&url, 1).await, database::pool(&url, 1).await];
    let pooled = database::on(servers.url("PGBOUNCER"));
    for (settings, parameters) in [("as it comes", ""), ("without a cache", NO_CACHE)] {
        let ledger = work(&format!("{pooled}{parameters}"), ENOUGH).await;
        assert_eq!(ledger.check(&direct[0]).await, Ok(()));
        ledger.report(&format!("pgbouncer 1.24, {settings}"));
        let Figures {
            calls,
            acknowledged,
            ..
        } = ledger.figures();
        assert_eq!(acknowledged, calls);
        assert_eq!(ledger.take_codes(), Vec::<String>::new());
    }
    twin::is_caught(&direct).await;

    let servers = Servers::run("pgbouncer");
    let url = database::create(servers.url("BEHIND_PGBOUNCER")).await;
    let direct = database::pool(&url, 1).await;
    let pooled = database::on(servers.url("PGBOUNCER"));
    for (settings, parameters) in [("as it comes", ""), ("without a cache", NO_CACHE)] {
        let ledger = work(&format!("{pooled}{parameters}"), A_FEW).await;
        assert_eq!(ledger.check(&direct).await, Ok(()));
        assert!(ledger.seen("26000") + ledger.seen("42P05") > 0);
        ledger.report(&format!("pgbouncer of Debian 12, {settings}"));
        ledger.settle(&direct).await;
        assert_eq!(ledger.check(&direct).await, Ok(()));
    }
}

const NO_CACHE: &str = "?statement-cache-capacity=0";

/// Eight callers, on more connections than the pooler has sessions to give at once.
async fn work(url: &str, enough: usize) -> std::sync::Arc<Ledger> {
    let pool = database::pool(url, 8).await;
    let load = Load::start(std::slice::from_ref(&pool), 8);
    load.ledger.until_acknowledged(enough).await;
    load.stop().await
}
