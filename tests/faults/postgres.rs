//! PostgreSQL backends and servers that end under load.

use super::{database, load::Load, servers::Servers, twin};

const SERVES: &str = "SELECT NOT pg_is_in_recovery()";
/// What is acknowledged between two faults.
const BETWEEN: usize = 300;

pub async fn backends_and_servers_die() {
    let servers = Servers::run("postgres");
    let server = servers.url("POSTGRES");
    let url = database::create(server).await;
    let pools = [database::pool(&url, 3).await, database::pool(&url, 3).await];
    let load = Load::start(&pools, 3);
    load.ledger.until_acknowledged(BETWEEN).await;

    let admin = database::pool(server, 1).await;
    let ended: i64 = database::ask(
        &admin,
        &format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{}'",
            database::NAME
        ),
    )
    .await
    .unwrap();
    assert!(ended > 0);
    load.ledger.until_acknowledged(BETWEEN).await;

    // One backend that dies takes all sessions with it, while the server recovers.
    let victim: i32 = database::ask(
        &admin,
        &format!(
            "SELECT pid FROM pg_stat_activity WHERE datname = '{}' LIMIT 1",
            database::NAME
        ),
    )
    .await
    .unwrap();
    servers.signal_child("postgres", "KILL", victim);
    load.ledger.until_acknowledged(BETWEEN).await;

    // A fast shutdown, as an upgrade does it.
    servers.signal("postgres", "INT");
    servers.relaunch("postgres");
    database::until(server, SERVES).await;
    load.ledger.until_acknowledged(BETWEEN).await;

    servers.signal("postgres", "KILL");
    servers.relaunch("postgres");
    database::until(server, SERVES).await;
    load.ledger.until_acknowledged(BETWEEN).await;

    let ledger = load.stop().await;
    assert_eq!(ledger.figures().out_of_time, 0);
    assert_eq!(ledger.check(&pools[0]).await, Ok(()));
    ledger.settle(&pools[1]).await;
    assert_eq!(ledger.check(&pools[0]).await, Ok(()));
    ledger.report("postgres");

    twin::is_caught(&pools).await;
}
