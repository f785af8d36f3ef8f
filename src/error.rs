//! What can go wrong.

mod code;

use std::fmt;

use sea_orm::DbErr;
use uuid::Uuid;

use code::Class;
pub(crate) use code::{Violation, code};

/// Why an operation did not do what it was asked.
///
/// The first five are answers, not failures: the database said no, nothing was written, and a
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
    /// The id given to [`sign_up_with_id`](crate::sign_up_with_id) belongs to a user with another
    /// e-mail address.
    UserIdTaken {
        /// The id that was given.
        user_id: Uuid,
    },
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
                | Self::UserIdTaken { .. }
                | Self::UserNotFound { .. }
                | Self::StillHost { .. }
                | Self::StillReferenced { .. }
        )
    }

    /// Gives a driver's error its place in the domain.
    pub(crate) fn from_driver(source: DbErr, sent: Sent) -> Self {
        match (Class::of(&source), sent) {
            (Class::Contention, _) => Self::Contention { source },
            (Class::Aborted, _) => Self::Aborted { source },
            (Class::Lost, Sent::Final) => Self::OutcomeUnknown { source },
            (Class::Lost | Class::Other, _) => Self::Database { source },
        }
    }

    fn driver(&self) -> Option<&DbErr> {
        match self {
            Self::EmailTaken
            | Self::UserIdTaken { .. }
            | Self::UserNotFound { .. }
            | Self::StillHost { .. } => None,
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

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmailTaken => f.write_str("the e-mail address is taken"),
            Self::UserIdTaken { user_id } => {
                write!(f, "user {user_id} has another e-mail address")
            }
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
            Self::UserIdTaken { .. } => "UserIdTaken",
            Self::UserNotFound { .. } => "UserNotFound",
            Self::StillHost { .. } => "StillHost",
            Self::StillReferenced { .. } => "StillReferenced",
            Self::Contention { .. } => "Contention",
            Self::OutcomeUnknown { .. } => "OutcomeUnknown",
            Self::Aborted { .. } => "Aborted",
            Self::Database { .. } => "Database",
        };
        let mut debug = f.debug_struct(name);
        if let Self::UserIdTaken { user_id }
        | Self::UserNotFound { user_id }
        | Self::StillHost { user_id } = self
        {
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
