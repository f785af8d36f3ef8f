//! Accounts for an app with a users table of its own, whose columns and key it chooses.

use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ConnectionTrait, ModelTrait, Related, TransactionTrait,
    Value,
};
use tracing::instrument;

use super::{
    change_email::{change_email_or, refusal_of_address},
    delete_user::{Seen, delete_or},
    email::Email,
    sign_up::{Outcome, SignUp, complete, email_of, insert_or, key_column, key_of_row, saved},
};
use crate::{
    error::{Error, typed},
    role::{OwnerId, Role, onboard},
    statements::{
        accounts::{
            Look,
            sign_up::{Both, Found, MayClash, users_in_the_way},
            sign_up_all::GuestOf,
        },
        key::{Key, single},
    },
};

/// Makes a user of the app's own and its guest, together or not at all.
///
/// `user` and `guest` hold the app's values; the call sets the address and the guest's foreign key.
/// If the key of `user` is set, the call can be repeated as
/// [`sign_up_with_id`](crate::sign_up_with_id) can: the first call that arrives makes both rows,
/// every later one returns them as they are stored, whatever else `user` and `guest` hold.
/// Otherwise `before_save` or the database makes the key.
///
/// The `ActiveModelBehavior` of both entities runs: `before_save` always, `after_save` only for rows
/// that were made.
///
/// # Errors
///
/// - [`Error::EmailTaken`]: another user has the address.
/// - [`Error::UserIdTaken`], or [`Error::KeyTaken`] if the key is not a UUID: the key that was set
///   belongs to a user with another address.
/// - [`Error::Contention`], [`Error::OutcomeUnknown`], [`Error::Aborted`], [`Error::Database`] as
///   for [`sign_up`](crate::sign_up), and [`Error::Database`] for a column that the table requires
///   and nobody sets.
///
/// # Transactions
///
/// Those of [`sign_up`](crate::sign_up).
///
/// # Concurrency
///
/// The unique index on the address decides, and the primary key if it was set.
///
/// # Examples
///
/// ```
/// mod member {
///     use sea_orm::entity::prelude::*;
///
///     #[sea_orm::model]
///     #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
///     #[sea_orm(table_name = "members")]
///     pub struct Model {
///         #[sea_orm(primary_key)]
///         pub id: i64,
///         #[sea_orm(unique)]
///         pub email: String,
///         pub name: String,
///         #[sea_orm(has_one)]
///         pub profile: HasOne<super::profile::Entity>,
///     }
///
///     impl ActiveModelBehavior for ActiveModel {}
///
///     impl guesthouse::SignUp for Entity {
///         type Guest = super::profile::Entity;
///
///         fn email() -> Column {
///             Column::Email
///         }
///     }
/// }
///
/// mod profile {
///     use sea_orm::entity::prelude::*;
///
///     #[sea_orm::model]
///     #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
///     #[sea_orm(table_name = "profiles")]
///     pub struct Model {
///         #[sea_orm(primary_key)]
///         pub id: i64,
///         #[sea_orm(unique)]
///         pub member_id: i64,
///         pub bio: String,
///         #[sea_orm(belongs_to, from = "member_id", to = "id", on_delete = "Restrict")]
///         pub member: BelongsTo<super::member::Entity>,
///     }
///
///     impl ActiveModelBehavior for ActiveModel {}
///
///     impl guesthouse::Role for Entity {
///         type Owner = super::member::Entity;
///     }
/// }
///
/// use guesthouse::{Error, sign_up_as};
/// use sea_orm::{ActiveValue::Set, ConnectionTrait, Schema};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// let schema = Schema::new(db.get_database_backend());
/// db.execute(&schema.create_table_from_entity(member::Entity)).await?;
/// db.execute(&schema.create_table_from_entity(profile::Entity)).await?;
///
/// let ada = member::ActiveModel { name: Set("Ada".into()), ..Default::default() };
/// let bio = profile::ActiveModel { bio: Set("Counts".into()), ..Default::default() };
/// let email: guesthouse::Email = "ada@example.com".parse()?;
///
/// let (member, profile) =
///     sign_up_as::<member::Entity>(&db, email.clone(), ada.clone(), bio.clone()).await?;
/// assert_eq!((profile.member_id, member.name.as_str()), (member.id, "Ada"));
///
/// let again = sign_up_as::<member::Entity>(&db, email, ada, bio).await;
/// assert!(matches!(again, Err(Error::EmailTaken)));
/// # Ok(())
/// # }
/// ```
#[instrument(
    level = "debug",
    skip_all,
    fields(table = U::default().table_name(), error.type),
    err(level = "debug")
)]
pub async fn sign_up_as<U>(
    db: &(impl ConnectionTrait + TransactionTrait),
    email: Email,
    user: U::ActiveModel,
    guest: GuestOf<U>,
) -> Result<Both<U>, Error>
where
    U: SignUp<Guest: Related<U>>,
{
    typed(async move {
        let brought = key_of_row::<U>(&user)?;
        let email = email.as_ref();
        let (user, guest) = complete::<U>(db, email, user, guest).await?;
        // A hook of the app may have changed it.
        let email = email_of::<U>(&user).unwrap_or_else(|| email.to_owned());
        let email = email.as_str();
        let key = brought.as_ref();
        let standing = |look| async move {
            let found = users_in_the_way::<U, _>(db, key, Some(email), look).await?;
            Ok(answer::<U>(found, key, email))
        };
        let keys = match brought {
            Some(_) => MayClash::EmailOrId,
            None => MayClash::Email,
        };
        match insert_or::<U, _, _, _>(db, &user, &guest, keys, standing).await? {
            Outcome::New(user, guest) => saved::<U, _>(db, user, guest).await,
            Outcome::Standing((user, Some(guest))) => Ok((user, guest)),
            // The guest was deleted since, or was never made.
            Outcome::Standing((user, None)) => {
                let mut guest = guest;
                let key = user.get(key_column::<U>()?);
                guest
                    .try_set(U::Guest::owner_id(), key)
                    .map_err(Error::of_read)?;
                let guest = onboard::<U::Guest>(db, guest).await?;
                Ok((user, guest.into_model()))
            }
        }
    })
    .await
}

/// What a user who has the key or the address means for a sign-up.
fn answer<U>(
    found: Vec<Found<U>>,
    key: Option<&Value>,
    email: &str,
) -> Option<Result<Found<U>, Error>>
where
    U: SignUp<Guest: Related<U>>,
{
    let taken = !found.is_empty();
    let column = key_column::<U>().ok()?;
    let of_key =
        |(user, _): &Found<U>| key.is_some_and(|key| Key::of(&user.get(column)) == Key::of(key));
    match found.into_iter().find(of_key) {
        Some((user, guest)) if user.get(U::email()) == email.into() => Some(Ok((user, guest))),
        Some((user, _)) => Some(Err(key_taken::<U>(&user.get(column)))),
        None => taken.then_some(Err(Error::EmailTaken)),
    }
}

/// Gives a user of the app's own another e-mail address and returns the user as it is stored.
///
/// # Errors
///
/// - [`Error::EmailTaken`]: another user has the address. A user's own address is not taken.
/// - [`Error::UserNotFound`], or [`Error::OwnerNotFound`] for users of the app's own: no user has
///   this key.
/// - Others as for [`change_email`](crate::change_email).
///
/// # Transactions
///
/// Those of [`change_email`](crate::change_email).
///
/// # Concurrency
///
/// The unique index on the address decides: of two callers who ask for one address the later one is
/// refused.
///
/// # Examples
///
/// ```
/// use guesthouse::{change_email_as, sign_up, user};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// let ada = sign_up(&db, "ada@example.com".parse()?).await?.user;
///
/// let new = "countess@example.com".parse()?;
/// let ada = change_email_as::<user::Entity>(&db, ada.id, new).await?;
/// assert_eq!(ada.email, "countess@example.com");
/// # Ok(())
/// # }
/// ```
#[instrument(
    level = "debug",
    skip_all,
    fields(table = U::default().table_name(), error.type),
    err(level = "debug")
)]
pub async fn change_email_as<U>(
    db: &impl ConnectionTrait,
    user: OwnerId<U::Guest>,
    email: Email,
) -> Result<U::Model, Error>
where
    U: SignUp<Guest: Related<U>>,
{
    typed(async move {
        let email = email.as_ref();
        let key = single(user, U::default().table_name()).map_err(Error::of_read)?;
        let mut change = <U::ActiveModel as ActiveModelTrait>::default();
        let id = key_column::<U>()?;
        change.try_set(id, key.clone()).map_err(Error::of_read)?;
        change
            .try_set(U::email(), email.into())
            .map_err(Error::of_read)?;
        let mut change = change
            .before_save(db, false)
            .await
            .map_err(Error::of_read)?;
        change.not_set(id);

        let refused = |look| {
            let key = &key;
            async move {
                let found = users_in_the_way::<U, _>(db, Some(key), Some(email), look).await?;
                let is_the_user = |(user, _): &Found<U>| Key::of(&user.get(id)) == Key::of(key);
                Ok(refusal_of_address(&found, is_the_user, || {
                    Error::not_found::<U>(key)
                }))
            }
        };
        change_email_or::<U, _, _>(db, &key, &change, refused).await
    })
    .await
}

/// Deletes a user of the app's own and its guest, together or not at all.
///
/// It refuses while a row of another table refers to the user or its guest.
///
/// # Errors
///
/// - [`Error::StillReferenced`]: a row of another table, such as `hosts`, refers to this user or
///   its guest.
/// - [`Error::UserNotFound`], or [`Error::OwnerNotFound`] for users of the app's own: no user has
///   this key.
/// - Others as for [`delete_user`](crate::delete_user).
///
/// # Transactions
///
/// Those of [`delete_user`](crate::delete_user).
///
/// # Concurrency
///
/// The foreign keys decide. Of any number of callers exactly one deletes the user.
///
/// # Examples
///
/// ```
/// use guesthouse::{Error, delete_user_as, sign_up, user};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// let ada = sign_up(&db, "ada@example.com".parse()?).await?.user;
///
/// delete_user_as::<user::Entity>(&db, ada.id).await?;
/// let again = delete_user_as::<user::Entity>(&db, ada.id).await;
/// assert!(matches!(again, Err(Error::UserNotFound { .. })));
/// # Ok(())
/// # }
/// ```
#[instrument(
    level = "debug",
    skip_all,
    fields(table = U::default().table_name(), error.type),
    err(level = "debug")
)]
pub async fn delete_user_as<U>(
    db: &(impl ConnectionTrait + TransactionTrait),
    user: OwnerId<U::Guest>,
) -> Result<(), Error>
where
    U: SignUp<Guest: Related<U>>,
{
    typed(async move {
        let key = single(user, U::default().table_name()).map_err(Error::of_read)?;
        let look = || {
            let key = &key;
            async move {
                let found = users_in_the_way::<U, _>(db, Some(key), None, Look::Plain).await?;
                Ok(match found.is_empty() {
                    true => Seen::Nobody,
                    false => Seen::User,
                })
            }
        };
        delete_or::<U, _, _>(db, &key, look).await
    })
    .await
}

fn key_taken<U>(key: &Value) -> Error
where
    U: SignUp<Guest: Related<U>>,
{
    match key {
        Value::Uuid(Some(user_id)) => Error::UserIdTaken { user_id: *user_id },
        _ => Error::KeyTaken {
            table: U::default().table_name(),
        },
    }
}
