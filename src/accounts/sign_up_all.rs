//! Signing up any number of people at once.

use std::collections::{HashMap, HashSet};

use sea_orm::{ActiveValue::NotSet, ConnectionTrait, TransactionTrait};
use tracing::{Span, instrument};

use super::{
    account::Account,
    email::Email,
    sign_up::{NewAccount, made, new_account},
};
use crate::{
    error::{Error, typed},
    role::ATTEMPTS,
    statements::{
        accounts::sign_up_all::{self, Pairs},
        alive::{ends_with_a_refusal, leaves_out_no_row, looks_first, turn},
        evidence::is_key_of,
    },
    user,
};

/// What [`sign_up_all`] did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SignUps {
    /// The accounts made, in the order of the input.
    pub created: Vec<Account>,
    /// The addresses that another user has, or that came earlier in the input: once for each time
    /// they were refused, in the order of the input.
    pub taken: Vec<Email>,
}

/// Signs up any number of people: a user and a guest for every address that is free.
///
/// A taken address is reported, not an error. If anything fails, nothing is made.
///
/// # Errors
///
/// [`Error::Contention`], [`Error::OutcomeUnknown`], [`Error::Aborted`] and [`Error::Database`] as
/// for [`sign_up`](crate::sign_up).
///
/// # Transactions
///
/// One statement for any number of addresses, SQLite in a transaction of its own; MariaDB two, and two
/// more above a megabyte to learn `max_allowed_packet`, beyond which it refuses (MySQL: four). None
/// for no address.
/// In the caller's transaction SQLite and MariaDB/MySQL send one more, to see that it is not over,
/// and MariaDB two or three more for each statement.
///
/// # Concurrency
///
/// The unique index on the address decides. The addresses are taken in sorted order, so that two
/// callers do not wait for each other crosswise.
///
/// # Examples
///
/// ```
/// use guesthouse::{Email, sign_up, sign_up_all};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// let ada: Email = "ada@example.com".parse()?;
/// let grace: Email = "grace@example.com".parse()?;
/// sign_up(&db, ada.clone()).await?;
///
/// let sign_ups = sign_up_all(&db, vec![ada.clone(), grace.clone(), grace.clone()]).await?;
/// assert_eq!(sign_ups.created[0].user.email, grace.as_ref());
/// assert_eq!(sign_ups.taken, [ada, grace]);
/// # Ok(())
/// # }
/// ```
#[instrument(
    level = "debug",
    skip_all,
    fields(given = emails.len(), created, taken, error.type),
    err(level = "debug")
)]
pub async fn sign_up_all<C: ConnectionTrait + TransactionTrait>(
    db: &C,
    emails: Vec<Email>,
) -> Result<SignUps, Error> {
    typed(async move {
        let mut positions = HashMap::with_capacity(emails.len());
        for (position, email) in emails.iter().enumerate() {
            positions.entry(email.as_ref()).or_insert(position);
        }
        if positions.is_empty() {
            return Ok(SignUps::default());
        }
        let mut sorted: Vec<&str> = positions.keys().copied().collect();
        sorted.sort_unstable();

        let mut pairs = Vec::with_capacity(sorted.len());
        for email in sorted {
            pairs.push(new_account(db, NotSet, email).await?);
        }
        let mut created = sign_up_rows(db, &pairs).await?;

        let position = |account: &Account| positions.get(account.user.email.as_str()).copied();
        created.sort_by_cached_key(position);
        let made: HashSet<usize> = created.iter().filter_map(position).collect();
        let taken: Vec<Email> = emails
            .into_iter()
            .enumerate()
            .filter_map(|(position, email)| (!made.contains(&position)).then_some(email))
            .collect();
        let span = Span::current();
        span.record("created", created.len());
        span.record("taken", taken.len());
        Ok(SignUps { created, taken })
    })
    .await
}

/// The accounts made. An address that is neither free nor another user's is tried again.
async fn sign_up_rows<C: ConnectionTrait + TransactionTrait>(
    db: &C,
    pairs: &[NewAccount],
) -> Result<Vec<Account>, Error> {
    let turn = turn(db).await?;
    let mut last = None;
    for attempt in 0..ATTEMPTS {
        let mut taken = HashSet::new();
        if leaves_out_no_row(db) {
            let all = Pairs::<user::Entity>::new(pairs.iter()).map_err(Error::of_read)?;
            let locking = attempt > 0 && looks_first(db);
            let found = sign_up_all::taken(db, &all, locking).await;
            taken = found.map_err(Error::of_read)?;
            if taken.len() == pairs.len() {
                return Ok(Vec::new());
            }
        }
        let is_free = |(user, _): &&NewAccount| !taken.contains(user.email.as_ref());
        let free = Pairs::<user::Entity>::new(pairs.iter().filter(is_free));
        let inserted = sign_up_all::insert(db, &free.map_err(Error::of_read)?).await;
        let refusal = match inserted {
            Ok(stored) => {
                drop(turn);
                let mut accounts = Vec::with_capacity(stored.len());
                for (user, guest) in stored {
                    accounts.push(made(db, user, guest).await?);
                }
                return Ok(accounts);
            }
            Err(refusal) => refusal,
        };
        let contended = sign_up_all::is_unexplained(&refusal)
            || is_key_of::<user::Entity>(db, &refusal, user::Column::Email)
                .await
                .map_err(Error::of_read)?;
        if !contended {
            return Err(Error::of_write::<C>(refusal));
        }
        last = Some(refusal);
        if ends_with_a_refusal(db) {
            break;
        }
    }
    let skips = match last.filter(sign_up_all::is_unexplained) {
        Some(refusal) => sign_up_all::skips_users::<user::Entity>(db, &refusal).await,
        None => Ok(false),
    };
    Err(Error::unexplained(skips, None, "users"))
}
