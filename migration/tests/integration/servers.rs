//! The program on PostgreSQL and MariaDB, and the entities made from each source.

use std::{fs, path::Path};

use guesthouse_migration::{Migrator, sync};
use sea_orm_migration::{
    MigratorTrait,
    sea_orm::{ConnectOptions, Database, DatabaseConnection, DbBackend},
};

use crate::support::{Place, as_role, backend, count, execute, migrated, text};

/// The entities as they are committed.
fn committed() -> &'static Path {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../entity/src/generated"
    ))
}

async fn generate(db: &DatabaseConnection) -> Vec<(String, String)> {
    let files = sync::generate(db).await.unwrap();
    files
        .into_iter()
        .map(|file| (file.name, file.content))
        .collect()
}

fn assert_is_committed(files: &[(String, String)]) {
    let mut names: Vec<_> = fs::read_dir(committed())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        files
            .iter()
            .map(|(name, _)| name.clone())
            .collect::<Vec<_>>()
    );
    assert!(names.len() >= 5, "{names:?}");
    for (name, content) in files {
        assert_eq!(
            &fs::read_to_string(committed().join(name)).unwrap(),
            content,
            "{name}"
        );
    }
}

#[tokio::test]
async fn the_committed_entities_are_what_sqlite_gives() {
    assert_is_committed(&generate(&migrated().await).await);
}

on_postgres!(
    the_committed_entities_are_what_postgres_gives,
    an_apps_own_tables_give_the_same_bytes_from_both,
);

async fn the_committed_entities_are_what_postgres_gives(url: &str) {
    let db = Database::connect(url).await.unwrap();
    Migrator::up(&db, None).await.unwrap();
    assert_is_committed(&generate(&db).await);
    db.close().await.unwrap();
}

/// The same for a schema that an app has added to.
async fn an_apps_own_tables_give_the_same_bytes_from_both(url: &str) {
    let postgres = Database::connect(url).await.unwrap();
    Migrator::up(&postgres, None).await.unwrap();
    let sqlite = migrated().await;
    for (db, uuid, time) in [
        (&postgres, "uuid", "timestamptz"),
        (&sqlite, "uuid_text", "timestamp_with_timezone_text"),
    ] {
        execute(db, "ALTER TABLE hosts ADD COLUMN motto varchar(80)").await;
        execute(
            db,
            &format!(
                "CREATE TABLE cleaners (id {uuid} NOT NULL PRIMARY KEY, user_id {uuid} NOT NULL,
                 hired_at {time}, rating double precision NOT NULL, active boolean NOT NULL,
                 FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE RESTRICT)"
            ),
        )
        .await;
        execute(
            db,
            "CREATE UNIQUE INDEX cleaners_user_id ON cleaners (user_id)",
        )
        .await;
    }
    let files = generate(&postgres).await;
    assert_eq!(files, generate(&sqlite).await);
    let content = |name| &files.iter().find(|(file, _)| file == name).unwrap().1;
    assert!(content("user.rs").contains("pub cleaner: HasOne<super::cleaner::Entity>"));
    assert!(content("host.rs").contains("pub motto: Option<String>"));
    assert!(content("schema.mmd").contains("users ||--o| cleaners"));
    postgres.close().await.unwrap();
}

on_mariadb!(the_committed_entities_are_what_mariadb_gives);

async fn the_committed_entities_are_what_mariadb_gives(url: &str) {
    let db = Database::connect(url).await.unwrap();
    Migrator::up(&db, None).await.unwrap();
    assert_is_committed(&generate(&db).await);
    db.close().await.unwrap();
}

on_servers!(status_creates_nothing);

async fn status_creates_nothing(url: &str) {
    let tables = match backend(url) {
        DbBackend::Postgres => "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'",
        _ => "SELECT count(*) FROM information_schema.tables WHERE table_schema = database()",
    };
    let said = Place::on(url).succeed(&["status"]);
    assert_eq!(said.matches("Pending").count(), 3, "{said}");
    let db = Database::connect(url).await.unwrap();
    assert_eq!(count(&db, tables).await, 0);
    db.close().await.unwrap();
}

on_postgres!(a_schema_of_its_own_is_kept_to);

/// Another schema's tables are neither used nor dropped.
async fn a_schema_of_its_own_is_kept_to(url: &str) {
    let place = Place::on(url);
    place.succeed(&["up"]);
    place.execute("CREATE SCHEMA \"The app\"").await;
    place
        .execute("INSERT INTO users (email) VALUES ('ada@example.com')")
        .await;

    place.succeed(&["up", "-s", "The app"]);
    place.succeed(&["-v", "--database-schema", "The app", "verify"]);
    let fresh = place
        .command(&["fresh"])
        .env("DATABASE_SCHEMA", "The app")
        .output()
        .unwrap();
    assert!(fresh.status.success(), "{fresh:?}");

    let db = Database::connect(url).await.unwrap();
    assert_eq!(count(&db, "SELECT count(*) FROM public.users").await, 1);
    assert_eq!(
        count(&db, "SELECT count(*) FROM \"The app\".users").await,
        0
    );
    let sql = "SELECT count(*) FROM \"The app\".seaql_migrations";
    assert_eq!(count(&db, sql).await, 3);
    db.close().await.unwrap();
}

on_servers!(programs_take_turns);

/// Four programs at once: together they apply each migration once, and all succeed.
async fn programs_take_turns(url: &str) {
    let place = Place::on(url);
    let programs: Vec<_> = (0..4)
        .map(|_| {
            place
                .command(&["up"])
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut applied = 0;
    for program in programs {
        let output = program.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        applied += text(&output.stderr).matches("Applying migration").count();
    }
    assert_eq!(applied, 3);
    let db = Database::connect(url).await.unwrap();
    assert_eq!(count(&db, "SELECT count(*) FROM seaql_migrations").await, 3);
    db.close().await.unwrap();
}

on_mariadb!(
    a_half_applied_migration_can_be_run_again,
    a_table_of_another_shape_is_an_error_on_mariadb,
);

/// A run that died between the table and its record, in either direction.
async fn a_half_applied_migration_can_be_run_again(url: &str) {
    let place = Place::on(url);
    place.succeed(&["up"]);
    let forget = "DELETE FROM seaql_migrations WHERE version LIKE '%create_hosts'";
    place.execute(forget).await;
    place.succeed(&["up"]);
    assert_eq!(place.succeed(&["status"]).matches("Applied").count(), 3);

    place.execute("DROP TABLE hosts").await;
    place.succeed(&["down"]);
    assert_eq!(place.succeed(&["status"]).matches("Applied").count(), 2);
}

/// One that no run of ours created is somebody else's, however near it comes.
async fn a_table_of_another_shape_is_an_error_on_mariadb(url: &str) {
    const LIKE_OURS: &str =
        "id binary(16) NOT NULL DEFAULT (unhex(replace(uuid(), '-', ''))) PRIMARY KEY,
         user_id binary(16) NOT NULL,
         created_at datetime(6) NOT NULL DEFAULT utc_timestamp(6),
         updated_at datetime(6) NOT NULL DEFAULT utc_timestamp(6)";
    const UNIQUE: &str = "UNIQUE KEY hosts_user_id (user_id)";
    const USER: &str = "CONSTRAINT hosts_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id)";
    let place = Place::on(url);
    place
        .execute("CREATE TABLE users (id binary(16) PRIMARY KEY, email varchar(50), password text NOT NULL)")
        .await;
    let refusal = |table| {
        format!(
            "error: table `{table}` is there already, and is not what this migration creates: \
             rename it or drop it first"
        )
    };
    assert_eq!(place.fail(&["up"]), refusal("users"));
    assert_eq!(place.succeed(&["status"]).matches("Applied").count(), 0);
    place.execute("DROP TABLE users").await;
    place.succeed(&["up", "-n", "2"]);
    for definition in [
        format!("({LIKE_OURS})"),
        format!("({LIKE_OURS}, {UNIQUE})"),
        format!("({LIKE_OURS}, KEY hosts_user_id (user_id), {USER})"),
        format!("({LIKE_OURS}, {UNIQUE}, {USER} ON DELETE CASCADE)"),
        format!("({LIKE_OURS}, {UNIQUE}, {USER} ON UPDATE CASCADE)"),
        format!("({LIKE_OURS}, {UNIQUE}, {USER}, motto text)"),
        format!("({LIKE_OURS}, {UNIQUE}) ENGINE = Aria"),
        format!(
            "({}, {UNIQUE}, {USER})",
            LIKE_OURS.replace("binary(16)", "varbinary(16)")
        ),
    ] {
        place
            .execute(&format!("CREATE TABLE hosts {definition}"))
            .await;
        assert_eq!(place.fail(&["up"]), refusal("hosts"), "{definition}");
        place.execute("DROP TABLE hosts").await;
    }
    place
        .execute("CREATE VIEW hosts AS SELECT * FROM guests")
        .await;
    assert_eq!(place.fail(&["up"]), refusal("hosts"));
    assert_eq!(place.succeed(&["status"]).matches("Applied").count(), 2);
    place.execute("DROP VIEW hosts").await;
    // As ours as it can be.
    place
        .execute(&format!(
            "CREATE TABLE hosts ({LIKE_OURS}, {UNIQUE}, {USER}) CHARACTER SET utf8mb4"
        ))
        .await;
    place.succeed(&["up"]);
    place.succeed(&["verify"]);
}

on_postgres!(
    a_table_of_another_shape_is_an_error_on_postgres,
    rows_that_row_level_security_hides_are_not_dropped,
);

/// What a table of that name holds is somebody else's.
async fn a_table_of_another_shape_is_an_error_on_postgres(url: &str) {
    let place = Place::on(url);
    place.execute("CREATE TABLE hosts (address text)").await;
    place.fail(&["up"]);
    assert_eq!(place.succeed(&["status"]).matches("Applied").count(), 2);
}

/// The role owns the tables, and row level security is forced on it.
async fn rows_that_row_level_security_hides_are_not_dropped(url: &str) {
    let grants = "GRANT ALL ON DATABASE {database} TO {role};
                  GRANT ALL ON SCHEMA public TO {role}";
    as_role(url, grants, async |role| {
        let (place, superuser) = (Place::on(role), Place::on(url));
        place.succeed(&["up"]);
        place
            .execute("INSERT INTO users (email) VALUES ('ada@example.com')")
            .await;
        place
            .execute("INSERT INTO hosts (user_id) SELECT id FROM users")
            .await;
        for table in ["users", "hosts"] {
            place
                .execute(&format!(
                    "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
                ))
                .await;
        }
        for command in ["down", "reset", "refresh"] {
            assert_eq!(
                place.fail(&[command]),
                "error: table `hosts` may hold rows that row level security hides from this \
                 role: roll back as a role that bypasses it, or with `down --force` or \
                 GUESTHOUSE_FORCE_DOWN=1"
            );
            assert!(
                superuser
                    .fail(&[command])
                    .contains("`hosts` still holds rows")
            );
        }
        let db = Database::connect(url).await.unwrap();
        assert_eq!(count(&db, "SELECT count(*) FROM hosts").await, 1);
        assert_eq!(count(&db, "SELECT count(*) FROM users").await, 1);
        db.close().await.unwrap();
        place.succeed(&["reset", "--force"]);
    })
    .await;
}

on_each_backend!(upkeep, a_killed_backfill_goes_on);

async fn upkeep(url: &str) {
    let drop_index = match backend(url) {
        DbBackend::MySql => {
            "ALTER TABLE hosts DROP INDEX hosts_user_id, ADD INDEX hosts_user_id (user_id)"
        }
        _ => "DROP INDEX hosts_user_id",
    };
    let place = Place::on(url);
    place.succeed(&["up"]);
    place.succeed(&["down", "-n", "3"]);
    let output = place.run(&["verify"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stdout);
    assert_eq!(said.matches("pending: m2026").count(), 3, "{said}");

    place.succeed(&["up"]);
    let said = place.succeed(&["verify"]);
    assert_eq!(said, "verify: the schema keeps what the library promises\n");

    place
        .execute("INSERT INTO users (email) VALUES ('ada@example.com')")
        .await;
    place
        .execute("INSERT INTO users (email) VALUES ('grace@example.com')")
        .await;
    let counts = "users                2\nhosts                0\nusers without guest  2\n";
    assert_eq!(place.succeed(&["audit"]), counts);
    let given = place.run(&["backfill-guests"]);
    assert!(given.status.success(), "{given:?}");
    assert_eq!(
        text(&given.stdout),
        "backfill-guests: 2 users have been given a guest\n"
    );
    assert_eq!(text(&given.stderr), "", "no bar without a terminal");
    assert!(place.succeed(&["audit"]).contains("users without guest  0"));

    place.execute(drop_index).await;
    let output = place.run(&["verify"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stdout);
    assert_eq!(
        said,
        "hosts.user_id is not unique: a user could get two hosts\n"
    );
}

/// 100,000 users of another program; the backfill is killed half-way and run again, while people
/// sign up. Everyone has exactly one guest.
async fn a_killed_backfill_goes_on(url: &str) {
    let raw_users = match backend(url) {
        DbBackend::Postgres => {
            "INSERT INTO users (email)
             SELECT 'raw' || n || '@example.com' FROM generate_series(1, 100000) n"
        }
        DbBackend::MySql => {
            "INSERT INTO users (email)
             SELECT concat('raw', seq, '@example.com') FROM seq_1_to_100000"
        }
        _ => {
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 100000)
             INSERT INTO users (email) SELECT 'raw' || n || '@example.com' FROM n"
        }
    };
    let place = Place::on(url);
    place.succeed(&["up"]);
    place.execute(raw_users).await;
    let mut options = ConnectOptions::new(url);
    let db = Database::connect(options.sqlx_logging(false).to_owned())
        .await
        .unwrap();
    let sign_up = async |n: i64| {
        let email = format!("live{n}@example.com").parse().unwrap();
        guesthouse::retry(|| guesthouse::sign_up(&db, Clone::clone(&email)))
            .await
            .unwrap();
    };
    let guests = "SELECT count(*) FROM guests";

    let mut program = place.command(&["backfill-guests"]).spawn().unwrap();
    let mut live = 0;
    while count(&db, guests).await < 20_000 {
        assert!(
            program.try_wait().unwrap().is_none(),
            "ended before it could be killed"
        );
        sign_up(live).await;
        live += 1;
    }
    program.kill().unwrap();
    program.wait().unwrap();
    let half_way = count(&db, guests).await;
    assert!((20_000..100_000).contains(&half_way), "{half_way} guests");
    sign_up(live).await;
    live += 1;

    let said = place.succeed(&["backfill-guests"]);

    assert_eq!(count(&db, guests).await, 100_000 + live, "{said}");
    assert_eq!(
        count(&db, "SELECT count(*) FROM users").await,
        100_000 + live
    );
    assert_eq!(
        count(&db, "SELECT count(DISTINCT user_id) FROM guests").await,
        100_000 + live
    );
    assert!(place.succeed(&["audit"]).contains("users without guest  0"));
    db.close().await.unwrap();
}

on_servers!(a_table_of_the_apps_own_is_not_dropped_with_rows);

/// An app's own table, under a name that wants quotes.
async fn a_table_of_the_apps_own_is_not_dropped_with_rows(url: &str) {
    use guesthouse_migration::{drop_table, forced};
    use sea_orm_migration::{
        SchemaManager,
        sea_orm::{ConnectionTrait, TransactionTrait},
    };

    let db = Database::connect(url).await.unwrap();
    let table = match backend(url) {
        DbBackend::Postgres => "\"My places\"",
        _ => "`My places`",
    };
    execute(&db, &format!("CREATE TABLE {table} (id integer)")).await;
    execute(&db, &format!("INSERT INTO {table} VALUES (1)")).await;
    let drop = async || {
        let txn = db.begin().await.unwrap();
        let outcome = drop_table(&SchemaManager::new(&txn), "My places").await;
        txn.commit().await.unwrap();
        outcome
    };
    let refusal = drop().await.unwrap_err().to_string();
    assert!(
        refusal.contains("table `My places` still holds rows"),
        "{refusal}"
    );
    assert_eq!(
        count(&db, &format!("SELECT count(*) FROM {table}")).await,
        1
    );
    forced(drop()).await.unwrap();
    assert!(
        db.execute_unprepared(&format!("SELECT 1 FROM {table}"))
            .await
            .is_err()
    );
    db.close().await.unwrap();
}
