//! Guesthouse side by side with what one would use instead, round by round in one run.

mod database;
mod measure;
mod peer;
mod postgres;
mod proxy;
mod sqlite;
mod statements;

use clap::Parser;

use measure::{Size, WORKLOADS, median};

#[derive(Parser)]
struct Arguments {
    /// One round of few calls: shows that everything runs, measures nothing.
    #[arg(long)]
    smoke: bool,
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// The server, on which databases are made.
    #[arg(long, env = "GUESTHOUSE_TEST_POSTGRES")]
    server: String,
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let arguments = Arguments::parse();
    let size = if arguments.smoke {
        Size { rounds: 1, calls: 20, pages: 5, bulk: 200 }
    } else {
        Size { rounds: arguments.rounds, calls: 400, pages: 100, bulk: 10_000 }
    };
    let home = database::Home::create(&arguments.server, "peer_heard").await;
    let sql = statements::Statements::heard(&home.url).await;
    let trips = measure::round_trips(&arguments.server, &sql).await;
    for connections in [1, 8] {
        let rates =
            measure::rounds(&arguments.server, &measure::everyone(&sql), connections, size).await;
        for workload in WORKLOADS {
            println!("{workload:?} at {connections}");
            let own = median(&rates[&(workload, "guesthouse")]);
            for name in postgres::PEERS {
                let all = &rates[&(workload, name)];
                let middle = median(all);
                println!(
                    "  {name:<26} {middle:>9.0} /s  x{:.2}  {:?} trips",
                    middle / own,
                    trips[&(workload, name)]
                );
            }
        }
    }
}
