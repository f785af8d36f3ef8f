//! The databases as sources of entities: what `sync` reads of each, and what it refuses to go by.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use guesthouse_migration::{
    Migrator,
    sync::{self, Generated, GeneratedFile, Options},
};
use sea_orm_migration::{
    MigratorTrait,
    prelude::*,
    sea_orm::{ConnectionTrait, Database, DatabaseConnection},
};

use crate::support::{Place, empty, execute, migrated, text};

async fn generated(db: &DatabaseConnection) -> Generated {
    sync::generate_with(db, &Options::default()).await.unwrap()
}

async fn refusal(db: &DatabaseConnection) -> String {
    sync::generate(db).await.unwrap_err().to_string()
}

fn content<'a>(files: &'a [GeneratedFile], name: &str) -> &'a str {
    let file = files.iter().find(|file| file.name == name);
    file.map(|file| file.content.as_str()).unwrap()
}

/// Every type of the builder that the databases keep apart.
fn things() -> TableCreateStatement {
    let mut things = Table::create();
    things
        .table("things")
        .col(
            ColumnDef::new("id")
                .big_integer()
                .not_null()
                .auto_increment()
                .primary_key(),
        )
        .col(ColumnDef::new("a").char_len(3).not_null())
        .col(ColumnDef::new("b").string_len(10_000))
        .col(ColumnDef::new("c").text())
        .col(ColumnDef::new("d").tiny_integer())
        .col(ColumnDef::new("e").small_integer().not_null())
        .col(ColumnDef::new("f").big_integer())
        .col(ColumnDef::new("g").float())
        .col(ColumnDef::new("h").double())
        .col(ColumnDef::new("i").decimal_len(12, 4))
        .col(ColumnDef::new("j").date_time())
        .col(ColumnDef::new("k").timestamp_with_time_zone())
        .col(ColumnDef::new("l").time())
        .col(ColumnDef::new("m").date())
        .col(ColumnDef::new("n").binary_len(20))
        .col(ColumnDef::new("o").blob())
        .col(ColumnDef::new("p").boolean().not_null())
        .col(ColumnDef::new("q").json())
        .col(ColumnDef::new("r").uuid())
        .index(
            Index::create()
                .name("things_a_e")
                .unique()
                .col("a")
                .col("e"),
        )
        .index(Index::create().unique().col("e").col("r"))
        .foreign_key(
            ForeignKey::create()
                .from("things", "r")
                .to("hosts", "id")
                .on_delete(ForeignKeyAction::SetNull)
                .on_update(ForeignKeyAction::Cascade),
        );
    things
}

async fn with_things(db: &DatabaseConnection) -> Generated {
    let statement = db.get_database_backend().build(&things());
    db.execute_raw(statement).await.unwrap();
    generated(db).await
}

on_each_backend!(one_migration_gives_the_same_bytes_everywhere);

async fn one_migration_gives_the_same_bytes_everywhere(url: &str) {
    let of_sqlite = with_things(&migrated().await).await;
    let thing = content(&of_sqlite.files, "thing.rs");
    for line in [
        "    #[sea_orm(primary_key)]\n    pub id: i64,",
        "    #[sea_orm(column_type = \"Char(Some(3))\", unique_key = \"a_e\")]\n    pub a: String,",
        "    #[sea_orm(column_type = \"String(StringLen::N(10000))\", nullable)]",
        "    #[sea_orm(unique_key = \"a_e\", unique_key = \"e_r\")]\n    pub e: i16,",
        "    #[sea_orm(column_type = \"Decimal(Some((12, 4)))\", nullable)]\n    pub i: Option<Decimal>,",
        "    pub k: Option<DateTimeWithTimeZone>,",
        "    #[sea_orm(column_type = \"Blob\", nullable)]\n    pub n: Option<Vec<u8>>,",
        "    pub r_row: BelongsTo<Option<super::host::Entity>>,",
    ] {
        assert!(thing.contains(line), "{line}\n{thing}");
    }
    let db = Database::connect(url).await.unwrap();
    Migrator::up(&db, None).await.unwrap();
    assert_eq!(with_things(&db).await.files, of_sqlite.files);
    db.close().await.unwrap();
}

on_postgres!(a_number_with_too_many_digits_is_a_text_on_postgres);

/// A `Decimal` holds 28 digits: what has more is read and written as a text, and no digit is lost.
async fn a_number_with_too_many_digits_is_a_text_on_postgres(url: &str) {
    let db = Database::connect(url).await.unwrap();
    Migrator::up(&db, None).await.unwrap();
    execute(
        &db,
        "CREATE TABLE sums (id uuid PRIMARY KEY, wei numeric(78, 0) NOT NULL,
             ratio numeric(38, 30), sums numeric(78, 0)[], most numeric(28, 28) NOT NULL,
             places int2vector, ids oidvector NOT NULL, numbers int2[])",
    )
    .await;
    let files = generated(&db).await.files;
    let sum = content(&files, "sum.rs");
    for lines in [
        "select_as = \"text\",\n        save_as = \"numeric(78,0)\"\n    )]\n    pub wei: String,",
        "save_as = \"numeric(38,30)\",\n        nullable\n    )]\n    pub ratio: Option<String>,",
        "save_as = \"numeric(78,0)[]\",\n        nullable\n    )]\n    pub sums: Option<String>,",
        "    #[sea_orm(column_type = \"Decimal(Some((28, 28)))\")]\n    pub most: Decimal,",
        "save_as = \"int2vector\",\n        nullable\n    )]\n    pub places: Option<String>,",
        "save_as = \"oidvector\"\n    )]\n    pub ids: String,",
        "    pub numbers: Option<Vec<i16>>,",
    ] {
        assert!(sum.contains(lines), "{lines}\n{sum}");
    }
    let value = "98765432109876543210987654321098765432109876543210987654321098765432109876543";
    let mut written = Query::insert();
    written
        .into_table("sums")
        .columns(["id", "wei", "most", "ids"]);
    let cast = |value: &str, declared: &str| Expr::val(value).cast_as(declared.to_owned());
    written.values_panic([
        cast("00000000-0000-0000-0000-000000000000", "uuid"),
        cast(value, "numeric(78,0)"),
        Expr::val(0),
        cast("1 2", "oidvector"),
    ]);
    assert_eq!(
        written_and_read(&db, &written, "sums", "wei", "text").await,
        value
    );
    db.close().await.unwrap();
}

on_mariadb!(a_number_with_too_many_digits_is_a_text_on_mariadb);

async fn a_number_with_too_many_digits_is_a_text_on_mariadb(url: &str) {
    let db = Database::connect(url).await.unwrap();
    Migrator::up(&db, None).await.unwrap();
    let sums = "CREATE TABLE sums (id int PRIMARY KEY, ratio decimal(65, 30) unsigned NOT NULL,
                    most decimal(28, 28) NOT NULL)";
    execute(&db, sums).await;
    let files = generated(&db).await.files;
    let sum = content(&files, "sum.rs");
    for lines in [
        "select_as = \"char\",\n        save_as = \"decimal(65,30)\"\n    )]\n    pub ratio: String,",
        "    #[sea_orm(column_type = \"Decimal(Some((28, 28)))\")]\n    pub most: Decimal,",
    ] {
        assert!(sum.contains(lines), "{lines}\n{sum}");
    }
    let value = "98765432109876543210987654321098765.123456789012345678901234567891";
    let mut written = Query::insert();
    written.into_table("sums").columns(["id", "ratio", "most"]);
    let ratio = Expr::val(value).cast_as("decimal(65,30)");
    written.values_panic([Expr::val(1), ratio, Expr::val(0)]);
    assert_eq!(
        written_and_read(&db, &written, "sums", "ratio", "char").await,
        value
    );
    db.close().await.unwrap();
}

/// The text of a column after a row is written, with the casts that the entity names.
async fn written_and_read(
    db: &DatabaseConnection,
    written: &InsertStatement,
    table: &'static str,
    column: &'static str,
    text: &'static str,
) -> String {
    db.execute(written).await.unwrap();
    let read = Query::select()
        .expr(Expr::col(column).cast_as(text))
        .from(table)
        .take();
    let row = db.query_one(&read).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

#[tokio::test]
async fn a_note_names_what_is_left_out_and_what_is_needed() {
    let db = migrated().await;
    execute(
        &db,
        "CREATE TABLE orders (id uuid_text PRIMARY KEY, total real(12, 2),
             user_id uuid_text GENERATED ALWAYS AS (id) VIRTUAL REFERENCES users (id),
             gone_id uuid_text REFERENCES gone (id))",
    )
    .await;
    assert_eq!(
        generated(&db).await.notes,
        [
            "orders.total is a Decimal, which needs the feature `with-rust_decimal` of sea-orm",
            "orders.user_id is left out: the database generates it",
            "the foreign key orders (gone_id) to gone is left out: there is no entity of that table",
            "the foreign key orders (user_id) to users is left out: one of its columns is",
        ]
    );
}

#[tokio::test]
async fn a_database_that_was_not_migrated_is_refused() {
    let db = empty().await;
    let no_migration =
        "no migration has been applied to the database: is it the one that was migrated?";
    assert_eq!(refusal(&db).await, no_migration);
    execute(&db, "CREATE TABLE users (id uuid_text PRIMARY KEY)").await;
    assert_eq!(refusal(&db).await, no_migration);
    Migrator::install(&db).await.unwrap();
    assert_eq!(refusal(&db).await, no_migration);

    let db = migrated().await;
    for table in ["hosts", "guests", "users"] {
        execute(&db, &format!("DROP TABLE {table}")).await;
    }
    let no_tables = "the database has no tables: is it the one that was migrated?";
    assert_eq!(refusal(&db).await, no_tables);
}

#[test]
fn a_wrong_database_costs_no_entity() {
    let place = Place::new();
    let folder = place.dir.path().join("generated");
    fs::create_dir(&folder).unwrap();
    place.succeed(&["up", "--entity-dir", "generated"]);
    let before = read(&folder);

    let mut other = place.command(&["sync", "--entity-dir", "generated"]);
    other.env(
        "DATABASE_URL",
        format!("sqlite://{}/other.db?mode=rwc", place.dir.path().display()),
    );
    fs::write(place.dir.path().join("other.db"), "").unwrap();
    let output = other.output().unwrap();

    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("no migration has been applied"),
        "{output:?}"
    );
    assert_eq!(read(&folder), before);
}

fn read(folder: &std::path::Path) -> Vec<(String, String)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

#[tokio::test]
async fn a_table_that_is_gone_is_said_to_be_removed() {
    let place = Place::new();
    fs::create_dir(place.dir.path().join("generated")).unwrap();
    place.succeed(&["up", "--entity-dir", "generated"]);
    place
        .execute("CREATE TABLE pets (id uuid_text PRIMARY KEY)")
        .await;
    place.succeed(&["sync", "--entity-dir", "generated"]);
    place.execute("DROP TABLE pets").await;
    let said = place.succeed(&["sync", "--entity-dir", "generated"]);
    assert!(said.contains("sync: removed generated/pet.rs\n"), "{said}");
    assert!(said.contains("sync: generated/mod.rs\n"), "{said}");
}

/// Folders and files of the app's own in the folder are not touched.
#[tokio::test]
async fn a_folder_of_the_apps_own_stays() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join(".sync");
    fs::create_dir(&own).unwrap();
    fs::write(own.join("mine"), "x").unwrap();
    let files = sync::generate(&migrated().await).await.unwrap();
    sync::write(folder.path(), &files).unwrap();
    assert_eq!(fs::read_to_string(own.join("mine")).unwrap(), "x");
    let count = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(count, files.len() + 1, "nothing else is left behind");
}

#[tokio::test]
async fn attributes_of_the_app_are_kept() {
    let place = Place::new();
    let folder = place.dir.path().join("generated");
    fs::create_dir(&folder).unwrap();
    fs::write(
        folder.join("attributes.txt"),
        "# What leaves the server\n\n*  #[derive(serde::Serialize)]\nuser.email  #[serde(skip)]\n",
    )
    .unwrap();
    place.succeed(&["up", "--entity-dir", "generated"]);
    place
        .execute("ALTER TABLE hosts ADD COLUMN motto text")
        .await;
    place.succeed(&["sync", "--entity-dir", "generated"]);

    let user = fs::read_to_string(folder.join("user.rs")).unwrap();
    let host = fs::read_to_string(folder.join("host.rs")).unwrap();
    let derived = "DeriveEntityModel, serde::Serialize)]\n#[sea_orm(table_name";
    assert!(
        user.contains(derived) && host.contains(derived),
        "{user}{host}"
    );
    assert!(
        user.contains("    #[serde(skip)]\n    #[sea_orm(column_type"),
        "{user}"
    );
    place.succeed(&["sync", "--check", "--entity-dir", "generated"]);

    for (line, why) in [
        (
            "pet  #[derive(Hash)]",
            "there is no entity, enum or field `pet`",
        ),
        (
            "user.name  #[serde(skip)]",
            "there is no entity, enum or field `user.name`",
        ),
        (
            "user  derive(Hash)",
            "an entity and one attribute are expected",
        ),
        ("user", "an entity and one attribute are expected"),
    ] {
        fs::write(folder.join("attributes.txt"), line).unwrap();
        let refused = place.fail(&["sync", "--entity-dir", "generated"]);
        assert_eq!(refused, format!("error: line 1 of attributes.txt: {why}"));
    }
}

#[tokio::test]
async fn the_log_of_a_migrator_is_no_entity() {
    let db = migrated().await;
    execute(&db, "ALTER TABLE seaql_migrations RENAME TO app_migrations").await;
    let mut options = Options::default();
    options.migration_table = "app_migrations".to_owned();
    let files = sync::generate_with(&db, &options).await.unwrap().files;
    let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(
        names,
        ["guest.rs", "host.rs", "mod.rs", "schema.mmd", "user.rs"]
    );
}

/// The word in a default is no keyword.
#[tokio::test]
async fn autoincrement_is_read_where_it_is_declared() {
    let db = migrated().await;
    execute(
        &db,
        "CREATE TABLE plain (id bigint PRIMARY KEY, name text DEFAULT 'no autoincrement')",
    )
    .await;
    execute(
        &db,
        "CREATE TABLE counted (id integer PRIMARY KEY AUTOINCREMENT) -- autoincrement",
    )
    .await;
    let files = generated(&db).await.files;
    let plain = "    #[sea_orm(primary_key, auto_increment = false)]\n    pub id: i64,";
    assert!(content(&files, "plain.rs").contains(plain));
    let counted = "    #[sea_orm(primary_key)]\n    pub id: i64,";
    assert!(content(&files, "counted.rs").contains(counted));
}

#[tokio::test]
async fn a_table_without_a_key_and_a_column_without_a_type_are_refused() {
    let db = migrated().await;
    execute(&db, "CREATE TABLE cleaners (id integer)").await;
    let refused = "no entity can be written for table `cleaners`: it has no primary key";
    assert_eq!(refusal(&db).await, refused);
    execute(&db, "DROP TABLE cleaners").await;
    let columns: Vec<_> = (1..=13).map(|n| format!("c{n}")).collect();
    let declared = columns.join(" integer NOT NULL, ");
    let key = columns.join(", ");
    let wide = format!("CREATE TABLE cleaners ({declared} integer NOT NULL, PRIMARY KEY ({key}))");
    execute(&db, &wide).await;
    let refused = "no entity can be written for table `cleaners`: its primary key has more columns \
                   than SeaORM takes, which is 12";
    assert_eq!(refusal(&db).await, refused);
    execute(&db, "DROP TABLE cleaners").await;
    execute(&db, "CREATE TABLE notes (id integer PRIMARY KEY, body)").await;
    let refused = "notes.body has no type: no entity can be written for it";
    assert_eq!(refusal(&db).await, refused);
    execute(&db, "DROP TABLE notes").await;
    execute(
        &db,
        "CREATE TABLE notes (id integer PRIMARY KEY, \"userId\" text, user_id text)",
    )
    .await;
    let refused = "no entity can be written for notes.user_id: `userId` and it would both be the \
                   column `user_id`";
    assert_eq!(refusal(&db).await, refused);
}

/// sqlx reads a value of any other declared type as it is stored, whatever its name contains.
#[tokio::test]
async fn only_an_integer_is_read_as_one_on_sqlite() {
    let db = migrated().await;
    execute(
        &db,
        "CREATE TABLE counts (id integer PRIMARY KEY, a int8, b \"unsigned big int\", c mediumint,
             d int(10), e uint64)",
    )
    .await;
    let files = generated(&db).await.files;
    let integers = content(&files, "count.rs").matches("i64").count();
    assert_eq!(integers, 6);
    for declared in ["point", "interval", "multipoint"] {
        execute(
            &db,
            &format!("CREATE TABLE places (id integer PRIMARY KEY, at {declared})"),
        )
        .await;
        let refused = format!("places.at is {declared}: no entity can be written for that type");
        assert_eq!(refusal(&db).await, refused);
        execute(&db, "DROP TABLE places").await;
    }
}

/// Mermaid has keywords, and names that begin with a digit are numbers to it.
#[tokio::test]
async fn the_diagram_is_one_that_mermaid_reads() {
    let db = migrated().await;
    for table in ["guests", "hosts"] {
        execute(&db, &format!("DROP TABLE {table}")).await;
    }
    execute(
        &db,
        "CREATE TABLE \"order items\" (id uuid_text PRIMARY KEY, \"a b\" text,
             \"the user\" uuid_text REFERENCES users (id))",
    )
    .await;
    execute(
        &db,
        "CREATE TABLE class (pk integer PRIMARY KEY, uk text UNIQUE, \"fk-1\" text, \"2fa\" boolean,
             \"größe\" integer, parent integer NOT NULL REFERENCES class (pk),
             user_id uuid_text NOT NULL UNIQUE REFERENCES users (id))",
    )
    .await;
    execute(
        &db,
        "CREATE TABLE \"50% \"\"off\"\" \\\" (id uuid_text PRIMARY KEY)",
    )
    .await;
    let files = generated(&db).await.files;
    assert_eq!(
        content(&files, "schema.mmd"),
        "%% Written by `sync` from the live schema; not to be edited.
erDiagram
    \"50_ 'off' _\" {
        uuid id PK
    }
    \"class\" {
        bigint _pk PK
        text _uk UK
        text _fk-1
        bool _2fa
        bigint größe
        bigint parent FK
        uuid user_id FK,UK
    }
    \"order items\" {
        uuid id PK
        text a_b
        uuid the_user FK
    }
    users {
        uuid id PK
        varchar email UK
        timestamptz created_at
        timestamptz updated_at
    }
    \"class\" ||--o{ \"class\" : \"parent\"
    users |o--o{ \"order items\" : \"the user\"
    users ||--o| \"class\" : \"user_id\"
"
    );
}

// ---- PostgreSQL ----

on_postgres!(
    two_names_that_would_be_one_are_refused,
    an_empty_database_costs_no_entity,
    a_role_that_may_only_read_sees_every_key,
    the_schema_of_the_log_is_read,
    what_an_extension_and_another_schema_have_is_left_out,
    columns_are_in_the_order_of_the_table,
    a_type_without_a_counterpart_is_read_back,
    a_key_without_a_counterpart_is_found,
);

async fn two_names_that_would_be_one_are_refused(url: &str) {
    let db = Database::connect(url).await.unwrap();
    Migrator::up(&db, None).await.unwrap();
    let notes = "CREATE TABLE notes (id uuid PRIMARY KEY, \"userId\" text, user_id text)";
    execute(&db, notes).await;
    let refused = "no entity can be written for notes.user_id: `userId` and it would both be \
                   the column `user_id`";
    assert_eq!(refusal(&db).await, refused);
    let roles = "DROP TABLE notes; CREATE TABLE \"userRoles\" (id uuid PRIMARY KEY);
                 CREATE TABLE user_roles (id uuid PRIMARY KEY)";
    execute(&db, roles).await;
    let refused = refusal(&db).await;
    assert!(
        refused.ends_with("would both be the module `user_role`"),
        "{refused}"
    );
    db.close().await.unwrap();
}

async fn an_empty_database_costs_no_entity(url: &str) {
    let place = Place::on(url);
    let folder = place.dir.path().join("generated");
    fs::create_dir(&folder).unwrap();
    let files = generated(&migrated().await).await.files;
    sync::write(&folder, &files).unwrap();
    let before = read(&folder);
    let refused = place.fail(&["sync", "--entity-dir", "generated"]);
    assert!(
        refused.contains("no migration has been applied"),
        "{refused}"
    );
    assert_eq!(read(&folder), before);
}

/// Whether `sync` of the program finds the files in step, as this role or on this path.
async fn is_in_step(url: &str, folder: &str) -> String {
    Place::on(url).succeed(&["sync", "--check", "--entity-dir", folder])
}

async fn a_role_that_may_only_read_sees_every_key(url: &str) {
    let place = Place::on(url);
    fs::create_dir(place.dir.path().join("generated")).unwrap();
    place.succeed(&["up", "--entity-dir", "generated"]);
    let role = format!("reader_{}", url.rsplit_once('_').unwrap().1);
    place
        .execute(&format!(
            "CREATE ROLE {role} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
        ))
        .await;
    let (scheme, rest) = url.split_once("://").unwrap();
    let (_, address) = rest.split_once('@').unwrap();
    let folder = place.dir.path().join("generated");
    let said = is_in_step(
        &format!("{scheme}://{role}@{address}"),
        folder.to_str().unwrap(),
    )
    .await;
    place
        .execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .await;
    assert_eq!(said, "sync: the entities are in step with the schema\n");
}

/// The log is where the search path leads to it.
async fn the_schema_of_the_log_is_read(url: &str) {
    let db = Database::connect(format!("{url}?options[search_path]=%22MyApp%22"))
        .await
        .unwrap();
    execute(&db, "CREATE SCHEMA \"MyApp\"").await;
    Migrator::up(&db, None).await.unwrap();
    let files = generated(&db).await.files;
    db.close().await.unwrap();

    let db = Database::connect(format!("{url}?options[search_path]=empty,%22MyApp%22"))
        .await
        .unwrap();
    execute(&db, "CREATE SCHEMA empty").await;
    assert_eq!(generated(&db).await.files, files);
    Migrator::install(&db).await.unwrap();
    assert_eq!(generated(&db).await.files, files, "an empty log is none");
    db.close().await.unwrap();

    let db = Database::connect(url).await.unwrap();
    assert!(refusal(&db).await.contains("no migration has been applied"));
    db.close().await.unwrap();
}

async fn what_an_extension_and_another_schema_have_is_left_out(url: &str) {
    let db = Database::connect(url).await.unwrap();
    Migrator::up(&db, None).await.unwrap();
    execute(
        &db,
        "CREATE EXTENSION citext; CREATE TABLE t (id uuid PRIMARY KEY);
         ALTER EXTENSION citext ADD TABLE t;
         CREATE SCHEMA auth; CREATE TABLE auth.users (id uuid PRIMARY KEY);
         CREATE TABLE parts (id uuid, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
         CREATE TABLE parts_2026 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
         ALTER TABLE hosts ADD auth_id uuid REFERENCES auth.users (id)",
    )
    .await;
    let Generated { files, notes, .. } = generated(&db).await;
    db.close().await.unwrap();
    let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "guest.rs",
            "host.rs",
            "mod.rs",
            "part.rs",
            "schema.mmd",
            "user.rs"
        ]
    );
    let left_out = "the foreign key hosts (auth_id) to auth.users is left out: \
                    there is no entity of that table";
    assert_eq!(notes, [left_out]);
    assert!(!content(&files, "schema.mmd").contains("auth.users"));
}

/// The planner may read the catalogue in any order.
async fn columns_are_in_the_order_of_the_table(url: &str) {
    let db = Database::connect(url).await.unwrap();
    Migrator::up(&db, None).await.unwrap();
    let before = generated(&db).await;
    let name = url.rsplit_once('/').unwrap().1;
    for setting in ["enable_indexscan", "enable_indexonlyscan", "enable_sort"] {
        execute(&db, &format!("ALTER DATABASE {name} SET {setting} = off")).await;
    }
    db.close().await.unwrap();
    let db = Database::connect(url).await.unwrap();
    assert_eq!(generated(&db).await, before);
    db.close().await.unwrap();
}

mod tag {
    use sea_orm_migration::sea_orm::{self, entity::prelude::*};

    /// The fields as `sync` writes them.
    pub(super) const FIELDS: &str = "    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    #[sea_orm(
        column_type = \"custom(\\\"citext\\\")\",
        select_as = \"text\",
        save_as = \"citext\",
        unique
    )]
    pub name: String,
    #[sea_orm(
        column_type = \"custom(\\\"inet\\\")\",
        select_as = \"text\",
        save_as = \"inet\",
        nullable
    )]
    pub address: Option<String>,
";

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "tags")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i32,
        #[sea_orm(
            column_type = "custom(\"citext\")",
            select_as = "text",
            save_as = "citext",
            unique
        )]
        pub name: String,
        #[sea_orm(
            column_type = "custom(\"inet\")",
            select_as = "text",
            save_as = "inet",
            nullable
        )]
        pub address: Option<String>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// A type that Rust has no counterpart of is read as it is stored, and compared by its own rule.
async fn a_type_without_a_counterpart_is_read_back(url: &str) {
    use sea_orm_migration::sea_orm::{ActiveModelTrait, ActiveValue::Set};

    let db = Database::connect(url).await.unwrap();
    Migrator::up(&db, None).await.unwrap();
    execute(&db, "CREATE EXTENSION citext").await;
    execute(
        &db,
        "CREATE TABLE tags (id int PRIMARY KEY, name citext NOT NULL UNIQUE, address inet)",
    )
    .await;
    let files = generated(&db).await.files;
    assert!(
        content(&files, "tag.rs").contains(tag::FIELDS),
        "{}",
        content(&files, "tag.rs")
    );

    let ada = tag::ActiveModel {
        id: Set(1),
        name: Set("Ada".to_owned()),
        address: Set(Some("10.0.0.1/24".to_owned())),
    };
    let ada = ada.insert(&db).await.unwrap();
    assert_eq!(
        (ada.name.as_str(), ada.address.as_deref()),
        ("Ada", Some("10.0.0.1/24"))
    );
    let found = tag::Entity::find_by_name("ADA").one(&db).await.unwrap();
    assert_eq!(found, Some(ada.clone()));
    let mut changed: tag::ActiveModel = ada.into();
    changed.name = Set("Grace".to_owned());
    assert_eq!(changed.update(&db).await.unwrap().name, "Grace");
    db.close().await.unwrap();
}

mod path {
    use sea_orm_migration::sea_orm::{self, entity::prelude::*};

    /// The fields as `sync` writes them.
    pub(super) const FIELDS: &str = "    #[sea_orm(
        primary_key,
        auto_increment = false,
        column_type = \"custom(\\\"citext\\\")\",
        select_as = \"text\",
        save_as = \"citext\"
    )]
    pub owner: String,
    #[sea_orm(
        primary_key,
        auto_increment = false,
        column_type = \"custom(\\\"text[]\\\")\",
        select_as = \"text\",
        save_as = \"text[]\"
    )]
    pub path: String,
    pub size: i32,
";

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "paths")]
    pub struct Model {
        #[sea_orm(
            primary_key,
            auto_increment = false,
            column_type = "custom(\"citext\")",
            select_as = "text",
            save_as = "citext"
        )]
        pub owner: String,
        #[sea_orm(
            primary_key,
            auto_increment = false,
            column_type = "custom(\"text[]\")",
            select_as = "text",
            save_as = "text[]"
        )]
        pub path: String,
        pub size: i32,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// No array is a key to SeaORM, and `citext` is compared by its own rule in a key too.
async fn a_key_without_a_counterpart_is_found(url: &str) {
    use sea_orm_migration::sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait};

    let db = Database::connect(url).await.unwrap();
    Migrator::up(&db, None).await.unwrap();
    execute(
        &db,
        "CREATE EXTENSION citext;
         CREATE TABLE paths (owner citext, path text[], size int NOT NULL, PRIMARY KEY (owner, path))",
    )
    .await;
    let files = generated(&db).await.files;
    assert!(
        content(&files, "path.rs").contains(path::FIELDS),
        "{}",
        content(&files, "path.rs")
    );

    let home = path::ActiveModel {
        owner: Set("Ada".to_owned()),
        path: Set("{home,ada}".to_owned()),
        size: Set(1),
    };
    let home = home.insert(&db).await.unwrap();
    let id = ("ADA".to_owned(), "{ home, ada }".to_owned());
    let found = path::Entity::find_by_id(id.clone()).one(&db).await.unwrap();
    assert_eq!(found, Some(home.clone()));
    let mut changed: path::ActiveModel = home.into();
    changed.size = Set(2);
    assert_eq!(changed.update(&db).await.unwrap().size, 2);
    let deleted = path::Entity::delete_by_id(id).exec(&db).await.unwrap();
    assert_eq!(deleted.rows_affected, 1);
    db.close().await.unwrap();
}

// ---- MariaDB ----

on_mariadb!(
    a_table_with_versions_is_read,
    what_is_taken_for_a_uuid_is_said,
    a_role_that_does_not_see_every_table_is_refused,
);

/// Such a table has the end of a row's period in every unique key, for the rows that are gone.
async fn a_table_with_versions_is_read(url: &str) {
    let db = Database::connect(url).await.unwrap();
    Migrator::up(&db, None).await.unwrap();
    execute(
        &db,
        "CREATE TABLE prices (id int PRIMARY KEY, code varchar(8) NOT NULL UNIQUE,
             vs timestamp(6) GENERATED ALWAYS AS ROW START,
             ve timestamp(6) GENERATED ALWAYS AS ROW END,
             PERIOD FOR SYSTEM_TIME (vs, ve)) WITH SYSTEM VERSIONING",
    )
    .await;
    let files = generated(&db).await.files;
    db.close().await.unwrap();
    let price = content(&files, "price.rs");
    let fields = "    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    #[sea_orm(column_type = \"String(StringLen::N(8))\", unique)]
    pub code: String,
}
";
    assert!(price.contains(fields), "{price}");
}

async fn what_is_taken_for_a_uuid_is_said(url: &str) {
    let db = Database::connect(url).await.unwrap();
    Migrator::up(&db, None).await.unwrap();
    assert_eq!(
        generated(&db).await.notes,
        [
            "guests.id is binary(16) and taken for a UUID",
            "guests.user_id is binary(16) and taken for a UUID",
            "hosts.id is binary(16) and taken for a UUID",
            "hosts.user_id is binary(16) and taken for a UUID",
            "users.id is binary(16) and taken for a UUID",
        ]
    );
    db.close().await.unwrap();
}

/// What it does not see would be taken for gone.
async fn a_role_that_does_not_see_every_table_is_refused(url: &str) {
    let place = Place::on(url);
    place.succeed(&["up"]);
    let name = url.rsplit_once('/').unwrap().1;
    let role = format!("reader_{}", name.rsplit_once('_').unwrap().1);
    place.execute(&format!("CREATE USER {role}@'%'")).await;
    for table in ["users", "guests", "seaql_migrations"] {
        place
            .execute(&format!("GRANT SELECT ON {name}.{table} TO {role}@'%'"))
            .await;
    }
    let (scheme, rest) = url.split_once("://").unwrap();
    let (_, address) = rest.split_once('@').unwrap();
    let url = format!("{scheme}://{role}@{address}");
    // The server looks at the rights to a database when a session begins.
    let sync = async || {
        let db = Database::connect(&url).await.unwrap();
        let outcome = sync::generate(&db).await.map_err(|error| error.to_string());
        db.close().await.unwrap();
        outcome.err().unwrap_or_default()
    };
    let mut refused = Vec::new();
    // With the second the role sees the rights of everybody.
    for grant in ["USAGE ON *.*", "SELECT ON mysql.*", "SUPER ON *.*"] {
        place.execute(&format!("GRANT {grant} TO {role}@'%'")).await;
        refused.push(sync().await);
    }
    place
        .execute(&format!("GRANT SELECT ON {name}.* TO {role}@'%'"))
        .await;
    let of_all = sync().await;
    for sql in [
        format!("REVOKE ALL PRIVILEGES, GRANT OPTION FROM {role}@'%'"),
        format!("CREATE ROLE {role}_inner"),
        format!("CREATE ROLE {role}_outer"),
        format!("GRANT SELECT, INSERT ON {name}.* TO {role}_inner"),
        format!("GRANT {role}_inner TO {role}_outer"),
        format!("GRANT {role}_outer TO {role}@'%'"),
        format!("SET DEFAULT ROLE {role}_outer FOR {role}@'%'"),
    ] {
        place.execute(&sql).await;
    }
    let through_a_role = sync().await;
    place
        .execute(&format!("DROP ROLE {role}_inner, {role}_outer"))
        .await;
    place.execute(&format!("DROP USER {role}@'%'")).await;
    for refusal in refused {
        assert!(
            refusal.starts_with("the role may not read every table"),
            "{refusal}"
        );
    }
    assert!(
        of_all.contains("user_id: the role may not read what the foreign key"),
        "{of_all}"
    );
    assert_eq!(through_a_role, "");
}

on_each_backend!(as_many_statements_for_sixty_tables_as_for_four);

/// `sync` runs after each `up`: its time must not grow by a statement with each table.
async fn as_many_statements_for_sixty_tables_as_for_four(url: &str) {
    let mut db = Database::connect(url).await.unwrap();
    Migrator::up(&db, None).await.unwrap();
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = sent.clone();
    db.set_metric_callback(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    let before = generated(&db).await.files.len();
    let for_few = sent.swap(0, Ordering::Relaxed);
    for n in 0..56 {
        let mut table = Table::create();
        table
            .table(format!("things_{n}"))
            .col(ColumnDef::new("id").big_integer().not_null().primary_key())
            .col(ColumnDef::new("host_id").uuid().not_null().unique_key())
            .foreign_key(
                ForeignKey::create()
                    .from(format!("things_{n}"), "host_id")
                    .to("hosts", "id"),
            );
        let statement = db.get_database_backend().build(&table);
        db.execute_raw(statement).await.unwrap();
    }
    sent.store(0, Ordering::Relaxed);
    assert_eq!(generated(&db).await.files.len(), before + 56);
    assert_eq!(sent.load(Ordering::Relaxed), for_few);
    assert!(for_few > 2, "{for_few} were counted");
    db.close().await.unwrap();
}
