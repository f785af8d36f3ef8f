//! Fifty callers at once, and the twins that look first and insert on the strength of what they saw:
//! a race that they passed could not fail.

use std::{collections::BTreeSet, fmt::Debug, sync::Arc};

use guesthouse::{Onboarding, OwnerId, onboard};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DatabaseConnection, DbErr, IdenStatic, QueryFilter, SqlErr,
    sea_query::ValueType,
};
use tokio::sync::Barrier;

use super::{Kind, check, owner_of, rows, value_of};
use crate::support::{Backend as On, CALLERS, TestDb as Db, at_once};

of_each_role!(
    the_twin_fails_for_all_but_one,
    without_the_key_the_twin_makes_fifty_rows,
    fifty_owners_get_one_row_each,
);

/// What an app writes by hand. All callers have looked before any of them inserts.
async fn find_or_insert<R: Kind>(
    db: DatabaseConnection,
    owner: OwnerId<R>,
    n: usize,
    all_have_looked: Arc<Barrier>,
) -> Result<Onboarding<R::Model>, DbErr>
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    let find = R::find().filter(R::owner_id().eq(value_of(owner)));
    let found = find.one(&db).await?;
    all_have_looked.wait().await;
    match found {
        Some(row) => Ok(Onboarding::Existing(row)),
        None => R::row(owner, n).insert(&db).await.map(Onboarding::New),
    }
}

async fn race_of_twins<R: Kind>(
    db: &Db,
    owner: OwnerId<R>,
) -> Vec<Result<Onboarding<R::Model>, DbErr>>
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    let (pool, all_have_looked) = (db.pool.clone(), Arc::new(Barrier::new(CALLERS)));
    at_once(move |n| find_or_insert::<R>(pool.clone(), owner, n, all_have_looked.clone())).await
}

/// The unique key keeps the promise, and 49 callers get an error for it.
async fn the_twin_fails_for_all_but_one<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let owner = R::owner(&db, 0).await;
    let answers = race_of_twins::<R>(&db, owner).await;
    let (made, failed): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((made.len(), failed.len()), (1, CALLERS - 1));
    for answer in failed {
        let error = answer.unwrap_err();
        assert!(
            matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))),
            "{error:?}"
        );
    }
    assert_eq!(rows::<R>(&db).await.len(), 1);
}

/// Without the unique key nothing holds the twin back.
async fn without_the_key_the_twin_makes_fifty_rows<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let owner = R::owner(&db, 0).await;
    lose_the_key::<R>(&db).await;
    let answers = race_of_twins::<R>(&db, owner).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(
        check(&answers, &rows::<R>(&db).await),
        Err(format!("{CALLERS} new, {CALLERS} rows"))
    );
}

/// Takes away the unique key that keeps an owner from having two rows.
async fn lose_the_key<R: Kind>(db: &Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    let role = R::default();
    let (table, column) = (role.table_name(), R::owner_id());
    let column = column.as_str();
    match db.backend {
        On::Sqlite => {
            let definition = db
                .text(&format!(
                    "SELECT sql FROM sqlite_schema WHERE name = '{table}'"
                ))
                .await;
            let (before, after) = definition.split_once(column).unwrap();
            let after = after.replacen(" UNIQUE", "", 1);
            db.execute(&format!("DROP TABLE {table}")).await;
            db.execute(&format!("{before}{column}{after}")).await;
        }
        On::Postgres => {
            db.execute(&format!(
                "ALTER TABLE {table} DROP CONSTRAINT {table}_{column}_key"
            ))
            .await;
        }
        // The foreign key needs an index, which need not be unique.
        On::MariaDb => {
            db.execute(&format!(
                "ALTER TABLE {table} ADD INDEX plain ({column}), DROP INDEX {column}"
            ))
            .await;
        }
    }
}

/// Two callers for each of fifty owners.
async fn fifty_owners_get_one_row_each<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let owners = R::many_owners(&db, CALLERS).await;
    let calls: Vec<_> = (0..2 * CALLERS)
        .map(|n| {
            let (pool, owner) = (db.pool.clone(), owners[n / 2]);
            // A number that is none of three would be a badge, on which two couriers could clash.
            tokio::spawn(async move { onboard::<R>(&pool, R::row(owner, 3 * (n % 20))).await })
        })
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap().unwrap());
    }
    let stored = rows::<R>(&db).await;
    assert_eq!(stored.len(), CALLERS);
    for both in answers.chunks(2) {
        let own: Vec<_> = stored
            .iter()
            .filter(|row| owner_of::<R>(row) == owner_of::<R>(both[0].model()))
            .cloned()
            .collect();
        assert_eq!(check(both, &own), Ok(()));
    }
    let distinct: BTreeSet<_> = stored
        .iter()
        .map(|row| format!("{:?}", owner_of::<R>(row)))
        .collect();
    assert_eq!(distinct.len(), CALLERS);
}
