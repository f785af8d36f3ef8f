//! The engine: what makes an entity a role, which an owner has at most once, and the functions for
//! it.
//!
//! Nothing in it knows of users, guests and hosts.

use std::str::FromStr;

use sea_orm::{
    ActiveModelTrait, DbErr, EntityTrait, IdenStatic, Identity, PrimaryKeyTrait, Related, Value,
};
use tracing::{Span, field::display};

use crate::error::Error;

mod backfill;
mod offboard;
mod onboard;
mod onboard_all;
mod owners;

pub use backfill::backfill;
pub use offboard::offboard;
pub use onboard::{Onboarding, onboard};
pub use onboard_all::{Onboardings, onboard_all};
pub use owners::{Beside, KeyOf, Owners, OwnersPage};
pub(crate) use owners::{DEFAULT_LIMIT, MAX_LIMIT};

/// How often a call tries when what stood in its way is gone again.
pub(crate) const ATTEMPTS: usize = 3;

/// An entity of which every owner has at most one row.
///
/// The relation that the entity declares defines the role: its foreign key is not null, refers to
/// the primary key of the owner's table, and either has a unique index of its own or is the primary
/// key itself. That index enforces the promise. Every call refuses a relation to another column
/// than the owner's primary key with [`Error::Database`]. [`host::Entity`](crate::host::Entity) is
/// a role; an app adds its own with one `impl` and calls [`onboard`](crate::onboard).
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

/// The owner that a row names.
fn owner_of<R>(role: &R::ActiveModel) -> Result<Value, Error>
where
    R: Role + Related<R::Owner>,
{
    let owner = role.get(R::owner_id()).into_value();
    owner
        .filter(|owner| *owner != owner.as_null())
        .ok_or_else(|| Error::Database {
            source: DbErr::AttrNotSet(R::owner_id().as_str().to_owned()),
        })
}

/// Records the owner in the span of the call, if its id is a UUID: others may be personal.
fn record_owner(owner: &Value) {
    if let Value::Uuid(Some(owner_id)) = owner {
        Span::current().record("owner_id", display(owner_id));
    }
}
