//! Giving any number of owners a role, once each.

use std::collections::HashMap;

use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, EntityName, IdenStatic, ModelTrait, QueryResult, Related,
    Statement, TryGetableMany, Value,
};

use super::{
    block::mariadb::still_in_transaction,
    evidence::{Event, RUNS_ON, removed, runs_on},
    input::{Given, Keys, Rows, fit_a_packet},
    key::{Key, single},
    parts::{
        ROLE, columns_of, is_same_row, owner_key, quoted, read, returned, returning_on_mariadb,
        table_name, unread,
    },
    send::{query, query_large},
};
use crate::{
    error::{Violation, database_error},
    role::{OwnerId, Role},
    scope::Scope,
};

const OWNER: &str = "guesthouse_owner";
const IS_THERE: &str = "guesthouse_is_there";

/// The quoted names of both tables and of the columns by which they refer to each other.
struct Names {
    roles: String,
    owner_id: String,
    owners: String,
    id: String,
}

impl Names {
    fn of<R>(backend: DbBackend) -> Self
    where
        R: Role + Related<R::Owner>,
    {
        Self {
            roles: table_name::<R>(backend),
            owner_id: quoted(backend, R::owner_id().as_str()),
            owners: table_name::<R::Owner>(backend),
            id: quoted(backend, &owner_key::<R>().to_string()),
        }
    }
}

/// Whether a row that a key refuses takes the others with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Insert {
    /// If an owner has a row already, none is inserted. In a transaction as `Possible`.
    AllOrNone,
    /// A row whose owner does not exist or has one is left out; on MariaDB none is inserted then.
    Possible,
}

/// Inserts the rows and returns those it inserted as they are stored. One statement.
///
/// The rows come in the order of their keys, so that two callers with the same keys cannot deadlock
/// each other.
pub(crate) async fn insert<R, C: ConnectionTrait>(
    db: &C,
    offered: &[&R::ActiveModel],
    which: Insert,
) -> Result<Vec<R::Model>, DbErr>
where
    R: Role + Related<R::Owner>,
{
    let rows = Rows::<R>::new(offered.iter().copied())?;
    let all_or_none = which == Insert::AllOrNone && Scope::of::<C>() == Scope::Autocommit;
    let inserted = match db.get_database_backend() {
        DbBackend::Postgres => on_postgres(db, &rows, all_or_none).await,
        DbBackend::MySql => return on_mariadb(db, &rows).await,
        _ => on_sqlite(db, &rows, all_or_none).await,
    };
    match inserted {
        Err(refused) if all_or_none && is_refused(&refused) => Ok(Vec::new()),
        inserted => inserted,
    }
}

/// Whether a key refused a row. SQLite raises another error then, see [`on_sqlite`].
fn is_refused(error: &DbErr) -> bool {
    let raised = database_error(error).is_some_and(|error| error.message() == "malformed JSON");
    Violation::of(error).is_some() || raised
}

/// The unique index and the foreign key look for the owners anyway; only in a transaction, and where
/// they have refused a row, does the statement look for the owners itself (D18).
async fn on_postgres<R, C: ConnectionTrait>(
    db: &C,
    rows: &Rows<R>,
    all_or_none: bool,
) -> Result<Vec<R::Model>, DbErr>
where
    R: Role + Related<R::Owner>,
{
    let backend = DbBackend::Postgres;
    let Names {
        owner_id,
        owners,
        id,
        ..
    } = Names::of::<R>(backend);
    // LATERAL: by the primary key, row by row. A join would read the whole table of owners whenever
    // the planner finds that cheaper.
    let possible = match all_or_none {
        true => String::new(),
        false => format!(
            " CROSS JOIN LATERAL (SELECT FROM {owners} \
             WHERE {owners}.{id} = {} OFFSET 0) AS the_owner \
             ON CONFLICT ({owner_id}) DO NOTHING",
            rows.compared(backend, &owner_id)
        ),
    };
    let sql = format!(
        "{}{possible} RETURNING {}, {} AS {RUNS_ON}",
        rows.insert(backend, Given::Binds(0)),
        returned::<R>(backend),
        runs_on::<R>(backend, Event::Insert)
    );
    let inserted = send(db, rows, &sql).await?;
    let runs_on = match inserted.first() {
        Some(row) => row.try_get("", RUNS_ON)?,
        None => false,
    };
    as_stored::<R, C>(db, &inserted, runs_on).await
}

/// The inserted rows. RETURNING comes before the triggers that run after the insert, so if there are
/// any, the rows are read again.
async fn as_stored<R, C: ConnectionTrait>(
    db: &C,
    inserted: &[QueryResult],
    runs_on: bool,
) -> Result<Vec<R::Model>, DbErr>
where
    R: Role + Related<R::Owner>,
{
    let returned = models::<R>(inserted).map_err(unread::<C>)?;
    if !runs_on || returned.is_empty() {
        return Ok(returned);
    }
    let owners: Vec<_> = returned.iter().map(|row| row.get(R::owner_id())).collect();
    let backend = db.get_database_backend();
    let stored = rows_of_owners::<R, C>(db, &owners, false).await;
    let mut stored = stored.map_err(unread::<C>)?;
    let rows = returned
        .into_iter()
        .zip(owners)
        .filter_map(|(returned, owner)| {
            let found = stored.remove(&Key::of(&owner)).flatten()?;
            // Only on SQLite can a trigger change the key after the insert, and there next to nothing
            // comes between the two statements.
            let is_new = backend == DbBackend::Sqlite || is_same_row::<R>(&found, &returned);
            Some(if is_new { found } else { returned })
        });
    let rows: Vec<_> = rows.collect();
    match rows.len() == inserted.len() {
        true => Ok(rows),
        false => Err(unread::<C>(removed::<R>())),
    }
}

async fn on_sqlite<R, C: ConnectionTrait>(
    db: &C,
    rows: &Rows<R>,
    all_or_none: bool,
) -> Result<Vec<R::Model>, DbErr>
where
    R: Role + Related<R::Owner>,
{
    let backend = DbBackend::Sqlite;
    let Names {
        owner_id,
        owners,
        id,
        ..
    } = Names::of::<R>(backend);
    // Neither obeys a conflict clause of the table's own, of which REPLACE would delete the row in the
    // way. INSERT OR ABORT would not either, but would override the clauses in the app's triggers. So
    // the update is an error by itself: no key is JSON with this before it.
    let instead = match all_or_none {
        true => format!("UPDATE SET {owner_id} = json('refused' || hex(excluded.{owner_id}))"),
        false => "NOTHING".to_owned(),
    };
    let insert = format!(
        "{} JOIN {owners} ON {owners}.{id} = input.{owner_id} WHERE 1 = 1 \
         ON CONFLICT ({owner_id}) DO {instead}",
        rows.insert(backend, Given::Binds(0)),
    );
    let sql = format!(
        "{insert} RETURNING {}; SELECT {}",
        returned::<R>(backend),
        runs_on::<R>(backend, Event::Insert)
    );
    let mut answer = send(db, rows, &sql).await?;
    let runs_on = match answer.pop() {
        Some(last) => last.try_get_by_index(0)?,
        None => false,
    };
    as_stored::<R, C>(db, &answer, runs_on).await
}

async fn on_mariadb<R, C: ConnectionTrait>(db: &C, rows: &Rows<R>) -> Result<Vec<R::Model>, DbErr>
where
    R: Role + Related<R::Owner>,
{
    let backend = DbBackend::MySql;
    fit_a_packet(db, &rows.values(backend)).await?;
    let sql = format!(
        "{} WHERE 1 = 1{}{}",
        rows.insert(backend, Given::Binds(0)),
        still_in_transaction(Scope::of::<C>()),
        returning_on_mariadb::<R>()
    );
    models::<R>(&send(db, rows, &sql).await?).map_err(unread::<C>)
}

async fn send<R, C: ConnectionTrait>(
    db: &C,
    rows: &Rows<R>,
    sql: &str,
) -> Result<Vec<QueryResult>, DbErr>
where
    R: Role + Related<R::Owner>,
{
    let backend = db.get_database_backend();
    let statement = || Statement::from_sql_and_values(backend, sql, rows.values(backend));
    query_large(db, statement).await
}

fn models<R>(rows: &[QueryResult]) -> Result<Vec<R::Model>, DbErr>
where
    R: Role + Related<R::Owner>,
{
    rows.iter().map(|row| read::<R>(row, "")).collect()
}

/// Every one of these owners who exists, with the row that the database has for it.
///
/// Under REPEATABLE READ on MariaDB, `locking` sees what a plain read does not: a row that stood in
/// the way. It locks the gaps in which the others are missing.
pub(crate) async fn rows_of_owners<R, C: ConnectionTrait>(
    db: &C,
    owners: &[Value],
    locking: bool,
) -> Result<HashMap<Key, Option<R::Model>>, DbErr>
where
    R: Role + Related<R::Owner>,
{
    let backend = db.get_database_backend();
    let keys = Keys::<R::Owner>::new(owner_key::<R>().to_string(), owners.to_vec());
    let Names {
        roles,
        owner_id,
        owners,
        id,
    } = Names::of::<R>(backend);
    let lock = match (backend, locking) {
        (DbBackend::MySql, true) => " LOCK IN SHARE MODE",
        _ => "",
    };
    // A text finds its owner by the collation of the owners' table, and is returned as it was
    // given.
    let owner = match keys.are_texts() {
        true => format!("input.{id}"),
        false => format!("{owners}.{id}"),
    };
    let role = quoted(backend, ROLE);
    // A limit of its own overrides `sql_select_limit`. One row more shows an owner with two.
    let sql = format!(
        "SELECT CASE WHEN {role}.{owner_id} IS NULL THEN 0 ELSE 1 END AS {IS_THERE}, \
         {owner} AS {OWNER}, {} FROM {} JOIN {owners} ON {owners}.{id} = {} \
         LEFT JOIN {roles} AS {role} ON {role}.{owner_id} = {owners}.{id} LIMIT {}{lock}",
        columns_of::<R>(backend, ROLE),
        keys.table(backend, Given::Binds(0)),
        keys.compared(backend, &id),
        keys.len() + 1,
    );
    let values = keys.values(backend);
    fit_a_packet(db, &values).await?;
    let found = query(db, Statement::from_sql_and_values(backend, sql, values)).await?;
    let mut rows = HashMap::with_capacity(found.len());
    let name = [OWNER.to_owned()];
    for row in &found {
        let owner = OwnerId::<R>::try_get_many(row, "", &name)?;
        let owner = single(owner, R::Owner::default().table_name())?;
        let model = match row.try_get_by_index::<i32>(0)? {
            0 => None,
            _ => Some(read::<R>(row, "")?),
        };
        if rows.insert(Key::of(&owner), model).is_some() {
            let table = R::default().table_name();
            return Err(DbErr::Custom(format!(
                "{table}.{} is not unique: an owner has several rows",
                R::owner_id().as_str()
            )));
        }
    }
    Ok(rows)
}
