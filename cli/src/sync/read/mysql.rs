//! MariaDB/MySQL: `information_schema`, which shows a role what it may read. A role that may not read
//! everything is refused: what it does not see would be taken for gone.
//!
//! MySQL names its columns in capitals and sends some as bytes: each is given a name and cast.

use std::collections::BTreeSet;

use sea_orm_migration::sea_orm::{
    self, ConnectionTrait, DatabaseConnection, DbErr, FromQueryResult, RuntimeErr,
};

use super::{ColumnRow, KeyRow, Name, ReferenceRow, Rows, all, split, unknown};
use crate::sync::{SyncError, types::Type};

/// To a role that may read every table of the database this one is missing, to any other it is denied.
const READS_ALL: &str = "SELECT 1 FROM `no table has this name`";

/// The same for every database.
const READS_ALL_DATABASES: &str = "SELECT 1 FROM mysql.`no table has this name`";

const TABLES: &str = "
    SELECT CAST(table_name AS CHAR) AS name
    FROM information_schema.tables
    WHERE table_schema = database() AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
    LIMIT 18446744073709551615";

/// On MariaDB a JSON column is a text with a check.
const COLUMNS: &str = "
    SELECT CAST(c.table_name AS CHAR) AS table_name, CAST(c.column_name AS CHAR) AS name,
           CAST(c.column_type AS CHAR) AS declared,
           c.is_nullable = 'YES' AS nullable,
           coalesce(c.generation_expression, '') <> '' AS is_generated,
           coalesce(c.generation_expression, '') = 'ROW END' AS is_row_end,
           c.extra LIKE '%auto_increment%' AS auto_increment
    FROM information_schema.columns AS c
    WHERE c.table_schema = database()
    ORDER BY c.table_name, c.ordinal_position
    LIMIT 18446744073709551615";

/// MySQL, which has a type for JSON and no tables in its list of checks, takes `/*M!` for a comment.
const JSON_CHECKS: &str = "
    SELECT '' AS name
    /*M! UNION ALL
    SELECT CAST(concat(table_name, '.', check_clause) AS CHAR)
    FROM information_schema.check_constraints
    WHERE constraint_schema = database() AND check_clause LIKE 'json_valid(%' */
    LIMIT 18446744073709551615";

const KEYS: &str = "
    SELECT CAST(table_name AS CHAR) AS table_name, CAST(index_name AS CHAR) AS key_name,
           index_name = 'PRIMARY' AS is_primary, CAST(column_name AS CHAR) AS column_name
    FROM information_schema.statistics AS s
    WHERE table_schema = database() AND non_unique = 0 AND NOT EXISTS
          (SELECT 1 FROM information_schema.statistics AS p
           WHERE p.table_schema = s.table_schema AND p.table_name = s.table_name
             AND p.index_name = s.index_name
             AND (p.sub_part IS NOT NULL OR p.column_name IS NULL))
    ORDER BY table_name, index_name, seq_in_index
    LIMIT 18446744073709551615";

/// A key is RESTRICT on update by default, so that is not written.
const REFERENCES: &str = "
    SELECT CAST(k.table_name AS CHAR) AS table_name, CAST(k.constraint_name AS CHAR) AS key_name,
           CAST(k.column_name AS CHAR) AS column_name,
           CASE WHEN k.referenced_table_schema = database()
                THEN CAST(k.referenced_table_name AS CHAR)
                ELSE concat(k.referenced_table_schema, '.', k.referenced_table_name)
                END AS to_table,
           CAST(k.referenced_column_name AS CHAR) AS to_column,
           CASE WHEN r.update_rule = 'RESTRICT' THEN 'NO ACTION'
                ELSE CAST(r.update_rule AS CHAR) END AS on_update,
           CAST(r.delete_rule AS CHAR) AS on_delete
    FROM information_schema.key_column_usage AS k
    LEFT JOIN information_schema.referential_constraints AS r
         ON r.constraint_schema = k.constraint_schema AND r.constraint_name = k.constraint_name
        AND r.table_name = k.table_name
    WHERE k.table_schema = database() AND k.referenced_table_name IS NOT NULL
    ORDER BY k.table_name, k.constraint_name, k.ordinal_position
    LIMIT 18446744073709551615";

#[derive(FromQueryResult)]
struct Found {
    table_name: String,
    name: String,
    declared: String,
    nullable: bool,
    is_generated: bool,
    is_row_end: bool,
    auto_increment: bool,
}

/// A key whose actions the role may not read has none.
#[derive(FromQueryResult)]
struct FoundReference {
    table_name: String,
    key_name: String,
    column_name: String,
    to_table: String,
    to_column: String,
    on_update: Option<String>,
    on_delete: Option<String>,
}

pub(super) async fn read(db: &DatabaseConnection) -> Result<Rows, SyncError> {
    if !reads_all(db, READS_ALL).await? {
        return Err(SyncError::Schema(
            "the role may not read every table of the database: a table that it does not see \
             would be taken for gone"
                .to_owned(),
        ));
    }
    let tables: Vec<Name> = all(db, TABLES, []).await?;
    let tables: BTreeSet<_> = tables.into_iter().map(|table| table.name).collect();
    let mut columns: Vec<Found> = all(db, COLUMNS, []).await?;
    columns.retain(|column| tables.contains(&column.table_name));
    let json: Vec<Name> = all(db, JSON_CHECKS, []).await?;
    let mut keys: Vec<KeyRow> = all(db, KEYS, []).await?;
    // In a table with versions the end of a row's period is in each unique key, for the rows that are
    // gone.
    keys.retain(|row| {
        let is_of = |c: &Found| c.table_name == row.table_name && c.name == row.column_name;
        !columns.iter().any(|c| c.is_row_end && is_of(c))
    });
    let columns: Result<_, _> = columns
        .into_iter()
        .map(|found| column(found, &json))
        .collect();
    let references: Vec<FoundReference> = all(db, REFERENCES, []).await?;
    let references: Result<_, _> = references.into_iter().map(with_actions).collect();
    Ok(Rows {
        columns: columns?,
        keys,
        references: references?,
        tables,
        enums: Vec::new(),
    })
}

/// Whether the role may read the tables of every database, without which it does not see their foreign
/// keys.
pub(crate) async fn reads_all_databases(db: &impl ConnectionTrait) -> Result<bool, DbErr> {
    reads_all(db, READS_ALL_DATABASES).await
}

/// The server itself is asked, because the lists of rights in `information_schema` leave out those that
/// the user has through a role, and show those of others to whoever may read them.
async fn reads_all(db: &impl ConnectionTrait, probe: &str) -> Result<bool, DbErr> {
    const MISSING: &str = "42S02";
    const DENIED: &str = "42000";
    let answer = db.execute_unprepared(probe).await;
    if let Err(DbErr::Exec(RuntimeErr::SqlxError(error))) = &answer {
        let code = error.as_database_error().and_then(|error| error.code());
        match code.as_deref() {
            Some(MISSING) => return Ok(true),
            Some(DENIED) => return Ok(false),
            _ => {}
        }
    }
    // There is a table of that name.
    answer.map(|_| false)
}

fn with_actions(found: FoundReference) -> Result<ReferenceRow, SyncError> {
    let (Some(on_update), Some(on_delete)) = (found.on_update, found.on_delete) else {
        return Err(SyncError::Schema(format!(
            "{}.{}: the role may not read what the foreign key does on delete, which takes more \
             than SELECT",
            found.table_name, found.column_name
        )));
    };
    Ok(ReferenceRow {
        table_name: found.table_name,
        key_name: found.key_name,
        column_name: found.column_name,
        to_table: found.to_table,
        to_column: Some(found.to_column),
        on_update,
        on_delete,
    })
}

fn column(found: Found, json: &[Name]) -> Result<ColumnRow, SyncError> {
    let check = format!("{}.json_valid(`{}`)", found.table_name, found.name);
    let kind = if json.iter().any(|row| row.name == check) {
        Some(Type::json())
    } else {
        kind(&found.declared)
    };
    let is_uuid = kind == Some(Type::uuid());
    let kind = kind.ok_or_else(|| unknown(&found.table_name, &found.name, &found.declared))?;
    Ok(ColumnRow {
        table: found.table_name,
        name: found.name,
        kind: (!found.is_generated).then_some(kind),
        nullable: found.nullable,
        auto_increment: found.auto_increment,
        note: is_uuid.then_some("is binary(16) and taken for a UUID"),
    })
}

/// A `binary(16)` is what SeaORM makes of a UUID, and a time with microseconds is how these
/// migrations and most frameworks keep a moment in UTC.
fn kind(declared: &str) -> Option<Type> {
    match declared {
        "tinyint(1)" | "bit(1)" => return Some(Type::boolean()),
        "binary(16)" => return Some(Type::uuid()),
        "datetime(6)" => return Some(Type::moment()),
        _ => {}
    }
    let (name, numbers) = split(declared);
    let length = numbers.first().copied();
    let words: Vec<_> = name.split(' ').collect();
    let bytes = match words[0] {
        "tinyint" => 1,
        "smallint" => 2,
        "mediumint" => 3,
        "int" => 4,
        "bigint" => 8,
        _ => 0,
    };
    Some(match words[0] {
        _ if bytes > 0 && words.contains(&"unsigned") => Type::unsigned(bytes),
        _ if bytes > 0 => Type::integer(bytes),
        "year" => Type::unsigned(2),
        "bit" => Type::unsigned(8),
        "float" => Type::float(),
        "double" => Type::double(),
        "decimal" => match numbers[..] {
            [digits, scale] if digits.max(scale) > Type::DIGITS_OF_DECIMAL => {
                Type::as_char(&format!("decimal({digits},{scale})"))
            }
            [digits, scale] => Type::decimal(Some((digits, scale))),
            _ => Type::decimal(None),
        },
        "char" => Type::char(length.unwrap_or(1)),
        "varchar" => Type::varchar(length),
        "enum" | "set" | "uuid" | "inet4" | "inet6" => Type::varchar(None),
        "tinytext" | "text" | "mediumtext" | "longtext" => Type::text(),
        "json" => Type::json(),
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Type::bytes(),
        "date" => Type::date(),
        "time" => Type::time(),
        "datetime" => Type::date_time(),
        "timestamp" => Type::moment(),
        _ => return None,
    })
}
