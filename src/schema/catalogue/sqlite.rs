//! SQLite: the `pragma_*` functions, which a read-only connection can select from too, and the
//! definitions for what these leave out.

use sea_orm::{DatabaseConnection, DatabaseTransaction, DbErr, FromQueryResult};
use sqlparser::dialect::SQLiteDialect;

use super::{
    Column, Dialect, Found, IndexPart, Intervention, KeyFlaw, KeyPart, Kind, Rows, Setting,
    definition::{self, Definition},
    elsewhere, rows, settings,
};

/// Case does not matter, so all names come in lower case, as do types. The functions prefer a
/// temporary table to a permanent one, as statements do. A primary key without an index is the rowid,
/// which is never null.
const COLUMNS: &str = r#"
    SELECT lower(t.name) AS table_name,
           CASE WHEN EXISTS (SELECT 1 FROM sqlite_temp_master AS h
                             WHERE h.type IN ('table', 'view') AND lower(h.name) = lower(t.name))
                THEN 'temporary' END AS storage,
           lower(c.name) AS name, lower(c.type) AS declared,
           NULL AS characters,
           NOT c."notnull" AND (c.pk = 0 OR EXISTS (SELECT 1 FROM pragma_index_list(t.name) AS i
                                                    WHERE i.origin = 'pk')) AS nullable,
           c.hidden <> 0 OR (c.dflt_value IS NOT NULL AND lower(c.dflt_value) <> 'null') AS filled,
           c.dflt_value AS default_value, NULL AS folding, NULL AS charset,
           CASE WHEN c.hidden <> 0 THEN 'generated' END AS upkeep
    FROM sqlite_master AS t, pragma_table_xinfo(t.name) AS c
    WHERE t.type = 'table' AND lower(t.name) IN ({names})
    ORDER BY t.name, c.cid"#;

/// The primary key need not have an index. A plain index under another collation serves searches
/// that the unique one cannot, so it is left out.
const INDEXES: &str = r#"
    WITH tables AS
        (SELECT name FROM sqlite_master WHERE type = 'table' AND lower(name) IN ({names}))
    SELECT lower(t.name) AS table_name, i.name AS index_name, FALSE AS is_primary,
           i."unique" AS is_unique, FALSE AS excludes, FALSE AS nulls_equal,
           CASE WHEN i.partial THEN 'partial' END AS flaw,
           CASE WHEN upper(x.coll) <> 'BINARY' THEN upper(x.coll) END AS folding,
           lower(x.name) AS column_name,
           (SELECT sql FROM sqlite_master WHERE type = 'index' AND name = i.name) AS expression,
           x.seqno AS position
    FROM tables AS t, pragma_index_list(t.name) AS i, pragma_index_xinfo(i.name) AS x
    WHERE i.origin <> 'pk' AND x.key
      AND (i."unique" OR NOT EXISTS
           (SELECT 1 FROM pragma_index_xinfo(i.name) WHERE key AND upper(coll) <> 'BINARY'))
    UNION ALL
    SELECT lower(t.name), 'primary key', TRUE, TRUE, FALSE, FALSE, NULL, NULL, lower(c.name), NULL, c.pk
    FROM tables AS t, pragma_table_info(t.name) AS c
    WHERE c.pk > 0
    ORDER BY table_name, index_name, position"#;

const FOREIGN_KEYS: &str = r#"
    SELECT lower(t.name) AS table_name, CAST(f.id AS text) AS key_name,
           lower(f."from") AS column_name, lower(f."table") AS to_table,
           lower(coalesce(f."to",
               (SELECT p.name FROM pragma_table_info(f."table") AS p WHERE p.pk = f.seq + 1), '?')
           ) AS to_column,
           f.on_delete AS on_delete, NULL AS flaw
    FROM sqlite_master AS t, pragma_foreign_key_list(t.name) AS f
    WHERE t.type = 'table' AND lower(t.name) IN ({names})
    ORDER BY t.name, f.id, f.seq"#;

const DEFINITIONS: &str = "
    SELECT lower(d.tbl_name) AS table_name, d.name AS name, d.type = 'table' AS is_table, d.sql AS sql
    FROM (SELECT * FROM sqlite_master UNION ALL SELECT * FROM sqlite_temp_master WHERE type = 'trigger')
         AS d
    WHERE d.type IN ('table', 'trigger') AND lower(d.tbl_name) IN ({names})
    ORDER BY d.tbl_name, d.name";

const SETTINGS: &str = "
    SELECT foreign_keys, ignore_check_constraints AS checks_off, journal_mode = 'off' AS no_journal,
           (SELECT group_concat(lower(name), char(10)) FROM sqlite_temp_master
            WHERE type IN ('table', 'view')) AS temporary
    FROM pragma_foreign_keys, pragma_ignore_check_constraints, pragma_journal_mode";

const DIALECT: Dialect = Dialect {
    connection: "SQLite connection",
    name,
    holds,
    // A text that is not a moment is an error when it is read, not a panic.
    unreadable_moments: false,
    triggers_fill: false,
};

#[derive(FromQueryResult)]
struct Settings {
    foreign_keys: bool,
    checks_off: bool,
    /// Without one a ROLLBACK undoes nothing.
    no_journal: bool,
    /// The tables and views that stand before those of their name, one a line.
    temporary: Option<String>,
}

/// The statement that made a table, or a trigger of it.
#[derive(FromQueryResult)]
struct Made {
    table_name: String,
    name: String,
    is_table: bool,
    sql: String,
}

pub(super) async fn read(
    db: &DatabaseConnection,
    connection: &DatabaseTransaction,
    names: &[&str],
) -> Result<Found, DbErr> {
    let settings: Vec<Settings> = settings(db, connection, SETTINGS).await?;
    let places: Vec<_> = settings.iter().map(|it| it.places(names)).collect();
    let mut found = Rows {
        columns: rows(connection, COLUMNS, names).await?,
        index_parts: rows(connection, INDEXES, names).await?,
        key_parts: rows(connection, FOREIGN_KEYS, names).await?,
        elsewhere: elsewhere(names, &places).collect(),
        ..Rows::default()
    };
    for index in found.index_parts.chunk_by_mut(|one, next| {
        (&one.table_name, &one.index_name) == (&next.table_name, &next.index_name)
    }) {
        tell_apart(index);
    }
    for made in rows::<Made>(connection, DEFINITIONS, names).await? {
        if made.is_table {
            add_definition(&mut found, &made);
        } else {
            found.interventions.push(trigger(made));
        }
    }
    let settings = settings.into_iter().flat_map(faults).collect();
    Ok((settings, DIALECT, found))
}

impl Settings {
    /// Whether the connection finds a temporary table, for each of the tables.
    fn places(&self, names: &[&str]) -> Vec<bool> {
        let temporary: Vec<_> = self.temporary.iter().flat_map(|it| it.lines()).collect();
        names.iter().map(|name| temporary.contains(name)).collect()
    }
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

/// Gives each part of an index its own expression in the place of the whole definition.
fn tell_apart(index: &mut [IndexPart]) {
    let create_index = index.first().and_then(|part| part.expression.clone());
    let parts = create_index.and_then(|sql| definition::parts(&sql, &SQLiteDialect {}));
    let own = parts
        .into_iter()
        .flatten()
        .map(Some)
        .chain(std::iter::repeat(None));
    for (part, own) in index.iter_mut().zip(own) {
        part.expression = own;
    }
}

fn add_definition(found: &mut Rows, made: &Made) {
    let table = &made.table_name;
    let Some(definition) = Definition::of(&made.sql, &SQLiteDialect {}) else {
        return found.unread.push(table.clone());
    };
    let of_table = |name: &str| name == table;
    for (column, collation) in definition.collations() {
        let is_it = |it: &&mut Column| of_table(&it.table_name) && it.name == column;
        let column = found.columns.iter_mut().find(is_it);
        if let Some(column) = column.filter(|_| collation != "binary") {
            column.folding = Some(collation.to_uppercase());
        }
    }
    for (column, expression) in definition.generated() {
        let is_it = |it: &&mut Column| of_table(&it.table_name) && it.name == column;
        if let Some(column) = found.columns.iter_mut().find(is_it) {
            column.default_value = Some(expression);
        }
    }
    for columns in definition.deferred_keys() {
        let keys: Vec<_> = found
            .key_parts
            .iter_mut()
            .filter(|part| of_table(&part.table_name))
            .collect();
        defer(keys, &columns);
    }
    let demands = definition.demands().into_iter();
    found
        .demands
        .extend(demands.map(|demand| (table.clone(), demand)));
    let clauses = definition.clauses().into_iter();
    found
        .clauses
        .extend(clauses.map(|clause| (table.clone(), clause)));
}

/// Marks the keys over these columns as deferred.
fn defer(mut parts: Vec<&mut KeyPart>, columns: &[String]) {
    for key in parts.chunk_by_mut(|one, next| one.key_name == next.key_name) {
        if key.iter().map(|part| &part.column_name).eq(columns) {
            for part in key {
                part.flaw = Some(KeyFlaw::Deferred);
            }
        }
    }
}

fn trigger(made: Made) -> Intervention {
    let (is_before, events) = definition::timing(&made.sql, &SQLiteDialect {});
    Intervention {
        table_name: made.table_name,
        name: made.name,
        is_rule: false,
        is_before,
        events,
    }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Uuid => "uuid_text",
        Kind::Text => "varchar",
        Kind::Moment => "timestamp_with_timezone_text",
    }
}

/// By [affinity](https://www.sqlite.org/datatype3.html#determination_of_column_affinity), as the
/// name of a type means little here. A UUID is a blob, which no affinity converts; what is declared
/// shows what other programs store there. Numeric affinity leaves a text that is no number as it is,
/// and sqlx takes a moment from any text, whatever the column declares.
fn holds(kind: Kind, declared: &str) -> bool {
    let has = |word| declared.contains(word);
    let is_text = !has("int") && (has("char") || has("clob") || has("text"));
    let is_numeric = ![
        "int", "char", "clob", "text", "blob", "real", "floa", "doub",
    ]
    .into_iter()
    .any(has);
    let is_time = declared.starts_with("datetime") || declared.starts_with("timestamp");
    match kind {
        Kind::Uuid => declared.starts_with("uuid") || declared.is_empty() || has("blob"),
        Kind::Moment if is_numeric && is_time => true,
        Kind::Text | Kind::Moment => is_text && !declared.starts_with("uuid"),
    }
}
