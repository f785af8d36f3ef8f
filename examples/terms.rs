//! An app's own condition and `become_host` in one transaction: only a user who has accepted the present
//! terms becomes a host, however many ask at once and whatever is withdrawn meanwhile.
//!
//!     cargo run --example terms
//!
//! Runs on a SQLite database in memory, and needs nothing else.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::error::Error as StdError;

use guesthouse::{Error, Onboarding, become_host, host, retry, sign_up};
use guesthouse_migration::{Migrator, MigratorTrait};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ConnectionTrait, Database, DatabaseConnection,
    DatabaseTransaction, EntityTrait, Schema,
};
use uuid::Uuid;

/// The app's own table: which version of the terms a user has accepted.
mod acceptance {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "acceptances")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub user_id: Uuid,
        pub version: i32,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

const PRESENT_TERMS: i32 = 2;

/// The answer to a user who asks to host.
#[derive(Debug, PartialEq)]
enum Answer {
    Hosting(Onboarding<host::Model>),
    TermsNotAccepted,
}

/// The condition and the onboarding see one state of the database, and the transaction is run again
/// after contention. Here the check reads only what this same transaction then relies on.
async fn ask_to_host(db: &DatabaseConnection, user_id: Uuid) -> Result<Answer, Error> {
    retry::transaction(db, async |txn| {
        if accepted_version(txn, user_id).await? != Some(PRESENT_TERMS) {
            return Ok(Answer::TermsNotAccepted);
        }
        become_host(txn, user_id).await.map(Answer::Hosting)
    })
    .await
}

/// On PostgreSQL and MariaDB the row is locked, so that nobody withdraws the acceptance before the
/// host is there; SQLite has one writer at a time, and `retry::transaction` is it.
async fn accepted_version(txn: &DatabaseTransaction, user_id: Uuid) -> Result<Option<i32>, Error> {
    use sea_orm::{DbBackend, QuerySelect};

    let mut find = acceptance::Entity::find_by_id(user_id);
    if txn.get_database_backend() != DbBackend::Sqlite {
        find = find.lock_exclusive();
    }
    Ok(find.one(txn).await?.map(|row| row.version))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let db = Database::connect("sqlite::memory:").await?;
    Migrator::up(&db, None).await?;
    let acceptances =
        Schema::new(db.get_database_backend()).create_table_from_entity(acceptance::Entity);
    db.execute(&acceptances).await?;

    let ada = sign_up(&db, "ada@example.com".parse()?).await?.user;
    println!(
        "before the terms: {}",
        shown(&ask_to_host(&db, ada.id).await?)
    );

    for version in 1..=PRESENT_TERMS {
        let accepted = acceptance::ActiveModel {
            user_id: Set(ada.id),
            version: Set(version),
        };
        match version {
            1 => accepted.insert(&db).await?,
            _ => accepted.update(&db).await?,
        };
        println!(
            "with version {version}: {}",
            shown(&ask_to_host(&db, ada.id).await?)
        );
    }
    println!("once more: {}", shown(&ask_to_host(&db, ada.id).await?));
    Ok(())
}

fn shown(answer: &Answer) -> &'static str {
    match answer {
        Answer::TermsNotAccepted => "the present terms are not accepted",
        Answer::Hosting(Onboarding::New(_)) => "a new host",
        Answer::Hosting(Onboarding::Existing(_)) => "a host already",
    }
}
