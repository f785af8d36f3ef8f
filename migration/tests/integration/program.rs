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

on_each_backend!(rows_of_a_later_table_are_refused_ahead);

/// The table without rows comes first, and stays.
async fn rows_of_a_later_table_are_refused_ahead(url: &str) {
    let place = Place::on(url);
    place.succeed(&["up"]);
    place
        .execute("INSERT INTO users (email) VALUES ('ada@example.com')")
        .await;
    place
        .execute("INSERT INTO guests (user_id) SELECT id FROM users")
        .await;
    for command in [&["reset"][..], &["refresh"], &["down", "-n", "2"]] {
        let refusal = place.fail(command);
        assert!(
            refusal.starts_with("error: table `guests` still holds rows"),
            "{command:?}: {refusal}"
        );
        assert_eq!(place.succeed(&["status"]).matches("Applied").count(), 3);
    }
    place.succeed(&["verify"]);
    place.succeed(&["down"]);
    place.succeed(&["reset", "--force"]);
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

/// A build of the entities without those of what is pending would stop the program itself.
#[test]
fn a_part_of_what_is_pending_deletes_no_entity() {
    let place = Place::new();
    fs::create_dir(place.dir.path().join("entities")).unwrap();
    place.succeed(&["up", "--entity-dir", "entities"]);
    place.succeed(&["down", "-n", "3"]);
    let one = place.succeed(&["up", "-n", "1", "--entity-dir", "entities"]);
    assert_eq!(one, "sync: skipped, migrations are pending\n");
    assert!(place.dir.path().join("entities/host.rs").exists());
    let rest = place.succeed(&["up", "-n", "2", "--entity-dir", "entities"]);
    assert_eq!(rest, "sync: the entities are in step with the schema\n");
}

#[tokio::test]
async fn sync_deletes_no_entity_of_a_migration_that_is_not_applied() {
    let place = Place::new();
    let entities = place.dir.path().join("entities");
    fs::create_dir(&entities).unwrap();
    place.succeed(&["up", "--entity-dir", "entities"]);
    place.succeed(&["down", "-n", "2"]);
    for arguments in [&["sync"][..], &["sync", "--check"]] {
        let refusal = place.fail(&[arguments, &["--entity-dir", "entities"]].concat());
        assert_eq!(
            refusal,
            "error: migrations are pending, and `sync` would remove the entities of their tables: \
             run `up`"
        );
    }
    place.succeed(&["up"]);
    place
        .execute("INSERT INTO seaql_migrations VALUES ('m2030_gone', 0)")
        .await;
    let refusal = place.fail(&["sync", "--entity-dir", "entities"]);
    assert!(refusal.contains("'m2030_gone'"), "{refusal}");
    assert!(entities.join("host.rs").exists() && entities.join("guest.rs").exists());
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
fn without_a_command_it_is_up_as_in_seaorm() {
    let place = Place::new();
    place.succeed(&[]);
    assert!(!place.succeed(&["status"]).contains("Pending"));
}

#[test]
fn a_wrong_command_is_an_error_of_use() {
    let place = Place::new();
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

/// The file has what a user would otherwise put into the environment, which goes before it.
#[test]
fn a_file_env_says_which_database() {
    let place = Place::new();
    let dir = place.dir.path();
    let database = |name: &str| format!("sqlite://{}?mode=rwc", dir.join(name).display());
    fs::write(
        dir.join(".env"),
        format!(
            "# the app's\nOTHER='a b'\nDATABASE_URL=\"{}\"\n",
            database("of-the-file.db")
        ),
    )
    .unwrap();
    let without_url = |arguments: &[&str]| {
        let output = place.command(arguments).env_remove("DATABASE_URL").output();
        let output = output.unwrap();
        assert!(output.status.success(), "{output:?}");
        text(&output.stdout)
    };
    without_url(&["up"]);
    assert!(dir.join("of-the-file.db").exists());
    assert!(!without_url(&["--help"]).contains("of-the-file"));

    place.succeed(&["up"]);
    assert!(
        dir.join("test.db").exists(),
        "the environment goes before the file"
    );
    place.succeed(&["up", "-u", &database("given.db")]);
    assert!(
        dir.join("given.db").exists(),
        "an argument goes before both"
    );

    // Without the line the default database would be taken for the app's.
    fs::write(
        dir.join(".env"),
        "DATABASE_URL=postgres://app:hunter2@db/app x\n",
    )
    .unwrap();
    let output = place
        .command(&["up"])
        .env_remove("DATABASE_URL")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr),
        "error: the file .env has a line that cannot be read\n"
    );
    assert!(!dir.join("guesthouse.db").exists());
}

#[test]
fn generate_needs_a_folder_with_a_list_of_migrations() {
    let place = Place::new();
    assert_eq!(
        place.fail(&["generate", "create_couriers"]),
        "error: no folder of migrations: give --migration-dir, or run under cargo"
    );
    let refusal = place.fail(&["generate", "create_couriers", "--migration-dir", "."]);
    assert!(
        refusal.starts_with("error: generate: no list of migrations in ."),
        "{refusal}"
    );
    let refusal = place.fail(&["generate", "add-couriers", "--migration-dir", "."]);
    assert_eq!(
        refusal,
        "error: generate: a name is made of lower-case letters, digits and underscores"
    );
    assert_eq!(fs::read_dir(place.dir.path()).unwrap().count(), 0);
}
