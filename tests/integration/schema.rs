//! `verify_schema`: what it says of a schema that somebody has changed by hand.

use std::error::Error as _;

use guesthouse::{Difference, SchemaError, become_host, sign_up, verify_schema};
use guesthouse_migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbErr, Statement};
use uuid::Uuid;

use crate::{
    migration::catalogue,
    support::{Backend as On, TestDb as Db, email},
    tracing::{heard, listen},
};

/// What somebody did to a table, and all that is to be said of it.
///
/// `{table}`, `{row}` and `{purpose}` stand for the words of the table. On SQLite, which alters
/// little, `this => that` makes the table again with another definition.
type Case = (&'static str, &'static [&'static str]);

/// The cases that need more than the tables at hand to be undone: of `users`, where others refer to
/// it, and of everything at once.
fn cases_of_several_tables(backend: On) -> &'static [Case] {
    match backend {
        On::Sqlite => &[
            (
                "DROP TABLE users",
                &["table users is missing: nobody could sign up"],
            ),
            (
                "DROP TABLE hosts; DROP TABLE guests; DROP TABLE users",
                &[
                    "table users is missing: nobody could sign up",
                    "table guests is missing: nobody could sign up",
                    "table hosts is missing: nobody could become a host",
                ],
            ),
        ],
        On::Postgres => &[
            (
                "DROP TABLE users CASCADE",
                &[
                    "table users is missing: nobody could sign up",
                    "guests.user_id has no foreign key: a guest could outlive its user",
                    "hosts.user_id has no foreign key: a host could outlive its user",
                ],
            ),
            (
                "DROP TABLE hosts, guests, users",
                &[
                    "table users is missing: nobody could sign up",
                    "table guests is missing: nobody could sign up",
                    "table hosts is missing: nobody could become a host",
                ],
            ),
            (
                "ALTER TABLE users RENAME TO people; CREATE VIEW users AS SELECT * FROM people",
                &[
                    "table users is missing: nobody could sign up",
                    "guests.user_id refers to people.id, not users.id: a guest could outlive its user",
                    "hosts.user_id refers to people.id, not users.id: a host could outlive its user",
                ],
            ),
            (
                "ALTER TABLE users DROP CONSTRAINT users_pkey CASCADE",
                &[
                    "users.id is not the primary key: two users could share it",
                    "guests.user_id has no foreign key: a guest could outlive its user",
                    "hosts.user_id has no foreign key: a host could outlive its user",
                ],
            ),
        ],
        On::MariaDb => &[
            (
                "SET foreign_key_checks = 0; DROP TABLE users; SET foreign_key_checks = 1",
                &["table users is missing: nobody could sign up"],
            ),
            (
                "DROP TABLE hosts, guests, users",
                &[
                    "table users is missing: nobody could sign up",
                    "table guests is missing: nobody could sign up",
                    "table hosts is missing: nobody could become a host",
                ],
            ),
            (
                "RENAME TABLE users TO people; CREATE VIEW users AS SELECT * FROM people",
                &[
                    "table users is missing: nobody could sign up",
                    "guests.user_id refers to people.id, not users.id: a guest could outlive its user",
                    "hosts.user_id refers to people.id, not users.id: a host could outlive its user",
                ],
            ),
        ],
    }
}

fn cases_of_users(backend: On) -> &'static [Case] {
    match backend {
        On::Sqlite => &[
            (
                "ALTER TABLE users DROP COLUMN created_at",
                &["users.created_at is missing: nobody could sign up"],
            ),
            (
                r#""id" uuid_text NOT NULL => "id" uuid_text"#,
                &["users.id may be null: a user could be without it"],
            ),
            (
                r#""email" varchar(254) NOT NULL => "email" varchar(254)"#,
                &["users.email may be null: a user could be without it"],
            ),
            (
                r#""email" varchar(254) => "email" integer"#,
                &["users.email is integer, not varchar: a user could not be read back as it was stored"],
            ),
            (
                r#""email" varchar(254) => "email" varchar(254) COLLATE NOCASE"#,
                &["users.email is compared by NOCASE: two users could be taken for one"],
            ),
            (
                r#", CONSTRAINT "users_email_lowercase" CHECK (email = lower(email)) => "#,
                &["users.email may hold capital letters: one address could sign up twice"],
            ),
            (
                "CHECK (email = lower(email)) => CHECK (email = lower(email) OR id IS NULL)",
                &["users.email may hold capital letters: one address could sign up twice"],
            ),
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
                &["users.email is unique only for some rows (index users_email is partial): \
                   two users could share an address"],
            ),
            (
                "DROP INDEX users_email; CREATE UNIQUE INDEX users_email ON users (lower(email))",
                &["users.email is unique only within an expression (index users_email): \
                   two users could be taken for one"],
            ),
            (
                "DROP INDEX users_email; CREATE UNIQUE INDEX users_email ON users (created_at, email)",
                &["users.email is unique only together with created_at (index users_email): \
                   two users could share an address"],
            ),
        ],
        On::Postgres => &[
            (
                "ALTER TABLE users DROP COLUMN created_at",
                &["users.created_at is missing: nobody could sign up"],
            ),
            (
                "ALTER TABLE users ALTER email DROP NOT NULL",
                &["users.email may be null: a user could be without it"],
            ),
            (
                "ALTER TABLE users ALTER email TYPE char(254)",
                &["users.email is character(254), not character varying: \
                   a user could not be read back as it was stored"],
            ),
            (
                "ALTER TABLE users ALTER email TYPE varchar(100)",
                &["users.email holds only 100 characters: a longer email could not be stored"],
            ),
            (
                "CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
                 ALTER TABLE users ALTER email TYPE varchar(254) COLLATE any_case",
                &["users.email is compared by any_case: two users could be taken for one"],
            ),
            (
                "ALTER TABLE users DROP CONSTRAINT users_email_lowercase",
                &["users.email may hold capital letters: one address could sign up twice"],
            ),
            (
                "ALTER TABLE users DROP CONSTRAINT users_email_lowercase;
                 ALTER TABLE users ADD CHECK (email = lower(email)) NOT VALID",
                &["users.email may hold capital letters: one address could sign up twice"],
            ),
            (
                "ALTER TABLE users DROP CONSTRAINT users_email_lowercase;
                 ALTER TABLE users ADD CHECK (email = lower(email) OR id IS NULL)",
                &["users.email may hold capital letters: one address could sign up twice"],
            ),
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
                &["users.email is unique only for some rows (index users_email is partial): \
                   two users could share an address"],
            ),
            (
                "DROP INDEX users_email; CREATE UNIQUE INDEX users_email ON users (lower(email))",
                &["users.email is unique only within an expression (index users_email): \
                   two users could be taken for one"],
            ),
            (
                "DROP INDEX users_email;
                 CREATE UNIQUE INDEX users_email ON users (created_at, lower(email), email)",
                &["users.email is unique only together with created_at and an expression \
                   (index users_email): two users could share an address"],
            ),
        ],
        On::MariaDb => &[
            (
                "ALTER TABLE users DROP COLUMN created_at",
                &["users.created_at is missing: nobody could sign up"],
            ),
            (
                "ALTER TABLE users MODIFY email varchar(254) COLLATE utf8mb4_bin NULL",
                &["users.email may be null: a user could be without it"],
            ),
            (
                "ALTER TABLE users MODIFY email varbinary(254) NOT NULL",
                &["users.email is varbinary(254), not varchar: \
                   a user could not be read back as it was stored"],
            ),
            (
                "ALTER TABLE users MODIFY email varchar(100) COLLATE utf8mb4_bin NOT NULL",
                &["users.email holds only 100 characters: a longer email could not be stored"],
            ),
            (
                "ALTER TABLE users MODIFY email varchar(254) COLLATE utf8mb4_general_ci NOT NULL",
                &["users.email is compared by utf8mb4_general_ci: two users could be taken for one"],
            ),
            (
                "ALTER TABLE users DROP CONSTRAINT users_email_lowercase",
                &["users.email may hold capital letters: one address could sign up twice"],
            ),
            (
                "ALTER TABLE users DROP CONSTRAINT users_email_lowercase,
                     ADD CHECK (email = lower(email) OR id IS NULL),
                     MODIFY email varchar(254) COLLATE utf8mb4_bin NOT NULL
                         COMMENT 'not CHECK (email = lower(email))'",
                &["users.email may hold capital letters: one address could sign up twice"],
            ),
            (
                "ALTER TABLE users DROP INDEX users_email",
                &["users.email is not unique: two users could share an address"],
            ),
            (
                "ALTER TABLE users DROP INDEX users_email, ADD INDEX users_email (email)",
                &["users.email is not unique: two users could share an address"],
            ),
            (
                "ALTER TABLE users DROP INDEX users_email, ADD UNIQUE INDEX users_email (email(10))",
                &["users.email is unique only by its beginning (index users_email): \
                   two users could be taken for one"],
            ),
            (
                "ALTER TABLE users DROP INDEX users_email,
                     ADD UNIQUE INDEX users_email (created_at, email)",
                &["users.email is unique only together with created_at (index users_email): \
                   two users could share an address"],
            ),
        ],
    }
}

/// For `guests` and `hosts` alike.
fn cases_of_roles(backend: On) -> &'static [Case] {
    match backend {
        On::Sqlite => &[
            ("DROP TABLE {table}", &["table {table} is missing: nobody could {purpose}"]),
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
            (
                r#""user_id" uuid_text NOT NULL => "user_id" uuid_text"#,
                &["{table}.user_id may be null: {row} could belong to nobody"],
            ),
            (
                r#""created_at" timestamp_with_timezone_text NOT NULL => "created_at" text"#,
                &["{table}.created_at may be null: {row} could be without it"],
            ),
            (
                r#""user_id" uuid_text => "user_id" text"#,
                &["{table}.user_id is text, not uuid_text: {row} could not be read back as it was stored"],
            ),
            (
                r#""id" uuid_text => "id" integer"#,
                &["{table}.id is integer, not uuid_text: {row} could not be read back as it was stored"],
            ),
            (
                r#""created_at" timestamp_with_timezone_text => "created_at" "#,
                &["{table}.created_at is without a type, not timestamp_with_timezone_text: \
                   {row} could not be read back as it was stored"],
            ),
            (
                "(randomblob(16)) PRIMARY KEY => (randomblob(16))",
                &["{table}.id is not the primary key: two {table} could share it"],
            ),
            (
                "(randomblob(16)) PRIMARY KEY => (randomblob(16))
                 , FOREIGN KEY => , PRIMARY KEY (id, user_id), FOREIGN KEY",
                &["{table}.id is the primary key only together with user_id: two {table} could share it"],
            ),
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
                 CREATE UNIQUE INDEX {table}_user_id ON {table} (user_id) WHERE created_at > '2026'",
                &["{table}.user_id is unique only for some rows (index {table}_user_id is partial): \
                   a user could get two {table}"],
            ),
            (
                "DROP INDEX {table}_user_id;
                 CREATE UNIQUE INDEX {table}_user_id ON {table} (user_id, created_at)",
                &["{table}.user_id is unique only together with created_at (index {table}_user_id): \
                   a user could get two {table}"],
            ),
            (
                r#", FOREIGN KEY ("user_id") REFERENCES "users" ("id") ON DELETE RESTRICT => "#,
                &["{table}.user_id has no foreign key: {row} could outlive its user"],
            ),
            (
                r#"REFERENCES "users" => REFERENCES "people""#,
                &["{table}.user_id refers to people.id, not users.id: {row} could outlive its user"],
            ),
            (
                "ON DELETE RESTRICT => ",
                &["{table}.user_id has a foreign key with ON DELETE NO ACTION: \
                   a user could be gone before {row} is looked for"],
            ),
            (
                "ON DELETE RESTRICT => ON DELETE NO ACTION",
                &["{table}.user_id has a foreign key with ON DELETE NO ACTION: \
                   a user could be gone before {row} is looked for"],
            ),
            (
                "ON DELETE RESTRICT => ON DELETE CASCADE",
                &["{table}.user_id has a foreign key with ON DELETE CASCADE: \
                   {row} could vanish with its user"],
            ),
            (
                "ON DELETE RESTRICT => ON DELETE SET NULL",
                &["{table}.user_id has a foreign key with ON DELETE SET NULL: \
                   {row} could belong to nobody"],
            ),
            (
                "ON DELETE RESTRICT => ON DELETE SET DEFAULT",
                &["{table}.user_id has a foreign key with ON DELETE SET DEFAULT: \
                   {row} could pass to another user"],
            ),
            (
                r#", FOREIGN KEY => , "nickname" text NOT NULL, FOREIGN KEY"#,
                &["{table}.nickname may not be left out: nobody could {purpose}"],
            ),
        ],
        On::Postgres => &[
            ("DROP TABLE {table}", &["table {table} is missing: nobody could {purpose}"]),
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
            (
                "ALTER TABLE {table} ALTER user_id DROP NOT NULL",
                &["{table}.user_id may be null: {row} could belong to nobody"],
            ),
            (
                "ALTER TABLE {table} ALTER created_at DROP NOT NULL",
                &["{table}.created_at may be null: {row} could be without it"],
            ),
            (
                "ALTER TABLE {table} DROP CONSTRAINT {table}_user_id_fkey, ALTER user_id TYPE text",
                &[
                    "{table}.user_id is text, not uuid: {row} could not be read back as it was stored",
                    "{table}.user_id has no foreign key: {row} could outlive its user",
                ],
            ),
            (
                "ALTER TABLE {table} ALTER id DROP DEFAULT, ALTER id TYPE text",
                &["{table}.id is text, not uuid: {row} could not be read back as it was stored"],
            ),
            (
                "ALTER TABLE {table} ALTER created_at TYPE timestamp",
                &["{table}.created_at is timestamp without time zone, not timestamp with time zone: \
                   {row} could not be read back as it was stored"],
            ),
            (
                "ALTER TABLE {table} ALTER created_at TYPE timestamptz(3)",
                &["{table}.created_at is timestamp(3) with time zone, not timestamp with time zone: \
                   {row} could not be read back as it was stored"],
            ),
            (
                "ALTER TABLE {table} DROP CONSTRAINT {table}_pkey",
                &["{table}.id is not the primary key: two {table} could share it"],
            ),
            (
                "ALTER TABLE {table} DROP CONSTRAINT {table}_pkey, ADD PRIMARY KEY (id, user_id)",
                &["{table}.id is the primary key only together with user_id: two {table} could share it"],
            ),
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
                 CREATE UNIQUE INDEX {table}_user_id ON {table} (user_id) WHERE created_at > '2026-01-01'",
                &["{table}.user_id is unique only for some rows (index {table}_user_id is partial): \
                   a user could get two {table}"],
            ),
            (
                "DROP INDEX {table}_user_id;
                 CREATE UNIQUE INDEX {table}_user_id ON {table} (user_id, created_at)",
                &["{table}.user_id is unique only together with created_at (index {table}_user_id): \
                   a user could get two {table}"],
            ),
            (
                "DROP INDEX {table}_user_id;
                 ALTER TABLE {table} ADD CONSTRAINT late UNIQUE (user_id) DEFERRABLE",
                &["{table}.user_id is unique only at commit (index late is deferrable): \
                   a user could get two {table} until then"],
            ),
            (
                "UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = '{table}_user_id'::regclass",
                &["{table}.user_id is not unique (index {table}_user_id is invalid): \
                   a user could get two {table}"],
            ),
            (
                "ALTER TABLE {table} DROP CONSTRAINT {table}_user_id_fkey",
                &["{table}.user_id has no foreign key: {row} could outlive its user"],
            ),
            (
                "CREATE TABLE IF NOT EXISTS people (id uuid PRIMARY KEY);
                 ALTER TABLE {table} DROP CONSTRAINT {table}_user_id_fkey,
                     ADD FOREIGN KEY (user_id) REFERENCES people ON DELETE RESTRICT",
                &["{table}.user_id refers to people.id, not users.id: {row} could outlive its user"],
            ),
            (
                "ALTER TABLE {table} DROP CONSTRAINT {table}_user_id_fkey,
                     ADD FOREIGN KEY (user_id) REFERENCES users",
                &["{table}.user_id has a foreign key with ON DELETE NO ACTION: \
                   a user could be gone before {row} is looked for"],
            ),
            (
                "ALTER TABLE {table} DROP CONSTRAINT {table}_user_id_fkey,
                     ADD FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE",
                &["{table}.user_id has a foreign key with ON DELETE CASCADE: \
                   {row} could vanish with its user"],
            ),
            (
                "ALTER TABLE {table} DROP CONSTRAINT {table}_user_id_fkey,
                     ADD FOREIGN KEY (user_id) REFERENCES users ON DELETE SET NULL",
                &["{table}.user_id has a foreign key with ON DELETE SET NULL: \
                   {row} could belong to nobody"],
            ),
            (
                "ALTER TABLE {table} DROP CONSTRAINT {table}_user_id_fkey,
                     ADD FOREIGN KEY (user_id) REFERENCES users ON DELETE SET DEFAULT",
                &["{table}.user_id has a foreign key with ON DELETE SET DEFAULT: \
                   {row} could pass to another user"],
            ),
            (
                "ALTER TABLE {table} DROP CONSTRAINT {table}_user_id_fkey,
                     ADD FOREIGN KEY (user_id) REFERENCES users ON DELETE RESTRICT NOT VALID",
                &["{table}.user_id has a foreign key that was never validated: \
                   {row} could belong to nobody"],
            ),
            (
                "ALTER TABLE {table} ADD COLUMN nickname text NOT NULL",
                &["{table}.nickname may not be left out: nobody could {purpose}"],
            ),
        ],
        On::MariaDb => &[
            ("DROP TABLE {table}", &["table {table} is missing: nobody could {purpose}"]),
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
            (
                "ALTER TABLE {table} MODIFY user_id binary(16) NULL",
                &["{table}.user_id may be null: {row} could belong to nobody"],
            ),
            (
                "ALTER TABLE {table} MODIFY created_at datetime(6) NULL",
                &["{table}.created_at may be null: {row} could be without it"],
            ),
            (
                "ALTER TABLE {table} DROP FOREIGN KEY {table}_user_id_fkey,
                     MODIFY user_id char(36) NOT NULL",
                &[
                    "{table}.user_id is char(36), not binary(16): \
                     {row} could not be read back as it was stored",
                    "{table}.user_id has no foreign key: {row} could outlive its user",
                ],
            ),
            (
                "ALTER TABLE {table} MODIFY id uuid NOT NULL",
                &["{table}.id is uuid, not binary(16): {row} could not be read back as it was stored"],
            ),
            (
                "ALTER TABLE {table} MODIFY created_at datetime(3) NOT NULL DEFAULT utc_timestamp()",
                &["{table}.created_at is datetime(3), not datetime(6): \
                   {row} could not be read back as it was stored"],
            ),
            (
                "ALTER TABLE {table} MODIFY created_at timestamp NOT NULL DEFAULT utc_timestamp()",
                &["{table}.created_at is timestamp, not datetime(6): \
                   {row} could not be read back as it was stored"],
            ),
            (
                "ALTER TABLE {table} DROP PRIMARY KEY",
                &["{table}.id is not the primary key: two {table} could share it"],
            ),
            (
                "ALTER TABLE {table} DROP PRIMARY KEY, ADD PRIMARY KEY (id, user_id)",
                &["{table}.id is the primary key only together with user_id: two {table} could share it"],
            ),
            (
                "ALTER TABLE {table} DROP FOREIGN KEY {table}_user_id_fkey, DROP INDEX {table}_user_id",
                &[
                    "{table}.user_id is not unique: a user could get two {table}",
                    "{table}.user_id has no foreign key: {row} could outlive its user",
                ],
            ),
            (
                "ALTER TABLE {table} DROP INDEX {table}_user_id, ADD INDEX plain (user_id)",
                &["{table}.user_id is not unique: a user could get two {table}"],
            ),
            (
                "ALTER TABLE {table} DROP INDEX {table}_user_id,
                     ADD UNIQUE INDEX {table}_user_id (user_id, created_at)",
                &["{table}.user_id is unique only together with created_at (index {table}_user_id): \
                   a user could get two {table}"],
            ),
            (
                "ALTER TABLE {table} DROP INDEX {table}_user_id, ADD INDEX plain (user_id),
                     ADD UNIQUE INDEX {table}_user_id (user_id(8))",
                &["{table}.user_id is unique only by its beginning (index {table}_user_id): \
                   two {table} could be taken for one"],
            ),
            (
                "ALTER TABLE {table} DROP FOREIGN KEY {table}_user_id_fkey",
                &["{table}.user_id has no foreign key: {row} could outlive its user"],
            ),
            (
                "CREATE TABLE IF NOT EXISTS people (id binary(16) PRIMARY KEY);
                 ALTER TABLE {table} DROP FOREIGN KEY {table}_user_id_fkey,
                     ADD FOREIGN KEY (user_id) REFERENCES people (id) ON DELETE RESTRICT",
                &["{table}.user_id refers to people.id, not users.id: {row} could outlive its user"],
            ),
            (
                "ALTER TABLE {table} DROP FOREIGN KEY {table}_user_id_fkey,
                     ADD FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE NO ACTION",
                &["{table}.user_id has a foreign key with ON DELETE NO ACTION: \
                   a user could be gone before {row} is looked for"],
            ),
            (
                "ALTER TABLE {table} DROP FOREIGN KEY {table}_user_id_fkey,
                     ADD FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE",
                &["{table}.user_id has a foreign key with ON DELETE CASCADE: \
                   {row} could vanish with its user"],
            ),
            (
                "ALTER TABLE {table} DROP FOREIGN KEY {table}_user_id_fkey,
                     MODIFY user_id binary(16) NULL,
                     ADD FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE SET NULL",
                &[
                    "{table}.user_id may be null: {row} could belong to nobody",
                    "{table}.user_id has a foreign key with ON DELETE SET NULL: \
                     {row} could belong to nobody",
                ],
            ),
            (
                "ALTER TABLE {table} ADD COLUMN nickname varchar(20) NOT NULL",
                &["{table}.nickname may not be left out: nobody could {purpose}"],
            ),
        ],
    }
}

/// What an app may do to the schema without breaking a promise.
fn additions(backend: On) -> &'static [&'static str] {
    match backend {
        On::Sqlite => &[
            "CREATE TABLE cleaners (id integer)",
            "ALTER TABLE hosts ADD COLUMN nickname text",
            "ALTER TABLE hosts ADD COLUMN stars integer NOT NULL DEFAULT 0",
            "ALTER TABLE hosts ADD COLUMN is_new integer NOT NULL AS (created_at > '2026') VIRTUAL",
            "DROP INDEX hosts_user_id; CREATE UNIQUE INDEX one_host ON HOSTS (USER_ID DESC)",
            r#""user_id" uuid_text NOT NULL => "user_id" blob NOT NULL UNIQUE"#,
            r#"REFERENCES "users" ("id") => REFERENCES USERS"#,
            r#""hosts" => HOSTS"#,
        ],
        On::Postgres => &[
            "CREATE TABLE cleaners (id integer)",
            "ALTER TABLE hosts ADD COLUMN nickname text",
            "ALTER TABLE hosts ADD COLUMN stars integer NOT NULL DEFAULT 0",
            "ALTER TABLE hosts ADD COLUMN number integer GENERATED ALWAYS AS IDENTITY",
            "DROP INDEX hosts_user_id; CREATE UNIQUE INDEX one_host ON hosts (user_id DESC) INCLUDE (id)",
            "DROP INDEX hosts_user_id; ALTER TABLE hosts ADD UNIQUE (user_id)",
            "ALTER TABLE users ALTER email TYPE text",
            "ALTER TABLE users ALTER email TYPE varchar(1000)",
            "ALTER TABLE hosts ALTER created_at TYPE timestamptz(6)",
            "ALTER TABLE hosts RENAME CONSTRAINT hosts_user_id_fkey TO of_user",
            "CREATE SCHEMA other; CREATE TABLE other.hosts (id text)",
        ],
        On::MariaDb => &[
            "CREATE TABLE cleaners (id integer)",
            "CREATE TABLE IF NOT EXISTS Hosts (id integer NOT NULL)",
            "ALTER TABLE hosts ADD COLUMN nickname text",
            "ALTER TABLE hosts ADD COLUMN stars integer NOT NULL DEFAULT 0",
            "ALTER TABLE hosts ADD COLUMN number integer NOT NULL AUTO_INCREMENT UNIQUE",
            "ALTER TABLE hosts ADD COLUMN day date GENERATED ALWAYS AS (date(created_at)) STORED",
            "ALTER TABLE hosts ADD UNIQUE INDEX one_host (user_id), DROP INDEX hosts_user_id",
            "ALTER TABLE hosts ALTER INDEX hosts_user_id IGNORED",
            "ALTER TABLE users MODIFY email varchar(500) COLLATE utf8mb4_nopad_bin NOT NULL",
            "ALTER TABLE hosts MODIFY created_at timestamp(6) NOT NULL DEFAULT utc_timestamp(6)",
            "ALTER TABLE hosts DROP FOREIGN KEY hosts_user_id_fkey,
                 ADD CONSTRAINT `Of User` FOREIGN KEY (user_id) REFERENCES users (id)
                     ON DELETE RESTRICT ON UPDATE CASCADE",
        ],
    }
}

const USERS: [&str; 3] = ["users", "a user", "sign up"];
const GUESTS: [&str; 3] = ["guests", "a guest", "sign up"];
const HOSTS: [&str; 3] = ["hosts", "a host", "become a host"];

fn fill(template: &str, [table, row, purpose]: [&str; 3]) -> String {
    template
        .replace("{table}", table)
        .replace("{row}", row)
        .replace("{purpose}", purpose)
}

/// Does to a table what a case says, as an administrator would, and returns what is to be said.
async fn change(db: &Db, (what, says): Case, words: [&str; 3]) -> Vec<String> {
    let admin = db.pool_of(1).await;
    if what.contains(" => ") {
        make_again(&admin, words[0], what).await;
    } else {
        let what = fill(what, words);
        let done = admin.execute_unprepared(&what).await;
        assert!(done.is_ok(), "{what}: {done:?}");
    }
    admin.close().await.unwrap();
    says.iter().map(|line| fill(line, words)).collect()
}

/// Makes an empty table of SQLite again, with another definition and the same indexes.
async fn make_again(admin: &DatabaseConnection, table: &str, changes: &str) {
    let definitions = Statement::from_sql_and_values(
        admin.get_database_backend(),
        "SELECT sql FROM sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL ORDER BY type DESC",
        [table.into()],
    );
    let definitions: Vec<String> = admin
        .query_all_raw(definitions)
        .await
        .unwrap()
        .iter()
        .map(|row| row.try_get_by_index(0).unwrap())
        .collect();
    let mut create_table = definitions[0].clone();
    for change in changes.split('\n') {
        let (from, to) = change.split_once(" => ").unwrap();
        assert!(
            create_table.contains(from.trim()),
            "{from} in {create_table}"
        );
        create_table = create_table.replace(from.trim(), to);
    }
    admin
        .execute_unprepared(&format!("DROP TABLE {table}"))
        .await
        .unwrap();
    admin.execute_unprepared(&create_table).await.unwrap();
    for create_index in &definitions[1..] {
        admin.execute_unprepared(create_index).await.unwrap();
    }
}

/// A fresh schema, whatever has become of the old one.
async fn start_again(db: &Db) {
    let tables = "hosts, guests, users, people, cleaners, seaql_migrations";
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

fn differences(outcome: Result<(), SchemaError>) -> Vec<Difference> {
    match outcome {
        Ok(()) => Vec::new(),
        Err(SchemaError::Drift(differences)) => {
            assert!(!differences.is_empty());
            differences
        }
        Err(error) => panic!("{error:?}: {:?}", error.source()),
    }
}

async fn lines(pool: &DatabaseConnection) -> Vec<String> {
    let differences = differences(verify_schema(pool).await);
    differences.iter().map(Difference::to_string).collect()
}

fn difference(table: &str, column: Option<&str>, expected: &str, found: &str) -> Difference {
    Difference {
        table: table.into(),
        column: column.map(Into::into),
        expected: expected.into(),
        found: found.into(),
    }
}

/// Another URL of the same database, for another role.
fn url_of(db: &Db, role: &str) -> String {
    let (scheme, rest) = db.url.split_once("://").unwrap();
    let (_, address) = rest.split_once('@').unwrap();
    format!("{scheme}://{role}@{address}")
}

async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(2).sqlx_logging(false);
    Database::connect(options).await.unwrap()
}

/// What was logged of redundant indexes since this thread listens.
fn warnings() -> Vec<String> {
    let heard = heard();
    let about_indexes = heard.lines().filter(|line| line.contains("redundant"));
    about_indexes.map(str::to_owned).collect()
}

on_each_backend! {
    async fn a_fresh_schema_has_no_difference(db: TestDb) {
        listen();
        verify_schema(&db.pool).await.unwrap();
        assert_eq!(warnings(), [""; 0]);
    }

    async fn each_difference_alone_is_reported_exactly(db: TestDb) {
        let roles = cases_of_roles(db.backend);
        let of = |cases: &'static [Case], words| cases.iter().map(move |&case| (case, words));
        let cases = of(cases_of_several_tables(db.backend), USERS)
            .chain(of(cases_of_users(db.backend), USERS))
            .chain(of(roles, HOSTS))
            .chain(of(&roles[..4], GUESTS));
        let mut count = 0;
        for (case, words) in cases {
            let expected = change(&db, case, words).await;
            assert_eq!(lines(&db.pool).await, expected, "{case:?}");
            start_again(&db).await;
            count += 1;
        }
        assert!(count >= 35, "{count}");
        assert_eq!(lines(&db.pool).await, [""; 0]);
    }

    /// One of each table, so that none hides another.
    async fn three_differences_together_are_reported_in_order(db: TestDb) {
        let (users, roles) = (cases_of_users(db.backend), cases_of_roles(db.backend));
        let mut count = 0;
        for (at, &of_guests) in roles.iter().enumerate() {
            let of_hosts = roles[(at + 7) % roles.len()];
            let mut of_users = change(&db, users[at % users.len()], USERS).await;
            let of_hosts = change(&db, of_hosts, HOSTS).await;
            of_users.extend(change(&db, of_guests, GUESTS).await);
            of_users.extend(of_hosts);

            let error = verify_schema(&db.pool).await.unwrap_err();
            assert_eq!(error.to_string(), of_users.join("\n"));
            start_again(&db).await;
            count += 1;
        }
        assert!(count >= 20, "{count}");
    }

    async fn what_an_app_may_add_is_no_difference(db: TestDb) {
        let mut count = 0;
        for &addition in additions(db.backend) {
            let table = if addition.starts_with("ALTER TABLE users") { USERS } else { HOSTS };
            change(&db, (addition, &[]), table).await;
            assert_eq!(lines(&db.pool).await, [""; 0], "{addition}");
            // Not the pool, whose cached statements remember other types.
            let pool = db.pool_of(1).await;
            let ada = sign_up(&pool, email("ada")).await.unwrap().user;
            assert!(become_host(&pool, ada.id).await.unwrap().is_new());
            start_again(&db).await;
            count += 1;
        }
        assert!(count >= 8, "{count}");
    }

    /// As values, for programs.
    async fn a_difference_says_what_is_needed_and_what_is_there(db: TestDb) {
        let not_unique = match db.backend {
            On::MariaDb => "ALTER TABLE hosts ADD INDEX plain (user_id), DROP INDEX hosts_user_id",
            _ => "DROP INDEX hosts_user_id",
        };
        db.execute("DROP TABLE guests").await;
        db.execute(not_unique).await;

        let found = differences(verify_schema(&db.pool).await);

        assert_eq!(found, [
            difference("guests", None, "a table", "table guests is missing: nobody could sign up"),
            difference("hosts", Some("user_id"), "unique", "is not unique: a user could get two hosts"),
        ]);
        assert_eq!(
            serde_json::to_value(&found[1]).unwrap(),
            serde_json::json!({
                "table": "hosts",
                "column": "user_id",
                "expected": "unique",
                "found": "is not unique: a user could get two hosts",
            }),
        );
    }

    async fn a_role_that_may_only_read_is_enough(db: TestDb) {
        let role = format!("reader_{}", Uuid::now_v7().simple());
        let (url, clean_up) = match db.backend {
            On::Sqlite => (db.url.replace("mode=rwc", "mode=ro"), String::new()),
            On::Postgres => {
                db.execute(&format!(
                    "CREATE ROLE {role} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
                ))
                .await;
                (url_of(&db, &role), format!("DROP OWNED BY {role}; DROP ROLE {role}"))
            }
            On::MariaDb => {
                let (_, name) = db.url.rsplit_once('/').unwrap();
                db.execute(&format!("CREATE USER {role}@'%'; GRANT SELECT ON {name}.* TO {role}@'%'"))
                    .await;
                (url_of(&db, &role), format!("DROP USER {role}@'%'"))
            }
        };
        let reader = connect(&url).await;
        let write = reader.execute_unprepared("DELETE FROM hosts").await;
        let fresh = verify_schema(&reader).await;
        let case = cases_of_roles(db.backend)
            .iter()
            .find(|(_, says)| says[0].contains("NO ACTION"))
            .unwrap();
        let expected = change(&db, *case, HOSTS).await;
        let drifted = verify_schema(&reader).await;
        reader.close().await.unwrap();
        if db.backend != On::Sqlite {
            db.execute(&clean_up).await;
        }

        assert!(write.is_err());
        assert_eq!(differences(fresh), []);
        assert_eq!(drifted.unwrap_err().to_string(), expected.join("\n"));
    }

    async fn catalogue_and_rows_are_left_as_they_were(db: TestDb) {
        db.host("ada").await;
        db.user("grace").await;
        for drifted in [false, true] {
            if drifted {
                let not_unique = |case: &&Case| case.1[0].contains("is not unique");
                let case = cases_of_users(db.backend).iter().find(not_unique).unwrap();
                change(&db, *case, USERS).await;
            }
            let before = (catalogue(&db).await, db.rows().await);
            assert_eq!(lines(&db.pool).await.len(), usize::from(drifted));
            assert_eq!((catalogue(&db).await, db.rows().await), before);
        }
    }

    /// Not a difference, but work that each insert does twice.
    async fn a_redundant_index_is_a_warning(db: TestDb) {
        for index in ["INDEX a_plain_one", "UNIQUE INDEX a_unique_one"] {
            db.execute(&format!("CREATE {index} ON hosts (user_id)")).await;
        }
        db.execute("CREATE INDEX of_another_kind ON hosts (user_id, created_at)").await;

        listen();
        verify_schema(&db.pool).await.unwrap();
        let warnings = warnings();

        assert_eq!(warnings.len(), 2, "{warnings:#?}");
        for (warning, index) in warnings.iter().zip(["a_plain_one", "a_unique_one"]) {
            for part in ["WARN", "redundant", r#"table="hosts""#, r#"column="user_id""#, index] {
                assert!(warning.contains(part), "{part} in {warning}");
            }
        }
    }

    async fn foreign_keys_that_are_off_are_a_difference(db: TestDb) {
        let (switch, whose) = match db.backend {
            On::Sqlite => ("PRAGMA foreign_keys = OFF", "SQLite"),
            On::Postgres => ("SET session_replication_role = replica", "PostgreSQL"),
            On::MariaDb => ("SET foreign_key_checks = OFF", "MariaDB/MySQL"),
        };
        let pool = db.pool_of(1).await;
        pool.execute_unprepared(switch).await.unwrap();
        let off = format!(
            "foreign keys are off on this {whose} connection: a user could be deleted under a host"
        );

        let found = differences(verify_schema(&pool).await);
        assert_eq!(found, [difference("users", None, "foreign keys on", &off)]);

        db.execute("DROP TABLE hosts").await;
        let missing = "table hosts is missing: nobody could become a host".to_owned();
        assert_eq!(lines(&pool).await, [off, missing]);
    }

    async fn it_sends_as_many_statements_as_documented(db: TestDb) {
        let (pool, statements) = db.counted_pool().await;
        verify_schema(&pool).await.unwrap();
        let sent = statements.take();
        assert_eq!(sent.len(), if db.backend == On::MariaDb { 7 } else { 5 }, "{sent:#?}");
    }

    async fn an_error_keeps_the_drivers_words_to_its_source(db: TestDb) {
        db.pool.clone().close().await.unwrap();
        let closed = verify_schema(&db.pool).await.unwrap_err();
        assert!(matches!(closed, SchemaError::Database(_)), "{closed:?}");
        assert_eq!(closed.to_string(), "the catalogue of the database could not be read");

        let secret = SchemaError::Database(DbErr::Custom("ada@example.com".into()));
        for text in [secret.to_string(), format!("{secret:?}"), format!("{secret:#?}")] {
            assert!(!text.contains("ada"), "{text}");
        }
        assert!(secret.source().unwrap().to_string().contains("ada"));
    }
}

/// Each connection has its own switch, and nobody knows which one comes next.
#[cfg(feature = "sqlite")]
#[test]
fn one_idle_connection_without_foreign_keys_is_found() {
    use sea_orm::sqlx;

    crate::support::run(On::Sqlite, |db: Db| async move {
        let pool = db.pool_of(3).await;
        let connections = pool.get_sqlite_connection_pool();
        for turn in 0..3 {
            let mut all = Vec::new();
            for at in 0..3 {
                let mut connection = connections.acquire().await.unwrap();
                let switch = if at == turn { "OFF" } else { "ON" };
                sqlx::query(sqlx::AssertSqlSafe(format!(
                    "PRAGMA foreign_keys = {switch}"
                )))
                .execute(&mut *connection)
                .await
                .unwrap();
                all.push(connection);
            }
            drop(all);
            // A connection goes back to the pool in a task of its own.
            while connections.num_idle() < 3 {
                tokio::task::yield_now().await;
            }
            assert_eq!(lines(&pool).await.len(), 1, "{turn}");
        }
    });
}

/// Tables are looked for where the statements of the app would find them.
#[test]
fn the_search_path_is_followed() {
    crate::support::run(On::Postgres, |db: Db| async move {
        db.execute("CREATE SCHEMA app; ALTER TABLE hosts SET SCHEMA app")
            .await;
        assert_eq!(
            lines(&db.pool).await,
            ["table hosts is missing: nobody could become a host"]
        );
        for (path, count) in [("app,public", 0), ("public,app", 0), ("app", 3)] {
            let pool = connect(&format!("{}?options[search_path]={path}", db.url)).await;
            assert_eq!(lines(&pool).await.len(), count, "{path}");
        }
    });
}
