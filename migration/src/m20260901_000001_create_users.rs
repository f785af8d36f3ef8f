//! The `users` table.

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
        let table = Table::create()
            .table("users")
            .col(columns::id(backend))
            .col(columns::email(backend))
            .col(columns::timestamp(backend, "created_at"))
            .col(columns::timestamp(backend, "updated_at"))
            .check(("users_email_lowercase", Expr::cust("email = lower(email)")))
            .take();
        let unique = Index::create()
            .name("users_email")
            .table("users")
            .col("email")
            .unique()
            .take();
        let definition = Definition {
            name: "users",
            table,
            unique,
            user: None,
        };
        table::create(manager, definition).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_table(manager, "users").await
    }

    fn use_transaction(&self) -> Option<bool> {
        table::USE_TRANSACTION
    }
}
