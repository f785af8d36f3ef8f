//! Adopting a database that already has users: counting and giving each its guest.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, JoinType, QueryFilter, QueryOrder,
    QuerySelect, Related, Statement, TransactionTrait,
    sea_query::{Expr, ExprTrait},
};
use tracing::instrument;
use uuid::Uuid;

use crate::{
    bulk::new_guests,
    error::{Error, Violation},
    guest,
    statements::{alive::is_over, onboard_all, rows::Rows},
    user,
};

/// Users of one batch.
const BATCH: u64 = 1_000;

/// How often a batch is tried when what stood in its way is gone.
const ATTEMPTS: usize = 3;

/// How many there are of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Users.
    pub users: u64,
    /// Hosts.
    pub hosts: u64,
    /// Users without a guest, for [`backfill_guests`].
    pub users_without_guest: u64,
}

/// Counts users, hosts, and users without a guest.
///
/// # Errors
///
/// [`Error::Contention`] (SQLite busy), [`Error::Aborted`] and [`Error::Database`].
///
/// # Transactions
///
/// One statement, so the three counts belong to one moment.
///
/// # Examples
///
/// ```
/// use guesthouse::{Audit, audit, sign_up};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// sign_up(&db, "ada@example.com".parse()?).await?;
/// assert_eq!(audit(&db).await?, Audit { users: 1, hosts: 0, users_without_guest: 0 });
/// # Ok(())
/// # }
/// ```
#[instrument(level = "debug", skip_all, err(level = "debug"))]
pub async fn audit(db: &impl ConnectionTrait) -> Result<Audit, Error> {
    let statement = Statement::from_string(
        db.get_database_backend(),
        "SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM hosts) AS hosts, \
         (SELECT count(*) FROM users LEFT JOIN guests ON guests.user_id = users.id \
         WHERE guests.id IS NULL) AS users_without_guest",
    );
    let failed = Error::of_read;
    let row = db.query_one_raw(statement).await.map_err(failed)?;
    let row = row.ok_or(Error::Database {
        source: DbErr::RecordNotFound("counts".into()),
    })?;
    let count = |name: &str| {
        row.try_get::<i64>("", name)
            .map(i64::cast_unsigned)
            .map_err(failed)
    };
    Ok(Audit {
        users: count("users")?,
        hosts: count("hosts")?,
        users_without_guest: count("users_without_guest")?,
    })
}

/// Gives every user without a guest exactly one, and returns how many it gave.
///
/// Works in batches of 1,000 users by keyset, so memory stays the same however many there are.
/// `progress` gets the running total after each batch. It can be stopped at any point and run
/// again: what was given stays given, and nobody gets a second guest.
///
/// # Errors
///
/// [`Error::Contention`], [`Error::OutcomeUnknown`], [`Error::Aborted`] and [`Error::Database`] as
/// for [`sign_up`](crate::sign_up). What earlier batches gave stays, unless in a transaction of the
/// caller's; calling again goes on.
///
/// # Transactions
///
/// Two statements a batch (MySQL: three). Each batch is committed by itself, unless the caller's transaction is
/// given. The last one finds nobody.
///
/// # Concurrency
///
/// The unique index on `user_id` judges, so it is safe beside sign-ups and beside itself. A user
/// deleted meanwhile is passed over.
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
#[instrument(level = "debug", skip_all, err(level = "debug"))]
pub async fn backfill_guests<C: ConnectionTrait + TransactionTrait>(
    db: &C,
    mut progress: impl FnMut(u64),
) -> Result<u64, Error> {
    let read = Error::of_read;
    let mut total = 0;
    let mut after = None;
    loop {
        if is_over(db).await.map_err(read)? {
            return Err(Error::over());
        }
        let users = users_without_guest(db, after).await.map_err(read)?;
        let Some(last) = users.last() else {
            return Ok(total);
        };
        after = Some(*last);

        let guests = new_guests(db, users.into_iter()).await.map_err(read)?;
        let given = give(db, guests).await?;
        total += given.len() as u64;
        progress(total);
    }
}

/// Inserts the guests of users who have none yet, and of these alone: a user who got one meanwhile is
/// left out.
async fn give<C: ConnectionTrait>(
    db: &C,
    guests: Vec<guest::Model>,
) -> Result<Vec<guest::Model>, Error> {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        match onboard_all::insert(db, &Rows::guests(&guests)).await {
            Ok(given) => return Ok(given),
            Err(clash) if Violation::of(&clash).is_some() => last = Some(clash),
            Err(source) => return Err(Error::of_write::<C>(source)),
        }
    }
    Err(last.map_or_else(Error::came_and_went, Error::of_read))
}

async fn users_without_guest(
    db: &impl ConnectionTrait,
    after: Option<Uuid>,
) -> Result<Vec<Uuid>, DbErr> {
    let mut guest = <user::Entity as Related<guest::Entity>>::to();
    let mut users = user::Entity::find();
    if let Some(after) = after {
        users = users.filter(user::Column::Id.gt(after));
        // PostgreSQL does not conclude it, and would read the guests of all users before.
        guest = guest.on_condition(move |_, guest| {
            Expr::col((guest, guest::Column::UserId)).gt(after).into()
        });
    }
    let select = users
        .join(JoinType::LeftJoin, guest)
        .filter(guest::Column::Id.is_null())
        .select_only()
        .column(user::Column::Id)
        .order_by_asc(user::Column::Id)
        .limit(BATCH);
    select.into_tuple().all(db).await
}
