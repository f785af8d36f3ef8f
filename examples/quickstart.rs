//! Signs people up, makes the first one a host, and lists the accounts.
//!
//!     cargo run --example quickstart -- ada@example.com grace@example.com
//!
//! Uses `DATABASE_URL`, or else a SQLite file that it creates.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is what it is for"
)]

use std::{env, error::Error, process::ExitCode};

use comfy_table::{Table, presets};
use guesthouse::{
    Account, Accounts, Email, Error as GuesthouseError, Onboarding, become_host, sign_up,
};
use guesthouse_migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectOptions, Database, DatabaseConnection};

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let (emails, all_valid) = emails_from_arguments();

    let url =
        env::var("DATABASE_URL").unwrap_or_else(|_| "sqlite://quickstart.db?mode=rwc".to_owned());
    let mut options = ConnectOptions::new(url);
    options.sqlx_logging(false);
    let db = Database::connect(options).await?;
    Migrator::up(&db, None).await?;

    let mut first = None;
    for email in emails {
        let account = sign_up_or_greet(&db, email).await?;
        first.get_or_insert(account);
    }
    if let Some(account) = first {
        // The second time around the host is there already.
        for _ in 0..2 {
            match become_host(&db, account.user.id).await? {
                Onboarding::New(host) => println!("{} is now host {}", account.user.email, host.id),
                Onboarding::Existing(host) => {
                    println!("{} is host {} already", account.user.email, host.id);
                }
            }
        }
    }
    print_accounts(&db).await?;

    db.close().await?;
    Ok(if all_valid {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The valid addresses, and whether all were valid. Names the others on standard error.
fn emails_from_arguments() -> (Vec<Email>, bool) {
    let mut arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.is_empty() {
        arguments = vec!["ada@example.com".into(), "grace@example.com".into()];
    }
    let mut emails = Vec::new();
    let mut all_valid = true;
    for argument in arguments {
        match argument.parse() {
            Ok(email) => emails.push(email),
            Err(reason) => {
                eprintln!("{argument:?}: {reason}");
                all_valid = false;
            }
        }
    }
    (emails, all_valid)
}

async fn sign_up_or_greet(
    db: &DatabaseConnection,
    email: Email,
) -> Result<Account, Box<dyn Error>> {
    match sign_up(db, email.clone()).await {
        Ok(account) => {
            println!("{email} has signed up");
            Ok(account)
        }
        Err(GuesthouseError::EmailTaken) => {
            println!("{email} was there already");
            Ok(Account::find_by_email(db, &email)
                .await?
                .ok_or("the account has just been deleted")?)
        }
        Err(error) => Err(error.into()),
    }
}

async fn print_accounts(db: &DatabaseConnection) -> Result<(), GuesthouseError> {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_header(["EMAIL", "USER", "GUEST", "HOST"]);
    let mut accounts = Accounts::all();
    loop {
        let page = accounts.clone().fetch(db).await?;
        for account in &page.accounts {
            table.add_row([
                account.user.email.clone(),
                account.user.id.to_string(),
                account
                    .guest
                    .as_ref()
                    .map_or("-".into(), |guest| guest.id.to_string()),
                account
                    .host
                    .as_ref()
                    .map_or("-".into(), |host| host.id.to_string()),
            ]);
        }
        match page.next {
            Some(user_id) => accounts = accounts.after(user_id),
            None => break,
        }
    }
    println!("\n{}", table.trim_fmt());
    Ok(())
}
