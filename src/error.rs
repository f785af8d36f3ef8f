//! What can go wrong, and which of the database's errors means it.

use std::{borrow::Cow, fmt};

use sea_orm::{DbErr, RuntimeErr, sqlx};
use uuid::Uuid;

/// Why an operation did not do what it was asked.
///
/// The first four are answers, not failures: the database said no, nothing was written, and a
/// caller's transaction can go on and commit. The others are failures of the database or of the
/// way to it.
///
/// `Display` and `Debug` hold no e-mail address, no SQL and no connection string. What the driver
/// said is reachable through [`source`](std::error::Error::source) only; print it where such data
/// may go.
#[derive(Clone)]
#[non_exhaustive]
pub enum Error {
    /// Another user has this e-mail address.
    EmailTaken,
    /// No user has this id.
    UserNotFound {
        /// The id that was asked for.
        user_id: Uuid,
    },
    /// The user cannot be deleted while hosting.
    StillHost {
        /// The user who is a host.
        user_id: Uuid,
    },
    /// A row of another table refers to the row that was to be deleted.
    StillReferenced {
        /// The foreign key violation.
        source: DbErr,
    },
    /// The database gave way to another caller: serialization failure, deadlock, lock timeout or
    /// busy. What was attempted is rolled back for certain; the whole transaction can be tried
    /// again.
    Contention {
        /// What the database said.
        source: DbErr,
    },
    /// The connection or the server failed after a write or a `COMMIT` was sent: the rows may be
    /// there or not.
    OutcomeUnknown {
        /// What the driver said.
        source: DbErr,
    },
    /// The caller's transaction was dead already, by an earlier error that the caller passed over
    /// (PostgreSQL's 25P02).
    Aborted {
        /// What the database said.
        source: DbErr,
    },
    /// Any other error of the database or of the way to it.
    Database {
        /// What the driver said.
        source: DbErr,
    },
}

impl Error {
    /// Whether trying the whole transaction again can help: true for [`Error::Contention`] only.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Contention { .. })
    }

    /// Whether the database answered with a no that spoils nothing.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::EmailTaken
                | Self::UserNotFound { .. }
                | Self::StillHost { .. }
                | Self::StillReferenced { .. }
        )
    }

    /// Gives a driver's error its place in the domain.
    pub(crate) fn from_driver(source: DbErr, sent: Sent) -> Self {
        let class = match driver_error(&source) {
            Some(sqlx::Error::Database(error)) => Code::of(error.as_ref()).class(),
            // The reply did not come, or made no sense: what was sent may have been done.
            Some(sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed) => {
                Class::Lost
            }
            _ => Class::Other,
        };
        match (class, sent) {
            (Class::Contention, _) => Self::Contention { source },
            (Class::Aborted, _) => Self::Aborted { source },
            (Class::Lost, Sent::Final) => Self::OutcomeUnknown { source },
            (Class::Lost | Class::Other, _) => Self::Database { source },
        }
    }

    fn driver(&self) -> Option<&DbErr> {
        match self {
            Self::EmailTaken | Self::UserNotFound { .. } | Self::StillHost { .. } => None,
            Self::StillReferenced { source }
            | Self::Contention { source }
            | Self::OutcomeUnknown { source }
            | Self::Aborted { source }
            | Self::Database { source } => Some(source),
        }
    }
}

/// What the lost reply would have answered, which decides what its loss means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// A read, or a statement inside a transaction that is still open: losing the connection rolls
    /// it back.
    Revocable,
    /// A write outside any transaction, or a `COMMIT`: it may have been done.
    Final,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Contention,
    #[cfg_attr(
        not(feature = "postgres"),
        expect(dead_code, reason = "only PostgreSQL has it")
    )]
    Aborted,
    Lost,
    Other,
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
        if let Some(error) = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
            return Self::Postgres(error.code());
        }
        Self::Sqlite(error.code().unwrap_or_default())
    }

    fn class(&self) -> Class {
        match self {
            // https://mariadb.com/kb/en/mariadb-error-codes/: 1205 lock wait timeout, 1213
            // deadlock or Galera certification, 1020 record changed since last read, 1047 node
            // not ready, 1180 error during COMMIT on a node that loses its quorum, 1053 and 1927
            // server or connection going away.
            #[cfg(feature = "mysql")]
            Self::MySql(1020 | 1047 | 1205 | 1213) => Class::Contention,
            #[cfg(feature = "mysql")]
            Self::MySql(1053 | 1180 | 1927 | 2006 | 2013) => Class::Lost,
            #[cfg(feature = "mysql")]
            Self::MySql(_) => Class::Other,

            // https://www.postgresql.org/docs/current/errcodes-appendix.html: 40001 serialization
            // failure, 40P01 deadlock, 55P03 lock not available, 57014 query cancelled, 57P03
            // cannot connect now, 25P02 in failed transaction; 57P01, 57P02 and class 08 end the
            // connection, 40003 says itself that completion is unknown.
            #[cfg(feature = "postgres")]
            Self::Postgres("40001" | "40P01" | "55P03" | "57014" | "57P03") => Class::Contention,
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
            // Both say 1062 for every key and name it at the end of their message: MariaDB
            // `for key 'PRIMARY'`, MySQL 8 `for key 'users.PRIMARY'`.
            #[cfg(feature = "mysql")]
            Self::MySql(1062) if message.ends_with("PRIMARY'") => Some(Violation::Primary),
            #[cfg(feature = "mysql")]
            Self::MySql(1062) => Some(Violation::Unique),
            #[cfg(feature = "mysql")]
            Self::MySql(1216 | 1217 | 1451 | 1452) => Some(Violation::Foreign),
            #[cfg(feature = "mysql")]
            Self::MySql(_) => None,

            // The primary key's code is 23505 too. 23001 is what PostgreSQL 18 raises for ON
            // DELETE RESTRICT.
            #[cfg(feature = "postgres")]
            Self::Postgres("23505") => Some(Violation::Unique),
            #[cfg(feature = "postgres")]
            Self::Postgres("23503" | "23001") => Some(Violation::Foreign),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => None,

            // 1811 is what RESTRICT raises, and any trigger of the app with RAISE(ABORT): SQLite's
            // own text tells them apart.
            Self::Sqlite(code) => match code.as_ref() {
                "1555" => Some(Violation::Primary),
                "2067" => Some(Violation::Unique),
                "787" => Some(Violation::Foreign),
                "1811" if message == "FOREIGN KEY constraint failed" => Some(Violation::Foreign),
                _ => None,
            },
        }
    }
}

/// The kind of key that judged against a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    Primary,
    Unique,
    Foreign,
}

impl Violation {
    pub(crate) fn of(error: &DbErr) -> Option<Self> {
        let error = database_error(error)?;
        Code::of(error).violation(error.message())
    }
}

/// The database's code for an error, if it was the database that raised it.
pub(crate) fn code(error: &DbErr) -> Option<Cow<'_, str>> {
    database_error(error)?.code()
}

fn database_error(error: &DbErr) -> Option<&dyn sqlx::error::DatabaseError> {
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

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmailTaken => f.write_str("the e-mail address is taken"),
            Self::UserNotFound { user_id } => write!(f, "there is no user {user_id}"),
            Self::StillHost { user_id } => write!(f, "user {user_id} is still a host"),
            Self::StillReferenced { .. } => {
                f.write_str("rows of another table still refer to this one")
            }
            Self::Contention { .. } => {
                f.write_str("another caller was first; the transaction was rolled back")
            }
            Self::OutcomeUnknown { .. } => {
                f.write_str("the connection was lost before the outcome was known")
            }
            Self::Aborted { .. } => f.write_str("the transaction had already failed; roll it back"),
            Self::Database { .. } => f.write_str("the database could not do it"),
        }?;
        match self.driver().and_then(code) {
            Some(code) => write!(f, " (code {code})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::EmailTaken => "EmailTaken",
            Self::UserNotFound { .. } => "UserNotFound",
            Self::StillHost { .. } => "StillHost",
            Self::StillReferenced { .. } => "StillReferenced",
            Self::Contention { .. } => "Contention",
            Self::OutcomeUnknown { .. } => "OutcomeUnknown",
            Self::Aborted { .. } => "Aborted",
            Self::Database { .. } => "Database",
        };
        let mut debug = f.debug_struct(name);
        if let Self::UserNotFound { user_id } | Self::StillHost { user_id } = self {
            debug.field("user_id", user_id);
        }
        if let Some(code) = self.driver().and_then(code) {
            debug.field("code", &code);
        }
        debug.finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.driver().map(|source| source as _)
    }
}
