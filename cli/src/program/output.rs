//! What the program prints, and what becomes of it if that fails.

use std::{
    fmt,
    io::{self, ErrorKind, Write},
    sync::{Mutex, PoisonError},
};

use super::failure::Failure;

/// The first line that could not be written, unless nobody reads them.
static LOST: Mutex<Option<Failure>> = Mutex::new(None);

/// Prints one result. The command goes on if nobody reads it.
pub(super) fn say(line: &str) {
    if let Err(failure) = read_or_unread(writeln!(io::stdout().lock(), "{line}")) {
        let mut lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
        lost.get_or_insert(failure);
    }
}

/// Prints help, or why the arguments are not understood.
pub(super) fn print_usage(usage: &clap::Error) -> Result<(), Failure> {
    read_or_unread(usage.print())
}

fn read_or_unread(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::new(format!(
            "the output cannot be written: {error}"
        ))),
        _ => Ok(()),
    }
}

/// Prints why the command failed. If this fails, too, there is no place left to report it.
pub(super) fn complain(error: &impl fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "error: {error}");
}

/// Why a result is not in the output, if one is not. It is returned once.
pub(super) fn lost() -> Result<(), Failure> {
    let lost = LOST.lock().unwrap_or_else(PoisonError::into_inner).take();
    lost.map_or(Ok(()), Err)
}

/// Shows the progress of a command on standard error; a program with a subscriber of its own keeps
/// it.
pub(super) fn show_progress(verbose: bool) {
    let filter = match verbose {
        true => "sea_orm_migration=debug,guesthouse_cli=debug,guesthouse=warn",
        false => "sea_orm_migration=info,guesthouse_cli=info,guesthouse=warn",
    };
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        // It would panic on a standard error that nobody reads.
        .log_internal_errors(false)
        .with_level(false)
        .with_target(false)
        .without_time()
        .try_init();
}
