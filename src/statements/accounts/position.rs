//! Reading the models of accounts by position: by name each cell costs a text that is built and
//! looked up, and a page has many (D14).
//!
//! Once a migration adds a column, the whole model is read by name.

use sea_orm::{
    ActiveValue::Unchanged, DbErr, EntityTrait, IdenStatic, Iterable, QueryResult, TryIntoModel,
};

use crate::statements::parts::read;
use crate::{guest, host, user};

/// An entity whose columns have a known order.
pub(super) trait AtPosition: EntityTrait<ActiveModel: TryIntoModel<Self::Model>> {
    /// The columns that [`at`](Self::at) reads.
    const COLUMNS: [&str; 4];

    /// The row whose columns begin at this position.
    fn at(row: &QueryResult, first: usize) -> Result<Self::ActiveModel, DbErr>;
}

/// The model whose columns begin at this position and have this prefix.
pub(super) fn model<E: AtPosition>(
    row: &QueryResult,
    first: usize,
    prefix: &str,
) -> Result<E::Model, DbErr> {
    if E::Column::iter()
        .map(|column| column.as_str())
        .eq(E::COLUMNS)
    {
        return E::at(row, first)?.try_into_model();
    }
    read::<E>(row, prefix)
}

impl AtPosition for user::Entity {
    const COLUMNS: [&str; 4] = ["id", "email", "created_at", "updated_at"];

    #[expect(clippy::needless_update, reason = "until a migration adds a column")]
    fn at(row: &QueryResult, first: usize) -> Result<user::ActiveModel, DbErr> {
        Ok(user::ActiveModel {
            id: Unchanged(row.try_get_by_index(first)?),
            email: Unchanged(row.try_get_by_index(first + 1)?),
            created_at: Unchanged(row.try_get_by_index(first + 2)?),
            updated_at: Unchanged(row.try_get_by_index(first + 3)?),
            ..Default::default()
        })
    }
}

impl AtPosition for guest::Entity {
    const COLUMNS: [&str; 4] = ["id", "user_id", "created_at", "updated_at"];

    #[expect(clippy::needless_update, reason = "until a migration adds a column")]
    fn at(row: &QueryResult, first: usize) -> Result<guest::ActiveModel, DbErr> {
        Ok(guest::ActiveModel {
            id: Unchanged(row.try_get_by_index(first)?),
            user_id: Unchanged(row.try_get_by_index(first + 1)?),
            created_at: Unchanged(row.try_get_by_index(first + 2)?),
            updated_at: Unchanged(row.try_get_by_index(first + 3)?),
            ..Default::default()
        })
    }
}

impl AtPosition for host::Entity {
    const COLUMNS: [&str; 4] = ["id", "user_id", "created_at", "updated_at"];

    #[expect(clippy::needless_update, reason = "until a migration adds a column")]
    fn at(row: &QueryResult, first: usize) -> Result<host::ActiveModel, DbErr> {
        Ok(host::ActiveModel {
            id: Unchanged(row.try_get_by_index(first)?),
            user_id: Unchanged(row.try_get_by_index(first + 1)?),
            created_at: Unchanged(row.try_get_by_index(first + 2)?),
            updated_at: Unchanged(row.try_get_by_index(first + 3)?),
            ..Default::default()
        })
    }
}
