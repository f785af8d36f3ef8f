//! A user with its guest and, if there is one, its host: reading, changing, deleting.

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{Set, Unchanged},
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, TransactionTrait,
};
use tracing::{Span, instrument};
use uuid::Uuid;

use crate::{
    email::Email,
    error::{Error, Sent, Violation},
    guest, host,
    statements::accounts::{self, Row},
    unit_of_work::{begin, finish},
    user,
};

/// How often [`delete_user`] tries before a row of another table is what keeps the user.
const ATTEMPTS: usize = 3;

/// A user with its guest and host.
///
/// `guest` is `None` only for users that were not made by [`sign_up`](crate::sign_up); `host` until
/// [`become_host`](crate::become_host).
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// The user.
    pub user: user::Model,
    /// Its guest, made with it.
    pub guest: Option<guest::Model>,
    /// Its host, if it has become one.
    pub host: Option<host::Model>,
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
    let row = row.map_err(|source| Error::from_driver(source, Sent::Revocable))?;
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
/// Runs in a transaction of its own, or in a savepoint of the caller's, so that a refusal leaves
/// that usable. PostgreSQL and SQLite: one statement; MariaDB/MySQL: two.
///
/// # Concurrency
///
/// The unique index on the address judges; of two callers who want one address the later one is
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
    let change = user::ActiveModel {
        id: Unchanged(user_id),
        email: Set(email.into()),
        ..Default::default()
    };
    let unit = begin(db).await?;
    let outcome = change.update(&unit).await.map_err(|source| match source {
        DbErr::RecordNotUpdated => Error::UserNotFound { user_id },
        // The address is all that the statement changes of what is unique.
        source if Violation::of(&source) == Some(Violation::Unique) => Error::EmailTaken,
        source => Error::from_driver(source, Sent::Revocable),
    });
    finish::<C, _>(unit, outcome).await
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
/// Two statements in a transaction of their own, or in a savepoint of the caller's; one more after
/// a refusal by a foreign key, to name the reason. A table that is not this library's is believed
/// after three attempts.
///
/// # Concurrency
///
/// The foreign keys judge: a user who becomes a host at the same moment is either deleted before
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
    let mut attempts = 1;
    loop {
        let unit = begin(db).await?;
        let outcome = delete_with_guest(&unit, user_id).await;
        match finish::<C, _>(unit, outcome).await {
            // The delete is refused and undone; which table keeps the user is only for the message.
            Err(Error::StillReferenced { .. }) if has_host(db, user_id).await? => {
                return Err(Error::StillHost { user_id });
            }
            // By another table, or by the guest of a user who was deleted and came back between
            // the two statements: another attempt can see that one.
            Err(Error::StillReferenced { .. }) if attempts < ATTEMPTS => attempts += 1,
            outcome => return outcome,
        }
    }
}

async fn delete_with_guest(unit: &impl ConnectionTrait, user_id: Uuid) -> Result<(), Error> {
    let refused = |source| match Violation::of(&source) {
        Some(Violation::Foreign) => Error::StillReferenced { source },
        _ => Error::from_driver(source, Sent::Revocable),
    };
    guest::Entity::delete_many()
        .filter(guest::Column::UserId.eq(user_id))
        .exec(unit)
        .await
        .map_err(refused)?;
    let deleted = user::Entity::delete_by_id(user_id)
        .exec(unit)
        .await
        .map_err(refused)?;
    match deleted.rows_affected {
        0 => Err(Error::UserNotFound { user_id }),
        _ => Ok(()),
    }
}

async fn has_host(db: &impl ConnectionTrait, user_id: Uuid) -> Result<bool, Error> {
    let host = host::Entity::find()
        .filter(host::Column::UserId.eq(user_id))
        .one(db)
        .await;
    host.map(|host| host.is_some())
        .map_err(|source| Error::from_driver(source, Sent::Revocable))
}
