//! MariaDB/MySQL: `information_schema`, and `SHOW CREATE TABLE` for what it keeps from a role with no
//! more than SELECT: MariaDB's `referential_constraints` is empty to one.
//!
//! MySQL names its columns in capitals, so every one is given its name here. Every SELECT has a limit
//! of its own, as `sql_select_limit` cuts those that have none.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, FromQueryResult, Statement};

use super::{
    Catalogue, Check, Dialect, ForeignKey, Kind, Setting, by_table, definition, rows, settings,
};

/// The casts are for MySQL, parts of whose `information_schema` come as bytes.
const COLUMNS: &str = "
    SELECT CAST(c.table_name AS CHAR) AS table_name,
           CASE WHEN t.engine <> 'InnoDB' THEN 'no transactions' END AS storage,
           lower(c.column_name) AS name,
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
    WHERE c.table_schema = database() AND c.table_name IN ({names})
      AND t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
    ORDER BY c.table_name, c.ordinal_position
    LIMIT 18446744073709551615";

/// An index for searches in text is no second unique one.
const INDEXES: &str = "
    SELECT CAST(table_name AS CHAR) AS table_name, CAST(index_name AS CHAR) AS index_name,
           index_name = 'PRIMARY' AS is_primary, non_unique = 0 AS is_unique,
           CASE WHEN sub_part IS NOT NULL THEN 'prefix' END AS flaw,
           lower(column_name) AS column_name, NULL AS expression
    FROM information_schema.statistics
    WHERE table_schema = database() AND table_name IN ({names})
      AND index_type IN ('BTREE', 'HASH')
    ORDER BY table_name, index_name, seq_in_index
    LIMIT 18446744073709551615";

const FOREIGN_KEYS: &str = "
    SELECT CAST(table_name AS CHAR) AS table_name, CAST(constraint_name AS CHAR) AS name,
           lower(min(column_name)) AS column_name,
           CASE WHEN min(referenced_table_schema) = database()
                THEN CAST(min(referenced_table_name) AS CHAR)
                ELSE concat(min(referenced_table_schema), '.', min(referenced_table_name))
                END AS to_table,
           lower(min(referenced_column_name)) AS to_column
    FROM information_schema.key_column_usage
    WHERE table_schema = database() AND table_name IN ({names})
      AND referenced_table_name IS NOT NULL
    GROUP BY table_name, constraint_name
    HAVING count(*) = 1
    ORDER BY table_name, constraint_name
    LIMIT 18446744073709551615";

/// Checks can be switched off on MariaDB only, and the isolation level has two names.
const SETTINGS: &str = "
    SELECT @@session.foreign_key_checks AS foreign_keys,
           @@global.foreign_key_checks AS foreign_keys_at_first,
           @@session.unique_checks AS unique_checks,
           1 /*M! AND @@session.check_constraint_checks */ AS checks,
           @@session.autocommit AS autocommit,
           CAST(@@session.completion_type AS CHAR) AS completion_type,
           @@session.sql_mode LIKE '%STRICT\\_%\\_TABLES%' AS strict,
           CAST(@@session.character_set_client AS CHAR) AS client,
           CAST(@@session.character_set_connection AS CHAR) AS connection,
           CAST(coalesce(@@session.character_set_results, 'utf8mb4') AS CHAR) AS results,
           CAST(/*!80000 @@session.transaction_isolation */ /*M! @@session.tx_isolation */ AS CHAR)
               AS isolation,
           CAST(version() AS CHAR) AS version
    LIMIT 1";

const DIALECT: Dialect = Dialect {
    connection: "MariaDB/MySQL connection",
    name,
    holds,
    // `datetime` ends with the year 9999.
    readable: None,
};

#[derive(FromQueryResult)]
struct Settings {
    foreign_keys: bool,
    /// What a new connection begins with.
    foreign_keys_at_first: bool,
    unique_checks: bool,
    checks: bool,
    autocommit: bool,
    completion_type: String,
    strict: bool,
    client: String,
    connection: String,
    results: String,
    isolation: String,
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

pub(super) async fn read(db: &DatabaseConnection, names: &[&str]) -> Result<Catalogue, DbErr> {
    let settings: Vec<Settings> = settings(db, SETTINGS).await?;
    let is_mariadb = settings
        .iter()
        .any(|settings| settings.version.contains("MariaDB"));
    let columns: Vec<super::Column> = rows(db, COLUMNS, names).await?;
    let index_parts = rows(db, INDEXES, names).await?;
    let references: Vec<Reference> = rows(db, FOREIGN_KEYS, names).await?;

    let (mut foreign_keys, mut checks) = (Vec::new(), Vec::new());
    for &table in names {
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
                    .unwrap_or_else(|| unsaid_action(is_mariadb).to_owned()),
                flaw: None,
            }
        }));
        let of_table = definition::checks(&create_table).into_iter();
        checks.extend(of_table.map(|expression| Check {
            table_name: table.to_owned(),
            expression,
        }));
    }
    Ok(Catalogue {
        settings: settings.into_iter().flat_map(faults).collect(),
        dialect: DIALECT,
        tables: by_table(columns, index_parts, foreign_keys, checks),
    })
}

fn faults(settings: Settings) -> impl Iterator<Item = Setting> {
    let is_off = |on: bool, fault| (!on).then_some(fault);
    let charsets = [
        ("character_set_client", settings.client),
        ("character_set_connection", settings.connection),
        ("character_set_results", settings.results),
    ];
    let other_charset = charsets
        .into_iter()
        .find(|(_, charset)| charset != "utf8mb4");
    [
        is_off(settings.foreign_keys, Setting::ForeignKeysOff),
        is_off(
            !settings.foreign_keys || settings.foreign_keys_at_first,
            Setting::ForeignKeysOffAtFirst,
        ),
        is_off(settings.unique_checks, Setting::UniqueChecksOff),
        is_off(settings.checks, Setting::ChecksOff),
        is_off(settings.autocommit, Setting::AutocommitOff),
        is_off(
            settings.completion_type == "NO_CHAIN",
            Setting::CompletionType(settings.completion_type),
        ),
        is_off(settings.strict, Setting::NotStrict),
        other_charset
            .map(|(variable, charset)| Setting::CharacterSet(format!("{variable} is {charset}"))),
        is_off(
            settings.isolation != "READ-UNCOMMITTED",
            Setting::ReadUncommitted,
        ),
    ]
    .into_iter()
    .flatten()
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
fn unsaid_action(is_mariadb: bool) -> &'static str {
    if is_mariadb { "RESTRICT" } else { "NO ACTION" }
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
