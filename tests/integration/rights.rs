//! The rights that each operation needs, alone and in a transaction: those that its documentation
//! names, and no more.

use std::fmt::Debug;

use guesthouse::{
    Account, Accounts, Error, audit, backfill_guests, become_host, become_hosts, change_email,
    delete_user, sign_up, sign_up_all, sign_up_with_id, stop_hosting, user,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ConnectOptions, ConnectionTrait, Database,
    DatabaseConnection, TransactionTrait,
};
use uuid::Uuid;

use crate::support::{Backend as On, TestDb as Db, email};

/// What is granted, as both servers spell it.
const TO_SIGN_UP_AND_ONBOARD: [&str; 3] = [
    "SELECT, INSERT ON users",
    "SELECT, INSERT ON guests",
    "SELECT, INSERT ON hosts",
];
const TO_CHANGE_AN_ADDRESS: &str = "UPDATE (email, updated_at) ON users";
const TO_STOP_HOSTING: [&str; 1] = ["DELETE ON hosts"];
const TO_DELETE_A_USER: [&str; 2] = ["DELETE ON users", "DELETE ON guests"];

/// A user of the server who has these rights on the test's database and no others, and is gone
/// after the test.
struct Limited {
    name: String,
    pool: DatabaseConnection,
}

impl Limited {
    async fn with(db: &Db, rights: &[&str]) -> Self {
        let name = format!("app_{}", Uuid::now_v7().simple());
        let create = match db.backend {
            On::Sqlite => unreachable!("SQLite has no rights"),
            On::Postgres => format!("CREATE ROLE {name} LOGIN"),
            On::MariaDb => format!("CREATE USER {name}@'%'"),
        };
        db.execute(&create).await;
        let grantee = match db.backend {
            On::MariaDb => format!("{name}@'%'"),
            _ => name.clone(),
        };
        for right in rights {
            db.execute(&format!("GRANT {right} TO {grantee}")).await;
        }
        let (scheme, rest) = db.url.split_once("://").unwrap();
        let (_, place) = rest.rsplit_once('@').unwrap();
        let mut options = ConnectOptions::new(format!("{scheme}://{name}@{place}"));
        options
            .max_connections(2)
            .idle_timeout(None)
            .max_lifetime(None)
            .sqlx_logging(false);
        let pool = Database::connect(options).await.unwrap();
        Self { name, pool }
    }

    async fn remove(self, db: &Db) {
        self.pool.close().await.unwrap();
        let name = self.name;
        let drop = match db.backend {
            On::MariaDb => format!("DROP USER {name}@'%'"),
            _ => format!("DROP OWNED BY {name}; DROP ROLE {name}"),
        };
        db.execute(&drop).await;
    }
}

/// The answers that were not the expected ones, in words.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn unless<T: Debug>(
        &mut self,
        call: &str,
        answer: Result<T, Error>,
        is_right: impl Fn(&Result<T, Error>) -> bool,
    ) {
        if !is_right(&answer) {
            self.0.push(format!("{call}: {answer:?}"));
        }
    }
}

/// Everything that makes rows or reads them; `place` names where, and makes addresses unique.
async fn sign_up_and_onboard<C>(db: &C, place: &str, people: &People, wrong: &mut Wrong)
where
    C: ConnectionTrait + TransactionTrait,
{
    let new = |what: &str| email(&format!("{place}-{what}"));
    let call = |what: &str| format!("{place}: {what}");
    let (host, bob, cleo) = (people.host, people.users[0], people.users[1]);

    wrong.unless(
        &call("sign_up"),
        sign_up(db, new("one")).await,
        Result::is_ok,
    );
    wrong.unless(
        &call("sign_up, taken"),
        sign_up(db, email("ada")).await,
        |answer| matches!(answer, Err(Error::EmailTaken)),
    );
    let id = Uuid::now_v7();
    for time in ["sign_up_with_id", "sign_up_with_id again"] {
        let answer = sign_up_with_id(db, id, new("two")).await;
        wrong.unless(&call(time), answer, Result::is_ok);
    }
    let taken = sign_up_with_id(db, Uuid::now_v7(), email("ada")).await;
    wrong.unless(&call("sign_up_with_id, taken"), taken, |answer| {
        matches!(answer, Err(Error::EmailTaken))
    });
    let many = vec![new("three"), email("ada"), new("four")];
    wrong.unless(
        &call("sign_up_all"),
        sign_up_all(db, many).await,
        |answer| matches!(answer, Ok(done) if (done.created.len(), done.taken.len()) == (2, 1)),
    );

    wrong.unless(
        &call("become_host"),
        become_host(db, bob).await,
        |answer| matches!(answer, Ok(host) if host.is_new()),
    );
    wrong.unless(
        &call("become_host again"),
        become_host(db, bob).await,
        |answer| matches!(answer, Ok(host) if !host.is_new()),
    );
    let nobody = become_host(db, Uuid::now_v7()).await;
    wrong.unless(&call("become_host of nobody"), nobody, |answer| {
        matches!(answer, Err(Error::UserNotFound { .. }))
    });
    let ids = [host, cleo, Uuid::now_v7()];
    wrong.unless(
        &call("become_hosts"),
        become_hosts(db, &ids).await,
        |answer| {
            matches!(answer, Ok(done)
            if (done.new.len(), done.existing.len(), done.unknown.len()) == (1, 1, 1))
        },
    );

    wrong.unless(&call("find"), Account::find(db, host).await, Result::is_ok);
    let found = Account::find_by_email(db, &email("ada")).await;
    wrong.unless(&call("find_by_email"), found, Result::is_ok);
    wrong.unless(
        &call("fetch"),
        Accounts::all().fetch(db).await,
        Result::is_ok,
    );
    wrong.unless(
        &call("count"),
        Accounts::hosts().count(db).await,
        Result::is_ok,
    );
    wrong.unless(&call("audit"), audit(db).await, Result::is_ok);
    wrong.unless(
        &call("backfill"),
        backfill_guests(db, |_| ()).await,
        |answer| matches!(answer, Ok(1)),
    );
}

/// Two hosts, two users, and somebody without a guest.
struct People {
    host: Uuid,
    still_host: Uuid,
    users: [Uuid; 2],
}

impl People {
    async fn of(db: &Db, place: &str) -> Self {
        let eve = user::ActiveModel {
            email: Set(format!("{place}-eve@example.com")),
            ..Default::default()
        };
        eve.insert(&db.pool).await.unwrap();
        Self {
            host: db.host(&format!("{place}-host")).await.user_id,
            still_host: db.host(&format!("{place}-still")).await.user_id,
            users: [
                db.user(&format!("{place}-bob")).await.id,
                db.user(&format!("{place}-cleo")).await.id,
            ],
        }
    }
}

on_servers!(
    select_and_insert_are_enough_to_sign_up_and_onboard,
    one_more_right_is_enough_to_change_or_delete,
);

async fn select_and_insert_are_enough_to_sign_up_and_onboard(db: Db) {
    db.user("ada").await;
    let limited = Limited::with(&db, &TO_SIGN_UP_AND_ONBOARD).await;
    let mut wrong = Wrong::default();

    let people = People::of(&db, "alone").await;
    sign_up_and_onboard(&limited.pool, "alone", &people, &mut wrong).await;
    let people = People::of(&db, "within").await;
    let txn = limited.pool.begin().await.unwrap();
    sign_up_and_onboard(&txn, "within", &people, &mut wrong).await;
    let committed = txn.commit().await;

    limited.remove(&db).await;
    assert!(wrong.0.is_empty(), "{:#?}", wrong.0);
    committed.unwrap();
    let rows = db.rows().await;
    // Ada; alone and within five each, and four whom the calls made.
    assert_eq!((rows.users.len(), rows.guests.len()), (19, 19));
    assert_eq!(rows.hosts.len(), 8);
}

async fn one_more_right_is_enough_to_change_or_delete(db: Db) {
    let reading = ["SELECT ON users", "SELECT ON guests", "SELECT ON hosts"];
    let to_change = [&reading[..], &[TO_CHANGE_AN_ADDRESS]].concat();
    let to_stop = [&reading[..], &TO_STOP_HOSTING].concat();
    let to_delete = [&reading[..], &TO_DELETE_A_USER].concat();
    let mut wrong = Wrong::default();
    db.user("ada").await;
    let limited = [
        Limited::with(&db, &to_change).await,
        Limited::with(&db, &to_stop).await,
        Limited::with(&db, &to_delete).await,
    ];
    let [changes, stops, deletes] = &limited;

    let alone = People::of(&db, "alone").await;
    change(&changes.pool, "alone", &alone, &mut wrong).await;
    stop(&stops.pool, "alone", &alone, &mut wrong).await;
    delete(&deletes.pool, "alone", &alone, &mut wrong).await;
    let within = People::of(&db, "within").await;
    let txn = changes.pool.begin().await.unwrap();
    change(&txn, "within", &within, &mut wrong).await;
    let _ = txn.commit().await;
    let txn = stops.pool.begin().await.unwrap();
    stop(&txn, "within", &within, &mut wrong).await;
    let _ = txn.commit().await;
    let txn = deletes.pool.begin().await.unwrap();
    delete(&txn, "within", &within, &mut wrong).await;
    let _ = txn.commit().await;

    for limited in limited {
        limited.remove(&db).await;
    }
    assert!(wrong.0.is_empty(), "{:#?}", wrong.0);
    let rows = db.rows().await;
    assert_eq!((rows.users.len(), rows.hosts.len()), (9, 2));
    let changed = rows
        .users
        .iter()
        .filter(|user| user.email.contains("-new@"));
    assert_eq!(changed.count(), 2);
}

async fn change<C>(db: &C, place: &str, people: &People, wrong: &mut Wrong)
where
    C: ConnectionTrait + TransactionTrait,
{
    let (bob, new) = (people.users[0], email(&format!("{place}-new")));
    let answer = change_email(db, bob, new).await;
    wrong.unless(&format!("{place}: change_email"), answer, Result::is_ok);
    let answer = change_email(db, bob, email("ada")).await;
    wrong.unless(&format!("{place}: change_email, taken"), answer, |answer| {
        matches!(answer, Err(Error::EmailTaken))
    });
}

async fn stop<C>(db: &C, place: &str, people: &People, wrong: &mut Wrong)
where
    C: ConnectionTrait + TransactionTrait,
{
    let answer = stop_hosting(db, people.host).await;
    wrong.unless(&format!("{place}: stop_hosting"), answer, |answer| {
        matches!(answer, Ok(Some(_)))
    });
    let answer = stop_hosting(db, people.host).await;
    wrong.unless(&format!("{place}: stop_hosting again"), answer, |answer| {
        matches!(answer, Ok(None))
    });
}

async fn delete<C>(db: &C, place: &str, people: &People, wrong: &mut Wrong)
where
    C: ConnectionTrait + TransactionTrait,
{
    let answer = delete_user(db, people.still_host).await;
    wrong.unless(
        &format!("{place}: delete_user of a host"),
        answer,
        |answer| matches!(answer, Err(Error::StillHost { .. })),
    );
    let answer = delete_user(db, people.users[1]).await;
    wrong.unless(&format!("{place}: delete_user"), answer, Result::is_ok);
    let answer = delete_user(db, people.users[1]).await;
    wrong.unless(&format!("{place}: delete_user again"), answer, |answer| {
        matches!(answer, Err(Error::UserNotFound { .. }))
    });
}
