//! Creating one table, so that a run which was cut off can be run again.

use guesthouse_cli::{exists_on_mysql, refuse_to_hide};
use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

mod half_applied;

/// What every migration here returns from [`MigrationTrait::use_transaction`].
///
/// On PostgreSQL and SQLite the table and the record of the migration come together or not at all,
/// and SQLite stays on one connection of the pool. MariaDB/MySQL commit at each `CREATE` and `DROP`
/// in any case, so there the transaction has no effect, and [`create`] and
/// [`drop_table`](guesthouse_cli::drop_table) accept what a run that died before recording its work
/// left behind.
pub(crate) const USE_TRANSACTION: Option<bool> = Some(true);

/// A table with its one unique index and, unless it is `users`, its foreign key to `users`.
pub(crate) struct Definition {
    pub(crate) name: &'static str,
    pub(crate) table: TableCreateStatement,
    pub(crate) unique: IndexCreateStatement,
    pub(crate) user: Option<ForeignKeyCreateStatement>,
}

/// Creates a table that is not there yet.
///
/// On MariaDB/MySQL it may have been created by a run that died before recording its work.
/// Elsewhere, or if its definition differs, a table of that name is somebody else's: an error.
pub(crate) async fn create(
    manager: &SchemaManager<'_>,
    definition: Definition,
) -> Result<(), DbErr> {
    let db = manager.get_connection();
    let Definition {
        name,
        mut table,
        mut unique,
        mut user,
    } = definition;
    if manager.get_database_backend() == DbBackend::MySql {
        // One statement, so the table is there whole or not at all.
        table.index(&mut unique);
        table.engine("InnoDB").character_set("utf8mb4");
        if exists_on_mysql(db, name).await? {
            return half_applied::refuse_other(db, name, table, user).await;
        }
    }
    refuse_to_hide(manager, name).await?;
    if let Some(user) = &mut user {
        table.foreign_key(user);
    }
    manager.create_table(table).await?;
    if manager.get_database_backend() == DbBackend::MySql {
        return Ok(());
    }
    manager.create_index(unique).await
}
