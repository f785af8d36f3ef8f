//! What can be seen on SQLite alone: the migrations, `sync` and the program.
#![cfg(all(feature = "cli", feature = "sqlite"))]
#![expect(
    clippy::unwrap_used,
    reason = "a test says by panicking that it failed"
)]

mod migrations;
mod program;
mod support;
mod sync;
