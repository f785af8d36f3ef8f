//! The SQL that each call sends on a pool stands in `tests/sql/<database>/<operation>.sql`.
//!
//! `GUESTHOUSE_WRITE_SQL=1 cargo test --all-features --test integration sql` writes what changed, for
//! a review to read. What a call sends in a transaction is not all heard by SeaORM's callback.

use std::{env, fs, path::PathBuf};

use guesthouse::{
    Account, Accounts, Owners, audit, backfill_guests, become_host, become_hosts, change_email,
    delete_user, host, offboard, onboard, sign_up, sign_up_all, sign_up_all_as, sign_up_as,
    sign_up_with_id, stop_hosting,
};
use sea_orm::{ActiveValue::Set, DatabaseConnection};
use uuid::Uuid;

use crate::{
    courier::{self, Vehicle},
    own_users::named,
    roles::{member, profile},
    support::{Backend as On, Statements, TestDb as Db, email},
};

/// The statements of one operation, case by case.
struct Page {
    operation: &'static str,
    text: String,
}

impl Page {
    fn new(operation: &'static str) -> Self {
        Self {
            operation,
            text: String::new(),
        }
    }

    /// Takes down what was sent since the last time.
    fn case(&mut self, case: &str, sent: &Statements) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(&format!("-- {case}\n"));
        for statement in sent.take() {
            self.text
                .push_str(&format!("{};\n", in_one_line(&statement)));
        }
    }

    fn compare(self, backend: On) {
        let folder = match backend {
            On::Sqlite => "sqlite",
            On::Postgres => "postgres",
            On::MariaDb => "mariadb",
        };
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/sql")
            .join(folder)
            .join(format!("{}.sql", self.operation));
        if env::var_os("GUESTHOUSE_WRITE_SQL").is_some() {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, &self.text).unwrap();
        }
        let pinned = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            pinned == self.text,
            "{} differs from what is sent:\n{}",
            file.display(),
            self.text
        );
    }
}

fn in_one_line(sql: &str) -> String {
    // A text that any test of this process has found stale has a number at its end.
    let text = sql.split_once(" /* ").map_or(sql, |(text, number)| {
        assert!(
            number.trim_end_matches(" */").parse::<u32>().is_ok(),
            "{sql}"
        );
        text
    });
    let words: Vec<_> = text.trim_end_matches(';').split_whitespace().collect();
    words.join(" ")
}

fn courier_of(user_id: Uuid) -> courier::ActiveModel {
    courier::ActiveModel {
        user_id: Set(user_id),
        vehicle: Set(Vehicle::Van),
        ..Default::default()
    }
}

async fn accounts(db: &Db, pool: &DatabaseConnection, sent: &Statements) {
    let ada = db.user("ada").await.id;
    let mut page = Page::new("account");
    Account::find(pool, ada).await.unwrap();
    page.case("find", sent);
    Account::find_by_email(pool, &email("ada")).await.unwrap();
    page.case("find by email", sent);
    Accounts::all().fetch(pool).await.unwrap();
    page.case("the first page", sent);
    Accounts::hosts().after(ada).fetch(pool).await.unwrap();
    page.case("a later page of hosts", sent);
    Accounts::without_host().count(pool).await.unwrap();
    page.case("how many are not hosts", sent);
    Accounts::with::<courier::Entity>()
        .fetch(pool)
        .await
        .unwrap();
    page.case("a page of couriers", sent);
    Owners::<member::Entity>::all()
        .after(7)
        .fetch_beside::<profile::Entity>(pool)
        .await
        .unwrap();
    page.case(
        "a later page of the app's own users beside their profiles",
        sent,
    );
    Owners::<member::Entity>::all()
        .without::<profile::Entity>()
        .count(pool)
        .await
        .unwrap();
    page.case("how many of the app's own users have no profile", sent);
    audit(pool).await.unwrap();
    page.case("audit", sent);
    page.compare(db.backend);
}

async fn signing_up(db: &Db, pool: &DatabaseConnection, sent: &Statements) {
    let mut page = Page::new("sign_up");
    sign_up(pool, email("grace")).await.unwrap();
    page.case("new", sent);
    sign_up(pool, email("grace")).await.unwrap_err();
    page.case("taken", sent);
    let id = Uuid::now_v7();
    sign_up_with_id(pool, id, email("mary")).await.unwrap();
    page.case("with an id, new", sent);
    sign_up_with_id(pool, id, email("mary")).await.unwrap();
    page.case("with an id, again", sent);
    let (member, profile) = named("Zoe");
    sign_up_as::<member::Entity>(pool, email("zoe"), member, profile)
        .await
        .unwrap();
    page.case("users of the app's own, whose key the database makes", sent);
    page.compare(db.backend);
}

async fn changing_and_deleting(db: &Db, pool: &DatabaseConnection, sent: &Statements) {
    let user = db.user("alan").await.id;
    let mut page = Page::new("change_email");
    change_email(pool, user, email("turing")).await.unwrap();
    page.case("changed", sent);
    change_email(pool, user, email("ada")).await.unwrap_err();
    page.case("taken", sent);
    page.compare(db.backend);

    let mut page = Page::new("delete_user");
    let host = db.host("edsger").await.user_id;
    delete_user(pool, user).await.unwrap();
    page.case("deleted", sent);
    delete_user(pool, user).await.unwrap_err();
    page.case("not found", sent);
    delete_user(pool, host).await.unwrap_err();
    page.case("still a host", sent);
    page.compare(db.backend);
}

async fn onboarding(db: &Db, pool: &DatabaseConnection, sent: &Statements) {
    let user = db.user("barbara").await.id;
    let mut page = Page::new("onboard");
    let _ = become_host(pool, user).await.unwrap();
    page.case("new", sent);
    let _ = become_host(pool, user).await.unwrap();
    page.case("existing", sent);
    become_host(pool, Uuid::nil()).await.unwrap_err();
    page.case("no such user", sent);
    let _ = onboard::<courier::Entity>(pool, courier_of(user))
        .await
        .unwrap();
    page.case("a role of the app's own", sent);
    page.compare(db.backend);

    let mut page = Page::new("offboard");
    stop_hosting(pool, user).await.unwrap();
    page.case("there", sent);
    offboard::<host::Entity>(pool, user).await.unwrap();
    page.case("not there", sent);
    page.compare(db.backend);
}

async fn in_bulk(db: &Db, pool: &DatabaseConnection, sent: &Statements) {
    let mut page = Page::new("sign_up_all");
    let made = sign_up_all(pool, vec![email("ken"), email("dennis")])
        .await
        .unwrap();
    page.case("new", sent);
    let yet_another = ["zita", "yoko"].map(|name| {
        let (member, profile) = named(name);
        (email(name), member, profile)
    });
    sign_up_all_as::<member::Entity>(pool, yet_another.to_vec())
        .await
        .unwrap();
    page.case("users of the app's own, whose key the database makes", sent);
    page.compare(db.backend);

    let mut page = Page::new("onboard_all");
    let ids: Vec<_> = made.created.iter().map(|account| account.user.id).collect();
    become_hosts(pool, &ids).await.unwrap();
    page.case("new", sent);
    become_hosts(pool, &ids).await.unwrap();
    page.case("existing", sent);
    let couriers = ids.iter().map(|id| courier_of(*id)).collect();
    guesthouse::onboard_all::<courier::Entity>(pool, couriers)
        .await
        .unwrap();
    page.case("a role of the app's own", sent);
    page.compare(db.backend);

    let mut page = Page::new("backfill");
    db.execute("DELETE FROM guests").await;
    backfill_guests(pool, |_| {}).await.unwrap();
    page.case("those who lack a guest, and then nobody", sent);
    page.compare(db.backend);
}

on_each_backend!(each_statement_is_the_pinned_one,);

async fn each_statement_is_the_pinned_one(db: Db) {
    courier::create_table(&db).await;
    crate::roles::create_members(&db).await;
    let (pool, sent) = db.counted_pool().await;
    accounts(&db, &pool, &sent).await;
    signing_up(&db, &pool, &sent).await;
    changing_and_deleting(&db, &pool, &sent).await;
    onboarding(&db, &pool, &sent).await;
    in_bulk(&db, &pool, &sent).await;
}
