//! [Compound statements](https://mariadb.com/kb/en/begin-end/), which MariaDB prepares since
//! 10.6.2. MySQL has none (D3).

use sea_orm::{EntityTrait, IdenStatic, Iterable};

use crate::scope::Scope;

/// A condition that holds only while the caller's transaction is open; empty on other connections.
pub(in crate::statements) fn still_in_transaction(scope: Scope) -> &'static str {
    match scope {
        Scope::Transaction => " AND @@in_transaction = 1",
        Scope::Autocommit | Scope::Unknown => "",
    }
}

/// The steps, all or none of them.
pub(in crate::statements) fn block(scope: Scope, steps: &str) -> String {
    let (begin, end, undo) = match scope {
        Scope::Autocommit => ("START TRANSACTION;", "COMMIT;", "ROLLBACK;"),
        Scope::Transaction => (
            "IF @@in_transaction = 0 THEN SIGNAL SQLSTATE '25000' SET MYSQL_ERRNO = 45025, \
             MESSAGE_TEXT = 'the transaction is over'; END IF; SAVEPOINT guesthouse;",
            "RELEASE SAVEPOINT guesthouse;",
            UNDO_TO_SAVEPOINT,
        ),
        Scope::Unknown => (
            "SET @guesthouse_outer = @@in_transaction; \
             IF @guesthouse_outer THEN SAVEPOINT guesthouse; ELSE START TRANSACTION; END IF;",
            "IF @guesthouse_outer THEN RELEASE SAVEPOINT guesthouse; ELSE COMMIT; END IF;",
            "IF @guesthouse_outer THEN BEGIN DECLARE CONTINUE HANDLER FOR 1305 BEGIN END; \
             ROLLBACK TO SAVEPOINT guesthouse; RELEASE SAVEPOINT guesthouse; END; \
             ELSE ROLLBACK; END IF;",
        ),
    };
    // The second handler is for errors of the classes 01 and 02, such as a value that an enum does not
    // have in strict mode, which SQLEXCEPTION leaves out. A mere warning passes.
    format!(
        "BEGIN NOT ATOMIC DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN {undo} RESIGNAL; END; \
         DECLARE CONTINUE HANDLER FOR SQLWARNING, NOT FOUND \
         IF @@error_count > 0 THEN {undo} RESIGNAL; END IF; {begin} {steps} {end} END"
    )
}

/// A deadlock ends the transaction with its savepoints, and the missing savepoint must not hide the
/// deadlock.
const UNDO_TO_SAVEPOINT: &str = "BEGIN DECLARE CONTINUE HANDLER FOR 1305 BEGIN END; \
     ROLLBACK TO SAVEPOINT guesthouse; RELEASE SAVEPOINT guesthouse; END;";

/// The columns of an entity, for RETURNING.
pub(in crate::statements) fn columns<E: EntityTrait>() -> String {
    let columns: Vec<_> = E::Column::iter()
        .map(|column| format!("`{}`", column.as_str()))
        .collect();
    columns.join(", ")
}
