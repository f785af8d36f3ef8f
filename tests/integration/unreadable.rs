//! Rows that the promises rule out, and rows that this build cannot read: nobody is given half of
//! the truth about them.

use std::{collections::BTreeSet, fmt::Debug};

use guesthouse::{
    Account, Accounts, Email, Error, become_host, become_hosts, guest, host, offboard, onboard,
    onboard_all, sign_up_all, sign_up_with_id,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, DatabaseConnection, EntityTrait, PaginatorTrait,
    TransactionTrait,
};
use uuid::Uuid;

use crate::{
    courier::{self, Vehicle},
    support::{Backend as On, TestDb as Db, email},
};

/// Takes away the unique index that keeps a user from having two rows.
async fn lose_the_index(db: &Db, table: &str) {
    let sql = match db.backend {
        On::Sqlite | On::Postgres => format!("DROP INDEX {table}_user_id"),
        // The foreign key needs an index, which need not be unique.
        On::MariaDb => {
            format!("ALTER TABLE {table} ADD INDEX plain (user_id), DROP INDEX {table}_user_id")
        }
    };
    db.execute(&sql).await;
}

/// An error, or each user once.
async fn nobody_is_there_twice(db: &Db) {
    let users: BTreeSet<Uuid> = db.rows().await.users.iter().map(|user| user.id).collect();
    let mut wrong = Vec::new();
    for (which, accounts) in [("all", Accounts::all()), ("hosts", Accounts::hosts())] {
        for limit in [1, 2, 50] {
            let mut seen = Vec::new();
            let mut page = accounts.clone().limit(limit).fetch(&db.pool).await;
            while let Ok(this) = page {
                seen.extend(this.accounts.iter().map(|account| account.user.id));
                let Some(next) = this.next else { break };
                page = accounts
                    .clone()
                    .limit(limit)
                    .after(next)
                    .fetch(&db.pool)
                    .await;
            }
            let once: BTreeSet<Uuid> = seen.iter().copied().collect();
            if once.len() != seen.len() {
                wrong.push(format!(
                    "{which}, pages of {limit}: {} for {}",
                    seen.len(),
                    once.len()
                ));
            }
        }
        if let Ok(count) = accounts.count(&db.pool).await
            && count > users.len() as u64
        {
            wrong.push(format!("{which}: counted {count} of {}", users.len()));
        }
    }
    assert!(wrong.is_empty(), "{:?}: {wrong:#?}", db.backend);
}

on_each_backend!(
    two_hosts_of_one_user,
    two_guests_of_one_user,
    a_role_that_this_build_does_not_know,
    an_unreadable_role_is_not_deleted,
    an_unreadable_role_among_many,
    a_new_role_that_cannot_be_read,
);

async fn two_hosts_of_one_user(db: Db) {
    let ada = db.host("ada").await.user_id;
    lose_the_index(&db, "hosts").await;
    let second = host::ActiveModel {
        user_id: Set(ada),
        ..Default::default()
    };
    let second = second.insert(&db.pool).await.unwrap();

    nobody_is_there_twice(&db).await;
    let rows = db.rows().await;
    assert!(rows.hosts.len() == 2 && rows.hosts.contains(&second));
    for found in [
        Account::find(&db.pool, ada).await,
        Account::find_by_email(&db.pool, &email("ada")).await,
    ] {
        match found {
            Ok(account) => assert!(
                account
                    .unwrap()
                    .host
                    .is_some_and(|host| rows.hosts.contains(&host))
            ),
            Err(error) => assert!(matches!(error, Error::Database { .. }), "{error:?}"),
        }
    }
    // MariaDB's insert has nothing but the index to refuse it.
    if db.backend != On::MariaDb {
        let again = become_host(&db.pool, ada).await;
        assert!(!matches!(&again, Ok(host) if host.is_new()), "{again:?}");
        assert_eq!(db.rows().await, rows);
    }
}

async fn two_guests_of_one_user(db: Db) {
    let ada = db.host("ada").await.user_id;
    lose_the_index(&db, "guests").await;
    let second = guest::ActiveModel {
        user_id: Set(ada),
        ..Default::default()
    };
    second.insert(&db.pool).await.unwrap();

    nobody_is_there_twice(&db).await;
}

/// Ada's courier has an enum value that a newer build wrote. Returns her id and a pool: PostgreSQL's
/// prepared statements of the first one know the enum as it was.
async fn a_courier_of_a_newer_build(db: &Db) -> (Uuid, DatabaseConnection) {
    courier::create_table(db).await;
    let ada = db.user("ada").await.id;
    let _ = onboard::<courier::Entity>(&db.pool, van(ada))
        .await
        .unwrap();
    allow_boats(db).await;
    db.execute("UPDATE couriers SET vehicle = 'boat'").await;
    (ada, db.pool_of(2).await)
}

/// Lets the column have a value that this build does not know.
async fn allow_boats(db: &Db) {
    match db.backend {
        On::Sqlite => {}
        On::Postgres => db.execute("ALTER TYPE vehicle ADD VALUE 'boat'").await,
        On::MariaDb => {
            let sql = "ALTER TABLE couriers MODIFY vehicle enum('bicycle', 'van', 'boat') NOT NULL";
            db.execute(sql).await;
        }
    }
}

fn van(user_id: Uuid) -> courier::ActiveModel {
    courier::ActiveModel {
        user_id: Set(user_id),
        vehicle: Set(Vehicle::Van),
        ..Default::default()
    }
}

/// The users who have a courier, readable or not.
async fn couriers(db: &Db) -> u64 {
    courier::Entity::find().count(&db.pool).await.unwrap()
}

async fn a_role_that_this_build_does_not_know(db: Db) {
    let (ada, pool) = a_courier_of_a_newer_build(&db).await;

    let alone = onboard::<courier::Entity>(&pool, van(ada)).await;
    let txn = pool.begin().await.unwrap();
    let within = onboard::<courier::Entity>(&txn, van(ada)).await;
    let _ = txn.rollback().await;

    is_a_database_error("alone", &alone);
    is_a_database_error("in a transaction", &within);
    for error in [alone.unwrap_err(), within.unwrap_err()] {
        assert!(!error.to_string().contains("1062"), "{error}");
    }
}

/// What cannot be given back is not taken.
async fn an_unreadable_role_is_not_deleted(db: Db) {
    let (ada, pool) = a_courier_of_a_newer_build(&db).await;

    let alone = offboard::<courier::Entity>(&pool, ada).await;
    is_a_database_error("alone", &alone);
    let txn = pool.begin().await.unwrap();
    let within = offboard::<courier::Entity>(&txn, ada).await;
    is_a_database_error("in a transaction", &within);
    txn.commit().await.unwrap();

    assert_eq!(couriers(&db).await, 1);
}

/// One row that cannot be read, and the call makes none of the others.
async fn an_unreadable_role_among_many(db: Db) {
    let (ada, pool) = a_courier_of_a_newer_build(&db).await;
    let (bob, eve) = (db.user("bob").await.id, db.user("eve").await.id);
    let rows = || [bob, ada, eve].map(van).to_vec();

    let alone = onboard_all::<courier::Entity>(&pool, rows()).await;
    is_a_database_error("alone", &alone);
    let txn = pool.begin().await.unwrap();
    let within = onboard_all::<courier::Entity>(&txn, rows()).await;
    is_a_database_error("in a transaction", &within);
    txn.rollback().await.unwrap();

    assert_eq!(couriers(&db).await, 1);
}

/// A trigger gives each new courier a value that this build does not know: the row is stored, and
/// an error that says otherwise would be wrong.
async fn a_new_role_that_cannot_be_read(db: Db) {
    courier::create_table(&db).await;
    allow_boats(&db).await;
    db.execute(match db.backend {
        On::Sqlite => {
            "CREATE TRIGGER launch AFTER INSERT ON couriers \
             BEGIN UPDATE couriers SET vehicle = 'boat' WHERE id = NEW.id; END"
        }
        On::Postgres => {
            "CREATE FUNCTION launch() RETURNS trigger LANGUAGE plpgsql \
             AS 'BEGIN NEW.vehicle := ''boat''; RETURN NEW; END'; \
             CREATE TRIGGER launch BEFORE INSERT ON couriers FOR EACH ROW EXECUTE FUNCTION launch()"
        }
        On::MariaDb => {
            "CREATE TRIGGER launch BEFORE INSERT ON couriers FOR EACH ROW SET NEW.vehicle = 'boat'"
        }
    })
    .await;
    let pool = db.pool_of(2).await;
    let (ada, bob) = (db.user("ada").await.id, db.user("bob").await.id);

    let one = onboard::<courier::Entity>(&pool, van(ada)).await;
    is_unknown("onboard", &one);
    assert_eq!(couriers(&db).await, 1);
    let many = onboard_all::<courier::Entity>(&pool, vec![van(bob)]).await;
    is_unknown("onboard_all", &many);
    assert_eq!(couriers(&db).await, 2);

    let again = onboard::<courier::Entity>(&pool, van(ada)).await;
    is_a_database_error("again", &again);
    assert_eq!(couriers(&db).await, 2);
}

fn is_unknown<T: Debug>(call: &str, answer: &Result<T, Error>) {
    assert!(
        matches!(answer, Err(Error::OutcomeUnknown { .. })),
        "{call}: {answer:?}"
    );
}

fn is_a_database_error<T: Debug>(call: &str, answer: &Result<T, Error>) {
    assert!(
        matches!(answer, Err(Error::Database { .. })),
        "{call}: {answer:?}"
    );
}

on_sqlite!(a_time_that_is_none);

/// A time that is no time, as SQLite lets one write it: every call that would give the row back.
async fn a_time_that_is_none(db: Db) {
    let ada = db.host("ada").await.user_id;
    db.execute("UPDATE hosts SET created_at = 'yesterday'")
        .await;

    is_a_database_error("become_host", &become_host(&db.pool, ada).await);
    is_a_database_error("become_hosts", &become_hosts(&db.pool, &[ada]).await);
    is_a_database_error("find", &Account::find(&db.pool, ada).await);
    let by_email = Account::find_by_email(&db.pool, &email("ada")).await;
    is_a_database_error("find_by_email", &by_email);
    is_a_database_error("all", &Accounts::all().fetch(&db.pool).await);
    is_a_database_error("hosts", &Accounts::hosts().fetch(&db.pool).await);
    let again = sign_up_with_id(&db.pool, ada, email("ada")).await;
    is_a_database_error("sign_up_with_id", &again);
}

on_each_backend!(accounts_do_not_show_the_address,);

/// `{:?}` of what the library returns goes into logs.
async fn accounts_do_not_show_the_address(db: Db) {
    let emails: Vec<Email> = ["confidential", "confidential", "grace"]
        .map(email)
        .to_vec();
    let made = sign_up_all(&db.pool, emails).await.unwrap();
    let account = Account::find(&db.pool, made.created[0].user.id)
        .await
        .unwrap();
    let page = Accounts::all().fetch(&db.pool).await.unwrap();
    for text in [
        format!("{account:?}"),
        format!("{account:#?}"),
        format!("{page:?}"),
        format!("{made:?}"),
    ] {
        assert!(
            !text.contains("confidential") && !text.contains('@'),
            "{text}"
        );
    }
}
