//! Signs Ada up with her name and a password hash, makes her a host, and opens and closes her payout
//! account.

mod host;
mod migration;
mod payout_account;
mod profile;
mod user;

use std::{env, error::Error};

use guesthouse::{
    Email, Error::EmailTaken, Model, Onboarding, backfill, offboard, onboard, sign_up_all_as,
    sign_up_as,
};
use migration::Migrator;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Database, DatabaseConnection, EntityTrait, QueryFilter,
};
use sea_orm_migration::MigratorTrait;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("DATABASE_URL").unwrap_or("sqlite://own-users.db?mode=rwc".into());
    let db = Database::connect(url).await?;
    Migrator::up(&db, None).await?;
    let model = Model::new()
        .sign_up::<user::Entity>()
        .role::<host::Entity>()
        .role::<payout_account::Entity>();
    model.verify(&db).await?;

    let ada = sign_up(&db, "ada@example.com", "Ada").await?;
    println!("{} has the id {}", ada.name, ada.id);

    let host = host::ActiveModel {
        user_id: Set(ada.id),
        legal_name: Set("Augusta Ada King".into()),
        ..Default::default()
    };
    let host = match onboard::<host::Entity>(&db, host).await? {
        Onboarding::New(host) => host,
        Onboarding::Existing(host) => {
            println!("Ada hosts already");
            host
        }
    };
    println!("{} hosts", host.legal_name);

    let account = payout_account::ActiveModel {
        host_id: Set(host.id),
        iban: Set("GB33BUKB20201555555555".into()),
        ..Default::default()
    };
    let account = onboard::<payout_account::Entity>(&db, account).await?;
    println!("The money goes to {}", account.model().iban);

    let closed = offboard::<payout_account::Entity>(&db, host.id).await?;
    println!("Closed: {}", closed.is_some());

    let invited = [("Ada", "ada@example.com"), ("Grace", "grace@example.com")];
    let mut people = Vec::new();
    for (name, email) in invited {
        let (user, profile) = named(name);
        people.push((email.parse()?, user, profile));
    }
    let sign_ups = sign_up_all_as::<user::Entity>(&db, people).await?;
    println!("{} had an account already", sign_ups.taken.len());

    let bio = |user_id| profile::ActiveModel {
        user_id: Set(user_id),
        bio: Set(String::new()),
        ..Default::default()
    };
    let given = backfill::<profile::Entity>(&db, bio, |_| {}).await?;
    println!("{given} users lacked a profile");
    Ok(db.close().await?)
}

/// The user with this address, signed up now or earlier. User and profile are made together.
async fn sign_up(
    db: &DatabaseConnection,
    email: &str,
    name: &str,
) -> Result<user::Model, Box<dyn Error>> {
    let email: Email = email.parse()?;
    let (user, profile) = named(name);
    match sign_up_as::<user::Entity>(db, email.clone(), user, profile).await {
        Ok((user, _)) => Ok(user),
        Err(EmailTaken) => {
            let by_email = user::Column::Email.eq(email.as_ref());
            let found = user::Entity::find().filter(by_email).one(db).await?;
            Ok(found.ok_or("the user has just been deleted")?)
        }
        Err(error) => Err(error.into()),
    }
}

/// What a person gives at sign-up, beside the address.
fn named(name: &str) -> (user::ActiveModel, profile::ActiveModel) {
    let user = user::ActiveModel {
        name: Set(name.into()),
        password_hash: Set("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".into()),
        ..Default::default()
    };
    let profile = profile::ActiveModel {
        bio: Set(format!("{name} counts")),
        ..Default::default()
    };
    (user, profile)
}
