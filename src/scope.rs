//! What a connection is to a caller: one that commits each statement by itself, or a transaction.

use std::any::TypeId;

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction};

use crate::session::{Session, SessionTransaction};

/// What happens to a statement that has been sent on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// It commits by itself. An error spoils nothing for anyone.
    Autocommit,
    /// It belongs to a transaction that the caller ends.
    Transaction,
    /// A type that is neither SeaORM's nor this library's: either.
    Unknown,
}

impl Scope {
    /// What the type of the connection says.
    pub(crate) fn of<C: ConnectionTrait>() -> Self {
        let connection = typeid::of::<C>();
        let is_among = |types: [TypeId; 2]| types.contains(&connection);
        if is_among([TypeId::of::<DatabaseConnection>(), TypeId::of::<Session>()]) {
            Self::Autocommit
        } else if is_among([
            TypeId::of::<DatabaseTransaction>(),
            TypeId::of::<SessionTransaction>(),
        ]) {
            Self::Transaction
        } else {
            Self::Unknown
        }
    }

    /// What the type says, or PostgreSQL itself where the type says nothing.
    ///
    /// A savepoint outside a transaction is refused without consequence. One that is left behind
    /// by a dropped call changes nothing either.
    #[cfg(feature = "postgres")]
    pub(crate) async fn on_postgres<C: ConnectionTrait>(db: &C) -> Result<Self, sea_orm::DbErr> {
        let scope = Self::of::<C>();
        if scope != Self::Unknown {
            return Ok(scope);
        }
        match db.execute_unprepared("SAVEPOINT guesthouse_scope").await {
            Ok(_) => {
                db.execute_unprepared("RELEASE SAVEPOINT guesthouse_scope")
                    .await?;
                Ok(Self::Transaction)
            }
            // https://www.postgresql.org/docs/current/errcodes-appendix.html: no active SQL
            // transaction.
            Err(error) if crate::error::code(&error).as_deref() == Some("25P01") => {
                Ok(Self::Autocommit)
            }
            Err(error) => Err(error),
        }
    }
}
