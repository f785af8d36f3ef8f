//! The same with two tasks that share one transaction, and end it together.
//!
//! After COMMIT the rows have to be what some order of the calls leaves behind, after ROLLBACK what
//! they were before. One of the tasks may give up on some of its calls: such a call was done or not,
//! and if it has spoilt the transaction, everybody is told so from then on and nothing is kept.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use guesthouse::{Error, guest, host, user};
use proptest::{
    option,
    prelude::{Strategy, any, prop_oneof},
    sample::select,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, DatabaseConnection, DatabaseTransaction,
    DbErr, EntityTrait, ModelTrait, QueryFilter, SqlErr, TransactionTrait,
};
use tokio::{sync::Barrier, task::JoinSet, time::timeout};
use uuid::Uuid;

use super::{
    call, every_script_passes,
    history::{Event, explain},
    model::{Address, Answer, Operation, Person},
    start, state,
};
use crate::support::{GiveUp, TestDb as Db};

const ROUNDS_OF_THE_TWIN: usize = 200;
const NO_ORDER: &str = "no order of the calls explains this";
const OVER: &str = "the transaction is over, and nobody gave up on a call";

#[derive(Clone, Copy, Debug)]
struct Step {
    operation: Operation,
    give_up: Option<GiveUp>,
}

#[derive(Clone, Debug)]
struct Script {
    tasks: [Vec<Step>; 2],
    commit: bool,
}

fn scripts(
    give_up: impl Strategy<Value = Option<GiveUp>> + 'static,
) -> impl Strategy<Value = Script> {
    let patient = operations().prop_map(|operation| Step {
        operation,
        give_up: None,
    });
    let hasty =
        (operations(), give_up).prop_map(|(operation, give_up)| Step { operation, give_up });
    let tasks = (
        proptest::collection::vec(patient, 1..=10),
        proptest::collection::vec(hasty, 1..=10),
    );
    // Only a commit can lose something.
    let commit = proptest::bool::weighted(0.8);
    (tasks, commit).prop_map(|((patient, hasty), commit)| Script {
        tasks: [patient, hasty],
        commit,
    })
}

fn operations() -> impl Strategy<Value = Operation> {
    let address = || select(Address::ALL.to_vec());
    prop_oneof![
        select(vec![Operation::BecomeHost, Operation::BecomeHosts]),
        select(vec![Operation::StopHosting, Operation::DeleteUser]),
        address().prop_map(Operation::SignUp),
        address().prop_map(Operation::SignUpWithId),
        select(vec![Operation::SignUpAll]),
        address().prop_map(Operation::ChangeEmail),
        address().prop_map(Operation::FindByEmail),
        select(vec![Operation::Find]),
    ]
}

/// Half of the calls are given up on, if they have not come to their end by then.
fn hasty() -> impl Strategy<Value = Option<GiveUp>> {
    option::of((0..8_usize, any::<bool>()).prop_map(|(polls, at_once)| GiveUp { polls, at_once }))
}

on_each_backend!(
    every_history_has_an_explanation,
    every_history_with_calls_given_up_has_one,
    the_twin_has_none,
);

async fn every_history_has_an_explanation(db: Db) {
    let scripts = scripts(proptest::strategy::Just(None));
    every_script_passes(&scripts, async |script| run(&db, script, Hands::Ours).await);
}

async fn every_history_with_calls_given_up_has_one(db: Db) {
    let scripts = scripts(hasty());
    every_script_passes(&scripts, async |script| run(&db, script, Hands::Ours).await);
}

/// Each call in a nested transaction of SeaORM's, whose savepoint has the name of its depth:
/// the rollback of one task's undoes what the other has done.
async fn the_twin_has_none(db: Db) {
    let steps = |operations: &[Operation]| {
        let step = |&operation| Step {
            operation,
            give_up: None,
        };
        operations.repeat(5).iter().map(step).collect()
    };
    let script = Script {
        tasks: [
            steps(&[Operation::SignUp(Address::Ada)]),
            steps(&[Operation::BecomeHost, Operation::StopHosting]),
        ],
        commit: true,
    };
    for _ in 0..ROUNDS_OF_THE_TWIN {
        // A task may also panic, when the driver's count of levels and SeaORM's part.
        let outcome = run(&db, &script, Hands::ByHand).await;
        if outcome.is_err_and(|why| {
            [NO_ORDER, OVER]
                .iter()
                .any(|caught| why.starts_with(caught))
        }) {
            return;
        }
    }
    panic!("never caught");
}

#[derive(Clone, Copy, Debug)]
enum Hands {
    Ours,
    ByHand,
}

/// What a task was told of one of its calls.
#[derive(Clone, Debug)]
enum Told {
    Answer(Event),
    Failure(Failure),
}

#[derive(Clone, Debug)]
#[expect(dead_code, reason = "printed with the history")]
struct Failure {
    why: String,
    begun: u64,
    ended: u64,
}

/// Runs a script once, on a connection of its own, which is closed in whatever state it is.
async fn run(db: &Db, script: &Script, hands: Hands) -> Result<(), String> {
    let pool = db.pool_of(1).await;
    let outcome = run_on(&pool, db, script, hands).await;
    pool.close().await.unwrap();
    outcome
}

/// From one user who has signed up.
async fn run_on(
    pool: &DatabaseConnection,
    db: &Db,
    script: &Script,
    hands: Hands,
) -> Result<(), String> {
    let user_id = start(db).await;
    let before = state(db).await?;
    let txn = Arc::new(pool.begin().await.unwrap());
    let clock = Arc::new(AtomicU64::new(0));
    let both = Arc::new(Barrier::new(2));
    let mut tasks = JoinSet::new();
    for steps in script.tasks.clone() {
        let task = Task {
            txn: txn.clone(),
            clock: clock.clone(),
            both: both.clone(),
            user_id,
            hands,
        };
        tasks.spawn(task.work(steps));
    }
    let mut told = Vec::new();
    while let Some(ended) = timeout(Duration::from_secs(10), tasks.join_next())
        .await
        .map_err(|_| "somebody waits for ever")?
    {
        told.extend(ended.map_err(|panic| panic.to_string())?);
    }
    let txn = Arc::into_inner(txn).expect("both tasks have ended");
    let ended = if script.commit {
        txn.commit().await
    } else {
        txn.rollback().await
    };
    let after = state(db).await?;

    let why = |what: &str| {
        Err(format!(
            "{what}\n{user_id}\nbefore {before:#?}\n{told:#?}\n{ended:?}\nafter {after:#?}"
        ))
    };
    let mut events = Vec::new();
    let mut over_since = None;
    for told in &told {
        match told {
            Told::Answer(event) => events.push(*event),
            Told::Failure(Failure { ended, .. }) => {
                over_since = Some(over_since.map_or(*ended, |since| *ended.min(&since)));
            }
        }
    }
    let given_up = events.iter().any(|event| event.answer == Answer::Unheard);
    let over = over_since.is_some() || ended.is_err();
    if over && !given_up {
        return why(OVER);
    }
    let after_the_end = |event: &Event| {
        event.answer != Answer::Unheard && over_since.is_some_and(|since| since < event.begun)
    };
    if events.iter().any(after_the_end) {
        return why("the transaction is over, and goes on");
    }
    let kept = script.commit && !over;
    if !kept && after != before {
        return why("the transaction is over, and has left something");
    }
    if events.is_empty() || explain(user_id, &before, &events, kept.then_some(&after)) {
        return Ok(());
    }
    why(NO_ORDER)
}

struct Task {
    txn: Arc<DatabaseTransaction>,
    clock: Arc<AtomicU64>,
    both: Arc<Barrier>,
    user_id: Uuid,
    hands: Hands,
}

impl Task {
    async fn work(self, steps: Vec<Step>) -> Vec<Told> {
        let mut told = Vec::new();
        self.both.wait().await;
        for Step { operation, give_up } in steps {
            let begun = self.clock.fetch_add(1, Ordering::SeqCst);
            let call = self.call(operation);
            let answer = match give_up {
                None => eagerly(call).await,
                Some(give_up) => give_up.on(call).await.unwrap_or(Ok(Answer::Unheard)),
            };
            let ended = self.clock.fetch_add(1, Ordering::SeqCst);
            told.push(match answer {
                Ok(answer) => Told::Answer(Event {
                    operation,
                    answer,
                    begun,
                    ended,
                }),
                Err(why) => Told::Failure(Failure {
                    why: format!("{operation:?}: {why}"),
                    begun,
                    ended,
                }),
            });
        }
        told
    }

    async fn call(&self, operation: Operation) -> Result<Answer, String> {
        match self.hands {
            Hands::Ours => call(&*self.txn, self.user_id, operation)
                .await
                .map_err(|error| why(&error)),
            Hands::ByHand => by_hand(&self.txn, self.user_id, operation)
                .await
                .map_err(|error| error.to_string()),
        }
    }
}

/// Polls again and again. A task that waits to be woken comes too late for the moments between two
/// statements in which the other one leaves the connection.
async fn eagerly<F: Future>(call: F) -> F::Output {
    let mut call = pin!(call);
    poll_fn(|context| {
        let polled = call.as_mut().poll(context);
        if polled.is_pending() {
            context.waker().wake_by_ref();
        }
        polled
    })
    .await
}

fn why(error: &Error) -> String {
    format!("{error:?}: {:?}", std::error::Error::source(error))
}

/// The call as an app would write it: a nested transaction, committed or rolled back.
async fn by_hand(
    txn: &DatabaseTransaction,
    user_id: Uuid,
    operation: Operation,
) -> Result<Answer, DbErr> {
    let unit = txn.begin().await?;
    match write_by_hand(&unit, user_id, operation).await {
        Ok(answer) => {
            unit.commit().await?;
            Ok(answer)
        }
        Err(error) => {
            unit.rollback().await?;
            match error.sql_err() {
                Some(SqlErr::UniqueConstraintViolation(_)) => Ok(Answer::EmailTaken),
                _ => Err(error),
            }
        }
    }
}

async fn write_by_hand(
    unit: &DatabaseTransaction,
    user_id: Uuid,
    operation: Operation,
) -> Result<Answer, DbErr> {
    match operation {
        Operation::SignUp(address) => {
            let user = user::ActiveModel {
                email: Set(address.email().into()),
                ..Default::default()
            };
            let user = user.insert(unit).await?;
            let guest = guest::ActiveModel {
                user_id: Set(user.id),
                ..Default::default()
            };
            let person = Person {
                address,
                guest: guest.insert(unit).await?.id,
                host: None,
            };
            Ok(Answer::SignedUp(user.id, person))
        }
        Operation::BecomeHost => {
            let host = host::ActiveModel {
                user_id: Set(user_id),
                ..Default::default()
            };
            host.insert(unit).await.map(|host| Answer::New(host.id))
        }
        Operation::StopHosting => {
            let host = host::Entity::find()
                .filter(host::Column::UserId.eq(user_id))
                .one(unit)
                .await?;
            if let Some(host) = &host {
                host.clone().delete(unit).await?;
            }
            Ok(Answer::Stopped(host.map(|host| host.id)))
        }
        other => panic!("nobody does that by hand: {other:?}"),
    }
}
