//! Giving any number of users a guest or a host, once each.

use std::collections::{HashMap, HashSet};

use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, Value};
use uuid::Uuid;

use super::{
    block::mariadb::still_in_transaction,
    parts::check_range,
    rows::{AtPosition, OfUser, Rows, fit_a_packet, models},
    send::{query, query_large},
};
use crate::{error::Violation, scope::Scope};

/// Inserts the rows and returns those it inserted as they are stored. PostgreSQL and SQLite leave out
/// a row whose user is nobody or has one; on MariaDB/MySQL it refuses them all.
///
/// The rows come in the order of their keys, so that two callers with the same keys cannot deadlock
/// each other. One statement; on MySQL, and outside a transaction on PostgreSQL if a row is refused,
/// two.
pub(crate) async fn insert<M: AtPosition, C: ConnectionTrait>(
    db: &C,
    rows: &Rows<'_>,
) -> Result<Vec<M>, DbErr> {
    match db.get_database_backend() {
        DbBackend::Postgres => on_postgres(db, rows).await,
        DbBackend::MySql => on_mysql(db, rows).await,
        _ => on_sqlite(db, rows).await,
    }
}

/// Outside a transaction all rows are tried first, and the unique index and the foreign key decide,
/// which look anyway. If they refuse one, none is inserted and the statement looks for the users
/// itself.
async fn on_postgres<M: AtPosition, C: ConnectionTrait>(
    db: &C,
    rows: &Rows<'_>,
) -> Result<Vec<M>, DbErr> {
    let backend = DbBackend::Postgres;
    if Scope::of::<C>() == Scope::Autocommit {
        let all = insert_text(backend, rows, "", &returning(rows));
        match send(db, rows, &all).await {
            Ok(inserted) => return models(&inserted),
            Err(refused) if Violation::of(&refused).is_some() => {}
            Err(error) => return Err(error),
        }
    }
    // LATERAL: by the primary key, row by row. A join would read the whole table of users whenever
    // the planner finds that cheaper.
    let of_users = "CROSS JOIN LATERAL (SELECT FROM users \
         WHERE users.id = input.unique_key OFFSET 0) AS the_user";
    let sql = insert_text(backend, rows, of_users, &do_nothing(rows));
    models(&send(db, rows, &sql).await?)
}

/// RETURNING comes before triggers that run after the insert, so the rows are read as well.
async fn on_sqlite<M: AtPosition, C: ConnectionTrait>(
    db: &C,
    rows: &Rows<'_>,
) -> Result<Vec<M>, DbErr> {
    let backend = DbBackend::Sqlite;
    let Rows { table, key, .. } = rows;
    let users = "JOIN users ON users.id = input.unique_key WHERE 1 = 1";
    let insert = insert_text(backend, rows, users, &do_nothing(rows));
    let stored = format!(
        "SELECT {} FROM {} JOIN {table} ON {table}.{key} = input.unique_key",
        rows.columns(table),
        rows.input(backend, "?")
    );
    let mut values = rows.values(backend);
    values.extend(rows.values(backend));
    let both = Statement::from_sql_and_values(backend, format!("{insert}; {stored}"), values);
    let found = query(db, both).await?;
    // A row that was inserted comes twice, first without the work of the triggers.
    let mut seen = HashSet::with_capacity(rows.len());
    let mut inserted = Vec::new();
    for row in &found {
        if !seen.insert(row.try_get_by_index::<Uuid>(1)?) {
            inserted.push(row);
        }
    }
    inserted.into_iter().map(|row| M::at(row, 0)).collect()
}

async fn on_mysql<M: AtPosition, C: ConnectionTrait>(
    db: &C,
    rows: &Rows<'_>,
) -> Result<Vec<M>, DbErr> {
    let backend = DbBackend::MySql;
    let Rows { table, key, .. } = rows;
    fit_a_packet(db, &rows.values(backend)).await?;
    let alive = format!("WHERE 1 = 1{}", still_in_transaction(Scope::of::<C>()));
    let otherwise = format!("/*M!100500 RETURNING id, {key}, created_at, updated_at */");
    let sql = insert_text(backend, rows, &alive, &otherwise);
    let inserted = send(db, rows, &sql).await?;
    if !inserted.is_empty() {
        return models(&inserted);
    }
    // MySQL does not return what it inserted.
    let sql = format!(
        "SELECT {} FROM {} JOIN {table} ON {table}.id = input.id LIMIT {}",
        rows.columns(table),
        rows.input(backend, "?"),
        rows.len()
    );
    models(&send(db, rows, &sql).await?)
}

fn insert_text(backend: DbBackend, rows: &Rows<'_>, of_users: &str, otherwise: &str) -> String {
    let Rows { table, key, .. } = rows;
    format!(
        "INSERT INTO {table} (id, {key}, created_at, updated_at) \
         SELECT input.id, input.unique_key, input.created_at, input.updated_at \
         FROM {} {of_users} {otherwise}",
        rows.input(backend, Rows::first_bind(backend))
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

/// Every user among those who exists, with the row that the database has for it.
///
/// `locking` sees, under REPEATABLE READ on MariaDB/MySQL, what a plain read does not: a row that
/// stood in the way. It locks the gaps in which the others are missing.
pub(crate) async fn rows_of_users<M: OfUser, C: ConnectionTrait>(
    db: &C,
    user_ids: &[Uuid],
    locking: bool,
) -> Result<HashMap<Uuid, Option<M>>, DbErr> {
    let backend = db.get_database_backend();
    let lock = match (backend, locking) {
        (DbBackend::MySql, true) => " LOCK IN SHARE MODE",
        _ => "",
    };
    let (ids, input) = ids(backend, user_ids);
    let Rows { table, .. } = M::rows(&[]);
    // A limit of its own overrides `sql_select_limit`. One row more shows a user with two.
    let limit = user_ids.len() + 1;
    let sql = format!(
        "SELECT users.id, {} FROM {input} JOIN users ON users.id = input.id \
         LEFT JOIN {table} ON {table}.user_id = users.id LIMIT {limit}{lock}",
        M::rows(&[]).columns(table),
    );
    let found = query(db, Statement::from_sql_and_values(backend, sql, [ids])).await?;
    let mut rows = HashMap::with_capacity(found.len());
    for row in &found {
        check_range(row)?;
        let id: Option<Uuid> = row.try_get_by_index(1)?;
        let model = id.map(|_| M::at(row, 1)).transpose()?;
        if rows.insert(row.try_get_by_index(0)?, model).is_some() {
            return Err(DbErr::Custom(format!(
                "{table}.user_id is not unique: a user has several rows"
            )));
        }
    }
    Ok(rows)
}

/// The ids as one bind, and as the table `input (id)` that a statement reads from it.
fn ids(backend: DbBackend, user_ids: &[Uuid]) -> (Value, &'static str) {
    #[cfg(feature = "postgres")]
    if backend == DbBackend::Postgres {
        return (user_ids.to_vec().into(), "unnest($1::uuid[]) AS input (id)");
    }
    let hex: Vec<_> = user_ids.iter().map(|id| id.simple().to_string()).collect();
    let json = format!("[\"{}\"]", hex.join("\",\""));
    let input = match backend {
        DbBackend::MySql => {
            "(SELECT unhex(id) AS id FROM json_table(?, '$[*]' COLUMNS (id char(32) PATH '$')) \
             AS given) AS input"
        }
        _ => "(SELECT unhex(value) AS id FROM json_each(?)) AS input",
    };
    (json.into(), input)
}
