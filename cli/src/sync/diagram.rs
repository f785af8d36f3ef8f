//! Draws the ER diagram, in [Mermaid](https://mermaid.js.org/syntax/entityRelationshipDiagram.html).

use std::{collections::BTreeSet, fmt::Write};

use super::{
    GeneratedFile, HEADER,
    table::{Column, Schema, Table},
};

pub(super) fn generate(schema: &Schema) -> GeneratedFile {
    let mut content = format!("%% {HEADER}\nerDiagram\n");
    for table in &schema.tables {
        let _ = writeln!(content, "    {} {{", entity(&table.name));
        for column in &table.columns {
            let _ = writeln!(content, "        {}", attribute(table, column));
        }
        content.push_str("    }\n");
    }
    for relation in schema
        .tables
        .iter()
        .flat_map(relations)
        .collect::<BTreeSet<_>>()
    {
        content.push_str(&relation);
    }
    GeneratedFile {
        name: "schema.mmd".to_owned(),
        content,
    }
}

/// A name that is more than one word stands in quotes, and a quote cannot stand in them.
fn entity(name: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match name.chars().all(is_word) {
        true => name.to_owned(),
        false => format!(
            "\"{}\"",
            name.replace('"', "'").replace(char::is_control, " ")
        ),
    }
}

fn attribute(table: &Table, column: &Column) -> String {
    // An attribute has no quotes to stand in.
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let name: String = column
        .name
        .chars()
        .map(|c| if is_word(c) { c } else { '_' })
        .collect();
    let is_of = |columns: &Vec<String>| columns.contains(&column.name);
    let keys = [
        (is_of(&table.primary_key), "PK"),
        (table.references.iter().any(|r| is_of(&r.columns)), "FK"),
        (table.unique_keys.contains(&vec![column.name.clone()]), "UK"),
    ];
    let keys: Vec<_> = keys
        .iter()
        .filter(|(is, _)| *is)
        .map(|(_, key)| *key)
        .collect();
    let line = format!("{} {name} {}", column.kind.word, keys.join(","));
    line.trim_end().to_owned()
}

fn relations(table: &Table) -> impl Iterator<Item = String> {
    table.references.iter().map(|reference| {
        let one = if table.is_optional(reference) {
            "|o"
        } else {
            "||"
        };
        let many = if table.is_unique(&reference.columns) {
            "o|"
        } else {
            "o{"
        };
        let (owner, name) = (entity(&reference.table), entity(&table.name));
        let label = reference.columns.join(", ").replace('"', "'");
        format!("    {owner} {one}--{many} {name} : \"{label}\"\n")
    })
}
