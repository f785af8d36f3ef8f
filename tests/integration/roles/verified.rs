//! `Model::verify` of a role of the app's own: what it says of hosts, it says of the role.

use std::fmt::Debug;

use guesthouse::{Model, OwnerId, SchemaError};
use sea_orm::{ConnectionTrait, sea_query::ValueType};

use super::{Kind, courier, differences, payout, profile};
use crate::{
    schema::{
        changes::{self, of_roles, start_again, try_change},
        settings,
    },
    support::{Backend as On, TestDb as Db},
};

/// A role beside hosts.
trait Verified: Kind
where
    OwnerId<Self>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    /// What stands for `{table}`, `{row}` and `{purpose}`.
    const WORDS: [&'static str; 3];

    const OWNER: &'static str;

    /// What stands in the cases and their sentences for what hosts have.
    const INSTEAD: &'static [(&'static str, &'static str)];

    /// The columns that hosts do not have, and their constraints.
    const COLUMNS: &'static [(&'static str, &'static str)];

    /// What cannot be done to the table.
    const IMPOSSIBLE: &'static [&'static str];

    /// What is said of hosts and not of this role: its columns but the foreign key are the app's own.
    const UNSAID: &'static [&'static str];
}

/// Their types, bounds and upkeep are the app's, and so are further keys over them.
const OF_COLUMNS_OF_THE_APP: &[&str] = &[
    "{table}.created_at is timestamp",
    "{table}.created_at is datetime",
    "{table}.created_at is without a type",
    "{table}.created_at is real",
    "{table}.created_at has no check",
    "{table}.created_at is rewritten on every update",
    "{table}.updated_at is generated",
    "{table}.id has a foreign key with ON DELETE SET NULL",
    "{table}.id refers to users (id, email)",
    "{table}.user_id refers to users (id, created_at)",
];

impl Verified for courier::Entity {
    const WORDS: [&'static str; 3] = ["couriers", "a courier", "get a courier"];
    const OWNER: &'static str = "users";
    const INSTEAD: &'static [(&'static str, &'static str)] = &[];
    const COLUMNS: &'static [(&'static str, &'static str)] = &[
        ("vehicle", "NOT NULL"),
        ("badge", "UNIQUE"),
        ("grade", "NOT NULL"),
    ];
    const IMPOSSIBLE: &'static [&'static str] = &[];
    const UNSAID: &'static [&'static str] = &[];
}

impl Verified for payout::Entity {
    const WORDS: [&'static str; 3] = ["payout_accounts", "a payout", "get a payout"];
    const OWNER: &'static str = "hosts";
    const INSTEAD: &'static [(&'static str, &'static str)] = &[
        ("user", "host"),
        ("created_at", "opened_at"),
        ("updated_at", "local_time"),
        (r#""id" uuid_text"#, r#""id" bigint"#),
        ("randomblob(16)", "random()"),
    ];
    const COLUMNS: &'static [(&'static str, &'static str)] = &[
        ("iban", "NOT NULL"),
        ("verified", "NOT NULL"),
        ("fee", "NOT NULL"),
        ("balance", "NOT NULL"),
        ("share", "NOT NULL"),
        ("seal", "NOT NULL"),
        ("opened_on", "NOT NULL"),
        ("settings", "NOT NULL"),
        ("note", "NULL"),
        ("limit", "NULL"),
        ("closed_at", "NULL"),
    ];
    const IMPOSSIBLE: &'static [&'static str] = &[
        "MODIFY id uuid",
        "CREATE TABLE people (id uuid PRIMARY KEY)",
    ];
    const UNSAID: &'static [&'static str] = &[
        "{table}.id is text, not",
        "{table}.id is integer, not",
        "{table}.id is uuid, not",
    ];
}

impl Verified for profile::Entity {
    const WORDS: [&'static str; 3] = ["profiles", "a profile", "get a profile"];
    const OWNER: &'static str = "members";
    const INSTEAD: &'static [(&'static str, &'static str)] = &[
        ("user", "member"),
        ("created_at", "bio"),
        ("uuid_text", "bigint"),
        ("binary(16)", "bigint"),
        ("uuid", "bigint"),
        ("randomblob(16)", "random()"),
    ];
    const COLUMNS: &'static [(&'static str, &'static str)] = &[];
    const IMPOSSIBLE: &'static [&'static str] = &[];
    const UNSAID: &'static [&'static str] = &[
        "{table}.id is text, not",
        "{table}.id is integer, not",
        "{table}.id is uuid, not",
        "{table}.user_id is text, not",
        "{table}.user_id is char(36), not",
        // Of a number MariaDB takes the whole.
        "{table}.user_id is unique only by its beginning",
        "{table}.updated_at",
    ];
}

fn instead<R: Verified>(text: &str) -> String
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    let all = R::INSTEAD.iter();
    all.fold(text.to_owned(), |text, (of_hosts, own)| {
        text.replace(of_hosts, own)
    })
}

/// The table of the role as the migrations make that of hosts, with the role's names and columns.
async fn create<R: Verified>(db: &Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    let (uuid, time) = match db.backend {
        On::Sqlite => ("uuid_text", "timestamp_with_timezone_text"),
        On::Postgres => ("uuid", "timestamptz"),
        On::MariaDb => ("binary(16)", "datetime(6)"),
    };
    let (id, key) = match (R::OWNER, db.backend) {
        ("users", On::Sqlite) => (uuid, "randomblob(16)"),
        ("users", On::Postgres) => (uuid, "gen_random_uuid()"),
        ("users", On::MariaDb) => (uuid, "unhex(replace(uuid(), '-', ''))"),
        (_, On::Sqlite) => ("bigint", "random()"),
        (_, On::Postgres) => ("bigint", "(1000000 * random())::bigint"),
        (_, On::MariaDb) => ("bigint", "floor(1000000 * rand())"),
    };
    let (now, check) = match db.backend {
        On::Sqlite => ("'2026-11-25T21:30:05+00:00'", ""),
        On::Postgres => (
            "now()",
            "CHECK (? >= '0001-01-01 00:00:00+00' AND ? < '10000-01-01 00:00:00+00')",
        ),
        On::MariaDb => ("utc_timestamp(6)", ""),
    };
    let name = match db.backend {
        On::Sqlite => "",
        On::Postgres | On::MariaDb => "CONSTRAINT {table}_user_id_fkey ",
    };
    let owner_id = if R::OWNER == "members" { id } else { uuid };
    let quote = if db.backend == On::MariaDb { '`' } else { '"' };
    let quoted = |name: &str| format!("{quote}{name}{quote}");
    let mut parts = vec![
        format!("{} {id} NOT NULL DEFAULT ({key}) PRIMARY KEY", quoted("id")),
        format!("{} {owner_id} NOT NULL", quoted("user_id")),
    ];
    for (column, constraint) in R::COLUMNS {
        parts.push(format!("{} varchar(99) {constraint}", quoted(column)));
    }
    for column in ["created_at", "updated_at"] {
        let (column, check) = (quoted(column), check.replace('?', column));
        parts.push(format!("{column} {time} NOT NULL DEFAULT ({now}) {check}"));
    }
    // MariaDB makes an index for the foreign key, unless there is one.
    if db.backend == On::MariaDb {
        parts.push("UNIQUE INDEX {table}_user_id (user_id)".to_owned());
    }
    parts.push(format!(
        "{name}FOREIGN KEY ({}) REFERENCES {} ({}) ON DELETE RESTRICT",
        quoted("user_id"),
        quoted("users"),
        quoted("id")
    ));
    let mut all = match R::OWNER {
        // The cases change the owners' table too.
        "members" => vec![format!(
            "CREATE TABLE members (id bigint NOT NULL PRIMARY KEY, email varchar(254), bio {time})"
        )],
        "hosts" => vec![
            "ALTER TABLE hosts ADD email varchar(254)".to_owned(),
            format!("ALTER TABLE hosts ADD opened_at {time}"),
        ],
        _ => vec![],
    };
    all.push(format!(
        "CREATE TABLE {} ( {} )",
        quoted("{table}"),
        parts.join(", ")
    ));
    if db.backend != On::MariaDb {
        let index = quoted("{table}_user_id");
        all.push(format!(
            "CREATE UNIQUE INDEX {index} ON {{table}} (user_id)"
        ));
    }
    let admin = db.pool_of(1).await;
    for sql in all {
        let sql = instead::<R>(&sql).replace("{table}", R::WORDS[0]);
        admin.execute_unprepared(&sql).await.unwrap();
    }
    admin.close().await.unwrap();
}

async fn create_again<R: Verified>(db: &Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    if db.backend != On::Postgres {
        let admin = db.pool_of(1).await;
        for table in [R::WORDS[0], "members"] {
            let drop = format!("DROP TABLE IF EXISTS {table}");
            admin.execute_unprepared(&drop).await.unwrap();
        }
        admin.close().await.unwrap();
    }
    start_again(db).await;
    create::<R>(db).await;
}

of_each_role!(
    each_difference_is_reported_as_that_of_a_host,
    a_setting_is_reported_with_the_first_table,
    a_temporary_table_in_front_is_found,
);

async fn each_difference_is_reported_as_that_of_a_host<R: Verified>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    let model = Model::new().role::<R>();
    create::<R>(&db).await;
    assert_eq!(differences(&db, &model).await, [""; 0]);
    let (mut wrong, mut said) = (Vec::new(), 0);
    for (what, says) in of_roles(db.backend) {
        let own = instead::<R>(what);
        let done = try_change(&db, &own, R::WORDS).await;
        let is_impossible = R::IMPOSSIBLE.iter().any(|part| what.contains(part));
        if done.is_ok() == is_impossible {
            wrong.push(format!("{own}: {done:?}"));
        }
        if done.is_ok() {
            let unsaid = R::UNSAID.iter().chain(OF_COLUMNS_OF_THE_APP);
            let is_said = |line: &&&str| !unsaid.clone().any(|start| line.starts_with(start));
            let [table, row, purpose] = R::WORDS;
            let expected: Vec<_> = says
                .iter()
                .filter(is_said)
                .map(|line| {
                    instead::<R>(line)
                        .replace("{table}", table)
                        .replace("{row}", row)
                        .replace("{purpose}", purpose)
                })
                .collect();
            let found = differences(&db, &model).await;
            if found != expected {
                wrong.push(format!("{own}: {found:#?}, not {expected:#?}"));
            }
            said += expected.len();
        }
        create_again::<R>(&db).await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(said >= 20, "{said}");
    assert_eq!(differences(&db, &model).await, [""; 0]);
}

on_each_backend!(a_difference_of_several_tables_is_reported_as_that_of_a_host,);

/// Couriers in the place of hosts.
async fn a_difference_of_several_tables_is_reported_as_that_of_a_host(db: Db) {
    let model = Model::new().role::<courier::Entity>();
    let of_courier = |text: &str| {
        text.replace("become a host", "get a courier")
            .replace("host", "courier")
    };
    let mut said = 0;
    for (what, says) in changes::on(db.backend).of_several_tables {
        // That table would not have a courier's columns.
        if what.contains("PARTITION") {
            continue;
        }
        create_again::<courier::Entity>(&db).await;
        db.execute("DROP TABLE hosts").await;
        let done = try_change(&db, &of_courier(what), courier::Entity::WORDS).await;
        assert!(done.is_ok(), "{what}: {done:?}");
        let of_hosts = says.iter().filter(|line| line.contains("host"));
        // A key between a courier and a table that the model does not have is the app's own.
        let unsaid = ["refers to users (id, created_at)", "guest"];
        let is_said = |line: &&&str| !unsaid.iter().any(|part| line.contains(part));
        let expected: Vec<_> = of_hosts.filter(is_said).map(|it| of_courier(it)).collect();
        assert_eq!(differences(&db, &model).await, expected, "{what}");
        said += expected.len();
    }
    assert!(said >= 1, "{said}");
}

/// The first table of the list is the role's.
async fn a_setting_is_reported_with_the_first_table<R: Verified>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    create::<R>(&db).await;
    let model = Model::new().role::<R>();
    for (setting, expected, found) in settings(db.backend) {
        let pool = db.pool_of(1).await;
        pool.execute_unprepared(setting).await.unwrap();
        let Err(SchemaError::Drift(differences)) = model.verify(&pool).await else {
            panic!("{setting} is no difference")
        };
        pool.close().await.unwrap();
        let told: Vec<_> = differences
            .iter()
            .map(|it| {
                (
                    it.table.as_str(),
                    it.column.as_deref(),
                    &*it.expected,
                    &*it.found,
                )
            })
            .collect();
        assert_eq!(told, [(R::WORDS[0], None, *expected, *found)], "{setting}");
    }
}

/// It stands before the real one in every statement of its connection.
async fn a_temporary_table_in_front_is_found<R: Verified>(db: Db)
where
    OwnerId<R>: ValueType + Copy + Debug + Send + Sync + 'static,
{
    create::<R>(&db).await;
    let model = Model::new().role::<R>();
    let pool = db.pool_of(1).await;
    let role = R::default();
    let table = role.table_name();
    let create = format!("CREATE TEMPORARY TABLE {table} (id integer PRIMARY KEY)");
    pool.execute_unprepared(&create).await.unwrap();
    let Err(SchemaError::Drift(found)) = model.verify(&pool).await else {
        panic!("the temporary table is no difference")
    };
    pool.close().await.unwrap();
    let [table, row, _] = R::WORDS;
    assert_eq!(
        found[0].to_string(),
        format!("table {table} is temporary: {row} could be lost with the connection")
    );
    assert_eq!(differences(&db, &model).await, [""; 0]);
}
