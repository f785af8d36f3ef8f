//! The peers on PostgreSQL.

mod diesel;
mod floor;
mod guesthouse;
mod seaorm;
mod sqlx;
mod toasty;

pub use floor::BECOME_HOSTS;
pub use guesthouse::{Guesthouse, Pool, open};
pub use seaorm::SeaOrm;
pub use sqlx::{Sqlx, become_host_on};

use self::diesel::{Diesel, Recycling};
use crate::{peer::BulkPeer, statements::Statements};

/// Everyone, in the order of the tables: those who hold a connection, those whose pool is tuned, and
/// those whose pool is as it comes.
pub const PEERS: [&str; 11] = [
    "floor",
    "guesthouse, held",
    "sqlx",
    "guesthouse",
    "seaorm",
    "diesel",
    "toasty",
    "sqlx, default pool",
    "guesthouse, default pool",
    "seaorm, default pool",
    "diesel, default pool",
];

/// Those who do the same job under the same conditions, which decides who is first.
pub const TUNED: [&str; 4] = ["guesthouse", "seaorm", "diesel", "toasty"];
pub const AS_THEY_COME: [&str; 4] = [
    "guesthouse, default pool",
    "seaorm, default pool",
    "diesel, default pool",
    "toasty",
];

/// Connects a peer by its name.
pub async fn connect(
    name: &str,
    url: &str,
    connections: usize,
    sql: &Statements,
) -> Box<dyn BulkPeer> {
    let (peer, pool) = match name.split_once(", ") {
        Some((peer, _)) => (peer, Pool::Default),
        None => (name, Pool::AndKept),
    };
    match peer {
        "floor" => Box::new(floor::Floor::connect(url, connections).await),
        "guesthouse" if name.ends_with("held") => {
            Box::new(Guesthouse::hold(url, connections).await)
        }
        "guesthouse" => Box::new(Guesthouse::connect(url, connections, pool).await),
        "sqlx" => Box::new(Sqlx::connect(url, connections, pool, sql.clone()).await),
        "seaorm" => Box::new(SeaOrm::connect(url, connections, pool).await),
        "diesel" => {
            let recycling = match pool {
                Pool::Default => Recycling::Verified,
                _ => Recycling::Fast,
            };
            Box::new(Diesel::connect(url, connections, recycling).await)
        }
        "toasty" => Box::new(toasty::Toasty::connect(url, connections).await),
        other => panic!("{other}"),
    }
}

/// What a reader calls a peer.
pub fn shown(name: &str) -> String {
    let (peer, how) = name.split_once(", ").unwrap_or((name, ""));
    let peer = match peer {
        "floor" => "floor, no pool",
        "sqlx" => "sqlx, same SQL",
        "guesthouse" => "Guesthouse",
        "seaorm" => "SeaORM by its docs",
        "diesel" => "diesel-async",
        "toasty" => "Toasty",
        other => other,
    };
    match how {
        "" => peer.to_owned(),
        "held" => format!("{peer}, `Session`"),
        how => format!("{peer}, {how}"),
    }
}
