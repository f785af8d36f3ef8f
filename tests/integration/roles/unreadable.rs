//! Rows of any role that this build cannot read: an error, and nobody is given half of the truth.

use std::fmt::Debug;

use guesthouse::{Error, OwnerId, Owners, backfill, offboard, onboard, onboard_all};
use sea_orm::{EntityTrait, PaginatorTrait, TransactionTrait, sea_query::ValueType};

use super::{Kind, courier, owner_of, owners, payout, profile, value_of};
use crate::support::{Backend as On, TestDb as Db};

/// A column, a value of it that cannot be read, and what lets the column have it.
#[derive(Clone, Copy, Debug)]
struct Way {
    column: &'static str,
    value: &'static str,
    allow: &'static str,
}

/// Text in a number, or bytes that are no text: SQLite keeps any value in any column.
const fn on_sqlite(column: &'static str, value: &'static str) -> Way {
    Way {
        column,
        value,
        allow: "SELECT 1",
    }
}

const fn null(column: &'static str, allow: &'static str) -> Way {
    Way {
        column,
        value: "NULL",
        allow,
    }
}

trait Unreadable: Kind
where
    OwnerId<Self>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    fn ways(backend: On) -> Vec<Way>;
}

impl Unreadable for courier::Entity {
    fn ways(backend: On) -> Vec<Way> {
        vec![match backend {
            On::Sqlite => on_sqlite("grade", "'high'"),
            On::Postgres => null("grade", "ALTER TABLE couriers ALTER grade DROP NOT NULL"),
            On::MariaDb => null(
                "grade",
                "ALTER TABLE couriers MODIFY grade integer NULL DEFAULT 7",
            ),
        }]
    }
}

impl Unreadable for payout::Entity {
    fn ways(backend: On) -> Vec<Way> {
        match backend {
            On::Sqlite => vec![
                on_sqlite("iban", "x'ff'"),
                on_sqlite("settings", "'not json'"),
                on_sqlite("opened_at", "'yesterday'"),
            ],
            On::Postgres => vec![
                null(
                    "iban",
                    "ALTER TABLE payout_accounts ALTER iban DROP NOT NULL",
                ),
                Way {
                    column: "opened_on",
                    value: "'infinity'",
                    allow: "SELECT 1",
                },
            ],
            On::MariaDb => vec![
                null(
                    "iban",
                    "ALTER TABLE payout_accounts MODIFY iban varchar(255) NULL",
                ),
                Way {
                    column: "settings",
                    value: "'not json'",
                    allow: "ALTER TABLE payout_accounts MODIFY settings longtext \
                            CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL",
                },
            ],
        }
    }
}

impl Unreadable for profile::Entity {
    fn ways(backend: On) -> Vec<Way> {
        vec![match backend {
            On::Sqlite => on_sqlite("bio", "x'ff'"),
            On::Postgres => null("bio", "ALTER TABLE profiles ALTER bio DROP NOT NULL"),
            On::MariaDb => null("bio", "ALTER TABLE profiles MODIFY bio varchar(255) NULL"),
        }]
    }
}

of_each_role!(
    an_existing_row_that_cannot_be_read,
    a_new_row_that_cannot_be_read,
);

/// How many rows there are, readable or not.
async fn number<R: Kind>(db: &Db) -> u64
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    let pool = db.pool_of(1).await;
    let number = R::find().count(&pool).await.unwrap();
    pool.close().await.unwrap();
    number
}

fn fails<T: Debug>(way: Way, answer: Result<T, Error>) {
    assert!(
        matches!(answer, Err(Error::Database { .. })),
        "{way:?}: {answer:?}"
    );
}

/// It is not deleted, and no row is made beside it.
async fn an_existing_row_that_cannot_be_read<R: Unreadable>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
    R::Owner: EntityTrait<Model: Send + Sync + Debug>,
{
    R::create_tables(&db).await;
    let three = owners::<R>(&db, 3).await;
    let many = || [1, 0, 2].map(|n| R::row(three[n], 3)).to_vec();
    let (role, owner) = (R::default(), three[0]);
    for way in R::ways(db.backend) {
        let Way { column, value, .. } = way;
        // Prepared statements of the first pool know the table as it was.
        db.execute(way.allow).await;
        let pool = db.pool_of(2).await;
        assert!(
            onboard::<R>(&pool, R::row(owner, 0))
                .await
                .unwrap()
                .is_new()
        );
        db.execute(&format!(
            "UPDATE {} SET {column} = {value}",
            role.table_name()
        ))
        .await;

        fails(way, onboard::<R>(&pool, R::row(owner, 3)).await);
        fails(way, offboard::<R>(&pool, owner).await);
        fails(way, onboard_all::<R>(&pool, many()).await);
        fails(way, Owners::all().fetch_beside::<R>(&pool).await);
        assert_eq!(number::<R>(&db).await, 1, "{way:?}");

        let txn = pool.begin().await.unwrap();
        fails(way, onboard::<R>(&txn, R::row(owner, 3)).await);
        fails(way, offboard::<R>(&txn, owner).await);
        fails(way, onboard_all::<R>(&txn, many()).await);
        txn.rollback().await.unwrap();
        assert_eq!(number::<R>(&db).await, 1, "{way:?}");

        // Those calls do not read it.
        let with = Owners::<R::Owner>::all().with::<R>();
        assert_eq!(with.fetch(&pool).await.unwrap().rows.len(), 1, "{way:?}");
        let given = backfill::<R>(&pool, |owner| R::row(owner, 3), |_| {}).await;
        assert_eq!(given.unwrap(), 2, "{way:?}");
        assert_eq!(number::<R>(&db).await, 3, "{way:?}");
        R::delete_many().exec(&pool).await.unwrap();
        pool.close().await.unwrap();
    }
}

/// A trigger gives the new row a value that cannot be read. The row is stored, and an error that said
/// otherwise would be wrong; in a transaction the caller decides.
async fn a_new_row_that_cannot_be_read<R: Unreadable>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let four = owners::<R>(&db, 4).await;
    let way = R::ways(db.backend)[0];
    db.execute(way.allow).await;
    db.execute(&trigger(db.backend, R::default().table_name(), way))
        .await;
    let pool = db.pool_of(2).await;
    let is_unknown = |answer: Result<(), Error>| {
        assert!(
            matches!(answer, Err(Error::OutcomeUnknown { .. })),
            "{answer:?}"
        );
    };

    is_unknown(onboard::<R>(&pool, R::row(four[0], 3)).await.map(drop));
    assert_eq!(number::<R>(&db).await, 1);
    let many = vec![R::row(four[1], 3), R::row(four[2], 3)];
    is_unknown(onboard_all::<R>(&pool, many).await.map(drop));
    assert_eq!(number::<R>(&db).await, 3);
    let txn = pool.begin().await.unwrap();
    fails(way, onboard::<R>(&txn, R::row(four[3], 3)).await);
    txn.rollback().await.unwrap();
    assert_eq!(number::<R>(&db).await, 3);
    let given = backfill::<R>(&pool, |owner| R::row(owner, 3), |_| {}).await;
    is_unknown(given.map(drop));
    assert_eq!(number::<R>(&db).await, 4);

    fails(way, onboard::<R>(&pool, R::row(four[0], 3)).await);
    assert_eq!(number::<R>(&db).await, 4);
    let owners_of: Vec<_> = four.iter().map(|owner| value_of(*owner)).collect();
    db.execute(&format!(
        "UPDATE {} SET {} = {}",
        R::default().table_name(),
        way.column,
        if way.column == "grade" { "1" } else { "'x'" }
    ))
    .await;
    let stored = super::rows::<R>(&db).await;
    assert!(
        stored
            .iter()
            .all(|row| owners_of.contains(&owner_of::<R>(row)))
    );
}

fn trigger(backend: On, table: &str, Way { column, value, .. }: Way) -> String {
    match backend {
        On::Sqlite => format!(
            "CREATE TRIGGER spoil AFTER INSERT ON {table} \
             BEGIN UPDATE {table} SET {column} = {value} WHERE id = NEW.id; END"
        ),
        On::Postgres => format!(
            "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql \
             AS $$ BEGIN NEW.{column} := {value}; RETURN NEW; END $$; \
             CREATE TRIGGER spoil BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION spoil()"
        ),
        On::MariaDb => format!(
            "CREATE TRIGGER spoil BEFORE INSERT ON {table} FOR EACH ROW SET NEW.{column} = {value}"
        ),
    }
}
