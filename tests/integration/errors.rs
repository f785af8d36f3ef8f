//! What errors say, and what they keep to themselves.

use std::error::Error as _;

use guesthouse::{
    Account, Error, become_host, change_email, delete_user, guest, host, sign_up, stop_hosting,
    user,
};
use sea_orm::{ConnectionTrait, DatabaseConnection, EntityTrait, Statement, TransactionTrait};
use uuid::Uuid;

use crate::{
    support::{Backend as On, TestDb as Db, email},
    transactions::until_someone_waits,
};

/// The address in every test here, so that it can be looked for.
const NAME: &str = "confidential";

/// Fails if an error shows an address, SQL or a connection string.
fn assert_discreet(error: &Error) {
    for text in [
        error.to_string(),
        format!("{error:?}"),
        format!("{error:#?}"),
    ] {
        let lower = text.to_lowercase();
        for secret in [
            NAME,
            "@",
            "://",
            "127.0.0.1",
            "insert",
            "select ",
            "update ",
            "delete ",
            "values",
            "table users",
        ] {
            assert!(!lower.contains(secret), "{secret:?} in {text}");
        }
    }
}

/// The driver's own text, which is kept to `source`.
fn source(error: &Error) -> String {
    error.source().unwrap().to_string()
}

async fn one(db: &DatabaseConnection, sql: &str) -> Option<i64> {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    db.query_one_raw(statement)
        .await
        .unwrap()
        .map(|row| row.try_get_by_index(0).unwrap())
}

/// Ends the session that waits for a lock, as an administrator would.
async fn kill_the_waiting_session(db: &Db) {
    until_someone_waits(db).await;
    match db.backend {
        On::Sqlite => unreachable!("SQLite has no sessions"),
        On::Postgres => {
            db.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock'",
            )
            .await;
        }
        On::MariaDb => {
            let id = one(
                &db.pool,
                "SELECT CAST(t.trx_mysql_thread_id AS SIGNED) FROM information_schema.innodb_trx t
                 JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
                 WHERE p.db = database() AND t.trx_state = 'LOCK WAIT'",
            )
            .await
            .unwrap();
            db.execute(&format!("KILL CONNECTION {id}")).await;
        }
    }
}

on_each_backend!(
    answers_carry_ids_at_most,
    still_referenced,
    database,
    values_stay_in_the_source,
    contention,
    deadlock,
    outcome_unknown,
);

async fn answers_carry_ids_at_most(db: Db) {
    let ada = db.host(NAME).await;

    let taken = sign_up(&db.pool, email(NAME)).await.unwrap_err();
    assert!(matches!(taken, Error::EmailTaken));
    assert_eq!(taken.to_string(), "the e-mail address is taken");
    assert_discreet(&taken);

    let nobody = become_host(&db.pool, Uuid::nil()).await.unwrap_err();
    assert_eq!(
        nobody.to_string(),
        "there is no user 00000000-0000-0000-0000-000000000000"
    );
    assert_discreet(&nobody);

    let still = delete_user(&db.pool, ada.user_id).await.unwrap_err();
    assert_eq!(
        still.to_string(),
        format!("user {} is still a host", ada.user_id)
    );
    assert_discreet(&still);

    let names = [&taken, &nobody, &still].map(Error::name);
    assert_eq!(names, ["email-taken", "user-not-found", "still-host"]);
    for answer in [taken, nobody, still] {
        assert!(answer.source().is_none());
        assert!(!answer.is_retryable());
    }
}

async fn still_referenced(db: Db) {
    let ada = db.host(NAME).await;
    crate::courier::reference(&db, "hosts", ada.id).await;
    let error = stop_hosting(&db.pool, ada.user_id).await.unwrap_err();
    assert!(matches!(error, Error::StillReferenced { .. }), "{error:?}");
    assert_discreet(&error);
    assert!(
        source(&error).to_lowercase().contains("foreign key"),
        "{}",
        source(&error)
    );
    assert!(!error.is_retryable());
    // SQLite names no table.
    let referring = match db.backend {
        On::Sqlite => None,
        On::Postgres | On::MariaDb => Some("bookings"),
    };
    assert_eq!(error.referring_table(), referring);
}

/// The table is gone: the driver's text shows it, ours does not.
async fn database(db: Db) {
    db.execute("DROP TABLE hosts").await;
    db.execute("DROP TABLE guests").await;
    db.execute("DROP TABLE users").await;
    let id = Uuid::nil();
    let errors = [
        sign_up(&db.pool, email(NAME)).await.unwrap_err(),
        change_email(&db.pool, id, email(NAME)).await.unwrap_err(),
        become_host(&db.pool, id).await.unwrap_err(),
        stop_hosting(&db.pool, id).await.unwrap_err(),
        delete_user(&db.pool, id).await.unwrap_err(),
        Account::find(&db.pool, id).await.unwrap_err(),
        Account::find_by_email(&db.pool, &email(NAME))
            .await
            .unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, Error::Database { .. }), "{error:?}");
        assert_discreet(&error);
        assert!(!source(&error).is_empty());
    }
}

/// A value that breaks the table's rules is in the driver's text, and stays there.
async fn values_stay_in_the_source(db: Db) {
    let user = user::ActiveModel {
        email: sea_orm::ActiveValue::Set(format!("{}@example.com", NAME.to_uppercase())),
        ..Default::default()
    };
    user::Entity::insert(user).exec(&db.pool).await.unwrap_err();

    let ada = db.user(NAME).await;
    let grace = db.host("grace").await;
    let role = host::ActiveModel {
        id: sea_orm::ActiveValue::Set(grace.id),
        user_id: sea_orm::ActiveValue::Set(ada.id),
        ..Default::default()
    };
    let clash = guesthouse::onboard::<host::Entity>(&db.pool, role)
        .await
        .unwrap_err();
    assert!(matches!(clash, Error::Database { .. }), "{clash:?}");
    assert_discreet(&clash);
    assert!(source(&clash).len() > clash.to_string().len());
}

/// A caller who waits too long is told to try again, and can.
async fn contention(db: Db) {
    let ada = db.user(NAME).await;
    let holding = db.pool.begin().await.unwrap();
    assert!(become_host(&holding, ada.id).await.unwrap().is_new());
    let impatient = db.pool_of(1).await;
    let setting = match db.backend {
        On::Sqlite => "PRAGMA busy_timeout = 0",
        On::Postgres => "SET lock_timeout = '10ms'",
        On::MariaDb => "SET innodb_lock_wait_timeout = 1",
    };
    impatient.execute_unprepared(setting).await.unwrap();

    let error = become_host(&impatient, ada.id).await.unwrap_err();

    assert!(matches!(error, Error::Contention { .. }), "{error:?}");
    assert!(error.is_retryable());
    assert_discreet(&error);
    holding.rollback().await.unwrap();
    assert!(become_host(&impatient, ada.id).await.unwrap().is_new());
}

/// Two who delete one another's turn: one gets through, the other is told to try again.
async fn deadlock(db: Db) {
    if db.backend == On::Sqlite {
        return; // has one writer at a time, so no two can wait for each other
    }
    let (ada, grace) = (db.user(NAME).await, db.user("grace").await);
    let first = db.pool.begin().await.unwrap();
    let second = db.pool.begin().await.unwrap();
    delete_user(&first, ada.id).await.unwrap();
    delete_user(&second, grace.id).await.unwrap();
    let waiting = tokio::spawn(async move {
        let outcome = become_host(&first, grace.id).await;
        (first, outcome)
    });
    until_someone_waits(&db).await;

    let second_outcome = become_host(&second, ada.id).await;

    // Whom the server gives up on is its choice; the other one may still be waiting for it.
    second.rollback().await.unwrap();
    let (first, first_outcome) = waiting.await.unwrap();
    first.rollback().await.unwrap();
    let errors: Vec<_> = [first_outcome, second_outcome]
        .into_iter()
        .filter_map(Result::err)
        .collect();
    assert!(!errors.is_empty());
    let contended = errors.iter().filter(|error| error.is_retryable()).count();
    assert_eq!(contended, 1, "{errors:?}");
    errors.iter().for_each(assert_discreet);
}

/// The session ends while a write of its own is under way: nobody knows. The same inside the
/// caller's transaction is a plain loss: an open transaction is rolled back.
async fn outcome_unknown(db: Db) {
    if db.backend == On::Sqlite {
        return; // is a library: there is no connection to lose
    }
    let ada = db.user(NAME).await;
    for inside_a_transaction in [false, true] {
        let holding = db.pool.begin().await.unwrap();
        assert!(become_host(&holding, ada.id).await.unwrap().is_new());
        let pool = db.pool_of(1).await;
        let waiting = tokio::spawn(async move {
            if inside_a_transaction {
                let txn = pool.begin().await.unwrap();
                become_host(&txn, ada.id).await.unwrap_err()
            } else {
                become_host(&pool, ada.id).await.unwrap_err()
            }
        });
        kill_the_waiting_session(&db).await;

        let error = waiting.await.unwrap();

        assert_discreet(&error);
        assert!(!error.is_retryable());
        match inside_a_transaction {
            false => assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error:?}"),
            true => assert!(matches!(error, Error::Database { .. }), "{error:?}"),
        }
        holding.rollback().await.unwrap();
    }
    assert!(become_host(&db.pool, ada.id).await.unwrap().is_new());
}

on_postgres!(aborted);

async fn aborted(db: Db) {
    let txn = db.pool.begin().await.unwrap();
    txn.execute_unprepared("SELECT 1 / 0").await.unwrap_err();
    let error = sign_up(&txn, email(NAME)).await.unwrap_err();
    assert!(matches!(error, Error::Aborted { .. }), "{error:?}");
    assert_discreet(&error);
    assert!(!error.is_retryable());
}

on_sqlite!(a_trigger_is_no_foreign_key);

/// An app's trigger raises SQLite's code of a restricting foreign key: it is no foreign key.
async fn a_trigger_is_no_foreign_key(db: Db) {
    let ada = db.host(NAME).await;
    db.execute(
        "CREATE TRIGGER keep BEFORE DELETE ON hosts
         BEGIN SELECT RAISE(ABORT, 'FOREIGN KEY hosts are kept'); END",
    )
    .await;
    let error = stop_hosting(&db.pool, ada.user_id).await.unwrap_err();
    assert!(matches!(error, Error::Database { .. }), "{error:?}");
}

/// Every operation can be awaited in a spawned task.
#[test]
fn futures_are_send() {
    fn is_send<T: Send>(_: T) {}
    let check = |db: &DatabaseConnection| {
        is_send(sign_up(db, email(NAME)));
        is_send(change_email(db, Uuid::nil(), email(NAME)));
        is_send(delete_user(db, Uuid::nil()));
        is_send(become_host(db, Uuid::nil()));
        is_send(guesthouse::onboard::<host::Entity>(db, Default::default()));
        is_send(stop_hosting(db, Uuid::nil()));
        is_send(Account::find(db, Uuid::nil()));
        is_send(guesthouse::Accounts::all().fetch(db));
        is_send(guesthouse::Accounts::all().count(db));
    };
    let _ = check;
    is_send(guest::Entity);
}
