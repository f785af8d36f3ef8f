//! A member's profile. It has no more than the app gives.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "profiles")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    #[sea_orm(unique)]
    pub member_id: i64,
    pub bio: String,
    #[sea_orm(belongs_to, from = "member_id", to = "id", on_delete = "Restrict")]
    pub member: BelongsTo<super::member::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}

impl guesthouse::Role for Entity {
    type Owner = super::member::Entity;
}
