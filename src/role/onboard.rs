//! Giving an owner a role, once.

use sea_orm::{ActiveModelBehavior, ConnectionTrait, DbErr, Related};
use tracing::{Span, instrument};

use super::{ATTEMPTS, Role, owner_of, record_owner};
use crate::{
    error::{Error, Violation, typed},
    statements::{
        alive::turn,
        evidence::{Event, is_foreign_key_of, is_key_of, leaves_rows_out},
        key::refers_to_the_key,
        onboard::{Attempt, onboard_once},
    },
};

/// Whether an onboarding made the row or found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "says whether the row is new"]
pub enum Onboarding<M> {
    /// This call made the row.
    New(M),
    /// The owner had the row already; nothing was written.
    Existing(M),
}

impl<M> Onboarding<M> {
    /// Whether this call made the row.
    pub fn is_new(&self) -> bool {
        matches!(self, Self::New(_))
    }

    /// The row, new or existing.
    pub fn model(&self) -> &M {
        match self {
            Self::New(model) | Self::Existing(model) => model,
        }
    }

    /// The row, new or existing.
    pub fn into_model(self) -> M {
        match self {
            Self::New(model) | Self::Existing(model) => model,
        }
    }
}

/// Gives the owner that `role` names this role, once.
///
/// The first call makes the row and returns [`Onboarding::New`]; every later one returns
/// [`Onboarding::Existing`] with the row as it is stored. It never replaces, rewrites or deletes a
/// row: the other values of `role` count for a new row only.
///
/// `ActiveModelBehavior::before_save` runs once in every case, `after_save` for a new row only.
///
/// # Errors
///
/// - [`Error::UserNotFound`], or [`Error::OwnerNotFound`] for owners of the app's own: no owner has
///   the key in `role`.
/// - [`Error::Contention`]: deadlock, lock timeout, busy, or, above READ COMMITTED on PostgreSQL,
///   the row was made by a transaction that this one cannot see.
/// - [`Error::OutcomeUnknown`]: the connection was lost after the statement was sent outside a
///   transaction. Calling again gives the one row.
/// - [`Error::Aborted`]: the caller's transaction had failed before.
/// - [`Error::Database`]: anything else, such as a clash on a key other than that of the owner, an
///   unset owner, and errors of the hooks.
///
/// # Transactions
///
/// Opens none. PostgreSQL and SQLite: one statement, new or existing; PostgreSQL two if the owner
/// does not exist. MariaDB: one when the row is new, two when not. A refusal leaves the caller's
/// transaction usable. In it SQLite and MariaDB send one more, which checks that it is not over.
/// MariaDB also looks for the row first, and sends two or three more for each statement.
///
/// # Concurrency
///
/// The unique index on the foreign key decides: of any number of callers for one owner exactly one
/// gets `New`; the others wait for it, then get `Existing` with the same row, or `New` if it rolled
/// back.
///
/// # Examples
///
/// ```
/// use guesthouse::{host, onboard, sign_up};
/// use sea_orm::ActiveValue::Set;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// let ada = sign_up(&db, "ada@example.com".parse()?).await?.user;
///
/// let role = host::ActiveModel { user_id: Set(ada.id), ..Default::default() };
/// let first = onboard::<host::Entity>(&db, role.clone()).await?;
/// let again = onboard::<host::Entity>(&db, role).await?;
///
/// assert!(first.is_new() && !again.is_new());
/// assert_eq!(first.model(), again.model());
/// # Ok(())
/// # }
/// ```
#[instrument(
    level = "debug",
    skip_all,
    fields(role = R::default().table_name(), owner_id, outcome, error.type),
    err(level = "debug")
)]
pub async fn onboard<R>(
    db: &impl ConnectionTrait,
    role: R::ActiveModel,
) -> Result<Onboarding<R::Model>, Error>
where
    R: Role + Related<R::Owner>,
{
    typed(onboard_on::<R, _>(db, role)).await
}

async fn onboard_on<R, C: ConnectionTrait>(
    db: &C,
    role: R::ActiveModel,
) -> Result<Onboarding<R::Model>, Error>
where
    R: Role + Related<R::Owner>,
{
    let role = role.before_save(db, true).await.map_err(Error::of_read)?;
    refers_to_the_key::<R>().map_err(Error::of_read)?;
    let owner = owner_of::<R>(&role)?;
    record_owner(&owner);
    let span = Span::current();
    let turn = turn(db).await?;
    let mut last_clash = None;
    for _ in 0..ATTEMPTS {
        let attempt = onboard_once::<R, C>(db, &role, &owner).await;
        match attempt.map_err(Error::of_write::<C>)? {
            Attempt::New(model) => {
                span.record("outcome", "new");
                drop(turn);
                return R::ActiveModel::after_save(model, db, true)
                    .await
                    .map(Onboarding::New)
                    .map_err(Error::of_hook_after::<C>);
            }
            Attempt::Existing(model) => {
                span.record("outcome", "existing");
                return Ok(Onboarding::Existing(model));
            }
            Attempt::OwnerNotFound => return Err(Error::not_found::<R::Owner>(&owner)),
            Attempt::Gone { source } => return Err(Error::contended(source)),
            // Another attempt would not help.
            Attempt::Neither {
                clash: Some(source),
            } if Violation::of(&source).is_none() => {
                return Err(Error::of_write::<C>(source));
            }
            Attempt::Neither { clash } => last_clash = clash,
        }
    }
    Err(unexplained::<R>(db, last_clash).await)
}

/// The error for a row that was not inserted by any attempt, though nothing was found in the way.
async fn unexplained<R>(db: &impl ConnectionTrait, clash: Option<DbErr>) -> Error
where
    R: Role + Related<R::Owner>,
{
    let explained = match &clash {
        Some(clash) => match Violation::of(clash) {
            // The look finds the owner, though the insert did not.
            Some(Violation::Foreign) => Ok(!is_foreign_key_of::<R>(clash, R::owner_id())),
            Some(Violation::Unique) => is_key_of::<R>(db, clash, R::owner_id())
                .await
                .map(|of_owner| !of_owner),
            None => Ok(true),
        },
        None => leaves_rows_out::<R>(db, Event::Insert, &[]).await,
    };
    Error::unexplained(explained, clash, R::default().table_name())
}
