//! Making a user with its guest, both or neither.

use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbBackend, DbErr, EntityName, EntityTrait, IdenStatic,
    Iterable, ModelTrait, QueryResult, Related, Statement, TransactionSession, TransactionTrait,
    TryGetableMany, Value,
    sea_query::{
        Alias, Condition, DynIden, Expr, ExprTrait, InsertStatement, OnConflict, Query,
        SelectStatement, WithClause, WithQuery,
    },
};

use super::{Look, names::AccountNames as Names};
use crate::statements::{
    alive::roll_back,
    block::{mariadb, sqlite},
    evidence::{Event, RUNS_ON, of_the_type_of, removed, runs_on},
    key::{only_column, single},
    parts::{
        FIRST, SECOND, cte, do_nothing_on, every_column, insert_select, insert_select_with,
        insert_values, owner_key, quoted, read, see_what_was_clashed_with, select_columns,
        table_name, then, unread,
    },
    raised,
    send::{look as look_at, query},
    text::Text,
};
use crate::{
    accounts::SignUp,
    role::{OwnerId, Role},
    scope::Scope,
};

/// Names of the rows that a PostgreSQL statement has just inserted.
const NEW_USER: &str = "new_user";
const NEW_GUEST: &str = "new_guest";

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
/// caller's.
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
        (DbBackend::MySql, scope) => on_mariadb::<U, C>(db, scope, user, guest).await,
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
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let new = both::<U>(row).map_err(unread::<C>)?;
    if !row.try_get("", RUNS_ON)? {
        return Ok(Some(new));
    }
    let key = new.0.get(only_column::<U>()?);
    let found = users_in_the_way::<U, C>(db, Some(&key), None, Look::Plain).await;
    match found.map_err(unread::<C>)?.pop() {
        Some((user, Some(guest))) => Ok(Some((user, guest))),
        _ => Err(removed::<U>()),
    }
}

/// `WITH new_user AS (INSERT … ON CONFLICT (email) DO NOTHING RETURNING …), new_guest AS
/// (INSERT … SELECT … FROM new_user RETURNING …) SELECT … FROM new_user LEFT JOIN new_guest`
///
/// If the guest is left out, the statement fails and leaves nothing.
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
    let mut new_guest = insert_guest::<U>(guest, from_new_user, NEW_USER);
    new_guest.returning(every_column::<U::Guest>());

    let owner = Expr::col((Alias::new(NEW_GUEST), U::Guest::owner_id()));
    let has_guest = owner.equals((Alias::new(NEW_USER), owner_key::<U::Guest>()));
    let owner_id = format!("\"{NEW_GUEST}\".\"{}\"", U::Guest::owner_id().as_str());
    let check = raised::on_postgres(&format!("{owner_id} IS NULL"), NO_GUEST, &owner_id);
    let mut both = Query::select();
    select_columns::<U>(&mut both, NEW_USER, FIRST);
    select_columns::<U::Guest>(&mut both, NEW_GUEST, SECOND);
    let runs_on = format!(
        "{} OR {}",
        runs_on::<U>(DbBackend::Postgres, Event::Insert),
        runs_on::<U::Guest>(DbBackend::Postgres, Event::Insert)
    );
    both.expr_as(Expr::cust(check), Alias::new(CHECK))
        .expr_as(Expr::cust(runs_on), Alias::new(RUNS_ON))
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

/// A user and its guest, if it has one.
pub(crate) type Found<U> = (
    <U as EntityTrait>::Model,
    Option<<<U as SignUp>::Guest as EntityTrait>::Model>,
);

/// The users, two at most, who have this key or this address.
pub(crate) async fn users_in_the_way<U: SignUp, C: ConnectionTrait>(
    db: &C,
    key: Option<&Value>,
    email: Option<&str>,
    look: Look,
) -> Result<Vec<Found<U>>, DbErr>
where
    U::Guest: Related<U>,
{
    let user_key = (U::default(), owner_key::<U::Guest>());
    let mut either = Condition::any();
    if let Some(email) = email {
        either = either.add(Expr::col((U::default(), U::email())).eq(email));
    }
    if let Some(key) = key {
        either = either.add(Expr::col(user_key.clone()).eq(key.clone()));
    }
    let owner = Expr::col((U::Guest::default(), U::Guest::owner_id()));
    let has_guest = Expr::case(owner.clone().is_not_null(), Expr::cust("1"));
    let mut select = Query::select();
    select_columns::<U>(&mut select, U::default().table_name(), FIRST);
    select_columns::<U::Guest>(&mut select, U::Guest::default().table_name(), SECOND);
    // A limit of its own overrides `sql_select_limit` of MariaDB.
    select
        .expr_as(has_guest.finally(Expr::cust("0")), Alias::new(CHECK))
        .from(U::default().table_ref())
        .left_join(U::Guest::default().table_ref(), owner.equals(user_key))
        .cond_where(either)
        .limit(4);
    let mut statement = db.get_database_backend().build(&select);
    if look == Look::Locking {
        see_what_was_clashed_with::<C>(&mut statement);
    }
    let rows = look_at(db, statement).await?;
    let found = rows.iter().map(|row| {
        let guest = match row.try_get::<i32>("", CHECK)? {
            0 => None,
            _ => Some(read::<U::Guest>(row, SECOND)?),
        };
        Ok((read::<U>(row, FIRST)?, guest))
    });
    found.collect()
}

/// Whether a user, other than `other_than`, has the address by the type of its column. On
/// PostgreSQL only, where a statement such as that of [`users_in_the_way`] compares it as a text.
pub(crate) async fn has_the_address<U: SignUp>(
    db: &impl ConnectionTrait,
    row: &U::ActiveModel,
    other_than: Option<&Value>,
) -> Result<bool, DbErr>
where
    U::Guest: Related<U>,
{
    let backend = db.get_database_backend();
    let Some(address) = row.get(U::email()).into_value() else {
        return Ok(false);
    };
    if backend != DbBackend::Postgres {
        return Ok(false);
    }
    let Names {
        users, id, email, ..
    } = Names::of::<U>(backend);
    let address_of_type = of_the_type_of::<U>(db, "$1", U::email()).await?;
    let other = match other_than {
        Some(_) => format!(" AND {id} <> $2"),
        None => String::new(),
    };
    let sql =
        format!("SELECT EXISTS (SELECT FROM {users} WHERE {email} = {address_of_type}{other})");
    let values = [address].into_iter().chain(other_than.cloned());
    let rows = look_at(db, Statement::from_sql_and_values(backend, sql, values)).await?;
    rows.first()
        .map_or(Ok(false), |row| row.try_get_by_index(0))
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
    let unit = sqlite::begin(db).await?;
    match insert_one_by_one::<U, _>(&unit, user, guest).await {
        Ok(Some(both)) => {
            unit.commit().await?;
            Ok(Some(both))
        }
        outcome => {
            let undone = roll_back(unit).await;
            outcome.and_then(|none| undone.map(|()| none))
        }
    }
}

/// A SELECT reads both rows, since RETURNING comes before the triggers that run after an insert.
async fn insert_one_by_one<U: SignUp, C: ConnectionTrait>(
    unit: &C,
    user: &U::ActiveModel,
    guest: &<U::Guest as EntityTrait>::ActiveModel,
) -> Result<Option<Both<U>>, DbErr>
where
    U::Guest: Related<U>,
{
    let key = owner_key::<U::Guest>();
    let new_user = Text::of::<U>("insert", DbBackend::Sqlite)
        .row::<U>(user)
        .or_build(|backend| {
            let mut insert = insert_values::<U>(user);
            insert.returning(Query::returning().column(key.clone()));
            backend.build(&insert)
        });
    let rows = query(unit, new_user).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let id = OwnerId::<U::Guest>::try_get_many(row, "", &[key.to_string()])?;
    let id = single(id, U::default().table_name())?;
    let mut guest = guest.clone();
    guest.try_set(U::Guest::owner_id(), id.clone())?;
    let new_guest = Text::of::<U>("insert guest", DbBackend::Sqlite)
        .and::<U::Guest>()
        .row::<U::Guest>(&guest)
        .bind(id.clone())
        .or_build(|backend| {
            let mut insert = insert_values::<U::Guest>(&guest);
            insert.returning(Query::returning().expr(Expr::cust("1")));
            let handle = Handle {
                column: key,
                value: id,
            };
            then(backend.build(&insert), backend.build(&stored::<U>(&handle)))
        });
    match &query(unit, new_guest).await?[..] {
        [_, row] => both::<U>(row).map(Some),
        _ => Err(raised::error(NO_GUEST)),
    }
}

/// A column of the users and a value in it that only the new user has.
struct Handle {
    column: DynIden,
    value: Value,
}

impl Handle {
    /// The key, which the guest has, or the address if the database makes the key.
    fn of<U: SignUp>(
        user: &U::ActiveModel,
        guest: &<U::Guest as EntityTrait>::ActiveModel,
    ) -> Result<Self, DbErr>
    where
        U::Guest: Related<U>,
    {
        if let Some(value) = guest.get(U::Guest::owner_id()).into_value() {
            let column = owner_key::<U::Guest>();
            return Ok(Self { column, value });
        }
        let email = U::email();
        let value = user.get(email).into_value();
        Ok(Self {
            column: DynIden::from(email.as_str()),
            value: value.ok_or_else(|| DbErr::AttrNotSet(email.as_str().to_owned()))?,
        })
    }
}

/// `INSERT INTO guests … SELECT … FROM users`: the guest belongs to the user that `source` finds,
/// unless it has an owner already.
fn insert_guest<U: SignUp>(
    guest: &<U::Guest as EntityTrait>::ActiveModel,
    source: SelectStatement,
    users: &'static str,
) -> InsertStatement
where
    U::Guest: Related<U>,
{
    let owner_id = U::Guest::owner_id();
    if guest.get(owner_id).is_set() {
        return insert_select::<U::Guest>(guest, source);
    }
    let owner = Expr::col((Alias::new(users), owner_key::<U::Guest>()));
    insert_select_with::<U::Guest>(guest, source, Some((owner_id, owner)))
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
    let handle = Handle::of::<U>(user, guest)?;
    let users = table_name::<U>(backend);
    let guests = table_name::<U::Guest>(backend);
    let owner_id = quoted(backend, U::Guest::owner_id().as_str());
    let id = format!(
        "{users}.{}",
        quoted(backend, &owner_key::<U::Guest>().to_string())
    );
    let column = quoted(backend, &handle.column.to_string());
    let new_user = format!("{users} WHERE {users}.{column} = NEW.v0");

    let mut values = vec![handle.value.clone()];
    let (columns, given) = step::<U>(user, &mut values);
    let insert_user = format!("INSERT INTO {users} ({columns}) VALUES ({given});");
    let (columns, given) = step::<U::Guest>(guest, &mut values);
    let insert_guest = match guest.get(U::Guest::owner_id()).is_set() {
        true => format!("INSERT INTO {guests} ({columns}) VALUES ({given});"),
        false if columns.is_empty() => {
            format!("INSERT INTO {guests} ({owner_id}) SELECT {id} FROM {new_user};")
        }
        false => format!(
            "INSERT INTO {guests} ({columns}, {owner_id}) SELECT {given}, {id} FROM {new_user};"
        ),
    };
    let no_user = raised::on_sqlite(&format!("NOT EXISTS (SELECT 1 FROM {new_user})"), NO_USER);
    let no_guest = format!(
        "NOT EXISTS (SELECT 1 FROM {guests} WHERE {owner_id} = (SELECT {id} FROM {new_user}))"
    );
    let no_guest = raised::on_sqlite(&no_guest, NO_GUEST);
    let steps = format!("{insert_user} {no_user} {insert_guest} {no_guest}");
    let answer = backend.build(&stored::<U>(&handle)).sql;
    let sql = sqlite::block(values.len(), &steps, &answer);
    values.push(handle.value);
    match sqlite::run(db, Statement::from_sql_and_values(backend, sql, values)).await {
        Ok(rows) => {
            let new = rows.first().map(both::<U>).transpose();
            new.map_err(unread::<C>)
        }
        Err(refusal) if raised::is(&refusal, NO_USER) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// The columns that are set, and the names of their values, which are added to `values`.
fn step<E: EntityTrait>(row: &E::ActiveModel, values: &mut Vec<Value>) -> (String, String) {
    let mut columns = Vec::new();
    let mut names = Vec::new();
    for column in E::Column::iter() {
        if let Some(value) = row.get(column).into_value() {
            columns.push(quoted(DbBackend::Sqlite, column.as_str()));
            names.push(format!("NEW.v{}", values.len()));
            values.push(value);
        }
    }
    (columns.join(", "), names.join(", "))
}

/// Both rows as they are stored.
fn stored<U: SignUp>(handle: &Handle) -> SelectStatement
where
    U::Guest: Related<U>,
{
    let user_key = (U::default(), owner_key::<U::Guest>());
    let owner = Expr::col((U::Guest::default(), U::Guest::owner_id()));
    let mut both = Query::select();
    select_columns::<U>(&mut both, U::default().table_name(), FIRST);
    select_columns::<U::Guest>(&mut both, U::Guest::default().table_name(), SECOND);
    let is_new = Expr::col((U::default(), handle.column.clone())).eq(handle.value.clone());
    both.from(U::default().table_ref())
        .inner_join(U::Guest::default().table_ref(), owner.equals(user_key))
        .and_where(is_new);
    both
}

// ---- MariaDB ----

async fn on_mariadb<U: SignUp, C: ConnectionTrait>(
    db: &C,
    scope: Scope,
    user: &U::ActiveModel,
    guest: &<U::Guest as EntityTrait>::ActiveModel,
) -> Result<Option<Both<U>>, DbErr>
where
    U::Guest: Related<U>,
{
    let name = match scope {
        Scope::Autocommit => "user with guest",
        Scope::Transaction => "user with guest, in a transaction",
        Scope::Unknown => "user with guest, on any connection",
    };
    let handle = Handle::of::<U>(user, guest)?;
    let by_address = guest.get(U::Guest::owner_id()).is_not_set();
    let statement = Text::of::<U>(name, DbBackend::MySql)
        .and::<U::Guest>()
        .row::<U>(user)
        .row::<U::Guest>(guest)
        .bind_if(by_address, &handle.value)
        .bind(handle.value.clone())
        .or_build(|backend| {
            let user = backend.build(&insert_values::<U>(user));
            let guest = backend.build(&insert_guest_of::<U>(&handle, guest));
            let both = backend.build(&stored::<U>(&handle));
            let no_guest = raised::on_mariadb("ROW_COUNT() = 0", NO_GUEST);
            let steps = format!("{}; {}; {no_guest} {};", user.sql, guest.sql, both.sql);
            let values = [user.values, guest.values, both.values];
            let values = values.into_iter().flatten().flat_map(|values| values.0);
            Statement::from_sql_and_values(backend, mariadb::block(scope, &steps), values)
        });
    match &query(db, statement).await?[..] {
        [row] => both::<U>(row).map(Some).map_err(unread::<C>),
        _ => Err(raised::error(NO_GUEST)),
    }
}

/// `INSERT INTO guests … VALUES …`, or `… SELECT … FROM users WHERE email = ?`.
fn insert_guest_of<U: SignUp>(
    handle: &Handle,
    guest: &<U::Guest as EntityTrait>::ActiveModel,
) -> InsertStatement
where
    U::Guest: Related<U>,
{
    if guest.get(U::Guest::owner_id()).is_set() {
        return insert_values::<U::Guest>(guest);
    }
    let users = U::default().table_name();
    let mut source = Query::select();
    source
        .from(U::default().table_ref())
        .and_where(Expr::col((Alias::new(users), handle.column.clone())).eq(handle.value.clone()));
    insert_guest::<U>(guest, source, users)
}
