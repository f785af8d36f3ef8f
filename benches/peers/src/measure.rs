//! Rounds in which everyone does everything.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use uuid::Uuid;

use crate::{
    database::{Home, SEEDED, seeded_id},
    peer::{BulkPeer, PAGE},
    postgres,
    proxy::Counter,
    statements::Statements,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Workload {
    SignUp,
    BecomeHost,
    Again,
    Page,
    Bulk,
}

pub const WORKLOADS: [Workload; 5] = [
    Workload::SignUp,
    Workload::BecomeHost,
    Workload::Again,
    Workload::Page,
    Workload::Bulk,
];

/// How much is done in a slice of a round, by each caller.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub rounds: usize,
    pub calls: usize,
    pub pages: usize,
    pub bulk: usize,
}

/// Operations, pages or rows per second, one figure a round.
pub type Rates = BTreeMap<(Workload, &'static str), Vec<f64>>;

struct Contestant {
    name: &'static str,
    peer: Arc<dyn BulkPeer>,
    home: Home,
}

/// Lets the peers go round by round, each beginning with another one.
pub async fn rounds(
    server: &str,
    peers: &[(&'static str, Connect)],
    connections: usize,
    size: Size,
) -> Rates {
    let mut contestants = Vec::new();
    for (n, (name, connect)) in peers.iter().enumerate() {
        let home = Home::create(server, &format!("peer_{connections}_{n}")).await;
        let peer = connect(home.url.clone(), connections).await;
        contestants.push(Contestant { name, peer, home });
    }
    let mut rates = Rates::new();
    // The first round warms up: caches, plans, the processor's clock.
    for round in 0..=size.rounds {
        contestants.rotate_left(1);
        for contestant in &contestants {
            let measured = one_round(contestant, connections, round, size).await;
            if round > 0 {
                for (workload, rate) in measured {
                    rates
                        .entry((workload, contestant.name))
                        .or_default()
                        .push(rate);
                }
            }
        }
    }
    rates
}

/// Connects a peer to a database.
pub type Connect = Box<dyn Fn(String, usize) -> BoxFuture<Arc<dyn BulkPeer>>>;
pub type BoxFuture<T> = std::pin::Pin<Box<dyn Future<Output = T>>>;

/// All peers of the comparison.
pub fn everyone(sql: &Statements) -> Vec<(&'static str, Connect)> {
    let connect = |name: &'static str| {
        let sql = sql.clone();
        let connect: Connect = Box::new(move |url, connections| {
            let sql = sql.clone();
            Box::pin(async move {
                postgres::connect(name, &url, connections, &sql)
                    .await
                    .into()
            })
        });
        (name, connect)
    };
    postgres::PEERS.map(connect).into()
}

async fn one_round(
    Contestant { name, peer, home }: &Contestant,
    connections: usize,
    round: usize,
    size: Size,
) -> Vec<(Workload, f64)> {
    let Size {
        calls, pages, bulk, ..
    } = size;
    home.clean().await;
    let users = home.fresh_users(2 * round, connections * calls).await;
    let many = home.fresh_users(2 * round + 1, connections * bulk).await;
    let (users, many) = (Arc::new(users), Arc::new(many));
    let before = (home.count("users").await, home.count("hosts").await);
    let mut rates = Vec::new();

    let time = all_at_once(peer, connections, move |peer, caller| async move {
        for n in 0..calls {
            peer.sign_up(caller, format!("{round}-{caller}-{n}@example.org"))
                .await;
        }
    });
    rates.push((Workload::SignUp, rate(connections * calls, time.await)));

    for (workload, expected) in [(Workload::BecomeHost, true), (Workload::Again, false)] {
        let users = users.clone();
        let time = all_at_once(peer, connections, move |peer, caller| {
            let users = users.clone();
            async move {
                for user_id in &users[caller * calls..][..calls] {
                    assert_eq!(peer.become_host(caller, *user_id).await, expected);
                }
            }
        });
        rates.push((workload, rate(connections * calls, time.await)));
    }

    let time = all_at_once(peer, connections, move |peer, caller| async move {
        for n in 0..pages {
            // Scattered over the table by a step that has no divisor in common with it.
            let from = (caller * pages + n) * 7_919 % (SEEDED - 2 * PAGE);
            let page = peer.page(caller, seeded_id(from)).await;
            assert_eq!(page, (PAGE, PAGE / 5));
        }
    });
    rates.push((Workload::Page, rate(connections * pages, time.await)));

    let time = all_at_once(peer, connections, move |peer, caller| {
        let many = many.clone();
        async move {
            let new = peer
                .become_hosts(caller, &many[caller * bulk..][..bulk])
                .await;
            assert_eq!(new, bulk);
        }
    });
    rates.push((Workload::Bulk, rate(connections * bulk, time.await)));

    let (users, hosts) = (connections * calls, connections * (calls + bulk));
    let after = (home.count("users").await, home.count("hosts").await);
    assert_eq!(after, (before.0 + users, before.1 + hosts), "{name}");
    rates
}

/// One call of a workload that is one call, with the answer that it has to give.
pub async fn call(
    peer: &dyn BulkPeer,
    workload: Workload,
    caller: usize,
    email: String,
    user_id: Uuid,
) {
    match workload {
        Workload::SignUp => peer.sign_up(caller, email).await,
        workload => {
            let new = peer.become_host(caller, user_id).await;
            assert_eq!(new, workload == Workload::BecomeHost);
        }
    }
}

/// So many calls per second, from one caller.
pub async fn one_after_the_other(calls: usize, call: impl AsyncFn(usize)) -> f64 {
    let begun = Instant::now();
    for n in 0..calls {
        call(n).await;
    }
    rate(calls, begun.elapsed())
}

pub fn rate(operations: usize, time: Duration) -> f64 {
    operations as f64 / time.as_secs_f64()
}

/// So many callers, each in a task of its own; the time until the last is done.
pub async fn all_at_once<F, Fut>(peer: &Arc<dyn BulkPeer>, callers: usize, work: F) -> Duration
where
    F: Fn(Arc<dyn BulkPeer>, usize) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let begun = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| tokio::spawn(work(peer.clone(), caller)))
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    begun.elapsed()
}

/// Round trips to the server per operation, everything included.
pub async fn round_trips(
    server: &str,
    sql: &Statements,
) -> BTreeMap<(Workload, &'static str), f64> {
    const CALLS: usize = 20;
    const MANY: usize = 10_000;
    let mut all = BTreeMap::new();
    for (name, connect) in everyone(sql) {
        let home = Home::create(server, "peer_counted").await;
        let (counter, url) = Counter::of(&home.url, Duration::ZERO).await;
        let peer = connect(url, 1).await;
        let users = home.fresh_users(0, 2 * CALLS).await;
        let many = home.fresh_users(1, MANY + 1).await;
        for workload in WORKLOADS {
            let one = async |n: usize| match workload {
                Workload::SignUp => peer.sign_up(0, format!("{n}@example.org")).await,
                Workload::BecomeHost => assert!(peer.become_host(0, users[n]).await),
                Workload::Again => assert!(!peer.become_host(0, users[n]).await),
                Workload::Page => assert_eq!(peer.page(0, Uuid::nil()).await.0, PAGE),
                Workload::Bulk => unreachable!(),
            };
            // What is prepared once is not counted.
            let counted = if workload == Workload::Bulk {
                peer.become_hosts(0, &many[..1]).await;
                let before = counter.so_far();
                peer.become_hosts(0, &many[1..]).await;
                quiet(&counter).await - before
            } else {
                for n in 0..CALLS {
                    one(n).await;
                }
                let before = quiet(&counter).await;
                for n in CALLS..2 * CALLS {
                    one(n).await;
                }
                (quiet(&counter).await - before) / CALLS
            };
            all.insert((workload, name), counted as f64);
        }
    }
    all
}

/// The count once what was sent in the background has been answered.
async fn quiet(counter: &Counter) -> usize {
    let mut count = counter.so_far();
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    loop {
        ticks.tick().await;
        ticks.tick().await;
        let now = counter.so_far();
        if now == count {
            return count;
        }
        count = now;
    }
}

pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
