//! Errors that a statement raises about itself, so that the database undoes all of it.

use sea_orm::{DbErr, sqlx};

use crate::error::database_error;

/// What every message begins with.
const PREFIX: &str = "guesthouse: ";

/// An expression that is null, or an error if the condition holds. `row` is any text or value of
/// the row, which keeps PostgreSQL from evaluating the error while it plans.
pub(super) fn on_postgres(condition: &str, message: &str, row: &str) -> String {
    format!(
        "CASE WHEN {condition} THEN \
         CAST('{PREFIX}{message}' || coalesce(CAST({row} AS text), '') AS integer) END"
    )
}

/// A step of a trigger that is an error if the condition holds.
pub(super) fn on_sqlite(condition: &str, message: &str) -> String {
    format!("SELECT RAISE(ABORT, '{PREFIX}{message}') WHERE {condition};")
}

/// A step of a block that is an error if the condition holds.
pub(super) fn on_mariadb(condition: &str, message: &str) -> String {
    format!(
        "IF {condition} THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{PREFIX}{message}'; END IF;"
    )
}

/// The text of an error, for SQL that raises it in its own way.
#[cfg(feature = "postgres")]
pub(super) fn message(message: &str) -> String {
    format!("{PREFIX}{message}")
}

/// The same error, found by this library in an answer.
pub(super) fn error(message: &str) -> DbErr {
    DbErr::Custom(format!("{PREFIX}{message}"))
}

/// Whether the statement raised this error.
pub(super) fn is(error: &DbErr, message: &str) -> bool {
    let found = match error {
        DbErr::Custom(found) => Some(found.as_str()),
        _ => database_error(error).map(sqlx::error::DatabaseError::message),
    };
    found.is_some_and(|found| found.contains(PREFIX) && found.contains(message))
}
