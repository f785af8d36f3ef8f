//! [An anonymous block](https://www.postgresql.org/docs/current/sql-do.html) that catches the
//! refusal of a key, where an error would end the caller's transaction.
//!
//! It takes no parameters and returns no rows: values and answer travel in
//! [settings](https://www.postgresql.org/docs/current/functions-admin.html) that are local to the
//! transaction.

use std::{
    borrow::Cow,
    error::Error as StdError,
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
};

use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, RuntimeErr, Statement, Value,
    sqlx::{self, error::ErrorKind},
};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::{
    error::detail,
    statements::{input::text::on_postgres, send::query},
};

/// How many names settings have, so that the calls of two tasks on one transaction do not share
/// one.
const SLOTS: usize = 64;

static NEXT_SLOT: AtomicUsize = AtomicUsize::new(0);

/// The answer that a block leaves in its setting.
#[derive(Deserialize)]
struct Answer {
    call: Uuid,
    rows: u64,
    refusal: Option<Refusal>,
}

/// Runs `steps`, which name the values `v0`, `v1`, … and set `changed`, and returns `changed`: how
/// many rows were changed. If a key refuses a step, none of them is done, and the error is that of
/// the key.
///
/// Each value is a pair of a type, such as `users.id%TYPE`, and a value of it.
pub(in crate::statements) async fn run<C: ConnectionTrait>(
    db: &C,
    values: &[(String, Value)],
    steps: &str,
) -> Result<u64, DbErr> {
    let call = Uuid::now_v7();
    let slot = NEXT_SLOT.fetch_add(1, Ordering::Relaxed) % SLOTS;
    let texts: Vec<_> = values.iter().map(|(_, value)| text(value)).collect();
    let given = json!({ "call": call, "values": texts }).to_string();
    let give = Statement::from_sql_and_values(
        DbBackend::Postgres,
        format!("SELECT set_config('guesthouse.call_{slot}', $1, true)"),
        [given.into()],
    );
    query(db, give).await?;
    let types: Vec<_> = values.iter().map(|(kind, _)| kind.as_str()).collect();
    db.execute_unprepared(&block(slot, &types, steps)).await?;

    let take = format!("SELECT current_setting('guesthouse.answer_{slot}', true)");
    let rows = query(db, Statement::from_string(DbBackend::Postgres, take)).await?;
    let answer: Option<String> = match rows.first() {
        Some(row) => row.try_get_by_index(0)?,
        None => None,
    };
    let answer: Option<Answer> = answer.and_then(|text| serde_json::from_str(&text).ok());
    match answer {
        Some(answer) if answer.call == call => match answer.refusal {
            None => Ok(answer.rows),
            Some(refusal) => Err(refusal.into()),
        },
        _ => Err(DbErr::Custom("the answer of the block is missing".into())),
    }
}

/// A value in the text form that PostgreSQL reads.
fn text(value: &Value) -> Json {
    match value {
        Value::Json(Some(json)) => Json::String(json.to_string()),
        Value::Array(_, Some(values)) => Json::String(array(values)),
        value => on_postgres(value),
    }
}

/// [An array](https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO) as a text.
fn array(values: &[Value]) -> String {
    let element = |value: &Value| match value {
        Value::Array(_, Some(values)) => array(values),
        value => match text(value) {
            Json::Null => "NULL".to_owned(),
            Json::String(text) => {
                format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
            }
            other => other.to_string(),
        },
    };
    let elements: Vec<_> = values.iter().map(element).collect();
    format!("{{{}}}", elements.join(","))
}

fn block(slot: usize, types: &[&str], steps: &str) -> String {
    let values: Vec<_> = types
        .iter()
        .enumerate()
        .map(|(n, kind)| format!("v{n} {kind} := given->'values'->>{n};"))
        .collect();
    format!(
        "DO $guesthouse$ \
         DECLARE given jsonb := nullif(current_setting('guesthouse.call_{slot}', true), '')::jsonb; \
         {} changed bigint := 0; refusal jsonb; \
         sqlstate_ text; constraint_ text; table_ text; message_ text; detail_ text; \
         BEGIN \
         IF given IS NULL THEN RETURN; END IF; \
         PERFORM set_config('guesthouse.call_{slot}', '', true); \
         BEGIN {steps} \
         EXCEPTION WHEN unique_violation OR foreign_key_violation OR restrict_violation THEN \
         GET STACKED DIAGNOSTICS sqlstate_ = RETURNED_SQLSTATE, constraint_ = CONSTRAINT_NAME, \
         table_ = TABLE_NAME, message_ = MESSAGE_TEXT, detail_ = PG_EXCEPTION_DETAIL; \
         refusal := jsonb_build_object('code', sqlstate_, 'constraint', constraint_, \
         'table', table_, 'message', message_, 'detail', detail_); \
         END; \
         PERFORM set_config('guesthouse.answer_{slot}', jsonb_build_object('call', given->'call', \
         'rows', changed, 'refusal', refusal)::text, true); \
         END $guesthouse$",
        values.join(" ")
    )
}

/// A key's refusal, as the block caught it. It replaces the error that the statement would have
/// raised, and carries its details.
#[derive(Debug, Deserialize)]
pub(crate) struct Refusal {
    code: String,
    constraint: String,
    table: String,
    message: String,
    detail: String,
    /// Whether it is contention: another caller meanwhile did what makes the key refuse.
    #[serde(default)]
    contended: bool,
}

impl Refusal {
    /// A refusal that has ended the transaction and would not recur.
    pub(crate) fn contended(error: &dyn sqlx::error::DatabaseError) -> Self {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        Self {
            code: text(error.code().as_deref()),
            constraint: text(error.constraint()),
            table: text(error.table()),
            message: error.message().to_owned(),
            detail: text(detail(error)),
            contended: true,
        }
    }

    pub(crate) fn is_contended(&self) -> bool {
        self.contended
    }

    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<Refusal> for DbErr {
    fn from(refusal: Refusal) -> Self {
        Self::Query(RuntimeErr::SqlxError(
            sqlx::Error::Database(Box::new(refusal)).into(),
        ))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Refusal {}

impl sqlx::error::DatabaseError for Refusal {
    fn message(&self) -> &str {
        &self.message
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some(self.code.as_str().into())
    }

    fn constraint(&self) -> Option<&str> {
        Some(self.constraint.as_str()).filter(|name| !name.is_empty())
    }

    fn table(&self) -> Option<&str> {
        Some(self.table.as_str()).filter(|name| !name.is_empty())
    }

    fn kind(&self) -> ErrorKind {
        match self.code.as_str() {
            "23505" => ErrorKind::UniqueViolation,
            _ => ErrorKind::ForeignKeyViolation,
        }
    }

    fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
        self
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::{Value, sea_query::ArrayType};

    use super::array;

    #[test]
    fn an_array_is_written_as_postgresql_reads_it() {
        let inner = |texts: [Option<&str>; 2]| {
            let values = texts.map(|text| Value::String(text.map(str::to_owned)));
            Value::Array(ArrayType::String, Some(Box::new(values.to_vec())))
        };
        let outer = [
            inner([Some("a\"b\\c"), None]),
            inner([Some(""), Some("{,}")]),
        ];
        assert_eq!(array(&outer), r#"{{"a\"b\\c",NULL},{"","{,}"}}"#);
        assert_eq!(
            array(&[Value::Int(Some(1)), Value::Bool(Some(true))]),
            "{\"1\",true}"
        );
    }
}
