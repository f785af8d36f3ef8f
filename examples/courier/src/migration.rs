//! The schema of the app: that of Guesthouse, then the app's own tables.

use guesthouse_migration::{Migrator, drop_table};
use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

/// Every migration, those of Guesthouse first.
pub struct AppMigrator;

impl MigratorTrait for AppMigrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        Migrator::migrations().into_iter().chain(own()).collect()
    }
}

/// In this form `generate` and sea-orm-cli put a new one at the end.
fn own() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(CreateCouriers)]
}

struct CreateCouriers;

impl MigrationName for CreateCouriers {
    fn name(&self) -> &str {
        "m20261001_000001_create_couriers"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for CreateCouriers {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let couriers = Table::create()
            .table("couriers")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("user_id").uuid().not_null())
            .col(ColumnDef::new("vehicle").string_len(50).not_null())
            .col(timestamp(backend, "created_at"))
            .col(timestamp(backend, "updated_at"))
            // What makes "at most one courier a user" true.
            .index(
                Index::create()
                    .name("couriers_user_id")
                    .col("user_id")
                    .unique(),
            )
            .foreign_key(
                ForeignKey::create()
                    .name("couriers_user_id_fkey")
                    .from("couriers", "user_id")
                    .to("users", "id")
                    .on_delete(ForeignKeyAction::Restrict),
            )
            .take();
        manager.create_table(couriers).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_table(manager, "couriers").await
    }
}

fn timestamp(backend: DbBackend, name: &'static str) -> ColumnDef {
    let mut timestamp = ColumnDef::new(name);
    timestamp.timestamp_with_time_zone().not_null();
    if backend == DbBackend::MySql {
        // `timestamp` ends in 2038 and drops the microseconds.
        timestamp.custom("datetime(6)");
    }
    timestamp
}
