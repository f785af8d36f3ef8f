//! The tables that an app has, for the functions that take them all.

use std::{fmt, pin::Pin};

use sea_orm::{ActiveModelTrait, DatabaseConnection, DbErr, EntityName, Related};
use tracing::instrument;

use crate::{
    accounts::{EmailAudit, SignUp, audit_emails},
    describe::Schema,
    error::{Error, typed},
    guest, host,
    role::{Role, backfill},
    schema::{self, SchemaError, Table, model_name, with_article},
    statements::{
        hidden,
        totals::{Questions, count},
    },
};

/// A list of tables: owners and their roles, of this library and of the app's own.
///
/// [`verify`](Self::verify), [`audit`](Self::audit) and [`describe`](Self::describe) look at all of
/// them. A table that is named twice counts once.
///
/// # Examples
///
/// An app with couriers beside the accounts of this library:
///
/// ```
/// # mod courier {
/// #     use guesthouse::{Role, user};
/// #     use sea_orm::entity::prelude::*;
/// #
/// #     #[sea_orm::model]
/// #     #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
/// #     #[sea_orm(table_name = "couriers")]
/// #     pub struct Model {
/// #         #[sea_orm(primary_key, auto_increment = false)]
/// #         pub id: Uuid,
/// #         #[sea_orm(unique)]
/// #         pub user_id: Uuid,
/// #         #[sea_orm(belongs_to, from = "user_id", to = "id", on_delete = "Restrict")]
/// #         pub user: BelongsTo<user::Entity>,
/// #     }
/// #
/// #     impl ActiveModelBehavior for ActiveModel {}
/// #
/// #     impl Role for Entity {
/// #         type Owner = user::Entity;
/// #     }
/// # }
/// use guesthouse::{Model, SchemaError};
/// # use sea_orm::ConnectionTrait;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// let model = Model::accounts().role::<courier::Entity>();
/// assert_eq!(model.describe().models["courier"], "couriers");
///
/// db.execute_unprepared(
///     "CREATE TABLE couriers (id uuid_text PRIMARY KEY NOT NULL, user_id uuid_text NOT NULL \
///      REFERENCES users (id) ON DELETE RESTRICT)",
/// )
/// .await?;
/// let Err(SchemaError::Drift(differences)) = model.verify(&db).await else {
///     return Err("nothing keeps the owners apart".into());
/// };
/// assert_eq!(
///     differences[0].to_string(),
///     "couriers.user_id is not unique: a user could get two couriers"
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
#[must_use = "does nothing until `verify` or `describe`"]
pub struct Model {
    entries: Vec<Entry>,
    has_accounts: bool,
}

#[derive(Clone)]
struct Entry {
    table: Table,
    describe: fn(&mut Schema),
    /// `None` for a table of users, which is not a role.
    role: Option<RoleEntry>,
}

/// What is counted of a role, and how it is given to every owner.
#[derive(Clone)]
struct RoleEntry {
    owners: String,
    questions: fn() -> Result<Questions, DbErr>,
    /// Set for guests, which every owner is to have.
    backfill: Option<Backfill>,
}

type Backfill = for<'a> fn(&'a DatabaseConnection, Progress<'a>) -> BackfillOutcome<'a>;
type Progress<'a> = &'a mut (dyn FnMut(u64) + Send);
type BackfillOutcome<'a> = Pin<Box<dyn Future<Output = Result<u64, Error>> + Send + 'a>>;

impl RoleEntry {
    fn of<R>() -> Self
    where
        R: Role + Related<R::Owner>,
    {
        Self {
            owners: R::Owner::default().table_name().to_owned(),
            questions: Questions::about::<R>,
            backfill: None,
        }
    }

    fn of_guests<R>() -> Self
    where
        R: Role + Related<R::Owner>,
    {
        Self {
            backfill: Some(give_all::<R>),
            ..Self::of::<R>()
        }
    }
}

fn give_all<'a, R>(db: &'a DatabaseConnection, progress: Progress<'a>) -> BackfillOutcome<'a>
where
    R: Role + Related<R::Owner>,
{
    let row = |_| <R::ActiveModel as ActiveModelTrait>::default();
    Box::pin(backfill::<R>(db, row, progress))
}

/// How many rows a role of a [`Model`] has, and how many of its owners lack one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoleAudit {
    /// The table of the role.
    pub table: String,
    /// The table of its owners.
    pub owner_table: String,
    /// The number of rows in the owners' table.
    pub owners: u64,
    /// The number of rows in the role's table.
    pub rows: u64,
    /// The number of owners without a row in the role's table.
    pub owners_without: u64,
    /// Whether every owner is to have one, as with guests; see [`Model::backfill_guests`].
    pub is_for_every_owner: bool,
}

impl Model {
    /// An empty list, for an app without the tables of this library.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tables of this library: users, guests and hosts.
    pub fn accounts() -> Self {
        let hosts = Table::of_accounts::<host::Entity>("become a host");
        let accounts = Self {
            has_accounts: true,
            ..Self::new()
        };
        accounts
            .with(Table::of_users(), Schema::add_users, None)
            .with(
                Table::of_accounts::<guest::Entity>("sign up"),
                Schema::add_guests,
                Some(RoleEntry::of_guests::<guest::Entity>()),
            )
            .with(
                hosts,
                Schema::add_hosts,
                Some(RoleEntry::of::<host::Entity>()),
            )
    }

    /// Adds the table of a role.
    pub fn role<R>(self) -> Self
    where
        R: Role + Related<R::Owner>,
    {
        let name = with_article(&model_name::<R>().replace('_', " "));
        let table = Table::of_role::<R>(&format!("get {name}"));
        self.with(table, Schema::add_theirs::<R>, Some(RoleEntry::of::<R>()))
    }

    /// Adds the table of the app's own users and that of their guests.
    ///
    /// [`verify`](Self::verify) assumes that the app sets every column of the entity.
    pub fn sign_up<U: SignUp>(self) -> Self
    where
        U::Guest: Related<U>,
    {
        self.with(Table::of_sign_up::<U>(), Schema::add_theirs::<U>, None)
            .with(
                Table::of_role::<U::Guest>("sign up"),
                Schema::add_theirs::<U::Guest>,
                Some(RoleEntry::of_guests::<U::Guest>()),
            )
    }

    fn with(mut self, table: Table, describe: fn(&mut Schema), role: Option<RoleEntry>) -> Self {
        let is_known = |entry: &Entry| entry.table.name == table.name;
        if !self.entries.iter().any(is_known) {
            self.entries.push(Entry {
                table,
                describe,
                role,
            });
        }
        self
    }

    /// Counts the rows of each role and the owners without one, in the order of the list.
    ///
    /// # Errors
    ///
    /// [`Error::Contention`] (SQLite busy) and [`Error::Database`], also if PostgreSQL's row level
    /// security applies to the database role: the counts would miss hidden rows.
    ///
    /// # Transactions
    ///
    /// One statement, so all counts are of one moment. PostgreSQL: one before it, which checks for
    /// row level security.
    ///
    /// # Concurrency
    ///
    /// Nothing is locked: callers go on writing while it counts.
    ///
    /// # Examples
    ///
    /// ```
    /// use guesthouse::{Model, become_host, sign_up};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
    /// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
    /// let ada = sign_up(&db, "ada@example.com".parse()?).await?.user;
    /// sign_up(&db, "grace@example.com".parse()?).await?;
    /// become_host(&db, ada.id).await?;
    ///
    /// let roles = Model::accounts().audit(&db).await?;
    /// let hosts = &roles[1];
    /// assert_eq!(hosts.table, "hosts");
    /// assert_eq!((hosts.rows, hosts.owners_without), (1, 1));
    /// # Ok(())
    /// # }
    /// ```
    #[instrument(level = "debug", skip_all, fields(error.type), err(level = "debug"))]
    pub async fn audit(&self, db: &DatabaseConnection) -> Result<Vec<RoleAudit>, Error> {
        typed(self.counted(db)).await
    }

    async fn counted(&self, db: &DatabaseConnection) -> Result<Vec<RoleAudit>, Error> {
        let mut tables: Vec<Box<dyn hidden::Table>> = Vec::new();
        let mut selects = Vec::new();
        let mut audits = Vec::new();
        for entry in &self.entries {
            let Some(role) = &entry.role else {
                continue;
            };
            let asked = (role.questions)().map_err(Error::of_read)?;
            tables.extend(asked.tables);
            selects.extend([asked.owners, asked.rows, asked.owners_without]);
            audits.push(RoleAudit {
                table: entry.table.name.clone(),
                owner_table: role.owners.clone(),
                owners: 0,
                rows: 0,
                owners_without: 0,
                is_for_every_owner: role.backfill.is_some(),
            });
        }
        if audits.is_empty() {
            return Ok(audits);
        }
        let tables: Vec<_> = tables.iter().map(AsRef::as_ref).collect();
        hidden::refuse_hidden(db, &tables)
            .await
            .map_err(Error::of_read)?;
        let counts = count(db, selects).await.map_err(Error::of_read)?;
        for (audit, counts) in audits.iter_mut().zip(counts.chunks_exact(3)) {
            [audit.owners, audit.rows, audit.owners_without] = [counts[0], counts[1], counts[2]];
        }
        Ok(audits)
    }

    /// Finds misspelled addresses, as [`audit_emails`](crate::audit_emails()) does; `None` if the
    /// list does not have the users of this library.
    ///
    /// # Errors
    ///
    /// Those of [`audit`](Self::audit).
    ///
    /// # Transactions
    ///
    /// Those of [`audit_emails`](crate::audit_emails()).
    ///
    /// # Concurrency
    ///
    /// As [`audit_emails`](crate::audit_emails()).
    ///
    /// # Examples
    ///
    /// ```
    /// use guesthouse::{EmailAudit, Model};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
    /// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
    /// let found = Model::accounts().audit_emails(&db).await?;
    /// assert_eq!(found, Some(EmailAudit::default()));
    /// assert_eq!(Model::new().audit_emails(&db).await?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn audit_emails(&self, db: &DatabaseConnection) -> Result<Option<EmailAudit>, Error> {
        match self.has_accounts {
            true => audit_emails(db).await.map(Some),
            false => Ok(None),
        }
    }

    /// Gives every user without a guest one, as [`backfill_guests`](crate::backfill_guests) does,
    /// and returns how many it gave.
    ///
    /// It covers the guests of this library and those of [`sign_up`](Self::sign_up), and returns
    /// `None` if the list has neither.
    ///
    /// Besides its user, a guest has what its `before_save` and the database set.
    ///
    /// # Errors
    ///
    /// Those of [`backfill`](crate::backfill()), and [`Error::Database`] for a column that is
    /// required and nobody sets.
    ///
    /// # Transactions
    ///
    /// Those of [`backfill`](crate::backfill()).
    ///
    /// # Concurrency
    ///
    /// As [`backfill`](crate::backfill()).
    ///
    /// # Examples
    ///
    /// ```
    /// use guesthouse::{Model, user};
    /// use sea_orm::{ActiveModelTrait, ActiveValue::Set};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
    /// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
    /// let ada = user::ActiveModel { email: Set("ada@example.com".into()), ..Default::default() };
    /// ada.insert(&db).await?;
    ///
    /// assert_eq!(Model::accounts().backfill_guests(&db, |_| {}).await?, Some(1));
    /// assert_eq!(Model::new().backfill_guests(&db, |_| {}).await?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn backfill_guests(
        &self,
        db: &DatabaseConnection,
        mut progress: impl FnMut(u64) + Send,
    ) -> Result<Option<u64>, Error> {
        let mut given = None;
        for role in self.entries.iter().filter_map(|entry| entry.role.as_ref()) {
            if let Some(backfill) = role.backfill {
                let before = given.unwrap_or(0);
                let now = backfill(db, &mut |total| progress(before + total)).await?;
                given = Some(before + now);
            }
        }
        Ok(given)
    }

    /// Checks that the live database upholds the guarantees, as
    /// [`verify_schema`](crate::verify_schema) does, for each of these tables.
    ///
    /// Of a role it checks that its foreign key to the owner exists, is not null and is unique, and
    /// that its action on delete is the one that the entity declares, else RESTRICT. It does not
    /// check the app's other unique keys and bounds. It does check what can come between a
    /// statement and a row: rules, row level security, `ON CONFLICT` clauses of SQLite, and how
    /// rows are stored. A setting of a connection is reported with the first table.
    ///
    /// # Errors
    ///
    /// - [`SchemaError::Drift`]: every difference, always in the same order: the settings, then
    ///   table by table as listed, first those of the table, then column by column as the entity
    ///   has them, then by kind.
    /// - [`SchemaError::Database`]: the catalogue could not be read.
    ///
    /// # Transactions
    ///
    /// One, which writes nothing, so that everything is read on one connection. SQLite: five
    /// statements. PostgreSQL: seven. MariaDB: four, one for each of the tables that exists,
    /// and three for each other database that an entity names. All: one more on each idle connection of the pool.
    ///
    /// # Concurrency
    ///
    /// It looks at the schema as it is now, and locks no row. What is changed later is found by the next
    /// call.
    ///
    /// # Examples
    ///
    /// ```
    /// use guesthouse::Model;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
    /// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
    /// Model::accounts().verify(&db).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn verify(&self, db: &DatabaseConnection) -> Result<(), SchemaError> {
        if self.entries.is_empty() {
            return Ok(());
        }
        let tables: Vec<_> = self
            .entries
            .iter()
            .map(|entry| entry.table.clone())
            .collect();
        schema::verify(db, &tables).await
    }

    /// Describes these tables, as [`describe`](crate::describe()) does those of this library.
    #[must_use]
    pub fn describe(&self) -> Schema {
        let mut schema = Schema::empty();
        for entry in &self.entries {
            (entry.describe)(&mut schema);
        }
        schema
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.entries.iter().map(|entry| &entry.table.name);
        f.write_str("Model ")?;
        f.debug_list().entries(names).finish()
    }
}
