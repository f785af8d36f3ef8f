//! Whether rolling back a table may take its rows with it.

use std::{env, future::Future};

tokio::task_local! {
    static FORCED: ();
}

/// Runs a rollback that may drop tables which still hold rows.
///
/// Without it, `down` of such a table is refused. It holds for `rollback` alone, not for other
/// tasks. A program that cannot wrap the call sets the environment variable
/// `GUESTHOUSE_FORCE_DOWN=1` instead.
///
/// ```
/// use guesthouse_cli::forced;
/// use sea_orm_migration::{MigratorTrait, sea_orm::{ConnectionTrait, Database, DbErr}};
/// # mod app { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/app.rs")); }
/// # use app::AppMigrator;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), DbErr> {
/// # if !cfg!(feature = "sqlite") { return Ok(()); }
/// let db = Database::connect("sqlite::memory:").await?;
/// AppMigrator::up(&db, None).await?;
/// db.execute_unprepared("INSERT INTO places (id) VALUES ('here')").await?;
///
/// let refusal = AppMigrator::down(&db, None).await.unwrap_err();
/// assert!(refusal.to_string().contains("`places` still holds rows"));
///
/// forced(AppMigrator::down(&db, None)).await?;
/// # Ok(())
/// # }
/// ```
pub async fn forced<F: Future>(rollback: F) -> F::Output {
    FORCED.scope((), rollback).await
}

pub(crate) fn is_forced() -> bool {
    FORCED.try_with(|()| ()).is_ok() || env::var("GUESTHOUSE_FORCE_DOWN").is_ok_and(|v| v == "1")
}
