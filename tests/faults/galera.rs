//! Three MariaDB nodes that all accept writes: races, a node killed, a node cut off.

use guesthouse::{Error, become_host, retry, sign_up, user};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use uuid::Uuid;

use super::{database, ledger::email, load::Load, servers::Servers, twin};

const NODES: [&str; 3] = ["GALERA_1", "GALERA_2", "GALERA_3"];
const BETWEEN: usize = 400;

/// Reads, and inserts that look at other rows, wait until the node has what the others have.
const WAIT_FOR_THE_OTHERS: &str = "SET SESSION wsrep_sync_wait = 7";

const ALL_IN: &str = "SELECT count(*) = 3 FROM information_schema.global_status WHERE
    (variable_name, variable_value) IN (('WSREP_READY', 'ON'),
    ('WSREP_LOCAL_STATE_COMMENT', 'Synced'), ('WSREP_CLUSTER_SIZE', '3'))";
const CUT_OFF: &str = "SELECT variable_value <> 'Primary' FROM information_schema.global_status
    WHERE variable_name = 'WSREP_CLUSTER_STATUS'";

pub async fn nodes_die_and_part() {
    let servers = Servers::run("galera");
    let nodes = NODES.map(|name| servers.url(name));
    database::create(nodes[0]).await;
    let mut pools = Vec::new();
    for node in nodes {
        database::until(node, ALL_IN).await;
        pools.push(database::pool(&database::on(node), 2).await);
    }

    let load = Load::start(&pools, 2);
    load.ledger.until_acknowledged(BETWEEN).await;
    // A caller who loses a race against another node gets 1213, where one server says 1062.
    let mut rounds = 0;
    while load.ledger.seen("Contention 1213") == 0 {
        rounds += 1;
        assert!(rounds < 50, "nobody lost a race");
        load.ledger.until_acknowledged(BETWEEN).await;
    }

    servers.signal("galera-3", "KILL");
    load.ledger.until_acknowledged(BETWEEN).await;
    servers.relaunch("galera-3");
    database::until(nodes[2], ALL_IN).await;
    load.ledger.until_acknowledged(BETWEEN).await;

    let admin = database::pool(nodes[1], 1).await;
    isolate(&admin, true).await;
    database::until(nodes[1], CUT_OFF).await;
    load.ledger.until_acknowledged(BETWEEN).await;
    isolate(&admin, false).await;
    database::until(nodes[1], ALL_IN).await;
    load.ledger.until_acknowledged(BETWEEN).await;

    let ledger = load.stop().await;
    assert_eq!(ledger.figures().out_of_time, 0);
    let mut readers = Vec::new();
    for node in nodes {
        database::until(node, ALL_IN).await;
        readers.push(database::pool_with(&database::on(node), 1, WAIT_FOR_THE_OTHERS).await);
    }
    for reader in &readers {
        assert_eq!(ledger.check(reader).await, Ok(()));
    }
    for pool in &pools {
        ledger.settle(pool).await;
    }
    for reader in &readers {
        assert_eq!(ledger.check(reader).await, Ok(()));
    }
    ledger.report("galera");

    a_node_that_waits_for_the_others_is_never_behind(&pools, &readers).await;
    twin::is_caught(&readers).await;
}

async fn isolate(admin: &DatabaseConnection, yes: bool) {
    let option = format!(
        "SET GLOBAL wsrep_provider_options = 'gmcast.isolate={}'",
        i32::from(yes)
    );
    admin.execute_unprepared(&option).await.unwrap();
}

/// A user who signs up on one node and becomes a host on another at once: the other may not know the
/// user yet, and says so, unless its session is set to wait.
async fn a_node_that_waits_for_the_others_is_never_behind(
    pools: &[DatabaseConnection],
    waiting: &[DatabaseConnection],
) {
    const ROUNDS: usize = 100;
    let mut behind = 0;
    for _ in 0..ROUNDS {
        let user = new_user(&pools[0]).await;
        match retry(|| become_host(&pools[1], user.id)).await {
            Ok(onboarding) => assert!(onboarding.is_new()),
            Err(Error::UserNotFound { .. }) => behind += 1,
            Err(other) => panic!("{other:?}"),
        }
        let user = new_user(&pools[0]).await;
        let host = retry(|| become_host(&waiting[1], user.id)).await;
        assert!(host.unwrap().is_new());
    }
    println!("galera, host on another node at once: {behind} of {ROUNDS} behind, waiting 0");
}

async fn new_user(db: &DatabaseConnection) -> user::Model {
    let email = email(Uuid::now_v7());
    retry(|| sign_up(db, email.clone())).await.unwrap().user
}
