//! `sync`: what the entities and the diagram of a schema are, and how they reach the folder.

use std::fs;

use guesthouse_migration::sync::{self, GeneratedFile, Options, SyncError};
use sea_orm_migration::sea_orm::DatabaseConnection;

use crate::support::{execute, migrated};

async fn file(db: &DatabaseConnection, name: &str) -> String {
    let files = sync::generate(db).await.unwrap();
    let names: Vec<_> = files.iter().map(|file| file.name.clone()).collect();
    match files.into_iter().find(|file| file.name == name) {
        Some(file) => file.content,
        None => panic!("{name} is not among {names:?}"),
    }
}

#[tokio::test]
async fn a_unique_foreign_key_is_a_has_one_in_the_singular() {
    let db = migrated().await;
    execute(
        &db,
        "CREATE TABLE cleaners (id uuid_text PRIMARY KEY,
            user_id uuid_text NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE)",
    )
    .await;

    let user = file(&db, "user.rs").await;
    assert!(
        user.contains("#[sea_orm(table_name = \"users\")]"),
        "{user}"
    );
    for role in ["cleaner", "guest", "host"] {
        let field = format!("pub {role}: HasOne<super::{role}::Entity>,");
        assert!(user.contains(&field), "{user}");
    }
    let cleaner = file(&db, "cleaner.rs").await;
    assert!(
        cleaner.contains("#[sea_orm(table_name = \"cleaners\")]"),
        "{cleaner}"
    );
    assert!(
        cleaner.contains("pub user: BelongsTo<super::user::Entity>,"),
        "{cleaner}"
    );
    assert!(
        cleaner.contains("guesthouse_entity::on_save(self, insert)"),
        "{cleaner}"
    );
    assert!(file(&db, "mod.rs").await.contains("pub mod cleaner;"));
    assert!(
        file(&db, "schema.mmd")
            .await
            .contains("users ||--o| cleaners : \"user_id\"")
    );
}

#[tokio::test]
async fn only_an_index_over_every_row_and_the_whole_key_makes_a_has_one() {
    let db = migrated().await;
    execute(
        &db,
        "CREATE TABLE reviews (id uuid_text PRIMARY KEY, host_id uuid_text REFERENCES hosts (id),
            title varchar(80) NOT NULL)",
    )
    .await;
    execute(
        &db,
        "CREATE UNIQUE INDEX a ON reviews (host_id) WHERE title = ''",
    )
    .await;
    execute(
        &db,
        "CREATE UNIQUE INDEX b ON reviews (host_id, lower(title))",
    )
    .await;
    execute(&db, "CREATE UNIQUE INDEX c ON reviews (host_id, title)").await;

    let host = file(&db, "host.rs").await;
    assert!(
        host.contains("pub reviews: HasMany<super::review::Entity>,"),
        "{host}"
    );
    let review = file(&db, "review.rs").await;
    assert!(
        review.contains("pub host: BelongsTo<Option<super::host::Entity>>,"),
        "{review}"
    );
    let diagram = file(&db, "schema.mmd").await;
    assert!(
        diagram.contains("hosts |o--o{ reviews : \"host_id\""),
        "{diagram}"
    );
    assert!(diagram.contains("uuid host_id FK\n"), "{diagram}");
}

#[tokio::test]
async fn a_foreign_key_that_is_the_primary_key_is_a_has_one() {
    let db = migrated().await;
    execute(
        &db,
        "CREATE TABLE badges (host_id uuid_text PRIMARY KEY REFERENCES hosts (id))",
    )
    .await;
    let host = file(&db, "host.rs").await;
    assert!(
        host.contains("pub badge: HasOne<super::badge::Entity>,"),
        "{host}"
    );
    let diagram = file(&db, "schema.mmd").await;
    assert!(
        diagram.contains("hosts ||--o| badges : \"host_id\""),
        "{diagram}"
    );
}

#[tokio::test]
async fn a_new_column_appears_and_a_generated_one_does_not() {
    let db = migrated().await;
    execute(&db, "ALTER TABLE hosts ADD COLUMN motto varchar(80)").await;
    execute(
        &db,
        "ALTER TABLE hosts ADD COLUMN loud text AS (upper(motto))",
    )
    .await;
    let host = file(&db, "host.rs").await;
    let motto = "    #[sea_orm(column_type = \"String(StringLen::N(80))\", nullable)]
    pub motto: Option<String>,\n";
    assert!(host.contains(motto), "{host}");
    assert!(!host.contains("loud"), "{host}");
}

/// The has-one keeps its names, and the others are called by their columns.
#[tokio::test]
async fn a_new_foreign_key_renames_nothing() {
    let db = migrated().await;
    let mut before = Vec::new();
    for column in ["approved_by", "verified_by", "account_manager_id"] {
        let add = format!("ALTER TABLE hosts ADD COLUMN {column} uuid_text REFERENCES users (id)");
        execute(&db, &add).await;
        let (host, user) = (file(&db, "host.rs").await, file(&db, "user.rs").await);
        for field in &before {
            assert!(
                host.contains(field) || user.contains(field),
                "{field}{host}{user}"
            );
        }
        let fields = host
            .lines()
            .chain(user.lines())
            .filter(|line| line.contains("    pub "));
        before = fields.map(|line| format!("{line}\n")).collect();
    }
    for field in [
        "    pub user: BelongsTo<super::user::Entity>,\n",
        "    pub host: HasOne<super::host::Entity>,\n",
        "    pub account_manager: BelongsTo<Option<super::user::Entity>>,\n",
        "    pub hosts_by_account_manager: HasMany<super::host::Entity>,\n",
    ] {
        assert!(
            before.iter().any(|line| line == field),
            "{field} in {before:?}"
        );
    }
}

/// The field of the column is called otherwise, by which nothing is lost: nobody had it before.
#[tokio::test]
async fn a_new_column_renames_no_has_one() {
    let db = migrated().await;
    for column in ["host boolean", "guest_option text", "type text"] {
        execute(&db, &format!("ALTER TABLE users ADD COLUMN {column}")).await;
    }
    let user = file(&db, "user.rs").await;
    for lines in [
        "    #[sea_orm(has_one)]\n    pub host: HasOne<super::host::Entity>,\n",
        "    #[sea_orm(has_one)]\n    pub guest: HasOne<super::guest::Entity>,\n",
        "    #[sea_orm(column_name = \"host\")]\n    pub column_host: Option<bool>,\n",
        "    pub column_guest_option: Option<String>,\n",
        "    pub type_: Option<String>,\n",
    ] {
        assert!(user.contains(lines), "{lines}{user}");
    }
    let notes = sync::generate_with(&db, &Options::default()).await;
    assert_eq!(
        notes.unwrap().notes,
        [
            "users.guest_option is the field `column_guest_option`: a has-one has its name, or a \
             method of it",
            "users.host is the field `column_host`: a has-one has its name, or a method of it",
        ]
    );
}

#[tokio::test]
async fn a_many_to_many_that_is_left_out_is_noted() {
    let db = migrated().await;
    for sql in [
        "CREATE TABLE favorites (user_id uuid_text NOT NULL REFERENCES users (id),
             host_id uuid_text NOT NULL REFERENCES hosts (id), PRIMARY KEY (user_id, host_id))",
        "CREATE TABLE posts (id uuid_text PRIMARY KEY)",
        "CREATE TABLE tags (id uuid_text PRIMARY KEY)",
        "CREATE TABLE post_tags (post_id uuid_text NOT NULL REFERENCES posts (id),
             tag_id uuid_text NOT NULL REFERENCES tags (id), PRIMARY KEY (post_id, tag_id))",
        "CREATE TABLE moves (post_id uuid_text NOT NULL REFERENCES posts (id),
             host_id uuid_text NOT NULL REFERENCES hosts (id),
             from_id uuid_text REFERENCES hosts (id), PRIMARY KEY (post_id, host_id))",
    ] {
        execute(&db, sql).await;
    }
    let left_out = |a: &str, b: &str, junction: &str| {
        format!(
            "the many-to-many of {a} and {b} by {junction} is left out: there is another way between \
             them"
        )
    };
    let generated = sync::generate_with(&db, &Options::default()).await.unwrap();
    assert_eq!(
        generated.notes,
        [
            left_out("hosts", "posts", "moves"),
            left_out("hosts", "users", "favorites"),
        ]
    );
    assert!(file(&db, "post.rs").await.contains("pub tags: HasMany"));
    execute(
        &db,
        "CREATE TABLE marks (post_id uuid_text NOT NULL REFERENCES posts (id),
             tag_id uuid_text NOT NULL REFERENCES tags (id), PRIMARY KEY (post_id, tag_id))",
    )
    .await;
    let generated = sync::generate_with(&db, &Options::default()).await.unwrap();
    for junction in ["marks", "post_tags"] {
        let note = left_out("posts", "tags", junction);
        assert!(generated.notes.contains(&note), "{:?}", generated.notes);
    }
}

/// The first of two keys that are not unique may be the one that is not called after the table.
#[tokio::test]
async fn a_key_that_is_called_after_the_table_renames_no_other() {
    let db = migrated().await;
    execute(
        &db,
        "CREATE TABLE reviews (id uuid_text PRIMARY KEY,
            author_id uuid_text NOT NULL REFERENCES users (id))",
    )
    .await;
    let author = "    pub author: BelongsTo<super::user::Entity>,\n";
    let by_author = "    pub reviews_by_author: HasMany<super::review::Entity>,\n";
    assert!(file(&db, "review.rs").await.contains(author));
    assert!(file(&db, "user.rs").await.contains(by_author));

    let add = "ALTER TABLE reviews ADD COLUMN user_id uuid_text REFERENCES users (id)";
    execute(&db, add).await;
    let (review, user) = (file(&db, "review.rs").await, file(&db, "user.rs").await);
    let related = "relation_enum = \"User\", from = \"author_id\"";
    for lines in [
        author,
        related,
        "    pub user: BelongsTo<Option<super::user::Entity>>,\n",
        "        Relation::User.def()\n",
    ] {
        assert!(review.contains(lines), "{lines}{review}");
    }
    for lines in [
        by_author,
        "    pub reviews: HasMany<super::review::Entity>,\n",
        "    #[sea_orm(has_many, relation_enum = \"Review\", via_rel = \"User\")]\n    pub reviews_by_author",
    ] {
        assert!(user.contains(lines), "{lines}{user}");
    }
}

#[tokio::test]
async fn a_key_that_is_there_twice_is_one_relation() {
    let db = migrated().await;
    execute(
        &db,
        "CREATE TABLE pets (id uuid_text PRIMARY KEY, host_id uuid_text REFERENCES hosts (id),
            FOREIGN KEY (host_id) REFERENCES hosts (id))",
    )
    .await;
    let (pet, host) = (file(&db, "pet.rs").await, file(&db, "host.rs").await);
    assert_eq!(pet.matches("belongs_to").count(), 1, "{pet}");
    assert_eq!(host.matches("super::pet::Entity").count(), 1, "{host}");
}

#[tokio::test]
async fn two_runs_give_the_same_bytes() {
    let db = migrated().await;
    assert_eq!(
        sync::generate(&db).await.unwrap(),
        sync::generate(&db).await.unwrap()
    );
}

#[tokio::test]
async fn two_tables_of_one_name_are_refused() {
    let db = migrated().await;
    execute(&db, "CREATE TABLE host (id uuid_text PRIMARY KEY)").await;
    let refusal = sync::generate(&db).await.unwrap_err();
    assert!(matches!(refusal, SyncError::Schema(_)), "{refusal}");
    assert!(refusal.to_string().contains("module `host`"), "{refusal}");
}

/// A file as `sync` writes it.
fn generated(name: &str, body: &str) -> GeneratedFile {
    GeneratedFile {
        name: name.to_owned(),
        content: format!(
            "// Written by `sync` from the live schema; not to be edited.\n\n{body}\n"
        ),
    }
}

#[test]
fn only_what_differs_is_written_and_what_is_gone_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, c] = ["a.rs", "b.rs", "c.rs"].map(|name| generated(name, "pub struct A;"));
    let changed = sync::write(folder.path(), &[a.clone(), b.clone()]).unwrap();
    assert_eq!(changed, ["a.rs", "b.rs"]);
    fs::write(folder.path().join("mine.rs"), "// by hand").unwrap();

    let changed = sync::write(folder.path(), &[a, c]).unwrap();
    assert_eq!(changed, ["b.rs", "c.rs"]);
    let mut left: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["a.rs", "c.rs", "mine.rs"]);
}

#[test]
fn a_file_written_by_hand_is_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("user.rs"), "// by hand").unwrap();
    let refusal = sync::write(
        folder.path(),
        &[generated("host.rs", ""), generated("user.rs", "")],
    );
    assert!(
        matches!(refusal, Err(SyncError::NotOurs { .. })),
        "{refusal:?}"
    );
    assert!(!folder.path().join("host.rs").exists());
}

#[test]
fn a_failed_write_leaves_the_old_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let old = [generated("+first.rs", "old"), generated("gone.rs", "old")];
    sync::write(path, &old).unwrap();
    // The first one fails before any file is touched; the second one after `+first.rs` was, for what
    // is there twice can be put in place once.
    let twice = generated("twice.rs", "new");
    for impossible in [
        vec![generated("no/such/folder.rs", "new")],
        vec![twice.clone(), twice],
    ] {
        let new = [vec![generated("+first.rs", "new")], impossible].concat();
        let failure = sync::write(path, &new).unwrap_err();
        assert!(matches!(failure, SyncError::File { .. }), "{failure}");
        assert_eq!(sync::diff(path, &old).unwrap(), "");
        assert_eq!(fs::read_dir(path).unwrap().count(), 2);
    }
}

#[test]
fn the_difference_shows_what_sync_would_do() {
    let folder = tempfile::tempdir().unwrap();
    sync::write(
        folder.path(),
        &[generated("a.rs", "old"), generated("b.rs", "gone")],
    )
    .unwrap();
    let difference = sync::diff(folder.path(), &[generated("a.rs", "new")]).unwrap();
    for line in [
        "--- a.rs (folder)",
        "+++ a.rs (schema)",
        "-old",
        "+new",
        "+++ /dev/null",
        "-gone",
    ] {
        assert!(
            difference.lines().any(|l| l == line),
            "{line} is not in:\n{difference}"
        );
    }
}
