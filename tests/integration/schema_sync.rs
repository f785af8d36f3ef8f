//! SeaORM's own `schema_sync`, which brings tables in step with entities: what `verify_schema` reports
//! of its work.

use guesthouse::{Model, guest, host, user};

use crate::{
    roles::differences,
    support::{Backend as On, TestDb as Db, email},
};

async fn sync(db: &Db) {
    let entities = db.pool.get_schema_builder();
    let entities = entities.register(user::Entity).register(guest::Entity);
    let entities = entities.register(host::Entity);
    entities.sync(&db.pool).await.unwrap();
}

on_each_backend!(
    it_leaves_migrated_tables_as_they_are,
    what_its_own_tables_lack_is_reported,
);

/// It adds what an entity has and the table has not: nothing.
async fn it_leaves_migrated_tables_as_they_are(db: Db) {
    let before = differences(&db, &Model::accounts()).await;
    sync(&db).await;
    assert_eq!(differences(&db, &Model::accounts()).await, before);
    assert_eq!(before, Vec::<String>::new());
    guesthouse::sign_up(&db.pool, email("ada")).await.unwrap();
}

/// Tables that it makes itself lack what entities cannot express, and `verify_schema` says so.
async fn what_its_own_tables_lack_is_reported(db: Db) {
    for table in ["hosts", "guests", "users"] {
        db.execute(&format!("DROP TABLE {table}")).await;
    }
    sync(&db).await;
    let found = differences(&db, &Model::accounts()).await;
    let mut expected = lacking(db.backend);
    if db.backend == On::MariaDb {
        let collation = db.text("SELECT @@collation_database").await;
        expected.insert(
            0,
            format!("users.email is compared by {collation}: two users could be taken for one"),
        );
    }
    assert_eq!(found, expected);
}

fn lacking(backend: On) -> Vec<String> {
    let letters = "users.email may hold capital letters: one address could sign up twice";
    let time = match backend {
        On::Sqlite => return vec![letters.into()],
        On::Postgres => {
            "has no check that it lies within the years 1 to 9999: a * could not be read"
        }
        On::MariaDb => "is timestamp, not datetime(6): a * could not be read back as it was stored",
    };
    let mut lacking = vec![letters.to_owned()];
    for (table, one) in [("users", "user"), ("guests", "guest"), ("hosts", "host")] {
        for column in ["created_at", "updated_at"] {
            lacking.push(format!("{table}.{column} {}", time.replace('*', one)));
        }
    }
    lacking
}
