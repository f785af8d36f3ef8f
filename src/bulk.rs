//! Many sign-ups or onboardings at once.

use std::collections::{HashMap, HashSet};

use sea_orm::{
    ActiveModelBehavior, ActiveValue::Set, ConnectionTrait, DbBackend, DbErr, EntityName,
    TransactionTrait, TryIntoModel,
};
use tracing::{Span, instrument};
use uuid::Uuid;

use crate::{
    account::Account,
    email::Email,
    error::Error,
    guest, host,
    scope::Scope,
    statements::{
        alive::turn,
        evidence::{is_foreign_key_of, is_key_of, leaves_rows_out},
        onboard_all,
        rows::{OfUser, Rows},
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
/// One statement for any number of addresses, SQLite in a transaction of its own; MariaDB two, and two
/// more above a megabyte to learn `max_allowed_packet`, beyond which it refuses (MySQL: four). None
/// for no address.
/// In the caller's transaction SQLite and MariaDB/MySQL send one more, to see that it is not over,
/// and MariaDB two or three more for each statement.
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

    let mut pairs = Vec::with_capacity(sorted.len());
    for email in sorted {
        let user = new_user(db, email).await.map_err(Error::of_read)?;
        let guest = guest::Model::new(db, user.id).await;
        pairs.push((user, guest.map_err(Error::of_read)?));
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
}

/// The accounts made. An address that is neither free nor another user's is tried again.
async fn sign_up_rows<C: ConnectionTrait + TransactionTrait>(
    db: &C,
    pairs: &[(user::Model, guest::Model)],
) -> Result<Vec<Account>, Error> {
    let _turn = turn(db).await?;
    let backend = db.get_database_backend();
    let scope = Scope::of::<C>();
    let mut last = None;
    for attempt in 0..ATTEMPTS {
        let mut taken = HashSet::new();
        // MariaDB/MySQL cannot leave out a row without an error, nor without locking others out.
        if backend == DbBackend::MySql {
            let all = Rows::users(pairs.iter().map(|(user, _)| user));
            let locking = attempt > 0 && scope != Scope::Autocommit;
            let found = sign_up_all::taken(db, &all, locking).await;
            taken = found.map_err(Error::of_read)?;
            if taken.len() == pairs.len() {
                return Ok(Vec::new());
            }
        }
        let free = pairs
            .iter()
            .filter(|(user, _)| !taken.contains(&user.email));
        let users = Rows::users(free.clone().map(|(user, _)| user));
        let guests = Rows::guests(free.map(|(_, guest)| guest));
        let made = sign_up_all::insert(db, &users, &guests).await;
        let refusal = match made {
            Ok(made) => return saved(db, made).await,
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
        // PostgreSQL has ended the transaction with the statement.
        if backend == DbBackend::Postgres && scope != Scope::Autocommit {
            break;
        }
    }
    let skips = match last.filter(sign_up_all::is_unexplained) {
        Some(refusal) if backend == DbBackend::Postgres => Ok(sign_up_all::skips_users(&refusal)),
        Some(_) => leaves_rows_out::<user::Entity>(db, &[]).await,
        None => Ok(false),
    };
    Err(match skips {
        Ok(true) => Error::left_out("users"),
        Ok(false) => Error::came_and_went(),
        Err(source) => Error::of_read(source),
    })
}

async fn saved(
    db: &impl ConnectionTrait,
    made: Vec<(user::Model, guest::Model)>,
) -> Result<Vec<Account>, Error> {
    let mut accounts = Vec::with_capacity(made.len());
    for (user, guest) in made {
        let user = user::ActiveModel::after_save(user, db, true).await;
        accounts.push(Account {
            user: user.map_err(Error::of_read)?,
            guest: Some(guest.saved(db).await.map_err(Error::of_read)?),
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
/// PostgreSQL and SQLite: one statement for any number of ids, and one more if some of them are hosts
/// already or unknown (PostgreSQL outside a transaction: two more). MariaDB two, one of them if there
/// is nobody to make a host of (MySQL: three), and one more above a megabyte to learn
/// `max_allowed_packet`, beyond which it refuses. None for no id.
/// In the caller's transaction SQLite and MariaDB/MySQL send one more, to see that it is not over,
/// and MariaDB two or three more for each statement.
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

    let mut found = give::<host::Model, C>(db, sorted).await?;

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

/// Each user's row and whether that is new, or `None` for an id that no user has.
pub(crate) type Given<M> = HashMap<Uuid, Option<(M, bool)>>;

/// Gives each of the users a row, once. The ids are in order.
pub(crate) async fn give<M: OfUser, C: ConnectionTrait>(
    db: &C,
    user_ids: Vec<Uuid>,
) -> Result<Given<M>, Error> {
    let _turn = turn(db).await?;
    let backend = db.get_database_backend();
    let scope = Scope::of::<C>();
    let mut given = HashMap::with_capacity(user_ids.len());
    let mut waiting = user_ids;
    let mut clashed = false;
    for attempt in 0..ATTEMPTS {
        // MariaDB/MySQL cannot leave out a row without an error, nor without locking others out.
        if backend == DbBackend::MySql {
            let locking = attempt > 0 && scope != Scope::Autocommit;
            waiting = look_up(db, waiting, &mut given, locking).await?;
            if waiting.is_empty() {
                return Ok(given);
            }
        }
        let mut offered = Vec::with_capacity(waiting.len());
        for user_id in &waiting {
            offered.push(M::new(db, *user_id).await.map_err(Error::of_read)?);
        }
        match onboard_all::insert::<M, C>(db, &M::rows(&offered)).await {
            Ok(inserted) => {
                clashed = false;
                for row in inserted {
                    let row = row.saved(db).await.map_err(Error::of_read)?;
                    given.insert(row.user_id(), Some((row, true)));
                }
            }
            Err(clash)
                if is_contended::<M>(db, &clash)
                    .await
                    .map_err(Error::of_read)? =>
            {
                clashed = true;
                // PostgreSQL has ended the transaction with the statement.
                if backend == DbBackend::Postgres && scope != Scope::Autocommit {
                    return Err(Error::Contention { source: clash });
                }
            }
            Err(source) => return Err(Error::of_write::<C>(source)),
        }
        waiting.retain(|user_id| !given.contains_key(user_id));
        if !waiting.is_empty() && backend != DbBackend::MySql {
            waiting = look_up(db, waiting, &mut given, false).await?;
        }
        if waiting.is_empty() {
            return Ok(given);
        }
    }
    if clashed {
        return Err(Error::came_and_went());
    }
    Err(match leaves_rows_out::<M::Entity>(db, &[]).await {
        Ok(true) => Error::left_out(M::Entity::default().table_name()),
        Ok(false) => Error::came_and_went(),
        Err(source) => Error::of_read(source),
    })
}

/// Answers the ids of users who have a row and of nobody, and returns the others.
async fn look_up<M: OfUser, C: ConnectionTrait>(
    db: &C,
    user_ids: Vec<Uuid>,
    given: &mut Given<M>,
    locking: bool,
) -> Result<Vec<Uuid>, Error> {
    let found = onboard_all::rows_of_users::<M, C>(db, &user_ids, locking).await;
    let mut found = found.map_err(Error::of_read)?;
    let mut without = Vec::new();
    for user_id in user_ids {
        match found.remove(&user_id) {
            Some(Some(row)) => {
                given.insert(user_id, Some((row, false)));
            }
            Some(None) => without.push(user_id),
            None => {
                given.insert(user_id, None);
            }
        }
    }
    Ok(without)
}

/// Whether another caller gave one of the users a row, or deleted one, while the statement ran.
async fn is_contended<M: OfUser>(db: &impl ConnectionTrait, clash: &DbErr) -> Result<bool, DbErr> {
    if is_foreign_key_of::<M::Entity>(clash, M::USER_ID) {
        return Ok(true);
    }
    is_key_of::<M::Entity>(db, clash, M::USER_ID).await
}

async fn new_user(db: &impl ConnectionTrait, email: &str) -> Result<user::Model, DbErr> {
    let user = user::ActiveModel {
        email: Set(email.to_owned()),
        ..Default::default()
    };
    user.before_save(db, true).await?.try_into_model()
}
