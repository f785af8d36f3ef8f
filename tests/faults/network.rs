//! Connections that break at one chosen message.

use std::time::Duration;

use guesthouse::{Error, become_host, retry, sign_up_with_id};
use sea_orm::{DatabaseConnection, DbBackend, TransactionTrait};
use tokio::{net::TcpListener, time::timeout};
use uuid::Uuid;

use super::{
    database,
    ledger::{Answer, Ledger, Operation, email, name_of},
    proxy::{Fault, Proxy},
    servers::Servers,
    twin,
};

/// Where the fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// `become_host` on its own: the statement commits itself.
    Autocommit,
    /// `become_host` in the caller's transaction, which was not to be committed yet.
    InTransaction,
    /// The `COMMIT` of the caller's transaction.
    Commit,
    /// `sign_up_with_id` on its own, which is one statement too.
    SignUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Done,
    Unknown,
    NotDone,
    Nothing,
}

/// What the caller is told, and whether the row is there.
fn expected(fault: Fault, at: At) -> (Told, bool) {
    let final_word = at != At::InTransaction;
    match fault {
        Fault::Delay => (Told::Done, true),
        Fault::Freeze => (Told::Nothing, false),
        Fault::CutBefore if final_word => (Told::Unknown, false),
        Fault::EatReply | Fault::HalfClose if final_word => (Told::Unknown, true),
        Fault::CutBefore | Fault::EatReply | Fault::HalfClose => (Told::NotDone, false),
    }
}

pub async fn between_us_and_postgres() {
    let servers = Servers::run("postgres");
    run("network_postgres", servers.url("POSTGRES")).await;
}

pub async fn between_us_and_mariadb() {
    let servers = Servers::run("mariadb");
    run("network_mariadb", servers.url("MARIADB")).await;
}

async fn run(group: &str, server: &str) {
    let url = database::create(server).await;
    let proxy = Proxy::to(database::socket(&url)).await;
    let direct = database::pool(&url, 2).await;
    let ledger = Ledger::new();

    let faults = [
        Fault::CutBefore,
        Fault::EatReply,
        Fault::HalfClose,
        Fault::Freeze,
        Fault::Delay,
    ];
    let places = [At::Autocommit, At::InTransaction, At::Commit, At::SignUp];
    let mut tried = 0;
    for fault in faults {
        for at in places {
            // A pool of two: whatever becomes of one connection, the other serves.
            let pool = database::pool(&database::through(proxy.port, &url), 2).await;
            let user_id = Uuid::now_v7();
            if at != At::SignUp {
                ledger.sign_up(&pool, user_id).await;
            }

            let told = strike(&proxy, fault, at, &pool, user_id, &ledger).await;

            let present = is_there(&direct, at, user_id).await;
            let case = format!("{fault:?} at {at:?}");
            assert_eq!((told, present), expected(fault, at), "{case}");

            if at == At::Commit {
                // A frozen session keeps its locks until its connection ends, as the servers'
                // own timeouts for idle transactions see to.
                proxy.heal();
            }
            // Whatever it was, calling again gives the one row, through the same pool.
            ledger.sign_up(&pool, user_id).await;
            let again = ledger.become_host(&pool, user_id).await;
            assert!(
                matches!(again, Answer::Acknowledged(_)),
                "{case}: {again:?}"
            );
            proxy.heal();
            tried += 1;
        }
    }
    assert_eq!(tried, faults.len() * places.len());
    assert_eq!(ledger.check(&direct).await, Ok(()));
    ledger.report(group);

    without_a_connection_nothing_is_unknown(&proxy, &url).await;
    one_who_takes_a_lost_reply_for_a_no_is_caught(&proxy, &url, &direct).await;
    twin::is_caught(&[direct.clone(), direct]).await;
}

/// Arms the fault, makes the call and notes what it was told.
async fn strike(
    proxy: &Proxy,
    fault: Fault,
    at: At,
    pool: &DatabaseConnection,
    user_id: Uuid,
    ledger: &Ledger,
) -> Told {
    // Statements are prepared by then; the message that strikes carries the user's id.
    let call = async {
        match at {
            At::Autocommit => {
                proxy.arm(fault, user_id.as_bytes());
                become_host(pool, user_id)
                    .await
                    .map(|host| host.into_model().id)
            }
            At::SignUp => {
                proxy.arm(fault, user_id.as_bytes());
                let account = sign_up_with_id(pool, user_id, email(user_id)).await?;
                Ok(account.guest.expect("made with the user").id)
            }
            At::InTransaction => {
                let txn = pool
                    .begin()
                    .await
                    .map_err(|source| Error::Database { source })?;
                proxy.arm(fault, &in_a_transaction(pool, user_id));
                let host = become_host(&txn, user_id).await?.into_model();
                txn.commit()
                    .await
                    .map_err(|source| Error::Database { source })?;
                Ok(host.id)
            }
            At::Commit => {
                proxy.arm(fault, b"COMMIT");
                let work = async |txn: &_| Ok(become_host(txn, user_id).await?.into_model().id);
                retry::transaction(pool, work).await
            }
        }
    };
    // Only a caller's own deadline ends the wait for a frozen connection.
    let outcome = timeout(Duration::from_secs(1), call).await;
    assert!(proxy.has_struck(), "{fault:?} at {at:?} did not strike");
    if let Ok(Err(error)) = &outcome {
        ledger.note_code(name_of(error));
    }
    let (told, answer) = match outcome {
        Ok(Ok(id)) => (Told::Done, Answer::Acknowledged(id)),
        Ok(Err(Error::OutcomeUnknown { .. })) => (Told::Unknown, Answer::Unknown),
        Ok(Err(_)) => (Told::NotDone, Answer::Refused),
        Err(_) => (Told::Nothing, Answer::Unknown),
    };
    let operation = match at {
        At::SignUp => Operation::SignUp,
        _ => Operation::BecomeHost,
    };
    ledger.note(operation, user_id, answer);
    told
}

/// The id as a statement of a transaction has it: on MariaDB the statement travels in a variable, as
/// hexadecimal, and the id is hexadecimal in it.
fn in_a_transaction(pool: &DatabaseConnection, user_id: Uuid) -> Vec<u8> {
    match pool.get_database_backend() {
        DbBackend::MySql => {
            let id = user_id.simple().to_string();
            let hex: String = id.bytes().map(|byte| format!("{byte:02x}")).collect();
            hex.into_bytes()
        }
        _ => user_id.as_bytes().to_vec(),
    }
}

async fn is_there(db: &DatabaseConnection, at: At, user_id: Uuid) -> bool {
    match at {
        At::SignUp => guesthouse::Account::find(db, user_id)
            .await
            .unwrap()
            .is_some(),
        _ => twin::find(db, user_id).await.is_some(),
    }
}

/// Nobody answers at the address: nothing was sent.
async fn without_a_connection_nothing_is_unknown(proxy: &Proxy, url: &str) {
    let pool = database::pool(&database::through(proxy.port, url), 1).await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    proxy.retarget(nobody.local_addr().unwrap().to_string());
    drop(nobody);
    // The connection that the pool has already goes first.
    proxy.arm(Fault::CutBefore, Uuid::nil().as_bytes());
    become_host(&pool, Uuid::nil()).await.unwrap_err();

    let error = become_host(&pool, Uuid::nil()).await.unwrap_err();

    assert!(matches!(error, Error::Database { .. }), "{error:?}");
    proxy.retarget(database::socket(url));
}

/// The twin of this group: a lost reply read as "not done".
async fn one_who_takes_a_lost_reply_for_a_no_is_caught(
    proxy: &Proxy,
    url: &str,
    direct: &DatabaseConnection,
) {
    let ledger = Ledger::new();
    let user_id = Uuid::now_v7();
    ledger.sign_up(direct, user_id).await;
    let pool = database::pool(&database::through(proxy.port, url), 1).await;
    proxy.arm(Fault::EatReply, user_id.as_bytes());
    become_host(&pool, user_id).await.unwrap_err();
    ledger.note(Operation::BecomeHost, user_id, Answer::Refused);
    let violations = ledger.check(direct).await;
    assert_eq!(
        violations,
        Err(vec![format!("BecomeHost of {user_id}: refused, yet done")])
    );
}
