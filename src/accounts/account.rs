//! Reading a user with its guest and, if it has one, its host.

use std::fmt;

use sea_orm::{ConnectionTrait, DbErr};
use tracing::{Span, instrument};
use uuid::Uuid;

use super::email::Email;
use crate::{
    error::{Error, typed},
    guest, host,
    statements::accounts::{self, Row},
    user,
};

/// A user with its guest and host.
///
/// `guest` is `None` only for users that [`sign_up`](crate::sign_up) did not make, and `host` until
/// [`become_host`](crate::become_host).
///
/// `Debug` omits the address, as that of [`Email`] does.
#[derive(Clone, PartialEq)]
pub struct Account {
    /// The user.
    pub user: user::Model,
    /// Its guest, made with it.
    pub guest: Option<guest::Model>,
    /// Its host, if the user has become one.
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

    /// Reads the account of the user with this id; `None` if there is no such user.
    ///
    /// # Errors
    ///
    /// [`Error::Contention`] (SQLite busy), [`Error::Aborted`] and [`Error::Database`].
    ///
    /// # Transactions
    ///
    /// One statement, in the caller's transaction if there is one.
    ///
    /// # Concurrency
    ///
    /// User, guest and host are of one moment. Nothing is locked, so the account may have changed when
    /// the caller uses it: the call that writes decides.
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
    #[instrument(level = "debug", skip_all, fields(%user_id, found, error.type), err(level = "debug"))]
    pub async fn find(db: &impl ConnectionTrait, user_id: Uuid) -> Result<Option<Self>, Error> {
        typed(async move { found(accounts::by_id(db, user_id).await) }).await
    }

    /// Reads the account with this e-mail address; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`Account::find`].
    ///
    /// # Transactions
    ///
    /// One statement, in the caller's transaction if there is one.
    ///
    /// # Concurrency
    ///
    /// As [`Account::find`].
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
    #[instrument(level = "debug", skip_all, fields(found, error.type), err(level = "debug"))]
    pub async fn find_by_email(
        db: &impl ConnectionTrait,
        email: &Email,
    ) -> Result<Option<Self>, Error> {
        typed(async move { found(accounts::by_email(db, email.as_ref()).await) }).await
    }
}

fn found(row: Result<Option<Row>, DbErr>) -> Result<Option<Account>, Error> {
    let row = row.map_err(Error::of_read)?;
    Span::current().record("found", row.is_some());
    Ok(row.map(Account::from))
}
