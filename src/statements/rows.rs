//! Many rows of one table as one value: arrays on PostgreSQL, a JSON text on SQLite and
//! MariaDB/MySQL. So a statement takes any number of rows and its binds do not grow in number.

use sea_orm::{
    ActiveModelBehavior, ActiveValue::Set, ConnectionTrait, DbBackend, DbErr, EntityTrait,
    ModelTrait, QueryResult, Statement, TryIntoModel, Value, prelude::DateTimeWithTimeZone,
};
use serde::Serialize;
use uuid::Uuid;

use super::{parts::check_range, send::look};
use crate::{guest, host, user};

/// Rows of one table in the shape that all three share: an id, a unique key, two timestamps.
pub(crate) struct Rows<'a> {
    pub(super) table: &'static str,
    pub(super) key: &'static str,
    rows: Vec<Row<'a>>,
}

struct Row<'a> {
    id: Uuid,
    key: Key<'a>,
    created_at: DateTimeWithTimeZone,
    updated_at: DateTimeWithTimeZone,
}

#[derive(Clone, Copy)]
enum Key<'a> {
    User(Uuid),
    Email(&'a str),
}

impl<'a> Rows<'a> {
    pub(crate) fn users(models: &'a [user::Model]) -> Self {
        let row = |user: &'a user::Model| Row {
            id: user.id,
            key: Key::Email(&user.email),
            created_at: user.created_at,
            updated_at: user.updated_at,
        };
        Self {
            table: "users",
            key: "email",
            rows: models.iter().map(row).collect(),
        }
    }

    pub(crate) fn guests(models: &[guest::Model]) -> Self {
        let row = |guest: &guest::Model| Row {
            id: guest.id,
            key: Key::User(guest.user_id),
            created_at: guest.created_at,
            updated_at: guest.updated_at,
        };
        Self {
            table: "guests",
            key: "user_id",
            rows: models.iter().map(row).collect(),
        }
    }

    pub(crate) fn hosts(models: &[host::Model]) -> Self {
        let row = |host: &host::Model| Row {
            id: host.id,
            key: Key::User(host.user_id),
            created_at: host.created_at,
            updated_at: host.updated_at,
        };
        Self {
            table: "hosts",
            key: "user_id",
            rows: models.iter().map(row).collect(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    fn of_users(&self) -> bool {
        self.table == "users"
    }

    /// `table.id, table.user_id, …`, as [`model`] reads them.
    pub(super) fn columns(&self, table: &str) -> String {
        let Self { key, .. } = self;
        format!("{table}.id, {table}.{key}, {table}.created_at, {table}.updated_at")
    }

    /// The first bind of a statement that reads the rows, as the backend writes it.
    pub(super) fn first_bind(backend: DbBackend) -> &'static str {
        match backend {
            DbBackend::Postgres => "$1",
            _ => "?",
        }
    }

    /// The rows as a table `input (id, unique_key, created_at, updated_at)` that is read from
    /// `given`: the first of four binds on PostgreSQL, else a bind or the name of a variable.
    pub(super) fn input(&self, backend: DbBackend, given: &str) -> String {
        match backend {
            DbBackend::Postgres => {
                let first: usize = given.trim_start_matches('$').parse().unwrap_or(1);
                let key = if self.of_users() { "text" } else { "uuid" };
                format!(
                    "unnest(${first}::uuid[], ${}::{key}[], ${}::timestamptz[], ${}::timestamptz[]) \
                     AS input (id, unique_key, created_at, updated_at)",
                    first + 1,
                    first + 2,
                    first + 3
                )
            }
            DbBackend::MySql => {
                let (key, kind) = if self.of_users() {
                    (
                        "unique_key",
                        "varchar(254) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
                    )
                } else {
                    ("unhex(unique_key) AS unique_key", "char(32)")
                };
                format!(
                    "(SELECT unhex(id) AS id, {key}, created_at, updated_at \
                     FROM json_table({given}, '$[*]' COLUMNS (id char(32) PATH '$[0]', \
                     unique_key {kind} PATH '$[1]', created_at datetime(6) PATH '$[2]', \
                     updated_at datetime(6) PATH '$[3]')) AS given) AS input"
                )
            }
            _ => {
                let key = if self.of_users() {
                    "value ->> 1"
                } else {
                    "unhex(value ->> 1)"
                };
                format!(
                    "(SELECT unhex(value ->> 0) AS id, {key} AS unique_key, \
                     value ->> 2 AS created_at, value ->> 3 AS updated_at \
                     FROM json_each({given})) AS input"
                )
            }
        }
    }

    /// What [`input`](Self::input) reads: four binds on PostgreSQL, else one.
    pub(super) fn values(&self, backend: DbBackend) -> Vec<Value> {
        match backend {
            #[cfg(feature = "postgres")]
            DbBackend::Postgres => self.arrays(),
            DbBackend::MySql => vec![self.json("%Y-%m-%d %H:%M:%S%.6f").into()],
            _ => vec![self.json("%Y-%m-%dT%H:%M:%S%.6f+00:00").into()],
        }
    }

    #[cfg(feature = "postgres")]
    fn arrays(&self) -> Vec<Value> {
        let mut users = Vec::new();
        let mut emails = Vec::new();
        for row in &self.rows {
            match row.key {
                Key::User(user_id) => users.push(user_id),
                Key::Email(email) => emails.push(email.to_owned()),
            }
        }
        let keys: Value = if self.of_users() {
            emails.into()
        } else {
            users.into()
        };
        let rows = self.rows.iter();
        vec![
            rows.clone().map(|row| row.id).collect::<Vec<_>>().into(),
            keys,
            rows.clone()
                .map(|row| row.created_at)
                .collect::<Vec<_>>()
                .into(),
            rows.map(|row| row.updated_at).collect::<Vec<_>>().into(),
        ]
    }

    /// An array of arrays: hexadecimal id, key, and both times in the backend's own format.
    fn json(&self, time: &str) -> String {
        #[derive(Serialize)]
        struct Cells(String, String, String, String);

        let cells: Vec<_> = self
            .rows
            .iter()
            .map(|row| {
                let key = match row.key {
                    Key::User(user_id) => user_id.simple().to_string(),
                    Key::Email(email) => email.to_owned(),
                };
                let [created_at, updated_at] = [row.created_at, row.updated_at]
                    .map(|moment| moment.to_utc().format(time).to_string());
                Cells(row.id.simple().to_string(), key, created_at, updated_at)
            })
            .collect();
        #[expect(clippy::expect_used, reason = "texts in arrays always serialise")]
        serde_json::to_string(&cells).expect("arrays of texts")
    }
}

/// Refuses what does not fit into one packet of MariaDB/MySQL, where the server would end the
/// connection and, with it, the caller's transaction.
pub(super) async fn fit_a_packet(db: &impl ConnectionTrait, values: &[Value]) -> Result<(), DbErr> {
    /// The smallest limit that a server has by default, and what the text around the values takes.
    const ALWAYS_FITS: u64 = 1 << 20;
    const TEXT: u64 = 1 << 16;

    let length = |value: &Value| match value {
        Value::String(Some(text)) => text.len() as u64,
        _ => 0,
    };
    let needed = values.iter().map(length).sum::<u64>() + TEXT;
    if db.get_database_backend() != DbBackend::MySql || needed <= ALWAYS_FITS {
        return Ok(());
    }
    let ask = "SELECT CAST(@@max_allowed_packet AS SIGNED)";
    let rows = look(db, Statement::from_string(DbBackend::MySql, ask)).await?;
    let limit: i64 = match rows.first() {
        Some(row) => row.try_get_by_index(0)?,
        None => 0,
    };
    if needed > limit.unsigned_abs() {
        return Err(DbErr::Custom(format!(
            "the rows take {needed} bytes and max_allowed_packet is {limit}: pass fewer at a time"
        )));
    }
    Ok(())
}

/// A model whose columns begin at this position: by name each cell costs a text that is put together
/// and looked up.
pub(crate) trait AtPosition: Sized {
    fn at(row: &QueryResult, first: usize) -> Result<Self, DbErr>;
}

impl AtPosition for user::Model {
    fn at(row: &QueryResult, first: usize) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.try_get_by_index(first)?,
            email: row.try_get_by_index(first + 1)?,
            created_at: row.try_get_by_index(first + 2)?,
            updated_at: row.try_get_by_index(first + 3)?,
        })
    }
}

impl AtPosition for guest::Model {
    fn at(row: &QueryResult, first: usize) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.try_get_by_index(first)?,
            user_id: row.try_get_by_index(first + 1)?,
            created_at: row.try_get_by_index(first + 2)?,
            updated_at: row.try_get_by_index(first + 3)?,
        })
    }
}

impl AtPosition for host::Model {
    fn at(row: &QueryResult, first: usize) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.try_get_by_index(first)?,
            user_id: row.try_get_by_index(first + 1)?,
            created_at: row.try_get_by_index(first + 2)?,
            updated_at: row.try_get_by_index(first + 3)?,
        })
    }
}

/// The models of rows that begin with them.
pub(super) fn models<M: AtPosition>(rows: &[QueryResult]) -> Result<Vec<M>, DbErr> {
    rows.iter()
        .map(|row| check_range(row).and_then(|()| M::at(row, 0)))
        .collect()
}

/// A guest or a host.
pub(crate) trait OfUser: AtPosition + ModelTrait {
    const USER_ID: <Self::Entity as EntityTrait>::Column;

    /// One for this user, complete but not stored.
    fn new(
        db: &impl ConnectionTrait,
        user_id: Uuid,
    ) -> impl Future<Output = Result<Self, DbErr>> + Send;

    /// The same after the app's hook has seen that it is stored.
    fn saved(self, db: &impl ConnectionTrait) -> impl Future<Output = Result<Self, DbErr>> + Send;

    fn user_id(&self) -> Uuid;

    fn rows(models: &[Self]) -> Rows<'_>;
}

impl OfUser for guest::Model {
    const USER_ID: guest::Column = guest::Column::UserId;

    async fn new(db: &impl ConnectionTrait, user_id: Uuid) -> Result<Self, DbErr> {
        let guest = guest::ActiveModel {
            user_id: Set(user_id),
            ..Default::default()
        };
        guest.before_save(db, true).await?.try_into_model()
    }

    async fn saved(self, db: &impl ConnectionTrait) -> Result<Self, DbErr> {
        guest::ActiveModel::after_save(self, db, true).await
    }

    fn user_id(&self) -> Uuid {
        self.user_id
    }

    fn rows(models: &[Self]) -> Rows<'_> {
        Rows::guests(models)
    }
}

impl OfUser for host::Model {
    const USER_ID: host::Column = host::Column::UserId;

    async fn new(db: &impl ConnectionTrait, user_id: Uuid) -> Result<Self, DbErr> {
        let host = host::ActiveModel {
            user_id: Set(user_id),
            ..Default::default()
        };
        host.before_save(db, true).await?.try_into_model()
    }

    async fn saved(self, db: &impl ConnectionTrait) -> Result<Self, DbErr> {
        host::ActiveModel::after_save(self, db, true).await
    }

    fn user_id(&self) -> Uuid {
        self.user_id
    }

    fn rows(models: &[Self]) -> Rows<'_> {
        Rows::hosts(models)
    }
}
