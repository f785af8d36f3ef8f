//! Signs Ada up and onboards her as a courier, twice; then two others, of whom one leaves again.

mod courier;
mod migration;

use std::{env, error::Error};

use guesthouse::{
    Account, Accounts, Email, Error::EmailTaken, Model, Onboarding, offboard, onboard, onboard_all,
    sign_up, user,
};
use migration::AppMigrator;
use sea_orm::{ActiveValue::Set, Database, DatabaseConnection};
use sea_orm_migration::MigratorTrait;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("DATABASE_URL").unwrap_or("sqlite://courier.db?mode=rwc".into());
    let db = Database::connect(url).await?;
    AppMigrator::up(&db, None).await?;
    let model = Model::accounts().role::<courier::Entity>();
    model.verify(&db).await?;

    let ada = account(&db, "ada@example.com").await?;
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

    let others = [
        account(&db, "grace@example.com").await?,
        account(&db, "mary@example.com").await?,
    ];
    let rows = others.iter().map(|user| courier::ActiveModel {
        user_id: Set(user.id),
        vehicle: Set("van".into()),
        ..Default::default()
    });
    let couriers = onboard_all::<courier::Entity>(&db, rows.collect()).await?;
    println!(
        "{} new, {} existing",
        couriers.new.len(),
        couriers.existing.len()
    );

    let [grace, _] = others;
    if let Some(courier) = offboard::<courier::Entity>(&db, grace.id).await? {
        println!("Grace gives her {} back", courier.vehicle);
    }
    let couriers = Accounts::with::<courier::Entity>().count(&db).await?;
    println!("{couriers} couriers");
    Ok(db.close().await?)
}

/// The user with this address, signed up now or earlier.
async fn account(db: &DatabaseConnection, email: &str) -> Result<user::Model, Box<dyn Error>> {
    let email: Email = email.parse()?;
    let account = match sign_up(db, email.clone()).await {
        Err(EmailTaken) => Account::find_by_email(db, &email).await?,
        signed_up => Some(signed_up?),
    };
    Ok(account.ok_or("the account has just been deleted")?.user)
}
