//! Refused addresses reach no database.

use guesthouse::{Account, Email, Error, InvalidEmail, sign_up};
use sea_orm::{ConnectionTrait, DbBackend, Statement};

use crate::support::{Backend as On, TestDb};

on_each_backend!(
    the_longest_address_fits,
    an_address_beyond_ascii_fits,
    another_spelling_is_the_same_account,
    lower_case_is_lower_case_to_the_database,
);

/// The type is the proof: without an `Email` there is nothing to send. What can be sent is
/// stored as it is.
async fn the_longest_address_fits(db: TestDb) {
    let label = "d".repeat(61);
    let longest = format!(
        "{}@{label}.{label}.{label}.{}",
        "l".repeat(64),
        "e".repeat(3)
    );
    assert_eq!(longest.len(), 254);

    let account = sign_up(&db.pool, longest.parse().unwrap()).await.unwrap();

    assert_eq!(account.user.email, longest);
    assert_eq!(db.rows().await.users, [account.user]);
    let longer = longest.replacen("@d", "@dd", 1);
    assert_eq!(longer.parse::<Email>(), Err(InvalidEmail::TooLong));
}

/// 254 bytes of letters that take two each.
async fn an_address_beyond_ascii_fits(db: TestDb) {
    let address = format!("{}@{}.example", "\u{e9}".repeat(32), "\u{fc}".repeat(20));
    let account = sign_up(&db.pool, address.parse().unwrap()).await.unwrap();
    assert_eq!(account.user.email, address);
    assert_eq!(db.rows().await.users, [account.user]);
}

/// One mailbox is one account, however it is written.
async fn another_spelling_is_the_same_account(db: TestDb) {
    for (one, other) in [
        ("ada@b\u{fc}cher.example", "ada@xn--bcher-kva.example"),
        (
            "ada@\u{43f}\u{43e}\u{447}\u{442}\u{430}.\u{440}\u{444}",
            "ada@xn--80a1acny.xn--p1ai",
        ),
        ("ada@example.com", "\"ada\"@example.com"),
        ("bob@example.com", "\"b\\ob\"@Example.com"),
    ] {
        let (one, other): (Email, Email) = (one.parse().unwrap(), other.parse().unwrap());
        let account = sign_up(&db.pool, one).await.unwrap();
        let taken = sign_up(&db.pool, other.clone()).await;
        assert!(matches!(taken, Err(Error::EmailTaken)), "{taken:?}");
        let found = Account::find_by_email(&db.pool, &other).await.unwrap();
        assert_eq!(found, Some(account));
    }
    assert_eq!(db.rows().await.users.len(), 4);
}

/// The column has a check that an address is in lower case, in the opinion of the database.
async fn lower_case_is_lower_case_to_the_database(db: TestDb) {
    let addresses: Vec<String> = ('!'..=char::MAX)
        .flat_map(|c| [format!("{c}@example.com"), format!("x@x{c}x.example")])
        .filter_map(|text| text.parse::<Email>().ok())
        .map(String::from)
        .collect();
    assert!(addresses.len() > 200_000, "{}", addresses.len());
    let (backend, sql) = match db.backend {
        On::Sqlite => (
            DbBackend::Sqlite,
            "SELECT value FROM json_each(?) WHERE value <> lower(value)",
        ),
        On::Postgres => (
            DbBackend::Postgres,
            "SELECT value FROM json_array_elements_text($1::json) AS value WHERE value <> lower(value)",
        ),
        On::MariaDb => (
            DbBackend::MySql,
            "SELECT value FROM json_table(?, '$[*]' COLUMNS (value varchar(254)
             CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$')) AS given
             WHERE BINARY value <> BINARY lower(value)",
        ),
    };
    let mut other = Vec::new();
    for some in addresses.chunks(50_000) {
        let json = serde_json::to_string(some).unwrap();
        let statement = Statement::from_sql_and_values(backend, sql, [json.into()]);
        for row in db.pool.query_all_raw(statement).await.unwrap() {
            other.push(row.try_get_by_index::<String>(0).unwrap());
        }
    }
    assert!(other.is_empty(), "{}: {other:?}", other.len());
}
