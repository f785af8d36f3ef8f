//! A database that already has users.

use guesthouse::{Audit, EmailAudit, Model, RoleAudit, audit, audit_emails, backfill_guests, user};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, TransactionTrait};

use crate::support::{Backend as On, TestDb as Db};

/// Users as another program made them: no guests.
async fn raw_users(db: &Db, count: usize) {
    let sql = match db.backend {
        On::Sqlite => format!(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {count})
             INSERT INTO users (email) SELECT 'raw' || n || '@example.com' FROM n"
        ),
        On::Postgres => format!(
            "INSERT INTO users (email) SELECT 'raw' || n || '@example.com' FROM generate_series(1, {count}) n"
        ),
        On::MariaDb => format!(
            "INSERT INTO users (email) SELECT concat('raw', seq, '@example.com') FROM seq_1_to_{count}"
        ),
    };
    db.execute(&sql).await;
}

on_each_backend!(addresses_in_another_spelling_are_found,);

/// Addresses as an earlier version, or another program, has stored them.
async fn addresses_in_another_spelling_are_found(db: Db) {
    db.user("ada").await;
    let mut ids = Vec::new();
    for address in [
        "ada@b\u{fc}cher.example",
        "ada@xn--bcher-kva.example",
        "\"ada\"@b\u{fc}cher.example",
        "bob@xn--bcher-kva.example",
        "a\u{3164}da@example.com",
    ] {
        let raw = user::ActiveModel {
            email: Set(address.into()),
            ..Default::default()
        };
        ids.push(raw.insert(&db.pool).await.unwrap().id);
    }
    let before = db.rows().await;

    let found = audit_emails(&db.pool).await.unwrap();

    let expected = EmailAudit {
        malformed: vec![ids[4]],
        to_rewrite: ids[1..4].to_vec(),
        collisions: vec![ids[..3].to_vec()],
    };
    assert_eq!(found, expected);
    assert_eq!(db.rows().await, before);
}

on_each_backend!(
    every_user_gets_exactly_one_guest,
    a_list_of_tables_gives_guests_as_well,
    it_goes_on_where_it_was_stopped,
    beside_itself_and_beside_sign_ups,
    undone_with_the_callers_transaction,
);

async fn every_user_gets_exactly_one_guest(db: Db) {
    db.host("ada").await;
    raw_users(&db, 2_500).await;
    let before = db.rows().await;
    let counts = audit(&db.pool).await.unwrap();
    assert_eq!(
        counts,
        Audit {
            users: 2_501,
            hosts: 1,
            users_without_guest: 2_500
        }
    );

    let mut totals = Vec::new();
    let given = backfill_guests(&db.pool, |total| totals.push(total))
        .await
        .unwrap();

    assert_eq!((given, totals), (2_500, vec![1_000, 2_000, 2_500]));
    let counts = audit(&db.pool).await.unwrap();
    assert_eq!(
        counts,
        Audit {
            users: 2_501,
            hosts: 1,
            users_without_guest: 0
        }
    );
    let after = db.rows().await;
    assert_eq!((&after.users, &after.hosts), (&before.users, &before.hosts));
    assert_eq!(after.guests.len(), 2_501);
    assert!(after.guests.contains(&before.guests[0]));

    // Idempotent: nobody is left, and nobody gets a second one.
    assert_eq!(
        backfill_guests(&db.pool, |_| unreachable!("nobody is left"))
            .await
            .unwrap(),
        0
    );
    assert_eq!(db.rows().await, after);
}

async fn a_list_of_tables_gives_guests_as_well(db: Db) {
    db.host("ada").await;
    raw_users(&db, 1_001).await;
    let model = Model::accounts();
    let counts = async || {
        let roles = model.audit(&db.pool).await.unwrap().into_iter();
        let count = |role: RoleAudit| (role.table, role.owners, role.rows, role.owners_without);
        roles.map(count).collect::<Vec<_>>()
    };
    let of_hosts = ("hosts".to_owned(), 1_002, 1, 1_001);
    let of_guests = |rows, lacking| ("guests".to_owned(), 1_002, rows, lacking);
    assert_eq!(counts().await, [of_guests(1, 1_001), of_hosts.clone()]);
    assert_eq!(
        model.audit_emails(&db.pool).await.unwrap(),
        Some(EmailAudit::default())
    );

    let mut totals = Vec::new();
    let given = model
        .backfill_guests(&db.pool, |total| totals.push(total))
        .await;
    assert_eq!((given.unwrap(), totals), (Some(1_001), vec![1_000, 1_001]));
    assert_eq!(counts().await, [of_guests(1_002, 0), of_hosts]);
}

async fn it_goes_on_where_it_was_stopped(db: Db) {
    raw_users(&db, 2_100).await;
    let pool = db.pool.clone();
    let stopped = tokio::spawn(async move {
        backfill_guests(&pool, |total| {
            assert!(total < 2_000, "stopped after the second batch")
        })
        .await
    });
    assert!(stopped.await.unwrap_err().is_panic());
    assert_eq!(audit(&db.pool).await.unwrap().users_without_guest, 100);

    assert_eq!(backfill_guests(&db.pool, |_| ()).await.unwrap(), 100);
    assert_eq!(audit(&db.pool).await.unwrap().users_without_guest, 0);
}

async fn beside_itself_and_beside_sign_ups(db: Db) {
    raw_users(&db, 3_000).await;
    let tasks: Vec<_> = (0..2)
        .map(|_| {
            let pool = db.pool.clone();
            tokio::spawn(async move {
                // Two that lock the same users may meet; the one who gives way goes on.
                let mut given = 0;
                loop {
                    match backfill_guests(&pool, |_| ()).await {
                        Ok(more) => return given + more,
                        Err(error) if error.is_retryable() => given = 0,
                        Err(error) => panic!("{error:?}"),
                    }
                }
            })
        })
        .collect();
    for n in 0..20 {
        db.user(&format!("live{n}")).await;
    }
    for task in tasks {
        task.await.unwrap();
    }
    let rows = db.rows().await;
    assert_eq!((rows.users.len(), rows.guests.len()), (3_020, 3_020));
    assert_eq!(audit(&db.pool).await.unwrap().users_without_guest, 0);
}

async fn undone_with_the_callers_transaction(db: Db) {
    raw_users(&db, 10).await;
    let txn = db.pool.begin().await.unwrap();
    assert_eq!(backfill_guests(&txn, |_| ()).await.unwrap(), 10);
    txn.rollback().await.unwrap();
    assert_eq!(audit(&db.pool).await.unwrap().users_without_guest, 10);
}
