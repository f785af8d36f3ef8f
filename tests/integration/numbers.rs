//! Numbers at the ends of a double: stored alike alone, at once and in a transaction, where MariaDB takes
//! them as text.

use guesthouse::{Onboarding, onboard, onboard_all};
use sea_orm::{ActiveValue::Set, EntityTrait, TransactionTrait};
use uuid::Uuid;

use crate::{
    roles::create_table,
    support::{Backend as On, TestDb as Db},
};

mod scale {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "scales")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        #[sea_orm(unique)]
        pub user_id: Uuid,
        #[sea_orm(column_type = "Double")]
        pub weight: f64,
        #[sea_orm(column_type = "Float")]
        pub error: f32,
        #[sea_orm(belongs_to, from = "user_id", to = "id", on_delete = "Restrict")]
        pub user: BelongsTo<guesthouse::user::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}

    impl guesthouse::Role for Entity {
        type Owner = guesthouse::user::Entity;
    }
}

on_each_backend!(numbers_are_stored_as_they_are,);

fn scale(user_id: Uuid, weight: f64) -> scale::ActiveModel {
    scale::ActiveModel {
        user_id: Set(user_id),
        weight: Set(weight),
        error: Set(0.1),
        ..Default::default()
    }
}

async fn numbers_are_stored_as_they_are(db: Db) {
    create_table(&db, scale::Entity).await;
    for (n, weight) in [1e300, 1e100, 1e-300, -0.1, 12_345.678_901_234_567]
        .into_iter()
        .enumerate()
    {
        let mut users = Vec::new();
        for place in ["alone", "within", "bulk"] {
            users.push(db.user(&format!("{place}{n}")).await.id);
        }
        let alone = onboard::<scale::Entity>(&db.pool, scale(users[0], weight)).await;
        let txn = db.pool.begin().await.unwrap();
        let within = onboard::<scale::Entity>(&txn, scale(users[1], weight)).await;
        txn.commit().await.unwrap();
        let bulk = onboard_all::<scale::Entity>(&db.pool, vec![scale(users[2], weight)]).await;

        let made = [
            alone.map(Onboarding::into_model).unwrap(),
            within.map(Onboarding::into_model).unwrap(),
            bulk.unwrap().new.swap_remove(0),
        ];
        let stored = scale::Entity::find()
            .all(&db.pool_of(1).await)
            .await
            .unwrap();
        for (n, row) in made.into_iter().enumerate() {
            // SQLite reads a number in JSON to fifteen digits.
            let read_from_json = n == 2 && db.backend == On::Sqlite;
            let by = (row.weight / weight - 1.0).abs();
            assert!(by == 0.0 || read_from_json && by < 1e-15, "{row:?}");
            assert_eq!(row.error, 0.1);
            assert!(stored.contains(&row), "{row:?}");
        }
    }
}
