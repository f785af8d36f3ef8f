//! Reading the owners who lack a role.

use sea_orm::{
    ConnectionTrait, DbErr, EntityName, Order, Related, TryGetableMany, Value,
    sea_query::{Expr, ExprTrait, Query},
};

use super::{
    key::first_column,
    parts::{as_stored_in, owner_key},
    send::look,
};
use crate::role::{OwnerId, Role};

/// The keys of at most `limit` owners after this one who do not have the role, ascending.
pub(crate) async fn owners_without<R>(
    db: &impl ConnectionTrait,
    after: Option<Value>,
    limit: u64,
) -> Result<Vec<OwnerId<R>>, DbErr>
where
    R: Role + Related<R::Owner>,
{
    let backend = db.get_database_backend();
    let name = owner_key::<R>();
    let is_after = |after: &Value| {
        let column = first_column::<R::Owner>();
        Expr::col((R::Owner::default(), column)).gt(as_stored_in(column, after, backend))
    };
    let owner_id = || Expr::col((R::default(), R::owner_id()));
    // PostgreSQL does not infer it, and would read the roles of all owners before `after`.
    let mut on = owner_id().equals((R::Owner::default(), name.clone()));
    if let Some(after) = &after {
        on = on.and(owner_id().gt(as_stored_in(R::owner_id(), after, backend)));
    }
    let mut select = Query::select();
    select
        .column((R::Owner::default(), name.clone()))
        .from(R::Owner::default().table_ref())
        .left_join(R::default().table_ref(), on)
        .and_where(owner_id().is_null())
        .and_where_option(after.as_ref().map(is_after))
        .order_by((R::Owner::default(), name.clone()), Order::Asc)
        .limit(limit);
    let rows = look(db, backend.build(&select)).await?;
    let read = |row| OwnerId::<R>::try_get_many(row, "", &[name.to_string()]);
    let keys = rows.iter().map(read);
    Ok(keys.collect::<Result<_, _>>()?)
}
