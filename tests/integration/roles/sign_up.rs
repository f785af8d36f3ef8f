//! Signing up where the users are the app's own: twins of the races, callers whose transactions meet,
//! what each call costs, and callers who stop waiting.

use std::{error::Error as _, fmt::Debug, sync::Arc};

use guesthouse::{
    Account, Error, Session, SignUps, change_email, change_email_as, delete_user, delete_user_as,
    sign_up as sign_up_here, sign_up_all, sign_up_all_as, sign_up_as,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr,
    EntityTrait, IsolationLevel, QueryFilter, QueryOrder, QuerySelect, TransactionTrait,
};
use tokio::sync::Barrier;

use super::{budgets::number_of, create_members, member, profile};
use crate::{
    own_users::named,
    support::{Backend as On, CALLERS, GiveUp, Statements, TestDb as Db, at_once, email},
    transactions::until_someone_waits,
};

type Pair = (member::Model, profile::Model);

async fn sign_up<C>(db: &C, name: &str) -> Result<Pair, Error>
where
    C: ConnectionTrait + TransactionTrait,
{
    let (member, profile) = named(name);
    sign_up_as::<member::Entity>(db, email(name), member, profile).await
}

/// Each member with its profile, through another pool, of one moment. No member is without one.
async fn stored(db: &Db) -> Vec<Pair> {
    let pool = db.pool_of(1).await;
    let pairs = member::Entity::find()
        .find_also_related(profile::Entity)
        .order_by_asc(member::Column::Id);
    let pairs = pairs.all(&pool).await.unwrap();
    pool.close().await.unwrap();
    let is_whole = |(member, profile): (member::Model, Option<profile::Model>)| {
        (member, profile.expect("each member has a profile"))
    };
    pairs.into_iter().map(is_whole).collect()
}

on_each_backend!(
    the_twin_fails_for_all_but_one,
    without_the_key_the_twin_makes_fifty_members,
    after_a_winner_that_rolls_back,
    after_a_winner_that_commits,
    under_repeatable_read,
    a_member_deleted_meanwhile_is_not_found,
    fifty_callers_delete_one_member_once,
    costs_what_signing_up_here_costs,
    a_clash_on_another_key_names_the_constraint,
    a_member_that_cannot_be_read,
);

/// What an app writes by hand. All callers have looked before any of them inserts.
async fn find_or_insert(
    db: DatabaseConnection,
    all_have_looked: Arc<Barrier>,
) -> Result<Option<Pair>, DbErr> {
    let address = String::from(email("ada"));
    let find = member::Entity::find().filter(member::Column::Email.eq(&address));
    let found = find.one(&db).await?;
    all_have_looked.wait().await;
    if found.is_some() {
        return Ok(None);
    }
    let (mut member, mut profile) = named("ada");
    member.email = Set(address);
    let member = member.insert(&db).await?;
    profile.member_id = Set(member.id);
    Ok(Some((member, profile.insert(&db).await?)))
}

async fn race_of_twins(db: &Db) -> Vec<Result<Option<Pair>, DbErr>> {
    let (pool, all_have_looked) = (db.pool.clone(), Arc::new(Barrier::new(CALLERS)));
    at_once(move |_| find_or_insert(pool.clone(), all_have_looked.clone())).await
}

/// The unique key keeps the promise, and 49 callers get an error instead of an answer.
async fn the_twin_fails_for_all_but_one(db: Db) {
    create_members(&db).await;
    let answers = race_of_twins(&db).await;
    let failed = answers.iter().filter(|answer| answer.is_err()).count();
    assert_eq!(failed, CALLERS - 1, "{answers:?}");
    assert_eq!(stored(&db).await.len(), 1);
}

async fn without_the_key_the_twin_makes_fifty_members(db: Db) {
    create_members(&db).await;
    match db.backend {
        On::Sqlite => {
            let sql = "SELECT sql FROM sqlite_schema WHERE name = 'members'";
            let definition = db.text(sql).await.replace(" UNIQUE", "");
            let admin = db.pool_of(1).await;
            admin
                .execute_unprepared("DROP TABLE members")
                .await
                .unwrap();
            admin.execute_unprepared(&definition).await.unwrap();
            admin.close().await.unwrap();
        }
        On::Postgres => {
            db.execute("ALTER TABLE members DROP CONSTRAINT members_email_key")
                .await;
        }
        On::MariaDb => db.execute("DROP INDEX email ON members").await,
    }
    let answers = race_of_twins(&db).await;
    assert!(
        answers.iter().all(|answer| matches!(answer, Ok(Some(_)))),
        "{answers:?}"
    );
    assert_eq!(stored(&db).await.len(), CALLERS);
}

async fn after_a_winner_that_rolls_back(db: Db) {
    create_members(&db).await;
    let first = db.pool.begin().await.unwrap();
    sign_up(&first, "ada").await.unwrap();
    let pool = db.pool.clone();
    let second = tokio::spawn(async move { sign_up(&pool, "ada").await });
    until_someone_waits(&db).await;

    first.rollback().await.unwrap();

    let kept = second.await.unwrap().unwrap();
    assert_eq!(stored(&db).await, [kept]);
}

async fn after_a_winner_that_commits(db: Db) {
    create_members(&db).await;
    let first = db.pool.begin().await.unwrap();
    let ada = sign_up(&first, "ada").await.unwrap();
    let pool = db.pool.clone();
    let second = tokio::spawn(async move { sign_up(&pool, "ada").await });
    until_someone_waits(&db).await;

    first.commit().await.unwrap();

    let taken = second.await.unwrap();
    assert!(matches!(taken, Err(Error::EmailTaken)), "{taken:?}");
    assert_eq!(stored(&db).await, [ada]);
}

/// An address that the snapshot of the transaction does not show is taken, or the transaction has to
/// be run again.
async fn under_repeatable_read(db: Db) {
    create_members(&db).await;
    let level = match db.backend {
        On::Sqlite => {
            db.execute("PRAGMA journal_mode = WAL").await;
            None
        }
        On::Postgres | On::MariaDb => Some(IsolationLevel::RepeatableRead),
    };
    for in_bulk in [false, true] {
        let name = format!("ada-{in_bulk}");
        let txn = db.pool.begin_with_config(level, None).await.unwrap();
        member::Entity::find().all(&txn).await.unwrap();
        sign_up(&db.pool, &name).await.unwrap();
        let before = stored(&db).await;
        let (member, profile) = named(&name);
        let taken = match in_bulk {
            false => match sign_up(&txn, &name).await {
                Err(Error::EmailTaken) => Ok(()),
                Err(error) => Err(error),
                Ok(made) => panic!("{made:?}"),
            },
            true => {
                let people = vec![(email(&name), member, profile)];
                let done = sign_up_all_as::<member::Entity>(&txn, people).await;
                done.map(|done: SignUps<Pair>| {
                    assert_eq!((done.created, done.taken), (vec![], vec![email(&name)]));
                })
            }
        };
        match db.finds_what_it_clashed_with().await {
            true => taken.unwrap(),
            false => assert!(matches!(taken, Err(Error::Contention { .. })), "{taken:?}"),
        }
        txn.rollback().await.unwrap();
        assert_eq!(stored(&db).await, before);
    }
}

async fn a_member_deleted_meanwhile_is_not_found(db: Db) {
    create_members(&db).await;
    for renames in [true, false] {
        let (ada, _) = sign_up(&db.pool, "ada").await.unwrap();
        let deleting = db.pool.begin().await.unwrap();
        delete_user_as::<member::Entity>(&deleting, ada.id)
            .await
            .unwrap();
        let pool = db.pool.clone();
        let other = tokio::spawn(async move {
            match renames {
                true => change_email_as::<member::Entity>(&pool, ada.id, email("queen"))
                    .await
                    .map(drop),
                false => delete_user_as::<member::Entity>(&pool, ada.id).await,
            }
        });
        until_someone_waits(&db).await;

        deleting.commit().await.unwrap();

        let answer = other.await.unwrap();
        assert!(
            matches!(answer, Err(Error::OwnerNotFound { table: "members" })),
            "{answer:?}"
        );
        assert_eq!(stored(&db).await, []);
    }
}

async fn fifty_callers_delete_one_member_once(db: Db) {
    create_members(&db).await;
    let (ada, _) = sign_up(&db.pool, "ada").await.unwrap();
    let grace = sign_up(&db.pool, "grace").await.unwrap();
    let pool = db.pool.clone();
    let answers = at_once(move |_| {
        let pool = pool.clone();
        async move { guesthouse::retry(|| delete_user_as::<member::Entity>(&pool, ada.id)).await }
    })
    .await;
    let (deleted, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((deleted.len(), refused.len()), (1, CALLERS - 1));
    for answer in refused {
        assert!(
            matches!(answer, Err(Error::OwnerNotFound { table: "members" })),
            "{answer:?}"
        );
    }
    assert_eq!(stored(&db).await, [grace]);
}

/// The statements of each call, here and with the app's own users, on a pool and in a transaction. On
/// SQLite a bulk call sends one more, as the database makes the keys.
async fn costs_what_signing_up_here_costs(db: Db) {
    create_members(&db).await;
    let (pool, statements) = db.counted_pool().await;
    let mut of_a_pool = of_ours(&pool, &statements).await;
    let txn = pool.begin().await.unwrap();
    let mut of_a_transaction = of_ours(&txn, &statements).await;
    for of_bulk in [&mut of_a_pool[2], &mut of_a_transaction[2]] {
        of_bulk.1 += usize::from(db.backend == On::Sqlite);
    }
    assert_eq!(of_theirs(&txn, &statements).await, of_a_transaction);
    txn.commit().await.unwrap();
    assert_eq!(of_theirs(&pool, &statements).await, of_a_pool);
    assert_eq!(stored(&db).await, []);
    assert!(db.rows().await.users.is_empty());
}

async fn of_ours(
    db: &(impl ConnectionTrait + TransactionTrait),
    statements: &Statements,
) -> Vec<(bool, usize)> {
    let mut costs = Vec::new();
    let mut count = |is_done| costs.push((is_done, number_of(statements)));
    statements.take();
    let ada: Account = sign_up_here(db, email("ada")).await.unwrap();
    count(true);
    count(sign_up_here(db, email("ada")).await.is_ok());
    let both = ["grace", "ada"].map(email).to_vec();
    let done = sign_up_all(db, both).await.unwrap();
    count(done.created.len() == 1 && done.taken.len() == 1);
    let grace = &done.created[0].user;
    count(change_email(db, grace.id, email("ada")).await.is_ok());
    count(change_email(db, grace.id, email("queen")).await.is_ok());
    count(delete_user(db, grace.id).await.is_ok());
    count(delete_user(db, grace.id).await.is_ok());
    count(change_email(db, grace.id, email("zoe")).await.is_ok());
    count(delete_user(db, ada.user.id).await.is_ok());
    costs
}

async fn of_theirs(
    db: &(impl ConnectionTrait + TransactionTrait),
    statements: &Statements,
) -> Vec<(bool, usize)> {
    let mut costs = Vec::new();
    let mut count = |is_done| costs.push((is_done, number_of(statements)));
    statements.take();
    let (ada, _) = sign_up(db, "ada").await.unwrap();
    count(true);
    count(sign_up(db, "ada").await.is_ok());
    let both = ["grace", "ada"].map(|name| {
        let (member, profile) = named(name);
        (email(name), member, profile)
    });
    let done = sign_up_all_as::<member::Entity>(db, both.to_vec())
        .await
        .unwrap();
    count(done.created.len() == 1 && done.taken.len() == 1);
    let grace = &done.created[0].0;
    let rename = |name| change_email_as::<member::Entity>(db, grace.id, email(name));
    count(rename("ada").await.is_ok());
    count(rename("queen").await.is_ok());
    count(delete_user_as::<member::Entity>(db, grace.id).await.is_ok());
    count(delete_user_as::<member::Entity>(db, grace.id).await.is_ok());
    count(rename("zoe").await.is_ok());
    count(delete_user_as::<member::Entity>(db, ada.id).await.is_ok());
    costs
}

/// Of the member, and of the profile. Neither is made.
async fn a_clash_on_another_key_names_the_constraint(db: Db) {
    create_members(&db).await;
    let ada = sign_up(&db.pool, "ada").await.unwrap();
    for (key, table, column) in [
        ("one_name", "members", "name"),
        ("one_bio", "profiles", "bio"),
    ] {
        db.execute(&format!("CREATE UNIQUE INDEX {key} ON {table} ({column})"))
            .await;
        let pool = db.pool_of(2).await;
        let clash = || {
            let (member, profile) = named("ada");
            (email("grace"), member, profile)
        };
        let (address, member, profile) = clash();
        let one = sign_up_as::<member::Entity>(&pool, address, member, profile).await;
        let many = sign_up_all_as::<member::Entity>(&pool, vec![clash()]).await;
        let txn = pool.begin().await.unwrap();
        let (address, member, profile) = clash();
        let within = sign_up_as::<member::Entity>(&txn, address, member, profile).await;
        txn.rollback().await.unwrap();
        let name = match db.backend {
            On::Sqlite => format!("{table}.{column}"),
            On::Postgres | On::MariaDb => key.to_owned(),
        };
        for answer in [one.map(drop), many.map(drop), within.map(drop)] {
            let Err(error @ Error::Database { .. }) = &answer else {
                panic!("{answer:?}")
            };
            let source = error.source().unwrap().to_string();
            assert!(source.contains(&name), "{source}");
        }
        assert_eq!(stored(&db).await, std::slice::from_ref(&ada));
        let drop_index = match db.backend {
            On::MariaDb => format!("DROP INDEX {key} ON {table}"),
            On::Sqlite | On::Postgres => format!("DROP INDEX {key}"),
        };
        db.execute(&drop_index).await;
    }
}

/// Whoever signs up again with the key gets an error, and no second pair is made.
async fn a_member_that_cannot_be_read(db: Db) {
    create_members(&db).await;
    let call = async |pool: &DatabaseConnection, name: &str| {
        let (mut member, profile) = named("ada");
        member.id = Set(77);
        sign_up_as::<member::Entity>(pool, email(name), member, profile).await
    };
    call(&db.pool, "ada").await.unwrap();
    for sql in match db.backend {
        On::Sqlite => ["SELECT 1", "UPDATE members SET name = x'ff'"],
        On::Postgres => [
            "ALTER TABLE members ALTER name DROP NOT NULL",
            "UPDATE members SET name = NULL",
        ],
        On::MariaDb => [
            "ALTER TABLE members MODIFY name varchar(255) NULL",
            "UPDATE members SET name = NULL",
        ],
    } {
        db.execute(sql).await;
    }
    let pool = db.pool_of(2).await;

    let again = call(&pool, "ada").await;

    assert!(matches!(again, Err(Error::Database { .. })), "{again:?}");
    let ids = member::Entity::find()
        .select_only()
        .column(member::Column::Id);
    let ids: Vec<i64> = ids.into_tuple().all(&pool).await.unwrap();
    assert_eq!(ids, [77]);
    assert_eq!(profile::Entity::find().all(&pool).await.unwrap().len(), 1);
}

// ---- callers who stop waiting ----

/// More than any of the calls here takes.
const MOST_POLLS: usize = 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    SignUp,
    SignUpWithKey,
    SignUpAll,
    ChangeEmail,
    DeleteUser,
}

const VERBS: [Verb; 5] = [
    Verb::SignUp,
    Verb::SignUpWithKey,
    Verb::SignUpAll,
    Verb::ChangeEmail,
    Verb::DeleteUser,
];

#[derive(Clone, Copy, Debug)]
enum Place {
    Pool,
    Transaction,
    Session,
}

/// One call, and a name of its own.
struct Call {
    verb: Verb,
    name: String,
    /// The member whom it changes, or the key of a new one.
    id: i64,
}

impl Call {
    fn names(&self) -> [String; 2] {
        [self.name.clone(), format!("{}-too", self.name)]
    }

    async fn run(&self, db: &(impl ConnectionTrait + TransactionTrait)) -> Result<(), Error> {
        let Self { verb, name, id } = self;
        match verb {
            Verb::SignUp => sign_up(db, name).await.map(drop),
            Verb::SignUpWithKey => {
                let (mut member, profile) = named(name);
                member.id = Set(*id);
                sign_up_as::<member::Entity>(db, email(name), member, profile)
                    .await
                    .map(drop)
            }
            Verb::SignUpAll => {
                let people = self.names().map(|name| {
                    let (member, profile) = named(&name);
                    (email(&name), member, profile)
                });
                sign_up_all_as::<member::Entity>(db, people.to_vec())
                    .await
                    .map(drop)
            }
            Verb::ChangeEmail => {
                let new = email(&format!("{name}-new"));
                change_email_as::<member::Entity>(db, *id, new)
                    .await
                    .map(drop)
            }
            Verb::DeleteUser => delete_user_as::<member::Entity>(db, *id).await,
        }
    }

    /// Whether it is done, from all that is stored. Half of it is a failure.
    fn is_done(&self, stored: &[Pair]) -> bool {
        let has = |name: &str| {
            let address = email(name);
            stored
                .iter()
                .any(|(member, _)| member.email == address.as_ref())
        };
        let name = &self.name;
        match self.verb {
            Verb::SignUp | Verb::SignUpWithKey => has(name),
            Verb::SignUpAll => {
                let [first, second] = self.names();
                assert_eq!(has(&first), has(&second), "{name}");
                has(&first)
            }
            Verb::ChangeEmail => {
                let new = format!("{name}-new");
                assert_ne!(has(name), has(&new), "{name}");
                has(&new)
            }
            Verb::DeleteUser => !has(name),
        }
    }
}

on_each_backend!(cut_on_a_pool, cut_in_a_transaction, cut_on_a_session,);

async fn cut_on_a_pool(db: Db) {
    everywhere(&db, Place::Pool).await;
}

async fn cut_in_a_transaction(db: Db) {
    everywhere(&db, Place::Transaction).await;
}

async fn cut_on_a_session(db: Db) {
    everywhere(&db, Place::Session).await;
}

async fn everywhere(db: &Db, place: Place) {
    create_members(db).await;
    let mut n = 0;
    for verb in VERBS {
        for at_once in [true, false] {
            let mut polls = 0;
            loop {
                n += 1;
                let cut = GiveUp { polls, at_once };
                if is_cut_to_its_end(db, place, verb, cut, n).await {
                    break;
                }
                polls += 1;
                assert!(polls < MOST_POLLS, "{verb:?} in a {place:?} does not end");
            }
        }
    }
}

/// One call that may be dropped, and one after it on the same connection: what was acknowledged is
/// stored, both rows or neither, and nothing that was not asked for. Whether the call came to its end.
async fn is_cut_to_its_end(db: &Db, place: Place, verb: Verb, cut: GiveUp, n: i64) -> bool {
    let what = format!("{verb:?} in a {place:?}, {cut:?}");
    let (name, next) = (format!("person{n}"), format!("next{n}"));
    let id = match verb {
        Verb::ChangeEmail | Verb::DeleteUser => sign_up(&db.pool, &name).await.unwrap().0.id,
        // No database counts on from below zero.
        _ => -n,
    };
    let before = stored(db).await;
    let call = Call { verb, name, id };
    let pool = db.pool_of(1).await;
    let (answer, after) = match place {
        Place::Pool => (cut.on(call.run(&pool)).await, sign_up(&pool, &next).await),
        Place::Session => {
            let session = Session::acquire(&pool).await.unwrap();
            let answer = cut.on(call.run(&session)).await;
            let after = sign_up(&session, &next).await;
            session.release().await;
            (answer, after)
        }
        Place::Transaction => {
            let txn = pool.begin().await.unwrap();
            let answer = cut.on(call.run(&txn)).await;
            let after = sign_up(&txn, &next).await;
            let after = match txn.commit().await {
                Ok(()) => after,
                Err(error) => after.and(Err(Error::from(error))),
            };
            (answer, after)
        }
    };
    pool.close().await.unwrap();

    let now = stored(db).await;
    let is_done = call.is_done(&now);
    match (&answer, &after) {
        (Some(answer), after) => {
            answer.as_ref().expect(&what);
            assert!(is_done, "{what}");
            assert!(now.contains(after.as_ref().expect(&what)), "{what}");
        }
        (None, Ok(next)) => assert!(now.contains(next), "{what}"),
        (None, Err(error)) => match place {
            Place::Pool => panic!("{what}: {error:?}: {:?}", error.source()),
            // A connection that is closed for it.
            Place::Session => {}
            Place::Transaction => assert_eq!(now, before, "{what}: rolled back"),
        },
    }
    // A call that was dropped before this one may still be at work on its connection.
    let told = |pairs: Vec<Pair>| -> Vec<Pair> {
        let is_told = |(member, _): &Pair| member.email.starts_with("next");
        pairs.into_iter().filter(is_told).collect()
    };
    let mut expected = told(before);
    expected.extend(after.ok().filter(|pair| now.contains(pair)));
    expected.sort_by_key(|(member, _)| member.id);
    assert_eq!(told(now), expected, "{what}");
    answer.is_some()
}
