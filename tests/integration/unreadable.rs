//! Rows that the promises rule out, and rows that this build cannot read: nobody is given half of
//! the truth about them.

use std::{collections::BTreeSet, fmt::Debug};

use guesthouse::{
    Account, Accounts, Email, Error, become_host, become_hosts, guest, host, onboard, sign_up_all,
    sign_up_with_id,
};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, TransactionTrait};
use uuid::Uuid;

use crate::{
    courier::{self, Vehicle},
    support::{Backend as On, TestDb as Db, email, run},
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

/// An enum value that a newer build wrote.
async fn a_role_that_this_build_does_not_know(db: Db) {
    courier::create_table(&db).await;
    let ada = db.user("ada").await.id;
    let role = courier::ActiveModel {
        user_id: Set(ada),
        vehicle: Set(Vehicle::Van),
        ..Default::default()
    };
    let _ = onboard::<courier::Entity>(&db.pool, role.clone())
        .await
        .unwrap();
    match db.backend {
        On::Sqlite => {}
        On::Postgres => db.execute("ALTER TYPE vehicle ADD VALUE 'boat'").await,
        On::MariaDb => {
            let sql = "ALTER TABLE couriers MODIFY vehicle enum('bicycle', 'van', 'boat') NOT NULL";
            db.execute(sql).await;
        }
    }
    db.execute("UPDATE couriers SET vehicle = 'boat'").await;

    // Another pool: PostgreSQL's prepared statements know the enum as it was.
    let pool = db.pool_of(2).await;
    let alone = onboard::<courier::Entity>(&pool, role.clone()).await;
    let txn = pool.begin().await.unwrap();
    let within = onboard::<courier::Entity>(&txn, role).await;
    let _ = txn.rollback().await;

    is_a_database_error("alone", &alone);
    is_a_database_error("in a transaction", &within);
    for error in [alone.unwrap_err(), within.unwrap_err()] {
        assert!(!error.to_string().contains("1062"), "{error}");
    }
}

fn is_a_database_error<T: Debug>(call: &str, answer: &Result<T, Error>) {
    assert!(
        matches!(answer, Err(Error::Database { .. })),
        "{call}: {answer:?}"
    );
}

/// A time that is no time, as SQLite lets one write it: every call that would give the row back.
#[test]
fn a_time_that_is_none() {
    run(On::Sqlite, async |db| {
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
    });
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
