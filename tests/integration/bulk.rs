//! Many sign-ups and onboardings at once.

use std::collections::BTreeSet;

use guesthouse::{
    Account, Email, Error, Onboardings, SignUps, become_host, become_hosts, sign_up, sign_up_all,
    stop_hosting,
};
use sea_orm::TransactionTrait;
use uuid::Uuid;

use crate::{
    support::{Backend as On, TestDb, email},
    transactions::until_someone_waits,
};

fn emails(names: &[&str]) -> Vec<Email> {
    names.iter().map(|name| email(name)).collect()
}

fn addresses(accounts: &[Account]) -> Vec<&str> {
    accounts
        .iter()
        .map(|account| account.user.email.as_str())
        .collect()
}

on_each_backend!(
    sign_ups_keep_the_order_and_report_what_is_taken,
    nothing_to_do_sends_nothing,
    onboardings_keep_the_order_and_report_each_id_once,
    beyond_every_bind_limit,
    a_failure_leaves_nothing,
    inside_the_callers_transaction,
    two_imports_at_once_share_the_work,
    a_host_that_goes_away_meanwhile_is_made_anew,
);

async fn sign_ups_keep_the_order_and_report_what_is_taken(db: TestDb) {
    db.user("grace").await;

    let done = sign_up_all(
        &db.pool,
        emails(&["mary", "grace", "ada", "mary", "zoe", "grace", "mary"]),
    )
    .await
    .unwrap();

    assert_eq!(
        addresses(&done.created),
        ["mary@example.com", "ada@example.com", "zoe@example.com"],
    );
    assert_eq!(done.taken, emails(&["grace", "mary", "grace", "mary"]));
    for account in done.created {
        assert_eq!(
            Account::find(&db.pool, account.user.id).await.unwrap(),
            Some(account)
        );
    }
    let rows = db.rows().await;
    assert_eq!(
        (rows.users.len(), rows.guests.len(), rows.hosts.len()),
        (4, 4, 0)
    );
}

async fn nothing_to_do_sends_nothing(db: TestDb) {
    let (pool, statements) = db.counted_pool().await;
    assert_eq!(
        sign_up_all(&pool, vec![]).await.unwrap(),
        SignUps::default()
    );
    assert_eq!(
        become_hosts(&pool, &[]).await.unwrap(),
        Onboardings::default()
    );
    assert_eq!(statements.take(), Vec::<String>::new());
}

async fn onboardings_keep_the_order_and_report_each_id_once(db: TestDb) {
    let [ada, grace, mary] = [
        db.user("ada").await,
        db.user("grace").await,
        db.user("mary").await,
    ];
    let host = become_host(&db.pool, grace.id).await.unwrap().into_model();
    let nobody = Uuid::now_v7();

    let ids = [
        mary.id,
        Uuid::nil(),
        grace.id,
        mary.id,
        ada.id,
        nobody,
        grace.id,
        nobody,
    ];
    let done = become_hosts(&db.pool, &ids).await.unwrap();

    let of = |hosts: &[guesthouse::host::Model]| {
        hosts.iter().map(|host| host.user_id).collect::<Vec<_>>()
    };
    assert_eq!(of(&done.new), [mary.id, ada.id]);
    assert_eq!(done.existing, std::slice::from_ref(&host));
    assert_eq!(done.unknown, [Uuid::nil(), nobody]);
    let stored: BTreeSet<_> = db.rows().await.hosts.iter().map(|host| host.id).collect();
    let told = done
        .new
        .iter()
        .chain(&done.existing)
        .map(|host| host.id)
        .collect();
    assert_eq!(stored, told);

    let again = become_hosts(&db.pool, &ids).await.unwrap();
    assert_eq!(
        (again.new.len(), again.existing.len(), again.unknown.len()),
        (0, 3, 2)
    );
    assert_eq!(again.existing[2], done.new[1]);
}

/// More rows than any database has binds, in as many statements as one takes. MariaDB looks who is
/// there first, and asks what fits into a packet.
async fn beyond_every_bind_limit(db: TestDb) {
    let (pool, statements) = db.counted_pool().await;
    let many: Vec<Email> = (0..12_000).map(|n| email(&format!("user{n:05}"))).collect();

    let done = sign_up_all(&pool, many.clone()).await.unwrap();

    assert_eq!(
        statements.take().len(),
        if db.backend == On::MariaDb { 3 } else { 1 }
    );
    assert_eq!(done.taken, []);
    assert!(
        done.created
            .iter()
            .zip(&many)
            .all(|(account, email)| account.user.email == email.as_ref())
    );
    assert_eq!(done.created.len(), many.len());

    let ids: Vec<Uuid> = done
        .created
        .iter()
        .map(|account| account.user.id)
        .chain([Uuid::nil()])
        .collect();
    let hosts = become_hosts(&pool, &ids).await.unwrap();
    // The one that is unknown takes a second statement, on PostgreSQL and MariaDB a third.
    assert_eq!(
        statements.take().len(),
        if db.backend == On::Sqlite { 2 } else { 3 }
    );
    assert_eq!(
        (hosts.new.len(), hosts.existing.len(), hosts.unknown.len()),
        (12_000, 0, 1)
    );
    // So do those that are hosts already.
    assert_eq!(
        become_hosts(&pool, &ids[..10])
            .await
            .unwrap()
            .existing
            .len(),
        10
    );
    let known = match db.backend {
        On::Sqlite | On::Postgres => 2,
        On::MariaDb => 1,
    };
    assert_eq!(statements.take().len(), known);
    let rows = db.rows().await;
    assert_eq!((rows.users.len(), rows.guests.len()), (12_000, 12_000));
    let mut made = hosts.new;
    made.sort_by_key(|host| host.id);
    assert_eq!(rows.hosts, made);
}

/// The hosts cannot be made: not one is.
async fn a_failure_leaves_nothing(db: TestDb) {
    db.execute("ALTER TABLE guests RENAME TO elsewhere").await;
    let failed = sign_up_all(&db.pool, emails(&["ada", "grace"])).await;
    assert!(matches!(failed, Err(Error::Database { .. })), "{failed:?}");
    db.execute("ALTER TABLE elsewhere RENAME TO guests").await;
    let rows = db.rows().await;
    assert_eq!((rows.users.len(), rows.guests.len()), (0, 0));
}

async fn inside_the_callers_transaction(db: TestDb) {
    let ada = db.user("ada").await;
    let before = db.rows().await;

    let txn = db.pool.begin().await.unwrap();
    let done = sign_up_all(&txn, emails(&["ada", "grace"])).await.unwrap();
    assert_eq!((done.created.len(), done.taken.len()), (1, 1));
    let hosts = become_hosts(&txn, &[ada.id, done.created[0].user.id, Uuid::nil()])
        .await
        .unwrap();
    assert_eq!((hosts.new.len(), hosts.unknown.len()), (2, 1));
    let alone = sign_up(&txn, email("mary")).await.unwrap();
    assert!(alone.guest.is_some());
    txn.rollback().await.unwrap();

    assert_eq!(db.rows().await, before);
}

/// Two whole imports of the same people at once, in opposite orders.
async fn two_imports_at_once_share_the_work(db: TestDb) {
    let one: Vec<Email> = (0..500).map(|n| email(&format!("user{n:03}"))).collect();
    let other: Vec<Email> = one.iter().rev().cloned().collect();
    let [pool, second] = [db.pool.clone(), db.pool.clone()];
    let first = tokio::spawn(async move { sign_up_all(&pool, one).await });
    let second = tokio::spawn(async move { sign_up_all(&second, other).await });
    let (first, second) = (
        first.await.unwrap().unwrap(),
        second.await.unwrap().unwrap(),
    );
    assert_eq!(first.created.len() + second.created.len(), 500);
    assert_eq!(first.taken.len() + second.taken.len(), 500);

    let ids: Vec<Uuid> = first
        .created
        .iter()
        .chain(&second.created)
        .map(|account| account.user.id)
        .collect();
    let reversed: Vec<Uuid> = ids.iter().rev().copied().collect();
    let [pool, other] = [db.pool.clone(), db.pool.clone()];
    let first = tokio::spawn(async move { become_hosts(&pool, &ids).await });
    let second = tokio::spawn(async move { become_hosts(&other, &reversed).await });
    let (first, second) = (
        first.await.unwrap().unwrap(),
        second.await.unwrap().unwrap(),
    );
    assert_eq!(first.new.len() + second.new.len(), 500);
    assert_eq!(first.existing.len() + second.existing.len(), 500);
    let rows = db.rows().await;
    assert_eq!(
        (rows.users.len(), rows.guests.len(), rows.hosts.len()),
        (500, 500, 500)
    );
}

/// A host that goes away while the bulk call waits for it is made anew. MariaDB does not wait: the
/// host is still there.
async fn a_host_that_goes_away_meanwhile_is_made_anew(db: TestDb) {
    let host = db.host("ada").await;
    if db.backend == On::MariaDb {
        let stopping = db.pool.begin().await.unwrap();
        stop_hosting(&stopping, host.user_id).await.unwrap();
        let done = become_hosts(&db.pool, &[host.user_id]).await.unwrap();
        assert_eq!(done.existing, [host]);
        stopping.commit().await.unwrap();
        return;
    }
    let stopping = db.pool.begin().await.unwrap();
    stop_hosting(&stopping, host.user_id).await.unwrap();
    let pool = db.pool.clone();
    let becoming = tokio::spawn(async move { become_hosts(&pool, &[host.user_id]).await });
    until_someone_waits(&db).await;
    stopping.commit().await.unwrap();
    let done = becoming.await.unwrap().unwrap();
    assert_eq!((done.new.len(), done.existing.len()), (1, 0));
    assert_eq!(db.rows().await.hosts, done.new);
}
