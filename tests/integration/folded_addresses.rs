//! Addresses that a column takes for one though they differ: `verify` reports such a column, and a call
//! on it is refused for the row that stands in the way, not for somebody who is in its way for now.

use guesthouse::{Error, change_email_as, sign_up_all_as, sign_up_as};
use sea_orm::{ConnectionTrait, EntityTrait, PaginatorTrait, Schema, TransactionTrait};

use crate::{
    own_users,
    roles::{create_table, member, profile},
    support::{Backend as On, TestDb as Db, email, is_possible},
};

/// Ada signed up before there were rules.
async fn create_tables(db: &Db) {
    let schema = Schema::new(db.pool.get_database_backend());
    let mut members = schema.create_table_from_entity(member::Entity);
    if db.backend == On::Sqlite {
        db.execute(
            "CREATE TABLE members (id integer PRIMARY KEY AUTOINCREMENT NOT NULL, \
             email varchar NOT NULL COLLATE NOCASE UNIQUE, name varchar NOT NULL, \
             password_hash varchar NOT NULL)",
        )
        .await;
    }
    db.pool.execute(members.if_not_exists()).await.unwrap();
    create_table(db, profile::Entity).await;
    match db.backend {
        On::Sqlite => {}
        On::Postgres => {
            db.execute("CREATE EXTENSION IF NOT EXISTS citext").await;
            db.execute("ALTER TABLE members ALTER COLUMN email TYPE citext")
                .await;
        }
        On::MariaDb => {
            db.execute(
                "ALTER TABLE members MODIFY email varchar(254) CHARACTER SET utf8mb4 \
                 COLLATE utf8mb4_general_ci NOT NULL",
            )
            .await;
        }
    }
    db.execute(
        "INSERT INTO members (email, name, password_hash) \
         VALUES ('Ada@Example.com', 'Ada', '')",
    )
    .await;
}

fn named(name: &str) -> (guesthouse::Email, member::ActiveModel, profile::ActiveModel) {
    let (member, profile) = own_users::named(name);
    (email(name), member, profile)
}

async fn sign_up<C>(db: &C, name: &str) -> Result<member::Model, Error>
where
    C: ConnectionTrait + TransactionTrait,
{
    let (email, member, profile) = named(name);
    let both = sign_up_as::<member::Entity>(db, email, member, profile).await;
    both.map(|(member, _)| member)
}

async fn number_of_members(db: &Db) -> u64 {
    let pool = db.pool_of(1).await;
    let members = member::Entity::find().count(&pool).await.unwrap();
    pool.close().await.unwrap();
    members
}

on_each_backend!(
    one_address_is_taken,
    an_address_among_many_is_taken,
    an_address_is_not_changed_to_one,
    one_of_two_in_a_call_is_taken,
);

async fn one_address_is_taken(db: Db) {
    create_tables(&db).await;
    let taken = sign_up(&db.pool, "ada").await;
    assert!(matches!(taken, Err(Error::EmailTaken)), "{taken:?}");

    let txn = db.pool.begin().await.unwrap();
    let taken = sign_up(&txn, "ada").await;
    assert!(matches!(taken, Err(Error::EmailTaken)), "{taken:?}");
    sign_up(&txn, "grace").await.unwrap();
    txn.commit().await.unwrap();
    assert_eq!(number_of_members(&db).await, 2);
}

async fn an_address_among_many_is_taken(db: Db) {
    create_tables(&db).await;
    let people = vec![named("grace"), named("ada")];
    let made = sign_up_all_as::<member::Entity>(&db.pool, people)
        .await
        .unwrap();
    assert_eq!(made.created[0].0.name, "grace");
    assert_eq!((made.created.len(), made.taken), (1, vec![email("ada")]));
    assert_eq!(number_of_members(&db).await, 2);

    let txn = db.pool.begin().await.unwrap();
    let people = vec![named("linus"), named("ada")];
    let made = sign_up_all_as::<member::Entity>(&txn, people).await;
    match (db.backend, made) {
        // There the statement has ended the transaction.
        (On::Postgres, Err(Error::Database { .. })) => txn.rollback().await.unwrap(),
        (On::Sqlite | On::MariaDb, Ok(made)) => {
            assert_eq!((made.created.len(), made.taken), (1, vec![email("ada")]));
            txn.rollback().await.unwrap();
        }
        (_, made) => panic!("{made:?}"),
    }
    assert_eq!(number_of_members(&db).await, 2);
}

async fn an_address_is_not_changed_to_one(db: Db) {
    create_tables(&db).await;
    let grace = sign_up(&db.pool, "grace").await.unwrap();
    let taken = change_email_as::<member::Entity>(&db.pool, grace.id, email("ada")).await;
    assert!(matches!(taken, Err(Error::EmailTaken)), "{taken:?}");

    let txn = db.pool.begin().await.unwrap();
    let taken = change_email_as::<member::Entity>(&txn, grace.id, email("ada")).await;
    assert!(matches!(taken, Err(Error::EmailTaken)), "{taken:?}");
    let own = change_email_as::<member::Entity>(&txn, grace.id, email("grace")).await;
    assert_eq!(own.unwrap(), grace);
    txn.commit().await.unwrap();
}

/// Two addresses that differ in an accent, which none of SQLite's collations passes over.
async fn one_of_two_in_a_call_is_taken(db: Db) {
    create_tables(&db).await;
    if db.backend == On::Postgres {
        let plain = "CREATE COLLATION plain \
                     (provider = icu, locale = 'und-u-ks-level1', deterministic = false)";
        if !is_possible(plain) {
            return;
        }
        db.execute(plain).await;
        db.execute("ALTER TABLE members ALTER COLUMN email TYPE varchar(254) COLLATE plain")
            .await;
    }
    let people = || vec![named("zoé"), named("grace"), named("zoe"), named("ada")];
    let made = sign_up_all_as::<member::Entity>(&db.pool, people())
        .await
        .unwrap();
    let names: Vec<_> = made.created.iter().map(|made| &made.0.name).collect();
    if db.backend == On::Sqlite {
        assert_eq!(names, ["zoé", "grace", "zoe"]);
        assert_eq!(made.taken, [email("ada")]);
    } else {
        assert_eq!(names, ["grace", "zoe"]);
        assert_eq!(made.taken, [email("zoé"), email("ada")]);
    }
    let members = number_of_members(&db).await;
    assert_eq!(members, 1 + made.created.len() as u64);

    let again = sign_up_all_as::<member::Entity>(&db.pool, people())
        .await
        .unwrap();
    assert_eq!((again.created.len(), again.taken.len()), (0, 4));
    assert_eq!(number_of_members(&db).await, members);
}
