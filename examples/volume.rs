//! A whole import, measured: signs up as many users as the first argument says, makes every fifth one a
//! host, or every N-th by the second argument, and prints how long it took and how much memory it held
//! at most.
//!
//!     DATABASE_URL=postgres://… cargo run --release --features postgres --example volume -- 1000000 5
//!
//! Works in calls of 50,000 people, as an import that reads a file does. Uses `DATABASE_URL`, or
//! else a SQLite file that it creates; the database has to be empty.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::{env, error::Error, fs, time::Instant};

use guesthouse::{Audit, Email, audit, become_hosts, sign_up_all};
use guesthouse_migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectOptions, Database};

const CALL: usize = 50_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let people: usize = env::args().nth(1).as_deref().unwrap_or("20000").parse()?;
    let every: usize = env::args().nth(2).as_deref().unwrap_or("5").parse()?;
    let url = env::var("DATABASE_URL").unwrap_or_else(|_| "sqlite://volume.db?mode=rwc".to_owned());
    let mut options = ConnectOptions::new(url);
    options.sqlx_logging(false);
    let db = Database::connect(options).await?;
    Migrator::up(&db, None).await?;

    let began = Instant::now();
    let mut ids = Vec::with_capacity(people);
    for first in (0..people).step_by(CALL) {
        let emails = (first..people.min(first + CALL))
            .map(|n| format!("person{n}@example.com").parse())
            .collect::<Result<Vec<Email>, _>>()?;
        let sign_ups = sign_up_all(&db, emails).await?;
        ids.extend(sign_ups.created.iter().map(|account| account.user.id));
    }
    println!("signed up {} in {:.1?}", ids.len(), began.elapsed());

    // All ids of the users who are to host, in one call.
    let began = Instant::now();
    let chosen: Vec<_> = ids.into_iter().step_by(every).collect();
    let hosts = become_hosts(&db, &chosen).await?.new.len();
    println!("made {hosts} hosts in {:.1?}", began.elapsed());

    let counts = audit(&db).await?;
    let expected = Audit {
        users: people as u64,
        hosts: people.div_ceil(every) as u64,
        users_without_guest: 0,
    };
    if counts != expected {
        return Err(format!("counted {counts:?} instead of {expected:?}").into());
    }
    println!("the counts agree: {counts:?}");
    if let Some(peak) = peak_memory() {
        println!("peak memory: {peak}");
    }
    Ok(())
}

/// The most memory that this process has held, according to Linux.
fn peak_memory() -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().to_owned())
}
