//! Reading users with guest and host: one SELECT with two LEFT JOINs.

use std::{any::TypeId, fmt};

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityName, EntityTrait, Iterable, Order,
    QueryResult, Related, Statement,
    sea_query::{Asterisk, Expr, ExprTrait, Query, SelectStatement},
};
use uuid::Uuid;

pub(crate) mod change_email;
pub(crate) mod delete_user;
mod names;
mod position;
pub(crate) mod sign_up;
pub(crate) mod sign_up_all;

use position::model;

use super::{
    key::refers_to_the_key,
    parts::{FIRST, SECOND, check_range, see_what_was_clashed_with, select_columns},
    send::look,
    text::Text,
};
use crate::{guest, host, role::Role, user};

/// As [`FIRST`] and [`SECOND`], for a third model.
const THIRD: &str = "C_";

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

/// How a look for what stands in the way sees other transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Plain,
    /// Under REPEATABLE READ on MariaDB it also sees the row of the last clash; if it finds
    /// nothing, it locks the gap.
    Locking,
}

/// The users, two at most, who have this id or this address.
pub(crate) async fn in_the_way<C: ConnectionTrait>(
    db: &C,
    user_id: Option<Uuid>,
    email: &str,
    look: Look,
) -> Result<Vec<Row>, DbErr> {
    let mut either = user::Column::Email.eq(email);
    if let Some(user_id) = user_id {
        either = either.or(user::Column::Id.eq(user_id));
    }
    let mut select = select(None);
    // A limit of its own overrides `sql_select_limit` of MariaDB.
    select.and_where(either).limit(4);
    let mut statement = db.get_database_backend().build(&select);
    if look == Look::Locking {
        see_what_was_clashed_with::<C>(&mut statement);
    }
    read(db, statement).await
}

/// Which users are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    All,
    Hosts,
    WithoutHost,
    WithoutGuest,
    With(RoleOfUser),
    Without(RoleOfUser),
}

/// A role that is not joined.
#[derive(Clone, Copy)]
pub(crate) struct RoleOfUser {
    entity: TypeId,
    table: &'static str,
    of_user: fn() -> Result<SelectStatement, DbErr>,
}

impl RoleOfUser {
    pub(crate) fn new<R>() -> Self
    where
        R: Role<Owner = user::Entity> + Related<user::Entity>,
    {
        Self {
            entity: TypeId::of::<R>(),
            table: R::default().table_name(),
            of_user: || {
                refers_to_the_key::<R>()?;
                Ok(of_user::<R>(R::owner_id()))
            },
        }
    }
}

impl PartialEq for RoleOfUser {
    fn eq(&self, other: &Self) -> bool {
        self.entity == other.entity
    }
}

impl Eq for RoleOfUser {}

impl fmt::Debug for RoleOfUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.table)
    }
}

impl Filter {
    /// The condition where guest and host are joined.
    fn on_joined(self) -> Result<Option<Expr>, DbErr> {
        Ok(match self {
            Self::All => None,
            Self::Hosts => Some(host::Column::Id.is_not_null()),
            Self::WithoutHost => Some(host::Column::Id.is_null()),
            Self::WithoutGuest => Some(guest::Column::Id.is_null()),
            Self::With(_) | Self::Without(_) => self.alone()?,
        })
    }

    /// The condition where they are not, under which no user counts twice.
    fn alone(self) -> Result<Option<Expr>, DbErr> {
        let has = |role: SelectStatement| Expr::exists(role);
        Ok(match self {
            Self::All => None,
            Self::Hosts => Some(has(of_user::<host::Entity>(host::Column::UserId))),
            Self::WithoutHost => Some(has(of_user::<host::Entity>(host::Column::UserId)).not()),
            Self::WithoutGuest => Some(has(of_user::<guest::Entity>(guest::Column::UserId)).not()),
            Self::With(role) => Some(has((role.of_user)()?)),
            Self::Without(role) => Some(has((role.of_user)()?).not()),
        })
    }
}

fn of_user<R: EntityTrait>(user_id: R::Column) -> SelectStatement {
    let of_user = Expr::col((R::default(), user_id)).equals((user::Entity, user::Column::Id));
    let mut select = Query::select();
    select
        .expr(Expr::val(1))
        .from(R::default().table_ref())
        .and_where(of_user);
    select
}

pub(crate) async fn count(db: &impl ConnectionTrait, filter: Filter) -> Result<u64, DbErr> {
    let mut count = Query::select();
    count
        .expr(Expr::col(Asterisk).count())
        .from(user::Entity)
        .and_where_option(filter.alone()?);
    let rows = look(db, db.get_database_backend().build(&count)).await?;
    let count: i64 = match rows.first() {
        Some(row) => row.try_get_by_index(0)?,
        None => 0,
    };
    Ok(count.unsigned_abs())
}

/// At most `limit` users after this user id who pass the filter, ascending.
pub(crate) async fn page(
    db: &impl ConnectionTrait,
    filter: Filter,
    after: Option<Uuid>,
    limit: u64,
) -> Result<Vec<Row>, DbErr> {
    let backend = db.get_database_backend();
    let mut select = select(after.filter(|_| backend == DbBackend::Postgres));
    select
        .and_where_option(after.map(|after| user::Column::Id.gt(after)))
        .and_where_option(filter.on_joined()?)
        .order_by((user::Entity, user::Column::Id), Order::Asc)
        .limit(limit);
    read(db, backend.build(&select)).await
}

/// The joins begin where the users do, if that is given. PostgreSQL does not infer it: it would
/// read the guests and hosts of all users before `after`, and discard them.
fn select(after: Option<Uuid>) -> SelectStatement {
    let mut select = Query::select();
    select.from(user::Entity);
    select_columns::<user::Entity>(&mut select, user::Entity.table_name(), FIRST);
    left_join::<guest::Entity>(&mut select, guest::Column::UserId, after, SECOND);
    left_join::<host::Entity>(&mut select, host::Column::UserId, after, THIRD);
    select
}

fn left_join<R: EntityTrait>(
    select: &mut SelectStatement,
    user_id: R::Column,
    after: Option<Uuid>,
    prefix: &str,
) {
    let of_user = Expr::col((R::default(), user_id)).equals((user::Entity, user::Column::Id));
    let on = match after {
        Some(after) => of_user.and(user_id.gt(after)),
        None => of_user,
    };
    select.left_join(R::default(), on);
    select_columns::<R>(select, R::default().table_name(), prefix);
}

async fn read(db: &impl ConnectionTrait, select: Statement) -> Result<Vec<Row>, DbErr> {
    let rows = look(db, select).await?;
    let accounts: Vec<Row> = rows.iter().map(read_row).collect::<Result<_, _>>()?;
    match accounts.windows(2).any(|pair| pair[0].0.id == pair[1].0.id) {
        true => Err(DbErr::Custom(
            "hosts.user_id or guests.user_id is not unique: a user has several rows".into(),
        )),
        false => Ok(accounts),
    }
}

fn read_row(row: &QueryResult) -> Result<Row, DbErr> {
    check_range(row)?;
    let guests = user::Column::iter().count();
    let hosts = guests + guest::Column::iter().count();
    // The first column of each is its id.
    let guest = match row.try_get_by_index::<Option<Uuid>>(guests)? {
        Some(_) => Some(model::<guest::Entity>(row, guests, SECOND)?),
        None => None,
    };
    let host = match row.try_get_by_index::<Option<Uuid>>(hosts)? {
        Some(_) => Some(model::<host::Entity>(row, hosts, THIRD)?),
        None => None,
    };
    Ok((model::<user::Entity>(row, 0, FIRST)?, guest, host))
}
