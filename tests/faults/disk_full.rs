//! No room left: a refusal that loses nothing, and a database that goes on once there is room.

use sea_orm::{ConnectionTrait, DatabaseConnection};
use uuid::Uuid;

use super::{
    database,
    ledger::{Answer, Ledger},
    servers::Servers,
    twin,
};

/// More rows than fit.
const MANY: usize = 5_000;

pub async fn postgres() {
    let servers = Servers::run("postgres-small");
    let url = database::create(servers.url("SMALL")).await;
    let db = database::pool(&url, 2).await;
    let sql = [
        "ALTER TABLE hosts SET TABLESPACE small",
        "CREATE TABLE ballast (filler text) TABLESPACE small",
    ];
    for statement in sql {
        db.execute_unprepared(statement).await.unwrap();
    }
    // Fill the rest, by less and less at a time.
    for rows in [1_000, 100, 10, 1] {
        let fill =
            format!("INSERT INTO ballast SELECT repeat('x', 900) FROM generate_series(1, {rows})");
        let mut filled = 0;
        while db.execute_unprepared(&fill).await.is_ok() {
            filled += 1;
            assert!(filled < MANY, "the disk is never full");
        }
    }
    run("disk_full_postgres", &db, "53100", "DROP TABLE ballast").await;
}

/// MariaDB says 1114 for any engine that is full. One in memory is so by its settings, and a trigger
/// lets it stand in the way of hosts.
pub async fn mariadb() {
    let servers = Servers::run("mariadb");
    let url = database::create(servers.url("MARIADB")).await;
    let db = database::pool(&url, 2).await;
    db.execute_unprepared("SET GLOBAL max_heap_table_size = 16384")
        .await
        .unwrap();
    let small = database::pool(&url, 1).await;
    let sql = [
        "CREATE TABLE ballast (host_id binary(16), filler char(250)) ENGINE = MEMORY",
        "CREATE TRIGGER fill AFTER INSERT ON hosts FOR EACH ROW
         INSERT INTO ballast VALUES (NEW.id, '')",
    ];
    for statement in sql {
        small.execute_unprepared(statement).await.unwrap();
    }
    run("disk_full_mariadb", &db, "1114", "DROP TRIGGER fill").await;
}

async fn run(group: &str, db: &DatabaseConnection, code: &str, make_room: &str) {
    let ledger = Ledger::new();
    let mut answer = Answer::Unknown;
    for _ in 0..MANY {
        let user_id = Uuid::now_v7();
        ledger.sign_up(db, user_id).await;
        answer = ledger.become_host(db, user_id).await;
        if answer == Answer::Refused {
            break;
        }
    }
    assert_eq!(answer, Answer::Refused);
    assert_eq!(ledger.seen(&format!("Database {code}")), 1);
    assert_eq!(ledger.figures().unknown, 0);
    assert_eq!(ledger.check(db).await, Ok(()));

    db.execute_unprepared(make_room).await.unwrap();
    ledger.settle(db).await;
    assert_eq!(ledger.check(db).await, Ok(()));
    ledger.report(group);
    twin::is_caught(&[db.clone(), db.clone()]).await;
}
