//! Giving a user another e-mail address.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbBackend, DbErr, Iterable, Related, Statement,
    Value,
    sea_query::{Expr, ExprTrait, Query, SelectStatement, UpdateStatement},
};

use crate::statements::{
    block::mariadb,
    evidence::{Event, runs_on},
    key::first_column,
    parts::{as_stored_in, read, read_written, returning_and, select_columns, unread},
    send::query,
    text::Text,
};
use crate::{accounts::SignUp, scope::Scope};

/// Updates the columns that are set in the user with this key and returns the user as it is stored;
/// `None` if no row was changed. A clash that the database reports is an error.
///
/// One statement, and a SELECT if a trigger of PostgreSQL or SQLite runs on the user; in a
/// transaction on PostgreSQL the three of a block and a SELECT.
pub(crate) async fn update<U: SignUp, C: ConnectionTrait>(
    db: &C,
    key: &Value,
    change: &U::ActiveModel,
) -> Result<Option<U::Model>, DbErr>
where
    U::Guest: Related<U>,
{
    match db.get_database_backend() {
        #[cfg(feature = "postgres")]
        DbBackend::Postgres if crate::statements::alive::is_transaction_on_postgres(db).await? => {
            in_a_block_on_postgres::<U, C>(db, key, change).await
        }
        DbBackend::MySql => on_mariadb::<U, C>(db, key, change).await,
        backend => {
            let mut update = update_statement::<U>(key, change, backend);
            update.returning(returning_and::<U>(runs_on::<U>(backend, Event::Update)));
            let rows = query(db, backend.build(&update)).await?;
            match rows.first() {
                Some(row) if row.try_get_by_index(U::Column::iter().count())? => {
                    stored::<U, C>(db, key).await.map_err(unread::<C>)
                }
                row => row.map(|row| read_written::<U, C>(row, "")).transpose(),
            }
        }
    }
}

fn update_statement<U: SignUp>(
    key: &Value,
    change: &U::ActiveModel,
    backend: DbBackend,
) -> UpdateStatement
where
    U::Guest: Related<U>,
{
    let column = first_column::<U>();
    let mut update = Query::update();
    update
        .table(U::default().table_ref())
        .values(
            set_values::<U>(change)
                .map(|(column, value)| (column, column.save_as(Expr::val(value)))),
        )
        .and_where(Expr::col(column).eq(as_stored_in(column, key, backend)));
    update
}

fn set_values<U: SignUp>(change: &U::ActiveModel) -> impl Iterator<Item = (U::Column, Value)>
where
    U::Guest: Related<U>,
{
    U::Column::iter().filter_map(|column| {
        let value = change.get(column);
        value
            .is_set()
            .then(|| value.into_value())
            .flatten()
            .map(|value| (column, value))
    })
}

#[cfg(feature = "postgres")]
async fn in_a_block_on_postgres<U: SignUp, C: ConnectionTrait>(
    db: &C,
    key: &Value,
    change: &U::ActiveModel,
) -> Result<Option<U::Model>, DbErr>
where
    U::Guest: Related<U>,
{
    use sea_orm::IdenStatic;

    use crate::statements::{
        alive::turn_on_unknown,
        block::postgres,
        parts::{owner_key, quoted, table_name},
    };

    let _turn = turn_on_unknown(db).await;
    let backend = DbBackend::Postgres;
    let table = table_name::<U>(backend);
    let key_column = quoted(backend, &owner_key::<U::Guest>().to_string());
    let mut values = vec![(format!("{table}.{key_column}%TYPE"), key.clone())];
    let mut assignments = Vec::new();
    for (column, value) in set_values::<U>(change) {
        let column = quoted(backend, column.as_str());
        assignments.push(format!("{column} = v{}", values.len()));
        values.push((format!("{table}.{column}%TYPE"), value));
    }
    let steps = format!(
        "UPDATE {table} SET {} WHERE {key_column} = v0; GET DIAGNOSTICS changed = ROW_COUNT;",
        assignments.join(", ")
    );
    match postgres::run(db, &values, &steps).await? {
        0 => Ok(None),
        _ => stored::<U, C>(db, key).await,
    }
}

/// The same statement reads the user: otherwise another call could delete it in between, and the
/// change would be reported as refused.
async fn on_mariadb<U: SignUp, C: ConnectionTrait>(
    db: &C,
    key: &Value,
    change: &U::ActiveModel,
) -> Result<Option<U::Model>, DbErr>
where
    U::Guest: Related<U>,
{
    let backend = DbBackend::MySql;
    let update = backend.build(&update_statement::<U>(key, change, backend));
    let user = backend.build(&the_user::<U>(key, backend));
    // sqlx makes the server count the rows that were found, changed or not.
    let steps = format!(
        "{}; IF ROW_COUNT() > 0 THEN {}; END IF;",
        update.sql, user.sql
    );
    let values = [update.values, user.values].into_iter().flatten();
    let values: Vec<_> = values.flat_map(|values| values.0).collect();
    let block = mariadb::block(Scope::of::<C>(), &steps);
    let rows = query(db, Statement::from_sql_and_values(backend, block, values)).await?;
    let user = rows.first().map(|row| read_written::<U, C>(row, ""));
    user.transpose()
}

async fn stored<U: SignUp, C: ConnectionTrait>(
    db: &C,
    key: &Value,
) -> Result<Option<U::Model>, DbErr>
where
    U::Guest: Related<U>,
{
    let statement = Text::of::<U>("user", db.get_database_backend())
        .bind(key.clone())
        .or_build(|backend| backend.build(&the_user::<U>(key, backend)));
    let rows = query(db, statement).await?;
    rows.first().map(|row| read::<U>(row, "")).transpose()
}

fn the_user<U: SignUp>(key: &Value, backend: DbBackend) -> SelectStatement
where
    U::Guest: Related<U>,
{
    let column = first_column::<U>();
    let mut select = Query::select();
    select_columns::<U>(&mut select, U::default().table_name(), "");
    select
        .from(U::default().table_ref())
        .and_where(Expr::col((U::default(), column)).eq(as_stored_in(column, key, backend)));
    select
}
