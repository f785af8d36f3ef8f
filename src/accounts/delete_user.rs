//! Deleting a user with its guest.

use sea_orm::{ConnectionTrait, DbErr, Related, TransactionTrait, Value};
use tracing::instrument;
use uuid::Uuid;

use super::sign_up::SignUp;
use crate::{
    error::{Error, typed},
    role::ATTEMPTS,
    statements::{
        accounts::{
            self,
            delete_user::{delete, is_kept},
        },
        alive::{looks_first, turn},
    },
    user,
};

/// Deletes the user and its guest, together or not at all.
///
/// It refuses while the user is a host, or a row of another table refers to the user or its guest.
///
/// # Errors
///
/// - [`Error::StillHost`]: the user is a host; see [`stop_hosting`](crate::stop_hosting).
/// - [`Error::StillReferenced`]: a row of another table refers to this user or its guest.
/// - [`Error::UserNotFound`]: no user has this id.
/// - [`Error::Contention`], [`Error::OutcomeUnknown`], [`Error::Aborted`], [`Error::Database`] as
///   for [`sign_up`](crate::sign_up). After an unknown outcome call again: [`Error::UserNotFound`]
///   shows that the first call did it.
///
/// # Transactions
///
/// One statement, on SQLite in a transaction of its own; one more after a foreign key refuses, to
/// name the reason, and on MariaDB for a user without a guest. A reference from a table other than
/// `hosts` is reported after three attempts. In the caller's transaction, which a refusal leaves
/// usable, PostgreSQL sends three. SQLite sends one more, which checks that the transaction is not
/// over; MariaDB that one, a look for the user, and two or three more for each statement.
///
/// # Concurrency
///
/// The foreign keys decide: a user who becomes a host at the same moment is either deleted first or
/// kept.
///
/// # Examples
///
/// ```
/// use guesthouse::{Error, become_host, delete_user, sign_up, stop_hosting};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// let ada = sign_up(&db, "ada@example.com".parse()?).await?.user;
/// let _ = become_host(&db, ada.id).await?;
///
/// assert!(matches!(delete_user(&db, ada.id).await, Err(Error::StillHost { .. })));
///
/// stop_hosting(&db, ada.id).await?;
/// delete_user(&db, ada.id).await?;
/// assert!(matches!(delete_user(&db, ada.id).await, Err(Error::UserNotFound { .. })));
/// # Ok(())
/// # }
/// ```
#[instrument(level = "debug", skip_all, fields(%user_id, error.type), err(level = "debug"))]
pub async fn delete_user<C: ConnectionTrait + TransactionTrait>(
    db: &C,
    user_id: Uuid,
) -> Result<(), Error> {
    typed(async move {
        let look = || async move {
            Ok(match accounts::by_id(db, user_id).await? {
                Some((_, _, Some(_))) => Seen::KeptBy(Error::StillHost { user_id }),
                Some(_) => Seen::User,
                None => Seen::Nobody,
            })
        };
        delete_or::<user::Entity, _, _>(db, &user_id.into(), look).await
    })
    .await
}

/// What a look at a user who is to be deleted finds.
pub(super) enum Seen {
    Nobody,
    User,
    /// The user is there, and this is why it stays.
    KeptBy(Error),
}

/// Deletes the user and its guest. `look` finds the reason of a refusal.
pub(super) async fn delete_or<U, C, F>(
    db: &C,
    key: &Value,
    look: impl Fn() -> F,
) -> Result<(), Error>
where
    U: SignUp<Guest: Related<U>>,
    C: ConnectionTrait + TransactionTrait,
    F: Future<Output = Result<Seen, DbErr>>,
{
    let _turn = turn(db).await?;
    if looks_first(db) && matches!(look().await.map_err(Error::of_read)?, Seen::Nobody) {
        return Err(Error::not_found::<U>(key));
    }
    let mut last = None;
    for _ in 0..ATTEMPTS {
        match delete::<U, C>(db, key).await {
            Ok(true) => return Ok(()),
            Ok(false) => return Err(Error::not_found::<U>(key)),
            Err(kept) if is_kept(&kept) => last = Some(Error::Database { source: kept }),
            Err(source) => match Error::of_delete::<C>(source) {
                // By another table, or by the guest of a user who was deleted and signed up again
                // between the two deletes: another attempt can see that guest (D19).
                referenced @ Error::StillReferenced { .. } => last = Some(referenced),
                error => return Err(error),
            },
        }
        // The delete is undone; only the message needs the table that keeps the user.
        match look().await {
            Ok(Seen::KeptBy(refusal)) => return Err(refusal),
            Ok(Seen::User) => {}
            Ok(Seen::Nobody) => return Err(Error::not_found::<U>(key)),
            Err(source) => return Err(last.unwrap_or_else(|| Error::of_read(source))),
        }
    }
    Err(last.unwrap_or_else(Error::came_and_went))
}
