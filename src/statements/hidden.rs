//! Whether row level security hides rows from the database role.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, EntityName, Statement, Value};

use super::send::look;

/// An error if PostgreSQL's row level security applies to the database role on one of the tables. A
/// count of their rows, or the answer that there is none, could be wrong.
pub(crate) async fn refuse_hidden(
    db: &impl ConnectionTrait,
    tables: &[&dyn Table],
) -> Result<(), DbErr> {
    let backend = db.get_database_backend();
    if backend != DbBackend::Postgres {
        return Ok(());
    }
    let binds = (1..=tables.len()).map(|n| format!("(${n}::text)"));
    let sql = format!(
        "SELECT name FROM (VALUES {}) AS tables (name) WHERE row_security_active(to_regclass(name))",
        binds.collect::<Vec<_>>().join(", ")
    );
    let names = tables.iter().map(|table| Value::from(table.quoted()));
    let rows = look(db, Statement::from_sql_and_values(backend, sql, names)).await?;
    match rows.first() {
        None => Ok(()),
        Some(row) => Err(DbErr::Custom(format!(
            "row level security of {} applies to this role: rows that it hides would be left out",
            row.try_get_by_index::<String>(0)?
        ))),
    }
}

/// The table of an entity.
pub(crate) trait Table: Sync {
    /// Its name as PostgreSQL reads it.
    fn quoted(&self) -> String;
}

impl<E: EntityName + Sync> Table for E {
    fn quoted(&self) -> String {
        let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        match self.schema_name() {
            Some(schema) => format!("{}.{}", quote(schema), quote(self.table_name())),
            None => quote(self.table_name()),
        }
    }
}
