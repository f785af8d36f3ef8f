//! A role whose primary key is its owner's, keys of types of the app's own, and names that have to be
//! quoted.

use guesthouse::{
    Error, Model, Onboarding, Owners, backfill, delete_user_as, offboard, onboard, onboard_all,
    sign_up_all_as, sign_up_as,
};
use sea_orm::{ActiveValue::Set, EntityTrait, QueryOrder, TransactionTrait};

use crate::{
    roles::{create_table, differences},
    support::{Backend as On, TestDb as Db, email},
};

/// The key of an order, which no other number is mistaken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, sea_orm::DeriveValueType)]
pub struct OrderId(pub i32);

mod order {
    use sea_orm::entity::prelude::*;

    use super::OrderId;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "order")]
    pub struct Model {
        #[sea_orm(primary_key, column_name = "Id")]
        pub id: OrderId,
        #[sea_orm(unique, column_name = "E-Mail")]
        pub email: String,
        #[sea_orm(has_one)]
        pub invoice: HasOne<super::invoice::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}

    impl guesthouse::SignUp for Entity {
        type Guest = super::invoice::Entity;

        fn email() -> Column {
            Column::Email
        }
    }
}

mod invoice {
    use sea_orm::entity::prelude::*;

    use super::OrderId;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "its invoice")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false, column_name = "orderId")]
        pub order_id: OrderId,
        #[sea_orm(column_name = "select")]
        pub total: i64,
        #[sea_orm(belongs_to, from = "order_id", to = "id", on_delete = "Restrict")]
        pub order: BelongsTo<super::order::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}

    impl guesthouse::Role for Entity {
        type Owner = super::order::Entity;
    }
}

/// One who has at most one successor, of the same table.
mod ruler {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "rulers")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        #[sea_orm(unique, nullable)]
        pub after_id: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(
            belongs_to = "Entity",
            from = "Column::AfterId",
            to = "Column::Id",
            on_delete = "Restrict"
        )]
        After,
    }

    impl Related<Entity> for Entity {
        fn to() -> RelationDef {
            Relation::After.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}

    impl guesthouse::Role for Entity {
        type Owner = Self;
    }
}

/// In the format that SeaORM had before 2.0.
mod shipment {
    use sea_orm::entity::prelude::*;

    use super::OrderId;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "shipments")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        #[sea_orm(unique)]
        pub order_id: OrderId,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(
            belongs_to = "super::order::Entity",
            from = "Column::OrderId",
            to = "super::order::Column::Id",
            on_delete = "Restrict"
        )]
        Order,
    }

    impl Related<super::order::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Order.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}

    impl guesthouse::Role for Entity {
        type Owner = super::order::Entity;
    }
}

/// It refers to another unique column than the primary key.
mod newsletter {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "newsletters")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        #[sea_orm(unique)]
        pub email: String,
        #[sea_orm(belongs_to, from = "email", to = "email", on_delete = "Restrict")]
        pub order: BelongsTo<super::order::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}

    impl guesthouse::Role for Entity {
        type Owner = super::order::Entity;
    }
}

async fn create_tables(db: &Db) {
    create_table(db, order::Entity).await;
    create_table(db, invoice::Entity).await;
    create_table(db, shipment::Entity).await;
    create_table(db, newsletter::Entity).await;
}

async fn order(db: &Db, name: &str) -> OrderId {
    let order = order::ActiveModel {
        email: Set(email(name).as_ref().to_owned()),
        ..Default::default()
    };
    let inserted = order::Entity::insert(order).exec(&db.pool).await.unwrap();
    inserted.last_insert_id
}

fn invoice(order_id: OrderId, total: i64) -> invoice::ActiveModel {
    invoice::ActiveModel {
        order_id: Set(order_id),
        total: Set(total),
    }
}

/// Order and total of each invoice, through another pool.
async fn stored(db: &Db) -> Vec<(OrderId, i64)> {
    let pool = db.pool_of(1).await;
    let invoices = invoice::Entity::find()
        .order_by_asc(invoice::Column::OrderId)
        .all(&pool)
        .await
        .unwrap();
    pool.close().await.unwrap();
    let row = |invoice: invoice::Model| (invoice.order_id, invoice.total);
    invoices.into_iter().map(row).collect()
}

on_each_backend!(
    every_verb_works_where_the_foreign_key_is_the_primary_key,
    a_transaction_goes_on_after_each_answer,
    people_sign_up_to_it,
    it_is_verified_and_described,
    an_entity_in_the_older_format_is_a_role,
    a_role_that_refers_to_another_column_is_refused,
);

async fn an_entity_in_the_older_format_is_a_role(db: Db) {
    create_tables(&db).await;
    let (one, other) = (order(&db, "one").await, order(&db, "other").await);
    let of = |order_id| shipment::ActiveModel {
        order_id: Set(order_id),
        ..Default::default()
    };
    let first = onboard::<shipment::Entity>(&db.pool, of(one))
        .await
        .unwrap();
    assert!(first.is_new());
    let many = onboard_all::<shipment::Entity>(&db.pool, vec![of(one), of(other)]).await;
    let many = many.unwrap();
    assert_eq!(many.existing, [first.into_model()]);
    assert_eq!(many.new[0].order_id, other);
    let gone = offboard::<shipment::Entity>(&db.pool, other).await.unwrap();
    assert_eq!(gone, many.new.into_iter().next());
    let given = backfill::<shipment::Entity>(&db.pool, of, |_| {}).await;
    assert_eq!(given.unwrap(), 1);
    let model = Model::new().role::<shipment::Entity>();
    assert_eq!(differences(&db, &model).await, [""; 0]);
}

/// The owner is looked for by the primary key, which such a row does not name.
async fn a_role_that_refers_to_another_column_is_refused(db: Db) {
    create_tables(&db).await;
    let ada = order(&db, "ada").await;
    let row = || newsletter::ActiveModel {
        email: Set("ada@example.com".to_owned()),
        ..Default::default()
    };
    fn is_refused<T: std::fmt::Debug>(answer: Result<T, Error>) {
        use std::error::Error as _;

        let error = answer.unwrap_err();
        let source = error.source().expect("a source").to_string();
        assert!(
            source.contains("newsletters.email does not refer to order.Id, the primary key"),
            "{source}"
        );
    }
    let owners = Owners::<order::Entity>::all;
    is_refused(onboard::<newsletter::Entity>(&db.pool, row()).await);
    is_refused(onboard_all::<newsletter::Entity>(&db.pool, vec![row()]).await);
    is_refused(offboard::<newsletter::Entity>(&db.pool, ada).await);
    is_refused(backfill::<newsletter::Entity>(&db.pool, |_| row(), |_| {}).await);
    is_refused(owners().with::<newsletter::Entity>().count(&db.pool).await);
    is_refused(
        owners()
            .without::<newsletter::Entity>()
            .fetch(&db.pool)
            .await,
    );
    is_refused(owners().fetch_beside::<newsletter::Entity>(&db.pool).await);
    let model = Model::new().role::<newsletter::Entity>();
    is_refused(model.audit(&db.pool).await);
    let pool = db.pool_of(1).await;
    let rows = newsletter::Entity::find().all(&pool).await.unwrap();
    assert_eq!(rows.len(), 0);
    pool.close().await.unwrap();
}

async fn every_verb_works_where_the_foreign_key_is_the_primary_key(db: Db) {
    create_tables(&db).await;
    let nobody = OrderId(-1);
    let mut orders = Vec::new();
    for n in 0..5 {
        orders.push(order(&db, &format!("order{n}")).await);
    }
    let one = invoice::Model {
        order_id: orders[0],
        total: 10,
    };

    let new = onboard::<invoice::Entity>(&db.pool, invoice(orders[0], 10)).await;
    assert_eq!(new.unwrap(), Onboarding::New(one.clone()));
    let again = onboard::<invoice::Entity>(&db.pool, invoice(orders[0], 11)).await;
    assert_eq!(again.unwrap(), Onboarding::Existing(one.clone()));
    let refused = onboard::<invoice::Entity>(&db.pool, invoice(nobody, 1)).await;
    assert!(
        matches!(refused, Err(Error::OwnerNotFound { table: "order" })),
        "{refused:?}"
    );

    let offered = [
        (orders[2], 12),
        (orders[0], 13),
        (nobody, 14),
        (orders[1], 15),
    ];
    let offered = offered.map(|(order, total)| invoice(order, total));
    let many = onboard_all::<invoice::Entity>(&db.pool, offered.to_vec()).await;
    let many = many.unwrap();
    let totals: Vec<_> = many.new.iter().map(|invoice| invoice.total).collect();
    assert_eq!((totals, many.existing), (vec![12, 15], vec![one.clone()]));
    assert_eq!(many.unknown, [nobody]);

    let without = Owners::<order::Entity>::all().without::<invoice::Entity>();
    let page = without.clone().limit(1).fetch(&db.pool).await.unwrap();
    assert_eq!((page.rows[0].id, page.next), (orders[3], Some(orders[3])));
    assert_eq!(without.count(&db.pool).await.unwrap(), 2);
    let beside = Owners::<order::Entity>::all()
        .limit(1)
        .fetch_beside::<invoice::Entity>(&db.pool);
    assert_eq!(beside.await.unwrap().rows[0].1, Some(one.clone()));

    let given = backfill::<invoice::Entity>(&db.pool, |order| invoice(order, 0), |_| {}).await;
    assert_eq!(given.unwrap(), 2);
    let gone = offboard::<invoice::Entity>(&db.pool, orders[0]).await;
    assert_eq!(gone.unwrap(), Some(one));
    let gone = offboard::<invoice::Entity>(&db.pool, orders[0]).await;
    assert_eq!(gone.unwrap(), None);
    let rest = [(1, 15), (2, 12), (3, 0), (4, 0)];
    assert_eq!(
        stored(&db).await,
        rest.map(|(order, total)| (orders[order], total))
    );
}

async fn a_transaction_goes_on_after_each_answer(db: Db) {
    create_tables(&db).await;
    let (one, other) = (order(&db, "one").await, order(&db, "other").await);
    let txn = db.pool.begin().await.unwrap();
    let new = onboard::<invoice::Entity>(&txn, invoice(one, 1))
        .await
        .unwrap();
    assert!(new.is_new());
    let again = onboard::<invoice::Entity>(&txn, invoice(one, 2))
        .await
        .unwrap();
    assert!(!again.is_new());
    onboard::<invoice::Entity>(&txn, invoice(OrderId(-1), 3))
        .await
        .unwrap_err();
    let offered = vec![invoice(other, 4), invoice(one, 5)];
    let many = onboard_all::<invoice::Entity>(&txn, offered).await.unwrap();
    assert_eq!((many.new.len(), many.existing.len()), (1, 1));
    let gone = offboard::<invoice::Entity>(&txn, one).await.unwrap();
    assert_eq!(gone.map(|invoice| invoice.total), Some(1));
    txn.commit().await.unwrap();
    assert_eq!(stored(&db).await, [(other, 4)]);
}

async fn people_sign_up_to_it(db: Db) {
    create_tables(&db).await;
    let total = |total| invoice::ActiveModel {
        total: Set(total),
        ..Default::default()
    };
    let (ada, of_ada) =
        sign_up_as::<order::Entity>(&db.pool, email("ada"), Default::default(), total(1))
            .await
            .unwrap();
    assert_eq!((of_ada.order_id, of_ada.total), (ada.id, 1));
    let taken =
        sign_up_as::<order::Entity>(&db.pool, email("ada"), Default::default(), total(2)).await;
    assert!(matches!(taken, Err(Error::EmailTaken)), "{taken:?}");

    let people = ["grace", "ada", "linus"].map(|name| (email(name), Default::default(), total(3)));
    let many = sign_up_all_as::<order::Entity>(&db.pool, people.to_vec())
        .await
        .unwrap();
    assert_eq!(many.taken, [email("ada")]);
    let mut expected = vec![(ada.id, 1)];
    for ((order, invoice), name) in many.created.iter().zip(["grace", "linus"]) {
        assert_eq!(order.email, email(name).as_ref());
        assert_eq!(invoice.order_id, order.id);
        expected.push((order.id, 3));
    }
    assert_eq!(stored(&db).await, expected);

    delete_user_as::<order::Entity>(&db.pool, ada.id)
        .await
        .unwrap();
    expected.remove(0);
    assert_eq!(stored(&db).await, expected);
}

async fn it_is_verified_and_described(db: Db) {
    create_tables(&db).await;
    let model = Model::new().sign_up::<order::Entity>();
    let of_the_address = |difference: &String| difference.contains("E-Mail");
    let mut found = differences(&db, &model).await;
    found.retain(|difference| !of_the_address(difference));
    assert_eq!(found, [""; 0]);
    let described = model.describe();
    assert_eq!(
        described.tables["its invoice"].associations[0].foreign_key,
        "orderId"
    );

    let lost = match db.backend {
        On::Sqlite => "DROP TABLE \"its invoice\"",
        On::Postgres => "ALTER TABLE \"its invoice\" DROP CONSTRAINT \"its invoice_pkey\"",
        On::MariaDb => "ALTER TABLE `its invoice` ADD INDEX (`orderId`), DROP PRIMARY KEY",
    };
    db.execute(lost).await;
    if db.backend == On::Sqlite {
        db.execute(
            "CREATE TABLE \"its invoice\" (\"orderId\" integer NOT NULL \
             REFERENCES \"order\" (\"Id\") ON DELETE RESTRICT, \"select\" bigint NOT NULL)",
        )
        .await;
    }
    let mut found = differences(&db, &model).await;
    found.retain(|difference| !of_the_address(difference));
    assert_eq!(
        found,
        [
            "its invoice.orderId is not the primary key: two its invoice could share it",
            "its invoice.orderId is not unique: an order could get two its invoice",
        ]
    );
}

on_each_backend!(a_role_of_its_own_table,);

async fn a_role_of_its_own_table(db: Db) {
    create_table(&db, ruler::Entity).await;
    let ruler = |id, after_id| ruler::ActiveModel {
        id: Set(id),
        after_id: Set(after_id),
    };
    let first = ruler::Entity::insert(ruler(1, None));
    first.exec(&db.pool).await.unwrap();

    let nobody = onboard::<ruler::Entity>(&db.pool, ruler(9, Some(8))).await;
    assert!(
        matches!(nobody, Err(Error::OwnerNotFound { .. })),
        "{nobody:?}"
    );
    let second = onboard::<ruler::Entity>(&db.pool, ruler(2, Some(1))).await;
    assert!(second.unwrap().is_new());
    let again = onboard::<ruler::Entity>(&db.pool, ruler(3, Some(1))).await;
    assert_eq!(again.unwrap().into_model().id, 2);
    let txn = db.pool.begin().await.unwrap();
    let within = onboard::<ruler::Entity>(&txn, ruler(3, Some(2))).await;
    assert!(within.unwrap().is_new());
    txn.commit().await.unwrap();

    let rows = vec![ruler(4, Some(3)), ruler(5, Some(2)), ruler(6, Some(7))];
    let many = onboard_all::<ruler::Entity>(&db.pool, rows).await.unwrap();
    let ids = |rows: &[ruler::Model]| rows.iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!((ids(&many.new), ids(&many.existing)), (vec![4], vec![3]));
    assert_eq!(many.unknown.len(), 1);
    let last = offboard::<ruler::Entity>(&db.pool, 3).await.unwrap();
    assert_eq!(last.map(|row| row.id), Some(4));
    let stored = ruler::Entity::find().order_by_asc(ruler::Column::Id);
    let stored = stored.all(&db.pool_of(1).await).await.unwrap();
    assert_eq!(ids(&stored), [1, 2, 3]);
}
