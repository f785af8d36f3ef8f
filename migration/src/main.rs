//! The migration program of Guesthouse; `--help` lists its commands.

use std::process::ExitCode;

use guesthouse_migration::{Migrator, cli};

#[tokio::main]
async fn main() -> ExitCode {
    cli::run(Migrator).await
}
