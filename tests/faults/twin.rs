//! What an app writes by hand, to show that the check can fail: it reads first, and inserts on the
//! strength of what it read, into a table without the unique index.

use std::sync::Arc;

use guesthouse::host;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseConnection,
    DbBackend, EntityTrait, QueryFilter,
};
use tokio::sync::Barrier;
use uuid::Uuid;

use super::ledger::{Answer, Ledger, Operation};

pub const DROP_INDEX: &str = "DROP INDEX hosts_user_id";

/// Two callers, on the first and on the last pool, make one user a host; the check must object.
pub async fn is_caught(pools: &[DatabaseConnection]) {
    let [first, .., last] = pools else {
        panic!("a race takes two pools")
    };
    let ledger = Arc::new(Ledger::new());
    let user_id = Uuid::now_v7();
    ledger.sign_up(first, user_id).await;
    let drop_index = match first.get_database_backend() {
        // The foreign key leans on the index.
        DbBackend::MySql => {
            "ALTER TABLE hosts DROP FOREIGN KEY hosts_user_id_fkey, DROP INDEX hosts_user_id"
        }
        _ => DROP_INDEX,
    };
    first.execute_unprepared(drop_index).await.unwrap();

    let everyone_has_read = Barrier::new(2);
    let answers = tokio::join!(
        find_or_insert(first, user_id, &everyone_has_read),
        find_or_insert(last, user_id, &everyone_has_read),
    );

    ledger.note(
        Operation::BecomeHost,
        user_id,
        Answer::Acknowledged(answers.0),
    );
    ledger.note(
        Operation::BecomeHost,
        user_id,
        Answer::Acknowledged(answers.1),
    );
    let violations = ledger.check(first).await;
    assert_eq!(violations, Err(vec![format!("user {user_id} has 2 hosts")]));
}

async fn find_or_insert(
    db: &DatabaseConnection,
    user_id: Uuid,
    everyone_has_read: &Barrier,
) -> Uuid {
    let found = find(db, user_id).await;
    everyone_has_read.wait().await;
    match found {
        Some(host) => host.id,
        None => insert(db, user_id).await.id,
    }
}

pub async fn find(db: &DatabaseConnection, user_id: Uuid) -> Option<host::Model> {
    let of_user = host::Entity::find().filter(host::Column::UserId.eq(user_id));
    of_user.one(db).await.unwrap()
}

pub async fn insert(db: &DatabaseConnection, user_id: Uuid) -> host::Model {
    let host = host::ActiveModel {
        user_id: Set(user_id),
        ..Default::default()
    };
    host.insert(db).await.unwrap()
}
