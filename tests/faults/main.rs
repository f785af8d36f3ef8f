//! What the library promises while processes are killed, connections break, servers fail over and
//! disks fill up.
//!
//! Each group starts the servers that it breaks (`scripts/servers`), puts callers to work, injects
//! its faults, and checks the [`ledger`]: every acknowledged row is there, every definite
//! refusal left nothing, nobody has two guests or two hosts, and after an unknown outcome the same
//! call gives the one row. Each group also shows that its check can fail.
//!
//! `scripts/test --faults` runs all groups, one after the other, and prints what happened in each;
//! `scripts/test --faults galera` runs one. A group whose servers cannot be started fails.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a panic is the report of a failure, the figures are that of a success"
)]

mod database;
mod deadlines;
mod disk_full;
mod failover;
mod galera;
mod ledger;
mod load;
mod network;
mod pooler;
mod postgres;
mod proxy;
mod servers;
mod sqlite;
mod twin;

use std::{future::Future, process::ExitCode, time::Duration};

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    if let Some(orders) = sqlite::orders() {
        return sqlite::write(&orders);
    }
    let mut arguments = Arguments::from_args();
    // Two groups at once would take each other's processor time for the fault.
    arguments.test_threads = Some(1);
    let groups = vec![
        group("sqlite", sqlite::writers_are_killed),
        group("deadlines_sqlite", deadlines::on_sqlite),
        group("deadlines_postgres", deadlines::on_postgres),
        group("deadlines_mariadb", deadlines::on_mariadb),
        group("network_postgres", network::between_us_and_postgres),
        group("network_mariadb", network::between_us_and_mariadb),
        group("postgres", postgres::backends_and_servers_die),
        group("pgbouncer", pooler::a_session_is_shared),
        group("failover", failover::the_standby_takes_over),
        group("failover_unknown", failover::a_commit_waits_for_the_standby),
        group("failover_loss", failover::an_asynchronous_standby_loses),
        group("galera", galera::nodes_die_and_part),
        group("disk_full_postgres", disk_full::postgres),
        group("disk_full_mariadb", disk_full::mariadb),
    ];
    libtest_mimic::run(&arguments, groups).exit_code()
}

fn group<F, Fut>(name: &str, test: F) -> Trial
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = ()>,
{
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        // No group takes ten minutes, on a slow machine either; a caller who waits for ever is a
        // failure, not a hung run.
        runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(600), test()).await })
            .map_err(|_| "the group did not come to its end".into())
    })
}
