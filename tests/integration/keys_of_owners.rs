//! Owners whose keys are texts, or numbers that a double cannot hold.

use guesthouse::{Error, Onboarding, backfill, offboard, onboard, onboard_all};
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, EntityTrait, PaginatorTrait, QueryOrder, Schema,
    TransactionTrait,
};

use crate::{
    roles::{member, profile},
    support::{Backend as On, TestDb as Db},
};

mod city {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "cities")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub code: String,
        #[sea_orm(has_one)]
        pub mayor: HasOne<super::mayor::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

mod mayor {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "mayors")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        #[sea_orm(unique)]
        pub city_code: String,
        #[sea_orm(belongs_to, from = "city_code", to = "code", on_delete = "Restrict")]
        pub city: BelongsTo<super::city::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}

    impl guesthouse::Role for Entity {
        type Owner = super::city::Entity;
    }
}

mod ward {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "wards")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false, column_type = "Char(Some(5))")]
        pub code: String,
        #[sea_orm(has_one)]
        pub warden: HasOne<super::warden::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

mod warden {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "wardens")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        #[sea_orm(unique, column_type = "Char(Some(5))")]
        pub ward_code: String,
        #[sea_orm(belongs_to, from = "ward_code", to = "code", on_delete = "Restrict")]
        pub ward: BelongsTo<super::ward::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}

    impl guesthouse::Role for Entity {
        type Owner = super::ward::Entity;
    }
}

mod club {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "clubs")]
    pub struct Model {
        #[sea_orm(
            primary_key,
            auto_increment = false,
            column_type = "custom(\"citext\")",
            select_as = "text",
            save_as = "citext"
        )]
        pub name: String,
        #[sea_orm(has_one)]
        pub captain: HasOne<super::captain::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

mod captain {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "captains")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        #[sea_orm(
            unique,
            column_type = "custom(\"citext\")",
            select_as = "text",
            save_as = "citext"
        )]
        pub club_name: String,
        #[sea_orm(belongs_to, from = "club_name", to = "name", on_delete = "Restrict")]
        pub club: BelongsTo<super::club::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}

    impl guesthouse::Role for Entity {
        type Owner = super::club::Entity;
    }
}

async fn create_tables<O: EntityTrait, R: EntityTrait>(db: &Db, owner: O, role: R) {
    if db.backend == On::MariaDb {
        // As a table is on many servers, if nobody asks for another collation.
        db.execute("ALTER DATABASE COLLATE utf8mb4_general_ci")
            .await;
    }
    // A connection of its own: those that are open keep the collation that they began with.
    let pool = db.pool_of(1).await;
    let schema = Schema::new(pool.get_database_backend());
    for create in [
        schema.create_table_from_entity(owner),
        schema.create_table_from_entity(role),
    ] {
        pool.execute(&create).await.unwrap();
    }
    pool.close().await.unwrap();
}

fn mayor_of(code: &str) -> mayor::ActiveModel {
    mayor::ActiveModel {
        city_code: Set(code.to_owned()),
        ..Default::default()
    }
}

fn bio_of(member_id: i64) -> profile::ActiveModel {
    profile::ActiveModel {
        member_id: Set(member_id),
        bio: Set(format!("of {member_id}")),
        ..Default::default()
    }
}

on_each_backend!(
    a_text_is_a_key,
    a_text_is_compared_as_the_table_compares_it,
    large_numbers_are_told_apart,
);

on_postgres!(a_text_is_compared_by_the_type_of_its_column);

/// Columns of PostgreSQL that compare otherwise than a text: padded, and without regard to case.
async fn a_text_is_compared_by_the_type_of_its_column(db: Db) {
    db.execute("CREATE EXTENSION citext").await;
    create_tables(&db, ward::Entity, warden::Entity).await;
    create_tables(&db, club::Entity, captain::Entity).await;
    db.execute("INSERT INTO wards VALUES ('abc'), ('xyz')")
        .await;
    db.execute("INSERT INTO clubs VALUES ('Ada')").await;
    let ward = ward::Entity::find().one(&db.pool).await.unwrap().unwrap();
    assert_eq!(ward.code, "abc  ", "as sqlx reads it");
    let warden = |code: &str| warden::ActiveModel {
        ward_code: Set(code.to_owned()),
        ..Default::default()
    };
    let captain = |name: &str| captain::ActiveModel {
        club_name: Set(name.to_owned()),
        ..Default::default()
    };

    for code in ["abc  ", "abc"] {
        let alone = onboard::<warden::Entity>(&db.pool, warden(code)).await;
        let _ = alone.unwrap();
        let txn = db.pool.begin().await.unwrap();
        let again = onboard::<warden::Entity>(&txn, warden(code)).await.unwrap();
        txn.commit().await.unwrap();
        assert!(!again.is_new());
    }
    let rest = backfill::<warden::Entity>(&db.pool, |code: String| warden(&code), |_| {}).await;
    assert_eq!(rest.unwrap(), 1);
    let gone = offboard::<warden::Entity>(&db.pool, "abc  ".to_owned()).await;
    assert!(gone.unwrap().is_some());

    let first = onboard::<captain::Entity>(&db.pool, captain("ADA")).await;
    assert!(first.unwrap().is_new());
    let again = onboard::<captain::Entity>(&db.pool, captain("ada")).await;
    assert!(!again.unwrap().is_new());
    let txn = db.pool.begin().await.unwrap();
    let again = onboard::<captain::Entity>(&txn, captain("aDa")).await;
    assert!(!again.unwrap().is_new());
    txn.commit().await.unwrap();
    let nobody = onboard::<captain::Entity>(&db.pool, captain("eve")).await;
    assert!(
        matches!(nobody, Err(Error::OwnerNotFound { .. })),
        "{nobody:?}"
    );
    assert_eq!(captain::Entity::find().count(&db.pool).await.unwrap(), 1);
}

const ODD: [&str; 4] = ["Bad \"Ischl\"", "N\\A", "\u{1f3e0} Zürich", "L'Aquila"];

async fn a_text_is_a_key(db: Db) {
    create_tables(&db, city::Entity, mayor::Entity).await;
    let cities = ODD.map(|code| city::ActiveModel {
        code: Set(code.to_owned()),
    });
    city::Entity::insert_many(cities)
        .exec(&db.pool)
        .await
        .unwrap();

    let first = onboard::<mayor::Entity>(&db.pool, mayor_of(ODD[0])).await;
    let Onboarding::New(first) = first.unwrap() else {
        panic!("the first mayor is new");
    };
    let rows = [ODD[1], ODD[0], "Nowhere"].map(mayor_of);
    let many = onboard_all::<mayor::Entity>(&db.pool, rows.to_vec()).await;
    let many = many.unwrap();
    assert_eq!(many.existing, [first]);
    assert_eq!(
        (many.new.len(), many.new[0].city_code.as_str()),
        (1, ODD[1])
    );
    assert_eq!(many.unknown, ["Nowhere"]);

    let rest = backfill::<mayor::Entity>(&db.pool, |code: String| mayor_of(&code), |_| {}).await;
    assert_eq!(rest.unwrap(), 2);
    let pool = db.pool_of(1).await;
    let mayors = mayor::Entity::find().all(&pool).await.unwrap();
    let mut codes: Vec<_> = mayors.iter().map(|mayor| &*mayor.city_code).collect();
    let mut odd = ODD;
    codes.sort_unstable();
    odd.sort_unstable();
    assert_eq!(codes, odd);
    pool.close().await.unwrap();
}

/// One at a time or many at once, the answer is the same.
async fn a_text_is_compared_as_the_table_compares_it(db: Db) {
    create_tables(&db, city::Entity, mayor::Entity).await;
    let rome = city::ActiveModel {
        code: Set("Rome".to_owned()),
    };
    city::Entity::insert(rome).exec(&db.pool).await.unwrap();
    let folds = db.backend == On::MariaDb;

    let many = onboard_all::<mayor::Entity>(&db.pool, vec![mayor_of("ROME")]).await;
    let many = many.unwrap();
    let one = onboard::<mayor::Entity>(&db.pool, mayor_of("rome")).await;
    if !folds {
        assert_eq!(many.unknown, ["ROME"]);
        assert!(
            matches!(one, Err(Error::OwnerNotFound { table: "cities" })),
            "{one:?}"
        );
        return;
    }
    assert_eq!((many.new.len(), &*many.new[0].city_code), (1, "ROME"));
    assert_eq!(one.unwrap(), Onboarding::Existing(many.new[0].clone()));
    let again = onboard_all::<mayor::Entity>(&db.pool, vec![mayor_of("Rome")]).await;
    assert_eq!(again.unwrap().existing, many.new);
    let gone = offboard::<mayor::Entity>(&db.pool, "rome".to_owned()).await;
    assert_eq!(gone.unwrap().as_ref(), many.new.first());
}

async fn large_numbers_are_told_apart(db: Db) {
    const FIRST: i64 = (1 << 53) + 1;

    create_tables(&db, member::Entity, profile::Entity).await;
    let members = (FIRST..FIRST + 40).map(|id| member::ActiveModel {
        id: Set(id),
        email: Set(format!("{id}@example.com")),
        name: Set(id.to_string()),
        password_hash: Set(String::new()),
    });
    member::Entity::insert_many(members)
        .exec(&db.pool)
        .await
        .unwrap();

    let odd = (FIRST..FIRST + 40).filter(|id| id % 2 == 1);
    let rows: Vec<_> = odd.clone().map(bio_of).collect();
    let new = onboard_all::<profile::Entity>(&db.pool, rows)
        .await
        .unwrap()
        .new;
    let all = (FIRST - 1..FIRST + 41).map(bio_of).collect();
    let many = onboard_all::<profile::Entity>(&db.pool, all).await.unwrap();
    assert_eq!(many.existing, new);
    assert_eq!(many.new.len(), 20);
    assert_eq!(many.unknown, [FIRST - 1, FIRST + 40]);

    let pool = db.pool_of(1).await;
    let profiles = profile::Entity::find()
        .order_by_asc(profile::Column::MemberId)
        .all(&pool)
        .await
        .unwrap();
    for (profile, id) in profiles.iter().zip(FIRST..) {
        assert_eq!((profile.member_id, &profile.bio), (id, &format!("of {id}")));
    }
    assert_eq!(profiles.len(), 40);
    pool.close().await.unwrap();
}
