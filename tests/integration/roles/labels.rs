//! The labels of a city, in arrays.

use sea_orm::{ActiveValue::Set, entity::prelude::*};

pub mod city {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "cities")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub code: String,
        #[sea_orm(has_one)]
        pub labels: HasOne<super::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "labels")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i32,
    #[sea_orm(unique)]
    pub city_code: String,
    pub names: Vec<String>,
    pub numbers: Option<Vec<i32>>,
    #[sea_orm(belongs_to, from = "city_code", to = "code", on_delete = "Restrict")]
    pub city: BelongsTo<city::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}

impl guesthouse::Role for Entity {
    type Owner = city::Entity;
}

pub fn row(city: &str, n: usize) -> ActiveModel {
    ActiveModel {
        city_code: Set(city.to_owned()),
        names: Set(vec![
            format!("{{{city}}}"),
            "a \"b\", c".to_owned(),
            String::new(),
        ]),
        numbers: Set((n > 3).then(|| vec![1, -2, i32::MAX])),
        ..Default::default()
    }
}
