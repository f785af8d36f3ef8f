//! Giving an owner a role, once.

use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, EntityName, IdenStatic, Iterable, JoinType, QueryResult,
    Related, Value,
    sea_query::{Alias, Expr, ExprTrait, Query, SelectStatement, UnionType, WithClause, WithQuery},
};

use super::{
    block::mariadb::still_in_transaction,
    evidence::{Event, RUNS_ON, is_foreign_key_of, is_key_of, removed, runs_on},
    key::first_column,
    parts::{
        ROLE, as_stored_in, cte, do_nothing_on, every_column, insert_select, is_same_row,
        owner_key, read, read_written, returning_and, returning_on_mariadb,
        see_what_was_clashed_with, select_columns, then, unread,
    },
    send::{look, query},
    text::Text,
};
use crate::{error::is_of_statement, role::Role, scope::Scope};

const NEW_ROLE: &str = "new_role";
const EXISTING: &str = "existing";
const IS_NEW: &str = "guesthouse_is_new";
const IS_THERE: &str = "guesthouse_is_there";

/// The outcome of one attempt at giving an owner a role.
pub(crate) enum Attempt<M> {
    New(M),
    Existing(M),
    OwnerNotFound,
    /// The owner exists and has no such row, yet none was inserted: the row that stood in the way
    /// is gone again, the new one clashed on another key, or something left it out.
    Neither {
        clash: Option<DbErr>,
    },
    /// The owner was deleted, or got the row, while this statement ran, and the refusal has ended
    /// the transaction.
    Gone {
        source: DbErr,
    },
}

/// Tries once to give the owner the role.
///
/// PostgreSQL and SQLite: one statement, new or existing. MariaDB: one when new, and a SELECT when
/// nothing was inserted; in a transaction a SELECT before.
pub(crate) async fn onboard_once<R, C: ConnectionTrait>(
    db: &C,
    role: &R::ActiveModel,
    owner: &Value,
) -> Result<Attempt<R::Model>, DbErr>
where
    R: Role + Related<R::Owner>,
{
    match db.get_database_backend() {
        DbBackend::Postgres => on_postgres::<R, C>(db, role, owner).await,
        DbBackend::MySql => on_mysql::<R, C>(db, role, owner).await,
        _ => on_sqlite::<R, C>(db, role, owner).await,
    }
}

/// Outside a transaction the foreign key decides whether the owner exists, as it looks anyway. In a
/// transaction its refusal would end it, so the statement looks for the owner itself (D15, D21).
async fn on_postgres<R, C: ConnectionTrait>(
    db: &C,
    role: &R::ActiveModel,
    owner: &Value,
) -> Result<Attempt<R::Model>, DbErr>
where
    R: Role + Related<R::Owner>,
{
    let autocommit = Scope::of::<C>() == Scope::Autocommit;
    let statement = if autocommit {
        Text::of::<R>("new or existing", DbBackend::Postgres)
            .bind(owner.clone())
            .row::<R>(role)
            .or_build(|backend| backend.build(&new_or_existing::<R>(role, owner, Query::select())))
    } else {
        Text::of::<R>("new or existing, of an owner", DbBackend::Postgres)
            .and::<R::Owner>()
            .bind(owner.clone())
            .row::<R>(role)
            .bind(owner.clone())
            .or_build(|backend| {
                backend.build(&new_or_existing::<R>(
                    role,
                    owner,
                    only_owner::<R>(owner, backend),
                ))
            })
    };
    let rows = match query(db, statement).await {
        Ok(rows) => rows,
        Err(clash) if autocommit && is_of_statement(&clash) => {
            return look_up::<R, C>(db, owner, Some(clash), Look::Plain).await;
        }
        Err(source) => {
            let by_owner = is_foreign_key_of::<R>(&source, R::owner_id())
                || is_key_of::<R>(db, &source, R::owner_id()).await?;
            return match by_owner {
                true => Ok(Attempt::Gone { source }),
                false => Err(source),
            };
        }
    };
    let Some(row) = rows.first() else {
        return look_up::<R, C>(db, owner, None, Look::Plain).await;
    };
    if rows.len() > 1 {
        return Err(several::<R>());
    }
    if !row.try_get("", IS_NEW)? {
        return read::<R>(row, "").map(Attempt::Existing);
    }
    let returned = read_written::<R, C>(row, "")?;
    if !row.try_get("", RUNS_ON)? {
        return Ok(Attempt::New(returned));
    }
    let stored = look_up::<R, C>(db, owner, None, Look::Plain).await;
    match stored.map_err(unread::<C>)? {
        Attempt::Existing(found) if is_same_row::<R>(&found, &returned) => Ok(Attempt::New(found)),
        // Another caller has ended that one since, and made this one.
        Attempt::Existing(_) => Ok(Attempt::New(returned)),
        _ => Err(unread::<C>(removed::<R>())),
    }
}

/// `WITH existing AS (SELECT … FROM hosts WHERE user_id = ?), new_role AS (INSERT … SELECT … WHERE
/// NOT EXISTS (SELECT … FROM existing) ON CONFLICT (user_id) DO NOTHING RETURNING …) SELECT …, TRUE
/// FROM new_role UNION ALL SELECT …, FALSE FROM existing`
///
/// NOT EXISTS decides nothing; it spares an owner who has the role already an attempt that the
/// unique index refuses (D1).
fn new_or_existing<R>(
    role: &R::ActiveModel,
    owner: &Value,
    mut source: SelectStatement,
) -> WithQuery
where
    R: Role + Related<R::Owner>,
{
    let mut existing = Query::select();
    let is_of_owner = Expr::col((R::default(), R::owner_id())).eq(as_stored_in(
        R::owner_id(),
        owner,
        DbBackend::Postgres,
    ));
    existing
        .columns(R::Column::iter())
        .from(R::default().table_ref())
        .and_where(is_of_owner);

    let mut already = Query::select();
    already.column(R::owner_id()).from(Alias::new(EXISTING));
    source.and_where(Expr::exists(already).not());
    let mut new_role = insert_select::<R>(role, source);
    new_role.on_conflict(do_nothing_on(R::owner_id()));
    new_role.returning(every_column::<R>());

    let mut either = rows_of::<R>(
        NEW_ROLE,
        "TRUE",
        &runs_on::<R>(DbBackend::Postgres, Event::Insert),
    );
    either.union(UnionType::All, rows_of::<R>(EXISTING, "FALSE", "FALSE"));
    WithClause::new()
        .cte(cte(EXISTING, existing))
        .cte(cte(NEW_ROLE, new_role))
        .to_owned()
        .query(either)
}

/// What a part of the statement has found or made, and which of the two.
fn rows_of<R>(table: &'static str, is_new: &'static str, runs_on: &str) -> SelectStatement
where
    R: Role + Related<R::Owner>,
{
    let mut select = Query::select();
    select_columns::<R>(&mut select, table, "");
    select
        .expr_as(Expr::cust(is_new), Alias::new(IS_NEW))
        .expr_as(Expr::cust(runs_on.to_owned()), Alias::new(RUNS_ON))
        .from(Alias::new(table));
    select
}

/// `INSERT … SELECT … FROM users WHERE id = ? ON CONFLICT (user_id) DO NOTHING RETURNING …; SELECT …`
///
/// The SELECT finds the existing row, or the new one after its triggers. Another caller may delete or
/// replace the new one in between, so without a trigger it is what RETURNING had.
async fn on_sqlite<R, C: ConnectionTrait>(
    db: &C,
    role: &R::ActiveModel,
    owner: &Value,
) -> Result<Attempt<R::Model>, DbErr>
where
    R: Role + Related<R::Owner>,
{
    let statement = Text::of::<R>("new role", DbBackend::Sqlite)
        .and::<R::Owner>()
        .row::<R>(role)
        .bind(owner.clone())
        .bind(owner.clone())
        .or_build(|backend| {
            let mut insert = insert_select::<R>(role, only_owner::<R>(owner, backend));
            insert.on_conflict(do_nothing_on(R::owner_id()));
            insert.returning(returning_and::<R>(runs_on::<R>(backend, Event::Insert)));
            then(
                backend.build(&insert),
                backend.build(&owner_with_role::<R>(owner, backend)),
            )
        });
    match query(db, statement).await {
        Ok(rows) => match &rows[..] {
            [new, found @ ..] if new.try_get::<i32>("", IS_THERE).is_err() => {
                if !new.try_get_by_index(R::Column::iter().count())? {
                    return read_written::<R, C>(new, "").map(Attempt::New);
                }
                Ok(match answer::<R>(found, None).map_err(unread::<C>)? {
                    Attempt::Existing(model) => Attempt::New(model),
                    gone => gone,
                })
            }
            found => answer::<R>(found, None),
        },
        Err(clash) if is_of_statement(&clash) => {
            look_up::<R, C>(db, owner, Some(clash), Look::Plain).await
        }
        Err(source) => Err(source),
    }
}

/// In a transaction a plain SELECT comes first: under REPEATABLE READ the insert for an owner who
/// does not exist would lock the gap, and hold up all new owners.
async fn on_mysql<R, C: ConnectionTrait>(
    db: &C,
    role: &R::ActiveModel,
    owner: &Value,
) -> Result<Attempt<R::Model>, DbErr>
where
    R: Role + Related<R::Owner>,
{
    let scope = Scope::of::<C>();
    if scope != Scope::Autocommit {
        match look_up::<R, C>(db, owner, None, Look::Plain).await? {
            Attempt::Neither { .. } => {}
            found => return Ok(found),
        }
    }
    let name = match scope {
        Scope::Transaction => "new role, in a transaction",
        Scope::Autocommit | Scope::Unknown => "new role",
    };
    let statement = Text::of::<R>(name, DbBackend::MySql)
        .and::<R::Owner>()
        .row::<R>(role)
        .bind(owner.clone())
        .or_build(|backend| {
            let insert = insert_select::<R>(role, only_owner::<R>(owner, backend));
            let mut statement = backend.build(&insert);
            statement.sql.push_str(still_in_transaction(scope));
            statement.sql.push_str(&returning_on_mariadb::<R>());
            statement
        });
    match query(db, statement).await {
        Ok(rows) => match rows.first() {
            Some(row) => read_written::<R, C>(row, "").map(Attempt::New),
            None => look_up::<R, C>(db, owner, None, Look::Locking).await,
        },
        Err(clash) if is_of_statement(&clash) => {
            look_up::<R, C>(db, owner, Some(clash), Look::Locking).await
        }
        Err(source) => Err(source),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    Plain,
    /// See [`see_what_was_clashed_with`].
    Locking,
}

/// One SELECT that distinguishes an owner with the role, one without it, and none.
async fn look_up<R, C: ConnectionTrait>(
    db: &C,
    owner: &Value,
    clash: Option<DbErr>,
    how: Look,
) -> Result<Attempt<R::Model>, DbErr>
where
    R: Role + Related<R::Owner>,
{
    let name = match how {
        Look::Plain => "owner with role",
        Look::Locking if Scope::of::<C>() == Scope::Autocommit => "owner with role",
        Look::Locking => "owner with role, clashed with",
    };
    let statement = Text::of::<R>(name, db.get_database_backend())
        .and::<R::Owner>()
        .bind(owner.clone())
        .or_build(|backend| {
            let mut statement = backend.build(&owner_with_role::<R>(owner, backend));
            if how == Look::Locking {
                see_what_was_clashed_with::<C>(&mut statement);
            }
            statement
        });
    answer::<R>(&look(db, statement).await?, clash)
}

fn answer<R>(rows: &[QueryResult], clash: Option<DbErr>) -> Result<Attempt<R::Model>, DbErr>
where
    R: Role + Related<R::Owner>,
{
    match rows {
        [] => Ok(Attempt::OwnerNotFound),
        [row] => match row.try_get::<i32>("", IS_THERE)? {
            0 => Ok(Attempt::Neither { clash }),
            _ => read::<R>(row, "").map(Attempt::Existing),
        },
        _ => Err(several::<R>()),
    }
}

fn owner_with_role<R>(owner: &Value, backend: DbBackend) -> SelectStatement
where
    R: Role + Related<R::Owner>,
{
    let owner_id = Expr::col((ROLE, R::owner_id()));
    let is_there = Expr::case(owner_id.clone().is_not_null(), Expr::cust("1"));
    let mut select = only_owner::<R>(owner, backend);
    select_columns::<R>(&mut select, ROLE, "");
    select
        .expr_as(is_there.finally(Expr::cust("0")), Alias::new(IS_THERE))
        .join_as(
            JoinType::LeftJoin,
            R::default().table_ref(),
            ROLE,
            owner_id.equals((R::Owner::default(), owner_key::<R>())),
        );
    select
}

fn only_owner<R>(owner: &Value, backend: DbBackend) -> SelectStatement
where
    R: Role + Related<R::Owner>,
{
    let key = first_column::<R::Owner>();
    let mut select = Query::select();
    select
        .from(R::Owner::default().table_ref())
        .and_where(Expr::col((R::Owner::default(), key)).eq(as_stored_in(key, owner, backend)));
    select
}

/// The unique index, on which the promise rests, is gone.
fn several<R: Role>() -> DbErr {
    let (table, column) = (R::default().table_name(), R::owner_id().as_str().to_owned());
    DbErr::Custom(format!(
        "{table}.{column} is not unique: an owner has several rows"
    ))
}
