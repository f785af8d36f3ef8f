//! Reading the owners who lack a role.

use sea_orm::{
    ConnectionTrait, DbErr, EntityName, Order, Related, TryGetableMany, Value,
    sea_query::{Expr, ExprTrait, Query},
};

use super::{parts::owner_key, send::look};
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
    let name = owner_key::<R>();
    let key = || Expr::col((R::Owner::default(), name.clone()));
    let owner_id = || Expr::col((R::default(), R::owner_id()));
    // PostgreSQL does not infer it, and would read the roles of all owners before `after`.
    let mut on = owner_id().equals((R::Owner::default(), name.clone()));
    if let Some(after) = after.clone() {
        on = on.and(owner_id().gt(after));
    }
    let mut select = Query::select();
    select
        .column((R::Owner::default(), name.clone()))
        .from(R::Owner::default().table_ref())
        .left_join(R::default().table_ref(), on)
        .and_where(owner_id().is_null())
        .and_where_option(after.map(|after| key().gt(after)))
        .order_by((R::Owner::default(), name.clone()), Order::Asc)
        .limit(limit);
    let rows = look(db, db.get_database_backend().build(&select)).await?;
    let read = |row| OwnerId::<R>::try_get_many(row, "", &[name.to_string()]);
    let keys = rows.iter().map(read);
    Ok(keys.collect::<Result<_, _>>()?)
}
