//! The recipes of docs/recipes.md, whose code is quoted from here.

use guesthouse::{
    Email, Error, Onboarding, become_host, change_email, delete_user, host, offboard, onboard,
    retry, sign_up, stop_hosting, user,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ConnectionTrait, DatabaseConnection, DatabaseTransaction,
    EntityTrait, PaginatorTrait, Schema, TransactionTrait,
};
use uuid::Uuid;

use crate::support::{Backend, CALLERS, TestDb as Db, at_once, email};

/// A message that another process sends, and deletes when it is sent.
mod outbox {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "outbox")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub topic: String,
        pub user_id: Uuid,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// That a user has shown to read the mail of an address.
mod verification {
    use guesthouse::{Role, user};
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "verifications")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        #[sea_orm(unique)]
        pub user_id: Uuid,
        pub email: String,
        #[sea_orm(belongs_to, from = "user_id", to = "id", on_delete = "Restrict")]
        pub user: BelongsTo<user::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}

    impl Role for Entity {
        type Owner = user::Entity;
    }
}

/// What a user shows of themselves.
mod profile {
    use guesthouse::{Role, user};
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "profiles")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        #[sea_orm(unique)]
        pub user_id: Uuid,
        pub name: String,
        #[sea_orm(belongs_to, from = "user_id", to = "id", on_delete = "Restrict")]
        pub user: BelongsTo<user::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}

    impl Role for Entity {
        type Owner = user::Entity;
    }
}

async fn become_host_and_say_so(
    txn: &DatabaseTransaction,
    user_id: Uuid,
) -> Result<Onboarding<host::Model>, Error> {
    let host = become_host(txn, user_id).await?;
    if host.is_new() {
        let message = outbox::ActiveModel {
            id: Set(Uuid::now_v7()),
            topic: Set("welcome, host".to_owned()),
            user_id: Set(user_id),
        };
        message.insert(txn).await?;
    }
    Ok(host)
}

async fn handle(db: &DatabaseConnection, user_id: Uuid) -> Result<Onboarding<host::Model>, Error> {
    let mut attempts = retry::attempts(db);
    loop {
        let txn = attempts.begin().await?;
        let outcome = become_host_and_say_so(&txn, user_id).await;
        if let Some(answer) = attempts.end(txn, outcome).await {
            return answer;
        }
    }
}

async fn verify(
    txn: &DatabaseTransaction,
    user: &user::Model,
) -> Result<Onboarding<verification::Model>, Error> {
    let verification = verification::ActiveModel {
        id: Set(Uuid::now_v7()),
        user_id: Set(user.id),
        email: Set(user.email.clone()),
    };
    onboard::<verification::Entity>(txn, verification).await
}

async fn move_to(
    txn: &DatabaseTransaction,
    user_id: Uuid,
    email: Email,
) -> Result<user::Model, Error> {
    let user = change_email(txn, user_id, email).await?;
    offboard::<verification::Entity>(txn, user_id).await?;
    Ok(user)
}

async fn erase(txn: &DatabaseTransaction, user_id: Uuid) -> Result<(), Error> {
    offboard::<verification::Entity>(txn, user_id).await?;
    offboard::<profile::Entity>(txn, user_id).await?;
    stop_hosting(txn, user_id).await?;
    delete_user(txn, user_id).await
}

async fn sign_up_with_profile(
    txn: &DatabaseTransaction,
    email: Email,
    name: String,
) -> Result<profile::Model, Error> {
    let user = sign_up(txn, email).await?.user;
    let profile = profile::ActiveModel {
        id: Set(Uuid::now_v7()),
        user_id: Set(user.id),
        name: Set(name),
    };
    let profile = onboard::<profile::Entity>(txn, profile).await?;
    Ok(profile.into_model())
}

async fn create_tables(db: &Db) {
    let schema = Schema::new(db.pool.get_database_backend());
    for create in [
        schema.create_table_from_entity(outbox::Entity),
        schema.create_table_from_entity(verification::Entity),
        schema.create_table_from_entity(profile::Entity),
    ] {
        db.pool.execute(&create).await.unwrap();
    }
}

async fn count<E>(db: &Db) -> u64
where
    E: EntityTrait<Model: Send + Sync>,
{
    E::find().count(&db.pool).await.unwrap()
}

on_each_backend!(
    a_new_host_is_said_once,
    a_host_that_is_rolled_back_is_not_said,
    a_new_address_is_not_verified,
    a_person_is_erased_whole_or_not,
    a_profile_comes_with_the_user_or_neither,
);

async fn a_new_host_is_said_once(db: Db) {
    create_tables(&db).await;
    let ada = db.user("ada").await.id;
    let answers = at_once(|_| {
        let pool = db.pool.clone();
        async move { handle(&pool, ada).await.unwrap().is_new() }
    })
    .await;
    assert_eq!(answers.len(), CALLERS);
    assert_eq!(answers.into_iter().filter(|&is_new| is_new).count(), 1);
    assert_eq!(count::<outbox::Entity>(&db).await, 1);
}

/// The message and the host go together.
async fn a_host_that_is_rolled_back_is_not_said(db: Db) {
    create_tables(&db).await;
    let ada = db.user("ada").await.id;
    let txn = db.pool.begin().await.unwrap();
    assert!(become_host_and_say_so(&txn, ada).await.unwrap().is_new());
    txn.rollback().await.unwrap();
    assert_eq!(count::<outbox::Entity>(&db).await, 0);
    assert!(handle(&db.pool, ada).await.unwrap().is_new());
    assert_eq!(count::<outbox::Entity>(&db).await, 1);
}

async fn a_new_address_is_not_verified(db: Db) {
    create_tables(&db).await;
    let ada = db.user("ada").await;
    for is_new in [true, false] {
        let verified = retry::transaction(&db.pool, async |txn| verify(txn, &ada).await).await;
        assert_eq!(verified.unwrap().is_new(), is_new);
    }
    assert_eq!(count::<verification::Entity>(&db).await, 1);
    db.user("grace").await;
    let to = async |name| {
        retry::transaction(&db.pool, async |txn| {
            move_to(txn, ada.id, email(name)).await
        })
        .await
    };
    let taken = to("grace").await.unwrap_err();
    assert!(matches!(taken, Error::EmailTaken), "{taken:?}");
    assert_eq!(
        count::<verification::Entity>(&db).await,
        1,
        "nothing has moved"
    );
    assert_eq!(to("augusta").await.unwrap().email, "augusta@example.com");
    assert_eq!(count::<verification::Entity>(&db).await, 0);
}

async fn a_person_is_erased_whole_or_not(db: Db) {
    create_tables(&db).await;
    let ada = with_profile(&db, "ada").await.unwrap().user_id;
    assert!(handle(&db.pool, ada).await.unwrap().is_new());
    let erased =
        async |user_id| retry::transaction(&db.pool, async |txn| erase(txn, user_id).await).await;
    let id = match db.backend {
        Backend::Sqlite => "uuid_text",
        Backend::Postgres => "uuid",
        Backend::MariaDb => "binary(16)",
    };
    db.execute(&format!(
        "CREATE TABLE forgotten (user_id {id} NOT NULL, FOREIGN KEY (user_id) REFERENCES users (id))"
    ))
    .await;
    db.execute("INSERT INTO forgotten SELECT id FROM users")
        .await;
    let before = db.rows().await;
    let still = erased(ada).await.unwrap_err();
    assert!(matches!(still, Error::StillReferenced { .. }), "{still:?}");
    assert_eq!(
        (db.rows().await, count::<profile::Entity>(&db).await),
        (before, 1)
    );
    db.execute("DELETE FROM forgotten").await;
    erased(ada).await.unwrap();
    assert_eq!(count::<profile::Entity>(&db).await, 0);
    let rows = db.rows().await;
    assert!(rows.users.is_empty() && rows.guests.is_empty() && rows.hosts.is_empty());
}

async fn a_profile_comes_with_the_user_or_neither(db: Db) {
    create_tables(&db).await;
    assert_eq!(with_profile(&db, "ada").await.unwrap().name, "ada");
    let taken = with_profile(&db, "ada").await.unwrap_err();
    assert!(matches!(taken, Error::EmailTaken), "{taken:?}");
    assert_eq!(
        (
            db.rows().await.users.len(),
            count::<profile::Entity>(&db).await
        ),
        (1, 1)
    );
}

async fn with_profile(db: &Db, name: &str) -> Result<profile::Model, Error> {
    let work = async |txn: &DatabaseTransaction| {
        sign_up_with_profile(txn, email(name), name.to_owned()).await
    };
    retry::transaction(&db.pool, work).await
}

/// The guide quotes this file, line by line.
#[test]
fn the_guide_quotes_the_recipes() {
    let guide = include_str!("../../docs/recipes.md");
    let source = include_str!("recipes.rs");
    let mut quoted = 0;
    for block in guide.split("```rs\n").skip(1) {
        let block = block.split("```").next().unwrap();
        assert!(source.contains(block), "no test has:\n{block}");
        quoted += 1;
    }
    assert_eq!(quoted, 6);
}
