//! How many rows there are of a role, and of its owners.

use sea_orm::{
    ConnectionTrait, DbErr, EntityName, Related,
    sea_query::{Expr, ExprTrait, Query, SelectStatement},
};

use super::{hidden::Table, parts::of_the_owner, send::look};
use crate::role::Role;

/// The questions about one role, and the tables whose rows they count.
pub(crate) struct Questions {
    pub(crate) tables: [Box<dyn Table>; 2],
    pub(crate) owners: SelectStatement,
    pub(crate) rows: SelectStatement,
    pub(crate) owners_without: SelectStatement,
}

impl Questions {
    pub(crate) fn about<R>() -> Result<Self, DbErr>
    where
        R: Role + Related<R::Owner>,
    {
        Ok(Self {
            tables: [Box::new(R::Owner::default()), Box::new(R::default())],
            owners: count_of::<R::Owner>(),
            rows: count_of::<R>(),
            owners_without: count_of::<R::Owner>()
                .and_where(Expr::exists(of_the_owner::<R>()?).not())
                .take(),
        })
    }
}

fn count_of<E: EntityName + Default>() -> SelectStatement {
    Query::select()
        .expr(Expr::cust("count(*)"))
        .from(E::default().table_ref())
        .take()
}

/// The answers to all questions, by one statement and so of one moment.
pub(crate) async fn count(
    db: &impl ConnectionTrait,
    questions: impl IntoIterator<Item = SelectStatement>,
) -> Result<Vec<u64>, DbErr> {
    let mut select = Query::select();
    let mut asked = 0;
    for question in questions {
        select.expr(Expr::SubQuery(None, Box::new(question.into())));
        asked += 1;
    }
    let rows = look(db, db.get_database_backend().build(&select)).await?;
    let row = rows.first();
    let row = row.ok_or_else(|| DbErr::RecordNotFound("counts".into()))?;
    let count = |index| row.try_get_by_index::<i64>(index).map(i64::unsigned_abs);
    (0..asked).map(count).collect()
}
