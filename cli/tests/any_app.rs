//! The program of an app that has none of the tables of Guesthouse: its own users, their badges, and
//! its own migrator.
#![cfg(all(feature = "program", feature = "sqlite"))]
#![expect(
    clippy::unwrap_used,
    reason = "a test says by panicking that it failed"
)]

use std::process::ExitCode;

use guesthouse::{Model, Role, SignUp};
use guesthouse_cli::{Program, drop_table};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use sea_orm_migration::prelude::*;
use tempfile::TempDir;

mod member {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "members")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        #[sea_orm(unique)]
        pub email: String,
        #[sea_orm(has_one)]
        pub badge: HasOne<super::badge::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

mod badge {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "badges")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        #[sea_orm(unique)]
        pub member_id: i64,
        #[sea_orm(belongs_to, from = "member_id", to = "id", on_delete = "Restrict")]
        pub member: BelongsTo<super::member::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

impl Role for badge::Entity {
    type Owner = member::Entity;
}

impl SignUp for member::Entity {
    type Guest = badge::Entity;

    fn email() -> member::Column {
        member::Column::Email
    }
}

struct AppMigrator;

impl MigratorTrait for AppMigrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(CreateMembers)]
    }

    fn migration_table_name() -> DynIden {
        "app_migrations".into_iden()
    }
}

struct CreateMembers;

impl MigrationName for CreateMembers {
    fn name(&self) -> &str {
        "m20261001_000001_create_members"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for CreateMembers {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        db.execute_unprepared(
            "CREATE TABLE members (id integer PRIMARY KEY NOT NULL, email text NOT NULL UNIQUE);
             CREATE TABLE badges (id integer PRIMARY KEY NOT NULL, member_id integer NOT NULL UNIQUE
                                  REFERENCES members (id) ON DELETE RESTRICT)",
        )
        .await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_table(manager, "badges").await?;
        drop_table(manager, "members").await
    }
}

/// The app's database, and runs of its program.
struct App {
    dir: TempDir,
    model: Model,
}

impl App {
    fn new(model: Model) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, model }
    }

    fn url(&self) -> String {
        format!(
            "sqlite://{}?mode=rwc",
            self.dir.path().join("app.db").display()
        )
    }

    async fn run(&self, arguments: &[&str]) -> bool {
        let entities = self.dir.path().join("entities");
        let (url, entities) = (self.url(), entities.to_str().unwrap());
        let own = ["app", "--database-url", &url, "--entity-dir", entities];
        let program = Program::new(AppMigrator).model(self.model.clone());
        let code = program.run_from([&own, arguments].concat()).await;
        format!("{code:?}") == format!("{:?}", ExitCode::SUCCESS)
    }

    async fn connect(&self) -> DatabaseConnection {
        Database::connect(self.url()).await.unwrap()
    }
}

async fn count(db: &DatabaseConnection, table: &str) -> i64 {
    let count = format!("SELECT count(*) FROM {table}");
    let count = Statement::from_string(db.get_database_backend(), count);
    let row = db.query_one_raw(count).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

#[tokio::test]
async fn every_command_serves_an_app_without_the_tables_of_guesthouse() {
    let app = App::new(Model::new().sign_up::<member::Entity>());
    std::fs::create_dir(app.dir.path().join("entities")).unwrap();

    assert!(app.run(&["status"]).await);
    assert!(!app.run(&["verify"]).await, "nothing has been applied");
    assert!(app.run(&["up"]).await);
    assert!(app.run(&["verify"]).await);
    assert!(app.run(&["sync", "--check"]).await);
    let entity = std::fs::read_to_string(app.dir.path().join("entities/member.rs")).unwrap();
    assert!(
        entity.contains("pub badge: HasOne<super::badge::Entity>"),
        "{entity}"
    );

    let db = app.connect().await;
    db.execute_unprepared(
        "INSERT INTO members (email) VALUES ('ada@example.com'), ('grace@example.com')",
    )
    .await
    .unwrap();
    assert!(app.run(&["audit"]).await);
    assert!(app.run(&["backfill-guests"]).await);
    assert_eq!(count(&db, "badges").await, 2);
    assert!(!app.run(&["down"]).await, "the tables hold rows");
    assert_eq!(
        (count(&db, "badges").await, count(&db, "members").await),
        (2, 2)
    );

    // The only thing that keeps a member from having two.
    db.execute_unprepared(
        "ALTER TABLE badges RENAME TO old;
         CREATE TABLE badges (id integer PRIMARY KEY NOT NULL, member_id integer NOT NULL
                              REFERENCES members (id) ON DELETE RESTRICT);
         INSERT INTO badges SELECT * FROM old; DROP TABLE old",
    )
    .await
    .unwrap();
    assert!(!app.run(&["verify"]).await);

    assert!(app.run(&["fresh"]).await);
    assert_eq!(
        (count(&db, "badges").await, count(&db, "members").await),
        (0, 0)
    );
    assert!(app.run(&["verify"]).await);
}

#[tokio::test]
async fn guests_are_not_made_where_the_list_has_none() {
    let app = App::new(Model::new().role::<badge::Entity>());
    assert!(app.run(&["up"]).await);
    let db = app.connect().await;
    db.execute_unprepared("INSERT INTO members (email) VALUES ('ada@example.com')")
        .await
        .unwrap();
    assert!(app.run(&["audit"]).await);
    assert!(!app.run(&["backfill-guests"]).await);
    assert_eq!(count(&db, "badges").await, 0);
}
