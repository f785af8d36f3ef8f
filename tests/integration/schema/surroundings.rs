//! What stands around a table: triggers, row level security, temporary tables, other schemas, and
//! the database with its encoding.

use guesthouse::{
    Error, Model, audit, audit_emails, backfill, backfill_guests, become_host, guest, sign_up,
};
use guesthouse_migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseConnection, TransactionTrait};
use uuid::Uuid;

use super::{
    changes::{GUESTS, HOSTS, USERS, start_again, try_change},
    connect, differences, lines, set_on_one, url_of,
};
use crate::{
    roles::member,
    support::{Backend as On, TestDb as Db, email, is_possible},
    tracing::{heard, listen},
};

/// What `verify_schema` warns of, one line each.
async fn warnings(db: &Db) -> Vec<String> {
    listen();
    assert_eq!(lines(&db.pool).await, [""; 0]);
    let heard = heard();
    let warnings = heard.lines().filter(|line| line.contains("WARN"));
    warnings.map(str::to_owned).collect()
}

fn trigger(backend: On, name: &str, when: &str) -> String {
    match backend {
        On::Sqlite => format!("CREATE TRIGGER {name} {when} ON hosts BEGIN SELECT 1; END"),
        On::Postgres => format!(
            "CREATE OR REPLACE FUNCTION same() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN RETURN coalesce(NEW, OLD); END $$;
             CREATE TRIGGER {name} {when} ON hosts FOR EACH ROW EXECUTE FUNCTION same()"
        ),
        On::MariaDb => format!("CREATE TRIGGER {name} {when} ON hosts FOR EACH ROW SET @x = 1"),
    }
}

on_each_backend!(a_trigger_is_a_warning, a_temporary_table_in_front_is_found,);

/// The app's own right, but it stands between a statement and its row.
async fn a_trigger_is_a_warning(db: Db) {
    assert_eq!(warnings(&db).await, [""; 0]);
    for (name, when) in [("log", "AFTER INSERT"), ("guard", "BEFORE DELETE")] {
        // A trigger is made of one statement, which MariaDB does not prepare.
        db.pool
            .execute_unprepared(&trigger(db.backend, name, when))
            .await
            .unwrap();
    }

    let warnings = warnings(&db).await;

    assert_eq!(warnings.len(), 2, "{warnings:#?}");
    for (warning, parts) in warnings.iter().zip([
        [
            r#"table="hosts""#,
            r#"trigger="guard""#,
            "runs before DELETE: it could change a host, or keep it back",
        ],
        [
            r#"table="hosts""#,
            r#"trigger="log""#,
            "runs with INSERT: it could refuse a host",
        ],
    ]) {
        for part in parts {
            assert!(warning.contains(part), "{part} in {warning}");
        }
    }
}

/// It stands before the real one in every statement of its connection.
async fn a_temporary_table_in_front_is_found(db: Db) {
    let pool = db.pool_of(1).await;
    let id = match db.backend {
        On::Sqlite => "uuid_text",
        On::Postgres => "uuid",
        On::MariaDb => "binary(16)",
    };
    let create = format!("CREATE TEMPORARY TABLE hosts (id {id} PRIMARY KEY, user_id {id})");
    pool.execute_unprepared(&create).await.unwrap();

    let found = lines(&pool).await;

    assert_eq!(
        found[0],
        "table hosts is temporary: a host could be lost with the connection"
    );
    assert!(
        found.contains(
            &"hosts.user_id has no foreign key: a host could outlive its user".to_owned()
        )
    );
    assert_eq!(lines(&db.pool).await, [""; 0]);
}

on_postgres!(
    what_stands_aside_on_postgres,
    rows_that_are_hidden_are_not_counted_as_none,
    tables_of_two_connections_are_not_mixed,
);

/// Triggers that do not run here, and keys that are the app's own.
async fn what_stands_aside_on_postgres(db: Db) {
    db.execute(&trigger(db.backend, "off", "BEFORE INSERT"))
        .await;
    db.execute("ALTER TABLE hosts DISABLE TRIGGER off").await;
    db.execute(&trigger(db.backend, "replica", "BEFORE INSERT"))
        .await;
    db.execute("ALTER TABLE hosts ENABLE REPLICA TRIGGER replica")
        .await;
    assert_eq!(warnings(&db).await, [""; 0]);

    db.execute("ALTER TABLE hosts ADD approved_by uuid REFERENCES users ON DELETE SET NULL")
        .await;
    db.execute("CREATE RULE loud AS ON DELETE TO hosts DO ALSO NOTIFY hosts")
        .await;
    let warnings = warnings(&db).await;
    for (warning, part) in warnings.iter().zip([
        r#"this rule adds statements to DELETE, which could refuse it table="hosts" rule="loud""#,
        r#"this foreign key acts ON DELETE SET NULL: a host could be changed or removed with a row of users table="hosts" columns="approved_by""#,
    ]) {
        assert!(warning.contains(part), "{part} in {warning}");
    }
    assert_eq!(warnings.len(), 2, "{warnings:#?}");
}

/// A role that does not own the tables, and does, but is held to their policies.
async fn rows_that_are_hidden_are_not_counted_as_none(db: Db) {
    let host = db.host("ada").await;
    let role = format!("app_{}", Uuid::now_v7().simple());
    db.execute(&format!(
        "CREATE ROLE {role} LOGIN; GRANT ALL ON users, guests, hosts TO {role}"
    ))
    .await;
    let pool = connect(&url_of(&db, &role)).await;
    assert_eq!(lines(&pool).await, [""; 0]);
    assert_eq!(audit(&pool).await.unwrap().hosts, 1);
    let before = db.rows().await;

    let mut wrong = Vec::new();
    for (force, table, row) in [
        ("", "hosts", "a host"),
        ("", "guests", "a guest"),
        ("OWNER", "users", "a user"),
    ] {
        if force == "OWNER" {
            db.execute(&format!(
                "ALTER TABLE {table} OWNER TO {role}; ALTER TABLE {table} FORCE ROW LEVEL SECURITY"
            ))
            .await;
        }
        db.execute(&format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"))
            .await;
        let expected = format!(
            "row level security of table {table} applies to this role: \
             {row} could be there and not be found"
        );
        if lines(&pool).await != [expected] {
            wrong.push(format!("{table}: {:?}", lines(&pool).await));
        }
        assert_eq!(lines(&db.pool).await, [""; 0], "a superuser sees all");

        let txn = pool.begin().await.unwrap();
        let answers = [
            audit(&pool).await.map(drop),
            audit(&txn).await.map(drop),
            audit_emails(&pool).await.map(drop),
            backfill_guests(&pool, |_| {}).await.map(drop),
            backfill::<guest::Entity>(&txn, |_| Default::default(), |_| {})
                .await
                .map(drop),
        ];
        txn.commit().await.unwrap();
        let refused: Vec<_> = answers.iter().map(is_hidden).collect();
        let expected = match table {
            "hosts" => [true, true, false, false, false],
            "guests" => [true, true, false, true, true],
            _ => [true; 5],
        };
        if refused != expected {
            wrong.push(format!("{table}: {answers:?}"));
        }
        db.execute(&format!(
            "ALTER TABLE {table} DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY"
        ))
        .await;
    }
    let after = db.rows().await;
    let counted = audit(&pool).await.unwrap().hosts;
    pool.close().await.unwrap();
    db.execute(&format!(
        "REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}"
    ))
    .await;

    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!((after, counted), (before, 1));
    assert_eq!(db.rows().await.hosts, [host]);
}

fn is_hidden(answer: &Result<(), Error>) -> bool {
    match answer {
        Ok(()) => false,
        Err(Error::Database { source }) => source.to_string().contains("row level security"),
        Err(other) => panic!("{other:?}"),
    }
}

/// The statements of one answer go to one connection, whose search path is one.
async fn tables_of_two_connections_are_not_mixed(db: Db) {
    db.execute("CREATE SCHEMA other; CREATE TABLE other.hosts (LIKE hosts)")
        .await;
    let pool = db.pool_of(3).await;
    set_on_one(&pool, "SET search_path = other, public").await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..20 {
        seen.insert(lines(&pool).await.len());
    }
    // With one line more if the connections of the other path were idle.
    assert!(
        seen.iter().all(|count| [0, 1, 5, 6].contains(count)),
        "{seen:?}"
    );
}

on_each_backend!(a_connection_that_finds_other_tables_is_found,);

/// Which connection a call gets is chance, and with it the table.
async fn a_connection_that_finds_other_tables_is_found(db: Db) {
    let (_, database) = db.url.rsplit_once('/').unwrap();
    let of = |tables: &[(&str, &str)]| -> Vec<String> {
        let connection = match db.backend {
            On::Sqlite => "SQLite",
            On::Postgres => "PostgreSQL",
            On::MariaDb => "MariaDB",
        };
        let line = |(table, row): &(&str, &str)| {
            format!(
                "table {table} is not the same one on every {connection} connection: \
                 {row} could be there and not be found"
            )
        };
        tables.iter().map(line).collect()
    };
    let users = ("users", "a user");
    let (guests, hosts) = (("guests", "a guest"), ("hosts", "a host"));
    let other = format!("{database}_3");
    let cases: &[(String, Vec<String>)] = &match db.backend {
        On::Sqlite => [
            ("CREATE TEMP TABLE Hosts (id)".to_owned(), of(&[hosts])),
            ("CREATE TEMP TABLE visitors (id)".to_owned(), of(&[])),
        ],
        On::Postgres => [
            ("SET search_path = other, public".to_owned(), of(&[users])),
            ("CREATE TEMP TABLE hosts (id uuid)".to_owned(), of(&[hosts])),
        ],
        On::MariaDb => [
            (format!("USE {other}"), of(&[users, guests, hosts])),
            (
                "CREATE TEMPORARY TABLE visitors (id int)".to_owned(),
                of(&[]),
            ),
        ],
    };
    match db.backend {
        On::Sqlite => {}
        On::Postgres => {
            db.execute("CREATE SCHEMA other; CREATE TABLE other.users (id uuid)")
                .await;
        }
        On::MariaDb => db.execute(&format!("CREATE DATABASE {other}")).await,
    }
    let mut found = Vec::new();
    for (setting, _) in cases {
        let pool = db.pool_of(3).await;
        set_on_one(&pool, setting).await;
        found.push(lines(&pool).await);
        pool.close().await.unwrap();
    }
    if db.backend == On::MariaDb {
        db.execute(&format!("DROP DATABASE {other}")).await;
    }
    let expected: Vec<_> = cases.iter().map(|(_, lines)| lines.clone()).collect();
    assert_eq!(found, expected);
}

/// A role whose names are in both cases, and have to be quoted on PostgreSQL.
mod pilot {
    use guesthouse::Role;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "Pilots")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        #[sea_orm(column_name = "userId")]
        pub user_id: Uuid,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(
            belongs_to = "guesthouse::user::Entity",
            from = "Column::UserId",
            to = "guesthouse::user::Column::Id",
            on_delete = "Restrict"
        )]
        User,
    }

    impl Related<guesthouse::user::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::User.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}

    impl Role for Entity {
        type Owner = guesthouse::user::Entity;
    }
}

on_each_backend!(names_in_both_cases_are_found,);

async fn names_in_both_cases_are_found(db: Db) {
    let model = Model::accounts().role::<pilot::Entity>();
    let (id, quote) = match db.backend {
        On::Sqlite => ("uuid_text", '"'),
        On::Postgres => ("uuid", '"'),
        On::MariaDb => ("binary(16)", '`'),
    };
    for (unique, expected) in [
        ("UNIQUE", None),
        (
            "",
            Some("Pilots.userId is not unique: a user could get two Pilots"),
        ),
    ] {
        let create = format!(
            "CREATE TABLE 'Pilots' (id {id} NOT NULL PRIMARY KEY, 'userId' {id} NOT NULL {unique},
                 FOREIGN KEY ('userId') REFERENCES users (id) ON DELETE RESTRICT)"
        );
        db.execute(&create.replace('\'', &quote.to_string())).await;
        let found = differences(model.verify(&db.pool).await);
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
        db.execute(&format!("DROP TABLE {quote}Pilots{quote}"))
            .await;
    }
}

/// Cities and their couriers, in schemas that a test names.
mod cities {
    use std::cell::Cell;

    type Schema = Option<&'static str>;

    thread_local! {
        static NAMES: Cell<(Schema, Schema, &'static str)> = const { Cell::new((None, None, "")) };
    }

    /// Couriers in the table, whose schema is the second one; the first is that of the cities.
    pub fn couriers(of_cities: Schema, schema: Schema, table: &'static str) -> guesthouse::Model {
        NAMES.set((of_cities, schema, table));
        guesthouse::Model::new().role::<courier::Entity>()
    }

    pub mod city {
        use sea_orm::entity::prelude::*;

        #[derive(Copy, Clone, Default, Debug, DeriveEntity)]
        pub struct Entity;

        impl EntityName for Entity {
            fn schema_name(&self) -> Option<&str> {
                super::NAMES.get().0
            }

            fn table_name(&self) -> &'static str {
                "cities"
            }
        }

        #[derive(Clone, Debug, PartialEq, Eq, DeriveModel, DeriveActiveModel)]
        pub struct Model {
            pub code: String,
        }

        #[derive(Copy, Clone, Debug, EnumIter, DeriveColumn)]
        pub enum Column {
            Code,
        }

        #[derive(Copy, Clone, Debug, EnumIter, DerivePrimaryKey)]
        pub enum PrimaryKey {
            Code,
        }

        impl PrimaryKeyTrait for PrimaryKey {
            type ValueType = String;

            fn auto_increment() -> bool {
                false
            }
        }

        impl ColumnTrait for Column {
            type EntityName = Entity;

            fn def(&self) -> ColumnDef {
                ColumnType::Text.def()
            }
        }

        #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
        pub enum Relation {}

        impl ActiveModelBehavior for ActiveModel {}
    }

    pub mod courier {
        use sea_orm::entity::prelude::*;

        use super::city;

        #[derive(Copy, Clone, Default, Debug, DeriveEntity)]
        pub struct Entity;

        impl EntityName for Entity {
            fn schema_name(&self) -> Option<&str> {
                super::NAMES.get().1
            }

            fn table_name(&self) -> &'static str {
                super::NAMES.get().2
            }
        }

        #[derive(Clone, Debug, PartialEq, Eq, DeriveModel, DeriveActiveModel)]
        pub struct Model {
            pub badge: String,
            pub city_code: String,
        }

        #[derive(Copy, Clone, Debug, EnumIter, DeriveColumn)]
        pub enum Column {
            Badge,
            CityCode,
        }

        #[derive(Copy, Clone, Debug, EnumIter, DerivePrimaryKey)]
        pub enum PrimaryKey {
            Badge,
        }

        impl PrimaryKeyTrait for PrimaryKey {
            type ValueType = String;

            fn auto_increment() -> bool {
                false
            }
        }

        impl ColumnTrait for Column {
            type EntityName = Entity;

            fn def(&self) -> ColumnDef {
                ColumnType::Text.def()
            }
        }

        #[derive(Copy, Clone, Debug, EnumIter)]
        pub enum Relation {
            City,
        }

        impl RelationTrait for Relation {
            fn def(&self) -> RelationDef {
                let key = Entity::belongs_to(city::Entity).from(Column::CityCode);
                key.to(city::Column::Code).into()
            }
        }

        impl Related<city::Entity> for Entity {
            fn to() -> RelationDef {
                Relation::City.def()
            }
        }

        impl ActiveModelBehavior for ActiveModel {}

        impl guesthouse::Role for Entity {
            type Owner = city::Entity;
        }
    }
}

/// The columns of a table of couriers.
fn of_couriers(text: &str, cities: &str) -> String {
    format!(
        "(badge {text} NOT NULL PRIMARY KEY, city_code {text} NOT NULL UNIQUE, \
         FOREIGN KEY (city_code) REFERENCES {cities} (code) ON DELETE RESTRICT)"
    )
}

async fn lines_of(model: Model, pool: &DatabaseConnection) -> Vec<String> {
    let found = differences(model.verify(pool).await);
    found.iter().map(ToString::to_string).collect()
}

on_postgres!(a_table_of_postgres_is_found_where_its_entity_says);

/// An entity may name the schema that the search path leads to as well, or another one.
async fn a_table_of_postgres_is_found_where_its_entity_says(db: Db) {
    let columns = of_couriers("text", "cities");
    db.execute(&format!(
        "CREATE TABLE cities (code text PRIMARY KEY); CREATE TABLE couriers {columns};
         CREATE TABLE \"say \"\"hi\"\".\" {columns};
         CREATE SCHEMA other; CREATE TABLE other.couriers {columns}"
    ))
    .await;
    let (public, other) = (Some("public"), Some("other"));
    for (of_cities, schema, table) in [
        (None, None, "couriers"),
        (public, public, "couriers"),
        (public, None, "couriers"),
        (None, public, "couriers"),
        (public, other, "couriers"),
        (None, None, "say \"hi\"."),
        (public, public, "say \"hi\"."),
    ] {
        let found = lines_of(cities::couriers(of_cities, schema, table), &db.pool).await;
        assert_eq!(found, [""; 0], "{of_cities:?} {schema:?} {table}");
    }
    assert_eq!(
        lines_of(cities::couriers(other, public, "couriers"), &db.pool).await,
        [
            "public.couriers.city_code refers to cities.code, not other.cities.code: \
          a courier could outlive its city"
        ]
    );
}

on_mariadb!(a_table_of_mariadb_is_found_where_its_entity_says);

async fn a_table_of_mariadb_is_found_where_its_entity_says(db: Db) {
    let (_, current) = db.url.rsplit_once('/').unwrap();
    let current: &'static str = current.to_owned().leak();
    let other: &'static str = format!("{current}_2").leak();
    let text = "varchar(20) COLLATE utf8mb4_bin";
    let columns = of_couriers(text, &format!("{current}.cities"));
    db.execute(&format!(
        "CREATE TABLE cities (code {text} PRIMARY KEY); CREATE TABLE couriers {columns};
         CREATE TABLE `say \"``hi``\".` {columns};
         CREATE DATABASE {other}; CREATE TABLE {other}.pilots {columns}"
    ))
    .await;
    let (here, there) = (Some(current), Some(other));
    let (mut alike, mut beside) = (Vec::new(), Vec::new());
    for (of_cities, schema, table) in [
        (None, None, "couriers"),
        (here, here, "couriers"),
        (None, here, "couriers"),
        (None, there, "pilots"),
        (here, there, "pilots"),
        (None, None, "say \"`hi`\"."),
    ] {
        let model = cities::couriers(of_cities, schema, table);
        alike.extend(lines_of(model, &db.pool).await);
    }
    for (of_cities, table) in [(there, "pilots"), (None, "couriers")] {
        let model = cities::couriers(of_cities, there, table);
        beside.extend(lines_of(model, &db.pool).await);
    }
    db.execute(&format!("DROP DATABASE {other}")).await;

    assert_eq!(alike, [""; 0]);
    assert_eq!(
        beside,
        [
            format!(
                "{other}.pilots.city_code refers to cities.code, not {other}.cities.code: \
                 a courier could outlive its city"
            ),
            format!("table {other}.couriers is missing: nobody could get a courier"),
        ]
    );
}

on_each_backend!(an_owner_whose_key_folds_could_get_two,);

/// The foreign key takes 'ADA' for 'ada', and the unique index does not.
async fn an_owner_whose_key_folds_could_get_two(db: Db) {
    let (text, folds) = match db.backend {
        On::Sqlite => ("text", "text COLLATE NOCASE"),
        On::Postgres => ("text", "text COLLATE any_case"),
        On::MariaDb => (
            "varchar(20) COLLATE utf8mb4_bin",
            "varchar(20) COLLATE utf8mb4_general_ci",
        ),
    };
    let any_case = "CREATE COLLATION any_case \
         (provider = icu, locale = 'und-u-ks-level2', deterministic = false)";
    if !is_possible(any_case) {
        return;
    }
    let pool = db.pool_of(1).await;
    let run = async |sql: &str| {
        pool.execute_unprepared(sql).await.unwrap();
    };
    match db.backend {
        On::Sqlite => {}
        On::Postgres => run(any_case).await,
        // It refuses such a key while it checks.
        On::MariaDb => run("SET foreign_key_checks = OFF").await,
    }
    let model = cities::couriers(None, None, "couriers");
    for (key, expected) in [
        (text, None),
        (
            folds,
            Some(
                "couriers.city_code is compared by another collation than cities.code: \
                 a city could get two couriers",
            ),
        ),
    ] {
        run("DROP TABLE IF EXISTS couriers").await;
        run("DROP TABLE IF EXISTS cities").await;
        let (cities, couriers) = (
            format!("CREATE TABLE cities (code {key} NOT NULL PRIMARY KEY)"),
            format!("CREATE TABLE couriers {}", of_couriers(text, "cities")),
        );
        // MariaDB looks at the types only if both tables are there.
        let order = match db.backend {
            On::MariaDb => [couriers, cities],
            _ => [cities, couriers],
        };
        for create in order {
            run(&create).await;
        }
        let found = lines_of(model.clone(), &db.pool).await;
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
        if expected.is_some() && db.backend != On::MariaDb {
            run("INSERT INTO cities VALUES ('ada')").await;
            run("INSERT INTO couriers VALUES ('one', 'ada'), ('two', 'ADA')").await;
        }
    }
}

on_postgres!(
    a_primary_key_in_an_order_that_has_changed_is_found,
    a_setting_of_new_connections_to_postgres_is_found,
);

/// As after an upgrade of ICU. The keys of this library are no texts.
async fn a_primary_key_in_an_order_that_has_changed_is_found(db: Db) {
    let collation = "CREATE COLLATION en (provider = icu, locale = 'en')";
    if !is_possible(collation) {
        return;
    }
    db.execute(&format!(
        "{collation}; CREATE TABLE cities (code text PRIMARY KEY);
         CREATE TABLE couriers {};
         ALTER TABLE couriers ALTER badge TYPE text COLLATE en",
        of_couriers("text", "cities")
    ))
    .await;
    let model = cities::couriers(None, None, "couriers");
    assert_eq!(lines_of(model.clone(), &db.pool).await, [""; 0]);
    db.execute(
        "UPDATE pg_collation SET collversion = '0' WHERE collname = 'en' AND collversion <> ''",
    )
    .await;
    assert_eq!(
        lines_of(model, &db.pool).await,
        [
            "couriers.badge is the primary key by an order that has changed \
          (index couriers_pkey): two couriers could share it"
        ]
    );
}

/// What those that are open do not show.
async fn a_setting_of_new_connections_to_postgres_is_found(db: Db) {
    let (_, name) = db.url.rsplit_once('/').unwrap();
    // It has one connection, so nothing opens a second one with the new setting.
    let open = db.pool_of(1).await;
    let found = "connection: a user could be deleted under a host";
    for value in ["replica", "'REPLICA'"] {
        let set = format!("ALTER DATABASE {name} SET session_replication_role = {value}");
        db.execute(&set).await;
        assert_eq!(
            lines(&open).await,
            [format!(
                "foreign keys are off on every new PostgreSQL {found}"
            )]
        );
    }
    let new = db.pool_of(1).await;
    assert_eq!(
        lines(&new).await,
        [format!("foreign keys are off on this PostgreSQL {found}")]
    );
    new.close().await.unwrap();
}

on_mariadb!(a_setting_of_new_connections_to_mariadb_is_found);

async fn a_setting_of_new_connections_to_mariadb_is_found(db: Db) {
    // The server runs it on each new connection of a user who is not an administrator.
    let name = format!("app_{}", Uuid::now_v7().simple());
    let (_, database) = db.url.rsplit_once('/').unwrap();
    db.execute(&format!(
        "CREATE USER {name}@'%'; GRANT SELECT, INSERT ON {database}.* TO {name}@'%'; \
         SET GLOBAL init_connect = \
         'SET autocommit = user() NOT LIKE \\'{name}@%\\' AND @@autocommit'"
    ))
    .await;
    let app = connect(&url_of(&db, &name)).await;
    let found = lines(&app).await;
    let ada = db.user("ada").await;
    let host = become_host(&app, ada.id).await;
    app.close().await.unwrap();
    db.execute(&format!(
        "SET GLOBAL init_connect = ''; DROP USER {name}@'%'"
    ))
    .await;

    assert_eq!(
        found,
        ["autocommit is off on this MariaDB connection: \
          a user could be lost with the connection"]
    );
    assert!(host.is_ok_and(|host| host.is_new()));
    assert_eq!(db.rows().await.hosts.len(), 0);
}

on_sqlite!(
    a_rowid_is_never_null,
    a_moment_of_another_name_is_read_as_it_was_written,
    what_only_the_definition_shows_on_sqlite,
);

/// The commonest key of SQLite, which is the rowid, and one like it that is not.
async fn a_rowid_is_never_null(db: Db) {
    let model = Model::new().sign_up::<member::Entity>();
    for (key, expected) in [
        ("INTEGER PRIMARY KEY", None),
        ("integer PRIMARY KEY AUTOINCREMENT", None),
        (
            "INTEGER PRIMARY KEY DESC",
            Some("members.id may be null: a member could be without it"),
        ),
        (
            "INT PRIMARY KEY",
            Some("members.id may be null: a member could be without it"),
        ),
    ] {
        db.execute(&format!(
            "DROP TABLE IF EXISTS profiles; DROP TABLE IF EXISTS members;
             CREATE TABLE members (id {key}, email text NOT NULL UNIQUE,
                 name text NOT NULL, password_hash text NOT NULL);
             CREATE TABLE profiles (id INTEGER PRIMARY KEY, bio text NOT NULL,
                 member_id integer NOT NULL UNIQUE REFERENCES members (id) ON DELETE RESTRICT)"
        ))
        .await;
        let found = lines_of(model.clone(), &db.pool).await;
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{key}");
    }
}

/// SQLite has no type of its own for moments, and apps write what other databases call it.
async fn a_moment_of_another_name_is_read_as_it_was_written(db: Db) {
    for declared in [
        "datetime",
        "timestamp",
        "DATETIME(6)",
        "timestamp with time zone",
    ] {
        for words in [USERS, GUESTS, HOSTS] {
            let change = format!("timestamp_with_timezone_text => {declared}");
            try_change(&db, &change, words).await.unwrap();
        }
        assert_eq!(lines(&db.pool).await, [""; 0], "{declared}");

        let pool = db.pool_of(1).await;
        let ada = sign_up(&pool, email("ada")).await.unwrap();
        let host = become_host(&pool, ada.user.id).await.unwrap().into_model();
        let rows = db.rows().await;
        assert_eq!(rows.users, [ada.user], "{declared}");
        assert_eq!(rows.guests, [ada.guest.unwrap()], "{declared}");
        assert_eq!(rows.hosts, [host], "{declared}");
        let kept = "SELECT group_concat(typeof(created_at) || typeof(updated_at)) FROM users";
        assert_eq!(db.text(kept).await, "texttext", "{declared}");
        pool.close().await.unwrap();
        start_again(&db).await;
    }
}

/// Two clauses of SQLite that only the definition of the table shows.
async fn what_only_the_definition_shows_on_sqlite(db: Db) {
    for (index, column, expected) in [
        (
            "CREATE UNIQUE INDEX users_email ON users (email COLLATE BINARY)",
            "NOT NULL COLLATE NOCASE",
            "users.email is compared by NOCASE: two users could be taken for one",
        ),
        (
            "",
            "NOT NULL UNIQUE ON CONFLICT REPLACE",
            "users.email has UNIQUE ON CONFLICT REPLACE: \
             a user could be replaced by another one",
        ),
    ] {
        db.execute(&format!("DROP INDEX users_email; {index}"))
            .await;
        let change = format!(r#""email" varchar(254) NOT NULL => "email" varchar(254) {column}"#);
        try_change(&db, &change, USERS).await.unwrap();
        assert_eq!(lines(&db.pool).await, [expected]);
        start_again(&db).await;
    }
}

on_postgres!(the_encoding_and_the_collation_of_the_database_count);

/// An address that `Email` takes cannot be stored.
async fn the_encoding_and_the_collation_of_the_database_count(db: Db) {
    let name = format!("guesthouse_{}", Uuid::now_v7().simple());
    let (server, _) = db.url.rsplit_once('/').unwrap();
    for (options, expected) in [
        (
            "ENCODING 'LATIN1' LOCALE 'C'",
            "users.email is kept in LATIN1: an email of another script could not be stored",
        ),
        (
            "LOCALE_PROVIDER icu ICU_LOCALE 'en'",
            "users.email is unique by an order that has changed (index users_email was built by \
             another version of its collation): two users could share an address",
        ),
    ] {
        if !is_possible(options) {
            continue;
        }
        db.execute(&format!(
            "CREATE DATABASE {name} TEMPLATE template0 {options}"
        ))
        .await;
        let pool = connect(&format!("{server}/{name}")).await;
        Migrator::up(&pool, None).await.unwrap();
        let at_first = lines(&pool).await;
        db.execute(&format!(
            "UPDATE pg_database SET datcollversion = '0'
             WHERE datname = '{name}' AND datcollversion IS NOT NULL"
        ))
        .await;
        let found = lines(&pool).await;
        let foreign = sign_up(&pool, email("\u{3b1}")).await;
        pool.close().await.unwrap();
        db.execute(&format!("DROP DATABASE {name} WITH (FORCE)"))
            .await;

        assert_eq!(found, [expected]);
        assert_eq!(foreign.is_err(), options.contains("LATIN1"));
        assert_eq!(
            at_first.is_empty(),
            !options.contains("LATIN1"),
            "{at_first:?}"
        );
    }
}
