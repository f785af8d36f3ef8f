//! Writes the entities, in the dense format of SeaORM and in rustfmt's layout (D28).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use heck::ToSnakeCase;

use super::{
    GeneratedFile, HEADER, SyncError,
    attributes::Attributes,
    names,
    relations::{self, HasOnes, Kind, Relation},
    table::{Column, Enum, Schema, Table},
};

const IMPORT: &str = "use sea_orm::entity::prelude::*;\n";

/// What every entity does on save is in one hand-written place, for tables made later too.
const BEHAVIOR: &str = "
#[async_trait::async_trait]
impl ActiveModelBehavior for ActiveModel {
    async fn before_save<C: ConnectionTrait>(self, _db: &C, insert: bool) -> Result<Self, DbErr> {
        Ok(guesthouse_entity::on_save(self, insert))
    }
}
";

/// SeaORM implements its traits for tuples of up to so many.
const MOST_KEY_COLUMNS: usize = 12;

const ENUMS: &str = "sea_orm_active_enums";

/// The files, and notes on what has another name than it could have, or is left out.
pub(super) fn generate(
    schema: &Schema,
    attributes: &Attributes,
) -> Result<(Vec<GeneratedFile>, Vec<String>), SyncError> {
    let tables = &schema.tables;
    let modules = names::modules(tables)?;
    let has_ones = HasOnes::of(tables, &modules);
    let fields = tables.iter().zip(&has_ones);
    let fields: Vec<_> = fields
        .map(|(table, has_ones)| names::fields(table, has_ones))
        .collect::<Result<_, _>>()?;
    attributes.check(&schema.enums, modules.values().zip(&fields))?;
    let (relations, mut notes) = relations::of(tables, &modules, &fields);
    for ((table, has_ones), fields) in tables.iter().zip(&has_ones).zip(&fields) {
        notes.extend(renamed(table, has_ones, fields));
    }
    let mut files = Vec::new();
    for ((table, of_table), relations) in tables.iter().zip(&fields).zip(&relations) {
        let refused = match table.primary_key.len() {
            0 => Some("it has no primary key"),
            1..=MOST_KEY_COLUMNS => None,
            _ => Some("its primary key has more columns than SeaORM takes, which is 12"),
        };
        if let Some(why) = refused {
            return Err(SyncError::Schema(format!(
                "no entity can be written for table `{}`: {why}",
                table.name
            )));
        }
        let module = &modules[table.name.as_str()];
        let of_other = |name: &str| {
            let place = tables.iter().position(|other| other.name == name);
            place.map_or(of_table, |place| &fields[place])
        };
        let entity = Entity {
            table,
            module,
            fields: of_table,
            attributes,
        };
        files.push(file(module, &entity.write(relations, of_other)));
    }
    let mut names: BTreeSet<_> = modules.values().map(String::as_str).collect();
    if !schema.enums.is_empty() {
        names.insert(ENUMS);
        files.push(file(ENUMS, &enums(&schema.enums, attributes)));
    }
    let list: String = names.iter().map(|name| module(name)).collect();
    files.push(file("mod", &list));
    Ok((files, notes))
}

/// A note on each column whose name is that of a has-one.
fn renamed<'a>(
    table: &'a Table,
    has_ones: &'a HasOnes,
    fields: &'a BTreeMap<&str, String>,
) -> impl Iterator<Item = String> + 'a {
    let renamed = fields
        .iter()
        .filter(|(column, _)| has_ones.take(&column.to_snake_case()));
    renamed.map(|(column, field)| {
        format!(
            "{}.{column} is the field `{field}`: a has-one has its name, or a method of it",
            table.name
        )
    })
}

/// Rust does not look for a file whose name has other letters than ASCII.
fn module(name: &str) -> String {
    match name.is_ascii() {
        true => format!("pub mod {name};\n"),
        false => format!("#[path = \"{name}.rs\"]\npub mod {name};\n"),
    }
}

fn file(module: &str, content: &str) -> GeneratedFile {
    GeneratedFile {
        name: format!("{module}.rs"),
        content: format!("// {HEADER}\n\n{content}"),
    }
}

fn enums(enums: &[Enum], attributes: &Attributes) -> String {
    const DERIVES: [&str; 8] = [
        "Clone",
        "Copy",
        "Debug",
        "PartialEq",
        "Eq",
        "Hash",
        "EnumIter",
        "DeriveActiveEnum",
    ];
    let mut text = IMPORT.to_owned();
    for Enum { name, values } in enums {
        text.push('\n');
        text.push_str(&derive(&attributes.derives(name, &DERIVES)));
        text.push_str(&attributes.of_enum(name));
        let arguments = [
            "rs_type = \"String\"".to_owned(),
            "db_type = \"Enum\"".to_owned(),
            format!("enum_name = {name:?}"),
        ];
        text.push_str(&attribute("", &arguments));
        let _ = writeln!(text, "pub enum {} {{", names::enum_type(name));
        for value in values {
            text.push_str(&attribute("    ", &[format!("string_value = {value:?}")]));
            let _ = writeln!(text, "    {},", names::variant(value));
        }
        text.push_str("}\n");
    }
    text
}

struct Entity<'a> {
    table: &'a Table,
    module: &'a str,
    /// The field of each column.
    fields: &'a BTreeMap<&'a str, String>,
    attributes: &'a Attributes,
}

impl<'a> Entity<'a> {
    fn write(
        &self,
        relations: &[Relation<'_>],
        of_other: impl Fn(&str) -> &'a BTreeMap<&'a str, String>,
    ) -> String {
        let columns = &self.table.columns;
        let mut derives = vec!["Clone", "Debug", "PartialEq"];
        if columns.iter().all(|column| column.kind.is_eq()) {
            derives.push("Eq");
        }
        derives.push("DeriveEntityModel");
        let derives = self.attributes.derives(self.module, &derives);
        let mut text = format!("{IMPORT}\n#[sea_orm::model]\n{}", derive(&derives));
        text.push_str(&self.attributes.of_model(self.module));
        let table_name = format!("table_name = {}", literal(&self.table.name));
        text.push_str(&attribute("", &[table_name]));
        text.push_str("pub struct Model {\n");
        let keys = self.unique_keys();
        for column in columns {
            text.push_str(&self.column(column, &keys));
        }
        for relation in relations {
            let to = match &relation.kind {
                Kind::BelongsTo(reference) => Some(of_other(&reference.table)),
                _ => None,
            };
            text.push_str(&self.relation(relation, to));
        }
        text.push_str("}\n");
        for relation in relations.iter().filter(|relation| relation.is_related) {
            text.push_str(&related(relation));
        }
        text + BEHAVIOR
    }

    fn column(&self, column: &Column, keys: &[(String, &Vec<String>)]) -> String {
        let field = &self.fields[column.name.as_str()];
        let key = &self.table.primary_key;
        let is_key = key.contains(&column.name);
        let mut arguments = Vec::new();
        if !names::is_implied(&column.name, field) {
            arguments.push(format!("column_name = {}", literal(&column.name)));
        }
        if is_key {
            arguments.push("primary_key".to_owned());
            if !column.auto_increment || key.len() > 1 {
                arguments.push("auto_increment = false".to_owned());
            }
        }
        if let Some(column_type) = &column.kind.column_type {
            arguments.push(format!("column_type = {column_type:?}"));
        }
        if let Some((read, written)) = &column.kind.casts {
            arguments.push(format!("select_as = {read:?}"));
            arguments.push(format!("save_as = {written:?}"));
        }
        if column.nullable && column.kind.column_type.is_some() {
            arguments.push("nullable".to_owned());
        }
        for (name, columns) in keys {
            match columns.as_slice() {
                [single] if *single == column.name => arguments.push("unique".to_owned()),
                [_] => {}
                columns if columns.contains(&column.name) => {
                    arguments.push(format!("unique_key = {name:?}"));
                }
                _ => {}
            }
        }
        let rust = &column.kind.rust;
        let rust = match column.nullable {
            true => format!("Option<{rust}>"),
            false => rust.to_string(),
        };
        self.attributes.of_field(self.module, field)
            + &attribute("    ", &arguments)
            + &declaration(field, &rust)
    }

    /// The unique keys that SeaORM can find by, each named by its columns: the names of indexes differ
    /// between databases and need not be valid in Rust.
    fn unique_keys(&self) -> Vec<(String, &'a Vec<String>)> {
        let table = self.table;
        // SeaORM finds by the primary key, and by `id` in any case.
        let mut taken = BTreeSet::from(["id".to_owned()]);
        let primary: BTreeSet<_> = table.primary_key.iter().collect();
        let mut seen = BTreeSet::from([primary]);
        let mut keys = Vec::new();
        let mut by_length: Vec<_> = table.unique_keys.iter().collect();
        by_length.sort_by_key(|columns| columns.len());
        for columns in by_length {
            let fields = columns.iter().map(|c| self.fields[c.as_str()].as_str());
            // An underscore at the end of one would be doubled in the middle of the name.
            let name = match columns.as_slice() {
                [single] => self.fields[single.as_str()].clone(),
                _ => fields
                    .map(|field| field.trim_end_matches('_'))
                    .collect::<Vec<_>>()
                    .join("_"),
            };
            if seen.insert(columns.iter().collect()) && taken.insert(name.clone()) {
                keys.push((name, columns));
            }
        }
        keys
    }

    fn relation(&self, relation: &Relation<'_>, to: Option<&BTreeMap<&str, String>>) -> String {
        let mut arguments = Vec::new();
        let name = relation.variant.as_ref();
        let name = name.map(|variant| format!("relation_enum = \"{variant}\""));
        let entity = match relation.module {
            Some(module) => format!("super::{module}::Entity"),
            None => "Entity".to_owned(),
        };
        let rust = match &relation.kind {
            Kind::BelongsTo(reference) => {
                let own = self.fields;
                let is_self = relation.module.is_none();
                arguments.push(if is_self { "self_ref" } else { "belongs_to" }.to_owned());
                arguments.extend(name);
                let from = list(&reference.columns, own);
                arguments.push(format!("from = \"{from}\""));
                let to = list(&reference.foreign_columns, to.unwrap_or(own));
                arguments.push(format!("to = \"{to}\""));
                let actions = [
                    ("on_update", reference.on_update),
                    ("on_delete", reference.on_delete),
                ];
                for (when, action) in actions {
                    arguments.extend(action.map(|action| format!("{when} = \"{action}\"")));
                }
                match self.table.is_optional(reference) {
                    true => format!("BelongsTo<Option<{entity}>>"),
                    false => format!("BelongsTo<{entity}>"),
                }
            }
            Kind::HasOne(back) | Kind::HasMany(back) => {
                let is_one = matches!(relation.kind, Kind::HasOne(_));
                arguments.push(if is_one { "has_one" } else { "has_many" }.to_owned());
                arguments.extend(name);
                arguments.extend(back.as_ref().map(|back| format!("via_rel = \"{back}\"")));
                let kind = if is_one { "HasOne" } else { "HasMany" };
                format!("{kind}<{entity}>")
            }
            Kind::Via(junction) => {
                arguments.push("has_many".to_owned());
                arguments.push(format!("via = \"{junction}\""));
                format!("HasMany<{entity}>")
            }
        };
        attribute("    ", &arguments) + &declaration(&relation.field, &rust)
    }
}

fn list(columns: &[String], fields: &BTreeMap<&str, String>) -> String {
    let names: Vec<_> = columns
        .iter()
        .map(|c| fields[c.as_str()].as_str())
        .collect();
    match names.as_slice() {
        [single] => (*single).to_owned(),
        names => format!("({})", names.join(", ")),
    }
}

fn related(relation: &Relation<'_>) -> String {
    let (Some(module), Some(variant)) = (relation.module, &relation.variant) else {
        return String::new();
    };
    format!(
        "
impl Related<super::{module}::Entity> for Entity {{
    fn to() -> RelationDef {{
        Relation::{variant}.def()
    }}
}}
"
    )
}

// ---- rustfmt's layout ----

const WIDTH: usize = 100;

/// How long the arguments of an attribute may be on one line.
const ATTRIBUTE_WIDTH: usize = 70;

fn attribute(indent: &str, arguments: &[String]) -> String {
    let line = arguments.join(", ");
    match arguments.len() {
        0 => String::new(),
        _ if width(&line) <= ATTRIBUTE_WIDTH => format!("{indent}#[sea_orm({line})]\n"),
        _ => {
            let separator = format!(",\n{indent}    ");
            let lines = arguments.join(&separator);
            format!("{indent}#[sea_orm(\n{indent}    {lines}\n{indent})]\n")
        }
    }
}

fn derive(names: &[&str]) -> String {
    let line = format!("#[derive({})]\n", names.join(", "));
    match width(line.trim_end()) > WIDTH {
        true => format!("#[derive(\n    {},\n)]\n", names.join(",\n    ")),
        false => line,
    }
}

fn declaration(field: &str, rust: &str) -> String {
    let line = format!("    pub {field}: {rust},\n");
    match width(line.trim_end()) > WIDTH {
        true => format!("    pub {field}:\n        {rust},\n"),
        false => line,
    }
}

fn width(line: &str) -> usize {
    line.chars().count()
}

/// A literal of Rust, with letters of every script as they are.
fn literal(text: &str) -> String {
    let escaped = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::derive;

    /// As rustfmt breaks a list of which one name is longer than ten characters.
    #[test]
    fn a_long_list_of_derives_has_a_line_for_each() {
        let names = ["Clone", "DeriveEntityModel", "serde::Serialize"];
        assert_eq!(
            derive(&names),
            "#[derive(Clone, DeriveEntityModel, serde::Serialize)]\n"
        );
        let many = ["Clone", &"x".repeat(90)];
        let lines = format!("#[derive(\n    Clone,\n    {},\n)]\n", many[1]);
        assert_eq!(derive(&many), lines);
    }
}
