//! Draws the ER diagram, in Mermaid.

use std::collections::BTreeSet;

use sea_orm_codegen::EntityTransformer;
use sea_orm_migration::sea_query::TableCreateStatement;

use super::{GeneratedFile, HEADER, SyncError, table::Table};

/// Codegen's diagram with relations of our own: its own draws a has-one as many.
pub(super) fn generate(tables: &[Table]) -> Result<GeneratedFile, SyncError> {
    let statements = tables.iter().map(for_codegen).collect();
    let diagram = EntityTransformer::transform(statements)
        .map_err(|error| SyncError::Schema(error.to_string()))?
        .generate_er_diagram();
    let mut content = format!("%% {HEADER}\n");
    for line in diagram.lines().filter(|line| !line.contains("--")) {
        content.push_str(line);
        content.push('\n');
    }
    for relation in tables.iter().flat_map(relations).collect::<BTreeSet<_>>() {
        content.push_str(&relation);
    }
    Ok(GeneratedFile {
        name: "schema.mmd".to_owned(),
        content,
    })
}

/// A column of a key of several columns is not unique, but would be marked so.
fn for_codegen(table: &Table) -> TableCreateStatement {
    let mut table = table.clone();
    table.unique_keys.retain(|key| key.columns.len() == 1);
    table.statement(str::to_owned)
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
        let (owner, name, label) = (&reference.table, &table.name, reference.columns.join(", "));
        format!("    {owner} {one}--{many} {name} : \"{label}\"\n")
    })
}
