//! Signing up any number of people at once.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use sea_orm::{ConnectionTrait, ModelTrait, Related, TransactionTrait, Value};
use tracing::{Span, instrument};

use super::{
    account::Account,
    email::Email,
    sign_up::{SignUp, complete, email_of, saved},
};
use crate::{
    error::{Error, typed},
    role::ATTEMPTS,
    statements::{
        accounts::{
            sign_up::Both,
            sign_up_all::{self, GuestOf, Pairs},
        },
        alive::{ends_with_a_refusal, looks_first, turn},
        evidence::is_key_of,
    },
    user,
};

/// What [`sign_up_all`] or [`sign_up_all_as`] did.
#[derive(Clone, Debug, PartialEq)]
pub struct SignUps<A = Account> {
    /// The accounts made, in the order of the input.
    pub created: Vec<A>,
    /// The addresses that another user has, or that came earlier in the input: once for each
    /// refusal, in the order of the input.
    pub taken: Vec<Email>,
}

impl<A> Default for SignUps<A> {
    fn default() -> Self {
        Self {
            created: Vec::new(),
            taken: Vec::new(),
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
/// One statement for any number of addresses, on SQLite in a transaction of its own. MariaDB: two,
/// and two more above a megabyte, which ask for `max_allowed_packet`; the call refuses what exceeds
/// it. None for no address. In the caller's transaction SQLite and MariaDB send one more, which
/// checks that it is not over, and MariaDB two or three more for each statement.
///
/// # Concurrency
///
/// The unique index on the address decides. Rows are inserted in the order of their addresses, so
/// that two callers do not deadlock each other.
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
        let of = |email| (email, Default::default(), Default::default());
        let people = emails.into_iter().map(of).collect();
        let SignUps { created, taken } = sign_up_each::<user::Entity, C>(db, people).await?;
        let account = |(user, guest)| Account {
            user,
            guest: Some(guest),
            host: None,
        };
        let created = created.into_iter().map(account).collect();
        Ok(SignUps { created, taken })
    })
    .await
}

/// Signs up any number of people as users of the app's own, each with its guest.
///
/// Each person is an address and the app's values for the user and for the guest; the call sets the
/// address and the guest's foreign key. A taken address is reported, not an error. If anything
/// fails, nothing is made. Of several people with one address the first counts. All users must set
/// the same columns, and so must all guests; a column that none of them sets, even the key, is left
/// to the database.
///
/// The `ActiveModelBehavior` of both entities runs: `before_save` always, `after_save` only for rows
/// that were made.
///
/// # Errors
///
/// - [`Error::Contention`], [`Error::OutcomeUnknown`], [`Error::Aborted`] as for
///   [`sign_up`](crate::sign_up).
/// - [`Error::Database`]: anything else, such as a key that another user has, rows that set
///   different columns, and a column that the table requires and nobody sets.
///
/// # Transactions
///
/// Those of [`sign_up_all`]. On SQLite one statement more, before them, if the database makes the
/// keys.
///
/// # Concurrency
///
/// As for [`sign_up_all`].
///
/// # Examples
///
/// With the library's own entities; those of an app work the same way:
///
/// ```
/// use guesthouse::{Email, guest, sign_up_all_as, user};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// let ada: Email = "ada@example.com".parse()?;
/// let person = (ada.clone(), user::ActiveModel::default(), guest::ActiveModel::default());
///
/// let people = vec![person.clone(), person];
/// let sign_ups = sign_up_all_as::<user::Entity>(&db, people).await?;
/// let (user, guest) = &sign_ups.created[0];
/// assert_eq!(guest.user_id, user.id);
/// assert_eq!(sign_ups.taken, [ada]);
/// # Ok(())
/// # }
/// ```
#[instrument(
    level = "debug",
    skip_all,
    fields(
        table = U::default().table_name(),
        given = people.len(),
        created,
        taken,
        error.type
    ),
    err(level = "debug")
)]
pub async fn sign_up_all_as<U>(
    db: &(impl ConnectionTrait + TransactionTrait),
    people: Vec<(Email, U::ActiveModel, GuestOf<U>)>,
) -> Result<SignUps<Both<U>>, Error>
where
    U: SignUp<Guest: Related<U>>,
{
    typed(sign_up_each::<U, _>(db, people)).await
}

/// Signs up the first person with each address.
async fn sign_up_each<U, C>(
    db: &C,
    people: Vec<(Email, U::ActiveModel, GuestOf<U>)>,
) -> Result<SignUps<Both<U>>, Error>
where
    U: SignUp<Guest: Related<U>>,
    C: ConnectionTrait + TransactionTrait,
{
    let halves = people
        .into_iter()
        .map(|(email, user, guest)| (email, (user, guest)));
    let (emails, rows): (Vec<_>, Vec<_>) = halves.unzip();
    let mut firsts = HashMap::with_capacity(emails.len());
    for (position, (email, row)) in emails.iter().zip(rows).enumerate() {
        if let Entry::Vacant(first) = firsts.entry(email.as_ref()) {
            first.insert((position, row));
        }
    }
    if firsts.is_empty() {
        return Ok(SignUps::default());
    }
    let mut firsts: Vec<_> = firsts.into_iter().collect();
    firsts.sort_unstable_by_key(|(email, _)| *email);
    let mut positions = HashMap::with_capacity(firsts.len());
    let mut pairs = Vec::with_capacity(firsts.len());
    for (email, (position, (user, guest))) in firsts {
        let pair = complete::<U>(db, email, user, guest).await?;
        // A hook of the app may have changed the address.
        if let Entry::Vacant(first) = positions.entry(email_of::<U>(&pair.0)) {
            first.insert(position);
            pairs.push(pair);
        }
    }
    if !pairs.is_sorted_by_key(|(user, _)| email_of::<U>(user)) {
        pairs.sort_by_cached_key(|(user, _)| email_of::<U>(user));
    }
    let mut created = sign_up_rows::<U, C>(db, &pairs).await?;

    let position = |(user, _): &Both<U>| match user.get(U::email()) {
        Value::String(email) => positions.get(&email).copied(),
        _ => None,
    };
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

/// Makes the users whose address is free, each with its guest, and returns them. If an address is
/// neither free nor another user's, it tries again.
async fn sign_up_rows<U, C>(
    db: &C,
    pairs: &[(U::ActiveModel, GuestOf<U>)],
) -> Result<Vec<Both<U>>, Error>
where
    U: SignUp<Guest: Related<U>>,
    C: ConnectionTrait + TransactionTrait,
{
    let turn = turn(db).await?;
    let all = Pairs::<U>::new(pairs.iter()).map_err(Error::of_read)?;
    let mut last = None;
    for attempt in 0..ATTEMPTS {
        let mut taken = HashSet::new();
        if attempt > 0 || sign_up_all::fails_if_taken(db, &all) {
            let locking = attempt > 0 && looks_first(db);
            let found = sign_up_all::taken(db, &all, locking).await;
            taken = found.map_err(Error::of_read)?;
            if attempt > 0 {
                let repeated = sign_up_all::repeated(db, &all).await;
                taken.extend(repeated.map_err(Error::of_read)?);
            }
            if taken.len() == pairs.len() {
                return Ok(Vec::new());
            }
        }
        let inserted = match taken.is_empty() {
            true => sign_up_all::insert(db, &all).await,
            false => {
                let free = pairs
                    .iter()
                    .filter(|(user, _)| !has_email::<U>(user, &taken));
                let free = Pairs::<U>::new(free).map_err(Error::of_read)?;
                sign_up_all::insert(db, &free).await
            }
        };
        let refusal = match inserted {
            Ok(stored) => {
                drop(turn);
                let mut made = Vec::with_capacity(stored.len());
                for (user, guest) in stored {
                    made.push(saved::<U, C>(db, user, guest).await?);
                }
                return Ok(made);
            }
            Err(refusal) => refusal,
        };
        let contended = sign_up_all::is_unexplained(&refusal)
            || is_key_of::<U>(db, &refusal, U::email())
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
        Some(refusal) => sign_up_all::skips_users::<U>(db, &refusal).await,
        None => Ok(false),
    };
    Err(Error::unexplained(skips, None, U::default().table_name()))
}

/// Whether the user's address is one of these.
fn has_email<U>(user: &U::ActiveModel, emails: &HashSet<String>) -> bool
where
    U: SignUp<Guest: Related<U>>,
{
    email_of::<U>(user).is_some_and(|email| emails.contains(email.as_str()))
}
