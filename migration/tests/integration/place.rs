//! Where the program looks for the tables, and what it needs no rights for.

use guesthouse_migration::{Migrator, MigratorTrait, up};
use sea_orm_migration::sea_orm::{ConnectOptions, Database, DbBackend};

use crate::support::{Place, as_role, backend, count, text};

const TABLES_IN_FRONT: &str =
    "SELECT count(*) FROM pg_tables WHERE schemaname IN ('postgres', 'front')";

on_postgres!(
    a_schema_that_comes_to_stand_in_front_gets_no_second_tables,
    a_table_without_its_log_is_not_hidden_by_a_second_one,
    the_library_finds_the_log_by_the_path_of_its_pool,
);

/// A schema named like the role stands first in the default search path.
async fn a_schema_that_comes_to_stand_in_front_gets_no_second_tables(url: &str) {
    let place = Place::on(url);
    place.succeed(&["up"]);
    place
        .execute("INSERT INTO users (email) VALUES ('ada@example.com')")
        .await;
    place.execute("CREATE SCHEMA postgres").await;

    assert_eq!(place.succeed(&["status"]).matches("Applied").count(), 3);
    place.succeed(&["verify"]);
    place.succeed(&["up"]);
    let db = Database::connect(url).await.unwrap();
    up(Migrator, &db).await.unwrap();
    assert_eq!(count(&db, TABLES_IN_FRONT).await, 0);

    place.succeed(&["down"]);
    assert_eq!(place.succeed(&["status"]).matches("Applied").count(), 2);
    place.succeed(&["up"]);

    // SeaORM's own puts an empty log in front, and then cannot go on.
    let error = Migrator::up(&db, None).await.unwrap_err().to_string();
    assert!(error.contains("a second one would hide it"), "{error}");
    assert_eq!(place.succeed(&["status"]).matches("Applied").count(), 3);
    up(Migrator, &db).await.unwrap();
    place.execute("DROP TABLE postgres.seaql_migrations").await;

    place.succeed(&["down"]);
    up(Migrator, &db).await.unwrap();
    assert_eq!(count(&db, TABLES_IN_FRONT).await, 0);
    assert_eq!(count(&db, "SELECT count(*) FROM public.hosts").await, 0);
    assert_eq!(count(&db, "SELECT count(*) FROM users").await, 1);

    assert!(place.fail(&["reset"]).contains("`users` still holds rows"));
    place.succeed(&["refresh", "--force"]);
    place.succeed(&["fresh"]);
    place.succeed(&["verify"]);
    assert_eq!(count(&db, TABLES_IN_FRONT).await, 0);
    db.close().await.unwrap();
}

/// The log is not to be seen, and a table is.
async fn a_table_without_its_log_is_not_hidden_by_a_second_one(url: &str) {
    let place = Place::on(url);
    place.succeed(&["up"]);
    place.execute("DROP TABLE seaql_migrations").await;
    place.execute("CREATE SCHEMA postgres").await;
    let refusal = "table `users` is in the schema `public` already, and a second one would hide \
                   it: name the schema to use (--database-schema), or put no other into the \
                   search path";
    for command in ["up", "fresh", "refresh"] {
        assert_eq!(place.fail(&[command]), format!("error: {refusal}"));
    }

    place.succeed(&["down"]);
    place.succeed(&["reset"]);

    let db = Database::connect(url).await.unwrap();
    let error = up(Migrator, &db).await.unwrap_err().to_string();
    assert!(error.contains(refusal), "{error}");
    assert_eq!(count(&db, TABLES_IN_FRONT).await, 0);

    // SeaORM's own makes a log in front, but no table.
    let error = Migrator::up(&db, None).await.unwrap_err().to_string();
    assert!(error.contains(refusal), "{error}");
    assert_eq!(count(&db, TABLES_IN_FRONT).await, 1);
    db.close().await.unwrap();
}

/// The settings of the app's pool are those of the connection that migrates.
async fn the_library_finds_the_log_by_the_path_of_its_pool(url: &str) {
    let place = Place::on(url);
    place.execute("CREATE SCHEMA front").await;
    place.execute("CREATE SCHEMA \"Live one\"").await;
    place.succeed(&["up", "-n", "1", "-s", "Live one"]);
    let mut options = ConnectOptions::new(url);
    options.set_schema_search_path("front,Live one");
    let db = Database::connect(options).await.unwrap();

    up(Migrator, &db).await.unwrap();

    assert_eq!(count(&db, TABLES_IN_FRONT).await, 0);
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'Live one'";
    assert_eq!(count(&db, tables).await, 4);
    db.close().await.unwrap();
}

on_servers!(up_needs_no_rights_where_nothing_is_pending);

/// As the app's role, which may read; and a migration is refused to it.
async fn up_needs_no_rights_where_nothing_is_pending(url: &str) {
    let grant = match backend(url) {
        DbBackend::Postgres => "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}",
        _ => "GRANT SELECT ON {database}.* TO {role}",
    };
    let place = Place::on(url);
    place.succeed(&["up"]);
    as_role(url, grant, async |role| {
        let reader = Place::on(role);
        reader.succeed(&["up"]);
        reader.succeed(&["verify"]);
        assert_eq!(reader.succeed(&["status"]).matches("Applied").count(), 3);
        let db = Database::connect(role).await.unwrap();
        up(Migrator, &db).await.unwrap();
        db.close().await.unwrap();

        place.succeed(&["down"]);
        let refusal = reader.fail(&["up"]);
        assert!(refusal.contains("denied"), "{refusal}");
        assert_eq!(place.succeed(&["status"]).matches("Applied").count(), 2);
    })
    .await;
}

on_postgres!(up_reads_only_where_nothing_is_pending_on_postgres);

async fn up_reads_only_where_nothing_is_pending_on_postgres(url: &str) {
    let place = Place::on(url);
    place.succeed(&["up"]);
    let database = url.rsplit('/').next().unwrap();
    let read_only = format!("ALTER DATABASE {database} SET default_transaction_read_only = on");
    place.execute(&read_only).await;
    place.succeed(&["up"]);
}

#[test]
fn up_reads_only_where_nothing_is_pending_on_sqlite() {
    let place = Place::new();
    place.succeed(&["up"]);
    std::fs::remove_file(place.dir.path().join("test.db-lock")).unwrap();
    let read_only = place.url().replace("mode=rwc", "mode=ro");
    place.succeed(&["up", "--database-url", &read_only]);
    assert!(!place.dir.path().join("test.db-lock").exists());
}

on_servers!(a_log_that_cannot_be_read_is_reported);

/// The role sees the tables and not the log, which is something else than that nothing has run.
async fn a_log_that_cannot_be_read_is_reported(url: &str) {
    let grants = match backend(url) {
        DbBackend::Postgres => "GRANT SELECT ON users, guests, hosts TO {role}",
        _ => {
            "GRANT SELECT ON {database}.users TO {role};
             GRANT SELECT ON {database}.guests TO {role};
             GRANT SELECT ON {database}.hosts TO {role}"
        }
    };
    let place = Place::on(url);
    place.succeed(&["up"]);
    as_role(url, grants, async |role| {
        let reader = Place::on(role);
        let verify = reader.run(&["verify"]);
        assert_eq!(verify.status.code(), Some(1));
        let said = text(&verify.stdout);
        assert!(
            said.starts_with("the log of migrations cannot be read: "),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1, "the schema is in order: {said}");
        for command in ["status", "up"] {
            let refusal = reader.fail(&[command]);
            assert!(
                refusal.starts_with("error: the log of migrations cannot be read: "),
                "{refusal}"
            );
        }
    })
    .await;
}

/// The log looks empty to the role, which is something else than that nothing has run.
async fn the_log_is_refused_as_hidden(url: &str, grants: &str, refusal: &str) {
    let place = Place::on(url);
    place.succeed(&["up"]);
    as_role(url, grants, async |role| {
        let reader = Place::on(role);
        for command in ["status", "verify", "down", "reset", "up", "fresh"] {
            let refused = reader.fail(&[command]);
            assert_eq!(refused, format!("error: {refusal}"), "{command}");
        }
        let db = Database::connect(role).await.unwrap();
        let error = up(Migrator, &db).await.unwrap_err().to_string();
        assert!(error.contains(refusal), "{error}");
        db.close().await.unwrap();
    })
    .await;
    assert_eq!(place.succeed(&["status"]).matches("Applied").count(), 3);
}

on_postgres!(
    a_log_that_row_level_security_hides_is_reported,
    a_role_that_may_use_no_schema_is_told_so,
    the_entity_of_a_table_in_another_schema_is_kept,
);

async fn a_log_that_row_level_security_hides_is_reported(url: &str) {
    let grants = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role};
                  ALTER TABLE seaql_migrations ENABLE ROW LEVEL SECURITY";
    let refusal = "row level security hides the log of migrations in the schema `public`: what was \
                   applied would be taken for pending";
    the_log_is_refused_as_hidden(url, grants, refusal).await;
}

async fn a_role_that_may_use_no_schema_is_told_so(url: &str) {
    let grants = "REVOKE ALL ON SCHEMA public FROM PUBLIC";
    let refusal = "no schema of the search path (\"$user\", public) is there for this role to use: \
                   nothing can be read";
    the_log_is_refused_as_hidden(url, grants, refusal).await;
}

/// The app and `verify` find it by the search path.
async fn the_entity_of_a_table_in_another_schema_is_kept(url: &str) {
    let place = Place::on(url);
    let entities = place.dir.path().join("entities");
    std::fs::create_dir(&entities).unwrap();
    place.succeed(&["up", "--entity-dir", "entities"]);
    let database = url.rsplit('/').next().unwrap();
    place
        .execute(&format!(
            "CREATE SCHEMA app; ALTER TABLE hosts SET SCHEMA app;
             ALTER DATABASE {database} SET search_path = public, app"
        ))
        .await;
    for arguments in [&["sync"][..], &["sync", "--check"], &["up"]] {
        let refused = place.fail(&[arguments, &["--entity-dir", "entities"]].concat());
        assert_eq!(
            refused,
            "error: table `hosts` is in the schema `app`, and not in that of the log of \
             migrations: its entity would be removed"
        );
    }
    assert!(entities.join("host.rs").exists());
    place.execute("DROP TABLE app.hosts").await;
    let said = place.succeed(&["sync", "--entity-dir", "entities"]);
    assert!(said.contains("removed entities/host.rs"), "{said}");
}
