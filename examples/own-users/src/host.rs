//! A user who hosts, under a legal name.

use guesthouse::Role;
use sea_orm::entity::prelude::*;

use crate::{payout_account, user};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "hosts")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    #[sea_orm(unique)]
    pub user_id: i64,
    pub legal_name: String,
    #[sea_orm(belongs_to, from = "user_id", to = "id", on_delete = "Restrict")]
    pub user: BelongsTo<user::Entity>,
    #[sea_orm(has_one)]
    pub payout_account: HasOne<payout_account::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}

impl Role for Entity {
    type Owner = user::Entity;
}
