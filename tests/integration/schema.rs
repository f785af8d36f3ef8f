//! `verify_schema`: what it says of a schema that somebody has changed by hand.

pub mod changes;
mod drift;
mod mariadb;
mod postgres;
mod sqlite;
mod surroundings;

use std::error::Error as _;

use guesthouse::{
    Difference, Error, SchemaError, become_host, delete_user, sign_up, verify_schema,
};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, sqlx,
};
use uuid::Uuid;

use self::changes::{Case, GUESTS, HOSTS, USERS, change, of_roles, of_users, start_again};
use crate::{
    migration::catalogue,
    support::{Backend as On, TestDb as Db, email, is_possible},
    tracing::{heard, listen},
};

fn differences(outcome: Result<(), SchemaError>) -> Vec<Difference> {
    match outcome {
        Ok(()) => Vec::new(),
        Err(SchemaError::Drift(differences)) => {
            assert!(!differences.is_empty());
            differences
        }
        Err(error) => panic!("{error:?}: {:?}", error.source()),
    }
}

async fn lines(pool: &DatabaseConnection) -> Vec<String> {
    let differences = differences(verify_schema(pool).await);
    differences.iter().map(Difference::to_string).collect()
}

fn difference(table: &str, column: Option<&str>, expected: &str, found: &str) -> Difference {
    Difference {
        table: table.into(),
        column: column.map(Into::into),
        expected: expected.into(),
        found: found.into(),
    }
}

/// Another URL of the same database, for another role.
fn url_of(db: &Db, role: &str) -> String {
    let (scheme, rest) = db.url.split_once("://").unwrap();
    let (_, address) = rest.split_once('@').unwrap();
    format!("{scheme}://{role}@{address}")
}

async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(2)
        .idle_timeout(None)
        .max_lifetime(None)
        .sqlx_logging(false);
    Database::connect(options).await.unwrap()
}

/// What was logged of redundant indexes since this thread listens.
fn warnings() -> Vec<String> {
    let heard = heard();
    let about_indexes = heard.lines().filter(|line| line.contains("redundant"));
    about_indexes.map(str::to_owned).collect()
}

on_each_backend!(
    a_fresh_schema_has_no_difference,
    each_difference_alone_is_reported_exactly,
    three_differences_together_are_reported_in_order,
    what_an_app_may_add_is_no_difference,
    a_difference_says_what_is_needed_and_what_is_there,
    a_role_that_may_only_read_is_enough,
    catalogue_and_rows_are_left_as_they_were,
    a_redundant_index_is_a_warning,
    each_setting_that_breaks_a_promise_is_a_difference,
    settings_come_before_tables,
    one_idle_connection_with_another_setting_is_found,
    it_sends_as_many_statements_as_documented,
    an_error_keeps_the_drivers_words_to_its_source,
);

async fn a_fresh_schema_has_no_difference(db: Db) {
    listen();
    verify_schema(&db.pool).await.unwrap();
    assert_eq!(warnings(), [""; 0]);
}

async fn each_difference_alone_is_reported_exactly(db: Db) {
    let roles = of_roles(db.backend);
    let guests = roles[..4].to_vec();
    let of = |cases: Vec<Case>, words| cases.into_iter().map(move |case| (case, words));
    let cases = of(changes::on(db.backend).of_several_tables.to_vec(), USERS)
        .chain(of(of_users(db.backend), USERS))
        .chain(of(roles, HOSTS))
        .chain(of(guests, GUESTS));
    let mut count = 0;
    for (case, words) in cases.filter(|(case, _)| is_possible(case.0)) {
        let expected = change(&db, case, words).await;
        assert_eq!(lines(&db.pool).await, expected, "{case:?}");
        start_again(&db).await;
        count += 1;
    }
    assert!(count >= 35, "{count}");
    assert_eq!(lines(&db.pool).await, [""; 0]);
}

/// One of each table, so that none hides another.
async fn three_differences_together_are_reported_in_order(db: Db) {
    let (users, roles) = (of_users(db.backend), of_roles(db.backend));
    let mut count = 0;
    for (at, &of_guests) in roles.iter().enumerate() {
        let of_hosts = roles[(at + 7) % roles.len()];
        let of_users = users[at % users.len()];
        if !is_possible(of_users.0) {
            continue;
        }
        let mut of_users = change(&db, of_users, USERS).await;
        let of_hosts = change(&db, of_hosts, HOSTS).await;
        of_users.extend(change(&db, of_guests, GUESTS).await);
        of_users.extend(of_hosts);

        let error = verify_schema(&db.pool).await.unwrap_err();
        assert_eq!(error.to_string(), of_users.join("\n"));
        start_again(&db).await;
        count += 1;
    }
    assert!(count >= 20, "{count}");
}

async fn what_an_app_may_add_is_no_difference(db: Db) {
    let mut count = 0;
    for &addition in changes::on(db.backend).additions {
        let table = if addition.starts_with("ALTER TABLE users") {
            USERS
        } else {
            HOSTS
        };
        change(&db, (addition, &[]), table).await;
        assert_eq!(lines(&db.pool).await, [""; 0], "{addition}");
        // Not the pool, whose cached statements remember other types.
        let pool = db.pool_of(1).await;
        let ada = sign_up(&pool, email("ada")).await.unwrap().user;
        assert!(become_host(&pool, ada.id).await.unwrap().is_new());
        let kept = delete_user(&pool, ada.id).await;
        assert!(
            matches!(kept, Err(Error::StillHost { .. })),
            "{addition}: {kept:?}"
        );
        start_again(&db).await;
        count += 1;
    }
    assert!(count >= 8, "{count}");
}

/// As values, for programs.
async fn a_difference_says_what_is_needed_and_what_is_there(db: Db) {
    let not_unique = match db.backend {
        On::MariaDb => "ALTER TABLE hosts ADD INDEX plain (user_id), DROP INDEX hosts_user_id",
        _ => "DROP INDEX hosts_user_id",
    };
    db.execute("DROP TABLE guests").await;
    db.execute(not_unique).await;

    let found = differences(verify_schema(&db.pool).await);

    assert_eq!(
        found,
        [
            difference(
                "guests",
                None,
                "a table",
                "table guests is missing: nobody could sign up"
            ),
            difference(
                "hosts",
                Some("user_id"),
                "unique",
                "is not unique: a user could get two hosts"
            ),
        ]
    );
    assert_eq!(
        serde_json::to_value(&found[1]).unwrap(),
        serde_json::json!({
            "table": "hosts",
            "column": "user_id",
            "expected": "unique",
            "found": "is not unique: a user could get two hosts",
        }),
    );
}

async fn a_role_that_may_only_read_is_enough(db: Db) {
    let role = format!("reader_{}", Uuid::now_v7().simple());
    let (url, clean_up) = match db.backend {
        On::Sqlite => (db.url.replace("mode=rwc", "mode=ro"), String::new()),
        On::Postgres => {
            db.execute(&format!(
                "CREATE ROLE {role} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
            ))
            .await;
            (
                url_of(&db, &role),
                format!("DROP OWNED BY {role}; DROP ROLE {role}"),
            )
        }
        On::MariaDb => {
            let (_, name) = db.url.rsplit_once('/').unwrap();
            db.execute(&format!(
                "CREATE USER {role}@'%'; GRANT SELECT ON {name}.* TO {role}@'%'"
            ))
            .await;
            (url_of(&db, &role), format!("DROP USER {role}@'%'"))
        }
    };
    let reader = connect(&url).await;
    let write = reader.execute_unprepared("DELETE FROM hosts").await;
    let fresh = verify_schema(&reader).await;
    let case = of_roles(db.backend)
        .into_iter()
        .find(|(_, says)| says[0].contains("NO ACTION"))
        .unwrap();
    let expected = change(&db, case, HOSTS).await;
    let drifted = verify_schema(&reader).await;
    reader.close().await.unwrap();
    if db.backend != On::Sqlite {
        db.execute(&clean_up).await;
    }

    assert!(write.is_err());
    assert_eq!(differences(fresh), []);
    assert_eq!(drifted.unwrap_err().to_string(), expected.join("\n"));
}

async fn catalogue_and_rows_are_left_as_they_were(db: Db) {
    db.host("ada").await;
    db.user("grace").await;
    for drifted in [false, true] {
        if drifted {
            let not_unique = |case: &Case| case.1[0].contains("is not unique");
            let case = of_users(db.backend).into_iter().find(not_unique).unwrap();
            change(&db, case, USERS).await;
        }
        let before = (catalogue(&db).await, db.rows().await);
        assert_eq!(lines(&db.pool).await.len(), usize::from(drifted));
        assert_eq!((catalogue(&db).await, db.rows().await), before);
    }
}

/// Not a difference, but work that each insert does twice.
async fn a_redundant_index_is_a_warning(db: Db) {
    for index in ["INDEX a_plain_one", "UNIQUE INDEX a_unique_one"] {
        db.execute(&format!("CREATE {index} ON hosts (user_id)"))
            .await;
    }
    db.execute("CREATE INDEX of_another_kind ON hosts (user_id, created_at)")
        .await;

    listen();
    verify_schema(&db.pool).await.unwrap();
    let warnings = warnings();

    assert_eq!(warnings.len(), 2, "{warnings:#?}");
    for (warning, index) in warnings.iter().zip(["a_plain_one", "a_unique_one"]) {
        for part in [
            "WARN",
            "redundant",
            r#"table="hosts""#,
            r#"column="user_id""#,
            index,
        ] {
            assert!(warning.contains(part), "{part} in {warning}");
        }
    }
}

/// Settings under which an answer is not kept, or is not true.
async fn each_setting_that_breaks_a_promise_is_a_difference(db: Db) {
    let mut wrong = Vec::new();
    for &(setting, expected, found) in settings(db.backend) {
        let pool = db.pool_of(1).await;
        pool.execute_unprepared(setting).await.unwrap();
        let differences = differences(verify_schema(&pool).await);
        pool.close().await.unwrap();
        if differences != [difference("users", None, expected, found)] {
            wrong.push(format!("{setting}: {differences:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

async fn settings_come_before_tables(db: Db) {
    let (setting, _, found) = settings(db.backend)[0];
    let pool = db.pool_of(1).await;
    pool.execute_unprepared(setting).await.unwrap();
    db.execute("DROP TABLE hosts").await;
    let missing = "table hosts is missing: nobody could become a host";
    assert_eq!(lines(&pool).await, [found, missing]);
}

/// Each connection has its own settings, and nobody knows which one comes next.
async fn one_idle_connection_with_another_setting_is_found(db: Db) {
    for (setting, _, found) in settings(db.backend) {
        let pool = db.pool_of(3).await;
        set_on_one(&pool, setting).await;
        assert_eq!(lines(&pool).await, [*found], "{setting}");
        pool.close().await.unwrap();
    }
}

async fn it_sends_as_many_statements_as_documented(db: Db) {
    let (pool, statements) = db.counted_pool().await;
    verify_schema(&pool).await.unwrap();
    let sent = statements.take();
    let count = if db.backend == On::Sqlite { 5 } else { 7 };
    assert_eq!(sent.len(), count, "{sent:#?}");
}

async fn an_error_keeps_the_drivers_words_to_its_source(db: Db) {
    db.pool.clone().close().await.unwrap();
    let closed = verify_schema(&db.pool).await.unwrap_err();
    assert!(matches!(closed, SchemaError::Database(_)), "{closed:?}");
    assert_eq!(
        closed.to_string(),
        "the catalogue of the database could not be read"
    );

    let secret = SchemaError::Database(DbErr::Custom("ada@example.com".into()));
    for text in [
        secret.to_string(),
        format!("{secret:?}"),
        format!("{secret:#?}"),
    ] {
        assert!(!text.contains("ada"), "{text}");
    }
    assert!(secret.source().unwrap().to_string().contains("ada"));
}

pub type Setting = (&'static str, &'static str, &'static str);

/// A setting, what is needed instead, and what is to be said of it.
pub fn settings(backend: On) -> &'static [Setting] {
    match backend {
        On::Sqlite => &[
            (
                "PRAGMA foreign_keys = OFF",
                "foreign keys on",
                "foreign keys are off on this SQLite connection: \
                 a user could be deleted under a host",
            ),
            (
                "PRAGMA ignore_check_constraints = ON",
                "checks on",
                "checks are off on this SQLite connection: one address could sign up twice",
            ),
            (
                "PRAGMA journal_mode = OFF",
                "a rollback journal",
                "the journal is off on this SQLite connection: \
                 a user could be left without a guest",
            ),
        ],
        On::Postgres => &[
            (
                "SET session_replication_role = replica",
                "foreign keys on",
                "foreign keys are off on this PostgreSQL connection: \
                 a user could be deleted under a host",
            ),
            (
                "SET client_encoding = LATIN1",
                "UTF8",
                "client_encoding is LATIN1 on this PostgreSQL connection: \
                 an address could be stored as another one",
            ),
        ],
        On::MariaDb => &[
            (
                "SET foreign_key_checks = OFF",
                "foreign keys on",
                "foreign keys are off on this MariaDB connection: \
                 a user could be deleted under a host",
            ),
            (
                "SET unique_checks = OFF",
                "unique checks on",
                "unique checks are off on this MariaDB connection: \
                 a user could get two hosts",
            ),
            (
                "SET check_constraint_checks = OFF",
                "checks on",
                "checks are off on this MariaDB connection: \
                 one address could sign up twice",
            ),
            (
                "SET autocommit = OFF",
                "autocommit on",
                "autocommit is off on this MariaDB connection: \
                 a user could be lost with the connection",
            ),
            (
                "SET completion_type = CHAIN",
                "completion_type NO_CHAIN",
                "completion_type is CHAIN on this MariaDB connection: \
                 a user could be lost with the connection",
            ),
            (
                "SET sql_mode = 'PIPES_AS_CONCAT,NO_ZERO_DATE'",
                "a strict sql_mode",
                "sql_mode is not strict on this MariaDB connection: \
                 an address could be stored as another one",
            ),
            (
                "SET NAMES utf8mb3",
                "utf8mb4",
                "character_set_client is utf8mb3 on this MariaDB connection: \
                 an address could be stored as another one",
            ),
            (
                "SET character_set_results = latin1",
                "utf8mb4",
                "character_set_results is latin1 on this MariaDB connection: \
                 an address could be stored as another one",
            ),
            (
                "SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
                "READ COMMITTED or stricter",
                "transactions read uncommitted rows on this MariaDB connection: \
                 a host could be found and never be stored",
            ),
        ],
    }
}

/// Changes a setting on one of the three connections of a pool, which is the last to be handed out
/// again.
async fn set_on_one(pool: &DatabaseConnection, setting: &str) {
    async fn set<DB>(pool: &sqlx::Pool<DB>, setting: &str)
    where
        DB: sqlx::Database,
        for<'c> &'c mut DB::Connection: sqlx::Executor<'c, Database = DB>,
    {
        let mut all = Vec::new();
        for _ in 0..3 {
            all.push(pool.acquire().await.unwrap());
        }
        sqlx::Executor::execute(&mut *all[1], sqlx::AssertSqlSafe(setting))
            .await
            .unwrap();
        let one = all.remove(1);
        for (back, idle) in [(all, 2), (vec![one], 3)] {
            drop(back);
            // A connection goes back to the pool in a task of its own.
            while pool.num_idle() < idle {
                tokio::task::yield_now().await;
            }
        }
    }
    match pool.get_database_backend() {
        #[cfg(feature = "sqlite")]
        DbBackend::Sqlite => set(pool.get_sqlite_connection_pool(), setting).await,
        #[cfg(feature = "postgres")]
        DbBackend::Postgres => set(pool.get_postgres_connection_pool(), setting).await,
        #[cfg(feature = "mysql")]
        DbBackend::MySql => set(pool.get_mysql_connection_pool(), setting).await,
        _ => unreachable!("tests run on the backends that are built"),
    }
}

on_mariadb!(other_settings_of_mariadb_are_no_difference);

/// Settings that mean the same, or more.
async fn other_settings_of_mariadb_are_no_difference(db: Db) {
    // A backslash, a quote and a parenthesis.
    db.execute(r"ALTER TABLE users ADD nickname text COMMENT 'a\\\', (b' CHECK (nickname <> '\\')")
        .await;
    for setting in [
        "SET sql_mode = 'STRICT_ALL_TABLES'",
        "SET sql_mode = 'TRADITIONAL'",
        "SET character_set_results = NULL",
        "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "SET sql_select_limit = 1",
        "SET time_zone = '+02:00'",
        "SET sql_quote_show_create = OFF",
        "SET sql_mode = 'STRICT_ALL_TABLES,ANSI_QUOTES'",
        "SET sql_mode = 'STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES'",
        "SET sql_mode = 'STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES,ANSI_QUOTES,MSSQL'",
    ] {
        let pool = db.pool_of(1).await;
        pool.execute_unprepared(setting).await.unwrap();
        assert_eq!(lines(&pool).await, [""; 0], "{setting}");
        pool.close().await.unwrap();
    }
}

on_postgres!(other_settings_of_postgres_are_no_difference);

async fn other_settings_of_postgres_are_no_difference(db: Db) {
    let pool = db.pool_of(1).await;
    for setting in [
        "SET session_replication_role = local",
        "SET client_encoding = SQL_ASCII",
        "SET client_encoding = 'utf-8'",
        "SET TIME ZONE 'Europe/Berlin'",
        "SET DateStyle = 'SQL, DMY'",
        "SET quote_all_identifiers = on",
        "SET row_security = off",
        "SET search_path = \"$user\", public, pg_catalog",
        "SET default_transaction_isolation = serializable",
        "SET default_transaction_read_only = on",
    ] {
        pool.execute_unprepared(setting).await.unwrap();
        assert_eq!(lines(&pool).await, [""; 0], "{setting}");
    }
}

on_mariadb!(a_time_zone_counts_where_a_column_is_a_timestamp);

/// A `timestamp` is converted by it, and a `datetime` is not.
async fn a_time_zone_counts_where_a_column_is_a_timestamp(db: Db) {
    db.execute(
        "ALTER TABLE hosts ADD seen timestamp NULL;
             ALTER TABLE users MODIFY created_at timestamp(6) NOT NULL DEFAULT utc_timestamp(6)",
    )
    .await;
    let found = "time_zone is +02:00 on this MariaDB connection: \
                     a time could be read back as another one";
    for (time_zone, expected) in [("+02:00", [found].as_slice()), ("+00:00", &[])] {
        let pool = db.pool_of(3).await;
        set_on_one(&pool, &format!("SET time_zone = '{time_zone}'")).await;
        assert_eq!(lines(&pool).await, expected, "{time_zone}");
        pool.close().await.unwrap();
    }
}

on_postgres!(
    a_time_that_could_not_be_read_is_refused,
    the_search_path_is_followed,
);

/// sqlx panics where it reads such a row, in the task of whoever asked for it.
async fn a_time_that_could_not_be_read_is_refused(db: Db) {
    db.host("ada").await;
    let before = db.rows().await;
    for table in ["users", "guests", "hosts"] {
        for column in ["created_at", "updated_at"] {
            let set = async |time: &str| {
                let sql = format!("UPDATE {table} SET {column} = '{time}'");
                db.pool.execute_unprepared(&sql).await
            };
            for time in [
                "infinity",
                "-infinity",
                "290000-01-01",
                "10000-01-01 00:00:00+00",
                "0001-12-31 23:59:59.999999+00 BC",
            ] {
                let refused = set(time).await.unwrap_err().to_string();
                let check = format!("{table}_{column}_check");
                assert!(refused.contains(&check), "{refused}");
            }
            assert_eq!(db.rows().await, before);
        }
    }
    for time in ["0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00"] {
        db.execute(&format!("UPDATE hosts SET created_at = '{time}'"))
            .await;
        assert_eq!(db.rows().await.hosts.len(), 1);
    }
}

/// Tables are looked for where the statements of the app would find them.
async fn the_search_path_is_followed(db: Db) {
    db.execute("CREATE SCHEMA app; ALTER TABLE hosts SET SCHEMA app")
        .await;
    assert_eq!(
        lines(&db.pool).await,
        ["table hosts is missing: nobody could become a host"]
    );
    for (path, count) in [("app,public", 0), ("public,app", 0), ("app", 3)] {
        let pool = connect(&format!("{}?options[search_path]={path}", db.url)).await;
        assert_eq!(lines(&pool).await.len(), count, "{path}");
    }
}
