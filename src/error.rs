//! What can go wrong.

mod code;

use std::{any::TypeId, borrow::Cow, fmt};

use sea_orm::{ConnectionTrait, DbErr, EntityTrait, Value};
use tracing::Span;
use uuid::Uuid;

use code::Class;

use crate::{scope::Scope, user};
#[cfg(feature = "mysql")]
pub(crate) use code::is_not_mariadb;
pub(crate) use code::{
    Violation, code, database_error, detail, is_lost, is_of_statement, is_stale_statement,
};

/// Why an operation did not do what it was asked.
///
/// The first seven are answers, not failures: the database refused, nothing was written, and a
/// caller's transaction can go on and commit. The others are failures of the database or of the
/// connection to it.
///
/// `Display` and `Debug` hold no e-mail address, no SQL and no connection string. The driver's
/// error is reachable only through [`source`](std::error::Error::source); print it only where such
/// data may go.
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
    /// The key given to [`sign_up_as`](crate::sign_up_as) belongs to a user with another e-mail
    /// address.
    KeyTaken {
        /// The table of the users.
        table: &'static str,
    },
    /// No user has this id.
    UserNotFound {
        /// The id that was asked for.
        user_id: Uuid,
    },
    /// No row of the owner's table has the key that a role names.
    OwnerNotFound {
        /// The owner's table.
        table: &'static str,
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
    /// Other work on the database was in the way: serialization failure, deadlock, lock timeout,
    /// busy, a table that was altered meanwhile. This call certainly wrote nothing. A deadlock
    /// rolls back the whole transaction, so run the whole transaction again.
    Contention {
        /// The error of the database.
        source: DbErr,
    },
    /// The connection or the server failed after a write or a `COMMIT` was sent, or the answer to a
    /// write cannot be read: the rows may be there or not.
    OutcomeUnknown {
        /// The error of the driver.
        source: DbErr,
    },
    /// The caller's transaction was over before this call: an earlier error, which the caller
    /// ignored, has ended it. PostgreSQL then refuses every statement (25P02). MariaDB and SQLite
    /// would let each one commit by itself, so this library checks and refuses. Roll the
    /// transaction back.
    Aborted {
        /// The error of the database.
        source: DbErr,
    },
    /// Any other error of the database or of the connection to it.
    Database {
        /// The error of the driver.
        source: DbErr,
    },
}

/// Awaits a call, and records the kind of its error in the span of the call.
pub(crate) async fn typed<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    call.await.inspect_err(|error| {
        Span::current().record("error.type", error.name());
    })
}

impl Error {
    /// Whether trying the whole transaction again can help: true for [`Error::Contention`] only.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Contention { .. })
    }

    /// The database's own code: PostgreSQL's SQLSTATE, the error number of MariaDB, SQLite's
    /// extended result code. `None` if no database raised the error, as for [`Error::EmailTaken`]
    /// and for a lost connection.
    pub fn code(&self) -> Option<Cow<'_, str>> {
        self.driver().and_then(code)
    }

    /// For [`Error::StillReferenced`], the table whose row refers to the one that was to be
    /// deleted. SQLite does not name it.
    pub fn referring_table(&self) -> Option<&str> {
        match self {
            Self::StillReferenced { source } => code::referring_table(source),
            _ => None,
        }
    }

    /// The kind of the error in one word, for metrics, log queries and problem details:
    /// `email-taken`, `contention`. It is the field `error.type` of the spans, an attribute of
    /// OpenTelemetry's
    /// [semantic conventions](https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/).
    ///
    /// ```
    /// assert_eq!(guesthouse::Error::EmailTaken.name(), "email-taken");
    /// ```
    pub fn name(&self) -> &'static str {
        match self {
            Self::EmailTaken => "email-taken",
            Self::UserIdTaken { .. } => "user-id-taken",
            Self::KeyTaken { .. } => "key-taken",
            Self::UserNotFound { .. } => "user-not-found",
            Self::OwnerNotFound { .. } => "owner-not-found",
            Self::StillHost { .. } => "still-host",
            Self::StillReferenced { .. } => "still-referenced",
            Self::Contention { .. } => "contention",
            Self::OutcomeUnknown { .. } => "outcome-unknown",
            Self::Aborted { .. } => "aborted",
            Self::Database { .. } => "database",
        }
    }

    /// Whether it is an answer of the database that leaves the transaction usable.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::EmailTaken
                | Self::UserIdTaken { .. }
                | Self::KeyTaken { .. }
                | Self::UserNotFound { .. }
                | Self::OwnerNotFound { .. }
                | Self::StillHost { .. }
                | Self::StillReferenced { .. }
        )
    }

    /// Classifies the error of a statement that was to write, on a connection of this type.
    ///
    /// Inside the caller's transaction nothing is final: losing the connection rolls it back. Any
    /// other connection counts as one that commits by itself: a wrong "unknown" costs a second
    /// look, a wrong "not done" costs the row (D6).
    pub(crate) fn of_write<C: ConnectionTrait>(source: DbErr) -> Self {
        match Class::of(&source) {
            Class::Lost if Scope::of::<C>() != Scope::Transaction => {
                Self::OutcomeUnknown { source }
            }
            _ => Self::of_read(source),
        }
    }

    /// The same for a read, or where nothing could have been written.
    pub(crate) fn of_read(source: DbErr) -> Self {
        match Class::of(&source) {
            Class::Contention => Self::Contention { source },
            Class::Aborted => Self::Aborted { source },
            Class::Lost | Class::Other => Self::Database { source },
        }
    }

    /// An error of a hook that runs after a write on a connection of this type.
    ///
    /// Outside a transaction the row is stored, so the error is not contention, which means that
    /// nothing was written.
    pub(crate) fn of_hook_after<C: ConnectionTrait>(source: DbErr) -> Self {
        match Scope::of::<C>() {
            Scope::Transaction => Self::of_read(source),
            Scope::Autocommit | Scope::Unknown => Self::Database { source },
        }
    }

    /// An error that came after a part of the work had been committed, when it no longer proves that
    /// nothing was written.
    pub(crate) fn after_a_write(self) -> Self {
        match self.driver().cloned() {
            Some(source) => Self::OutcomeUnknown { source },
            None => self,
        }
    }

    /// Classifies the error of a delete, which the foreign key of a row that refers to this one may
    /// have refused.
    pub(crate) fn of_delete<C: ConnectionTrait>(source: DbErr) -> Self {
        match Violation::of(&source) {
            Some(Violation::Foreign) => Self::StillReferenced { source },
            _ => Self::of_write::<C>(source),
        }
    }

    /// The database has ended the caller's transaction.
    pub(crate) fn over() -> Self {
        Self::Aborted {
            source: DbErr::Custom("the database has ended the transaction".into()),
        }
    }

    /// A key's refusal that has ended the transaction, and would not recur. Its source is marked as
    /// contention too, for where an error of the app's own hides this one.
    pub(crate) fn contended(clash: DbErr) -> Self {
        #[cfg(feature = "postgres")]
        if let Some(error) = database_error(&clash) {
            let source = crate::statements::Refusal::contended(error).into();
            return Self::Contention { source };
        }
        Self::Contention { source: clash }
    }

    /// What stood in the way was gone again each time it was looked for.
    pub(crate) fn came_and_went() -> Self {
        Self::Contention {
            source: DbErr::Custom(code::CAME_AND_WENT.into()),
        }
    }

    /// A row was neither written nor found by any attempt, and the table has something that leaves
    /// rows out.
    pub(crate) fn left_out(table: &str) -> Self {
        Self::Database {
            source: DbErr::Custom(format!(
                "a trigger, a rule, a policy, a type or another key of {table} leaves the row out"
            )),
        }
    }

    /// The error for a row that was neither written nor found by any attempt. If the cause is
    /// `lasting`, it is the clash or, without one, something that leaves rows out of the table;
    /// else what stood in the way is gone.
    pub(crate) fn unexplained(
        lasting: Result<bool, DbErr>,
        clash: Option<DbErr>,
        table: &str,
    ) -> Self {
        match (lasting, clash) {
            (Ok(false), _) => Self::came_and_went(),
            (Ok(true), Some(source)) => Self::of_read(source),
            (Ok(true), None) => Self::left_out(table),
            (Err(source), _) => Self::of_read(source),
        }
    }

    /// No row of this entity has this key.
    pub(crate) fn not_found<O: EntityTrait>(key: &Value) -> Self {
        match key {
            Value::Uuid(Some(user_id)) if TypeId::of::<O>() == TypeId::of::<user::Entity>() => {
                Self::UserNotFound { user_id: *user_id }
            }
            _ => Self::OwnerNotFound {
                table: O::default().table_name(),
            },
        }
    }

    fn driver(&self) -> Option<&DbErr> {
        match self {
            Self::EmailTaken
            | Self::UserIdTaken { .. }
            | Self::KeyTaken { .. }
            | Self::UserNotFound { .. }
            | Self::OwnerNotFound { .. }
            | Self::StillHost { .. } => None,
            Self::StillReferenced { source }
            | Self::Contention { source }
            | Self::OutcomeUnknown { source }
            | Self::Aborted { source }
            | Self::Database { source } => Some(source),
        }
    }
}

/// Classifies an error of the app's own statement, so that `?` turns it into contention, an aborted
/// transaction or a failure of the database.
///
/// Never [`Error::OutcomeUnknown`]: the error does not show whether the statement was a write
/// outside a transaction.
impl From<DbErr> for Error {
    fn from(source: DbErr) -> Self {
        Self::of_read(source)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmailTaken => f.write_str("the e-mail address is taken"),
            Self::UserIdTaken { user_id } => {
                write!(f, "user {user_id} has another e-mail address")
            }
            Self::KeyTaken { table } => {
                write!(
                    f,
                    "the key is that of a row in {table} with another e-mail address"
                )
            }
            Self::UserNotFound { user_id } => write!(f, "there is no user {user_id}"),
            Self::OwnerNotFound { table } => write!(f, "there is no such row in {table}"),
            Self::StillHost { user_id } => write!(f, "user {user_id} is still a host"),
            Self::StillReferenced { .. } => match self.referring_table() {
                Some(table) => write!(f, "{table} still refers to the row"),
                None => f.write_str("another table still refers to the row"),
            },
            Self::Contention { .. } => {
                f.write_str("nothing was written; run the whole transaction again")
            }
            Self::OutcomeUnknown { .. } => {
                f.write_str("the outcome is not known: the write may have been done or not")
            }
            Self::Aborted { .. } => f.write_str("the transaction was over before; roll it back"),
            Self::Database {
                source: DbErr::RbacError(_),
            } => f.write_str(
                "the connection refuses statements that it cannot check; use the one it restricts",
            ),
            Self::Database { .. } => f.write_str("database error"),
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
            Self::KeyTaken { .. } => "KeyTaken",
            Self::UserNotFound { .. } => "UserNotFound",
            Self::OwnerNotFound { .. } => "OwnerNotFound",
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
        if let Self::OwnerNotFound { table } | Self::KeyTaken { table } = self {
            debug.field("table", table);
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
