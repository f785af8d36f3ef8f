//! Databases and runs of the program for the tests.

use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
};

use futures_util::FutureExt;
use guesthouse_migration::Migrator;
use sea_orm_migration::{
    MigratorTrait,
    sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement},
};
use tempfile::TempDir;

/// A database in memory, migrated.
pub(crate) async fn migrated() -> DatabaseConnection {
    let db = empty().await;
    Migrator::up(&db, None).await.unwrap();
    db
}

pub(crate) async fn empty() -> DatabaseConnection {
    Database::connect("sqlite::memory:").await.unwrap()
}

pub(crate) async fn execute(db: &DatabaseConnection, sql: &str) {
    db.execute_unprepared(sql).await.unwrap();
}

/// A folder with a database file and an entity folder, for runs of the program.
pub(crate) struct Place {
    pub(crate) dir: TempDir,
    url: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", dir.path().join("test.db").display());
        Self { dir, url }
    }

    /// The same with a database on a server.
    pub(crate) fn on(url: &str) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            url: url.to_owned(),
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) async fn execute(&self, sql: &str) {
        let db = Database::connect(self.url()).await.unwrap();
        execute(&db, sql).await;
        db.close().await.unwrap();
    }

    /// The program with these arguments, apart from the environment of the test.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_guesthouse-migration"));
        command
            .current_dir(self.dir.path())
            .args(arguments)
            .env("DATABASE_URL", self.url());
        for name in [
            "CARGO_MANIFEST_DIR",
            "DATABASE_SCHEMA",
            "GUESTHOUSE_ENTITY_DIR",
            "GUESTHOUSE_FORCE_DOWN",
            "MIGRATION_DIR",
        ] {
            command.env_remove(name);
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs the program, which must succeed, and returns what it printed.
    pub(crate) fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        text(&output.stdout)
    }

    /// Runs the program, which must exit with 1, and returns its complaint.
    pub(crate) fn fail(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        text(&output.stderr).lines().last().unwrap().to_owned()
    }
}

/// The number that `sql` selects.
pub(crate) async fn count(db: &DatabaseConnection, sql: &str) -> i64 {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    db.query_one_raw(statement)
        .await
        .unwrap()
        .unwrap()
        .try_get_by_index(0)
        .unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Makes tests of a function of the URL of a new database, named after the databases:
/// `name::postgres` and so on. Where the feature of a server is off, its test is ignored.
macro_rules! test_on {
    ($name:ident: $($database:ident)+) => {
        mod $name {
            $(test_on!(@$database $name);)+
        }
    };
    (@sqlite $name:ident) => {
        #[tokio::test]
        async fn sqlite() {
            super::$name($crate::support::Place::new().url()).await;
        }
    };
    (@postgres $name:ident) => {
        #[tokio::test]
        #[cfg_attr(
            not(feature = "postgres"),
            ignore = "needs the feature `postgres` and a server; scripts/test runs it"
        )]
        async fn postgres() {
            $crate::support::on_server($crate::support::POSTGRES, super::$name).await;
        }
    };
    (@mariadb $name:ident) => {
        #[tokio::test]
        #[cfg_attr(
            not(feature = "mysql"),
            ignore = "needs the feature `mysql` and a server; scripts/test runs it"
        )]
        async fn mariadb() {
            $crate::support::on_server($crate::support::MARIADB, super::$name).await;
        }
    };
}

macro_rules! on_each_backend {
    ($($name:ident),+ $(,)?) => { $(test_on!($name: sqlite postgres mariadb);)+ };
}

macro_rules! on_postgres {
    ($($name:ident),+ $(,)?) => { $(test_on!($name: postgres);)+ };
}

macro_rules! on_mariadb {
    ($($name:ident),+ $(,)?) => { $(test_on!($name: mariadb);)+ };
}

macro_rules! on_servers {
    ($($name:ident),+ $(,)?) => { $(test_on!($name: postgres mariadb);)+ };
}

/// The backend of a URL of [`test_on`].
pub(crate) fn backend(url: &str) -> DbBackend {
    let backends = [DbBackend::Sqlite, DbBackend::Postgres, DbBackend::MySql];
    backends
        .into_iter()
        .find(|backend| backend.is_prefix_of(url))
        .unwrap()
}

/// The URL of the server that `variable` names.
fn server(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set; `scripts/test` starts the servers"))
}

/// Runs `test` with the URL of a new database on the server that `variable` names.
pub(crate) async fn on_server(variable: &str, test: impl AsyncFnOnce(&str)) {
    let server = server(variable);
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("guesthouse_migration_{}_{next}", std::process::id());
    let admin = Database::connect(&server).await.unwrap();
    execute(&admin, &format!("CREATE DATABASE {name}")).await;
    let (address, _) = server.rsplit_once('/').unwrap();
    let outcome = AssertUnwindSafe(test(&format!("{address}/{name}")))
        .catch_unwind()
        .await;
    let force = if server.starts_with("postgres") {
        " WITH (FORCE)"
    } else {
        ""
    };
    execute(&admin, &format!("DROP DATABASE {name}{force}")).await;
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

/// Runs a shell script beside servers of `kind`, which `scripts/servers` runs for it alone, and
/// returns what it printed; `gm` is the program.
pub(crate) fn beside(kind: &str, script: &str) -> String {
    // `scripts/servers` installs what it lacks, which whoever has no server has not asked for.
    server(POSTGRES);
    let place = Place::new();
    let program = place.command(&[]);
    let servers = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/servers");
    let script = format!("gm() {{ \"$program\" \"$@\" 2>&1; }}\n{script}");
    let mut command = Command::new(servers);
    command
        .args(["run", kind, "--", "sh", "-c", &script])
        .env("program", program.get_program())
        // Debian's, which knows TLS, whatever version the other tests ask for.
        .env_remove("GUESTHOUSE_TEST_POSTGRES_VERSION")
        .current_dir(place.dir.path());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout)
}

/// Runs `test` with the URL of a new role without rights but those that `grants` gives to `{role}`
/// on `{database}`.
pub(crate) async fn as_role(url: &str, grants: &str, test: impl AsyncFnOnce(&str)) {
    let (server, database) = url.rsplit_once('/').unwrap();
    let role = format!("{database}_role");
    let admin = Database::connect(url).await.unwrap();
    let (create, drop) = match url.starts_with("postgres") {
        true => (
            format!("CREATE ROLE {role} LOGIN"),
            format!("REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}; DROP ROLE {role}"),
        ),
        false => (format!("CREATE USER {role}"), format!("DROP USER {role}")),
    };
    execute(&admin, &create).await;
    let grants = grants
        .replace("{role}", &role)
        .replace("{database}", database);
    for grant in grants.split(';') {
        execute(&admin, grant).await;
    }
    let (scheme, address) = server.split_once("://").unwrap();
    let (_, address) = address.split_once('@').unwrap();
    let outcome = AssertUnwindSafe(test(&format!("{scheme}://{role}@{address}/{database}")))
        .catch_unwind()
        .await;
    execute(&admin, &drop).await;
    admin.close().await.unwrap();
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

pub(crate) const POSTGRES: &str = "GUESTHOUSE_TEST_POSTGRES";
pub(crate) const MARIADB: &str = "GUESTHOUSE_TEST_MARIADB";
