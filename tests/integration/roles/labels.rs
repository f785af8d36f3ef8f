//! The labels of a city, in arrays.

use guesthouse::{offboard, onboard, onboard_all};
use sea_orm::{ActiveValue::Set, entity::prelude::*};

use super::create_table;
use crate::support::TestDb as Db;

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

on_postgres!(arrays_of_an_owner_with_a_text_for_a_key);

/// Owners whose key is a text, and columns that only PostgreSQL has.
async fn arrays_of_an_owner_with_a_text_for_a_key(db: Db) {
    create_table(&db, city::Entity).await;
    create_table(&db, Entity).await;
    for code in ["ber", "o'ma", "par"] {
        let city = city::ActiveModel {
            code: Set(code.into()),
        };
        city.insert(&db.pool).await.unwrap();
    }
    let single = onboard::<Entity>(&db.pool, row("ber", 3)).await.unwrap();
    let offered = ["ber", "o'ma", "par", "nix"].map(|code| row(code, code.len()));
    let done = onboard_all::<Entity>(&db.pool, offered.to_vec())
        .await
        .unwrap();
    assert_eq!(done.existing, [single.into_model()]);
    assert_eq!(done.unknown, ["nix"]);
    let made: Vec<_> = done.new.iter().map(|row| row.city_code.as_str()).collect();
    assert_eq!(made, ["o'ma", "par"]);
    for (stored, code) in done.new.iter().zip(made) {
        let sent = row(code, code.len());
        assert_eq!(Set(stored.names.clone()), sent.names);
        assert_eq!(Set(stored.numbers.clone()), sent.numbers);
    }
    let gone = offboard::<Entity>(&db.pool, "par".to_owned())
        .await
        .unwrap();
    assert_eq!(gone.as_ref(), Some(&done.new[1]));
}
