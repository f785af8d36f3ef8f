//! Adopting a database that already has users: counting and giving each its guest.

use sea_orm::{ConnectionTrait, TransactionTrait};
use tracing::instrument;

use crate::{
    bulk::give,
    error::Error,
    guest,
    statements::{accounts, alive::turn},
};

/// Users of one batch.
const BATCH: u64 = 1_000;

/// How many there are of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Users.
    pub users: u64,
    /// Hosts.
    pub hosts: u64,
    /// Users without a guest, for [`backfill_guests`].
    pub users_without_guest: u64,
}

/// Counts users, hosts, and users without a guest.
///
/// # Errors
///
/// [`Error::Contention`] (SQLite busy), [`Error::Aborted`] and [`Error::Database`].
///
/// # Transactions
///
/// One statement, so the three counts belong to one moment.
///
/// # Examples
///
/// ```
/// use guesthouse::{Audit, audit, sign_up};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// sign_up(&db, "ada@example.com".parse()?).await?;
/// assert_eq!(audit(&db).await?, Audit { users: 1, hosts: 0, users_without_guest: 0 });
/// # Ok(())
/// # }
/// ```
#[instrument(level = "debug", skip_all, err(level = "debug"))]
pub async fn audit(db: &impl ConnectionTrait) -> Result<Audit, Error> {
    let [users, hosts, users_without_guest] = accounts::totals(db).await.map_err(Error::of_read)?;
    Ok(Audit {
        users,
        hosts,
        users_without_guest,
    })
}

/// Gives every user without a guest exactly one, and returns how many it gave.
///
/// Works in batches of 1,000 users by keyset, so memory stays the same however many there are.
/// `progress` gets the running total after each batch. It can be stopped at any point and run
/// again: what was given stays given, and nobody gets a second guest.
///
/// # Errors
///
/// [`Error::Contention`], [`Error::OutcomeUnknown`], [`Error::Aborted`] and [`Error::Database`] as
/// for [`sign_up`](crate::sign_up). What earlier batches gave stays, unless in a transaction of the
/// caller's; calling again goes on.
///
/// # Transactions
///
/// Two statements a batch (MySQL: three). Each batch is committed by itself, unless the caller's transaction is
/// given. The last one finds nobody.
///
/// # Concurrency
///
/// The unique index on `user_id` judges, so it is safe beside sign-ups and beside itself. A user
/// deleted meanwhile is passed over.
///
/// # Examples
///
/// ```
/// use guesthouse::{audit, backfill_guests, user};
/// use sea_orm::{ActiveModelTrait, ActiveValue::Set};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// let raw = user::ActiveModel { email: Set("ada@example.com".into()), ..Default::default() };
/// raw.insert(&db).await?;
///
/// let given = backfill_guests(&db, |total| assert_eq!(total, 1)).await?;
/// assert_eq!(given, 1);
/// assert_eq!(audit(&db).await?.users_without_guest, 0);
/// # Ok(())
/// # }
/// ```
#[instrument(level = "debug", skip_all, err(level = "debug"))]
pub async fn backfill_guests<C: ConnectionTrait + TransactionTrait>(
    db: &C,
    mut progress: impl FnMut(u64),
) -> Result<u64, Error> {
    turn(db).await?;
    let mut total = 0;
    let mut after = None;
    loop {
        let users = accounts::ids_without_guest(db, after, BATCH).await;
        let users = users.map_err(Error::of_read)?;
        let Some(last) = users.last() else {
            return Ok(total);
        };
        after = Some(*last);

        let given = give::<guest::Model, C>(db, users).await?;
        total += given
            .into_values()
            .flatten()
            .filter(|(_, is_new)| *is_new)
            .count() as u64;
        progress(total);
    }
}
