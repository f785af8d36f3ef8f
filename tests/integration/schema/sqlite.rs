//! What somebody may do by hand to a schema on SQLite, and what is to be said of it.

use super::changes::Changes;

pub const CHANGES: Changes = Changes {
    of_several_tables: &[
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
    of_users: &[
        (
            r#""email" varchar(254) NOT NULL => "email" varchar(254) NOT NULL UNIQUE ON CONFLICT REPLACE"#,
            &[
                "users.email has UNIQUE ON CONFLICT REPLACE: a user could be replaced by another one",
            ],
        ),
        (
            r#"CONSTRAINT "users_email_lowercase" => UNIQUE (email) ON CONFLICT IGNORE, CONSTRAINT "users_email_lowercase""#,
            &["table users has UNIQUE (email) ON CONFLICT IGNORE: \
               a user could be left out without an error"],
        ),
        (
            r#""id" uuid_text NOT NULL => "id" uuid_text NOT NULL ON CONFLICT ROLLBACK"#,
            &["users.id has NOT NULL ON CONFLICT ROLLBACK: \
               a refusal would end the transaction of the caller"],
        ),
        (
            "(randomblob(16)) PRIMARY KEY => (randomblob(16)) PRIMARY KEY ON CONFLICT FAIL",
            &["users.id has PRIMARY KEY ON CONFLICT FAIL: \
               a user could stay of a statement that failed"],
        ),
        (
            "CHECK (email = lower(email)) => CHECK (email = lower(email)) ON CONFLICT IGNORE",
            &["table users has CHECK ON CONFLICT IGNORE: a SQLite that heeds it would not refuse"],
        ),
        (
            "DROP INDEX users_email; CREATE UNIQUE INDEX users_email ON users (email COLLATE RTRIM)",
            &[
                "users.email is unique by RTRIM (index users_email): two users could be taken for one",
            ],
        ),
        (
            r#""email" varchar(254) NOT NULL => "email" varchar(254) NOT NULL AS (hex(id)) STORED"#,
            &["users.email is generated: nobody could sign up"],
        ),
        (
            "CHECK (email = lower(email)) => CHECK (email COLLATE NOCASE = lower(email))",
            &["users.email may hold capital letters: one address could sign up twice"],
        ),
        (
            r#"CONSTRAINT "users_email_lowercase" => nickname text DEFAULT NULL NOT NULL, CONSTRAINT "users_email_lowercase""#,
            &["users.nickname may not be left out: nobody could sign up"],
        ),
        (
            "ALTER TABLE users ADD COLUMN username text NOT NULL DEFAULT '';
             CREATE UNIQUE INDEX once ON users (username)",
            &["table users has a key that gets the same value in each insert (index once): \
               nobody but the first could sign up"],
        ),
        (
            "CREATE UNIQUE INDEX one ON users ((1) DESC)",
            &["table users has a key that gets the same value in each insert (index one): \
               nobody but the first could sign up"],
        ),
        (
            "ALTER TABLE users ADD COLUMN phone text;
             CREATE UNIQUE INDEX one ON users (ifnull(phone, ''))",
            &["table users has a key that gets the same value in each insert (index one): \
               nobody but the first could sign up"],
        ),
        (
            r#"CONSTRAINT "users_email_lowercase" => one int AS (1) STORED UNIQUE, CONSTRAINT "users_email_lowercase""#,
            &["table users has a key that gets the same value in each insert \
               (index sqlite_autoindex_users_2): nobody but the first could sign up"],
        ),
        (
            r#"CONSTRAINT "users_email_lowercase" => phone text, telegram text, CHECK (phone NOTNULL OR telegram NOTNULL), CONSTRAINT "users_email_lowercase""#,
            &["table users has a check that refuses each row that leaves out phone and telegram: \
               nobody could sign up"],
        ),
        (
            "ALTER TABLE users ADD COLUMN accepted boolean NOT NULL DEFAULT FALSE CHECK (accepted)",
            &["users.accepted has a default that a check refuses: nobody could sign up"],
        ),
        (
            "ALTER TABLE users ADD COLUMN plan text NOT NULL DEFAULT 'trial' CHECK (plan IN ('free', 'paid'))",
            &["users.plan has a default that a check refuses: nobody could sign up"],
        ),
        (
            r#""id" uuid_text => "id" uuid_text REFERENCES people (id)"#,
            &["users.id refers to people.id: nobody could sign up"],
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
            &[
                "users.email is integer, not varchar: a user could not be read back as it was stored",
            ],
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
            "DROP INDEX users_email; CREATE UNIQUE INDEX users_email ON users (created_at, email)",
            &[
                "users.email is unique only together with created_at (index users_email): \
               two users could share an address",
            ],
        ),
    ],
    of_roles: &[
        (
            r#""user_id" uuid_text NOT NULL => "user_id" uuid_text NOT NULL UNIQUE ON CONFLICT REPLACE"#,
            &["{table}.user_id has UNIQUE ON CONFLICT REPLACE: {row} could be replaced by another one"],
        ),
        (
            r#""user_id" uuid_text NOT NULL => "user_id" uuid_text NOT NULL ON CONFLICT FAIL"#,
            &["{table}.user_id has NOT NULL ON CONFLICT FAIL: \
               {row} could stay of a statement that failed"],
        ),
        (
            "(randomblob(16)) PRIMARY KEY => (randomblob(16)) PRIMARY KEY ON CONFLICT ROLLBACK",
            &["{table}.id has PRIMARY KEY ON CONFLICT ROLLBACK: \
               a refusal would end the transaction of the caller"],
        ),
        (
            ", FOREIGN KEY => , UNIQUE (user_id) ON CONFLICT IGNORE, CHECK (id <> user_id) ON CONFLICT REPLACE, FOREIGN KEY",
            &[
                "table {table} has UNIQUE (user_id) ON CONFLICT IGNORE: \
                 {row} could be left out without an error",
                "table {table} has CHECK ON CONFLICT REPLACE: \
                 a SQLite that heeds it would not refuse",
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
            &[
                "{table}.user_id is text, not uuid_text: {row} could not be read back as it was stored",
            ],
        ),
        (
            r#""id" uuid_text => "id" integer"#,
            &[
                "{table}.id is integer, not uuid_text: {row} could not be read back as it was stored",
            ],
        ),
        (
            r#""created_at" timestamp_with_timezone_text => "created_at" "#,
            &[
                "{table}.created_at is without a type, not timestamp_with_timezone_text: \
               {row} could not be read back as it was stored",
            ],
        ),
        (
            "(randomblob(16)) PRIMARY KEY => (randomblob(16))",
            &["{table}.id is not the primary key: two {table} could share it"],
        ),
        (
            "(randomblob(16)) PRIMARY KEY => (randomblob(16))
             , FOREIGN KEY => , PRIMARY KEY (id, user_id), FOREIGN KEY",
            &[
                "{table}.id is the primary key only together with user_id: two {table} could share it",
            ],
        ),
        (
            r#""created_at" timestamp_with_timezone_text => "created_at" real"#,
            &[
                "{table}.created_at is real, not timestamp_with_timezone_text: \
               {row} could not be read back as it was stored",
            ],
        ),
        (
            "DROP INDEX {table}_user_id;
             CREATE UNIQUE INDEX {table}_user_id ON {table} (user_id) WHERE created_at > '2026'",
            &[
                "{table}.user_id is unique only for some rows (index {table}_user_id is partial): \
               a user could get two {table}",
            ],
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
            &[
                "{table}.user_id has a foreign key with ON DELETE NO ACTION: \
               a user could be gone before {row} is looked for",
            ],
        ),
        (
            "ON DELETE RESTRICT => ON DELETE NO ACTION",
            &[
                "{table}.user_id has a foreign key with ON DELETE NO ACTION: \
               a user could be gone before {row} is looked for",
            ],
        ),
        (
            "ON DELETE RESTRICT => ON DELETE CASCADE",
            &["{table}.user_id has a foreign key with ON DELETE CASCADE: \
               {row} could vanish with its user"],
        ),
        (
            "ON DELETE RESTRICT => ON DELETE SET NULL",
            &[
                "{table}.user_id has a foreign key with ON DELETE SET NULL: \
               {row} could belong to nobody",
            ],
        ),
        (
            "ON DELETE RESTRICT => ON DELETE SET DEFAULT",
            &[
                "{table}.user_id has a foreign key with ON DELETE SET DEFAULT: \
               {row} could pass to another user",
            ],
        ),
        (
            "ON DELETE RESTRICT => ON DELETE RESTRICT, FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE",
            &["{table}.user_id has a foreign key with ON DELETE CASCADE: \
               {row} could vanish with its user"],
        ),
        (
            "ON DELETE RESTRICT => ON DELETE RESTRICT, FOREIGN KEY (user_id, id) REFERENCES users (id, email)",
            &["{table}.id refers to users (id, email): nobody could {purpose}"],
        ),
        (
            "ON DELETE RESTRICT => ON DELETE RESTRICT DEFERRABLE INITIALLY DEFERRED",
            &[
                "{table}.user_id has a foreign key to users.id that is checked only at commit: \
               {row} could belong to nobody until then",
            ],
        ),
        (
            "ALTER TABLE {table} ADD COLUMN approved_by uuid_text REFERENCES users ON DELETE CASCADE",
            &["{table}.approved_by has a foreign key with ON DELETE CASCADE: \
               {row} could vanish with another user"],
        ),
        (
            r#", FOREIGN KEY => , "nickname" text NOT NULL, FOREIGN KEY"#,
            &["{table}.nickname may not be left out: nobody could {purpose}"],
        ),
    ],
    additions: &[
        "CREATE TABLE cleaners (id integer)",
        "ALTER TABLE hosts ADD COLUMN nickname text",
        "ALTER TABLE users ADD COLUMN phone text; ALTER TABLE users ADD COLUMN plan text DEFAULT 'free';
         ALTER TABLE users ADD COLUMN name text AS (lower(email)); CREATE UNIQUE INDEX a ON users (phone);
         CREATE UNIQUE INDEX b ON users (plan, email); CREATE UNIQUE INDEX c ON users (plan, phone);
         CREATE UNIQUE INDEX d ON users (name); CREATE UNIQUE INDEX e ON users (plan) WHERE plan <> 'free'",
        "ALTER TABLE hosts ADD COLUMN stars integer NOT NULL DEFAULT 0",
        "ALTER TABLE hosts ADD COLUMN is_new integer NOT NULL AS (created_at > '2026') VIRTUAL",
        "ALTER TABLE hosts ADD COLUMN approved_by uuid_text REFERENCES users ON DELETE SET NULL",
        "DROP INDEX hosts_user_id; CREATE UNIQUE INDEX one_host ON HOSTS (USER_ID DESC)",
        r#""user_id" uuid_text NOT NULL => "user_id" blob NOT NULL UNIQUE"#,
        "ALTER TABLE users ADD COLUMN phone text CHECK (phone NOTNULL OR email <> '');
         ALTER TABLE users ADD COLUMN accepted boolean NOT NULL DEFAULT TRUE CHECK (accepted);
         ALTER TABLE users ADD COLUMN plan text NOT NULL DEFAULT 'free' CHECK (plan IN ('free', 'paid'));
         ALTER TABLE users ADD COLUMN line text AS (lower(phone)) CHECK (length(line) > 3);
         CREATE UNIQUE INDEX a ON users (line); CREATE UNIQUE INDEX b ON users (lower(email), (1))",
        r#"REFERENCES "users" ("id") => REFERENCES USERS"#,
        r#""hosts" => HOSTS"#,
        "ON DELETE RESTRICT => ON DELETE RESTRICT DEFERRABLE INITIALLY IMMEDIATE",
        r#""created_at" timestamp_with_timezone_text => "created_at" text CHECK (created_at NOT GLOB 'x*')"#,
        "CREATE UNIQUE INDEX nc ON users (created_at, email COLLATE NOCASE)",
        "CREATE UNIQUE INDEX nc ON users (email COLLATE NOCASE)",
        "CREATE TRIGGER loud AFTER INSERT ON hosts BEGIN SELECT 1; END",
        "ALTER TABLE users ADD COLUMN nickname text COLLATE NOCASE CHECK (nickname IS NOT 'x' OR nickname ISNULL)",
    ],
};
