//! Whether a connection commits each statement by itself or is a transaction.

use std::any::TypeId;

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction};

use crate::session::{Session, SessionTransaction};

/// What happens to a statement that has been sent on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// It commits by itself. An error affects nothing else.
    Autocommit,
    /// It belongs to a transaction that the caller ends.
    Transaction,
    /// Either: the type is neither SeaORM's nor this library's.
    Unknown,
}

impl Scope {
    /// The scope that the type of the connection shows.
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
}
