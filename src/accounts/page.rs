//! Accounts page by page.

use std::any::TypeId;

use sea_orm::{ConnectionTrait, EntityTrait, Related};
use tracing::{Span, instrument};
use uuid::Uuid;

use super::account::Account;
use crate::{
    error::{Error, typed},
    guest, host,
    role::{DEFAULT_LIMIT, MAX_LIMIT, Owners, Role},
    statements::accounts::{self, Filter, RoleOfUser},
    user,
};

/// A query for accounts: which ones, from where, how many at a time.
///
/// Pagination is by keyset: accounts are ordered by user id, and each page begins after the last id
/// of the one before. So a page costs the same wherever it is, and a user who exists throughout is
/// neither missed nor repeated, whoever signs up or leaves between two pages.
///
/// Ids are UUIDv7, made when a sign-up begins, so their order is only roughly that of sign-up. Of
/// two transactions the one with the later id can commit first, clocks of two machines differ, and
/// [`sign_up_with_id`](crate::sign_up_with_id) and rows inserted by hand can have any id. So a user
/// can appear *before* an id that was read already, and reading on after the last id seen misses
/// that user. To find new users, walk all pages, or read on from an id that is older than the
/// longest transaction and the largest clock skew, and skip the known ones. [`Accounts::after`]
/// takes such an id.
///
/// # Examples
///
/// ```
/// use guesthouse::{Accounts, become_host, sign_up};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// for name in ["ada", "grace", "mary"] {
///     let user = sign_up(&db, format!("{name}@example.com").parse()?).await?.user;
///     if name != "grace" {
///         let _ = become_host(&db, user.id).await?;
///     }
/// }
///
/// let first = Accounts::hosts().limit(1).fetch(&db).await?;
/// assert_eq!(first.accounts[0].user.email, "ada@example.com");
///
/// let next = first.next.ok_or("there is a second host")?;
/// let second = Accounts::hosts().limit(1).after(next).fetch(&db).await?;
/// assert_eq!(second.accounts[0].user.email, "mary@example.com");
/// assert_eq!(second.next, None);
///
/// assert_eq!(Accounts::without_host().count(&db).await?, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "does nothing until `fetch` or `count`"]
pub struct Accounts {
    filter: Filter,
    after: Option<Uuid>,
    limit: u32,
}

/// A page of accounts, and where the next one begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The accounts, ascending by user id.
    pub accounts: Vec<Account>,
    /// The last id of this page if more rows follow, for [`Accounts::after`]. `None` means that
    /// none followed when the page was read, not that none ever will.
    pub next: Option<Uuid>,
}

impl Accounts {
    /// Every account.
    pub fn all() -> Self {
        Self::which(Filter::All)
    }

    /// Accounts of users who are hosts.
    pub fn hosts() -> Self {
        Self::which(Filter::Hosts)
    }

    /// Accounts of users who are not hosts.
    pub fn without_host() -> Self {
        Self::which(Filter::WithoutHost)
    }

    /// Accounts of users without a guest: rows that [`sign_up`](crate::sign_up) did not make.
    pub fn without_guest() -> Self {
        Self::which(Filter::WithoutGuest)
    }

    /// Accounts of users who have this role.
    ///
    /// # Examples
    ///
    /// ```
    /// use guesthouse::{Accounts, host};
    ///
    /// assert_eq!(Accounts::with::<host::Entity>(), Accounts::hosts());
    /// assert_eq!(Accounts::without::<host::Entity>(), Accounts::without_host());
    /// ```
    pub fn with<R>() -> Self
    where
        R: Role<Owner = user::Entity> + Related<user::Entity>,
    {
        Self::which(if TypeId::of::<R>() == TypeId::of::<host::Entity>() {
            Filter::Hosts
        } else {
            Filter::With(RoleOfUser::new::<R>())
        })
    }

    /// Accounts of users who do not have this role; see [`with`](Self::with) for an example.
    pub fn without<R>() -> Self
    where
        R: Role<Owner = user::Entity> + Related<user::Entity>,
    {
        let role = TypeId::of::<R>();
        Self::which(if role == TypeId::of::<host::Entity>() {
            Filter::WithoutHost
        } else if role == TypeId::of::<guest::Entity>() {
            Filter::WithoutGuest
        } else {
            Filter::Without(RoleOfUser::new::<R>())
        })
    }

    /// The app's own users, page by page, as rows of its own model with all columns.
    ///
    /// # Examples
    ///
    /// ```
    /// use guesthouse::{Accounts, host, user};
    ///
    /// // An app names its own users and its own role here.
    /// let hosts = Accounts::of::<user::Entity>().with::<host::Entity>();
    /// ```
    pub fn of<U: EntityTrait>() -> Owners<U> {
        Owners::all()
    }

    fn which(filter: Filter) -> Self {
        Self {
            filter,
            after: None,
            limit: DEFAULT_LIMIT,
        }
    }

    /// Only accounts whose user id is greater than `user_id`, which need not exist.
    pub fn after(self, user_id: Uuid) -> Self {
        Self {
            after: Some(user_id),
            ..self
        }
    }

    /// The page size: 50 rows by default, at most 1,000.
    pub fn limit(self, rows: u32) -> Self {
        Self {
            limit: rows.min(MAX_LIMIT),
            ..self
        }
    }

    /// Reads one page.
    ///
    /// # Errors
    ///
    /// [`Error::Contention`] (SQLite busy), [`Error::Aborted`] and [`Error::Database`].
    ///
    /// # Transactions
    ///
    /// One statement, in the caller's transaction if there is one; none if the limit is 0, which
    /// gives an empty page without a next one.
    ///
    /// # Concurrency
    ///
    /// A page is of one moment, and the pages of a walk are of several. No user comes twice, and none
    /// who passes the filter from the first page to the last is left out.
    ///
    /// # Examples
    ///
    /// ```
    /// use guesthouse::{Accounts, sign_up};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
    /// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
    /// for name in ["ada", "grace", "mary"] {
    ///     sign_up(&db, format!("{name}@example.com").parse()?).await?;
    /// }
    ///
    /// let mut walk = Some(Accounts::all().limit(2));
    /// let mut pages = Vec::new();
    /// while let Some(accounts) = walk {
    ///     let page = accounts.clone().fetch(&db).await?;
    ///     pages.push(page.accounts.len());
    ///     walk = page.next.map(|last| accounts.after(last));
    /// }
    /// assert_eq!(pages, [2, 1]);
    /// # Ok(())
    /// # }
    /// ```
    #[instrument(level = "debug", skip_all, fields(filter = ?self.filter, rows, error.type), err(level = "debug"))]
    pub async fn fetch(self, db: &impl ConnectionTrait) -> Result<Page, Error> {
        typed(async move {
            if self.limit == 0 {
                return Ok(Page {
                    accounts: Vec::new(),
                    next: None,
                });
            }
            // One row more than asked for shows whether a next page exists.
            let rows = accounts::page(db, self.filter, self.after, u64::from(self.limit) + 1)
                .await
                .map_err(Error::of_read)?;

            let mut accounts: Vec<Account> = rows.into_iter().map(Account::from).collect();
            let more = accounts.len() > self.limit as usize;
            accounts.truncate(self.limit as usize);
            Span::current().record("rows", accounts.len());
            let next = accounts
                .last()
                .filter(|_| more)
                .map(|account| account.user.id);
            Ok(Page { accounts, next })
        })
        .await
    }

    /// Counts all accounts that pass the filter, regardless of `after` and `limit`.
    ///
    /// # Errors
    ///
    /// Those of [`fetch`](Self::fetch).
    ///
    /// # Transactions
    ///
    /// One statement, in the caller's transaction if there is one.
    ///
    /// # Concurrency
    ///
    /// The number is of one moment, and nothing is locked.
    ///
    /// # Examples
    ///
    /// ```
    /// use guesthouse::{Accounts, become_host, sign_up};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
    /// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
    /// let ada = sign_up(&db, "ada@example.com".parse()?).await?.user;
    /// let _ = become_host(&db, ada.id).await?;
    ///
    /// assert_eq!(Accounts::hosts().count(&db).await?, 1);
    /// assert_eq!(Accounts::without_host().count(&db).await?, 0);
    /// # Ok(())
    /// # }
    /// ```
    #[instrument(level = "debug", skip_all, fields(filter = ?self.filter, error.type), err(level = "debug"))]
    pub async fn count(self, db: &impl ConnectionTrait) -> Result<u64, Error> {
        typed(async move {
            accounts::count(db, self.filter)
                .await
                .map_err(Error::of_read)
        })
        .await
    }
}
