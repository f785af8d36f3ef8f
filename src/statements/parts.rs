//! Parts that the statements share.

use std::{borrow::Cow, fmt::Write as _, sync::Arc};

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ColumnType, ConnectionTrait, DbBackend, DbErr, EntityTrait,
    FromQueryResult, IdenStatic, Iterable, ModelTrait, PrimaryKeyToColumn, QueryResult, Related,
    RuntimeErr, Statement, Value,
    sea_query::{
        Alias, CommonTableExpression, DynIden, Expr, ExprTrait, InsertStatement, OnConflict, Query,
        ReturningClause, SelectStatement, SubQueryStatement, Values,
    },
    sqlx,
};

use super::{
    block::mariadb::columns,
    key::{first_column, refers_to_the_key},
};
use crate::{role::Role, scope::Scope};

/// The primary key of the role's owner.
pub(super) fn owner_key<R>() -> DynIden
where
    R: Role + Related<R::Owner>,
{
    DynIden::from(first_column::<R::Owner>().as_str())
}

/// A value to compare with this column, as its own type reads it: `citext` without regard to case,
/// and PostgreSQL's `char(n)` without the blanks that it is padded with.
pub(super) fn as_stored_in<C: ColumnTrait>(column: C, value: &Value, backend: DbBackend) -> Expr {
    typed(column, column.save_as(Expr::val(value.clone())), backend)
}

/// The same for a value that the statement holds already.
pub(super) fn typed<C: ColumnTrait>(column: C, value: Expr, backend: DbBackend) -> Expr {
    let is_padded = matches!(column.def().get_column_type(), ColumnType::Char(_));
    match is_padded && backend == DbBackend::Postgres {
        true => value.cast_as("bpchar"),
        false => value,
    }
}

/// The prefix of the column names of the first of several models in a row, as in SeaORM's own
/// joins.
pub(super) const FIRST: &str = "A_";
/// The same for the second one.
pub(super) const SECOND: &str = "B_";

/// The alias of a role beside its owner, since both may be of one table.
pub(super) const ROLE: &str = "role";

/// `SELECT 1` of the role's row that belongs to the owner in the surrounding statement.
pub(super) fn of_the_owner<R>() -> Result<SelectStatement, DbErr>
where
    R: Role + Related<R::Owner>,
{
    refers_to_the_key::<R>()?;
    let owner = (R::Owner::default(), owner_key::<R>());
    let select = Query::select()
        .expr(Expr::cust("1"))
        .from_as(R::default().table_ref(), ROLE)
        .and_where(Expr::col((ROLE, R::owner_id())).equals(owner))
        .take();
    Ok(select)
}

/// The quoted name of the entity's table, for SQL that is written as text.
pub(super) fn table_name<E: EntityTrait>(backend: DbBackend) -> String {
    let entity = E::default();
    let name = quoted(backend, entity.table_name());
    match entity.schema_name() {
        Some(schema) => format!("{}.{name}", quoted(backend, schema)),
        None => name,
    }
}

/// The quoted name of a column or a table.
pub(super) fn quoted(backend: DbBackend, name: &str) -> String {
    let quote = match backend {
        DbBackend::MySql => '`',
        _ => '"',
    };
    let doubled = format!("{quote}{quote}");
    format!("{quote}{}{quote}", name.replace(quote, &doubled))
}

/// `INSERT INTO table (columns) VALUES (values)`, of the columns that are set.
pub(super) fn insert_values<E: EntityTrait>(row: &E::ActiveModel) -> InsertStatement {
    let (columns, values) = set_columns::<E>(row);
    let mut insert = Query::insert();
    insert
        .into_table(E::default().table_ref())
        .columns(columns)
        .values_panic(values);
    insert
}

/// `INSERT INTO table (columns) SELECT values FROM …`: one row if the source has one, else none.
pub(super) fn insert_select<E: EntityTrait>(
    row: &E::ActiveModel,
    source: SelectStatement,
) -> InsertStatement {
    insert_select_with::<E>(row, source, None)
}

/// The same with one more column, which comes from the source.
pub(super) fn insert_select_with<E: EntityTrait>(
    row: &E::ActiveModel,
    mut source: SelectStatement,
    one_more: Option<(E::Column, Expr)>,
) -> InsertStatement {
    let (mut columns, mut values) = set_columns::<E>(row);
    if let Some((column, value)) = one_more {
        columns.push(column);
        values.push(value);
    }
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

pub(super) fn do_nothing_on(column: impl ColumnTrait) -> OnConflict {
    OnConflict::column(column).do_nothing().to_owned()
}

/// The columns as a statement around this one reads them.
pub(super) fn every_column<E: EntityTrait>() -> ReturningClause {
    Query::returning().columns(E::Column::iter())
}

/// The columns as a model is read from them: enums come as text.
pub(super) fn returning<E: EntityTrait>() -> ReturningClause {
    Query::returning().exprs(E::Column::iter().map(|column| column.select_as(Expr::col(column))))
}

/// The clause that SeaORM does not write for MariaDB (D3).
pub(super) fn returning_on_mariadb<E: EntityTrait>() -> String {
    format!(" RETURNING {}", columns::<E>())
}

pub(super) fn select_columns<E: EntityTrait>(
    select: &mut SelectStatement,
    table: &str,
    prefix: &str,
) {
    for column in E::Column::iter() {
        select.expr_as(
            column.select_as(Expr::col((Alias::new(table), column))),
            Alias::new(format!("{prefix}{}", column.as_str())),
        );
    }
}

pub(super) fn cte(name: &str, query: impl Into<SubQueryStatement>) -> CommonTableExpression {
    CommonTableExpression::new()
        .table_name(Alias::new(name))
        .query(query)
        .to_owned()
}

/// Expressions without binds, as text.
pub(super) fn expressions(backend: DbBackend, list: impl IntoIterator<Item = Expr>) -> String {
    let mut select = Query::select();
    select.exprs(list);
    text_of(backend, &select)
}

/// The columns of the table of this name as a model is read from them.
pub(super) fn columns_of<E: EntityTrait>(backend: DbBackend, table: &str) -> String {
    let mut select = Query::select();
    select_columns::<E>(&mut select, table, "");
    text_of(backend, &select)
}

/// The same for RETURNING.
pub(super) fn returned<E: EntityTrait>(backend: DbBackend) -> String {
    let mut select = Query::select();
    for column in E::Column::iter() {
        let read = column.select_as(Expr::col(column));
        select.expr_as(read, Alias::new(column.as_str()));
    }
    text_of(backend, &select)
}

/// The columns of the entity's table as a statement around this one reads them.
pub(super) fn every_column_of<E: EntityTrait>(backend: DbBackend) -> String {
    expressions(backend, E::Column::iter().map(Expr::col))
}

/// What a SELECT selects that has nothing but expressions.
pub(super) fn text_of(backend: DbBackend, select: &SelectStatement) -> String {
    let sql = backend.build(select).sql;
    sql.strip_prefix("SELECT ").unwrap_or(&sql).to_owned()
}

/// As [`returning`], with one expression more.
pub(super) fn returning_and<E: EntityTrait>(
    one_more: impl Into<Cow<'static, str>>,
) -> ReturningClause {
    let columns = E::Column::iter().map(|column| column.select_as(Expr::col(column)));
    Query::returning().exprs(columns.chain([Expr::cust(one_more)]))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// Two statements that are sent to SQLite as one.
pub(super) fn then(mut first: Statement, second: Statement) -> Statement {
    first.sql.push_str("; ");
    first.sql.push_str(&second.sql);
    let values = [first.values.take(), second.values].into_iter().flatten();
    first.values = Some(Values(values.flat_map(|values| values.0).collect()));
    first
}

/// In a transaction under REPEATABLE READ on MariaDB a plain read does not see the row that was
/// just clashed with, and FOR UPDATE deadlocks callers who all look at the same row. MariaDB has no
/// FOR SHARE.
pub(super) fn see_what_was_clashed_with<C: ConnectionTrait>(select: &mut Statement) {
    if select.db_backend == DbBackend::MySql && Scope::of::<C>() != Scope::Autocommit {
        select.sql.push_str(" LOCK IN SHARE MODE");
    }
}

/// The model in a row. A row that this build cannot decode is an error; SeaORM's
/// `from_query_result_optional` treats it as missing.
pub(super) fn read<E: EntityTrait>(row: &QueryResult, prefix: &str) -> Result<E::Model, DbErr> {
    check_range(row)?;
    E::Model::from_query_result(row, prefix)
}

/// Whether both are one row: another caller may have put its own in the place of the first.
pub(super) fn is_same_row<E: EntityTrait>(one: &E::Model, other: &E::Model) -> bool {
    let mut keys = E::PrimaryKey::iter().map(PrimaryKeyToColumn::into_column);
    keys.all(|key| one.get(key) == other.get(key))
}

/// The model in the answer to a write.
pub(super) fn read_written<E: EntityTrait, C: ConnectionTrait>(
    row: &QueryResult,
    prefix: &str,
) -> Result<E::Model, DbErr> {
    read::<E>(row, prefix).map_err(unread::<C>)
}

/// An error that came after a write had been done. Unless it is the caller's transaction that keeps
/// the write, nobody may take it for one that wrote nothing.
pub(super) fn unread<C: ConnectionTrait>(error: DbErr) -> DbErr {
    match Scope::of::<C>() {
        Scope::Transaction => error,
        Scope::Autocommit | Scope::Unknown => {
            let lost = sqlx::Error::Protocol(error.to_string());
            DbErr::Query(RuntimeErr::SqlxError(Arc::new(lost)))
        }
    }
}

/// Fails where sqlx would panic: a timestamp of PostgreSQL that is infinite or beyond what chrono
/// holds.
pub(super) fn check_range(row: &QueryResult) -> Result<(), DbErr> {
    #[cfg(feature = "postgres")]
    if let Some(row) = row.try_as_pg_row() {
        return postgres::check_range(row);
    }
    let _ = row;
    Ok(())
}

#[cfg(feature = "postgres")]
mod postgres {
    use sea_orm::{
        DbErr,
        sqlx::{
            Column, Row, TypeInfo, ValueRef,
            postgres::{PgRow, PgValueFormat::Binary},
        },
    };

    /// The years 1 to 9999 in days since 2000-01-01. PostgreSQL sends dates as such days, and
    /// timestamps as microseconds since then.
    const DAYS: std::ops::RangeInclusive<i64> = -730_119..=2_921_939;
    const MICROSECONDS_A_DAY: i64 = 86_400_000_000;

    pub(super) fn check_range(row: &PgRow) -> Result<(), DbErr> {
        for (index, column) in row.columns().iter().enumerate() {
            let kind = column.type_info().name();
            let element = kind.strip_suffix("[]");
            if !matches!(
                element.unwrap_or(kind),
                "TIMESTAMPTZ" | "TIMESTAMP" | "DATE"
            ) {
                continue;
            }
            let value = row.try_get_raw(index).ok();
            let value = value.filter(|value| !value.is_null() && value.format() == Binary);
            let Some(bytes) = value.and_then(|value| value.as_bytes().ok()) else {
                continue;
            };
            let is_in_range = match element {
                Some(_) => elements(bytes).all(is_in_range),
                None => is_in_range(bytes),
            };
            if !is_in_range {
                let column = column.name();
                return Err(DbErr::Type(format!("{column} is beyond the year 9999")));
            }
        }
        Ok(())
    }

    /// A timestamp has eight bytes, a date four.
    fn is_in_range(value: &[u8]) -> bool {
        let days = match (value.try_into(), value.try_into()) {
            (Ok(time), _) => i64::from_be_bytes(time).div_euclid(MICROSECONDS_A_DAY),
            (_, Ok(day)) => i64::from(i32::from_be_bytes(day)),
            _ => return true,
        };
        DAYS.contains(&days)
    }

    /// The elements of an array that are not null. It begins with the number of its dimensions, two
    /// numbers for all and two for each of them; each element has its length before it.
    /// <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/utils/adt/arrayfuncs.c>,
    /// `array_send`.
    fn elements(array: &[u8]) -> impl Iterator<Item = &[u8]> {
        let dimensions = array
            .first_chunk::<4>()
            .map_or(0, |n| u32::from_be_bytes(*n));
        let mut rest = array
            .get(12 + 8 * dimensions as usize..)
            .unwrap_or_default();
        std::iter::from_fn(move || {
            loop {
                let (length, after) = rest.split_first_chunk::<4>()?;
                rest = after;
                if let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) {
                    let (element, after) = rest.split_at_checked(length)?;
                    rest = after;
                    return Some(element);
                }
            }
        })
    }
}
