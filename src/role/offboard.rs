//! Taking a role from its owner.

use sea_orm::{ConnectionTrait, EntityName, Related, Value};
use tracing::{Span, instrument};

use super::{ATTEMPTS, OwnerId, Role, record_owner};
use crate::{
    error::{Error, typed},
    statements::{
        alive::turn,
        evidence::{Event, leaves_rows_out},
        key::{refers_to_the_key, single},
        offboard::{Deleted, delete_role},
    },
};

/// Takes a role from its owner and returns the row that was deleted; `None` if the owner does not
/// have the role or does not exist.
///
/// # Errors
///
/// - [`Error::StillReferenced`]: a row of another table refers to this one.
/// - [`Error::Contention`], [`Error::OutcomeUnknown`], [`Error::Aborted`], [`Error::Database`] as
///   for [`onboard`](crate::onboard). After an unknown outcome call again: `None` shows that the
///   first call did it.
///
/// # Transactions
///
/// A SELECT, and a DELETE if there is a row. A row that cannot be read is not deleted. In the
/// caller's transaction, which a refusal leaves usable, PostgreSQL sends three instead of the
/// DELETE. SQLite and MariaDB send one more, which checks that the transaction is not over, and
/// MariaDB two or three more for each statement.
///
/// # Concurrency
///
/// Of any number of callers exactly one gets the row, and the others get `None`.
///
/// # Examples
///
/// ```
/// use guesthouse::{become_host, host, offboard, sign_up};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// let ada = sign_up(&db, "ada@example.com".parse()?).await?.user;
/// let host = become_host(&db, ada.id).await?.into_model();
///
/// assert_eq!(offboard::<host::Entity>(&db, ada.id).await?, Some(host));
/// assert_eq!(offboard::<host::Entity>(&db, ada.id).await?, None);
/// # Ok(())
/// # }
/// ```
#[instrument(
    level = "debug",
    skip_all,
    fields(role = R::default().table_name(), owner_id, found, error.type),
    err(level = "debug")
)]
pub async fn offboard<R>(
    db: &impl ConnectionTrait,
    owner: OwnerId<R>,
) -> Result<Option<R::Model>, Error>
where
    R: Role + Related<R::Owner>,
{
    typed(async move {
        refers_to_the_key::<R>().map_err(Error::of_read)?;
        let owner = single(owner, R::Owner::default().table_name()).map_err(Error::of_read)?;
        offboard_on::<R, _>(db, &owner).await
    })
    .await
}

async fn offboard_on<R, C: ConnectionTrait>(
    db: &C,
    owner: &Value,
) -> Result<Option<R::Model>, Error>
where
    R: Role + Related<R::Owner>,
{
    record_owner(owner);
    let _turn = turn(db).await?;
    for _ in 0..ATTEMPTS {
        let deleted = delete_role::<R, C>(db, owner).await;
        let found = match deleted.map_err(Error::of_delete::<C>)? {
            Deleted::Row(model) => Some(model),
            Deleted::Nothing => None,
            Deleted::Changed => continue,
        };
        Span::current().record("found", found.is_some());
        return Ok(found);
    }
    let left_out = leaves_rows_out::<R>(db, Event::Delete, &[]).await;
    Err(Error::unexplained(
        left_out,
        None,
        R::default().table_name(),
    ))
}
