//! What triggers of the app's do to rows and errors, and what its values do to a statement: the answer
//! is what is stored, and an error leaves nothing behind.

use guesthouse::{
    Error, become_host, become_hosts, change_email, change_email_as, onboard, sign_up, sign_up_all,
    sign_up_as,
};
use sea_orm::{ActiveValue::Set, ConnectionTrait, TransactionTrait};
use serde_json::json;
use uuid::Uuid;

use crate::{
    evidence::{
        Call, all_are_database_errors, every_answer_is_what_is_stored, fill_after, set_before,
    },
    roles::create_table,
    support::{Backend as On, TestDb as Db, email},
    transactions::until_someone_waits,
};

/// A member whose hook sets values of several types, and its note, which is JSON.
mod member {
    use sea_orm::{ActiveValue::Set, entity::prelude::*};

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "subscribers")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        #[sea_orm(unique)]
        pub email: String,
        pub is_verified: bool,
        pub verified_at: Option<DateTimeUtc>,
        pub changed_at: DateTimeUtc,
        pub settings: Json,
        #[sea_orm(has_one)]
        pub note: HasOne<super::note::Entity>,
    }

    #[async_trait::async_trait]
    impl ActiveModelBehavior for ActiveModel {
        async fn before_save<C: ConnectionTrait>(mut self, _: &C, _: bool) -> Result<Self, DbErr> {
            self.is_verified = Set(false);
            self.verified_at = Set(None);
            self.changed_at = Set("2026-11-25T21:30:05Z".parse().unwrap());
            self.settings = Set(serde_json::json!({ "quote": "it's \\ \"new\"" }));
            Ok(self)
        }
    }

    impl guesthouse::SignUp for Entity {
        type Guest = super::note::Entity;

        fn email() -> Column {
            Column::Email
        }
    }
}

mod note {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "notes")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        #[sea_orm(unique)]
        pub subscriber_id: i64,
        pub content: Json,
        #[sea_orm(belongs_to, from = "subscriber_id", to = "id", on_delete = "Restrict")]
        pub subscriber: HasOne<super::member::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}

    impl guesthouse::Role for Entity {
        type Owner = super::member::Entity;
    }
}

on_each_backend!(
    what_a_trigger_writes_afterwards_is_returned,
    an_address_that_a_trigger_changes_is_an_error,
    values_of_every_type_are_stored_in_a_transaction,
);

async fn what_a_trigger_writes_afterwards_is_returned(db: Db) {
    let earlier = "'2001-02-03 04:05:06'";
    let user = format!("UPDATE users SET updated_at = {earlier} WHERE id = NEW.user_id");
    fill_after(&db, "guests", "INSERT", &user).await;
    // MariaDB refuses a trigger that writes to its own table.
    if db.backend != On::MariaDb {
        for table in ["users", "hosts"] {
            let own = format!("UPDATE {table} SET created_at = {earlier} WHERE id = NEW.id");
            fill_after(&db, table, "INSERT", &own).await;
        }
    }
    every_answer_is_what_is_stored(&db).await;
}

on_postgres!(an_address_that_a_trigger_restores_is_returned);

async fn an_address_that_a_trigger_restores_is_returned(db: Db) {
    let ada = db.user("ada").await;
    let restore = "IF pg_trigger_depth() = 1 THEN \
         UPDATE users SET email = OLD.email WHERE id = NEW.id; END IF";
    fill_after(&db, "users", "UPDATE", restore).await;
    let alone = change_email(&db.pool, ada.id, email("new")).await.unwrap();
    let txn = db.pool.begin().await.unwrap();
    let within = change_email(&txn, ada.id, email("new")).await.unwrap();
    txn.commit().await.unwrap();
    assert_eq!([alone.email, within.email], [ada.email.as_str(); 2]);
}

on_sqlite_and_postgres!(a_host_that_a_trigger_removes_is_an_error);

async fn a_host_that_a_trigger_removes_is_an_error(db: Db) {
    let ada = db.user("ada").await.id;
    let remove = "DELETE FROM hosts WHERE id = NEW.id";
    fill_after(&db, "hosts", "INSERT", remove).await;
    let before = db.rows().await;
    for call in [Call::BecomeHost, Call::BecomeHosts] {
        // Another caller may as well have ended what this one had committed.
        let alone = call.run(&db.pool, "grace", ada).await;
        assert!(
            matches!(
                alone,
                Err(Error::OutcomeUnknown { .. } | Error::Database { .. })
            ),
            "{call:?}: {alone:?}"
        );
        let txn = db.pool.begin().await.unwrap();
        let within = call.run(&txn, "grace", ada).await;
        assert!(
            matches!(within, Err(Error::Database { .. })),
            "{call:?}: {within:?}"
        );
        txn.commit().await.unwrap();
        assert_eq!(db.rows().await, before);
    }
}

/// The unique index sees the address that the trigger makes, and the account has it.
async fn an_address_that_a_trigger_changes_is_an_error(db: Db) {
    if db.backend == On::Sqlite {
        let change = "UPDATE users SET email = replace(email, '.d.', 'd') WHERE id = NEW.id";
        fill_after(&db, "users", "INSERT", change).await;
    } else {
        set_before(&db, "users", "email", "replace(NEW.email, '.d.', 'd')").await;
    }
    let made = sign_up_all(&db.pool, vec![email("a"), email("c.d.c"), email("z")]).await;
    assert!(matches!(made, Err(Error::Database { .. })), "{made:?}");
    assert!(db.rows().await.users.is_empty());
}

/// The same values alone and in a transaction, where some databases take them as texts.
async fn values_of_every_type_are_stored_in_a_transaction(db: Db) {
    create_table(&db, member::Entity).await;
    create_table(&db, note::Entity).await;
    if db.backend == On::MariaDb {
        let pool = db.pool_of(1).await;
        pool.execute_unprepared("SET sql_mode = concat(@@sql_mode, ',NO_BACKSLASH_ESCAPES')")
            .await
            .unwrap();
        subscribe(&pool, "backslash").await;
        pool.close().await.unwrap();
    }
    subscribe(&db.pool, "default").await;
}

async fn subscribe(db: &sea_orm::DatabaseConnection, name: &str) {
    for quote in [
        "it's \\ \"new\"",
        "' is null or 1 = 1)) -- ",
        "\\' or 1 = 1 -- ",
    ] {
        let content = json!({ "bio": quote });
        let txn = db.begin().await.unwrap();
        let note = note::ActiveModel {
            content: Set(content.clone()),
            ..Default::default()
        };
        let address = email(&format!("{name}-{}", Uuid::now_v7().simple()));
        let both = sign_up_as::<member::Entity>(&txn, address, Default::default(), note).await;
        let (member, note) = both.unwrap();
        assert_eq!(note.content, content);
        assert_eq!(member.settings, json!({ "quote": "it's \\ \"new\"" }));

        let moved = email(&format!("{name}-{}", Uuid::now_v7().simple()));
        let within = change_email_as::<member::Entity>(&txn, member.id, moved.clone()).await;
        let within = within.unwrap();
        txn.commit().await.unwrap();
        assert_eq!((within.verified_at, within.is_verified), (None, false));
        assert_eq!(
            (&within.settings, &within.email),
            (&member.settings, &moved.to_string())
        );

        let moved = email(&format!("{name}-{}", Uuid::now_v7().simple()));
        let alone = change_email_as::<member::Entity>(db, member.id, moved.clone()).await;
        let expected = member::Model {
            email: moved.to_string(),
            ..within
        };
        assert_eq!(alone.unwrap(), expected);

        let again = note::ActiveModel {
            subscriber_id: Set(member.id),
            content: Set(json!(null)),
            ..Default::default()
        };
        let existing = onboard::<note::Entity>(db, again).await.unwrap();
        assert_eq!(existing.model(), &note);
    }
}

on_mariadb!(
    an_error_of_class_01_undoes_the_whole_call,
    an_error_of_class_02_undoes_the_whole_call,
    an_error_of_class_45_undoes_the_whole_call,
);

/// MariaDB's SQLEXCEPTION leaves it out, and the next one.
async fn an_error_of_class_01_undoes_the_whole_call(db: Db) {
    an_error_undoes_the_whole_call(db, "INSERT INTO kinds VALUES ('b')").await;
}

async fn an_error_of_class_02_undoes_the_whole_call(db: Db) {
    let raise = "SIGNAL SQLSTATE '02000' SET MESSAGE_TEXT = 'no data'";
    an_error_undoes_the_whole_call(db, raise).await;
}

async fn an_error_of_class_45_undoes_the_whole_call(db: Db) {
    let raise = "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'";
    an_error_undoes_the_whole_call(db, raise).await;
}

async fn an_error_undoes_the_whole_call(db: Db, raise: &str) {
    let ada = db.user("ada").await.id;
    let before = db.rows().await;
    db.execute("CREATE TABLE kinds (kind enum('a') NOT NULL)")
        .await;
    let trigger = format!("CREATE TRIGGER refuses BEFORE INSERT ON guests FOR EACH ROW {raise}");
    db.execute(&trigger).await;
    let calls = [Call::SignUp, Call::SignUpWithId, Call::SignUpAll];
    all_are_database_errors(&db, &calls, "grace", ada).await;

    let pool = db.pool_of(1).await;
    for call in calls {
        call.run(&pool, "grace", ada).await.unwrap_err();
    }
    let host = become_host(&pool, ada).await.unwrap().into_model();
    pool.close().await.unwrap();
    let after = db.rows().await;
    assert_eq!(after.hosts, [host], "{raise}");
    assert_eq!(
        (after.users, after.guests),
        (before.users, before.guests),
        "{raise}"
    );
}

on_sqlite!(a_trigger_on_a_name_in_another_case_is_seen);

/// SQLite does not tell names apart by their case.
async fn a_trigger_on_a_name_in_another_case_is_seen(db: Db) {
    let ada = db.user("ada").await.id;
    db.execute("CREATE TRIGGER skips BEFORE INSERT ON Hosts BEGIN SELECT RAISE(IGNORE); END")
        .await;
    let calls = [Call::BecomeHost, Call::BecomeHosts];
    all_are_database_errors(&db, &calls, "grace", ada).await;
}

on_postgres!(an_exclusion_constraint_is_no_contention);

/// PostgreSQL leaves a row out for an exclusion constraint as for a unique key.
async fn an_exclusion_constraint_is_no_contention(db: Db) {
    let ada = db.user("ada").await.id;
    db.execute(
        "ALTER TABLE users ADD handle text DEFAULT 'x', \
         ADD CONSTRAINT handle EXCLUDE (lower(handle) WITH =)",
    )
    .await;
    let calls = [Call::SignUp, Call::SignUpWithId, Call::SignUpAll];
    all_are_database_errors(&db, &calls, "grace", ada).await;
}

on_mariadb!(what_does_not_fit_a_packet_is_refused_before_it_is_sent);

/// In a transaction the statement travels in hexadecimal, twice as long.
async fn what_does_not_fit_a_packet_is_refused_before_it_is_sent(db: Db) {
    let limit = db.text("SELECT CAST(@@max_allowed_packet AS char)").await;
    let limit: usize = limit.parse().unwrap();
    let ids: Vec<_> = (0..limit / 65).map(|_| Uuid::now_v7()).collect();
    let txn = db.pool.begin().await.unwrap();
    let ada = sign_up(&txn, email("ada")).await.unwrap();
    let refused = become_hosts(&txn, &ids).await;
    assert!(
        matches!(refused, Err(Error::Database { .. })),
        "{refused:?}"
    );
    let host = become_host(&txn, ada.user.id).await.unwrap();
    assert!(host.is_new());
    txn.commit().await.unwrap();
    let rows = db.rows().await;
    assert_eq!((rows.users.len(), rows.hosts.len()), (1, 1));

    let done = become_hosts(&db.pool, &ids).await.unwrap();
    assert_eq!(done.unknown.len(), ids.len());
}

on_postgres!(another_row_is_not_taken_for_the_new_one);

/// An audit trigger runs after each row, and two others come between the two statements of a call: what
/// they make is not its row.
async fn another_row_is_not_taken_for_the_new_one(db: Db) {
    let ada = db.user("ada").await.id;
    db.execute("CREATE TABLE audit (n int)").await;
    fill_after(&db, "hosts", "INSERT", "INSERT INTO audit VALUES (1)").await;
    let holder = db.pool.begin().await.unwrap();
    let hold = format!("SELECT FROM users WHERE id = '{ada}' FOR UPDATE");
    holder.execute_unprepared(&hold).await.unwrap();

    // They get the one connection in this order.
    let pool = db.pool_of(1).await;
    let end = format!("DELETE FROM hosts WHERE user_id = '{ada}'");
    let again = format!("INSERT INTO hosts (user_id) VALUES ('{ada}')");
    let (made, ended, began, ()) = tokio::join!(
        become_host(&pool, ada),
        pool.execute_unprepared(&end),
        pool.execute_unprepared(&again),
        async {
            until_someone_waits(&db).await;
            holder.rollback().await.unwrap();
        }
    );
    assert_eq!(ended.unwrap().rows_affected(), 1);
    began.unwrap();
    let made = made.unwrap();
    assert!(made.is_new());
    let stored = db.rows().await.hosts;
    assert_eq!(stored.len(), 1);
    assert_ne!(made.model().id, stored[0].id);
}

on_postgres!(a_trigger_on_updates_explains_no_row_that_is_left_out);

/// The trigger of nearly every app that has `updated_at` does not keep a row out.
async fn a_trigger_on_updates_explains_no_row_that_is_left_out(db: Db) {
    db.execute(
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN NEW.updated_at = now(); RETURN NEW; END $$;
         CREATE TRIGGER touch BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch()",
    )
    .await;
    let winner = db.pool.begin().await.unwrap();
    sign_up(&winner, email("eve")).await.unwrap();
    let loser = db.pool.begin().await.unwrap();
    let (lost, ()) = tokio::join!(sign_up_all(&loser, vec![email("eve")]), async {
        until_someone_waits(&db).await;
        winner.commit().await.unwrap();
    });
    assert!(matches!(lost, Err(Error::Contention { .. })), "{lost:?}");
    loser.rollback().await.unwrap();
    assert_eq!(db.rows().await.users.len(), 1);
}

on_sqlite!(conflict_clauses_of_the_app_delete_no_host_and_stay_in_force);

/// SQLite lets a key say what becomes of a clash, and a trigger of the app's rely on its own clause.
async fn conflict_clauses_of_the_app_delete_no_host_and_stay_in_force(db: Db) {
    db.execute(
        "DROP TABLE hosts;
         CREATE TABLE hosts (id uuid_text PRIMARY KEY, user_id uuid_text NOT NULL
         UNIQUE ON CONFLICT REPLACE REFERENCES users (id) ON DELETE RESTRICT,
         created_at text NOT NULL, updated_at text NOT NULL);
         CREATE TABLE seen (n int UNIQUE); INSERT INTO seen VALUES (1);
         CREATE TRIGGER sees AFTER INSERT ON hosts
         BEGIN INSERT OR IGNORE INTO seen VALUES (1); END",
    )
    .await;
    let (ada, bob) = (db.user("ada").await.id, db.user("bob").await.id);
    let host = become_host(&db.pool, ada).await.unwrap().into_model();
    let many = become_hosts(&db.pool, &[ada, bob]).await.unwrap();
    assert_eq!((many.existing, many.new.len()), (vec![host.clone()], 1));
    let txn = db.pool.begin().await.unwrap();
    let many = become_hosts(&txn, &[ada, bob]).await.unwrap();
    txn.commit().await.unwrap();
    assert_eq!((many.existing.len(), many.new.len()), (2, 0));
    assert!(db.rows().await.hosts.contains(&host));
}
