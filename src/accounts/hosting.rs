//! Guests and hosts as roles.

use sea_orm::{ActiveValue::Set, ConnectionTrait, TransactionTrait};
use uuid::Uuid;

use crate::{
    error::Error,
    guest, host,
    role::{Onboarding, Onboardings, Role, backfill, offboard, onboard, onboard_all},
    user,
};

impl Role for guest::Entity {
    type Owner = user::Entity;

    fn owner_id() -> Self::Column {
        guest::Column::UserId
    }
}

impl Role for host::Entity {
    type Owner = user::Entity;

    fn owner_id() -> Self::Column {
        host::Column::UserId
    }
}

/// Makes the user a host, once: [`onboard`] for hosts.
///
/// # Errors
///
/// Those of [`onboard`].
///
/// # Transactions
///
/// Those of [`onboard`].
///
/// # Concurrency
///
/// As [`onboard`]: of any number of callers for one user exactly one gets [`Onboarding::New`].
///
/// # Examples
///
/// ```
/// use guesthouse::{Onboarding, become_host, sign_up};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// let ada = sign_up(&db, "ada@example.com".parse()?).await?.user;
///
/// match become_host(&db, ada.id).await? {
///     Onboarding::New(host) => assert_eq!(host.user_id, ada.id),
///     Onboarding::Existing(_) => unreachable!("the first call makes the host"),
/// }
/// # Ok(())
/// # }
/// ```
pub async fn become_host(
    db: &impl ConnectionTrait,
    user_id: Uuid,
) -> Result<Onboarding<host::Model>, Error> {
    let role = host::ActiveModel {
        user_id: Set(user_id),
        ..Default::default()
    };
    onboard::<host::Entity>(db, role).await
}

/// Makes any number of users hosts: [`onboard_all`] for hosts.
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

/// Ends the user's hosting: [`offboard`] for hosts.
///
/// Returns the host that was deleted; `None` if the user was not a host or does not exist.
///
/// # Errors
///
/// Those of [`offboard`].
///
/// # Transactions
///
/// Those of [`offboard`].
///
/// # Concurrency
///
/// As [`offboard`]: of any number of callers exactly one gets the host.
///
/// # Examples
///
/// ```
/// use guesthouse::{become_host, sign_up, stop_hosting};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// let ada = sign_up(&db, "ada@example.com".parse()?).await?.user;
/// let host = become_host(&db, ada.id).await?.into_model();
///
/// assert_eq!(stop_hosting(&db, ada.id).await?, Some(host));
/// assert_eq!(stop_hosting(&db, ada.id).await?, None);
/// # Ok(())
/// # }
/// ```
pub async fn stop_hosting<C: ConnectionTrait + TransactionTrait>(
    db: &C,
    user_id: Uuid,
) -> Result<Option<host::Model>, Error> {
    offboard::<host::Entity>(db, user_id).await
}

/// Gives every user without a guest exactly one: [`backfill`] for guests.
///
/// # Errors
///
/// Those of [`backfill`].
///
/// # Transactions
///
/// Those of [`backfill`].
///
/// # Concurrency
///
/// As [`backfill`], so it is safe beside sign-ups too.
///
/// # Examples
///
/// ```
/// use guesthouse::{audit, backfill_guests, user};
/// use sea_orm::{ActiveModelTrait, ActiveValue::Set};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// let raw = user::ActiveModel { email: Set("ada@example.com".into()), ..Default::default() };
/// raw.insert(&db).await?;
///
/// let given = backfill_guests(&db, |total| assert_eq!(total, 1)).await?;
/// assert_eq!(given, 1);
/// assert_eq!(audit(&db).await?.users_without_guest, 0);
/// # Ok(())
/// # }
/// ```
pub async fn backfill_guests<C: ConnectionTrait + TransactionTrait>(
    db: &C,
    progress: impl FnMut(u64),
) -> Result<u64, Error> {
    backfill::<guest::Entity>(db, |_| Default::default(), progress).await
}
