//! The program, run as a user runs it.

use std::fs;

use crate::support::{Place, text};

#[test]
fn status_lists_every_migration_and_creates_nothing() {
    let place = Place::new();
    assert_eq!(
        place.succeed(&["status"]),
        "Pending  m20260901_000001_create_users\n\
         Pending  m20260901_000002_create_guests\n\
         Pending  m20260901_000003_create_hosts\n"
    );
    assert_eq!(fs::read_dir(place.dir.path()).unwrap().count(), 0);

    place.succeed(&["up", "-n", "1"]);
    let status = place.succeed(&["status"]);
    assert!(
        status.starts_with("Applied  m20260901_000001_create_users\nPending"),
        "{status}"
    );
}

#[tokio::test]
async fn down_refuses_rows_unless_forced() {
    let place = Place::new();
    place.succeed(&["up"]);
    place.succeed(&["down", "-n", "2"]);
    place
        .execute("INSERT INTO users (email) VALUES ('ada@example.com')")
        .await;

    assert!(place.fail(&["down"]).contains("`users` still holds rows"));
    assert!(
        place
            .fail(&["refresh"])
            .contains("`users` still holds rows")
    );
    place.succeed(&["down", "--force"]);

    place.succeed(&["up", "-n", "1"]);
    place
        .execute("INSERT INTO users (email) VALUES ('ada@example.com')")
        .await;
    let mut reset = place.command(&["reset"]);
    assert!(
        reset
            .env("GUESTHOUSE_FORCE_DOWN", "1")
            .status()
            .unwrap()
            .success()
    );
}

#[tokio::test]
async fn an_applied_migration_that_is_not_in_the_list_is_named() {
    let place = Place::new();
    place.succeed(&["up"]);
    place
        .execute("INSERT INTO seaql_migrations VALUES ('m2030_gone', 0)")
        .await;
    assert!(place.fail(&["up"]).contains("'m2030_gone'"));
    assert!(place.fail(&["status"]).contains("'m2030_gone'"));
}

#[test]
fn programs_at_the_same_time_apply_each_migration_once() {
    let place = Place::new();
    let running: Vec<_> = (0..4)
        .map(|_| {
            let mut up = place.command(&["up"]);
            up.stderr(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut applied = 0;
    for program in running {
        let output = program.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        applied += text(&output.stderr).matches("has been applied").count();
    }
    assert_eq!(applied, 3);
}

#[tokio::test]
async fn up_syncs_and_check_tells_when_the_files_are_stale() {
    let place = Place::new();
    assert!(place.succeed(&["up"]).contains("skipped, no entity folder"));
    let entities = place.dir.path().join("entities");
    let entity_dir = ["--entity-dir", "entities"];
    let with_entities = |arguments: &[&'static str]| [arguments, &entity_dir].concat();
    assert!(
        place
            .succeed(&with_entities(&["up"]))
            .contains("skipped, there is no folder")
    );
    fs::create_dir(&entities).unwrap();
    place.succeed(&with_entities(&["up"]));
    assert!(entities.join("user.rs").exists());
    assert!(
        place
            .succeed(&with_entities(&["sync", "--check"]))
            .contains("in step")
    );

    place
        .execute("ALTER TABLE hosts ADD COLUMN motto varchar(80)")
        .await;
    let check = place.run(&with_entities(&["sync", "--check"]));
    assert_eq!(check.status.code(), Some(1));
    assert!(
        text(&check.stdout).contains("+    pub motto: Option<String>,"),
        "{check:?}"
    );
    assert!(
        !fs::read_to_string(entities.join("host.rs"))
            .unwrap()
            .contains("motto")
    );

    let changed = place.succeed(&with_entities(&["sync"]));
    let names: Vec<_> = changed
        .lines()
        .map(|line| line.rsplit('/').next().unwrap())
        .collect();
    assert_eq!(names, ["host.rs", "schema.mmd"]);
    place.succeed(&with_entities(&["sync", "--check"]));
}

#[test]
fn the_connection_string_is_never_printed() {
    let place = Place::new();
    for url in [
        "oracle://app:hunter2@db/app",
        "app:hunter2@db",
        "mysql://app:hunter2@h:x/app",
    ] {
        let output = place.run(&["status", "--database-url", url]);
        assert_eq!(output.status.code(), Some(1));
        let printed = text(&output.stdout) + &text(&output.stderr);
        assert!(!printed.contains("hunter2"), "{printed}");
        assert_eq!(printed.lines().count(), 1, "{printed}");
    }
    let help = place.succeed(&["--help"]);
    assert!(!help.contains("test.db"), "{help}");
}

#[test]
fn no_command_or_a_wrong_one_is_an_error_of_use() {
    let place = Place::new();
    assert_eq!(place.run(&[]).status.code(), Some(2));
    assert_eq!(place.run(&["sideways"]).status.code(), Some(2));
}

/// SQLite has no such schemas: the tables of the file would be taken in their place.
#[test]
fn a_schema_is_refused_where_there_are_none() {
    let place = Place::new();
    let output = place.run(&["up", "--database-schema", "app"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr),
        "error: --database-schema (DATABASE_SCHEMA) is for PostgreSQL only\n"
    );
    assert!(!place.dir.path().join("test.db").exists());
}

/// A trigger of the app's own is its right, and `verify` says that it is there.
#[tokio::test]
async fn verify_warns_and_succeeds() {
    let place = Place::new();
    place.succeed(&["up"]);
    place
        .execute("CREATE TRIGGER loud AFTER INSERT ON hosts BEGIN SELECT 1; END")
        .await;
    let output = place.run(&["verify"]);
    assert!(output.status.success(), "{output:?}");
    let warned = text(&output.stderr);
    assert!(
        warned.contains("trigger") && warned.contains("loud"),
        "{warned}"
    );
    assert_eq!(
        text(&output.stdout),
        "verify: the schema keeps what the library promises\n"
    );
}
