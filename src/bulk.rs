//! Many sign-ups or onboardings at once.

use std::collections::{HashMap, HashSet};

use sea_orm::{
    ActiveModelBehavior, ActiveValue::Set, ConnectionTrait, DbBackend, DbErr, TransactionTrait,
    TryIntoModel,
};
use tracing::{Span, instrument};
use uuid::Uuid;

use crate::{
    account::Account,
    email::Email,
    error::{Error, Violation},
    guest, host,
    scope::Scope,
    statements::{
        alive::is_over,
        evidence::{is_key_of, leaves_rows_out},
        onboard_all::{self, hosts_of_users},
        rows::Rows,
        sign_up_all,
    },
    user,
};

/// How often a call is tried when what stood in its way is gone.
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

    let mut users = Vec::with_capacity(sorted.len());
    for email in sorted {
        users.push(new_user(db, email).await.map_err(Error::of_read)?);
    }
    let guests = new_guests(db, users.iter().map(|user| user.id)).await;
    let guests = guests.map_err(Error::of_read)?;
    let mut created = sign_up_rows(db, &users, &guests).await?;

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

/// The accounts made. An address that is neither free nor another user's is tried again.
async fn sign_up_rows<C: ConnectionTrait + TransactionTrait>(
    db: &C,
    users: &[user::Model],
    guests: &[guest::Model],
) -> Result<Vec<Account>, Error> {
    if is_over(db).await.map_err(Error::of_read)? {
        return Err(Error::over());
    }
    let mut last_clash = None;
    for _ in 0..ATTEMPTS {
        let made = sign_up_all::insert(db, &Rows::users(users), &Rows::guests(guests)).await;
        match made {
            Ok(made) => return saved(db, made).await,
            Err(error) if sign_up_all::is_unexplained(&error) => last_clash = None,
            Err(clash) if is_own_clash(db, &clash).await.map_err(Error::of_read)? => {
                last_clash = Some(clash);
            }
            Err(source) => return Err(Error::of_write::<C>(source)),
        }
        // PostgreSQL has ended the transaction with the statement.
        if Scope::of::<C>() == Scope::Transaction
            && db.get_database_backend() == DbBackend::Postgres
        {
            return Err(Error::came_and_went());
        }
    }
    if last_clash.is_some() {
        return Err(Error::came_and_went());
    }
    let keys = [user::Column::Email];
    Err(match leaves_rows_out::<user::Entity>(db, &keys).await {
        Ok(true) => Error::left_out("users"),
        Ok(false) => Error::came_and_went(),
        Err(source) => Error::of_read(source),
    })
}

/// Whether a caller took one of the addresses while the statement ran.
async fn is_own_clash(db: &impl ConnectionTrait, clash: &DbErr) -> Result<bool, DbErr> {
    match Violation::of(clash) {
        Some(Violation::Unique) => is_key_of::<user::Entity>(db, clash, user::Column::Email).await,
        _ => Ok(false),
    }
}

async fn saved(
    db: &impl ConnectionTrait,
    made: Vec<(user::Model, guest::Model)>,
) -> Result<Vec<Account>, Error> {
    let mut accounts = Vec::with_capacity(made.len());
    for (user, guest) in made {
        let user = user::ActiveModel::after_save(user, db, true).await;
        let guest = guest::ActiveModel::after_save(guest, db, true).await;
        accounts.push(Account {
            user: user.map_err(Error::of_read)?,
            guest: Some(guest.map_err(Error::of_read)?),
            host: None,
        });
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

    let mut found = make_hosts(db, sorted).await?;

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
async fn make_hosts<C: ConnectionTrait>(
    db: &C,
    user_ids: Vec<Uuid>,
) -> Result<HashMap<Uuid, Option<(host::Model, bool)>>, Error> {
    if is_over(db).await.map_err(Error::of_read)? {
        return Err(Error::over());
    }
    let mut found = HashMap::with_capacity(user_ids.len());
    let mut waiting = user_ids;
    let mut last_clash = None;
    for attempt in 0..ATTEMPTS {
        (waiting, last_clash) = onboard_once(db, waiting, &mut found, attempt > 0).await?;
        if waiting.is_empty() {
            return Ok(found);
        }
    }
    if last_clash.is_some() {
        return Err(Error::came_and_went());
    }
    Err(match leaves_rows_out::<host::Entity>(db, &[]).await {
        Ok(true) => Error::left_out("hosts"),
        Ok(false) => Error::came_and_went(),
        Err(source) => Error::of_read(source),
    })
}

/// Answers the ids that can be answered now and returns the others: users without a host whose host
/// was not inserted, because one stood in the way that is gone again.
async fn onboard_once<C: ConnectionTrait>(
    db: &C,
    user_ids: Vec<Uuid>,
    found: &mut HashMap<Uuid, Option<(host::Model, bool)>>,
    locking: bool,
) -> Result<(Vec<Uuid>, Option<DbErr>), Error> {
    let mut offered = Vec::with_capacity(user_ids.len());
    for user_id in &user_ids {
        offered.push(new_host(db, *user_id).await.map_err(Error::of_read)?);
    }
    let inserted = onboard_all::insert::<host::Model, C>(db, &Rows::hosts(&offered)).await;
    let (inserted, clash) = match inserted {
        Ok(inserted) => (inserted, None),
        Err(clash)
            if is_own_role_clash(db, &clash)
                .await
                .map_err(Error::of_read)? =>
        {
            (Vec::new(), Some(clash))
        }
        // The user was deleted while the host was being made, which has ended the transaction.
        Err(source) if Violation::of(&source) == Some(Violation::Foreign) => {
            return Err(Error::Contention { source });
        }
        Err(source) => return Err(Error::of_write::<C>(source)),
    };
    for host in inserted {
        let host = host::ActiveModel::after_save(host, db, true).await;
        let host = host.map_err(Error::of_read)?;
        found.insert(host.user_id, Some((host, true)));
    }
    offered.retain(|host| !found.contains_key(&host.user_id));
    if offered.is_empty() {
        return Ok((Vec::new(), None));
    }

    let looked_up = hosts_of_users(db, &Rows::hosts(&offered), locking).await;
    for user_id in offered.iter().map(|host| host.user_id) {
        found.insert(user_id, None);
    }
    let mut without_host = Vec::new();
    for (user_id, host) in looked_up.map_err(Error::of_read)? {
        match host {
            Some(host) => {
                found.insert(user_id, Some((host, false)));
            }
            None => {
                found.remove(&user_id);
                without_host.push(user_id);
            }
        }
    }
    Ok((without_host, clash))
}

/// Whether a caller made one of the users a host while the statement ran.
async fn is_own_role_clash(db: &impl ConnectionTrait, clash: &DbErr) -> Result<bool, DbErr> {
    match Violation::of(clash) {
        Some(Violation::Unique) => is_key_of::<host::Entity>(db, clash, host::Column::UserId).await,
        _ => Ok(false),
    }
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
