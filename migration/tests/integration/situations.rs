//! Schemas as users have them: what `sync` makes of each compiles, and says what the schema says.

use guesthouse_migration::{
    Migrator,
    sync::{self, Options},
};
use sea_orm_migration::{MigratorTrait, sea_orm::Database};

use crate::{
    compile::Crate,
    support::{POSTGRES, execute, migrated, on_server},
};

/// A schema beside that of the migrations, and Rust that holds of its entities.
struct Situation {
    name: &'static str,
    /// For SQLite and PostgreSQL alike; `{uuid}` is the type of an id.
    sql: &'static str,
    expects: &'static str,
}

const SITUATIONS: &[Situation] = &[
    Situation {
        name: "second_key_to_users",
        sql: "ALTER TABLE hosts ADD COLUMN approved_by {uuid} REFERENCES users (id);
              ALTER TABLE hosts ADD COLUMN verified_by {uuid} REFERENCES users (id)",
        expects: "
            fn related<A: EntityTrait, B: EntityTrait>() where A: Related<B> {}
            pub fn ways() -> [RelationDef; 4] {
                related::<host::Entity, user::Entity>();
                related::<user::Entity, host::Entity>();
                [
                    host::Relation::User.def(),
                    host::Relation::ApprovedByRow.def(),
                    user::Relation::Host.def(),
                    user::Relation::HostsByApprovedBy.def(),
                ]
            }
            pub fn fields(user: user::ModelEx, host: host::ModelEx) -> impl Sized {
                (user.host, user.hosts_by_approved_by, user.hosts_by_verified_by,
                 host.user, host.approved_by_row, host.verified_by_row)
            }",
    },
    Situation {
        name: "favorites",
        sql: "CREATE TABLE favorites (user_id {uuid} NOT NULL REFERENCES users (id),
                  host_id {uuid} NOT NULL REFERENCES hosts (id), PRIMARY KEY (user_id, host_id))",
        expects: "
            pub fn fields(user: user::ModelEx) -> impl Sized { (user.host, user.favorites) }
            pub fn way() -> RelationDef { <host::Entity as Related<user::Entity>>::to() }",
    },
    Situation {
        name: "many_to_many",
        sql: "CREATE TABLE posts (id {uuid} PRIMARY KEY);
              CREATE TABLE tags (id {uuid} PRIMARY KEY);
              CREATE TABLE post_tags (post_id {uuid} NOT NULL REFERENCES posts (id),
                  tag_id {uuid} NOT NULL REFERENCES tags (id), PRIMARY KEY (post_id, tag_id))",
        expects: "
            pub fn fields(post: post::ModelEx, tag: tag::ModelEx) -> impl Sized {
                (post.tags, post.post_tags, tag.posts)
            }
            pub fn via() -> bool { <post::Entity as Related<tag::Entity>>::via().is_some() }",
    },
    Situation {
        name: "junction_with_an_author",
        sql: "CREATE TABLE posts (id {uuid} PRIMARY KEY);
              CREATE TABLE tags (id {uuid} PRIMARY KEY);
              CREATE TABLE post_tags (post_id {uuid} NOT NULL REFERENCES posts (id),
                  tag_id {uuid} NOT NULL REFERENCES tags (id),
                  added_by_id {uuid} REFERENCES users (id), PRIMARY KEY (post_id, tag_id));
              CREATE TABLE moves (post_id {uuid} NOT NULL REFERENCES posts (id),
                  host_id {uuid} NOT NULL REFERENCES hosts (id),
                  from_id {uuid} REFERENCES hosts (id), PRIMARY KEY (post_id, host_id))",
        expects: "
            pub fn fields(post: post::ModelEx, tag: tag::ModelEx, user: user::ModelEx) -> impl Sized {
                (post.tags, post.post_tags, tag.posts, user.post_tags_by_added_by)
            }
            pub fn via() -> bool { <post::Entity as Related<tag::Entity>>::via().is_some() }
            pub fn no_hosts(post: post::ModelEx) {
                let post::ModelEx { id: _, tags: _, post_tags: _, moves: _ } = post;
            }",
    },
    Situation {
        name: "no_junction",
        sql: "CREATE TABLE rooms (host_id {uuid} NOT NULL REFERENCES hosts (id),
                  number integer NOT NULL, PRIMARY KEY (host_id, number));
              CREATE TABLE bookings (id {uuid} PRIMARY KEY, host_id {uuid} NOT NULL,
                  number integer NOT NULL, guest_id {uuid} NOT NULL REFERENCES guests (id),
                  FOREIGN KEY (host_id, number) REFERENCES rooms (host_id, number))",
        expects: "
            pub fn fields(booking: booking::ModelEx, room: room::ModelEx) -> impl Sized {
                (booking.room, booking.guest, room.bookings, room.host)
            }",
    },
    Situation {
        name: "unique_composite_key",
        sql: "CREATE TABLE rooms (host_id {uuid} NOT NULL REFERENCES hosts (id),
                  number integer NOT NULL, PRIMARY KEY (host_id, number));
              CREATE TABLE keys (id {uuid} PRIMARY KEY, host_id {uuid} NOT NULL,
                  number integer NOT NULL, UNIQUE (host_id, number),
                  FOREIGN KEY (host_id, number) REFERENCES rooms (host_id, number))",
        expects: "
            pub fn one(room: room::ModelEx) -> HasOne<key::Entity> { room.key }",
    },
    Situation {
        name: "themselves",
        sql: "CREATE TABLE categories (id {uuid} PRIMARY KEY,
                  parent_id {uuid} REFERENCES categories (id),
                  root {uuid} REFERENCES categories (id))",
        expects: "
            pub fn fields(category: category::ModelEx) -> impl Sized {
                (category.parent, category.root_row)
            }
            pub fn way() -> RelationDef { category::Relation::Parent.def() }",
    },
    Situation {
        name: "each_other",
        sql: "CREATE TABLE teams (id {uuid} PRIMARY KEY);
              CREATE TABLE players (id {uuid} PRIMARY KEY,
                  team_id {uuid} NOT NULL REFERENCES teams (id));
              ALTER TABLE teams ADD COLUMN captain_id {uuid} REFERENCES players (id)",
        expects: "
            pub fn fields(team: team::ModelEx, player: player::ModelEx) -> impl Sized {
                (team.players, team.captain, player.team, player.teams_by_captain)
            }
            pub fn way() -> RelationDef { <player::Entity as Related<team::Entity>>::to() }",
    },
    Situation {
        name: "a_column_called_like_the_other_table",
        sql: "CREATE TABLE reviews (id {uuid} PRIMARY KEY,
                  host {uuid} NOT NULL REFERENCES hosts (id))",
        expects: "
            pub fn fields(review: review::ModelEx) -> impl Sized { (review.host, review.host_row) }
            pub fn way() -> RelationDef { review::Relation::Host.def() }",
    },
    Situation {
        name: "a_column_called_like_a_has_one",
        sql: "ALTER TABLE users ADD COLUMN host boolean;
              ALTER TABLE users ADD COLUMN host_option text",
        expects: "
            pub fn fields(user: user::ModelEx) -> (HasOne<host::Entity>, Option<bool>, Option<String>) {
                (user.host, user.column_host, user.column_host_option)
            }
            pub fn way() -> RelationDef { <user::Entity as Related<host::Entity>>::to() }
            pub fn name() -> &'static str {
                use sea_orm::IdenStatic;
                user::Column::ColumnHost.as_str()
            }",
    },
    Situation {
        name: "words_of_rust",
        sql: r#"CREATE TABLE types (id {uuid} PRIMARY KEY, "type" varchar(8) NOT NULL UNIQUE,
                  "gen" integer, "super" integer, "self" integer, "crate" integer, "async" integer,
                  "2fa_enabled" boolean NOT NULL, "userId" integer, "line_1" text,
                  "größe" integer, host_id {uuid} REFERENCES hosts (id));
              CREATE TABLE super (id {uuid} PRIMARY KEY, "type" {uuid} REFERENCES types (id));
              CREATE TABLE "3d_models" (id {uuid} PRIMARY KEY, super_id {uuid} REFERENCES super (id));
              CREATE TABLE options (id {uuid} PRIMARY KEY);
              CREATE TABLE results (id {uuid} PRIMARY KEY, option_id {uuid} REFERENCES options (id));
              CREATE TABLE stds (id {uuid} PRIMARY KEY)"#,
        expects: "
            pub fn fields(t: type_::Model) -> impl Sized {
                (t.type_, t.gen_, t.super_, t.column_self, t.crate_, t.async_,
                 t.column_2fa_enabled, t.user_id, t.line_1, t.größe)
            }
            pub fn found() -> Select<type_::Entity> { type_::Entity::find_by_type_(\"a\") }
            pub fn names() -> [&'static str; 4] {
                use sea_orm::IdenStatic;
                [type_::Column::Type, type_::Column::Column2faEnabled, type_::Column::UserId,
                 type_::Column::Line1].map(|column| column.as_str())
            }
            pub use super_::Entity as A; pub use table_3d_model::Entity as B;
            pub use option::Entity as C; pub use result::Entity as D; pub use std_::Entity as E;",
    },
    Situation {
        name: "names_in_quotes",
        sql: r#"CREATE TABLE "say ""hi""" (id {uuid} PRIMARY KEY, "it's" text, "a-b" integer);
              CREATE TABLE "it's" (id {uuid} PRIMARY KEY, "say ""hi"" id" {uuid} REFERENCES "say ""hi""" (id));
              CREATE TABLE "order items" (id {uuid} PRIMARY KEY, a integer, b integer, UNIQUE (a, b));
              CREATE TABLE data_s (id {uuid} PRIMARY KEY);
              CREATE TABLE "x--y" (id {uuid} PRIMARY KEY)"#,
        expects: "
            pub fn found() -> Select<order_item::Entity> {
                order_item::Entity::find_by_a_b((Some(1), Some(2)))
            }
            pub use say_hi::Entity as A; pub use it_s::Entity as B; pub use x_y::Entity as C;",
    },
    Situation {
        name: "several_unique_keys",
        sql: r#"CREATE TABLE listings (id {uuid} PRIMARY KEY, host_id {uuid} NOT NULL REFERENCES hosts (id),
                  slug varchar(80) NOT NULL, position bigint NOT NULL, UNIQUE (host_id, slug),
                  CONSTRAINT "uq-1" UNIQUE (host_id, position), UNIQUE (position, host_id))"#,
        expects: "
            pub fn found(host: Uuid) -> (Select<listing::Entity>, Select<listing::Entity>) {
                (listing::Entity::find_by_host_id_slug((host, String::new())),
                 listing::Entity::find_by_host_id_position((host, 1)))
            }",
    },
    Situation {
        name: "composite_and_odd_primary_keys",
        sql: "CREATE TABLE prices (currency char(3) NOT NULL, day date NOT NULL, amount double precision,
                  PRIMARY KEY (currency, day));
              CREATE TABLE flags (flag boolean PRIMARY KEY NOT NULL);
              CREATE TABLE badges (host_id {uuid} PRIMARY KEY REFERENCES hosts (id))",
        expects: "
            pub fn one(host: host::ModelEx) -> HasOne<badge::Entity> { host.badge }",
    },
    Situation {
        name: "an_implied_column",
        sql: "CREATE TABLE pets (id {uuid} PRIMARY KEY, host_id {uuid} REFERENCES hosts)",
        expects: "pub fn fields(pet: pet::ModelEx) -> impl Sized { (pet.host_id, pet.host) }",
    },
    Situation {
        name: "a_generated_key",
        sql: "CREATE TABLE orders (id {uuid} PRIMARY KEY, a {uuid},
                  user_id {uuid} GENERATED ALWAYS AS (a) STORED REFERENCES users (id))",
        expects: "pub fn fields(order: order::Model) -> impl Sized { (order.id, order.a) }",
    },
    Situation {
        name: "names_of_methods",
        sql: "CREATE TABLE host_options (user_id {uuid} PRIMARY KEY REFERENCES users (id));
              CREATE TABLE polls (id {uuid} PRIMARY KEY);
              CREATE TABLE poll_options (id {uuid} PRIMARY KEY);
              CREATE TABLE votes (id {uuid} PRIMARY KEY, poll_id {uuid} REFERENCES polls (id),
                  poll_option_id {uuid} REFERENCES poll_options (id));
              CREATE TABLE orders (id {uuid} PRIMARY KEY, payment_option text);
              CREATE TABLE payments (id {uuid} PRIMARY KEY,
                  order_id {uuid} NOT NULL UNIQUE REFERENCES orders (id));
              CREATE TABLE folders (id {uuid} PRIMARY KEY, parent_key integer,
                  parent_key_for integer, host_id {uuid} REFERENCES hosts (id));
              CREATE TABLE leaves (id {uuid} PRIMARY KEY, parent_key_id {uuid} REFERENCES leaves (id),
                  host_id {uuid} REFERENCES hosts (id))",
        expects: "
            pub fn relations(user: user::ModelEx, vote: vote::ModelEx, order: order::ModelEx,
                    leaf: leaf::ModelEx) -> impl Sized {
                (user.host, user.host_option_row, vote.poll, vote.poll_option_row, order.payment,
                 leaf.parent_key_row)
            }
            pub fn columns(order: order::Model, folder: folder::Model) -> impl Sized {
                (order.column_payment_option, folder.column_parent_key, folder.column_parent_key_for)
            }",
    },
    Situation {
        name: "keys_called_by_their_columns",
        sql: "CREATE TABLE currencies (code char(3) PRIMARY KEY NOT NULL);
              CREATE TABLE reviews (id {uuid} PRIMARY KEY,
                  author_id {uuid} NOT NULL REFERENCES users (id),
                  currency_code char(3) NOT NULL REFERENCES currencies (code),
                  paid_currency_code char(3) NOT NULL REFERENCES currencies (code),
                  approval_id {uuid} UNIQUE REFERENCES users (id));
              CREATE TABLE prices (code char(3) NOT NULL REFERENCES currencies (code),
                  day date NOT NULL, PRIMARY KEY (code, day));
              ALTER TABLE users ADD COLUMN main_host_id {uuid} REFERENCES hosts (id)",
        expects: "
            pub fn there(review: review::ModelEx, price: price::ModelEx, user: user::ModelEx)
                    -> impl Sized {
                (review.author, review.approval, review.currency, review.paid_currency,
                 price.currency, user.main_host, user.host)
            }
            pub fn back(user: user::ModelEx, currency: currency::ModelEx, host: host::ModelEx)
                    -> impl Sized {
                (user.reviews_by_author, user.review_by_approval, currency.reviews,
                 currency.reviews_by_paid_currency, currency.prices, host.users_by_main_host)
            }",
    },
    Situation {
        name: "citext_as_a_key",
        sql: "CREATE TABLE tags (name {citext} PRIMARY KEY NOT NULL);
              CREATE TABLE notes (id {uuid} PRIMARY KEY, tag {citext} REFERENCES tags (name))",
        expects: "
            pub fn found() -> Select<tag::Entity> { tag::Entity::find_by_id(String::new()) }
            pub fn fields(note: note::ModelEx, tag: tag::ModelEx) -> impl Sized {
                (note.tag_row, tag.notes)
            }",
    },
    Situation {
        name: "citext",
        sql: "CREATE TABLE tags (id {uuid} PRIMARY KEY, name {citext} NOT NULL UNIQUE)",
        expects: "pub fn name(tag: tag::Model) -> String { tag.name }",
    },
];

/// What PostgreSQL alone has.
const OF_POSTGRES: &[Situation] = &[
    Situation {
        name: "two_keys_of_one_name",
        sql: "CREATE TABLE cats (id uuid PRIMARY KEY, owner uuid,
                  CONSTRAINT owner_fk FOREIGN KEY (owner) REFERENCES users (id));
              CREATE TABLE cars (id uuid PRIMARY KEY, owner_host uuid,
                  CONSTRAINT owner_fk FOREIGN KEY (owner_host) REFERENCES hosts (id))",
        expects: "
            pub fn fields(cat: cat::ModelEx, car: car::ModelEx) -> impl Sized { 
                (cat.owner_row, car.owner_host_row)
            }",
    },
    Situation {
        name: "enums",
        sql: "CREATE TYPE result AS ENUM ('ok', 'not ok'); CREATE TYPE option AS ENUM ('Some', 'None');
              CREATE TYPE string AS ENUM ('a b', '2nd'); CREATE TYPE blood AS ENUM ('A+', 'A-');
              CREATE TYPE who AS ENUM ('self', 'other');
              CREATE TYPE \"Mixed\" AS ENUM ('a'); CREATE TYPE model AS ENUM ('a');
              CREATE SCHEMA x; CREATE TYPE x.mood AS ENUM ('a');
              CREATE TABLE logs (id uuid PRIMARY KEY, r result NOT NULL, o option, s string[] NOT NULL,
                  b blood, m \"Mixed\", d model NOT NULL UNIQUE, n x.mood, w who NOT NULL)",
        expects: "
            use sea_orm_active_enums::{Model, OptionType, ResultType, StringType};
            pub fn fields(log: log::Model) -> (ResultType, Option<OptionType>, Vec<StringType>) {
                (log.r, log.o, log.s)
            }
            pub fn texts(log: log::Model) -> (Option<String>, Option<String>, Option<String>, String) {
                (log.b, log.m, log.n, log.w)
            }
            pub fn variant() -> ResultType { ResultType::NotOk }",
    },
    Situation {
        name: "enums_called_like_traits",
        sql: "CREATE TYPE clone AS ENUM ('a'); CREATE TYPE iterator AS ENUM ('a');
              CREATE TYPE exact_size_iterator AS ENUM ('a');
              CREATE TYPE double_ended_iterator AS ENUM ('a'); CREATE TYPE mood AS ENUM ('a');
              CREATE TYPE mood_iter AS ENUM ('a'); CREATE TYPE mood_variant_iter AS ENUM ('a');
              CREATE TABLE logs (id uuid PRIMARY KEY, a clone, b iterator, c exact_size_iterator,
                  d double_ended_iterator, e mood, f mood_iter, g mood_variant_iter)",
        expects: "
            use sea_orm_active_enums::{CloneType, IteratorType, Mood};
            pub fn fields(log: log::Model) -> (Option<CloneType>, Option<IteratorType>, Option<Mood>) {
                (log.a, log.b, log.e)
            }
            pub fn texts(log: log::Model) -> (Option<String>, Option<String>) { (log.f, log.g) }",
    },
    Situation {
        name: "arrays_in_keys",
        sql: "CREATE TABLE paths (path text[] PRIMARY KEY, words text[] NOT NULL);
              CREATE TABLE steps (path text[] REFERENCES paths, at int, PRIMARY KEY (path, at))",
        expects: "
            pub fn fields(path: path::Model, step: step::Model) -> (String, Vec<String>, String) {
                (path.path, path.words, step.path)
            }",
    },
    Situation {
        name: "types",
        sql: "CREATE DOMAIN mail AS varchar(254) NOT NULL CHECK (value ~ '@');
              CREATE TYPE pair AS (a int, b int);
              CREATE TABLE things (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a inet, b cidr,
                  c macaddr, d interval, e xml, f tsvector, g point, h int4range, i bit(3), j varbit(9),
                  k \"char\", l name, m timetz, n oid, o mail, p pair, q money, r numeric, s numeric(9, 2),
                  t json, u jsonb, v text[], w int[] NOT NULL, x jsonb[], y inet[], z bpchar,
                  aa timestamptz(3), bb timestamp, cc time, dd smallint, ee real, ff bytea, gg varchar)",
        expects: "
            pub fn fields(t: thing::Model) -> (i64, Option<String>, Option<String>, String) {
                (t.id, t.a, t.p, t.o)
            }
            pub fn arrays(t: thing::Model) -> (Option<Vec<String>>, Vec<i32>, Option<String>) {
                (t.v, t.w, t.x)
            }",
    },
];

fn statements(sql: &str) -> impl Iterator<Item = &str> {
    sql.split(";\n").flat_map(|line| line.split("; "))
}

#[tokio::test]
#[cfg_attr(
    not(feature = "postgres"),
    ignore = "needs the feature `postgres` and a server; scripts/test runs it"
)]
async fn entities_of_every_situation_on_sqlite_and_postgres_compile() {
    let mut entities = Crate::new("situations");
    for situation in SITUATIONS {
        let db = migrated().await;
        let sql = situation
            .sql
            .replace("{uuid}", "uuid_text")
            .replace("{citext}", "citext");
        for statement in statements(&sql) {
            execute(&db, statement).await;
        }
        let files = sync::generate(&db).await.unwrap();
        entities.add(situation.name, &files, situation.expects);
        on_server(POSTGRES, async |url| {
            let db = Database::connect(url).await.unwrap();
            Migrator::up(&db, None).await.unwrap();
            execute(&db, "CREATE EXTENSION citext").await;
            let sql = situation
                .sql
                .replace("{uuid}", "uuid")
                .replace("{citext}", "citext");
            execute(&db, &sql).await;
            let of_postgres = sync::generate(&db).await.unwrap();
            db.close().await.unwrap();
            for (file, other) in files.iter().zip(&of_postgres) {
                assert_eq!(
                    file.content.replace("i64", "i32").replace("bigint", "int"),
                    other.content.replace("i64", "i32").replace("bigint", "int"),
                    "{}",
                    situation.name
                );
            }
        })
        .await;
    }
    for situation in OF_POSTGRES {
        on_server(POSTGRES, async |url| {
            let db = Database::connect(url).await.unwrap();
            Migrator::up(&db, None).await.unwrap();
            execute(&db, situation.sql).await;
            let files = sync::generate(&db).await.unwrap();
            db.close().await.unwrap();
            entities.add(situation.name, &files, situation.expects);
        })
        .await;
    }
    let mut options = Options::default();
    options.attributes =
        "* #[derive(serde::Serialize, serde::Deserialize)]\nuser.email #[serde(skip)]\n\
         host #[sea_orm(model_attrs(derive(Hash)))]\nuser #[serde(rename_all = \"camelCase\")]"
            .to_owned();
    let with_attributes = sync::generate_with(&migrated().await, &options)
        .await
        .unwrap();
    let serialisable = "pub fn is<T: serde::Serialize + serde::de::DeserializeOwned>() {}
        pub fn all() { is::<user::Model>(); is::<user::ModelEx>(); is::<host::ModelEx>() }";
    entities.add("with_attributes", &with_attributes.files, serialisable);
    on_server(POSTGRES, async |url| {
        let db = Database::connect(url).await.unwrap();
        Migrator::up(&db, None).await.unwrap();
        let sql = "CREATE TYPE mood AS ENUM ('happy'); ALTER TABLE hosts ADD mood mood NOT NULL";
        execute(&db, sql).await;
        let mut options = Options::default();
        options.attributes = "* #[derive(serde::Serialize, serde::Deserialize)]\n\
             mood #[derive(PartialOrd, Hash)]\nmood #[serde(rename_all = \"lowercase\")]"
            .to_owned();
        let files = sync::generate_with(&db, &options).await.unwrap().files;
        db.close().await.unwrap();
        let serialisable = "
            pub fn is<T: serde::Serialize + serde::de::DeserializeOwned + PartialOrd>() {}
            pub fn all() { is::<sea_orm_active_enums::Mood>() }";
        entities.add("with_attributes_of_enums", &files, serialisable);
    })
    .await;
    entities.check_format();
    entities.check();
}
