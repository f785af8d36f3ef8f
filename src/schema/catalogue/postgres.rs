//! PostgreSQL: `pg_catalog`, which everybody may read. `information_schema` would hide what the role
//! does not own.

use sea_orm::{DatabaseConnection, DbErr, FromQueryResult};

use super::{Catalogue, Dialect, Kind, Setting, by_table, rows, settings};

/// `to_regclass` finds a table along the search path, as the statements of the app do.
const COLUMNS: &str = "
    SELECT w.name AS table_name,
           CASE WHEN t.relpersistence = 'u' THEN 'unlogged'
                WHEN t.relpersistence = 't' THEN 'temporary'
                WHEN t.relkind = 'r'
                     AND EXISTS (SELECT FROM pg_inherits AS h WHERE h.inhparent = t.oid)
                THEN 'inherited' END AS storage,
           a.attname::text AS name,
           format_type(a.atttypid, a.atttypmod) AS declared,
           CASE WHEN a.atttypid = 'varchar'::regtype AND a.atttypmod > 4
                THEN (a.atttypmod - 4)::bigint END AS characters,
           NOT a.attnotnull AS nullable, a.atthasdef OR a.attidentity <> '' AS filled,
           l.collname::text AS folding
    FROM (VALUES {names}) AS w (name)
    JOIN pg_class AS t ON t.oid = to_regclass(w.name) AND t.relkind IN ('r', 'p')
    JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_collation AS l ON l.oid = a.attcollation AND NOT l.collisdeterministic
    ORDER BY w.name, a.attnum";

/// A plain index of another method or operator class is there for searches that the unique one
/// cannot do.
const INDEXES: &str = "
    SELECT w.name AS table_name, c.relname::text AS index_name, i.indisprimary AS is_primary,
           i.indisunique AS is_unique,
           CASE WHEN i.indpred IS NOT NULL THEN 'partial'
                WHEN NOT i.indimmediate THEN 'deferrable'
                WHEN NOT i.indisvalid THEN 'invalid' END AS flaw,
           a.attname::text AS column_name,
           pg_get_indexdef(i.indexrelid, p.position, FALSE) AS expression
    FROM (VALUES {names}) AS w (name)
    JOIN pg_index AS i ON i.indrelid = to_regclass(w.name)
    JOIN pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_am AS m ON m.oid = c.relam
    JOIN pg_opclass AS o ON o.oid = i.indclass[0]
    CROSS JOIN LATERAL generate_series(1, i.indnkeyatts) AS p (position)
    LEFT JOIN pg_attribute AS a
         ON a.attrelid = i.indrelid AND a.attnum = i.indkey[p.position - 1] AND a.attnum <> 0
    WHERE i.indisunique OR (m.amname = 'btree' AND o.opcdefault)
    ORDER BY w.name, c.relname, p.position";

/// A foreign key is enforced by triggers on both tables. `conenforced` is there since PostgreSQL 18.
const FOREIGN_KEYS: &str = "
    SELECT w.name AS table_name, a.attname::text AS column_name,
           k.confrelid::regclass::text AS to_table, r.attname::text AS to_column,
           CASE k.confdeltype WHEN 'r' THEN 'RESTRICT' WHEN 'c' THEN 'CASCADE'
                WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT'
                ELSE 'NO ACTION' END AS on_delete,
           CASE WHEN to_jsonb(k) ->> 'conenforced' = 'false' THEN 'not enforced'
                WHEN EXISTS (SELECT FROM pg_trigger AS g
                             WHERE g.tgconstraint = k.oid AND g.tgenabled NOT IN ('O', 'A'))
                THEN 'disabled'
                WHEN NOT k.convalidated THEN 'not validated'
                WHEN k.condeferred THEN 'deferred' END AS flaw
    FROM (VALUES {names}) AS w (name)
    JOIN pg_constraint AS k ON k.conrelid = to_regclass(w.name) AND k.contype = 'f'
    JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
    JOIN pg_attribute AS r ON r.attrelid = k.confrelid AND r.attnum = k.confkey[1]
    WHERE cardinality(k.conkey) = 1
    ORDER BY w.name, k.conname";

/// A check that was never validated may not hold for older rows. The bounds of what can be read are
/// replaced by words, as each session prints them in a time zone of its own.
const CHECKS: &str = "
    SELECT w.name AS table_name,
           replace(replace(pg_get_expr(k.conbin, k.conrelid),
                           '0001-01-01 00:00:00+00'::timestamptz::text, 'first'),
                   '10000-01-01 00:00:00+00'::timestamptz::text, 'end') AS expression
    FROM (VALUES {names}) AS w (name)
    JOIN pg_constraint AS k ON k.conrelid = to_regclass(w.name) AND k.contype = 'c'
    WHERE k.convalidated
    ORDER BY w.name, k.conname";

const DIALECT: Dialect = Dialect {
    connection: "PostgreSQL connection",
    name,
    holds,
    readable: Some(readable),
};

#[derive(FromQueryResult)]
struct Settings {
    session_replication_role: String,
}

pub(super) async fn read(db: &DatabaseConnection, names: &[&str]) -> Result<Catalogue, DbErr> {
    let settings: Vec<Settings> = settings(db, "SHOW session_replication_role").await?;
    // As a replica the session fires no triggers, and foreign keys are triggers.
    let is_replica = settings
        .iter()
        .any(|settings| settings.session_replication_role == "replica");
    let columns = rows(db, COLUMNS, names).await?;
    let index_parts = rows(db, INDEXES, names).await?;
    let foreign_keys = rows(db, FOREIGN_KEYS, names).await?;
    let checks = rows(db, CHECKS, names).await?;
    Ok(Catalogue {
        settings: is_replica
            .then_some(Setting::ForeignKeysOff)
            .into_iter()
            .collect(),
        dialect: DIALECT,
        tables: by_table(columns, index_parts, foreign_keys, checks),
    })
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Uuid => "uuid",
        Kind::Text => "character varying",
        Kind::Moment => "timestamp with time zone",
    }
}

fn holds(kind: Kind, declared: &str) -> bool {
    match kind {
        Kind::Uuid => declared == "uuid",
        Kind::Text => declared == "text" || declared.starts_with("character varying"),
        // Without a number in parentheses it has all six digits.
        Kind::Moment => {
            ["timestamp with time zone", "timestamp(6) with time zone"].contains(&declared)
        }
    }
}

/// sqlx panics where a timestamp is infinite or beyond what chrono holds.
fn readable(column: &str) -> String {
    let moment = "::timestampwithtimezone";
    format!("{column}>='first'{moment}and{column}<'end'{moment}")
}
