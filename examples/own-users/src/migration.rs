//! The schema of the app. Each has-one has a unique foreign key.

use sea_orm_migration::{prelude::*, schema::*};

pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(CreateAccounts)]
    }
}

struct CreateAccounts;

impl MigrationName for CreateAccounts {
    fn name(&self) -> &str {
        "m20261101_000001_create_accounts"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for CreateAccounts {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let users = Table::create()
            .table("users")
            .col(big_pk_auto("id"))
            .col(email(manager))
            .col(string("name"))
            .col(string("password_hash"))
            .take();
        manager.create_table(users).await?;
        let profiles = has_one("profiles", "user_id", "users", text("bio"));
        manager.create_table(profiles).await?;
        let hosts = has_one("hosts", "user_id", "users", string("legal_name"));
        manager.create_table(hosts).await?;
        let accounts = has_one("payout_accounts", "host_id", "hosts", string("iban"));
        manager.create_table(accounts).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["payout_accounts", "hosts", "profiles", "users"] {
            manager
                .drop_table(Table::drop().table(table).take())
                .await?;
        }
        Ok(())
    }
}

/// Without a binary collation MariaDB takes `é` and `e` for one letter in a unique index.
fn email(manager: &SchemaManager) -> ColumnDef {
    let mut email = ColumnDef::new("email");
    email.string_len(254).not_null().unique_key();
    if manager.get_database_backend() == sea_orm::DbBackend::MySql {
        email.custom("varchar(254) COLLATE utf8mb4_bin");
    }
    email
}

/// A table of which each owner has at most one row: the foreign key is not null and unique.
fn has_one(
    table: &'static str,
    owner_id: &'static str,
    owners: &'static str,
    column: ColumnDef,
) -> TableCreateStatement {
    Table::create()
        .table(table)
        .col(big_pk_auto("id"))
        .col(big_integer_uniq(owner_id))
        .col(column)
        .foreign_key(
            ForeignKey::create()
                .name(format!("{table}_{owner_id}_fkey"))
                .from(table, owner_id)
                .to(owners, "id")
                .on_delete(ForeignKeyAction::Restrict),
        )
        .take()
}
