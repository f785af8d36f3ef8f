//! Making a user with its guest, both or neither.

use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbBackend, DbErr, EntityName, EntityTrait, IdenStatic,
    Iterable, QueryResult, Related, Statement, TransactionSession, TransactionTrait, Value,
    sea_query::{
        Alias, Expr, ExprTrait, InsertStatement, OnConflict, Query, SelectStatement, WithClause,
        WithQuery,
    },
};

use super::{
    block::{mariadb, sqlite},
    parts::{
        cte, do_nothing_on, every_column, insert_select, insert_values, owner_key, read,
        select_columns, then,
    },
    raised,
    send::{execute, query},
    text::Text,
};
use crate::{
    role::{Role, SignUp},
    scope::Scope,
};

/// Names of the rows that a PostgreSQL statement has just inserted.
const NEW_USER: &str = "new_user";
const NEW_GUEST: &str = "new_guest";

/// Prefixes under which one row carries two models, as SeaORM's own joins have them.
pub(super) const FIRST: &str = "A_";
pub(super) const SECOND: &str = "B_";
const CHECK: &str = "guesthouse_check";

const NO_USER: &str = "the user was not inserted";
const NO_GUEST: &str = "the guest was not inserted";

/// A user and its guest.
pub(crate) type Both<U> = (
    <U as EntityTrait>::Model,
    <<U as SignUp>::Guest as EntityTrait>::Model,
);

/// Which keys of a new user may be taken already; a clash on any other key is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MayClash {
    Email,
    EmailOrId,
}

/// Inserts a user and its guest, both or neither: `None` if a key that may clash did, or if
/// something left the user out. A clash that the database reports is an error.
///
/// PostgreSQL and MariaDB: one statement. SQLite: two in a transaction of their own, one in the
/// caller's. MySQL: two in a transaction of their own or in a savepoint.
pub(crate) async fn insert_both<U: SignUp, C>(
    db: &C,
    user: &U::ActiveModel,
    guest: &<U::Guest as EntityTrait>::ActiveModel,
    keys: MayClash,
) -> Result<Option<Both<U>>, DbErr>
where
    C: ConnectionTrait + TransactionTrait,
    U::Guest: Related<U>,
{
    match (db.get_database_backend(), Scope::of::<C>()) {
        (DbBackend::Postgres, _) => on_postgres::<U, C>(db, user, guest, keys).await,
        (DbBackend::MySql, scope) => on_mysql::<U, C>(db, scope, user, guest).await,
        (_, Scope::Autocommit) => one_by_one::<U, C>(db, user, guest).await,
        _ => in_a_block_on_sqlite::<U, C>(db, user, guest).await,
    }
}

// ---- PostgreSQL ----

async fn on_postgres<U: SignUp, C: ConnectionTrait>(
    db: &C,
    user: &U::ActiveModel,
    guest: &<U::Guest as EntityTrait>::ActiveModel,
    keys: MayClash,
) -> Result<Option<Both<U>>, DbErr>
where
    U::Guest: Related<U>,
{
    let name = match keys {
        MayClash::Email => "user with guest",
        MayClash::EmailOrId => "user with id, with guest",
    };
    let statement = Text::of::<U>(name, DbBackend::Postgres)
        .and::<U::Guest>()
        .row::<U>(user)
        .row::<U::Guest>(guest)
        .or_build(|backend| backend.build(&user_with_guest::<U>(user, guest, keys)));
    let rows = query(db, statement).await?;
    rows.first().map(both::<U>).transpose()
}

/// `WITH new_user AS (INSERT … ON CONFLICT (email) DO NOTHING RETURNING …), new_guest AS
/// (INSERT … SELECT … FROM new_user RETURNING …) SELECT … FROM new_user LEFT JOIN new_guest`
///
/// A user whose guest was left out makes the statement fail, and so leaves nothing.
fn user_with_guest<U: SignUp>(
    user: &U::ActiveModel,
    guest: &<U::Guest as EntityTrait>::ActiveModel,
    keys: MayClash,
) -> WithQuery
where
    U::Guest: Related<U>,
{
    let mut new_user = insert_values::<U>(user);
    new_user.on_conflict(match keys {
        MayClash::Email => do_nothing_on(U::email()),
        MayClash::EmailOrId => OnConflict::new().do_nothing().to_owned(),
    });
    new_user.returning(every_column::<U>());

    let mut from_new_user = Query::select();
    from_new_user.from(Alias::new(NEW_USER));
    let mut new_guest = insert_select::<U::Guest>(guest, from_new_user);
    new_guest.returning(every_column::<U::Guest>());

    let owner = Expr::col((Alias::new(NEW_GUEST), U::Guest::owner_id()));
    let has_guest = owner.equals((Alias::new(NEW_USER), owner_key::<U::Guest>()));
    let owner_id = format!("\"{NEW_GUEST}\".\"{}\"", U::Guest::owner_id().as_str());
    let check = raised::on_postgres(&format!("{owner_id} IS NULL"), NO_GUEST, &owner_id);
    let mut both = Query::select();
    select_columns::<U>(&mut both, NEW_USER, FIRST);
    select_columns::<U::Guest>(&mut both, NEW_GUEST, SECOND);
    both.expr_as(Expr::cust(check), Alias::new(CHECK))
        .from(Alias::new(NEW_USER))
        .left_join(Alias::new(NEW_GUEST), has_guest);

    WithClause::new()
        .cte(cte(NEW_USER, new_user))
        .cte(cte(NEW_GUEST, new_guest))
        .to_owned()
        .query(both)
}

pub(super) fn both<U: SignUp>(row: &QueryResult) -> Result<Both<U>, DbErr> {
    Ok((read::<U>(row, FIRST)?, read::<U::Guest>(row, SECOND)?))
}

// ---- SQLite ----

/// In a transaction of its own, which sqlx ends for a dropped call at any point: its worker thread
/// sees that nobody waits for the answer.
async fn one_by_one<U: SignUp, C>(
    db: &C,
    user: &U::ActiveModel,
    guest: &<U::Guest as EntityTrait>::ActiveModel,
) -> Result<Option<Both<U>>, DbErr>
where
    C: ConnectionTrait + TransactionTrait,
    U::Guest: Related<U>,
{
    let unit = db.begin().await?;
    match insert_one_by_one::<U, _>(&unit, user, guest).await {
        Ok(Some(both)) => {
            unit.commit().await?;
            Ok(Some(both))
        }
        outcome => {
            unit.rollback().await?;
            outcome
        }
    }
}

/// Both rows are read by a SELECT, as RETURNING comes before the triggers that run after an insert.
async fn insert_one_by_one<U: SignUp, C: ConnectionTrait>(
    unit: &C,
    user: &U::ActiveModel,
    guest: &<U::Guest as EntityTrait>::ActiveModel,
) -> Result<Option<Both<U>>, DbErr>
where
    U::Guest: Related<U>,
{
    let new_user = Text::of::<U>("insert", DbBackend::Sqlite)
        .row::<U>(user)
        .or_build(|backend| backend.build(&counted::<U>(user)));
    if query(unit, new_user).await?.is_empty() {
        return Ok(None);
    }
    let key = owner_of::<U>(guest)?;
    let new_guest = Text::of::<U>("insert guest", DbBackend::Sqlite)
        .and::<U::Guest>()
        .row::<U::Guest>(guest)
        .bind(key.clone())
        .or_build(|backend| {
            let guest = backend.build(&counted::<U::Guest>(guest));
            then(guest, backend.build(&stored::<U>(&key)))
        });
    match &query(unit, new_guest).await?[..] {
        [_, row] => both::<U>(row).map(Some),
        _ => Err(raised::error(NO_GUEST)),
    }
}

/// An insert that returns a row if it made one.
fn counted<E: EntityTrait>(row: &E::ActiveModel) -> InsertStatement {
    let mut insert = insert_values::<E>(row);
    insert.returning(Query::returning().expr(Expr::cust("1")));
    insert
}

/// The id of the user, which the guest has.
fn owner_of<U: SignUp>(guest: &<U::Guest as EntityTrait>::ActiveModel) -> Result<Value, DbErr>
where
    U::Guest: Related<U>,
{
    let owner_id = U::Guest::owner_id();
    let key = guest.get(owner_id).into_value();
    key.ok_or_else(|| DbErr::AttrNotSet(owner_id.as_str().to_owned()))
}

async fn in_a_block_on_sqlite<U: SignUp, C>(
    db: &C,
    user: &U::ActiveModel,
    guest: &<U::Guest as EntityTrait>::ActiveModel,
) -> Result<Option<Both<U>>, DbErr>
where
    C: ConnectionTrait + TransactionTrait,
    U::Guest: Related<U>,
{
    let backend = DbBackend::Sqlite;
    let owner_id = U::Guest::owner_id();
    let key = owner_of::<U>(guest)?;
    let mut values = vec![key.clone()];
    let insert_user = insert_step::<U>(user, &mut values);
    let insert_guest = insert_step::<U::Guest>(guest, &mut values);
    let no_user = raised::on_sqlite(&none::<U>(&owner_key::<U::Guest>().to_string()), NO_USER);
    let no_guest = raised::on_sqlite(&none::<U::Guest>(owner_id.as_str()), NO_GUEST);
    let steps = format!("{insert_user} {no_user} {insert_guest} {no_guest}");
    let answer = backend.build(&stored::<U>(&key)).sql;
    let sql = sqlite::block(values.len(), &steps, &answer);
    values.push(key);
    match sqlite::run(db, Statement::from_sql_and_values(backend, sql, values)).await {
        Ok(rows) => rows.first().map(both::<U>).transpose(),
        Err(refusal) if raised::is(&refusal, NO_USER) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// Inserts the values from `NEW.v1` on, and adds them.
fn insert_step<E: EntityTrait>(row: &E::ActiveModel, values: &mut Vec<Value>) -> String {
    let mut columns = Vec::new();
    let mut names = Vec::new();
    for column in E::Column::iter() {
        if let Some(value) = row.get(column).into_value() {
            columns.push(format!("\"{}\"", column.as_str()));
            names.push(format!("NEW.v{}", values.len()));
            values.push(value);
        }
    }
    format!(
        "INSERT INTO \"{}\" ({}) VALUES ({});",
        E::default().table_name(),
        columns.join(", "),
        names.join(", ")
    )
}

/// That no row has the user's key in this column.
fn none<E: EntityTrait>(column: &str) -> String {
    let table = E::default().table_name();
    format!("NOT EXISTS (SELECT 1 FROM \"{table}\" WHERE \"{column}\" = NEW.v0)")
}

/// Both rows as they are stored.
fn stored<U: SignUp>(key: &Value) -> SelectStatement
where
    U::Guest: Related<U>,
{
    let user_key = (U::default(), owner_key::<U::Guest>());
    let owner = Expr::col((U::Guest::default(), U::Guest::owner_id()));
    let mut both = Query::select();
    select_columns::<U>(&mut both, U::default().table_name(), FIRST);
    select_columns::<U::Guest>(&mut both, U::Guest::default().table_name(), SECOND);
    both.from(U::default().table_ref())
        .inner_join(
            U::Guest::default().table_ref(),
            owner.equals(user_key.clone()),
        )
        .and_where(Expr::col(user_key).eq(key.clone()));
    both
}

// ---- MariaDB and MySQL ----

async fn on_mysql<U: SignUp, C>(
    db: &C,
    scope: Scope,
    user: &U::ActiveModel,
    guest: &<U::Guest as EntityTrait>::ActiveModel,
) -> Result<Option<Both<U>>, DbErr>
where
    C: ConnectionTrait + TransactionTrait,
    U::Guest: Related<U>,
{
    let name = match scope {
        Scope::Autocommit => "user with guest",
        Scope::Transaction => "user with guest, in a transaction",
        Scope::Unknown => "user with guest, on any connection",
    };
    let statement = Text::of::<U>(name, DbBackend::MySql)
        .and::<U::Guest>()
        .row::<U>(user)
        .row::<U::Guest>(guest)
        .or_build(|backend| {
            let user = backend.build(&insert_values::<U>(user));
            let guest = backend.build(&insert_values::<U::Guest>(guest));
            let steps = format!(
                "{} RETURNING {}; {} RETURNING {};",
                user.sql,
                mariadb::columns::<U>(),
                guest.sql,
                mariadb::columns::<U::Guest>()
            );
            let values = [user.values, guest.values].into_iter().flatten();
            let values: Vec<_> = values.flat_map(|values| values.0).collect();
            Statement::from_sql_and_values(backend, mariadb::block(scope, &steps), values)
        });
    match query(db, statement).await {
        Ok(rows) => match &rows[..] {
            [user, guest] => Ok(Some((read::<U>(user, "")?, read::<U::Guest>(guest, "")?))),
            _ => Err(raised::error(NO_GUEST)),
        },
        Err(error) if mariadb::is_no_block(&error) => {
            without_a_block::<U, C>(db, scope, user, guest).await
        }
        Err(error) => Err(error),
    }
}

/// MySQL has neither blocks nor RETURNING.
async fn without_a_block<U: SignUp, C>(
    db: &C,
    scope: Scope,
    user: &U::ActiveModel,
    guest: &<U::Guest as EntityTrait>::ActiveModel,
) -> Result<Option<Both<U>>, DbErr>
where
    C: ConnectionTrait + TransactionTrait,
    U::Guest: Related<U>,
{
    if scope == Scope::Transaction {
        db.execute_unprepared("SAVEPOINT guesthouse").await?;
        let outcome = insert_and_read::<U, _>(db, user, guest).await;
        if outcome.is_err() {
            db.execute_unprepared("ROLLBACK TO SAVEPOINT guesthouse")
                .await?;
        }
        return outcome;
    }
    let unit = db.begin().await?;
    match insert_and_read::<U, _>(&unit, user, guest).await {
        Ok(both) => {
            unit.commit().await?;
            Ok(both)
        }
        Err(error) => {
            unit.rollback().await?;
            Err(error)
        }
    }
}

async fn insert_and_read<U: SignUp, C: ConnectionTrait>(
    unit: &C,
    user: &U::ActiveModel,
    guest: &<U::Guest as EntityTrait>::ActiveModel,
) -> Result<Option<Both<U>>, DbErr>
where
    U::Guest: Related<U>,
{
    let backend = DbBackend::MySql;
    let key = owner_of::<U>(guest)?;
    execute(unit, backend.build(&insert_values::<U>(user))).await?;
    execute(unit, backend.build(&insert_values::<U::Guest>(guest))).await?;
    let rows = query(unit, backend.build(&stored::<U>(&key))).await?;
    rows.first().map(both::<U>).transpose()
}
