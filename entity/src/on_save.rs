//! The one place where ids and timestamps are set (D7).

use chrono::{DateTime, FixedOffset, SubsecRound, Utc};
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, ColumnType, EntityTrait, IdenStatic, Iterable,
    Value,
};
use uuid::Uuid;

/// Completes a row that is about to be saved.
///
/// Every generated entity calls it from `ActiveModelBehavior::before_save`, so it also runs for
/// rows saved through plain SeaORM (`insert`, `update`, `save`; SeaORM's `insert_many` and
/// `update_many` run no hooks). It goes by column name and type, and never replaces a value that
/// the caller has set:
///
/// - an unset `id` of type UUID becomes a new UUIDv7 on insert;
/// - an unset `created_at` and `updated_at` become the present time on insert;
/// - `updated_at` becomes the present time on an update that changes another column;
/// - every timestamp with time zone that is set is converted to UTC and truncated to microseconds,
///   which is what PostgreSQL and MariaDB store. So what a save returns equals what a later read
///   returns.
///
/// # Examples
///
/// ```
/// use guesthouse_entity::{on_save, user};
/// use sea_orm::{ActiveValue::Set, TryIntoModel};
///
/// let ada = user::ActiveModel { email: Set("ada@example.com".into()), ..Default::default() };
/// let ada = on_save(ada, true).try_into_model()?;
///
/// assert_eq!(ada.id.get_version_num(), 7);
/// assert_eq!(ada.created_at, ada.updated_at);
/// assert_eq!(ada.created_at.timestamp_subsec_nanos() % 1_000, 0);
/// # Ok::<(), sea_orm::DbErr>(())
/// ```
pub fn on_save<A: ActiveModelTrait>(mut row: A, insert: bool) -> A {
    let now = Utc::now().fixed_offset();
    let changed = row.is_changed();
    for column in <A::Entity as EntityTrait>::Column::iter() {
        let kind = column.def().get_column_type().clone();
        let value = row.get(column);
        match (column.as_str(), kind) {
            ("id", ColumnType::Uuid) if insert && value.is_not_set() => {
                row.set(column, Uuid::now_v7().into());
            }
            ("created_at" | "updated_at", ColumnType::TimestampWithTimeZone)
                if insert && value.is_not_set() =>
            {
                row.set(column, stored(now));
            }
            ("updated_at", ColumnType::TimestampWithTimeZone)
                if !insert && changed && !value.is_set() =>
            {
                row.set(column, stored(now));
            }
            (_, ColumnType::TimestampWithTimeZone) => {
                if let ActiveValue::Set(Value::ChronoDateTimeWithTimeZone(Some(time))) = value {
                    row.set(column, stored(time));
                }
            }
            _ => {}
        }
    }
    row
}

/// The value that every backend returns unchanged: UTC, whole microseconds.
fn stored(time: DateTime<FixedOffset>) -> Value {
    time.to_utc().fixed_offset().trunc_subsecs(6).into()
}

#[cfg(test)]
mod tests {
    use sea_orm::ActiveValue::{Set, Unchanged};

    use super::*;
    use crate::user;

    fn at(text: &str) -> DateTime<FixedOffset> {
        text.parse().unwrap()
    }

    /// Ids are handed out in ascending order, so keyset pages by id follow the order of sign-up.
    #[test]
    fn ids_ascend() {
        let ids: Vec<_> = (0..1_000)
            .map(|_| {
                on_save(<user::ActiveModel as Default>::default(), true)
                    .id
                    .unwrap()
            })
            .collect();
        assert!(ids.is_sorted());
    }

    /// Values the caller chose stay, and lose only what no backend stores.
    #[test]
    fn set_values_are_kept() {
        let row = user::ActiveModel {
            id: Set(Uuid::nil()),
            created_at: Set(at("2026-01-02T03:04:05.123456789+02:00")),
            ..Default::default()
        };
        let row = on_save(row, true);
        assert_eq!(row.id, Set(Uuid::nil()));
        let created_at = row.created_at.unwrap();
        assert_eq!(created_at.to_rfc3339(), "2026-01-02T01:04:05.123456+00:00");
    }

    /// A changed row is touched, an unchanged one is not: saving it sends no statement.
    #[test]
    fn only_a_change_touches_updated_at() {
        let then = at("2026-01-02T03:04:05+00:00");
        let stored = user::ActiveModel {
            id: Unchanged(Uuid::nil()),
            email: Unchanged("ada@example.com".into()),
            created_at: Unchanged(then),
            updated_at: Unchanged(then),
        };

        assert_eq!(on_save(stored.clone(), false), stored);

        let changed = user::ActiveModel {
            email: Set("ada@example.org".into()),
            ..stored
        };
        let changed = on_save(changed, false);
        assert_eq!(changed.id, Unchanged(Uuid::nil()));
        assert_eq!(changed.created_at, Unchanged(then));
        assert!(changed.updated_at.unwrap() > then);
    }
}
