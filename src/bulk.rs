//! Many sign-ups or onboardings at once.

use std::collections::{HashMap, HashSet};

use sea_orm::{
    ActiveModelBehavior,
    ActiveValue::{NotSet, Set},
    ConnectionTrait, DbBackend, DbErr, ModelTrait, Related, TransactionTrait, Value,
    sea_query::ValueType,
};
use tracing::{Span, instrument};
use uuid::Uuid;

use crate::{
    account::Account,
    email::Email,
    error::Error,
    host,
    onboarding::owner_of,
    role::{OwnerId, Role},
    scope::Scope,
    sign_up::{NewAccount, made, new_account},
    statements::{
        alive::turn,
        evidence::{is_foreign_key_of, is_key_of, leaves_rows_out},
        key::Key,
        onboard_all,
        sign_up_all::{self, Pairs},
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

/// What [`onboard_all`] or [`become_hosts`] did. Each owner of the input is in one list, once, in the
/// order of the input.
#[derive(Clone, Debug, PartialEq)]
pub struct Onboardings<M = host::Model, K = Uuid> {
    /// The rows made.
    pub new: Vec<M>,
    /// The rows that were there already.
    pub existing: Vec<M>,
    /// Keys that no owner has.
    pub unknown: Vec<K>,
}

impl<M, K> Default for Onboardings<M, K> {
    fn default() -> Self {
        Self {
            new: Vec::new(),
            existing: Vec::new(),
            unknown: Vec::new(),
        }
    }
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
}

/// The accounts made. An address that is neither free nor another user's is tried again.
async fn sign_up_rows<C: ConnectionTrait + TransactionTrait>(
    db: &C,
    pairs: &[NewAccount],
) -> Result<Vec<Account>, Error> {
    let turn = turn(db).await?;
    let backend = db.get_database_backend();
    let scope = Scope::of::<C>();
    let mut last = None;
    for attempt in 0..ATTEMPTS {
        let mut taken = HashSet::new();
        // MariaDB/MySQL cannot leave out a row without an error, nor without locking others out.
        if backend == DbBackend::MySql {
            let all = Pairs::<user::Entity>::new(pairs.iter()).map_err(Error::of_read)?;
            let locking = attempt > 0 && scope != Scope::Autocommit;
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
    Err(Error::unexplained(skips, None, "users"))
}

/// Gives any number of owners a role, once each.
///
/// A row that is there already and an owner who does not exist are reported, not errors. If anything
/// fails, nothing is made. Of several rows for one owner the first counts. All rows set the same
/// columns; a column that none of them sets is left to the database.
///
/// `ActiveModelBehavior::before_save` runs once for each owner, `after_save` for each new row.
///
/// # Errors
///
/// - [`Error::Contention`], [`Error::OutcomeUnknown`], [`Error::Aborted`] as for
///   [`onboard`](crate::onboard).
/// - [`Error::Database`]: anything else, among it a clash on a key other than that of the owner, rows
///   that set different columns, an unset owner, and errors of the hooks.
///
/// # Transactions
///
/// PostgreSQL and SQLite: one statement for any number of rows, and one more if some of the owners
/// have the role already or do not exist (PostgreSQL outside a transaction: two more). MariaDB two, one
/// of them if there is nobody to give the role to (MySQL: three), and one more above a megabyte to
/// learn `max_allowed_packet`, beyond which it refuses. None for no row.
/// In the caller's transaction SQLite and MariaDB/MySQL send one more, to see that it is not over,
/// and MariaDB two or three more for each statement.
///
/// # Concurrency
///
/// The unique index on the foreign key decides. The owners are taken in sorted order, so that two
/// callers do not wait for each other crosswise.
///
/// # Examples
///
/// ```
/// use guesthouse::{host, onboard_all, sign_up};
/// use sea_orm::ActiveValue::Set;
/// use uuid::Uuid;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// let ada = sign_up(&db, "ada@example.com".parse()?).await?.user;
///
/// let rows = [ada.id, Uuid::nil()].map(|user_id| host::ActiveModel {
///     user_id: Set(user_id),
///     ..Default::default()
/// });
/// let onboardings = onboard_all::<host::Entity>(&db, rows.to_vec()).await?;
/// assert_eq!(onboardings.new[0].user_id, ada.id);
/// assert_eq!(onboardings.unknown, [Uuid::nil()]);
/// # Ok(())
/// # }
/// ```
#[instrument(
    level = "debug",
    skip_all,
    fields(role = R::default().table_name(), given = rows.len(), new, existing, unknown),
    err(level = "debug")
)]
pub async fn onboard_all<R>(
    db: &impl ConnectionTrait,
    rows: Vec<R::ActiveModel>,
) -> Result<Onboardings<R::Model, OwnerId<R>>, Error>
where
    R: Role + Related<R::Owner>,
    OwnerId<R>: ValueType,
{
    let mut owners = Vec::with_capacity(rows.len());
    let mut offers = Vec::with_capacity(rows.len());
    for row in rows {
        let owner = owner_of::<R>(&row)?;
        let key = Key::of(&owner);
        offers.push(Offer::<R> {
            key: key.clone(),
            row,
        });
        owners.push((key, owner));
    }
    let mut found = give::<R, _>(db, offers).await?;
    let mut unknown = HashSet::new();

    let mut onboardings = Onboardings::default();
    for (key, owner) in owners {
        match found.get_mut(&key).map(Option::take) {
            Some(Some((row, true))) => onboardings.new.push(row),
            Some(Some((row, false))) => onboardings.existing.push(row),
            // A repetition: its first mention was answered.
            Some(None) => {}
            None => {
                if !unknown.insert(key) {
                    continue;
                }
                let owner = <OwnerId<R> as ValueType>::try_from(owner);
                let owner = owner.map_err(|error| Error::of_read(DbErr::Type(error.to_string())));
                onboardings.unknown.push(owner?);
            }
        }
    }
    let span = Span::current();
    span.record("new", onboardings.new.len());
    span.record("existing", onboardings.existing.len());
    span.record("unknown", onboardings.unknown.len());
    Ok(onboardings)
}

/// Makes hosts of any number of users: [`onboard_all`] for the role this library is named after.
///
/// # Errors
///
/// Those of [`onboard_all`].
///
/// # Transactions
///
/// Those of [`onboard_all`].
///
/// # Concurrency
///
/// As [`onboard_all`].
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
pub async fn become_hosts<C: ConnectionTrait + TransactionTrait>(
    db: &C,
    user_ids: &[Uuid],
) -> Result<Onboardings, Error> {
    let host = |user_id: &Uuid| host::ActiveModel {
        user_id: Set(*user_id),
        ..Default::default()
    };
    onboard_all::<host::Entity>(db, user_ids.iter().map(host).collect()).await
}

/// The row of each owner who exists, and whether it is new; `None` once it is taken from here.
pub(crate) type Given<M> = HashMap<Key, Option<(M, bool)>>;

/// A row for an owner.
pub(crate) struct Offer<R>
where
    R: Role + Related<R::Owner>,
{
    pub(crate) key: Key,
    pub(crate) row: R::ActiveModel,
}

/// Gives each of the owners the first row that is offered, once.
pub(crate) async fn give<R, C: ConnectionTrait>(
    db: &C,
    mut offers: Vec<Offer<R>>,
) -> Result<Given<R::Model>, Error>
where
    R: Role + Related<R::Owner>,
{
    let mut given = Given::with_capacity(offers.len());
    if offers.is_empty() {
        return Ok(given);
    }
    // An order that all callers share.
    offers.sort_by(|one, other| one.key.cmp(&other.key));
    offers.dedup_by(|later, first| later.key == first.key);
    // MariaDB/MySQL cannot leave out a row without an error, nor without locking others out.
    if db.get_database_backend() == DbBackend::MySql {
        offers = look_up(db, offers, &mut given, false).await?;
        if offers.is_empty() {
            return Ok(given);
        }
    }
    let mut waiting = Vec::with_capacity(offers.len());
    for Offer { key, row } in offers {
        let row = row.before_save(db, true).await.map_err(Error::of_read)?;
        waiting.push(Offer::<R> { key, row });
    }
    let turn = turn(db).await?;
    give_all(db, waiting, &mut given).await?;
    drop(turn);

    for given in given.values_mut() {
        if let Some((row, true)) = given.take_if(|(_, is_new)| *is_new) {
            let row = R::ActiveModel::after_save(row, db, true).await;
            *given = Some((row.map_err(Error::of_hook_after::<C>)?, true));
        }
    }
    Ok(given)
}

async fn give_all<R, C: ConnectionTrait>(
    db: &C,
    mut waiting: Vec<Offer<R>>,
    given: &mut Given<R::Model>,
) -> Result<(), Error>
where
    R: Role + Related<R::Owner>,
{
    let backend = db.get_database_backend();
    let scope = Scope::of::<C>();
    let mut clashed = false;
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            let locking = backend == DbBackend::MySql && scope != Scope::Autocommit;
            waiting = look_up(db, waiting, given, locking).await?;
        }
        if waiting.is_empty() {
            return Ok(());
        }
        let offered: Vec<_> = waiting.iter().map(|offer| &offer.row).collect();
        match onboard_all::insert::<R, C>(db, &offered).await {
            Ok(inserted) => {
                clashed = false;
                for row in inserted {
                    let key = Key::of(&row.get(R::owner_id()));
                    given.insert(key, Some((row, true)));
                }
            }
            Err(clash)
                if is_contended::<R>(db, &clash)
                    .await
                    .map_err(Error::of_read)? =>
            {
                clashed = true;
                // PostgreSQL has ended the transaction with the statement.
                if backend == DbBackend::Postgres && scope != Scope::Autocommit {
                    return Err(Error::contended(clash));
                }
            }
            Err(source) => return Err(Error::of_write::<C>(source)),
        }
        waiting.retain(|offer| !given.contains_key(&offer.key));
        if waiting.is_empty() {
            return Ok(());
        }
    }
    waiting = look_up(db, waiting, given, false).await?;
    if waiting.is_empty() {
        return Ok(());
    }
    if clashed {
        return Err(Error::came_and_went());
    }
    let left_out = leaves_rows_out::<R>(db, &[]).await;
    Err(Error::unexplained(
        left_out,
        None,
        R::default().table_name(),
    ))
}

/// Answers the owners who have a row, forgets those who do not exist, and returns the others.
async fn look_up<R, C: ConnectionTrait>(
    db: &C,
    waiting: Vec<Offer<R>>,
    given: &mut Given<R::Model>,
    locking: bool,
) -> Result<Vec<Offer<R>>, Error>
where
    R: Role + Related<R::Owner>,
{
    let owners: Result<Vec<Value>, _> = waiting
        .iter()
        .map(|offer| owner_of::<R>(&offer.row))
        .collect();
    let found = onboard_all::rows_of_owners::<R, C>(db, &owners?, locking).await;
    let mut found = found.map_err(Error::of_read)?;
    let mut without = Vec::new();
    for offer in waiting {
        match found.remove(&offer.key) {
            Some(Some(row)) => {
                given.insert(offer.key, Some((row, false)));
            }
            Some(None) => without.push(offer),
            None => {}
        }
    }
    Ok(without)
}

/// Whether another caller gave one of the owners a row, or deleted one, while the statement ran.
async fn is_contended<R>(db: &impl ConnectionTrait, clash: &DbErr) -> Result<bool, DbErr>
where
    R: Role + Related<R::Owner>,
{
    if is_foreign_key_of::<R>(clash, R::owner_id()) {
        return Ok(true);
    }
    is_key_of::<R>(db, clash, R::owner_id()).await
}
