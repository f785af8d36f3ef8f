//! `fresh`: everything goes, or nothing.

use sea_orm_migration::sea_orm::{
    ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement,
};

use crate::support::{MARIADB, Place, as_role, backend, count, execute, on_server};

const MIGRATED: [&str; 4] = ["guests", "hosts", "seaql_migrations", "users"];

async fn names(db: &DatabaseConnection, sql: &str) -> Vec<String> {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let rows = db.query_all_raw(statement).await.unwrap();
    rows.iter()
        .map(|row| row.try_get_by_index(0).unwrap())
        .collect()
}

/// What is in the schema and is no index.
const POSTGRES_NAMES: &str = "
    SELECT relname::text FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind <> 'i'
    UNION ALL
    SELECT typname::text FROM pg_type
    WHERE typnamespace = 'public'::regnamespace AND typtype IN ('d', 'e', 'r')
    ORDER BY 1";

on_postgres!(
    fresh_drops_what_is_no_table_too_on_postgres,
    fresh_leaves_an_extension_whole,
    fresh_refuses_to_break_another_schema,
);

async fn fresh_drops_what_is_no_table_too_on_postgres(url: &str) {
    let place = Place::on(url);
    place.succeed(&["up"]);
    let db = Database::connect(url).await.unwrap();
    for sql in [
        "CREATE VIEW v AS SELECT 1 AS a",
        "CREATE VIEW \"a View\" AS SELECT v.a, users.id FROM v, users",
        "CREATE MATERIALIZED VIEW m AS SELECT * FROM v",
        "CREATE VIEW of_m AS SELECT * FROM m",
        "CREATE EXTENSION file_fdw",
        "CREATE SERVER files FOREIGN DATA WRAPPER file_fdw",
        "CREATE FOREIGN TABLE f (a text) SERVER files OPTIONS (filename '/dev/null')",
        "CREATE TYPE mood AS ENUM ('glad')",
        "CREATE DOMAIN mail AS text",
        "CREATE TYPE span AS RANGE (subtype = int)",
        "CREATE TYPE pair AS (a mood, b mail)",
        "CREATE SEQUENCE numbers",
        "CREATE TABLE cats (id int GENERATED ALWAYS AS IDENTITY, n serial, p pair, s span,
                            d bigint DEFAULT nextval('numbers'))",
        "CREATE TABLE parts (id int) PARTITION BY RANGE (id)",
        "CREATE TABLE part PARTITION OF parts DEFAULT",
        "CREATE FUNCTION me() RETURNS SETOF users LANGUAGE sql AS 'SELECT * FROM users'",
        "CREATE VIEW mine AS SELECT id FROM me()",
        "CREATE CAST (varchar AS mood) WITH INOUT AS IMPLICIT",
        "CREATE POLICY mine ON users USING (EXISTS (SELECT FROM hosts WHERE user_id = users.id))",
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'",
        "CREATE TRIGGER keep BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION keep()",
        "INSERT INTO users (email) VALUES ('ada@example.com')",
    ] {
        execute(&db, sql).await;
    }
    place.succeed(&["fresh"]);
    assert_eq!(names(&db, POSTGRES_NAMES).await, MIGRATED);
    assert_eq!(count(&db, "SELECT count(*) FROM users").await, 0);
    let functions = "SELECT proname::text FROM pg_proc
                     WHERE pronamespace = 'public'::regnamespace AND proname IN ('keep', 'me')";
    assert_eq!(names(&db, functions).await, ["keep"]);
    place.succeed(&["verify"]);
    db.close().await.unwrap();
}

async fn fresh_leaves_an_extension_whole(url: &str) {
    let place = Place::on(url);
    place.succeed(&["up"]);
    let db = Database::connect(url).await.unwrap();
    for sql in [
        "CREATE EXTENSION citext",
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, n serial)",
        "CREATE VIEW of_t AS SELECT * FROM t",
        "CREATE TYPE mood AS ENUM ('glad')",
        "ALTER EXTENSION citext ADD TABLE t",
        "ALTER EXTENSION citext ADD VIEW of_t",
        "ALTER EXTENSION citext ADD TYPE mood",
        "CREATE VIEW of_of_t AS SELECT * FROM of_t",
        "CREATE SCHEMA other",
        "CREATE TABLE other.tags (name citext, mood mood)",
        "CREATE VIEW other.ts AS SELECT * FROM t",
        "INSERT INTO t DEFAULT VALUES",
    ] {
        execute(&db, sql).await;
    }
    place.succeed(&["fresh"]);
    assert_eq!(
        names(&db, POSTGRES_NAMES).await,
        [
            "guests",
            "hosts",
            "mood",
            "of_t",
            "seaql_migrations",
            "t",
            "t_id_seq",
            "t_n_seq",
            "users"
        ]
    );
    assert_eq!(count(&db, "SELECT count(*) FROM t").await, 1);
    db.close().await.unwrap();
}

async fn fresh_refuses_to_break_another_schema(url: &str) {
    let place = Place::on(url);
    place.succeed(&["up"]);
    let db = Database::connect(url).await.unwrap();
    for sql in [
        "CREATE SCHEMA other",
        "CREATE TYPE mood AS ENUM ('glad')",
        "CREATE DOMAIN mail AS text",
        "CREATE SEQUENCE numbers",
        "CREATE TABLE parts (id int) PARTITION BY RANGE (id)",
        "CREATE TABLE other.orders (id int, user_id uuid)",
        "CREATE FUNCTION me() RETURNS SETOF users LANGUAGE sql AS 'SELECT * FROM users'",
    ] {
        execute(&db, sql).await;
    }
    let all = "SELECT (SELECT count(*) FROM pg_class) + (SELECT count(*) FROM pg_proc)";
    for (create, drop, name) in [
        (
            "TABLE other.bills (user_id uuid REFERENCES users (id))",
            "TABLE other.bills",
            "constraint bills_user_id_fkey on table other.bills",
        ),
        (
            "TABLE other.moods (mood mood[])",
            "TABLE other.moods",
            "column mood of table other.moods",
        ),
        (
            "TABLE other.counted (id int DEFAULT nextval('numbers'))",
            "TABLE other.counted",
            "default value for column id of table other.counted",
        ),
        (
            "VIEW other.people AS SELECT * FROM users",
            "VIEW other.people",
            "view other.people",
        ),
        (
            "VIEW other.mine AS SELECT id FROM me()",
            "VIEW other.mine",
            "view other.mine",
        ),
        (
            "TABLE other.more () INHERITS (hosts)",
            "TABLE other.more",
            "table other.more",
        ),
        (
            "TABLE other.part PARTITION OF parts DEFAULT",
            "TABLE other.part",
            "table other.part",
        ),
        (
            "TABLE other.\"of Users\" (u users)",
            "TABLE other.\"of Users\"",
            "column u of table other.\"of Users\"",
        ),
        (
            "DOMAIN other.work_mail AS mail",
            "DOMAIN other.work_mail",
            "type other.work_mail",
        ),
        (
            "TYPE other.pair AS (m mood, n int)",
            "TYPE other.pair",
            "type other.pair",
        ),
        (
            "POLICY own ON other.orders
             USING (EXISTS (SELECT FROM public.users WHERE users.id = user_id))",
            "POLICY own ON other.orders",
            "policy own on table other.orders",
        ),
        (
            "RULE own AS ON INSERT TO other.orders DO ALSO DELETE FROM public.users",
            "RULE own ON other.orders",
            "rule own on table other.orders",
        ),
        (
            "FUNCTION other.me() RETURNS SETOF public.users
             LANGUAGE sql AS 'SELECT * FROM public.users'",
            "FUNCTION other.me()",
            "function other.me()",
        ),
    ] {
        execute(&db, &format!("CREATE {create}")).await;
        let before = count(&db, all).await;
        assert_eq!(
            place.fail(&["fresh"]),
            format!("error: nothing was dropped, since these depend on what would be: {name}")
        );
        assert_eq!(count(&db, all).await, before);
        execute(&db, &format!("DROP {drop}")).await;
    }
    place.succeed(&["fresh"]);
    db.close().await.unwrap();
}

const MARIADB_NAMES: &str = "SELECT table_name FROM information_schema.tables
    WHERE table_schema = database() ORDER BY 1";

on_mariadb!(
    fresh_drops_what_is_no_table_too_on_mariadb,
    fresh_refuses_to_break_another_database,
);

async fn fresh_drops_what_is_no_table_too_on_mariadb(url: &str) {
    let place = Place::on(url);
    place.succeed(&["up"]);
    let db = Database::connect(url).await.unwrap();
    for sql in [
        "CREATE VIEW v AS SELECT id FROM users",
        "CREATE SEQUENCE numbers",
        "CREATE TABLE versions (id int) WITH SYSTEM VERSIONING",
        "CREATE TABLE `a ``table` (id int PRIMARY KEY, other int)",
        "CREATE TABLE b (id int PRIMARY KEY, FOREIGN KEY (id) REFERENCES `a ``table` (id))",
        "ALTER TABLE `a ``table` ADD FOREIGN KEY (other) REFERENCES b (id)",
    ] {
        execute(&db, sql).await;
    }
    place.succeed(&["fresh"]);
    assert_eq!(names(&db, MARIADB_NAMES).await, MIGRATED);
    place.succeed(&["verify"]);
    db.close().await.unwrap();
}

async fn fresh_refuses_to_break_another_database(url: &str) {
    on_server(MARIADB, async |other| {
        let place = Place::on(url);
        place.succeed(&["up"]);
        let (name, other_name) = (url.rsplit('/').next().unwrap(), other.rsplit('/').next().unwrap());
        let orders = format!(
            "CREATE TABLE orders (user_id binary(16), FOREIGN KEY (user_id) REFERENCES {name}.users (id))"
        );
        let other = Place::on(other);
        other.execute(&orders).await;
        assert_eq!(
            place.fail(&["fresh"]),
            format!(
                "error: nothing was dropped, since these depend on what would be: {other_name}.orders"
            )
        );
        let db = Database::connect(url).await.unwrap();
        assert_eq!(names(&db, MARIADB_NAMES).await, MIGRATED);
        other.execute("DROP TABLE orders").await;
        place.succeed(&["fresh"]);
        db.close().await.unwrap();
    })
    .await;
}

on_servers!(fresh_without_the_right_drops_nothing);

on_mariadb!(fresh_drops_nothing_while_foreign_keys_may_be_hidden_on_mariadb);

/// One that may do everything in its database does not see who refers to it from another.
async fn fresh_drops_nothing_while_foreign_keys_may_be_hidden_on_mariadb(url: &str) {
    on_server(MARIADB, async |other| {
        Place::on(url).succeed(&["up"]);
        let name = url.rsplit('/').next().unwrap();
        let orders = format!(
            "CREATE TABLE orders (user_id binary(16), FOREIGN KEY (user_id) REFERENCES {name}.users (id))"
        );
        let other = Place::on(other);
        other.execute(&orders).await;
        let db = Database::connect(url).await.unwrap();
        as_role(url, "GRANT ALL ON {database}.* TO {role}", async |role| {
            assert_eq!(
                Place::on(role).fail(&["fresh"]),
                "error: nothing was dropped, since this user does not see the foreign keys of \
                 other databases: one to a table that is dropped would lead nowhere (run `fresh` \
                 as a user who may SELECT on *.*, or roll back with `refresh --force`)"
            );
            assert_eq!(names(&db, MARIADB_NAMES).await, MIGRATED);
        })
        .await;
        other.execute("DROP TABLE orders").await;
        let grants = "GRANT ALL ON {database}.* TO {role}; GRANT SELECT ON *.* TO {role}";
        as_role(url, grants, async |role| {
            Place::on(role).succeed(&["fresh"]);
        })
        .await;
        db.close().await.unwrap();
    })
    .await;
}

/// A role that may drop some of it.
async fn fresh_without_the_right_drops_nothing(url: &str) {
    let (names_in, grants) = match backend(url) {
        DbBackend::Postgres => (
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
             AND relkind <> 'i' ORDER BY 1",
            "GRANT ALL ON SCHEMA public TO {role};
             GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role};
             ALTER TABLE users OWNER TO {role};
             ALTER VIEW v OWNER TO {role}",
        ),
        _ => (
            MARIADB_NAMES,
            "GRANT SELECT ON *.* TO {role};
             GRANT DROP ON {database}.guests TO {role};
             GRANT DROP ON {database}.v TO {role}",
        ),
    };
    let place = Place::on(url);
    place.succeed(&["up"]);
    place.execute("CREATE VIEW v AS SELECT 1 AS a").await;
    as_role(url, grants, async |role| {
        let refusal = Place::on(role).fail(&["fresh"]);
        assert!(
            refusal.contains("guests") || refusal.contains("hosts"),
            "{refusal}"
        );
    })
    .await;
    let db = Database::connect(url).await.unwrap();
    let with_the_view = [&MIGRATED[..], &["v"]].concat();
    assert_eq!(names(&db, names_in).await, with_the_view);
    db.close().await.unwrap();
}

#[tokio::test]
async fn fresh_drops_what_is_no_table_too_on_sqlite() {
    let place = Place::new();
    place.succeed(&["up"]);
    let db = Database::connect(place.url()).await.unwrap();
    for sql in [
        "CREATE VIEW v AS SELECT id FROM users",
        "CREATE TABLE \"a \"\"table\" (id integer PRIMARY KEY AUTOINCREMENT)",
        "CREATE VIRTUAL TABLE words USING fts5 (word)",
        "INSERT INTO users (email) VALUES ('ada@example.com')",
        "INSERT INTO hosts (user_id) SELECT id FROM users",
    ] {
        execute(&db, sql).await;
    }
    place.succeed(&["fresh"]);
    let all = "SELECT name FROM sqlite_master
               WHERE type <> 'index' AND name <> 'sqlite_sequence' ORDER BY 1";
    assert_eq!(names(&db, all).await, MIGRATED);
    assert_eq!(count(&db, "SELECT count(*) FROM users").await, 0);
    place.succeed(&["verify"]);
}
