//! Reading the models of accounts by position.

use sea_orm::{DbErr, QueryResult};

use crate::{guest, host, user};

/// A model whose columns begin at this position: by name each cell costs a text that is put together
/// and looked up.
pub(crate) trait AtPosition: Sized {
    fn at(row: &QueryResult, first: usize) -> Result<Self, DbErr>;
}

impl AtPosition for user::Model {
    fn at(row: &QueryResult, first: usize) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.try_get_by_index(first)?,
            email: row.try_get_by_index(first + 1)?,
            created_at: row.try_get_by_index(first + 2)?,
            updated_at: row.try_get_by_index(first + 3)?,
        })
    }
}

impl AtPosition for guest::Model {
    fn at(row: &QueryResult, first: usize) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.try_get_by_index(first)?,
            user_id: row.try_get_by_index(first + 1)?,
            created_at: row.try_get_by_index(first + 2)?,
            updated_at: row.try_get_by_index(first + 3)?,
        })
    }
}

impl AtPosition for host::Model {
    fn at(row: &QueryResult, first: usize) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.try_get_by_index(first)?,
            user_id: row.try_get_by_index(first + 1)?,
            created_at: row.try_get_by_index(first + 2)?,
            updated_at: row.try_get_by_index(first + 3)?,
        })
    }
}
