//! Random schemas, with names that are hard to write: `sync` writes all that is in them, or refuses in
//! one line that names what cannot be written.

use std::collections::BTreeSet;

use guesthouse_migration::sync::{self, GeneratedFile, SyncError};
use proptest::{
    prelude::*,
    sample::{Index, select},
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use sea_orm_migration::sea_orm::{Database, DatabaseConnection};
use syn::{Fields, Item, Meta, punctuated::Punctuated};

use crate::{
    compile::Crate,
    support::{empty, execute},
};

const TABLES: &[&str] = &[
    "hosts",
    "host",
    "users",
    "types",
    "super",
    "self",
    "selves",
    "3d_models",
    "say \"hi\"",
    "it's",
    "order items",
    "x--y",
    "HostBadges",
    "data_s",
    "results",
    "options",
    "host_options",
    "strings",
    "stds",
    "crates",
    "sea_orm",
    "seaorm",
    "mods",
    "models",
    "entities",
    "columns",
    "relations",
    "größen",
    "caches",
    "species",
    "us",
    "line_1",
    "line1",
    "...",
    "sea_orm_active_enums",
    "prelude",
    "guesthouse_entity",
];

const COLUMNS: &[&str] = &[
    "id",
    "host",
    "host_id",
    "hostId",
    "user",
    "user_id",
    "type",
    "gen",
    "super",
    "self",
    "Self",
    "crate",
    "async",
    "2fa_enabled",
    "userId",
    "line_1",
    "line1",
    "it's",
    "a \"b\"",
    "größe",
    "model",
    "entity",
    "column",
    "relation",
    "column_2fa_enabled",
    "approved_by",
    "owner_uuid",
    "table",
    "select",
    "x--y",
    "_",
    "_hidden",
    "trailing_",
    "all",
    "one",
    "load",
    "with",
    "nest",
    "name",
    "value",
    "value_type",
    "entity_name",
    "primary_key",
    "into_ex",
    "parent_key",
    "host_option",
    "type_option_id",
];

/// How a type is declared on SQLite and on PostgreSQL.
const TYPES: &[(&str, &str)] = &[
    ("uuid_text", "uuid"),
    ("varchar(80)", "varchar(80)"),
    ("text", "text"),
    ("boolean", "boolean"),
    ("bigint", "bigint"),
    ("smallint", "smallint"),
    ("double", "double precision"),
    ("float", "real"),
    ("real(12, 2)", "numeric(12, 2)"),
    ("json_text", "json"),
    ("jsonb_text", "jsonb"),
    ("blob", "bytea"),
    ("date_text", "date"),
    ("time_text", "time"),
    ("timestamp_text", "timestamp"),
    ("timestamp_with_timezone_text", "timestamptz"),
    ("citext", "citext"),
    ("char(3)", "char(3)"),
    ("money", "money"),
];

const ACTIONS: &[&str] = &[
    "",
    " ON DELETE RESTRICT",
    " ON DELETE CASCADE ON UPDATE SET NULL",
];

#[derive(Clone, Debug)]
struct Table {
    name: &'static str,
    key: Key,
    columns: Vec<Column>,
    references: Vec<Reference>,
    /// Unique keys over two of the columns.
    keys: Vec<(Index, Index)>,
}

#[derive(Clone, Debug)]
enum Key {
    Uuid,
    Counted,
    /// The first two columns, or references, whichever there are.
    Composite,
    None,
}

#[derive(Clone, Debug)]
struct Column {
    name: &'static str,
    kind: usize,
    nullable: bool,
    unique: bool,
}

/// A foreign key to a table that has a key of one column.
#[derive(Clone, Debug)]
struct Reference {
    column: &'static str,
    to: Index,
    nullable: bool,
    unique: bool,
    on_delete: &'static str,
}

fn tables() -> impl Strategy<Value = Vec<Table>> {
    prop::collection::vec(table(), 1..6).prop_map(|mut tables| {
        let mut names = BTreeSet::new();
        tables.retain(|table| names.insert(table.name.to_lowercase()));
        for table in &mut tables {
            let mut names = BTreeSet::from(["id".to_owned()]);
            table
                .columns
                .retain(|column| names.insert(column.name.to_lowercase()));
            table
                .references
                .retain(|key| names.insert(key.column.to_lowercase()));
        }
        tables
    })
}

fn table() -> impl Strategy<Value = Table> {
    let key = prop_oneof![
        8 => Just(Key::Uuid),
        4 => Just(Key::Counted),
        4 => Just(Key::Composite),
        1 => Just(Key::None),
    ];
    let columns = prop::collection::vec(column(), 0..6);
    let references = prop::collection::vec(reference(), 0..5);
    let keys = prop::collection::vec(any::<(Index, Index)>(), 0..3);
    (select(TABLES), key, columns, references, keys).prop_map(
        |(name, key, columns, references, keys)| Table {
            name,
            key,
            columns,
            references,
            keys,
        },
    )
}

fn column() -> impl Strategy<Value = Column> {
    (
        select(COLUMNS),
        0..TYPES.len(),
        any::<bool>(),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(name, kind, nullable, unique)| Column {
            name,
            kind,
            nullable,
            unique,
        })
}

fn reference() -> impl Strategy<Value = Reference> {
    (
        select(COLUMNS),
        any::<Index>(),
        any::<bool>(),
        prop::bool::weighted(0.3),
        select(ACTIONS),
    )
        .prop_map(|(column, to, nullable, unique, on_delete)| Reference {
            column,
            to,
            nullable,
            unique,
            on_delete,
        })
}

/// The statements that make the tables; `place` is 0 for SQLite and 1 for PostgreSQL.
fn statements(tables: &[Table], place: usize) -> Vec<String> {
    let (uuid, counted) = match place {
        0 => ("uuid_text", "integer PRIMARY KEY AUTOINCREMENT"),
        _ => (
            "uuid",
            "bigint PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY",
        ),
    };
    let targets = targets(tables);
    let (mut creates, mut alters) = (Vec::new(), Vec::new());
    for table in tables {
        let name = quoted(table.name);
        let mut lines = Vec::new();
        match table.key {
            Key::Uuid => lines.push(format!("id {uuid} NOT NULL PRIMARY KEY")),
            Key::Counted => lines.push(format!("id {counted}")),
            Key::Composite | Key::None => {}
        }
        let composite = composite_key(table, &targets);
        let null = |name: &str, nullable: bool| match nullable && !composite.contains(&name) {
            true => "",
            false => " NOT NULL",
        };
        for column in &table.columns {
            let kind = [TYPES[column.kind].0, TYPES[column.kind].1][place];
            let null = null(column.name, column.nullable);
            let unique = if is_unique(column) { " UNIQUE" } else { "" };
            lines.push(format!("{} {kind}{null}{unique}", quoted(column.name)));
        }
        for key in &table.references {
            let Some(to) = target(key, &targets) else {
                continue;
            };
            let kind = match (&to.key, place) {
                (Key::Uuid, _) => uuid,
                _ => "bigint",
            };
            let unique = if key.unique { " UNIQUE" } else { "" };
            let null = null(key.column, key.nullable);
            let column = quoted(key.column);
            let reference = format!("REFERENCES {} (id){}", quoted(to.name), key.on_delete);
            if place == 0 {
                lines.push(format!("{column} {kind}{null}{unique} {reference}"));
            } else {
                lines.push(format!("{column} {kind}{null}{unique}"));
                alters.push(format!(
                    "ALTER TABLE {name} ADD FOREIGN KEY ({column}) {reference}"
                ));
            }
        }
        for key in unique_keys(table) {
            lines.push(format!("UNIQUE ({}, {})", quoted(key[0]), quoted(key[1])));
        }
        if !composite.is_empty() {
            let columns: Vec<_> = composite.iter().map(|name| quoted(name)).collect();
            lines.push(format!("PRIMARY KEY ({})", columns.join(", ")));
        }
        if lines.is_empty() {
            lines.push("lonely integer".to_owned());
        }
        creates.push(format!("CREATE TABLE {name} ({})", lines.join(", ")));
    }
    [creates, alters].concat()
}

/// PostgreSQL cannot compare JSON.
fn is_unique(column: &Column) -> bool {
    column.unique && TYPES[column.kind].1 != "json"
}

/// SQLite looks at a key to a table in lower case, so that table has an `id` of its own.
fn targets(tables: &[Table]) -> Vec<&Table> {
    let with_id = tables
        .iter()
        .filter(|t| matches!(t.key, Key::Uuid | Key::Counted));
    with_id.collect()
}

fn target<'a>(key: &Reference, targets: &[&'a Table]) -> Option<&'a Table> {
    (!targets.is_empty()).then(|| targets[key.to.index(targets.len())])
}

fn composite_key(table: &Table, targets: &[&Table]) -> Vec<&'static str> {
    if !matches!(table.key, Key::Composite) {
        return Vec::new();
    }
    let keys = table.references.iter().filter(|_| !targets.is_empty());
    let columns = table.columns.iter().filter(|c| TYPES[c.kind].1 != "json");
    let names = keys
        .map(|key| key.column)
        .chain(columns.map(|column| column.name));
    names.take(2).collect()
}

fn unique_keys(table: &Table) -> Vec<[&'static str; 2]> {
    let columns: Vec<_> = table
        .columns
        .iter()
        .filter(|c| TYPES[c.kind].1 != "json")
        .collect();
    if columns.len() < 2 {
        return Vec::new();
    }
    let pairs = table.keys.iter().map(|(a, b)| {
        let (a, b) = (a.index(columns.len()), b.index(columns.len()));
        [columns[a].name, columns[b].name]
    });
    let mut seen = BTreeSet::new();
    pairs
        .filter(|pair| pair[0] != pair[1] && seen.insert(*pair))
        .collect()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

const LOG: &str = "CREATE TABLE seaql_migrations (version varchar PRIMARY KEY, applied_at bigint)";
const APPLIED: &str = "INSERT INTO seaql_migrations VALUES ('m', 0)";

async fn make(db: &DatabaseConnection, tables: &[Table], place: usize) {
    for statement in [LOG.to_owned(), APPLIED.to_owned()] {
        execute(db, &statement).await;
    }
    for statement in statements(tables, place) {
        execute(db, &statement).await;
    }
}

/// The entities, or a refusal that names one of the tables.
fn written_or_refused(
    tables: &[Table],
    outcome: Result<Vec<GeneratedFile>, SyncError>,
) -> Option<Vec<GeneratedFile>> {
    match outcome {
        Ok(files) => {
            check(tables, &files);
            Some(files)
        }
        Err(SyncError::Schema(line)) => {
            assert_eq!(line.lines().count(), 1, "{line}");
            assert!(
                tables.iter().any(|table| line.contains(table.name)),
                "{line}"
            );
            None
        }
        Err(error) => panic!("{error:?}"),
    }
}

/// Each file parses, has no name twice, and has every column and every foreign key.
fn check(tables: &[Table], files: &[GeneratedFile]) {
    let targets = targets(tables);
    let mut seen = BTreeSet::new();
    for file in files.iter().filter(|file| file.name.ends_with(".rs")) {
        let parsed = syn::parse_file(&file.content).unwrap();
        for item in parsed.items {
            let Item::Struct(model) = item else { continue };
            let name = value(&model.attrs, "table_name").unwrap();
            let table = tables.iter().find(|table| table.name == name).unwrap();
            assert!(seen.insert(table.name), "{name} twice");
            let Fields::Named(fields) = model.fields else {
                panic!("no fields")
            };
            let mut names = BTreeSet::new();
            let (mut columns, mut references) = (BTreeSet::new(), 0);
            for field in fields.named {
                let ident = field.ident.unwrap().to_string();
                assert!(
                    names.insert(ident.clone()),
                    "{ident} twice in {}",
                    file.content
                );
                let has = |word: &str| {
                    arguments(&field.attrs)
                        .iter()
                        .any(|a| a.path().is_ident(word))
                };
                if has("belongs_to") || has("self_ref") {
                    references += 1;
                } else if !has("has_one") && !has("has_many") {
                    let is_new =
                        columns.insert(value(&field.attrs, "column_name").unwrap_or(ident));
                    assert!(is_new, "a column twice in {}", file.content);
                }
            }
            let keys = table.references.iter().filter(|_| !targets.is_empty());
            let mut expected: BTreeSet<_> =
                table.columns.iter().map(|c| c.name.to_owned()).collect();
            expected.extend(keys.clone().map(|key| key.column.to_owned()));
            if matches!(table.key, Key::Uuid | Key::Counted) {
                expected.insert("id".to_owned());
            }
            assert_eq!(columns, expected, "{}", file.content);
            assert_eq!(references, keys.count(), "{}", file.content);
        }
    }
    assert_eq!(seen.len(), tables.len());
}

fn arguments(attributes: &[syn::Attribute]) -> Vec<Meta> {
    let ours = attributes.iter().filter(|a| a.path().is_ident("sea_orm"));
    ours.flat_map(|attribute| {
        attribute
            .parse_args_with(Punctuated::<Meta, syn::Token![,]>::parse_terminated)
            .unwrap()
    })
    .collect()
}

fn value(attributes: &[syn::Attribute], name: &str) -> Option<String> {
    arguments(attributes)
        .into_iter()
        .find_map(|argument| match argument {
            Meta::NameValue(pair) if pair.path.is_ident(name) => match pair.value {
                syn::Expr::Lit(syn::ExprLit {
                    lit: syn::Lit::Str(text),
                    ..
                }) => Some(text.value()),
                _ => None,
            },
            _ => None,
        })
}

fn runner() -> TestRunner {
    // The same schemas on every run: a test that fails can be run again.
    TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    )
}

on_postgres!(random_schemas_are_written_or_refused);

/// A sample of them is compiled, and written the same from PostgreSQL.
async fn random_schemas_are_written_or_refused(url: &str) {
    let mut runner = runner();
    let mut schemas: Vec<Vec<Table>> = Vec::new();
    for _ in 0..600 {
        schemas.push(tables().new_tree(&mut runner).unwrap().current());
    }
    let mut entities = Crate::new("random");
    let (mut written, mut refused, mut compiled) = (Vec::new(), 0, 0);
    for schema in schemas {
        let db = empty().await;
        make(&db, &schema, 0).await;
        match written_or_refused(&schema, sync::generate(&db).await) {
            Some(files) => {
                if compiled < 80 {
                    entities.add(&format!("s{compiled}"), &files, "");
                    compiled += 1;
                }
                written.push((schema, files));
            }
            None => refused += 1,
        }
        db.close().await.unwrap();
    }
    assert!(
        written.len() >= 200 && refused >= 50,
        "{} written, {refused} refused",
        written.len()
    );
    let db = Database::connect(url).await.unwrap();
    for (schema, files) in written.iter().take(100) {
        let again = "DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE EXTENSION citext";
        execute(&db, again).await;
        make(&db, schema, 1).await;
        let of_postgres = sync::generate(&db).await;
        let of_postgres = written_or_refused(schema, of_postgres).unwrap();
        for (ours, theirs) in files.iter().zip(&of_postgres) {
            assert_eq!(ours, theirs);
        }
    }
    db.close().await.unwrap();
    entities.check_format();
    entities.check();
}
