//! Many sign-ups or onboardings at once.

use std::collections::{HashMap, HashSet};

use sea_orm::{
    ActiveModelBehavior, ActiveValue::Set, ConnectionTrait, DbErr, TransactionTrait, TryIntoModel,
};
use tracing::{Span, instrument};
use uuid::Uuid;

use crate::{
    account::Account,
    email::Email,
    error::{Error, Sent},
    guest, host,
    statements::bulk::{self, Rows},
    unit_of_work::{begin, finish},
    user,
};

/// Rows of one statement. More would save little and hold more in memory at once.
const CHUNK: usize = 5_000;

/// How often [`become_hosts`] looks again at users whose host came and went meanwhile.
const ATTEMPTS: usize = 3;

/// What [`sign_up_all`] did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SignUps {
    /// The accounts made, in the order of the input.
    pub created: Vec<Account>,
    /// The addresses that another user has, or that came earlier in the input: once for each time
    /// they were refused, in the order of the input.
    pub taken: Vec<Email>,
}

/// What [`become_hosts`] did. Each id of the input is in one list, once, in the order of the input.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Onboardings {
    /// The hosts made.
    pub new: Vec<host::Model>,
    /// The hosts that were there already.
    pub existing: Vec<host::Model>,
    /// Ids that no user has.
    pub unknown: Vec<Uuid>,
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
/// Two statements for every 5,000 addresses (MySQL: four), whatever the database's limit of
/// binds, in a transaction of their own or in a savepoint of the caller's. None for no address.
///
/// # Concurrency
///
/// The unique index on the address judges. The addresses are taken in sorted order, so that two
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
    fields(given = emails.len(), created, taken),
    err(level = "debug")
)]
pub async fn sign_up_all<C: ConnectionTrait + TransactionTrait>(
    db: &C,
    emails: Vec<Email>,
) -> Result<SignUps, Error> {
    let mut positions = HashMap::with_capacity(emails.len());
    for (position, email) in emails.iter().enumerate() {
        positions.entry(email.as_ref()).or_insert(position);
    }
    if positions.is_empty() {
        return Ok(SignUps::default());
    }
    let mut sorted: Vec<&str> = positions.keys().copied().collect();
    sorted.sort_unstable();

    let unit = begin(db).await?;
    let outcome = sign_up_in_chunks(&unit, &sorted).await.map_err(classify);
    let mut created = finish::<C, _>(unit, outcome).await?;

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
}

/// The accounts made.
async fn sign_up_in_chunks<C: ConnectionTrait + TransactionTrait>(
    unit: &C,
    emails: &[&str],
) -> Result<Vec<Account>, DbErr> {
    let mut accounts = Vec::new();
    for chunk in emails.chunks(CHUNK) {
        let mut users = Vec::with_capacity(chunk.len());
        for email in chunk {
            users.push(new_user(unit, email).await?);
        }
        let made = bulk::insert(unit, &Rows::users(&users)).await?;
        users.retain(|user| made.contains(&user.id));

        let guests = new_guests(unit, users.iter().map(|user| user.id)).await?;
        if !guests.is_empty() {
            bulk::insert(unit, &Rows::guests(&guests)).await?;
        }
        for (user, guest) in users.into_iter().zip(guests) {
            accounts.push(Account {
                user,
                guest: Some(guest),
                host: None,
            });
        }
    }
    Ok(accounts)
}

/// Makes hosts of any number of users.
///
/// An existing host and an unknown id are reported, not errors. If anything fails, nothing is made.
///
/// # Errors
///
/// [`Error::Contention`], [`Error::OutcomeUnknown`], [`Error::Aborted`] and [`Error::Database`] as
/// for [`become_host`](crate::become_host).
///
/// # Transactions
///
/// One statement for every 5,000 ids (MySQL: two), whatever the database's limit of binds, and one
/// more if some of them are hosts already or unknown (PostgreSQL: two more), in a transaction of
/// their own or in a savepoint of the caller's. None for no id.
///
/// # Concurrency
///
/// The unique index on `user_id` judges. The ids are taken in sorted order, so that two callers do
/// not wait for each other crosswise.
///
/// # Examples
///
/// ```
/// use guesthouse::{become_host, become_hosts, sign_up};
/// use uuid::Uuid;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// let ada = sign_up(&db, "ada@example.com".parse()?).await?.user;
/// let grace = sign_up(&db, "grace@example.com".parse()?).await?.user;
/// let host = become_host(&db, ada.id).await?.into_model();
///
/// let onboardings = become_hosts(&db, &[grace.id, ada.id, Uuid::nil(), grace.id]).await?;
/// assert_eq!(onboardings.new[0].user_id, grace.id);
/// assert_eq!(onboardings.existing, [host]);
/// assert_eq!(onboardings.unknown, [Uuid::nil()]);
/// # Ok(())
/// # }
/// ```
#[instrument(
    level = "debug",
    skip_all,
    fields(given = user_ids.len(), new, existing, unknown),
    err(level = "debug")
)]
pub async fn become_hosts<C: ConnectionTrait + TransactionTrait>(
    db: &C,
    user_ids: &[Uuid],
) -> Result<Onboardings, Error> {
    let mut sorted = user_ids.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.is_empty() {
        return Ok(Onboardings::default());
    }

    let unit = begin(db).await?;
    let outcome = onboard_in_chunks(&unit, &sorted).await;
    let mut found = finish::<C, _>(unit, outcome).await?;

    let mut onboardings = Onboardings::default();
    for user_id in user_ids {
        match found.remove(user_id) {
            Some(Some((host, true))) => onboardings.new.push(host),
            Some(Some((host, false))) => onboardings.existing.push(host),
            Some(None) => onboardings.unknown.push(*user_id),
            // A repetition: its first mention was answered.
            None => {}
        }
    }
    let span = Span::current();
    span.record("new", onboardings.new.len());
    span.record("existing", onboardings.existing.len());
    span.record("unknown", onboardings.unknown.len());
    Ok(onboardings)
}

/// Each id with its host and whether that is new, or `None` for an id that no user has.
async fn onboard_in_chunks<C: ConnectionTrait + TransactionTrait>(
    unit: &C,
    user_ids: &[Uuid],
) -> Result<HashMap<Uuid, Option<(host::Model, bool)>>, Error> {
    let mut found = HashMap::with_capacity(user_ids.len());
    for chunk in user_ids.chunks(CHUNK) {
        let mut waiting = chunk.to_vec();
        for _ in 0..ATTEMPTS {
            waiting = onboard_chunk(unit, waiting, &mut found)
                .await
                .map_err(classify)?;
            if waiting.is_empty() {
                break;
            }
        }
        if !waiting.is_empty() {
            return Err(Error::Contention {
                source: DbErr::Custom("hosts were removed as often as they were found".into()),
            });
        }
    }
    Ok(found)
}

/// Answers the ids that can be answered now and gives back the others: users without a host whose
/// host was not inserted, because one stood in the way that is gone again.
async fn onboard_chunk<C: ConnectionTrait + TransactionTrait>(
    unit: &C,
    user_ids: Vec<Uuid>,
    found: &mut HashMap<Uuid, Option<(host::Model, bool)>>,
) -> Result<Vec<Uuid>, DbErr> {
    let mut offered = Vec::with_capacity(user_ids.len());
    for user_id in &user_ids {
        offered.push(new_host(unit, *user_id).await?);
    }
    let made = bulk::insert(unit, &Rows::hosts(&offered)).await?;
    let (new, refused): (Vec<_>, Vec<_>) = offered
        .into_iter()
        .partition(|host| made.contains(&host.id));
    for host in new {
        found.insert(host.user_id, Some((host, true)));
    }
    if refused.is_empty() {
        return Ok(Vec::new());
    }

    for user_id in refused.iter().map(|host| host.user_id) {
        found.insert(user_id, None);
    }
    let mut without_host = Vec::new();
    for (user_id, host) in bulk::hosts_of_users(unit, &Rows::hosts(&refused)).await? {
        match host {
            Some(host) => {
                found.insert(user_id, Some((host, false)));
            }
            None => without_host.push(user_id),
        }
    }
    Ok(without_host)
}

async fn new_user(db: &impl ConnectionTrait, email: &str) -> Result<user::Model, DbErr> {
    let user = user::ActiveModel {
        email: Set(email.to_owned()),
        ..Default::default()
    };
    user.before_save(db, true).await?.try_into_model()
}

/// A guest for each of the users, complete but not stored.
pub(crate) async fn new_guests(
    db: &impl ConnectionTrait,
    user_ids: impl ExactSizeIterator<Item = Uuid> + Send,
) -> Result<Vec<guest::Model>, DbErr> {
    let mut guests = Vec::with_capacity(user_ids.len());
    for user_id in user_ids {
        let guest = guest::ActiveModel {
            user_id: Set(user_id),
            ..Default::default()
        };
        guests.push(guest.before_save(db, true).await?.try_into_model()?);
    }
    Ok(guests)
}

async fn new_host(db: &impl ConnectionTrait, user_id: Uuid) -> Result<host::Model, DbErr> {
    let host = host::ActiveModel {
        user_id: Set(user_id),
        ..Default::default()
    };
    host.before_save(db, true).await?.try_into_model()
}

fn classify(source: DbErr) -> Error {
    Error::from_driver(source, Sent::Revocable)
}
