//! What makes an entity a role: something a user is at most once.

use sea_orm::EntityTrait;

use crate::host;

/// An entity of which every user has at most one row.
///
/// The table has a `user_id` column that is not null, is a foreign key to `users.id` and has a
/// unique index of its own; that index is what makes the promise true. [`host::Entity`] is a role;
/// an app adds its own by implementing this trait and calling [`onboard`](crate::onboard).
///
/// # Examples
///
/// ```
/// use guesthouse::{Role, user};
/// use sea_orm::entity::prelude::*;
///
/// #[sea_orm::model]
/// #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
/// #[sea_orm(table_name = "couriers")]
/// pub struct Model {
///     #[sea_orm(primary_key, auto_increment = false)]
///     pub id: Uuid,
///     #[sea_orm(unique)]
///     pub user_id: Uuid,
///     pub vehicle: String,
///     #[sea_orm(belongs_to, from = "user_id", to = "id", on_delete = "Restrict")]
///     pub user: BelongsTo<user::Entity>,
/// }
///
/// impl ActiveModelBehavior for ActiveModel {}
///
/// impl Role for Entity {
///     fn user_id() -> Column {
///         Column::UserId
///     }
/// }
///
/// fn main() {
///     assert_eq!(Entity::user_id().as_str(), "user_id");
/// }
/// ```
pub trait Role: EntityTrait<ActiveModel: Send> {
    /// The unique foreign key to `users.id`.
    fn user_id() -> Self::Column;
}

impl Role for host::Entity {
    fn user_id() -> Self::Column {
        host::Column::UserId
    }
}
