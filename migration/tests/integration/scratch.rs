//! A project outside the workspace adds a migration with a new column and a role of its own, runs
//! `up` once, and compiles against the entities that `up` wrote.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use crate::support::text;

const MANIFEST: &str = r#"
[workspace]
members = ["entity", "migration", "app"]
resolver = "3"
"#;

const ENTITY_MANIFEST: &str = r#"
[package]
name = "scratch-entity"
version = "0.0.0"
edition = "2024"

[dependencies]
guesthouse = { path = "{root}", default-features = false, features = ["sqlite"] }
guesthouse-entity = { path = "{root}/entity" }
sea-orm = { version = "2.0.4", default-features = false, features = ["macros", "with-chrono", "with-uuid"] }
"#;

const ENTITY: &str = r#"
pub mod generated;
pub use generated::*;

impl guesthouse::Role for cleaner::Entity {
    type Owner = user::Entity;
}
"#;

const MIGRATION_MANIFEST: &str = r#"
[package]
name = "scratch-migration"
version = "0.0.0"
edition = "2024"

[dependencies]
guesthouse-migration = { path = "{root}/migration", default-features = false, features = ["cli", "sqlite"] }
sea-orm-migration = { version = "2.0.4", default-features = false }
tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
"#;

const MIGRATION: &str = r#"
use guesthouse_migration::{Migrator, MigratorTrait, cli};
use sea_orm_migration::prelude::*;

struct AppMigrator;

impl MigratorTrait for AppMigrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut migrations = Migrator::migrations();
        migrations.push(Box::new(CreateCleaners));
        migrations
    }
}

struct CreateCleaners;

impl MigrationName for CreateCleaners {
    fn name(&self) -> &str {
        "m20261001_000001_create_cleaners"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for CreateCleaners {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let motto = ColumnDef::new("motto").string_len(80).take();
        manager.alter_table(Table::alter().table("hosts").add_column(motto).take()).await?;
        let mut user = ForeignKey::create()
            .from("cleaners", "user_id")
            .to("users", "id")
            .on_delete(ForeignKeyAction::Restrict)
            .take();
        let cleaners = Table::create()
            .table("cleaners")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("user_id").uuid().not_null())
            .col(ColumnDef::new("created_at").timestamp_with_time_zone().not_null())
            .foreign_key(&mut user)
            .take();
        manager.create_table(cleaners).await?;
        let unique = Index::create().name("cleaners_user_id").table("cleaners").col("user_id").unique().take();
        manager.create_index(unique).await
    }
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    cli::run(AppMigrator).await
}
"#;

const APP_MANIFEST: &str = r#"
[package]
name = "scratch-app"
version = "0.0.0"
edition = "2024"

[dependencies]
guesthouse = { path = "{root}", default-features = false, features = ["sqlite"] }
scratch-entity = { path = "../entity" }
sea-orm = { version = "2.0.4", default-features = false, features = ["macros", "with-chrono", "with-uuid"] }
tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
"#;

const APP: &str = r#"
use guesthouse::{onboard, sign_up};
use scratch_entity::{cleaner, host, user};
use sea_orm::{entity::prelude::*, ActiveValue::Set};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let db = sea_orm::Database::connect(std::env::var("DATABASE_URL")?).await?;
    let ada = sign_up(&db, "ada@example.com".parse()?).await?.user;

    // The new column and the new has-one are in the entities.
    let host = host::ActiveModel { user_id: Set(ada.id), motto: Set(Some("be kind".into())), ..Default::default() };
    assert_eq!(host.insert(&db).await?.motto.as_deref(), Some("be kind"));
    let _: fn() -> RelationDef = || user::Relation::Cleaner.def();

    // The new table is a role, whose ids and times are set on save as everywhere.
    let role = cleaner::ActiveModel { user_id: Set(ada.id), ..Default::default() };
    let first = onboard::<cleaner::Entity>(&db, role.clone()).await?;
    assert!(first.is_new());
    assert_eq!(first.model().id.get_version_num(), 7);
    assert!(!onboard::<cleaner::Entity>(&db, role).await?.is_new());
    println!("cleaner of {}", ada.email);
    Ok(())
}
"#;

/// A project on its own, which shares nothing with this workspace but the lock file.
fn lay_out(project: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let files = [
        ("Cargo.toml", MANIFEST),
        ("entity/Cargo.toml", ENTITY_MANIFEST),
        ("entity/src/lib.rs", ENTITY),
        ("migration/Cargo.toml", MIGRATION_MANIFEST),
        ("migration/src/main.rs", MIGRATION),
        ("app/Cargo.toml", APP_MANIFEST),
        ("app/src/main.rs", APP),
    ];
    for (name, content) in files {
        let file = project.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content.replace("{root}", root.to_str().unwrap())).unwrap();
    }
    fs::create_dir_all(project.join("entity/src/generated")).unwrap();
    fs::copy(root.join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
}

fn cargo(project: &Path, arguments: &[&str]) -> Output {
    // Beside the workspace's own build, so that a second run of the test is quick.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scratch");
    let url = format!("sqlite://{}?mode=rwc", project.join("scratch.db").display());
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(project).args(arguments);
    for name in [
        "CARGO_MANIFEST_DIR",
        "GUESTHOUSE_ENTITY_DIR",
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
    ] {
        command.env_remove(name);
    }
    command
        .env("CARGO_TARGET_DIR", target)
        .env("DATABASE_URL", url)
        .output()
        .unwrap()
}

#[test]
fn a_project_of_its_own_adds_a_column_and_a_role_with_one_up() {
    let project = tempfile::tempdir().unwrap();
    lay_out(project.path());

    let up = cargo(
        project.path(),
        &["run", "--quiet", "-p", "scratch-migration", "--", "up"],
    );
    assert!(up.status.success(), "{}", text(&up.stderr));
    let said = text(&up.stdout);
    for file in [
        "cleaner.rs",
        "guest.rs",
        "host.rs",
        "mod.rs",
        "schema.mmd",
        "user.rs",
    ] {
        assert!(said.contains(file), "{file} is not named in {said}");
    }

    let app = cargo(project.path(), &["run", "--quiet", "-p", "scratch-app"]);
    assert!(app.status.success(), "{}", text(&app.stderr));
    assert_eq!(text(&app.stdout), "cleaner of ada@example.com\n");

    let check = cargo(
        project.path(),
        &[
            "run",
            "--quiet",
            "-p",
            "scratch-migration",
            "--",
            "sync",
            "--check",
        ],
    );
    assert!(check.status.success(), "{}", text(&check.stderr));
}
