//! A user with its guest and, if there is one, its host: reading, changing, deleting.

use std::fmt;

use sea_orm::{
    ActiveModelBehavior,
    ActiveValue::{Set, Unchanged},
    ConnectionTrait, DbErr, Related, TransactionTrait, Value,
};
use tracing::{Span, instrument};
use uuid::Uuid;

use crate::{
    email::Email,
    error::{Error, Violation},
    guest, host,
    role::SignUp,
    statements::{
        accounts::{self, Look, Row, in_the_way},
        alive::{looks_first, turn},
        change_email::update,
        delete_user::{delete, is_kept},
        evidence::{is_key_of, leaves_rows_out},
    },
    user,
};

/// How often a call is tried when what stood in its way is gone.
const ATTEMPTS: usize = 3;

/// A user with its guest and host.
///
/// `guest` is `None` only for users that were not made by [`sign_up`](crate::sign_up); `host` until
/// [`become_host`](crate::become_host).
///
/// `Debug` leaves the address out, as that of [`Email`] does.
#[derive(Clone, PartialEq)]
pub struct Account {
    /// The user.
    pub user: user::Model,
    /// Its guest, made with it.
    pub guest: Option<guest::Model>,
    /// Its host, if it has become one.
    pub host: Option<host::Model>,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("user_id", &self.user.id)
            .field("guest", &self.guest)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

impl From<Row> for Account {
    fn from((user, guest, host): Row) -> Self {
        Self { user, guest, host }
    }
}

impl Account {
    /// Whether the user is a host.
    pub fn is_host(&self) -> bool {
        self.host.is_some()
    }

    /// The account of the user with this id, `None` if there is no such user.
    ///
    /// # Errors
    ///
    /// [`Error::Contention`] (SQLite busy), [`Error::Aborted`] and [`Error::Database`].
    ///
    /// # Transactions
    ///
    /// One statement, in the caller's transaction if there is one.
    ///
    /// # Examples
    ///
    /// ```
    /// use guesthouse::{Account, sign_up};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
    /// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
    /// let ada = sign_up(&db, "ada@example.com".parse()?).await?;
    ///
    /// assert_eq!(Account::find(&db, ada.user.id).await?, Some(ada));
    /// # Ok(())
    /// # }
    /// ```
    #[instrument(level = "debug", skip_all, fields(%user_id, found), err(level = "debug"))]
    pub async fn find(db: &impl ConnectionTrait, user_id: Uuid) -> Result<Option<Self>, Error> {
        found(accounts::by_id(db, user_id).await)
    }

    /// The account with this e-mail address, `None` if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`Account::find`].
    ///
    /// # Transactions
    ///
    /// One statement, in the caller's transaction if there is one.
    ///
    /// # Examples
    ///
    /// ```
    /// use guesthouse::{Account, sign_up};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
    /// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
    /// let ada = sign_up(&db, "ada@example.com".parse()?).await?;
    ///
    /// let found = Account::find_by_email(&db, &"ADA@example.com".parse()?).await?;
    /// assert_eq!(found, Some(ada));
    /// # Ok(())
    /// # }
    /// ```
    #[instrument(level = "debug", skip_all, fields(found), err(level = "debug"))]
    pub async fn find_by_email(
        db: &impl ConnectionTrait,
        email: &Email,
    ) -> Result<Option<Self>, Error> {
        found(accounts::by_email(db, email.as_ref()).await)
    }
}

fn found(row: Result<Option<Row>, DbErr>) -> Result<Option<Account>, Error> {
    let row = row.map_err(Error::of_read)?;
    Span::current().record("found", row.is_some());
    Ok(row.map(Account::from))
}

/// Gives the user another e-mail address and returns the user as it is stored.
///
/// # Errors
///
/// - [`Error::EmailTaken`]: another user has the address. A user's own address is not taken.
/// - [`Error::UserNotFound`]: no user has this id.
/// - [`Error::Contention`], [`Error::OutcomeUnknown`], [`Error::Aborted`], [`Error::Database`] as
///   for [`sign_up`](crate::sign_up). After an unknown outcome the call can be repeated.
///
/// # Transactions
///
/// PostgreSQL, SQLite and MariaDB: one statement; MySQL: two. In the caller's transaction, which a
/// refusal leaves usable: PostgreSQL four; the others one or two more, to see that it is not over and
/// who stands in the way, and MariaDB two or three more for each statement.
///
/// # Concurrency
///
/// The unique index on the address decides: of two callers who want one address the later one is
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
#[instrument(level = "debug", skip_all, fields(%user_id), err(level = "debug"))]
pub async fn change_email<C: ConnectionTrait + TransactionTrait>(
    db: &C,
    user_id: Uuid,
    email: Email,
) -> Result<user::Model, Error> {
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
}

/// Why a user whose address is to change is refused, by the users who have the key or the address.
pub(crate) fn refusal_of_address<R>(
    found: &[R],
    is_the_user: impl Fn(&R) -> bool,
    not_found: impl FnOnce() -> Error,
) -> Option<Error> {
    if !found.iter().any(&is_the_user) {
        return Some(not_found());
    }
    (!found.iter().all(is_the_user)).then_some(Error::EmailTaken)
}

/// Makes the change, unless `refused` finds a row that stands in its way, or lacks the user's own.
pub(crate) async fn change_email_or<U, C, F>(
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
    let explained = match &last_clash {
        Some(clash) => is_key_of::<U>(db, clash, U::email())
            .await
            .map(|of_email| !of_email),
        None => leaves_rows_out::<U>(db, &[]).await,
    };
    let table = U::default().table_name();
    Err(Error::unexplained(explained, last_clash, table))
}

/// Deletes the user and its guest, together or not at all. Hosts and rows of other tables stay,
/// and keep the user.
///
/// # Errors
///
/// - [`Error::StillHost`]: the user is a host; see [`stop_hosting`](crate::stop_hosting).
/// - [`Error::StillReferenced`]: another table has rows of this user or its guest.
/// - [`Error::UserNotFound`]: no user has this id.
/// - [`Error::Contention`], [`Error::OutcomeUnknown`], [`Error::Aborted`], [`Error::Database`] as
///   for [`sign_up`](crate::sign_up). After an unknown outcome call again: [`Error::UserNotFound`] says that the
///   first call did it.
///
/// # Transactions
///
/// One statement, SQLite in a transaction of its own; one more after a refusal by a foreign key, to
/// name the reason, and on MariaDB/MySQL for a user without a guest. A table that is not this
/// library's is believed after three attempts. In the caller's transaction, which a refusal leaves
/// usable: PostgreSQL three; the others one or two more, to see that it is not over and that the user
/// exists, and MariaDB two or three more for each statement.
///
/// # Concurrency
///
/// The foreign keys decide: a user who becomes a host at the same moment is either deleted before
/// or kept.
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
#[instrument(level = "debug", skip_all, fields(%user_id), err(level = "debug"))]
pub async fn delete_user<C: ConnectionTrait + TransactionTrait>(
    db: &C,
    user_id: Uuid,
) -> Result<(), Error> {
    let look = || async move {
        Ok(match accounts::by_id(db, user_id).await? {
            Some((_, _, Some(_))) => Seen::KeptBy(Error::StillHost { user_id }),
            Some(_) => Seen::User,
            None => Seen::Nobody,
        })
    };
    delete_or::<user::Entity, _, _>(db, &user_id.into(), look).await
}

/// What a look at a user who is to be deleted finds.
pub(crate) enum Seen {
    Nobody,
    User,
    /// The user is there, and this is why it stays.
    KeptBy(Error),
}

/// Deletes the user and its guest. `look` is for the reason of a refusal.
pub(crate) async fn delete_or<U, C, F>(
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
                // By another table, or by the guest of a user who was deleted and came back
                // between the two deletes: another attempt can see that one.
                referenced @ Error::StillReferenced { .. } => last = Some(referenced),
                error => return Err(error),
            },
        }
        // The delete is undone; which table keeps the user is only for the message.
        match look().await {
            Ok(Seen::KeptBy(refusal)) => return Err(refusal),
            Ok(Seen::User) => {}
            Ok(Seen::Nobody) => return Err(Error::not_found::<U>(key)),
            Err(source) => return Err(last.unwrap_or_else(|| Error::of_read(source))),
        }
    }
    Err(last.unwrap_or_else(Error::came_and_went))
}
