//! A role of an app's own, and a table of its own that refers to this library's rows.

use guesthouse::Role;
use sea_orm::entity::prelude::*;

use crate::support::{Backend, TestDb};

tokio::task_local! {
    /// The hooks that ran in this task.
    pub static HOOKS: std::cell::RefCell<Vec<&'static str>>;
}

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "couriers")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    #[sea_orm(unique)]
    pub user_id: Uuid,
    pub vehicle: Vehicle,
    /// A second unique key, which is not the role's.
    #[sea_orm(unique)]
    pub badge: Option<String>,
    /// Left to the database's default.
    pub grade: i32,
    pub created_at: DateTimeWithTimeZone,
    pub updated_at: DateTimeWithTimeZone,
    #[sea_orm(belongs_to, from = "user_id", to = "id", on_delete = "Restrict")]
    pub user: BelongsTo<guesthouse::user::Entity>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(
    rs_type = "String",
    db_type = "Enum",
    enum_name = "vehicle",
    rename_all = "lowercase"
)]
pub enum Vehicle {
    Bicycle,
    Van,
}

#[sea_orm::prelude::async_trait::async_trait]
impl ActiveModelBehavior for ActiveModel {
    async fn before_save<C: ConnectionTrait>(self, _db: &C, insert: bool) -> Result<Self, DbErr> {
        let _ = HOOKS.try_with(|hooks| hooks.borrow_mut().push("before"));
        Ok(guesthouse_entity::on_save(self, insert))
    }

    async fn after_save<C: ConnectionTrait>(
        model: Model,
        _db: &C,
        _insert: bool,
    ) -> Result<Model, DbErr> {
        let _ = HOOKS.try_with(|hooks| hooks.borrow_mut().push("after"));
        Ok(model)
    }
}

impl Role for Entity {
    type Owner = guesthouse::user::Entity;
}

/// Makes the table as an app's own migration would.
pub async fn create_table(db: &TestDb) {
    create_table_with(db, "").await;
}

/// The same with one more constraint, which begins with a comma.
pub async fn create_table_with(db: &TestDb, constraint: &str) {
    let (id, time, vehicle) = match db.backend {
        Backend::Sqlite => ("uuid_text", "timestamp_with_timezone_text", "text"),
        Backend::Postgres => ("uuid", "timestamptz", "vehicle"),
        Backend::MariaDb => ("binary(16)", "datetime(6)", "enum('bicycle', 'van')"),
    };
    if db.backend == Backend::Postgres {
        db.execute("CREATE TYPE vehicle AS ENUM ('bicycle', 'van')")
            .await;
    }
    db.execute(&format!(
        "CREATE TABLE couriers (
            id {id} NOT NULL PRIMARY KEY,
            user_id {id} NOT NULL UNIQUE,
            vehicle {vehicle} NOT NULL,
            badge varchar(20) UNIQUE,
            grade integer NOT NULL DEFAULT 7 CHECK (grade > 0),
            created_at {time} NOT NULL,
            updated_at {time} NOT NULL,
            FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE RESTRICT
            {constraint}
        )"
    ))
    .await;
}

/// Makes a table `bookings` with one row that refers to the row `id` of `table`.
pub async fn reference(db: &TestDb, table: &str, id: Uuid) {
    let (kind, literal) = match db.backend {
        Backend::Sqlite => ("uuid_text", format!("x'{}'", id.simple())),
        Backend::Postgres => ("uuid", format!("'{id}'")),
        Backend::MariaDb => ("binary(16)", format!("x'{}'", id.simple())),
    };
    db.execute(&format!(
        "CREATE TABLE bookings (
            id integer PRIMARY KEY,
            of_row {kind} NOT NULL,
            FOREIGN KEY (of_row) REFERENCES {table} (id) ON DELETE RESTRICT
        )"
    ))
    .await;
    db.execute(&format!("INSERT INTO bookings VALUES (1, {literal})"))
        .await;
}
