//! Changing a user's e-mail address.

use sea_orm::{
    ActiveModelBehavior,
    ActiveValue::{Set, Unchanged},
    ConnectionTrait, DbErr, Related, TransactionTrait, Value,
};
use tracing::instrument;
use uuid::Uuid;

use super::{email::Email, sign_up::SignUp};
use crate::{
    error::{Error, Violation, typed},
    role::ATTEMPTS,
    statements::{
        accounts::{Look, Row, change_email::update, in_the_way, sign_up::has_the_address},
        alive::{looks_first, turn},
        evidence::{Event, is_key_of, leaves_rows_out},
    },
    user,
};

/// Gives the user another e-mail address and returns the user as it is stored.
///
/// # Errors
///
/// - [`Error::EmailTaken`]: another user has the address. A user's own address does not count as
///   taken.
/// - [`Error::UserNotFound`]: no user has this id.
/// - [`Error::Contention`], [`Error::OutcomeUnknown`], [`Error::Aborted`], [`Error::Database`] as
///   for [`sign_up`](crate::sign_up). After an unknown outcome the call can be repeated.
///
/// # Transactions
///
/// One statement, and a SELECT after a refusal. In the caller's transaction, which a refusal leaves
/// usable, PostgreSQL sends four. SQLite sends one more, which checks that the transaction is not
/// over; MariaDB that one, a look for the user and the address, and two or three more for each
/// statement.
///
/// # Concurrency
///
/// The unique index on the address decides: of two callers who ask for one address the later one is
/// refused.
///
/// # Examples
///
/// ```
/// use guesthouse::{change_email, sign_up};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// let ada = sign_up(&db, "ada@example.com".parse()?).await?.user;
///
/// let ada = change_email(&db, ada.id, "countess@example.com".parse()?).await?;
/// assert_eq!(ada.email, "countess@example.com");
/// # Ok(())
/// # }
/// ```
#[instrument(level = "debug", skip_all, fields(%user_id, error.type), err(level = "debug"))]
pub async fn change_email<C: ConnectionTrait + TransactionTrait>(
    db: &C,
    user_id: Uuid,
    email: Email,
) -> Result<user::Model, Error> {
    typed(async move {
        let email = String::from(email);
        let change = user::ActiveModel {
            id: Unchanged(user_id),
            email: Set(email.clone()),
            ..Default::default()
        };
        let change = change
            .before_save(db, false)
            .await
            .map_err(Error::of_read)?;
        let email = email.as_str();
        let refused = |look| async move {
            let found = in_the_way(db, Some(user_id), email, look).await?;
            let is_the_user = |(user, ..): &Row| user.id == user_id;
            Ok(refusal_of_address(&found, is_the_user, || {
                Error::UserNotFound { user_id }
            }))
        };
        change_email_or::<user::Entity, _, _>(db, &user_id.into(), &change, refused).await
    })
    .await
}

/// Why the change of an address is refused, from the users who have the key or the address.
pub(super) fn refusal_of_address<R>(
    found: &[R],
    is_the_user: impl Fn(&R) -> bool,
    not_found: impl FnOnce() -> Error,
) -> Option<Error> {
    if !found.iter().any(&is_the_user) {
        return Some(not_found());
    }
    (!found.iter().all(is_the_user)).then_some(Error::EmailTaken)
}

/// Makes the change, unless `refused` finds another user with the address, or not the user itself.
pub(super) async fn change_email_or<U, C, F>(
    db: &C,
    key: &Value,
    change: &U::ActiveModel,
    refused: impl Fn(Look) -> F,
) -> Result<U::Model, Error>
where
    U: SignUp<Guest: Related<U>>,
    C: ConnectionTrait,
    F: Future<Output = Result<Option<Error>, DbErr>>,
{
    let turn = turn(db).await?;
    if looks_first(db)
        && let Some(refusal) = refused(Look::Plain).await.map_err(Error::of_read)?
    {
        return Err(refusal);
    }
    let mut last_clash = None;
    for _ in 0..ATTEMPTS {
        last_clash = match update::<U, C>(db, key, change).await {
            Ok(Some(user)) => {
                drop(turn);
                let user = U::ActiveModel::after_save(user, db, false).await;
                return user.map_err(Error::of_hook_after::<C>);
            }
            Ok(None) => None,
            Err(clash) if Violation::of(&clash) == Some(Violation::Unique) => Some(clash),
            Err(source) => return Err(Error::of_write::<C>(source)),
        };
        if let Some(refusal) = refused(Look::Locking).await.map_err(Error::of_read)? {
            return Err(refusal);
        }
    }
    let taken = has_the_address::<U>(db, change, Some(key)).await;
    if taken.map_err(Error::of_read)? {
        return Err(Error::EmailTaken);
    }
    let explained = match &last_clash {
        Some(clash) => is_key_of::<U>(db, clash, U::email())
            .await
            .map(|of_email| !of_email),
        None => leaves_rows_out::<U>(db, Event::Update, &[]).await,
    };
    let table = U::default().table_name();
    Err(Error::unexplained(explained, last_clash, table))
}
