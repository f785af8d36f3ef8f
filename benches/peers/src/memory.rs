//! Peak memory of long work, each kind in a process of its own.

use std::{env, fs, process::Command};

use guesthouse::{Accounts, become_hosts};
use sea_orm::DatabaseConnection;
use uuid::Uuid;

use crate::{
    database::{Home, seeded_id},
    postgres::{Pool, open},
};

pub const KINDS: [&str; 3] = [
    "list all accounts, 1,000 a page",
    "become_hosts, 10,000 ids a call",
    "become_hosts, all ids in one call",
];

const CHILD: &str = "GUESTHOUSE_PEERS_MEMORY";

/// Megabytes at the peak, of each kind at each size.
pub async fn peaks(server: &str, sizes: &[usize]) -> Vec<(&'static str, usize, f64)> {
    let mut peaks = Vec::new();
    for users in sizes {
        for (n, kind) in KINDS.iter().enumerate() {
            let home = Home::of_size(server, "peers_memory", *users).await;
            let child = Command::new(env::current_exe().unwrap())
                .env(CHILD, format!("{n} {users} {}", home.url))
                .output()
                .unwrap();
            assert!(
                child.status.success(),
                "{}",
                String::from_utf8_lossy(&child.stderr)
            );
            let peak: f64 = String::from_utf8(child.stdout)
                .unwrap()
                .trim()
                .parse()
                .unwrap();
            peaks.push((*kind, *users, peak / 1024.0));
        }
    }
    peaks
}

/// Whether this process is a child, which has done its work by then.
pub async fn is_child() -> bool {
    let Ok(orders) = env::var(CHILD) else {
        return false;
    };
    let words: Vec<_> = orders.split(' ').collect();
    let users: usize = words[1].parse().unwrap();
    let db = open(words[2], 1, Pool::AndKept).await;
    match words[0] {
        "0" => list(&db, users).await,
        "1" => make_hosts(&db, users, 10_000).await,
        _ => make_hosts(&db, users, users).await,
    }
    println!("{}", peak_kilobytes());
    true
}

async fn list(db: &DatabaseConnection, users: usize) {
    let (mut seen, mut page) = (0, Accounts::all().limit(1_000).fetch(db).await.unwrap());
    loop {
        seen += page.accounts.len();
        let Some(next) = page.next else { break };
        page = Accounts::all()
            .limit(1_000)
            .after(next)
            .fetch(db)
            .await
            .unwrap();
    }
    assert_eq!(seen, users);
}

async fn make_hosts(db: &DatabaseConnection, users: usize, a_call: usize) {
    let mut new = 0;
    for first in (1..=users).step_by(a_call) {
        let ids: Vec<Uuid> = (first..=users).take(a_call).map(seeded_id).collect();
        new += become_hosts(db, &ids).await.unwrap().new.len();
    }
    // Every fifth was one already.
    assert_eq!(new, users - users / 5);
}

/// The high-water mark of resident memory, as Linux has it.
fn peak_kilobytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
