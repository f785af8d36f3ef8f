//! Keys of owners, for comparing and looking up.

use sea_orm::{
    DbErr, EntityName, EntityTrait, IdenStatic, Identity, Iterable, PrimaryKeyToColumn, Related,
    Value,
    sea_query::{IntoValueTuple, PostgresQueryBuilder, QueryBuilder, ValueTuple},
};
use uuid::Uuid;

use crate::role::Role;

/// The value of a key, whatever its type. The order is one that all callers share.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Key {
    Integer(i64),
    Uuid(Uuid),
    Text(String),
    /// As a literal.
    Other(String),
}

impl Key {
    pub(crate) fn of(value: &Value) -> Self {
        match value {
            Value::TinyInt(Some(number)) => Self::Integer((*number).into()),
            Value::SmallInt(Some(number)) => Self::Integer((*number).into()),
            Value::Int(Some(number)) => Self::Integer((*number).into()),
            Value::BigInt(Some(number)) => Self::Integer(*number),
            Value::TinyUnsigned(Some(number)) => Self::Integer((*number).into()),
            Value::SmallUnsigned(Some(number)) => Self::Integer((*number).into()),
            Value::Unsigned(Some(number)) => Self::Integer((*number).into()),
            Value::BigUnsigned(Some(number)) => match i64::try_from(*number) {
                Ok(number) => Self::Integer(number),
                Err(_) => Self::Text(number.to_string()),
            },
            Value::Uuid(Some(id)) => Self::Uuid(*id),
            Value::String(Some(text)) => Self::Text(text.to_string()),
            Value::ChronoDateTimeWithTimeZone(Some(time)) => {
                Self::Other(time.naive_utc().to_string())
            }
            value => {
                let literal = PostgresQueryBuilder.value_to_string(value);
                let literal = without_trailing_zeros(&literal);
                Self::Other(literal.to_owned())
            }
        }
    }
}

/// A decimal as it compares: a column of two digits returns 1.5 as 1.50.
fn without_trailing_zeros(literal: &str) -> &str {
    let is_decimal = literal.contains('.') && literal.parse::<f64>().is_ok();
    match is_decimal {
        true => literal.trim_end_matches('0').trim_end_matches('.'),
        false => literal,
    }
}

/// The one column of an entity's primary key.
pub(crate) fn only_column<E: EntityTrait>() -> Result<E::Column, DbErr> {
    match E::PrimaryKey::iter().count() {
        1 => Ok(first_column::<E>()),
        _ => Err(several_columns(E::default().table_name())),
    }
}

/// Fails if the role's foreign key refers to another column than the primary key of its owner's
/// table: owners are looked up by the primary key.
///
/// If a second relation leads to the owner and `owner_id` is overridden, the declared relation may
/// be the other one, and nothing is checked.
pub(crate) fn refers_to_the_key<R>() -> Result<(), DbErr>
where
    R: Role + Related<R::Owner>,
{
    let is = |identity: &Identity, column: &str| matches!(identity, Identity::Unary(name) if name.to_string() == column);
    let relation = <R as Related<R::Owner>>::to();
    let key = only_column::<R::Owner>()?;
    if is(&relation.from_col, R::owner_id().as_str()) && !is(&relation.to_col, key.as_str()) {
        return Err(DbErr::Type(format!(
            "{}.{} does not refer to {}.{}, the primary key: no owner could be found by it",
            R::default().table_name(),
            R::owner_id().as_str(),
            R::Owner::default().table_name(),
            key.as_str()
        )));
    }
    Ok(())
}

pub(super) fn first_column<E: EntityTrait>() -> E::Column {
    #[expect(clippy::expect_used, reason = "every entity has a primary key")]
    E::PrimaryKey::iter()
        .next()
        .map(PrimaryKeyToColumn::into_column)
        .expect("a primary key")
}

/// The one value of a primary key.
pub(crate) fn single(key: impl IntoValueTuple, table: &str) -> Result<Value, DbErr> {
    match key.into_value_tuple() {
        ValueTuple::One(key) => Ok(key),
        _ => Err(several_columns(table)),
    }
}

fn several_columns(table: &str) -> DbErr {
    DbErr::Type(format!("the primary key of {table} has several columns"))
}
