//! The same accounts for an app whose users are its own: a table with columns and keys of its choice.

use std::any::TypeId;

use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ConnectionTrait, DbErr, EntityTrait, Iterable,
    ModelTrait, PrimaryKeyToColumn, Related, TransactionTrait, Value,
};
use tracing::instrument;

use crate::{
    email::Email,
    error::{Error, Violation},
    onboarding::onboard,
    role::{OwnerId, Role, SignUp},
    sign_up::{Outcome, insert_or, looks_first, saved},
    statements::{
        accounts::Look,
        alive::turn,
        change_email::update,
        delete_user::{delete, is_kept},
        evidence::{is_key_of, leaves_rows_out},
        key::{Key, single},
        sign_up::{Found, MayClash, users_in_the_way},
        sign_up_all::GuestOf,
    },
    user,
};

/// How often a call is tried when what stood in its way is gone.
const ATTEMPTS: usize = 3;

/// The model of a user's guest.
type GuestModel<U> = <<U as SignUp>::Guest as EntityTrait>::Model;

/// Makes a user of the app's own and its guest, together or not at all.
///
/// `user` and `guest` have what the app gives; the address and the guest's foreign key are set here. If
/// the key of `user` is set, the call can be repeated as
/// [`sign_up_with_id`](crate::sign_up_with_id) can: the first call that arrives makes both rows, every
/// later one returns them as they are stored, whatever else `user` and `guest` have. Otherwise the key
/// is made by `before_save` or by the database.
///
/// # Errors
///
/// - [`Error::EmailTaken`]: another user has the address.
/// - [`Error::UserIdTaken`], for keys of other types [`Error::KeyTaken`]: the key that was set belongs
///   to a user with another address.
/// - [`Error::Contention`], [`Error::OutcomeUnknown`], [`Error::Aborted`], [`Error::Database`] as for
///   [`sign_up`](crate::sign_up), and [`Error::Database`] for a column that the table demands and
///   nobody gives.
///
/// # Transactions
///
/// Those of [`sign_up`](crate::sign_up).
///
/// # Concurrency
///
/// The unique index on the address judges, and the primary key if it was set.
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
    fields(table = U::default().table_name()),
    err(level = "debug")
)]
pub async fn sign_up_as<U>(
    db: &(impl ConnectionTrait + TransactionTrait),
    email: Email,
    user: U::ActiveModel,
    guest: GuestOf<U>,
) -> Result<(U::Model, GuestModel<U>), Error>
where
    U: SignUp<Guest: Related<U>>,
{
    let brought = key_of_row::<U>(&user)?;
    let (user, guest) = complete::<U>(db, &email, user, guest).await?;
    let email = email.as_ref();
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
        // Somebody took the guest away since, or it was never made.
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
}

/// Both rows as they will be inserted. The guest is that of the user.
async fn complete<U>(
    db: &impl ConnectionTrait,
    email: &Email,
    mut user: U::ActiveModel,
    mut guest: GuestOf<U>,
) -> Result<(U::ActiveModel, GuestOf<U>), Error>
where
    U: SignUp<Guest: Related<U>>,
{
    let set = user.try_set(U::email(), email.as_ref().into());
    set.map_err(Error::of_read)?;
    let user = user.before_save(db, true).await.map_err(Error::of_read)?;
    match key_of_row::<U>(&user)? {
        Some(key) => guest
            .try_set(U::Guest::owner_id(), key)
            .map_err(Error::of_read)?,
        None => guest.not_set(U::Guest::owner_id()),
    }
    let guest = guest.before_save(db, true).await.map_err(Error::of_read)?;
    Ok((user, guest))
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
/// - [`Error::UserNotFound`], for users of the app's own [`Error::OwnerNotFound`]: no user has this
///   key.
/// - Others as for [`change_email`](crate::change_email).
///
/// # Transactions
///
/// Those of [`change_email`](crate::change_email).
///
/// # Concurrency
///
/// The unique index on the address judges; of two callers who want one address the later one is
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
    fields(table = U::default().table_name()),
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
    change_email_on::<U, _>(db, user, email.as_ref()).await
}

async fn change_email_on<U, C: ConnectionTrait>(
    db: &C,
    user: OwnerId<U::Guest>,
    email: &str,
) -> Result<U::Model, Error>
where
    U: SignUp<Guest: Related<U>>,
{
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

    let turn = turn(db).await?;
    if looks_first(db) {
        refused::<U, C>(db, &key, email, Look::Plain).await?;
    }
    let mut last_clash = None;
    for _ in 0..ATTEMPTS {
        last_clash = match update::<U, C>(db, &key, &change).await {
            Ok(Some(user)) => {
                drop(turn);
                let user = U::ActiveModel::after_save(user, db, false).await;
                return user.map_err(Error::of_hook_after::<C>);
            }
            Ok(None) => None,
            Err(clash) if Violation::of(&clash) == Some(Violation::Unique) => Some(clash),
            Err(source) => return Err(Error::of_write::<C>(source)),
        };
        refused::<U, C>(db, &key, email, Look::Locking).await?;
    }
    let explained = match &last_clash {
        Some(clash) => is_key_of::<U>(db, clash, U::email())
            .await
            .map(|of_email| !of_email),
        None => leaves_rows_out::<U>(db, &[]).await,
    };
    Err(match (explained, last_clash) {
        (Ok(false), _) => Error::came_and_went(),
        (Ok(true), Some(source)) => Error::of_read(source),
        (Ok(true), None) => Error::left_out(U::default().table_name()),
        (Err(source), _) => Error::of_read(source),
    })
}

/// The refusal for which there is a row, or the lack of the user's own.
async fn refused<U, C: ConnectionTrait>(
    db: &C,
    key: &Value,
    email: &str,
    look: Look,
) -> Result<(), Error>
where
    U: SignUp<Guest: Related<U>>,
{
    let found = users_in_the_way::<U, C>(db, Some(key), Some(email), look).await;
    let found = found.map_err(Error::of_read)?;
    let column = key_column::<U>()?;
    let is_the_user = |(user, _): &Found<U>| Key::of(&user.get(column)) == Key::of(key);
    if !found.iter().any(is_the_user) {
        return Err(not_found::<U>(key));
    }
    match found.iter().all(is_the_user) {
        true => Ok(()),
        false => Err(Error::EmailTaken),
    }
}

/// Deletes a user of the app's own and its guest, together or not at all. Rows of other tables stay,
/// and keep the user.
///
/// # Errors
///
/// - [`Error::StillReferenced`]: another table has rows of this user or its guest.
/// - [`Error::UserNotFound`], for users of the app's own [`Error::OwnerNotFound`]: no user has this
///   key.
/// - Others as for [`delete_user`](crate::delete_user).
///
/// # Transactions
///
/// Those of [`delete_user`](crate::delete_user).
///
/// # Concurrency
///
/// The foreign keys judge. Of any number of callers exactly one deletes the user.
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
    fields(table = U::default().table_name()),
    err(level = "debug")
)]
pub async fn delete_user_as<U>(
    db: &(impl ConnectionTrait + TransactionTrait),
    user: OwnerId<U::Guest>,
) -> Result<(), Error>
where
    U: SignUp<Guest: Related<U>>,
{
    delete_on::<U, _>(db, user).await
}

async fn delete_on<U, C>(db: &C, user: OwnerId<U::Guest>) -> Result<(), Error>
where
    U: SignUp<Guest: Related<U>>,
    C: ConnectionTrait + TransactionTrait,
{
    let key = single(user, U::default().table_name()).map_err(Error::of_read)?;
    let _turn = turn(db).await?;
    if looks_first(db) {
        exists::<U, C>(db, &key).await?;
    }
    let mut last = None;
    for _ in 0..ATTEMPTS {
        match delete::<U, C>(db, &key).await {
            Ok(true) => return Ok(()),
            Ok(false) => return Err(not_found::<U>(&key)),
            Err(kept) if is_kept(&kept) => last = Some(Error::Database { source: kept }),
            Err(source) => match Error::of_delete::<C>(source) {
                // By another table, or by the guest of a user who was deleted and came back
                // between the two deletes: another attempt can see that one.
                referenced @ Error::StillReferenced { .. } => last = Some(referenced),
                error => return Err(error),
            },
        }
        exists::<U, C>(db, &key).await?;
    }
    Err(last.unwrap_or_else(Error::came_and_went))
}

async fn exists<U, C: ConnectionTrait>(db: &C, key: &Value) -> Result<(), Error>
where
    U: SignUp<Guest: Related<U>>,
{
    let found = users_in_the_way::<U, C>(db, Some(key), None, Look::Plain).await;
    match found.map_err(Error::of_read)?.is_empty() {
        true => Err(not_found::<U>(key)),
        false => Ok(()),
    }
}

/// The one column of the primary key.
fn key_column<U>() -> Result<U::Column, Error>
where
    U: SignUp<Guest: Related<U>>,
{
    let mut columns = U::PrimaryKey::iter().map(PrimaryKeyToColumn::into_column);
    match (columns.next(), columns.next()) {
        (Some(column), None) => Ok(column),
        _ => Err(Error::of_read(DbErr::Type(format!(
            "the primary key of {} has several columns",
            U::default().table_name()
        )))),
    }
}

/// The key of a row that is to be inserted, if it has one already.
fn key_of_row<U>(user: &U::ActiveModel) -> Result<Option<Value>, Error>
where
    U: SignUp<Guest: Related<U>>,
{
    let key = user.get(key_column::<U>()?).into_value();
    Ok(key.filter(|key| *key != key.as_null()))
}

fn not_found<U>(key: &Value) -> Error
where
    U: SignUp<Guest: Related<U>>,
{
    match key {
        Value::Uuid(Some(user_id)) if TypeId::of::<U>() == TypeId::of::<user::Entity>() => {
            Error::UserNotFound { user_id: *user_id }
        }
        _ => Error::OwnerNotFound {
            table: U::default().table_name(),
        },
    }
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
