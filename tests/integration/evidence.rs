//! What an answer rests on: a key that was violated or a row that was read, and nothing else.

use std::fmt::Debug;

use guesthouse::{
    Account, Accounts, Error, backfill_guests, become_host, become_hosts, change_email, onboard,
    sign_up, sign_up_all, sign_up_with_id, stop_hosting, user, verify_schema,
};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{NotSet, Set},
    ConnectionTrait, EntityTrait, TransactionTrait,
};
use uuid::Uuid;

use crate::{
    courier::{self, Vehicle},
    support::{Backend as On, TestDb as Db, email},
};

/// Calls whose answer a test looks at, on a pool or in a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    SignUp,
    SignUpWithId,
    SignUpAll,
    ChangeEmail,
    BackfillGuests,
    BecomeHost,
    BecomeHosts,
}
use Call::*;

impl Call {
    /// With an address that nobody has, and with ada, who is a user and no more.
    pub async fn run<C>(self, db: &C, name: &str, ada: Uuid) -> Result<(), Error>
    where
        C: ConnectionTrait + TransactionTrait,
    {
        let new = email(name);
        match self {
            SignUp => sign_up(db, new).await.map(drop),
            SignUpWithId => sign_up_with_id(db, Uuid::now_v7(), new).await.map(drop),
            SignUpAll => {
                let others = [
                    email(&format!("{name}-a")),
                    new,
                    email(&format!("{name}-z")),
                ];
                sign_up_all(db, others.to_vec()).await.map(drop)
            }
            ChangeEmail => change_email(db, ada, new).await.map(drop),
            BackfillGuests => backfill_guests(db, |_| ()).await.map(drop),
            BecomeHost => become_host(db, ada).await.map(drop),
            BecomeHosts => become_hosts(db, &[ada]).await.map(drop),
        }
    }
}

/// Each call is `Database`, alone and in a transaction, and writes nothing.
pub async fn all_are_database_errors(db: &Db, calls: &[Call], name: &str, ada: Uuid) {
    let before = db.rows().await;
    let mut wrong = Vec::new();
    for call in calls {
        let alone = call.run(&db.pool, name, ada).await;
        let txn = db.pool.begin().await.unwrap();
        let within = call.run(&txn, name, ada).await;
        // Where the error spoiled the transaction, its COMMIT keeps nothing.
        let _ = txn.commit().await;
        for (place, answer) in [("alone", alone), ("in a transaction", within)] {
            if !matches!(answer, Err(Error::Database { .. })) {
                wrong.push(format!("{call:?} {place}: {answer:?}"));
            }
        }
        if db.rows().await != before {
            wrong.push(format!("{call:?}: something is written"));
            break;
        }
    }
    assert!(wrong.is_empty(), "{:?}: {wrong:#?}", db.backend);
}

/// A trigger that lets no row into the table, or none of which `condition` is true.
async fn skip_rows(db: &Db, table: &str, condition: &str) {
    let sql = match db.backend {
        On::Sqlite => format!(
            "CREATE TRIGGER skips BEFORE INSERT ON {table} WHEN {condition}
             BEGIN SELECT RAISE(IGNORE); END"
        ),
        On::Postgres => format!(
            "CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RETURN NULL; END $$;
             CREATE TRIGGER skips BEFORE INSERT ON {table}
             FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION skip()"
        ),
        On::MariaDb => unreachable!("MariaDB's triggers cannot skip a row"),
    };
    db.execute(&sql).await;
}

/// Makes tests of a row that was not made, and nothing that stands in its way.
macro_rules! skipped_row {
    ($($name:ident: $table:literal, $condition:literal, $calls:expr;)+) => {$(
        on_sqlite_and_postgres!($name);

        async fn $name(db: Db) {
            let ada = db.user("ada").await.id;
            insert_by_hand(&db, "eve").await;
            skip_rows(&db, $table, $condition).await;
            all_are_database_errors(&db, &$calls, "grace", ada).await;
        }
    )+};
}

skipped_row! {
    a_skipped_user: "users", "1 = 1", [SignUp, SignUpWithId, SignUpAll];
    a_skipped_user_of_several: "users", "NEW.email = 'grace@example.com'", [SignUp, SignUpWithId, SignUpAll];
    a_skipped_guest: "guests", "1 = 1", [SignUp, SignUpWithId, SignUpAll, BackfillGuests];
    a_skipped_host: "hosts", "1 = 1", [BecomeHost, BecomeHosts];
}

async fn insert_by_hand(db: &Db, name: &str) -> user::Model {
    let user = user::ActiveModel {
        email: Set(email(name).into()),
        ..Default::default()
    };
    user.insert(&db.pool).await.unwrap()
}

on_mariadb!(a_limit_of_the_session_hides_nobody);

/// `SET sql_select_limit`, as `mysql --safe-updates` does: an id that a look-up leaves out is no
/// unknown one.
async fn a_limit_of_the_session_hides_nobody(db: Db) {
    let hosts = [
        db.host("ada").await,
        db.host("bob").await,
        db.host("cleo").await,
    ];
    let ids: Vec<Uuid> = hosts.iter().map(|host| host.user_id).collect();
    let limited = db.pool_of(1).await;
    limited
        .execute_unprepared("SET sql_select_limit = 1")
        .await
        .unwrap();

    let found = become_hosts(&limited, &ids).await.unwrap();
    assert_eq!(found.existing, hosts);
    assert_eq!((found.new.len(), found.unknown.len()), (0, 0));

    let names = ["bob", "dan", "eve", "fay"].map(email);
    let made = sign_up_all(&limited, names.to_vec()).await.unwrap();
    assert_eq!((made.created.len(), made.taken), (3, vec![email("bob")]));
    let new: Vec<Uuid> = made.created.iter().map(|account| account.user.id).collect();
    let found = become_hosts(&limited, &new).await.unwrap();
    assert_eq!(
        (found.new.len(), found.existing.len(), found.unknown.len()),
        (3, 0, 0)
    );

    let page = Accounts::all().fetch(&limited).await.unwrap();
    assert_eq!(page.accounts.len(), 6);
    assert_eq!(Accounts::hosts().count(&limited).await.unwrap(), 6);
    for name in ["gil", "hal", "ivy"] {
        insert_by_hand(&db, name).await;
    }
    assert_eq!(backfill_guests(&limited, |_| ()).await.unwrap(), 3);
    assert_eq!(Accounts::without_guest().count(&db.pool).await.unwrap(), 0);
    verify_schema(&limited).await.unwrap();
}

const NEW_USERS: [Call; 3] = [SignUp, SignUpWithId, SignUpAll];

on_each_backend!(
    a_clash_on_a_key_of_the_apps_is_not_a_taken_address,
    a_clash_on_a_part_of_the_address_is_not_a_taken_address,
    a_clash_in_another_table_is_not_a_taken_address,
    a_clash_in_another_table_is_not_an_existing_host,
    a_clash_in_another_table_is_not_an_existing_guest,
);

/// A second unique key of the app's, on a column of its own.
async fn a_clash_on_a_key_of_the_apps_is_not_a_taken_address(db: Db) {
    db.execute("ALTER TABLE users ADD nickname varchar(50) DEFAULT 'nobody'")
        .await;
    db.execute("CREATE UNIQUE INDEX n ON users (nickname)")
        .await;
    let ada = db.user("ada").await.id;
    all_are_database_errors(&db, &NEW_USERS, "grace", ada).await;
}

/// A second unique key that follows the address, under a name much like ours.
async fn a_clash_on_a_part_of_the_address_is_not_a_taken_address(db: Db) {
    let (local_part, kind) = match db.backend {
        On::Sqlite => ("substr(email, 1, instr(email, '@') - 1)", "VIRTUAL"),
        On::Postgres => ("split_part(email, '@', 1)", "STORED"),
        On::MariaDb => ("substring_index(email, '@', 1)", "STORED"),
    };
    db.execute(&format!(
        "ALTER TABLE users ADD handle varchar(254) GENERATED ALWAYS AS ({local_part}) {kind}"
    ))
    .await;
    db.execute("CREATE UNIQUE INDEX users_email_handle ON users (handle)")
        .await;
    let ada = db.user("ada").await.id;
    sign_up(&db.pool, "grace@example.org".parse().unwrap())
        .await
        .unwrap();
    all_are_database_errors(
        &db,
        &[SignUp, SignUpWithId, SignUpAll, ChangeEmail],
        "grace",
        ada,
    )
    .await;
    let taken = sign_up(&db.pool, "grace@example.org".parse().unwrap()).await;
    assert!(matches!(taken, Err(Error::EmailTaken)), "{taken:?}");
}

/// A trigger that fills another table, whose key has the address already. On MariaDB the key
/// bears our name too: names are a table's own there.
async fn a_clash_in_another_table_is_not_a_taken_address(db: Db) {
    let ada = db.user("ada").await.id;
    let key = if db.backend == On::MariaDb {
        "users_email"
    } else {
        "mirror_email"
    };
    db.execute("CREATE TABLE mirror (email varchar(254))").await;
    db.execute(&format!("CREATE UNIQUE INDEX {key} ON mirror (email)"))
        .await;
    for name in ["grace", "grace-a"] {
        db.execute(&format!("INSERT INTO mirror VALUES ('{name}@example.com')"))
            .await;
    }
    fill_after(
        &db,
        "users",
        "INSERT",
        "INSERT INTO mirror VALUES (NEW.email)",
    )
    .await;
    fill_after(
        &db,
        "users",
        "UPDATE",
        "INSERT INTO mirror VALUES (NEW.email)",
    )
    .await;
    all_are_database_errors(
        &db,
        &[SignUp, SignUpWithId, SignUpAll, ChangeEmail],
        "grace",
        ada,
    )
    .await;
}

async fn a_clash_in_another_table_is_not_an_existing_host(db: Db) {
    let ada = db.user("ada").await.id;
    let key = if db.backend == On::MariaDb {
        "hosts_user_id"
    } else {
        "ledger_entry"
    };
    db.execute("CREATE TABLE ledger (entry varchar(20))").await;
    db.execute(&format!("CREATE UNIQUE INDEX {key} ON ledger (entry)"))
        .await;
    db.execute("INSERT INTO ledger VALUES ('host')").await;
    fill_after(&db, "hosts", "INSERT", "INSERT INTO ledger VALUES ('host')").await;
    all_are_database_errors(&db, &[BecomeHost, BecomeHosts], "grace", ada).await;
}

async fn a_clash_in_another_table_is_not_an_existing_guest(db: Db) {
    let ada = db.user("ada").await.id;
    let key = if db.backend == On::MariaDb {
        "users_email"
    } else {
        "ledger_entry"
    };
    db.execute("CREATE TABLE ledger (entry varchar(20))").await;
    db.execute(&format!("CREATE UNIQUE INDEX {key} ON ledger (entry)"))
        .await;
    db.execute("INSERT INTO ledger VALUES ('guest')").await;
    insert_by_hand(&db, "eve").await;
    fill_after(
        &db,
        "guests",
        "INSERT",
        "INSERT INTO ledger VALUES ('guest')",
    )
    .await;
    all_are_database_errors(
        &db,
        &[SignUp, SignUpWithId, SignUpAll, BackfillGuests],
        "grace",
        ada,
    )
    .await;
}

/// A trigger that runs `statement` for each row, after it was written.
pub async fn fill_after(db: &Db, table: &str, event: &str, statement: &str) {
    let name = format!("fills_{table}_{event}").to_lowercase();
    let sql = match db.backend {
        On::Sqlite => {
            format!("CREATE TRIGGER {name} AFTER {event} ON {table} BEGIN {statement}; END")
        }
        On::Postgres => format!(
            "CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN {statement}; RETURN NULL; END $$;
             CREATE TRIGGER {name} AFTER {event} ON {table}
             FOR EACH ROW EXECUTE FUNCTION {name}()"
        ),
        On::MariaDb => {
            format!("CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH ROW {statement}")
        }
    };
    db.execute(&sql).await;
}

/// A trigger that sets a column of each new row before it is written.
pub async fn set_before(db: &Db, table: &str, column: &str, value: &str) {
    let name = format!("sets_{table}_{column}");
    let sql = match db.backend {
        // SQLite's triggers cannot change the row that is written.
        On::Sqlite => format!(
            "CREATE TRIGGER {name} AFTER INSERT ON {table}
             BEGIN UPDATE {table} SET {column} = {value} WHERE rowid = NEW.rowid; END"
        ),
        On::Postgres => format!(
            "CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN NEW.{column} := {value}; RETURN NEW; END $$;
             CREATE TRIGGER {name} BEFORE INSERT ON {table}
             FOR EACH ROW EXECUTE FUNCTION {name}()"
        ),
        On::MariaDb => format!(
            "CREATE TRIGGER {name} BEFORE INSERT ON {table}
             FOR EACH ROW SET NEW.{column} = {value}"
        ),
    };
    db.execute(&sql).await;
}

fn another_id(db: &Db) -> &'static str {
    match db.backend {
        On::Sqlite => "randomblob(16)",
        On::Postgres => "gen_random_uuid()",
        On::MariaDb => "unhex(replace(uuid(), '-', ''))",
    }
}

/// Makes accounts and hosts by every call there is, and compares each answer with what is stored.
pub async fn every_answer_is_what_is_stored(db: &Db) {
    let mut wrong = Vec::new();
    let mut compare = |call: &str, told: &dyn Debug, stored: &dyn Debug| {
        let (told, stored) = (format!("{told:?}"), format!("{stored:?}"));
        if told != stored {
            wrong.push(format!("{call}: told {told}, stored {stored}"));
        }
    };
    let stored = async |user_id| Account::find(&db.pool, user_id).await.unwrap();

    let ada = sign_up(&db.pool, email("ada")).await.unwrap();
    compare("sign_up", &Some(&ada), &stored(ada.user.id).await.as_ref());
    let id = Uuid::now_v7();
    let bob = sign_up_with_id(&db.pool, id, email("bob")).await.unwrap();
    compare("sign_up_with_id", &Some(&bob), &stored(id).await.as_ref());

    let many = ["cleo", "dan", "eve"].map(email);
    let made = sign_up_all(&db.pool, many.to_vec()).await.unwrap();
    compare("sign_up_all", &made.created.len(), &3);
    for account in &made.created {
        compare(
            "sign_up_all",
            &Some(account),
            &stored(account.user.id).await.as_ref(),
        );
    }

    let host = become_host(&db.pool, ada.user.id).await.unwrap();
    compare("become_host", &host.is_new(), &true);
    let account = stored(ada.user.id).await.unwrap();
    compare("become_host", &Some(host.model()), &account.host.as_ref());

    let ids: Vec<Uuid> = made.created.iter().map(|account| account.user.id).collect();
    let hosts = become_hosts(&db.pool, &ids).await.unwrap();
    compare(
        "become_hosts",
        &(hosts.new.len(), hosts.existing.len()),
        &(3, 0),
    );
    for host in hosts.new.iter().chain(&hosts.existing) {
        let account = stored(host.user_id).await.unwrap();
        compare("become_hosts", &Some(host), &account.host.as_ref());
    }
    assert!(wrong.is_empty(), "{:?}: {wrong:#?}", db.backend);
}

on_each_backend!(
    times_that_a_trigger_sets_are_returned,
    ids_that_a_trigger_sets_are_returned,
);

/// The app's database keeps the time itself.
async fn times_that_a_trigger_sets_are_returned(db: Db) {
    for table in ["users", "guests", "hosts"] {
        set_before(&db, table, "created_at", "'2001-02-03 04:05:06'").await;
    }
    every_answer_is_what_is_stored(&db).await;
}

/// The app's database gives ids to guests and hosts.
async fn ids_that_a_trigger_sets_are_returned(db: Db) {
    set_before(&db, "guests", "id", another_id(&db)).await;
    set_before(&db, "hosts", "id", another_id(&db)).await;
    every_answer_is_what_is_stored(&db).await;
}

on_servers!(another_id_for_a_user_is_an_error);

/// The id of a user is what the guest refers to: one that is changed on the way is an error, and
/// there is neither a user without a guest nor an address that is reported as taken.
async fn another_id_for_a_user_is_an_error(db: Db) {
    let ada = db.user("ada").await.id;
    set_before(&db, "users", "id", another_id(&db)).await;
    all_are_database_errors(&db, &NEW_USERS, "grace", ada).await;
}

on_postgres!(
    a_second_index_on_the_role_changes_no_answer,
    a_second_index_on_the_address_changes_no_answer,
);

/// A second unique index on the same column, as there is one while an index is swapped online. Which
/// of the two a clash is found on is chance.
async fn a_second_index_on_the_role_changes_no_answer(db: Db) {
    db.execute("CREATE UNIQUE INDEX live ON hosts (user_id) WHERE created_at > '2000-01-01'")
        .await;
    for round in 0..60 {
        let ada = db.user(&format!("ada{round}")).await.id;
        let callers: Vec<_> = (0..8)
            .map(|caller| {
                let pool = db.pool.clone();
                tokio::spawn(async move {
                    if caller % 4 == 3 {
                        become_hosts(&pool, &[ada]).await.map(|done| done.new.len())
                    } else {
                        let host = become_host(&pool, ada).await;
                        host.map(|host| usize::from(host.is_new()))
                    }
                })
            })
            .collect();
        let mut new = 0;
        for caller in callers {
            new += caller.await.unwrap().unwrap();
        }
        assert_eq!(new, 1);
    }
    assert_eq!(db.rows().await.hosts.len(), 60);
}

async fn a_second_index_on_the_address_changes_no_answer(db: Db) {
    db.execute("CREATE UNIQUE INDEX live ON users (email) WHERE created_at > '2000-01-01'")
        .await;
    for round in 0..60 {
        let callers: Vec<_> = (0..8)
            .map(|caller| {
                let (pool, ada) = (db.pool.clone(), email(&format!("ada{round}")));
                tokio::spawn(async move {
                    match caller % 4 {
                        2 => sign_up_with_id(&pool, Uuid::now_v7(), ada).await.map(drop),
                        3 => match sign_up_all(&pool, vec![ada]).await {
                            Ok(done) if done.created.is_empty() => Err(Error::EmailTaken),
                            done => done.map(drop),
                        },
                        _ => sign_up(&pool, ada).await.map(drop),
                    }
                })
            })
            .collect();
        let mut made = 0;
        for caller in callers {
            match caller.await.unwrap() {
                Ok(()) => made += 1,
                answer => assert!(matches!(answer, Err(Error::EmailTaken)), "{answer:?}"),
            }
        }
        assert_eq!(made, 1);
    }
    let rows = db.rows().await;
    assert_eq!((rows.users.len(), rows.guests.len()), (60, 60));
}

on_each_backend!(
    a_field_that_is_forgotten_does_not_hide_the_row,
    a_host_that_comes_and_goes_is_no_error_of_the_database,
    a_host_that_comes_and_goes_is_no_error_of_a_bulk_call,
);

/// What a caller leaves out counts for a new row only.
async fn a_field_that_is_forgotten_does_not_hide_the_row(db: Db) {
    courier::create_table(&db).await;
    let ada = db.user("ada").await.id;
    let grace = db.user("grace").await.id;
    let courier = |user_id, vehicle| courier::ActiveModel {
        user_id: Set(user_id),
        vehicle,
        ..Default::default()
    };
    let first = onboard::<courier::Entity>(&db.pool, courier(ada, Set(Vehicle::Van)))
        .await
        .unwrap();

    let again = onboard::<courier::Entity>(&db.pool, courier(ada, NotSet))
        .await
        .unwrap();
    assert!(!again.is_new());
    assert_eq!(again.model(), first.model());
    let txn = db.pool.begin().await.unwrap();
    let within = onboard::<courier::Entity>(&txn, courier(ada, NotSet))
        .await
        .unwrap();
    assert_eq!(within.model(), first.model());
    txn.commit().await.unwrap();

    // MariaDB gives an enum its first value.
    if db.backend != On::MariaDb {
        let new = onboard::<courier::Entity>(&db.pool, courier(grace, NotSet)).await;
        assert!(matches!(new, Err(Error::Database { .. })), "{new:?}");
    }
    let stored = courier::Entity::find().all(&db.pool).await.unwrap();
    assert_eq!(stored, [first.into_model()]);
}

/// Hosts that come and go while others look: at worst one is to try again.
async fn a_host_that_comes_and_goes_is_no_error_of_the_database(db: Db) {
    let ada = db.user("ada").await.id;
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let pool = db.pool.clone();
            tokio::spawn(async move {
                let mut wrong = Vec::new();
                for _ in 0..25 {
                    let begun = become_host(&pool, ada).await.map(drop);
                    let ended = stop_hosting(&pool, ada).await.map(drop);
                    wrong.extend([begun, ended].into_iter().filter_map(Result::err));
                }
                wrong.retain(|error| !error.is_retryable());
                wrong
            })
        })
        .collect();
    for caller in callers {
        let wrong = caller.await.unwrap();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}

async fn a_host_that_comes_and_goes_is_no_error_of_a_bulk_call(db: Db) {
    let ids = [db.user("ada").await.id, db.user("grace").await.id];
    let callers: Vec<_> = (0..8)
        .map(|caller| {
            let pool = db.pool.clone();
            tokio::spawn(async move {
                let mut wrong = Vec::new();
                for _ in 0..25 {
                    let begun = become_hosts(&pool, &ids).await.map(drop);
                    let ended = stop_hosting(&pool, ids[caller % 2]).await.map(drop);
                    wrong.extend([begun, ended].into_iter().filter_map(Result::err));
                }
                wrong.retain(|error| !error.is_retryable());
                wrong
            })
        })
        .collect();
    for caller in callers {
        let wrong = caller.await.unwrap();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
