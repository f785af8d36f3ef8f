//! What a row that was neither inserted nor found can be explained by.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, EntityTrait, IdenStatic, Statement, Value};

use super::{parts::table_name, send::look};
use crate::error::database_error;

/// Whether the unique key that the error names is the one on this column alone.
pub(crate) async fn is_key_of<E: EntityTrait>(
    db: &impl ConnectionTrait,
    clash: &DbErr,
    column: E::Column,
) -> Result<bool, DbErr> {
    let Some(error) = database_error(clash) else {
        return Ok(false);
    };
    let (table, column) = (E::default().table_name(), column.as_str());
    let backend = db.get_database_backend();
    let statement = match backend {
        DbBackend::Postgres => {
            let Some(key) = error.constraint().filter(|_| error.table() == Some(table)) else {
                return Ok(false);
            };
            let sql = "SELECT attribute.attname::text FROM pg_index AS index \
                 JOIN pg_class AS key ON key.oid = index.indexrelid \
                 JOIN pg_attribute AS attribute ON attribute.attrelid = index.indrelid \
                 AND attribute.attnum = ANY (index.indkey) \
                 WHERE key.relname = $1 AND index.indrelid = to_regclass($2)";
            let values = [Value::from(key), table_name::<E>(backend).into()];
            Statement::from_sql_and_values(backend, sql, values)
        }
        DbBackend::MySql => {
            // `Duplicate entry '…' for key 'users_email'`, on MySQL 8 `'users.users_email'`.
            let named = error.message().rsplit_once("for key '");
            let key = named.map(|(_, key)| key.trim_end_matches('\''));
            let Some(key) = key.and_then(|key| key.rsplit('.').next()) else {
                return Ok(false);
            };
            let sql = "SELECT column_name FROM information_schema.statistics \
                 WHERE table_schema = database() AND table_name = ? AND index_name = ? LIMIT 16";
            Statement::from_sql_and_values(backend, sql, [Value::from(table), key.into()])
        }
        // `UNIQUE constraint failed: users.email`
        _ => {
            let named = error.message().rsplit_once("failed: ");
            return Ok(named.is_some_and(|(_, key)| key == format!("{table}.{column}")));
        }
    };
    let mut columns = Vec::new();
    for row in look(db, statement).await? {
        columns.push(row.try_get_by_index::<String>(0)?);
    }
    Ok(columns == [column])
}

/// Whether the table has something that can leave a row out without an error: a trigger or a rule,
/// or, where a clash on any key does so, a unique key on other columns than these.
pub(crate) async fn leaves_rows_out<E: EntityTrait>(
    db: &impl ConnectionTrait,
    own_keys: &[E::Column],
) -> Result<bool, DbErr> {
    let backend = db.get_database_backend();
    let statement = match backend {
        DbBackend::Postgres => {
            // https://www.postgresql.org/docs/current/catalog-pg-trigger.html: 2 is BEFORE, 64
            // INSTEAD OF. https://www.postgresql.org/docs/current/catalog-pg-rewrite.html: 1 is
            // SELECT, which a view has.
            let sql = "SELECT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = to_regclass($1) \
                 AND NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 66 <> 0) \
                 OR EXISTS (SELECT FROM pg_rewrite WHERE ev_class = to_regclass($1) \
                 AND ev_type <> '1') \
                 OR EXISTS (SELECT FROM pg_index AS index WHERE indrelid = to_regclass($1) \
                 AND indisunique AND NOT EXISTS (SELECT FROM pg_attribute AS attribute \
                 WHERE attribute.attrelid = index.indrelid AND index.indnatts = 1 \
                 AND attribute.attnum = index.indkey[0] AND attribute.attname = ANY ($2)))";
            let own: Vec<String> = own_keys.iter().map(|key| key.as_str().to_owned()).collect();
            #[cfg(feature = "postgres")]
            let own = Value::from(own);
            #[cfg(not(feature = "postgres"))]
            let own = Value::from(own.concat());
            Statement::from_sql_and_values(backend, sql, [table_name::<E>(backend).into(), own])
        }
        DbBackend::MySql => return Ok(false),
        _ => Statement::from_sql_and_values(
            backend,
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?)",
            [Value::from(E::default().table_name())],
        ),
    };
    let rows = look(db, statement).await?;
    rows.first()
        .map_or(Ok(false), |row| row.try_get_by_index(0))
}
