//! Dropping every table of the schema, with the views, sequences and types that stand beside them.
//!
//! SeaORM drops what it finds, one by one, until it comes upon something that cannot be dropped.
//! Here that is found first: either everything goes, or nothing. What belongs to an extension stays,
//! and so do functions, unless they need what goes (D31).

use sea_orm_migration::sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, Statement,
    TransactionTrait,
};

use super::failure::Failure;
use crate::{sync, waiting};

pub(super) async fn drop_everything(db: &DatabaseConnection) -> Result<(), Failure> {
    match db.get_database_backend() {
        DbBackend::Postgres => drop_on_postgres(db).await,
        DbBackend::MySql => drop_on_mysql(db).await,
        _ => Ok(drop_on_sqlite(db).await?),
    }
}

/// What is to go: in the schema, no part of an extension, and no sequence that is a part of a table.
const DOOMED_ON_POSTGRES: &str = "
    WITH RECURSIVE here AS (
        SELECT oid AS schema FROM pg_namespace WHERE nspname = current_schema()
    ), member AS (
        SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
    ), doomed (class, object, kind, name) AS (
        SELECT 'pg_class'::regclass, oid,
               CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                            WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'S' THEN 'SEQUENCE'
                            WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END,
               relname
        FROM pg_class JOIN here ON relnamespace = schema
        WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
          AND ('pg_class'::regclass, oid) NOT IN (SELECT classid, objid FROM member)
          AND NOT (relkind = 'S' AND EXISTS (
                  SELECT FROM pg_depend
                  WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid
                    AND deptype IN ('a', 'i')))
        UNION ALL
        SELECT 'pg_type'::regclass, oid, CASE typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, typname
        FROM pg_type JOIN here ON typnamespace = schema
        WHERE typtype IN ('d', 'e', 'r')
          AND ('pg_type'::regclass, oid) NOT IN (SELECT classid, objid FROM member)
    )";

async fn drop_on_postgres(db: &DatabaseConnection) -> Result<(), Failure> {
    // Along go the parts of what is doomed, the functions of the schema that need it, and the casts of
    // its types. Whatever else depends on it is another schema's or an extension's. Parts are auto
    // dependents; so is a partition, which holds rows of its own.
    let dependent = format!(
        "{DOOMED_ON_POSTGRES}, gone (class, object) AS (
            SELECT class, object FROM doomed
            UNION
            SELECT classid::regclass, objid
            FROM gone JOIN pg_depend ON (refclassid, refobjid) = (class, object)
            LEFT JOIN pg_class ON classid = 'pg_class'::regclass AND pg_class.oid = objid
            LEFT JOIN pg_proc ON classid = 'pg_proc'::regclass AND pg_proc.oid = objid
            WHERE deptype IN ('a', 'i') AND coalesce(relkind NOT IN ('r', 'p', 'f'), true)
               OR pronamespace = (SELECT schema FROM here)
               OR classid = 'pg_cast'::regclass
        )
        SELECT DISTINCT pg_describe_object(coalesce(whole.refclassid, part.classid),
                                           coalesce(whole.refobjid, part.objid),
                                           coalesce(whole.refobjsubid, part.objsubid))
        FROM pg_depend AS part
        JOIN gone ON (part.refclassid, part.refobjid) = (class, object)
        LEFT JOIN pg_depend AS whole
          ON (whole.classid, whole.objid, whole.deptype) = (part.classid, part.objid, 'i')
        WHERE (part.classid, part.objid) NOT IN (SELECT class, object FROM gone)
        ORDER BY 1"
    );
    // The tables first, which take what depends on them along.
    let statements = format!(
        "{DOOMED_ON_POSTGRES}
        SELECT format('DROP %s IF EXISTS %I.%I CASCADE', kind, current_schema(), name)
        FROM doomed ORDER BY kind <> 'TABLE', kind, name"
    );
    let transaction = db.begin().await?;
    refuse(&texts(&transaction, &dependent).await?)?;
    for statement in texts(&transaction, &statements).await? {
        tracing::info!("{statement}");
        waiting::for_any_table(transaction.execute_unprepared(&statement)).await?;
    }
    Ok(transaction.commit().await?)
}

async fn drop_on_mysql(db: &DatabaseConnection) -> Result<(), Failure> {
    const DEPENDENT: &str = "SELECT DISTINCT concat(table_schema, '.', table_name)
        FROM information_schema.key_column_usage
        WHERE referenced_table_schema = database() AND table_schema <> database()
        ORDER BY 1";
    // Each `DROP` commits; the transaction keeps the session, which has a switch set.
    let session = db.begin().await?;
    if !sync::reads_all_databases(&session).await? {
        // Without the checks, what refers to a table does not keep it, and with them the tables before
        // it would be gone when the server refuses.
        return Err(Failure::new(
            "nothing was dropped, since this user does not see the foreign keys of other databases: \
             one to a table that is dropped would lead nowhere (run `fresh` as a user who may SELECT \
             on *.*, or roll back with `refresh --force`)"
                .to_owned(),
        ));
    }
    refuse(&texts(&session, DEPENDENT).await?)?;
    let switch = "SET SESSION foreign_key_checks = 0";
    session.execute_unprepared(switch).await?;
    let dropped = drop_lists_on_mysql(&session).await;
    let switch = "SET SESSION foreign_key_checks = DEFAULT";
    session.execute_unprepared(switch).await?;
    session.commit().await?;
    Ok(dropped?)
}

/// Each kind in one statement, which checks the user's rights before it drops the first.
async fn drop_lists_on_mysql(session: &DatabaseTransaction) -> Result<(), DbErr> {
    for (kind, types) in [
        ("TABLE", "table_type NOT IN ('VIEW', 'SEQUENCE')"),
        ("VIEW", "table_type = 'VIEW'"),
        ("SEQUENCE", "table_type = 'SEQUENCE'"),
    ] {
        let names = format!(
            "SELECT concat('`', replace(table_name, '`', '``'), '`') FROM information_schema.tables
             WHERE table_schema = database() AND {types}"
        );
        let names = texts(session, &names).await?.join(", ");
        if !names.is_empty() {
            let statement = format!("DROP {kind} IF EXISTS {names}");
            tracing::info!("{statement}");
            waiting::for_any_table(session.execute_unprepared(&statement)).await?;
        }
    }
    Ok(())
}

async fn drop_on_sqlite(db: &DatabaseConnection) -> Result<(), DbErr> {
    // Virtual tables take their shadows with them, which cannot be dropped alone.
    const STATEMENTS: &str = "
        SELECT format('DROP %s IF EXISTS \"%w\"', iif(type = 'view', 'VIEW', 'TABLE'), name)
        FROM pragma_table_list
        WHERE schema = 'main' AND type IN ('view', 'virtual', 'table')
          AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
        ORDER BY type = 'table', type = 'virtual'";
    // It has no effect inside the transaction. The program's pool has one connection.
    db.execute_unprepared("PRAGMA foreign_keys = OFF").await?;
    let transaction = db.begin().await?;
    for statement in texts(&transaction, STATEMENTS).await? {
        tracing::info!("{statement}");
        transaction.execute_unprepared(&statement).await?;
    }
    transaction.commit().await?;
    db.execute_unprepared("PRAGMA foreign_keys = ON").await?;
    Ok(())
}

fn refuse(dependent: &[String]) -> Result<(), Failure> {
    if dependent.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "nothing was dropped, since these depend on what would be: {}",
        dependent.join(", ")
    )))
}

async fn texts(db: &impl ConnectionTrait, query: &str) -> Result<Vec<String>, DbErr> {
    let query = Statement::from_string(db.get_database_backend(), query);
    let rows = db.query_all_raw(query).await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}
