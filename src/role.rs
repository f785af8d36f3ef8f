//! What makes an entity a role: something its owner has at most once.

use std::str::FromStr;

use sea_orm::{EntityTrait, Identity, PrimaryKeyTrait, Related};

use crate::{guest, host, user};

/// An entity of which every owner has at most one row.
///
/// The relation that the entity declares is the definition: its foreign key is not null, refers to
/// the primary key of the owner's table and has a unique index of its own. That index is what makes
/// the promise true. [`host::Entity`] is a role; an app adds its own with one line and calls
/// [`onboard`](crate::onboard).
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
///     type Owner = user::Entity;
/// }
///
/// fn main() {
///     assert_eq!(Entity::owner_id().as_str(), "user_id");
/// }
/// ```
pub trait Role: EntityTrait<ActiveModel: Send + Sync>
where
    Self: Related<<Self as Role>::Owner>,
{
    /// The entity that has at most one of these: its primary key is one column of any type.
    type Owner: EntityTrait;

    /// The unique foreign key to the owner.
    ///
    /// Override it where two relations lead to one owner.
    ///
    /// # Panics
    ///
    /// If the relation spans several columns.
    fn owner_id() -> Self::Column {
        let relation = <Self as Related<Self::Owner>>::to();
        let column = match relation.from_col {
            Identity::Unary(column) => Self::Column::from_str(&column.inner()).ok(),
            _ => None,
        };
        #[expect(
            clippy::expect_used,
            reason = "a role that is declared so can never work"
        )]
        column.expect("the relation of a role to its owner is one column of the role")
    }
}

/// The primary key of a role's owner.
pub type OwnerId<R> =
    <<<R as Role>::Owner as EntityTrait>::PrimaryKey as PrimaryKeyTrait>::ValueType;

impl Role for guest::Entity {
    type Owner = user::Entity;

    fn owner_id() -> Self::Column {
        guest::Column::UserId
    }
}

impl Role for host::Entity {
    type Owner = user::Entity;

    fn owner_id() -> Self::Column {
        host::Column::UserId
    }
}

/// An entity to which people sign up with an e-mail address, and each row of which has a guest that
/// is made and deleted with it.
pub trait SignUp: EntityTrait<ActiveModel: Send + Sync>
where
    Self::Guest: Related<Self>,
{
    /// The role that every row has from the beginning.
    type Guest: Role<Owner = Self>;

    /// The column of the e-mail address, which has a unique index.
    fn email() -> Self::Column;
}

impl SignUp for user::Entity {
    type Guest = guest::Entity;

    fn email() -> Self::Column {
        user::Column::Email
    }
}
