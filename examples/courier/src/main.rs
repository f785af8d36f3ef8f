//! Signs Ada up and onboards her as a courier, twice.

mod courier;
mod migration;

use std::{env, error::Error};

use guesthouse::{Account, Email, Error::EmailTaken, Onboarding, onboard, sign_up};
use migration::AppMigrator;
use sea_orm::{ActiveValue::Set, Database};
use sea_orm_migration::MigratorTrait;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("DATABASE_URL").unwrap_or("sqlite://courier.db?mode=rwc".into());
    let db = Database::connect(url).await?;
    AppMigrator::up(&db, None).await?;

    let email: Email = "ada@example.com".parse()?;
    let account = match sign_up(&db, email.clone()).await {
        Err(EmailTaken) => Account::find_by_email(&db, &email).await?,
        signed_up => Some(signed_up?),
    };
    let ada = account.ok_or("the account has just been deleted")?.user;

    for vehicle in ["bicycle", "van"] {
        let courier = courier::ActiveModel {
            user_id: Set(ada.id),
            vehicle: Set(vehicle.into()),
            ..Default::default()
        };
        match onboard::<courier::Entity>(&db, courier).await? {
            Onboarding::New(courier) => println!("New: Ada rides a {}", courier.vehicle),
            Onboarding::Existing(courier) => println!("Existing: Ada rides a {}", courier.vehicle),
        }
    }
    Ok(db.close().await?)
}
