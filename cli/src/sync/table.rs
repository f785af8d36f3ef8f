//! What the entities need to know of a schema, whichever database it was read from.

use super::types::Type;

/// The tables of an app.
#[derive(Default)]
pub(super) struct Schema {
    /// By name.
    pub(super) tables: Vec<Table>,
    /// The enums of PostgreSQL that columns have, by name.
    pub(super) enums: Vec<Enum>,
    /// What is in the database and not in the entities, and what the entities need.
    pub(super) notes: Vec<String>,
}

#[derive(Default)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    pub(super) primary_key: Vec<String>,
    /// The columns of each unique index or constraint that holds for every row.
    pub(super) unique_keys: Vec<Vec<String>>,
    pub(super) references: Vec<Reference>,
}

pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Type,
    pub(super) nullable: bool,
    /// Whether the database counts it up.
    pub(super) auto_increment: bool,
}

/// A foreign key to a table of the same schema.
pub(super) struct Reference {
    pub(super) columns: Vec<String>,
    pub(super) table: String,
    pub(super) foreign_columns: Vec<String>,
    pub(super) on_update: Action,
    pub(super) on_delete: Action,
}

/// What a foreign key does; `None` is NO ACTION, which is not written.
pub(super) type Action = Option<&'static str>;

pub(super) struct Enum {
    pub(super) name: String,
    pub(super) values: Vec<String>,
}

impl Reference {
    /// Where it leads, and by which columns.
    pub(super) fn path(&self) -> (&str, &[String], &[String]) {
        (&self.table, &self.columns, &self.foreign_columns)
    }
}

impl Table {
    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Whether at most one row has the same values in these columns.
    pub(super) fn is_unique(&self, columns: &[String]) -> bool {
        let keys = std::iter::once(&self.primary_key).chain(&self.unique_keys);
        keys.filter(|key| !key.is_empty())
            .any(|key| key.iter().all(|column| columns.contains(column)))
    }

    /// Whether a row may do without the row that `reference` points at.
    pub(super) fn is_optional(&self, reference: &Reference) -> bool {
        self.columns
            .iter()
            .any(|column| column.nullable && reference.columns.contains(&column.name))
    }
}

/// The action of this name, as SQL spells it.
pub(super) fn action(sql: &str) -> Action {
    match sql {
        "RESTRICT" => Some("Restrict"),
        "CASCADE" => Some("Cascade"),
        "SET NULL" => Some("SetNull"),
        "SET DEFAULT" => Some("SetDefault"),
        _ => None,
    }
}
