//! The schema, as the catalogue of each database has it.

use guesthouse_migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, Statement};

use crate::support::{Backend as On, TestDb as Db};

/// All that the catalogue says of the tables, one fact a line, sorted.
pub async fn catalogue(db: &Db) -> Vec<String> {
    let queries: &[&str] = match db.backend {
        On::Sqlite => {
            &["SELECT type || ' ' || name || ': ' || coalesce(sql, '') FROM sqlite_master"]
        }
        On::Postgres => &[
            "SELECT concat_ws(' ', table_name, ordinal_position, column_name, udt_name,
                              character_maximum_length, is_nullable, column_default)
             FROM information_schema.columns WHERE table_schema = 'public'",
            "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'",
            "SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid))
             FROM pg_constraint WHERE connamespace = 'public'::regnamespace",
        ],
        On::MariaDb => &[
            "SELECT concat_ws(' ', table_name, ordinal_position, column_name, column_type,
                              collation_name, is_nullable, column_default)
             FROM information_schema.columns WHERE table_schema = database()",
            "SELECT concat_ws(' ', table_name, index_name, seq_in_index, column_name, non_unique)
             FROM information_schema.statistics WHERE table_schema = database()",
            "SELECT concat_ws(' ', table_name, constraint_name, delete_rule)
             FROM information_schema.referential_constraints WHERE constraint_schema = database()",
            "SELECT concat_ws(' ', table_name, constraint_name, check_clause)
             FROM information_schema.check_constraints WHERE constraint_schema = database()",
        ],
    };
    let mut facts = Vec::new();
    for sql in queries {
        let statement = Statement::from_string(db.pool.get_database_backend(), *sql);
        for row in db.pool.query_all_raw(statement).await.unwrap() {
            facts.push(row.try_get_by_index::<String>(0).unwrap());
        }
    }
    facts.sort();
    facts
}

fn facts_about<'a>(facts: &'a [String], word: &str) -> Vec<&'a str> {
    facts
        .iter()
        .filter(|fact| fact.contains(word))
        .map(String::as_str)
        .collect()
}

on_each_backend!(
    up_down_up_leaves_the_same_catalogue,
    the_constraints_are_the_designs,
    down_with_rows_refuses_and_names_the_table,
    a_forced_down_drops_the_rows,
);

async fn up_down_up_leaves_the_same_catalogue(db: Db) {
    let before = catalogue(&db).await;
    assert!(before.len() > 10 || db.backend == On::Sqlite, "{before:#?}");

    for _ in 0..3 {
        Migrator::down(&db.pool, Some(1)).await.unwrap();
    }
    let empty = catalogue(&db).await;
    for table in ["users", "guests", "hosts"] {
        assert_eq!(facts_about(&empty, table).len(), 0, "{empty:#?}");
    }
    Migrator::up(&db.pool, None).await.unwrap();

    assert_eq!(catalogue(&db).await, before);
}

/// One unique index on each key, no plain one beside it, and RESTRICT on the way up.
async fn the_constraints_are_the_designs(db: Db) {
    let facts = catalogue(&db).await;
    match db.backend {
        On::Sqlite => {
            assert_eq!(
                facts_about(&facts, "CREATE UNIQUE INDEX"),
                [
                    r#"index guests_user_id: CREATE UNIQUE INDEX "guests_user_id" ON "guests" ("user_id")"#,
                    r#"index hosts_user_id: CREATE UNIQUE INDEX "hosts_user_id" ON "hosts" ("user_id")"#,
                    r#"index users_email: CREATE UNIQUE INDEX "users_email" ON "users" ("email")"#,
                ]
            );
            assert_eq!(facts_about(&facts, "CREATE INDEX").len(), 0);
            assert_eq!(facts_about(&facts, "ON DELETE RESTRICT").len(), 2);
            assert_eq!(facts_about(&facts, "users_email_lowercase").len(), 1);
        }
        On::Postgres => {
            assert_eq!(
                facts_about(&facts, "INDEX"),
                [
                    "CREATE UNIQUE INDEX guests_pkey ON public.guests USING btree (id)",
                    "CREATE UNIQUE INDEX guests_user_id ON public.guests USING btree (user_id)",
                    "CREATE UNIQUE INDEX hosts_pkey ON public.hosts USING btree (id)",
                    "CREATE UNIQUE INDEX hosts_user_id ON public.hosts USING btree (user_id)",
                    "CREATE UNIQUE INDEX seaql_migrations_pkey ON public.seaql_migrations USING btree (version)",
                    "CREATE UNIQUE INDEX users_email ON public.users USING btree (email)",
                    "CREATE UNIQUE INDEX users_pkey ON public.users USING btree (id)",
                ]
            );
            assert_eq!(
                facts_about(&facts, "RESTRICT"),
                [
                    "guests guests_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE RESTRICT",
                    "hosts hosts_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE RESTRICT",
                ]
            );
            assert_eq!(facts_about(&facts, "users_email_lowercase").len(), 1);
            assert_eq!(facts_about(&facts, " uuid NO").len(), 5);
            assert_eq!(facts_about(&facts, " timestamptz NO").len(), 6);
            assert_eq!(facts_about(&facts, " email varchar 254 NO").len(), 1);
        }
        On::MariaDb => {
            assert_eq!(
                facts_about(&facts, " user_id 0"),
                [
                    "guests guests_user_id 1 user_id 0",
                    "hosts hosts_user_id 1 user_id 0",
                ]
            );
            assert_eq!(facts_about(&facts, " user_id 1").len(), 0);
            assert_eq!(
                facts_about(&facts, "RESTRICT"),
                [
                    "guests guests_user_id_fkey RESTRICT",
                    "hosts hosts_user_id_fkey RESTRICT",
                ]
            );
            assert_eq!(facts_about(&facts, "users_email_lowercase").len(), 1);
            assert_eq!(facts_about(&facts, "binary(16) NO").len(), 5);
            assert_eq!(facts_about(&facts, "datetime(6) NO").len(), 6);
            assert_eq!(
                facts_about(&facts, "email varchar(254) utf8mb4_bin NO").len(),
                1
            );
            assert_eq!(facts_about(&facts, "users users_email 1 email 0").len(), 1);
        }
    }
}

async fn down_with_rows_refuses_and_names_the_table(db: Db) {
    db.host("ada").await;
    let (catalogue_before, before) = (catalogue(&db).await, db.rows().await);

    let refused = Migrator::down(&db.pool, Some(1))
        .await
        .unwrap_err()
        .to_string();

    assert!(
        refused.contains("hosts") && refused.contains("--force"),
        "{refused}"
    );
    assert_eq!(catalogue(&db).await, catalogue_before);
    assert_eq!(db.rows().await, before);
    assert_eq!(
        Migrator::get_pending_migrations(&db.pool)
            .await
            .unwrap()
            .len(),
        0
    );
}

async fn a_forced_down_drops_the_rows(db: Db) {
    db.host("ada").await;
    guesthouse_migration::forced(Migrator::down(&db.pool, Some(1)))
        .await
        .unwrap();
    assert_eq!(facts_about(&catalogue(&db).await, "hosts").len(), 0);
    assert_eq!(
        Migrator::get_pending_migrations(&db.pool)
            .await
            .unwrap()
            .len(),
        1
    );
}
