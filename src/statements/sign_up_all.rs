//! Making any number of users with their guests, all of those whose address is free or none.

use std::collections::HashSet;

use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, TransactionSession, TransactionTrait,
};

use super::{
    block::{mariadb, sqlite},
    evidence::has_skipping_trigger,
    parts::check_range,
    raised,
    rows::{AtPosition, Rows, fit_a_packet},
    send::{query, query_large},
};
use crate::{guest, scope::Scope, user};

const NO_GUEST: &str = "a guest was not inserted";
const UNEXPLAINED: &str = "users were neither inserted nor found";

/// Inserts the users whose address is free, each with its guest, and returns them as they are
/// stored. Every other address is that of a user who was read; an address of which neither is true
/// makes the statement fail, see [`is_unexplained`]. On MariaDB/MySQL a taken address makes it fail.
///
/// One statement, in the order in which the rows come. MySQL: three.
pub(crate) async fn insert<C>(
    db: &C,
    users: &Rows<'_>,
    guests: &Rows<'_>,
) -> Result<Vec<(user::Model, guest::Model)>, DbErr>
where
    C: ConnectionTrait + TransactionTrait,
{
    let rows = match db.get_database_backend() {
        DbBackend::Postgres => on_postgres(db, users, guests).await?,
        DbBackend::MySql => on_mysql(db, users, guests).await?,
        _ => on_sqlite(db, users, guests).await?,
    };
    rows.iter().map(both).collect()
}

/// Whether the error is that of an address which is neither free nor another user's: that user is
/// gone again, or is not visible yet, or something left the row out.
pub(crate) fn is_unexplained(error: &DbErr) -> bool {
    raised::is(error, UNEXPLAINED)
}

/// On PostgreSQL, whether there is something that can have left the row out. The statement looks for
/// it itself, as it has ended the transaction.
pub(crate) fn skips_users(unexplained: &DbErr) -> bool {
    raised::is(unexplained, &format!("{UNEXPLAINED}true"))
}

/// Those of the addresses that users have. `locking` is as for
/// [`rows_of_users`](super::onboard_all::rows_of_users).
pub(crate) async fn taken(
    db: &impl ConnectionTrait,
    users: &Rows<'_>,
    locking: bool,
) -> Result<HashSet<String>, DbErr> {
    let backend = db.get_database_backend();
    let sql = format!(
        "SELECT users.email FROM {} JOIN users ON users.email = input.unique_key LIMIT {}{}",
        users.input(backend, Rows::first_bind(backend)),
        users.len(),
        if locking { " LOCK IN SHARE MODE" } else { "" }
    );
    fit_a_packet(db, &users.values(backend)).await?;
    let statement = || Statement::from_sql_and_values(backend, &sql, users.values(backend));
    let found = query_large(db, statement).await?;
    found.iter().map(|row| row.try_get_by_index(0)).collect()
}

fn both(row: &QueryResult) -> Result<(user::Model, guest::Model), DbErr> {
    check_range(row)?;
    Ok((user::Model::at(row, 0)?, guest::Model::at(row, 4)?))
}

/// What the statement looks up for a refused address it looks up row by row, by the unique index: a
/// join would read the whole table of users whenever the planner finds that cheaper.
async fn on_postgres(
    db: &impl ConnectionTrait,
    users: &Rows<'_>,
    guests: &Rows<'_>,
) -> Result<Vec<QueryResult>, DbErr> {
    let backend = DbBackend::Postgres;
    let no_guest = raised::on_postgres("new_guest.id IS NULL", NO_GUEST, "new_guest.id");
    let skips = has_skipping_trigger("'users'");
    let unexplained = raised::on_postgres("count(*) > 0", UNEXPLAINED, &skips);
    let sql = format!(
        "WITH new_user AS (INSERT INTO users (id, email, created_at, updated_at) \
         SELECT id, unique_key, created_at, updated_at FROM {} \
         ON CONFLICT (email) DO NOTHING RETURNING id, email, created_at, updated_at), \
         new_guest AS (INSERT INTO guests (id, user_id, created_at, updated_at) \
         SELECT input.id, input.unique_key, input.created_at, input.updated_at FROM {} \
         JOIN new_user ON new_user.id = input.unique_key \
         RETURNING id, user_id, created_at, updated_at), \
         refused AS (SELECT unique_key AS email FROM {} \
         LEFT JOIN new_user ON new_user.email = unique_key WHERE new_user.id IS NULL OFFSET 0) \
         SELECT {}, {}, {no_guest} FROM new_user \
         LEFT JOIN new_guest ON new_guest.user_id = new_user.id \
         WHERE (SELECT {unexplained} FROM refused \
         WHERE (SELECT users.id FROM users WHERE users.email = refused.email) IS NULL) IS NULL",
        users.input(backend, "$1"),
        guests.input(backend, "$5"),
        users.input(backend, "$1"),
        users.columns("new_user"),
        guests.columns("new_guest"),
    );
    query_large(db, || {
        let values = users.values(backend).into_iter();
        let values = values.chain(guests.values(backend));
        Statement::from_sql_and_values(backend, &sql, values)
    })
    .await
}

async fn on_sqlite<C>(
    db: &C,
    users: &Rows<'_>,
    guests: &Rows<'_>,
) -> Result<Vec<QueryResult>, DbErr>
where
    C: ConnectionTrait + TransactionTrait,
{
    let backend = DbBackend::Sqlite;
    let given = users.input(backend, "NEW.v0");
    let unexplained = format!(
        "EXISTS (SELECT 1 FROM {given} LEFT JOIN users ON users.email = input.unique_key \
         WHERE users.id IS NULL)"
    );
    let no_guest = format!(
        "EXISTS (SELECT 1 FROM {given} JOIN users ON users.id = input.id \
         LEFT JOIN guests ON guests.user_id = users.id WHERE guests.id IS NULL)"
    );
    let steps = format!(
        "INSERT INTO users (id, email, created_at, updated_at) \
         SELECT input.id, input.unique_key, input.created_at, input.updated_at FROM {given} \
         WHERE 1 = 1 ON CONFLICT (email) DO NOTHING; {} \
         INSERT INTO guests (id, user_id, created_at, updated_at) \
         SELECT input.id, input.unique_key, input.created_at, input.updated_at FROM {} \
         JOIN users ON users.id = input.unique_key; {}",
        raised::on_sqlite(&unexplained, UNEXPLAINED),
        guests.input(backend, "NEW.v1"),
        raised::on_sqlite(&no_guest, NO_GUEST),
    );
    let answer = stored(users, guests, backend, "?");
    let mut values = users.values(backend);
    values.extend(guests.values(backend));
    values.extend(users.values(backend));
    let sql = sqlite::block(2, &steps, &answer);
    sqlite::run(db, Statement::from_sql_and_values(backend, sql, values)).await
}

async fn on_mysql<C>(db: &C, users: &Rows<'_>, guests: &Rows<'_>) -> Result<Vec<QueryResult>, DbErr>
where
    C: ConnectionTrait + TransactionTrait,
{
    let backend = DbBackend::MySql;
    let mut values = users.values(backend);
    values.extend(guests.values(backend));
    fit_a_packet(db, &values).await?;

    let [insert_users, insert_guests, answer] = steps(users, guests, "users_", "guests_");
    let steps = format!(
        "BEGIN DECLARE users_ LONGTEXT CHARACTER SET utf8mb4 DEFAULT ?; \
         DECLARE guests_ LONGTEXT CHARACTER SET utf8mb4 DEFAULT ?; DECLARE made bigint; \
         {insert_users}; SET made = ROW_COUNT(); {insert_guests}; {} {answer}; END;",
        raised::on_mariadb("ROW_COUNT() <> made", NO_GUEST),
    );
    let sql = mariadb::block(Scope::of::<C>(), &steps);
    let statement = || Statement::from_sql_and_values(backend, &sql, values.clone());
    match query_large(db, statement).await {
        Err(error) if mariadb::is_no_block(&error) => without_a_block(db, users, guests).await,
        outcome => outcome,
    }
}

fn steps(users: &Rows<'_>, guests: &Rows<'_>, of_users: &str, of_guests: &str) -> [String; 3] {
    let backend = DbBackend::MySql;
    [
        format!(
            "INSERT INTO users (id, email, created_at, updated_at) \
             SELECT input.id, input.unique_key, input.created_at, input.updated_at FROM {}",
            users.input(backend, of_users)
        ),
        format!(
            "INSERT INTO guests (id, user_id, created_at, updated_at) \
             SELECT input.id, input.unique_key, input.created_at, input.updated_at FROM {}",
            guests.input(backend, of_guests)
        ),
        stored(users, guests, backend, of_users),
    ]
}

/// MySQL has no blocks.
async fn without_a_block<C>(
    db: &C,
    users: &Rows<'_>,
    guests: &Rows<'_>,
) -> Result<Vec<QueryResult>, DbErr>
where
    C: ConnectionTrait + TransactionTrait,
{
    let unit = db.begin().await?;
    match one_by_one(&unit, users, guests).await {
        Ok(rows) => {
            unit.commit().await?;
            Ok(rows)
        }
        Err(error) => {
            unit.rollback().await?;
            Err(error)
        }
    }
}

async fn one_by_one(
    unit: &impl ConnectionTrait,
    users: &Rows<'_>,
    guests: &Rows<'_>,
) -> Result<Vec<QueryResult>, DbErr> {
    let backend = DbBackend::MySql;
    let [insert_users, insert_guests, answer] = steps(users, guests, "?", "?");
    let of_users = || users.values(backend);
    query(
        unit,
        Statement::from_sql_and_values(backend, insert_users, of_users()),
    )
    .await?;
    let of_guests = guests.values(backend);
    query(
        unit,
        Statement::from_sql_and_values(backend, insert_guests, of_guests),
    )
    .await?;
    query(
        unit,
        Statement::from_sql_and_values(backend, answer, of_users()),
    )
    .await
}

/// The users of these ids, each with its guest. A limit of its own overrides `sql_select_limit`.
fn stored(users: &Rows<'_>, guests: &Rows<'_>, backend: DbBackend, given: &str) -> String {
    format!(
        "SELECT {}, {} FROM {} JOIN users ON users.id = input.id \
         JOIN guests ON guests.user_id = users.id LIMIT {}",
        users.columns("users"),
        guests.columns("guests"),
        users.input(backend, given),
        i64::MAX
    )
}
