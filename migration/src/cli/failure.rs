//! What is said of an error: one line, without the connection string and without values from rows.

use std::fmt;

#[cfg(feature = "mysql")]
use sea_orm_migration::sea_orm::SqlxMySqlError;
use sea_orm_migration::sea_orm::{DbErr, RuntimeErr, SqlxError};

use crate::sync::SyncError;

/// A command that failed.
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

/// Whether a SQLite database could not be opened because there is none.
pub(super) fn is_no_such_file(error: &DbErr) -> bool {
    code(error).as_deref() == Some("14")
}

/// The backend's code: an SQLSTATE, or a number on SQLite.
pub(super) fn code(error: &DbErr) -> Option<String> {
    let code = sqlx_error(error)?.as_database_error()?.code()?;
    Some(code.into_owned())
}

fn sqlx_error(error: &DbErr) -> Option<&SqlxError> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

fn describe(error: &DbErr) -> String {
    match (error, sqlx_error(error)) {
        (_, Some(error @ SqlxError::Database(_))) => describe_refusal(error),
        // SeaORM puts the connection string in here.
        (DbErr::Conn(RuntimeErr::Internal(_)), _) => {
            "the database URL is not one this program can open (sqlite:, postgres: or mysql:)"
                .to_owned()
        }
        (DbErr::Custom(message) | DbErr::Migration(message), _) => message.clone(),
        (error, _) => error.to_string(),
    }
}

fn describe_refusal(error: &SqlxError) -> String {
    let Some(error) = error.as_database_error() else {
        return error.to_string();
    };
    let code = error.code().unwrap_or_default();
    // Classes 22 and 23 are about values, and quote them. MariaDB/MySQL file most others under
    // HY000, where the number tells them apart.
    let message = match code.get(..2) {
        Some("22" | "23" | "HY") => "a statement was refused",
        _ => error.message(),
    };
    #[cfg(feature = "mysql")]
    if let Some(error) = error.try_downcast_ref::<SqlxMySqlError>() {
        return format!("{message} (error {}, {code})", error.number());
    }
    match error.constraint() {
        Some(constraint) => format!("{message} (code {code}, `{constraint}`)"),
        None => format!("{message} (code {code})"),
    }
}
