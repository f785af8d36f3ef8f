//! The app's own users: a name, a password hash, and a key that the database makes.

use guesthouse::SignUp;
use sea_orm::entity::prelude::*;

use crate::{host, profile};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    #[sea_orm(unique)]
    pub email: String,
    pub name: String,
    pub password_hash: String,
    #[sea_orm(has_one)]
    pub profile: HasOne<profile::Entity>,
    #[sea_orm(has_one)]
    pub host: HasOne<host::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}

impl SignUp for Entity {
    type Guest = profile::Entity;

    fn email() -> Column {
        Column::Email
    }
}
