//! Trying again: after contention only, a bounded number of times, whole transactions.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use guesthouse::{
    Account, Accounts, Email, Error, attempts, become_host, host, retry, sign_up, transaction,
    transaction_with,
};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbErr, IsolationLevel, RuntimeErr, Statement,
    TransactionOptions, TransactionTrait,
    sqlx::error::{DatabaseError, ErrorKind},
};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::{
    support::{Backend as On, TestDb, email},
    transactions::turn_to_read_transactions,
};

fn contention() -> Error {
    Error::Contention {
        source: DbErr::Custom("made up".into()),
    }
}

/// What SQLite says when another connection writes.
#[derive(Debug, thiserror::Error)]
#[error("database is locked")]
struct Busy;

impl DatabaseError for Busy {
    fn message(&self) -> &str {
        "database is locked"
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some("5".into())
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }

    fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
        self
    }
}

/// Calls that fail so often before they succeed.
fn fails(times: usize, calls: &AtomicUsize) -> Result<usize, Error> {
    let call = calls.fetch_add(1, Ordering::Relaxed) + 1;
    if call <= times {
        Err(contention())
    } else {
        Ok(call)
    }
}

#[tokio::test]
async fn seven_times_more_at_most() {
    for (failures, expected) in [
        (0, Some(1)),
        (1, Some(2)),
        (7, Some(8)),
        (8, None),
        (100, None),
    ] {
        let calls = AtomicUsize::new(0);
        let outcome = retry(|| async { fails(failures, &calls) }).await;
        match expected {
            Some(call) => assert_eq!(outcome.unwrap(), call),
            None => assert!(
                matches!(outcome, Err(Error::Contention { .. })),
                "{outcome:?}"
            ),
        }
        assert_eq!(calls.into_inner(), expected.unwrap_or(8));
    }
}

#[tokio::test]
async fn nothing_but_contention_is_repeated() {
    let source = || DbErr::Custom("made up".into());
    let errors = [
        Error::EmailTaken,
        Error::UserNotFound {
            user_id: Uuid::nil(),
        },
        Error::StillHost {
            user_id: Uuid::nil(),
        },
        Error::StillReferenced { source: source() },
        Error::OutcomeUnknown { source: source() },
        Error::Aborted { source: source() },
        Error::Database { source: source() },
    ];
    for error in errors {
        let calls = AtomicUsize::new(0);
        let outcome: Result<(), _> = retry(|| async {
            calls.fetch_add(1, Ordering::Relaxed);
            Err(error.clone())
        })
        .await;
        assert_eq!(format!("{:?}", outcome.unwrap_err()), format!("{error:?}"));
        assert_eq!(calls.into_inner(), 1, "{error:?}");
    }
}

on_each_backend!(
    a_transaction_is_committed_or_undone_as_a_whole,
    a_handled_refusal_keeps_the_transaction,
    contention_inside_runs_the_whole_work_again,
    a_transaction_that_always_conflicts_stops_at_the_bound,
    attempts_stop_at_the_bound_of_the_caller,
    a_connection_that_always_conflicts_stops_at_the_bound,
    an_error_of_the_app_undoes_the_transaction,
    contention_within_an_error_of_the_app_is_found,
    twenty_serializable_transactions_all_succeed,
);

async fn a_transaction_is_committed_or_undone_as_a_whole(db: TestDb) {
    let made = transaction(&db.pool, async |txn| {
        let ada = sign_up(txn, email("ada")).await?;
        become_host(txn, ada.user.id).await
    })
    .await
    .unwrap();
    assert!(made.is_new());

    let before = db.rows().await;
    let refused = transaction(&db.pool, async |txn| {
        sign_up(txn, email("grace")).await?;
        sign_up(txn, email("ada")).await
    })
    .await;
    assert!(matches!(refused, Err(Error::EmailTaken)), "{refused:?}");
    assert_eq!(db.rows().await, before);
}

/// A refusal that the work handles does not undo the rest.
async fn a_handled_refusal_keeps_the_transaction(db: TestDb) {
    db.user("ada").await;
    let grace = transaction(&db.pool, async |txn| {
        match sign_up(txn, email("ada")).await {
            Err(Error::EmailTaken) => sign_up(txn, email("grace")).await,
            other => other,
        }
    })
    .await
    .unwrap();
    assert_eq!(
        Account::find(&db.pool, grace.user.id).await.unwrap(),
        Some(grace)
    );
}

/// Each attempt starts from nothing: what an earlier one wrote is gone.
async fn contention_inside_runs_the_whole_work_again(db: TestDb) {
    let calls = AtomicUsize::new(0);
    let account = transaction(&db.pool, async |txn| {
        let account = sign_up(txn, email("ada")).await?;
        fails(3, &calls)?;
        Ok::<_, Error>(account)
    })
    .await
    .unwrap();
    assert_eq!(calls.into_inner(), 4);
    assert_eq!(db.rows().await.users, [account.user]);
}

async fn a_transaction_that_always_conflicts_stops_at_the_bound(db: TestDb) {
    let calls = AtomicUsize::new(0);
    let outcome = transaction(&db.pool, async |txn| {
        sign_up(txn, email("ada")).await?;
        fails(100, &calls)
    })
    .await;
    assert!(
        matches!(outcome, Err(Error::Contention { .. })),
        "{outcome:?}"
    );
    assert_eq!(calls.into_inner(), 8);
    assert_eq!(db.rows().await.users.len(), 0);
}

async fn attempts_stop_at_the_bound_of_the_caller(db: TestDb) {
    for (bound, expected) in [(0, 1), (1, 1), (3, 3)] {
        let calls = AtomicUsize::new(0);
        let mut attempts = attempts(&db.pool).at_most(bound);
        let outcome = loop {
            let txn = attempts.begin().await.unwrap();
            sign_up(&txn, email("ada")).await.unwrap();
            if let Some(outcome) = attempts.end(txn, fails(100, &calls)).await {
                break outcome;
            }
        };
        assert!(
            matches!(outcome, Err(Error::Contention { .. })),
            "{outcome:?}"
        );
        assert_eq!(calls.into_inner(), expected);
    }
    assert_eq!(db.rows().await.users.len(), 0);
}

/// Somebody holds what everybody wants, for good: eight attempts reach the database, no more.
async fn a_connection_that_always_conflicts_stops_at_the_bound(db: TestDb) {
    let ada = db.user("ada").await;
    let holding = db.pool.begin().await.unwrap();
    assert!(become_host(&holding, ada.id).await.unwrap().is_new());
    let (pool, statements) = db.counted_pool().await;
    // Both connections of the pool are told not to wait.
    let setting = match db.backend {
        On::Sqlite => "PRAGMA busy_timeout = 0",
        On::Postgres => "SET lock_timeout = '1ms'",
        On::MariaDb => "SET innodb_lock_wait_timeout = 0",
    };
    let (one, other) = (pool.begin().await.unwrap(), pool.begin().await.unwrap());
    for connection in [one, other] {
        connection.execute_unprepared(setting).await.unwrap();
        connection.commit().await.unwrap();
    }
    statements.take();

    let outcome = retry(|| become_host(&pool, ada.id)).await;

    assert!(
        matches!(outcome, Err(Error::Contention { .. })),
        "{outcome:?}"
    );
    assert_eq!(statements.take().len(), 8);
    holding.rollback().await.unwrap();
    assert!(retry(|| become_host(&pool, ada.id)).await.unwrap().is_new());
}

/// What the app made of it is returned, and nothing is kept.
async fn an_error_of_the_app_undoes_the_transaction(db: TestDb) {
    let calls = AtomicUsize::new(0);
    let outcome: Result<(), _> = transaction(&db.pool, async |txn| {
        calls.fetch_add(1, Ordering::Relaxed);
        sign_up(txn, email("ada")).await?;
        Err(AppError::TooYoung)
    })
    .await;
    assert!(matches!(outcome, Err(AppError::TooYoung)), "{outcome:?}");
    assert_eq!(calls.into_inner(), 1);
    assert_eq!(db.rows().await.users.len(), 0);
}

/// Contention that the app's own error type hides as it is, or shows what it came from.
async fn contention_within_an_error_of_the_app_is_found(db: TestDb) {
    let as_the_app_has_it: [fn(Error) -> AppError; 3] =
        [AppError::Guesthouse, AppError::Wrapped, |error| {
            AppError::Boxed(Box::new(AppError::Wrapped(error)))
        }];
    let busy = || -> DbErr {
        let busy = sea_orm::sqlx::Error::Database(Box::new(Busy));
        DbErr::Query(RuntimeErr::SqlxError(busy.into()))
    };
    for (n, wrap) in as_the_app_has_it.into_iter().enumerate() {
        let calls = AtomicUsize::new(0);
        let made = transaction(&db.pool, async |txn| {
            let account = sign_up(txn, email(&format!("user{n}"))).await?;
            if calls.fetch_add(1, Ordering::Relaxed) < 2 {
                return Err(wrap(Error::from(busy())));
            }
            Ok::<_, AppError>(account)
        })
        .await
        .unwrap();
        assert_eq!(calls.into_inner(), 3);
        assert_eq!(db.rows().await.users.len(), n + 1);
        assert_eq!(
            Account::find(&db.pool, made.user.id).await.unwrap(),
            Some(made)
        );
    }
}

/// Twenty transactions that read before they write, in tasks of their own. None may see what
/// another one has half done, and all get through.
async fn twenty_serializable_transactions_all_succeed(db: TestDb) {
    let pool = Arc::new(db.pool_of(20).await);
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let sqlite = pool.get_database_backend() == sea_orm::DbBackend::Sqlite;
                transaction(&pool, async move |txn| {
                    if !sqlite {
                        // MariaDB sets the level of the next transaction, and this one runs at
                        // its default; there the rows lock.
                        let sql = "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE";
                        let _ = txn.execute_unprepared(sql).await;
                    }
                    let before = Accounts::all().count(txn).await?;
                    let account = sign_up(txn, email(&format!("user{n}"))).await?;
                    become_host(txn, account.user.id)
                        .await
                        .map(|host| (before, host))
                })
                .await
            })
        })
        .collect();
    let mut seen = Vec::new();
    for task in tasks {
        let (before, host) = task.await.unwrap().unwrap();
        assert!(host.is_new());
        seen.push(before);
    }
    let rows = db.rows().await;
    assert_eq!(
        (rows.users.len(), rows.guests.len(), rows.hosts.len()),
        (20, 20, 20)
    );
    if db.backend != On::MariaDb {
        // Serializable: as if one after the other, so each one counted another number.
        seen.sort_unstable();
        assert_eq!(seen, (0..20).collect::<Vec<_>>());
    }
}

#[derive(Debug, thiserror::Error)]
enum AppError {
    #[error("too young to host")]
    TooYoung,
    #[error(transparent)]
    Guesthouse(#[from] Error),
    #[error("the library has failed")]
    Wrapped(#[source] Error),
    #[error("something has failed")]
    Boxed(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Database(#[from] DbErr),
}

on_servers!(
    contention_of_the_apps_own_statement_runs_the_work_again,
    a_transaction_has_the_isolation_level_that_it_was_given,
);

/// Somebody holds the row that the app's own statement wants in the first attempt.
async fn contention_of_the_apps_own_statement_runs_the_work_again(db: TestDb) {
    let ada = db.user("ada").await;
    let wanted = "SELECT email FROM users FOR UPDATE";
    let holding = db.pool.begin().await.unwrap();
    holding.execute_unprepared(wanted).await.unwrap();
    let holding = Mutex::new(Some(holding));
    let pool = db.pool_of(1).await;
    let do_not_wait = match db.backend {
        On::Postgres => "SET LOCAL lock_timeout = '1ms'",
        _ => "SET innodb_lock_wait_timeout = 0",
    };
    let calls = AtomicUsize::new(0);

    let host = transaction(&pool, async |txn| {
        txn.execute_unprepared(do_not_wait).await?;
        if calls.fetch_add(1, Ordering::Relaxed) == 1 {
            let held = holding.lock().await.take();
            held.expect("held until now").rollback().await?;
        }
        txn.execute_unprepared(wanted).await?;
        Ok::<_, AppError>(become_host(txn, ada.id).await?)
    })
    .await
    .unwrap();

    assert!(host.is_new());
    assert_eq!(calls.into_inner(), 2);
    assert_eq!(db.rows().await.hosts, [host.into_model()]);
}

/// The level holds on every database that has levels, MariaDB among them.
async fn a_transaction_has_the_isolation_level_that_it_was_given(db: TestDb) {
    let ask = match db.backend {
        On::Postgres => "SELECT current_setting('transaction_isolation')",
        _ => {
            "SELECT trx_isolation_level FROM information_schema.innodb_trx \
             WHERE trx_mysql_thread_id = connection_id()"
        }
    };
    let options = TransactionOptions {
        isolation_level: Some(IsolationLevel::Serializable),
        ..Default::default()
    };
    let level = transaction_with(&db.pool, options, async |txn| {
        sign_up(txn, email("ada")).await?;
        let ask = Statement::from_string(txn.get_database_backend(), ask);
        let _turn = turn_to_read_transactions().await;
        let row = txn.query_one_raw(ask).await?.expect("a row");
        Ok::<String, AppError>(row.try_get_by_index(0)?)
    })
    .await
    .unwrap();
    assert_eq!(level.to_lowercase(), "serializable");
}

on_postgres!(an_error_passed_over_is_not_committed);

/// PostgreSQL answers the COMMIT of a dead transaction with success; the caller is told the truth.
async fn an_error_passed_over_is_not_committed(db: TestDb) {
    let outcome = transaction(&db.pool, async |txn| {
        let account = sign_up(txn, email("ada")).await?;
        let _ = txn.execute_unprepared("SELECT 1 / 0").await;
        Ok::<_, Error>(account)
    })
    .await;
    assert!(matches!(outcome, Err(Error::Aborted { .. })), "{outcome:?}");
    assert_eq!(db.rows().await.users.len(), 0);
}

on_sqlite!(
    retry_is_send_with_borrowed_captures,
    attempts_are_send_with_borrowed_captures,
);

/// The form that the documentation gives for axum handlers and spawned tasks.
async fn retry_is_send_with_borrowed_captures(db: TestDb) {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let ada = db.user("ada").await;
    let host = is_send(retry(|| become_host(&db.pool, ada.id)))
        .await
        .unwrap();
    assert!(host.is_new());
}

/// The form that the documentation gives for handlers that borrow, and that it is a whole transaction.
async fn attempts_are_send_with_borrowed_captures(db: TestDb) {
    async fn accept(
        db: &DatabaseConnection,
        address: &Email,
        calls: &AtomicUsize,
    ) -> Result<host::Model, AppError> {
        let mut attempts = attempts(db);
        loop {
            let txn = attempts.begin().await?;
            let outcome = async {
                let user = sign_up(&txn, address.clone()).await?.user;
                fails(2, calls)?;
                Ok::<_, AppError>(become_host(&txn, user.id).await?.into_model())
            }
            .await;
            if let Some(answer) = attempts.end(txn, outcome).await {
                return answer;
            }
        }
    }

    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let (address, calls) = (email("ada"), AtomicUsize::new(0));
    let failed = is_send(accept(&db.pool, &address, &calls)).await;
    // What the app made up says nothing in its source, so it is not tried again.
    assert!(matches!(failed, Err(AppError::Guesthouse(_))), "{failed:?}");
    assert_eq!(db.rows().await.users.len(), 0);

    calls.store(2, Ordering::Relaxed);
    let host = accept(&db.pool, &address, &calls).await.unwrap();
    assert_eq!(db.rows().await.hosts, [host]);
}
