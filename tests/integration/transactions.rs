//! Callers whose transactions meet.

use std::time::Duration;

use guesthouse::{
    Account, Accounts, Error, Onboarding, become_host, change_email, delete_user, host, sign_up,
    stop_hosting,
};
use sea_orm::{ConnectionTrait, DatabaseTransaction, IsolationLevel, Statement, TransactionTrait};
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

use crate::support::{Backend as On, TestDb as Db, email};

/// MariaDB refreshes `innodb_trx` only when nobody has read it for a tenth of a second, so two tests that
/// wait by it would keep each other from ever seeing what is new.
pub async fn turn_to_read_transactions() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());

    let turn = TURN.lock().await;
    let mut pause = tokio::time::interval(Duration::from_millis(150));
    pause.tick().await;
    pause.tick().await;
    turn
}

/// Returns once the server reports a session that waits for another one's lock. SQLite has no such
/// report: there the waiting caller may not have started yet, which changes no answer.
pub async fn until_someone_waits(db: &Db) {
    let sql = match db.backend {
        On::Sqlite => return,
        On::Postgres => {
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'"
        }
        On::MariaDb => {
            "SELECT count(*) FROM information_schema.innodb_trx t
             JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
             WHERE p.db = database() AND t.trx_state = 'LOCK WAIT'"
        }
    };
    loop {
        let _turn = turn_to_read_transactions().await;
        let row = db
            .pool
            .query_one_raw(Statement::from_string(db.pool.get_database_backend(), sql))
            .await
            .unwrap()
            .unwrap();
        if row.try_get_by_index::<i64>(0).unwrap() > 0 {
            return;
        }
    }
}

/// A transaction that has read, and so fixed what it sees.
async fn reader(db: &Db, level: IsolationLevel, user_id: Uuid) -> DatabaseTransaction {
    let level = (db.backend != On::Sqlite).then_some(level);
    let txn = db.pool.begin_with_config(level, None).await.unwrap();
    assert!(Account::find(&txn, user_id).await.unwrap().is_some());
    txn
}

/// `becoming` starts while `first` holds a host that is not committed yet.
async fn while_one_is_hosting(
    db: &Db,
    user_id: Uuid,
) -> (
    DatabaseTransaction,
    host::Model,
    tokio::task::JoinHandle<Result<Onboarding<host::Model>, Error>>,
) {
    let first = db.pool.begin().await.unwrap();
    let host = become_host(&first, user_id).await.unwrap();
    assert!(host.is_new());
    let pool = db.pool.clone();
    let becoming = tokio::spawn(async move { become_host(&pool, user_id).await });
    until_someone_waits(db).await;
    (first, host.into_model(), becoming)
}

on_each_backend!(
    after_a_winner_that_rolls_back_the_next_caller_is_new,
    after_a_winner_that_commits_the_next_caller_finds_it,
    repeatable_read_and_a_host_made_meanwhile,
    repeatable_read_and_an_address_taken_meanwhile,
    a_user_deleted_meanwhile_is_not_found,
    a_host_made_meanwhile_keeps_the_user,
    an_address_changed_meanwhile_is_taken,
);

async fn after_a_winner_that_rolls_back_the_next_caller_is_new(db: Db) {
    let ada = db.user("ada").await;
    let (first, lost, becoming) = while_one_is_hosting(&db, ada.id).await;

    first.rollback().await.unwrap();

    let host = becoming.await.unwrap().unwrap();
    assert!(host.is_new());
    assert_ne!(host.model().id, lost.id);
    assert_eq!(db.rows().await.hosts, [host.into_model()]);
}

async fn after_a_winner_that_commits_the_next_caller_finds_it(db: Db) {
    let ada = db.user("ada").await;
    let (first, host, becoming) = while_one_is_hosting(&db, ada.id).await;

    first.commit().await.unwrap();

    assert_eq!(
        becoming.await.unwrap().unwrap(),
        Onboarding::Existing(host.clone())
    );
    assert_eq!(db.rows().await.hosts, [host]);
}

/// A host that this transaction's snapshot does not show. MariaDB's locking read sees it; on
/// PostgreSQL and SQLite the transaction must be run again.
async fn repeatable_read_and_a_host_made_meanwhile(db: Db) {
    if db.backend == On::Sqlite {
        db.execute("PRAGMA journal_mode = WAL").await;
    }
    let ada = db.user("ada").await;
    let txn = reader(&db, IsolationLevel::RepeatableRead, ada.id).await;
    let host = become_host(&db.pool, ada.id).await.unwrap().into_model();

    let answer = become_host(&txn, ada.id).await;

    if db.finds_what_it_clashed_with().await {
        assert_eq!(answer.unwrap(), Onboarding::Existing(host.clone()));
        txn.commit().await.unwrap();
    } else {
        assert!(
            matches!(&answer, Err(error @ Error::Contention { .. }) if error.is_retryable()),
            "{answer:?}"
        );
        txn.rollback().await.unwrap();
    }
    assert_eq!(db.rows().await.hosts, [host]);
}

/// The same for an address.
async fn repeatable_read_and_an_address_taken_meanwhile(db: Db) {
    if db.backend == On::Sqlite {
        db.execute("PRAGMA journal_mode = WAL").await;
    }
    let ada = db.user("ada").await;
    let txn = reader(&db, IsolationLevel::RepeatableRead, ada.id).await;
    db.user("grace").await;
    let before = db.rows().await;

    let answer = sign_up(&txn, email("grace")).await;

    if db.finds_what_it_clashed_with().await {
        assert!(matches!(answer, Err(Error::EmailTaken)), "{answer:?}");
    } else {
        assert!(
            matches!(answer, Err(Error::Contention { .. })),
            "{answer:?}"
        );
    }
    txn.rollback().await.unwrap();
    assert_eq!(db.rows().await, before);
}

/// The user is deleted while `become_host` waits for that: there is nobody to make a host of.
async fn a_user_deleted_meanwhile_is_not_found(db: Db) {
    let ada = db.user("ada").await;
    let deleting = db.pool.begin().await.unwrap();
    delete_user(&deleting, ada.id).await.unwrap();
    let pool = db.pool.clone();
    let becoming = tokio::spawn(async move { become_host(&pool, ada.id).await });
    until_someone_waits(&db).await;

    deleting.commit().await.unwrap();

    let answer = becoming.await.unwrap();
    assert!(
        matches!(answer, Err(Error::UserNotFound { user_id }) if user_id == ada.id),
        "{answer:?}"
    );
    assert_eq!(db.rows().await.hosts.len(), 0);
}

/// The user becomes a host while `delete_user` waits: the host stays, and the user with it.
async fn a_host_made_meanwhile_keeps_the_user(db: Db) {
    let ada = db.user("ada").await;
    let before = db.rows().await;
    let becoming = db.pool.begin().await.unwrap();
    let host = become_host(&becoming, ada.id).await.unwrap().into_model();
    let pool = db.pool.clone();
    let deleting = tokio::spawn(async move { delete_user(&pool, ada.id).await });
    until_someone_waits(&db).await;

    becoming.commit().await.unwrap();

    let answer = deleting.await.unwrap();
    assert!(
        matches!(answer, Err(Error::StillHost { user_id }) if user_id == ada.id),
        "{answer:?}"
    );
    let rows = db.rows().await;
    assert_eq!(
        (rows.users, rows.guests, rows.hosts),
        (before.users, before.guests, vec![host])
    );
}

/// Of two who want one address the second one is refused when the first commits.
async fn an_address_changed_meanwhile_is_taken(db: Db) {
    let (ada, grace) = (db.user("ada").await, db.user("grace").await);
    let changing = db.pool.begin().await.unwrap();
    let ada = change_email(&changing, ada.id, email("queen"))
        .await
        .unwrap();
    let pool = db.pool.clone();
    let other = grace.id;
    let wanting = tokio::spawn(async move { change_email(&pool, other, email("queen")).await });
    until_someone_waits(&db).await;

    changing.commit().await.unwrap();

    let answer = wanting.await.unwrap();
    assert!(matches!(answer, Err(Error::EmailTaken)), "{answer:?}");
    assert_eq!(db.rows().await.users, [ada, grace]);
}

on_postgres!(a_dead_transaction_is_aborted);

/// Every operation in a transaction that has failed already says so.
async fn a_dead_transaction_is_aborted(db: Db) {
    let ada = db.host("ada").await;
    let before = db.rows().await;
    let txn = db.pool.begin().await.unwrap();
    txn.execute_unprepared("SELECT 1 / 0").await.unwrap_err();

    let id = ada.user_id;
    let answers = [
        sign_up(&txn, email("grace")).await.err(),
        change_email(&txn, id, email("grace")).await.err(),
        delete_user(&txn, id).await.err(),
        become_host(&txn, id).await.err(),
        stop_hosting(&txn, id).await.err(),
        Account::find(&txn, id).await.err(),
        Account::find_by_email(&txn, &email("ada")).await.err(),
        Accounts::all().fetch(&txn).await.err(),
        Accounts::all().count(&txn).await.err(),
    ];
    for (n, answer) in answers.iter().enumerate() {
        assert!(
            matches!(answer, Some(Error::Aborted { .. })),
            "{n}: {answer:?}"
        );
    }
    txn.rollback().await.unwrap();
    assert_eq!(db.rows().await, before);
}
