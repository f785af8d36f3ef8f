//! Making a user with its guest, once or repeatably.

use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ActiveValue,
    ActiveValue::{NotSet, Set},
    ConnectionTrait, DbErr, EntityTrait, Iterable, PrimaryKeyToColumn, Related, TransactionTrait,
    Value,
};
use tracing::{Span, field::display, instrument};
use uuid::Uuid;

use super::{account::Account, email::Email};
use crate::{
    error::{Error, Violation, typed},
    guest,
    role::{ATTEMPTS, Role},
    statements::{
        accounts::{
            Look, in_the_way,
            sign_up::{Both, MayClash, has_the_address, insert_both},
            sign_up_all::GuestOf,
        },
        alive::{looks_first, turn},
        evidence::{Event, is_key_of, leaves_rows_out},
        key::only_column,
    },
    user,
};

/// An entity that people sign up to with an e-mail address; each row has a guest that is made and
/// deleted with it.
pub trait SignUp: EntityTrait<ActiveModel: Send + Sync>
where
    Self::Guest: Related<Self>,
{
    /// The role that every row has from the beginning.
    type Guest: Role<Owner = Self>;

    /// The column of the e-mail address, which has a unique index.
    fn email() -> Self::Column;
}

impl SignUp for user::Entity {
    type Guest = guest::Entity;

    fn email() -> Self::Column {
        user::Column::Email
    }
}

/// Makes a user and its guest, together or not at all.
///
/// It never makes a host.
///
/// # Errors
///
/// - [`Error::EmailTaken`]: another user has the address.
/// - [`Error::Contention`]: deadlock, lock timeout, busy, or, above READ COMMITTED on PostgreSQL,
///   the address was taken by a transaction that this one cannot see.
/// - [`Error::OutcomeUnknown`]: the connection was lost after the statement or the `COMMIT` was
///   sent outside a transaction; [`Account::find_by_email`] shows whether the address has
///   an account, [`sign_up_with_id`] makes the call repeatable.
/// - [`Error::Aborted`]: the caller's transaction had failed before.
/// - [`Error::Database`]: anything else.
///
/// # Transactions
///
/// PostgreSQL and MariaDB: one statement. SQLite: two in a transaction of its own, one in the
/// caller's. One more if the address is taken. A cancelled call leaves both rows or none. A refusal
/// leaves the caller's transaction usable. In it SQLite and MariaDB send one more, which checks
/// that it is not over. MariaDB also looks for the address first, and sends two or three more for
/// each statement.
///
/// # Concurrency
///
/// The unique index on the address decides: of any number of callers with one address exactly one
/// gets the account, and the others get [`Error::EmailTaken`].
///
/// # Examples
///
/// ```
/// use guesthouse::{Error, sign_up};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// let ada = sign_up(&db, "ada@example.com".parse()?).await?;
/// assert_eq!(ada.guest.map(|guest| guest.user_id), Some(ada.user.id));
/// assert_eq!(ada.host, None);
///
/// let again = sign_up(&db, "Ada@Example.com".parse()?).await;
/// assert!(matches!(again, Err(Error::EmailTaken)));
/// # Ok(())
/// # }
/// ```
#[instrument(level = "debug", skip_all, fields(user_id, error.type), err(level = "debug"))]
pub async fn sign_up<C: ConnectionTrait + TransactionTrait>(
    db: &C,
    email: Email,
) -> Result<Account, Error> {
    typed(async move {
        let email = email.as_ref();
        let (user, guest) = new_account(db, NotSet, email).await?;
        let standing = |look| async move {
            let found = in_the_way(db, None, email, look).await?;
            Ok((!found.is_empty()).then_some(Err(Error::EmailTaken)))
        };
        let account =
            match insert_or::<user::Entity, _, _, _>(db, &user, &guest, MayClash::Email, standing)
                .await?
            {
                Outcome::New(user, guest) => made(db, user, guest).await?,
                Outcome::Standing(account) => account,
            };
        Span::current().record("user_id", display(account.user.id));
        Ok(account)
    })
    .await
}

/// Signs up under an id that the caller makes: an idempotency key, so the call can be repeated.
///
/// If the answer to [`sign_up`] is lost, the account that it made looks like that of somebody who
/// had the address before. Here the caller, or the browser, makes an id once for each person who
/// signs up (`Uuid::now_v7()`), and calls with the same id until there is an answer. The first call
/// that arrives makes the account; every later one returns it as it is stored.
///
/// # Errors
///
/// - [`Error::UserIdTaken`]: the id belongs to an account with another address.
/// - [`Error::EmailTaken`]: the address belongs to a user with another id.
/// - [`Error::Contention`], [`Error::Aborted`], [`Error::Database`] as for [`sign_up`].
/// - [`Error::OutcomeUnknown`]: as for [`sign_up`]; call again.
///
/// # Transactions
///
/// Those of [`sign_up`] if the account is new; one SELECT more if it is not.
///
/// # Concurrency
///
/// The primary key and the unique index on the address decide. Any number of callers with the same
/// id and address get the same account, and one user is made.
///
/// # Examples
///
/// Drivers wait for an answer indefinitely. A caller who cannot wait sets a time limit. After it
/// the outcome is as unknown as after [`Error::OutcomeUnknown`], and the remedy is the same, to
/// repeat the call:
///
/// ```
/// use std::time::Duration;
///
/// use guesthouse::{Account, Email, Error, sign_up_with_id};
/// use sea_orm::DatabaseConnection;
/// use tokio::time::timeout;
/// use uuid::Uuid;
///
/// async fn sign_up_in_time(
///     db: &DatabaseConnection,
///     user_id: Uuid,
///     email: &Email,
/// ) -> Result<Option<Account>, Error> {
///     for _ in 0..3 {
///         let call = sign_up_with_id(db, user_id, email.clone());
///         match timeout(Duration::from_secs(2), call).await {
///             Err(_) | Ok(Err(Error::OutcomeUnknown { .. })) => continue,
///             Ok(answer) => return answer.map(Some),
///         }
///     }
///     Ok(None)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// let (user_id, email) = (Uuid::now_v7(), "ada@example.com".parse()?);
///
/// let ada = sign_up_in_time(&db, user_id, &email).await?;
/// assert_eq!(sign_up_in_time(&db, user_id, &email).await?, ada);
///
/// let other_id = sign_up_with_id(&db, Uuid::now_v7(), email).await;
/// assert!(matches!(other_id, Err(Error::EmailTaken)));
/// # Ok(())
/// # }
/// ```
#[instrument(level = "debug", skip_all, fields(%user_id, error.type), err(level = "debug"))]
pub async fn sign_up_with_id<C: ConnectionTrait + TransactionTrait>(
    db: &C,
    user_id: Uuid,
    email: Email,
) -> Result<Account, Error> {
    typed(async move {
        let email = email.as_ref();
        let (user, guest) = new_account(db, Set(user_id), email).await?;
        let standing = |look| async move {
            let found = in_the_way(db, Some(user_id), email, look).await?;
            let taken = !found.is_empty();
            let of_id = found.into_iter().find(|(user, ..)| user.id == user_id);
            Ok(match of_id {
                Some(row) if row.0.email == email => Some(Ok(row.into())),
                Some(_) => Some(Err(Error::UserIdTaken { user_id })),
                None => taken.then_some(Err(Error::EmailTaken)),
            })
        };
        match insert_or::<user::Entity, _, _, _>(db, &user, &guest, MayClash::EmailOrId, standing)
            .await?
        {
            Outcome::New(user, guest) => made(db, user, guest).await,
            Outcome::Standing(account) => Ok(account),
        }
    })
    .await
}

/// A user of this library and its guest, not stored yet.
pub(super) type NewAccount = (user::ActiveModel, guest::ActiveModel);

pub(super) async fn new_account(
    db: &impl ConnectionTrait,
    id: ActiveValue<Uuid>,
    email: &str,
) -> Result<NewAccount, Error> {
    let user = user::ActiveModel {
        id,
        ..Default::default()
    };
    complete::<user::Entity>(db, email, user, Default::default()).await
}

/// Both rows as they will be inserted; the guest belongs to the user.
pub(super) async fn complete<U>(
    db: &impl ConnectionTrait,
    email: &str,
    mut user: U::ActiveModel,
    mut guest: GuestOf<U>,
) -> Result<(U::ActiveModel, GuestOf<U>), Error>
where
    U: SignUp<Guest: Related<U>>,
{
    let set = user.try_set(U::email(), email.into());
    set.map_err(Error::of_read)?;
    let user = user.before_save(db, true).await.map_err(Error::of_read)?;
    let owner_id = U::Guest::owner_id();
    match key_of_row::<U>(&user)? {
        Some(key) => guest.try_set(owner_id, key).map_err(Error::of_read)?,
        None => guest.not_set(owner_id),
    }
    let guest = guest.before_save(db, true).await.map_err(Error::of_read)?;
    Ok((user, guest))
}

/// The key of a row that is to be inserted, if it has one already.
pub(super) fn key_of_row<U>(user: &U::ActiveModel) -> Result<Option<Value>, Error>
where
    U: SignUp<Guest: Related<U>>,
{
    let key = user.get(key_column::<U>()?).into_value();
    Ok(key.filter(|key| *key != key.as_null()))
}

/// The address of a row that is to be inserted.
pub(super) fn email_of<U>(user: &U::ActiveModel) -> Option<String>
where
    U: SignUp<Guest: Related<U>>,
{
    match user.get(U::email()).into_value() {
        Some(Value::String(email)) => email,
        _ => None,
    }
}

/// The one column of the primary key.
pub(super) fn key_column<U>() -> Result<U::Column, Error>
where
    U: SignUp<Guest: Related<U>>,
{
    only_column::<U>().map_err(Error::of_read)
}

/// The outcome of a sign-up.
pub(super) enum Outcome<U: SignUp, A>
where
    U::Guest: Related<U>,
{
    New(U::Model, <U::Guest as EntityTrait>::Model),
    /// What the caller makes of a row that stands in the way.
    Standing(A),
}

/// Inserts both rows, unless `standing` finds a row that answers the call.
///
/// On MariaDB in a transaction it looks first, since a refused insert would lock more than the
/// row that refuses it until that transaction ends.
pub(super) async fn insert_or<U, C, A, F>(
    db: &C,
    user: &U::ActiveModel,
    guest: &GuestOf<U>,
    keys: MayClash,
    standing: impl Fn(Look) -> F,
) -> Result<Outcome<U, A>, Error>
where
    U: SignUp<Guest: Related<U>>,
    C: ConnectionTrait + TransactionTrait,
    F: Future<Output = Result<Option<Result<A, Error>>, DbErr>>,
{
    let _turn = turn(db).await?;
    if looks_first(db)
        && let Some(answer) = standing(Look::Plain).await.map_err(Error::of_read)?
    {
        return answer.map(Outcome::Standing);
    }
    let mut last_clash = None;
    for _ in 0..ATTEMPTS {
        match insert_both::<U, _>(db, user, guest, keys).await {
            Ok(Some((user, guest))) => return Ok(Outcome::New(user, guest)),
            Ok(None) => {}
            Err(clash) if Violation::of(&clash) == Some(Violation::Unique) => {
                last_clash = Some(clash);
            }
            Err(source) => return Err(Error::of_write::<C>(source)),
        }
        match (standing(Look::Locking).await, last_clash.take()) {
            (Ok(Some(answer)), _) => return answer.map(Outcome::Standing),
            (Ok(None), clash) => last_clash = clash,
            (Err(source), clash) => {
                return Err(match (Error::of_read(source), clash) {
                    // On PostgreSQL the clash was on a key that ON CONFLICT does not cover, and
                    // ended the transaction.
                    (Error::Aborted { .. }, Some(clash)) => Error::of_read(clash),
                    (error, _) => error,
                });
            }
        }
    }
    Err(unexplained::<U>(db, user, keys, last_clash).await)
}

/// The error for a user who was not inserted by any attempt, though nothing was found in the way.
async fn unexplained<U>(
    db: &impl ConnectionTrait,
    user: &U::ActiveModel,
    keys: MayClash,
    clash: Option<DbErr>,
) -> Error
where
    U: SignUp<Guest: Related<U>>,
{
    match has_the_address::<U>(db, user, None).await {
        Ok(true) => return Error::EmailTaken,
        Ok(false) => {}
        Err(source) => return Error::of_read(source),
    }
    let mut own_keys = Vec::new();
    if keys == MayClash::EmailOrId {
        own_keys.push(U::email());
        own_keys.extend(U::PrimaryKey::iter().map(PrimaryKeyToColumn::into_column));
    }
    let explained = match &clash {
        Some(clash) => is_another_key::<U>(db, clash).await,
        None => leaves_rows_out::<U>(db, Event::Insert, &own_keys).await,
    };
    Error::unexplained(explained, clash, U::default().table_name())
}

/// Whether the clash is neither on the address nor on the key.
async fn is_another_key<U>(db: &impl ConnectionTrait, clash: &DbErr) -> Result<bool, DbErr>
where
    U: SignUp<Guest: Related<U>>,
{
    if is_key_of::<U>(db, clash, U::email()).await? {
        return Ok(false);
    }
    for key in U::PrimaryKey::iter() {
        if is_key_of::<U>(db, clash, key.into_column()).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Runs the hooks that follow the insert of both rows, and returns the account.
pub(super) async fn made<C: ConnectionTrait>(
    db: &C,
    user: user::Model,
    guest: guest::Model,
) -> Result<Account, Error> {
    let (user, guest) = saved::<user::Entity, C>(db, user, guest).await?;
    Ok(Account {
        user,
        guest: Some(guest),
        host: None,
    })
}

/// Runs the app's hooks that follow the insert of both rows, and returns the rows.
pub(super) async fn saved<U, C: ConnectionTrait>(
    db: &C,
    user: U::Model,
    guest: <U::Guest as EntityTrait>::Model,
) -> Result<Both<U>, Error>
where
    U: SignUp<Guest: Related<U>>,
{
    let user = U::ActiveModel::after_save(user, db, true).await;
    let guest = GuestOf::<U>::after_save(guest, db, true).await;
    Ok((
        user.map_err(Error::of_hook_after::<C>)?,
        guest.map_err(Error::of_hook_after::<C>)?,
    ))
}
