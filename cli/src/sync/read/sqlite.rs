//! SQLite: the `pragma_*` functions, and the text of a table for what they leave out.

use sea_orm_migration::sea_orm::{self, DatabaseConnection, FromQueryResult};
use sqlparser::{
    dialect::SQLiteDialect, keywords::Keyword, tokenizer::Token, tokenizer::Tokenizer,
};

use super::{ColumnRow, KeyRow, ReferenceRow, Rows, all, split, unknown};
use crate::sync::{SyncError, types::Type};

/// Virtual tables and their shadow tables are not tables of an app.
const TABLES: &str = r"
    SELECT t.name AS table_name, m.sql AS create_table
    FROM pragma_table_list AS t JOIN sqlite_master AS m ON m.type = 'table' AND m.name = t.name
    WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite\_%' ESCAPE '\'";

const COLUMNS: &str = r#"
    SELECT t.name AS table_name, c.name, lower(c.type) AS declared,
           NOT c."notnull" AS nullable, c.hidden > 0 AS generated, c.pk > 0 AS in_primary_key
    FROM pragma_table_list AS t, pragma_table_xinfo(t.name) AS c
    WHERE t.schema = 'main' AND t.type = 'table'
    ORDER BY t.name, c.cid"#;

const KEYS: &str = r#"
    SELECT t.name AS table_name, i.name AS key_name, FALSE AS is_primary, c.name AS column_name,
           c.seqno AS place
    FROM pragma_table_list AS t, pragma_index_list(t.name) AS i, pragma_index_info(i.name) AS c
    WHERE t.schema = 'main' AND i."unique" AND NOT i.partial AND i.origin <> 'pk'
      AND NOT EXISTS (SELECT 1 FROM pragma_index_info(i.name) WHERE name IS NULL)
    UNION ALL
    SELECT t.name, 'primary key', TRUE, c.name, c.pk
    FROM pragma_table_list AS t, pragma_table_info(t.name) AS c
    WHERE t.schema = 'main' AND c.pk > 0
    ORDER BY table_name, key_name, place"#;

/// Names are the same in upper and lower case: a key is given the spelling of the tables.
const REFERENCES: &str = r#"
    SELECT t.name AS table_name, CAST(f.id AS text) AS key_name,
           (SELECT c.name FROM pragma_table_xinfo(t.name) AS c
            WHERE lower(c.name) = lower(f."from")) AS column_name,
           coalesce((SELECT r.name FROM pragma_table_list AS r
                     WHERE r.schema = 'main' AND lower(r.name) = lower(f."table")), f."table")
               AS to_table,
           coalesce((SELECT c.name FROM pragma_table_xinfo(f."table") AS c
                     WHERE lower(c.name) = lower(f."to")), f."to") AS to_column,
           f.on_update, f.on_delete
    FROM pragma_table_list AS t, pragma_foreign_key_list(t.name) AS f
    WHERE t.schema = 'main'
    ORDER BY t.name, f.id, f.seq"#;

#[derive(FromQueryResult)]
struct Text {
    table_name: String,
    create_table: String,
}

#[derive(FromQueryResult)]
struct Found {
    table_name: String,
    name: String,
    declared: String,
    nullable: bool,
    generated: bool,
    in_primary_key: bool,
}

pub(super) async fn read(db: &DatabaseConnection) -> Result<Rows, SyncError> {
    let texts: Vec<Text> = all(db, TABLES, []).await?;
    let counted: Vec<_> = texts.iter().filter(|table| counts_up(table)).collect();
    let columns: Vec<Found> = all(db, COLUMNS, []).await?;
    let columns = columns.into_iter().filter(|found| {
        let is_of = |table: &Text| table.table_name == found.table_name;
        texts.iter().any(is_of)
    });
    let columns: Result<_, _> = columns
        .map(|found| {
            let counts_up = counted.iter().any(|t| t.table_name == found.table_name);
            column(found, counts_up)
        })
        .collect();
    Ok(Rows {
        columns: columns?,
        keys: all::<KeyRow>(db, KEYS, []).await?,
        references: all::<ReferenceRow>(db, REFERENCES, []).await?,
        tables: texts.into_iter().map(|table| table.table_name).collect(),
        enums: Vec::new(),
    })
}

/// Whether the key of the table is declared AUTOINCREMENT, which no pragma reports.
fn counts_up(table: &Text) -> bool {
    let tokens = Tokenizer::new(&SQLiteDialect {}, &table.create_table).tokenize();
    tokens
        .unwrap_or_default()
        .iter()
        .any(|token| matches!(token, Token::Word(word) if word.keyword == Keyword::AUTOINCREMENT))
}

fn column(found: Found, counts_up: bool) -> Result<ColumnRow, SyncError> {
    let kind = match found.generated {
        true => None,
        false => Some(
            kind(&found.declared)
                .ok_or_else(|| unknown(&found.table_name, &found.name, &found.declared))?,
        ),
    };
    Ok(ColumnRow {
        table: found.table_name,
        name: found.name,
        kind,
        nullable: found.nullable,
        auto_increment: counts_up && found.in_primary_key,
        note: None,
    })
}

/// Whether a word of a type means an integer: `int8` and `bigint`, not `interval` and `point`.
fn is_integer(word: &str) -> bool {
    let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
    word == "integer" || (word.ends_with("int") && !word.ends_with("point"))
}

/// What the migrations of SeaORM declare; of any other name,
/// [what it is stored as](https://www.sqlite.org/datatype3.html#determination_of_column_affinity).
fn kind(declared: &str) -> Option<Type> {
    let (name, numbers) = split(declared);
    let length = numbers.first().copied();
    let precision = match numbers[..] {
        [digits, scale] => Some((digits, scale)),
        _ => None,
    };
    Some(match name.as_str() {
        "char" => Type::char(length.unwrap_or(1)),
        "varchar" => Type::varchar(length),
        "text" => Type::text(),
        "citext" => Type::as_text("citext"),
        "tinyint" | "smallint" => Type::integer(2),
        "float" => Type::float(),
        "real" if precision.is_some() => Type::decimal(precision),
        "decimal" | "numeric" | "real_decimal" => Type::decimal(precision),
        "money" | "real_money" => Type::money(),
        "bool" | "boolean" => Type::boolean(),
        "date" | "date_text" => Type::date(),
        "time" | "time_text" => Type::time(),
        "datetime" | "datetime_text" | "timestamp" | "timestamp_text" => Type::date_time(),
        "timestamp_with_timezone_text" => Type::moment(),
        "json" | "json_text" => Type::json(),
        "jsonb" | "jsonb_text" => Type::json_binary(),
        "uuid" | "uuid_text" => Type::uuid(),
        name if name.split(' ').any(is_integer) => Type::integer(8),
        // SQLite keeps a number of such a `point` or `interval` as an integer, and a text as a text.
        name if name.contains("int") => return None,
        name if ["char", "clob", "text"]
            .iter()
            .any(|word| name.contains(word)) =>
        {
            Type::text()
        }
        name if name.contains("blob") => Type::bytes(),
        name if ["real", "floa", "doub"]
            .iter()
            .any(|word| name.contains(word)) =>
        {
            Type::double()
        }
        _ => return None,
    })
}
