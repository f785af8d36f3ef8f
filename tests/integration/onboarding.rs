//! The engine behind `become_host`, with a role of an app's own.

use guesthouse::{Error, Onboarding, host, onboard};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{NotSet, Set},
    EntityTrait, TransactionTrait,
};
use uuid::Uuid;

use crate::{
    courier::{self, HOOKS, Vehicle},
    support::{Backend, TestDb as Db},
};

fn with_van(user_id: Uuid) -> courier::ActiveModel {
    courier::ActiveModel {
        user_id: Set(user_id),
        vehicle: Set(Vehicle::Van),
        ..Default::default()
    }
}

async fn couriers(db: &Db) -> Vec<courier::Model> {
    courier::Entity::find().all(&db.pool).await.unwrap()
}

on_each_backend!(
    a_new_row_comes_back_as_stored,
    an_existing_row_is_left_as_it_is,
    hooks_run_before_always_and_after_for_a_new_row,
    a_clash_on_the_primary_key_is_an_error,
    a_clash_on_another_unique_key_is_an_error,
    the_same_row_twice_exists,
    an_unset_user_is_an_error,
    a_value_the_table_refuses_is_an_error,
    a_role_for_an_unknown_owner_is_refused,
);

/// Columns left to the database come back as it filled them.
async fn a_new_row_comes_back_as_stored(db: Db) {
    courier::create_table(&db).await;
    let ada = db.user("ada").await;

    let onboarding = onboard::<courier::Entity>(&db.pool, with_van(ada.id))
        .await
        .unwrap();

    assert!(onboarding.is_new());
    let courier = onboarding.into_model();
    assert_eq!((courier.vehicle, courier.grade), (Vehicle::Van, 7));
    assert_eq!(courier.id.get_version_num(), 7);
    assert_eq!(couriers(&db).await, [courier]);
}

async fn an_existing_row_is_left_as_it_is(db: Db) {
    courier::create_table(&db).await;
    let ada = db.user("ada").await;
    let first = onboard::<courier::Entity>(&db.pool, with_van(ada.id))
        .await
        .unwrap();

    let other = courier::ActiveModel {
        vehicle: Set(Vehicle::Bicycle),
        grade: Set(1),
        badge: Set(Some("A1".into())),
        ..with_van(ada.id)
    };
    let again = onboard::<courier::Entity>(&db.pool, other).await.unwrap();

    assert_eq!(again, Onboarding::Existing(first.into_model()));
    assert_eq!(couriers(&db).await, [again.into_model()]);
}

async fn hooks_run_before_always_and_after_for_a_new_row(db: Db) {
    courier::create_table(&db).await;
    let ada = db.user("ada").await;

    for expected in [&["before", "after"][..], &["before"]] {
        let seen = HOOKS
            .scope(Default::default(), async {
                let _ = onboard::<courier::Entity>(&db.pool, with_van(ada.id))
                    .await
                    .unwrap();
                HOOKS.with(|hooks| hooks.borrow().clone())
            })
            .await;
        assert_eq!(seen, expected);
    }
}

async fn a_clash_on_the_primary_key_is_an_error(db: Db) {
    let ada = db.host("ada").await;
    let grace = db.user("grace").await;
    let before = db.rows().await;

    let role = host::ActiveModel {
        id: Set(ada.id),
        user_id: Set(grace.id),
        ..Default::default()
    };
    let clash = onboard::<host::Entity>(&db.pool, role).await;

    assert!(matches!(clash, Err(Error::Database { .. })), "{clash:?}");
    assert_eq!(db.rows().await, before);
}

async fn a_clash_on_another_unique_key_is_an_error(db: Db) {
    courier::create_table(&db).await;
    let (ada, grace) = (db.user("ada").await, db.user("grace").await);
    let badge = |user_id| courier::ActiveModel {
        badge: Set(Some("A1".into())),
        ..with_van(user_id)
    };
    let first = onboard::<courier::Entity>(&db.pool, badge(ada.id))
        .await
        .unwrap();

    let clash = onboard::<courier::Entity>(&db.pool, badge(grace.id)).await;

    assert!(matches!(clash, Err(Error::Database { .. })), "{clash:?}");
    assert_eq!(couriers(&db).await, [first.into_model()]);
}

/// A caller who sends the same row twice, id and all, is answered like any other.
async fn the_same_row_twice_exists(db: Db) {
    let ada = db.user("ada").await;
    let role = host::ActiveModel {
        id: Set(Uuid::now_v7()),
        user_id: Set(ada.id),
        ..Default::default()
    };

    let first = onboard::<host::Entity>(&db.pool, role.clone())
        .await
        .unwrap();
    assert!(first.is_new());
    let again = onboard::<host::Entity>(&db.pool, role).await.unwrap();

    assert_eq!(again, Onboarding::Existing(first.into_model()));
}

async fn an_unset_user_is_an_error(db: Db) {
    let role = host::ActiveModel {
        user_id: NotSet,
        ..Default::default()
    };
    let refused = onboard::<host::Entity>(&db.pool, role).await;
    assert!(
        matches!(refused, Err(Error::Database { .. })),
        "{refused:?}"
    );
}

/// What the table's own rules refuse is an error; in a savepoint of the caller's it is harmless.
async fn a_value_the_table_refuses_is_an_error(db: Db) {
    courier::create_table(&db).await;
    let ada = db.user("ada").await;
    let role = courier::ActiveModel {
        grade: Set(-1),
        ..with_van(ada.id)
    };

    let txn = db.pool.begin().await.unwrap();
    let savepoint = txn.begin().await.unwrap();
    let failed = onboard::<courier::Entity>(&savepoint, role).await;
    assert!(matches!(failed, Err(Error::Database { .. })), "{failed:?}");
    savepoint.rollback().await.unwrap();
    let courier = onboard::<courier::Entity>(&txn, with_van(ada.id))
        .await
        .unwrap();
    txn.commit().await.unwrap();

    assert_eq!(couriers(&db).await, [courier.into_model()]);
}

async fn a_role_for_an_unknown_owner_is_refused(db: Db) {
    courier::create_table(&db).await;
    let refused = onboard::<courier::Entity>(&db.pool, with_van(Uuid::nil())).await;
    assert!(
        matches!(refused, Err(Error::UserNotFound { user_id }) if user_id.is_nil()),
        "{refused:?}"
    );
    assert_eq!(couriers(&db).await.len(), 0);
}

on_sqlite_and_postgres!(an_error_that_comes_after_the_row_is_seen);

/// A rule that the database checks when the statement commits, after it has returned its row. Who
/// stops reading at the row, as SeaORM's own insert does on SQLite, takes for done what was undone.
async fn an_error_that_comes_after_the_row_is_seen(db: Db) {
    db.execute("CREATE TABLE badges (badge varchar(20) PRIMARY KEY)")
        .await;
    let at_commit = ", FOREIGN KEY (badge) REFERENCES badges (badge) DEFERRABLE INITIALLY DEFERRED";
    courier::create_table_with(&db, at_commit).await;
    let ada = db.user("ada").await;
    let role = courier::ActiveModel {
        badge: Set(Some("A1".into())),
        ..with_van(ada.id)
    };

    let told = onboard::<courier::Entity>(&db.pool, role.clone()).await;
    assert!(matches!(told, Err(Error::Database { .. })), "{told:?}");
    assert_eq!(couriers(&db).await.len(), 0);

    let twin = role.insert(&db.pool).await;
    assert_eq!(couriers(&db).await.len(), 0);
    let fooled = db.backend == Backend::Sqlite;
    assert_eq!(twin.is_ok(), fooled, "{:?}: {twin:?}", db.backend);
}
