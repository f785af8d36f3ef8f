//! The migrations, called as a library.

use guesthouse_migration::{Migrator, forced};
use sea_orm_migration::{
    MigratorTrait,
    sea_orm::{ConnectionTrait, DatabaseConnection, Statement},
};

use crate::support::{empty, execute, migrated};

async fn catalogue(db: &DatabaseConnection) -> Vec<String> {
    let statement = Statement::from_string(
        db.get_database_backend(),
        "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name",
    );
    let rows = db.query_all_raw(statement).await.unwrap();
    rows.iter()
        .map(|row| row.try_get_by_index(0).unwrap())
        .collect()
}

#[tokio::test]
async fn up_after_down_gives_the_same_schema() {
    let db = migrated().await;
    let before = catalogue(&db).await;
    Migrator::down(&db, None).await.unwrap();
    assert_eq!(
        catalogue(&db).await.len(),
        1,
        "only the table of migrations is left"
    );
    Migrator::up(&db, None).await.unwrap();
    assert_eq!(catalogue(&db).await, before);
}

#[tokio::test]
async fn each_table_has_one_index_beside_its_primary_key() {
    let db = migrated().await;
    let catalogue = catalogue(&db).await.join("\n");
    for index in [
        r#"UNIQUE INDEX "users_email" ON "users" ("email")"#,
        r#"UNIQUE INDEX "guests_user_id" ON "guests" ("user_id")"#,
        r#"UNIQUE INDEX "hosts_user_id" ON "hosts" ("user_id")"#,
    ] {
        assert_eq!(catalogue.matches(index).count(), 1, "{catalogue}");
    }
    assert_eq!(catalogue.matches("INDEX").count(), 3, "{catalogue}");
}

#[tokio::test]
async fn rows_written_by_hand_get_an_id_and_timestamps() {
    let db = migrated().await;
    execute(&db, "INSERT INTO users (email) VALUES ('ada@example.com')").await;
    execute(&db, "INSERT INTO hosts (user_id) SELECT id FROM users").await;
    let second = "INSERT INTO hosts (user_id) SELECT id FROM users";
    assert!(db.execute_unprepared(second).await.is_err());
    let upper_case = "INSERT INTO users (email) VALUES ('Ada@example.com')";
    assert!(db.execute_unprepared(upper_case).await.is_err());
}

#[tokio::test]
async fn down_of_a_table_with_rows_is_refused_unless_forced() {
    let db = migrated().await;
    execute(&db, "INSERT INTO users (email) VALUES ('ada@example.com')").await;
    execute(&db, "INSERT INTO hosts (user_id) SELECT id FROM users").await;

    let refusal = Migrator::down(&db, Some(1)).await.unwrap_err().to_string();
    assert!(
        refusal.contains("`hosts`") && refusal.contains("--force"),
        "{refusal}"
    );
    assert!(
        Migrator::get_pending_migrations(&db)
            .await
            .unwrap()
            .is_empty()
    );

    forced(Migrator::down(&db, Some(1))).await.unwrap();
    assert!(
        Migrator::down(&db, None).await.is_err(),
        "force ends with the call it was given for"
    );
    forced(Migrator::down(&db, None)).await.unwrap();
}

#[tokio::test]
async fn a_migration_that_fails_half_way_leaves_nothing_and_can_be_run_again() {
    let db = empty().await;
    execute(&db, "CREATE TABLE other (email text)").await;
    execute(&db, "CREATE INDEX users_email ON other (email)").await;

    assert!(
        Migrator::up(&db, None).await.is_err(),
        "the name of the index is taken"
    );
    let tables = catalogue(&db).await.join("\n");
    assert!(!tables.contains(r#"CREATE TABLE "users""#), "{tables}");

    execute(&db, "DROP INDEX users_email").await;
    Migrator::up(&db, None).await.unwrap();
}

#[tokio::test]
async fn a_table_of_another_shape_is_not_taken_for_ours() {
    let db = empty().await;
    execute(&db, "CREATE TABLE users (name text)").await;
    assert!(Migrator::up(&db, None).await.is_err());
}
