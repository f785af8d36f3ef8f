//! Which of the library's errors each error code of each database becomes, wherever it surfaces.
//!
//! The errors are made by the servers: most of them by the situation that they stand for, the rest,
//! which take a failing machine or another server version, by a trigger that raises the code. Codes
//! of a cluster, of a lost connection and of a full disk are in `tests/faults`.

use guesthouse::{Error, Onboarding, become_host, host, stop_hosting};
use sea_orm::{ConnectionTrait, DatabaseConnection, TransactionTrait};
use uuid::Uuid;

use crate::support::{Backend as On, TestDb as Db};

/// The variants of [`Error`] that a code can become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Contention,
    OutcomeUnknown,
    Aborted,
    Database,
}
use Kind::{Aborted, Contention, Database, OutcomeUnknown};

/// What the caller was told: the variant, and the code behind it.
fn told<T: std::fmt::Debug>(answer: Result<T, Error>) -> (Kind, String) {
    let error = answer.expect_err("the database refuses");
    let kind = match &error {
        Error::Contention { .. } => Contention,
        Error::OutcomeUnknown { .. } => OutcomeUnknown,
        Error::Aborted { .. } => Aborted,
        Error::Database { .. } => Database,
        other => panic!("{other:?}"),
    };
    let text = error.to_string();
    let code = text
        .rsplit_once("(code ")
        .map(|(_, code)| code.trim_end_matches(')'));
    (kind, code.unwrap_or(&text).to_owned())
}

async fn on_its_own(db: &DatabaseConnection, user_id: Uuid) -> (Kind, String) {
    told(become_host(db, user_id).await)
}

async fn in_a_transaction(db: &DatabaseConnection, user_id: Uuid) -> (Kind, String) {
    let txn = db.begin().await.unwrap();
    let answer = told(become_host(&txn, user_id).await);
    // The server may have ended it already.
    let _ = txn.rollback().await;
    answer
}

/// Raised while the statement runs: outside a transaction, and inside the caller's.
const POSTGRES: [(&str, Kind, Kind); 22] = [
    ("40001", Contention, Contention),   // serialization failure
    ("40P01", Contention, Contention),   // deadlock
    ("55P03", Contention, Contention),   // lock not available
    ("57014", Database, Database),       // query cancelled
    ("57P03", Contention, Contention),   // cannot connect now
    ("25P02", Aborted, Aborted),         // in failed transaction
    ("40003", OutcomeUnknown, Database), // statement completion unknown
    ("57P01", OutcomeUnknown, Database), // admin shutdown
    ("57P02", OutcomeUnknown, Database), // crash shutdown
    ("08000", OutcomeUnknown, Database), // connection exception
    ("08003", OutcomeUnknown, Database), // connection does not exist
    ("08006", OutcomeUnknown, Database), // connection failure
    ("08007", OutcomeUnknown, Database), // transaction resolution unknown
    ("25006", Database, Database),       // read only: a standby
    ("25P03", Database, Database),       // idle in transaction
    ("25P04", Database, Database),       // transaction timeout, since PostgreSQL 17
    ("53100", Database, Database),       // disk full
    ("53300", Database, Database),       // too many connections
    ("23505", Database, Database),       // unique, on a key that is not user_id
    ("23503", Database, Database),       // a foreign key that is not user_id's
    ("23001", Database, Database),       // restrict, since PostgreSQL 18
    ("42501", Database, Database),       // no privilege
];

const MARIADB: [(u16, Kind, Kind); 20] = [
    (1020, Contention, Contention),   // record changed since last read
    (1047, Contention, Contention),   // Galera: node not ready
    (1205, Contention, Contention),   // lock wait timeout
    (1213, Contention, Contention),   // deadlock, Galera certification
    (3101, Contention, Contention),   // MySQL: rolled back by group replication
    (3572, Contention, Contention),   // MySQL: NOWAIT
    (1053, OutcomeUnknown, Database), // server shutdown
    (1180, OutcomeUnknown, Database), // error during COMMIT
    (1317, OutcomeUnknown, Database), // interrupted
    (1927, OutcomeUnknown, Database), // connection killed
    (1969, OutcomeUnknown, Database), // max_statement_time
    (2006, OutcomeUnknown, Database), // server has gone away
    (2013, OutcomeUnknown, Database), // connection lost
    (4031, OutcomeUnknown, Database), // MySQL: disconnected for inactivity
    (1114, Database, Database),       // table is full
    (1290, Database, Database),       // read only, by an option
    (1792, Database, Database),       // read only, by the transaction
    (1836, Database, Database),       // read only mode
    (1040, Database, Database),       // too many connections
    (3100, Database, Database),       // MySQL: group replication refused
];

on_postgres!(postgres_at_a_statement, postgres_at_the_commit);

async fn postgres_at_a_statement(db: Db) {
    let ada = db.user("ada").await;
    for (code, alone, within) in POSTGRES {
        db.execute(&format!(
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{code}'; END $$;
             CREATE OR REPLACE TRIGGER refuse BEFORE INSERT ON hosts
             FOR EACH ROW EXECUTE FUNCTION refuse()"
        ))
        .await;
        assert_eq!(on_its_own(&db.pool, ada.id).await, (alone, code.to_owned()));
        assert_eq!(
            in_a_transaction(&db.pool, ada.id).await,
            (within, code.to_owned())
        );
    }
    assert!(db.rows().await.hosts.is_empty());
}

/// The same codes at the COMMIT of the library's own transaction, where nothing is certain that the
/// code does not say.
async fn postgres_at_the_commit(db: Db) {
    let ada = db.host("ada").await;
    for (code, at_commit, _) in POSTGRES {
        db.execute(&format!(
            "DROP TRIGGER IF EXISTS refuse ON hosts;
             CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{code}'; END $$;
             CREATE CONSTRAINT TRIGGER refuse AFTER DELETE ON hosts
             DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()"
        ))
        .await;
        let answer = told(stop_hosting(&db.pool, ada.user_id).await);
        assert_eq!(answer, (at_commit, code.to_owned()));
    }
    assert_eq!(db.rows().await.hosts, [ada]);
}

on_mariadb!(mariadb_at_a_statement);

async fn mariadb_at_a_statement(db: Db) {
    let ada = db.user("ada").await;
    for (code, alone, within) in MARIADB {
        db.execute(&format!(
            "CREATE OR REPLACE TRIGGER refuse BEFORE INSERT ON hosts FOR EACH ROW
             SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {code}, MESSAGE_TEXT = 'refused'"
        ))
        .await;
        let code = code.to_string();
        assert_eq!(on_its_own(&db.pool, ada.id).await, (alone, code.clone()));
        assert_eq!(in_a_transaction(&db.pool, ada.id).await, (within, code));
    }
    assert!(db.rows().await.hosts.is_empty());
}

/// A session that is set up to be refused, and the code it is refused with.
struct Situation {
    setting: &'static str,
    /// Whether another caller's transaction holds the row that is waited for.
    held: bool,
    code: &'static str,
    alone: Kind,
    within: Kind,
}

fn situations(backend: On) -> Vec<Situation> {
    let of = |setting, held, code, alone, within| Situation {
        setting,
        held,
        code,
        alone,
        within,
    };
    match backend {
        On::Sqlite => vec![
            of("PRAGMA busy_timeout = 0", true, "5", Contention, Contention),
            of("PRAGMA query_only = ON", false, "8", Database, Database),
        ],
        On::Postgres => vec![
            of(
                "SET lock_timeout = '10ms'",
                true,
                "55P03",
                Contention,
                Contention,
            ),
            of(
                "SET statement_timeout = '50ms'",
                true,
                "57014",
                Database,
                Database,
            ),
            of(
                "SET default_transaction_read_only = on",
                false,
                "25006",
                Database,
                Database,
            ),
        ],
        On::MariaDb => vec![
            of(
                "SET innodb_lock_wait_timeout = 1",
                true,
                "1205",
                Contention,
                Contention,
            ),
            of(
                "SET max_statement_time = 0.05",
                true,
                "1969",
                OutcomeUnknown,
                Database,
            ),
            of(
                "SET SESSION TRANSACTION READ ONLY",
                false,
                "1792",
                Database,
                Database,
            ),
        ],
    }
}

on_each_backend!(in_the_situation_itself,);

async fn in_the_situation_itself(db: Db) {
    let ada = db.user("ada").await;
    let situations = situations(db.backend);
    assert!(situations.len() >= 2);
    for Situation {
        setting,
        held,
        code,
        alone,
        within,
    } in situations
    {
        let holding = db.pool.begin().await.unwrap();
        if held {
            assert!(become_host(&holding, ada.id).await.unwrap().is_new());
        }
        let refused = db.pool_of(1).await;
        refused.execute_unprepared(setting).await.unwrap();

        assert_eq!(
            on_its_own(&refused, ada.id).await,
            (alone, code.to_owned()),
            "{setting}"
        );
        assert_eq!(
            in_a_transaction(&refused, ada.id).await,
            (within, code.to_owned()),
            "{setting}"
        );
        holding.rollback().await.unwrap();
        assert!(db.rows().await.hosts.is_empty());
    }
}

on_sqlite!(sqlite_busy_snapshot);

/// A transaction that has read cannot write over what was written since, on each database that
/// says so.
async fn sqlite_busy_snapshot(db: Db) {
    db.execute("PRAGMA journal_mode = WAL").await;
    let code = late_write(&db).await;
    assert_eq!(code, (Contention, "517".to_owned()));
}

on_postgres!(postgres_serialization_failure);

async fn postgres_serialization_failure(db: Db) {
    db.execute(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation =
         ''repeatable read''', current_database()); END $$",
    )
    .await;
    let code = late_write(&db).await;
    assert_eq!(code, (Contention, "40001".to_owned()));
}

async fn late_write(db: &Db) -> (Kind, String) {
    let ada = db.user("ada").await;
    let late = db.pool_of(1).await;
    let txn = late.begin().await.unwrap();
    assert_eq!(guesthouse::Accounts::hosts().count(&txn).await.unwrap(), 0);
    assert!(become_host(&db.pool, ada.id).await.unwrap().is_new());
    let answer = told(become_host(&txn, ada.id).await);
    txn.rollback().await.unwrap();
    assert_eq!(db.rows().await.hosts.len(), 1);
    answer
}

on_sqlite!(sqlite_full);

/// `SQLITE_FULL`: the statement is undone, the connection goes on, and so does the database once
/// there is room.
async fn sqlite_full(db: Db) {
    let pool = db.pool_of(1).await;
    let mut users = Vec::new();
    for n in 0..200 {
        users.push(db.user(&format!("user{n}")).await);
    }
    pool.execute_unprepared("PRAGMA max_page_count = 1")
        .await
        .unwrap();
    let mut hosts = 0;
    let mut refused = None;
    for user in &users {
        match become_host(&pool, user.id).await {
            Ok(Onboarding::New(_)) => hosts += 1,
            answer => {
                refused = Some((user.id, told(answer)));
                break;
            }
        }
    }
    let (user_id, answer) = refused.expect("the file cannot grow for ever");
    assert_eq!(answer, (Database, "13".to_owned()));
    assert_eq!(db.rows().await.hosts.len(), hosts);

    pool.execute_unprepared("PRAGMA max_page_count = 1000000")
        .await
        .unwrap();
    assert!(become_host(&pool, user_id).await.unwrap().is_new());
}

on_each_backend!(keys_are_told_by_their_codes);

/// The keys refuse by their codes: unique index, primary key, foreign key.
async fn keys_are_told_by_their_codes(db: Db) {
    let ada = db.host("ada").await;
    let grace = db.user("grace").await;
    let clash = |id, user_id| host::ActiveModel {
        id: sea_orm::ActiveValue::Set(id),
        user_id: sea_orm::ActiveValue::Set(user_id),
        ..Default::default()
    };
    let again = clash(Uuid::now_v7(), ada.user_id);
    let again = guesthouse::onboard::<host::Entity>(&db.pool, again)
        .await
        .unwrap();
    assert_eq!(again, Onboarding::Existing(ada.clone()));

    let nobody = clash(Uuid::now_v7(), Uuid::nil());
    let nobody = guesthouse::onboard::<host::Entity>(&db.pool, nobody).await;
    assert!(
        matches!(nobody, Err(Error::UserNotFound { .. })),
        "{nobody:?}"
    );

    let stolen = guesthouse::onboard::<host::Entity>(&db.pool, clash(ada.id, grace.id));
    let code = match db.backend {
        On::Sqlite => "1555",
        On::Postgres => "23505",
        On::MariaDb => "1062",
    };
    assert_eq!(told(stolen.await), (Database, code.to_owned()));
    assert_eq!(db.rows().await.hosts, [ada]);
}
