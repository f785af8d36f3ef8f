//! What somebody may do by hand to a schema on MariaDB, and what is to be said of it.

use super::changes::Changes;

pub const CHANGES: Changes = Changes {
    of_several_tables: &[
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
        (
            "CREATE TABLE copy LIKE users; ALTER TABLE copy ENGINE = Aria;
             SET foreign_key_checks = 0; DROP TABLE users; CREATE TABLE users LIKE copy;
             SET foreign_key_checks = 1",
            &["table users is not kept by InnoDB: a user could be stored by half"],
        ),
        (
            "ALTER TABLE users ADD UNIQUE (id, created_at);
             ALTER TABLE hosts ADD FOREIGN KEY (user_id, created_at) REFERENCES users (id, created_at)",
            &["hosts.user_id refers to users (id, created_at): nobody could become a host"],
        ),
        (
            "ALTER TABLE guests DROP FOREIGN KEY guests_user_id_fkey;
             ALTER TABLE hosts DROP FOREIGN KEY hosts_user_id_fkey;
             ALTER TABLE users ENGINE = MyISAM",
            &[
                "table users is not kept by InnoDB: a user could be stored by half",
                "guests.user_id has no foreign key: a guest could outlive its user",
                "hosts.user_id has no foreign key: a host could outlive its user",
            ],
        ),
    ],
    of_users: &[
        (
            "ALTER TABLE users MODIFY email varchar(254) CHARACTER SET latin1 COLLATE latin1_bin NOT NULL",
            &["users.email is kept in latin1: an email of another script could not be stored"],
        ),
        (
            "ALTER TABLE users MODIFY email varchar(254) CHARACTER SET utf8mb3 COLLATE utf8mb3_bin NOT NULL",
            &["users.email is kept in utf8mb3: an email of another script could not be stored"],
        ),
        (
            "ALTER TABLE users DROP CONSTRAINT users_email_lowercase,
                 ADD loweremail varchar(254) COLLATE utf8mb4_bin, ADD CHECK (email = loweremail)",
            &["users.email may hold capital letters: one address could sign up twice"],
        ),
        (
            "CREATE TABLE people (id binary(16) PRIMARY KEY);
             ALTER TABLE users ADD FOREIGN KEY (id) REFERENCES people (id)",
            &["users.id refers to people.id: nobody could sign up"],
        ),
        (
            "ALTER TABLE users MODIFY email varchar(254) COLLATE utf8mb4_bin NULL",
            &["users.email may be null: a user could be without it"],
        ),
        (
            "ALTER TABLE users ADD nickname text, ADD CHECK (nickname IS NOT NULL AND nickname <> '')",
            &["users.nickname may not be left out: nobody could sign up"],
        ),
        (
            "ALTER TABLE users ADD username varchar(20) NOT NULL DEFAULT '' UNIQUE",
            &["table users has a key that gets the same value in each insert (index username): \
               nobody but the first could sign up"],
        ),
        (
            "ALTER TABLE users ADD one int AS (1) STORED UNIQUE",
            &["table users has a key that gets the same value in each insert (index one): \
               nobody but the first could sign up"],
        ),
        (
            "ALTER TABLE users ADD phone varchar(20), ADD line varchar(20) AS (coalesce(phone, '')) STORED UNIQUE",
            &["table users has a key that gets the same value in each insert (index line): \
               nobody but the first could sign up"],
        ),
        (
            "ALTER TABLE users ADD phone text, ADD telegram text,
                 ADD CHECK (phone IS NOT NULL OR telegram IS NOT NULL)",
            &["table users has a check that refuses each row that leaves out phone and telegram: \
               nobody could sign up"],
        ),
        (
            "ALTER TABLE users ADD accepted boolean NOT NULL DEFAULT false CHECK (accepted)",
            &["users.accepted has a default that a check refuses: nobody could sign up"],
        ),
        (
            "ALTER TABLE users ADD plan varchar(9) NOT NULL DEFAULT 'trial' CHECK (plan IN ('free', 'paid'))",
            &["users.plan has a default that a check refuses: nobody could sign up"],
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
            "ALTER TABLE users MODIFY email tinytext COLLATE utf8mb4_bin NOT NULL",
            &["users.email holds only 63 characters: a longer email could not be stored"],
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
            &[
                "users.email is unique only by its beginning (index users_email): \
               two users could be taken for one",
            ],
        ),
        (
            "ALTER TABLE users DROP INDEX users_email,
                 ADD UNIQUE INDEX users_email (created_at, email)",
            &[
                "users.email is unique only together with created_at (index users_email): \
               two users could share an address",
            ],
        ),
    ],
    of_roles: &[
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
            &[
                "{table}.id is the primary key only together with user_id: two {table} could share it",
            ],
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
            &[
                "{table}.user_id is unique only together with created_at (index {table}_user_id): \
               a user could get two {table}",
            ],
        ),
        (
            "ALTER TABLE {table} DROP INDEX {table}_user_id, ADD INDEX plain (user_id),
                 ADD UNIQUE INDEX {table}_user_id (user_id(8))",
            &[
                "{table}.user_id is unique only by its beginning (index {table}_user_id): \
               two {table} could be taken for one",
            ],
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
            &[
                "{table}.user_id has a foreign key with ON DELETE NO ACTION: \
               a user could be gone before {row} is looked for",
            ],
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
            "ALTER TABLE {table} DROP FOREIGN KEY {table}_user_id_fkey;
             ALTER TABLE {table} ENGINE = Aria",
            &[
                "table {table} is not kept by InnoDB: {row} could be stored by half",
                "{table}.user_id has no foreign key: {row} could outlive its user",
            ],
        ),
        (
            "ALTER TABLE {table} ADD CONSTRAINT legacy FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE",
            &["{table}.user_id has a foreign key with ON DELETE CASCADE: \
               {row} could vanish with its user"],
        ),
        (
            "ALTER TABLE {table} ADD approved_by binary(16),
                 ADD FOREIGN KEY (approved_by) REFERENCES users (id) ON DELETE CASCADE",
            &["{table}.approved_by has a foreign key with ON DELETE CASCADE: \
               {row} could vanish with another user"],
        ),
        (
            "ALTER TABLE {table} MODIFY created_at timestamp(6) NOT NULL
                 DEFAULT current_timestamp(6) ON UPDATE current_timestamp(6)",
            &["{table}.created_at is rewritten on every update: {row} could lose it"],
        ),
        (
            "ALTER TABLE {table} DROP COLUMN updated_at;
             ALTER TABLE {table} ADD updated_at datetime(6) GENERATED ALWAYS AS (created_at) STORED",
            &[
                "{table}.updated_at is generated: nobody could {purpose}",
                "{table}.updated_at may be null: {row} could be without it",
            ],
        ),
        (
            "ALTER TABLE {table} ADD COLUMN nickname varchar(20) NOT NULL",
            &["{table}.nickname may not be left out: nobody could {purpose}"],
        ),
    ],
    additions: &[
        "CREATE TABLE cleaners (id integer)",
        "CREATE TABLE IF NOT EXISTS Hosts (id integer NOT NULL)",
        "ALTER TABLE hosts ADD COLUMN nickname text",
        "ALTER TABLE users ADD phone varchar(20) UNIQUE, ADD code varchar(40) DEFAULT uuid() UNIQUE,
             ADD plan varchar(9) DEFAULT 'free', ADD UNIQUE (plan, email), ADD UNIQUE (plan, phone),
             ADD name varchar(254) COLLATE utf8mb4_bin GENERATED ALWAYS AS (lower(email)) STORED UNIQUE",
        "ALTER TABLE hosts ADD COLUMN stars integer NOT NULL DEFAULT 0",
        "ALTER TABLE hosts ADD COLUMN number integer NOT NULL AUTO_INCREMENT UNIQUE",
        "ALTER TABLE hosts ADD COLUMN day date GENERATED ALWAYS AS (date(created_at)) STORED",
        "ALTER TABLE hosts ADD UNIQUE INDEX one_host (user_id), DROP INDEX hosts_user_id",
        "ALTER TABLE hosts ALTER INDEX hosts_user_id IGNORED",
        "ALTER TABLE users DROP CONSTRAINT users_email_lowercase, ADD CHECK (lower(email) = email)",
        "ALTER TABLE users DROP CONSTRAINT users_email_lowercase,
             ADD CHECK (NOT (email <> lower(email)) && email LIKE '%@%')",
        "ALTER TABLE users DROP CONSTRAINT users_email_lowercase,
             ADD CHECK (email = lower(email) AND length(email) > 3)",
        "ALTER TABLE users DROP CONSTRAINT users_email_lowercase,
             MODIFY email varchar(254) COLLATE utf8mb4_bin NOT NULL CHECK (email <=> lower(email))",
        "ALTER TABLE hosts MODIFY updated_at datetime(6) NOT NULL
             DEFAULT current_timestamp(6) ON UPDATE current_timestamp(6)",
        "ALTER TABLE hosts ADD INDEX odd (created_at) COMMENT 'a, (b', ADD SYSTEM VERSIONING",
        "ALTER TABLE hosts ADD vs timestamp(6) GENERATED ALWAYS AS ROW START,
             ADD ve timestamp(6) GENERATED ALWAYS AS ROW END,
             ADD PERIOD FOR SYSTEM_TIME (vs, ve), ADD SYSTEM VERSIONING",
        "ALTER TABLE users ADD UNIQUE (id, email);
         ALTER TABLE hosts ADD email varchar(254) COLLATE utf8mb4_bin;
         ALTER TABLE hosts ADD FOREIGN KEY (user_id, email) REFERENCES users (id, email)",
        "ALTER TABLE hosts ADD approved_by binary(16),
             ADD FOREIGN KEY (approved_by) REFERENCES users (id) ON DELETE SET NULL",
        "ALTER TABLE users ADD phone text, ADD accepted boolean NOT NULL DEFAULT true CHECK (accepted),
             ADD plan varchar(9) NOT NULL DEFAULT 'Free' CHECK (plan IN ('free', 'paid')),
             ADD CHECK (phone IS NOT NULL OR email <> ''), ADD CHECK (length(phone) > 3),
             ADD born date DEFAULT '2000-01-01' CHECK (born = '2000-1-1')",
        "ALTER TABLE users MODIFY email text COLLATE utf8mb4_bin NOT NULL",
        "ALTER TABLE users MODIFY email varchar(500) COLLATE utf8mb4_nopad_bin NOT NULL",
        "ALTER TABLE hosts MODIFY created_at timestamp(6) NOT NULL DEFAULT utc_timestamp(6)",
        "ALTER TABLE hosts DROP FOREIGN KEY hosts_user_id_fkey,
             ADD CONSTRAINT `Of User` FOREIGN KEY (user_id) REFERENCES users (id)
                 ON DELETE RESTRICT ON UPDATE CASCADE",
    ],
};
