//! SQLite: the `pragma_*` functions, which also a read-only connection can select from.

use sea_orm::{DatabaseConnection, DbErr, FromQueryResult};

use super::{Catalogue, Check, Dialect, Kind, by_table, definition, rows, setting};

/// Names mean the same in either case, so all come in lower case, as do types.
const COLUMNS: &str = r#"
    SELECT lower(t.name) AS table_name, lower(c.name) AS name, lower(c.type) AS declared,
           NULL AS characters, NOT c."notnull" AS nullable, c.dflt_value IS NOT NULL AS filled,
           (SELECT x.coll FROM pragma_index_list(t.name) AS i, pragma_index_xinfo(i.name) AS x
            WHERE i."unique" AND x.key AND x.cid = c.cid AND x.coll <> 'BINARY') AS folding
    FROM sqlite_master AS t, pragma_table_info(t.name) AS c
    WHERE t.type = 'table' AND lower(t.name) IN (?, ?, ?)
    ORDER BY t.name, c.cid"#;

/// The primary key need not have an index. A plain index under another collation is there for
/// searches that the unique one cannot do.
const INDEXES: &str = r#"
    WITH tables AS
        (SELECT name FROM sqlite_master WHERE type = 'table' AND lower(name) IN (?, ?, ?))
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
           f.on_delete AS on_delete, TRUE AS validated
    FROM sqlite_master AS t, pragma_foreign_key_list(t.name) AS f
    WHERE t.type = 'table' AND lower(t.name) IN (?, ?, ?)
    GROUP BY t.name, f.id
    HAVING count(*) = 1
    ORDER BY t.name, f.id"#;

const TABLES: &str = "
    SELECT lower(name) AS table_name, sql AS create_table
    FROM sqlite_master
    WHERE type = 'table' AND lower(name) IN (?, ?, ?)";

const DIALECT: Dialect = Dialect { name, holds };

#[derive(FromQueryResult)]
struct Settings {
    foreign_keys: bool,
}

#[derive(FromQueryResult)]
struct Table {
    table_name: String,
    create_table: String,
}

pub(super) async fn read(db: &DatabaseConnection, names: [&str; 3]) -> Result<Catalogue, DbErr> {
    let settings: Settings = setting(db, "SELECT foreign_keys FROM pragma_foreign_keys").await?;
    let all_on = settings.foreign_keys && idle_connections_enforce_foreign_keys(db).await?;
    let columns = rows(db, COLUMNS, names).await?;
    let index_parts = rows(db, INDEXES, names).await?;
    let foreign_keys = rows(db, FOREIGN_KEYS, names).await?;
    let checks = rows(db, TABLES, names).await?.into_iter().flat_map(checks);
    Ok(Catalogue {
        foreign_keys_off: (!all_on).then_some("this SQLite connection"),
        dialect: DIALECT,
        tables: by_table(columns, index_parts, foreign_keys, checks.collect()),
    })
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

/// Asks every connection that is idle, as each has a switch of its own. Those in use cannot be
/// asked.
#[cfg(feature = "sqlite")]
async fn idle_connections_enforce_foreign_keys(db: &DatabaseConnection) -> Result<bool, DbErr> {
    use std::sync::Arc;

    use sea_orm::{DatabaseConnectionType, RuntimeErr, sqlx};

    if !matches!(
        db.inner,
        DatabaseConnectionType::SqlxSqlitePoolConnection(_)
    ) {
        return Ok(true);
    }
    let pool = db.get_sqlite_connection_pool();
    // Held together, so that the pool gives out another one each time.
    let mut held: Vec<_> = std::iter::from_fn(|| pool.try_acquire()).collect();
    for connection in &mut held {
        let on: bool = sqlx::query_scalar("PRAGMA foreign_keys")
            .fetch_one(&mut **connection)
            .await
            .map_err(|error| DbErr::Query(RuntimeErr::SqlxError(Arc::new(error))))?;
        if !on {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(not(feature = "sqlite"))]
async fn idle_connections_enforce_foreign_keys(_: &DatabaseConnection) -> Result<bool, DbErr> {
    Ok(true)
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
