//! The migrations, `sync` and the program: on SQLite, and on the servers whose features are on, which
//! `scripts/test` starts.
#![cfg(all(feature = "cli", feature = "sqlite"))]
#![expect(
    clippy::unwrap_used,
    reason = "a test says by panicking that it failed"
)]

#[macro_use]
mod support;

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
mod sync;
mod turns;
