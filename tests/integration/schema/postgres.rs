//! What somebody may do by hand to a schema on PostgreSQL, and what is to be said of it.

use super::changes::Changes;

pub const CHANGES: Changes = Changes {
    of_several_tables: &[
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
        (
            "ALTER TABLE users DROP CONSTRAINT users_pkey CASCADE;
             ALTER TABLE users ADD UNIQUE (id), ADD PRIMARY KEY (id) DEFERRABLE INITIALLY DEFERRED;
             ALTER TABLE guests ADD FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE RESTRICT;
             ALTER TABLE hosts ADD FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE RESTRICT",
            &["users.id is the primary key only at commit (index users_pkey is deferrable): \
               two users could share it until then"],
        ),
        (
            "ALTER TABLE users DROP COLUMN email;
             ALTER TABLE users ADD email varchar(254) GENERATED ALWAYS AS ('a@x.io') STORED NOT NULL UNIQUE
                 CHECK (email = lower(email))",
            &["users.email is generated: nobody could sign up"],
        ),
        (
            "CREATE TABLE base (id uuid NOT NULL);
             ALTER TABLE users INHERIT base; ALTER TABLE hosts INHERIT base",
            &[
                "table users is the child of another table: \
                 a user could be changed or removed through it",
                "table hosts is the child of another table: \
                 a host could be changed or removed through it",
            ],
        ),
        (
            "DROP TABLE hosts;
             CREATE TABLE hosts (LIKE guests INCLUDING DEFAULTS INCLUDING CONSTRAINTS, PRIMARY KEY (id, user_id),
                 UNIQUE (user_id), FOREIGN KEY (user_id) REFERENCES users ON DELETE RESTRICT)
                 PARTITION BY HASH (user_id);
             CREATE UNLOGGED TABLE hosts_1 PARTITION OF hosts FOR VALUES WITH (MODULUS 1, REMAINDER 0);
             ALTER TABLE hosts_1 DISABLE TRIGGER ALL;
             ALTER TABLE hosts_1 ADD FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE",
            &[
                "table hosts is unlogged: a host could be lost in a crash",
                "hosts.id is the primary key only together with user_id: two hosts could share it",
                "hosts.user_id has a foreign key to users.id whose triggers are disabled: \
                 a host could belong to nobody",
                "hosts.user_id has a foreign key with ON DELETE CASCADE: \
                 a host could vanish with its user",
            ],
        ),
        (
            "ALTER TABLE hosts ADD guest_id uuid REFERENCES guests ON DELETE CASCADE,
                 ADD mentor_id uuid REFERENCES hosts ON DELETE CASCADE;
             ALTER TABLE guests ADD host_id uuid REFERENCES hosts ON DELETE CASCADE;
             ALTER TABLE users ADD invited_by uuid REFERENCES users ON DELETE CASCADE",
            &[
                "users.invited_by has a foreign key with ON DELETE CASCADE: \
                 a user could vanish with another row of users",
                "guests.host_id has a foreign key with ON DELETE CASCADE: \
                 a guest could vanish with a row of hosts",
                "hosts.guest_id has a foreign key with ON DELETE CASCADE: \
                 a host could vanish with a row of guests",
                "hosts.mentor_id has a foreign key with ON DELETE CASCADE: \
                 a host could vanish with another row of hosts",
            ],
        ),
        (
            "CREATE FUNCTION by_three(varchar, varchar) RETURNS integer LANGUAGE sql IMMUTABLE AS
                 $$ SELECT bttextcmp(left($1, 3), left($2, 3)) $$;
             CREATE OPERATOR CLASS three DEFAULT FOR TYPE varchar USING btree AS
                 FUNCTION 1 by_three(varchar, varchar);
             CREATE UNIQUE INDEX second ON users (email)",
            &["users.email is unique by three as well (index second): two users could be taken for one"],
        ),
        (
            "ALTER TABLE users DISABLE TRIGGER ALL",
            &[
                "guests.user_id has a foreign key to users.id whose triggers are disabled: \
                 a guest could belong to nobody",
                "hosts.user_id has a foreign key to users.id whose triggers are disabled: \
                 a host could belong to nobody",
            ],
        ),
    ],
    of_users: &[
        (
            "ALTER TABLE users ADD CONSTRAINT deferred UNIQUE (email) DEFERRABLE",
            &["users.email has a key that is checked only at commit (index deferred is deferrable): \
               nobody could sign up"],
        ),
        (
            "ALTER TABLE users ADD COLUMN nick text, ADD CONSTRAINT deferred UNIQUE (nick) DEFERRABLE",
            &["table users has a deferrable key (index deferred): \
               nobody could sign up with an id of the caller's"],
        ),
        (
            "ALTER TABLE users ADD during int4range,
                 ADD CONSTRAINT apart EXCLUDE USING gist (during WITH &&) DEFERRABLE",
            &["table users has a deferrable key (index apart): \
               nobody could sign up with an id of the caller's"],
        ),
        (
            "ALTER TABLE users ADD CONSTRAINT apart EXCLUDE (email WITH =) DEFERRABLE",
            &["table users has a deferrable key (index apart): \
               nobody could sign up with an id of the caller's"],
        ),
        (
            "ALTER TABLE users ADD phone text, ADD UNIQUE NULLS NOT DISTINCT (phone)",
            &["table users has a key that gets the same value in each insert (index users_phone_key): \
               nobody but the first could sign up"],
        ),
        (
            "ALTER TABLE users ADD phone text, ADD plan varchar(9) DEFAULT 'free';
             CREATE UNIQUE INDEX once ON users (plan, phone) NULLS NOT DISTINCT",
            &["table users has a key that gets the same value in each insert (index once): \
               nobody but the first could sign up"],
        ),
        (
            "ALTER TABLE users ADD username text NOT NULL DEFAULT '' UNIQUE",
            &["table users has a key that gets the same value in each insert (index users_username_key): \
               nobody but the first could sign up"],
        ),
        (
            "CREATE DOMAIN plan AS text DEFAULT 'free'; CREATE DOMAIN work_plan AS plan;
             ALTER TABLE users ADD plan work_plan UNIQUE",
            &["table users has a key that gets the same value in each insert (index users_plan_key): \
               nobody but the first could sign up"],
        ),
        (
            "CREATE UNIQUE INDEX one ON users ((true))",
            &["table users has a key that gets the same value in each insert (index one): \
               nobody but the first could sign up"],
        ),
        (
            "ALTER TABLE users ADD phone text; CREATE UNIQUE INDEX one ON users (coalesce(phone, ''))",
            &["table users has a key that gets the same value in each insert (index one): \
               nobody but the first could sign up"],
        ),
        (
            "ALTER TABLE users ADD plan text DEFAULT 'free', ADD CONSTRAINT one EXCLUDE USING hash (plan WITH =)",
            &["table users has a key that gets the same value in each insert (index one): \
               nobody but the first could sign up"],
        ),
        (
            "ALTER TABLE users ADD phone text, ADD telegram text,
                 ADD CHECK (phone IS NOT NULL OR telegram IS NOT NULL)",
            &["table users has a check that refuses each row that leaves out phone and telegram: \
               nobody could sign up"],
        ),
        (
            "ALTER TABLE users ADD phone text, ADD telegram text, ADD CHECK (num_nonnulls(phone, telegram) = 1)",
            &["table users has a check that refuses each row that leaves out phone and telegram: \
               nobody could sign up"],
        ),
        (
            "ALTER TABLE users ADD accepted boolean NOT NULL DEFAULT false CHECK (accepted)",
            &["users.accepted has a default that a check refuses: nobody could sign up"],
        ),
        (
            "CREATE DOMAIN yes AS boolean DEFAULT false CHECK (value); ALTER TABLE users ADD accepted yes",
            &["users.accepted has a default that a check refuses: nobody could sign up"],
        ),
        (
            "ALTER TABLE users ADD plan varchar(9) NOT NULL DEFAULT 'trial' CHECK (plan IN ('free', 'paid'))",
            &["users.plan has a default that a check refuses: nobody could sign up"],
        ),
        (
            "ALTER TABLE users ADD phone text, ADD CHECK (phone IS NOT NULL) NOT VALID",
            &["users.phone may not be left out: nobody could sign up"],
        ),
        (
            "ALTER TABLE users ADD CHECK (1 > 2)",
            &["table users has a check that refuses each row: nobody could sign up"],
        ),
        (
            "ALTER TABLE users DROP COLUMN updated_at;
             ALTER TABLE users ADD updated_at timestamptz GENERATED ALWAYS AS (created_at) STORED NOT NULL,
                 ADD CHECK (updated_at >= '0001-01-01 00:00:00+00' AND updated_at < '10000-01-01 00:00:00+00')",
            &["users.updated_at is generated: nobody could sign up"],
        ),
        (
            "ALTER TABLE users ADD COLUMN nickname text, ADD CHECK (nickname IS NOT NULL AND nickname <> '')",
            &["users.nickname may not be left out: nobody could sign up"],
        ),
        (
            "CREATE COLLATION ai (provider = icu, locale = 'und-u-ks-level1', deterministic = false);
             DROP INDEX users_email; CREATE UNIQUE INDEX users_email ON users (email COLLATE ai)",
            &["users.email is unique by ai (index users_email): two users could be taken for one"],
        ),
        (
            "CREATE COLLATION ai (provider = icu, locale = 'und-u-ks-level1', deterministic = false);
             CREATE UNIQUE INDEX second ON users (email COLLATE ai)",
            &["users.email is unique by ai as well (index second): two users could be taken for one"],
        ),
        (
            "CREATE FUNCTION by_three(text, text) RETURNS integer LANGUAGE sql IMMUTABLE AS
                 $$ SELECT bttextcmp(left($1, 3), left($2, 3)) $$;
             CREATE OPERATOR CLASS three FOR TYPE text USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =,
                 OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 by_three(text, text);
             DROP INDEX users_email; CREATE UNIQUE INDEX users_email ON users (email three)",
            &["users.email is unique by three (index users_email): two users could be taken for one"],
        ),
        (
            "CREATE COLLATION en (provider = icu, locale = 'en');
             UPDATE pg_collation SET collversion = '0' WHERE collname = 'en' AND collversion <> '';
             DROP INDEX users_email; CREATE UNIQUE INDEX users_email ON users (email COLLATE en)",
            &["users.email is unique by an order that has changed (index users_email was built by \
               another version of its collation): two users could share an address"],
        ),
        (
            "CREATE SCHEMA other; CREATE TABLE other.users (id uuid PRIMARY KEY);
             ALTER TABLE users ADD FOREIGN KEY (id) REFERENCES other.users (id)",
            &["users.id refers to other.users.id: nobody could sign up"],
        ),
        (
            "CREATE TABLE people (email varchar(254) PRIMARY KEY);
             ALTER TABLE users ADD FOREIGN KEY (email) REFERENCES people ON DELETE CASCADE",
            &["users.email has a foreign key with ON DELETE CASCADE: \
               a user could vanish with its row of people"],
        ),
        (
            "CREATE RULE loud AS ON UPDATE TO users DO ALSO NOTIFY users",
            &["rule loud of table users rewrites UPDATE: nobody could sign up"],
        ),
        (
            "ALTER TABLE users DROP CONSTRAINT users_email_lowercase;
             ALTER TABLE users ADD loweremail text, ADD CHECK (email = loweremail)",
            &["users.email may hold capital letters: one address could sign up twice"],
        ),
        (
            "ALTER TABLE users DROP CONSTRAINT users_email_lowercase;
             CREATE DOMAIN mail AS varchar(100) CHECK (value = lower(value));
             ALTER TABLE users ALTER email TYPE mail",
            &["users.email holds only 100 characters: a longer email could not be stored"],
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
            "ALTER TABLE users DROP CONSTRAINT users_updated_at_check",
            &["users.updated_at has no check that it lies within the years 1 to 9999: \
               a user could not be read"],
        ),
        (
            "CREATE TABLE former_users () INHERITS (users)",
            &["table users has children, which its keys leave out: a user could be there twice"],
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
            "DROP INDEX users_email;
             CREATE UNIQUE INDEX users_email ON users (created_at, lower(email), email)",
            &["users.email is unique only together with created_at and an expression \
               (index users_email): two users could share an address"],
        ),
        (
            "ALTER TABLE users ALTER created_at DROP NOT NULL",
            &["users.created_at may be null: a user could be without it"],
        ),
    ],
    of_roles: &[
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
            "DROP INDEX {table}_user_id;
             CREATE UNIQUE INDEX {table}_user_id ON {table} (user_id) WHERE created_at > '2026-01-01'",
            &["{table}.user_id is unique only for some rows (index {table}_user_id is partial): \
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
            "UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = '{table}_pkey'::regclass",
            &["{table}.id is not the primary key (index {table}_pkey is invalid): \
               two {table} could share it"],
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
            "ALTER TABLE {table} DISABLE TRIGGER ALL",
            &["{table}.user_id has a foreign key to users.id whose triggers are disabled: \
               {row} could belong to nobody"],
        ),
        (
            "DO $$ DECLARE name text; BEGIN
                 FOR name IN SELECT tgname FROM pg_trigger WHERE tgrelid = '{table}'::regclass LOOP
                     EXECUTE format('ALTER TABLE {table} ENABLE REPLICA TRIGGER %I', name);
                 END LOOP;
             END $$",
            &["{table}.user_id has a foreign key to users.id whose triggers are disabled: \
               {row} could belong to nobody"],
        ),
        (
            "ALTER TABLE {table} ALTER CONSTRAINT {table}_user_id_fkey DEFERRABLE INITIALLY DEFERRED",
            &["{table}.user_id has a foreign key to users.id that is checked only at commit: \
               {row} could belong to nobody until then"],
        ),
        (
            "ALTER TABLE {table} DROP CONSTRAINT {table}_created_at_check",
            &["{table}.created_at has no check that it lies within the years 1 to 9999: \
               {row} could not be read"],
        ),
        (
            "ALTER TABLE {table} DROP CONSTRAINT {table}_created_at_check,
                 ADD CHECK (created_at >= '0001-01-01 00:00:00+00')",
            &["{table}.created_at has no check that it lies within the years 1 to 9999: \
               {row} could not be read"],
        ),
        (
            "ALTER TABLE {table} SET UNLOGGED",
            &["table {table} is unlogged: {row} could be lost in a crash"],
        ),
        (
            "ALTER TABLE {table} DROP CONSTRAINT {table}_user_id_fkey;
             ALTER TABLE {table} ADD CONSTRAINT legacy FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE;
             ALTER TABLE {table} ADD CONSTRAINT {table}_user_id_fkey
                 FOREIGN KEY (user_id) REFERENCES users ON DELETE RESTRICT",
            &["{table}.user_id has a foreign key with ON DELETE CASCADE: \
               {row} could vanish with its user"],
        ),
        (
            "ALTER TABLE {table} ADD FOREIGN KEY (user_id) REFERENCES users,
                 ADD FOREIGN KEY (user_id) REFERENCES users ON DELETE SET NULL,
                 ADD FOREIGN KEY (user_id) REFERENCES users ON DELETE SET DEFAULT",
            &[
                "{table}.user_id has a foreign key with ON DELETE SET NULL: {row} could belong to nobody",
                "{table}.user_id has a foreign key with ON DELETE SET DEFAULT: \
                 {row} could pass to another user",
            ],
        ),
        (
            "ALTER TABLE users ADD UNIQUE (id, email); ALTER TABLE {table} ADD email varchar(254);
             ALTER TABLE {table} ADD FOREIGN KEY (user_id, email) REFERENCES users (id, email) ON DELETE CASCADE",
            &["{table}.user_id has a foreign key with ON DELETE CASCADE: \
               {row} could vanish with its user"],
        ),
        (
            "ALTER TABLE users ADD UNIQUE (id, created_at);
             ALTER TABLE {table} ADD FOREIGN KEY (user_id, created_at) REFERENCES users (id, created_at)",
            &["{table}.user_id refers to users (id, created_at): nobody could {purpose}"],
        ),
        (
            "CREATE TABLE people (id uuid PRIMARY KEY);
             ALTER TABLE {table} ADD FOREIGN KEY (user_id) REFERENCES people,
                 ADD FOREIGN KEY (id) REFERENCES people ON DELETE SET NULL",
            &[
                "{table}.id has a foreign key with ON DELETE SET NULL: {row} could belong to nobody",
                "{table}.user_id refers to people.id: nobody could {purpose}",
            ],
        ),
        (
            "ALTER TABLE {table} ADD approved_by uuid REFERENCES users ON DELETE CASCADE",
            &["{table}.approved_by has a foreign key with ON DELETE CASCADE: \
               {row} could vanish with another user"],
        ),
        (
            "CREATE TABLE vip () INHERITS ({table})",
            &["table {table} has children, which its keys leave out: {row} could be there twice"],
        ),
        (
            "CREATE RULE kept AS ON DELETE TO {table} DO INSTEAD NOTHING",
            &["rule kept of table {table} replaces DELETE: {row} could stay when it is removed"],
        ),
        (
            "CREATE RULE loud AS ON INSERT TO {table} DO ALSO NOTIFY {table}",
            &["rule loud of table {table} rewrites INSERT: nobody could {purpose}"],
        ),
        (
            "ALTER TABLE {table} ADD CONSTRAINT second UNIQUE (user_id) DEFERRABLE",
            &["{table}.user_id has a key that is checked only at commit (index second is deferrable): \
               nobody could {purpose}"],
        ),
        (
            "ALTER TABLE {table} DROP CONSTRAINT {table}_pkey, ADD PRIMARY KEY (id) DEFERRABLE",
            &["{table}.id is the primary key only at commit (index {table}_pkey is deferrable): \
               two {table} could share it until then"],
        ),
        (
            "ALTER TABLE {table} ADD COLUMN nickname text NOT NULL",
            &["{table}.nickname may not be left out: nobody could {purpose}"],
        ),
    ],
    additions: &[
        "CREATE TABLE cleaners (id integer)",
        "ALTER TABLE hosts ADD COLUMN nickname text",
        "ALTER TABLE hosts ADD COLUMN stars integer NOT NULL DEFAULT 0",
        "ALTER TABLE hosts ADD COLUMN number integer GENERATED ALWAYS AS IDENTITY",
        "DROP INDEX hosts_user_id; CREATE UNIQUE INDEX one_host ON hosts (user_id DESC) INCLUDE (id)",
        "DROP INDEX hosts_user_id; ALTER TABLE hosts ADD UNIQUE (user_id)",
        "ALTER TABLE users ALTER email TYPE text",
        "CREATE DOMAIN mail AS varchar(254) CHECK (value ~ '@');
         CREATE DOMAIN work_mail AS mail; ALTER TABLE users ALTER email TYPE work_mail",
        "CREATE DOMAIN mail AS text NOT NULL CHECK (value = lower(value));
         ALTER TABLE users DROP CONSTRAINT users_email_lowercase;
         ALTER TABLE users ALTER email TYPE mail, ALTER email DROP NOT NULL",
        "CREATE DOMAIN stars AS integer DEFAULT 3 NOT NULL; ALTER TABLE hosts ADD stars stars",
        "ALTER TABLE users DROP CONSTRAINT users_email_lowercase, ADD CHECK (lower(email) = email)",
        "ALTER TABLE users DROP CONSTRAINT users_email_lowercase,
             ADD CHECK (email = lower(email) AND length(email) > 3)",
        "ALTER TABLE users DROP CONSTRAINT users_email_lowercase,
             ADD CHECK (length(email) > 3 AND NOT (email <> lower(email::text)))",
        "ALTER TABLE users DROP CONSTRAINT users_updated_at_check,
             ADD CHECK (updated_at >= '2020-01-01'), ADD CHECK ('2900-01-01' > updated_at)",
        "ALTER TABLE users ADD UNIQUE (id, email); ALTER TABLE hosts ADD email varchar(254);
         ALTER TABLE hosts ADD FOREIGN KEY (user_id, email) REFERENCES users (id, email)",
        "ALTER TABLE hosts ADD FOREIGN KEY (user_id) REFERENCES users,
             ADD FOREIGN KEY (user_id) REFERENCES users ON DELETE RESTRICT",
        "CREATE TABLE plans (user_id uuid, plan text, PRIMARY KEY (user_id, plan));
         ALTER TABLE hosts ADD plan text, ADD FOREIGN KEY (user_id, plan) REFERENCES plans",
        "ALTER TABLE hosts ADD approved_by uuid REFERENCES users ON DELETE SET NULL",
        "CREATE TABLE plans (id uuid PRIMARY KEY); ALTER TABLE hosts ADD plan uuid REFERENCES plans ON DELETE CASCADE",
        "ALTER TABLE hosts ADD UNIQUE (id) DEFERRABLE",
        "ALTER TABLE users ADD during int4range, ADD EXCLUDE USING gist (during WITH &&)",
        "CREATE UNIQUE INDEX nc ON users (created_at, email COLLATE \"C\")",
        "DROP INDEX users_email; CREATE UNIQUE INDEX users_email ON users (email COLLATE \"C\")",
        "DROP INDEX users_email; CREATE UNIQUE INDEX users_email ON users (email varchar_pattern_ops)",
        "CREATE UNIQUE INDEX second ON users (email text_ops)",
        "ALTER TABLE hosts ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE users ADD phone text UNIQUE, ADD code uuid DEFAULT gen_random_uuid() UNIQUE,
             ADD number integer GENERATED ALWAYS AS IDENTITY UNIQUE, ADD plan varchar(9) DEFAULT 'free',
             ADD UNIQUE NULLS NOT DISTINCT (plan, email), ADD UNIQUE (plan, phone),
             ADD name text GENERATED ALWAYS AS (lower(email)) STORED UNIQUE;
         CREATE UNIQUE INDEX once ON users (plan) WHERE plan <> 'free'",
        "CREATE FUNCTION same() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.nickname := 'x'; RETURN NEW; END $$;
         ALTER TABLE hosts ADD nickname text NOT NULL;
         CREATE TRIGGER same BEFORE INSERT ON hosts FOR EACH ROW EXECUTE FUNCTION same()",
        "ALTER TABLE users ADD phone text, ADD accepted boolean NOT NULL DEFAULT true CHECK (accepted),
             ADD plan varchar(9) NOT NULL DEFAULT 'free' CHECK (plan IN ('free', 'paid')),
             ADD CHECK (phone IS NOT NULL OR email <> ''), ADD CHECK (num_nonnulls(phone, plan) = 1),
             ADD CHECK (length(phone) > 3), ADD CHECK (phone <> plan) NOT VALID,
             ADD CHECK (plan <> 'x' OR phone IS NOT NULL),
             ADD CONSTRAINT plans EXCLUDE USING btree (plan WITH =) WHERE (plan <> 'free')",
        "CREATE DOMAIN code AS uuid DEFAULT gen_random_uuid(); ALTER TABLE users ADD code code UNIQUE;
         CREATE UNIQUE INDEX a ON users (lower(email)); CREATE UNIQUE INDEX b ON users ((code IS NULL), email);
         ALTER TABLE users ADD phone text; CREATE UNIQUE INDEX c ON users (lower(phone))",
        "CREATE RULE loud AS ON DELETE TO hosts DO ALSO NOTIFY hosts",
        "ALTER TABLE users ALTER email TYPE varchar(1000)",
        "ALTER TABLE hosts ALTER created_at TYPE timestamptz(6)",
        "ALTER TABLE hosts RENAME CONSTRAINT hosts_user_id_fkey TO of_user",
        "ALTER TABLE hosts RENAME CONSTRAINT hosts_created_at_check TO readable",
        "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
         CREATE TRIGGER off AFTER INSERT ON hosts EXECUTE FUNCTION nothing();
         ALTER TABLE hosts DISABLE TRIGGER off",
        "CREATE SCHEMA other; CREATE TABLE other.hosts (id text)",
    ],
};
