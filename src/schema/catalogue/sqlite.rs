//! SQLite: the `pragma_*` functions, which also a read-only connection can select from.

use sea_orm::{DatabaseConnection, DbErr, FromQueryResult};

use super::{Catalogue, Check, Dialect, Kind, Setting, by_table, definition, rows, settings};

/// Names mean the same in either case, so all come in lower case, as do types.
const COLUMNS: &str = r#"
    SELECT lower(t.name) AS table_name, NULL AS storage, lower(c.name) AS name,
           lower(c.type) AS declared,
           NULL AS characters, NOT c."notnull" AS nullable, c.dflt_value IS NOT NULL AS filled,
           (SELECT x.coll FROM pragma_index_list(t.name) AS i, pragma_index_xinfo(i.name) AS x
            WHERE i."unique" AND x.key AND x.cid = c.cid AND x.coll <> 'BINARY') AS folding
    FROM sqlite_master AS t, pragma_table_info(t.name) AS c
    WHERE t.type = 'table' AND lower(t.name) IN ({names})
    ORDER BY t.name, c.cid"#;

/// The primary key need not have an index. A plain index under another collation is there for
/// searches that the unique one cannot do.
const INDEXES: &str = r#"
    WITH tables AS
        (SELECT name FROM sqlite_master WHERE type = 'table' AND lower(name) IN ({names}))
    SELECT lower(t.name) AS table_name, i.name AS index_name, FALSE AS is_primary,
           i."unique" AS is_unique, CASE WHEN i.partial THEN 'partial' END AS flaw,
           lower(x.name) AS column_name,
           (SELECT sql FROM sqlite_master WHERE type = 'index' AND name = i.name) AS expression,
           x.seqno AS position
    FROM tables AS t, pragma_index_list(t.name) AS i, pragma_index_xinfo(i.name) AS x
    WHERE i.origin <> 'pk' AND x.key
      AND (i."unique" OR NOT EXISTS
           (SELECT 1 FROM pragma_index_xinfo(i.name) WHERE key AND coll <> 'BINARY'))
    UNION ALL
    SELECT lower(t.name), 'primary key', TRUE, TRUE, NULL, lower(c.name), NULL, c.pk
    FROM tables AS t, pragma_table_info(t.name) AS c
    WHERE c.pk > 0
    ORDER BY table_name, index_name, position"#;

const FOREIGN_KEYS: &str = r#"
    SELECT lower(t.name) AS table_name, lower(f."from") AS column_name,
           lower(f."table") AS to_table,
           lower(coalesce(f."to",
               (SELECT p.name FROM pragma_table_info(f."table") AS p WHERE p.pk = 1), '?')
           ) AS to_column,
           f.on_delete AS on_delete, NULL AS flaw
    FROM sqlite_master AS t, pragma_foreign_key_list(t.name) AS f
    WHERE t.type = 'table' AND lower(t.name) IN ({names})
    GROUP BY t.name, f.id
    HAVING count(*) = 1
    ORDER BY t.name, f.id"#;

const TABLES: &str = "
    SELECT lower(name) AS table_name, sql AS create_table
    FROM sqlite_master
    WHERE type = 'table' AND lower(name) IN ({names})";

const SETTINGS: &str = "
    SELECT foreign_keys, ignore_check_constraints AS checks_off, journal_mode = 'off' AS no_journal
    FROM pragma_foreign_keys, pragma_ignore_check_constraints, pragma_journal_mode";

const DIALECT: Dialect = Dialect {
    connection: "SQLite connection",
    name,
    holds,
    // A text that is no moment is an error to whoever reads it.
    readable: None,
};

#[derive(FromQueryResult)]
struct Settings {
    foreign_keys: bool,
    checks_off: bool,
    /// Without one a ROLLBACK undoes nothing.
    no_journal: bool,
}

#[derive(FromQueryResult)]
struct Table {
    table_name: String,
    create_table: String,
}

pub(super) async fn read(db: &DatabaseConnection, names: &[&str]) -> Result<Catalogue, DbErr> {
    let settings: Vec<Settings> = settings(db, SETTINGS).await?;
    let columns = rows(db, COLUMNS, names).await?;
    let index_parts = rows(db, INDEXES, names).await?;
    let foreign_keys = rows(db, FOREIGN_KEYS, names).await?;
    let checks = rows(db, TABLES, names).await?.into_iter().flat_map(checks);
    Ok(Catalogue {
        settings: settings.into_iter().flat_map(faults).collect(),
        dialect: DIALECT,
        tables: by_table(columns, index_parts, foreign_keys, checks.collect()),
    })
}

fn faults(settings: Settings) -> impl Iterator<Item = Setting> {
    [
        (!settings.foreign_keys).then_some(Setting::ForeignKeysOff),
        settings.checks_off.then_some(Setting::ChecksOff),
        settings.no_journal.then_some(Setting::NoJournal),
    ]
    .into_iter()
    .flatten()
}

fn checks(table: Table) -> Vec<Check> {
    definition::checks(&table.create_table)
        .into_iter()
        .map(|expression| Check {
            table_name: table.table_name.clone(),
            expression,
        })
        .collect()
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Uuid => "uuid_text",
        Kind::Text => "varchar",
        Kind::Moment => "timestamp_with_timezone_text",
    }
}

/// By [affinity](https://www.sqlite.org/datatype3.html#determination_of_column_affinity), as the
/// name of a type means little here. A UUID is a blob, which every affinity leaves alone; what is
/// declared tells what others who write to the table put there.
fn holds(kind: Kind, declared: &str) -> bool {
    let has = |word| declared.contains(word);
    let is_text = !has("int") && (has("char") || has("clob") || has("text"));
    match kind {
        Kind::Uuid => declared.starts_with("uuid") || declared.is_empty() || has("blob"),
        Kind::Text | Kind::Moment => is_text && !declared.starts_with("uuid"),
    }
}
