//! The `guests` table: each user has at most one guest.

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
            .name("guests_user_id_fkey")
            .from("guests", "user_id")
            .to("users", "id")
            .on_delete(ForeignKeyAction::Restrict)
            .take();
        let table = Table::create()
            .table("guests")
            .col(columns::id(backend))
            .col(columns::user_id())
            .col(columns::timestamp(backend, "created_at"))
            .col(columns::timestamp(backend, "updated_at"))
            .take();
        let unique = Index::create()
            .name("guests_user_id")
            .table("guests")
            .col("user_id")
            .unique()
            .take();
        let definition = Definition {
            name: "guests",
            table,
            unique,
            user: Some(user),
        };
        table::create(manager, definition).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_table(manager, "guests").await
    }

    fn use_transaction(&self) -> Option<bool> {
        table::USE_TRANSACTION
    }
}
