//! Reading users with guest and host: one SELECT with two LEFT JOINs.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryResult, QuerySelect,
    QueryTrait, SelectThree, Statement, TopologyStar,
    sea_query::{Expr, ExprTrait},
};
use uuid::Uuid;

use super::see_what_was_clashed_with;
use crate::{guest, host, user};

/// What a row of the SELECT holds.
pub(crate) type Row = (user::Model, Option<guest::Model>, Option<host::Model>);

pub(crate) type Select = SelectThree<user::Entity, guest::Entity, host::Entity, TopologyStar>;

pub(crate) fn select() -> Select {
    user::Entity::find()
        .find_also_related(guest::Entity)
        .find_also_related(host::Entity)
}

pub(crate) async fn one(db: &impl ConnectionTrait, which: Expr) -> Result<Option<Row>, DbErr> {
    let rows = all(db, select().filter(which).limit(1)).await?;
    Ok(rows.into_iter().next())
}

pub(crate) async fn all(db: &impl ConnectionTrait, select: Select) -> Result<Vec<Row>, DbErr> {
    read(db, select.build(db.get_database_backend())).await
}

/// Those, two at most, that have this id or this address.
pub(crate) async fn in_the_way(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    email: &str,
) -> Result<Vec<Row>, DbErr> {
    let id = user::Column::Id.eq(user_id);
    let address = user::Column::Email.eq(email);
    let mut statement = select()
        .filter(id.or(address))
        .build(db.get_database_backend());
    see_what_was_clashed_with(&mut statement);
    read(db, statement).await
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
