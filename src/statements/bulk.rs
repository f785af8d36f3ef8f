//! Statements on many rows, whose binds do not grow in number with the rows: four arrays on
//! PostgreSQL, one JSON text on SQLite and MariaDB/MySQL.

use std::collections::HashSet;

use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, FromQueryResult, Statement, TransactionSession,
    TransactionTrait, Value, prelude::DateTimeWithTimeZone,
};
use serde::Serialize;
use uuid::Uuid;

use crate::{error::Violation, guest, host, user};

/// Rows of one table in the shape that all three share: an id, a unique key, two timestamps.
pub(crate) struct Rows<'a> {
    table: &'static str,
    key: &'static str,
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

    /// Whether each row has a user, who may not exist.
    fn of_users(&self) -> bool {
        self.table != "users"
    }
}

/// Inserts the rows whose key is free and, for guests and hosts, whose user exists; leaves out the
/// others, and tells which it inserted, by id.
///
/// The rows come in the order of their keys, so that two callers with the same keys do not wait for
/// each other crosswise. One statement; on MySQL, and on PostgreSQL if a row of a user is refused, two.
pub(crate) async fn insert<C: ConnectionTrait + TransactionTrait>(
    unit: &C,
    rows: &Rows<'_>,
) -> Result<HashSet<Uuid>, DbErr> {
    match unit.get_database_backend() {
        DbBackend::Postgres => insert_on_postgres(unit, rows).await,
        DbBackend::MySql => insert_on_mysql(unit, rows).await,
        _ => {
            let insert = insert_statement(unit, rows, existing_users(rows), &do_nothing(rows));
            ids(unit, insert).await
        }
    }
}

async fn insert_on_postgres<C: ConnectionTrait + TransactionTrait>(
    unit: &C,
    rows: &Rows<'_>,
) -> Result<HashSet<Uuid>, DbErr> {
    if !rows.of_users() {
        return ids(unit, insert_statement(unit, rows, "", &do_nothing(rows))).await;
    }
    if insert_all(unit, rows).await? {
        return Ok(rows.rows.iter().map(|row| row.id).collect());
    }
    // LATERAL: by the primary key, row by row. A join would read the whole table of users whenever
    // the planner finds that cheaper.
    let of_existing_users = "CROSS JOIN LATERAL (SELECT FROM users \
         WHERE users.id = input.unique_key FOR KEY SHARE) AS the_user";
    let insert = insert_statement(unit, rows, of_existing_users, &do_nothing(rows));
    ids(unit, insert).await
}

/// Inserts the rows as if nothing stood in their way, and lets the unique index and the foreign key
/// judge, which look anyway. Whether they took all of them; if not, they took none.
async fn insert_all<C: ConnectionTrait + TransactionTrait>(
    unit: &C,
    rows: &Rows<'_>,
) -> Result<bool, DbErr> {
    let savepoint = unit.begin().await?;
    let insert = insert_statement(unit, rows, "", "");
    match savepoint.execute_raw(insert).await {
        Ok(made) if made.rows_affected() == rows.rows.len() as u64 => {
            savepoint.commit().await?;
            Ok(true)
        }
        Err(failed) if Violation::of(&failed).is_none() => {
            savepoint.rollback().await?;
            Err(failed)
        }
        // Refused, or fewer than offered, as when a trigger of the table's leaves rows out.
        _ => {
            savepoint.rollback().await?;
            Ok(false)
        }
    }
}

async fn insert_on_mysql(
    unit: &impl ConnectionTrait,
    rows: &Rows<'_>,
) -> Result<HashSet<Uuid>, DbErr> {
    // MariaDB returns the row that stands in the way in the place of the one that it did not
    // insert; MySQL takes RETURNING for a comment.
    let otherwise = format!(
        "ON DUPLICATE KEY UPDATE {0}.id = {0}.id /*M!100500 RETURNING id */",
        rows.table
    );
    let insert = insert_statement(unit, rows, existing_users(rows), &otherwise);
    let mut found = ids(unit, insert).await?;
    if found.is_empty() {
        return present(unit, rows).await;
    }
    let offered: HashSet<_> = rows.rows.iter().map(|row| row.id).collect();
    found.retain(|id| offered.contains(id));
    Ok(found)
}

fn existing_users(rows: &Rows<'_>) -> &'static str {
    if rows.of_users() {
        "JOIN users ON users.id = input.unique_key"
    } else {
        ""
    }
}

fn do_nothing(rows: &Rows<'_>) -> String {
    format!("ON CONFLICT ({}) DO NOTHING RETURNING id", rows.key)
}

fn insert_statement(
    unit: &impl ConnectionTrait,
    rows: &Rows<'_>,
    join: &str,
    otherwise: &str,
) -> Statement {
    let backend = unit.get_database_backend();
    let Rows { table, key, .. } = rows;
    let (input, binds) = input(backend, rows);
    let sql = format!(
        "INSERT INTO {table} (id, {key}, created_at, updated_at) \
         SELECT input.id, input.unique_key, input.created_at, input.updated_at \
         FROM {input} {join} WHERE 1 = 1 {otherwise}"
    );
    Statement::from_sql_and_values(backend, sql, binds)
}

/// Which of the rows, by id, are in the database.
async fn present(db: &impl ConnectionTrait, rows: &Rows<'_>) -> Result<HashSet<Uuid>, DbErr> {
    let backend = db.get_database_backend();
    let (input, binds) = input(backend, rows);
    let table = rows.table;
    let sql = format!("SELECT {table}.id FROM {input} JOIN {table} ON {table}.id = input.id");
    ids(db, Statement::from_sql_and_values(backend, sql, binds)).await
}

async fn ids(db: &impl ConnectionTrait, statement: Statement) -> Result<HashSet<Uuid>, DbErr> {
    let rows = db.query_all_raw(statement).await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// Every user among the rows' who exists, with the host that the database has for it.
pub(crate) async fn hosts_of_users(
    db: &impl ConnectionTrait,
    rows: &Rows<'_>,
) -> Result<Vec<(Uuid, Option<host::Model>)>, DbErr> {
    let backend = db.get_database_backend();
    let (input, binds) = input(backend, rows);
    // As for one row: a plain read would miss, under REPEATABLE READ, what was just clashed with.
    let lock = if backend == DbBackend::MySql {
        "LOCK IN SHARE MODE"
    } else {
        ""
    };
    let sql = format!(
        "SELECT users.id AS found, hosts.id AS id, hosts.user_id AS user_id, \
         hosts.created_at AS created_at, hosts.updated_at AS updated_at \
         FROM {input} JOIN users ON users.id = input.unique_key \
         LEFT JOIN hosts ON hosts.user_id = users.id {lock}"
    );
    db.query_all_raw(Statement::from_sql_and_values(backend, sql, binds))
        .await?
        .iter()
        .map(|row| {
            Ok((
                row.try_get("", "found")?,
                host::Model::from_query_result_optional(row, "")?,
            ))
        })
        .collect()
}

/// The rows as a table `input (id, unique_key, created_at, updated_at)`, and its binds.
fn input(backend: DbBackend, rows: &Rows<'_>) -> (&'static str, Vec<Value>) {
    let by_user = rows.of_users();
    match backend {
        #[cfg(feature = "postgres")]
        DbBackend::Postgres => (
            if by_user {
                "unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[]) \
                 AS input (id, unique_key, created_at, updated_at)"
            } else {
                "unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::timestamptz[]) \
                 AS input (id, unique_key, created_at, updated_at)"
            },
            arrays(&rows.rows),
        ),
        DbBackend::MySql => (
            if by_user {
                "(SELECT unhex(id) AS id, unhex(unique_key) AS unique_key, created_at, updated_at \
                 FROM json_table(?, '$[*]' COLUMNS (id char(32) PATH '$[0]', \
                 unique_key char(32) PATH '$[1]', created_at datetime(6) PATH '$[2]', \
                 updated_at datetime(6) PATH '$[3]')) AS given) AS input"
            } else {
                "(SELECT unhex(id) AS id, unique_key, created_at, updated_at \
                 FROM json_table(?, '$[*]' COLUMNS (id char(32) PATH '$[0]', \
                 unique_key varchar(254) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[1]', \
                 created_at datetime(6) PATH '$[2]', updated_at datetime(6) PATH '$[3]')) \
                 AS given) AS input"
            },
            vec![json(&rows.rows, "%Y-%m-%d %H:%M:%S%.6f").into()],
        ),
        _ => (
            if by_user {
                "(SELECT unhex(value ->> 0) AS id, unhex(value ->> 1) AS unique_key, \
                 value ->> 2 AS created_at, value ->> 3 AS updated_at FROM json_each(?)) AS input"
            } else {
                "(SELECT unhex(value ->> 0) AS id, value ->> 1 AS unique_key, \
                 value ->> 2 AS created_at, value ->> 3 AS updated_at FROM json_each(?)) AS input"
            },
            vec![json(&rows.rows, "%Y-%m-%dT%H:%M:%S%.6f+00:00").into()],
        ),
    }
}

#[cfg(feature = "postgres")]
fn arrays(rows: &[Row<'_>]) -> Vec<Value> {
    let mut users = Vec::new();
    let mut emails = Vec::new();
    for row in rows {
        match row.key {
            Key::User(user_id) => users.push(user_id),
            Key::Email(email) => emails.push(email.to_owned()),
        }
    }
    let keys: Value = if emails.is_empty() {
        users.into()
    } else {
        emails.into()
    };
    vec![
        rows.iter().map(|row| row.id).collect::<Vec<_>>().into(),
        keys,
        rows.iter()
            .map(|row| row.created_at)
            .collect::<Vec<_>>()
            .into(),
        rows.iter()
            .map(|row| row.updated_at)
            .collect::<Vec<_>>()
            .into(),
    ]
}

/// An array of arrays: hexadecimal id, key, and both times in the backend's own format.
fn json(rows: &[Row<'_>], time: &str) -> String {
    #[derive(Serialize)]
    struct Cells(String, String, String, String);

    let cells: Vec<_> = rows
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
