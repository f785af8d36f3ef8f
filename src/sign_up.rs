//! Making a user with its guest, once or repeatably.

use sea_orm::{ActiveModelBehavior, ActiveValue::Set, ConnectionTrait, DbErr, TransactionTrait};
use tracing::{Span, field::display, instrument};
use uuid::Uuid;

use crate::{
    account::Account,
    email::Email,
    error::{Error, Sent},
    guest,
    statements::{self, MayClash},
    user,
};

/// How often [`sign_up_with_id`] tries again when the account that stood in its way is gone.
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
/// PostgreSQL: one statement and no transaction. SQLite and MariaDB/MySQL: two inserts in a
/// transaction of their own, or in a savepoint of the caller's (MySQL, which has no RETURNING,
/// reads both rows back). A refusal leaves the caller's transaction usable. A cancelled call
/// leaves both rows or none.
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
    let account = insert_with_guest(db, user, MayClash::Email).await?;
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
    for _ in 0..ATTEMPTS {
        let user = user::ActiveModel {
            id: Set(user_id),
            email: Set(email.as_ref().to_owned()),
            ..Default::default()
        };
        match insert_with_guest(db, user, MayClash::EmailOrId).await {
            Err(Error::EmailTaken) => {}
            answer => return answer,
        }
        let found = statements::accounts::in_the_way(db, user_id, email.as_ref())
            .await
            .map_err(|source| Error::from_driver(source, Sent::Revocable))?;
        if found.is_empty() {
            continue;
        }
        return match found.into_iter().find(|(user, ..)| user.id == user_id) {
            Some(row) if row.0.email == email.as_ref() => Ok(row.into()),
            Some(_) => Err(Error::UserIdTaken { user_id }),
            None => Err(Error::EmailTaken),
        };
    }
    Err(Error::Contention {
        source: DbErr::Custom("the account was removed as often as it was found".into()),
    })
}

async fn insert_with_guest<C: ConnectionTrait + TransactionTrait>(
    db: &C,
    user: user::ActiveModel,
    keys: MayClash,
) -> Result<Account, Error> {
    let hook = |source| Error::Database { source };
    let user = user.before_save(db, true).await.map_err(hook)?;
    let guest = guest::ActiveModel {
        user_id: user.id.clone(),
        ..Default::default()
    };
    let guest = guest.before_save(db, true).await.map_err(hook)?;
    let (user, guest) = statements::insert_user_with_guest(db, &user, &guest, keys).await?;
    Ok(Account {
        user,
        guest: Some(guest),
        host: None,
    })
}
