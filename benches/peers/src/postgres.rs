//! The peers on PostgreSQL.

mod diesel;
mod floor;
mod guesthouse;
mod seaorm;
mod sqlx;
mod toasty;

pub use guesthouse::{Guesthouse, Pool, options};
pub use seaorm::SeaOrm;
pub use sqlx::{Sqlx, become_host_on};

use crate::{peer::BulkPeer, statements::Statements};

/// Everyone, in the order of the tables.
pub const PEERS: [&str; 7] = [
    "floor",
    "sqlx",
    "guesthouse",
    "guesthouse, default pool",
    "seaorm",
    "diesel",
    "toasty",
];

/// Connects a peer by its name.
pub async fn connect(
    name: &str,
    url: &str,
    connections: usize,
    sql: &Statements,
) -> Box<dyn BulkPeer> {
    match name {
        "floor" => Box::new(floor::Floor::connect(url, connections).await),
        "sqlx" => Box::new(Sqlx::connect(url, connections, sql.clone()).await),
        "guesthouse" => Box::new(Guesthouse::connect(url, connections, Pool::AndKept).await),
        "guesthouse, default pool" => {
            Box::new(Guesthouse::connect(url, connections, Pool::Default).await)
        }
        "seaorm" => Box::new(seaorm::SeaOrm::connect(url, connections).await),
        "diesel" => Box::new(diesel::Diesel::connect(url, connections).await),
        "toasty" => Box::new(toasty::Toasty::connect(url, connections).await),
        other => panic!("{other}"),
    }
}
