//! The statements, and all SQL that differs by backend.
//!
//! A write that returns rows is read to its end with `query_all`, never `query_one`: on SQLite that
//! one stops at the first row, and an error that comes after it, such as the failed commit of that
//! very statement, would be lost.

pub(crate) mod accounts;
pub(crate) mod bulk;
mod text;

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, FromQueryResult,
    IdenStatic, Iterable, ModelTrait, PrimaryKeyToColumn, QueryFilter, QueryResult, QuerySelect,
    Statement, TransactionTrait,
    sea_query::{
        Alias, CommonTableExpression, Expr, ExprTrait, InsertStatement, LockType, OnConflict,
        Query, ReturningClause, SelectStatement, SubQueryStatement, UnionType, WithClause,
        WithQuery,
    },
};
use uuid::Uuid;

use crate::{
    error::{Error, Sent, Violation},
    guest, host,
    role::Role,
    statements::text::Text,
    unit_of_work::{begin, commits_by_itself, finish, last_word_of},
    user,
};

/// Names of the rows that a PostgreSQL statement has just inserted, and of what was there before.
const NEW_USER: &str = "new_user";
const NEW_GUEST: &str = "new_guest";
const NEW_ROLE: &str = "new_role";
const EXISTING: &str = "existing";

/// Prefixes under which one row carries two models, as SeaORM's own joins have them.
const FIRST: &str = "A_";
const SECOND: &str = "B_";

/// Answers that stand beside a role's own columns.
const IS_NEW: &str = "guesthouse_is_new";
const USER_ID: &str = "guesthouse_user_id";

// ---- sign_up ----

/// Which keys of a new user may be somebody's already; a clash on any other key is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MayClash {
    Email,
    EmailOrId,
}

impl MayClash {
    fn do_nothing(self) -> OnConflict {
        match self {
            Self::Email => do_nothing_on(user::Column::Email),
            Self::EmailOrId => OnConflict::new().do_nothing().to_owned(),
        }
    }
}

/// Inserts a user and its guest, both or neither: [`Error::EmailTaken`] if a key that may clash
/// did.
///
/// PostgreSQL: one statement. SQLite and MariaDB/MySQL: two inserts in a unit of work.
pub(crate) async fn insert_user_with_guest<C>(
    db: &C,
    user: &user::ActiveModel,
    guest: &guest::ActiveModel,
    keys: MayClash,
) -> Result<(user::Model, guest::Model), Error>
where
    C: ConnectionTrait + TransactionTrait,
{
    if db.get_database_backend() == DbBackend::Postgres {
        return insert_both_at_once(db, user, guest, keys).await;
    }
    let unit = begin(db).await?;
    let outcome = insert_one_by_one(&unit, user, guest, keys).await;
    finish::<C, _>(unit, outcome).await
}

async fn insert_both_at_once<C: ConnectionTrait>(
    db: &C,
    user: &user::ActiveModel,
    guest: &guest::ActiveModel,
    keys: MayClash,
) -> Result<(user::Model, guest::Model), Error> {
    let name = match keys {
        MayClash::Email => "user with guest",
        MayClash::EmailOrId => "user with id, with guest",
    };
    let statement = Text::of::<user::Entity>(name, DbBackend::Postgres)
        .row::<user::Entity>(user)
        .row::<guest::Entity>(guest)
        .or_build(|backend| backend.build(&user_with_guest(user, guest, keys)));
    let rows = db
        .query_all_raw(statement)
        .await
        .map_err(|source| Error::from_driver(source, last_word_of::<C>()))?;
    let row = rows.first().ok_or(Error::EmailTaken)?;
    Ok((
        read::<user::Entity>(row, FIRST)?,
        read::<guest::Entity>(row, SECOND)?,
    ))
}

/// `WITH new_user AS (INSERT … ON CONFLICT (email) DO NOTHING RETURNING …), new_guest AS
/// (INSERT … SELECT … FROM new_user RETURNING …) SELECT … FROM new_user, new_guest`
fn user_with_guest(
    user: &user::ActiveModel,
    guest: &guest::ActiveModel,
    keys: MayClash,
) -> WithQuery {
    let mut new_user = insert_values::<user::Entity>(user);
    new_user.on_conflict(keys.do_nothing());
    new_user.returning(every_column::<user::Entity>());

    let mut from_new_user = Query::select();
    from_new_user.from(Alias::new(NEW_USER));
    let mut new_guest = insert_select::<guest::Entity>(guest, from_new_user);
    new_guest.returning(every_column::<guest::Entity>());

    let mut both = Query::select();
    select_columns::<user::Entity>(&mut both, NEW_USER, FIRST);
    select_columns::<guest::Entity>(&mut both, NEW_GUEST, SECOND);
    both.from(Alias::new(NEW_USER)).from(Alias::new(NEW_GUEST));

    WithClause::new()
        .cte(cte(NEW_USER, new_user))
        .cte(cte(NEW_GUEST, new_guest))
        .to_owned()
        .query(both)
}

async fn insert_one_by_one<C: ConnectionTrait>(
    unit: &C,
    user: &user::ActiveModel,
    guest: &guest::ActiveModel,
    keys: MayClash,
) -> Result<(user::Model, guest::Model), Error> {
    let user = match insert::<user::Entity, C>(unit, user, Some(keys)).await {
        Ok(Some(user)) => user,
        Ok(None) => return Err(Error::EmailTaken),
        // MariaDB/MySQL, whose "do nothing" cannot be trusted to tell what it did. A new
        // user has two unique keys, and its id may clash only if the caller brought it.
        Err(source) if Violation::of(&source) == Some(Violation::Unique) => {
            return Err(Error::EmailTaken);
        }
        Err(source) => return Err(Error::from_driver(source, Sent::Revocable)),
    };
    let guest = insert::<guest::Entity, C>(unit, guest, None)
        .await
        .and_then(|guest| guest.ok_or(DbErr::RecordNotInserted))
        .map_err(|source| Error::from_driver(source, Sent::Revocable))?;
    Ok((user, guest))
}

/// Inserts on SQLite or MariaDB/MySQL and gives back the row the database holds, `None` if it
/// inserted nothing, which only SQLite says of a key that may clash.
async fn insert<E: EntityTrait, C: ConnectionTrait>(
    unit: &C,
    row: &E::ActiveModel,
    keys: Option<MayClash>,
) -> Result<Option<E::Model>, DbErr> {
    let name = match keys {
        None => "insert",
        Some(MayClash::Email) => "insert unless email",
        Some(MayClash::EmailOrId) => "insert unless email or id",
    };
    let backend = unit.get_database_backend();
    let statement = Text::of::<E>(name, backend).row::<E>(row).or_build(|_| {
        let mut insert = insert_values::<E>(row);
        if backend == DbBackend::MySql {
            return returning_on_mariadb::<E>(&insert);
        }
        insert.returning(returning::<E>());
        if let Some(keys) = keys {
            insert.on_conflict(keys.do_nothing());
        }
        backend.build(&insert)
    });
    let rows = unit.query_all_raw(statement).await?;
    match rows.first() {
        Some(row) => E::Model::from_query_result(row, "").map(Some),
        None if backend == DbBackend::MySql => select_by_primary_key::<E>(row).one(unit).await,
        None => Ok(None),
    }
}

// ---- onboard ----

/// What one attempt at giving a user a role came to.
pub(crate) enum Attempt<M> {
    New(M),
    Existing(M),
    UserNotFound,
    /// The user exists and has no such row, yet none was inserted: the row that stood in the way
    /// is gone again, or it clashed on another key.
    Neither {
        clash: Option<DbErr>,
    },
}

/// Tries once to give the user the role.
///
/// PostgreSQL: one statement, new or existing. SQLite and MariaDB: one statement when new, and a
/// SELECT when nothing was inserted. MySQL, which has no RETURNING, needs that SELECT always.
pub(crate) async fn onboard_once<R: Role, C: ConnectionTrait>(
    db: &C,
    role: &R::ActiveModel,
    user_id: Uuid,
) -> Result<Attempt<R::Model>, Error> {
    match db.get_database_backend() {
        DbBackend::Postgres => onboard_on_postgres::<R, C>(db, role, user_id).await,
        DbBackend::MySql => onboard_on_mysql::<R, C>(db, role, user_id).await,
        _ => onboard_on_sqlite::<R, C>(db, role, user_id).await,
    }
}

async fn onboard_on_postgres<R: Role, C: ConnectionTrait>(
    db: &C,
    role: &R::ActiveModel,
    user_id: Uuid,
) -> Result<Attempt<R::Model>, Error> {
    let statement = if commits_by_itself::<C>() {
        Text::of::<R>("new or existing", DbBackend::Postgres)
            .bind(user_id)
            .row::<R>(role)
            .or_build(|backend| {
                backend.build(&new_or_existing::<R>(role, user_id, Query::select()))
            })
    } else {
        Text::of::<R>("new or existing, of a locked user", DbBackend::Postgres)
            .bind(user_id)
            .row::<R>(role)
            .bind(user_id)
            .or_build(|backend| {
                backend.build(&new_or_existing::<R>(role, user_id, locked_user(user_id)))
            })
    };
    let rows = match db.query_all_raw(statement).await {
        Ok(rows) => rows,
        Err(clash)
            if commits_by_itself::<C>() && Violation::of(&clash) == Some(Violation::Foreign) =>
        {
            return look_up::<R, C>(db, user_id, Sent::Revocable, Some(clash)).await;
        }
        Err(source) => return Err(Error::from_driver(source, last_word_of::<C>())),
    };
    let Some(row) = rows.first() else {
        return look_up::<R, C>(db, user_id, Sent::Revocable, None).await;
    };
    let model = read::<R>(row, "")?;
    let is_new = row
        .try_get("", IS_NEW)
        .map_err(|source| Error::Database { source })?;
    Ok(if is_new {
        Attempt::New(model)
    } else {
        Attempt::Existing(model)
    })
}

/// `WITH existing AS (SELECT … FROM hosts WHERE user_id = ?), new_role AS (INSERT … SELECT … WHERE
/// NOT EXISTS (SELECT … FROM existing) ON CONFLICT (user_id) DO NOTHING RETURNING …) SELECT …, TRUE
/// FROM new_role UNION ALL SELECT …, FALSE FROM existing`
///
/// NOT EXISTS judges nothing; it spares a user who has the role already an attempt that the unique
/// index refuses.
fn new_or_existing<R: Role>(
    role: &R::ActiveModel,
    user_id: Uuid,
    mut source: SelectStatement,
) -> WithQuery {
    let mut existing = Query::select();
    existing
        .columns(R::Column::iter())
        .from(R::default().table_ref())
        .and_where(Expr::col((R::default(), R::user_id())).eq(user_id));

    let mut already = Query::select();
    already.column(R::user_id()).from(Alias::new(EXISTING));
    source.and_where(Expr::exists(already).not());
    let mut new_role = insert_select::<R>(role, source);
    new_role.on_conflict(do_nothing_on(R::user_id()));
    new_role.returning(every_column::<R>());

    let mut either = rows_of::<R>(NEW_ROLE, "TRUE");
    either.union(UnionType::All, rows_of::<R>(EXISTING, "FALSE"));
    WithClause::new()
        .cte(cte(EXISTING, existing))
        .cte(cte(NEW_ROLE, new_role))
        .to_owned()
        .query(either)
}

/// What a part of the statement has found or made, and which of both.
fn rows_of<R: Role>(table: &'static str, is_new: &'static str) -> SelectStatement {
    let mut select = Query::select();
    select_columns::<R>(&mut select, table, "");
    select
        .expr_as(Expr::cust(is_new), Alias::new(IS_NEW))
        .from(Alias::new(table));
    select
}

/// `SELECT … FROM users WHERE id = ? FOR KEY SHARE`
///
/// The lock is the one that the foreign key would take, taken before the row is made: a user who
/// does not exist gives no row, where a foreign key violation would end the transaction.
fn locked_user(user_id: Uuid) -> SelectStatement {
    let mut the_user = only_user(user_id);
    the_user.lock(LockType::KeyShare);
    the_user
}

async fn onboard_on_sqlite<R: Role, C: ConnectionTrait>(
    db: &C,
    role: &R::ActiveModel,
    user_id: Uuid,
) -> Result<Attempt<R::Model>, Error> {
    let statement = Text::of::<R>("new role", DbBackend::Sqlite)
        .row::<R>(role)
        .bind(user_id)
        .or_build(|backend| {
            let mut insert = insert_select::<R>(role, only_user(user_id));
            insert.on_conflict(do_nothing_on(R::user_id()));
            insert.returning(returning::<R>());
            backend.build(&insert)
        });
    match db.query_all_raw(statement).await {
        Ok(rows) => match rows.first() {
            Some(row) => read::<R>(row, "").map(Attempt::New),
            None => look_up::<R, C>(db, user_id, Sent::Revocable, None).await,
        },
        Err(clash) if Violation::of(&clash).is_some() => {
            look_up::<R, C>(db, user_id, Sent::Revocable, Some(clash)).await
        }
        Err(source) => Err(Error::from_driver(source, last_word_of::<C>())),
    }
}

async fn onboard_on_mysql<R: Role, C: ConnectionTrait>(
    db: &C,
    role: &R::ActiveModel,
    user_id: Uuid,
) -> Result<Attempt<R::Model>, Error> {
    let statement = Text::of::<R>("new role", DbBackend::MySql)
        .row::<R>(role)
        .bind(user_id)
        .or_build(|_| returning_on_mariadb::<R>(&insert_select::<R>(role, only_user(user_id))));
    match db.query_all_raw(statement).await {
        Ok(rows) => match rows.first() {
            Some(row) => read::<R>(row, "").map(Attempt::New),
            // MariaDB found no user; MySQL may have inserted the row without returning it.
            None => match look_up::<R, C>(db, user_id, last_word_of::<C>(), None).await? {
                Attempt::Existing(model) if is_row::<R>(&model, role) => Ok(Attempt::New(model)),
                other => Ok(other),
            },
        },
        Err(clash) if Violation::of(&clash).is_some() => {
            look_up::<R, C>(db, user_id, Sent::Revocable, Some(clash)).await
        }
        Err(source) => Err(Error::from_driver(source, last_word_of::<C>())),
    }
}

/// One SELECT that tells a user with the role from one without and from nobody.
async fn look_up<R: Role, C: ConnectionTrait>(
    db: &C,
    user_id: Uuid,
    sent: Sent,
    clash: Option<DbErr>,
) -> Result<Attempt<R::Model>, Error> {
    let statement = Text::of::<R>("user with role", db.get_database_backend())
        .bind(user_id)
        .or_build(|backend| {
            let mut statement = backend.build(&user_with_role::<R>(user_id));
            see_what_was_clashed_with(&mut statement);
            statement
        });
    let row = db
        .query_one_raw(statement)
        .await
        .map_err(|source| Error::from_driver(source, sent))?;
    let Some(row) = row else {
        return Ok(Attempt::UserNotFound);
    };
    match R::Model::from_query_result_optional(&row, "") {
        Ok(Some(model)) => Ok(Attempt::Existing(model)),
        Ok(None) => Ok(Attempt::Neither { clash }),
        Err(source) => Err(Error::Database { source }),
    }
}

fn user_with_role<R: Role>(user_id: Uuid) -> SelectStatement {
    let the_user = || Expr::col((user::Entity, user::Column::Id));
    let mut select = Query::select();
    select_columns::<R>(&mut select, R::default().table_name(), "");
    select
        .expr_as(the_user(), Alias::new(USER_ID))
        .from(user::Entity)
        .left_join(
            R::default().table_ref(),
            Expr::col((R::default(), R::user_id())).equals((user::Entity, user::Column::Id)),
        )
        .and_where(the_user().eq(user_id));
    select
}

/// Under REPEATABLE READ on MariaDB/MySQL a plain read would not see the row that was just clashed
/// with, and FOR UPDATE deadlocks callers who all look at the same row. MariaDB has no FOR SHARE.
fn see_what_was_clashed_with(select: &mut Statement) {
    if select.db_backend == DbBackend::MySql {
        select.sql.push_str(" LOCK IN SHARE MODE");
    }
}

fn only_user(user_id: Uuid) -> SelectStatement {
    let mut select = Query::select();
    select
        .from(user::Entity)
        .and_where(Expr::col((user::Entity, user::Column::Id)).eq(user_id));
    select
}

/// Whether the stored row is the one that was sent, by its primary key.
fn is_row<E: EntityTrait>(stored: &E::Model, sent: &E::ActiveModel) -> bool {
    E::PrimaryKey::iter()
        .map(PrimaryKeyToColumn::into_column)
        .all(|column| {
            sent.get(column)
                .into_value()
                .is_some_and(|value| value == stored.get(column))
        })
}

// ---- stop_hosting ----

/// Deletes the user's host and gives back what was deleted.
pub(crate) async fn delete_host<C: ConnectionTrait>(
    unit: &C,
    user_id: Uuid,
) -> Result<Option<host::Model>, DbErr> {
    let of_user = host::Column::UserId.eq(user_id);
    if unit.get_database_backend() != DbBackend::MySql {
        let mut delete = Query::delete();
        delete
            .from_table(host::Entity)
            .and_where(of_user)
            .returning(returning::<host::Entity>());
        let rows = unit.query_all(&delete).await?;
        return rows
            .first()
            .map(|row| host::Model::from_query_result(row, ""))
            .transpose();
    }
    // MySQL has no RETURNING: the row is locked, read and deleted.
    let Some(model) = host::Entity::find()
        .filter(of_user)
        .lock_exclusive()
        .one(unit)
        .await?
    else {
        return Ok(None);
    };
    host::Entity::delete_by_id(model.id).exec(unit).await?;
    Ok(Some(model))
}

// ---- parts ----

/// `INSERT INTO table (columns) VALUES (values)`, of the columns that are set.
fn insert_values<E: EntityTrait>(row: &E::ActiveModel) -> InsertStatement {
    let (columns, values) = set_columns::<E>(row);
    let mut insert = Query::insert();
    insert
        .into_table(E::default().table_ref())
        .columns(columns)
        .values_panic(values);
    insert
}

/// `INSERT INTO table (columns) SELECT values FROM …`: one row if the source has one, else none.
fn insert_select<E: EntityTrait>(
    row: &E::ActiveModel,
    mut source: SelectStatement,
) -> InsertStatement {
    let (columns, values) = set_columns::<E>(row);
    source.exprs(values);
    let mut insert = Query::insert();
    insert.into_table(E::default().table_ref()).columns(columns);
    #[expect(clippy::expect_used, reason = "both lists come from the same columns")]
    insert
        .select_from(source)
        .expect("as many values as columns");
    insert
}

fn set_columns<E: EntityTrait>(row: &E::ActiveModel) -> (Vec<E::Column>, Vec<Expr>) {
    E::Column::iter()
        .filter_map(|column| {
            let value = row.get(column).into_value()?;
            Some((column, column.save_as(Expr::val(value))))
        })
        .unzip()
}

fn do_nothing_on(column: impl ColumnTrait) -> OnConflict {
    OnConflict::column(column).do_nothing().to_owned()
}

/// The columns as a statement around this one reads them.
fn every_column<E: EntityTrait>() -> ReturningClause {
    Query::returning().columns(E::Column::iter())
}

/// The columns as a model is read from them: enums come as text.
fn returning<E: EntityTrait>() -> ReturningClause {
    Query::returning().exprs(E::Column::iter().map(|column| column.select_as(Expr::col(column))))
}

/// The statement with RETURNING for MariaDB, which MySQL takes for a comment and answers with no
/// row ([executable comments](https://mariadb.com/kb/en/comment-syntax/)).
fn returning_on_mariadb<E: EntityTrait>(insert: &InsertStatement) -> Statement {
    let mut statement = DbBackend::MySql.build(insert);
    let columns: Vec<_> = E::Column::iter()
        .map(|column| format!("`{}`", column.as_str()))
        .collect();
    statement
        .sql
        .push_str(&format!(" /*M!100500 RETURNING {} */", columns.join(", ")));
    statement
}

fn select_columns<E: EntityTrait>(select: &mut SelectStatement, table: &str, prefix: &str) {
    for column in E::Column::iter() {
        select.expr_as(
            column.select_as(Expr::col((Alias::new(table), column))),
            Alias::new(format!("{prefix}{}", column.as_str())),
        );
    }
}

fn select_by_primary_key<E: EntityTrait>(row: &E::ActiveModel) -> sea_orm::Select<E> {
    E::PrimaryKey::iter()
        .map(PrimaryKeyToColumn::into_column)
        .fold(E::find(), |select, column| {
            match row.get(column).into_value() {
                Some(value) => select.filter(column.eq(value)),
                None => select.filter(column.is_null()),
            }
        })
}

fn cte(name: &str, query: impl Into<SubQueryStatement>) -> CommonTableExpression {
    CommonTableExpression::new()
        .table_name(Alias::new(name))
        .query(query)
        .to_owned()
}

fn read<E: EntityTrait>(row: &QueryResult, prefix: &str) -> Result<E::Model, Error> {
    E::Model::from_query_result(row, prefix).map_err(|source| Error::Database { source })
}
