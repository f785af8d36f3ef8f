//! Applying what is pending, also while others do the same.

use sea_orm_migration::{
    MigratorTrait,
    sea_orm::{DatabaseConnection, DbErr},
};

use crate::{log::Log, place, turn::Turn};

/// Applies every pending migration of `migrator`, one caller at a time.
///
/// Any number of instances of an app can call it when they start. One of them migrates; the others
/// wait for it and find the work done. A database on which nothing is pending is only read, so the
/// app's user needs no right to create tables there. SeaORM's `Migrator::up` does not take turns:
/// several at once fail on each other's tables.
///
/// On PostgreSQL the tables are in the schema where the search path leads to the log of migrations. A
/// schema before it in the path gets no second set of them.
///
/// On SQLite the turn is a lock on a file beside the database's, `app.db-lock`, which stays there.
/// Elsewhere a connection beside the pool of `db` holds it, which needs this crate's feature for the
/// database (`postgres`, `mysql`). Without that feature one of the pool's own connections holds it,
/// and the pool must have another.
///
/// ```
/// use guesthouse_cli::up;
/// use sea_orm_migration::sea_orm::{Database, DbErr};
/// # mod app { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/app.rs")); }
/// # use app::AppMigrator;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), DbErr> {
/// # if !cfg!(feature = "sqlite") { return Ok(()); }
/// let db = Database::connect("sqlite::memory:").await?;
/// up(AppMigrator, &db).await?;
/// up(AppMigrator, &db).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Returns `DbErr::Migration`, and changes nothing, if two migrations have one name, if the
/// database has applied one that `migrator` does not know, if a table of Guesthouse is already in
/// another schema of the search path, if row level security hides the log, or if the role may use
/// no schema of the search path. Returns the database's error if a migration fails.
pub async fn up<M: MigratorTrait>(_migrator: M, db: &DatabaseConnection) -> Result<(), DbErr> {
    if Log::read::<M>(db).await?.is_complete()? {
        return Ok(());
    }
    let turn = Turn::take(db).await?;
    let outcome = in_turn::<M>(db).await;
    turn.end().await;
    outcome
}

async fn in_turn<M: MigratorTrait>(db: &DatabaseConnection) -> Result<(), DbErr> {
    // It is read again: somebody else may have had the turn.
    let log = Log::read::<M>(db).await?;
    apply::<M>(&place::of(&log, db).await?, &log, None).await
}

/// Applies the first `steps` of what is pending according to `log`. `db` is the place of the log, and
/// the caller has the turn.
pub(crate) async fn apply<M: MigratorTrait>(
    db: &DatabaseConnection,
    log: &Log,
    steps: Option<u32>,
) -> Result<(), DbErr> {
    if log.is_complete()? {
        return Ok(());
    }
    place::refuse_to_hide_by(db, log.pending()).await?;
    M::up(db, steps).await
}
