//! One at a time migrates, by the program and by the library.

use std::{
    fs::File,
    io::{BufRead, BufReader, Lines, Read},
    process::{Child, ChildStderr, Stdio},
    slice,
};

use futures_util::future::join_all;
use guesthouse_migration::{Migrator, drop_table, up};
#[cfg(any(feature = "mysql", feature = "postgres"))]
use sea_orm_migration::sea_orm::sqlx::Executor;
use sea_orm_migration::{
    prelude::*,
    sea_orm::{
        ConnectOptions, Database, DatabaseConnection, DatabaseTransaction, DbBackend,
        TransactionTrait,
    },
};
use tokio::sync::{Mutex, Notify};

use crate::support::{Place, as_role, backend, beside, count, empty};

const LOG: &str = "SELECT count(*) FROM seaql_migrations";

async fn pool(url: &str, connections: u32) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(connections).sqlx_logging(false);
    Database::connect(options).await.unwrap()
}

/// Eight at once on `pools`: all succeed, and each migration is applied once.
async fn all_succeed(pools: &[DatabaseConnection]) {
    let callers = (0..8).map(|caller| up(Migrator, &pools[caller % pools.len()]));
    for outcome in join_all(callers).await {
        outcome.unwrap();
    }
    assert_eq!(count(&pools[0], LOG).await, 3);
    assert_eq!(count(&pools[0], "SELECT count(*) FROM hosts").await, 0);
}

on_servers!(instances_take_turns, tasks_of_one_instance_take_turns);

async fn instances_take_turns(url: &str) {
    let pools = join_all((0..8).map(|_| pool(url, 1))).await;
    all_succeed(&pools).await;
    for pool in pools {
        pool.close().await.unwrap();
    }
}

async fn tasks_of_one_instance_take_turns(url: &str) {
    let pool = pool(url, 1).await;
    all_succeed(slice::from_ref(&pool)).await;
    pool.close().await.unwrap();
}

#[tokio::test]
async fn instances_take_turns_on_sqlite() {
    let place = Place::new();
    let pools = join_all((0..8).map(|_| pool(place.url(), 1))).await;
    all_succeed(&pools).await;
    all_succeed(slice::from_ref(&empty().await)).await;
}

/// `up` in a task of its own, as an app that starts would call it.
#[tokio::test(flavor = "multi_thread")]
async fn up_can_be_spawned() {
    let db = empty().await;
    let task = tokio::spawn({
        let db = db.clone();
        async move { up(Migrator, &db).await }
    });
    task.await.unwrap().unwrap();
    assert_eq!(count(&db, LOG).await, 3);
}

/// A program that waits for its turn, once it has reported that.
struct Waiting {
    program: Child,
    progress: BufReader<ChildStderr>,
}

impl Waiting {
    fn start(place: &Place) -> Self {
        let mut up = place.command(&["up"]);
        let mut program = up.stderr(Stdio::piped()).spawn().unwrap();
        let mut progress = BufReader::new(program.stderr.take().unwrap());
        let mut line = String::new();
        progress.read_line(&mut line).unwrap();
        assert_eq!(line, "Waiting for another migration program\n");
        Self { program, progress }
    }

    /// One that waits for what a transaction of the test has, with the rest of what it reports.
    fn for_a_table(
        place: &Place,
        arguments: &[&str],
        what: &str,
    ) -> (Child, Lines<BufReader<ChildStderr>>) {
        let mut command = place.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut program = command.spawn().unwrap();
        let mut progress = BufReader::new(program.stderr.take().unwrap()).lines();
        let line = progress
            .by_ref()
            .map(Result::unwrap)
            .find(|line| line.starts_with("Waiting"));
        assert_eq!(
            line.unwrap(),
            format!("Waiting for {what}, which other transactions may be using"),
            "{arguments:?}"
        );
        (program, progress)
    }

    /// It goes on, with nothing more to report of its waiting.
    fn succeed(mut self) {
        let mut rest = String::new();
        self.progress.read_to_string(&mut rest).unwrap();
        assert!(self.program.wait().unwrap().success(), "{rest}");
        assert!(!rest.contains("Waiting"), "{rest}");
        assert_eq!(rest.matches("has been applied").count(), 3, "{rest}");
    }
}

async fn transaction(db: &DatabaseConnection, lock: &str) -> DatabaseTransaction {
    let transaction = db.begin().await.unwrap();
    transaction.execute_unprepared(lock).await.unwrap();
    transaction
}

const POSTGRES_LOCK: &str = "SELECT pg_advisory_xact_lock(hashtext('guesthouse-migration'))";

#[test]
fn waiting_is_reported_once_on_sqlite() {
    let place = Place::new();
    let turn = File::create(place.dir.path().join("test.db-lock")).unwrap();
    turn.lock().unwrap();
    let waiting = Waiting::start(&place);
    turn.unlock().unwrap();
    waiting.succeed();
}

on_postgres!(waiting_is_reported_once_and_goes_on);

/// No timeout that the database sets for its sessions ends it.
async fn waiting_is_reported_once_and_goes_on(url: &str) {
    let place = Place::on(url);
    let db = pool(url, 1).await;
    let turn = transaction(&db, POSTGRES_LOCK).await;
    let name = url.rsplit('/').next().unwrap();
    for timeout in ["statement_timeout", "lock_timeout"] {
        place
            .execute(&format!("ALTER DATABASE {name} SET {timeout} = '200ms'"))
            .await;
    }
    let waiting = Waiting::start(&place);
    turn.execute_unprepared("SELECT pg_sleep(1)").await.unwrap();
    turn.commit().await.unwrap();
    waiting.succeed();
    db.close().await.unwrap();
}

on_mariadb!(
    waiting_is_reported_once_on_mariadb,
    waiting_goes_on_past_the_limit_of_a_statement,
);

async fn waiting_is_reported_once_on_mariadb(url: &str) {
    let place = Place::on(url);
    let db = pool(url, 1).await;
    let lock = "DO GET_LOCK(CONCAT('guesthouse-', LEFT(SHA2(DATABASE(), 256), 32)), 0)";
    let turn = transaction(&db, lock).await;
    let waiting = Waiting::start(&place);
    turn.execute_unprepared(
        "DO RELEASE_LOCK(CONCAT('guesthouse-', LEFT(SHA2(DATABASE(), 256), 32)))",
    )
    .await
    .unwrap();
    waiting.succeed();
    turn.commit().await.unwrap();
    db.close().await.unwrap();
}

/// No limit on the time of the account's statements ends it.
async fn waiting_goes_on_past_the_limit_of_a_statement(url: &str) {
    let limit = "GRANT ALL ON {database}.* TO {role} WITH MAX_STATEMENT_TIME 0.2";
    as_role(url, limit, async |role| {
        let db = pool(url, 1).await;
        let lock = "DO GET_LOCK(CONCAT('guesthouse-', LEFT(SHA2(DATABASE(), 256), 32)), 0)";
        let turn = transaction(&db, lock).await;
        let waiting = Waiting::start(&Place::on(role));
        turn.execute_unprepared("DO SLEEP(1)").await.unwrap();
        turn.execute_unprepared(
            &lock
                .replace("GET_LOCK", "RELEASE_LOCK")
                .replace(", 0)", ")"),
        )
        .await
        .unwrap();
        waiting.succeed();
        turn.commit().await.unwrap();
        db.close().await.unwrap();
    })
    .await;
}

on_servers!(
    waiting_for_a_table_is_reported,
    a_long_migration_keeps_its_turn,
);

/// A transaction that has read the table and then does nothing.
async fn waiting_for_a_table_is_reported(url: &str) {
    let place = Place::on(url);
    place.succeed(&["up"]);
    let db = pool(url, 1).await;
    let reader = transaction(&db, "SELECT count(*) FROM hosts").await;
    let (mut program, progress) = Waiting::for_a_table(&place, &["down"], "table `hosts`");
    reader.rollback().await.unwrap();
    let waits = |line: &String| line.starts_with("Waiting");
    assert_eq!(progress.map(Result::unwrap).filter(waits).count(), 0);
    assert!(program.wait().unwrap().success());
    db.close().await.unwrap();
}

on_servers!(
    waiting_for_a_lock_is_reported,
    a_row_that_is_committed_while_down_waits_is_kept,
);

/// Whoever only reads, or drops everything, waits for a lock that a transaction keeps.
async fn waiting_for_a_lock_is_reported(url: &str) {
    let (lock_log, lock_users, unlock) = match backend(url) {
        DbBackend::Postgres => (
            "LOCK TABLE seaql_migrations",
            "LOCK TABLE users",
            "SELECT 1",
        ),
        _ => (
            "LOCK TABLES seaql_migrations WRITE",
            "LOCK TABLES users WRITE",
            "UNLOCK TABLES",
        ),
    };
    let place = Place::on(url);
    std::fs::create_dir(place.dir.path().join("entities")).unwrap();
    place.succeed(&["up", "--entity-dir", "entities"]);
    let db = pool(url, 1).await;
    for (command, lock, what) in [
        ("status", lock_log, "table `seaql_migrations`"),
        ("up", lock_log, "table `seaql_migrations`"),
        ("verify", lock_log, "table `seaql_migrations`"),
        ("sync", lock_log, "table `seaql_migrations`"),
        ("fresh", lock_users, "a table of the schema"),
        ("down", lock_users, "table `users`"),
    ] {
        let holder = transaction(&db, lock).await;
        let arguments = match command {
            "down" => vec!["down", "-n", "3"],
            command => vec![command, "--entity-dir", "entities"],
        };
        let (program, waiting) = Waiting::for_a_table(&place, &arguments, what);
        holder.execute_unprepared(unlock).await.unwrap();
        holder.rollback().await.unwrap();
        let rest: Vec<_> = waiting.map(Result::unwrap).collect();
        let status = program.wait_with_output().unwrap().status;
        assert!(status.success(), "{command}: {rest:?}");
    }
    db.close().await.unwrap();
}

/// The row is not committed when `down` begins, and is when `down` has its lock.
async fn a_row_that_is_committed_while_down_waits_is_kept(url: &str) {
    let place = Place::on(url);
    place.succeed(&["up"]);
    place
        .execute("INSERT INTO users (email) VALUES ('ada@example.com')")
        .await;
    let db = pool(url, 1).await;
    let host = "INSERT INTO hosts (user_id) SELECT id FROM users";
    let writer = transaction(&db, host).await;
    let (program, waiting) = Waiting::for_a_table(&place, &["down"], "table `hosts`");
    writer.commit().await.unwrap();
    let rest: Vec<_> = waiting.map(Result::unwrap).collect();
    let refusal = rest.last().unwrap();
    assert!(
        refusal.starts_with("error: table `hosts` still holds rows"),
        "{refusal}"
    );
    assert_eq!(program.wait_with_output().unwrap().status.code(), Some(1));
    assert_eq!(count(&db, "SELECT count(*) FROM hosts").await, 1);
    assert_eq!(count(&db, LOG).await, 3);
    db.close().await.unwrap();
}

on_each_backend!(a_row_is_kept_without_a_transaction_of_the_migration);

/// A migration on the pool, in no transaction: the check and the drop have one connection all the same.
async fn a_row_is_kept_without_a_transaction_of_the_migration(url: &str) {
    let quote = match backend(url) {
        DbBackend::MySql => '`',
        _ => '"',
    };
    let db = pool(url, 4).await;
    let table = format!("{quote}My places{quote}");
    for sql in ["CREATE TABLE {} (id integer)", "INSERT INTO {} VALUES (1)"] {
        db.execute_unprepared(&sql.replace("{}", &table))
            .await
            .unwrap();
    }
    let refusal = drop_table(&SchemaManager::new(&db), "My places").await;
    let refusal = refusal.unwrap_err().to_string();
    assert!(
        refusal.contains("`My places` still holds rows"),
        "{refusal}"
    );
    // No session is left with a lock.
    for _ in 0..4 {
        db.execute_unprepared(&format!("DELETE FROM {table}"))
            .await
            .unwrap();
    }
    drop_table(&SchemaManager::new(&db), "My places")
        .await
        .unwrap();
    let gone = format!("SELECT 1 FROM {table}");
    assert!(db.execute_unprepared(&gone).await.is_err());
    db.close().await.unwrap();
}

on_mariadb!(down_needs_the_right_to_lock_a_table_on_mariadb);

/// Without it a row could come in between the check and the drop.
async fn down_needs_the_right_to_lock_a_table_on_mariadb(url: &str) {
    Place::on(url).succeed(&["up"]);
    let grants = "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP ON {database}.* TO {role}";
    as_role(url, grants, async |role| {
        let role = Place::on(role);
        assert_eq!(
            role.fail(&["down"]),
            "error: table `hosts` cannot be locked by this user, who has no right to LOCK TABLES: \
             a row that another transaction commits meanwhile would be dropped with it"
        );
        assert_eq!(role.succeed(&["status"]).matches("Applied").count(), 3);
        role.succeed(&["down", "--force"]);
    })
    .await;
}

/// The migrations of this library behind one of an app, whose `up` is `$body`.
macro_rules! migrator {
    ($migrator:ident, $manager:ident => $body:block) => {
        struct $migrator;

        impl MigratorTrait for $migrator {
            fn migrations() -> Vec<Box<dyn MigrationTrait>> {
                let mut migrations: Vec<Box<dyn MigrationTrait>> = vec![Box::new($migrator)];
                migrations.extend(Migrator::migrations());
                migrations
            }
        }

        impl MigrationName for $migrator {
            fn name(&self) -> &str {
                "m2026_app"
            }
        }

        #[async_trait::async_trait]
        impl MigrationTrait for $migrator {
            async fn up(&self, $manager: &SchemaManager) -> Result<(), DbErr> {
                $body
            }

            fn use_transaction(&self) -> Option<bool> {
                Some(false)
            }
        }
    };
}

migrator!(Slow, manager => {
    let db = manager.get_connection();
    let sleep = match db.get_database_backend() {
        DbBackend::Postgres => "SELECT pg_sleep(2)",
        _ => "SELECT sleep(2)",
    };
    db.execute_unprepared(sleep).await?;
    db.execute_unprepared("CREATE TABLE slow (id int)").await?;
    Ok(())
});

/// Two at once, where every session that idles is ended by the server long before the migration
/// is done.
#[cfg_attr(
    not(any(feature = "mysql", feature = "postgres")),
    expect(unused_variables, reason = "only the drivers of servers take settings")
)]
async fn a_long_migration_keeps_its_turn(url: &str) {
    let settings = match backend(url) {
        DbBackend::Postgres => {
            "SET idle_session_timeout = '200ms';
             SET idle_in_transaction_session_timeout = '200ms'"
        }
        _ => "SET SESSION wait_timeout = 1, idle_transaction_timeout = 1",
    };
    let mut options = ConnectOptions::new(url);
    options.sqlx_logging(false);
    #[cfg(feature = "postgres")]
    options.map_sqlx_postgres_pool_opts(move |pool| {
        pool.after_connect(move |connection, _| {
            Box::pin(async move { connection.execute(settings).await.map(|_| ()) })
        })
    });
    #[cfg(feature = "mysql")]
    options.map_sqlx_mysql_pool_opts(move |pool| {
        pool.after_connect(move |connection, _| {
            Box::pin(async move { connection.execute(settings).await.map(|_| ()) })
        })
    });
    let db = Database::connect(options).await.unwrap();
    let (first, second) = tokio::join!(up(Slow, &db), up(Slow, &db));
    first.unwrap();
    second.unwrap();
    assert_eq!(count(&db, LOG).await, 4);
    db.close().await.unwrap();
}

static INDEX_MAY_COME: Notify = Notify::const_new();

migrator!(Concurrently, manager => {
    let db = manager.get_connection();
    db.execute_unprepared("CREATE TABLE cats (name text)").await?;
    INDEX_MAY_COME.notified().await;
    db.execute_unprepared("CREATE INDEX CONCURRENTLY cats_name ON cats (name)").await?;
    Ok(())
});

on_postgres!(waiting_is_not_in_the_way_of_an_index_that_is_created_concurrently);

/// `CREATE INDEX CONCURRENTLY` waits for every transaction that has a snapshot, and whoever waits
/// for the turn waits for the migration.
async fn waiting_is_not_in_the_way_of_an_index_that_is_created_concurrently(url: &str) {
    let name = url.rsplit('/').next().unwrap();
    // The level of both, where a snapshot would last as long as its transaction.
    let level = "SET default_transaction_isolation = 'repeatable read'";
    let place = Place::on(url);
    place
        .execute(&format!("ALTER DATABASE {name} {level}"))
        .await;
    let db = pool(url, 2).await;
    let wait_and_go_on = async {
        let place = Place::on(url);
        let waiting = tokio::task::spawn_blocking(move || Waiting::start(&place));
        let waiting = waiting.await.unwrap();
        INDEX_MAY_COME.notify_one();
        waiting
    };
    let (outcome, mut waiting) = tokio::join!(up(Concurrently, &db), async {
        while !exists(&db, "cats").await {
            tokio::task::yield_now().await;
        }
        wait_and_go_on.await
    });
    outcome.unwrap();
    assert_eq!(count(&db, LOG).await, 4);
    // It does not know the app's migration.
    assert_eq!(waiting.program.wait().unwrap().code(), Some(1));
    db.close().await.unwrap();
}

async fn exists(db: &DatabaseConnection, table: &str) -> bool {
    let sql = format!("SELECT count(*) FROM pg_tables WHERE tablename = '{table}'");
    count(db, &sql).await == 1
}

static ENTERED: Notify = Notify::const_new();
/// One test at a time: a notice wakes any.
static ONE_HEARS: Mutex<()> = Mutex::const_new(());

migrator!(Endless, manager => {
    let _ = manager;
    ENTERED.notify_one();
    std::future::pending().await
});

on_each_backend!(a_cancelled_caller_gives_up_its_turn);

/// A caller that goes away in the middle leaves the turn to the next one.
async fn a_cancelled_caller_gives_up_its_turn(url: &str) {
    let _alone = ONE_HEARS.lock().await;
    let db = pool(url, 1).await;
    tokio::select! {
        outcome = up(Endless, &db) => outcome.unwrap(),
        () = ENTERED.notified() => {}
    }
    up(Migrator, &db).await.unwrap();
    assert_eq!(count(&db, LOG).await, 3);
    db.close().await.unwrap();
}

/// A pooler gives the session of one client to the next: the program says so, and leaves no lock
/// behind that the next one would wait for.
#[test]
#[cfg_attr(
    not(feature = "postgres"),
    ignore = "needs the feature `postgres` and a server; scripts/test runs it"
)]
fn a_pooler_in_transaction_mode_is_named_on_postgres() {
    let script = r#"
        gm up -u "$GUESTHOUSE_TEST_PGBOUNCER"
        gm up -u "$GUESTHOUSE_TEST_PGBOUNCER"
        gm up -u "$GUESTHOUSE_TEST_BEHIND_PGBOUNCER" | head -n 1"#;
    let printed = beside("pgbouncer", script);
    let lines: Vec<_> = printed.lines().collect();
    let [first, second, behind] = lines[..] else {
        unreachable!("{printed}");
    };
    for line in [first, second] {
        assert!(
            line.starts_with("error: a pooler gives one session to several clients"),
            "{line}"
        );
    }
    assert_eq!(behind, "Applying all pending migrations");
}

migrator!(Twice, manager => {
    manager.get_connection().execute_unprepared("CREATE TABLE twice (id int)").await?;
    Ok(())
});

struct TwoOfOneName;

impl MigratorTrait for TwoOfOneName {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(Twice), Box::new(Twice)]
    }
}

on_each_backend!(two_migrations_of_one_name_are_refused);

/// The log knows a migration by its name alone.
async fn two_migrations_of_one_name_are_refused(url: &str) {
    let tables = match backend(url) {
        DbBackend::Sqlite => "SELECT count(*) FROM sqlite_master",
        DbBackend::Postgres => {
            "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
        }
        _ => "SELECT count(*) FROM information_schema.tables WHERE table_schema = database()",
    };
    let db = pool(url, 1).await;
    let refusal = up(TwoOfOneName, &db).await.unwrap_err().to_string();
    assert!(
        refusal.contains("two migrations are named `m2026_app`"),
        "{refusal}"
    );
    let arguments = ["program", "up", "--database-url", url];
    let code = guesthouse_migration::cli::run_from(TwoOfOneName, arguments).await;
    assert_eq!(
        format!("{code:?}"),
        format!("{:?}", std::process::ExitCode::FAILURE)
    );
    assert_eq!(count(&db, tables).await, 0);
    db.close().await.unwrap();
}
