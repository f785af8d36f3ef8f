//! How Guesthouse compares with the best of the others, in one table, and what has changed since the page
//! that is there.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{
    measure::{Rates, WORKLOADS, Workload, median},
    postgres::{AS_THEY_COME, PEERS, TUNED, shown},
    report::title,
};

/// A row for each workload: Guesthouse to the best of the others, and a held connection to the floor.
pub fn table(postgres: &[(usize, Rates)]) -> String {
    let mut table = String::from("| ");
    for (connections, _) in postgres {
        let on = match connections {
            1 => "1 connection".to_owned(),
            several => format!("{several} connections"),
        };
        write!(
            table,
            "| {on}, tuned | as the pools come | `Session` to the floor "
        )
        .unwrap();
    }
    writeln!(
        table,
        "|\n| --- {}|",
        "| --- | --- | ---: ".repeat(postgres.len())
    )
    .unwrap();
    for workload in WORKLOADS {
        write!(table, "| {} ", title(workload)).unwrap();
        for (_, rates) in postgres {
            let rate = |name| median(&rates[&(workload, name)]);
            let of_floor = rate("guesthouse, held") / rate("floor");
            let tuned = to_the_best(rates, workload, &TUNED);
            let default = to_the_best(rates, workload, &AS_THEY_COME);
            write!(table, "| {tuned} | {default} | {of_floor:.2} ").unwrap();
        }
        table += "|\n";
    }
    table
}

/// How the first of `peers` compares with the best of the others.
fn to_the_best(rates: &Rates, workload: Workload, peers: &[&'static str]) -> String {
    let rate = |name: &'static str| median(&rates[&(workload, name)]);
    let best = peers[1..].iter().max_by(|a, b| rate(a).total_cmp(&rate(b)));
    let best = best.unwrap();
    let name = shown(best.split(',').next().unwrap());
    format!("{:.2} × {name}", rate(peers[0]) / rate(best))
}

/// Calls per second of a page: by heading and row, at each number of connections.
type Cells = BTreeMap<(String, String), Vec<f64>>;

fn cells(page: &str) -> Cells {
    let mut cells = Cells::new();
    let mut heading = "";
    for line in page.lines() {
        if line.starts_with('#') {
            heading = line.trim_start_matches(['#', ' ']);
        }
        let columns: Vec<_> = line.split('|').map(str::trim).collect();
        let rates: Vec<f64> = columns
            .iter()
            .filter_map(|column| column.strip_suffix(" /s")?.replace(',', "").parse().ok())
            .collect();
        if !rates.is_empty() {
            cells.insert((heading.to_owned(), columns[1].to_owned()), rates);
        }
    }
    cells
}

/// What Guesthouse lost against the floor since the page `before`, beyond a tenth and the noise. Prints
/// every ratio that has moved by more than the noise.
pub fn losses(before: &str, after: &str, noise: f64) -> Vec<String> {
    let (before, after) = (cells(before), cells(after));
    let mut losses = Vec::new();
    for workload in WORKLOADS {
        for name in PEERS.iter().filter(|name| name.starts_with("guesthouse")) {
            let ratios = |cells: &Cells| {
                let of = |name: &str| {
                    cells
                        .get(&(title(workload).to_owned(), shown(name)))
                        .cloned()
                };
                let (own, floor) = (of(name)?, of("floor")?);
                Some(
                    own.iter()
                        .zip(floor)
                        .map(|(own, floor)| own / floor)
                        .collect::<Vec<_>>(),
                )
            };
            let (Some(old), Some(new)) = (ratios(&before), ratios(&after)) else {
                continue;
            };
            for (n, (old, new)) in old.into_iter().zip(new).enumerate() {
                let moved = format!(
                    "{}, {}, {} connections: {old:.2} of the floor before, {new:.2} now",
                    title(workload),
                    shown(name),
                    [1, 8][n]
                );
                if (new / old - 1.0).abs() > noise {
                    eprintln!("{moved}");
                }
                if new / old < 0.9 - noise {
                    losses.push(moved);
                }
            }
        }
    }
    losses
}
