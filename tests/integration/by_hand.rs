//! What the same app meets when it is written by hand on SeaORM: the other column of the README's
//! comparison. Who finds a test here failing after an upgrade has good news.

use guesthouse::{become_host, host, user};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, DbErr, EntityTrait, IntoActiveModel,
    IsolationLevel, QueryFilter, SqlErr, TransactionTrait, TryInsertResult,
};
use uuid::Uuid;

use crate::support::TestDb as Db;

fn new_host(user_id: Uuid) -> host::ActiveModel {
    host::ActiveModel {
        user_id: Set(user_id),
        ..Default::default()
    }
}

on_postgres!(postgres_commits_nothing_after_a_refused_insert);

/// The unique index refuses, the code goes on with what it knows, the commit succeeds, and nothing
/// of it is kept.
async fn postgres_commits_nothing_after_a_refused_insert(db: Db) {
    let ada = db.host("ada").await;
    let before = db.rows().await;

    let txn = db.pool.begin().await.unwrap();
    let grace = user::ActiveModel {
        email: Set("grace@example.com".into()),
        ..Default::default()
    };
    grace.insert(&txn).await.unwrap();
    let again = new_host(ada.user_id).insert(&txn).await.unwrap_err();
    assert!(matches!(
        again.sql_err(),
        Some(SqlErr::UniqueConstraintViolation(_))
    ));
    txn.commit().await.unwrap();

    assert_eq!(db.rows().await, before);
}

on_mariadb!(
    mariadb_says_inserted_where_it_did_nothing,
    mariadb_cannot_see_what_it_clashed_with,
);

/// "Do nothing" answers that it has inserted a row, with an id that no row has.
async fn mariadb_says_inserted_where_it_did_nothing(db: Db) {
    let ada = db.host("ada").await;
    let offered = Uuid::now_v7();
    let role = host::ActiveModel {
        id: Set(offered),
        created_at: Set(ada.created_at),
        updated_at: Set(ada.updated_at),
        ..new_host(ada.user_id)
    };

    let insert = host::Entity::insert(role).on_conflict_do_nothing_on([host::Column::UserId]);
    let answer = insert.exec(&db.pool).await.unwrap();

    let TryInsertResult::Inserted(answer) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(answer.last_insert_id, offered);
    assert_eq!(db.rows().await.hosts, [ada]);
}

/// After losing to the unique index, a plain read in the same transaction finds nobody.
async fn mariadb_cannot_see_what_it_clashed_with(db: Db) {
    let ada = db.user("ada").await;
    let level = Some(IsolationLevel::RepeatableRead);
    let txn = db.pool.begin_with_config(level, None).await.unwrap();
    let find = || host::Entity::find().filter(host::Column::UserId.eq(ada.id));
    assert_eq!(find().one(&txn).await.unwrap(), None);
    assert!(become_host(&db.pool, ada.id).await.unwrap().is_new());

    let clash = new_host(ada.id).insert(&txn).await.unwrap_err();
    assert!(matches!(
        clash.sql_err(),
        Some(SqlErr::UniqueConstraintViolation(_))
    ));
    assert_eq!(find().one(&txn).await.unwrap(), None);

    // The library finds it, in the same transaction, unless the server has ended that.
    let again = become_host(&txn, ada.id).await;
    match db.finds_what_it_clashed_with().await {
        true => assert!(!again.unwrap().is_new()),
        false => assert!(again.unwrap_err().is_retryable()),
    }
    txn.rollback().await.unwrap();
}

on_each_backend!(setting_the_host_deletes_the_old_one,);

/// Setting the has-one to another row does what it says: it deletes the stored host.
async fn setting_the_host_deletes_the_old_one(db: Db) {
    let old = db.host("ada").await;
    let ada = user::Entity::find_by_id(old.user_id)
        .one(&db.pool)
        .await
        .unwrap()
        .unwrap();

    let new = host::ActiveModel::builder().set_id(Uuid::now_v7());
    let replaced = ada
        .into_active_model()
        .into_ex()
        .set_host(new)
        .save(&db.pool)
        .await;

    // The new one, whose id is set, is taken for a row to update; only that saves the old one.
    assert!(
        matches!(replaced, Err(DbErr::RecordNotUpdated)),
        "{replaced:?}"
    );
    assert_eq!(db.rows().await.hosts, std::slice::from_ref(&old));

    let ada = user::Entity::find_by_id(old.user_id)
        .one(&db.pool)
        .await
        .unwrap()
        .unwrap();
    let new = host::ActiveModel::builder();
    ada.into_active_model()
        .into_ex()
        .set_host(new)
        .save(&db.pool)
        .await
        .unwrap();
    let hosts = db.rows().await.hosts;
    assert_eq!(hosts.len(), 1);
    assert_ne!(hosts[0].id, old.id);
}
