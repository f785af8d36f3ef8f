//! A transaction that the database has ended: whoever goes on in it is told.

use std::sync::atomic::{AtomicBool, Ordering};

use guesthouse::{
    Account, Accounts, Error, backfill_guests, become_host, become_hosts, change_email,
    delete_user, sign_up, sign_up_all, sign_up_with_id, stop_hosting, transaction, user,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ConnectionTrait, DatabaseConnection, DatabaseTransaction,
    Statement, TransactionTrait,
};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::{
    support::{Backend as On, TestDb as Db, email},
    transactions::until_someone_waits,
};

/// How the database comes to end a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// SQLite: a trigger of the app's raises it.
    Raised,
    /// MariaDB: two wait for each other, and this one has less to undo.
    Deadlock,
    /// MariaDB: a row is not what the snapshot shows (the default since 11.6.2).
    Snapshot,
}

/// Makes a test of `$check` for each way.
macro_rules! for_each_end {
    ($name:ident: $check:path) => {
        mod $name {
            use super::*;

            on_sqlite!(raised);
            on_mariadb!(deadlock, snapshot);

            async fn raised(db: Db) {
                $check(db, End::Raised).await;
            }

            async fn deadlock(db: Db) {
                $check(db, End::Deadlock).await;
            }

            async fn snapshot(db: Db) {
                $check(db, End::Snapshot).await;
            }
        }
    };
}

/// Ada is a host, bob and dan are not, and eve was inserted without a guest.
struct People {
    ada: Uuid,
    bob: Uuid,
    dan: Uuid,
    eve: Uuid,
}

impl People {
    async fn of(db: &Db) -> Self {
        Self::of_round(db, 0).await
    }

    async fn of_round(db: &Db, round: usize) -> Self {
        let eve = user::ActiveModel {
            email: Set(format!("eve{round}@example.com")),
            ..Default::default()
        };
        Self {
            ada: db.host(&format!("ada{round}")).await.user_id,
            bob: db.user(&format!("bob{round}")).await.id,
            dan: db.user(&format!("dan{round}")).await.id,
            eve: eve.insert(&db.pool).await.unwrap().id,
        }
    }
}

impl End {
    /// A pool on which a transaction can be ended so, from outside the transaction.
    async fn prepare(self, db: &Db, people: &People) -> DatabaseConnection {
        let pool = db.pool_of(1).await;
        match self {
            Self::Raised => {
                db.execute(&format!(
                    "CREATE TRIGGER ends_{0} BEFORE INSERT ON hosts WHEN NEW.user_id = x'{0}'
                     BEGIN SELECT RAISE(ROLLBACK, 'over'); END",
                    people.bob.simple()
                ))
                .await;
            }
            Self::Deadlock => {}
            Self::Snapshot => {
                pool.execute_unprepared("SET innodb_snapshot_isolation = ON")
                    .await
                    .unwrap();
                // The snapshot is of REPEATABLE READ, whatever the server's default is.
                pool.execute_unprepared("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                    .await
                    .unwrap();
            }
        }
        pool
    }

    /// Lets `call` be the one at which the database ends `txn`, and gives back what it answered.
    async fn meet(
        self,
        db: &Db,
        txn: &DatabaseTransaction,
        people: &People,
        call: impl AsyncFnOnce(&DatabaseTransaction) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self {
            Self::Raised => call(txn).await,
            Self::Deadlock => {
                let rival = rival_who_waits(db, txn, people).await;
                let answer = call(txn).await;
                rival.await.unwrap();
                answer
            }
            Self::Snapshot => {
                Accounts::all().count(txn).await.unwrap();
                let pool = &db.pool;
                let _ = become_host(pool, people.bob).await.unwrap();
                stop_hosting(pool, people.ada).await.unwrap();
                call(txn).await
            }
        }
    }
}

/// Another caller with much to undo, who has bob's place among the hosts and waits for dan's, which
/// `txn` has. Ada's hosting and bob's e-mail address are in its hands too.
async fn rival_who_waits(db: &Db, txn: &DatabaseTransaction, people: &People) -> JoinHandle<()> {
    let rival = db.pool.begin().await.unwrap();
    let many = (0..200).map(|n| email(&format!("rival{n}"))).collect();
    sign_up_all(&rival, many).await.unwrap();
    let _ = become_host(&rival, people.bob).await.unwrap();
    stop_hosting(&rival, people.ada).await.unwrap();
    let _ = become_host(txn, people.dan).await.unwrap();
    let dan = people.dan;
    let waiting = tokio::spawn(async move {
        let _ = become_host(&rival, dan).await.unwrap();
        rival.rollback().await.unwrap();
    });
    until_someone_waits(db).await;
    waiting
}

fn name(call: usize) -> &'static str {
    [
        "sign_up",
        "sign_up_with_id",
        "become_host",
        "stop_hosting",
        "change_email",
        "delete_user",
        "sign_up_all",
        "become_hosts",
        "backfill_guests",
    ][call]
}

const CALLS: usize = 9;

async fn call(number: usize, txn: &DatabaseTransaction, people: &People) -> Result<(), Error> {
    let new = email(&format!("new-{number}"));
    match name(number) {
        "sign_up" => sign_up(txn, new).await.map(drop),
        "sign_up_with_id" => sign_up_with_id(txn, Uuid::now_v7(), new).await.map(drop),
        "become_host" => become_host(txn, people.dan).await.map(drop),
        "stop_hosting" => stop_hosting(txn, people.ada).await.map(drop),
        "change_email" => change_email(txn, people.dan, new).await.map(drop),
        "delete_user" => delete_user(txn, people.dan).await,
        "sign_up_all" => sign_up_all(txn, vec![new]).await.map(drop),
        "become_hosts" => become_hosts(txn, &[people.dan, people.eve]).await.map(drop),
        _ => backfill_guests(txn, |_| ()).await.map(drop),
    }
}

/// The call at which the transaction ends, alone and in bulk: the second one is inside a savepoint.
async fn ending(number: usize, txn: &DatabaseTransaction, people: &People) -> Result<(), Error> {
    match number {
        0 => become_host(txn, people.bob).await.map(drop),
        _ => become_hosts(txn, &[people.bob]).await.map(drop),
    }
}

fn code(error: &Error) -> String {
    let text = error.to_string();
    match text.rsplit_once("(code ") {
        Some((_, code)) => code.trim_end_matches(')').to_owned(),
        None => text,
    }
}

for_each_end!(every_later_call_is_an_error: go_on_after);

/// What ends the transaction is told as what it is; after that no call answers with success, and
/// none writes anything.
async fn go_on_after(db: Db, end: End) {
    let mut wrong = Vec::new();
    for round in 0..2 * CALLS {
        let (ended_by, number) = (round / CALLS, round % CALLS);
        // Nobody who was written to when nobody should have been comes up again.
        let people = People::of_round(&db, round).await;
        let pool = end.prepare(&db, &people).await;
        let txn = pool.begin().await.unwrap();
        let first = sign_up(&txn, email(&format!("first{round}")))
            .await
            .unwrap();
        let ended = end
            .meet(&db, &txn, &people, async |txn| {
                ending(ended_by, txn, &people).await
            })
            .await
            .unwrap_err();
        let before = db.rows().await;

        let later = call(number, &txn, &people).await;

        let (expected, retryable) = match end {
            End::Raised => ("1811", false),
            End::Deadlock => ("1213", true),
            End::Snapshot => ("1020", true),
        };
        if (code(&ended).as_str(), ended.is_retryable()) != (expected, retryable) {
            wrong.push(format!("{end:?}: told as {ended:?}"));
        }
        if later.is_ok() {
            wrong.push(format!("{end:?}, then {}: Ok", name(number)));
        }
        // What the app's own COMMIT or ROLLBACK of nothing answers is the driver's.
        let _ = txn.rollback().await;
        if db.rows().await != before {
            wrong.push(format!("{end:?}, then {}: written", name(number)));
        }
        assert!(!before.users.contains(&first.user));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

mod the_callers_next_statement_is_not_told_of_our_savepoint {
    use super::*;

    on_mariadb!(deadlock, snapshot);

    async fn deadlock(db: Db) {
        go_on_with_ones_own(db, End::Deadlock).await;
    }

    async fn snapshot(db: Db) {
        go_on_with_ones_own(db, End::Snapshot).await;
    }
}

/// The savepoint that a call had set went with the transaction. That it can no longer be undone is
/// nothing that the caller's own next statement may fail with.
async fn go_on_with_ones_own(db: Db, end: End) {
    let people = People::of(&db).await;
    let pool = end.prepare(&db, &people).await;
    let txn = pool.begin().await.unwrap();
    sign_up(&txn, email("first")).await.unwrap();
    end.meet(&db, &txn, &people, async |txn| {
        ending(1, txn, &people).await
    })
    .await
    .unwrap_err();

    let own = txn.execute_unprepared("SELECT 1").await;

    if let Err(error) = own {
        assert!(!error.to_string().contains("SAVEPOINT"), "{error}");
    }
}

/// What the work does after the error that it passes over.
#[derive(Clone, Copy, Debug)]
enum Then {
    Nothing,
    Read,
    BecomeHost,
    SignUp,
}

for_each_end!(a_retried_transaction_keeps_all_or_nothing: pass_over);

/// The work passes over the error that ended its transaction. Its first attempt is undone as a
/// whole; it is told so, or another attempt keeps everything.
async fn pass_over(db: Db, end: End) {
    let mut round = 0;
    for then in [Then::Nothing, Then::Read, Then::BecomeHost, Then::SignUp] {
        for ended_by in 0..2 {
            round += 1;
            let people = People::of_round(&db, round).await;
            let [first, last] = ["first", "last"].map(|name| email(&format!("{name}{round}")));
            let pool = end.prepare(&db, &people).await;
            let first_attempt = AtomicBool::new(true);
            let before = db.rows().await;

            let outcome = transaction(&pool, async |txn| {
                let first = sign_up(txn, first.clone()).await?;
                if first_attempt.swap(false, Ordering::Relaxed) || end == End::Raised {
                    let passed_over = end
                        .meet(&db, txn, &people, async |txn| {
                            ending(ended_by, txn, &people).await
                        })
                        .await;
                    assert!(passed_over.is_err(), "{passed_over:?}");
                }
                match then {
                    Then::Nothing => {}
                    Then::Read => drop(Account::find(txn, people.dan).await),
                    Then::BecomeHost => drop(become_host(txn, people.dan).await?),
                    Then::SignUp => drop(sign_up(txn, last.clone()).await?),
                }
                Ok(first)
            })
            .await;

            let stored = db.rows().await;
            match outcome {
                Ok(first) => {
                    let kept = Account::find(&db.pool, first.user.id).await.unwrap();
                    assert_eq!(kept, Some(first), "{end:?}, then {then:?}");
                    let host = Account::find(&db.pool, people.dan).await.unwrap();
                    let last = Account::find_by_email(&db.pool, &last).await;
                    match then {
                        Then::BecomeHost => assert!(host.unwrap().is_host()),
                        Then::SignUp => assert!(last.unwrap().is_some()),
                        Then::Nothing | Then::Read => {}
                    }
                }
                Err(error) => {
                    assert!(
                        matches!(error, Error::Contention { .. } | Error::Aborted { .. })
                            || end == End::Raised,
                        "{end:?}, then {then:?}: {error:?}"
                    );
                    assert_eq!(stored.users, before.users, "{end:?}, then {then:?}");
                    assert_eq!(stored.guests, before.guests, "{end:?}, then {then:?}");
                    let dan = Account::find(&db.pool, people.dan).await.unwrap();
                    assert!(!dan.unwrap().is_host(), "{end:?}, then {then:?}");
                }
            }
        }
    }
}

/// Signs up until the disk is full, and three times more. What was acknowledged.
async fn fill_the_disk(txn: &DatabaseTransaction, in_bulk: bool) -> Vec<Account> {
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for number in 0.. {
        let answer = if in_bulk {
            let many = (0..50).map(|n| email(&format!("user{number}-{n}")));
            let made = sign_up_all(txn, many.collect()).await;
            made.map(|made| made.created)
        } else {
            let made = sign_up(txn, email(&format!("user{number}"))).await;
            made.map(|made| vec![made])
        };
        match answer {
            Ok(accounts) => acknowledged.extend(accounts),
            Err(_) if refused < 3 => refused += 1,
            Err(_) => break,
        }
    }
    acknowledged
}

mod a_full_disk_keeps_all_or_nothing {
    use super::*;

    on_sqlite!(alone, alone_retried, in_bulk, in_bulk_retried);

    async fn alone(db: Db) {
        until_the_disk_is_full(db, false, false).await;
    }

    async fn alone_retried(db: Db) {
        until_the_disk_is_full(db, false, true).await;
    }

    async fn in_bulk(db: Db) {
        until_the_disk_is_full(db, true, false).await;
    }

    async fn in_bulk_retried(db: Db) {
        until_the_disk_is_full(db, true, true).await;
    }
}

/// The disk is full: SQLite undoes the statement, or the whole transaction. What was acknowledged is
/// kept if the transaction is, and nothing is if it is not.
async fn until_the_disk_is_full(db: Db, in_bulk: bool, retried: bool) {
    let pool = db.pool_of(1).await;
    let full = "PRAGMA max_page_count = 1";
    pool.execute_unprepared(full).await.unwrap();

    let kept = if retried {
        transaction(&pool, async |txn| {
            Ok::<_, Error>(fill_the_disk(txn, in_bulk).await)
        })
        .await
        .unwrap_or_default()
    } else {
        let txn = pool.begin().await.unwrap();
        let acknowledged = fill_the_disk(&txn, in_bulk).await;
        let committed = txn.commit().await;
        committed.map(|()| acknowledged).unwrap_or_default()
    };

    let mut rows = db.rows().await;
    assert_eq!(rows.users.len(), rows.guests.len());
    let mut users: Vec<_> = kept.into_iter().map(|account| account.user).collect();
    users.sort_by_key(|user| user.id);
    rows.users.sort_by_key(|user| user.id);
    assert_eq!(rows.users, users, "in bulk: {in_bulk}, retried: {retried}");
}

/// The session that `txn` runs in, ended by an administrator and gone when this returns.
async fn kill_session_of(db: &Db, txn: &DatabaseTransaction) {
    let (id, kill, alive) = match db.backend {
        On::Sqlite => unreachable!("SQLite has no sessions"),
        On::Postgres => (
            "SELECT pg_backend_pid()::bigint",
            "SELECT pg_terminate_backend(ID)",
            "SELECT count(*) FROM pg_stat_activity WHERE pid = ID",
        ),
        On::MariaDb => (
            "SELECT CAST(CONNECTION_ID() AS SIGNED)",
            "KILL CONNECTION ID",
            "SELECT count(*) FROM information_schema.processlist WHERE id = ID",
        ),
    };
    let id = number(txn, id).await.to_string();
    db.execute(&kill.replace("ID", &id)).await;
    while number(&db.pool, &alive.replace("ID", &id)).await > 0 {
        tokio::task::yield_now().await;
    }
}

async fn number(db: &impl ConnectionTrait, sql: &str) -> i64 {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let row = db.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

on_servers!(
    after_a_lost_connection_nothing_is_committed,
    after_a_lost_connection_a_retried_transaction_is_an_error,
);

/// The connection is gone: the call says so, and the COMMIT after it does not answer that what came
/// before is stored.
async fn after_a_lost_connection_nothing_is_committed(db: Db) {
    let people = People::of(&db).await;
    let before = db.rows().await;
    let mut wrong = Vec::new();
    for number in 0..CALLS {
        let pool = db.pool_of(1).await;
        let txn = pool.begin().await.unwrap();
        sign_up(&txn, email("first")).await.unwrap();
        kill_session_of(&db, &txn).await;

        let answer = call(number, &txn, &people).await;

        let committed = txn.commit().await;
        if !matches!(answer, Err(Error::Database { .. })) {
            wrong.push(format!("{}: {answer:?}", name(number)));
        }
        if committed.is_ok() {
            wrong.push(format!("{}: committed", name(number)));
        }
        assert_eq!(db.rows().await, before);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The same in a transaction that is retried after contention, and only then.
async fn after_a_lost_connection_a_retried_transaction_is_an_error(db: Db) {
    let people = People::of(&db).await;
    let before = db.rows().await;
    for number in 0..CALLS {
        let outcome = transaction(&db.pool, async |txn| {
            sign_up(txn, email("first")).await?;
            kill_session_of(&db, txn).await;
            let _ = call(number, txn, &people).await;
            Ok(())
        })
        .await;
        assert!(
            matches!(
                outcome,
                Err(Error::Database { .. } | Error::OutcomeUnknown { .. })
            ),
            "{}: {outcome:?}",
            name(number)
        );
        assert_eq!(db.rows().await, before);
    }
}

on_mariadb!(
    an_account_in_a_table_altered_meanwhile_is_tried_again,
    a_page_of_a_table_altered_meanwhile_is_tried_again,
);

async fn an_account_in_a_table_altered_meanwhile_is_tried_again(db: Db) {
    read_what_is_altered_meanwhile(db, false).await;
}

async fn a_page_of_a_table_altered_meanwhile_is_tried_again(db: Db) {
    read_what_is_altered_meanwhile(db, true).await;
}

/// A table was altered after the snapshot: nothing was done, and a new transaction goes through.
async fn read_what_is_altered_meanwhile(db: Db, reads_a_page: bool) {
    let ada = db.host("ada").await;
    let altered = AtomicBool::new(false);

    let found = transaction(&db.pool, async |txn| {
        number(txn, "SELECT count(*) FROM users").await;
        if !altered.swap(true, Ordering::Relaxed) {
            db.execute("ALTER TABLE hosts ADD x integer, ALGORITHM = COPY")
                .await;
        }
        if reads_a_page {
            let page = Accounts::all().fetch(txn).await?;
            Ok::<_, Error>(page.accounts)
        } else {
            let account = Account::find(txn, ada.user_id).await?;
            Ok(account.into_iter().collect())
        }
    })
    .await
    .unwrap();

    assert_eq!(found.len(), 1);
    assert_eq!(found[0].host.as_ref(), Some(&ada));
}

on_sqlite!(a_unit_of_ours_that_sqlite_ends, an_attempt_that_sqlite_ends,);

/// Whoever signs up as eve has the database end the transaction of that call.
async fn end_for_eve(db: &Db) -> DatabaseConnection {
    let eve = email("eve");
    db.execute(&format!(
        "CREATE TRIGGER ends BEFORE INSERT ON users WHEN NEW.email = '{eve}' \
         BEGIN SELECT RAISE(ROLLBACK, 'over'); END",
        eve = eve.as_ref()
    ))
    .await;
    db.pool_of(1).await
}

/// sqlx would go on with savepoints on this connection, and the next rollback would leave one open.
async fn the_connection_keeps_what_it_acknowledges(db: &Db, pool: &DatabaseConnection) {
    let ada = db.user("ada").await;
    let taken = sign_up(pool, email("ada")).await;
    assert!(matches!(taken, Err(Error::EmailTaken)), "{taken:?}");
    let host = become_host(pool, ada.id).await.unwrap().into_model();
    assert_eq!(db.rows().await.hosts, [host]);
    delete_user(pool, sign_up(pool, email("bob")).await.unwrap().user.id)
        .await
        .unwrap();
    assert_eq!(db.rows().await.users, [ada]);
}

async fn a_unit_of_ours_that_sqlite_ends(db: Db) {
    let pool = end_for_eve(&db).await;
    let made_up = sign_up(&pool, email("eve")).await;
    assert!(
        matches!(made_up, Err(Error::Database { .. })),
        "{made_up:?}"
    );
    assert_eq!(made_up.unwrap_err().code().as_deref(), Some("1811"));

    the_connection_keeps_what_it_acknowledges(&db, &pool).await;
}

async fn an_attempt_that_sqlite_ends(db: Db) {
    let pool = end_for_eve(&db).await;
    let over = transaction(&pool, async |txn| sign_up(txn, email("eve")).await).await;
    assert!(over.is_err(), "{over:?}");
    let ignored = transaction(&pool, async |txn| {
        let _ = sign_up(txn, email("eve")).await;
        Ok::<_, Error>(())
    });
    assert!(matches!(ignored.await, Err(Error::Aborted { .. })));

    the_connection_keeps_what_it_acknowledges(&db, &pool).await;
}
