//! Making a user with its guest, once or repeatably.

use sea_orm::{
    ActiveModelBehavior, ActiveValue::Set, ConnectionTrait, DbBackend, DbErr, TransactionTrait,
};
use tracing::{Span, field::display, instrument};
use uuid::Uuid;

use crate::{
    account::Account,
    email::Email,
    error::{Error, Violation},
    guest,
    scope::Scope,
    statements::{
        accounts::{Look, Row, in_the_way},
        alive::turn,
        evidence::{is_key_of, leaves_rows_out},
        sign_up::{MayClash, insert_both},
    },
    user,
};

/// How often an insert is tried when what stood in its way is gone.
const ATTEMPTS: usize = 3;

/// Makes a user and its guest, together or not at all. It never makes a host.
///
/// # Errors
///
/// - [`Error::EmailTaken`]: another user has the address.
/// - [`Error::Contention`]: deadlock, lock timeout, busy, or, above READ COMMITTED on PostgreSQL,
///   the address was taken by a transaction that this one cannot see.
/// - [`Error::OutcomeUnknown`]: the connection was lost after the statement or the `COMMIT` was
///   sent outside a transaction; [`Account::find_by_email`] tells whether the address has
///   an account, [`sign_up_with_id`] makes the call repeatable.
/// - [`Error::Aborted`]: the caller's transaction had failed before.
/// - [`Error::Database`]: anything else.
///
/// # Transactions
///
/// PostgreSQL and MariaDB: one statement. SQLite: two in a transaction of its own, one in the
/// caller's. MySQL: three in a transaction of its own, or in a savepoint of the caller's. One more
/// if the address is taken. A refusal leaves the caller's transaction usable. A cancelled call
/// leaves both rows or none.
/// In the caller's transaction SQLite and MariaDB/MySQL send one more, to see that it is not over,
/// and MariaDB two or three more for each statement.
///
/// # Concurrency
///
/// The unique index on the address judges: of any number of callers with one address exactly one
/// gets the account, the others [`Error::EmailTaken`].
///
/// # Examples
///
/// ```
/// use guesthouse::{Error, sign_up};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// let ada = sign_up(&db, "ada@example.com".parse()?).await?;
/// assert_eq!(ada.guest.map(|guest| guest.user_id), Some(ada.user.id));
/// assert_eq!(ada.host, None);
///
/// let again = sign_up(&db, "Ada@Example.com".parse()?).await;
/// assert!(matches!(again, Err(Error::EmailTaken)));
/// # Ok(())
/// # }
/// ```
#[instrument(level = "debug", skip_all, fields(user_id), err(level = "debug"))]
pub async fn sign_up<C: ConnectionTrait + TransactionTrait>(
    db: &C,
    email: Email,
) -> Result<Account, Error> {
    let user = user::ActiveModel {
        email: Set(email.into()),
        ..Default::default()
    };
    let (user, guest) = complete(db, user).await?;
    let refuse = |_| Err(Error::EmailTaken);
    let account = insert_or(db, &user, &guest, MayClash::Email, refuse).await?;
    Span::current().record("user_id", display(account.user.id));
    Ok(account)
}

/// Signs up under an id that the caller brings, and can be repeated: an idempotency key.
///
/// Where the answer to [`sign_up`] was lost nobody can tell one's own account from that of somebody
/// who had the address before. Here the caller makes the id, once for each person who signs up
/// (`Uuid::now_v7()`, or the browser does and sends it along), and calls with the same id until
/// there is an answer: the first call that arrives makes the account, every later one gives that
/// account back as it is stored.
///
/// # Errors
///
/// - [`Error::UserIdTaken`]: the id belongs to an account with another address.
/// - [`Error::EmailTaken`]: the address belongs to a user with another id.
/// - [`Error::Contention`], [`Error::Aborted`], [`Error::Database`] as for [`sign_up`].
/// - [`Error::OutcomeUnknown`]: as for [`sign_up`]; call again.
///
/// # Transactions
///
/// Those of [`sign_up`] if the account is new; one SELECT more if it is not.
///
/// # Concurrency
///
/// The primary key and the unique index on the address judge. Any number of callers with the same
/// id and address get the same account, and one user is made.
///
/// # Examples
///
/// Drivers wait for an answer without end. A caller who must not sets a limit; whether the call was
/// done is then as unknown as after [`Error::OutcomeUnknown`], and repeating it is the remedy for
/// both:
///
/// ```
/// use std::time::Duration;
///
/// use guesthouse::{Account, Email, Error, sign_up_with_id};
/// use sea_orm::DatabaseConnection;
/// use tokio::time::timeout;
/// use uuid::Uuid;
///
/// async fn sign_up_in_time(
///     db: &DatabaseConnection,
///     user_id: Uuid,
///     email: &Email,
/// ) -> Result<Option<Account>, Error> {
///     for _ in 0..3 {
///         let call = sign_up_with_id(db, user_id, email.clone());
///         match timeout(Duration::from_secs(2), call).await {
///             Err(_) | Ok(Err(Error::OutcomeUnknown { .. })) => continue,
///             Ok(answer) => return answer.map(Some),
///         }
///     }
///     Ok(None)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// let (user_id, email) = (Uuid::now_v7(), "ada@example.com".parse()?);
///
/// let ada = sign_up_in_time(&db, user_id, &email).await?;
/// assert_eq!(sign_up_in_time(&db, user_id, &email).await?, ada);
///
/// let other_id = sign_up_with_id(&db, Uuid::now_v7(), email).await;
/// assert!(matches!(other_id, Err(Error::EmailTaken)));
/// # Ok(())
/// # }
/// ```
#[instrument(level = "debug", skip_all, fields(%user_id), err(level = "debug"))]
pub async fn sign_up_with_id<C: ConnectionTrait + TransactionTrait>(
    db: &C,
    user_id: Uuid,
    email: Email,
) -> Result<Account, Error> {
    let user = user::ActiveModel {
        id: Set(user_id),
        email: Set(email.as_ref().to_owned()),
        ..Default::default()
    };
    let (user, guest) = complete(db, user).await?;
    let account = insert_or(db, &user, &guest, MayClash::EmailOrId, |found| match found
        .into_iter()
        .find(|(user, ..)| user.id == user_id)
    {
        Some(row) if row.0.email == email.as_ref() => Ok(row.into()),
        Some(_) => Err(Error::UserIdTaken { user_id }),
        None => Err(Error::EmailTaken),
    });
    account.await
}

/// The rows as they will be inserted. The guest is that of the user.
async fn complete(
    db: &impl ConnectionTrait,
    user: user::ActiveModel,
) -> Result<(user::ActiveModel, guest::ActiveModel), Error> {
    let user = user.before_save(db, true).await.map_err(Error::of_read)?;
    let guest = guest::ActiveModel {
        user_id: user.id.clone(),
        ..Default::default()
    };
    let guest = guest.before_save(db, true).await.map_err(Error::of_read)?;
    Ok((user, guest))
}

/// Inserts both rows, or answers with what stands in their way.
///
/// On MariaDB/MySQL in a transaction it looks first, since a refused insert would lock more than the
/// row that refuses it until that transaction ends.
async fn insert_or<C: ConnectionTrait + TransactionTrait>(
    db: &C,
    user: &user::ActiveModel,
    guest: &guest::ActiveModel,
    keys: MayClash,
    refuse: impl Fn(Vec<Row>) -> Result<Account, Error>,
) -> Result<Account, Error> {
    let (Set(id), Set(email)) = (&user.id, &user.email) else {
        return Err(Error::of_read(DbErr::AttrNotSet("id".into())));
    };
    let id = (keys == MayClash::EmailOrId).then_some(*id);
    let turn = turn(db).await?;
    if looks_first(db) {
        let found = in_the_way(db, id, email, Look::Plain).await;
        let found = found.map_err(Error::of_read)?;
        if !found.is_empty() {
            return refuse(found);
        }
    }
    let mut last_clash = None;
    for _ in 0..ATTEMPTS {
        match insert_both::<user::Entity, _>(db, user, guest, keys).await {
            Ok(Some((user, guest))) => {
                drop(turn);
                return saved(db, user, guest).await;
            }
            Ok(None) => {}
            Err(clash) if Violation::of(&clash) == Some(Violation::Unique) => {
                last_clash = Some(clash);
            }
            Err(source) => return Err(Error::of_write::<C>(source)),
        }
        let found = in_the_way(db, id, email, Look::Locking).await;
        match (found, last_clash.take()) {
            (Ok(found), _) if !found.is_empty() => return refuse(found),
            (Ok(_), clash) => last_clash = clash,
            (Err(source), clash) => {
                return Err(match (Error::of_read(source), clash) {
                    // On PostgreSQL the clash was on a key that is no answer, and ended the
                    // transaction.
                    (Error::Aborted { .. }, Some(clash)) => Error::of_read(clash),
                    (error, _) => error,
                });
            }
        }
    }
    Err(unexplained(db, keys, last_clash).await)
}

/// A user that was not inserted, though nothing was found in the way, as often as it was tried.
async fn unexplained(db: &impl ConnectionTrait, keys: MayClash, clash: Option<DbErr>) -> Error {
    let own_keys: &[_] = match keys {
        MayClash::Email => &[],
        MayClash::EmailOrId => &[user::Column::Email, user::Column::Id],
    };
    let explained = match &clash {
        Some(clash) => {
            let of_email = is_key_of::<user::Entity>(db, clash, user::Column::Email).await;
            let of_id = is_key_of::<user::Entity>(db, clash, user::Column::Id).await;
            of_email.and_then(|of_email| of_id.map(|of_id| !of_email && !of_id))
        }
        None => leaves_rows_out::<user::Entity>(db, own_keys).await,
    };
    match (explained, clash) {
        (Ok(false), _) => Error::came_and_went(),
        (Ok(true), Some(source)) => Error::of_read(source),
        (Ok(true), None) => Error::left_out("users"),
        (Err(source), _) => Error::of_read(source),
    }
}

async fn saved(
    db: &impl ConnectionTrait,
    user: user::Model,
    guest: guest::Model,
) -> Result<Account, Error> {
    let user = user::ActiveModel::after_save(user, db, true).await;
    let guest = guest::ActiveModel::after_save(guest, db, true).await;
    Ok(Account {
        user: user.map_err(Error::of_read)?,
        guest: Some(guest.map_err(Error::of_read)?),
        host: None,
    })
}

/// Whether a look comes before the insert: see [`insert_or`].
pub(crate) fn looks_first<C: ConnectionTrait>(db: &C) -> bool {
    db.get_database_backend() == DbBackend::MySql && Scope::of::<C>() != Scope::Autocommit
}
