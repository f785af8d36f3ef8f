//! Taking a role from its owner.

use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, Related, Statement, Value,
    sea_query::{Expr, ExprTrait, Query, SelectStatement},
};

use super::{
    block::mariadb::still_in_transaction,
    parts::{as_stored_in, read, read_written, returning, returning_on_mariadb, select_columns},
    send::{look, query},
    text::Text,
};
use crate::{role::Role, scope::Scope};

/// Deletes the role's row of the owner and returns what was deleted; `None` if there is none.
///
/// A SELECT, and a DELETE if there is a row; in a transaction on PostgreSQL three more then, of a
/// block. The SELECT comes first so that no row is deleted that cannot be given back, and for
/// MariaDB, where a DELETE of nothing would lock the gap.
pub(crate) async fn delete_role<R, C: ConnectionTrait>(
    db: &C,
    owner: &Value,
) -> Result<Deleted<R::Model>, DbErr>
where
    R: Role + Related<R::Owner>,
{
    let backend = db.get_database_backend();
    #[cfg(feature = "postgres")]
    if backend == DbBackend::Postgres && super::alive::is_transaction_on_postgres(db).await? {
        return in_a_block_on_postgres::<R, C>(db, owner).await;
    }
    let select = Text::of::<R>("role of owner", backend)
        .bind(owner.clone())
        .or_build(|backend| backend.build(&role_of::<R>(owner, backend)));
    match look(db, select).await?.first() {
        Some(row) => read::<R>(row, "")?,
        None => return Ok(Deleted::Nothing),
    };
    let scope = Scope::of::<C>();
    let name = match scope {
        Scope::Transaction => "delete role, in a transaction",
        Scope::Autocommit | Scope::Unknown => "delete role",
    };
    let delete = Text::of::<R>(name, backend)
        .bind(owner.clone())
        .or_build(|backend| delete_statement::<R>(owner, backend, scope));
    Ok(match query(db, delete).await?.first() {
        Some(row) => Deleted::Row(read_written::<R, C>(row, "")?),
        None => Deleted::Changed,
    })
}

fn delete_statement<R>(owner: &Value, backend: DbBackend, scope: Scope) -> Statement
where
    R: Role + Related<R::Owner>,
{
    let mut delete = Query::delete();
    delete
        .from_table(R::default().table_ref())
        .and_where(Expr::col(R::owner_id()).eq(as_stored_in(R::owner_id(), owner, backend)));
    if backend != DbBackend::MySql {
        return backend.build(delete.returning(returning::<R>()));
    }
    let mut statement = backend.build(&delete);
    statement.sql.push_str(still_in_transaction(scope));
    statement.sql.push_str(&returning_on_mariadb::<R>());
    statement
}

/// The outcome of an attempt.
pub(crate) enum Deleted<M> {
    Row(M),
    /// There is no such row.
    Nothing,
    /// The row was changed or deleted after it had been read, or something keeps it.
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
            let mut select = role_of::<R>(owner, backend);
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

fn role_of<R>(owner: &Value, backend: DbBackend) -> SelectStatement
where
    R: Role + Related<R::Owner>,
{
    let mut select = Query::select();
    select_columns::<R>(&mut select, R::default().table_name(), "");
    select.from(R::default().table_ref()).and_where(
        Expr::col((R::default(), R::owner_id())).eq(as_stored_in(R::owner_id(), owner, backend)),
    );
    select
}
