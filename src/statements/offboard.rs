//! Taking a role from its owner.

use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, Related, Statement, Value,
    sea_query::{Expr, ExprTrait, Query, SelectStatement},
};

use super::{
    block::mariadb::still_in_transaction,
    parts::{read, returning, returning_on_mariadb, select_columns},
    send::{look, query},
    text::Text,
};
use crate::{role::Role, scope::Scope};

/// Deletes the role's row of the owner and returns what was deleted; `None` if there is none.
///
/// PostgreSQL and SQLite: one statement, and a SELECT if there is no row; in a transaction on
/// PostgreSQL a SELECT and, if there is a row, the three of a block. MariaDB: a SELECT, and a
/// DELETE if there is a row.
pub(crate) async fn delete_role<R, C: ConnectionTrait>(
    db: &C,
    owner: &Value,
) -> Result<Deleted<R::Model>, DbErr>
where
    R: Role + Related<R::Owner>,
{
    match db.get_database_backend() {
        #[cfg(feature = "postgres")]
        DbBackend::Postgres if super::alive::is_transaction_on_postgres(db).await? => {
            in_a_block_on_postgres::<R, C>(db, owner).await
        }
        DbBackend::MySql => on_mariadb::<R, C>(db, owner).await,
        backend => {
            let statement = Text::of::<R>("delete role", backend)
                .bind(owner.clone())
                .or_build(|backend| {
                    let mut delete = Query::delete();
                    delete
                        .from_table(R::default().table_ref())
                        .and_where(Expr::col(R::owner_id()).eq(owner.clone()))
                        .returning(returning::<R>());
                    backend.build(&delete)
                });
            let rows = query(db, statement).await?;
            Ok(match rows.first() {
                Some(row) => Deleted::Row(read::<R>(row, "")?),
                None if has_role::<R, C>(db, owner).await? => Deleted::Changed,
                None => Deleted::Nothing,
            })
        }
    }
}

/// Whether there is a row after all, one that was made meanwhile or that something keeps.
async fn has_role<R, C: ConnectionTrait>(db: &C, owner: &Value) -> Result<bool, DbErr>
where
    R: Role + Related<R::Owner>,
{
    let statement = Text::of::<R>("role of owner", db.get_database_backend())
        .bind(owner.clone())
        .or_build(|backend| backend.build(&role_of::<R>(owner)));
    Ok(!look(db, statement).await?.is_empty())
}

/// The outcome of an attempt.
pub(crate) enum Deleted<M> {
    Row(M),
    /// There is no such row.
    Nothing,
    /// The row was changed or deleted after it had been read, or is there although it was to be
    /// deleted.
    Changed,
}

/// The block returns no row, so the row is read first, and deleted only if it has not changed.
#[cfg(feature = "postgres")]
async fn in_a_block_on_postgres<R, C: ConnectionTrait>(
    db: &C,
    owner: &Value,
) -> Result<Deleted<R::Model>, DbErr>
where
    R: Role + Related<R::Owner>,
{
    use sea_orm::{IdenStatic, sea_query::Alias};

    use super::{
        alive::turn_on_unknown,
        block::postgres,
        parts::{quoted, table_name},
    };

    const VERSION: &str = "guesthouse_version";

    let _turn = turn_on_unknown(db).await;
    let statement = Text::of::<R>("role with its version", DbBackend::Postgres)
        .bind(owner.clone())
        .or_build(|backend| {
            let mut select = role_of::<R>(owner);
            let version = Expr::cust(format!("\"{}\".xmin::text", R::default().table_name()));
            backend.build(select.expr_as(version, Alias::new(VERSION)))
        });
    let rows = look(db, statement).await?;
    let Some(row) = rows.first() else {
        return Ok(Deleted::Nothing);
    };
    let model = read::<R>(row, "")?;
    let version: String = row.try_get("", VERSION)?;

    let backend = DbBackend::Postgres;
    let table = table_name::<R>(backend);
    let column = quoted(backend, R::owner_id().as_str());
    let deleted = postgres::run(
        db,
        &[
            (format!("{table}.{column}%TYPE"), owner.clone()),
            ("text".to_owned(), version.into()),
        ],
        &format!(
            "DELETE FROM {table} WHERE {column} = v0 AND xmin::text = v1; \
             GET DIAGNOSTICS changed = ROW_COUNT;"
        ),
    )
    .await?;
    Ok(match deleted {
        0 => Deleted::Changed,
        _ => Deleted::Row(model),
    })
}

/// A plain SELECT comes first: if there is nothing to delete, the DELETE would lock the gap.
async fn on_mariadb<R, C: ConnectionTrait>(
    db: &C,
    owner: &Value,
) -> Result<Deleted<R::Model>, DbErr>
where
    R: Role + Related<R::Owner>,
{
    if !has_role::<R, C>(db, owner).await? {
        return Ok(Deleted::Nothing);
    }
    let scope = Scope::of::<C>();
    let name = match scope {
        Scope::Transaction => "delete role, in a transaction",
        Scope::Autocommit | Scope::Unknown => "delete role",
    };
    let delete: Statement = Text::of::<R>(name, DbBackend::MySql)
        .bind(owner.clone())
        .or_build(|backend| {
            let mut delete = Query::delete();
            delete
                .from_table(R::default().table_ref())
                .and_where(Expr::col(R::owner_id()).eq(owner.clone()));
            let mut statement = backend.build(&delete);
            statement.sql.push_str(still_in_transaction(scope));
            statement.sql.push_str(&returning_on_mariadb::<R>());
            statement
        });
    let rows = query(db, delete).await?;
    Ok(match rows.first() {
        Some(row) => Deleted::Row(read::<R>(row, "")?),
        None => Deleted::Changed,
    })
}

fn role_of<R>(owner: &Value) -> SelectStatement
where
    R: Role + Related<R::Owner>,
{
    let mut select = Query::select();
    select_columns::<R>(&mut select, R::default().table_name(), "");
    select
        .from(R::default().table_ref())
        .and_where(Expr::col((R::default(), R::owner_id())).eq(owner.clone()));
    select
}
