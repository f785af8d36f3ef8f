//! The columns the tables share, spelled for each backend.
//!
//! Every default is for rows written by hand; the entities set these columns themselves.

use sea_orm_migration::{
    prelude::*,
    sea_orm::{DbBackend, sea_query::ColumnDef},
};

/// The primary key: a UUID, `binary(16)` on MariaDB/MySQL.
pub(crate) fn id(backend: DbBackend) -> ColumnDef {
    let default = match backend {
        DbBackend::Postgres => "gen_random_uuid()",
        DbBackend::MySql => "unhex(replace(uuid(), '-', ''))",
        // SeaORM keeps a UUID as a blob of 16 bytes.
        _ => "randomblob(16)",
    };
    ColumnDef::new("id")
        .uuid()
        .not_null()
        .primary_key()
        .default(Expr::cust(default))
        .take()
}

/// The user a row belongs to.
pub(crate) fn user_id() -> ColumnDef {
    ColumnDef::new("user_id").uuid().not_null().take()
}

/// An address of at most 254 characters, equal only to itself.
pub(crate) fn email(backend: DbBackend) -> ColumnDef {
    let mut email = ColumnDef::new("email");
    email.string_len(254).not_null();
    if backend == DbBackend::MySql {
        // The default collation treats `é` as `e`.
        email.extra("COLLATE utf8mb4_bin");
    }
    email
}

/// A moment in UTC, with microseconds where the backend's clock has them, that chrono can hold.
pub(crate) fn timestamp(backend: DbBackend, name: &'static str) -> ColumnDef {
    let mut timestamp = ColumnDef::new(name);
    timestamp.timestamp_with_time_zone().not_null();
    match backend {
        DbBackend::Postgres => timestamp
            .default(Expr::cust("now()"))
            // sqlx panics when it reads `infinity` or a year far beyond these.
            .check(Expr::cust(format!(
                "{name} >= '0001-01-01 00:00:00+00' AND {name} < '10000-01-01 00:00:00+00'"
            ))),
        // `timestamp` ends in 2038, drops the microseconds and is converted to the session's time
        // zone (D8).
        DbBackend::MySql => timestamp
            .custom("datetime(6)")
            .default(Expr::cust("utc_timestamp(6)")),
        // RFC 3339, the form sqlx reads and writes.
        _ => timestamp.default(Expr::cust("strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')")),
    };
    timestamp
}
