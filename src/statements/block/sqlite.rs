//! A trigger in place of an insert into a view: its steps are one statement. View and trigger are
//! temporary, visible to this connection alone, and gone when the call ends.

use sea_orm::{
    ConnectionTrait, DbErr, QueryResult, SqliteTransactionMode, Statement, TransactionOptions,
    TransactionSession, TransactionTrait,
};

use crate::{
    scope::Scope,
    statements::{alive::roll_back, send::query},
};

/// One name for all: a connection runs one command at a time, and a block is one command.
const DROP: &str = "DROP VIEW IF EXISTS temp.guesthouse_block";

/// Reads the schema of the database, or reports that it is busy. Otherwise a connection that has
/// not read the schema yet reports the tables of the steps as missing while another connection
/// commits.
const LOAD: &str = "SELECT 1 FROM sqlite_schema LIMIT 0";

/// The SQL that runs `steps`, which name the values `NEW.v0`, `NEW.v1`, …, and then `answer`, which
/// has binds of its own after them.
pub(in crate::statements) fn block(values: usize, steps: &str, answer: &str) -> String {
    let columns: Vec<_> = (0..values).map(|n| format!("NULL AS v{n}")).collect();
    let binds = vec!["?"; values].join(", ");
    format!(
        "{LOAD}; {DROP}; CREATE TEMP VIEW guesthouse_block AS SELECT {}; \
         CREATE TEMP TRIGGER guesthouse_steps INSTEAD OF INSERT ON guesthouse_block \
         BEGIN {steps} END; \
         INSERT INTO guesthouse_block VALUES ({binds}); {answer}; {DROP}",
        columns.join(", ")
    )
}

/// Sends a block. A refused one leaves its view behind, which must be dropped: a migration that
/// alters the tables would fail on it. On a pool the rollback of the block's transaction drops it.
pub(in crate::statements) async fn run<C>(
    db: &C,
    block: Statement,
) -> Result<Vec<QueryResult>, DbErr>
where
    C: ConnectionTrait + TransactionTrait,
{
    if Scope::of::<C>() == Scope::Transaction {
        let outcome = query(db, block).await;
        if outcome.is_err() {
            db.execute_unprepared(DROP).await?;
        }
        return outcome;
    }
    let unit = begin(db).await?;
    match query(&unit, block).await {
        Ok(rows) => {
            unit.commit().await?;
            Ok(rows)
        }
        Err(refusal) => {
            // Whatever becomes of the rollback, nothing is committed.
            let _ = roll_back(unit).await;
            Err(refusal)
        }
    }
}

/// Begins a transaction of a call on a pool. Unlike a plain BEGIN, which sqlx sends as a SAVEPOINT, this
/// one fails on a connection that sqlx believes to be in a transaction which SQLite has ended.
pub(in crate::statements) async fn begin<C: TransactionTrait>(
    db: &C,
) -> Result<C::Transaction, DbErr> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    db.begin_with_options(options).await
}
