//! Random interleavings of all operations on one user, compared with a small model.
//!
//! Several tasks work through a random script at once. What they were told has to be what they would
//! have been told had the calls run one after the other in some order that agrees with who had
//! finished before whom began (the history is *linearizable*), and the rows have to be what that
//! order leaves behind.
//!
//! Each call goes to the pool here; in [`one_transaction`] two tasks share a transaction.
//!
//! A failure prints the shortest script found. Threads are not deterministic, so a script runs
//! several times before it passes; one that has failed becomes a named test of its own. More cases:
//! `PROPTEST_CASES=1000`.

mod history;
mod model;
mod one_transaction;

use std::{
    collections::BTreeMap,
    env,
    fmt::Debug,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use guesthouse::{
    Account, Error, become_host, become_hosts, change_email, delete_user, host, sign_up,
    sign_up_all, sign_up_with_id, stop_hosting,
};
use proptest::{
    prelude::{Strategy, any, prop_oneof},
    sample::select,
    test_runner::{Config, TestCaseError, TestError, TestRunner},
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseConnection,
    EntityTrait, QueryFilter, TransactionSession, TransactionTrait,
};
use tokio::{runtime::Handle, sync::Barrier, task::block_in_place, time::timeout};
use uuid::Uuid;

use crate::support::{Backend as On, TestDb as Db, email};
use history::{Event, explain};
use model::{Address, Answer, Operation, Person, State};

const CASES: u32 = 40;
const RUNS_OF_A_SCRIPT: usize = 3;

/// What each task does, one call after the other.
type Script = Vec<Vec<Operation>>;

fn scripts() -> impl Strategy<Value = Script> {
    let task = proptest::collection::vec(operations(), 1..=4);
    proptest::collection::vec(task, 2..=4)
}

fn operations() -> impl Strategy<Value = Operation> {
    let address = || select(vec![Address::Ada, Address::Countess]);
    prop_oneof![
        select(vec![Operation::BecomeHost, Operation::BecomeHosts]),
        select(vec![Operation::StopHosting, Operation::DeleteUser]),
        address().prop_map(Operation::SignUp),
        address().prop_map(Operation::SignUpWithId),
        address().prop_map(Operation::ChangeEmail),
        address().prop_map(Operation::FindByEmail),
        any::<bool>().prop_map(|commit| Operation::BecomeHostInTransaction { commit }),
        select(vec![Operation::Find]),
    ]
}

on_each_backend!(every_history_has_an_explanation, the_twin_has_none,);

async fn every_history_has_an_explanation(db: Db) {
    every_script_passes(&scripts(), async |script| run(&db, script).await);
}

/// The unique index is gone, and two callers read before either inserts.
async fn the_twin_has_none(db: Db) {
    let user_id = start(&db).await;
    let before = state(&db).await.unwrap();
    db.execute(match db.backend {
        // The foreign key leans on the index.
        On::MariaDb => {
            "ALTER TABLE hosts DROP FOREIGN KEY hosts_user_id_fkey, DROP INDEX hosts_user_id"
        }
        _ => "DROP INDEX hosts_user_id",
    })
    .await;
    let (clock, both_have_read) = (AtomicU64::new(0), Barrier::new(2));
    let call = || async {
        let begun = clock.fetch_add(1, Ordering::SeqCst);
        let answer = find_or_insert(&db.pool, user_id, &both_have_read).await;
        let ended = clock.fetch_add(1, Ordering::SeqCst);
        Event {
            operation: Operation::BecomeHost,
            answer,
            begun,
            ended,
        }
    };
    let (first, second) = tokio::join!(call(), call());

    assert!(!explain(user_id, &before, &[first, second], None));
    assert_eq!(state(&db).await, Err(format!("user {user_id} has 2 hosts")));
}

/// Tries random scripts, each several times, and panics with the shortest that failed.
fn every_script_passes<S: Debug>(
    scripts: &impl Strategy<Value = S>,
    run: impl AsyncFn(&S) -> Result<(), String>,
) {
    let mut config = Config {
        failure_persistence: None,
        // A history that hangs takes its time on each try.
        max_shrink_time: 20_000,
        ..Config::default()
    };
    if env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    let ran = AtomicU64::new(0);
    let outcome = block_in_place(|| {
        TestRunner::new(config).run(scripts, |script| {
            for _ in 0..RUNS_OF_A_SCRIPT {
                Handle::current()
                    .block_on(run(&script))
                    .map_err(TestCaseError::fail)?;
                ran.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        })
    });
    match outcome {
        Ok(()) => assert!(ran.into_inner() > 0),
        Err(TestError::Fail(why, script)) => panic!("{script:#?}\n{why}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

/// Runs a script once, from one user who has signed up.
async fn run(db: &Db, script: &[Vec<Operation>]) -> Result<(), String> {
    let user_id = start(db).await;
    let before = state(db).await?;
    let clock = AtomicU64::new(0);
    let tasks = script.iter().map(|operations| {
        let (pool, clock) = (db.pool.clone(), &clock);
        async move {
            let mut events = Vec::new();
            for &operation in operations {
                let begun = clock.fetch_add(1, Ordering::SeqCst);
                let answer = match call(&pool, user_id, operation).await {
                    Err(Error::Contention { .. }) => Answer::Contention,
                    Err(other) => panic!("{other:?}: {:?}", std::error::Error::source(&other)),
                    Ok(answer) => answer,
                };
                let ended = clock.fetch_add(1, Ordering::SeqCst);
                events.push(Event {
                    operation,
                    answer,
                    begun,
                    ended,
                });
            }
            events
        }
    });
    let events = timeout(Duration::from_secs(30), join_all(tasks)).await;
    let events = events
        .map_err(|_| "somebody waits for ever".to_owned())?
        .concat();
    let after = state(db).await?;
    if explain(user_id, &before, &events, Some(&after)) {
        return Ok(());
    }
    Err(format!(
        "{user_id}\nbefore {before:#?}\n{events:#?}\nafter {after:#?}"
    ))
}

/// Makes a call; what is neither done nor refused is an error.
async fn call<C>(db: &C, user_id: Uuid, operation: Operation) -> Result<Answer, Error>
where
    C: ConnectionTrait + TransactionTrait,
{
    match operation {
        Operation::SignUp(address) => answer(sign_up(db, address.email()).await, signed_up),
        Operation::SignUpWithId(address) => answer(
            sign_up_with_id(db, user_id, address.email()).await,
            signed_up,
        ),
        Operation::SignUpAll => {
            let emails = Address::ALL.map(Address::email).to_vec();
            answer(sign_up_all(db, emails).await, |sign_ups| {
                let created: Vec<_> = sign_ups
                    .created
                    .into_iter()
                    .map(|account| (account.user.id, person(account)))
                    .collect();
                Answer::SignedUpAll(Address::ALL.map(|address| {
                    let of_address = |(_, person): &&(Uuid, Person)| person.address == address;
                    created.iter().find(of_address).copied()
                }))
            })
        }
        Operation::ChangeEmail(address) => {
            answer(change_email(db, user_id, address.email()).await, |_| {
                Answer::Done
            })
        }
        Operation::DeleteUser => answer(delete_user(db, user_id).await, |()| Answer::Done),
        Operation::Find => answer(Account::find(db, user_id).await, found),
        Operation::FindByEmail(address) => {
            answer(Account::find_by_email(db, &address.email()).await, found)
        }
        Operation::BecomeHost => answer(become_host(db, user_id).await, onboarded),
        Operation::BecomeHostInTransaction { commit } => {
            let outcome = become_host_in_transaction(db, user_id, commit).await;
            answer(outcome, onboarded)
        }
        Operation::BecomeHosts => answer(become_hosts(db, &[user_id]).await, |hosts| {
            match (&hosts.new[..], &hosts.existing[..], &hosts.unknown[..]) {
                ([new], [], []) => Answer::New(new.id),
                ([], [existing], []) => Answer::Existing(existing.id),
                ([], [], [_]) => Answer::UserNotFound,
                _ => panic!("{hosts:?}"),
            }
        }),
        Operation::StopHosting => answer(stop_hosting(db, user_id).await, |host| {
            Answer::Stopped(host.map(|host| host.id))
        }),
    }
}

async fn become_host_in_transaction<C>(
    db: &C,
    user_id: Uuid,
    commit: bool,
) -> Result<guesthouse::Onboarding<host::Model>, Error>
where
    C: ConnectionTrait + TransactionTrait,
{
    let failed = |source| Error::Database { source };
    let txn = db.begin().await.map_err(failed)?;
    let onboarding = become_host(&txn, user_id).await?;
    if commit {
        txn.commit().await.map_err(failed)?;
    } else {
        txn.rollback().await.map_err(failed)?;
    }
    Ok(onboarding)
}

fn answer<T>(outcome: Result<T, Error>, done: impl FnOnce(T) -> Answer) -> Result<Answer, Error> {
    match outcome {
        Ok(value) => Ok(done(value)),
        Err(Error::EmailTaken) => Ok(Answer::EmailTaken),
        Err(Error::UserIdTaken { .. }) => Ok(Answer::UserIdTaken),
        Err(Error::UserNotFound { .. }) => Ok(Answer::UserNotFound),
        // Which table keeps the user is looked up after the refusal, when the host may be gone.
        Err(Error::StillHost { .. } | Error::StillReferenced { .. }) => Ok(Answer::StillHost),
        Err(other) => Err(other),
    }
}

fn signed_up(account: Account) -> Answer {
    Answer::SignedUp(account.user.id, person(account))
}

fn found(account: Option<Account>) -> Answer {
    Answer::Found(account.map(|account| (account.user.id, person(account))))
}

fn onboarded(onboarding: guesthouse::Onboarding<host::Model>) -> Answer {
    match onboarding {
        guesthouse::Onboarding::New(host) => Answer::New(host.id),
        guesthouse::Onboarding::Existing(host) => Answer::Existing(host.id),
    }
}

fn person(account: Account) -> Person {
    Person {
        address: Address::of(&account.user.email),
        // Every user has one: nothing explains another answer.
        guest: account.guest.map_or(Uuid::nil(), |guest| guest.id),
        host: account.host.map(|host| host.id),
    }
}

async fn find_or_insert(db: &DatabaseConnection, user_id: Uuid, both: &Barrier) -> Answer {
    let find = host::Entity::find().filter(host::Column::UserId.eq(user_id));
    let found = find.one(db).await.unwrap();
    both.wait().await;
    match found {
        Some(host) => Answer::Existing(host.id),
        None => {
            let host = host::ActiveModel {
                user_id: Set(user_id),
                ..Default::default()
            };
            Answer::New(host.insert(db).await.unwrap().id)
        }
    }
}

/// Empties the tables and signs one user up.
async fn start(db: &Db) -> Uuid {
    for table in ["hosts", "guests", "users"] {
        db.execute(&format!("DELETE FROM {table}")).await;
    }
    sign_up(&db.pool, email("ada")).await.unwrap().user.id
}

/// The rows as the model has them.
async fn state(db: &Db) -> Result<State, String> {
    let rows = db.rows().await;
    let mut people = BTreeMap::new();
    for user in &rows.users {
        let guests: Vec<_> = rows
            .guests
            .iter()
            .filter(|row| row.user_id == user.id)
            .collect();
        let hosts: Vec<_> = rows
            .hosts
            .iter()
            .filter(|row| row.user_id == user.id)
            .collect();
        let [guest] = guests[..] else {
            return Err(format!("user {} has {} guests", user.id, guests.len()));
        };
        if hosts.len() > 1 {
            return Err(format!("user {} has {} hosts", user.id, hosts.len()));
        }
        let person = Person {
            address: Address::of(&user.email),
            guest: guest.id,
            host: hosts.first().map(|host| host.id),
        };
        people.insert(user.id, person);
    }
    Ok(State { people })
}
