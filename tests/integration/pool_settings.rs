//! What docs/scaling.md advises for the settings of a session: each connection of the pool has them.

use guesthouse::sign_up;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, Statement,
    TransactionTrait, sqlx::Executor,
};

use crate::support::{TestDb as Db, email};

const CONNECTIONS: u32 = 4;
const SETTING: &str = "SET SESSION wsrep_sync_wait = 7";

fn options(url: &str) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options.max_connections(CONNECTIONS).sqlx_logging(false);
    options
}

/// What every connection of the pool has, asked while all of them are in use.
async fn on_every_connection(pool: &DatabaseConnection) -> Vec<u64> {
    let mut transactions: Vec<DatabaseTransaction> = Vec::new();
    for _ in 0..CONNECTIONS {
        transactions.push(pool.begin().await.unwrap());
    }
    let mut values = Vec::new();
    for txn in transactions {
        let ask = "SELECT CAST(@@wsrep_sync_wait AS UNSIGNED)";
        let ask = Statement::from_string(txn.get_database_backend(), ask);
        let row = txn.query_one_raw(ask).await.unwrap().unwrap();
        values.push(row.try_get_by_index(0).unwrap());
        txn.rollback().await.unwrap();
    }
    values
}

on_mariadb!(
    after_connect_of_the_pool_sets_up_every_connection,
    after_connect_of_sea_orm_sets_up_one_connection,
);

async fn after_connect_of_the_pool_sets_up_every_connection(db: Db) {
    let mut options = options(&db.url);
    options.map_sqlx_mysql_pool_opts(|pool| {
        pool.after_connect(|connection, _| {
            Box::pin(async move { connection.execute(SETTING).await.map(drop) })
        })
    });
    let pool = Database::connect(options).await.unwrap();

    assert_eq!(on_every_connection(&pool).await, [7; CONNECTIONS as usize]);
    sign_up(&pool, email("ada")).await.unwrap();
    assert_eq!(db.rows().await.users.len(), 1);
}

/// The twin: SeaORM's own `after_connect` runs once for the pool, on one of its connections.
async fn after_connect_of_sea_orm_sets_up_one_connection(db: Db) {
    let mut options = options(&db.url);
    options.after_connect(|db| {
        Box::pin(async move { db.execute_unprepared(SETTING).await.map(drop) })
    });
    let pool = Database::connect(options).await.unwrap();

    let values = on_every_connection(&pool).await;
    assert_eq!(
        values.iter().filter(|value| **value == 7).count(),
        1,
        "{values:?}"
    );
}
