//! The peers on SQLite: one connection, a file in WAL mode, `synchronous = NORMAL` for everyone.

mod floor;
mod sqlx;

use guesthouse_migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    measure::{Rates, Size, Workload, one_after_the_other},
    peer::{PAGE, Peer},
    postgres::{self, Pool},
    statements::Statements,
};

/// Everyone who is measured on SQLite, in the order of the tables.
pub const PEERS: [&str; 4] = ["floor", "sqlx", "guesthouse", "seaorm"];

const SEEDED: usize = 20_000;

struct File {
    url: String,
    path: String,
    ids: Vec<Uuid>,
    _folder: TempDir,
}

impl File {
    async fn create() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peer.db").display().to_string();
        let url = format!("sqlite://{path}?mode=rwc");
        let db = open(&url).await;
        Migrator::up(&db, None).await.unwrap();
        let emails = (0..SEEDED)
            .map(|n| format!("{n}@example.com").parse().unwrap())
            .collect();
        let made = guesthouse::sign_up_all(&db, emails).await.unwrap().created;
        let mut ids: Vec<_> = made.iter().map(|account| account.user.id).collect();
        ids.sort();
        let hosts: Vec<_> = ids.iter().copied().step_by(5).collect();
        guesthouse::become_hosts(&db, &hosts).await.unwrap();
        db.close().await.unwrap();
        Self {
            url,
            path,
            ids,
            _folder: folder,
        }
    }
}

/// One connection, as everyone has it.
async fn open(url: &str) -> DatabaseConnection {
    let db = postgres::open(url, 1, Pool::AndKept).await;
    for pragma in ["PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL"] {
        db.execute_unprepared(pragma).await.unwrap();
    }
    db
}

/// Round by round, each beginning with another peer. Each opens its file anew in every round: which
/// of them has its threads and its memory where is chance, and would be chance for all rounds.
pub async fn rounds(size: Size) -> Rates {
    let heard = File::create().await;
    let sql = Statements::heard(&heard.url).await;
    let mut contestants = Vec::new();
    for name in PEERS {
        contestants.push((name, File::create().await));
    }
    let mut rates = Rates::new();
    for round in 0..=size.rounds {
        contestants.rotate_left(1);
        for (name, file) in &contestants {
            let peer = connect(name, file, &sql).await;
            for (workload, rate) in one_round(&*peer, file, round, size).await {
                if round > 0 {
                    rates.entry((workload, *name)).or_default().push(rate);
                }
            }
        }
    }
    rates
}

async fn connect(name: &str, file: &File, sql: &Statements) -> Box<dyn Peer> {
    match name {
        "floor" => Box::new(floor::Floor::open(&file.path)),
        "sqlx" => Box::new(sqlx::Sqlx::open(&file.url, sql.clone()).await),
        "guesthouse" => Box::new(postgres::Guesthouse(vec![open(&file.url).await])),
        "seaorm" => Box::new(postgres::SeaOrm(open(&file.url).await)),
        other => panic!("{other}"),
    }
}

async fn one_round(peer: &dyn Peer, file: &File, round: usize, size: Size) -> Vec<(Workload, f64)> {
    // Users who are not hosts yet: those between the seeded hosts, other ones each round.
    let others: Vec<_> = (0..SEEDED)
        .filter(|n| n % 5 != 0)
        .map(|n| file.ids[n])
        .collect();
    let fresh = &others[round * size.calls..][..size.calls];
    let mut rates = Vec::new();
    let sign_up = async |n: usize| peer.sign_up(0, format!("{round}-{n}@example.org")).await;
    rates.push((
        Workload::SignUp,
        one_after_the_other(size.calls, sign_up).await,
    ));
    let new = async |n: usize| assert!(peer.become_host(0, fresh[n]).await);
    rates.push((
        Workload::BecomeHost,
        one_after_the_other(size.calls, new).await,
    ));
    let again = async |n: usize| assert!(!peer.become_host(0, fresh[n]).await);
    rates.push((
        Workload::Again,
        one_after_the_other(size.calls, again).await,
    ));
    let page = async |n: usize| {
        let from = n * 7_919 % (SEEDED / 2);
        assert_eq!(peer.page(0, file.ids[from]).await.0, PAGE);
    };
    rates.push((Workload::Page, one_after_the_other(size.pages, page).await));
    rates
}
