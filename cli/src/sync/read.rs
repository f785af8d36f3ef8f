//! Reads the tables of a live schema, to the same result from every database.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm_migration::sea_orm::{
    self, DatabaseConnection, DbBackend, DbErr, FromQueryResult, Statement, Value,
};

use super::{
    SyncError,
    table::{Column, Enum, Reference, Schema, Table, action},
    types::Type,
};
use crate::{log, waiting};

mod mysql;
mod postgres;
mod sqlite;

pub(crate) use mysql::reads_all_databases;

/// The tables of the schema that `db` is connected to, without those of SeaORM and of the database.
///
/// `log` is the table of applied migrations.
pub(super) async fn schema(db: &DatabaseConnection, log: &str) -> Result<Schema, SyncError> {
    let (schema, applied) = log::applied(db, log).await?;
    if applied.is_empty() {
        return Err(SyncError::Schema(
            "no migration has been applied to the database: is it the one that was migrated?"
                .to_owned(),
        ));
    }
    // The catalogue of a server may need a lock on a table, to show an expression of it.
    let mut rows = match db.get_database_backend() {
        DbBackend::Postgres => {
            waiting::for_any_table(postgres::read(db, &schema.unwrap_or_default())).await?
        }
        DbBackend::MySql => waiting::for_any_table(mysql::read(db)).await?,
        _ => sqlite::read(db).await?,
    };
    rows.tables.retain(|table| !table.eq_ignore_ascii_case(log));
    let schema = rows.assemble()?;
    if schema.tables.is_empty() {
        return Err(SyncError::Schema(
            "the database has no tables: is it the one that was migrated?".to_owned(),
        ));
    }
    Ok(schema)
}

/// What each database is asked for.
#[derive(Default)]
struct Rows {
    tables: BTreeSet<String>,
    /// In the order of the table.
    columns: Vec<ColumnRow>,
    /// Key by key, in the order of the key.
    keys: Vec<KeyRow>,
    /// Key by key, in the order of the key.
    references: Vec<ReferenceRow>,
    enums: Vec<Enum>,
}

struct ColumnRow {
    table: String,
    name: String,
    /// `None` for a column that the database generates, which no entity can write.
    kind: Option<Type>,
    nullable: bool,
    auto_increment: bool,
    /// What the reader notes about the type.
    note: Option<&'static str>,
}

/// A column of a primary key, or of a unique key that holds for every row.
#[derive(FromQueryResult)]
struct KeyRow {
    table_name: String,
    key_name: String,
    is_primary: bool,
    column_name: String,
}

/// A column of a foreign key.
#[derive(FromQueryResult)]
struct ReferenceRow {
    table_name: String,
    key_name: String,
    column_name: String,
    to_table: String,
    /// `None` for the primary key, column by column.
    to_column: Option<String>,
    on_update: String,
    on_delete: String,
}

impl Rows {
    fn assemble(self) -> Result<Schema, SyncError> {
        let mut notes = Vec::new();
        let mut tables: BTreeMap<String, Table> = BTreeMap::new();
        for name in self.tables {
            let table = Table {
                name: name.clone(),
                ..Table::default()
            };
            tables.insert(name, table);
        }
        for column in self.columns {
            if let Some(table) = tables.get_mut(&column.table) {
                table.add_column(column, &mut notes);
            }
        }
        for key in of_one_key(self.keys, |row| {
            (row.table_name.clone(), row.key_name.clone())
        }) {
            if let Some(table) = tables.get_mut(&key[0].table_name) {
                table.add_key(&key)?;
            }
        }
        let references = of_one_key(self.references, |row| {
            (row.table_name.clone(), row.key_name.clone())
        });
        for key in references {
            match reference(&tables, &key) {
                Ok(reference) => {
                    if let Some(table) = tables.get_mut(&key[0].table_name) {
                        table.references.push(reference);
                    }
                }
                Err(note) => notes.push(note),
            }
        }
        for table in tables.values_mut() {
            table.references.sort_by(|a, b| a.path().cmp(&b.path()));
            // A database takes the same key twice.
            table.references.dedup_by(|a, b| a.path() == b.path());
            table.unique_keys.sort();
        }
        notes.sort();
        Ok(Schema {
            tables: tables.into_values().collect(),
            enums: self.enums,
            notes,
        })
    }
}

impl Table {
    fn add_column(&mut self, row: ColumnRow, notes: &mut Vec<String>) {
        let (table, name) = (&self.name, row.name);
        let Some(kind) = row.kind else {
            notes.push(format!(
                "{table}.{name} is left out: the database generates it"
            ));
            return;
        };
        if let Some(feature) = kind.feature {
            notes.push(format!(
                "{table}.{name} is a {}, which needs the feature `{feature}` of sea-orm",
                kind.rust
            ));
        }
        if let Some(note) = row.note {
            notes.push(format!("{table}.{name} {note}"));
        }
        self.columns.push(Column {
            name,
            kind,
            nullable: row.nullable,
            auto_increment: row.auto_increment,
        });
    }

    /// A key is left out if one of its columns is; an entity cannot do without a primary key.
    fn add_key(&mut self, key: &[KeyRow]) -> Result<(), SyncError> {
        let columns: Vec<_> = key.iter().map(|row| row.column_name.clone()).collect();
        let left_out = columns.iter().find(|name| self.column(name).is_none());
        match (key[0].is_primary, left_out) {
            (true, Some(name)) => Err(SyncError::Schema(format!(
                "{}.{name} is part of the primary key and generated by the database: \
                 no entity can be written for it",
                self.name
            ))),
            (false, Some(_)) => Ok(()),
            (true, None) => {
                for column in &mut self.columns {
                    column.nullable &= !columns.contains(&column.name);
                }
                self.primary_key = columns;
                Ok(())
            }
            (false, None) => {
                self.unique_keys.push(columns);
                Ok(())
            }
        }
    }
}

/// The foreign key of these rows, or why it is left out.
fn reference(tables: &BTreeMap<String, Table>, key: &[ReferenceRow]) -> Result<Reference, String> {
    let ReferenceRow {
        table_name,
        to_table,
        on_update,
        on_delete,
        ..
    } = &key[0];
    let columns: Vec<_> = key.iter().map(|row| row.column_name.clone()).collect();
    let left_out = |why: &str| {
        let columns = columns.join(", ");
        Err(format!(
            "the foreign key {table_name} ({columns}) to {to_table} is left out: {why}"
        ))
    };
    let Some(to) = tables.get(to_table) else {
        return left_out("there is no entity of that table");
    };
    let named: Option<Vec<_>> = key.iter().map(|row| row.to_column.clone()).collect();
    let foreign_columns = named.unwrap_or_else(|| to.primary_key.clone());
    if foreign_columns.len() != columns.len() {
        return left_out("it does not name as many columns there");
    }
    let has_all = |table: Option<&Table>, columns: &[String]| {
        table.is_some_and(|table| columns.iter().all(|name| table.column(name).is_some()))
    };
    if !has_all(tables.get(table_name), &columns) || !has_all(Some(to), &foreign_columns) {
        return left_out("one of its columns is");
    }
    Ok(Reference {
        columns,
        table: to_table.clone(),
        foreign_columns,
        on_update: action(on_update),
        on_delete: action(on_delete),
    })
}

/// Gathers the rows of each key, which come one after the other.
fn of_one_key<R>(rows: Vec<R>, key: impl Fn(&R) -> (String, String)) -> Vec<Vec<R>> {
    let mut keys: Vec<Vec<R>> = Vec::new();
    for row in rows {
        match keys.last_mut() {
            Some(last) if key(&last[0]) == key(&row) => last.push(row),
            _ => keys.push(vec![row]),
        }
    }
    keys
}

async fn all<R: FromQueryResult>(
    db: &DatabaseConnection,
    sql: &str,
    binds: impl IntoIterator<Item = Value>,
) -> Result<Vec<R>, DbErr> {
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, binds);
    R::find_by_statement(statement).all(db).await
}

#[derive(FromQueryResult)]
struct Name {
    name: String,
}

/// The numbers in the parentheses of a type, and the type without them.
fn split(declared: &str) -> (String, Vec<u32>) {
    let Some((name, rest)) = declared.split_once('(') else {
        return (declared.trim().to_owned(), Vec::new());
    };
    let (numbers, suffix) = rest.split_once(')').unwrap_or((rest, ""));
    let numbers = numbers.split(',').map_while(|n| n.trim().parse().ok());
    let name = format!("{} {}", name.trim(), suffix.trim());
    (name.trim().to_owned(), numbers.collect())
}

fn unknown(table: &str, column: &str, declared: &str) -> SyncError {
    SyncError::Schema(match declared {
        "" => format!("{table}.{column} has no type: no entity can be written for it"),
        _ => format!("{table}.{column} is {declared}: no entity can be written for that type"),
    })
}

/// What a key does is the same to every reader.
#[cfg(test)]
mod tests {
    use super::{action, split};

    #[test]
    fn a_type_is_split_from_its_numbers() {
        for (declared, name, numbers) in [
            ("varchar(80)", "varchar", vec![80]),
            ("real(12, 2)", "real", vec![12, 2]),
            ("int(10) unsigned", "int unsigned", vec![10]),
            ("double precision", "double precision", vec![]),
            ("enum('a','b')", "enum", vec![]),
        ] {
            assert_eq!(split(declared), (name.to_owned(), numbers));
        }
    }

    #[test]
    fn no_action_is_not_written() {
        assert_eq!(action("NO ACTION"), None);
        assert_eq!(action("SET NULL"), Some("SetNull"));
    }
}
