//! PostgreSQL: `pg_catalog`, which everybody may read. `information_schema` would hide what the
//! role does not own.

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, FromQueryResult, Statement,
};

use super::{Demand, Dialect, Found, Kind, Rows, Setting, elsewhere, rows, settings};

/// PostgreSQL prints the moments of a check in the style and the time zone of the session, and types
/// with or without quotes.
const PRINT_ALIKE: &str = "
    SELECT set_config('TimeZone', 'UTC', TRUE), set_config('DateStyle', 'ISO', TRUE),
           set_config('quote_all_identifiers', 'off', TRUE)";

/// `to_regclass` finds a table along the search path, as the statements of the app do. A domain
/// counts as its base type, with all that the domains on the way to it demand; of their defaults it
/// has that of the first, which was made with a copy of the next one's.
const COLUMNS: &str = "
    SELECT w.name AS table_name,
           concat_ws(',',
               CASE WHEN t.relpersistence = 'u'
                         OR EXISTS (SELECT FROM pg_partition_tree(t.oid) AS p
                                    JOIN pg_class AS c ON c.oid = p.relid
                                    WHERE c.relpersistence = 'u')
                    THEN 'unlogged' END,
               CASE WHEN t.relpersistence = 't' THEN 'temporary' END,
               CASE WHEN t.relkind = 'r'
                         AND EXISTS (SELECT FROM pg_inherits AS h WHERE h.inhparent = t.oid)
                    THEN 'inherited' END,
               CASE WHEN EXISTS (SELECT FROM pg_inherits AS h WHERE h.inhrelid = t.oid)
                    THEN 'inherits' END,
               CASE WHEN row_security_active(t.oid) THEN 'hidden' END) AS storage,
           a.attname::text AS name,
           format_type(y.oid, y.modifier) AS declared,
           CASE WHEN y.oid = 'varchar'::regtype AND y.modifier > 4
                THEN (y.modifier - 4)::bigint END AS characters,
           NOT (a.attnotnull OR y.not_null)
               OR EXISTS (SELECT FROM pg_constraint AS k
                          WHERE k.conrelid = t.oid AND k.contype = 'n' AND NOT k.convalidated
                            AND k.conkey = ARRAY[a.attnum]) AS nullable,
           a.atthasdef OR a.attidentity <> '' OR y.default_value IS NOT NULL AS filled,
           coalesce(pg_get_expr(d.adbin, d.adrelid), y.default_value) AS default_value,
           CASE WHEN NOT l.collisdeterministic THEN l.collname::text END AS folding,
           CASE WHEN a.attcollation <> 0 AND getdatabaseencoding() <> 'UTF8'
                THEN getdatabaseencoding()::text END AS charset,
           CASE WHEN a.attgenerated <> '' OR a.attidentity = 'a' THEN 'generated' END AS upkeep
    FROM (VALUES {names}) AS w (name)
    JOIN pg_class AS t ON t.oid = to_regclass(w.name) AND t.relkind IN ('r', 'p')
    JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    CROSS JOIN LATERAL (
        WITH RECURSIVE made_of AS (
            SELECT b.oid, b.typtype, b.typbasetype, b.typtypmod, b.typnotnull, b.typdefault,
                   a.atttypmod AS modifier, 0 AS depth
            FROM pg_type AS b WHERE b.oid = a.atttypid
            UNION ALL
            SELECT b.oid, b.typtype, b.typbasetype, b.typtypmod, b.typnotnull, b.typdefault,
                   d.typtypmod, d.depth + 1
            FROM made_of AS d JOIN pg_type AS b ON b.oid = d.typbasetype
            WHERE d.typtype = 'd')
        SELECT (array_agg(m.oid ORDER BY m.depth DESC))[1] AS oid,
               (array_agg(m.modifier ORDER BY m.depth DESC))[1] AS modifier,
               coalesce(bool_or(m.typnotnull) FILTER (WHERE m.typtype = 'd'), FALSE) AS not_null,
               (array_agg(m.typdefault ORDER BY m.depth))[1] AS default_value
        FROM made_of AS m) AS y
    LEFT JOIN pg_attrdef AS d ON d.adrelid = t.oid AND d.adnum = a.attnum
    LEFT JOIN pg_collation AS l ON l.oid = a.attcollation
    ORDER BY w.name, a.attnum";

/// A plain index of another method or operator class serves searches that the unique one cannot, so
/// it is left out. A unique index compares by the operator class, so one that the server did not
/// bring along may take two texts for one, unless it is the default of a type of its own. The numbers
/// of what was made later begin with `FirstNormalObjectId` of
/// [transam.h](https://github.com/postgres/postgres/blob/REL_18_STABLE/src/include/access/transam.h).
/// A deferrable exclusion constraint spoils an insert as a deferrable key does. The version of the database's own collation, which is recorded since PostgreSQL
/// 15, is compared with that of the collation that it was made from.
const INDEXES: &str = "
    WITH database AS (SELECT to_jsonb(d) AS it FROM pg_database AS d WHERE d.datname = current_database()),
    usual AS (
        SELECT coalesce(bool_or(d.it ->> 'datcollversion' <> pg_collation_actual_version(l.oid)), FALSE)
               AS is_outdated
        FROM database AS d
        JOIN pg_collation AS l
             ON l.collprovider = d.it ->> 'datlocprovider'
             AND coalesce(to_jsonb(l) ->> 'colllocale', to_jsonb(l) ->> 'colliculocale', l.collcollate)
                 = coalesce(d.it ->> 'datlocale', d.it ->> 'daticulocale', d.it ->> 'datcollate'))
    SELECT w.name AS table_name, c.relname::text AS index_name, i.indisprimary AS is_primary,
           i.indisunique AS is_unique,
           coalesce(x.are_equal, FALSE) AS excludes,
           coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, FALSE) AS nulls_equal,
           CASE WHEN i.indpred IS NOT NULL THEN 'partial'
                WHEN NOT i.indimmediate THEN 'deferrable'
                WHEN NOT i.indisvalid THEN 'invalid'
                WHEN l.collprovider = 'd' THEN
                     CASE WHEN usual.is_outdated THEN 'outdated' END
                WHEN l.collversion <> pg_collation_actual_version(l.oid) THEN 'outdated' END AS flaw,
           CASE WHEN NOT l.collisdeterministic THEN l.collname::text
                WHEN s.oid >= 16384 AND NOT (s.opcdefault AND s.opcintype >= 16384)
                THEN s.opcname::text END AS folding,
           a.attname::text AS column_name,
           pg_get_indexdef(i.indexrelid, p.position, FALSE) AS expression
    FROM (VALUES {names}) AS w (name)
    CROSS JOIN usual
    JOIN pg_index AS i ON i.indrelid = to_regclass(w.name)
    JOIN pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_am AS m ON m.oid = c.relam
    JOIN pg_opclass AS o ON o.oid = i.indclass[0]
    LEFT JOIN LATERAL (
        SELECT bool_and(e.oprname = '=') AS are_equal
        FROM pg_constraint AS k JOIN pg_operator AS e ON e.oid = ANY (k.conexclop)
        WHERE k.conindid = i.indexrelid AND k.contype = 'x') AS x ON i.indisexclusion
    CROSS JOIN LATERAL generate_series(1, i.indnkeyatts) AS p (position)
    JOIN pg_opclass AS s ON s.oid = i.indclass[p.position - 1]
    LEFT JOIN pg_attribute AS a
         ON a.attrelid = i.indrelid AND a.attnum = i.indkey[p.position - 1] AND a.attnum <> 0
    LEFT JOIN pg_collation AS l ON l.oid = i.indcollation[p.position - 1]
    WHERE i.indisunique OR i.indisexclusion AND NOT i.indimmediate OR x.are_equal
          OR (m.amname = 'btree' AND o.opcdefault)
    ORDER BY w.name, c.relname, p.position";

/// A foreign key is enforced by triggers on both tables, and on each of their partitions. A
/// partition can have keys of its own, of which only those count that act on a delete. What
/// `regclass` prints of a table depends on the search path, so the wanted name is looked for.
/// `conenforced` exists since PostgreSQL 18.
const FOREIGN_KEYS: &str = "
    SELECT w.name AS table_name, k.oid::text AS key_name, a.attname::text AS column_name,
           coalesce((SELECT o.name FROM (VALUES {names}) AS o (name)
                     WHERE to_regclass(o.name) = k.confrelid LIMIT 1),
                    replace(k.confrelid::regclass::text, chr(34), '')) AS to_table,
           r.attname::text AS to_column,
           CASE k.confdeltype WHEN 'r' THEN 'RESTRICT' WHEN 'c' THEN 'CASCADE'
                WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT'
                ELSE 'NO ACTION' END AS on_delete,
           CASE WHEN to_jsonb(k) ->> 'conenforced' = 'false' THEN 'not enforced'
                WHEN EXISTS (SELECT FROM pg_trigger AS g
                             JOIN pg_constraint AS e ON e.oid = g.tgconstraint
                             WHERE (e.oid = k.oid OR e.conparentid = k.oid)
                               AND g.tgenabled NOT IN ('O', 'A'))
                THEN 'disabled'
                WHEN NOT k.convalidated THEN 'not validated'
                WHEN k.condeferred THEN 'deferred' END AS flaw
    FROM (VALUES {names}) AS w (name)
    JOIN pg_constraint AS k ON k.contype = 'f'
         AND (k.conrelid = to_regclass(w.name)
              OR k.conparentid = 0 AND k.confdeltype IN ('c', 'n', 'd')
                 AND k.conrelid IN (SELECT relid FROM pg_partition_tree(to_regclass(w.name))))
    CROSS JOIN LATERAL unnest(k.conkey, k.confkey) WITH ORDINALITY AS p (own, other, position)
    JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = p.own
    JOIN pg_attribute AS r ON r.attrelid = k.confrelid AND r.attnum = p.other
    ORDER BY w.name, k.conname, k.oid, p.position";

/// A check that was never validated may not hold for older rows, but it refuses new ones.
const CHECKS: &str = "
    SELECT w.name AS table_name, NULL AS column_name, pg_get_expr(k.conbin, k.conrelid) AS expression,
           k.convalidated AS is_validated
    FROM (VALUES {names}) AS w (name)
    JOIN pg_constraint AS k ON k.conrelid = to_regclass(w.name) AND k.contype = 'c'
    WHERE coalesce(to_jsonb(k) ->> 'conenforced', 'true') = 'true'
    UNION ALL
    SELECT w.name, a.attname::text, pg_get_expr(k.conbin, 0), k.convalidated
    FROM (VALUES {names}) AS w (name)
    JOIN pg_attribute AS a ON a.attrelid = to_regclass(w.name) AND a.attnum > 0 AND NOT a.attisdropped
    CROSS JOIN LATERAL (
        WITH RECURSIVE made_of AS (
            SELECT a.atttypid AS oid
            UNION ALL
            SELECT b.typbasetype FROM made_of AS d JOIN pg_type AS b ON b.oid = d.oid
            WHERE b.typtype = 'd')
        SELECT m.oid FROM made_of AS m) AS y
    JOIN pg_constraint AS k ON k.contypid = y.oid AND k.contype = 'c'";

/// What is enabled only for a replica does not run. The bits of `tgtype` are those of
/// `pg_trigger.h`: ROW 1, BEFORE 2, INSERT 4, DELETE 8, UPDATE 16.
const INTERVENTIONS: &str = "
    SELECT w.name AS table_name, g.tgname::text AS name, FALSE AS is_rule,
           g.tgtype & 3 = 3 AS is_before,
           concat_ws(' OR ', CASE WHEN g.tgtype & 4 <> 0 THEN 'INSERT' END,
                     CASE WHEN g.tgtype & 16 <> 0 THEN 'UPDATE' END,
                     CASE WHEN g.tgtype & 8 <> 0 THEN 'DELETE' END) AS events
    FROM (VALUES {names}) AS w (name)
    JOIN pg_trigger AS g ON g.tgrelid = to_regclass(w.name)
         OR g.tgrelid IN (SELECT relid FROM pg_partition_tree(to_regclass(w.name)))
    WHERE NOT g.tgisinternal AND g.tgenabled IN ('O', 'A') AND g.tgtype & 28 <> 0
    UNION
    SELECT w.name, r.rulename::text, TRUE, r.is_instead,
           CASE r.ev_type WHEN '2' THEN 'UPDATE' WHEN '3' THEN 'INSERT' ELSE 'DELETE' END
    FROM (VALUES {names}) AS w (name)
    JOIN pg_rewrite AS r ON r.ev_class = to_regclass(w.name)
    WHERE r.ev_type IN ('2', '3', '4') AND r.ev_enabled IN ('O', 'A')
    ORDER BY table_name, name";

/// What the database or the role sets for connections that are yet to be opened counts too, except
/// for the encoding, which sqlx names when it connects. `{names}` stands for an expression for each
/// table.
const SETTINGS: &str = "
    SELECT current_setting('client_encoding') AS encoding,
           current_setting('session_replication_role') = 'replica' AS is_replica,
           EXISTS (SELECT FROM pg_db_role_setting AS s
                   WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database
                                               WHERE datname = current_database()))
                     AND s.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = session_user))
                     AND 'session_replication_role=replica' = ANY (lower(s.setconfig::text)::text[]))
               AS is_replica_at_first,
           array_to_string(ARRAY[{names}]::text[], ' ') AS places";

const DIALECT: Dialect = Dialect {
    connection: "PostgreSQL connection",
    name,
    holds,
    // sqlx panics where a timestamp is infinite or beyond what chrono holds.
    unreadable_moments: true,
    triggers_fill: true,
};

#[derive(FromQueryResult)]
struct Settings {
    /// What the server takes the texts of the session for, which are UTF-8. `SQL_ASCII` converts
    /// [nothing](https://www.postgresql.org/docs/current/multibyte.html).
    encoding: String,
    /// As a replica the session fires no triggers, and foreign keys are triggers.
    is_replica: bool,
    is_replica_at_first: bool,
    /// Which tables the search path leads to: the numbers of all, with a space between them.
    places: String,
}

#[derive(FromQueryResult)]
struct Check {
    table_name: String,
    column_name: Option<String>,
    expression: String,
    is_validated: bool,
}

pub(super) async fn read(
    db: &DatabaseConnection,
    connection: &DatabaseTransaction,
    names: &[&str],
) -> Result<Found, DbErr> {
    let backend = connection.get_database_backend();
    let print_alike = Statement::from_string(backend, PRINT_ALIKE);
    connection.query_one_raw(print_alike).await?;
    let settings: Vec<Settings> = settings(db, connection, &settings_and_places(names)).await?;
    let places: Vec<Vec<_>> = settings
        .iter()
        .map(|it| it.places.split(' ').collect())
        .collect();
    let checks: Vec<Check> = rows(connection, CHECKS, names).await?;
    let demand = |check: Check| {
        let demand = Demand::of(&check.expression, check.column_name, check.is_validated)?;
        Some((check.table_name, demand))
    };
    let found = Rows {
        columns: rows(connection, COLUMNS, names).await?,
        index_parts: rows(connection, INDEXES, names).await?,
        key_parts: rows(connection, FOREIGN_KEYS, names).await?,
        demands: checks.into_iter().filter_map(demand).collect(),
        interventions: rows(connection, INTERVENTIONS, names).await?,
        elsewhere: elsewhere(names, &places).collect(),
        ..Rows::default()
    };
    let settings = settings.iter().flat_map(faults).collect();
    Ok((settings, DIALECT, found))
}

/// The query for settings, which idle connections are sent without binds. In an escape string the
/// two characters that mean something have to be doubled, whatever a session's
/// [`standard_conforming_strings`](https://www.postgresql.org/docs/current/sql-syntax-lexical.html).
fn settings_and_places(names: &[&str]) -> String {
    let place = |name: &&str| {
        let name = name.replace('\\', r"\\").replace('\'', "''");
        format!("coalesce(to_regclass(E'{name}')::oid, 0)")
    };
    let places: Vec<_> = names.iter().map(place).collect();
    SETTINGS.replace("{names}", &places.join(", "))
}

fn faults(settings: &Settings) -> impl Iterator<Item = Setting> {
    let at_first = settings.is_replica_at_first && !settings.is_replica;
    let encoding =
        Some(&settings.encoding).filter(|it| !["UTF8", "SQL_ASCII"].contains(&it.as_str()));
    [
        encoding.map(|it| Setting::Encoding(format!("client_encoding is {it}"))),
        settings.is_replica.then_some(Setting::ForeignKeysOff),
        at_first.then(|| Setting::AtFirst(Box::new(Setting::ForeignKeysOff))),
    ]
    .into_iter()
    .flatten()
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
