//! Opening the database, and why it cannot be opened.
//!
//! A pool tries for half a minute, and then knows only that the time is over: so one plain
//! connection comes first. The message of a failure names the server or the file, and never the
//! user, the password or a value of the URL's parameters.

use std::{path::PathBuf, str::FromStr};

#[cfg(feature = "mysql")]
use sea_orm_migration::sea_orm::sqlx::mysql::MySqlConnectOptions;
#[cfg(feature = "postgres")]
use sea_orm_migration::sea_orm::sqlx::postgres::PgConnectOptions;
#[cfg(feature = "sqlite")]
use sea_orm_migration::sea_orm::sqlx::sqlite::SqliteConnectOptions;
use sea_orm_migration::sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr};
use url::{ParseError, Url};

use super::failure::{Failure, code};

/// Opens a database, or finds out at once why it cannot be opened. `creates` is for a command that may
/// create a SQLite file, if the URL lets it.
pub(super) async fn open(
    options: ConnectOptions,
    creates: bool,
) -> Result<DatabaseConnection, Failure> {
    let text = options.get_url().to_owned();
    let url = parse(&text)?;
    match url.scheme() {
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => {
            let parsed = PgConnectOptions::from_str(&text);
            let parsed = parsed.map_err(|_| refused_url::<PgConnectOptions>(&url))?;
            let server = match parsed.get_socket() {
                Some(socket) => socket.display().to_string(),
                None => endpoint(&url, parsed.get_host(), parsed.get_port()),
            };
            server::answers(parsed, &server).await?;
        }
        #[cfg(feature = "mysql")]
        "mysql" => {
            let parsed = MySqlConnectOptions::from_str(&text);
            let parsed = parsed.map_err(|_| refused_url::<MySqlConnectOptions>(&url))?;
            if parsed.get_database().is_none() {
                return Err(Failure::new(
                    "the database URL names no database (mysql://HOST/DATABASE)".to_owned(),
                ));
            }
            let server = match parsed.get_socket() {
                Some(socket) => socket.display().to_string(),
                None => endpoint(&url, parsed.get_host(), parsed.get_port()),
            };
            server::answers(parsed, &server).await?;
        }
        #[cfg(feature = "sqlite")]
        "sqlite" => {
            SqliteConnectOptions::from_str(&text)
                .map_err(|_| refused_url::<SqliteConnectOptions>(&url))?;
        }
        _ => return Err(unknown_database()),
    }
    Database::connect(options)
        .await
        .map_err(|error| match unopened(&text, &error, creates) {
            Some(message) => Failure::new(message),
            None => error.into(),
        })
}

/// Whether the URL is of a SQLite file that does not exist.
pub(super) fn is_missing_file(url: &str) -> bool {
    sqlite_file(url).is_some_and(|file| !file.exists())
}

fn parse(text: &str) -> Result<Url, Failure> {
    const ESCAPE: &str = "in a user name or a password, write %23 for `#`, %2F for `/`, %3F for `?` \
                          and %40 for `@`";
    let url = Url::parse(text).map_err(|error| {
        Failure::new(match error {
            ParseError::InvalidPort => {
                format!("the port in the database URL is not a number up to 65535 ({ESCAPE})")
            }
            ParseError::RelativeUrlWithoutBase => return unknown_database(),
            error => format!("the database URL cannot be read: {error} ({ESCAPE})"),
        })
    })?;
    // What follows such a character would be taken for something else, and shown.
    let is_cut = url.fragment().is_some() || (!has_user(&url) && url.path().contains('@'));
    let is_of_a_server = matches!(url.scheme(), "postgres" | "postgresql" | "mysql");
    if is_of_a_server && is_cut {
        return Err(Failure::new(format!(
            "the database URL has a character that is not escaped ({ESCAPE})"
        )));
    }
    Ok(url)
}

fn unknown_database() -> Failure {
    let mut schemes = Vec::new();
    for (scheme, is_known) in [
        ("sqlite:", cfg!(feature = "sqlite")),
        ("postgres:", cfg!(feature = "postgres")),
        ("mysql:", cfg!(feature = "mysql")),
    ] {
        if is_known {
            schemes.push(scheme);
        }
    }
    Failure::new(format!(
        "the database URL is not one this program can open ({})",
        schemes.join(" or ")
    ))
}

fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// The server, unless a user name and a password that are cut off could be taken for it.
#[cfg(any(feature = "mysql", feature = "postgres"))]
fn endpoint(url: &Url, host: &str, port: u16) -> String {
    if !has_user(url) && url.query().is_some_and(|query| query.contains('@')) {
        return "the server of the database URL".to_owned();
    }
    format!("{host}:{port}")
}

/// Names the parameter of the URL that the driver refuses; the driver's message has the value, too.
fn refused_url<O: FromStr>(url: &Url) -> Failure {
    for (name, value) in url.query_pairs() {
        let mut alone = url.clone();
        alone.query_pairs_mut().clear().append_pair(&name, &value);
        if O::from_str(alone.as_str()).is_err() {
            return Failure::new(format!(
                "the parameter `{name}` of the database URL is not known, or has a value that is not"
            ));
        }
    }
    Failure::new("the database URL cannot be read".to_owned())
}

/// The file of a SQLite database, if the URL is of one.
pub(super) fn sqlite_file(url: &str) -> Option<PathBuf> {
    #[cfg(feature = "sqlite")]
    if url.starts_with("sqlite:") {
        let options = SqliteConnectOptions::from_str(url).ok()?;
        // One in memory has such a name.
        return Some(options.get_filename().to_owned()).filter(|file| !file.starts_with("file:"));
    }
    let _ = url;
    None
}

/// The message if it is a file that cannot be opened; a server's was found before.
fn unopened(url: &str, error: &DbErr, creates: bool) -> Option<String> {
    const CANTOPEN: &str = "14";
    let file = sqlite_file(url).filter(|_| code(error).as_deref() == Some(CANTOPEN))?;
    let hint = match creates && !file.exists() && !url.contains("mode=") {
        true => " (add ?mode=rwc to create it)",
        false => "",
    };
    let file = file.display();
    Some(format!("unable to open database file: {file}{hint}"))
}

#[cfg(any(feature = "mysql", feature = "postgres"))]
mod server;
