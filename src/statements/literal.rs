//! Statements with their values in the text, for a transaction on MariaDB.
//!
//! sqlx prepares each statement on its first use. A call that is dropped before the server has
//! answered leaves the description of the binds and columns on the connection, where the next
//! statement takes it for its own answer and waits for the rest for ever. A pool notices and closes
//! the connection; a transaction has no other. A block without binds has no such description, and
//! what is left of the answer is skipped, unless the number that the server gave the statement makes
//! it look like the beginning of another one. So the server is also told to close the connection if
//! the block does not follow soon: then the transaction ends with an error.
//!
//! MySQL, where a block is a comment, has to live with it.

use std::fmt::Display;

use aes::{
    Aes128,
    cipher::{Array, BlockCipherEncrypt, KeyInit},
};
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, Statement, Value,
    sea_query::{MysqlQueryBuilder, QueryBuilder},
};

use super::alive::after_a_dropped_call;

/// The block puts the time back.
const CLOSE_SOON: &str = "SET /*M!100602 @guesthouse_wait = COALESCE(@guesthouse_wait, \
     @@wait_timeout), wait_timeout = 2, */ @guesthouse = NULL";

/// Makes the session's key, once, and returns it.
const KEY: &str = "/*M!100602 BEGIN NOT ATOMIC */ \
     SELECT @guesthouse_key := COALESCE(@guesthouse_key, \
     UNHEX(MD5(CONCAT(UUID(), RAND(), RAND(), NOW(6))))) /*M!100602 ; END */";

/// The same statement without binds, as a block.
///
/// Drivers log the text, so each string in it is encrypted, under a key that the server makes up and
/// that no text holds.
pub(super) async fn statement(
    db: &impl ConnectionTrait,
    statement: Statement,
) -> Result<Statement, DbErr> {
    after_a_dropped_call(db, CLOSE_SOON).await?;
    let values = statement.values.map_or_else(Vec::new, |values| values.0);
    let cipher = match values.iter().any(has_text) {
        true => Some(cipher(db).await?),
        false => None,
    };
    let literals: Vec<_> = values
        .iter()
        .map(|value| literal(value, cipher.as_ref()))
        .collect();
    let sql = with_literals(&statement.sql, &literals)?;
    // A block within a block has another head.
    let sql = sql.replacen("BEGIN NOT ATOMIC", "BEGIN", 1);
    let block = format!(
        "/*M!100602 BEGIN NOT ATOMIC SET wait_timeout = CAST(@guesthouse_wait AS UNSIGNED); */ {sql} \
         /*M!100602 ; END */"
    );
    Ok(Statement::from_string(DbBackend::MySql, block))
}

fn has_text(value: &Value) -> bool {
    matches!(
        value,
        Value::String(Some(_)) | Value::Char(Some(_)) | Value::Bytes(Some(_))
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

/// The value as MariaDB reads it, and as sqlx would have bound it.
fn literal(value: &Value, cipher: Option<&Aes128>) -> String {
    let text = |text: &str| format!("CONVERT({} USING utf8mb4)", hidden(text.as_bytes(), cipher));
    let quoted = |moment: &dyn Display| format!("'{moment}'");
    match value {
        Value::String(Some(value)) => text(value),
        Value::Char(Some(value)) => text(value.encode_utf8(&mut [0; 4])),
        Value::Bytes(Some(value)) => hidden(value, cipher),
        Value::Uuid(Some(value)) => format!("x'{}'", value.simple()),
        Value::ChronoDateTimeUtc(Some(value)) => quoted(&value.naive_utc()),
        Value::ChronoDateTimeLocal(Some(value)) => quoted(&value.naive_utc()),
        Value::ChronoDateTimeWithTimeZone(Some(value)) => quoted(&value.naive_utc()),
        value => MysqlQueryBuilder.value_to_string(value),
    }
}

/// `AES_DECRYPT(…)` of the encrypted bytes, in the mode that MariaDB has by default: block by block,
/// with [PKCS #7](https://www.rfc-editor.org/rfc/rfc5652#section-6.3) padding.
fn hidden(bytes: &[u8], cipher: Option<&Aes128>) -> String {
    const BLOCK: usize = 16;

    let padding = BLOCK - bytes.len() % BLOCK;
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len() + padding, padding as u8);
    let mut sql = String::from("AES_DECRYPT(x'");
    for block in padded.chunks_exact(BLOCK) {
        let mut block = Array::try_from(block).unwrap_or_default();
        if let Some(cipher) = cipher {
            cipher.encrypt_block(&mut block);
        }
        for byte in block {
            sql.push_str(&format!("{byte:02x}"));
        }
    }
    sql.push_str("', @guesthouse_key)");
    sql
}

/// Puts each literal in the place of its `?`. The library's texts have none in quotes.
fn with_literals(sql: &str, literals: &[String]) -> Result<String, DbErr> {
    let parts: Vec<_> = sql.split('?').collect();
    if parts.len() != literals.len() + 1 {
        return Err(DbErr::Custom("a bind is missing in the statement".into()));
    }
    let mut whole = String::from(parts[0]);
    for (literal, part) in literals.iter().zip(&parts[1..]) {
        whole.push_str(literal);
        whole.push_str(part);
    }
    Ok(whole)
}
