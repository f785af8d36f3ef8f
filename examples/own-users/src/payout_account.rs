//! Where the money of a host goes.

use guesthouse::Role;
use sea_orm::entity::prelude::*;

use crate::host;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "payout_accounts")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    #[sea_orm(unique)]
    pub host_id: i64,
    pub iban: String,
    #[sea_orm(belongs_to, from = "host_id", to = "id", on_delete = "Restrict")]
    pub host: BelongsTo<host::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}

impl Role for Entity {
    type Owner = host::Entity;
}
