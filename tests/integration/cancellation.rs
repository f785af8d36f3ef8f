//! A caller who stops waiting, at every point where that is possible.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;
use guesthouse::{
    Account, Email, Error, Onboarding, backfill_guests, become_host, become_hosts, change_email,
    delete_user, onboard, sign_up, sign_up_all, sign_up_with_id, stop_hosting, transaction, user,
    verify_schema,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr,
    EntityTrait, PaginatorTrait, QueryFilter, Statement, TransactionTrait,
};
use tokio::time::timeout;
use uuid::Uuid;

use crate::{
    courier,
    support::{GiveUp, TestDb as Db, email},
};

/// More than any of the calls here takes.
const MOST_POLLS: usize = 40;

/// Every operation that writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    SignUp,
    SignUpWithId,
    BecomeHost,
    Onboard,
    StopHosting,
    ChangeEmail,
    DeleteUser,
    SignUpAll,
    BecomeHosts,
    BackfillGuests,
}
use Operation::*;

const OPERATIONS: [Operation; 10] = [
    SignUp,
    SignUpWithId,
    BecomeHost,
    Onboard,
    StopHosting,
    ChangeEmail,
    DeleteUser,
    SignUpAll,
    BecomeHosts,
    BackfillGuests,
];

/// One operation, and somebody of its own to do it to.
struct Call {
    operation: Operation,
    name: String,
    user_id: Uuid,
}

impl Call {
    async fn prepare(db: &Db, operation: Operation, name: String) -> Self {
        let user_id = match operation {
            SignUp | SignUpWithId | SignUpAll => Uuid::now_v7(),
            BecomeHost | Onboard | ChangeEmail | DeleteUser | BecomeHosts => {
                db.user(&name).await.id
            }
            StopHosting => db.host(&name).await.user_id,
            BackfillGuests => insert_by_hand(&db.pool, &name).await.unwrap().id,
        };
        Self {
            operation,
            name,
            user_id,
        }
    }

    fn addresses(&self) -> Vec<Email> {
        let names = ["", "-b", "-c"].map(|end| format!("{}{end}", self.name));
        names.iter().map(|name| email(name)).collect()
    }

    async fn run<C: ConnectionTrait + TransactionTrait>(&self, db: &C) -> Result<(), Error> {
        let Self { name, user_id, .. } = self;
        match self.operation {
            SignUp => sign_up(db, email(name)).await.map(drop),
            SignUpWithId => sign_up_with_id(db, *user_id, email(name)).await.map(drop),
            BecomeHost => become_host(db, *user_id).await.map(drop),
            Onboard => {
                let courier = courier::ActiveModel {
                    user_id: Set(*user_id),
                    vehicle: Set(courier::Vehicle::Van),
                    ..Default::default()
                };
                onboard::<courier::Entity>(db, courier).await.map(drop)
            }
            StopHosting => stop_hosting(db, *user_id).await.map(drop),
            ChangeEmail => {
                let new = email(&format!("{name}-new"));
                change_email(db, *user_id, new).await.map(drop)
            }
            DeleteUser => delete_user(db, *user_id).await,
            SignUpAll => sign_up_all(db, self.addresses()).await.map(drop),
            BecomeHosts => become_hosts(db, &[*user_id]).await.map(drop),
            BackfillGuests => backfill_guests(db, |_| ()).await.map(drop),
        }
    }

    /// How much of it is stored, and how much there is of it.
    async fn stored(&self, db: &Db) -> (u64, u64) {
        let account = Account::find(&db.pool, self.user_id).await.unwrap();
        let is = |yes: bool| (u64::from(yes), 1);
        match self.operation {
            SignUp => {
                let account = Account::find_by_email(&db.pool, &email(&self.name)).await;
                is(account.unwrap().is_some())
            }
            SignUpWithId => is(account.is_some()),
            BecomeHost | BecomeHosts => is(account.unwrap().is_host()),
            Onboard => {
                let couriers = courier::Entity::find()
                    .filter(courier::Column::UserId.eq(self.user_id))
                    .count(&db.pool);
                is(couriers.await.unwrap() == 1)
            }
            StopHosting => is(!account.unwrap().is_host()),
            ChangeEmail => is(account.unwrap().user.email != email(&self.name).as_ref()),
            DeleteUser => is(account.is_none()),
            SignUpAll => {
                let addresses = self.addresses();
                let users = user::Entity::find()
                    .filter(user::Column::Email.is_in(addresses.iter().map(Email::as_ref)))
                    .count(&db.pool);
                (users.await.unwrap(), 3)
            }
            BackfillGuests => is(account.unwrap().guest.is_some()),
        }
    }
}

/// A user as an app would insert it without the library: without a guest.
async fn insert_by_hand(db: &impl ConnectionTrait, name: &str) -> Result<user::Model, DbErr> {
    let user = user::ActiveModel {
        email: Set(format!("{name}@by-hand.example")),
        ..Default::default()
    };
    user.insert(db).await
}

/// How many users have no guest, those left out that were inserted without one.
async fn without_guest(db: &Db) -> i64 {
    let sql = "SELECT count(*) FROM users LEFT JOIN guests ON guests.user_id = users.id
         WHERE guests.id IS NULL AND users.email NOT LIKE '%@by-hand.example'";
    let statement = Statement::from_string(db.pool.get_database_backend(), sql);
    let row = db.pool.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

/// What is wrong with what is stored, in words. A test collects all of it.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn unless(&mut self, right: bool, what: impl FnOnce() -> String) {
        if !right {
            self.0.push(what());
        }
    }
}

/// Runs a scenario with 0, 1, 2 … polls until it reports that the call came to its end, and all of
/// that twice, for both moments to give up. A panic counts as a wrong answer; a round that does not
/// end ends the test.
async fn cut_everywhere<F>(db: &Db, label: &str, wrong: &mut Vec<String>, mut scenario: F)
where
    F: AsyncFnMut(GiveUp, &mut Wrong) -> bool,
{
    for at_once in [true, false] {
        for polls in 0.. {
            let cut = GiveUp { polls, at_once };
            let mut here = Wrong::default();
            let round = timeout(Duration::from_secs(20), scenario(cut, &mut here));
            let outcome = AssertUnwindSafe(round).catch_unwind().await;

            if let Ok(Err(_)) = outcome {
                panic!("{label}, {cut:?}: no answer; before that: {wrong:#?}");
            }
            here.unless(outcome.is_ok(), || "a panic".into());
            let lonely = without_guest(db).await;
            here.unless(lonely == 0, || format!("{lonely} users without a guest"));
            wrong.extend(
                here.0
                    .iter()
                    .map(|what| format!("{label}, {cut:?}: {what}")),
            );
            // After a panic nobody can tell whether the call would have taken more polls.
            if matches!(outcome, Ok(Ok(true))) || polls == MOST_POLLS {
                break;
            }
        }
    }
}

/// The connection that a call was cut on is the next caller's: what that one is told is kept.
async fn next_caller_on_the_same_connection(
    db: &Db,
    pool: DatabaseConnection,
    name: &str,
    wrong: &mut Wrong,
) {
    let bob = db.user(&format!("{name}-bob")).await;
    let host = become_host(&pool, bob.id).await;
    let next = sign_up(&pool, email(&format!("{name}-next"))).await;
    pool.close().await.unwrap();

    match host {
        Ok(Onboarding::New(host)) => {
            let stored = Account::find(&db.pool, bob.id).await.unwrap().unwrap();
            wrong.unless(stored.host.as_ref() == Some(&host), || {
                "the next host is lost".into()
            });
        }
        other => wrong.unless(false, || format!("the next host: {other:?}")),
    }
    match next {
        Ok(next) => {
            let stored = Account::find(&db.pool, next.user.id).await.unwrap();
            wrong.unless(stored.as_ref() == Some(&next), || {
                "the next account is lost".into()
            });
        }
        Err(error) => wrong.unless(false, || format!("the next account: {error:?}")),
    }
}

/// A cut call has done all or nothing; one that was answered with success has done all.
async fn all_or_nothing(db: &Db, call: &Call, answered: bool, wrong: &mut Wrong) {
    let (stored, whole) = call.stored(db).await;
    wrong.unless(stored == whole || stored == 0, || {
        format!("{stored} of {whole} is stored")
    });
    wrong.unless(!answered || stored == whole, || {
        "answered with success, and not stored".into()
    });
}

on_each_backend!(
    on_a_pool_the_next_caller_is_told_the_truth,
    of_a_retried_transaction_all_or_nothing_is_kept,
    after_a_cut_check_of_the_schema_the_next_caller_is_told_the_truth,
);

/// On a connection that has prepared its statements already, and on one that has not.
async fn on_a_pool_the_next_caller_is_told_the_truth(db: Db) {
    courier::create_table(&db).await;
    let mut wrong = Vec::new();
    for operation in OPERATIONS {
        for warm in [false, true] {
            let label = format!("{operation:?}, warm: {warm}");
            cut_everywhere(&db, &label, &mut wrong, async |cut, wrong| {
                let name =
                    format!("{operation:?}-{warm}-{}-{}", cut.polls, cut.at_once).to_lowercase();
                let pool = db.pool_of(1).await;
                if warm {
                    Call::prepare(&db, operation, format!("{name}-warm"))
                        .await
                        .run(&pool)
                        .await
                        .unwrap();
                }
                let call = Call::prepare(&db, operation, name.clone()).await;

                let answer = cut.on(call.run(&pool)).await;

                wrong.unless(!matches!(answer, Some(Err(_))), || format!("{answer:?}"));
                next_caller_on_the_same_connection(&db, pool, &name, wrong).await;
                all_or_nothing(&db, &call, answer.is_some(), wrong).await;
                answer.is_some()
            })
            .await;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

async fn of_a_retried_transaction_all_or_nothing_is_kept(db: Db) {
    let mut wrong = Vec::new();
    cut_everywhere(&db, "transaction", &mut wrong, async |cut, wrong| {
        let (pool, name) = (
            db.pool_of(1).await,
            format!("user-{}-{}", cut.polls, cut.at_once),
        );
        let work = transaction(&pool, async |txn| {
            let account = sign_up(txn, email(&name)).await?;
            become_host(txn, account.user.id).await
        });

        let answer = cut.on(work).await;

        next_caller_on_the_same_connection(&db, pool, &name, wrong).await;
        let stored = Account::find_by_email(&db.pool, &email(&name))
            .await
            .unwrap();
        match answer {
            None => wrong.unless(stored.is_none_or(|account| account.is_host()), || {
                "half is stored".into()
            }),
            Some(Ok(ref host)) => {
                wrong.unless(
                    stored.and_then(|account| account.host).as_ref() == Some(host.model()),
                    || "it is lost".into(),
                );
            }
            Some(Err(ref error)) => wrong.unless(false, || format!("{error:?}")),
        }
        answer.is_some()
    })
    .await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

async fn after_a_cut_check_of_the_schema_the_next_caller_is_told_the_truth(db: Db) {
    let mut wrong = Vec::new();
    cut_everywhere(&db, "verify_schema", &mut wrong, async |cut, wrong| {
        let name = format!("user-{}-{}", cut.polls, cut.at_once);
        let pool = db.pool_of(1).await;
        become_host(&pool, Uuid::nil()).await.unwrap_err();

        let answer = cut.on(verify_schema(&pool)).await;

        wrong.unless(!matches!(answer, Some(Err(_))), || format!("{answer:?}"));
        next_caller_on_the_same_connection(&db, pool, &name, wrong).await;
        answer.is_some()
    })
    .await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What the caller does in the transaction in which a call was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Nothing,
    SignUp,
    BecomeHost,
    InsertByHand,
}

/// `begin`, a sign-up, the call that is cut, what the caller does then, `commit`. What was answered
/// with success is there if the commit was, and none of it if not.
async fn cut_inside_a_transaction<T: std::fmt::Debug>(
    db: &Db,
    (name, then): (&str, Then),
    cut: GiveUp,
    wrong: &mut Wrong,
    call: impl AsyncFnOnce(&sea_orm::DatabaseTransaction) -> Result<T, Error>,
) -> (Option<Result<T, Error>>, bool) {
    let bob = db.user(&format!("{name}-bob")).await;
    let pool = db.pool_of(1).await;
    let txn = pool.begin().await.unwrap();
    let first = sign_up(&txn, email(&format!("{name}-first")))
        .await
        .unwrap();

    let answer = cut.on(call(&txn)).await;

    let mut promised = vec![first.user.id];
    let then_failed = match then {
        Then::Nothing => None,
        Then::SignUp => match sign_up(&txn, email(&format!("{name}-third"))).await {
            Ok(account) => {
                promised.push(account.user.id);
                None
            }
            Err(error) => Some(error.to_string()),
        },
        Then::BecomeHost => become_host(&txn, bob.id)
            .await
            .err()
            .map(|error| error.to_string()),
        Then::InsertByHand => match insert_by_hand(&txn, &format!("{name}-third")).await {
            Ok(user) => {
                promised.push(user.id);
                None
            }
            Err(error) => Some(error.to_string()),
        },
    };
    let committed = txn.commit().await;
    pool.close().await.unwrap();

    if answer.is_some() {
        // It was not cut at all: the transaction is as good as ever.
        wrong.unless(then_failed.is_none(), || {
            format!("what followed: {then_failed:?}")
        });
        wrong.unless(committed.is_ok(), || format!("{committed:?}"));
    }
    for (n, user_id) in promised.into_iter().enumerate() {
        let stored = Account::find(&db.pool, user_id).await.unwrap().is_some();
        wrong.unless(stored == committed.is_ok(), || {
            format!("{committed:?}, and of what was acknowledged, number {n} is stored: {stored}")
        });
    }
    if then == Then::BecomeHost && then_failed.is_none() {
        let stored = Account::find(&db.pool, bob.id)
            .await
            .unwrap()
            .unwrap()
            .is_host();
        wrong.unless(stored == committed.is_ok(), || {
            format!("{committed:?}, host stored: {stored}")
        });
    }
    (answer, committed.is_ok())
}

on_each_backend!(
    in_a_transaction_what_was_acknowledged_is_committed,
    in_a_transaction_a_refusal_that_was_cut_spoils_nothing,
    becoming_a_host_can_be_repeated,
);

async fn in_a_transaction_what_was_acknowledged_is_committed(db: Db) {
    courier::create_table(&db).await;
    let mut wrong = Vec::new();
    for operation in OPERATIONS {
        for then in [
            Then::Nothing,
            Then::SignUp,
            Then::BecomeHost,
            Then::InsertByHand,
        ] {
            let label = format!("{operation:?}, then {then:?}");
            cut_everywhere(&db, &label, &mut wrong, async |cut, wrong| {
                let name =
                    format!("{operation:?}-{then:?}-{}-{}", cut.polls, cut.at_once).to_lowercase();
                let call = Call::prepare(&db, operation, name.clone()).await;
                let (answer, committed) =
                    cut_inside_a_transaction(&db, (&name, then), cut, wrong, async |txn| {
                        call.run(txn).await
                    })
                    .await;
                wrong.unless(!matches!(answer, Some(Err(_))), || format!("{answer:?}"));
                all_or_nothing(&db, &call, committed && answer.is_some(), wrong).await;
                answer.is_some()
            })
            .await;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The answer of the cut call would have been a refusal, which undoes its savepoint.
async fn in_a_transaction_a_refusal_that_was_cut_spoils_nothing(db: Db) {
    let ada = db.host("ada").await.user_id;
    let grace = db.user("grace").await.id;
    let before = db.rows().await;
    let mut wrong = Vec::new();
    for refused in [
        "taken",
        "taken id",
        "taken by another",
        "still host",
        "nobody",
        "no host",
    ] {
        for then in [
            Then::Nothing,
            Then::SignUp,
            Then::BecomeHost,
            Then::InsertByHand,
        ] {
            let label = format!("{refused}, then {then:?}");
            cut_everywhere(&db, &label, &mut wrong, async |cut, wrong| {
                let name = format!(
                    "{}-{then:?}-{}-{}",
                    refused.replace(' ', "-"),
                    cut.polls,
                    cut.at_once
                )
                .to_lowercase();
                let (answer, _) =
                    cut_inside_a_transaction(&db, (&name, then), cut, wrong, async |txn| {
                        match refused {
                            "taken" => sign_up(txn, email("ada")).await.map(drop),
                            "taken id" => sign_up_with_id(txn, ada, email("other")).await.map(drop),
                            "taken by another" => {
                                change_email(txn, grace, email("ada")).await.map(drop)
                            }
                            "still host" => delete_user(txn, ada).await,
                            "nobody" => delete_user(txn, Uuid::nil()).await,
                            _ => stop_hosting(txn, grace).await.map(drop),
                        }
                    })
                    .await;
                let right = match &answer {
                    None => true,
                    Some(Err(Error::EmailTaken)) => refused.starts_with("taken"),
                    Some(Err(Error::UserIdTaken { .. })) => refused == "taken id",
                    Some(Err(Error::StillHost { .. })) => refused == "still host",
                    Some(Err(Error::UserNotFound { .. })) => refused == "nobody",
                    Some(answer) => answer.is_ok() && refused == "no host",
                };
                wrong.unless(right, || format!("{answer:?}"));
                answer.is_some()
            })
            .await;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let rows = db.rows().await;
    assert!(before.users.iter().all(|user| rows.users.contains(user)));
    assert!(
        before
            .guests
            .iter()
            .all(|guest| rows.guests.contains(guest))
    );
    assert!(before.hosts.iter().all(|host| rows.hosts.contains(host)));
}

/// Whatever the cut calls did, a further one gives the one host.
async fn becoming_a_host_can_be_repeated(db: Db) {
    let ada = db.user("ada").await;
    let mut wrong = Vec::new();
    cut_everywhere(&db, "become_host", &mut wrong, async |cut, wrong| {
        let pool = db.pool_of(1).await;
        let answer = cut.on(become_host(&pool, ada.id)).await;
        let host = become_host(&db.pool, ada.id).await.unwrap().into_model();
        wrong.unless(db.rows().await.hosts == [host.clone()], || {
            "not the one host".into()
        });
        if let Some(answer) = answer {
            wrong.unless(answer.unwrap().into_model() == host, || {
                "another host".into()
            });
            return true;
        }
        false
    })
    .await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

on_servers!(by_hand_the_next_caller_is_told_of_rows_that_are_lost);

/// The twin: the same cuts in SeaORM's own `begin`, insert, `commit` leave a connection on which the
/// next caller is told of rows that are lost when the connection ends.
async fn by_hand_the_next_caller_is_told_of_rows_that_are_lost(db: Db) {
    let cuts = (1..12).flat_map(|polls| [true, false].map(|at_once| GiveUp { polls, at_once }));
    for cut in cuts.cycle().take(200) {
        let name = Uuid::now_v7();
        let pool = db.pool_of(1).await;
        let by_hand = async {
            let txn = pool.begin().await?;
            insert_by_hand(&txn, &format!("{name}-first")).await?;
            txn.commit().await
        };
        cut.on(by_hand).await;
        // A statement that was cut while it was prepared can hang the connection, too.
        let patience = Duration::from_secs(2);
        let next = timeout(patience, insert_by_hand(&pool, &format!("{name}-next"))).await;
        let closed = timeout(patience, pool.close()).await;
        let (Ok(Ok(next)), Ok(Ok(()))) = (next, closed) else {
            continue;
        };
        let stored = user::Entity::find_by_id(next.id).one(&db.pool).await;
        if stored.unwrap().is_none() {
            return;
        }
    }
    panic!("nothing was lost: SeaORM can be cut now");
}
