//! The `hosts` table: each user has at most one host.

use guesthouse_cli::drop_table;
use sea_orm_migration::prelude::*;

use crate::{
    columns,
    table::{self, Definition},
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let user = ForeignKey::create()
            .name("hosts_user_id_fkey")
            .from("hosts", "user_id")
            .to("users", "id")
            .on_delete(ForeignKeyAction::Restrict)
            .take();
        let table = Table::create()
            .table("hosts")
            .col(columns::id(backend))
            .col(columns::user_id())
            .col(columns::timestamp(backend, "created_at"))
            .col(columns::timestamp(backend, "updated_at"))
            .take();
        let unique = Index::create()
            .name("hosts_user_id")
            .table("hosts")
            .col("user_id")
            .unique()
            .take();
        let definition = Definition {
            name: "hosts",
            table,
            unique,
            user: Some(user),
        };
        table::create(manager, definition).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_table(manager, "hosts").await
    }

    fn use_transaction(&self) -> Option<bool> {
        table::USE_TRANSACTION
    }
}
