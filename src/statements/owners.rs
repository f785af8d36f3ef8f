//! Reading owners page by page, and the row of a role beside each.

use std::{any::TypeId, fmt};

use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, EntityTrait, IdenStatic, JoinType, ModelTrait, Order,
    QueryResult, Related, TryGetError, TryGetableMany, Value,
    sea_query::{Condition, Expr, ExprTrait, Query, SelectStatement},
};

use super::{
    key::refers_to_the_key,
    parts::{FIRST, ROLE, SECOND, as_stored_in, of_the_owner, read, select_columns},
    send::look,
};
use crate::role::{Beside, OwnerId, Role};

/// Whether an owner has a role.
#[derive(Clone, Copy)]
pub(crate) struct Has {
    role: TypeId,
    table: &'static str,
    of_the_owner: fn() -> Result<SelectStatement, DbErr>,
    yes: bool,
}

impl Has {
    pub(crate) fn role<R>(yes: bool) -> Self
    where
        R: Role + Related<R::Owner>,
    {
        Self {
            role: TypeId::of::<R>(),
            table: R::default().table_name(),
            of_the_owner: of_the_owner::<R>,
            yes,
        }
    }

    fn condition(&self) -> Result<Expr, DbErr> {
        let exists = Expr::exists((self.of_the_owner)()?);
        Ok(match self.yes {
            true => exists,
            false => exists.not(),
        })
    }
}

impl PartialEq for Has {
    fn eq(&self, other: &Self) -> bool {
        (self.role, self.yes) == (other.role, other.yes)
    }
}

impl fmt::Debug for Has {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.yes { "with " } else { "without " })?;
        f.write_str(self.table)
    }
}

/// Which owners are meant.
#[derive(Clone)]
pub(crate) struct Filter {
    pub(crate) roles: Vec<Has>,
    /// On the owner's own columns.
    pub(crate) condition: Condition,
}

impl Filter {
    fn apply(&self, select: &mut SelectStatement) -> Result<(), DbErr> {
        for role in &self.roles {
            select.and_where(role.condition()?);
        }
        select.cond_where(self.condition.clone());
        Ok(())
    }
}

/// Which owners a page has, and from where.
pub(crate) struct Page<'a, U: EntityTrait> {
    /// The primary key.
    pub(crate) key: U::Column,
    pub(crate) filter: &'a Filter,
    pub(crate) after: Option<Value>,
    pub(crate) limit: u64,
}

/// How many owners pass the filter.
pub(crate) async fn count<U: EntityTrait>(
    db: &impl ConnectionTrait,
    filter: &Filter,
) -> Result<u64, DbErr> {
    let mut select = Query::select();
    select
        .expr(Expr::cust("count(*)"))
        .from(U::default().table_ref());
    filter.apply(&mut select)?;
    let rows = look(db, db.get_database_backend().build(&select)).await?;
    let row = rows.first();
    let row = row.ok_or_else(|| DbErr::RecordNotFound("a count".into()))?;
    row.try_get_by_index::<i64>(0).map(i64::unsigned_abs)
}

/// The owners of a page.
pub(crate) async fn page<U: EntityTrait>(
    db: &impl ConnectionTrait,
    page: Page<'_, U>,
) -> Result<Vec<U::Model>, DbErr> {
    let backend = db.get_database_backend();
    let select = select::<U>(&page, backend)?;
    let rows = look(db, backend.build(&select)).await?;
    rows.iter().map(|row| read::<U>(row, FIRST)).collect()
}

/// The owners of a page, each with its row of a role.
pub(crate) async fn page_beside<R>(
    db: &impl ConnectionTrait,
    page: Page<'_, R::Owner>,
) -> Result<Vec<Beside<R>>, DbErr>
where
    R: Role + Related<R::Owner>,
{
    refers_to_the_key::<R>()?;
    let backend = db.get_database_backend();
    let owner_id = || Expr::col((ROLE, R::owner_id()));
    let mut on = owner_id().equals((R::Owner::default(), page.key));
    if let Some(after) = &page.after {
        // PostgreSQL does not infer it, and would read the roles of all owners before `after`.
        on = on.and(owner_id().gt(as_stored_in(R::owner_id(), after, backend)));
    }
    let mut select = select::<R::Owner>(&page, backend)?;
    select.join_as(JoinType::LeftJoin, R::default().table_ref(), ROLE, on);
    select_columns::<R>(&mut select, ROLE, SECOND);

    let rows = look(db, backend.build(&select)).await?;
    let read_both = |row| Ok((read::<R::Owner>(row, FIRST)?, read_role::<R>(row)?));
    let owners: Vec<_> = rows.iter().map(read_both).collect::<Result<_, DbErr>>()?;
    let of = |(owner, _): &Beside<R>| owner.get(page.key);
    if owners.windows(2).any(|pair| of(&pair[0]) == of(&pair[1])) {
        return Err(DbErr::Custom(format!(
            "{}.{} is not unique: an owner has several rows",
            R::default().table_name(),
            R::owner_id().as_str()
        )));
    }
    Ok(owners)
}

/// `None` only where the join found no row: a row that cannot be read is an error.
fn read_role<R>(row: &QueryResult) -> Result<Option<R::Model>, DbErr>
where
    R: Role + Related<R::Owner>,
{
    let columns = [R::owner_id().as_str().to_owned()];
    match OwnerId::<R>::try_get_many(row, SECOND, &columns) {
        Err(TryGetError::Null(_)) => Ok(None),
        Err(TryGetError::DbErr(error)) => Err(error),
        Ok(_) => read::<R>(row, SECOND).map(Some),
    }
}

fn select<U: EntityTrait>(
    page: &Page<'_, U>,
    backend: DbBackend,
) -> Result<SelectStatement, DbErr> {
    let column = || (U::default(), page.key);
    let mut select = Query::select();
    select_columns::<U>(&mut select, U::default().table_name(), FIRST);
    select
        .from(U::default().table_ref())
        .and_where_option(
            page.after
                .as_ref()
                .map(|after| Expr::col(column()).gt(as_stored_in(page.key, after, backend))),
        )
        .order_by(column(), Order::Asc)
        .limit(page.limit);
    page.filter.apply(&mut select)?;
    Ok(select)
}
