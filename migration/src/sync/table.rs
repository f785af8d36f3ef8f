//! What the entities need to know of a table, whichever backend it was read from.

use sea_orm_migration::sea_query::{
    ColumnDef, ColumnType, ForeignKey, ForeignKeyAction, Index, Table as Statement,
    TableCreateStatement,
};

#[derive(Clone)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    pub(super) unique_keys: Vec<UniqueKey>,
    pub(super) references: Vec<Reference>,
}

#[derive(Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: ColumnType,
    pub(super) nullable: bool,
    pub(super) primary_key: bool,
    pub(super) auto_increment: bool,
}

/// A unique index or constraint that holds for every row.
#[derive(Clone)]
pub(super) struct UniqueKey {
    pub(super) name: String,
    pub(super) columns: Vec<String>,
}

/// A foreign key.
#[derive(Clone)]
pub(super) struct Reference {
    pub(super) columns: Vec<String>,
    pub(super) table: String,
    pub(super) foreign_columns: Vec<String>,
    pub(super) on_update: Option<ForeignKeyAction>,
    pub(super) on_delete: Option<ForeignKeyAction>,
}

impl Table {
    /// Takes over a statement that sea-schema wrote, without what differs between backends.
    pub(super) fn new(statement: &TableCreateStatement, mut unique_keys: Vec<UniqueKey>) -> Self {
        let name = statement
            .get_table_name()
            .map(|table| table.sea_orm_table().to_string())
            .unwrap_or_default();
        let primary_key: Vec<String> = statement
            .get_indexes()
            .iter()
            .filter(|index| index.is_primary_key())
            .flat_map(|index| index.get_index_spec().get_column_names())
            .collect();
        let columns = statement
            .get_columns()
            .iter()
            .map(|column| {
                let name = column.get_column_name();
                let spec = column.get_column_spec();
                let primary_key = spec.primary_key || primary_key.contains(&name);
                Column {
                    kind: column
                        .get_column_type()
                        .map_or(ColumnType::Text, common_type),
                    nullable: spec.nullable != Some(false) && !primary_key,
                    auto_increment: spec.auto_increment,
                    primary_key,
                    name,
                }
            })
            .collect();
        let mut references: Vec<Reference> = statement
            .get_foreign_key_create_stmts()
            .iter()
            .map(|statement| statement.get_foreign_key())
            .map(|key| Reference {
                columns: key.get_columns(),
                table: key
                    .get_ref_table()
                    .map(|table| table.sea_orm_table().to_string())
                    .unwrap_or_default(),
                foreign_columns: key.get_ref_columns(),
                on_update: key.get_on_update().filter(is_an_action),
                on_delete: key.get_on_delete().filter(is_an_action),
            })
            .collect();
        references.sort_by(|a, b| (&a.table, &a.columns).cmp(&(&b.table, &b.columns)));
        for key in &mut unique_keys {
            // SQLite numbers the constraints of a CREATE TABLE, PostgreSQL calls them this.
            if key.name.starts_with("sqlite_autoindex_") {
                key.name = format!("{name}_{}_key", key.columns.join("_"));
            }
        }
        unique_keys.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            name,
            columns,
            unique_keys,
            references,
        }
    }

    /// Whether a user of these columns has at most one row here.
    pub(super) fn is_unique(&self, columns: &[String]) -> bool {
        let is_within = |key: &[String]| !key.is_empty() && key.iter().all(|c| columns.contains(c));
        let primary_key: Vec<String> = self
            .columns
            .iter()
            .filter(|column| column.primary_key)
            .map(|column| column.name.clone())
            .collect();
        is_within(&primary_key) || self.unique_keys.iter().any(|key| is_within(&key.columns))
    }

    /// Whether a row may do without the row that `reference` points at.
    pub(super) fn is_optional(&self, reference: &Reference) -> bool {
        self.columns
            .iter()
            .any(|column| column.nullable && reference.columns.contains(&column.name))
    }

    /// The form sea-orm-codegen takes, with the tables called what `name` makes of their names.
    pub(super) fn statement(&self, name: impl Fn(&str) -> String) -> TableCreateStatement {
        let mut table = Statement::create();
        table.table(name(&self.name));
        for column in &self.columns {
            let mut definition = ColumnDef::new_with_type(column.name.clone(), column.kind.clone());
            if !column.nullable {
                definition.not_null();
            }
            if column.primary_key {
                definition.primary_key();
            }
            if column.auto_increment {
                definition.auto_increment();
            }
            table.col(definition);
        }
        for key in &self.unique_keys {
            let mut index = Index::create();
            index.name(&key.name).unique();
            for column in &key.columns {
                index.col(column.clone());
            }
            table.index(&mut index);
        }
        for reference in &self.references {
            let mut key = ForeignKey::create();
            key.from_tbl(name(&self.name))
                .to_tbl(name(&reference.table));
            for (column, foreign) in reference.columns.iter().zip(&reference.foreign_columns) {
                key.from_col(column.clone()).to_col(foreign.clone());
            }
            if let Some(action) = reference.on_update {
                key.on_update(action);
            }
            if let Some(action) = reference.on_delete {
                key.on_delete(action);
            }
            table.foreign_key(&mut key);
        }
        table
    }
}

/// `NO ACTION` is what a foreign key does when nothing is said.
fn is_an_action(action: &ForeignKeyAction) -> bool {
    !matches!(action, ForeignKeyAction::NoAction)
}

/// One type for what the same migration makes of a column on SQLite and on PostgreSQL.
fn common_type(kind: &ColumnType) -> ColumnType {
    match kind {
        // PostgreSQL has no integer of one byte.
        ColumnType::TinyInteger => ColumnType::SmallInteger,
        // It has one `timestamp` without a zone, and one type for bytes of any length.
        ColumnType::Timestamp => ColumnType::DateTime,
        ColumnType::Binary(_) | ColumnType::VarBinary(_) => ColumnType::Blob,
        kind => kind.clone(),
    }
}
