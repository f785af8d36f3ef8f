//! Hooks of the app that change the owner of a row, or the address of a user: the answer is about what
//! is stored.

use guesthouse::{onboard_all, sign_up_all_as, sign_up_as};
use sea_orm::{ActiveValue::Set, EntityTrait, QueryOrder};

use crate::{
    roles::create_table,
    support::{TestDb as Db, email},
};

/// A town, whose code its parks write in any case.
mod town {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "towns")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub code: String,
        #[sea_orm(has_one)]
        pub park: HasOne<super::park::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

mod park {
    use sea_orm::{ActiveValue::Set, entity::prelude::*};

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "parks")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        #[sea_orm(unique)]
        pub town_code: String,
        #[sea_orm(belongs_to, from = "town_code", to = "code", on_delete = "Restrict")]
        pub town: BelongsTo<super::town::Entity>,
    }

    #[async_trait::async_trait]
    impl ActiveModelBehavior for ActiveModel {
        async fn before_save<C: ConnectionTrait>(mut self, _: &C, _: bool) -> Result<Self, DbErr> {
            self.town_code = Set(self.town_code.take().unwrap_or_default().to_lowercase());
            Ok(self)
        }
    }

    impl guesthouse::Role for Entity {
        type Owner = super::town::Entity;
    }
}

/// A reader, whose address loses what follows a plus.
mod reader {
    use sea_orm::{ActiveValue::Set, entity::prelude::*};

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "readers")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        #[sea_orm(unique)]
        pub email: String,
        #[sea_orm(has_one)]
        pub card: HasOne<super::card::Entity>,
    }

    #[async_trait::async_trait]
    impl ActiveModelBehavior for ActiveModel {
        async fn before_save<C: ConnectionTrait>(mut self, _: &C, _: bool) -> Result<Self, DbErr> {
            let email = self.email.take().unwrap_or_default();
            let (local, domain) = email.split_once('@').unwrap_or((&email, ""));
            let local = local.split('+').next().unwrap_or_default();
            self.email = Set(format!("{local}@{domain}"));
            Ok(self)
        }
    }

    impl guesthouse::SignUp for Entity {
        type Guest = super::card::Entity;

        fn email() -> Column {
            Column::Email
        }
    }
}

mod card {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "cards")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        #[sea_orm(unique)]
        pub reader_id: i64,
        #[sea_orm(belongs_to, from = "reader_id", to = "id", on_delete = "Restrict")]
        pub reader: BelongsTo<super::reader::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}

    impl guesthouse::Role for Entity {
        type Owner = super::reader::Entity;
    }
}

on_each_backend!(a_hook_changes_the_owner, a_hook_changes_the_address);

async fn a_hook_changes_the_owner(db: Db) {
    create_table(&db, town::Entity).await;
    create_table(&db, park::Entity).await;
    let towns = ["bern", "rome"].map(|code| town::ActiveModel {
        code: Set(code.to_owned()),
    });
    let towns = town::Entity::insert_many(towns);
    towns.exec(&db.pool).await.unwrap();
    let of = |codes: &[&str]| {
        let park = |code: &&str| park::ActiveModel {
            town_code: Set((*code).to_owned()),
            ..Default::default()
        };
        codes.iter().map(park).collect::<Vec<_>>()
    };

    let first = onboard_all::<park::Entity>(&db.pool, of(&["Rome", "ROME", "Nowhere"])).await;
    let first = first.unwrap();
    assert_eq!(first.new.len(), 1);
    assert_eq!(first.new[0].town_code, "rome");
    assert_eq!(first.unknown, ["Nowhere"]);

    let again = onboard_all::<park::Entity>(&db.pool, of(&["Bern", "Rome"])).await;
    let again = again.unwrap();
    assert_eq!(again.existing, first.new);
    assert_eq!((again.new.len(), again.unknown.len()), (1, 0));
    let stored = park::Entity::find().order_by_asc(park::Column::Id);
    let stored = stored.all(&db.pool_of(1).await).await.unwrap();
    assert_eq!(stored, [first.new, again.new].concat());
}

async fn a_hook_changes_the_address(db: Db) {
    create_table(&db, reader::Entity).await;
    create_table(&db, card::Entity).await;
    let person = |id: i64, name: &str| {
        let reader = reader::ActiveModel {
            id: Set(id),
            ..Default::default()
        };
        (email(name), reader, card::ActiveModel::default())
    };

    let people = vec![
        person(1, "ada+work"),
        person(2, "ada+home"),
        person(3, "eve"),
    ];
    let made = sign_up_all_as::<reader::Entity>(&db.pool, people).await;
    let made = made.unwrap();
    assert_eq!(
        made.taken,
        [email("ada+work")],
        "the order of the addresses"
    );
    let addresses: Vec<_> = made.created.iter().map(|(user, _)| &*user.email).collect();
    assert_eq!(addresses, [email("ada").as_ref(), email("eve").as_ref()]);

    let (address, reader, card) = person(3, "eve+again");
    let again = sign_up_as::<reader::Entity>(&db.pool, address, reader, card).await;
    assert_eq!(again.unwrap(), made.created[1]);
    let stored = reader::Entity::find().all(&db.pool_of(1).await).await;
    assert_eq!(stored.unwrap().len(), 2);
}
