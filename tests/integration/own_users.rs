//! Signing up where the users are the app's own, with columns of its own and keys that the database
//! makes.

use guesthouse::{Accounts, Error, Model, change_email_as, delete_user_as, retry, sign_up_as};
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DatabaseConnection, EntityTrait, QueryOrder,
    TransactionTrait,
};

use crate::{
    roles::{create_members, member, profile},
    support::{Backend as On, TestDb as Db, at_once, email},
};

/// What the app gives of a person, beside the address.
pub fn named(name: &str) -> (member::ActiveModel, profile::ActiveModel) {
    let member = member::ActiveModel {
        name: Set(name.to_owned()),
        password_hash: Set("$argon2id$".to_owned()),
        ..Default::default()
    };
    let profile = profile::ActiveModel {
        bio: Set(format!("{name}'s \u{1f3e0}")),
        ..Default::default()
    };
    (member, profile)
}

async fn sign_up<C>(db: &C, name: &str) -> Result<(member::Model, profile::Model), Error>
where
    C: ConnectionTrait + TransactionTrait,
{
    let (member, profile) = named(name);
    sign_up_as::<member::Entity>(db, email(name), member, profile).await
}

/// Everything that is stored, through another pool.
async fn rows(db: &Db) -> (Vec<member::Model>, Vec<profile::Model>) {
    let pool: DatabaseConnection = db.pool_of(1).await;
    let members = member::Entity::find()
        .order_by_asc(member::Column::Id)
        .all(&pool);
    let profiles = profile::Entity::find()
        .order_by_asc(profile::Column::Id)
        .all(&pool);
    let rows = (members.await.unwrap(), profiles.await.unwrap());
    pool.close().await.unwrap();
    rows
}

on_each_backend!(
    both_rows_are_made_or_neither,
    a_refusal_leaves_the_callers_transaction_usable,
    a_key_that_is_set_makes_the_call_repeatable,
    fifty_callers_with_one_address_are_one_member,
    an_address_is_changed_and_a_member_deleted,
    a_member_who_is_referred_to_stays,
    the_apps_own_tables_are_verified,
    a_guest_is_not_made_up,
    a_page_says_no_half_of_the_truth,
);

/// A row that cannot be read is no missing row, and two rows are no owner who is there twice.
async fn a_page_says_no_half_of_the_truth(db: Db) {
    create_members(&db).await;
    sign_up(&db.pool, "ada").await.unwrap();
    sign_up(&db.pool, "grace").await.unwrap();
    let page = Accounts::of::<member::Entity>().limit(1);
    let first = page.clone().fetch_beside::<profile::Entity>(&db.pool);
    let first = first.await.unwrap();
    let (ada, of_ada) = &first.rows[0];
    assert_eq!((ada.name.as_str(), first.next), ("ada", Some(ada.id)));
    assert_eq!(
        of_ada.as_ref().map(|profile| profile.member_id),
        Some(ada.id)
    );

    // Not text.
    let unreadable = match db.backend {
        On::Sqlite => "UPDATE profiles SET bio = x'ff'",
        On::Postgres => "ALTER TABLE profiles ALTER COLUMN bio TYPE bytea USING bio::bytea",
        On::MariaDb => "ALTER TABLE profiles DROP bio, ADD bio bigint NOT NULL DEFAULT 7",
    };
    db.execute(unreadable).await;
    let failed = page.clone().fetch_beside::<profile::Entity>(&db.pool).await;
    assert!(matches!(failed, Err(Error::Database { .. })), "{failed:?}");
    let alone = page.fetch(&db.pool).await.unwrap();
    assert_eq!(alone.rows, std::slice::from_ref(ada));
}

/// `Model::backfill_guests` has nothing for a column of the app's own.
async fn a_guest_is_not_made_up(db: Db) {
    create_members(&db).await;
    sign_up(&db.pool, "ada").await.unwrap();
    let (mut grace, _) = named("grace");
    grace.email = Set("grace@example.com".to_owned());
    member::Entity::insert(grace).exec(&db.pool).await.unwrap();
    let before = rows(&db).await;

    let model = Model::new().sign_up::<member::Entity>();
    let audit = model.audit(&db.pool).await.unwrap();
    assert_eq!(
        (
            audit[0].owner_table.as_str(),
            audit[0].owners,
            audit[0].owners_without
        ),
        ("members", 2, 1)
    );
    let failed = model.backfill_guests(&db.pool, |_| {}).await;
    assert!(matches!(failed, Err(Error::Database { .. })), "{failed:?}");
    assert_eq!(rows(&db).await, before);
}

async fn both_rows_are_made_or_neither(db: Db) {
    create_members(&db).await;
    let (ada, of_ada) = sign_up(&db.pool, "ada").await.unwrap();
    assert_eq!(
        (ada.name.as_str(), ada.email.as_str()),
        ("ada", "ada@example.com")
    );
    assert_eq!(of_ada.member_id, ada.id);

    let taken = sign_up(&db.pool, "ada").await;
    assert!(matches!(taken, Err(Error::EmailTaken)), "{taken:?}");

    // Nobody gives the bio, which the table demands.
    let (grace, _) = named("grace");
    let bare = <profile::ActiveModel as sea_orm::ActiveModelTrait>::default();
    let failed = sign_up_as::<member::Entity>(&db.pool, email("grace"), grace, bare).await;
    assert!(matches!(failed, Err(Error::Database { .. })), "{failed:?}");
    assert_eq!(rows(&db).await, (vec![ada], vec![of_ada]));
}

async fn a_refusal_leaves_the_callers_transaction_usable(db: Db) {
    create_members(&db).await;
    let (ada, of_ada) = sign_up(&db.pool, "ada").await.unwrap();
    let txn = db.pool.begin().await.unwrap();

    let taken = sign_up(&txn, "ada").await;
    assert!(matches!(taken, Err(Error::EmailTaken)), "{taken:?}");
    let (grace, of_grace) = sign_up(&txn, "grace").await.unwrap();
    let taken = change_email_as::<member::Entity>(&txn, grace.id, email("ada")).await;
    assert!(matches!(taken, Err(Error::EmailTaken)), "{taken:?}");
    let grace = change_email_as::<member::Entity>(&txn, grace.id, email("hopper"))
        .await
        .unwrap();
    let nobody = delete_user_as::<member::Entity>(&txn, -1).await;
    assert!(
        matches!(nobody, Err(Error::OwnerNotFound { table: "members" })),
        "{nobody:?}"
    );
    delete_user_as::<member::Entity>(&txn, ada.id)
        .await
        .unwrap();
    txn.commit().await.unwrap();

    assert_eq!(grace.email, "hopper@example.com");
    assert_eq!(rows(&db).await, (vec![grace], vec![of_grace]));
    assert_ne!(of_ada.member_id, 0);
}

async fn a_key_that_is_set_makes_the_call_repeatable(db: Db) {
    create_members(&db).await;
    let call = |id: i64, name: &'static str| {
        let (member, profile) = named(name);
        let member = member::ActiveModel {
            id: Set(id),
            ..member
        };
        sign_up_as::<member::Entity>(&db.pool, email(name), member, profile)
    };
    let first = call(77, "ada").await.unwrap();
    assert_eq!((first.0.id, first.1.member_id), (77, 77));
    assert_eq!(call(77, "ada").await.unwrap(), first);

    let other_address = call(77, "grace").await;
    assert!(
        matches!(other_address, Err(Error::KeyTaken { table: "members" })),
        "{other_address:?}"
    );
    let other_key = call(78, "ada").await;
    assert!(matches!(other_key, Err(Error::EmailTaken)), "{other_key:?}");
    assert_eq!(
        rows(&db).await,
        (vec![first.0.clone()], vec![first.1.clone()])
    );

    // A guest that is not there any more is made anew.
    db.execute("DELETE FROM profiles").await;
    let again = call(77, "ada").await.unwrap();
    assert_eq!(again.0, first.0);
    assert_eq!(rows(&db).await, (vec![again.0], vec![again.1]));
}

async fn fifty_callers_with_one_address_are_one_member(db: Db) {
    create_members(&db).await;
    let pool = db.pool.clone();
    let answers = at_once(move |_| {
        let pool = pool.clone();
        async move { retry(|| sign_up(&pool, "ada")).await }
    })
    .await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((made.len(), refused.len()), (1, 49));
    assert!(
        refused
            .iter()
            .all(|answer| matches!(answer, Err(Error::EmailTaken))),
        "{refused:?}"
    );
    let (members, profiles) = rows(&db).await;
    assert_eq!((members.len(), profiles.len()), (1, 1));
}

async fn an_address_is_changed_and_a_member_deleted(db: Db) {
    create_members(&db).await;
    let (ada, _) = sign_up(&db.pool, "ada").await.unwrap();
    let (grace, of_grace) = sign_up(&db.pool, "grace").await.unwrap();

    let taken = change_email_as::<member::Entity>(&db.pool, ada.id, email("grace")).await;
    assert!(matches!(taken, Err(Error::EmailTaken)), "{taken:?}");
    let nobody = change_email_as::<member::Entity>(&db.pool, -1, email("mary")).await;
    assert!(
        matches!(nobody, Err(Error::OwnerNotFound { table: "members" })),
        "{nobody:?}"
    );
    let changed = change_email_as::<member::Entity>(&db.pool, ada.id, email("countess"))
        .await
        .unwrap();
    assert_eq!(
        changed,
        member::Model {
            email: "countess@example.com".into(),
            ..ada.clone()
        }
    );

    delete_user_as::<member::Entity>(&db.pool, ada.id)
        .await
        .unwrap();
    let gone = delete_user_as::<member::Entity>(&db.pool, ada.id).await;
    assert!(
        matches!(gone, Err(Error::OwnerNotFound { table: "members" })),
        "{gone:?}"
    );
    assert_eq!(rows(&db).await, (vec![grace], vec![of_grace]));
}

async fn a_member_who_is_referred_to_stays(db: Db) {
    create_members(&db).await;
    let (ada, of_ada) = sign_up(&db.pool, "ada").await.unwrap();
    db.execute(
        "CREATE TABLE orders (id integer PRIMARY KEY, member_id bigint NOT NULL, \
         FOREIGN KEY (member_id) REFERENCES members (id) ON DELETE RESTRICT)",
    )
    .await;
    db.execute(&format!("INSERT INTO orders VALUES (1, {})", ada.id))
        .await;
    let kept = delete_user_as::<member::Entity>(&db.pool, ada.id).await;
    assert!(
        matches!(kept, Err(Error::StillReferenced { .. })),
        "{kept:?}"
    );
    let txn = db.pool.begin().await.unwrap();
    let kept = delete_user_as::<member::Entity>(&txn, ada.id).await;
    assert!(
        matches!(kept, Err(Error::StillReferenced { .. })),
        "{kept:?}"
    );
    txn.commit().await.unwrap();
    assert_eq!(rows(&db).await, (vec![ada], vec![of_ada]));
}

/// A column that the app gives is no difference, and an address that is not unique is one.
async fn the_apps_own_tables_are_verified(db: Db) {
    create_members(&db).await;
    let model = Model::new().sign_up::<member::Entity>();
    let found = crate::roles::differences(&db, &model).await;
    let folding = found
        .iter()
        .all(|found| found.starts_with("members.email is compared by"));
    assert!(folding, "{found:?}");
    assert_eq!(
        found.len(),
        usize::from(db.backend == crate::support::Backend::MariaDb)
    );
}
