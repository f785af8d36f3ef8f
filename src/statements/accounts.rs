//! Reading users with guest and host: one SELECT with two LEFT JOINs.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryResult,
    QueryTrait, SelectThree, TopologyStar,
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
    select().filter(which).one(db).await
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
    db.query_all_raw(statement)
        .await?
        .iter()
        .map(read)
        .collect()
}

fn read(row: &QueryResult) -> Result<Row, DbErr> {
    Ok((
        user::Model::from_query_result(row, "A_")?,
        guest::Model::from_query_result_optional(row, "B_")?,
        host::Model::from_query_result_optional(row, "C_")?,
    ))
}
