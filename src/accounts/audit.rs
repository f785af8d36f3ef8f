//! Adopting a database that already has users: counting, and finding misspelled addresses.

use std::collections::BTreeMap;

use sea_orm::ConnectionTrait;
use tracing::instrument;
use uuid::Uuid;

use super::email::Email;
use crate::{
    error::{Error, typed},
    guest, host,
    statements::{
        accounts::{self, Filter},
        hidden::refuse_hidden,
        totals::{Questions, count},
    },
    user,
};

/// How many users are read at a time.
const PAGE: u64 = 1_000;

/// What [`audit()`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Users.
    pub users: u64,
    /// Hosts.
    pub hosts: u64,
    /// Users without a guest, for [`backfill_guests`](crate::backfill_guests).
    pub users_without_guest: u64,
}

/// Counts users, hosts, and users without a guest.
///
/// # Errors
///
/// [`Error::Contention`] (SQLite busy), [`Error::Aborted`] and [`Error::Database`], also if
/// PostgreSQL's row level security applies to the database role: the counts would miss hidden rows.
///
/// # Transactions
///
/// One statement, so the three counts are of one moment. PostgreSQL: one before it, which checks
/// for row level security.
///
/// # Concurrency
///
/// Nothing is locked: callers go on writing while it counts.
///
/// # Examples
///
/// ```
/// use guesthouse::{Audit, audit, sign_up};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// sign_up(&db, "ada@example.com".parse()?).await?;
/// assert_eq!(audit(&db).await?, Audit { users: 1, hosts: 0, users_without_guest: 0 });
/// # Ok(())
/// # }
/// ```
#[instrument(level = "debug", skip_all, fields(error.type), err(level = "debug"))]
pub async fn audit(db: &impl ConnectionTrait) -> Result<Audit, Error> {
    typed(async move {
        refuse_hidden(db, &[&user::Entity, &guest::Entity, &host::Entity])
            .await
            .map_err(Error::of_read)?;
        let guests = Questions::about::<guest::Entity>().map_err(Error::of_read)?;
        let hosts = Questions::about::<host::Entity>().map_err(Error::of_read)?;
        let questions = [guests.owners, hosts.rows, guests.owners_without];
        let counts = count(db, questions).await.map_err(Error::of_read)?;
        Ok(Audit {
            users: counts[0],
            hosts: counts[1],
            users_without_guest: counts[2],
        })
    })
    .await
}

/// Users whose stored address is not as [`Email`] would store it: their ids, and no address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EmailAudit {
    /// Users whose address is not valid, in the order of their ids.
    pub malformed: Vec<Uuid>,
    /// Users whose address is valid but spelled differently, in the order of their ids.
    pub to_rewrite: Vec<Uuid>,
    /// Groups of users whose addresses are one mailbox, each in the order of its ids.
    pub collisions: Vec<Vec<Uuid>>,
}

/// Finds stored addresses that [`Email`] would refuse or spell differently.
///
/// An earlier version or another program can have stored them. A user with such an address is not
/// found by it, and the mailbox can sign up again.
/// [The guide on existing databases](crate::guide::adopting) shows what to do.
///
/// Reads 1,000 users at a time by keyset pagination; memory grows with the number of users
/// reported.
///
/// # Errors
///
/// Those of [`audit`].
///
/// # Transactions
///
/// One statement for every 1,000 users, a last one that finds no more, and one for each mailbox in
/// `to_rewrite`. PostgreSQL: one before them, as for [`audit`].
///
/// # Concurrency
///
/// Nothing is locked. A user who is written meanwhile is found if the id comes after the page that is
/// being read; run it again after the old writers have stopped.
///
/// # Examples
///
/// ```
/// use guesthouse::{audit_emails, user};
/// use sea_orm::{ActiveModelTrait, ActiveValue::Set};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// let mut ids = Vec::new();
/// for email in ["ada@b\u{fc}cher.example", "ada@xn--bcher-kva.example"] {
///     let raw = user::ActiveModel { email: Set(email.into()), ..Default::default() };
///     ids.push(raw.insert(&db).await?.id);
/// }
///
/// let found = audit_emails(&db).await?;
/// assert_eq!(found.to_rewrite, [ids[1]]);
/// assert_eq!(found.collisions, [ids]);
/// # Ok(())
/// # }
/// ```
#[instrument(level = "debug", skip_all, fields(error.type), err(level = "debug"))]
pub async fn audit_emails(db: &impl ConnectionTrait) -> Result<EmailAudit, Error> {
    typed(async move {
        refuse_hidden(db, &[&user::Entity])
            .await
            .map_err(Error::of_read)?;
        let mut audit = EmailAudit::default();
        let mut rewritten: BTreeMap<Email, Vec<Uuid>> = BTreeMap::new();
        let mut after = None;
        loop {
            let page = accounts::page(db, Filter::All, after, PAGE).await;
            let page = page.map_err(Error::of_read)?;
            let Some((last, ..)) = page.last() else {
                break;
            };
            after = Some(last.id);
            for (user, ..) in page {
                match user.email.parse::<Email>() {
                    Ok(email) if email.as_ref() == user.email => {}
                    Ok(email) => {
                        audit.to_rewrite.push(user.id);
                        rewritten.entry(email).or_default().push(user.id);
                    }
                    Err(_) => audit.malformed.push(user.id),
                }
            }
        }
        for (email, mut users) in rewritten {
            let holder = accounts::by_email(db, email.as_ref()).await;
            users.extend(holder.map_err(Error::of_read)?.map(|(user, ..)| user.id));
            users.sort_unstable();
            users.dedup();
            if users.len() > 1 {
                audit.collisions.push(users);
            }
        }
        audit.collisions.sort_unstable();
        Ok(audit)
    })
    .await
}
