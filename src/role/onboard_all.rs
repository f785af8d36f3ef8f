//! Giving any number of owners a role at once.

use std::{
    collections::{HashMap, HashSet},
    mem::take,
};

use sea_orm::{
    ActiveModelBehavior, ConnectionTrait, DbErr, ModelTrait, Related, Value, sea_query::ValueType,
};
use tracing::{Span, instrument};
use uuid::Uuid;

use super::{ATTEMPTS, OwnerId, Role, owner_of};
use crate::{
    error::{Error, typed},
    scope::Scope,
    statements::{
        alive::{ends_with_a_refusal, leaves_out_no_row, looks_first, turn},
        evidence::{Event, is_foreign_key_of, is_key_of, leaves_rows_out},
        key::{Key, refers_to_the_key},
        onboard_all::{self, Insert},
    },
};

/// What [`onboard_all`] or [`become_hosts`](crate::become_hosts) did.
///
/// Each owner of the input is in one list, once, in the order of the input.
#[derive(Clone, Debug, PartialEq)]
pub struct Onboardings<M = guesthouse_entity::host::Model, K = Uuid> {
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

/// Gives any number of owners a role, once each.
///
/// An existing row and an unknown owner are reported, not errors. If anything fails, nothing is
/// made, unless the error is [`Error::OutcomeUnknown`]; then call again. Of several rows for one
/// owner the first counts. All rows must set the same columns; a column that none of them sets is
/// left to the database.
///
/// `ActiveModelBehavior::before_save` runs once for each owner, on MariaDB only for those without a
/// row; `after_save` runs for each new row.
///
/// # Errors
///
/// - [`Error::Contention`], [`Error::OutcomeUnknown`], [`Error::Aborted`] as for
///   [`onboard`](crate::onboard).
/// - [`Error::Database`]: anything else, such as a clash on a key other than that of the owner,
///   rows that set different columns, an unset owner, and errors of the hooks.
///
/// # Transactions
///
/// PostgreSQL and SQLite: one statement for any number of rows, and one or two more if some of the
/// owners have the role already or do not exist. MariaDB: two, or one if there is nobody to give
/// the role to, and one more above a megabyte, which asks for `max_allowed_packet`; the call refuses
/// what exceeds it. None for no row. In the caller's transaction SQLite and MariaDB send one more,
/// which checks that it is not over, and MariaDB two or three more for each statement.
///
/// # Concurrency
///
/// The unique index on the foreign key decides. Rows are inserted in the order of their owners, so
/// that two callers do not deadlock each other.
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
    fields(role = R::default().table_name(), given = rows.len(), new, existing, unknown, error.type),
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
    typed(async move {
        refers_to_the_key::<R>().map_err(Error::of_read)?;
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
                // A repetition: the first row for this owner was answered.
                Some(None) => {}
                None => {
                    if !unknown.insert(key) {
                        continue;
                    }
                    let owner = <OwnerId<R> as ValueType>::try_from(owner);
                    let owner =
                        owner.map_err(|error| Error::of_read(DbErr::Type(error.to_string())));
                    onboardings.unknown.push(owner?);
                }
            }
        }
        let span = Span::current();
        span.record("new", onboardings.new.len());
        span.record("existing", onboardings.existing.len());
        span.record("unknown", onboardings.unknown.len());
        Ok(onboardings)
    })
    .await
}

/// The row of each owner who exists, and whether it is new; `None` once it is taken from here.
pub(super) type Given<M> = HashMap<Key, Option<(M, bool)>>;

/// A row for an owner.
pub(super) struct Offer<R>
where
    R: Role + Related<R::Owner>,
{
    pub(super) key: Key,
    pub(super) row: R::ActiveModel,
}

/// Gives each of the owners the first row offered for it, once.
pub(super) async fn give<R, C: ConnectionTrait>(
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
    in_order(&mut offers);
    if leaves_out_no_row(db) {
        offers = look_up(db, offers, &mut given, false).await?;
        if offers.is_empty() {
            return Ok(given);
        }
    }
    let mut waiting = Vec::with_capacity(offers.len());
    let mut asked = Vec::with_capacity(waiting.capacity());
    for Offer { key, row } in offers {
        let row = row.before_save(db, true).await.map_err(Error::of_read)?;
        let now = Key::of(&owner_of::<R>(&row)?);
        asked.push((key, now.clone()));
        waiting.push(Offer::<R> { key: now, row });
    }
    let by_the_hook = asked.iter().any(|(key, now)| key != now);
    if by_the_hook {
        in_order(&mut waiting);
    }
    let turn = turn(db).await?;
    let mut rounds = 0..ROUNDS;
    loop {
        let outcome = give_all(db, &mut waiting, &mut given).await;
        let Err(error) = outcome else { break };
        let is_kept = Scope::of::<C>() != Scope::Transaction;
        if !is_kept || !given.values().flatten().any(|(_, is_new)| *is_new) {
            return Err(error);
        }
        // Some rows are committed, so it is no contention that writes nothing.
        if !error.is_retryable() || waiting.is_empty() || rounds.next().is_none() {
            return Err(error.after_a_write());
        }
    }
    drop(turn);

    for given in given.values_mut() {
        if let Some((row, true)) = given.take_if(|(_, is_new)| *is_new) {
            let row = R::ActiveModel::after_save(row, db, true).await;
            *given = Some((row.map_err(Error::of_hook_after::<C>)?, true));
        }
    }
    if by_the_hook {
        // The caller asks by the owner that it gave.
        let answers = asked.into_iter().filter_map(|(key, now)| {
            let answer = given.get_mut(&now)?.take();
            Some((key, answer))
        });
        let answers: Vec<_> = answers.collect();
        given.extend(answers);
    }
    Ok(given)
}

/// One offer for each owner, the first one, in an order that all callers share.
fn in_order<R>(offers: &mut Vec<Offer<R>>)
where
    R: Role + Related<R::Owner>,
{
    offers.sort_by(|one, other| one.key.cmp(&other.key));
    offers.dedup_by(|later, first| later.key == first.key);
}

/// How often owners are tried again whose rows come and go, while those of others are committed.
const ROUNDS: usize = 8;

async fn give_all<R, C: ConnectionTrait>(
    db: &C,
    waiting: &mut Vec<Offer<R>>,
    given: &mut Given<R::Model>,
) -> Result<(), Error>
where
    R: Role + Related<R::Owner>,
{
    let mut clashed = false;
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            *waiting = look_up(db, take(waiting), given, looks_first(db)).await?;
        }
        if waiting.is_empty() {
            return Ok(());
        }
        let offered: Vec<_> = waiting.iter().map(|offer| &offer.row).collect();
        // An error after the first row has been made would leave it, so the first insert makes all rows
        // or none, and the owners are looked at before the second.
        let which = match attempt {
            0 => Insert::AllOrNone,
            _ => Insert::Possible,
        };
        match onboard_all::insert::<R, C>(db, &offered, which).await {
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
                if ends_with_a_refusal(db) {
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
    *waiting = look_up(db, take(waiting), given, false).await?;
    if waiting.is_empty() {
        return Ok(());
    }
    if clashed {
        return Err(Error::came_and_went());
    }
    let left_out = leaves_rows_out::<R>(db, Event::Insert, &[]).await;
    Err(Error::unexplained(
        left_out,
        None,
        R::default().table_name(),
    ))
}

/// Adds the owners who have a row to `given`, drops those who do not exist, and returns the others.
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
