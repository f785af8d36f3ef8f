//! Sending a statement and reading its answer to the end.
//!
//! A write that returns rows is never read with `query_one`: on SQLite that one stops at the first
//! row, and an error that comes after it, such as the failed commit of that very statement, would
//! be lost (D2).

use std::sync::atomic::{AtomicU64, Ordering};

use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement};

#[cfg(feature = "mysql")]
use super::{alive::has_no_savepoints, block::call::call};
#[cfg(feature = "mysql")]
use crate::error::is_not_mariadb;
use crate::{
    error::{is_lost, is_stale_statement},
    scope::Scope,
};

/// How often a prepared statement has turned out to be stale. Texts carry the number from then on,
/// so that every connection prepares them anew.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// The rows of a statement.
///
/// A prepared statement that the server no longer accepts was not executed. Outside a transaction
/// it is prepared anew and sent again, once; in a transaction the error is
/// [`Error::Contention`](crate::Error::Contention), as the next transaction prepares it anew.
pub(super) async fn query<C: ConnectionTrait>(
    db: &C,
    statement: Statement,
) -> Result<Vec<QueryResult>, DbErr> {
    let again = resends::<C>(db).then(|| statement.clone());
    let first = query_once(db, statement).await;
    match (outdated(&first), again) {
        (true, Some(statement)) => query_once(db, statement).await,
        _ => first,
    }
}

/// As [`query`], for a SELECT: losing its answer leaves nothing unknown.
pub(super) async fn look<C: ConnectionTrait>(
    db: &C,
    statement: Statement,
) -> Result<Vec<QueryResult>, DbErr> {
    query(db, statement).await.map_err(|error| match error {
        DbErr::Query(lost) if is_lost(&DbErr::Query(lost.clone())) => DbErr::Conn(lost),
        error => error,
    })
}

/// As [`query`], for a statement too large to copy for a second attempt, which is rare.
pub(super) async fn query_large<C: ConnectionTrait>(
    db: &C,
    statement: impl Fn() -> Statement,
) -> Result<Vec<QueryResult>, DbErr> {
    let first = query_once(db, statement()).await;
    if outdated(&first) && resends::<C>(db) {
        return query_once(db, statement()).await;
    }
    first
}

/// As [`query`], for a statement without rows; returns how many rows it changed.
pub(super) async fn execute<C: ConnectionTrait>(
    db: &C,
    statement: Statement,
) -> Result<u64, DbErr> {
    let again = resends::<C>(db).then(|| statement.clone());
    let first = execute_once(db, statement).await;
    match (outdated(&first), again) {
        (true, Some(statement)) => execute_once(db, statement).await,
        _ => first,
    }
}

/// Whether a statement can be sent a second time. SQLite prepares anew by itself.
fn resends<C: ConnectionTrait>(db: &C) -> bool {
    Scope::of::<C>() == Scope::Autocommit && db.get_database_backend() != DbBackend::Sqlite
}

/// Whether the prepared statement is stale. If so, every text becomes new.
fn outdated<T>(outcome: &Result<T, DbErr>) -> bool {
    let stale = outcome.as_ref().is_err_and(is_stale_statement);
    if stale {
        GENERATION.fetch_add(1, Ordering::Relaxed);
    }
    stale
}

async fn query_once<C: ConnectionTrait>(
    db: &C,
    statement: Statement,
) -> Result<Vec<QueryResult>, DbErr> {
    #[cfg(feature = "mysql")]
    if travels_in_a_variable(db).await? {
        let outcome = call(db, statement).await.map_err(or_not_mariadb);
        return outcome.map(|outcome| outcome.rows);
    }
    let rows = db.query_all_raw(current(statement)).await;
    rows.map_err(or_not_mariadb)
}

async fn execute_once<C: ConnectionTrait>(db: &C, statement: Statement) -> Result<u64, DbErr> {
    #[cfg(feature = "mysql")]
    if travels_in_a_variable(db).await? {
        let outcome = call(db, statement).await.map_err(or_not_mariadb);
        return outcome.map(|outcome| outcome.rows_changed);
    }
    let outcome = db.execute_raw(current(statement)).await;
    Ok(outcome.map_err(or_not_mariadb)?.rows_affected())
}

/// Replaces the error of a MySQL that cannot parse MariaDB's statement, and so has done nothing.
fn or_not_mariadb(error: DbErr) -> DbErr {
    #[cfg(feature = "mysql")]
    if is_not_mariadb(&error) {
        return DbErr::Custom(
            "the server is not MariaDB 10.6 or later: it has no RETURNING and no compound statements"
                .into(),
        );
    }
    error
}

/// Whether the statement is one of a transaction on MariaDB. A variable that is set on one
/// connection of a pool is not there on the next, so if the type is unknown, the server is asked.
#[cfg(feature = "mysql")]
async fn travels_in_a_variable<C: ConnectionTrait>(db: &C) -> Result<bool, DbErr> {
    if db.get_database_backend() != DbBackend::MySql {
        return Ok(false);
    }
    match Scope::of::<C>() {
        Scope::Autocommit => Ok(false),
        Scope::Transaction => Ok(true),
        Scope::Unknown => Ok(!has_no_savepoints(db).await?),
    }
}

fn current(mut statement: Statement) -> Statement {
    let generation = GENERATION.load(Ordering::Relaxed);
    if generation > 0 && statement.db_backend != DbBackend::Sqlite {
        statement.sql.push_str(&format!(" /* {generation} */"));
    }
    statement
}
