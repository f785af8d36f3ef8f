//! Rows of any role that no call can make: an error, the same on each database, and nothing is written.

use std::{cell::Cell, error::Error as _, fmt::Debug};

use guesthouse::{Error, Onboarding, OwnerId, Role, backfill, onboard, onboard_all};
use sea_orm::{
    ActiveModelTrait, DbErr, IdenStatic, Iterable, ModelTrait, PrimaryKeyToColumn, Related,
    TransactionTrait, Value, sea_query::ValueType,
};

use super::{Kind, courier, owners, payout, profile, rows};
use crate::support::{Backend as On, TestDb as Db};

of_each_role!(
    an_unset_owner_is_refused_before_anything_is_sent,
    a_clash_on_another_key_names_the_constraint,
    a_clash_on_the_primary_key_names_the_constraint,
    an_owner_with_the_role_is_told_so_whatever_else_clashes,
    a_backfill_that_clashes_keeps_its_earlier_batches,
    rows_that_set_different_columns_are_refused_as_a_whole,
);

fn names_the_unset_column<R, T>(answer: Result<T, Error>)
where
    R: Role + Related<R::Owner>,
    T: Debug,
{
    match answer {
        Err(Error::Database {
            source: DbErr::AttrNotSet(column),
        }) => assert_eq!(column, R::owner_id().as_str()),
        answer => panic!("{answer:?}"),
    }
}

async fn an_unset_owner_is_refused_before_anything_is_sent<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let two = owners::<R>(&db, 2).await;
    let unset = || {
        let mut row = R::row(two[0], 3);
        row.not_set(R::owner_id());
        row
    };
    let (pool, statements) = db.counted_pool().await;
    names_the_unset_column::<R, _>(onboard::<R>(&pool, unset()).await);
    let rows_offered = vec![R::row(two[0], 3), unset(), R::row(two[1], 3)];
    names_the_unset_column::<R, _>(onboard_all::<R>(&pool, rows_offered).await);
    assert_eq!(statements.take(), [""; 0]);
    assert_eq!(rows::<R>(&db).await, []);

    let txn = db.pool.begin().await.unwrap();
    names_the_unset_column::<R, _>(onboard::<R>(&txn, unset()).await);
    names_the_unset_column::<R, _>(onboard_all::<R>(&txn, vec![unset()]).await);
    let row = onboard::<R>(&txn, R::row(two[0], 3)).await.unwrap();
    txn.commit().await.unwrap();
    assert_eq!(rows::<R>(&db).await, [row.into_model()]);
}

/// The same tables, and entities whose foreign key may be null.
mod of_nobody {
    use guesthouse::Role;
    use sea_orm::entity::prelude::*;

    pub mod courier {
        use super::*;

        #[sea_orm::model]
        #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
        #[sea_orm(table_name = "couriers")]
        pub struct Model {
            #[sea_orm(primary_key, auto_increment = false)]
            pub id: Uuid,
            #[sea_orm(unique)]
            pub user_id: Option<Uuid>,
            #[sea_orm(belongs_to, from = "user_id", to = "id", on_delete = "Restrict")]
            pub user: BelongsTo<Option<guesthouse::user::Entity>>,
        }

        impl ActiveModelBehavior for ActiveModel {}

        impl Role for Entity {
            type Owner = guesthouse::user::Entity;
        }
    }

    pub mod payout {
        use super::*;

        #[sea_orm::model]
        #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
        #[sea_orm(table_name = "payout_accounts")]
        pub struct Model {
            #[sea_orm(primary_key)]
            pub id: i64,
            #[sea_orm(unique)]
            pub host_id: Option<Uuid>,
            #[sea_orm(belongs_to, from = "host_id", to = "id", on_delete = "Restrict")]
            pub host: BelongsTo<Option<guesthouse::host::Entity>>,
        }

        impl ActiveModelBehavior for ActiveModel {}

        impl Role for Entity {
            type Owner = guesthouse::host::Entity;
        }
    }

    pub mod profile {
        use super::*;

        #[sea_orm::model]
        #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
        #[sea_orm(table_name = "profiles")]
        pub struct Model {
            #[sea_orm(primary_key)]
            pub id: i64,
            #[sea_orm(unique)]
            pub member_id: Option<i64>,
            #[sea_orm(belongs_to, from = "member_id", to = "id", on_delete = "Restrict")]
            pub member: BelongsTo<Option<crate::roles::member::Entity>>,
        }

        impl ActiveModelBehavior for ActiveModel {}

        impl Role for Entity {
            type Owner = crate::roles::member::Entity;
        }
    }
}

on_each_backend!(a_null_owner_is_refused_before_anything_is_sent,);

async fn a_null_owner_is_refused_before_anything_is_sent(db: Db) {
    courier::Entity::create_tables(&db).await;
    payout::Entity::create_tables(&db).await;
    profile::Entity::create_tables(&db).await;

    is_null::<of_nobody::courier::Entity>(&db, Value::Uuid(None)).await;
    is_null::<of_nobody::payout::Entity>(&db, Value::Uuid(None)).await;
    is_null::<of_nobody::profile::Entity>(&db, Value::BigInt(None)).await;

    assert!(rows::<courier::Entity>(&db).await.is_empty());
    assert!(rows::<payout::Entity>(&db).await.is_empty());
    assert!(rows::<profile::Entity>(&db).await.is_empty());
}

async fn is_null<R>(db: &Db, null: Value)
where
    R: Role + Related<R::Owner>,
    R::Model: Debug,
    OwnerId<R>: ValueType + Debug,
{
    let null = || {
        let mut row = <R::ActiveModel as ActiveModelTrait>::default();
        row.try_set(R::owner_id(), null.clone()).unwrap();
        row
    };
    let (pool, statements) = db.counted_pool().await;
    names_the_unset_column::<R, _>(onboard::<R>(&pool, null()).await);
    names_the_unset_column::<R, _>(onboard_all::<R>(&pool, vec![null()]).await);
    assert_eq!(statements.take(), [""; 0]);

    let txn = pool.begin().await.unwrap();
    names_the_unset_column::<R, _>(onboard::<R>(&txn, null()).await);
    names_the_unset_column::<R, _>(onboard_all::<R>(&txn, vec![null()]).await);
    txn.commit().await.unwrap();
}

/// Makes another unique key, over a text of the role's, and returns its name. A courier's badge has one.
async fn another_key<R: Kind>(db: &Db) -> &'static str
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    let (role, column) = (R::default(), R::text());
    let (table, column) = (role.table_name(), column.as_str());
    match (table, db.backend) {
        ("couriers", On::Postgres) => return "couriers_badge_key",
        ("couriers", _) => return "badge",
        _ => {}
    }
    db.execute(&format!(
        "CREATE UNIQUE INDEX another_key ON {table} ({column})"
    ))
    .await;
    "another_key"
}

/// An error of the database that names the constraint, as its driver reports it: SQLite's names the
/// column.
fn names<T: Debug>(db: &Db, answer: &Result<T, Error>, key: &str, of_sqlite: &str) {
    let Err(error @ Error::Database { .. }) = answer else {
        panic!("{answer:?}")
    };
    let (code, name) = match db.backend {
        On::Sqlite => (["2067", "1555"], of_sqlite),
        On::Postgres => (["23505"; 2], key),
        On::MariaDb => (["1062"; 2], key),
    };
    let said = error.code().unwrap();
    assert!(code.contains(&&*said), "{said}");
    let source = error.source().unwrap().to_string();
    assert!(source.contains(name), "{source}");
    assert!(!error.is_retryable());
}

async fn a_clash_on_another_key_names_the_constraint<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let key = another_key::<R>(&db).await;
    let three = owners::<R>(&db, 3).await;
    let first = onboard::<R>(&db.pool, R::row(three[0], 1)).await.unwrap();
    let first = first.into_model();
    let of_sqlite = format!("{}.{}", R::default().table_name(), R::text().as_str());
    let names = |answer| names(&db, &answer, key, &of_sqlite);

    names(onboard::<R>(&db.pool, R::row(three[1], 1)).await.map(drop));
    // Once with a row that could be made, and once with one that is there already.
    for other in [three[2], three[0]] {
        let offered = vec![R::row(other, 2), R::row(three[1], 1)];
        names(onboard_all::<R>(&db.pool, offered).await.map(drop));
    }
    // The same text twice in one call.
    let twice = vec![R::row(three[1], 2), R::row(three[2], 2)];
    names(onboard_all::<R>(&db.pool, twice).await.map(drop));
    names(
        backfill::<R>(&db.pool, |owner| R::row(owner, 1), |_| {})
            .await
            .map(drop),
    );
    let txn = db.pool.begin().await.unwrap();
    names(onboard::<R>(&txn, R::row(three[1], 1)).await.map(drop));
    txn.rollback().await.unwrap();
    let txn = db.pool.begin().await.unwrap();
    let offered = vec![R::row(three[2], 2), R::row(three[1], 1)];
    names(onboard_all::<R>(&txn, offered).await.map(drop));
    txn.rollback().await.unwrap();

    assert_eq!(rows::<R>(&db).await, [first]);
}

fn primary_key<R: Kind>() -> R::Column
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    let key = <R::PrimaryKey as Iterable>::iter().next().unwrap();
    key.into_column()
}

async fn a_clash_on_the_primary_key_names_the_constraint<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let two = owners::<R>(&db, 2).await;
    let first = onboard::<R>(&db.pool, R::row(two[0], 1)).await.unwrap();
    let first = first.into_model();
    let id = primary_key::<R>();
    let clashing = || {
        let mut row = R::row(two[1], 2);
        row.try_set(id, first.get(id)).unwrap();
        row
    };
    let table = R::default();
    let table = table.table_name();
    let key = match db.backend {
        On::Postgres => format!("{table}_pkey"),
        On::Sqlite | On::MariaDb => "PRIMARY".to_owned(),
    };
    let names = |answer| names(&db, &answer, &key, &format!("{table}.id"));

    names(onboard::<R>(&db.pool, clashing()).await.map(drop));
    names(onboard_all::<R>(&db.pool, vec![clashing()]).await.map(drop));
    let txn = db.pool.begin().await.unwrap();
    names(onboard::<R>(&txn, clashing()).await.map(drop));
    txn.rollback().await.unwrap();

    assert_eq!(rows::<R>(&db).await, [first]);
}

/// The owner's own row is found, and no key is clashed with.
async fn an_owner_with_the_role_is_told_so_whatever_else_clashes<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    another_key::<R>(&db).await;
    let two = owners::<R>(&db, 2).await;
    let mut both = Vec::new();
    for n in [0, 1] {
        let row = onboard::<R>(&db.pool, R::row(two[n], n + 1)).await.unwrap();
        both.push(row.into_model());
    }
    // Its own text, and the other owner's.
    for n in [1, 2] {
        let again = onboard::<R>(&db.pool, R::row(two[0], n)).await.unwrap();
        assert_eq!(again, Onboarding::Existing(both[0].clone()));
        let offered = vec![R::row(two[0], n)];
        let again = onboard_all::<R>(&db.pool, offered).await.unwrap();
        assert_eq!(again.existing, both[..1]);
        let txn = db.pool.begin().await.unwrap();
        let again = onboard::<R>(&txn, R::row(two[0], n)).await.unwrap();
        assert_eq!(again, Onboarding::Existing(both[0].clone()));
        let offered = vec![R::row(two[0], n)];
        let again = onboard_all::<R>(&txn, offered).await.unwrap();
        assert_eq!(again.existing, both[..1]);
        txn.commit().await.unwrap();
    }
    let stored = rows::<R>(&db).await;
    assert_eq!(stored.len(), 2);
    assert!(both.iter().all(|row| stored.contains(row)));
}

async fn a_backfill_that_clashes_keeps_its_earlier_batches<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let owners = R::many_owners(&db, 1_003).await;
    let first = onboard::<R>(&db.pool, R::row(owners[0], 3)).await.unwrap();
    let (first, id) = (first.into_model(), primary_key::<R>());
    let (made, mut totals) = (Cell::new(0), Vec::new());
    let row = |owner| {
        made.set(made.get() + 1);
        let mut row = R::row(owner, 3);
        if made.get() > 1_000 {
            row.try_set(id, first.get(id)).unwrap();
        }
        row
    };

    let failed = backfill::<R>(&db.pool, row, |total| totals.push(total)).await;

    assert!(matches!(failed, Err(Error::Database { .. })), "{failed:?}");
    assert_eq!(totals, [1_000]);
    assert_eq!(rows::<R>(&db).await.len(), 1_001);
    let rest = backfill::<R>(&db.pool, |owner| R::row(owner, 3), |_| {}).await;
    assert_eq!(rest.unwrap(), 2);
}

async fn rows_that_set_different_columns_are_refused_as_a_whole<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let two = owners::<R>(&db, 2).await;
    let mut without = R::row(two[1], 3);
    without.not_set(R::text());
    for offered in [
        vec![R::row(two[0], 3), without.clone()],
        vec![without, R::row(two[0], 3)],
    ] {
        let failed = onboard_all::<R>(&db.pool, offered).await;
        assert!(matches!(failed, Err(Error::Database { .. })), "{failed:?}");
    }
    assert_eq!(rows::<R>(&db).await, []);
}
