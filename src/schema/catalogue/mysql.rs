//! MariaDB: `information_schema`, and `SHOW CREATE TABLE` for what that hides from a role with no
//! more than SELECT, which finds `referential_constraints` empty.
//!
//! MySQL returns column names in capitals, so every column is given a name here. Every SELECT has a
//! limit of its own, since `sql_select_limit` truncates those that have none.

use std::{any::TypeId, collections::BTreeSet};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, FromQueryResult, QueryResult,
    Statement, Value,
};
use sqlparser::{
    ast::{ForeignKeyConstraint, Ident, ObjectName, ReferentialAction},
    dialect::{self, MySqlDialect},
};

use super::{
    Column, Dialect, Found, IndexPart, KeyPart, Kind, Named, Rows, Setting, Upkeep,
    definition::Definition, elsewhere, settings,
};

/// The casts are for MySQL, parts of whose `information_schema` come as bytes. `NULL` is how MariaDB
/// writes that a column which may be null has no default; a text has quotes. A `tinytext` and its like
/// hold a number of [bytes](https://mariadb.com/kb/en/tinytext/), and a character takes up to four.
const COLUMNS: &str = "
    SELECT CAST(concat(?, c.table_name) AS CHAR) AS table_name,
           CASE WHEN t.engine <> 'InnoDB' THEN 'no transactions' END AS storage,
           lower(c.column_name) AS name,
           CAST(c.column_type AS CHAR) AS declared,
           CASE WHEN c.data_type = 'varchar' THEN CAST(c.character_maximum_length AS SIGNED)
                WHEN c.data_type LIKE '%text'
                THEN CAST(c.character_octet_length DIV 4 AS SIGNED) END AS characters,
           c.is_nullable = 'YES' AS nullable,
           coalesce(c.column_default, 'NULL') <> 'NULL' OR c.extra LIKE '%auto_increment%'
               OR c.extra LIKE '%generated%' AS filled,
           CAST(coalesce(c.generation_expression, c.column_default) AS CHAR) AS default_value,
           CASE WHEN right(c.collation_name, 4) <> '_bin'
                THEN CAST(c.collation_name AS CHAR) END AS folding,
           CASE WHEN c.character_set_name NOT IN ('utf8mb4', 'utf16', 'utf16le', 'utf32')
                THEN CAST(c.character_set_name AS CHAR) END AS charset,
           CASE WHEN c.generation_expression = 'ROW END' THEN 'row end'
                WHEN c.extra LIKE '%virtual generated%' OR c.extra LIKE '%stored generated%'
                THEN 'generated'
                WHEN c.extra LIKE '%on update%' THEN 'on update' END AS upkeep
    FROM information_schema.columns AS c
    JOIN information_schema.tables AS t
         ON t.table_schema = c.table_schema AND t.table_name = c.table_name
    WHERE c.table_schema = coalesce(?, database()) AND c.table_name IN ({names})
      AND t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
    ORDER BY c.table_name, c.ordinal_position
    LIMIT 18446744073709551615";

/// An index for full-text search is not redundant beside the unique one.
const INDEXES: &str = "
    SELECT CAST(concat(?, table_name) AS CHAR) AS table_name,
           CAST(index_name AS CHAR) AS index_name,
           index_name = 'PRIMARY' AS is_primary, non_unique = 0 AS is_unique, FALSE AS excludes,
           FALSE AS nulls_equal,
           CASE WHEN sub_part IS NOT NULL THEN 'prefix' END AS flaw, NULL AS folding,
           lower(column_name) AS column_name, NULL AS expression
    FROM information_schema.statistics
    WHERE table_schema = coalesce(?, database()) AND table_name IN ({names})
      AND index_type IN ('BTREE', 'HASH')
    ORDER BY table_name, index_name, seq_in_index
    LIMIT 18446744073709551615";

/// Those that the role may see: it needs the `TRIGGER` privilege on the table.
const TRIGGERS: &str = "
    SELECT CAST(concat(?, event_object_table) AS CHAR) AS table_name,
           CAST(trigger_name AS CHAR) AS name,
           FALSE AS is_rule, action_timing = 'BEFORE' AS is_before,
           CAST(event_manipulation AS CHAR) AS events
    FROM information_schema.triggers
    WHERE event_object_schema = coalesce(?, database()) AND event_object_table IN ({names})
    ORDER BY event_object_table, trigger_name
    LIMIT 18446744073709551615";

/// Checks can be switched off on MariaDB only, and the isolation level has two names.
macro_rules! scope {
    ($scope:literal) => {
        concat!(
            "@@",
            $scope,
            ".foreign_key_checks AS ",
            $scope,
            "_foreign_keys, ",
            "@@",
            $scope,
            ".unique_checks AS ",
            $scope,
            "_unique_checks, ",
            "1 /*M! AND @@",
            $scope,
            ".check_constraint_checks */ AS ",
            $scope,
            "_checks, ",
            "@@",
            $scope,
            ".autocommit AS ",
            $scope,
            "_autocommit, ",
            "CAST(@@",
            $scope,
            ".completion_type AS CHAR) AS ",
            $scope,
            "_completion_type, ",
            "CAST(@@",
            $scope,
            ".sql_mode AS CHAR) AS ",
            $scope,
            "_sql_mode, ",
            "CAST(/*!80000 @@",
            $scope,
            ".transaction_isolation */ /*M! @@",
            $scope,
            ".tx_isolation */ AS CHAR) AS ",
            $scope,
            "_isolation, ",
        )
    };
}

const SETTINGS: &str = concat!(
    "SELECT ",
    scope!("session"),
    scope!("global"),
    "CAST(@@session.character_set_client AS CHAR) AS client,
     CAST(@@session.character_set_connection AS CHAR) AS connection,
     CAST(coalesce(@@session.character_set_results, 'utf8mb4') AS CHAR) AS results,
     CAST(IF(@@session.time_zone = 'SYSTEM', @@global.system_time_zone, @@session.time_zone) AS CHAR)
         AS time_zone,
     CAST(version() AS CHAR) AS version,
     CAST(database() AS CHAR) AS current
     LIMIT 1"
);

const DIALECT: Dialect = Dialect {
    connection: "MariaDB connection",
    name,
    holds,
    // `datetime` ends with the year 9999.
    unreadable_moments: false,
    triggers_fill: true,
};

struct Settings {
    session: Scope,
    /// What a new connection begins with.
    global: Scope,
    texts: Texts,
}

#[derive(FromQueryResult)]
struct Scope {
    foreign_keys: bool,
    unique_checks: bool,
    checks: bool,
    autocommit: bool,
    completion_type: String,
    sql_mode: String,
    isolation: String,
}

/// Every new connection of sqlx sets these itself.
#[derive(FromQueryResult)]
struct Texts {
    client: String,
    connection: String,
    results: String,
    /// By which a `timestamp` is converted, and not a `datetime`.
    time_zone: String,
    version: String,
    /// The database of the connection, if it has one.
    current: Option<String>,
}

impl FromQueryResult for Settings {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        Ok(Self {
            session: Scope::from_query_result(row, "session_")?,
            global: Scope::from_query_result(row, "global_")?,
            texts: Texts::from_query_result(row, prefix)?,
        })
    }
}

/// How the server writes a definition in this session.
#[derive(Debug)]
struct Spelling {
    ansi_quotes: bool,
    backslash_escapes: bool,
}

impl dialect::Dialect for Spelling {
    fn dialect(&self) -> TypeId {
        TypeId::of::<MySqlDialect>()
    }

    fn is_delimited_identifier_start(&self, c: char) -> bool {
        c == '`' || c == '"' && self.ansi_quotes
    }

    fn is_identifier_start(&self, c: char) -> bool {
        MySqlDialect {}.is_identifier_start(c)
    }

    fn is_identifier_part(&self, c: char) -> bool {
        MySqlDialect {}.is_identifier_part(c)
    }

    fn supports_string_literal_backslash_escape(&self) -> bool {
        self.backslash_escapes
    }

    fn supports_numeric_prefix(&self) -> bool {
        true
    }

    /// Where MySQL writes `NOT ENFORCED`.
    fn supports_multiline_comment_hints(&self) -> bool {
        true
    }
}

pub(super) async fn read(
    db: &DatabaseConnection,
    connection: &DatabaseTransaction,
    tables: &[Named],
) -> Result<Found, DbErr> {
    let settings: Vec<Settings> = settings(db, connection, SETTINGS).await?;
    // The first is that of this connection.
    let first = settings.first();
    let first =
        first.ok_or_else(|| DbErr::RecordNotFound("the connection has no settings".into()))?;
    let spelling = Spelling {
        ansi_quotes: first.session.sql_mode.contains("ANSI_QUOTES"),
        backslash_escapes: !first.session.sql_mode.contains("NO_BACKSLASH_ESCAPES"),
    };
    let is_mariadb = is_mariadb(&first.texts.version);
    let current = first.texts.current.clone();
    let unqualified = tables.iter().filter(|it| it.schema.is_none());
    let unqualified: Vec<_> = unqualified.map(|it| it.asked.as_str()).collect();
    let place = |it: &Settings| vec![it.texts.current.clone(); unqualified.len()];
    let places: Vec<_> = settings.iter().map(place).collect();
    let mut found = Rows {
        elsewhere: elsewhere(&unqualified, &places).collect(),
        ..Rows::default()
    };
    let databases: BTreeSet<_> = tables.iter().map(|it| it.schema.as_deref()).collect();
    for database in databases {
        let tables = tables.iter().filter(|it| it.schema.as_deref() == database);
        let names: Vec<_> = tables.map(|it| it.table.as_str()).collect();
        let columns = rows(connection, COLUMNS, database, &names);
        found.columns.extend(columns.await?);
        let index_parts = rows(connection, INDEXES, database, &names);
        found.index_parts.extend(index_parts.await?);
        let triggers = rows(connection, TRIGGERS, database, &names);
        found.interventions.extend(triggers.await?);
    }
    let ends_version = |part: &IndexPart| {
        let mut columns = found.columns.iter();
        columns.any(|column| {
            column.upkeep == Some(Upkeep::RowEnd)
                && column.table_name == part.table_name
                && Some(&column.name) == part.column_name.as_ref()
        })
    };
    found.index_parts.retain(|part| !ends_version(part));
    for named in tables.iter().filter(|it| it.is_compared) {
        let table = &named.wanted;
        let is_there = |column: &Column| column.table_name == *table;
        if !found.columns.iter().any(is_there) {
            continue;
        }
        let create_table = create_table(connection, named).await?;
        let definition = Definition::of(&create_table, &spelling);
        let keys = definition.as_ref().and_then(Definition::foreign_keys);
        let (Some(definition), Some(keys)) = (definition, keys) else {
            found.unread.push(table.clone());
            continue;
        };
        for key in keys {
            let to_table = referred_to(tables, named, &key.foreign_table, current.as_deref());
            let parts = key_parts(table, key, to_table, is_mariadb);
            found.key_parts.extend(parts);
        }
        let demands = definition.demands().into_iter();
        found
            .demands
            .extend(demands.map(|demand| (table.clone(), demand)));
        if definition.is_temporary {
            // `information_schema` shows the table that it hides.
            for column in found.columns.iter_mut().filter(|column| is_there(column)) {
                column.storage = Some("temporary".to_owned());
            }
        }
    }
    let settings = settings.into_iter().flat_map(faults).collect();
    Ok((settings, DIALECT, found))
}

fn is_mariadb(version: &str) -> bool {
    version.contains("MariaDB")
}

/// Whether the server has the statements that the library sends; `json_table` is the newest.
fn is_mariadb_10_6(version: &str) -> bool {
    let mut numbers = version.split(['.', '-']).map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return false;
    };
    is_mariadb(version) && (major, minor) >= (10, 6)
}

fn faults(settings: Settings) -> Vec<Setting> {
    let texts = settings.texts;
    let charsets = [
        ("character_set_client", texts.client),
        ("character_set_connection", texts.connection),
        ("character_set_results", texts.results),
    ];
    let other_charset = charsets
        .into_iter()
        .find(|(_, charset)| charset != "utf8mb4");
    let not_mariadb = (!is_mariadb_10_6(&texts.version)).then(|| {
        let product = if is_mariadb(&texts.version) {
            ""
        } else {
            "MySQL "
        };
        Setting::NotMariaDb(format!("{product}{}", texts.version))
    });
    let is_utc = ["+00:00", "-00:00", "UTC", "Etc/UTC", "GMT"]
        .iter()
        .any(|name| name.eq_ignore_ascii_case(&texts.time_zone));
    let mut faults: Vec<_> = not_mariadb.into_iter().collect();
    faults.extend(settings.session.faults());
    let at_first: Vec<_> = settings
        .global
        .faults()
        .filter(|fault| !faults.contains(fault))
        .map(|fault| Setting::AtFirst(Box::new(fault)))
        .collect();
    faults.extend(
        other_charset
            .map(|(variable, charset)| Setting::CharacterSet(format!("{variable} is {charset}"))),
    );
    faults.extend((!is_utc).then_some(Setting::TimeZone(texts.time_zone)));
    faults.extend(at_first);
    faults
}

impl Scope {
    fn faults(self) -> impl Iterator<Item = Setting> {
        let is_strict = ["STRICT_TRANS_TABLES", "STRICT_ALL_TABLES"]
            .iter()
            .any(|mode| self.sql_mode.contains(mode));
        let is_oracle = self.sql_mode.split(',').any(|mode| mode == "ORACLE");
        let is_off = |on: bool, fault| (!on).then_some(fault);
        [
            is_off(self.foreign_keys, Setting::ForeignKeysOff),
            is_off(self.unique_checks, Setting::UniqueChecksOff),
            is_off(self.checks, Setting::ChecksOff),
            is_off(self.autocommit, Setting::AutocommitOff),
            is_off(
                self.completion_type == "NO_CHAIN",
                Setting::CompletionType(self.completion_type),
            ),
            is_off(is_strict, Setting::NotStrict),
            is_off(!is_oracle, Setting::Oracle),
            is_off(
                self.isolation != "READ-UNCOMMITTED",
                Setting::ReadUncommitted,
            ),
        ]
        .into_iter()
        .flatten()
    }
}

fn key_parts(
    table: &str,
    key: ForeignKeyConstraint,
    to_table: String,
    is_mariadb: bool,
) -> impl Iterator<Item = KeyPart> {
    let on_delete = match key.on_delete {
        // `SHOW CREATE TABLE` leaves out RESTRICT on MariaDB, which is also the default there, and
        // NO ACTION on MySQL.
        None if is_mariadb => ReferentialAction::Restrict,
        None => ReferentialAction::NoAction,
        Some(action) => action,
    };
    let lower = |name: &Ident| name.value.to_lowercase();
    let parts = key.columns.iter().zip(&key.referred_columns);
    let parts: Vec<_> = parts
        .map(|(own, other)| KeyPart {
            table_name: table.to_owned(),
            key_name: key.name.as_ref().map(lower).unwrap_or_default(),
            column_name: lower(own),
            to_table: to_table.clone(),
            to_column: lower(other),
            on_delete: on_delete.to_string(),
            flaw: None,
        })
        .collect();
    parts.into_iter()
}

/// The wanted name of the table that a key refers to. `SHOW CREATE TABLE` writes its database only
/// if that is not the one of the key's own table.
fn referred_to(tables: &[Named], own: &Named, name: &ObjectName, current: Option<&str>) -> String {
    let parts = name.0.iter().filter_map(|part| part.as_ident());
    let parts: Vec<_> = parts.map(|part| part.value.as_str()).collect();
    let database_of = |table: &Named| table.schema.as_deref().or(current).map(str::to_owned);
    let (database, table) = match parts[..] {
        [database, table] => (Some(database.to_owned()), table),
        _ => (database_of(own), parts.last().copied().unwrap_or_default()),
    };
    let is_it = |named: &&Named| database_of(named) == database && named.table == table;
    match (tables.iter().find(is_it), database) {
        (Some(named), _) => named.wanted.clone(),
        (None, Some(database)) if current != Some(database.as_str()) => {
            format!("{database}.{table}")
        }
        (None, _) => table.to_owned(),
    }
}

/// The rows of one statement for tables of one database, which is the current one if none is given.
async fn rows<R: FromQueryResult>(
    connection: &DatabaseTransaction,
    sql: &str,
    database: Option<&str>,
    tables: &[&str],
) -> Result<Vec<R>, DbErr> {
    let sql = sql.replace("{names}", &vec!["?"; tables.len()].join(", "));
    let prefix = database.map_or_else(String::new, |name| format!("{name}."));
    let first = [Value::from(prefix), database.map(str::to_owned).into()];
    let values = first
        .into_iter()
        .chain(tables.iter().map(|&table| Value::from(table)));
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
    R::find_by_statement(statement).all(connection).await
}

async fn create_table(connection: &DatabaseTransaction, table: &Named) -> Result<String, DbErr> {
    let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
    let database = table.schema.iter().map(|name| quoted(name) + ".");
    let database: String = database.collect();
    let sql = format!("SHOW CREATE TABLE {database}{}", quoted(&table.table));
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let row = connection.query_one_raw(statement).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("the table has no definition".into()))?;
    // MySQL sends it as bytes, MariaDB as text.
    let definition: Vec<u8> = row.try_get_by_index(1)?;
    Ok(String::from_utf8_lossy(&definition).into_owned())
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
        // Sessions of sqlx are on UTC, so both return what they are given. Others are reported.
        Kind::Moment => ["datetime(6)", "timestamp(6)"].contains(&declared),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        Scope {
            foreign_keys: true,
            unique_checks: true,
            checks: true,
            autocommit: true,
            completion_type: "NO_CHAIN".into(),
            sql_mode: "STRICT_TRANS_TABLES".into(),
            isolation: "REPEATABLE-READ".into(),
        }
    }

    #[test]
    fn the_server_is_mariadb_with_every_statement() {
        for version in [
            "10.6.2-MariaDB",
            "10.11.19-MariaDB-deb12",
            "11.8.1-MariaDB-log",
        ] {
            assert!(is_mariadb_10_6(version), "{version}");
        }
        for version in ["10.5.29-MariaDB", "8.4.7", "9.7.4-2", ""] {
            assert!(!is_mariadb_10_6(version), "{version}");
        }
    }

    /// A unit test, since a change of the server's settings would reach the tests that run beside
    /// it.
    #[test]
    fn what_a_new_connection_begins_with_counts_once() {
        let of = |session: Scope, global: Scope| {
            let utf8mb4 = || "utf8mb4".to_owned();
            faults(Settings {
                session,
                global,
                texts: Texts {
                    client: utf8mb4(),
                    connection: utf8mb4(),
                    results: utf8mb4(),
                    time_zone: "+00:00".to_owned(),
                    version: "10.6.2-MariaDB".to_owned(),
                    current: None,
                },
            })
        };
        assert_eq!(of(scope(), scope()), []);
        for fault in [
            Setting::ForeignKeysOff,
            Setting::ChecksOff,
            Setting::AutocommitOff,
            Setting::NotStrict,
            Setting::Oracle,
        ] {
            let switched = || {
                let mut scope = scope();
                match fault {
                    Setting::ForeignKeysOff => scope.foreign_keys = false,
                    Setting::ChecksOff => scope.checks = false,
                    Setting::AutocommitOff => scope.autocommit = false,
                    Setting::Oracle => scope.sql_mode.push_str(",ORACLE"),
                    _ => scope.sql_mode.clear(),
                }
                scope
            };
            let at_first = of(scope(), switched());
            assert_eq!(of(switched(), switched()), of(switched(), scope()));
            assert_eq!(of(switched(), scope()), std::slice::from_ref(&fault));
            assert_eq!(at_first, [Setting::AtFirst(Box::new(fault))]);
        }
    }
}
