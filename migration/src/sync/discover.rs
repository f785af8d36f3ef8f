//! Reads the tables of the live schema, SQLite's and PostgreSQL's to the same result.

use sea_orm_migration::sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};

use super::{
    SyncError,
    table::{Table, UniqueKey},
};

/// The tables of the schema `db` is connected to, without those of SeaORM and of the backend
/// itself.
pub(super) async fn tables(db: &DatabaseConnection) -> Result<Vec<Table>, SyncError> {
    match db.get_database_backend() {
        #[cfg(feature = "sqlite")]
        sea_orm_migration::sea_orm::DbBackend::Sqlite => sqlite::tables(db).await,
        #[cfg(feature = "postgres")]
        sea_orm_migration::sea_orm::DbBackend::Postgres => postgres::tables(db).await,
        _ => Err(SyncError::Schema(
            "sync reads SQLite and PostgreSQL only (a UUID is binary(16) on MariaDB/MySQL, \
             and looks like any bytes): run the migrations on one of these and sync from there"
                .to_owned(),
        )),
    }
}

fn is_of_the_app(table: &str) -> bool {
    table != "seaql_migrations"
}

/// Runs `sql`, which lists the unique keys of `table` as rows of (index, column), in the order of
/// the index.
///
/// sea-schema's own list takes a key with a condition or an expression for one that holds for every
/// row.
async fn unique_keys(
    db: &DatabaseConnection,
    sql: &str,
    table: &str,
) -> Result<Vec<UniqueKey>, DbErr> {
    let list = Statement::from_sql_and_values(db.get_database_backend(), sql, [table.into()]);
    let mut keys: Vec<UniqueKey> = Vec::new();
    for row in db.query_all_raw(list).await? {
        let (name, column): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        match keys.last_mut() {
            Some(key) if key.name == name => key.columns.push(column),
            _ => keys.push(UniqueKey {
                name,
                columns: vec![column],
            }),
        }
    }
    Ok(keys)
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use sea_orm_migration::sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
    use sea_schema::sqlite::{
        SqliteDiscoveryError,
        def::{ColumnVisibility, TableDef},
    };

    use super::super::{SyncError, table::Table};

    const TABLES: &str = r"
        SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
        ORDER BY name";

    const UNIQUE_KEYS: &str = r#"
        SELECT i.name, c.name FROM pragma_index_list(?) AS i, pragma_index_info(i.name) AS c
        WHERE i."unique" AND NOT i.partial AND i.origin <> 'pk'
        AND NOT EXISTS (SELECT 1 FROM pragma_index_info(i.name) WHERE name IS NULL)
        ORDER BY i.name, c.seqno"#;

    /// A foreign key that leaves its target to the primary key has no column to read, on which
    /// sea-schema panics.
    const IMPLICIT_REFERENCES: &str =
        r#"SELECT 1 FROM pragma_foreign_key_list(?) WHERE "to" IS NULL"#;

    pub(super) async fn tables(db: &DatabaseConnection) -> Result<Vec<Table>, SyncError> {
        let backend = db.get_database_backend();
        let mut tables = Vec::new();
        for row in db
            .query_all_raw(Statement::from_string(backend, TABLES))
            .await?
        {
            let name: String = row.try_get_by_index(0)?;
            if !super::is_of_the_app(&name) {
                continue;
            }
            let implicit =
                Statement::from_sql_and_values(backend, IMPLICIT_REFERENCES, [(&name).into()]);
            if db.query_one_raw(implicit).await?.is_some() {
                return Err(SyncError::Schema(format!(
                    "a foreign key of table `{name}` does not name the column it refers to"
                )));
            }
            let keys = super::unique_keys(db, UNIQUE_KEYS, &name).await?;
            let table = discover(db, name.clone()).await.map_err(|error| {
                SyncError::Schema(format!("table `{name}` could not be read: {error:?}"))
            })?;
            tables.push(Table::new(&table.write(), keys));
        }
        Ok(tables)
    }

    async fn discover(
        db: &DatabaseConnection,
        name: String,
    ) -> Result<TableDef, SqliteDiscoveryError> {
        let mut table = TableDef {
            name,
            ..TableDef::default()
        };
        table.pk_is_autoincrement(db).await?;
        table.get_foreign_keys(db).await?;
        table.get_column_info(db).await?;
        // The database writes these, an entity cannot.
        table
            .columns
            .retain(|column| column.hidden == ColumnVisibility::Visible);
        Ok(table)
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use sea_orm_migration::sea_orm::{
        ConnectionTrait, DatabaseConnection, DbErr, RuntimeErr, Statement,
    };
    use sea_schema::postgres::discovery::SchemaDiscovery;

    use super::super::{SyncError, table::Table};

    const UNIQUE_KEYS: &str = "
        SELECT index.relname::text, attribute.attname::text
        FROM pg_index AS key
        JOIN pg_class AS index ON index.oid = key.indexrelid
        JOIN pg_class AS indexed ON indexed.oid = key.indrelid
        JOIN LATERAL generate_series(0, key.indnkeyatts - 1) AS place ON true
        JOIN pg_attribute AS attribute
            ON attribute.attrelid = key.indrelid AND attribute.attnum = key.indkey[place]
        WHERE indexed.relname = $1 AND indexed.relnamespace = current_schema()::regnamespace
        AND key.indisunique AND key.indisvalid AND NOT key.indisprimary
        AND key.indpred IS NULL AND key.indexprs IS NULL
        ORDER BY index.relname, place";

    pub(super) async fn tables(db: &DatabaseConnection) -> Result<Vec<Table>, SyncError> {
        let current =
            Statement::from_string(db.get_database_backend(), "SELECT current_schema()::text");
        let schema: Option<String> = match db.query_one_raw(current).await? {
            Some(row) => row.try_get_by_index(0)?,
            None => None,
        };
        let schema = schema.ok_or_else(|| {
            SyncError::Schema("the search path names no schema that exists".to_owned())
        })?;
        let pool = db.get_postgres_connection_pool().clone();
        let discovered = SchemaDiscovery::new(pool, &schema)
            .discover()
            .await
            .map_err(|error| DbErr::Query(RuntimeErr::SqlxError(error.into())))?;
        let mut tables = Vec::new();
        for mut table in discovered.tables {
            let name = table.info.name.clone();
            if !super::is_of_the_app(&name) {
                continue;
            }
            // The database writes these, an entity cannot.
            table.columns.retain(|column| column.generated.is_none());
            table.unique_constraints.clear();
            let keys = super::unique_keys(db, UNIQUE_KEYS, &name).await?;
            tables.push(Table::new(&table.write(), keys));
        }
        Ok(tables)
    }
}
