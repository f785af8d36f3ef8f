//! The entities through plain SeaORM, and rows written by hand.

use chrono::{DateTime, FixedOffset, SubsecRound, TimeDelta, Utc};
use guesthouse::{guest, host, user};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, IntoActiveModel, Statement,
};

use crate::support::{Backend as On, TestDb as Db};

fn is_now(time: DateTime<FixedOffset>) -> bool {
    (Utc::now() - time.to_utc()).abs() < TimeDelta::minutes(5)
}

/// Every text of one letter that the library would store, as a JSON array.
fn lower_case_letters() -> String {
    let letters: Vec<String> = ('\u{21}'..=char::MAX)
        .filter_map(|c| format!("{c}@example.com").parse::<guesthouse::Email>().ok())
        .map(String::from)
        .collect();
    assert!(letters.len() > 50_000);
    serde_json::to_string(&letters).unwrap()
}

async fn lower_case_letters_the_database_would_change(db: &Db) -> Vec<String> {
    let sql = match db.backend {
        On::Sqlite => "SELECT value FROM json_each($1) WHERE value <> lower(value)",
        On::Postgres => {
            "SELECT value FROM json_array_elements_text($1::text::json) AS value WHERE value <> lower(value)"
        }
        On::MariaDb => {
            "SELECT value FROM json_table(?, '$[*]' COLUMNS
                (value varchar(254) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$')) letters
             WHERE value <> lower(value)"
        }
    };
    db.pool
        .query_all_raw(Statement::from_sql_and_values(
            db.pool.get_database_backend(),
            sql,
            [lower_case_letters().into()],
        ))
        .await
        .unwrap()
        .iter()
        .map(|row| row.try_get_by_index(0).unwrap())
        .collect()
}

on_each_backend!(
    ids_and_timestamps_are_set_on_plain_saves,
    a_plain_update_touches_updated_at,
    times_set_by_hand_come_back_as_returned,
    rows_written_by_hand_get_ids_and_times,
    the_database_refuses_what_the_library_would_not_store,
    the_check_accepts_every_normalised_letter,
    has_one_relations_load,
);

async fn ids_and_timestamps_are_set_on_plain_saves(db: Db) {
    let ada = user::ActiveModel {
        email: Set("ada@example.com".into()),
        ..Default::default()
    };
    let ada = ada.insert(&db.pool).await.unwrap();
    let guest = guest::ActiveModel {
        user_id: Set(ada.id),
        ..Default::default()
    };
    let guest = guest.insert(&db.pool).await.unwrap();
    let host = host::ActiveModel {
        user_id: Set(ada.id),
        ..Default::default()
    };
    let host = host.insert(&db.pool).await.unwrap();

    for (id, created_at, updated_at) in [
        (ada.id, ada.created_at, ada.updated_at),
        (guest.id, guest.created_at, guest.updated_at),
        (host.id, host.created_at, host.updated_at),
    ] {
        assert_eq!(id.get_version_num(), 7);
        assert!(is_now(created_at), "{created_at}");
        assert_eq!(updated_at, created_at);
        assert_eq!(created_at, created_at.trunc_subsecs(6));
    }
    let rows = db.rows().await;
    assert_eq!(
        (rows.users, rows.guests, rows.hosts),
        (vec![ada], vec![guest], vec![host])
    );
}

async fn a_plain_update_touches_updated_at(db: Db) {
    let before = db.user("ada").await;

    let mut change = before.clone().into_active_model();
    change.email = Set("countess@example.com".into());
    let after = change.update(&db.pool).await.unwrap();

    assert_eq!((after.id, after.created_at), (before.id, before.created_at));
    assert!(after.updated_at > before.updated_at);
    assert_eq!(db.rows().await.users, [after]);
}

/// Nanoseconds and other time zones are cut to what every backend stores.
async fn times_set_by_hand_come_back_as_returned(db: Db) {
    let time = "2026-01-02T03:04:05.123456789+02:00".parse().unwrap();
    let ada = user::ActiveModel {
        email: Set("ada@example.com".into()),
        created_at: Set(time),
        ..Default::default()
    };
    let ada = ada.insert(&db.pool).await.unwrap();
    assert_eq!(
        ada.created_at.to_rfc3339(),
        "2026-01-02T01:04:05.123456+00:00"
    );
    assert_eq!(db.rows().await.users, [ada]);
}

/// The defaults of the database itself, for rows that no Rust code wrote.
async fn rows_written_by_hand_get_ids_and_times(db: Db) {
    if db.backend == On::MariaDb {
        // An administrator's session need not be on UTC.
        let pool = db.pool_of(1).await;
        pool.execute_unprepared("SET time_zone = '+05:00'")
            .await
            .unwrap();
        pool.execute_unprepared("INSERT INTO users (email) VALUES ('ada@example.com')")
            .await
            .unwrap();
    } else {
        db.execute("INSERT INTO users (email) VALUES ('ada@example.com')")
            .await;
    }
    db.execute("INSERT INTO guests (user_id) SELECT id FROM users")
        .await;
    db.execute("INSERT INTO hosts (user_id) SELECT id FROM users")
        .await;

    let rows = db.rows().await;
    let (user, guest, host) = (&rows.users[0], &rows.guests[0], &rows.hosts[0]);
    assert_eq!((guest.user_id, host.user_id), (user.id, user.id));
    assert_ne!(guest.id, host.id);
    for time in [
        user.created_at,
        user.updated_at,
        guest.created_at,
        host.updated_at,
    ] {
        assert!(is_now(time), "{time}");
    }
}

async fn the_database_refuses_what_the_library_would_not_store(db: Db) {
    let ada = db.user("ada").await;
    let before = db.rows().await;
    let refused = [
        "INSERT INTO users (email) VALUES ('Grace@example.com')",
        "INSERT INTO users (email) VALUES (NULL)",
        "INSERT INTO users (email) VALUES ('ada@example.com')",
        "INSERT INTO guests (user_id) SELECT id FROM users",
        "INSERT INTO hosts (user_id) VALUES (NULL)",
        "DELETE FROM users",
    ];
    for sql in refused {
        assert!(db.pool.execute_unprepared(sql).await.is_err(), "{sql}");
    }
    let stray = host::ActiveModel {
        user_id: Set(uuid::Uuid::nil()),
        ..Default::default()
    };
    assert!(stray.insert(&db.pool).await.is_err());
    assert_eq!(db.rows().await, before);
    assert_eq!(before.users, [ada]);
}

/// The check on the column and the library agree on what lower case is, letter by letter.
async fn the_check_accepts_every_normalised_letter(db: Db) {
    let refused = lower_case_letters_the_database_would_change(&db).await;
    assert!(
        refused.is_empty(),
        "{} letters, {:?}",
        refused.len(),
        &refused[..refused.len().min(20)]
    );
}

async fn has_one_relations_load(db: Db) {
    use sea_orm::{ModelTrait, QueryFilter};
    let host = db.host("ada").await;
    let user = host
        .find_related(user::Entity)
        .one(&db.pool)
        .await
        .unwrap()
        .unwrap();
    let guest = user
        .find_related(guest::Entity)
        .one(&db.pool)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((user.id, guest.user_id), (host.user_id, host.user_id));
    let loaded = user::Entity::load()
        .filter(user::Column::Id.eq(user.id))
        .with(guest::Entity)
        .with(host::Entity)
        .one(&db.pool)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(loaded.host.unwrap().id, host.id);
    assert_eq!(loaded.guest.unwrap().id, guest.id);
}
