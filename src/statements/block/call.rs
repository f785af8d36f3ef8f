//! A statement of MariaDB that travels in a variable, for a transaction.
//!
//! sqlx prepares each statement on its first use. A call that is dropped before the server has
//! answered leaves the description of the binds and columns on the connection, where the next
//! statement takes it for its own answer and waits indefinitely for the rest. A pool notices and
//! closes the connection; a transaction has no other. So the statement, with its values in the
//! text, is set as a variable, which is not prepared. [`CALL`] executes it; it is prepared once for
//! each connection and has neither binds nor columns. What is left of that one answer is skipped,
//! unless the number that the server gave the statement makes it look like the beginning of another
//! one. So the server is also asked to close the connection if the call does not follow soon: then
//! the transaction ends with an error (D22).

use aes::{
    Aes128,
    cipher::{Array, BlockCipherEncrypt, KeyInit},
};
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, Value,
    sea_query::{MysqlQueryBuilder, QueryBuilder},
};
use uuid::Uuid;

use crate::statements::{alive::after_a_dropped_call, input::text::moment, parts::hex, queue};

/// [`CALL`] restores the timeout. MySQL, which refuses the call, reads this as a comment.
const CLOSE_SOON: &str = "SET /*M!100602 @guesthouse_wait = COALESCE(@guesthouse_wait, \
     @@wait_timeout), wait_timeout = 2, */ @guesthouse = NULL";

/// Makes the session's key, once, and returns it.
const KEY: &str = "BEGIN NOT ATOMIC SELECT @guesthouse_key := COALESCE(@guesthouse_key, \
     UNHEX(MD5(CONCAT(UUID(), RAND(), RAND(), NOW(6))))); END";

/// Returns the token of the call, the rows of its statement, and how many rows it changed.
const CALL: &str = "BEGIN NOT ATOMIC DECLARE call_ LONGTEXT CHARACTER SET utf8mb4 \
     DEFAULT IF(@guesthouse_hidden, \
     CONVERT(AES_DECRYPT(@guesthouse_call, @guesthouse_key) USING utf8mb4), \
     CONVERT(@guesthouse_call USING utf8mb4)); \
     SET @guesthouse_call = NULL, wait_timeout = CAST(@guesthouse_wait AS UNSIGNED); \
     SELECT @guesthouse_token; EXECUTE IMMEDIATE call_; SELECT ROW_COUNT(); END";

/// The result of a statement.
pub(in crate::statements) struct Outcome {
    pub(in crate::statements) rows: Vec<QueryResult>,
    pub(in crate::statements) rows_changed: u64,
}

/// Executes the statement.
pub(in crate::statements) async fn call(
    db: &impl ConnectionTrait,
    statement: Statement,
) -> Result<Outcome, DbErr> {
    // Another task must not set the variable before this one has made its call.
    let queue = queue::of_statements(db);
    let _turn = queue.lock().await;
    after_a_dropped_call(db, CLOSE_SOON).await?;
    let values = statement.values.map_or_else(Vec::new, |values| values.0);
    let sql = with_literals(&statement.sql, &values)?;
    // Drivers log this SET. So a statement with more than ids and times is encrypted, under a key
    // that the server makes and no text of a statement holds.
    let hidden = values.iter().any(is_private);
    let call = match hidden {
        true => encrypted(sql.as_bytes(), &cipher(db).await?),
        false => sql.into_bytes(),
    };
    let token = Uuid::now_v7().simple().to_string();
    let set = format!(
        "SET @guesthouse_call = x'{}', @guesthouse_hidden = {hidden}, @guesthouse_token = '{token}'",
        hex(&call)
    );
    db.execute_unprepared(&set).await?;
    let mut rows = db
        .query_all_raw(Statement::from_string(DbBackend::MySql, CALL))
        .await?;
    let changed: Option<i64> = match rows.pop() {
        Some(row) => row.try_get_by_index(0)?,
        None => None,
    };
    let answered: Option<String> = match rows.first() {
        Some(row) => row.try_get_by_index(0)?,
        None => None,
    };
    if answered != Some(token) {
        return Err(DbErr::Custom(
            "another call on the connection came between".into(),
        ));
    }
    rows.remove(0);
    let rows_changed = changed
        .and_then(|changed| changed.try_into().ok())
        .unwrap_or(0);
    Ok(Outcome { rows, rows_changed })
}

/// Whether a value may be one that must not reach a log: anything but ids and times.
fn is_private(value: &Value) -> bool {
    !matches!(
        value,
        Value::Uuid(_)
            | Value::ChronoDateTimeUtc(_)
            | Value::ChronoDateTimeLocal(_)
            | Value::ChronoDateTimeWithTimeZone(_)
    )
}

async fn cipher(db: &impl ConnectionTrait) -> Result<Aes128, DbErr> {
    let key = Statement::from_string(DbBackend::MySql, KEY);
    let rows = db.query_all_raw(key).await?;
    let key: Vec<u8> = match rows.first() {
        Some(row) => row.try_get_by_index(0)?,
        None => Vec::new(),
    };
    Aes128::new_from_slice(&key).map_err(|error| DbErr::Custom(error.to_string()))
}

/// In the mode that MariaDB has by default: block by block, with
/// [PKCS #7](https://www.rfc-editor.org/rfc/rfc5652#section-6.3) padding.
fn encrypted(bytes: &[u8], cipher: &Aes128) -> Vec<u8> {
    const BLOCK: usize = 16;

    let padding = BLOCK - bytes.len() % BLOCK;
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len() + padding, padding as u8);
    for block in padded.chunks_exact_mut(BLOCK) {
        let mut whole = Array::try_from(&*block).unwrap_or_default();
        cipher.encrypt_block(&mut whole);
        block.copy_from_slice(&whole);
    }
    padded
}

/// Puts each value in the place of its `?`. The library's statements have no `?` in quotes.
fn with_literals(sql: &str, values: &[Value]) -> Result<String, DbErr> {
    let mut parts = sql.split('?');
    let mut whole = parts.next().unwrap_or_default().to_owned();
    let mut values = values.iter();
    for part in parts {
        let missing = || DbErr::Custom("a value is missing in the statement".into());
        whole.push_str(&literal(values.next().ok_or_else(missing)?));
        whole.push_str(part);
    }
    Ok(whole)
}

/// The value as MariaDB reads it, and as sqlx would have bound it.
fn literal(value: &Value) -> String {
    match value {
        Value::String(Some(value)) => text(value),
        Value::Char(Some(value)) => text(value.encode_utf8(&mut [0; 4])),
        Value::Json(Some(value)) => text(&value.to_string()),
        Value::Bytes(Some(value)) => format!("x'{}'", hex(value)),
        Value::Uuid(Some(value)) => format!("x'{}'", value.simple()),
        Value::ChronoDateTimeUtc(Some(value)) => format!("'{}'", value.naive_utc()),
        Value::ChronoDateTimeLocal(Some(value)) => format!("'{}'", value.naive_utc()),
        Value::ChronoDateTimeWithTimeZone(Some(value)) => format!("'{}'", value.naive_utc()),
        // Without an exponent it would be a decimal, which holds 65 digits.
        Value::Float(Some(value)) => format!("{value:e}"),
        Value::Double(Some(value)) => format!("{value:e}"),
        // Numbers, times and nulls, of which no literal has a quote or a backslash.
        value => match moment(value) {
            Some(moment) => format!("'{}'", moment.naive_utc()),
            None => MysqlQueryBuilder.value_to_string(value),
        },
    }
}

/// A text as a literal: in hexadecimal if it has a backslash, since a setting of the session
/// decides whether that escapes.
fn text(text: &str) -> String {
    match text.contains('\\') {
        true => format!("_utf8mb4 x'{}'", hex(text.as_bytes())),
        false => format!("_utf8mb4'{}'", text.replace('\'', "''")),
    }
}
