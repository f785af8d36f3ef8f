//! Changing a schema by hand, as an administrator would, and making it anew.

use guesthouse_migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};

use super::{mariadb, postgres, sqlite};
use crate::support::{Backend as On, TestDb as Db};

/// What somebody did to a table, and all that is to be said of it.
///
/// `{table}`, `{row}` and `{purpose}` stand for the words of the table. On SQLite, which alters
/// little, `this => that` makes the table again with another definition.
pub type Case = (&'static str, &'static [&'static str]);

/// What is done on one backend.
pub struct Changes {
    /// Cases that need more than the tables at hand to be undone: of `users`, where others refer to
    /// it, and of everything at once.
    pub of_several_tables: &'static [Case],
    pub of_users: &'static [Case],
    /// For `guests` and `hosts` alike.
    pub of_roles: &'static [Case],
    /// What an app may do without breaking a promise.
    pub additions: &'static [&'static str],
}

const OF_USERS_EVERYWHERE: &[Case] = &[(
    "ALTER TABLE users DROP COLUMN created_at",
    &["users.created_at is missing: nobody could sign up"],
)];

const OF_ROLES_EVERYWHERE: &[Case] = &[
    (
        "DROP TABLE {table}",
        &["table {table} is missing: nobody could {purpose}"],
    ),
    (
        "ALTER TABLE {table} DROP COLUMN updated_at",
        &["{table}.updated_at is missing: nobody could {purpose}"],
    ),
    (
        "ALTER TABLE {table} RENAME COLUMN user_id TO owner_id",
        &[
            "{table}.user_id is missing: nobody could {purpose}",
            "{table}.owner_id may not be left out: nobody could {purpose}",
        ],
    ),
];

/// MariaDB drops an index through its table.
const OF_USERS_BUT_ON_MARIADB: &[Case] = &[
    (
        "DROP INDEX users_email",
        &["users.email is not unique: two users could share an address"],
    ),
    (
        "DROP INDEX users_email; CREATE INDEX users_email ON users (email)",
        &["users.email is not unique: two users could share an address"],
    ),
    (
        "DROP INDEX users_email;
         CREATE UNIQUE INDEX users_email ON users (email) WHERE email <> ''",
        &[
            "users.email is unique only for some rows (index users_email is partial): \
           two users could share an address",
        ],
    ),
    (
        "DROP INDEX users_email; CREATE UNIQUE INDEX users_email ON users (lower(email))",
        &[
            "users.email is unique only within an expression (index users_email): \
           two users could be taken for one",
        ],
    ),
];

const OF_ROLES_BUT_ON_MARIADB: &[Case] = &[
    (
        "DROP INDEX {table}_user_id",
        &["{table}.user_id is not unique: a user could get two {table}"],
    ),
    (
        "DROP INDEX {table}_user_id; CREATE INDEX {table}_user_id ON {table} (user_id)",
        &["{table}.user_id is not unique: a user could get two {table}"],
    ),
    (
        "DROP INDEX {table}_user_id;
         CREATE UNIQUE INDEX {table}_user_id ON {table} (user_id, created_at)",
        &[
            "{table}.user_id is unique only together with created_at (index {table}_user_id): \
           a user could get two {table}",
        ],
    ),
];

pub fn on(backend: On) -> Changes {
    match backend {
        On::Sqlite => sqlite::CHANGES,
        On::Postgres => postgres::CHANGES,
        On::MariaDb => mariadb::CHANGES,
    }
}

pub fn of_users(backend: On) -> Vec<Case> {
    let own = on(backend).of_users;
    match backend {
        On::MariaDb => [OF_USERS_EVERYWHERE, own].concat(),
        _ => [OF_USERS_EVERYWHERE, OF_USERS_BUT_ON_MARIADB, own].concat(),
    }
}

pub fn of_roles(backend: On) -> Vec<Case> {
    let own = on(backend).of_roles;
    match backend {
        On::MariaDb => [OF_ROLES_EVERYWHERE, own].concat(),
        _ => [OF_ROLES_EVERYWHERE, OF_ROLES_BUT_ON_MARIADB, own].concat(),
    }
}

pub const USERS: [&str; 3] = ["users", "a user", "sign up"];
pub const GUESTS: [&str; 3] = ["guests", "a guest", "sign up"];
pub const HOSTS: [&str; 3] = ["hosts", "a host", "become a host"];

fn fill(template: &str, [table, row, purpose]: [&str; 3]) -> String {
    template
        .replace("{table}", table)
        .replace("{row}", row)
        .replace("{purpose}", purpose)
}

/// Does to a table what a case says, as an administrator would, and returns what is to be said.
pub async fn change(db: &Db, (what, says): Case, words: [&str; 3]) -> Vec<String> {
    let done = try_change(db, what, words).await;
    assert!(done.is_ok(), "{what}: {done:?}");
    says.iter().map(|line| fill(line, words)).collect()
}

/// The same for what need not be possible.
pub async fn try_change(db: &Db, what: &str, words: [&str; 3]) -> Result<(), DbErr> {
    let admin = db.pool_of(1).await;
    let done = match what.contains(" => ") {
        true => make_again(&admin, words[0], what).await,
        false => admin.execute_unprepared(&fill(what, words)).await.map(drop),
    };
    admin.close().await.unwrap();
    done
}

/// Makes an empty table of SQLite again, with another definition and the same indexes.
async fn make_again(admin: &DatabaseConnection, table: &str, changes: &str) -> Result<(), DbErr> {
    let definitions = Statement::from_sql_and_values(
        admin.get_database_backend(),
        "SELECT sql FROM sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL ORDER BY type DESC",
        [table.into()],
    );
    let definitions: Vec<String> = admin
        .query_all_raw(definitions)
        .await?
        .iter()
        .map(|row| row.try_get_by_index(0).unwrap())
        .collect();
    let is_table = |sql: &&String| sql.starts_with("CREATE TABLE");
    let mut create_table = definitions
        .iter()
        .find(is_table)
        .cloned()
        .unwrap_or_default();
    for change in changes.split('\n') {
        let (from, to) = change.split_once(" => ").unwrap();
        if !create_table.contains(from.trim()) {
            return Err(DbErr::Custom(format!("{from} in {create_table}")));
        }
        create_table = create_table.replace(from.trim(), to);
    }
    admin
        .execute_unprepared(&format!("DROP TABLE {table}"))
        .await?;
    admin.execute_unprepared(&create_table).await?;
    for beside in definitions.iter().filter(|sql| !is_table(sql)) {
        admin.execute_unprepared(beside).await?;
    }
    Ok(())
}

/// A fresh schema, whatever has become of the old one.
pub async fn start_again(db: &Db) {
    let tables = "hosts, guests, users, people, cleaners, copy, seaql_migrations";
    let admin = db.pool_of(1).await;
    match db.backend {
        On::Sqlite => {
            admin
                .execute_unprepared("PRAGMA foreign_keys = OFF")
                .await
                .unwrap();
            for table in tables.split(", ") {
                let drop = format!("DROP TABLE IF EXISTS {table}");
                admin.execute_unprepared(&drop).await.unwrap();
            }
        }
        On::Postgres => {
            admin
                .execute_unprepared("DROP SCHEMA public CASCADE; DROP SCHEMA IF EXISTS other CASCADE; CREATE SCHEMA public")
                .await
                .unwrap();
        }
        On::MariaDb => {
            let drop = format!(
                "SET foreign_key_checks = 0; DROP VIEW IF EXISTS users;
                 DROP TABLE IF EXISTS {tables}, Hosts"
            );
            admin.execute_unprepared(&drop).await.unwrap();
        }
    }
    admin.close().await.unwrap();
    Migrator::up(&db.pool, None).await.unwrap();
}
