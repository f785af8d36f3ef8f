//! Owners page by page.

use std::{fmt, marker::PhantomData};

use sea_orm::{
    ConnectionTrait, EntityTrait, ModelTrait, PrimaryKeyTrait, Related, Value,
    sea_query::{Condition, FromValueTuple, IntoCondition, IntoValueTuple, ValueTuple},
};
use tracing::{Span, instrument};

use super::{OwnerId, Role};
use crate::{
    error::{Error, typed},
    statements::{
        key::{only_column, single},
        owners::{self, Filter, Has},
    },
};

/// The page size, unless another is asked for.
pub(crate) const DEFAULT_LIMIT: u32 = 50;
/// The largest page size.
pub(crate) const MAX_LIMIT: u32 = 1_000;

/// A query for owners of any entity: with and without which roles, for which condition, from where,
/// how many at a time.
///
/// It does for the app's own users, and for any other owner, what [`Accounts`](crate::Accounts)
/// does for the users of this library. Pagination is by keyset: owners are ordered by primary key,
/// and each page begins after the last key of the one before.
///
/// # Examples
///
/// ```
/// use guesthouse::{Owners, become_host, host, sign_up, user};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// for name in ["ada", "grace", "mary"] {
///     let user = sign_up(&db, format!("{name}@example.com").parse()?).await?.user;
///     if name == "mary" {
///         let _ = become_host(&db, user.id).await?;
///     }
/// }
///
/// let guests_only = Owners::<user::Entity>::all().without::<host::Entity>();
/// assert_eq!(guests_only.clone().count(&db).await?, 2);
/// let first = guests_only.clone().limit(1).fetch(&db).await?;
/// assert_eq!(first.rows[0].email, "ada@example.com");
/// let next = first.next.ok_or("there is a second one")?;
/// assert_eq!(guests_only.after(next).fetch(&db).await?.rows[0].email, "grace@example.com");
///
/// // Everyone, each with the host if there is one.
/// let everyone = Owners::<user::Entity>::all().fetch_beside::<host::Entity>(&db).await?;
/// let hosting: Vec<_> = everyone.rows.iter().map(|(_, host)| host.is_some()).collect();
/// assert_eq!(hosting, [false, false, true]);
/// # Ok(())
/// # }
/// ```
#[must_use = "does nothing until `fetch`, `fetch_beside` or `count`"]
pub struct Owners<U: EntityTrait> {
    filter: Filter,
    after: Option<ValueTuple>,
    limit: u32,
    owner: PhantomData<fn() -> U>,
}

/// The primary key of an entity.
pub type KeyOf<U> = <<U as EntityTrait>::PrimaryKey as PrimaryKeyTrait>::ValueType;

/// An owner, and its row of a role if there is one.
pub type Beside<R> = (
    <<R as Role>::Owner as EntityTrait>::Model,
    Option<<R as EntityTrait>::Model>,
);

/// A page of owners, and where the next one begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnersPage<T, K> {
    /// The owners, ascending by primary key.
    pub rows: Vec<T>,
    /// The last key of this page if more rows follow, for [`Owners::after`]. `None` means that none
    /// followed when the page was read, not that none ever will.
    pub next: Option<K>,
}

impl<U: EntityTrait> Owners<U> {
    /// Every row of the owners' table.
    pub fn all() -> Self {
        Self {
            filter: Filter {
                roles: Vec::new(),
                condition: Condition::all(),
            },
            after: None,
            limit: DEFAULT_LIMIT,
            owner: PhantomData,
        }
    }

    /// Only owners who also have this role.
    pub fn with<R>(self) -> Self
    where
        R: Role<Owner = U> + Related<U>,
    {
        self.of_role(Has::role::<R>(true))
    }

    /// Only owners who do not have this role.
    pub fn without<R>(self) -> Self
    where
        R: Role<Owner = U> + Related<U>,
    {
        self.of_role(Has::role::<R>(false))
    }

    fn of_role(mut self, role: Has) -> Self {
        self.filter.roles.push(role);
        self
    }

    /// Only owners for whom this condition on their own columns holds, and every one given before.
    ///
    /// Its columns are those of the owners' entity, which SeaORM writes with the name of the table. A
    /// condition that no index serves reads the whole table.
    ///
    /// # Examples
    ///
    /// ```
    /// use guesthouse::{Owners, host, sign_up, user};
    /// use sea_orm::ColumnTrait;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
    /// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
    /// for name in ["ada", "adele", "grace"] {
    ///     sign_up(&db, format!("{name}@example.com").parse()?).await?;
    /// }
    ///
    /// let found = Owners::<user::Entity>::all()
    ///     .without::<host::Entity>()
    ///     .filter(user::Column::Email.starts_with("ad"));
    /// assert_eq!(found.count(&db).await?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn filter(mut self, condition: impl IntoCondition) -> Self {
        self.filter.condition = self.filter.condition.add(condition.into_condition());
        self
    }

    /// Only owners whose key is greater than this one, which need not exist.
    pub fn after(self, key: KeyOf<U>) -> Self {
        Self {
            after: Some(key.into_value_tuple()),
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
    /// [`Error::Contention`] (SQLite busy), [`Error::Aborted`] and [`Error::Database`], also for an
    /// owner whose primary key has several columns.
    ///
    /// # Transactions
    ///
    /// One statement, in the caller's transaction if there is one; none if the limit is 0, which
    /// gives an empty page without a next one.
    ///
    /// # Concurrency
    ///
    /// A page is of one moment, and the pages of a walk are of several. No owner comes twice, and none
    /// who passes the filters from the first page to the last is left out.
    ///
    /// # Examples
    ///
    /// The example of [`Owners`] reads two pages.
    #[instrument(level = "debug", skip_all, fields(owner = U::default().table_name(), filter = ?self.filter.roles, rows, error.type), err(level = "debug"))]
    pub async fn fetch(
        self,
        db: &impl ConnectionTrait,
    ) -> Result<OwnersPage<U::Model, KeyOf<U>>, Error> {
        typed(async move {
            let Some(page) = self.page()? else {
                return Ok(OwnersPage::empty());
            };
            let key = page.key;
            let rows = owners::page::<U>(db, page).await.map_err(Error::of_read)?;
            Ok(self.cut(rows, |owner| owner.get(key)))
        })
        .await
    }

    /// Reads one page, each owner with its row of a role, or `None` for an owner without one.
    ///
    /// # Errors
    ///
    /// Those of [`fetch`](Self::fetch), and [`Error::Database`] for a row of the role that cannot
    /// be read, and if an owner has several.
    ///
    /// # Transactions
    ///
    /// Those of [`fetch`](Self::fetch).
    ///
    /// # Concurrency
    ///
    /// As [`fetch`](Self::fetch): an owner and its row of the role are of one moment.
    ///
    /// # Examples
    ///
    /// The example of [`Owners`] ends with one.
    #[instrument(level = "debug", skip_all, fields(owner = U::default().table_name(), filter = ?self.filter.roles, rows, error.type), err(level = "debug"))]
    pub async fn fetch_beside<R>(
        self,
        db: &impl ConnectionTrait,
    ) -> Result<OwnersPage<Beside<R>, OwnerId<R>>, Error>
    where
        R: Role<Owner = U> + Related<U>,
    {
        typed(async move {
            let Some(page) = self.page()? else {
                return Ok(OwnersPage::empty());
            };
            let key = page.key;
            let rows = owners::page_beside::<R>(db, page).await;
            let rows = rows.map_err(Error::of_read)?;
            Ok(self.cut(rows, |(owner, _)| owner.get(key)))
        })
        .await
    }

    /// Counts all owners that pass the filters, regardless of `after` and `limit`.
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
    /// The example of [`Owners`] begins with one.
    #[instrument(level = "debug", skip_all, fields(owner = U::default().table_name(), filter = ?self.filter.roles, error.type), err(level = "debug"))]
    pub async fn count(self, db: &impl ConnectionTrait) -> Result<u64, Error> {
        typed(async move {
            owners::count::<U>(db, &self.filter)
                .await
                .map_err(Error::of_read)
        })
        .await
    }

    /// The page that is asked for; `None` if the limit is 0. One row more shows whether a next page
    /// exists.
    fn page(&self) -> Result<Option<owners::Page<'_, U>>, Error> {
        let key = only_column::<U>().map_err(Error::of_read)?;
        let after = self.after.clone();
        let after = after.map(|key| single(key, U::default().table_name()));
        Ok((self.limit > 0).then_some(owners::Page {
            key,
            filter: &self.filter,
            after: after.transpose().map_err(Error::of_read)?,
            limit: u64::from(self.limit) + 1,
        }))
    }

    fn cut<T>(&self, mut rows: Vec<T>, key: impl Fn(&T) -> Value) -> OwnersPage<T, KeyOf<U>> {
        let more = rows.len() > self.limit as usize;
        rows.truncate(self.limit as usize);
        Span::current().record("rows", rows.len());
        let last = rows.last().filter(|_| more);
        let next = last.map(|last| KeyOf::<U>::from_value_tuple(key(last)));
        OwnersPage { rows, next }
    }
}

impl<T, K> OwnersPage<T, K> {
    fn empty() -> Self {
        Self {
            rows: Vec::new(),
            next: None,
        }
    }
}

impl<U: EntityTrait> Clone for Owners<U> {
    fn clone(&self) -> Self {
        Self {
            filter: self.filter.clone(),
            after: self.after.clone(),
            ..*self
        }
    }
}

/// Keys and conditions may be personal, and are left out.
impl<U: EntityTrait> fmt::Debug for Owners<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owners")
            .field("owner", &U::default().table_name())
            .field("roles", &self.filter.roles)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
