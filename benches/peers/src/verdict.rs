//! Who is first where, in a few lines, and what has changed since the page that is there.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{
    measure::{Rates, WORKLOADS, Workload, median},
    postgres::{AS_THEY_COME, PEERS, TUNED, shown},
    report::title,
};

/// A line for each workload.
pub fn lines(postgres: &[(usize, Rates)]) -> String {
    let mut lines = String::new();
    for workload in WORKLOADS {
        write!(lines, "- **{}**: ", title(workload)).unwrap();
        let mut parts = Vec::new();
        for (connections, rates) in postgres {
            let tuned = place(rates, workload, &TUNED);
            let default = place(rates, workload, &AS_THEY_COME);
            let rate = |name| median(&rates[&(workload, name)]);
            let of_floor = rate("guesthouse, held") / rate("floor");
            parts.push(format!(
                "at {connections} {tuned} tuned, {default} as the pools come, and {of_floor:.2} of the \
                 floor on a `Session`"
            ));
        }
        writeln!(lines, "{}.", parts.join("; ")).unwrap();
    }
    lines
}

/// Where Guesthouse, the first of `peers`, stands among them, and by how much.
fn place(rates: &Rates, workload: Workload, peers: &[&'static str]) -> String {
    let rate = |name: &'static str| median(&rates[&(workload, name)]);
    let own = rate(peers[0]);
    let (best, rival) = peers[1..]
        .iter()
        .map(|name| (rate(name), *name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .unwrap();
    let rival = shown(rival.split(',').next().unwrap());
    match own / best {
        ratio if ratio >= 1.0 => format!("first, {ratio:.2} of {rival},"),
        ratio => format!("behind {rival}, {ratio:.2} of it,"),
    }
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
