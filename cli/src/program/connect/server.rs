//! One plain connection to a server.

use std::{io::ErrorKind, time::Duration};

use sea_orm_migration::sea_orm::{
    SqlxError,
    sqlx::{ConnectOptions, Connection, error::DatabaseError},
};
use tokio::time::timeout;

use super::super::failure::{Failure, describe_connecting};

/// Returns once `server` has let this user in; the error says why it has not.
pub(super) async fn answers<O>(options: O, server: &str) -> Result<(), Failure>
where
    O: ConnectOptions<Connection: Sized>,
{
    const PATIENCE: Duration = Duration::from_secs(10);
    let options = options.disable_statement_logging();
    match timeout(PATIENCE, options.connect()).await {
        Ok(Ok(connection)) => {
            // It has answered; how the connection ends does not matter.
            let _ = connection.close().await;
            Ok(())
        }
        Ok(Err(error)) => Err(Failure::new(explain(&error, server))),
        Err(_) => Err(Failure::new(format!("nobody answers at {server}"))),
    }
}

fn explain(error: &SqlxError, server: &str) -> String {
    match error {
        SqlxError::Io(error) => match error.kind() {
            ErrorKind::ConnectionRefused => format!("nobody answers at {server}"),
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                format!("{server} ends the connection at once")
            }
            ErrorKind::InvalidData => format!("no TLS with {server}: {error}"),
            _ => format!("nobody answers at {server} ({error})"),
        },
        SqlxError::Tls(error) if error.to_string().contains("built without TLS") => {
            "this program is built without TLS: its feature `tls` is off".to_owned()
        }
        SqlxError::Tls(error) => format!("no TLS with {server}: {error}"),
        SqlxError::Protocol(error) => {
            // It ends with a line of the driver's source.
            let (what, _) = error.rsplit_once(" (sqlx").unwrap_or((error, ""));
            format!("{server} does not answer as the database of the URL would: {what}")
        }
        SqlxError::Database(refusal) => refused(refusal.as_ref(), error, server),
        // For one, a file that the URL names cannot be read.
        _ => format!("no connection to {server}: a parameter of the database URL cannot be used"),
    }
}

/// The server's own message would name the user.
fn refused(refusal: &dyn DatabaseError, error: &SqlxError, server: &str) -> String {
    let code = refusal.code().unwrap_or_default();
    let message = refusal.message();
    let why = match code.get(..2) {
        Some("28") if message.contains("no encryption") || message.contains("SSL off") => {
            "the user without TLS"
        }
        Some("28") => "the user or the password",
        // MariaDB/MySQL: access denied to the database.
        Some("42") if message.starts_with("Access denied") => "the user in this database",
        _ => return describe_connecting(error),
    };
    format!("{server} refuses {why} (code {code})")
}
