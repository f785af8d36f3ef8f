//! Making any number of users with their guests, all of those whose address is free or none.

use std::collections::HashSet;

use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, EntityName, EntityTrait, IdenStatic, ModelTrait,
    QueryResult, Related, Statement, TransactionTrait, sea_query::Query,
};

use super::{
    names::AccountNames as Names,
    sign_up::{Both, both},
};
use crate::statements::{
    alive::leaves_out_no_row,
    block::{mariadb, sqlite},
    evidence::{
        Event, RUNS_ON, folds_on_postgres, leaves_rows_out, literal, of_the_type_of, removed,
        runs_on, skips_rows,
    },
    input::{BESIDE, Given, INPUT, Rows, fit_a_packet},
    key::{Key, only_column},
    parts::{FIRST, SECOND, every_column_of, quoted, select_columns, table_name, text_of, unread},
    raised,
    send::query_large,
};
use crate::{accounts::SignUp, role::Role, scope::Scope};

const NO_GUEST: &str = "a guest was not inserted";
const CHANGED: &str = "a user was inserted with another address";
const UNEXPLAINED: &str = "users were neither inserted nor found";

/// Users, each with its guest.
///
/// A guest finds its user by the key, or by the address if the database makes the keys.
pub(crate) struct Pairs<U: SignUp>
where
    U::Guest: Related<U>,
{
    users: Rows<U>,
    guests: Rows<U::Guest>,
    has_keys: bool,
}

impl<U: SignUp> Pairs<U>
where
    U::Guest: Related<U>,
{
    pub(crate) fn new<'a>(
        pairs: impl Iterator<Item = &'a (U::ActiveModel, GuestOf<U>)> + Clone,
    ) -> Result<Self, DbErr>
    where
        U::ActiveModel: 'a,
        GuestOf<U>: 'a,
    {
        let users = Rows::<U>::new(pairs.clone().map(|(user, _)| user))?;
        let guests = Rows::<U::Guest>::new(pairs.map(|(_, guest)| guest))?;
        let has_keys = users.sets(only_column::<U>()?);
        let guests = match has_keys {
            true => guests,
            false => guests.beside(users.only(U::email()).into_cells()),
        };
        Ok(Self {
            users,
            guests,
            has_keys,
        })
    }

    /// The column, quoted, by which a user of the input is found in the table.
    fn user_column<'a>(&self, names: &'a Names) -> &'a str {
        match self.has_keys {
            true => &names.id,
            false => &names.email,
        }
    }

    /// The INSERT of the guests of those in `users` who are in the input.
    fn insert_guests(&self, backend: DbBackend, given: Given<'_>, users: &str) -> String {
        let Names {
            id, email, user_id, ..
        } = Names::of::<U>(backend);
        if self.has_keys {
            let insert = self.guests.insert(backend, given);
            // MariaDB leaves out no user: the INSERT of the users has failed instead.
            if backend == DbBackend::MySql {
                return insert;
            }
            return format!("{insert} JOIN {users} ON {users}.{id} = {INPUT}.{user_id}");
        }
        let key = format!("{users}.{id}");
        let owner = Some((U::Guest::owner_id(), key.as_str()));
        let insert = self.guests.insert_with(backend, given, owner);
        let beside = self.guests.compared(backend, &quoted(backend, BESIDE));
        // Another collation could take two addresses of the input for one, which would get two guests.
        let exactly = match backend {
            DbBackend::Postgres => " COLLATE \"C\"",
            _ => "",
        };
        format!("{insert} JOIN {users} ON {users}.{email} = {beside}{exactly}")
    }

    fn values(&self, backend: DbBackend) -> Vec<sea_orm::Value> {
        let mut values = self.users.values(backend);
        values.extend(self.guests.values(backend));
        values
    }
}

/// A guest that is not stored yet.
pub(crate) type GuestOf<U> = <<U as SignUp>::Guest as EntityTrait>::ActiveModel;

/// Whether [`insert`] fails if an address is taken: on MariaDB, and on SQLite if only the address
/// shows which of the users it has made.
pub(crate) fn fails_if_taken<U: SignUp, C: ConnectionTrait>(db: &C, pairs: &Pairs<U>) -> bool
where
    U::Guest: Related<U>,
{
    let only_by_address = !pairs.has_keys && db.get_database_backend() == DbBackend::Sqlite;
    leaves_out_no_row(db) || only_by_address
}

/// Inserts the users whose address is free, each with its guest, and returns them as they are
/// stored. Every other address must be that of another user: one that is neither free nor another
/// user's makes the statement fail, see [`is_unexplained`], as a taken one does if
/// [`fails_if_taken`].
///
/// One statement, in the order in which the rows come.
pub(crate) async fn insert<U: SignUp, C>(db: &C, pairs: &Pairs<U>) -> Result<Vec<Both<U>>, DbErr>
where
    C: ConnectionTrait + TransactionTrait,
    U::Guest: Related<U>,
{
    let rows = match db.get_database_backend() {
        DbBackend::Postgres => on_postgres(db, pairs).await?,
        DbBackend::MySql => on_mariadb(db, pairs).await?,
        _ => on_sqlite(db, pairs).await?,
    };
    let new: Result<_, _> = rows.iter().map(both::<U>).collect();
    new.map_err(unread::<C>)
}

/// Whether the error is that of an address which is neither free nor another user's: that user is
/// gone again, or is not visible yet, or something left the row out.
pub(crate) fn is_unexplained(error: &DbErr) -> bool {
    raised::is(error, UNEXPLAINED)
}

/// Whether something can have left the row out. On PostgreSQL the statement itself looks for it,
/// since its error has ended the transaction.
pub(crate) async fn skips_users<U: SignUp>(
    db: &impl ConnectionTrait,
    unexplained: &DbErr,
) -> Result<bool, DbErr>
where
    U::Guest: Related<U>,
{
    match db.get_database_backend() {
        DbBackend::Postgres => Ok(raised::is(unexplained, &format!("{UNEXPLAINED}true"))),
        _ => leaves_rows_out::<U>(db, Event::Insert, &[]).await,
    }
}

/// The addresses among these that users have, by the type and the collation of their column.
/// `locking` is as for [`rows_of_owners`](crate::statements::onboard_all::rows_of_owners). Two
/// statements on PostgreSQL.
pub(crate) async fn taken<U: SignUp>(
    db: &impl ConnectionTrait,
    pairs: &Pairs<U>,
    locking: bool,
) -> Result<HashSet<String>, DbErr>
where
    U::Guest: Related<U>,
{
    let backend = db.get_database_backend();
    let emails = pairs.users.only(U::email());
    let Names { users, email, .. } = Names::of::<U>(backend);
    let mut given = emails.compared(backend, &email);
    if backend == DbBackend::Postgres {
        given = of_the_type_of::<U>(db, &given, U::email()).await?;
    }
    let sql = format!(
        "SELECT input.{email} FROM {} JOIN {users} ON {users}.{email} = {given} LIMIT {}{}",
        emails.table(backend, Given::Binds(0)),
        emails.len(),
        if locking { " LOCK IN SHARE MODE" } else { "" }
    );
    let values = || emails.values(backend);
    fit_a_packet(db, &values()).await?;
    let statement = || Statement::from_sql_and_values(backend, &sql, values());
    let found = query_large(db, statement).await?;
    found.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// Those of the addresses that the collation of their column takes for an earlier one of the input.
/// PostgreSQL leaves them out itself, and no collation of SQLite's own is one for which two addresses
/// are the same.
///
/// `coalesce` has the column's collation, and its subquery no row.
pub(crate) async fn repeated<U: SignUp>(
    db: &impl ConnectionTrait,
    pairs: &Pairs<U>,
) -> Result<HashSet<String>, DbErr>
where
    U::Guest: Related<U>,
{
    let backend = db.get_database_backend();
    if backend != DbBackend::MySql {
        return Ok(HashSet::new());
    }
    let emails = pairs.users.only(U::email());
    let Names { users, email, .. } = Names::of::<U>(backend);
    let sql = format!(
        "SELECT email FROM (SELECT {INPUT}.{email} AS email, row_number() OVER (PARTITION BY \
         coalesce((SELECT {users}.{email} FROM {users} LIMIT 0), {}) ORDER BY {INPUT}.{email}) AS n \
         FROM {}) AS numbered WHERE n > 1 LIMIT {}",
        emails.compared(backend, &email),
        emails.table(backend, Given::Binds(0)),
        emails.len(),
    );
    let statement = || Statement::from_sql_and_values(backend, &sql, emails.values(backend));
    let found = query_large(db, statement).await?;
    found.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// The statement looks up refused addresses row by row, by the unique index: a join would read the
/// whole table of users whenever the planner finds that cheaper.
async fn on_postgres<U: SignUp, C: ConnectionTrait>(
    db: &C,
    pairs: &Pairs<U>,
) -> Result<Vec<QueryResult>, DbErr>
where
    U::Guest: Related<U>,
{
    let backend = DbBackend::Postgres;
    let Names {
        users,
        id,
        email,
        user_id,
        ..
    } = Names::of::<U>(backend);
    let given = pairs.users.values(backend).len();
    let has_guest = format!("new_guest.{user_id}");
    let no_guest = raised::on_postgres(&format!("{has_guest} IS NULL"), NO_GUEST, &has_guest);
    let (table, column) = (literal(&users), literal(U::email().as_str()));
    let skips = format!(
        "({} OR {})",
        skips_rows(&table, Event::Insert),
        folds_on_postgres(&table, &column)
    );
    let unexplained = raised::on_postgres("count(*) > 0", UNEXPLAINED, &skips);
    let mut both = Query::select();
    select_columns::<U>(&mut both, "new_user", FIRST);
    select_columns::<U::Guest>(&mut both, "new_guest", SECOND);
    let sql = format!(
        "WITH new_user AS ({} ON CONFLICT ({email}) DO NOTHING RETURNING {}), \
         new_guest AS ({} RETURNING {}), \
         refused AS (SELECT input.{email} AS email FROM {} \
         LEFT JOIN new_user ON new_user.{email} = input.{email} \
         WHERE new_user.{id} IS NULL OFFSET 0) \
         SELECT {}, {no_guest}, {} OR {} AS {RUNS_ON} FROM new_user \
         LEFT JOIN new_guest ON new_guest.{user_id} = new_user.{id} \
         WHERE (SELECT {unexplained} FROM refused \
         WHERE (SELECT {users}.{id} FROM {users} WHERE {users}.{email} = refused.email) IS NULL) \
         IS NULL",
        pairs.users.insert(backend, Given::Binds(0)),
        every_column_of::<U>(backend),
        pairs.insert_guests(backend, Given::Binds(given), "new_user"),
        every_column_of::<U::Guest>(backend),
        pairs.users.table(backend, Given::Binds(0)),
        text_of(backend, &both),
        runs_on::<U>(backend, Event::Insert),
        runs_on::<U::Guest>(backend, Event::Insert),
    );
    let statement = || Statement::from_sql_and_values(backend, &sql, pairs.values(backend));
    let rows = query_large(db, statement).await?;
    match rows.first() {
        Some(row) if row.try_get("", RUNS_ON)? => {
            let stored = after_triggers(db, pairs, &rows)
                .await
                .map_err(unread::<C>)?;
            match stored.len() {
                made if made == rows.len() => Ok(stored),
                0 => Err(removed::<U>()),
                _ => Err(unread::<C>(removed::<U>())),
            }
        }
        _ => Ok(rows),
    }
}

/// The rows as they are after the triggers of their tables, for PostgreSQL.
async fn after_triggers<U: SignUp>(
    db: &impl ConnectionTrait,
    pairs: &Pairs<U>,
    returned: &[QueryResult],
) -> Result<Vec<QueryResult>, DbErr>
where
    U::Guest: Related<U>,
{
    let backend = DbBackend::Postgres;
    let key = only_column::<U>()?;
    let key_of = |row: &QueryResult| both::<U>(row).map(|(user, _)| Key::of(&user.get(key)));
    let new = returned
        .iter()
        .map(key_of)
        .collect::<Result<HashSet<_>, _>>()?;
    let sql = stored(pairs, backend, Given::Binds(0));
    let values = || pairs.users.values(backend);
    let statement = || Statement::from_sql_and_values(backend, &sql, values());
    let mut rows = Vec::with_capacity(new.len());
    for row in query_large(db, statement).await? {
        // The others have the addresses that were taken.
        if new.contains(&key_of(&row)?) {
            rows.push(row);
        }
    }
    Ok(rows)
}

async fn on_sqlite<U: SignUp, C>(db: &C, pairs: &Pairs<U>) -> Result<Vec<QueryResult>, DbErr>
where
    C: ConnectionTrait + TransactionTrait,
    U::Guest: Related<U>,
{
    let backend = DbBackend::Sqlite;
    let names = Names::of::<U>(backend);
    let on = pairs.user_column(&names);
    let Names {
        users,
        id,
        email,
        guests,
        user_id,
    } = &names;
    let on_conflict = match pairs.has_keys {
        true => format!(" WHERE 1 = 1 ON CONFLICT ({email}) DO NOTHING"),
        false => String::new(),
    };
    let (of_users, of_guests) = (Given::Variable("NEW.v0"), Given::Variable("NEW.v1"));
    let given = pairs.users.table(backend, of_users);
    let unexplained = format!(
        "EXISTS (SELECT 1 FROM {given} LEFT JOIN {users} ON {users}.{email} = input.{email} \
         WHERE {users}.{id} IS NULL)"
    );
    let no_guest = format!(
        "EXISTS (SELECT 1 FROM {given} JOIN {users} ON {users}.{on} = input.{on} \
         LEFT JOIN {guests} ON {guests}.{user_id} = {users}.{id} WHERE {guests}.{user_id} IS NULL)"
    );
    let steps = format!(
        "{}{on_conflict}; {} {}; {}",
        pairs.users.insert(backend, of_users),
        raised::on_sqlite(&unexplained, UNEXPLAINED),
        pairs.insert_guests(backend, of_guests, users),
        raised::on_sqlite(&no_guest, NO_GUEST),
    );
    let answer = stored(pairs, backend, Given::Binds(0));
    let mut values = pairs.values(backend);
    values.extend(pairs.users.values(backend));
    let sql = sqlite::block(2, &steps, &answer);
    sqlite::run(db, Statement::from_sql_and_values(backend, sql, values)).await
}

async fn on_mariadb<U: SignUp, C: ConnectionTrait>(
    db: &C,
    pairs: &Pairs<U>,
) -> Result<Vec<QueryResult>, DbErr>
where
    U::Guest: Related<U>,
{
    let backend = DbBackend::MySql;
    fit_a_packet(db, &pairs.values(backend)).await?;

    let (of_users, of_guests) = (Given::Variable("users_"), Given::Variable("guests_"));
    let Names {
        users, id, email, ..
    } = Names::of::<U>(backend);
    let changed = format!(
        "EXISTS (SELECT 1 FROM {} JOIN {users} ON {users}.{id} = {INPUT}.{id} \
         WHERE BINARY {users}.{email} <> BINARY {INPUT}.{email})",
        pairs.users.table(backend, of_users)
    );
    // Without a key a user whose address was changed is not found, and gets no guest.
    let changed = match pairs.has_keys {
        true => raised::on_mariadb(&changed, CHANGED),
        false => String::new(),
    };
    let steps = format!(
        "BEGIN DECLARE users_ LONGTEXT CHARACTER SET utf8mb4 DEFAULT ?; \
         DECLARE guests_ LONGTEXT CHARACTER SET utf8mb4 DEFAULT ?; DECLARE made bigint; \
         {}; SET made = ROW_COUNT(); {}; {} {changed} {}; END;",
        pairs.users.insert(backend, of_users),
        pairs.insert_guests(backend, of_guests, &table_name::<U>(backend)),
        raised::on_mariadb("ROW_COUNT() <> made", NO_GUEST),
        stored(pairs, backend, of_users),
    );
    let sql = mariadb::block(Scope::of::<C>(), &steps);
    let statement = || Statement::from_sql_and_values(backend, &sql, pairs.values(backend));
    query_large(db, statement).await
}

/// The users of the input, each with its guest. A limit of its own overrides `sql_select_limit`.
fn stored<U: SignUp>(pairs: &Pairs<U>, backend: DbBackend, given: Given<'_>) -> String
where
    U::Guest: Related<U>,
{
    let names = Names::of::<U>(backend);
    let on = pairs.user_column(&names);
    let Names {
        users,
        id,
        guests,
        user_id,
        ..
    } = &names;
    let mut both = Query::select();
    select_columns::<U>(&mut both, U::default().table_name(), FIRST);
    select_columns::<U::Guest>(&mut both, U::Guest::default().table_name(), SECOND);
    format!(
        "SELECT {} FROM {} JOIN {users} ON {users}.{on} = {} \
         JOIN {guests} ON {guests}.{user_id} = {users}.{id} LIMIT {}",
        text_of(backend, &both),
        pairs.users.table(backend, given),
        pairs.users.compared(backend, on),
        i64::MAX
    )
}
