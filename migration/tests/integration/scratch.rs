//! A project outside the workspace adds a migration with a new column and a role of its own, runs
//! `up` once, and compiles against the entities that `up` wrote.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use crate::{sea_orm_cli, support::text};

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

const MIGRATIONS: &str = r#"
//! The migrations of the app, behind those of Guesthouse.

use guesthouse_migration::{Migrator, MigratorTrait};
use sea_orm_migration::prelude::*;

mod m20261001_000001_create_cleaners;

pub struct AppMigrator;

impl MigratorTrait for AppMigrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        Migrator::migrations().into_iter().chain(own()).collect()
    }
}

fn own() -> Vec<Box<dyn MigrationTrait>> {
    vec![
        Box::new(m20261001_000001_create_cleaners::Migration),
    ]
}
"#;

const CREATE_CLEANERS: &str = r#"
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
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

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        guesthouse_migration::drop_table(manager, "cleaners").await
    }
}
"#;

const MIGRATE: &str = r#"
#[tokio::main]
async fn main() -> std::process::ExitCode {
    guesthouse_migration::cli::run(scratch_migration::AppMigrator).await
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
        ("migration/src/lib.rs", MIGRATIONS),
        (
            "migration/src/m20261001_000001_create_cleaners.rs",
            CREATE_CLEANERS,
        ),
        ("migration/src/main.rs", MIGRATE),
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
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments);
    in_project(&mut command, project).output().unwrap()
}

/// As a user who works in the project would run it.
fn in_project<'a>(command: &'a mut Command, project: &Path) -> &'a mut Command {
    for name in [
        "CARGO_MANIFEST_DIR",
        "DATABASE_SCHEMA",
        "GUESTHOUSE_ENTITY_DIR",
        "MIGRATION_DIR",
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
    ] {
        command.env_remove(name);
    }
    let url = format!("sqlite://{}?mode=rwc", project.join("scratch.db").display());
    command
        .current_dir(project)
        // Beside the workspace's own build, so that a second run of the test is quick.
        .env(
            "CARGO_TARGET_DIR",
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("scratch"),
        )
        .env("DATABASE_URL", url)
}

fn migrate(project: &Path, arguments: &[&str]) -> String {
    let run = ["run", "--quiet", "-p", "scratch-migration", "--"];
    let output = cargo(project, &[&run, arguments].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn a_project_of_its_own_adds_a_column_and_a_role_with_one_up() {
    let project = tempfile::tempdir().unwrap();
    let project = project.path();
    lay_out(project);

    let said = migrate(project, &["up"]);
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

    let app = cargo(project, &["run", "--quiet", "-p", "scratch-app"]);
    assert!(app.status.success(), "{}", text(&app.stderr));
    assert_eq!(text(&app.stdout), "cleaner of ada@example.com\n");
    migrate(project, &["sync", "--check"]);

    // A new migration, from the program's template: it is in the list, compiles, and makes a has-one.
    let said = migrate(
        project,
        &["generate", "create_gardeners", "--belongs-to", "users"],
    );
    assert_eq!(said.lines().count(), 2, "{said}");
    let said = migrate(project, &["up"]);
    assert!(said.contains("gardener.rs"), "{said}");
    let user = fs::read_to_string(project.join("entity/src/generated/user.rs")).unwrap();
    assert!(
        user.contains("#[sea_orm(has_one)]\n    pub gardener: HasOne<super::gardener::Entity>,"),
        "{user}"
    );

    // The same program, as sea-orm-cli starts it.
    let refused = sea_orm_cli_on(project, &["down", "-n", "5"])
        .output()
        .unwrap();
    assert!(!refused.status.success());
    let said = text(&refused.stderr);
    assert!(said.contains("`hosts` still holds rows"), "{said}");
    sea_orm_cli(project, &["fresh"]);

    // And one that sea-orm-cli generates. It is not written yet, so it is not run.
    sea_orm_cli(project, &["generate", "add_reviews"]);
    let status = sea_orm_cli(project, &["-v", "status"]);
    for (status_of, name) in [
        ("Applied", "_create_hosts"),
        ("Applied", "_create_cleaners"),
        ("Applied", "_create_gardeners"),
        ("Pending", "_add_reviews"),
    ] {
        let is_there = |line: &str| line.starts_with(status_of) && line.ends_with(name);
        assert!(status.lines().any(is_there), "{status_of} {name}: {status}");
    }
}

/// What `sea-orm-cli migrate -d migration ARGUMENTS` prints in the project.
fn sea_orm_cli(project: &Path, arguments: &[&str]) -> String {
    let output = sea_orm_cli_on(project, arguments).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn sea_orm_cli_on(project: &Path, arguments: &[&str]) -> Command {
    let own = ["migrate", "-d", "migration"];
    let mut command = sea_orm_cli::process(&[&own, arguments].concat());
    in_project(&mut command, project);
    command
}
