//! Giving any number of users a guest or a host, once each.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement};
use uuid::Uuid;

use super::{
    block::mariadb::still_in_transaction,
    parts::check_range,
    rows::{AtPosition, Rows, fit_a_packet, models},
    send::query_large,
};
use crate::{error::Violation, host, scope::Scope};

/// Inserts the rows whose user exists and has none, leaves out the others, and returns those it
/// inserted as they are stored.
///
/// The rows come in the order of their keys, so that two callers with the same keys cannot deadlock
/// each other. One statement; on MySQL, and outside a transaction on PostgreSQL if a row is refused,
/// two.
pub(crate) async fn insert<M: AtPosition, C: ConnectionTrait>(
    db: &C,
    rows: &Rows<'_>,
) -> Result<Vec<M>, DbErr> {
    let inserted = match db.get_database_backend() {
        DbBackend::Postgres => on_postgres(db, rows).await?,
        DbBackend::MySql => on_mysql(db, rows).await?,
        backend => {
            let users = "JOIN users ON users.id = input.unique_key WHERE 1 = 1";
            let sql = insert_text(backend, rows, users, &do_nothing(rows));
            send(db, rows, &sql).await?
        }
    };
    models(&inserted)
}

/// Outside a transaction all rows are tried first, and the unique index and the foreign key decide,
/// which look anyway. If they refuse one, none is inserted and the statement looks for the users
/// itself.
async fn on_postgres<C: ConnectionTrait>(
    db: &C,
    rows: &Rows<'_>,
) -> Result<Vec<QueryResult>, DbErr> {
    let backend = DbBackend::Postgres;
    if Scope::of::<C>() == Scope::Autocommit {
        let all = insert_text(backend, rows, "", &returning(rows));
        match send(db, rows, &all).await {
            Ok(inserted) if inserted.len() == rows.len() => return Ok(inserted),
            // Something leaves rows out; the others are in.
            Ok(inserted) => return Ok(inserted),
            Err(refused) if Violation::of(&refused).is_some() => {}
            Err(error) => return Err(error),
        }
    }
    // LATERAL: by the primary key, row by row. A join would read the whole table of users whenever
    // the planner finds that cheaper.
    let of_users = "CROSS JOIN LATERAL (SELECT FROM users \
         WHERE users.id = input.unique_key OFFSET 0) AS the_user";
    let sql = insert_text(backend, rows, of_users, &do_nothing(rows));
    send(db, rows, &sql).await
}

/// Users who have a row are left out by the join, which the unique index checks: a caller who gives
/// one of them a row meanwhile makes the statement fail.
async fn on_mysql<C: ConnectionTrait>(db: &C, rows: &Rows<'_>) -> Result<Vec<QueryResult>, DbErr> {
    let backend = DbBackend::MySql;
    let Rows { table, key, .. } = rows;
    fit_a_packet(db, &rows.values(backend)).await?;
    let of_users = format!(
        "JOIN users ON users.id = input.unique_key \
         LEFT JOIN {table} AS present ON present.{key} = input.unique_key \
         WHERE present.id IS NULL{}",
        still_in_transaction(Scope::of::<C>())
    );
    let otherwise = format!("/*M!100500 RETURNING id, {key}, created_at, updated_at */");
    let sql = insert_text(backend, rows, &of_users, &otherwise);
    let inserted = send(db, rows, &sql).await?;
    if !inserted.is_empty() {
        return Ok(inserted);
    }
    // MariaDB inserted none; MySQL does not return what it inserted.
    let sql = format!(
        "SELECT {} FROM {} JOIN {table} ON {table}.id = input.id LIMIT {}",
        rows.columns(table),
        rows.input(backend, "?"),
        rows.len()
    );
    send(db, rows, &sql).await
}

fn insert_text(backend: DbBackend, rows: &Rows<'_>, of_users: &str, otherwise: &str) -> String {
    let Rows { table, key, .. } = rows;
    format!(
        "INSERT INTO {table} (id, {key}, created_at, updated_at) \
         SELECT input.id, input.unique_key, input.created_at, input.updated_at \
         FROM {} {of_users} {otherwise}",
        rows.input(
            backend,
            if backend == DbBackend::Postgres {
                "$1"
            } else {
                "?"
            }
        )
    )
}

fn do_nothing(rows: &Rows<'_>) -> String {
    format!("ON CONFLICT ({}) DO NOTHING {}", rows.key, returning(rows))
}

fn returning(rows: &Rows<'_>) -> String {
    format!("RETURNING id, {}, created_at, updated_at", rows.key)
}

async fn send<C: ConnectionTrait>(
    db: &C,
    rows: &Rows<'_>,
    sql: &str,
) -> Result<Vec<QueryResult>, DbErr> {
    let backend = db.get_database_backend();
    let statement = || Statement::from_sql_and_values(backend, sql, rows.values(backend));
    query_large(db, statement).await
}

/// Every user among the rows' who exists, with the host that the database has for it.
///
/// `locking` sees, under REPEATABLE READ on MariaDB/MySQL, what a plain read does not: a host that
/// stood in the way. It locks the gaps in which the others are missing.
pub(crate) async fn hosts_of_users<C: ConnectionTrait>(
    db: &C,
    rows: &Rows<'_>,
    locking: bool,
) -> Result<Vec<(Uuid, Option<host::Model>)>, DbErr> {
    let backend = db.get_database_backend();
    let lock = match (backend, locking) {
        (DbBackend::MySql, true) => " LOCK IN SHARE MODE",
        _ => "",
    };
    // A limit of its own overrides `sql_select_limit`. One row more shows a user with two hosts.
    let limit = rows.len() + 1;
    let given = if backend == DbBackend::Postgres {
        "$1"
    } else {
        "?"
    };
    let sql = format!(
        "SELECT users.id, {} FROM {} JOIN users ON users.id = input.unique_key \
         LEFT JOIN hosts ON hosts.user_id = users.id LIMIT {limit}{lock}",
        rows.columns("hosts"),
        rows.input(backend, given)
    );
    let found = send(db, rows, &sql).await?;
    found.iter().map(user_with_host).collect()
}

fn user_with_host(row: &QueryResult) -> Result<(Uuid, Option<host::Model>), DbErr> {
    check_range(row)?;
    let host: Option<Uuid> = row.try_get_by_index(1)?;
    let host = host.map(|_| host::Model::at(row, 1)).transpose()?;
    Ok((row.try_get_by_index(0)?, host))
}
