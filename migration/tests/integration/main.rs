//! The migrations, `sync` and the program: on SQLite, and where servers are to be had, on them.
#![cfg(all(feature = "cli", feature = "sqlite"))]
#![expect(
    clippy::unwrap_used,
    reason = "a test says by panicking that it failed"
)]

mod compile;
mod connect;
mod fresh;
mod migrations;
mod output;
mod place;
mod program;
mod random;
mod refusals;
mod scratch;
mod sea_orm_cli;
mod servers;
mod situations;
mod sources;
mod support;
mod sync;
mod turns;
