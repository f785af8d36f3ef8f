//! Guesthouse side by side with what one would use instead, round by round in one run.

mod database;
mod distance;
mod growth;
mod latency;
mod measure;
mod memory;
mod peer;
mod pool;
mod postgres;
mod proxy;
mod report;
mod sqlite;
mod statements;
mod verdict;

use std::path::PathBuf;

use clap::Parser;

use database::Home;
use measure::Size;
use report::Results;

#[derive(Parser)]
struct Arguments {
    /// One round of few calls: shows that everything runs, and measures nothing.
    #[arg(long)]
    smoke: bool,
    /// Prints the tables of distances and latencies, and nothing else.
    #[arg(long)]
    only_latency: bool,
    /// More would use up the smallest number of users of the growth table.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u8).range(1..=11))]
    rounds: u8,
    /// Numbers of users of the growth table.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "10000,100000,1000000,10000000"
    )]
    sizes: Vec<usize>,
    /// The folder that the page and the pictures are written to.
    #[arg(long)]
    docs: PathBuf,
    /// The server, on which databases are made.
    #[arg(long, env = "GUESTHOUSE_TEST_POSTGRES")]
    server: String,
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    if memory::is_child().await {
        return;
    }
    let Arguments {
        smoke,
        only_latency,
        rounds,
        mut sizes,
        docs,
        server,
    } = Arguments::parse();
    let mut size = Size {
        rounds: rounds.into(),
        calls: 800,
        pages: 300,
        bulk: 10_000,
    };
    let (mut growth_calls, mut memory_sizes) = (100, vec![10_000, 100_000, 1_000_000]);
    if smoke {
        size = Size {
            rounds: 1,
            calls: 20,
            pages: 5,
            bulk: 200,
        };
        (growth_calls, sizes, memory_sizes) = (10, vec![5_000, 10_000], vec![2_000]);
    }

    let home = Home::create(&server, "peer_heard").await;
    let sql = statements::Statements::heard(&home.url).await;
    let version = home
        .ask("SELECT 'PostgreSQL ' || current_setting('server_version')")
        .await;
    if only_latency {
        let once = Size { rounds: 1, ..size };
        let peers = measure::everyone(&sql);
        let saturation = measure::rounds(&server, &peers, 8, once).await;
        let distance = distance::rounds(&server, &sql, size).await;
        let latency = latency::rounds(&server, &sql, &saturation, size).await;
        print!("{}{}", distance::table(&distance), latency::table(&latency));
        return;
    }
    eprintln!("round trips");
    let trips = measure::round_trips(&server, &sql).await;
    let mut postgres = Vec::new();
    for connections in [1, 8] {
        eprintln!("peers at {connections}");
        let peers = measure::everyone(&sql);
        postgres.push((
            connections,
            measure::rounds(&server, &peers, connections, size).await,
        ));
    }
    eprintln!("at a distance");
    let distance = distance::rounds(&server, &sql, size).await;
    eprintln!("latency");
    let (_, saturation) = postgres.last().unwrap();
    let latency = latency::rounds(&server, &sql, saturation, size).await;
    eprintln!("the pool");
    let pool = pool::rounds(&server, &sql, size).await;
    eprintln!("SQLite");
    let sqlite = sqlite::rounds(size).await;
    eprintln!("growth");
    let growth = growth::rounds(&server, &sizes, size.rounds, growth_calls).await;
    eprintln!("memory");
    let memory = memory::peaks(&server, &memory_sizes).await;

    let results = Results {
        server: version,
        size,
        trips,
        postgres,
        distance,
        latency,
        pool,
        sqlite,
        sizes,
        growth,
        memory,
    };
    let losses = results.write(&docs);
    if !losses.is_empty() && !smoke {
        eprintln!("slower than before:\n{}", losses.join("\n"));
        std::process::exit(1);
    }
}
