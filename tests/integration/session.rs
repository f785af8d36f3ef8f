//! One connection held for several calls: what it keeps, refuses and gives back.

use guesthouse::{
    Account, Error, Session, SessionTransaction, become_host, delete_user, sign_up, stop_hosting,
    user,
};
use sea_orm::{
    AccessMode, ActiveModelTrait, ActiveValue::Set, ConnectionTrait, DatabaseConnection, DbErr,
    EntityTrait, IsolationLevel, PaginatorTrait, Statement, TransactionError, TransactionTrait,
    error::ConnAcquireErr,
};
use tokio::join;
use uuid::Uuid;

use crate::{
    connections::every_operation,
    support::{Backend as On, GiveUp, TestDb as Db, email},
};

/// More than any of the calls here takes.
const MOST_POLLS: usize = 40;

/// The server's number of the connection. SQLite has none, so a temporary table stands for one.
async fn number(db: &impl ConnectionTrait, on: On) -> Option<String> {
    let sql = match on {
        On::Postgres => "SELECT CAST(pg_backend_pid() AS text)",
        On::MariaDb => "SELECT CAST(connection_id() AS char)",
        On::Sqlite => "SELECT name FROM sqlite_temp_schema",
    };
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let row = db.query_one_raw(statement).await.unwrap()?;
    Some(row.try_get_by_index(0).unwrap())
}

fn is_gone(error: &Error) -> bool {
    matches!(
        error,
        Error::Database {
            source: DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed)
        }
    )
}

async fn users(db: &DatabaseConnection) -> u64 {
    user::Entity::find().count(db).await.unwrap()
}

on_each_backend!(
    every_operation_works_on_a_session,
    every_operation_works_in_a_transaction_on_a_session,
    a_savepoint_ends_alone,
    a_closure_commits_or_rolls_back,
    a_dropped_call_closes_the_session,
    a_call_that_is_dropped_while_it_waits_closes_the_session,
    a_dropped_call_in_a_transaction_rolls_it_back,
    a_dropped_transaction_is_rolled_back,
    a_transaction_begins_by_begin_alone,
    a_released_session_gives_its_connection_back,
    several_tasks_share_a_session,
    a_transaction_of_one_task_keeps_the_others_waiting,
);

async fn every_operation_works_on_a_session(db: Db) {
    let session = Session::acquire(&db.pool).await.unwrap();
    every_operation(&session).await;
    assert_eq!(
        db.rows().await.users.len(),
        2,
        "each call has committed by itself"
    );
    session.release().await;
}

async fn every_operation_works_in_a_transaction_on_a_session(db: Db) {
    let session = Session::acquire(&db.pool).await.unwrap();
    let txn = session.begin().await.unwrap();
    every_operation(&txn).await;
    assert_eq!(users(&db.pool).await, 0, "nothing is committed yet");
    txn.commit().await.unwrap();
    assert_eq!(users(&db.pool).await, 2);

    let txn = session.begin().await.unwrap();
    sign_up(&txn, email("late")).await.unwrap();
    txn.rollback().await.unwrap();
    assert_eq!(users(&db.pool).await, 2);
    session.release().await;
}

async fn a_savepoint_ends_alone(db: Db) {
    let session = Session::acquire(&db.pool).await.unwrap();
    let txn = session.begin().await.unwrap();
    sign_up(&txn, email("ada")).await.unwrap();
    let kept = txn.begin().await.unwrap();
    sign_up(&kept, email("grace")).await.unwrap();
    kept.commit().await.unwrap();
    let undone = txn.begin().await.unwrap();
    sign_up(&undone, email("mary")).await.unwrap();
    undone.rollback().await.unwrap();
    sign_up(&txn, email("mary")).await.unwrap();
    txn.commit().await.unwrap();

    let stored = db.rows().await.users;
    let emails: Vec<_> = stored.iter().map(|user| user.email.as_str()).collect();
    assert_eq!(
        emails,
        ["ada@example.com", "grace@example.com", "mary@example.com"]
    );
}

async fn a_closure_commits_or_rolls_back(db: Db) {
    let session = Session::acquire(&db.pool).await.unwrap();
    let begun = session
        .transaction(|txn| Box::pin(async move { sign_up(txn, email("ada")).await.map(drop) }))
        .await;
    begun.unwrap();
    let refused = session
        .transaction_with_config(
            |txn| {
                Box::pin(async move {
                    sign_up(txn, email("grace")).await?;
                    sign_up(txn, email("ada")).await.map(drop)
                })
            },
            Some(IsolationLevel::Serializable),
            Some(AccessMode::ReadWrite),
        )
        .await;
    assert!(
        matches!(
            &refused,
            Err(TransactionError::Transaction(Error::EmailTaken))
        ),
        "{refused:?}"
    );
    assert_eq!(users(&db.pool).await, 1);
    session.release().await;
}

/// Nobody else gets the connection, and nothing is sent on what is left.
async fn a_dropped_call_closes_the_session(db: Db) {
    let pool = db.pool_of(2).await;
    for polls in 0..MOST_POLLS {
        for at_once in [true, false] {
            let ada = db.user(&format!("ada-{polls}-{at_once}")).await;
            let session = Session::acquire(&pool).await.unwrap();
            let cut = GiveUp { polls, at_once };
            let answer = cut.on(become_host(&session, ada.id)).await;
            let next = stop_hosting(&session, ada.id).await;
            match answer {
                Some(host) => {
                    let host = host.unwrap().into_model();
                    assert_eq!(next.unwrap(), Some(host), "what was acknowledged was there");
                }
                None => match next {
                    // It was dropped before anything was sent.
                    Ok(None) => {}
                    Ok(Some(host)) => panic!("{host:?} was never acknowledged"),
                    Err(error) => assert!(is_gone(&error), "{error:?}"),
                },
            }
            session.release().await;
            assert!(
                Account::find(&pool, ada.id).await.unwrap().is_some(),
                "the pool goes on"
            );
        }
    }
}

/// As above, at a moment when the call cannot have come to its end: another transaction has what it
/// waits for.
async fn a_call_that_is_dropped_while_it_waits_closes_the_session(db: Db) {
    let ada = db.user("ada").await;
    let session = Session::acquire(&db.pool).await.unwrap();
    let other = db.pool_of(1).await.begin().await.unwrap();
    other
        .execute_unprepared("DELETE FROM guests")
        .await
        .unwrap();
    let cut = GiveUp {
        polls: 1,
        at_once: true,
    };
    assert!(cut.on(delete_user(&session, ada.id)).await.is_none());
    let refused = sign_up(&session, email("grace")).await.unwrap_err();
    assert!(is_gone(&refused), "{refused:?}");
    session.release().await;
    other.rollback().await.unwrap();
    // What was sent may be done, or not; what was refused was not.
    let grace = Account::find_by_email(&db.pool, &email("grace"))
        .await
        .unwrap();
    assert_eq!(grace, None);
}

async fn a_dropped_call_in_a_transaction_rolls_it_back(db: Db) {
    for polls in 0..MOST_POLLS {
        let ada = db.user(&format!("ada-{polls}")).await;
        let session = Session::acquire(&db.pool).await.unwrap();
        let txn = session.begin().await.unwrap();
        assert!(become_host(&txn, ada.id).await.unwrap().is_new());
        let cut = GiveUp {
            polls,
            at_once: true,
        };
        let answer = cut
            .on(sign_up(&txn, email(&format!("grace-{polls}"))))
            .await;
        let committed = txn.commit().await;
        let account = Account::find(&db.pool, ada.id).await.unwrap().unwrap();
        assert_eq!(account.is_host(), committed.is_ok());
        if answer.is_some() {
            committed.unwrap();
        }
    }
}

async fn a_dropped_transaction_is_rolled_back(db: Db) {
    let session = Session::acquire(&db.pool).await.unwrap();
    let txn = session.begin().await.unwrap();
    let savepoint = txn.begin().await.unwrap();
    sign_up(&savepoint, email("ada")).await.unwrap();
    drop(savepoint);
    let refused = sign_up(&txn, email("grace")).await.unwrap_err();
    assert!(is_gone(&refused), "{refused:?}");
    txn.commit().await.unwrap_err();
    let refused = sign_up(&session, email("mary")).await.unwrap_err();
    assert!(is_gone(&refused), "{refused:?}");
    assert_eq!(users(&db.pool).await, 0);
}

/// A statement that begins a transaction would make each later `Ok` untrue.
async fn a_transaction_begins_by_begin_alone(db: Db) {
    let session = Session::acquire(&db.pool).await.unwrap();
    let backend = session.get_database_backend();
    for sql in [
        "BEGIN",
        "begin immediate",
        " BEGIN; SELECT 1",
        "START TRANSACTION",
        "-- now\n /* or then */ Begin Work",
        "SET autocommit = 0",
        "SET SESSION autocommit = OFF",
        "XA START 'x'",
        "SAVEPOINT s",
        "SELECT 1; /* and then */ BEGIN",
        "SELECT ';\"'; START TRANSACTION",
    ] {
        let statement = || Statement::from_string(backend, sql);
        for outcome in [
            session.execute_unprepared(sql).await.map(drop),
            session.execute_raw(statement()).await.map(drop),
            session.query_one_raw(statement()).await.map(drop),
            session.query_all_raw(statement()).await.map(drop),
        ] {
            assert!(
                matches!(outcome, Err(DbErr::Custom(_))),
                "{sql}: {outcome:?}"
            );
        }
    }
    sign_up(&session, email("ada")).await.unwrap();
    drop(session);
    assert_eq!(users(&db.pool).await, 1);
}

async fn a_released_session_gives_its_connection_back(db: Db) {
    let pool = db.pool_of(1).await;
    if db.backend == On::Sqlite {
        pool.execute_unprepared("CREATE TEMP TABLE mark (id)")
            .await
            .unwrap();
    }
    let first = number(&pool, db.backend).await;
    assert!(first.is_some());

    let session = Session::acquire(&pool).await.unwrap();
    assert_eq!(number(&session, db.backend).await, first);
    session.release().await;
    assert_eq!(number(&pool, db.backend).await, first);

    drop(Session::acquire(&pool).await.unwrap());
    assert_ne!(number(&pool, db.backend).await, first, "it was closed");
}

/// One session, many tasks: they wait for each other.
async fn several_tasks_share_a_session(db: Db) {
    let ada = db.user("ada").await;
    let session = Session::acquire(&db.pool).await.unwrap();
    let (first, second, grace, mary) = join!(
        become_host(&session, ada.id),
        become_host(&session, ada.id),
        sign_up(&session, email("grace")),
        sign_up(&session, email("mary")),
    );
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(first.is_new() != second.is_new());
    assert_eq!(first.into_model(), second.into_model());
    grace.unwrap();
    mary.unwrap();
    let rows = db.rows().await;
    assert_eq!(
        (rows.users.len(), rows.guests.len(), rows.hosts.len()),
        (3, 3, 1)
    );
    session.release().await;
}

async fn a_transaction_of_one_task_keeps_the_others_waiting(db: Db) {
    let session = Session::acquire(&db.pool).await.unwrap();
    let txn = session.begin().await.unwrap();
    let waiting = sign_up(&session, email("grace"));
    let (committed, grace) = join!(
        async {
            sign_up(&txn, email("ada")).await?;
            txn.commit().await.map_err(Error::from)
        },
        waiting
    );
    committed.unwrap();
    grace.unwrap();
    assert_eq!(users(&db.pool).await, 2);
}

/// Does something that the database ends or spoils the transaction for.
async fn spoil(txn: &SessionTransaction, on: On) {
    let sql = match on {
        On::Postgres => "SELECT 1 / 0",
        On::MariaDb => "ALTER TABLE hosts COMMENT = 'commits what was there'",
        On::Sqlite => "ROLLBACK",
    };
    let _ = txn.execute_unprepared(sql).await;
}

on_each_backend!(a_commit_of_nothing_is_an_error);

async fn a_commit_of_nothing_is_an_error(db: Db) {
    let session = Session::acquire(&db.pool).await.unwrap();
    let txn = session.begin().await.unwrap();
    spoil(&txn, db.backend).await;
    let outcome = txn.commit().await;
    assert!(outcome.is_err(), "there was nothing to commit");
    sign_up(&session, email("ada")).await.unwrap();
    session.release().await;
    assert_eq!(users(&db.pool).await, 1);
}

on_postgres!(a_plain_commit_of_nothing_succeeds);

/// The twin: a transaction of SeaORM reports success where the server has nothing to commit.
async fn a_plain_commit_of_nothing_succeeds(db: Db) {
    let txn = db.pool.begin().await.unwrap();
    let ada = user::ActiveModel {
        id: Set(Uuid::now_v7()),
        email: Set("ada@example.com".into()),
        ..Default::default()
    };
    ada.insert(&txn).await.unwrap();
    let _ = txn.execute_unprepared("SELECT 1 / 0").await;
    txn.commit().await.unwrap();
    assert_eq!(users(&db.pool).await, 0, "the commit was acknowledged");
}
