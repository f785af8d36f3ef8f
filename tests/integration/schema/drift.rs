//! Where `verify_schema` says yes, the promises hold: each is tried on schemas that were changed in
//! a hundred ways, alone and in pairs. A way that breaks one is a question that it has to ask.

use std::collections::BTreeSet;

use guesthouse::{
    Error, Onboarding, SchemaError, become_host, change_email, delete_user, sign_up,
    sign_up_with_id, stop_hosting, user, verify_schema,
};
use sea_orm::{ConnectionTrait, DatabaseConnection, EntityTrait, Statement, TransactionTrait};
use uuid::Uuid;

use super::changes::{self, GUESTS, HOSTS, USERS, of_roles, of_users, start_again, try_change};
use crate::support::{Backend as On, TestDb as Db, email, is_possible};

/// Something that somebody did to a table.
#[derive(Clone, Debug)]
struct Way {
    what: String,
    words: [&'static str; 3],
    /// Whether nobody may be able to sign up after it, without that being told: what a check
    /// refuses besides is not known.
    may_refuse: bool,
}

impl Way {
    fn of(words: [&'static str; 3], what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            words,
            may_refuse: false,
        }
    }
}

/// What is known to break something, of all tables.
fn known(backend: On) -> Vec<Way> {
    let of = |words, cases: Vec<changes::Case>| {
        cases.into_iter().map(move |(what, _)| Way::of(words, what))
    };
    let several = changes::on(backend).of_several_tables.to_vec();
    of(USERS, several)
        .chain(of(USERS, of_users(backend)))
        .filter(|way| is_possible(&way.what))
        .chain(of(HOSTS, of_roles(backend)))
        .chain(of(GUESTS, of_roles(backend)))
        .collect()
}

/// What an app may do.
fn harmless(backend: On) -> Vec<Way> {
    let way = |&what: &&'static str| {
        let of_users = what.starts_with("ALTER TABLE users");
        Way::of(if of_users { USERS } else { HOSTS }, what)
    };
    changes::on(backend).additions.iter().map(way).collect()
}

/// Foreign keys, beside the right one, in its place, and before it.
fn foreign_keys(backend: On) -> Vec<Way> {
    let mut ways = Vec::new();
    let id = match backend {
        On::Sqlite => "uuid_text",
        On::Postgres => "uuid",
        On::MariaDb => "binary(16)",
    };
    for words in [HOSTS, GUESTS] {
        for (own, other) in [
            ("user_id", "users (id)"),
            ("user_id", "people (id)"),
            ("id", "people (id)"),
            ("user_id, team", "users (id, team)"),
            ("user_id, team", "people (id, team)"),
            ("team", "people (id)"),
        ] {
            for action in [
                "",
                "RESTRICT",
                "NO ACTION",
                "CASCADE",
                "SET NULL",
                "SET DEFAULT",
            ] {
                let action = match action {
                    "" => String::new(),
                    action => format!("ON DELETE {action}"),
                };
                let key = format!("FOREIGN KEY ({own}) REFERENCES {other} {action}");
                if backend == On::Sqlite {
                    if !own.contains("team") {
                        ways.push(Way::of(
                            words,
                            format!("ON DELETE RESTRICT => ON DELETE RESTRICT, {key}"),
                        ));
                        ways.push(Way::of(
                            words,
                            format!(", FOREIGN KEY => , {key}, FOREIGN KEY"),
                        ));
                    }
                    continue;
                }
                let prepare = format!(
                    "ALTER TABLE users ADD team {id}, ADD UNIQUE (id, team);
                     ALTER TABLE {{table}} ADD team {id};
                     CREATE TABLE people (id {id} PRIMARY KEY, team {id}, UNIQUE (id, team))"
                );
                let drop = match backend {
                    On::MariaDb => "DROP FOREIGN KEY {table}_user_id_fkey",
                    _ => "DROP CONSTRAINT {table}_user_id_fkey",
                };
                let right = "ADD FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE RESTRICT";
                for change in [
                    format!("ALTER TABLE {{table}} ADD {key}"),
                    format!("ALTER TABLE {{table}} {drop}, ADD {key}"),
                    format!(
                        "ALTER TABLE {{table}} {drop}, ADD {key}; ALTER TABLE {{table}} {right}"
                    ),
                ] {
                    ways.push(Way::of(words, format!("{prepare}; {change}")));
                }
            }
        }
    }
    ways
}

/// Indexes in the place of the right one, and beside it.
fn indexes(backend: On) -> Vec<Way> {
    let mut ways = Vec::new();
    for (words, column) in [(USERS, "email"), (HOSTS, "user_id"), (GUESTS, "user_id")] {
        for unique in ["", "UNIQUE"] {
            for over in [
                "{c}",
                "{c} DESC",
                "{c}, id",
                "id, {c}",
                "created_at, {c}",
                "lower({c})",
                "{c}(8)",
                "{c} COLLATE NOCASE",
                "{c} COLLATE RTRIM",
                "{c} COLLATE BINARY",
                "{c} COLLATE \"C\"",
                "{c}) WHERE (created_at > '2026-01-01'",
                "{c}) INCLUDE (id",
            ] {
                let over = over.replace("{c}", column);
                let create = format!("CREATE {unique} INDEX another ON {{table}} ({over})");
                let drop = match backend {
                    On::MariaDb => format!("DROP INDEX {{table}}_{column} ON {{table}}"),
                    _ => format!("DROP INDEX {{table}}_{column}"),
                };
                ways.push(Way::of(words, format!("{create}; {drop}")));
                ways.push(Way::of(words, create));
            }
        }
    }
    ways
}

/// A check in the place of the right one.
fn check(backend: On, rng: &mut fastrand::Rng) -> Way {
    let demand = condition(rng, 3);
    let what = match backend {
        On::Sqlite => format!("CHECK (email = lower(email)) => CHECK ({demand})"),
        _ => {
            format!("ALTER TABLE users DROP CONSTRAINT users_email_lowercase, ADD CHECK ({demand})")
        }
    };
    Way {
        may_refuse: true,
        ..Way::of(USERS, what)
    }
}

fn condition(rng: &mut fastrand::Rng, depth: u32) -> String {
    let known = [
        "email = lower(email)",
        "lower(email) = email",
        "email = lower(email)",
        "(lower(email)) = (email)",
        "email <> lower(email)",
        "length(email) > 3",
        "email LIKE '%@%'",
        "lower(email) <> ''",
        "email = 'lower(email)'",
        "updated_at >= created_at",
        "lower(email) = lower(email)",
        "email IS NOT NULL",
    ];
    match rng.u32(..if depth == 0 { 1 } else { 6 }) {
        0 | 1 => rng.choice(known).unwrap().to_owned(),
        2 => format!(
            "({} OR {})",
            condition(rng, depth - 1),
            condition(rng, depth - 1)
        ),
        3 => format!("NOT ({})", condition(rng, depth - 1)),
        _ => format!(
            "{} AND ({})",
            condition(rng, depth - 1),
            condition(rng, depth - 1)
        ),
    }
}

on_each_backend!(
    what_it_says_yes_to_keeps_the_promises,
    what_it_reports_breaks_a_promise,
);

async fn what_it_says_yes_to_keeps_the_promises(db: Db) {
    do_not_wait_for_the_disk(&db).await;
    let mut rng = fastrand::Rng::with_seed(14);
    let (known, harmless) = (known(db.backend), harmless(db.backend));
    let mut some: Vec<_> = foreign_keys(db.backend);
    some.extend(indexes(db.backend));
    rng.shuffle(&mut some);
    some.truncate(30);
    some.extend((0..12).map(|_| check(db.backend, &mut rng)));

    let mut ways: Vec<Vec<Way>> = Vec::new();
    ways.extend(harmless.iter().chain(&some).map(|way| vec![way.clone()]));
    for (first, second, count) in [
        (&harmless, &harmless, 25),
        (&some, &harmless, 10),
        (&known, &harmless, 10),
        (&known, &some, 10),
        (&known, &known, 10),
    ] {
        ways.extend((0..count).map(|_| {
            let pick = |from: &[Way], rng: &mut fastrand::Rng| rng.choice(from).unwrap().clone();
            vec![pick(first, &mut rng), pick(second, &mut rng)]
        }));
    }

    let (mut yes, mut no, mut broken) = (0, 0, Vec::new());
    for ways in ways {
        start_again(&db).await;
        let mut is_done = true;
        for way in &ways {
            is_done &= try_change(&db, &way.what, way.words).await.is_ok();
        }
        if !is_done {
            continue;
        }
        match verify_schema(&db.pool).await {
            Ok(()) => {}
            Err(SchemaError::Drift(_)) => {
                no += 1;
                continue;
            }
            Err(error) => panic!("{ways:#?}: {error:?}"),
        }
        yes += 1;
        let mut found = Trial::on(&db).await;
        if ways.iter().any(|way| way.may_refuse) && found.contains(NOBODY) {
            found.clear();
        }
        if !found.is_empty() {
            broken.push((ways, found));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(yes >= 40 && no >= 30, "{yes} yes, {no} no");
}

/// The trial would have found it.
async fn what_it_reports_breaks_a_promise(db: Db) {
    do_not_wait_for_the_disk(&db).await;
    for (what, words, promise) in breaks(db.backend) {
        if !is_possible(what) {
            continue;
        }
        start_again(&db).await;
        for what in what.split(" ;; ") {
            try_change(&db, what, words).await.unwrap();
        }
        let reported = verify_schema(&db.pool).await;
        assert!(matches!(reported, Err(SchemaError::Drift(_))), "{what}");
        let broken = Trial::on(&db).await;
        assert!(broken.contains(promise), "{what}: {broken:?}");
    }
}

/// Hundreds of schemas are made here, and none has to outlive the machine.
async fn do_not_wait_for_the_disk(db: &Db) {
    match db.backend {
        On::Sqlite => db.execute("PRAGMA journal_mode = WAL").await,
        On::Postgres => {
            let (_, name) = db.url.rsplit_once('/').unwrap();
            db.execute(&format!(
                "ALTER DATABASE {name} SET synchronous_commit = off"
            ))
            .await;
        }
        On::MariaDb => {}
    }
}

/// Ways that are reported, each with a promise that it breaks.
fn breaks(backend: On) -> Vec<(&'static str, [&'static str; 3], &'static str)> {
    match backend {
        On::Sqlite => vec![
            ("DROP INDEX hosts_user_id", HOSTS, NOBODY),
            ("DROP INDEX guests_user_id", GUESTS, TWO_ROWS),
            ("DROP INDEX users_email", USERS, TWO_ADDRESSES),
            ("lower(email)) => lower(email) OR 1)", USERS, TWO_ADDRESSES),
            (
                "DROP INDEX users_email ;; varchar(254) => varchar(254) UNIQUE ON CONFLICT IGNORE",
                USERS,
                TWO_ADDRESSES,
            ),
            (
                "ON DELETE RESTRICT => ON DELETE CASCADE",
                HOSTS,
                UNDER_A_ROW,
            ),
            (
                "ON DELETE RESTRICT => ON DELETE RESTRICT, \
                 FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE",
                HOSTS,
                WENT,
            ),
            (
                r#", FOREIGN KEY ("user_id") REFERENCES "users" ("id") ON DELETE RESTRICT => "#,
                GUESTS,
                OF_NOBODY,
            ),
            (
                "ON DELETE RESTRICT => ON DELETE RESTRICT DEFERRABLE INITIALLY DEFERRED",
                HOSTS,
                OF_NOBODY,
            ),
            ("CREATE UNIQUE INDEX one ON users ((1))", USERS, NOBODY),
            (
                "CONSTRAINT => one int AS (1) STORED UNIQUE, CONSTRAINT",
                USERS,
                NOBODY,
            ),
            (
                "CONSTRAINT => a text, b text, CHECK (a NOTNULL OR b NOTNULL), CONSTRAINT",
                USERS,
                NOBODY,
            ),
            (
                "varchar(254) NOT NULL => varchar(254) NOT NULL AS (hex(id)) STORED",
                USERS,
                NOBODY,
            ),
        ],
        On::Postgres => vec![
            (
                "DROP INDEX hosts_user_id; CREATE UNIQUE INDEX ON hosts (user_id, id)",
                HOSTS,
                NOBODY,
            ),
            (
                "ALTER TABLE guests DROP CONSTRAINT guests_user_id_fkey",
                GUESTS,
                OF_NOBODY,
            ),
            (
                "ALTER TABLE hosts DISABLE TRIGGER ALL;
                 ALTER TABLE users DISABLE TRIGGER ALL",
                HOSTS,
                UNDER_A_ROW,
            ),
            (
                "ALTER TABLE hosts DROP CONSTRAINT hosts_user_id_fkey;
                 ALTER TABLE hosts ADD CONSTRAINT legacy 
                     FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE;
                 ALTER TABLE hosts ADD FOREIGN KEY (user_id) REFERENCES users ON DELETE RESTRICT",
                HOSTS,
                WENT,
            ),
            (
                "ALTER TABLE users DROP CONSTRAINT users_email_lowercase",
                USERS,
                TWO_ADDRESSES,
            ),
            (
                "ALTER TABLE users DROP CONSTRAINT users_email_lowercase;
                 ALTER TABLE users ADD loweremail text, ADD CHECK (email = loweremail)",
                USERS,
                TWO_ADDRESSES,
            ),
            (
                "CREATE COLLATION ai (provider = icu, 
                     locale = 'und-u-ks-level1', deterministic = false);
                 CREATE UNIQUE INDEX second ON users (email COLLATE ai)",
                USERS,
                "another address is taken for one",
            ),
            (
                "ALTER TABLE users ADD UNIQUE (email) DEFERRABLE",
                USERS,
                NOBODY,
            ),
            (
                "ALTER TABLE users ADD n text, ADD UNIQUE (n) DEFERRABLE",
                USERS,
                NOBODY,
            ),
            (
                "CREATE DOMAIN plan AS text DEFAULT 'free'; ALTER TABLE users ADD plan plan UNIQUE",
                USERS,
                NOBODY,
            ),
            ("CREATE UNIQUE INDEX ON users ((true))", USERS, NOBODY),
            (
                "ALTER TABLE users ADD plan text DEFAULT 'free', ADD EXCLUDE USING hash (plan WITH =)",
                USERS,
                NOBODY,
            ),
            (
                "ALTER TABLE users ADD a text, ADD b text, ADD CHECK (num_nonnulls(a, b) = 1) NOT VALID",
                USERS,
                NOBODY,
            ),
            (
                "ALTER TABLE users ADD plan varchar(9) DEFAULT 'x' CHECK (plan IN ('free', 'paid'))",
                USERS,
                NOBODY,
            ),
            (
                "CREATE RULE kept AS ON DELETE TO hosts DO INSTEAD NOTHING",
                HOSTS,
                "a host cannot be removed",
            ),
            (
                "CREATE RULE loud AS ON INSERT TO hosts DO ALSO NOTIFY hosts",
                HOSTS,
                NOBODY,
            ),
            (
                "CREATE RULE loud AS ON UPDATE TO hosts DO ALSO NOTIFY hosts",
                HOSTS,
                NOBODY,
            ),
            (
                "CREATE RULE loud AS ON UPDATE TO users DO ALSO NOTIFY users",
                USERS,
                NOBODY,
            ),
            (
                "CREATE TABLE people (id uuid PRIMARY KEY);
                 ALTER TABLE users ADD FOREIGN KEY (id) REFERENCES people",
                USERS,
                NOBODY,
            ),
            (
                "ALTER TABLE hosts ALTER CONSTRAINT hosts_user_id_fkey
                     DEFERRABLE INITIALLY DEFERRED",
                HOSTS,
                OF_NOBODY,
            ),
        ],
        On::MariaDb => vec![
            (
                "ALTER TABLE hosts ADD INDEX plain (user_id), DROP INDEX hosts_user_id",
                HOSTS,
                "a user has two rows, or none",
            ),
            ("DROP INDEX users_email ON users", USERS, TWO_ADDRESSES),
            (
                "ALTER TABLE users DROP CONSTRAINT users_email_lowercase",
                USERS,
                TWO_ADDRESSES,
            ),
            (
                "ALTER TABLE users DROP CONSTRAINT users_email_lowercase,
                     ADD loweremail varchar(254), ADD CHECK (email = loweremail)",
                USERS,
                TWO_ADDRESSES,
            ),
            (
                "ALTER TABLE users ADD one int AS (1) STORED UNIQUE",
                USERS,
                NOBODY,
            ),
            (
                "ALTER TABLE users ADD accepted boolean NOT NULL DEFAULT false CHECK (accepted)",
                USERS,
                NOBODY,
            ),
            (
                "ALTER TABLE users MODIFY email varchar(254)
                     COLLATE utf8mb4_general_ci NOT NULL",
                USERS,
                "another address is taken for one",
            ),
            (
                "ALTER TABLE users MODIFY email varchar(254)
                     CHARACTER SET latin1 COLLATE latin1_bin NOT NULL",
                USERS,
                "another address is taken for one",
            ),
            (
                "ALTER TABLE guests DROP FOREIGN KEY guests_user_id_fkey",
                GUESTS,
                OF_NOBODY,
            ),
            (
                "ALTER TABLE hosts DROP FOREIGN KEY hosts_user_id_fkey,
                     ADD FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE",
                HOSTS,
                UNDER_A_ROW,
            ),
            (
                "ALTER TABLE users MODIFY created_at timestamp(6) NOT NULL
                     DEFAULT current_timestamp(6) ON UPDATE current_timestamp(6)",
                USERS,
                OTHER_CHANGE,
            ),
        ],
    }
}

const TWO_ROWS: &str = "a user can get two rows";
const TWO_ADDRESSES: &str = "an address can be stored twice";
const OF_NOBODY: &str = "a row can belong to nobody";
const UNDER_A_ROW: &str = "a user can be deleted under a row";
const WENT: &str = "a row went with its user";
const OTHER_CHANGE: &str = "a change of address changes more, or less";
/// What is found where nobody can sign up or become a host.
const NOBODY: &str = "nobody can sign up or become a host";

/// Every promise, tried by the library and by hand.
struct Trial {
    backend: On,
    /// Connections that know no statement of the schema as it was.
    pool: DatabaseConnection,
    other: DatabaseConnection,
    broken: BTreeSet<&'static str>,
}

impl Trial {
    /// The promises that are broken.
    async fn on(db: &Db) -> BTreeSet<&'static str> {
        let mut trial = Self {
            backend: db.backend,
            pool: db.pool_of(3).await,
            other: db.pool_of(1).await,
            broken: BTreeSet::new(),
        };
        if trial.try_all().await.is_none() {
            trial.broken.insert(NOBODY);
        }
        trial.pool.close().await.unwrap();
        trial.other.close().await.unwrap();
        trial.broken
    }

    async fn try_all(&mut self) -> Option<()> {
        let ada = sign_up(&self.pool, email("ada")).await.ok()?.user;
        let bob = sign_up(&self.pool, email("bob")).await.ok()?.user;
        let cleo = sign_up_with_id(&self.pool, Uuid::now_v7(), email("cleo"))
            .await
            .ok()?
            .user;
        let host = become_host(&self.pool, ada.id).await.ok()?.into_model();
        let _ = become_host(&self.pool, bob.id).await.ok()?;

        self.unless("a row that was acknowledged is lost", {
            let found = user::Entity::find_by_id(cleo.id).one(&self.other).await;
            found.is_ok_and(|found| found == Some(cleo.clone()))
                && self.count("hosts", ada.id).await == Some(1)
                && self.count("guests", ada.id).await == Some(1)
        });
        self.two_of_one(&ada, &host.id).await;
        self.addresses(&ada, &cleo).await;
        self.orphans(&ada, &bob, &cleo).await;

        self.unless("a host cannot be removed", {
            let stopped = stop_hosting(&self.pool, ada.id).await;
            stopped.is_ok_and(|stopped| stopped.is_some_and(|stopped| stopped.id == host.id))
                && self.count("hosts", ada.id).await == Some(0)
                && matches!(stop_hosting(&self.pool, ada.id).await, Ok(None))
        });
        self.unless("a user cannot be deleted", {
            delete_user(&self.pool, ada.id).await.is_ok()
                && self.count("guests", ada.id).await == Some(0)
                && self
                    .count_where("users", &format!("id = {}", self.id(ada.id)))
                    .await
                    == Some(0)
        });
        Some(())
    }

    async fn two_of_one(&mut self, ada: &user::Model, host: &Uuid) {
        let again = become_host(&self.pool, ada.id).await;
        let is_same = matches!(&again, Ok(Onboarding::Existing(found)) if found.id == *host);
        self.unless("becoming a host again is another answer", is_same);
        for table in ["hosts", "guests"] {
            let copy = format!(
                "INSERT INTO {table} (id, user_id, created_at, updated_at)
                 SELECT {}, user_id, created_at, updated_at FROM {table} WHERE user_id = {}",
                self.id(Uuid::now_v7()),
                self.id(ada.id)
            );
            self.must_refuse(TWO_ROWS, &copy).await;
            self.unless(
                "a user has two rows, or none",
                self.count(table, ada.id).await == Some(1),
            );
        }
    }

    async fn addresses(&mut self, ada: &user::Model, cleo: &user::Model) {
        for address in ["ada@example.com", "ADA@example.com", "Ada@Example.com"] {
            let copy = format!(
                "INSERT INTO users (id, email, created_at, updated_at)
                 SELECT {}, '{address}', created_at, updated_at FROM users WHERE id = {}",
                self.id(Uuid::now_v7()),
                self.id(ada.id)
            );
            self.must_refuse(TWO_ADDRESSES, &copy).await;
        }
        let taken = sign_up(&self.pool, email("ada")).await;
        self.unless(
            "a taken address is free",
            matches!(taken, Err(Error::EmailTaken)),
        );
        let taken = sign_up_with_id(&self.pool, Uuid::now_v7(), email("ada")).await;
        self.unless(
            "a taken address is free",
            matches!(taken, Err(Error::EmailTaken)),
        );
        let taken = change_email(&self.pool, cleo.id, email("ada")).await;
        self.unless(
            "a taken address is free",
            matches!(taken, Err(Error::EmailTaken)),
        );
        for name in ["e", "\u{e9}", "\u{1f600}", "x", "x_"] {
            let other = sign_up(&self.pool, email(name)).await;
            self.unless("another address is taken for one", other.is_ok());
        }
        let changed = change_email(&self.pool, cleo.id, email("cleopatra")).await;
        self.unless(
            OTHER_CHANGE,
            changed.is_ok_and(|it| {
                (it.id, it.created_at, it.email.as_str())
                    == (cleo.id, cleo.created_at, "cleopatra@example.com")
            }),
        );
        let stored = user::Entity::find_by_id(cleo.id).one(&self.other).await;
        self.unless(
            OTHER_CHANGE,
            stored.is_ok_and(|it| it.is_some_and(|it| it.created_at == cleo.created_at)),
        );
        self.unless("a user is gone", {
            self.count_where(
                "users",
                "email IN ('ada@example.com', 'cleopatra@example.com')",
            )
            .await
                == Some(2)
        });
    }

    async fn orphans(&mut self, ada: &user::Model, bob: &user::Model, cleo: &user::Model) {
        for table in ["hosts", "guests"] {
            let of_nobody = format!(
                "INSERT INTO {table} (id, user_id, created_at, updated_at)
                 SELECT {}, {}, created_at, updated_at FROM users WHERE id = {}",
                self.id(Uuid::now_v7()),
                self.id(Uuid::now_v7()),
                self.id(ada.id)
            );
            self.must_refuse(OF_NOBODY, &of_nobody).await;
        }
        let nobody = become_host(&self.pool, Uuid::now_v7()).await;
        self.unless(
            "nobody can become a host",
            matches!(nobody, Err(Error::UserNotFound { .. })),
        );
        // Bob is held by his host alone, Cleo by her guest.
        let no_guest = format!("DELETE FROM guests WHERE user_id = {}", self.id(bob.id));
        self.unless(
            "a guest cannot be removed",
            self.pool.execute_unprepared(&no_guest).await.is_ok(),
        );
        for user in [ada, bob, cleo] {
            let delete = format!("DELETE FROM users WHERE id = {}", self.id(user.id));
            self.must_refuse(UNDER_A_ROW, &delete).await;
        }
        for host in [ada, bob] {
            let answer = delete_user(&self.pool, host.id).await;
            self.unless(
                "a host can be deleted",
                matches!(answer, Err(Error::StillHost { .. })),
            );
        }
        let left = [
            ("hosts", ada),
            ("hosts", bob),
            ("guests", ada),
            ("guests", cleo),
        ];
        for (table, user) in left {
            self.unless(WENT, self.count(table, user.id).await == Some(1));
        }
    }

    fn unless(&mut self, broken: &'static str, holds: bool) {
        if !holds {
            self.broken.insert(broken);
        }
    }

    /// A statement that has to be refused at once, not when its transaction ends.
    async fn must_refuse(&mut self, broken: &'static str, sql: &str) {
        let txn = self.pool.begin().await.unwrap();
        let done = txn.execute_unprepared(sql).await;
        let _ = txn.rollback().await;
        self.unless(broken, done.is_err());
    }

    /// Rows of a user, as another connection sees them.
    async fn count(&self, table: &str, user: Uuid) -> Option<i64> {
        self.count_where(table, &format!("user_id = {}", self.id(user)))
            .await
    }

    async fn count_where(&self, table: &str, condition: &str) -> Option<i64> {
        let sql = format!("SELECT count(*) FROM {table} WHERE {condition}");
        let statement = Statement::from_string(self.other.get_database_backend(), sql);
        let row = self.other.query_one_raw(statement).await.ok()??;
        row.try_get_by_index(0).ok()
    }

    /// A literal.
    fn id(&self, id: Uuid) -> String {
        match self.backend {
            On::Postgres => format!("'{id}'::uuid"),
            _ => format!("x'{}'", id.simple()),
        }
    }
}
