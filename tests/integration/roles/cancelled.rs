//! A caller of any role who stops waiting, at every point where that is possible.
//!
//! The numbers of the rows are multiples of three: such a courier has no badge, on which two could clash.

use std::{error::Error as _, fmt::Debug};

use guesthouse::{Error, OwnerId, Session, backfill, offboard, onboard, onboard_all};
use sea_orm::{ConnectionTrait, DbErr, ModelTrait, TransactionTrait, sea_query::ValueType};

use super::{Kind, rows, value_of};
use crate::support::{GiveUp, TestDb as Db};

/// More than any of the calls here takes.
const MOST_POLLS: usize = 15;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Onboard,
    Offboard,
    OnboardAll,
    Backfill,
}

const VERBS: [Verb; 4] = [
    Verb::Onboard,
    Verb::Offboard,
    Verb::OnboardAll,
    Verb::Backfill,
];

impl Verb {
    async fn call<R: Kind>(
        self,
        db: &(impl ConnectionTrait + TransactionTrait),
        owner: OwnerId<R>,
    ) -> Result<(), Error>
    where
        OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
    {
        match self {
            Self::Onboard => onboard::<R>(db, R::row(owner, 3)).await.map(drop),
            Self::Offboard => offboard::<R>(db, owner).await.map(drop),
            Self::OnboardAll => onboard_all::<R>(db, vec![R::row(owner, 3)]).await.map(drop),
            Self::Backfill => backfill::<R>(db, |owner| R::row(owner, 3), |_| {})
                .await
                .map(drop),
        }
    }

    /// Whether the owner has the role after the call.
    fn leaves_a_row(self) -> bool {
        self != Self::Offboard
    }
}

/// Where a call is made.
#[derive(Clone, Copy, Debug)]
enum Place {
    Pool,
    Transaction,
    Session,
}

of_each_role!(on_a_pool, in_a_transaction, on_a_session,);

async fn on_a_pool<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    everywhere::<R>(&db, Place::Pool).await;
}

async fn in_a_transaction<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    everywhere::<R>(&db, Place::Transaction).await;
}

async fn on_a_session<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    everywhere::<R>(&db, Place::Session).await;
}

async fn everywhere<R: Kind>(db: &Db, place: Place)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(db).await;
    let mut n = 0;
    for verb in VERBS {
        for polls in 0..MOST_POLLS {
            for at_once in [true, false] {
                n += 2;
                let cut = GiveUp { polls, at_once };
                is_cut::<R>(db, place, verb, cut, n).await;
            }
        }
    }
}

/// The second answer if the pool had no connection. After a drop within the answer to a PREPARE of
/// MariaDB, sqlx can wait for a packet that never comes, until the pool's time limit closes the
/// connection: an error of a call that was not sent.
async fn unless_it_waits<T, F>(
    first: Result<T, Error>,
    again: impl FnOnce() -> F,
) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    match first {
        Err(Error::Database {
            source: DbErr::ConnectionAcquire(_),
        }) => again().await,
        first => first,
    }
}

/// One call that may be dropped, and one after it on the same connection: what was acknowledged is
/// stored, and nothing that was not asked for.
async fn is_cut<R: Kind>(db: &Db, place: Place, verb: Verb, cut: GiveUp, n: usize)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    let what = format!("{verb:?} in a {place:?}, {cut:?}");
    let (owner, next) = (R::owner(db, n).await, R::owner(db, n + 1).await);
    if verb == Verb::Offboard {
        assert!(
            onboard::<R>(&db.pool, R::row(owner, 0))
                .await
                .unwrap()
                .is_new()
        );
    }
    let pool = db.pool_of(1).await;
    let (answer, after) = match place {
        Place::Pool => (
            cut.on(verb.call::<R>(&pool, owner)).await,
            unless_it_waits(onboard::<R>(&pool, R::row(next, 6)).await, || {
                onboard::<R>(&pool, R::row(next, 6))
            })
            .await,
        ),
        Place::Session => {
            let session = Session::acquire(&pool).await.unwrap();
            let answer = cut.on(verb.call::<R>(&session, owner)).await;
            let after = onboard::<R>(&session, R::row(next, 6)).await;
            session.release().await;
            (answer, after)
        }
        Place::Transaction => {
            let txn = pool.begin().await.unwrap();
            let answer = cut.on(verb.call::<R>(&txn, owner)).await;
            let after = onboard::<R>(&txn, R::row(next, 6)).await;
            let after = match txn.commit().await {
                Ok(()) => after,
                Err(error) => after.and(Err(Error::from(error))),
            };
            (answer, after)
        }
    };

    let stored = rows::<R>(db).await;
    let row_of = |owner| {
        let rows = stored.iter();
        rows.filter(|row| row.get(R::owner_id()) == value_of(owner))
            .count()
    };
    assert!(row_of(owner) <= 1 && row_of(next) <= 1, "{what}");
    match (&answer, &after) {
        (Some(answer), after) => {
            answer.as_ref().expect(&what);
            assert_eq!(row_of(owner) == 1, verb.leaves_a_row(), "{what}");
            assert_eq!(row_of(next), 1, "{what}: {after:?}");
        }
        (None, Ok(row)) => assert!(stored.contains(row.model()), "{what}"),
        (None, Err(error)) => match place {
            Place::Pool => panic!("{what}: {error:?}: {:?}", error.source()),
            // A connection that is closed for it; a back-fill may have come before.
            Place::Session => {}
            Place::Transaction => {
                assert_eq!(
                    row_of(owner) == 1,
                    verb == Verb::Offboard,
                    "{what}: rolled back"
                );
                assert_eq!(row_of(next), 0, "{what}: rolled back");
            }
        },
    }
    pool.close().await.unwrap();
    // The next back-fill has nobody left but its own two.
    backfill::<R>(&db.pool, |owner| R::row(owner, 9), |_| {})
        .await
        .unwrap();
}
