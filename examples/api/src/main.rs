//! Serves accounts over HTTP.
//!
//!     cargo run -- --migrate
//!
//! `DATABASE_URL` names the database (default: the file `api.db`), `LISTEN` the address (default:
//! `127.0.0.1:3000`), `RUST_LOG` what is logged. It listens only on a database that
//! `verify_schema` accepts; `--migrate` brings the schema up first.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it talks to whoever started it"
)]

use std::{env, error::Error, process::ExitCode};

use guesthouse::verify_schema;
use guesthouse_api_example::{router, serve};
use guesthouse_migration::{Migrator, up};
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr, RuntimeErr};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

const USAGE: &str = "usage: guesthouse-api-example [--migrate]";

struct Settings {
    database_url: String,
    listen: String,
    migrate: bool,
}

impl Settings {
    /// `None` if the arguments are not understood.
    fn read() -> Option<Self> {
        let mut migrate = false;
        for argument in env::args_os().skip(1) {
            if argument != "--migrate" {
                return None;
            }
            migrate = true;
        }
        let variable = |name, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
        // Without `--migrate` nothing is changed, and so no file is made either.
        let file = match migrate {
            true => "sqlite://api.db?mode=rwc",
            false => "sqlite://api.db",
        };
        Some(Self {
            database_url: variable("DATABASE_URL", file),
            listen: variable("LISTEN", "127.0.0.1:3000"),
            migrate,
        })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let Some(settings) = Settings::read() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: Settings) -> Result<(), Box<dyn Error>> {
    let db = connect(settings.database_url).await?;
    if settings.migrate {
        // Other instances may start at this moment; one of them migrates.
        up(Migrator, &db).await?;
    }
    // Displayed with one difference a line.
    verify_schema(&db).await?;

    let listener = TcpListener::bind(&settings.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", settings.listen))?;
    println!("listening on http://{}", listener.local_addr()?);
    let served = serve(listener, router(db.clone()), stop_signal()?).await;
    db.close().await?;
    Ok(served?)
}

async fn connect(url: String) -> Result<DatabaseConnection, String> {
    let mut options = ConnectOptions::new(url);
    options.sqlx_logging(false);
    Database::connect(options)
        .await
        .map_err(|error| match error {
            DbErr::Conn(RuntimeErr::SqlxError(error)) => format!("cannot connect: {error}"),
            // SeaORM's own message repeats the URL, and with it the password.
            _ => "DATABASE_URL is not of a database that this program was built for".to_owned(),
        })
}

/// Ready when the program is asked to stop: Ctrl-C, or SIGTERM from whatever runs it.
#[cfg(unix)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Ready when the program is asked to stop.
#[cfg(not(unix))]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        // Without a handler the program cannot be asked to stop, and serves on.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
