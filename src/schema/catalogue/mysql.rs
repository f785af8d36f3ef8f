//! MariaDB/MySQL: `information_schema`, and `SHOW CREATE TABLE` for what it keeps from a role with no
//! more than SELECT: MariaDB's `referential_constraints` is empty to one.
//!
//! MySQL names its columns in capitals, so every one is given its name here.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, FromQueryResult, Statement};

use super::{Catalogue, Check, Dialect, ForeignKey, Kind, by_table, definition, rows, setting};

/// The casts are for MySQL, parts of whose `information_schema` come as bytes.
const COLUMNS: &str = "
    SELECT CAST(c.table_name AS CHAR) AS table_name, lower(c.column_name) AS name,
           CAST(c.column_type AS CHAR) AS declared,
           CASE WHEN c.data_type = 'varchar'
                THEN CAST(c.character_maximum_length AS SIGNED) END AS characters,
           c.is_nullable = 'YES' AS nullable,
           c.column_default IS NOT NULL OR c.extra LIKE '%auto_increment%'
               OR c.extra LIKE '%generated%' AS filled,
           CASE WHEN right(c.collation_name, 4) <> '_bin'
                THEN CAST(c.collation_name AS CHAR) END AS folding
    FROM information_schema.columns AS c
    JOIN information_schema.tables AS t
         ON t.table_schema = c.table_schema AND t.table_name = c.table_name
    WHERE c.table_schema = database() AND c.table_name IN (?, ?, ?)
      AND t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
    ORDER BY c.table_name, c.ordinal_position";

/// An index for searches in text is no second unique one.
const INDEXES: &str = "
    SELECT CAST(table_name AS CHAR) AS table_name, CAST(index_name AS CHAR) AS index_name,
           index_name = 'PRIMARY' AS is_primary, non_unique = 0 AS is_unique,
           CASE WHEN sub_part IS NOT NULL THEN 'prefix' END AS flaw,
           lower(column_name) AS column_name, NULL AS expression
    FROM information_schema.statistics
    WHERE table_schema = database() AND table_name IN (?, ?, ?)
      AND index_type IN ('BTREE', 'HASH')
    ORDER BY table_name, index_name, seq_in_index";

const FOREIGN_KEYS: &str = "
    SELECT CAST(table_name AS CHAR) AS table_name, CAST(constraint_name AS CHAR) AS name,
           lower(min(column_name)) AS column_name,
           CASE WHEN min(referenced_table_schema) = database()
                THEN CAST(min(referenced_table_name) AS CHAR)
                ELSE concat(min(referenced_table_schema), '.', min(referenced_table_name))
                END AS to_table,
           lower(min(referenced_column_name)) AS to_column
    FROM information_schema.key_column_usage
    WHERE table_schema = database() AND table_name IN (?, ?, ?)
      AND referenced_table_name IS NOT NULL
    GROUP BY table_name, constraint_name
    HAVING count(*) = 1
    ORDER BY table_name, constraint_name";

const SETTINGS: &str = "
    SELECT @@session.foreign_key_checks AS on_here, @@global.foreign_key_checks AS on_at_first,
           CAST(version() AS CHAR) AS version";

const DIALECT: Dialect = Dialect { name, holds };

#[derive(FromQueryResult)]
struct Settings {
    on_here: bool,
    /// What a new connection begins with.
    on_at_first: bool,
    version: String,
}

#[derive(FromQueryResult)]
struct Reference {
    table_name: String,
    name: String,
    column_name: String,
    to_table: String,
    to_column: String,
}

pub(super) async fn read(db: &DatabaseConnection, names: [&str; 3]) -> Result<Catalogue, DbErr> {
    let settings: Settings = setting(db, SETTINGS).await?;
    let columns: Vec<super::Column> = rows(db, COLUMNS, names).await?;
    let index_parts = rows(db, INDEXES, names).await?;
    let references: Vec<Reference> = rows(db, FOREIGN_KEYS, names).await?;

    let (mut foreign_keys, mut checks) = (Vec::new(), Vec::new());
    for table in names {
        if columns.iter().all(|column| column.table_name != table) {
            continue;
        }
        let create_table = create_table(db, table).await?;
        let of_table = references.iter().filter(|key| key.table_name == table);
        foreign_keys.extend(of_table.map(|key| {
            ForeignKey {
                table_name: key.table_name.clone(),
                column_name: key.column_name.clone(),
                to_table: key.to_table.clone(),
                to_column: key.to_column.clone(),
                on_delete: definition::on_delete(&create_table, &key.name)
                    .unwrap_or_else(|| unsaid_action(&settings.version).to_owned()),
                validated: true,
            }
        }));
        let of_table = definition::checks(&create_table).into_iter();
        checks.extend(of_table.map(|expression| Check {
            table_name: table.to_owned(),
            expression,
        }));
    }
    Ok(Catalogue {
        foreign_keys_off: match (settings.on_here, settings.on_at_first) {
            (true, true) => None,
            (false, _) => Some("this MariaDB/MySQL connection"),
            (true, false) => Some("every new MariaDB/MySQL connection"),
        },
        dialect: DIALECT,
        tables: by_table(columns, index_parts, foreign_keys, checks),
    })
}

async fn create_table(db: &DatabaseConnection, table: &str) -> Result<String, DbErr> {
    let sql = format!("SHOW CREATE TABLE `{table}`");
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let row = db.query_one_raw(statement).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("the table has no definition".into()))?;
    // MySQL sends it as bytes, MariaDB as text.
    let definition: Vec<u8> = row.try_get_by_index(1)?;
    Ok(String::from_utf8_lossy(&definition).into_owned())
}

/// The action that `SHOW CREATE TABLE` takes for granted: on MariaDB RESTRICT, which is also what no
/// clause means there, on MySQL NO ACTION.
fn unsaid_action(version: &str) -> &'static str {
    if version.contains("MariaDB") {
        "RESTRICT"
    } else {
        "NO ACTION"
    }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Uuid => "binary(16)",
        Kind::Text => "varchar",
        Kind::Moment => "datetime(6)",
    }
}

fn holds(kind: Kind, declared: &str) -> bool {
    match kind {
        Kind::Uuid => declared == "binary(16)",
        Kind::Text => declared.starts_with("varchar") || declared.ends_with("text"),
        // Sessions of this library are on UTC, so both give back what they are given.
        Kind::Moment => ["datetime(6)", "timestamp(6)"].contains(&declared),
    }
}
