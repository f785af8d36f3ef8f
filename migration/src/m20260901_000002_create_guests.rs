//! The `guests` table: at most one guest a user.

use sea_orm_migration::prelude::*;

use crate::{columns, table};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut user = ForeignKey::create()
            .name("guests_user_id_fkey")
            .from("guests", "user_id")
            .to("users", "id")
            .on_delete(ForeignKeyAction::Restrict)
            .take();
        let guests = Table::create()
            .table("guests")
            .col(columns::id(backend))
            .col(columns::user_id())
            .col(columns::timestamp(backend, "created_at"))
            .col(columns::timestamp(backend, "updated_at"))
            .foreign_key(&mut user)
            .take();
        let one_guest_a_user = Index::create()
            .name("guests_user_id")
            .table("guests")
            .col("user_id")
            .unique()
            .take();
        table::create(manager, guests, one_guest_a_user).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        table::drop(manager, "guests").await
    }

    fn use_transaction(&self) -> Option<bool> {
        table::USE_TRANSACTION
    }
}
