//! How long a caller waits, at half of what a peer can do: calls arrive on a schedule, whether the calls
//! before them have ended or not, and the time that a call waits for its turn counts.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::mpsc::unbounded_channel};

use crate::{
    database::Home,
    distance::WORKLOADS,
    measure::{Rates, Size, Workload, call, everyone, median},
    postgres::{PEERS, shown},
    report::{thousands, title},
    statements::Statements,
};

const CONNECTIONS: usize = 8;

/// Microseconds of the call in the middle, and of the slowest but one in a hundred.
pub type Latencies = BTreeMap<(Workload, &'static str), (f64, f64)>;

/// `saturation` is what each peer does at eight connections.
pub async fn rounds(server: &str, sql: &Statements, saturation: &Rates, size: Size) -> Latencies {
    let mut latencies = Latencies::new();
    for (name, connect) in everyone(sql) {
        let home = Home::create(server, "peer_open").await;
        let peer = connect(home.url.clone(), CONNECTIONS).await;
        let calls = 5 * size.calls;
        // The first of each warms up.
        for round in 0..2 {
            let users = Arc::new(home.fresh_users(round, calls).await);
            for workload in WORKLOADS {
                let half = median(&saturation[&(workload, name)]) / 2.0;
                let pause = Duration::from_secs_f64(1.0 / half);
                let (peer, users) = (peer.clone(), users.clone());
                let mut waits = on_schedule(calls, pause, move |n| {
                    let (peer, users) = (peer.clone(), users.clone());
                    async move {
                        let email = format!("{round}-{n}@example.net");
                        call(&*peer, workload, n % CONNECTIONS, email, users[n]).await;
                    }
                })
                .await;
                waits.sort_by(f64::total_cmp);
                let at = |share: usize| waits[(calls - 1) * share / 100];
                latencies.insert((workload, name), (at(50), at(99)));
            }
        }
    }
    latencies
}

/// Microseconds from the moment at which each call was to begin to its end.
#[expect(clippy::disallowed_methods, reason = "a schedule is kept by the clock")]
async fn on_schedule<F, Fut>(calls: usize, pause: Duration, call: F) -> Vec<f64>
where
    F: Fn(usize) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (end, mut ends) = unbounded_channel();
    let runtime = Handle::current();
    // tokio's timers know milliseconds only.
    thread::spawn(move || {
        let begun = Instant::now();
        for n in 0..calls {
            let due = begun + pause * n.try_into().unwrap();
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let (call, end) = (call(n), end.clone());
            runtime.spawn(async move {
                call.await;
                end.send(due.elapsed().as_secs_f64() * 1e6).unwrap();
            });
        }
    });
    let mut waits = Vec::new();
    while let Some(wait) = ends.recv().await {
        waits.push(wait);
    }
    assert_eq!(waits.len(), calls);
    waits
}

/// A row for each peer, two columns for each workload.
pub fn table(latencies: &Latencies) -> String {
    let mut page = String::new();
    page += "\n| µs ";
    for workload in WORKLOADS {
        let title = title(workload).split(',').next().unwrap();
        write!(page, "| {title}, p50 | p99 ").unwrap();
    }
    let columns = 2 * WORKLOADS.len();
    writeln!(page, "|\n| --- {}|", "| ---: ".repeat(columns)).unwrap();
    for name in PEERS {
        write!(page, "| {} ", shown(name)).unwrap();
        for workload in WORKLOADS {
            let (middle, slow) = latencies[&(workload, name)];
            write!(page, "| {} | {} ", thousands(middle), thousands(slow)).unwrap();
        }
        page += "|\n";
    }
    page
}
