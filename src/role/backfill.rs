//! Giving every owner who lacks a role its row.

use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityName, Related, sea_query::FromValueTuple};
use tracing::instrument;

use super::{
    OwnerId, Role,
    onboard_all::{Offer, give},
};
use crate::{
    error::{Error, typed},
    statements::{
        alive::turn,
        hidden::refuse_hidden,
        key::{Key, refers_to_the_key, single},
        without::owners_without,
    },
};

/// How many owners a batch has.
const BATCH: u64 = 1_000;

/// Gives every owner who does not have the role exactly one row, which `row` makes, and returns how
/// many it gave.
///
/// It works in batches of 1,000 owners by keyset pagination, so memory does not grow with their
/// number. `progress` gets the running total after each batch. The call can be stopped at any point
/// and run again: what was given stays given, and nobody gets a second row. The call sets the
/// owner's key in what `row` returns.
///
/// # Errors
///
/// [`Error::Contention`], [`Error::OutcomeUnknown`], [`Error::Aborted`] and [`Error::Database`] as
/// for [`onboard_all`](crate::onboard_all). What earlier batches gave stays, unless in the caller's
/// transaction; calling again continues. [`Error::Database`] also if PostgreSQL's row level
/// security applies to the database role, since it could hide owners, or rows that they have.
///
/// # Transactions
///
/// Two statements a batch (MariaDB: three), and a last one that finds nobody. PostgreSQL: one
/// before them, which checks for row level security. Each batch commits by itself, unless in the
/// caller's transaction.
///
/// # Concurrency
///
/// The unique index on the foreign key decides, so it is safe beside onboardings and beside itself.
/// An owner deleted meanwhile is skipped.
///
/// # Examples
///
/// ```
/// use guesthouse::{backfill, host, sign_up};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// sign_up(&db, "ada@example.com".parse()?).await?;
///
/// let given = backfill::<host::Entity>(&db, |_| Default::default(), |_| {}).await?;
/// assert_eq!(given, 1);
/// # Ok(())
/// # }
/// ```
#[instrument(level = "debug", skip_all, fields(role = R::default().table_name(), error.type), err(level = "debug"))]
pub async fn backfill<R>(
    db: &impl ConnectionTrait,
    row: impl Fn(OwnerId<R>) -> R::ActiveModel,
    mut progress: impl FnMut(u64),
) -> Result<u64, Error>
where
    R: Role + Related<R::Owner>,
{
    typed(async move {
        refers_to_the_key::<R>().map_err(Error::of_read)?;
        turn(db).await?;
        refuse_hidden(db, &[&R::Owner::default(), &R::default()])
            .await
            .map_err(Error::of_read)?;
        let mut total = 0;
        let mut after = None;
        loop {
            let owners = owners_without::<R>(db, after, BATCH).await;
            let mut offers = Vec::new();
            let mut last = None;
            for owner in owners.map_err(Error::of_read)? {
                let key =
                    single(owner, R::Owner::default().table_name()).map_err(Error::of_read)?;
                let mut row = row(OwnerId::<R>::from_value_tuple(key.clone()));
                row.try_set(R::owner_id(), key.clone())
                    .map_err(Error::of_read)?;
                offers.push(Offer {
                    key: Key::of(&key),
                    row,
                });
                last = Some(key);
            }
            if last.is_none() {
                return Ok(total);
            }
            after = last;

            let given = give::<R, _>(db, offers).await?;
            total += given
                .values()
                .flatten()
                .filter(|(_, is_new)| *is_new)
                .count() as u64;
            progress(total);
        }
    })
    .await
}
