// The app of the examples in the documentation: one migration, which creates `places`.

use sea_orm_migration::prelude::*;

pub struct AppMigrator;

impl MigratorTrait for AppMigrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(CreatePlaces)]
    }
}

struct CreatePlaces;

impl MigrationName for CreatePlaces {
    fn name(&self) -> &str {
        "m20261001_000001_create_places"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for CreatePlaces {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let id = ColumnDef::new("id").uuid().not_null().primary_key().take();
        manager.create_table(Table::create().table("places").col(id).take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        guesthouse_cli::drop_table(manager, "places").await
    }
}
