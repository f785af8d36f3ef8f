//! The message of an error: one line, without the connection string and without values from rows.

use std::{borrow::Cow, fmt, path::PathBuf};

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
pub(super) struct Failure {
    message: String,
    /// Whether the message is about the file of a SQLite database, and does not name it.
    is_of_file: bool,
}

impl Failure {
    pub(super) fn new(message: String) -> Self {
        Self {
            message,
            is_of_file: false,
        }
    }

    /// The same, with the file that it is about, if `file` is the database.
    pub(super) fn of_file(self, file: Option<PathBuf>) -> Self {
        match file {
            Some(file) if self.is_of_file => {
                Self::new(format!("{}: {}", file.display(), self.message))
            }
            _ => self,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<DbErr> for Failure {
    fn from(error: DbErr) -> Self {
        let line = describe(&error)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        Self {
            message: line,
            is_of_file: is_of_file(&error),
        }
    }
}

impl From<SyncError> for Failure {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Database(error) => error.into(),
            error => Self::new(error.to_string()),
        }
    }
}

/// Whether the user has no right to what was asked.
pub(super) fn is_denied(error: &DbErr) -> bool {
    const DENIED: [&str; 2] = ["42501", "42000"];
    code(error).is_some_and(|code| DENIED.contains(&code.as_ref()))
}

/// Whether SQLite cannot write to its file, for whatever reason, or cannot read it as a database.
fn is_of_file(error: &DbErr) -> bool {
    const READ_ONLY: u32 = 8;
    const NOT_A_DATABASE: u32 = 26;
    let code = code(error).and_then(|code| code.parse().ok());
    code.is_some_and(|code: u32| [READ_ONLY, NOT_A_DATABASE].contains(&(code & 0xff)))
}

/// The code under which the database has refused something.
pub(super) fn code(error: &DbErr) -> Option<Cow<'_, str>> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => error.as_database_error()?.code(),
        _ => None,
    }
}

fn describe(error: &DbErr) -> String {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error)) => describe_connecting(error),
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            describe_driver(error)
        }
        // SeaORM puts the connection string in here.
        DbErr::Conn(RuntimeErr::Internal(_)) => "the database URL cannot be used".to_owned(),
        DbErr::ConnectionAcquire(ConnAcquireErr::Timeout) => {
            "no connection could be had in time".to_owned()
        }
        DbErr::Custom(message) | DbErr::Migration(message) => message.clone(),
        // What could not be read is in their texts.
        DbErr::Type(_) | DbErr::Json(_) => UNREADABLE.to_owned(),
        DbErr::TryIntoErr { from, into, .. } => {
            format!("a value could not be converted from `{from}` into `{into}`")
        }
        error => error.to_string(),
    }
}

const UNREADABLE: &str = "a value could not be read";

/// The message of a failure to connect, where the server's own would have the user or a value of the
/// URL's parameters.
pub(super) fn describe_connecting(error: &SqlxError) -> String {
    const PARAMETER: &str = "a parameter of the database URL has a value that is not known";
    const NO_MORE: &str = "the server has no more connections for this user";
    let refusal = error.as_database_error();
    #[cfg(feature = "mysql")]
    if let Some(refusal) = refusal.and_then(|e| e.try_downcast_ref::<SqlxMySqlError>()) {
        let what = match refusal.number() {
            1115 | 1253 | 1273 | 1298 => PARAMETER,
            1203 | 1226 => NO_MORE,
            _ => return describe_mysql(refusal),
        };
        return format!("{what} (error {})", refusal.number());
    }
    match refusal.and_then(|refusal| refusal.code()).as_deref() {
        // PostgreSQL: too many connections. SQLite: no such VFS.
        Some(code @ "53300") => format!("{NO_MORE} (code {code})"),
        Some(code @ "1") => format!("{PARAMETER} (code {code})"),
        _ => describe_driver(error),
    }
}

/// The message of an error of the driver.
fn describe_driver(error: &SqlxError) -> String {
    let Some(refusal) = error.as_database_error() else {
        return describe_own(error);
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

/// The message of what the driver found by itself. What it could not read or send is in the text of its
/// source.
fn describe_own(error: &SqlxError) -> String {
    match error {
        SqlxError::ColumnDecode { index, .. } => {
            // A name is in quotes, a number is not.
            let column = index.replace('"', "`");
            format!("a value of column {column} could not be read")
        }
        SqlxError::Decode(_) => UNREADABLE.to_owned(),
        SqlxError::Encode(_) | SqlxError::InvalidArgument(_) => {
            "a value could not be sent".to_owned()
        }
        error => error.to_string(),
    }
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
    /// What `SIGNAL` is given for an error of the app, under any number.
    const OF_THE_APP: &str = "45000";
    const SYNTAX: u16 = 1064;
    let number = refusal.number();
    let code = refusal.code().unwrap_or_default();
    let message = match number {
        _ if code == OF_THE_APP => REFUSED,
        // What follows is a piece of the statement.
        SYNTAX => refusal.message().split(" near ").next().unwrap_or(REFUSED),
        _ if has_names_alone(number) => refusal.message(),
        _ => REFUSED,
    };
    format!("{message} (error {number}, {code})")
}

/// Whether the server's text of this error has names and no value of a row, an expression or a setting.
#[cfg(feature = "mysql")]
fn has_names_alone(number: u16) -> bool {
    matches!(
        number,
        // Databases, tables, files and the disk.
        1004..=1010 | 1016..=1018 | 1020..=1023 | 1025 | 1026 | 1030 | 1031 | 1033..=1038 | 1046
        | 1049..=1051 | 1053 | 1114 | 1115 | 1194 | 1195 | 1273 | 1286 | 1290 | 1347 | 1356 | 1412
        | 1449 | 1792 | 1836 | 1932
        // Rights.
        | 1044 | 1045 | 1142..=1144 | 1227 | 1370 | 1419 | 1698
        // Columns, keys and constraints.
        | 1048 | 1052 | 1054 | 1059..=1061 | 1063 | 1066..=1075 | 1090 | 1091 | 1093 | 1101 | 1109
        | 1110 | 1113 | 1117 | 1118 | 1136 | 1146 | 1166..=1171 | 1173 | 1176 | 1215..=1217 | 1239
        | 1264 | 1265 | 1364 | 1406 | 1451 | 1452 | 1553 | 1701 | 1822..=1834 | 3730 | 3780 | 3819
        | 4025
        // Routines and what the server does not do.
        | 1193 | 1235 | 1242 | 1304 | 1305 | 1359 | 1360 | 1442 | 1845 | 1846
        // Locks, limits of time and space, and sessions that are ended.
        | 1040 | 1041 | 1153 | 1180 | 1205 | 1206 | 1213 | 1317 | 1637 | 1927 | 1969 | 3024 | 4031
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sea_orm_migration::sea_orm::{DbErr, RuntimeErr, SqlxError};

    use super::Failure;

    #[test]
    fn what_cannot_be_read_is_not_repeated() {
        let ada = || Box::<dyn std::error::Error + Send + Sync>::from("born 1815 Ada Lovelace");
        let of_column = |index: &str| SqlxError::ColumnDecode {
            index: index.to_owned(),
            source: ada(),
        };
        let of_driver = |error: SqlxError| RuntimeErr::SqlxError(Arc::new(error));
        let try_into = DbErr::TryIntoErr {
            from: "String",
            into: "Uuid",
            source: Arc::from(ada()),
        };
        for (error, said) in [
            (
                DbErr::Query(of_driver(of_column("\"created_at\""))),
                "a value of column `created_at` could not be read",
            ),
            (
                DbErr::Exec(of_driver(of_column("3"))),
                "a value of column 3 could not be read",
            ),
            (
                DbErr::Conn(of_driver(SqlxError::Decode(ada()))),
                "a value could not be read",
            ),
            (
                DbErr::Query(of_driver(SqlxError::Encode(ada()))),
                "a value could not be sent",
            ),
            (
                DbErr::Type("Ada Lovelace".to_owned()),
                "a value could not be read",
            ),
            (
                DbErr::Json("Ada Lovelace".to_owned()),
                "a value could not be read",
            ),
            (
                try_into,
                "a value could not be converted from `String` into `Uuid`",
            ),
        ] {
            assert_eq!(Failure::from(error).to_string(), said);
        }
    }
}
