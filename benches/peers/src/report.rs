//! What was measured, as a page and as pictures.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path, process::Command};

use crate::{
    distance,
    growth::{Costs, OPERATIONS},
    latency::{self, Latencies},
    measure::{Rates, Size, WORKLOADS, Workload, median},
    postgres::{self, shown},
    sqlite, verdict,
};

/// Everything that a run has measured.
pub struct Results {
    pub server: String,
    pub size: Size,
    pub trips: BTreeMap<(Workload, &'static str), f64>,
    pub postgres: Vec<(usize, Rates)>,
    pub distance: distance::Rates,
    pub latency: Latencies,
    pub pool: Vec<(&'static str, f64, f64)>,
    pub sqlite: Rates,
    pub sizes: Vec<usize>,
    pub growth: Costs,
    pub memory: Vec<(&'static str, usize, f64)>,
}

pub fn title(workload: Workload) -> &'static str {
    match workload {
        Workload::SignUp => "sign_up",
        Workload::BecomeHost => "become_host, from a user's id",
        Workload::Again => "become_host again",
        Workload::Page => "a page of 100 accounts",
        Workload::Bulk => "10,000 users made hosts, rows",
    }
}

impl Results {
    /// Writes the page and its pictures. Returns what Guesthouse has lost since the page that was there.
    pub fn write(&self, folder: &Path) -> Vec<String> {
        fs::create_dir_all(folder).unwrap();
        let (path, page) = (folder.join("benchmarks.md"), self.page());
        let before = fs::read_to_string(&path).unwrap_or_default();
        let losses = verdict::losses(&before, &page, self.noise());
        fs::write(path, &page).unwrap();
        fs::write(folder.join("benchmarks.svg"), self.bars()).unwrap();
        fs::write(folder.join("growth.svg"), self.lines()).unwrap();
        losses
    }

    fn page(&self) -> String {
        let mut page = include_str!("report/head.md")
            .replace("{machine}", &machine())
            .replace("{server}", &self.server)
            .replace("{versions}", &versions())
            .replace("{rounds}", &self.size.rounds.to_string())
            .replace("{verdicts}", &verdict::table(&self.postgres))
            .replace("{noise}", &format!("{:.0} %", 100.0 * self.noise()));
        for workload in WORKLOADS {
            self.table(&mut page, workload);
        }
        page += include_str!("report/distance.md");
        page += &distance::table(&self.distance);
        page += include_str!("report/latency.md");
        page += &latency::table(&self.latency);
        page += include_str!("report/pool.md");
        page += "\n| `become_host`, times the first | 1 connection | 8 connections |\n| --- | ---: | ---: |\n";
        for (name, one, eight) in &self.pool {
            writeln!(page, "| {name} | {one:.2} | {eight:.2} |").unwrap();
        }
        page += include_str!("report/sqlite.md");
        self.sqlite_table(&mut page);
        page += include_str!("report/growth.md");
        self.growth_table(&mut page);
        page += include_str!("report/memory.md");
        self.memory_table(&mut page);
        page
    }

    /// The middle of how far rounds lie from their median.
    fn noise(&self) -> f64 {
        let mut all = Vec::new();
        for (_, rates) in &self.postgres {
            for rounds in rates.values() {
                let middle = median(rounds);
                all.extend(rounds.iter().map(|rate| (rate / middle - 1.0).abs()));
            }
        }
        median(&all)
    }

    fn table(&self, page: &mut String, workload: Workload) {
        writeln!(page, "\n### {}\n", title(workload)).unwrap();
        *page +=
            "| | 1 connection | to Guesthouse | 8 connections | to Guesthouse | round trips |\n";
        *page += "| --- | ---: | ---: | ---: | ---: | ---: |\n";
        for name in postgres::PEERS {
            write!(page, "| {} ", shown(name)).unwrap();
            for (_, rates) in &self.postgres {
                let rate = median(&rates[&(workload, name)]);
                let ratio = rate / median(&rates[&(workload, "guesthouse")]);
                write!(page, "| {} /s | {ratio:.2} ", thousands(rate)).unwrap();
            }
            writeln!(page, "| {} |", thousands(self.trips[&(workload, name)])).unwrap();
        }
    }

    fn sqlite_table(&self, page: &mut String) {
        *page += "\n| ";
        let workloads = &WORKLOADS[..4];
        for workload in workloads {
            write!(page, "| {} | to Guesthouse ", title(*workload)).unwrap();
        }
        writeln!(
            page,
            "|\n| --- {}|",
            "| ---: | ---: ".repeat(workloads.len())
        )
        .unwrap();
        for name in sqlite::PEERS {
            write!(page, "| {} ", shown(name)).unwrap();
            for workload in workloads {
                let rate = median(&self.sqlite[&(*workload, name)]);
                let ratio = rate / median(&self.sqlite[&(*workload, "guesthouse")]);
                write!(page, "| {} /s | {ratio:.2} ", thousands(rate)).unwrap();
            }
            *page += "|\n";
        }
    }

    fn growth_table(&self, page: &mut String) {
        *page += "\n| µs, and times the first ";
        for users in &self.sizes {
            write!(page, "| {} users ", thousands(*users as f64)).unwrap();
        }
        writeln!(page, "|\n| --- {}|", "| ---: ".repeat(self.sizes.len())).unwrap();
        for operation in OPERATIONS {
            write!(page, "| {operation} ").unwrap();
            for users in &self.sizes {
                let (cost, times) = self.cost(operation, *users);
                write!(page, "| {cost:.0} · {times:.2} ").unwrap();
            }
            *page += "|\n";
        }
    }

    fn cost(&self, operation: &'static str, users: usize) -> (f64, f64) {
        let cost = |users| median(&self.growth[&(operation, users)]);
        (cost(users), cost(users) / cost(self.sizes[0]))
    }

    fn memory_table(&self, page: &mut String) {
        *page += "\n| MB at the peak | users | |\n| --- | ---: | ---: |\n";
        for (kind, users, peak) in &self.memory {
            writeln!(
                page,
                "| {kind} | {} | {peak:.0} |",
                thousands(*users as f64)
            )
            .unwrap();
        }
    }

    /// A group of bars for each workload, the longest of each group as wide as the picture.
    fn bars(&self) -> String {
        let (_, rates) = self.postgres.last().unwrap();
        let mut rows = String::new();
        let mut y = 50;
        for workload in WORKLOADS {
            let rate = |name| median(&rates[&(workload, name)]);
            let most = postgres::PEERS.map(rate).into_iter().fold(0.0, f64::max);
            writeln!(
                rows,
                r#"<text class="head" x="10" y="{y}">{}</text>"#,
                title(workload)
            )
            .unwrap();
            y += 10;
            for name in postgres::PEERS {
                let width = 430.0 * rate(name) / most;
                let class = if name == "guesthouse" { "own" } else { "bar" };
                let (text_y, text_x) = (y + 12, 200.0 + width);
                let figure = thousands(rate(name));
                writeln!(
                    rows,
                    r#"<text x="185" y="{text_y}" text-anchor="end">{}</text>
<rect class="{class}" x="192" y="{y}" width="{width:.0}" height="14"/>
<text x="{text_x:.0}" y="{text_y}">{figure}</text>"#,
                    shown(name)
                )
                .unwrap();
                y += 18;
            }
            y += 26;
        }
        let title = "per second at 8 connections, PostgreSQL; more is better";
        picture(title, 720, y, &rows)
    }

    /// Cost against rows, both as multiples of the smallest size.
    fn lines(&self) -> String {
        let steps = (self.sizes.len() - 1).max(1) as f64;
        let at = |n: usize, times: f64| (60.0 + 420.0 * n as f64 / steps, 340.0 - 140.0 * times);
        let mut lines = String::new();
        for times in [0.0, 0.5, 1.0, 1.5, 2.0] {
            let (_, y) = at(0, times);
            writeln!(
                lines,
                r#"<line class="grid" x1="60" x2="480" y1="{y:.0}" y2="{y:.0}"/>
<text x="50" y="{:.0}" text-anchor="end">{times}</text>"#,
                y + 4.0
            )
            .unwrap();
        }
        for (n, users) in self.sizes.iter().enumerate() {
            let (x, _) = at(n, 0.0);
            let label = thousands(*users as f64);
            writeln!(
                lines,
                r#"<text x="{x:.0}" y="360" text-anchor="middle">{label}</text>"#
            )
            .unwrap();
        }
        for (row, operation) in OPERATIONS.iter().enumerate() {
            let points: Vec<_> = (0..self.sizes.len())
                .map(|n| {
                    let (x, y) = at(n, self.cost(operation, self.sizes[n]).1.min(2.2));
                    format!("{x:.0},{y:.0}")
                })
                .collect();
            let (y, hue) = (60 + 22 * row, 30 * row);
            writeln!(
                lines,
                r#"<polyline points="{}" fill="none" stroke="hsl({hue}, 60%, 50%)" stroke-width="2"/>
<line x1="500" x2="520" y1="{y}" y2="{y}" stroke="hsl({hue}, 60%, 50%)" stroke-width="3"/>
<text x="528" y="{}">{operation}</text>"#,
                points.join(" "),
                y + 4
            )
            .unwrap();
        }
        picture(
            "cost by number of users, PostgreSQL; 1 is the smallest",
            760,
            380,
            &lines,
        )
    }
}

fn picture(title: &str, width: usize, height: usize, content: &str) -> String {
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">
<style>
text {{ fill: #333 }} .head {{ font-weight: bold; font-size: 13px }} .bar {{ fill: #9aa5b1 }}
.own {{ fill: #c2562d }} .grid {{ stroke: #8884 }}
@media (prefers-color-scheme: dark) {{ text {{ fill: #ddd }} .bar {{ fill: #66707c }} }}
</style>
<text class="head" x="10" y="20">{title}</text>
{content}</svg>
"#
    )
}

/// A whole number with its thousands apart.
pub fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = cpus
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let kernel = Command::new("uname").arg("-sr").output().unwrap();
    format!(
        "{cores} cores of {}, {}",
        model.map_or("an unnamed processor", |(_, name)| name.trim()),
        String::from_utf8_lossy(&kernel.stdout).trim()
    )
}

/// The versions of the crates, from the lock file of this program.
fn versions() -> String {
    let lock = include_str!("../Cargo.lock");
    let version = |name: &str| {
        let (_, rest) = lock
            .split_once(&format!("name = \"{name}\"\nversion = \""))
            .unwrap();
        format!("{name} {}", rest.split_once('"').unwrap().0)
    };
    let names = [
        "sea-orm",
        "sqlx",
        "tokio-postgres",
        "rusqlite",
        "diesel-async",
        "toasty",
    ];
    names.map(version).join(", ")
}
