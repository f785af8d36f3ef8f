//! PostgreSQL: `pg_catalog`, which every role may read. `information_schema` hides what a role does
//! not own, and takes minutes for some hundred tables.

use std::collections::BTreeSet;

use sea_orm_migration::sea_orm::{self, DatabaseConnection, DbErr, FromQueryResult, Value};

use super::{ColumnRow, Enum, KeyRow, Name, ReferenceRow, Rows, all};
use crate::{
    drop_table::quoted,
    sync::{SyncError, names, types::Type},
};

/// Tables of an extension are its own.
const TABLES: &str = "
    SELECT t.relname::text AS name
    FROM pg_class AS t
    WHERE t.relnamespace = $1::text::regnamespace
      AND t.relkind IN ('r', 'p') AND NOT t.relispartition
      AND NOT EXISTS (SELECT FROM pg_depend AS d
                      WHERE d.classid = 'pg_class'::regclass AND d.objid = t.oid
                        AND d.deptype = 'e')";

/// A domain is what its base type is. A type that is not the database's own may be anything.
const COLUMNS: &str = "
    SELECT t.relname::text AS table_name, a.attname::text AS name,
           format_type(b.typ, b.modifier) AS declared,
           CASE WHEN y.typnamespace = 'pg_catalog'::regnamespace THEN y.typname::text END AS base,
           CASE WHEN e.typnamespace = 'pg_catalog'::regnamespace THEN e.typname::text END
               AS element,
           CASE WHEN s.typtype = 'e' AND pg_type_is_visible(s.oid) THEN s.typname::text END
               AS enum_name,
           b.modifier,
           NOT (a.attnotnull OR b.not_null) AS nullable,
           a.attgenerated <> '' AS generated,
           a.attidentity <> ''
               OR coalesce(pg_get_expr(f.adbin, f.adrelid) LIKE 'nextval(%', FALSE)
               AS auto_increment,
           EXISTS (SELECT FROM pg_constraint AS k
                   WHERE k.conrelid = t.oid AND k.contype = 'p' AND a.attnum = ANY (k.conkey))
               AS in_primary_key
    FROM pg_class AS t
    JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    CROSS JOIN LATERAL (
        WITH RECURSIVE d (typ, modifier, not_null) AS (
            SELECT a.atttypid, a.atttypmod, FALSE
            UNION ALL
            SELECT p.typbasetype, p.typtypmod, d.not_null OR p.typnotnull
            FROM d JOIN pg_type AS p ON p.oid = d.typ AND p.typtype = 'd')
        SELECT d.* FROM d JOIN pg_type AS p ON p.oid = d.typ AND p.typtype <> 'd') AS b
    JOIN pg_type AS y ON y.oid = b.typ
    LEFT JOIN pg_type AS e ON e.oid = y.typelem AND y.typcategory = 'A'
    JOIN pg_type AS s ON s.oid = coalesce(e.oid, y.oid)
    LEFT JOIN pg_attrdef AS f ON f.adrelid = t.oid AND f.adnum = a.attnum
    WHERE t.relnamespace = $1::text::regnamespace AND t.relkind IN ('r', 'p')
    ORDER BY t.relname, a.attnum";

const KEYS: &str = "
    SELECT t.relname::text AS table_name, k.relname::text AS key_name,
           i.indisprimary AS is_primary, a.attname::text AS column_name
    FROM pg_index AS i
    JOIN pg_class AS t ON t.oid = i.indrelid AND t.relnamespace = $1::text::regnamespace
    JOIN pg_class AS k ON k.oid = i.indexrelid
    CROSS JOIN LATERAL generate_series(0, i.indnkeyatts - 1) AS place
    JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = i.indkey[place]
    WHERE i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
    ORDER BY t.relname, k.relname, place";

/// A key is known by its identity: two tables may have one of the same name. What a partition has
/// is its parent's.
const REFERENCES: &str = "
    SELECT t.relname::text AS table_name, k.oid::text AS key_name, a.attname::text AS column_name,
           CASE WHEN r.relnamespace = $1::text::regnamespace THEN r.relname::text
                ELSE r.relnamespace::regnamespace || '.' || quote_ident(r.relname) END AS to_table,
           b.attname::text AS to_column,
           CASE k.confupdtype WHEN 'r' THEN 'RESTRICT' WHEN 'c' THEN 'CASCADE'
                WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT' ELSE 'NO ACTION' END
               AS on_update,
           CASE k.confdeltype WHEN 'r' THEN 'RESTRICT' WHEN 'c' THEN 'CASCADE'
                WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT' ELSE 'NO ACTION' END
               AS on_delete
    FROM pg_constraint AS k
    JOIN pg_class AS t ON t.oid = k.conrelid AND t.relnamespace = $1::text::regnamespace
    JOIN pg_class AS r ON r.oid = k.confrelid
    CROSS JOIN LATERAL unnest(k.conkey, k.confkey) WITH ORDINALITY AS p (here, there, place)
    JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = p.here
    JOIN pg_attribute AS b ON b.attrelid = r.oid AND b.attnum = p.there
    WHERE k.contype = 'f' AND k.conparentid = 0
    ORDER BY t.relname, k.oid, p.place";

const ENUMS: &str = "
    SELECT y.typname::text AS name, e.enumlabel::text AS value
    FROM pg_type AS y
    JOIN pg_enum AS e ON e.enumtypid = y.oid
    WHERE pg_type_is_visible(y.oid)
    ORDER BY y.typname, e.enumsortorder";

#[derive(FromQueryResult)]
struct Found {
    table_name: String,
    name: String,
    declared: String,
    base: Option<String>,
    element: Option<String>,
    enum_name: Option<String>,
    modifier: i32,
    nullable: bool,
    generated: bool,
    auto_increment: bool,
    in_primary_key: bool,
}

#[derive(FromQueryResult)]
struct EnumValue {
    name: String,
    value: String,
}

/// The tables of this schema.
pub(super) async fn read(db: &DatabaseConnection, schema: &str) -> Result<Rows, SyncError> {
    let of_schema = || Value::from(quoted(schema));
    let tables: Vec<Name> = all(db, TABLES, [of_schema()]).await?;
    let columns: Vec<Found> = all(db, COLUMNS, [of_schema()]).await?;
    let references: Vec<ReferenceRow> = all(db, REFERENCES, [of_schema()]).await?;
    let keys: Vec<KeyRow> = all(db, KEYS, [of_schema()]).await?;
    let enums = enums(db, &columns).await?;
    Ok(Rows {
        tables: tables.into_iter().map(|table| table.name).collect(),
        columns: columns.iter().map(|found| column(found, &enums)).collect(),
        keys,
        references,
        enums,
    })
}

/// The enums that columns have and that Rust can have, too.
async fn enums(db: &DatabaseConnection, columns: &[Found]) -> Result<Vec<Enum>, DbErr> {
    let used: BTreeSet<_> = columns
        .iter()
        .filter_map(|c| c.enum_name.as_ref())
        .collect();
    if used.is_empty() {
        return Ok(Vec::new());
    }
    let mut enums: Vec<Enum> = Vec::new();
    for row in all::<EnumValue>(db, ENUMS, []).await? {
        match enums.last_mut() {
            Some(last) if last.name == row.name => last.values.push(row.value),
            _ => enums.push(Enum {
                name: row.name,
                values: vec![row.value],
            }),
        }
    }
    enums.retain(|found| used.contains(&found.name));
    names::keep_expressible(&mut enums);
    Ok(enums)
}

fn column(found: &Found, enums: &[Enum]) -> ColumnRow {
    ColumnRow {
        table: found.table_name.clone(),
        name: found.name.clone(),
        kind: (!found.generated).then(|| kind(found, enums)),
        nullable: found.nullable,
        auto_increment: found.auto_increment,
        note: None,
    }
}

fn kind(found: &Found, enums: &[Enum]) -> Type {
    let is_array = found.declared.ends_with("[]");
    // Vectors have elements, too, and are no arrays to the driver.
    let name = match is_array {
        true => &found.element,
        false => &found.base,
    };
    let is_written = |name: &&str| enums.iter().any(|found| found.name == **name);
    let of_enum = found.enum_name.as_deref().filter(is_written);
    let single = match (of_enum, name.as_deref()) {
        (Some(name), _) => Some(Type::of_enum(&names::enum_type(name))),
        (None, Some("numeric")) => Some(numeric(&found.declared, found.modifier)),
        (None, Some(name)) => of_base(name, found.modifier),
        (None, None) => None,
    };
    let kind = match single {
        // To SeaORM an array is no key.
        Some(_) if is_array && found.in_primary_key => None,
        Some(single) if is_array => Type::array(&single),
        single => single,
    };
    kind.unwrap_or_else(|| Type::as_text(&found.declared))
}

/// The type of this name in `pg_catalog`, if Rust has a counterpart.
fn of_base(name: &str, modifier: i32) -> Option<Type> {
    // Lengths are kept with the four bytes of their header.
    let modifier = u32::try_from(modifier - 4).ok();
    Some(match name {
        "bool" => Type::boolean(),
        "int2" => Type::integer(2),
        "int4" => Type::integer(4),
        "int8" => Type::integer(8),
        "float4" => Type::float(),
        "float8" => Type::double(),
        "money" => Type::money(),
        "bpchar" => modifier.map_or_else(Type::text, Type::char),
        "varchar" => Type::varchar(modifier),
        "text" => Type::text(),
        "bytea" => Type::bytes(),
        "uuid" => Type::uuid(),
        "json" => Type::json(),
        "jsonb" => Type::json_binary(),
        "date" => Type::date(),
        "time" => Type::time(),
        "timestamp" => Type::date_time(),
        "timestamptz" => Type::moment(),
        _ => return None,
    })
}

/// The digits and the scale are those of the column, if the scale is one that other databases have.
/// A number that a `Decimal` cannot hold is a text.
fn numeric(declared: &str, modifier: i32) -> Type {
    let modifier = modifier - 4;
    if modifier < 0 {
        return Type::decimal(None);
    }
    let digits = modifier >> 16;
    // Eleven bits, the first of which is the sign.
    let scale = ((modifier & 0x7ff) ^ 0x400) - 0x400;
    // Without a point in it the number has zeros behind it, and behind the point in front of it.
    let held = digits.max(scale).max(digits - scale);
    if u32::try_from(held).is_ok_and(|held| held > Type::DIGITS_OF_DECIMAL) {
        return Type::as_text(declared);
    }
    let precision = u32::try_from(digits).ok().zip(u32::try_from(scale).ok());
    Type::decimal(precision.filter(|(digits, scale)| scale <= digits))
}

#[cfg(test)]
mod tests {
    use super::{Type, numeric};

    #[test]
    fn a_number_that_a_decimal_cannot_hold_is_a_text() {
        let modifier = |digits: i32, scale: i32| ((digits << 16) | (scale & 0x7ff)) + 4;
        let text = Type::as_text("declared");
        for (digits, scale, expected) in [
            (12, 4, Type::decimal(Some((12, 4)))),
            (28, 28, Type::decimal(Some((28, 28)))),
            (29, 0, text.clone()),
            (78, 0, text.clone()),
            (38, 30, text.clone()),
            (1000, 1000, text.clone()),
            (3, 5, Type::decimal(None)),
            (3, 29, text.clone()),
            (3, -25, Type::decimal(None)),
            (3, -26, text),
        ] {
            assert_eq!(
                numeric("declared", modifier(digits, scale)),
                expected,
                "{digits}, {scale}"
            );
        }
        assert_eq!(numeric("declared", -1), Type::decimal(None));
    }
}
