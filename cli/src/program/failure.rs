//! The message of an error: one line, without the connection string and without values from rows.

use std::fmt;

#[cfg(feature = "mysql")]
use sea_orm_migration::sea_orm::SqlxMySqlError;
#[cfg(feature = "postgres")]
use sea_orm_migration::sea_orm::SqlxPostgresError;
use sea_orm_migration::sea_orm::{
    ConnAcquireErr, DbErr, RuntimeErr, SqlxError, sqlx::error::DatabaseError,
};

use crate::sync::SyncError;

/// A command that failed.
#[derive(Debug)]
pub(super) struct Failure(String);

impl Failure {
    pub(super) fn new(message: String) -> Self {
        Self(message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<DbErr> for Failure {
    fn from(error: DbErr) -> Self {
        let line = describe(&error)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        Self(line)
    }
}

impl From<SyncError> for Failure {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Database(error) => error.into(),
            error => Self(error.to_string()),
        }
    }
}

/// Whether the user has no right to what was asked.
pub(super) fn is_denied(error: &DbErr) -> bool {
    const DENIED: [&str; 2] = ["42501", "42000"];
    match error {
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            let code = error.as_database_error().and_then(|error| error.code());
            code.is_some_and(|code| DENIED.contains(&code.as_ref()))
        }
        _ => false,
    }
}

fn describe(error: &DbErr) -> String {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => describe_driver(error),
        // SeaORM puts the connection string in here.
        DbErr::Conn(RuntimeErr::Internal(_)) => "the database URL cannot be used".to_owned(),
        DbErr::ConnectionAcquire(ConnAcquireErr::Timeout) => {
            "no connection could be had in time".to_owned()
        }
        DbErr::Custom(message) | DbErr::Migration(message) => message.clone(),
        error => error.to_string(),
    }
}

/// The message of an error of the driver.
pub(super) fn describe_driver(error: &SqlxError) -> String {
    let Some(refusal) = error.as_database_error() else {
        return error.to_string();
    };
    #[cfg(feature = "mysql")]
    if let Some(refusal) = refusal.try_downcast_ref::<SqlxMySqlError>() {
        return describe_mysql(refusal);
    }
    #[cfg(feature = "postgres")]
    if let Some(refusal) = refusal.try_downcast_ref::<SqlxPostgresError>() {
        return describe_postgres(refusal);
    }
    describe_sqlite(refusal)
}

const REFUSED: &str = "a statement was refused";

fn describe_sqlite(refusal: &dyn DatabaseError) -> String {
    /// `RAISE`: a message that a trigger of the app chose, or SQLite's own about a key.
    const TRIGGER: &str = "1811";
    let code = refusal.code().unwrap_or_default();
    let message = match refusal.message() {
        message if code != TRIGGER || message == "FOREIGN KEY constraint failed" => message,
        _ => REFUSED,
    };
    format!("{message} (code {code})")
}

#[cfg(feature = "postgres")]
fn describe_postgres(refusal: &SqlxPostgresError) -> String {
    const DUPLICATE_STATEMENT: &str = "42P05";
    const NO_SUCH_STATEMENT: &str = "26000";
    let code = refusal.code();
    if [DUPLICATE_STATEMENT, NO_SUCH_STATEMENT].contains(&code) {
        return format!(
            "a pooler gives one session to several clients (code {code}): connect to the server \
             itself, or to a pool in session mode"
        );
    }
    // A message that a function of the app chose, under any code and any names, or a statement that it
    // built.
    let context = refusal.r#where().unwrap_or_default();
    if refusal.routine() == Some("exec_stmt_raise") || context.contains("PL/") {
        let function = function_of(context).map_or(String::new(), |name| format!(" by {name}"));
        return format!("{REFUSED}{function} (code {code})");
    }
    // Classes that are about values, or about functions in other languages.
    let message = match code.get(..2) {
        Some("22" | "23" | "38" | "39" | "P0") => REFUSED,
        _ => refusal.message(),
    };
    let names = [refusal.table(), refusal.constraint()];
    let names = names.into_iter().flatten();
    let place: String = names.map(|name| format!(", `{name}`")).collect();
    format!("{message} (code {code}{place})")
}

/// From `PL/pgSQL function refuse() line 3 at RAISE`.
#[cfg(feature = "postgres")]
fn function_of(context: &str) -> Option<&str> {
    let innermost = context.lines().next()?;
    let (function, _) = innermost
        .strip_prefix("PL/pgSQL function ")?
        .split_once(" line ")?;
    Some(function)
}

#[cfg(feature = "mysql")]
fn describe_mysql(refusal: &SqlxMySqlError) -> String {
    let number = refusal.number();
    let message = match number {
        // Those of the server that quote a value from a row or an expression.
        1062
        | 1105
        | 1291
        | 1292
        | 1300
        | 1366
        | 1367
        | 1411
        | 1525
        | 1526
        | 1569
        | 1586
        | 1690
        | 1741
        | 1761
        | 1762
        | 1916..=1918
        | 1977
        | 1978
        | 3988 => REFUSED,
        // `SIGNAL`: a message that a trigger of the app chose.
        1642..=1644 => REFUSED,
        1000..=1999 | 3000..=4999 => refusal.message(),
        // Not the server's, so the number was given to `SIGNAL`.
        _ => REFUSED,
    };
    let code = refusal.code().unwrap_or_default();
    format!("{message} (error {number}, {code})")
}
