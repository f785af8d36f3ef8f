//! Refused addresses reach no database.

use guesthouse::{Email, InvalidEmail, sign_up};

on_each_backend! {
    /// The type is the proof: without an `Email` there is nothing to send. What can be sent is
    /// stored as it is.
    async fn the_longest_address_fits(db: TestDb) {
        let label = "d".repeat(61);
        let longest = format!("{}@{label}.{label}.{label}.{}", "l".repeat(64), "e".repeat(3));
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
}
