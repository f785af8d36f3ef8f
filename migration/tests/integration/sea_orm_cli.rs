//! The command lines of sea-orm-cli, by its own parser, on `migration/` as it stands.
//!
//! sea-orm-cli starts `cargo run` in the folder of the migrations. Its library does here what its
//! program does.

use std::{env, process::Command};

use sea_orm_cli::{Cli, Commands, run_migrate_command};
use sea_orm_migration::sea_orm::{ConnectionTrait, Database};

use crate::support::{count, execute};

/// Runs `sea-orm-cli ARGUMENTS`, and returns whether it succeeds.
fn run<'a>(arguments: impl IntoIterator<Item = &'a str>) -> bool {
    let line = ["sea-orm-cli"].into_iter().chain(arguments);
    let Cli { verbose, command } = clap::Parser::parse_from(line);
    let Commands::Migrate {
        migration_dir,
        database_schema,
        database_url,
        command,
    } = command
    else {
        panic!("this is no line with `migrate`");
    };
    run_migrate_command(
        command,
        &migration_dir,
        database_schema,
        database_url,
        verbose,
    )
    .is_ok()
}

/// `sea-orm-cli migrate -d migration ARGUMENTS`, and whether it succeeds.
fn sea_orm_cli(url: &str, arguments: &[&str]) -> bool {
    let own = ["migrate", "-d", env!("CARGO_MANIFEST_DIR"), "-u", url];
    run([&own, arguments].concat())
}

const ARGUMENTS: &str = "SEA_ORM_CLI_ARGUMENTS";

/// `sea-orm-cli ARGUMENTS` as a process, whose folder and environment are its own: this binary, run for
/// [`as_a_process`] alone.
pub(crate) fn process(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args([
            "sea_orm_cli::as_a_process",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(ARGUMENTS, arguments.join("\n"));
    command
}

#[test]
#[ignore = "run by other tests, as a process"]
fn as_a_process() {
    if let Ok(arguments) = env::var(ARGUMENTS) {
        assert!(run(arguments.lines()), "{arguments:?} failed");
    }
}

/// How many migrations have been applied, and how many users there are where the migrations ran.
async fn applied_and_users(url: &str) -> (i64, i64) {
    let db = Database::connect(url).await.unwrap();
    let counts = (
        count(&db, "SELECT count(*) FROM seaql_migrations").await,
        count(&db, "SELECT count(*) FROM users").await,
    );
    db.close().await.unwrap();
    counts
}

on_each_backend!(every_command_does_what_it_does_in_seaorm);

async fn every_command_does_what_it_does_in_seaorm(url: &str) {
    assert!(sea_orm_cli(url, &["status"]));
    assert!(sea_orm_cli(url, &["up", "-n", "1"]));
    assert_eq!(applied_and_users(url).await, (1, 0));
    assert!(sea_orm_cli(url, &[]));
    assert_eq!(applied_and_users(url).await, (3, 0));
    assert!(sea_orm_cli(url, &["down"]));
    assert_eq!(applied_and_users(url).await, (2, 0));
    assert!(sea_orm_cli(url, &["up", "-v"]));
    assert!(sea_orm_cli(url, &["down", "-n", "2", "-v"]));
    assert_eq!(applied_and_users(url).await, (1, 0));
    assert!(sea_orm_cli(url, &["refresh"]));
    assert_eq!(applied_and_users(url).await, (3, 0));
    assert!(sea_orm_cli(url, &["-v", "status"]));

    let db = Database::connect(url).await.unwrap();
    execute(&db, "INSERT INTO users (email) VALUES ('ada@example.com')").await;
    for refused in [["down", "-n", "3"].as_slice(), &["refresh"], &["reset"]] {
        assert!(!sea_orm_cli(url, refused), "{refused:?} dropped a user");
        assert_eq!(count(&db, "SELECT count(*) FROM users").await, 1);
    }
    db.close().await.unwrap();
    assert!(sea_orm_cli(url, &["fresh"]));
    assert_eq!(applied_and_users(url).await, (3, 0));
    assert!(sea_orm_cli(url, &["reset"]));

    let db = Database::connect(url).await.unwrap();
    assert!(db.execute_unprepared("SELECT 1 FROM users").await.is_err());
    db.close().await.unwrap();
}

on_postgres!(a_schema_is_the_only_one_that_is_touched);

/// SeaORM's own program would take `public` for it where no schema is named.
async fn a_schema_is_the_only_one_that_is_touched(url: &str) {
    let db = Database::connect(url).await.unwrap();
    execute(&db, "CREATE SCHEMA app").await;
    assert!(sea_orm_cli(url, &["up"]));
    execute(&db, "INSERT INTO users (email) VALUES ('ada@example.com')").await;

    for command in ["up", "fresh", "refresh"] {
        assert!(sea_orm_cli(url, &["-s", "app", command]));
        assert_eq!(
            count(&db, "SELECT count(*) FROM app.seaql_migrations").await,
            3
        );
        assert_eq!(count(&db, "SELECT count(*) FROM app.users").await, 0);
        assert_eq!(count(&db, "SELECT count(*) FROM public.users").await, 1);
    }
    assert!(sea_orm_cli(url, &["-s", "app", "reset"]));
    assert_eq!(count(&db, "SELECT count(*) FROM public.users").await, 1);
    db.close().await.unwrap();
}
