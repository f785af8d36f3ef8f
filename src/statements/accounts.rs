//! Reading users with guest and host: one SELECT with two LEFT JOINs.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, Iterable, Order, QueryResult,
    Statement,
    sea_query::{Expr, ExprTrait, Query, SelectStatement},
};
use uuid::Uuid;

use super::{see_what_was_clashed_with, text::Text};
use crate::{guest, host, user};

/// What a row of the SELECT holds.
pub(crate) type Row = (user::Model, Option<guest::Model>, Option<host::Model>);

pub(crate) async fn by_id(db: &impl ConnectionTrait, user_id: Uuid) -> Result<Option<Row>, DbErr> {
    let statement = Text::of::<user::Entity>("account by id", db.get_database_backend())
        .bind(user_id)
        .or_build(|backend| {
            let mut select = select(None);
            backend.build(select.and_where(user::Column::Id.eq(user_id)))
        });
    Ok(read(db, statement).await?.pop())
}

pub(crate) async fn by_email(db: &impl ConnectionTrait, email: &str) -> Result<Option<Row>, DbErr> {
    let statement = Text::of::<user::Entity>("account by email", db.get_database_backend())
        .bind(email)
        .or_build(|backend| {
            let mut select = select(None);
            backend.build(select.and_where(user::Column::Email.eq(email)))
        });
    Ok(read(db, statement).await?.pop())
}

/// Those, two at most, that have this id or this address.
pub(crate) async fn in_the_way(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    email: &str,
) -> Result<Vec<Row>, DbErr> {
    let either = user::Column::Id
        .eq(user_id)
        .or(user::Column::Email.eq(email));
    let mut select = select(None);
    let mut statement = db.get_database_backend().build(select.and_where(either));
    see_what_was_clashed_with(&mut statement);
    read(db, statement).await
}

/// So many after this user id, ascending, of those that a condition lets through.
pub(crate) async fn page(
    db: &impl ConnectionTrait,
    only: Option<Expr>,
    after: Option<Uuid>,
    limit: u64,
) -> Result<Vec<Row>, DbErr> {
    let backend = db.get_database_backend();
    let mut select = select(after.filter(|_| backend == DbBackend::Postgres));
    select
        .and_where_option(after.map(|after| user::Column::Id.gt(after)))
        .and_where_option(only)
        .order_by((user::Entity, user::Column::Id), Order::Asc)
        .limit(limit);
    read(db, backend.build(&select)).await
}

/// The joins begin where the users do, if that is given. PostgreSQL does not conclude it by itself:
/// it would read the guests and hosts of all users before `after`, to throw them away.
fn select(after: Option<Uuid>) -> SelectStatement {
    let mut select = Query::select();
    select.from(user::Entity);
    columns::<user::Entity>(&mut select);
    left_join::<guest::Entity>(&mut select, guest::Column::UserId, after);
    left_join::<host::Entity>(&mut select, host::Column::UserId, after);
    select
}

fn left_join<R: EntityTrait>(
    select: &mut SelectStatement,
    user_id: R::Column,
    after: Option<Uuid>,
) {
    let of_user = Expr::col((R::default(), user_id)).equals((user::Entity, user::Column::Id));
    let on = match after {
        Some(after) => of_user.and(user_id.gt(after)),
        None => of_user,
    };
    select.left_join(R::default(), on);
    columns::<R>(select);
}

fn columns<E: EntityTrait>(select: &mut SelectStatement) {
    select.exprs(E::Column::iter().map(|column| column.select_as(column.into_expr())));
}

async fn read(db: &impl ConnectionTrait, select: Statement) -> Result<Vec<Row>, DbErr> {
    let rows = db.query_all_raw(select).await?;
    rows.iter().map(read_row).collect()
}

/// Takes the columns by position: SeaORM's own reading looks each one up by a name that it puts
/// together first, which for a page takes as long as the database does.
fn read_row(row: &QueryResult) -> Result<Row, DbErr> {
    let user = user::Model {
        id: row.try_get_by_index(0)?,
        email: row.try_get_by_index(1)?,
        created_at: row.try_get_by_index(2)?,
        updated_at: row.try_get_by_index(3)?,
    };
    let guest = match row.try_get_by_index(4)? {
        Some(id) => Some(guest::Model {
            id,
            user_id: row.try_get_by_index(5)?,
            created_at: row.try_get_by_index(6)?,
            updated_at: row.try_get_by_index(7)?,
        }),
        None => None,
    };
    let host = match row.try_get_by_index(8)? {
        Some(id) => Some(host::Model {
            id,
            user_id: row.try_get_by_index(9)?,
            created_at: row.try_get_by_index(10)?,
            updated_at: row.try_get_by_index(11)?,
        }),
        None => None,
    };
    Ok((user, guest, host))
}

#[cfg(test)]
mod tests {
    use sea_orm::{IdenStatic, Iterable};

    use super::*;

    fn columns<E: EntityTrait>() -> Vec<&'static str> {
        E::Column::iter().map(|column| column.as_str()).collect()
    }

    /// A column that `sync` adds or moves has its place here too.
    #[test]
    fn the_columns_are_read_in_the_order_in_which_they_are_selected() {
        let users = ["id", "email", "created_at", "updated_at"];
        assert_eq!(columns::<user::Entity>(), users);
        let roles = ["id", "user_id", "created_at", "updated_at"];
        assert_eq!(columns::<guest::Entity>(), roles);
        assert_eq!(columns::<host::Entity>(), roles);
    }
}
