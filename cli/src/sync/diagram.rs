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

/// Words that Mermaid does not take for a name.
const WORDS: [&str; 20] = [
    "accdescr",
    "acctitle",
    "bt",
    "class",
    "classdef",
    "direction",
    "end",
    "lr",
    "many",
    "one",
    "only",
    "optionally",
    "rl",
    "style",
    "subgraph",
    "tb",
    "title",
    "to",
    "u",
    "zero",
];

/// A name that is not one plain word stands in quotes, in which `"`, `%` and `\` cannot stand.
fn entity(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_plain && !WORDS.contains(&name.to_lowercase().as_str()) {
        return name.to_owned();
    }
    let characters = name.chars().map(|c| match c {
        '"' => '\'',
        '%' | '\\' => '_',
        c if c.is_control() => ' ',
        c => c,
    });
    format!("\"{}\"", characters.collect::<String>())
}

/// An attribute has no quotes to stand in. It begins with a letter, and is no word for a key.
fn attribute_name(column: &str) -> String {
    let is_word = |c: char| match c {
        '_' | '-' => true,
        c if c.is_ascii() => c.is_ascii_alphanumeric(),
        c => c.is_alphanumeric() && ('\u{c0}'..='\u{ffff}').contains(&c),
    };
    let name = column.replace(|c| !is_word(c), "_");
    let first = name.split('-').next().unwrap_or_default();
    let is_key = ["pk", "fk", "uk"].contains(&first.to_lowercase().as_str());
    match is_key || name.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        true => format!("_{name}"),
        false => name,
    }
}

fn attribute(table: &Table, column: &Column) -> String {
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
    let name = attribute_name(&column.name);
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
