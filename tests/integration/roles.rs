//! Every verb for every role: a courier of a user, a payout account of a host, and the profile of a
//! member, whose table is the app's own and whose keys the database makes.

/// Makes tests of each function that is generic over a role: `name::courier::sqlite` and so on.
macro_rules! of_each_role {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use $crate::support::TestDb;

            on_each_backend!(courier, payout_account, profile);

            async fn courier(db: TestDb) {
                super::$name::<$crate::courier::Entity>(db).await;
            }

            async fn payout_account(db: TestDb) {
                super::$name::<$crate::roles::payout::Entity>(db).await;
            }

            async fn profile(db: TestDb) {
                super::$name::<$crate::roles::profile::Entity>(db).await;
            }
        }
    )+};
}

mod backfilled;
mod budgets;
mod bulk;
mod cancelled;
mod gone_owners;
mod input;
mod interleaved;
#[cfg(feature = "postgres")]
mod labels;
mod meetings;
pub mod member;
pub mod payout;
pub mod profile;
mod races;
mod sign_up;
mod snapshots;
mod unreadable;
mod verified;

use std::{
    collections::BTreeSet,
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use guesthouse::{
    Error, Model, Onboarding, OwnerId, Owners, Role, SchemaError, backfill, become_hosts,
    delete_user, host, offboard, onboard, onboard_all, retry, sign_up_all, stop_hosting,
};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ConnectionTrait, EntityTrait, IdenStatic, IntoActiveModel, Iterable, ModelTrait,
    PrimaryKeyToColumn, QueryOrder, Related, Schema, TransactionTrait, Value,
    sea_query::{IntoValueTuple, ValueTuple, ValueType},
};
use uuid::Uuid;

use crate::{
    courier::{self, Vehicle},
    support::{Backend as On, TestDb as Db, at_once, email},
};

/// A role, and how a test makes its owners and rows.
trait Kind:
    Role<Model: Send + Sync + PartialEq + IntoActiveModel<Self::ActiveModel>>
    + Related<<Self as Role>::Owner>
where
    OwnerId<Self>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    /// An owner that does not exist.
    const NOBODY: OwnerId<Self>;

    async fn create_tables(db: &Db);

    /// The `n`th owner, without the role.
    async fn owner(db: &Db, n: usize) -> OwnerId<Self>;

    /// So many owners without the role, made in a few statements.
    async fn many_owners(db: &Db, number: usize) -> Vec<OwnerId<Self>>;

    /// Deletes an owner, if no row refers to it.
    async fn delete_owner(
        db: &(impl ConnectionTrait + TransactionTrait),
        owner: OwnerId<Self>,
    ) -> Result<(), Error>;

    /// A column of texts that the app gives.
    fn text() -> Self::Column;

    /// What the app gives of a row.
    fn row(owner: OwnerId<Self>, n: usize) -> Self::ActiveModel;

    fn is_not_found(error: &Error) -> bool;
}

impl Kind for courier::Entity {
    const NOBODY: Uuid = Uuid::nil();

    async fn create_tables(db: &Db) {
        courier::create_table(db).await;
    }

    async fn owner(db: &Db, n: usize) -> Uuid {
        db.user(&format!("user{n}")).await.id
    }

    async fn many_owners(db: &Db, number: usize) -> Vec<Uuid> {
        let emails = (0..number).map(|n| email(&format!("one-of-many{n}")));
        let done = sign_up_all(&db.pool, emails.collect()).await.unwrap();
        let ids = done.created.iter().map(|account| account.user.id);
        ids.collect()
    }

    async fn delete_owner(
        db: &(impl ConnectionTrait + TransactionTrait),
        owner: Uuid,
    ) -> Result<(), Error> {
        delete_user(db, owner).await
    }

    fn text() -> courier::Column {
        courier::Column::Badge
    }

    fn row(owner: Uuid, n: usize) -> courier::ActiveModel {
        courier::ActiveModel {
            user_id: Set(owner),
            vehicle: Set([Vehicle::Bicycle, Vehicle::Van][n % 2]),
            badge: Set((!n.is_multiple_of(3)).then(|| format!("B{n}"))),
            ..Default::default()
        }
    }

    fn is_not_found(error: &Error) -> bool {
        matches!(error, Error::UserNotFound { user_id } if user_id.is_nil())
    }
}

impl Kind for payout::Entity {
    const NOBODY: Uuid = Uuid::nil();

    async fn create_tables(db: &Db) {
        create_table(db, payout::Entity).await;
    }

    async fn owner(db: &Db, n: usize) -> Uuid {
        db.host(&format!("host{n}")).await.id
    }

    async fn many_owners(db: &Db, number: usize) -> Vec<Uuid> {
        let users = courier::Entity::many_owners(db, number).await;
        let done = become_hosts(&db.pool, &users).await.unwrap();
        done.new.iter().map(|host| host.id).collect()
    }

    async fn delete_owner(
        db: &(impl ConnectionTrait + TransactionTrait),
        owner: Uuid,
    ) -> Result<(), Error> {
        let host = host::Entity::find_by_id(owner).one(db).await?.unwrap();
        stop_hosting(db, host.user_id).await.map(drop)
    }

    fn text() -> payout::Column {
        payout::Column::Iban
    }

    fn row(owner: Uuid, n: usize) -> payout::ActiveModel {
        payout::row(owner, n)
    }

    fn is_not_found(error: &Error) -> bool {
        matches!(error, Error::OwnerNotFound { table: "hosts" })
    }
}

impl Kind for profile::Entity {
    const NOBODY: i64 = 1_000_000;

    async fn create_tables(db: &Db) {
        create_members(db).await;
    }

    async fn owner(db: &Db, n: usize) -> i64 {
        new_member(n).insert(&db.pool).await.unwrap().id
    }

    async fn many_owners(db: &Db, number: usize) -> Vec<i64> {
        let members: Vec<_> = (0..number).map(|n| new_member(1_000_000 + n)).collect();
        let mut ids = Vec::new();
        for some in members.chunks(1_000) {
            let some = member::Entity::insert_many(some.to_vec());
            some.exec(&db.pool).await.unwrap();
        }
        let stored = member::Entity::find().order_by_desc(member::Column::Id);
        for member in stored.all(&db.pool).await.unwrap().iter().take(number) {
            ids.push(member.id);
        }
        ids
    }

    async fn delete_owner(
        db: &(impl ConnectionTrait + TransactionTrait),
        owner: i64,
    ) -> Result<(), Error> {
        let gone = member::Entity::delete_by_id(owner).exec(db).await?;
        assert_eq!(gone.rows_affected, 1);
        Ok(())
    }

    fn text() -> profile::Column {
        profile::Column::Bio
    }

    fn row(owner: i64, n: usize) -> profile::ActiveModel {
        profile::ActiveModel {
            member_id: Set(owner),
            bio: Set(format!("It's \"{n}\" \\ \u{1f3e0}")),
            ..Default::default()
        }
    }

    fn is_not_found(error: &Error) -> bool {
        matches!(error, Error::OwnerNotFound { table: "members" })
    }
}

fn new_member(n: usize) -> member::ActiveModel {
    member::ActiveModel {
        email: Set(format!("member{n}@example.com")),
        name: Set(format!("member {n}")),
        password_hash: Set("$argon2id$".into()),
        ..Default::default()
    }
}

pub async fn create_members(db: &Db) {
    create_table(db, member::Entity).await;
    create_table(db, profile::Entity).await;
}

pub async fn create_table<E: EntityTrait>(db: &Db, entity: E) {
    let create = Schema::new(db.pool.get_database_backend()).create_table_from_entity(entity);
    db.pool.execute(&create).await.unwrap();
}

async fn owners<R: Kind>(db: &Db, number: usize) -> Vec<OwnerId<R>>
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    let mut owners = Vec::new();
    for n in 0..number {
        owners.push(R::owner(db, n).await);
    }
    owners
}

/// All rows of the role, through another pool.
async fn rows<R: Kind>(db: &Db) -> Vec<R::Model>
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    let pool = db.pool_of(1).await;
    let rows = R::find().all(&pool).await.unwrap();
    pool.close().await.unwrap();
    rows
}

fn value_of(key: impl IntoValueTuple) -> Value {
    match key.into_value_tuple() {
        ValueTuple::One(key) => key,
        several => panic!("{several:?}"),
    }
}

fn owner_of<R: Kind>(row: &R::Model) -> Value
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    row.get(R::owner_id())
}

on_each_backend!(
    a_clash_on_another_key_in_bulk_leaves_nothing,
    rows_that_set_different_columns_are_refused,
    a_row_without_an_owner_is_refused,
);

/// The second badge of its kind.
async fn a_clash_on_another_key_in_bulk_leaves_nothing(db: Db) {
    fails_as_a_whole::<courier::Entity>(db, |owner| {
        vec![courier::ActiveModel {
            badge: Set(Some("B1".into())),
            ..courier::Entity::row(owner, 2)
        }]
    })
    .await;
}

async fn rows_that_set_different_columns_are_refused(db: Db) {
    fails_as_a_whole::<courier::Entity>(db, |owner| {
        vec![courier::ActiveModel {
            grade: Set(3),
            ..courier::Entity::row(owner, 2)
        }]
    })
    .await;
}

async fn a_row_without_an_owner_is_refused(db: Db) {
    fails_as_a_whole::<payout::Entity>(db, |owner| {
        vec![payout::ActiveModel {
            host_id: sea_orm::ActiveValue::NotSet,
            ..payout::row(owner, 2)
        }]
    })
    .await;
}

// ---- what the schema has to be ----

pub async fn differences(db: &Db, model: &Model) -> Vec<String> {
    match model.verify(&db.pool).await {
        Ok(()) => Vec::new(),
        Err(SchemaError::Drift(differences)) => {
            differences.iter().map(ToString::to_string).collect()
        }
        Err(error) => panic!("{error:?}"),
    }
}

/// A table of couriers whose foreign key is like this.
async fn create_couriers(db: &Db, user_id: &str, foreign_key: &str) {
    let (id, time, vehicle) = match db.backend {
        On::Sqlite => ("uuid_text", "timestamp_with_timezone_text", "text"),
        On::Postgres => ("uuid", "timestamptz", "text"),
        On::MariaDb => ("binary(16)", "datetime(6)", "enum('bicycle', 'van')"),
    };
    db.execute(&format!(
        "CREATE TABLE couriers (
            id {id} NOT NULL PRIMARY KEY,
            user_id {id} {user_id},
            vehicle {vehicle} NOT NULL,
            badge varchar(20) UNIQUE,
            grade integer NOT NULL DEFAULT 7,
            created_at {time} NOT NULL,
            updated_at {time} NOT NULL
            {foreign_key}
        )"
    ))
    .await;
}

const RESTRICT: &str = ", FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE RESTRICT";

on_each_backend!(
    a_difference_of_a_role_is_told_as_that_of_a_host,
    roles_of_other_owners_are_verified,
);

async fn a_difference_of_a_role_is_told_as_that_of_a_host(db: Db) {
    let model = Model::accounts().role::<courier::Entity>();
    let missing = "table couriers is missing: nobody could get a courier";
    assert_eq!(differences(&db, &model).await, [missing]);
    let cascade = ", FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE";
    let to_guests = ", FOREIGN KEY (user_id) REFERENCES guests (id) ON DELETE RESTRICT";
    for (user_id, foreign_key, expected) in [
        ("NOT NULL UNIQUE", RESTRICT, None),
        (
            "NOT NULL",
            RESTRICT,
            Some("is not unique: a user could get two couriers"),
        ),
        (
            "UNIQUE",
            RESTRICT,
            Some("may be null: a courier could belong to nobody"),
        ),
        (
            "NOT NULL UNIQUE",
            "",
            Some("has no foreign key: a courier could outlive its user"),
        ),
        (
            "NOT NULL UNIQUE",
            cascade,
            Some("has a foreign key with ON DELETE CASCADE: a courier could vanish with its user"),
        ),
        (
            "NOT NULL UNIQUE",
            to_guests,
            Some("refers to guests.id, not users.id: a courier could outlive its user"),
        ),
        (
            "NOT NULL UNIQUE",
            &format!("{cascade}{RESTRICT}"),
            Some("has a foreign key with ON DELETE CASCADE: a courier could vanish with its user"),
        ),
        (
            "NOT NULL UNIQUE",
            &format!("{RESTRICT}{to_guests}"),
            Some("refers to guests.id: nobody could get a courier"),
        ),
    ] {
        create_couriers(&db, user_id, foreign_key).await;
        let expected: Vec<_> = expected
            .iter()
            .map(|found| format!("couriers.user_id {found}"))
            .collect();
        assert_eq!(differences(&db, &model).await, expected);
        assert_eq!(
            differences(&db, &Model::accounts()).await,
            Vec::<String>::new()
        );
        db.execute("DROP TABLE couriers").await;
    }
}

/// A role of a role, and one of the app's own people, whose tables SeaORM made.
async fn roles_of_other_owners_are_verified(db: Db) {
    payout::Entity::create_tables(&db).await;
    profile::Entity::create_tables(&db).await;
    let model = Model::new()
        .role::<payout::Entity>()
        .role::<profile::Entity>();
    assert_eq!(differences(&db, &model).await, Vec::<String>::new());

    db.execute("DROP TABLE profiles").await;
    let id = match db.backend {
        On::Sqlite => "integer NOT NULL PRIMARY KEY AUTOINCREMENT",
        On::Postgres => "bigserial NOT NULL PRIMARY KEY",
        On::MariaDb => "bigint NOT NULL PRIMARY KEY AUTO_INCREMENT",
    };
    db.execute(&format!(
        "CREATE TABLE profiles (id {id}, member_id bigint NOT NULL, bio text NOT NULL)"
    ))
    .await;
    assert_eq!(
        differences(&db, &model).await,
        [
            "profiles.member_id is not unique: a member could get two profiles",
            "profiles.member_id has no foreign key: a profile could outlive its member",
        ]
    );
}

#[test]
fn a_model_describes_every_table_once() {
    let model = Model::accounts()
        .role::<courier::Entity>()
        .role::<payout::Entity>()
        .role::<guesthouse::host::Entity>()
        .role::<courier::Entity>();
    let schema = model.describe();
    let models: Vec<_> = schema
        .models
        .iter()
        .map(|(model, table)| format!("{model} {table}"))
        .collect();
    assert_eq!(
        models,
        [
            "courier couriers",
            "guest guests",
            "host hosts",
            "payout payout_accounts",
            "user users"
        ]
    );
    assert_eq!(guesthouse::describe(), Model::accounts().describe());
    assert_eq!(
        format!("{model:?}"),
        r#"Model ["users", "guests", "hosts", "couriers", "payout_accounts"]"#
    );
}

// ---- what holds for each of them ----

of_each_role!(
    comes_and_goes,
    comes_and_goes_in_a_transaction,
    comes_in_bulk,
    is_given_to_all_who_lack_it,
    is_one_of_fifty,
    is_read_beside_its_owners,
    is_new_to_one_caller_only,
);

/// Some onboard an owner again and again, others end it as often: no two are given one row as new.
async fn is_new_to_one_caller_only<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let owner = R::owner(&db, 0).await;
    let key = <R::PrimaryKey as Iterable>::iter().next().unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let ending = [(); 2].map(|()| {
        let (pool, done) = (db.pool.clone(), done.clone());
        tokio::spawn(async move {
            while !done.load(Ordering::Relaxed) {
                retry(|| offboard::<R>(&pool, owner)).await.unwrap();
            }
        })
    });
    let onboarding = [(); 3].map(|()| {
        let pool = db.pool.clone();
        tokio::spawn(async move {
            let mut new = Vec::new();
            for n in 0..200 {
                // A number that is none of three would be a badge, on which two couriers could clash.
                let row = R::row(owner, 3 * (n % 20));
                match retry(|| onboard::<R>(&pool, row.clone())).await.unwrap() {
                    Onboarding::New(model) => new.push(model.get(key.into_column())),
                    Onboarding::Existing(_) => {}
                }
            }
            new
        })
    });
    let mut new = Vec::new();
    for task in onboarding {
        new.extend(task.await.unwrap());
    }
    done.store(true, Ordering::Relaxed);
    for task in ending {
        task.await.unwrap();
    }
    let distinct: BTreeSet<_> = new.iter().map(|key| format!("{key:?}")).collect();
    assert_eq!(distinct.len(), new.len());
    assert!(distinct.len() > 1, "nothing was made in between");
}

/// Pages of owners, with and without the role, in one statement each.
async fn is_read_beside_its_owners<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
    R::Owner: EntityTrait<Model: Send + Sync + Debug + PartialEq>,
{
    R::create_tables(&db).await;
    let all = owners::<R>(&db, 5).await;
    for n in [1, 3] {
        let _ = onboard::<R>(&db.pool, R::row(all[n], n)).await.unwrap();
    }
    let (pool, sent) = db.counted_pool().await;
    let key = |owner: &<R::Owner as EntityTrait>::Model| {
        let columns = <<R::Owner as EntityTrait>::PrimaryKey as Iterable>::iter();
        owner.get(columns.map(|key| key.into_column()).next().unwrap())
    };
    let keys =
        |numbers: &[usize]| -> Vec<Value> { numbers.iter().map(|n| value_of(all[*n])).collect() };

    for (owners, expected) in [
        (Owners::<R::Owner>::all(), keys(&[0, 1, 2, 3, 4])),
        (Owners::all().with::<R>(), keys(&[1, 3])),
        (Owners::all().without::<R>(), keys(&[0, 2, 4])),
        (Owners::all().with::<R>().without::<R>(), keys(&[])),
        (Owners::all().after(all[2]), keys(&[3, 4])),
    ] {
        let whole = owners.clone().fetch(&pool).await.unwrap();
        assert_eq!(whole.rows.iter().map(key).collect::<Vec<_>>(), expected);
        assert_eq!(whole.next, None);
        let mut read = Vec::new();
        let mut question = owners.clone().limit(2);
        loop {
            let page = question.fetch(&pool).await.unwrap();
            assert!(page.rows.len() <= 2);
            read.extend(page.rows.iter().map(key));
            let Some(next) = page.next else { break };
            question = owners.clone().limit(2).after(next);
        }
        assert_eq!(read, expected);
    }
    sent.take();
    assert_eq!(Owners::<R::Owner>::all().count(&pool).await.unwrap(), 5);
    let without = Owners::all().without::<R>();
    assert_eq!(
        without
            .clone()
            .limit(1)
            .after(all[4])
            .count(&pool)
            .await
            .unwrap(),
        3
    );
    let everyone = Owners::all().fetch_beside::<R>(&pool).await.unwrap();
    assert_eq!(sent.take().len(), 3);
    let nobody = Owners::<R::Owner>::all()
        .limit(0)
        .fetch(&pool)
        .await
        .unwrap();
    assert_eq!((nobody.rows.len(), nobody.next), (0, None));
    assert_eq!(sent.take().len(), 0, "nothing was asked for");

    let stored = rows::<R>(&db).await;
    for (n, (owner, role)) in everyone.rows.into_iter().enumerate() {
        assert_eq!(key(&owner), value_of(all[n]));
        let of_this = stored
            .iter()
            .find(|row| owner_of::<R>(row) == value_of(all[n]));
        assert_eq!(role.as_ref(), of_this);
    }
    let later = Owners::all()
        .after(all[1])
        .limit(1)
        .fetch_beside::<R>(&pool);
    let later = later.await.unwrap();
    assert_eq!((later.rows[0].1.as_ref(), later.next), (None, Some(all[2])));
    pool.close().await.unwrap();
}

async fn comes_and_goes<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let owner = R::owner(&db, 0).await;

    let nobody = onboard::<R>(&db.pool, R::row(R::NOBODY, 0)).await;
    assert!(nobody.as_ref().is_err_and(R::is_not_found), "{nobody:?}");
    assert_eq!(offboard::<R>(&db.pool, R::NOBODY).await.unwrap(), None);
    assert_eq!(rows::<R>(&db).await, []);

    let first = onboard::<R>(&db.pool, R::row(owner, 1)).await.unwrap();
    let again = onboard::<R>(&db.pool, R::row(owner, 2)).await.unwrap();
    assert!(first.is_new());
    assert_eq!(again, Onboarding::Existing(first.model().clone()));
    assert_eq!(rows::<R>(&db).await, [first.model().clone()]);

    let row = first.into_model();
    assert_eq!(offboard::<R>(&db.pool, owner).await.unwrap(), Some(row));
    assert_eq!(offboard::<R>(&db.pool, owner).await.unwrap(), None);
    assert_eq!(rows::<R>(&db).await, []);
}

async fn comes_and_goes_in_a_transaction<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let both = owners::<R>(&db, 2).await;
    let txn = db.pool.begin().await.unwrap();

    let nobody = onboard::<R>(&txn, R::row(R::NOBODY, 0)).await;
    assert!(nobody.as_ref().is_err_and(R::is_not_found), "{nobody:?}");
    let first = onboard::<R>(&txn, R::row(both[0], 1)).await.unwrap();
    let again = onboard::<R>(&txn, R::row(both[0], 2)).await.unwrap();
    assert_eq!(again, Onboarding::Existing(first.model().clone()));
    let gone = offboard::<R>(&txn, both[0]).await.unwrap();
    assert_eq!(gone.as_ref(), Some(first.model()));
    let kept = onboard_all::<R>(&txn, vec![R::row(both[1], 3)])
        .await
        .unwrap();
    assert_eq!(kept.new.len(), 1);
    txn.commit().await.unwrap();

    assert_eq!(rows::<R>(&db).await, kept.new);
}

async fn comes_in_bulk<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let six = owners::<R>(&db, 6).await;
    let there = onboard::<R>(&db.pool, R::row(six[2], 2))
        .await
        .unwrap()
        .into_model();

    let order = [5, 2, 0, 5, 4, 2];
    let mut offered: Vec<_> = order.iter().map(|n| R::row(six[*n], *n + 10)).collect();
    offered.insert(1, R::row(R::NOBODY, 7));
    let done = onboard_all::<R>(&db.pool, offered).await.unwrap();

    let new: Vec<_> = done.new.iter().map(owner_of::<R>).collect();
    assert_eq!(new, [5, 0, 4].map(|n| value_of(six[n])));
    assert_eq!(done.existing, std::slice::from_ref(&there));
    assert_eq!(done.unknown, [R::NOBODY]);
    let stored = rows::<R>(&db).await;
    assert_eq!(stored.len(), 4);
    assert!(
        [there]
            .iter()
            .chain(&done.new)
            .all(|row| stored.contains(row))
    );
    // A row is made as `onboard` makes it.
    for (row, n) in done.new.iter().zip([5, 0, 4]) {
        let sent = R::row(six[n], n + 10);
        for column in <R::Column as sea_orm::Iterable>::iter() {
            if let Some(value) = sent.get(column).into_value() {
                assert_eq!(row.get(column), value, "{}", column.as_str());
            }
        }
    }
}

/// Rows of which one clashes on another key, or cannot be made: none of them is.
async fn fails_as_a_whole<R: Kind>(db: Db, broken: impl Fn(OwnerId<R>) -> Vec<R::ActiveModel>)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let three = owners::<R>(&db, 3).await;
    let mut offered = vec![R::row(three[0], 1), R::row(three[1], 2)];
    offered.extend(broken(three[2]));
    let failed = onboard_all::<R>(&db.pool, offered).await;
    assert!(matches!(failed, Err(Error::Database { .. })), "{failed:?}");
    assert_eq!(rows::<R>(&db).await, []);
}

async fn is_given_to_all_who_lack_it<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let all = owners::<R>(&db, 5).await;
    let _ = onboard::<R>(&db.pool, R::row(all[3], 3)).await.unwrap();
    let model = Model::new().role::<R>();
    let counts = async || {
        let audits = model.audit(&db.pool).await.unwrap();
        assert_eq!(audits.len(), 1);
        assert_eq!(audits[0].table, R::default().table_name());
        (audits[0].owners, audits[0].rows, audits[0].owners_without)
    };
    assert_eq!(counts().await, (5, 1, 4));

    // Stopped before it is at its end, and run again.
    let txn = db.pool.begin().await.unwrap();
    assert_eq!(
        backfill::<R>(&txn, |owner| R::row(owner, 0), |_| {})
            .await
            .unwrap(),
        4
    );
    txn.rollback().await.unwrap();
    let mut totals = Vec::new();
    let given = backfill::<R>(
        &db.pool,
        |owner| R::row(owner, 0),
        |total| totals.push(total),
    )
    .await
    .unwrap();

    assert_eq!((given, totals), (4, vec![4]));
    assert_eq!(
        backfill::<R>(&db.pool, |owner| R::row(owner, 0), |_| {})
            .await
            .unwrap(),
        0
    );
    let owners: BTreeSet<_> = rows::<R>(&db)
        .await
        .iter()
        .map(|row| format!("{:?}", owner_of::<R>(row)))
        .collect();
    assert_eq!(owners.len(), 5);
    assert_eq!(rows::<R>(&db).await.len(), 5);
    assert_eq!(counts().await, (5, 5, 0));
    // Only guests are for every owner.
    let given = model
        .backfill_guests(&db.pool, |_| unreachable!("there are no guests"))
        .await;
    assert_eq!(given.unwrap(), None);
    assert_eq!(model.audit_emails(&db.pool).await.unwrap(), None);
}

/// One row, which one caller made and all were given.
fn check<M: PartialEq>(answers: &[Onboarding<M>], stored: &[M]) -> Result<(), String> {
    let new = answers.iter().filter(|answer| answer.is_new()).count();
    match stored {
        [row] if new == 1 && answers.iter().all(|answer| answer.model() == row) => Ok(()),
        stored => Err(format!("{new} new, {} rows", stored.len())),
    }
}

/// Fifty callers at once, each with a row of its own, and then fifty who end it.
async fn is_one_of_fifty<R: Kind>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    R::create_tables(&db).await;
    let owner = R::owner(&db, 0).await;

    let pool = db.pool.clone();
    let answers = at_once(move |n| {
        let pool = pool.clone();
        async move {
            retry(|| onboard::<R>(&pool, R::row(owner, n)))
                .await
                .unwrap()
        }
    })
    .await;
    let stored = rows::<R>(&db).await;
    assert_eq!(check(&answers, &stored), Ok(()));

    let pool = db.pool.clone();
    let ended = at_once(move |_| {
        let pool = pool.clone();
        async move { retry(|| offboard::<R>(&pool, owner)).await.unwrap() }
    })
    .await;
    let ended: Vec<_> = ended.into_iter().flatten().collect();
    assert_eq!(ended, stored);
    assert_eq!(rows::<R>(&db).await, []);
}
