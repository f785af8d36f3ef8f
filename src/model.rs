//! The tables that an app has, for all that looks at them together.

use std::fmt;

use sea_orm::{DatabaseConnection, Related};

use crate::{
    accounts::SignUp,
    describe::Schema,
    guest, host,
    role::Role,
    schema::{self, SchemaError, Table, model_name, with_article},
};

/// A list of tables: owners and their roles, of this library and of the app's own.
///
/// [`verify`](Self::verify) and [`describe`](Self::describe) look at all of them. A table that is
/// named twice counts once.
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
}

#[derive(Clone)]
struct Entry {
    table: Table,
    describe: fn(&mut Schema),
}

impl Model {
    /// No table, for an app without those of this library.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tables of this library: users, guests and hosts.
    pub fn accounts() -> Self {
        let hosts = Table::of_accounts::<host::Entity>("become a host");
        Self::new()
            .with(Table::of_users(), Schema::add_users)
            .with(
                Table::of_accounts::<guest::Entity>("sign up"),
                Schema::add_guests,
            )
            .with(hosts, Schema::add_hosts)
    }

    /// The table of a role.
    pub fn role<R>(self) -> Self
    where
        R: Role + Related<R::Owner>,
    {
        let name = with_article(&model_name::<R>().replace('_', " "));
        let table = Table::of_role::<R>(&format!("get {name}"));
        self.with(table, Schema::add_theirs::<R>)
    }

    /// The table of the app's own users and that of their guests. All columns that the entity has
    /// are taken for columns that the app gives.
    pub fn sign_up<U: SignUp>(self) -> Self
    where
        U::Guest: Related<U>,
    {
        self.with(Table::of_sign_up::<U>(), Schema::add_theirs::<U>)
            .with(
                Table::of_role::<U::Guest>("sign up"),
                Schema::add_theirs::<U::Guest>,
            )
    }

    fn with(mut self, table: Table, describe: fn(&mut Schema)) -> Self {
        let is_known = |entry: &Entry| entry.table.name == table.name;
        if !self.entries.iter().any(is_known) {
            self.entries.push(Entry { table, describe });
        }
        self
    }

    /// Checks whether the live database is what the promises rest on: what
    /// [`verify_schema`](crate::verify_schema) checks, of each of these tables.
    ///
    /// Of a role it checks that its foreign key to the owner is not null, unique, and there; the
    /// action on delete is the one that the entity declares, else RESTRICT. What else an app keeps
    /// apart or within bounds is not checked, but what stands between a statement and a row is:
    /// rules, row level security, clauses of SQLite, and how rows are kept. A setting of the
    /// connection is reported of the first table.
    ///
    /// # Errors
    ///
    /// - [`SchemaError::Drift`]: every difference, in the same order each time: the settings, then
    ///   by table as they were listed, first of the table, then by column as the entity has them,
    ///   then by kind.
    /// - [`SchemaError::Database`]: the catalogue could not be read.
    ///
    /// # Transactions
    ///
    /// One, which writes nothing, so that all comes from one connection. SQLite: five statements.
    /// PostgreSQL: seven. MariaDB/MySQL: four, and one for each of the tables that is there. All:
    /// one more on each connection of the pool that is idle.
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
