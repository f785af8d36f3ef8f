//! What a hook of the app's answers, is told as what it is.

use guesthouse::{Error, Role, become_host, onboard, retry};
use sea_orm::{ActiveValue::Set, TransactionTrait, entity::prelude::*};

use crate::support::{Backend as On, TestDb as Db};

/// When a hook runs, and what it sends then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hook {
    before: bool,
    sql: &'static str,
}

/// The hook calls the library.
const BECOME_HOST: &str = "become_host";

/// What a deadlock is like to the statement that meets it.
fn deadlock(backend: On) -> &'static str {
    match backend {
        On::Sqlite => unreachable!("SQLite has no deadlocks"),
        On::Postgres => "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40P01'; END $$",
        On::MariaDb => "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213",
    }
}

tokio::task_local! {
    static HOOK: Hook;
}

async fn run_hook(db: &impl ConnectionTrait, before: bool) -> Result<(), DbErr> {
    match HOOK.try_with(|hook| *hook) {
        Ok(hook) if hook.before == before => db.execute_unprepared(hook.sql).await.map(drop),
        _ => Ok(()),
    }
}

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "licences")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    #[sea_orm(unique)]
    pub user_id: Uuid,
    #[sea_orm(belongs_to, from = "user_id", to = "id", on_delete = "Restrict")]
    pub user: BelongsTo<guesthouse::user::Entity>,
}

#[sea_orm::prelude::async_trait::async_trait]
impl ActiveModelBehavior for ActiveModel {
    async fn before_save<C: ConnectionTrait>(self, db: &C, insert: bool) -> Result<Self, DbErr> {
        run_hook(db, true).await?;
        Ok(guesthouse_entity::on_save(self, insert))
    }

    async fn after_save<C: ConnectionTrait>(
        model: Model,
        db: &C,
        _insert: bool,
    ) -> Result<Model, DbErr> {
        if HOOK.try_with(|hook| hook.sql == BECOME_HOST) == Ok(true) {
            let host = become_host(db, model.user_id).await;
            return host
                .map(|_| model)
                .map_err(|error| DbErr::Custom(error.to_string()));
        }
        run_hook(db, false).await?;
        Ok(model)
    }
}

impl Role for Entity {
    type Owner = guesthouse::user::Entity;
}

async fn create_table(db: &Db) {
    let id = match db.backend {
        On::Sqlite => "uuid_text",
        On::Postgres => "uuid",
        On::MariaDb => "binary(16)",
    };
    db.execute(&format!(
        "CREATE TABLE licences (
            id {id} PRIMARY KEY,
            user_id {id} NOT NULL UNIQUE,
            FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE RESTRICT
        )"
    ))
    .await;
}

async fn onboard_with(db: &Db, user_id: Uuid, hook: Hook) -> Result<(), Error> {
    let licence = ActiveModel {
        user_id: Set(user_id),
        ..Default::default()
    };
    let call = onboard::<Entity>(&db.pool, licence);
    HOOK.scope(hook, call).await.map(drop)
}

on_servers!(
    contention_in_a_hook_before_is_contention,
    contention_in_a_hook_after_is_contention_in_a_transaction_only,
);

/// The statement of a hook meets a deadlock: that is contention, as in a statement of the library's.
async fn contention_in_a_hook_before_is_contention(db: Db) {
    let sql = deadlock(db.backend);
    create_table(&db).await;
    let ada = db.user("ada").await.id;
    let answer = onboard_with(&db, ada, Hook { before: true, sql }).await;
    assert!(
        matches!(answer, Err(Error::Contention { .. })),
        "{answer:?}"
    );
    assert_eq!(Entity::find().count(&db.pool).await.unwrap(), 0);
}

/// The row is there, so the error does not say that nothing was written. In a transaction it does, as
/// the deadlock has ended that.
async fn contention_in_a_hook_after_is_contention_in_a_transaction_only(db: Db) {
    let sql = deadlock(db.backend);
    create_table(&db).await;
    let ada = db.user("ada").await.id;
    let hook = Hook { before: false, sql };
    let txn = db.pool.begin().await.unwrap();
    let licence = ActiveModel {
        user_id: Set(ada),
        ..Default::default()
    };
    let answer = HOOK.scope(hook, onboard::<Entity>(&txn, licence)).await;
    assert!(
        matches!(answer, Err(Error::Contention { .. })),
        "{answer:?}"
    );
    txn.rollback().await.unwrap();
    assert_eq!(Entity::find().count(&db.pool).await.unwrap(), 0);

    let answer = onboard_with(&db, ada, hook).await;
    assert!(matches!(answer, Err(Error::Database { .. })), "{answer:?}");
    assert_eq!(Entity::find().count(&db.pool).await.unwrap(), 1);
}

on_each_backend!(a_hook_can_call_the_library, an_error_in_a_hook_is_an_error,);

/// A hook in the caller's transaction does not wait for the call that it is part of.
async fn a_hook_can_call_the_library(db: Db) {
    create_table(&db).await;
    let ada = db.user("ada").await.id;
    let txn = db.pool.begin().await.unwrap();
    let licence = ActiveModel {
        user_id: Set(ada),
        ..Default::default()
    };
    let hook = Hook {
        before: false,
        sql: BECOME_HOST,
    };
    let answer = HOOK
        .scope(hook, onboard::<Entity>(&txn, licence))
        .await
        .unwrap();
    txn.commit().await.unwrap();
    assert!(answer.is_new());
    assert_eq!(db.rows().await.hosts.len(), 1);
    assert_eq!(Entity::find().count(&db.pool).await.unwrap(), 1);
}

/// Any other error is not repeated.
async fn an_error_in_a_hook_is_an_error(db: Db) {
    create_table(&db).await;
    let ada = db.user("ada").await.id;
    let sql = "SELECT nothing FROM nowhere";
    let before = retry(|| onboard_with(&db, ada, Hook { before: true, sql })).await;
    assert!(matches!(before, Err(Error::Database { .. })), "{before:?}");
    assert_eq!(Entity::find().count(&db.pool).await.unwrap(), 0);

    let after = onboard_with(&db, ada, Hook { before: false, sql }).await;
    assert!(matches!(after, Err(Error::Database { .. })), "{after:?}");
    let harmless = Hook {
        before: false,
        sql: "SELECT 1",
    };
    onboard_with(&db, ada, harmless).await.unwrap();
    assert_eq!(Entity::find().count(&db.pool).await.unwrap(), 1);
}
