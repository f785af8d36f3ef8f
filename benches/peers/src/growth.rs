//! What each operation costs at ten thousand users and at many more.

use std::{collections::BTreeMap, time::Instant};

use guesthouse::{
    Account, Accounts, Email, become_host, become_hosts, change_email, delete_user, sign_up,
    sign_up_all, stop_hosting,
};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, Statement, Value, sea_query::ArrayType,
};
use uuid::Uuid;

use crate::{
    database::{Home, seeded_id},
    postgres::{BECOME_HOSTS, Pool, open},
};

pub const OPERATIONS: [&str; 13] = [
    "sign_up",
    "become_host",
    "become_host again",
    "Account::find",
    "Account::find_by_email",
    "a page of 100",
    "change_email",
    "stop_hosting",
    "delete_user",
    "sign_up_all, each of 500",
    "become_hosts, each of these",
    "become_hosts, each of 250 scattered",
    "a plain INSERT, each of 250 scattered",
];

const BULK: usize = 500;
const SCATTERED: usize = 250;

/// Microseconds of each operation, one figure a round.
pub type Costs = BTreeMap<(&'static str, usize), Vec<f64>>;

struct Field {
    users: usize,
    db: DatabaseConnection,
    _home: Home,
    /// Users who have not been used up yet.
    next: usize,
}

impl Field {
    async fn create(server: &str, users: usize) -> Self {
        let home = Home::of_size(server, &format!("growth_{users}"), users).await;
        let db = open(&home.url, 1, Pool::AndKept).await;
        warm(&db).await;
        Self {
            users,
            db,
            _home: home,
            next: 0,
        }
    }

    /// A user who is not a host, another one each time, scattered over the table.
    fn fresh(&mut self) -> Uuid {
        loop {
            // The step has no divisor in common with the size, so nobody comes twice.
            let n = self.next * 7_919 % self.users + 1;
            self.next += 1;
            assert!(self.next < self.users, "the smallest size is used up");
            if !n.is_multiple_of(5) {
                return seeded_id(n);
            }
        }
    }
}

/// Lets the server's process of this connection touch every page, as one that has served for a day
/// has. The first touch of a page is a page fault, which costs as much as all else in a look-up.
async fn warm(db: &DatabaseConnection) {
    let set = async |what: &str| db.execute_unprepared(what).await.unwrap();
    set("SET jit = off; SET max_parallel_workers_per_gather = 0").await;
    for table in ["users", "guests", "hosts"] {
        set(&format!("SELECT count(xmin) FROM {table}")).await;
    }
    set("SET enable_seqscan = off").await;
    for (table, column) in [
        ("users", "id"),
        ("users", "email"),
        ("guests", "id"),
        ("guests", "user_id"),
        ("hosts", "id"),
        ("hosts", "user_id"),
    ] {
        let sql =
            format!("SELECT count({column}) FROM (SELECT {column} FROM {table} ORDER BY 1) AS t");
        set(&sql).await;
    }
    set("RESET ALL").await;
}

/// The sizes take turns, so that the noise of the machine hits all of them.
pub async fn rounds(server: &str, sizes: &[usize], rounds: usize, calls: usize) -> Costs {
    let mut fields = Vec::new();
    for users in sizes {
        fields.push(Field::create(server, *users).await);
    }
    let mut costs = Costs::new();
    for round in 0..=rounds {
        fields.rotate_left(1);
        for field in &mut fields {
            for (operation, cost) in one_round(field, round, calls).await {
                if round > 0 {
                    costs
                        .entry((operation, field.users))
                        .or_default()
                        .push(cost);
                }
            }
        }
    }
    costs
}

async fn one_round(field: &mut Field, round: usize, calls: usize) -> Vec<(&'static str, f64)> {
    let ids: Vec<_> = (0..calls).map(|_| field.fresh()).collect();
    let [scattered, others] =
        [(); 2].map(|()| (0..SCATTERED).map(|_| field.fresh()).collect::<Vec<_>>());
    let db = &field.db;
    let address = |user_id: Uuid| -> Email { format!("{user_id}@example.com").parse().unwrap() };
    let mut costs = Vec::new();
    let mut costs_of = |operation, cost| costs.push((operation, cost));

    costs_of(
        OPERATIONS[0],
        each(calls, async |n| {
            let email: Email = format!("{round}-{n}@example.org").parse().unwrap();
            sign_up(db, email).await.unwrap();
        })
        .await,
    );
    costs_of(
        OPERATIONS[1],
        each(calls, async |n| {
            assert!(become_host(db, ids[n]).await.unwrap().is_new());
        })
        .await,
    );
    costs_of(
        OPERATIONS[2],
        each(calls, async |n| {
            assert!(!become_host(db, ids[n]).await.unwrap().is_new());
        })
        .await,
    );
    costs_of(
        OPERATIONS[3],
        each(calls, async |n| {
            assert!(Account::find(db, ids[n]).await.unwrap().unwrap().is_host());
        })
        .await,
    );
    costs_of(
        OPERATIONS[4],
        each(calls, async |n| {
            let found = Account::find_by_email(db, &address(ids[n])).await.unwrap();
            assert_eq!(found.unwrap().user.id, ids[n]);
        })
        .await,
    );
    costs_of(
        OPERATIONS[5],
        each(calls, async |n| {
            let page = Accounts::all()
                .after(ids[n])
                .limit(100)
                .fetch(db)
                .await
                .unwrap();
            assert!(!page.accounts.is_empty());
        })
        .await,
    );
    costs_of(
        OPERATIONS[6],
        each(calls, async |n| {
            let email: Email = format!("moved-{round}-{n}@example.org").parse().unwrap();
            change_email(db, ids[n], email).await.unwrap();
        })
        .await,
    );
    costs_of(
        OPERATIONS[7],
        each(calls, async |n| {
            assert!(stop_hosting(db, ids[n]).await.unwrap().is_some());
        })
        .await,
    );
    costs_of(
        OPERATIONS[8],
        each(calls, async |n| {
            delete_user(db, ids[n]).await.unwrap();
        })
        .await,
    );
    let emails = (0..BULK).map(|n| format!("bulk-{round}-{n}@example.org").parse());
    let emails: Vec<Email> = emails.collect::<Result<_, _>>().unwrap();
    let begun = Instant::now();
    let people = sign_up_all(db, emails).await.unwrap().created;
    costs_of(OPERATIONS[9], since(begun) / BULK as f64);
    let people: Vec<_> = people.iter().map(|account| account.user.id).collect();
    for (operation, ids) in [(OPERATIONS[10], people), (OPERATIONS[11], scattered)] {
        let begun = Instant::now();
        let made = become_hosts(db, &ids).await.unwrap();
        costs_of(operation, since(begun) / ids.len() as f64);
        assert_eq!(made.new.len(), ids.len());
    }
    let begun = Instant::now();
    insert_hosts(db, &others).await;
    costs_of(OPERATIONS[12], since(begun) / others.len() as f64);
    costs
}

/// The least that a server does for this many hosts, on the connection of the other operations.
async fn insert_hosts(db: &DatabaseConnection, user_ids: &[Uuid]) {
    let array = |ids: Vec<Uuid>| {
        let ids = ids.into_iter().map(Value::from).collect();
        Value::Array(ArrayType::Uuid, Some(Box::new(ids)))
    };
    let ids = user_ids.iter().map(|_| Uuid::now_v7()).collect();
    let values = [array(ids), array(user_ids.to_vec())];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, BECOME_HOSTS, values);
    let made = db.execute_raw(statement).await.unwrap();
    assert_eq!(made.rows_affected(), user_ids.len() as u64);
}

/// Microseconds of one call.
async fn each(calls: usize, call: impl AsyncFn(usize)) -> f64 {
    let begun = Instant::now();
    for n in 0..calls {
        call(n).await;
    }
    since(begun) / calls as f64
}

fn since(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e6
}
