//! The peers half a millisecond away from their server, where round trips are what counts.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc, time::Duration};

use crate::{
    database::Home,
    measure::{Size, Workload, all_at_once, call, everyone, median, rate},
    postgres::{PEERS, shown},
    proxy::Counter,
    report::{thousands, title},
    statements::Statements,
};

pub const LATENCY: Duration = Duration::from_micros(500);

pub const WORKLOADS: [Workload; 3] = [Workload::SignUp, Workload::BecomeHost, Workload::Again];

/// Callers, and connections for them.
pub const SETTINGS: [(usize, usize); 3] = [(1, 1), (8, 8), (8, 16)];

/// Calls per second.
pub type Rates = BTreeMap<(Workload, &'static str, (usize, usize)), f64>;

pub async fn rounds(server: &str, sql: &Statements, size: Size) -> Rates {
    let mut rates = Rates::new();
    for (name, connect) in everyone(sql) {
        for (callers, connections) in SETTINGS {
            let home = Home::create(server, "peer_distant").await;
            let (_proxy, url) = Counter::of(&home.url, LATENCY).await;
            let peer = connect(url, connections).await;
            let mut measured = BTreeMap::<_, Vec<f64>>::new();
            // The first round connects and prepares.
            for round in 0..=size.rounds.min(3) {
                let calls = size.calls / 4;
                let users = Arc::new(home.fresh_users(round, callers * calls).await);
                for workload in WORKLOADS {
                    let users = users.clone();
                    let time = all_at_once(&peer, callers, move |peer, caller| {
                        let users = users.clone();
                        async move {
                            for n in 0..calls {
                                let email = format!("{round}-{caller}-{n}@example.org");
                                let user_id = users[caller * calls + n];
                                call(&*peer, workload, caller, email, user_id).await;
                            }
                        }
                    });
                    let rate = rate(callers * calls, time.await);
                    if round > 0 {
                        measured.entry(workload).or_default().push(rate);
                    }
                }
            }
            for (workload, figures) in measured {
                let key = (workload, name, (callers, connections));
                rates.insert(key, median(&figures));
            }
        }
    }
    rates
}

/// A row for each peer, a column for each workload and setting.
pub fn table(rates: &Rates) -> String {
    let mut page = String::new();
    page += "\n| calls per second ";
    for workload in WORKLOADS {
        for (callers, connections) in SETTINGS {
            let title = title(workload).split(',').next().unwrap();
            write!(page, "| {title}, {callers} on {connections} ").unwrap();
        }
    }
    let columns = WORKLOADS.len() * SETTINGS.len();
    writeln!(page, "|\n| --- {}|", "| ---: ".repeat(columns)).unwrap();
    for name in PEERS {
        write!(page, "| {} ", shown(name)).unwrap();
        for workload in WORKLOADS {
            for setting in SETTINGS {
                let rate = rates[&(workload, name, setting)];
                write!(page, "| {} ", thousands(rate)).unwrap();
            }
        }
        page += "|\n";
    }
    page
}
