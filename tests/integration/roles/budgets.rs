//! How many statements each verb sends for any role: as many as for hosts, and as documented.

use std::fmt::Debug;

use guesthouse::{Model, OwnerId, Role, backfill, host, offboard, onboard, onboard_all};
use sea_orm::{ConnectionTrait, EntityTrait, Related, TransactionTrait, sea_query::ValueType};
use uuid::Uuid;

use super::{Kind, courier, rows};
use crate::support::{Backend as On, Statements, TestDb as Db};

of_each_role!(
    each_verb,
    each_verb_in_a_transaction,
    verifying_and_counting
);

/// How many statements were sent since the last call. In a transaction on MariaDB one more makes the key
/// that keeps values out of logs, for each statement with more than UUIDs and times.
pub fn number_of(statements: &Statements) -> usize {
    let sent = statements.take();
    let is_counted = |sql: &&String| !sql.contains("@guesthouse_key :=");
    sent.iter().filter(is_counted).count()
}

/// What a call did, and the statements that it sent.
type Cost = (&'static str, usize);

/// Every verb, with each of its answers. Four owners do not have the role.
async fn costs<R>(
    db: &impl ConnectionTrait,
    statements: &Statements,
    owners: &[OwnerId<R>],
    nobody: OwnerId<R>,
    row: impl Fn(OwnerId<R>) -> R::ActiveModel,
) -> Vec<Cost>
where
    R: Role + Related<R::Owner> + EntityTrait,
    OwnerId<R>: ValueType + Copy,
{
    let mut costs = Vec::new();
    let mut count = |what| costs.push((what, number_of(statements)));
    let many = |owners: &[OwnerId<R>]| owners.iter().map(|owner| row(*owner)).collect::<Vec<_>>();
    statements.take();

    let new = onboard::<R>(db, row(owners[0])).await.unwrap().is_new();
    assert!(new);
    count("onboard: new");
    let new = onboard::<R>(db, row(owners[0])).await.unwrap().is_new();
    assert!(!new);
    count("onboard: existing");
    onboard::<R>(db, row(nobody)).await.unwrap_err();
    count("onboard: no such owner");

    let done = onboard_all::<R>(db, many(&owners[1..3])).await.unwrap();
    assert_eq!((done.new.len(), done.existing.len()), (2, 0));
    count("onboard_all: new");
    let done = onboard_all::<R>(db, many(&owners[..3])).await.unwrap();
    assert_eq!((done.new.len(), done.existing.len()), (0, 3));
    count("onboard_all: existing");
    let done = onboard_all::<R>(db, vec![row(nobody)]).await.unwrap();
    assert_eq!(done.unknown.len(), 1);
    count("onboard_all: no such owner");
    let mixed = vec![row(owners[0]), row(nobody), row(owners[3])];
    let done = onboard_all::<R>(db, mixed).await.unwrap();
    assert_eq!(
        (done.new.len(), done.existing.len(), done.unknown.len()),
        (1, 1, 1)
    );
    count("onboard_all: one of each");
    onboard_all::<R>(db, Vec::new()).await.unwrap();
    count("onboard_all: nothing");

    assert!(offboard::<R>(db, owners[0]).await.unwrap().is_some());
    count("offboard: a row");
    assert!(offboard::<R>(db, owners[0]).await.unwrap().is_none());
    count("offboard: no row");
    assert!(offboard::<R>(db, nobody).await.unwrap().is_none());
    count("offboard: no such owner");

    assert_eq!(backfill::<R>(db, &row, |_| {}).await.unwrap(), 1);
    count("backfill: one batch");
    assert_eq!(backfill::<R>(db, &row, |_| {}).await.unwrap(), 0);
    count("backfill: nobody");
    costs
}

fn new_host(user_id: Uuid) -> host::ActiveModel {
    host::ActiveModel {
        user_id: sea_orm::ActiveValue::Set(user_id),
        ..Default::default()
    }
}

/// What is documented for a connection that is no transaction.
fn documented(backend: On) -> Vec<Cost> {
    let on = |sqlite, postgres, mariadb| match backend {
        On::Sqlite => sqlite,
        On::Postgres => postgres,
        On::MariaDb => mariadb,
    };
    vec![
        ("onboard: new", 1),
        ("onboard: existing", on(1, 1, 2)),
        ("onboard: no such owner", on(1, 2, 2)),
        ("onboard_all: new", on(1, 1, 2)),
        ("onboard_all: existing", on(2, 2, 1)),
        ("onboard_all: no such owner", on(2, 2, 1)),
        ("onboard_all: one of each", on(3, 3, 2)),
        ("onboard_all: nothing", 0),
        ("offboard: a row", 2),
        ("offboard: no row", 1),
        ("offboard: no such owner", 1),
        ("backfill: one batch", on(3, 4, 4)),
        ("backfill: nobody", on(1, 2, 1)),
    ]
}

async fn each_verb<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let users = courier::Entity::many_owners(&db, 4).await;
    let (pool, statements) = db.counted_pool().await;
    let of_hosts = costs::<host::Entity>(&pool, &statements, &users, Uuid::nil(), new_host).await;
    assert_eq!(of_hosts, documented(db.backend));
    make_room_for_owners(&db).await;

    let owners = R::many_owners(&db, 4).await;
    let of_role = costs::<R>(&pool, &statements, &owners, R::NOBODY, |owner| {
        R::row(owner, 3)
    })
    .await;

    assert_eq!(of_role, of_hosts);
    assert_eq!(rows::<R>(&db).await.len(), 4);
}

async fn each_verb_in_a_transaction<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let users = courier::Entity::many_owners(&db, 4).await;
    let (pool, statements) = db.counted_pool().await;
    let txn = pool.begin().await.unwrap();
    let of_hosts = costs::<host::Entity>(&txn, &statements, &users, Uuid::nil(), new_host).await;
    txn.rollback().await.unwrap();
    make_room_for_owners(&db).await;

    let owners = R::many_owners(&db, 4).await;
    let txn = pool.begin().await.unwrap();
    let of_role = costs::<R>(&txn, &statements, &owners, R::NOBODY, |owner| {
        R::row(owner, 3)
    })
    .await;
    txn.commit().await.unwrap();

    assert_eq!(of_role, of_hosts);
    assert_eq!(rows::<R>(&db).await.len(), 4);
}

/// Deletes all accounts: those of the role's owners are made anew.
async fn make_room_for_owners(db: &Db) {
    for table in ["hosts", "guests", "users"] {
        db.execute(&format!("DELETE FROM {table}")).await;
    }
}

async fn verifying_and_counting<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    R::many_owners(&db, 2).await;
    let model = Model::new().role::<R>();
    let (pool, statements) = db.counted_pool().await;

    model.verify(&pool).await.unwrap();
    let verifying = match db.backend {
        On::Sqlite => 5,
        On::Postgres => 7,
        On::MariaDb => 5,
    };
    assert_eq!(statements.take().len(), verifying);

    assert_eq!(model.audit(&pool).await.unwrap()[0].owners_without, 2);
    assert_eq!(
        statements.take().len(),
        if db.backend == On::Postgres { 2 } else { 1 }
    );
}
