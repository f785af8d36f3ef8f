//! What each database's error codes mean.

use std::borrow::Cow;

use sea_orm::{DbErr, RuntimeErr, sqlx};

/// The text of contention that this library found and no database reported.
pub(super) const CAME_AND_WENT: &str = "what stood in the way was gone again each time";

/// What a failure means for what was attempted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// It was certainly rolled back, and could succeed another time.
    Contention,
    /// The transaction was over before.
    #[cfg_attr(
        not(any(feature = "postgres", feature = "mysql")),
        expect(dead_code, reason = "SQLite does not report it")
    )]
    Aborted,
    /// There was no answer: it may have been done.
    Lost,
    /// It was not done, or nothing more is known.
    Other,
}

impl Class {
    pub(super) fn of(error: &DbErr) -> Self {
        if matches!(error, DbErr::Custom(said) if said == CAME_AND_WENT) {
            return Self::Contention;
        }
        let class = match driver_error(error) {
            Some(sqlx::Error::Database(_)) if is_stale_statement(error) => Self::Contention,
            #[cfg(feature = "postgres")]
            Some(sqlx::Error::Database(error)) if is_contended(error.as_ref()) => Self::Contention,
            Some(sqlx::Error::Database(error)) => Code::of(error.as_ref()).class(),
            // The reply did not come, or could not be read.
            Some(sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed) => {
                Self::Lost
            }
            _ => Self::Other,
        };
        match (error, class) {
            // There was no connection to send anything on (D16).
            (DbErr::Conn(_), Self::Lost) => Self::Other,
            _ => class,
        }
    }
}

#[cfg(feature = "postgres")]
fn is_contended(error: &dyn sqlx::error::DatabaseError) -> bool {
    error
        .try_downcast_ref::<crate::statements::Refusal>()
        .is_some_and(crate::statements::Refusal::is_contended)
}

/// A database's error code, in that database's own numbering.
enum Code<'a> {
    #[cfg(feature = "mysql")]
    MySql(u16),
    #[cfg(feature = "postgres")]
    Postgres(&'a str),
    /// SQLite's extended result code.
    Sqlite(Cow<'a, str>),
}

impl<'a> Code<'a> {
    fn of(error: &'a dyn sqlx::error::DatabaseError) -> Self {
        #[cfg(feature = "mysql")]
        if let Some(error) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
            return Self::MySql(error.number());
        }
        #[cfg(feature = "postgres")]
        if let Some(refusal) = error.try_downcast_ref::<crate::statements::Refusal>() {
            return Self::Postgres(refusal.code());
        }
        #[cfg(feature = "postgres")]
        if let Some(error) = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
            return Self::Postgres(error.code());
        }
        Self::Sqlite(error.code().unwrap_or_default())
    }

    fn class(&self) -> Class {
        match self {
            // https://mariadb.com/kb/en/mariadb-error-codes/ and
            // https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html: 1205 lock
            // wait timeout, 1213 deadlock or Galera certification, 1020 record changed since last
            // read, 1047 node not ready, 1412 table altered since the snapshot, 3101 rolled back by
            // group replication, 3572 NOWAIT.
            #[cfg(feature = "mysql")]
            Self::MySql(1020 | 1047 | 1205 | 1213 | 1412 | 3101 | 3572) => Class::Contention,
            // 1180 error during COMMIT, which a node that loses its quorum reports whether the row
            // is stored or not; 1053, 1927, 2006, 2013 and 4031 end the connection; 1317 and 1969
            // interrupt a statement, possibly while it commits.
            #[cfg(feature = "mysql")]
            Self::MySql(1053 | 1180 | 1317 | 1927 | 1969 | 2006 | 2013 | 4031) => Class::Lost,
            // See `statements/block/mariadb.rs`.
            #[cfg(feature = "mysql")]
            Self::MySql(45_025) => Class::Aborted,
            #[cfg(feature = "mysql")]
            Self::MySql(_) => Class::Other,

            // https://www.postgresql.org/docs/current/errcodes-appendix.html: 40001 serialization
            // failure, 40P01 deadlock, 55P03 lock not available, 57P03 cannot connect now, 25P02 in
            // failed transaction; 57P01, 57P02 and class 08 end the connection, 40003 means that
            // completion is unknown. 57014, a statement that was cancelled or ran out of time, is
            // none of these: another attempt would take as long.
            #[cfg(feature = "postgres")]
            Self::Postgres("40001" | "40P01" | "55P03" | "57P03") => Class::Contention,
            #[cfg(feature = "postgres")]
            Self::Postgres("25P02") => Class::Aborted,
            #[cfg(feature = "postgres")]
            Self::Postgres(code) => match *code {
                "40003" | "57P01" | "57P02" => Class::Lost,
                code if code.starts_with("08") => Class::Lost,
                _ => Class::Other,
            },

            // https://www.sqlite.org/rescode.html: the low byte is the primary code, 5 busy and 6
            // locked.
            Self::Sqlite(code) => match code.parse::<u32>().map(|code| code & 0xff) {
                Ok(5 | 6) => Class::Contention,
                _ => Class::Other,
            },
        }
    }

    fn violation(&self, message: &str) -> Option<Violation> {
        match self {
            // 1062 is the primary key's code too, as is 23505. 23001 is what PostgreSQL 18 raises
            // for ON DELETE RESTRICT.
            #[cfg(feature = "mysql")]
            Self::MySql(1062) => Some(Violation::Unique),
            #[cfg(feature = "mysql")]
            Self::MySql(1216 | 1217 | 1451 | 1452) => Some(Violation::Foreign),
            #[cfg(feature = "mysql")]
            Self::MySql(_) => None,

            #[cfg(feature = "postgres")]
            Self::Postgres("23505") => Some(Violation::Unique),
            #[cfg(feature = "postgres")]
            Self::Postgres("23503" | "23001") => Some(Violation::Foreign),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => None,

            // RESTRICT raises 1811, and so does any trigger of the app with RAISE(ABORT): SQLite's
            // own text distinguishes them.
            Self::Sqlite(code) => match code.as_ref() {
                "1555" | "2067" => Some(Violation::Unique),
                "787" => Some(Violation::Foreign),
                "1811" if message == "FOREIGN KEY constraint failed" => Some(Violation::Foreign),
                _ => None,
            },
        }
    }
}

/// The kind of key that refused a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// A unique index or the primary key.
    Unique,
    Foreign,
}

impl Violation {
    pub(crate) fn of(error: &DbErr) -> Option<Self> {
        let error = database_error(error)?;
        let code = Code::of(error);
        // PostgreSQL names the key, unless a trigger of the app raised the code by itself.
        #[cfg(feature = "postgres")]
        if matches!(code, Code::Postgres(_)) && error.constraint().is_none() {
            return None;
        }
        code.violation(error.message())
    }
}

/// The database's code for an error, if it was the database that raised it: PostgreSQL's SQLSTATE,
/// the error number of MariaDB (whose SQLSTATE is usually HY000), SQLite's extended result code.
pub(crate) fn code(error: &DbErr) -> Option<Cow<'_, str>> {
    match Code::of(database_error(error)?) {
        #[cfg(feature = "mysql")]
        Code::MySql(number) => Some(number.to_string().into()),
        #[cfg(feature = "postgres")]
        Code::Postgres(code) => Some(code.into()),
        Code::Sqlite(code) => Some(code),
    }
}

/// Whether the prepared statement is stale, so that nothing was executed: a table was altered, or
/// the server or a pooler in between no longer has the statement.
pub(crate) fn is_stale_statement(error: &DbErr) -> bool {
    let Some(error) = database_error(error) else {
        return false;
    };
    match Code::of(error) {
        // 1243 unknown prepared statement, 1615 it needs to be prepared again.
        #[cfg(feature = "mysql")]
        Code::MySql(1243 | 1615) => true,
        // 0A000 is raised for anything that is not supported; 26000 is the name of a statement that
        // does not exist, 42P05 of one that does.
        #[cfg(feature = "postgres")]
        Code::Postgres("26000" | "42P05") => true,
        #[cfg(feature = "postgres")]
        Code::Postgres("0A000") => is_of_a_cached_plan(error),
        _ => false,
    }
}

/// By the function of the server that raises it, as the message is in the server's language.
#[cfg(feature = "postgres")]
fn is_of_a_cached_plan(error: &dyn sqlx::error::DatabaseError) -> bool {
    let error = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>();
    error.is_some_and(|error| error.routine() == Some("RevalidateCachedQuery"))
}

/// Whether the server cannot parse a statement that MariaDB can.
#[cfg(feature = "mysql")]
pub(crate) fn is_not_mariadb(error: &DbErr) -> bool {
    database_error(error).is_some_and(|error| matches!(Code::of(error), Code::MySql(1064)))
}

/// Whether there was no answer, so that a write may have been done.
pub(crate) fn is_lost(error: &DbErr) -> bool {
    Class::of(error) == Class::Lost
}

/// Whether the database refused this statement and nothing else: it was not done, and the
/// connection is still usable.
pub(crate) fn is_of_statement(error: &DbErr) -> bool {
    database_error(error).is_some() && Class::of(error) == Class::Other
}

/// The table whose row refers to the one that was to be deleted. SQLite does not name it.
pub(super) fn referring_table(error: &DbErr) -> Option<&str> {
    let error = database_error(error)?;
    match Code::of(error) {
        // `… a foreign key constraint fails (`database`.`table`, CONSTRAINT …`, in the words of any
        // language, and in the quotes of the session or in none.
        #[cfg(feature = "mysql")]
        Code::MySql(_) => {
            let (before, _) = error.message().split_once(", CONSTRAINT")?;
            let (_, table) = before.rsplit_once('.')?;
            Some(table.trim_matches(['`', '"']))
        }
        #[cfg(feature = "postgres")]
        Code::Postgres(_) => error.table(),
        Code::Sqlite(_) => None,
    }
}

/// What PostgreSQL adds to the violation of a key: its columns and their values.
pub(crate) fn detail(error: &dyn sqlx::error::DatabaseError) -> Option<&str> {
    #[cfg(feature = "postgres")]
    if let Some(refusal) = error.try_downcast_ref::<crate::statements::Refusal>() {
        return Some(refusal.detail());
    }
    #[cfg(feature = "postgres")]
    if let Some(error) = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
        return error.detail();
    }
    let _ = error;
    None
}

pub(crate) fn database_error(error: &DbErr) -> Option<&dyn sqlx::error::DatabaseError> {
    driver_error(error)?.as_database_error()
}

fn driver_error(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}
