//! A fresh, migrated database for each test, and what tests ask of it.

use std::{
    env,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, resume_unwind},
    path::{Path, PathBuf},
    pin::pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use futures_util::FutureExt;
use guesthouse::{Email, guest, host, user};
use guesthouse_migration::{Migrator, MigratorTrait};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, EntityTrait, QueryOrder,
    Statement,
};
use tempfile::TempDir;
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
    MariaDb,
}

impl Backend {
    /// The environment variable that names a server.
    fn variable(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some("GUESTHOUSE_TEST_POSTGRES"),
            Self::MariaDb => Some("GUESTHOUSE_TEST_MARIADB"),
        }
    }
}

/// Makes tests of a function of a database, named after the databases: `name::sqlite` and so on. Where
/// the feature of a database is off, its test is ignored.
macro_rules! test_on {
    ($name:ident: $($database:ident)+) => {
        mod $name {
            $(test_on!(@$database $name);)+
        }
    };
    (@sqlite $name:ident) => {
        #[test]
        #[cfg_attr(not(feature = "sqlite"), ignore = "needs the feature `sqlite`")]
        fn sqlite() {
            $crate::support::run($crate::support::Backend::Sqlite, super::$name);
        }
    };
    (@postgres $name:ident) => {
        #[test]
        #[cfg_attr(
            not(feature = "postgres"),
            ignore = "needs the feature `postgres` and a server; scripts/test runs it"
        )]
        fn postgres() {
            $crate::support::run($crate::support::Backend::Postgres, super::$name);
        }
    };
    (@mariadb $name:ident) => {
        #[test]
        #[cfg_attr(
            not(feature = "mysql"),
            ignore = "needs the feature `mysql` and a server; scripts/test runs it"
        )]
        fn mariadb() {
            $crate::support::run($crate::support::Backend::MariaDb, super::$name);
        }
    };
}

macro_rules! on_each_backend {
    ($($name:ident),+ $(,)?) => { $(test_on!($name: sqlite postgres mariadb);)+ };
}

macro_rules! on_sqlite {
    ($($name:ident),+ $(,)?) => { $(test_on!($name: sqlite);)+ };
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

macro_rules! on_sqlite_and_postgres {
    ($($name:ident),+ $(,)?) => { $(test_on!($name: sqlite postgres);)+ };
}

/// Runs `test` on a database of its own, which goes when the test ends, however it ends.
pub fn run<F, Fut>(backend: Backend, test: F)
where
    F: FnOnce(TestDb) -> Fut,
    Fut: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let home = Home::create(backend).await;
        let pool = connect(&home.url, 8).await;
        Migrator::up(&pool, None).await.unwrap();
        let db = TestDb {
            backend,
            url: home.url.clone(),
            pool,
        };
        // Nothing here takes minutes; a caller who waits for ever is a failure, not a hung run.
        let bounded = tokio::time::timeout(Duration::from_secs(120), test(db));
        let outcome = AssertUnwindSafe(bounded).catch_unwind().await;
        home.remove().await;
        match outcome {
            Ok(finished) => finished.expect("the test did not come to its end"),
            Err(panic) => resume_unwind(panic),
        }
    });
}

/// A database on a server, or a file.
struct Home {
    url: String,
    server: Option<(DatabaseConnection, String)>,
    _folder: Option<TempDir>,
}

impl Home {
    async fn create(backend: Backend) -> Self {
        let Some(variable) = backend.variable() else {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite://{}/test.db?mode=rwc", folder.path().display());
            return Self {
                url,
                server: None,
                _folder: Some(folder),
            };
        };
        let server = env::var(variable)
            .unwrap_or_else(|_| panic!("{variable} is not set; `scripts/test` starts the servers"));
        let (address, _) = server.rsplit_once('/').unwrap();
        let name = format!("guesthouse_{}", Uuid::now_v7().simple());
        let admin = connect(&server, 1).await;
        admin
            .execute_unprepared(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        Self {
            url: format!("{address}/{name}"),
            server: Some((admin, name)),
            _folder: None,
        }
    }

    async fn remove(self) {
        if let Some((admin, name)) = self.server {
            let force = match admin.get_database_backend() {
                sea_orm::DbBackend::Postgres => " WITH (FORCE)",
                _ => "",
            };
            admin
                .execute_unprepared(&format!("DROP DATABASE {name}{force}"))
                .await
                .unwrap();
            admin.close().await.unwrap();
        }
    }
}

async fn connect(url: &str, connections: u32) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    // Without time limits sqlx's pool has no task that looks after them. The task counts on the number of
    // idle connections, which is below zero, and so enormous, for a moment while one is returned.
    options
        .max_connections(connections)
        .idle_timeout(None)
        .max_lifetime(None)
        .sqlx_logging(false);
    Database::connect(options).await.unwrap()
}

/// One test's database.
pub struct TestDb {
    pub backend: Backend,
    pub url: String,
    /// Eight connections.
    pub pool: DatabaseConnection,
}

/// Every row there is.
#[derive(Debug, PartialEq)]
pub struct Rows {
    pub users: Vec<user::Model>,
    pub guests: Vec<guest::Model>,
    pub hosts: Vec<host::Model>,
}

impl TestDb {
    /// Another pool on the same database.
    pub async fn pool_of(&self, connections: u32) -> DatabaseConnection {
        connect(&self.url, connections).await
    }

    /// Another pool that tells which statements it sent.
    pub async fn counted_pool(&self) -> (DatabaseConnection, Statements) {
        let mut pool = self.pool_of(2).await;
        let statements = Statements::default();
        let log = statements.clone();
        pool.set_metric_callback(move |info| {
            log.0.lock().unwrap().push(info.statement.sql.clone());
        });
        (pool, statements)
    }

    pub async fn rows(&self) -> Rows {
        Rows {
            users: user::Entity::find()
                .order_by_asc(user::Column::Id)
                .all(&self.pool)
                .await
                .unwrap(),
            guests: guest::Entity::find()
                .order_by_asc(guest::Column::Id)
                .all(&self.pool)
                .await
                .unwrap(),
            hosts: host::Entity::find()
                .order_by_asc(host::Column::Id)
                .all(&self.pool)
                .await
                .unwrap(),
        }
    }

    /// Whether a transaction under REPEATABLE READ finds the row that it has just clashed with: on
    /// MariaDB, unless `innodb_snapshot_isolation` is on, as it is by default since 11.6.2.
    pub async fn finds_what_it_clashed_with(&self) -> bool {
        self.backend == Backend::MariaDb
            && self
                .text("SELECT IF(@@innodb_snapshot_isolation, 'on', 'off')")
                .await
                == "off"
    }

    /// The one text that a query answers with.
    pub async fn text(&self, query: &str) -> String {
        let query = Statement::from_string(self.pool.get_database_backend(), query);
        let row = self.pool.query_one_raw(query).await.unwrap().unwrap();
        row.try_get_by_index(0).unwrap()
    }

    /// Runs SQL as an administrator would type it.
    pub async fn execute(&self, sql: &str) {
        self.pool.execute_unprepared(sql).await.unwrap();
    }

    /// A user who has signed up.
    pub async fn user(&self, name: &str) -> user::Model {
        guesthouse::sign_up(&self.pool, email(name))
            .await
            .unwrap()
            .user
    }

    /// A user who has become a host.
    pub async fn host(&self, name: &str) -> host::Model {
        let user = self.user(name).await;
        guesthouse::become_host(&self.pool, user.id)
            .await
            .unwrap()
            .into_model()
    }
}

/// The statements a pool sent, `BEGIN`, `SAVEPOINT` and their ends left out.
#[derive(Clone, Default)]
pub struct Statements(Arc<Mutex<Vec<String>>>);

impl Statements {
    /// The statements since the last call.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// When a caller gives up on a call.
#[derive(Clone, Copy, Debug)]
pub struct GiveUp {
    /// After the call has been polled so many times.
    pub polls: usize,
    /// At once after that, which leaves what was sent unanswered, or when it could go on, which leaves the
    /// answer unread.
    pub at_once: bool,
}

impl GiveUp {
    /// What comes of the call, if it comes in time. Else the call is dropped.
    pub async fn on<F: Future>(self, call: F) -> Option<F::Output> {
        let mut call = pin!(call);
        let mut left = self.polls;
        poll_fn(|context| {
            if left == 0 {
                return Poll::Ready(None);
            }
            left -= 1;
            match call.as_mut().poll(context) {
                Poll::Pending if left == 0 && self.at_once => Poll::Ready(None),
                other => other.map(Some),
            }
        })
        .await
    }
}

/// How many race.
pub const CALLERS: usize = 50;

/// Starts all callers at the same moment and collects what each was told.
pub async fn at_once<F, Fut, T>(call: F) -> Vec<T>
where
    F: Fn(usize) -> Fut,
    Fut: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let start = Arc::new(tokio::sync::Barrier::new(CALLERS));
    let callers: Vec<_> = (0..CALLERS)
        .map(|n| {
            let (start, call) = (start.clone(), call(n));
            tokio::spawn(async move {
                start.wait().await;
                call.await
            })
        })
        .collect();
    let mut answers = Vec::new();
    for caller in callers {
        answers.push(caller.await.unwrap());
    }
    answers
}

/// Whether the server can do it: `scripts/servers` says of one that it was built without ICU.
pub fn is_possible(sql: &str) -> bool {
    !sql.contains("icu") || env::var_os("GUESTHOUSE_TEST_WITHOUT_ICU").is_none()
}

pub fn email(name: &str) -> Email {
    format!("{name}@example.com").parse().unwrap()
}

/// A built example, which stands beside the test binaries.
pub fn example(name: &str) -> PathBuf {
    let tests = env::current_exe().unwrap();
    let target = tests.parent().and_then(Path::parent).unwrap();
    let program = target
        .join("examples")
        .join(name)
        .with_extension(env::consts::EXE_EXTENSION);
    assert!(
        program.exists(),
        "run `cargo build --examples`, or `cargo test`, which does"
    );
    program
}
