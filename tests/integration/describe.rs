//! The model as data, against the live catalogue.

use std::collections::BTreeSet;

use guesthouse::{AssociationKind, PerBackend, Schema, describe};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::json;

use crate::support::{Backend as On, TestDb as Db};

/// The catalogue's columns and foreign keys, one fact a line.
async fn catalogue(db: &Db) -> BTreeSet<String> {
    let queries: [&str; 2] = match db.backend {
        On::Sqlite => [
            "SELECT concat_ws(' ', t.name || '.' || c.name, c.type,
                              iif(c.\"notnull\", 'required', 'nullable'),
                              iif(c.pk, 'key', NULL),
                              iif(EXISTS (SELECT 1 FROM pragma_index_list(t.name) i
                                          WHERE i.\"unique\" AND NOT i.partial
                                          AND (SELECT group_concat(k.name)
                                               FROM pragma_index_info(i.name) k) = c.name),
                                  'unique', NULL),
                              'default ' || c.dflt_value)
             FROM sqlite_master t, pragma_table_info(t.name) c
             WHERE t.type = 'table' AND t.name <> 'seaql_migrations'",
            "SELECT t.name || '.' || k.\"from\" || ' refers to ' || k.\"table\" || '.' || k.\"to\"
                    || ' on delete ' || k.on_delete
             FROM sqlite_master t, pragma_foreign_key_list(t.name) k WHERE t.type = 'table'",
        ],
        On::Postgres => [
            "SELECT concat_ws(' ', t.relname || '.' || c.attname,
                              replace(format_type(c.atttypid, c.atttypmod),
                                      'character varying', 'varchar'),
                              CASE WHEN c.attnotnull THEN 'required' ELSE 'nullable' END,
                              (SELECT 'key' FROM pg_index i
                               WHERE i.indrelid = t.oid AND i.indisprimary
                               AND c.attnum = ANY (i.indkey)),
                              (SELECT DISTINCT 'unique' FROM pg_index i
                               WHERE i.indrelid = t.oid AND i.indisunique AND i.indisvalid
                               AND i.indpred IS NULL AND i.indkey::text = c.attnum::text),
                              'default ' || pg_get_expr(d.adbin, d.adrelid))
             FROM pg_class t
             JOIN pg_attribute c ON c.attrelid = t.oid AND c.attnum > 0 AND NOT c.attisdropped
             LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = c.attnum
             WHERE t.relnamespace = 'public'::regnamespace AND t.relkind = 'r'
             AND t.relname <> 'seaql_migrations'",
            "SELECT concat(k.conrelid::regclass, '.', a.attname, ' refers to ',
                           k.confrelid::regclass, '.', b.attname, ' on delete ',
                           CASE k.confdeltype WHEN 'r' THEN 'RESTRICT' ELSE k.confdeltype::text END)
             FROM pg_constraint k
             JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
             JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = ANY (k.confkey)
             WHERE k.contype = 'f'",
        ],
        // The catalogue drops the blank after a comma.
        On::MariaDb => [
            "SELECT concat_ws(' ', concat(table_name, '.', column_name), column_type,
                              if(is_nullable = 'NO', 'required', 'nullable'),
                              if(column_key = 'PRI', 'key', NULL),
                              if(EXISTS (SELECT 1 FROM information_schema.statistics i
                                         WHERE i.table_schema = c.table_schema
                                         AND i.table_name = c.table_name AND i.non_unique = 0
                                         GROUP BY i.index_name
                                         HAVING group_concat(i.column_name) = c.column_name),
                                 'unique', NULL),
                              concat('default ', replace(column_default, ',', ', ')))
             FROM information_schema.columns c
             WHERE table_schema = database() AND table_name <> 'seaql_migrations'",
            "SELECT concat(k.table_name, '.', k.column_name, ' refers to ', k.referenced_table_name, '.',
                           k.referenced_column_name, ' on delete ', r.delete_rule)
             FROM information_schema.key_column_usage k
             JOIN information_schema.referential_constraints r
                  USING (constraint_schema, table_name, constraint_name)
             WHERE constraint_schema = database()",
        ],
    };
    let mut facts = BTreeSet::new();
    for sql in queries {
        let statement = Statement::from_string(db.pool.get_database_backend(), sql);
        for row in db.pool.query_all_raw(statement).await.unwrap() {
            facts.insert(row.try_get_by_index(0).unwrap());
        }
    }
    facts
}

/// The same facts from the description.
fn described(schema: &Schema, backend: On) -> BTreeSet<String> {
    let spelled = |text: &PerBackend| {
        let text = match backend {
            On::Sqlite => &text.sqlite,
            On::Postgres => &text.postgres,
            On::MariaDb => &text.mysql,
        };
        text.clone().unwrap()
    };
    let mut facts = BTreeSet::new();
    for (table, described) in &schema.tables {
        for column in &described.columns {
            let words = [
                Some(format!("{table}.{}", column.name)),
                Some(spelled(&column.database_type)),
                Some(
                    (if column.nullable {
                        "nullable"
                    } else {
                        "required"
                    })
                    .to_owned(),
                ),
                column.primary_key.then(|| "key".to_owned()),
                column.unique.then(|| "unique".to_owned()),
                column
                    .default
                    .as_ref()
                    .map(|text| format!("default {}", spelled(text))),
            ];
            facts.insert(words.into_iter().flatten().collect::<Vec<_>>().join(" "));
        }
        for other in &described.associations {
            if other.kind == AssociationKind::BelongsTo {
                facts.insert(format!(
                    "{table}.{} refers to {}.{} on delete {}",
                    other.foreign_key,
                    other.table,
                    other.references,
                    other.on_delete.as_ref().unwrap()
                ));
            }
        }
    }
    facts
}

on_each_backend!(the_description_is_the_catalogue,);

/// Every table, column and foreign key there is, and no other.
async fn the_description_is_the_catalogue(db: Db) {
    let schema = describe();
    let facts = described(&schema, db.backend);
    assert_eq!(facts.len(), 12 + 2, "{facts:#?}");
    assert_eq!(catalogue(&db).await, facts);
}

/// The side without the foreign key says the same of it as the side that has it.
#[test]
fn both_sides_of_an_association_agree() {
    let schema = describe();
    let sides = |belongs_to: bool| {
        let mut sides = BTreeSet::new();
        for (table, described) in &schema.tables {
            for other in &described.associations {
                let (key, referred) = match other.kind {
                    AssociationKind::BelongsTo => (table, &other.table),
                    _ => (&other.table, table),
                };
                if belongs_to == (other.kind == AssociationKind::BelongsTo) {
                    let key = format!("{key}.{}", other.foreign_key);
                    sides.insert((key, format!("{referred}.{}", other.references)));
                }
            }
        }
        sides
    };
    assert_eq!(sides(true), sides(false));
    assert_eq!(sides(true).len(), 2);
}

#[test]
fn two_calls_give_the_same_bytes() {
    let once = serde_json::to_string(&describe()).unwrap();
    assert_eq!(once, serde_json::to_string(&describe()).unwrap());
    assert_eq!(serde_json::from_str::<Schema>(&once).unwrap(), describe());
}

#[test]
fn the_whole_description() {
    let uuid = json!({ "sqlite": "uuid_text", "postgres": "uuid", "mysql": "binary(16)" });
    let id = json!({
        "name": "id",
        "database_type": uuid,
        "rust_type": "Uuid",
        "primary_key": true,
        "nullable": false,
        "unique": true,
        "array": false,
        "enum_values": null,
        "default": {
            "sqlite": "randomblob(16)",
            "postgres": "gen_random_uuid()",
            "mysql": "unhex(replace(uuid(), '-', ''))",
        },
    });
    let user_id = json!({
        "name": "user_id",
        "database_type": uuid,
        "rust_type": "Uuid",
        "primary_key": false,
        "nullable": false,
        "unique": true,
        "array": false,
        "enum_values": null,
        "default": null,
    });
    let email = json!({
        "name": "email",
        "database_type": {
            "sqlite": "varchar(254)",
            "postgres": "varchar(254)",
            "mysql": "varchar(254)",
        },
        "rust_type": "String",
        "primary_key": false,
        "nullable": false,
        "unique": true,
        "array": false,
        "enum_values": null,
        "default": null,
    });
    let time = |name: &str| {
        json!({
            "name": name,
            "database_type": {
                "sqlite": "timestamp_with_timezone_text",
                "postgres": "timestamp with time zone",
                "mysql": "datetime(6)",
            },
            "rust_type": "DateTimeWithTimeZone",
            "primary_key": false,
            "nullable": false,
            "unique": false,
            "array": false,
            "enum_values": null,
            "default": {
                "sqlite": "strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')",
                "postgres": "now()",
                "mysql": "utc_timestamp(6)",
            },
        })
    };
    let has_one = |name: &str, table: &str| {
        json!({
            "name": name,
            "kind": "has_one",
            "table": table,
            "foreign_key": "user_id",
            "references": "id",
            "optional": true,
            "on_delete": null,
        })
    };
    let role = |model: &str| {
        json!({
            "model": model,
            "columns": [id, user_id, time("created_at"), time("updated_at")],
            "associations": [{
                "name": "user",
                "kind": "belongs_to",
                "table": "users",
                "foreign_key": "user_id",
                "references": "id",
                "optional": false,
                "on_delete": "RESTRICT",
            }],
            "views": { "default": ["id"], "summary": ["id"] },
        })
    };

    assert_eq!(
        serde_json::to_value(describe()).unwrap(),
        json!({
            "models": { "guest": "guests", "host": "hosts", "user": "users" },
            "tables": {
                "guests": role("guest"),
                "hosts": role("host"),
                "users": {
                    "model": "user",
                    "columns": [id, email, time("created_at"), time("updated_at")],
                    "associations": [has_one("guest", "guests"), has_one("host", "hosts")],
                    "views": {
                        "default": ["id", "email", "guest", "host"],
                        "summary": ["id", "guest", "host"],
                    },
                },
            },
        })
    );
}
