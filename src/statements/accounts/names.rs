//! The tables of users and guests in SQL that is written as text.

use sea_orm::{DbBackend, IdenStatic, Related};

use crate::{
    accounts::SignUp,
    role::Role,
    statements::parts::{owner_key, quoted, table_name},
};

/// The quoted names of the tables of users and guests, and of the columns that join and find them.
pub(super) struct AccountNames {
    pub(super) users: String,
    pub(super) id: String,
    pub(super) email: String,
    pub(super) guests: String,
    pub(super) user_id: String,
}

impl AccountNames {
    pub(super) fn of<U: SignUp>(backend: DbBackend) -> Self
    where
        U::Guest: Related<U>,
    {
        Self {
            users: table_name::<U>(backend),
            id: quoted(backend, &owner_key::<U::Guest>().to_string()),
            email: quoted(backend, U::email().as_str()),
            guests: table_name::<U::Guest>(backend),
            user_id: quoted(backend, U::Guest::owner_id().as_str()),
        }
    }
}
