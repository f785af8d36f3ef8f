//! What can explain a row that was neither inserted nor found (D23).

use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, EntityTrait, IdenStatic, Statement, Value,
    sqlx::error::DatabaseError,
};

use super::{parts::table_name, send::look};
use crate::error::{Violation, database_error, detail};

/// Whether the unique key that the error names is on this column alone.
pub(crate) async fn is_key_of<E: EntityTrait>(
    db: &impl ConnectionTrait,
    clash: &DbErr,
    column: E::Column,
) -> Result<bool, DbErr> {
    let Some(error) = database_error(clash) else {
        return Ok(false);
    };
    let (table, column) = (E::default().table_name(), column.as_str());
    match db.get_database_backend() {
        DbBackend::Postgres => Ok(names_column(error, table, column)),
        DbBackend::MySql => {
            let entity = E::default();
            let schema = entity.schema_name();
            is_key_on_mysql(db, error.message(), schema, table, column).await
        }
        // `UNIQUE constraint failed: users.email`
        _ => {
            let named = error.message().rsplit_once("failed: ");
            Ok(named.is_some_and(|(_, key)| key == format!("{table}.{column}")))
        }
    }
}

/// Whether the foreign key that refused a row is the one on this column. SQLite does not name it,
/// but there no other caller can delete an owner between two steps of a statement.
pub(crate) fn is_foreign_key_of<E: EntityTrait>(clash: &DbErr, column: E::Column) -> bool {
    let error = match database_error(clash) {
        Some(error) if Violation::of(clash) == Some(Violation::Foreign) => error,
        _ => return false,
    };
    let (table, column) = (E::default().table_name(), column.as_str());
    // MariaDB: `… fails (`database`.`hosts`, CONSTRAINT `…` FOREIGN KEY (`user_id`) …`, in the quotes of
    // the session or in none.
    let message = error.message().replace(['`', '"'], "");
    let on_mysql = message.contains(&format!(".{table}, CONSTRAINT "))
        && message.contains(&format!(" FOREIGN KEY ({column}) "));
    on_mysql || names_column(error, table, column)
}

/// PostgreSQL's detail of a violated key is `Key (user_id)=(…) …`, in the language of the server.
fn names_column(error: &dyn DatabaseError, table: &str, column: &str) -> bool {
    let named = detail(error)
        .and_then(|detail| detail.split_once('('))
        .and_then(|(_, key)| key.split_once(")=("));
    let is_column = |named: &str| named.trim_matches('"') == column;
    error.table() == Some(table) && named.is_some_and(|(columns, _)| is_column(columns))
}

/// `Duplicate entry '…' for key 'users_email'`, in the words of any language. MariaDB does not name
/// the table, so the key proves nothing if another table, which a trigger may fill, has a key of that
/// name too.
async fn is_key_on_mysql(
    db: &impl ConnectionTrait,
    message: &str,
    schema: Option<&str>,
    table: &str,
    column: &str,
) -> Result<bool, DbErr> {
    let Some(key) = message.rsplit('\'').nth(1) else {
        return Ok(false);
    };
    let sql = "SELECT concat(table_name, '.', column_name) FROM information_schema.statistics \
         WHERE table_schema = coalesce(?, database()) AND index_name = ? \
         AND (table_name = ? OR index_name <> 'PRIMARY') LIMIT 16";
    let schema = schema.map(str::to_owned);
    let values = [Value::from(schema), key.into(), table.into()];
    let statement = Statement::from_sql_and_values(DbBackend::MySql, sql, values);
    let mut columns = Vec::new();
    for row in look(db, statement).await? {
        columns.push(row.try_get_by_index::<String>(0)?);
    }
    Ok(columns == [format!("{table}.{column}")])
}

/// What a statement does with rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Insert,
    Update,
    Delete,
}

impl Event {
    /// In `tgtype` of
    /// [pg_trigger](https://www.postgresql.org/docs/current/catalog-pg-trigger.html).
    fn bit(self) -> u8 {
        match self {
            Self::Insert => 4,
            Self::Delete => 8,
            Self::Update => 16,
        }
    }

    /// In `ev_type` of
    /// [pg_rewrite](https://www.postgresql.org/docs/current/catalog-pg-rewrite.html).
    fn digit(self) -> u8 {
        match self {
            Self::Update => 2,
            Self::Insert => 3,
            Self::Delete => 4,
        }
    }
}

/// Whether the table has something that can leave a row out of this event without an error: a trigger
/// or a rule, row level security, or a unique key on other columns than `own_keys`, which are given
/// if a clash on any key leaves the row out.
pub(crate) async fn leaves_rows_out<E: EntityTrait>(
    db: &impl ConnectionTrait,
    event: Event,
    own_keys: &[E::Column],
) -> Result<bool, DbErr> {
    let backend = db.get_database_backend();
    let statement = match backend {
        DbBackend::Postgres => {
            let mut sql = format!("SELECT {}", skips_rows("$1", event));
            let mut values = vec![Value::from(table_name::<E>(backend))];
            if !own_keys.is_empty() {
                let names: Vec<_> = own_keys.iter().map(IdenStatic::as_str).collect();
                values.push(names.join(",").into());
                sql.push_str(
                    " OR EXISTS (SELECT FROM pg_index AS index WHERE indrelid = to_regclass($1) \
                     AND (indisunique OR indisexclusion) AND NOT EXISTS (SELECT FROM pg_attribute AS attribute \
                     WHERE attribute.attrelid = index.indrelid AND index.indnatts = 1 \
                     AND attribute.attnum = index.indkey[0] \
                     AND attribute.attname = ANY (string_to_array($2, ','))))",
                );
            }
            Statement::from_sql_and_values(backend, sql, values)
        }
        DbBackend::MySql => return Ok(false),
        _ => Statement::from_string(backend, format!("SELECT {}", runs_on::<E>(backend, event))),
    };
    let rows = look(db, statement).await?;
    rows.first()
        .map_or(Ok(false), |row| row.try_get_by_index(0))
}

/// Whether a trigger, a rule or row level security can leave a row out, for PostgreSQL: of the table, or
/// of one of its partitions. What is behind a view is not known.
///
/// In `tgtype` 1 is FOR EACH ROW, 2 BEFORE, and 64 INSTEAD OF.
pub(super) fn skips_rows(table: &str, event: Event) -> String {
    let (bit, digit) = (event.bit(), event.digit());
    format!(
        "(EXISTS (SELECT FROM pg_trigger \
         WHERE tgrelid IN (SELECT to_regclass({table}) \
         UNION ALL SELECT relid FROM pg_partition_tree(to_regclass({table}))) \
         AND NOT tgisinternal AND tgenabled <> 'D' \
         AND tgtype & 1 <> 0 AND tgtype & 66 <> 0 AND tgtype & {bit} <> 0) \
         OR EXISTS (SELECT FROM pg_rewrite WHERE ev_class = to_regclass({table}) \
         AND ev_type = '{digit}') \
         OR EXISTS (SELECT FROM pg_class WHERE oid = to_regclass({table}) \
         AND (relkind = 'v' OR row_security_active(oid))))"
    )
}

/// The name of the column that [`runs_on`] selects.
pub(super) const RUNS_ON: &str = "guesthouse_runs_on";

/// Whether a trigger runs after this event, on SQLite whether there is any. RETURNING comes before it,
/// so the row has to be read again.
pub(super) fn runs_on<E: EntityTrait>(backend: DbBackend, event: Event) -> String {
    match backend {
        DbBackend::Sqlite => format!(
            "EXISTS (SELECT 1 FROM (SELECT type, tbl_name FROM sqlite_schema \
             UNION ALL SELECT type, tbl_name FROM sqlite_temp_schema) \
             WHERE type = 'trigger' AND tbl_name = {} COLLATE NOCASE)",
            literal(E::default().table_name())
        ),
        _ => format!(
            "EXISTS (SELECT FROM pg_trigger WHERE tgrelid = to_regclass({}) \
             AND NOT tgisinternal AND tgenabled <> 'D' \
             AND tgtype & 66 = 0 AND tgtype & {} <> 0)",
            literal(&table_name::<E>(backend)),
            event.bit()
        ),
    }
}

/// The error of a row that was written and is not there after the triggers of its table.
pub(super) fn removed<E: EntityTrait>() -> DbErr {
    let table = E::default().table_name().to_owned();
    DbErr::Custom(format!("a trigger of {table} has removed the new row"))
}

/// A text as a literal.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Whether a column of the table has a type that treats different texts as equal, for PostgreSQL.
pub(super) fn folds_on_postgres(table: &str, column: &str) -> String {
    format!(
        "EXISTS (SELECT FROM pg_attribute JOIN pg_type AS type ON type.oid = atttypid \
         LEFT JOIN pg_type AS base ON base.oid = type.typbasetype \
         WHERE attrelid = to_regclass({table}) AND attname = {column} \
         AND 'citext' IN (type.typname, base.typname))"
    )
}

/// Casts a text of a statement to the column's type, by which PostgreSQL then compares it. Asks the
/// server for the type.
pub(super) async fn of_the_type_of<E: EntityTrait>(
    db: &impl ConnectionTrait,
    text: &str,
    column: E::Column,
) -> Result<String, DbErr> {
    let backend = DbBackend::Postgres;
    let ask = "SELECT format_type(atttypid, NULL) FROM pg_attribute \
         WHERE attrelid = to_regclass($1) AND attname = $2";
    let values = [
        Value::from(table_name::<E>(backend)),
        column.as_str().into(),
    ];
    let rows = look(db, Statement::from_sql_and_values(backend, ask, values)).await?;
    match rows.first() {
        Some(row) => {
            let kind: String = row.try_get_by_index(0)?;
            Ok(format!("CAST({text} AS {kind})"))
        }
        None => Ok(text.to_owned()),
    }
}
