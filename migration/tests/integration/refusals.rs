//! What is said when the database refuses a statement: where and why, and never a value.

use sea_orm_migration::sea_orm::DbBackend;

use crate::support::{Place, backend, text};

const ADDRESS: &str = "'ada@example.com'";

async fn with_ada(place: &Place) {
    place.succeed(&["up"]);
    let ada = format!("INSERT INTO users (email) VALUES ({ADDRESS})");
    place.execute(&ada).await;
}

on_postgres!(
    the_words_of_a_trigger_are_not_repeated_on_postgres,
    a_statement_made_of_a_value_is_not_repeated,
);

/// What a function of the app chose to say, under whatever code it chose.
async fn the_words_of_a_trigger_are_not_repeated_on_postgres(url: &str) {
    let place = Place::on(url);
    with_ada(&place).await;
    place
        .execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
             DECLARE address text := (SELECT email FROM users WHERE id = new.user_id);
             BEGIN RAISE EXCEPTION 'guest of % refused', address USING ERRCODE = TG_ARGV[0], TABLE = address, CONSTRAINT = address; END $$",
        )
        .await;
    for code in ["P0001", "42501", "55000", "ADA00"] {
        place
            .execute(&format!(
                "CREATE OR REPLACE TRIGGER refuse BEFORE INSERT ON guests
                 FOR EACH ROW EXECUTE FUNCTION refuse('{code}')"
            ))
            .await;
        assert_eq!(
            place.fail(&["backfill-guests"]),
            format!("error: a statement was refused by refuse() (code {code})")
        );
    }
}

/// A statement that a function makes of a value has pieces of it in its errors.
async fn a_statement_made_of_a_value_is_not_repeated(url: &str) {
    let place = Place::on(url);
    with_ada(&place).await;
    place
        .execute(
            "CREATE FUNCTION notify() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN EXECUTE 'LISTEN \"' || (SELECT email FROM users WHERE id = new.user_id) || '\".x';
             RETURN new; END $$",
        )
        .await;
    place
        .execute(
            "CREATE TRIGGER notify BEFORE INSERT ON guests
             FOR EACH ROW EXECUTE FUNCTION notify()",
        )
        .await;
    assert_eq!(
        place.fail(&["backfill-guests"]),
        "error: a statement was refused by notify() (code 42601)"
    );
}

on_mariadb!(the_words_of_a_trigger_are_not_repeated_on_mariadb);

async fn the_words_of_a_trigger_are_not_repeated_on_mariadb(url: &str) {
    let place = Place::on(url);
    with_ada(&place).await;
    for (signal, reported) in [
        ("SQLSTATE '45000' SET MESSAGE_TEXT", "error 1644, 45000"),
        ("SQLSTATE '42000' SET MESSAGE_TEXT", "error 1644, 42000"),
        (
            "SQLSTATE 'HY000' SET MYSQL_ERRNO = 30001, MESSAGE_TEXT",
            "error 30001, HY000",
        ),
        (
            "SQLSTATE '45000' SET MYSQL_ERRNO = 1001, MESSAGE_TEXT",
            "error 1001, 45000",
        ),
        (
            "SQLSTATE '45000' SET MYSQL_ERRNO = 1146, MESSAGE_TEXT",
            "error 1146, 45000",
        ),
        (
            "SQLSTATE 'HY000' SET MYSQL_ERRNO = 1001, MESSAGE_TEXT",
            "error 1001, HY000",
        ),
    ] {
        place
            .execute(&format!(
                "CREATE OR REPLACE TRIGGER refuse BEFORE INSERT ON guests FOR EACH ROW
                 BEGIN
                     DECLARE message text DEFAULT
                         (SELECT concat(email, ' refused') FROM users WHERE id = new.user_id);
                     SIGNAL {signal} = message;
                 END"
            ))
            .await;
        assert_eq!(
            place.fail(&["backfill-guests"]),
            format!("error: a statement was refused ({reported})")
        );
    }
}

#[tokio::test]
async fn the_words_of_a_trigger_are_not_repeated_on_sqlite() {
    let place = Place::new();
    with_ada(&place).await;
    for kind in ["ABORT", "FAIL", "ROLLBACK"] {
        place.execute("DROP TRIGGER IF EXISTS refuse").await;
        place
            .execute(&format!(
                "CREATE TRIGGER refuse BEFORE INSERT ON guests BEGIN
                     SELECT RAISE({kind}, email || ' refused') FROM users WHERE id = new.user_id;
                 END"
            ))
            .await;
        assert_eq!(
            place.fail(&["backfill-guests"]),
            "error: a statement was refused (code 1811)",
            "{kind}"
        );
    }
}

/// SQLite keeps a text in a column of times.
#[tokio::test]
async fn a_value_that_cannot_be_read_is_not_repeated_on_sqlite() {
    let place = Place::new();
    place.succeed(&["up"]);
    place
        .execute(
            "INSERT INTO users (email, created_at) VALUES ('a@x.io', 'born 1815 Ada Lovelace')",
        )
        .await;
    for command in ["audit", "backfill-guests"] {
        let output = place.run(&[command]);
        let printed = text(&output.stdout) + &text(&output.stderr);
        assert!(!printed.contains("Ada"), "{command}: {printed}");
    }
    assert_eq!(
        place.fail(&["audit"]),
        "error: a value of column 2 could not be read"
    );
}

on_servers!(a_clash_names_the_constraint_alone);

/// Of a row: the constraint is named, the value is not. `at_most_one` guest can be in the table then.
async fn a_clash_names_the_constraint_alone(url: &str) {
    let (at_most_one, reported) = match backend(url) {
        DbBackend::Postgres => (
            "CREATE UNIQUE INDEX only_one ON guests ((created_at IS NULL))",
            "code 23505, `guests`, `only_one`",
        ),
        _ => (
            "ALTER TABLE guests ADD kind int NOT NULL DEFAULT 1, ADD UNIQUE (kind)",
            "error 1062, 23000",
        ),
    };
    let place = Place::on(url);
    with_ada(&place).await;
    place.execute(at_most_one).await;
    place
        .execute("INSERT INTO users (email) VALUES ('grace@example.com')")
        .await;
    assert_eq!(
        place.fail(&["backfill-guests"]),
        format!("error: a statement was refused ({reported})")
    );
}

on_mariadb!(
    a_table_that_is_in_the_way_is_named,
    a_key_that_is_in_the_way_is_named,
);

/// What is about tables says which.
async fn a_table_that_is_in_the_way_is_named(url: &str) {
    let place = Place::on(url);
    place.succeed(&["up"]);
    place
        .execute(
            "CREATE TABLE orders (user_id binary(16),
             CONSTRAINT orders_user FOREIGN KEY (user_id) REFERENCES users (id))",
        )
        .await;
    refuses_to_drop_users(&place).await;
}

/// Nothing is rolled back.
async fn refuses_to_drop_users(place: &Place) {
    for command in [&["reset"][..], &["refresh", "--force"]] {
        assert_eq!(
            place.fail(command),
            "error: table `users` cannot be dropped while `orders` refers to it"
        );
        assert_eq!(place.succeed(&["status"]).matches("Applied").count(), 3);
    }
    place.succeed(&["down", "-n", "2"]);
    place.execute("DROP TABLE orders").await;
    place.succeed(&["reset"]);
}

async fn a_key_that_is_in_the_way_is_named(url: &str) {
    let place = Place::on(url);
    place.succeed(&["up", "-n", "1"]);
    // The name of a key is one for the whole database.
    place
        .execute(
            "CREATE TABLE orders (user_id binary(16),
             CONSTRAINT guests_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id))",
        )
        .await;
    let refusal = place.fail(&["up"]);
    assert!(
        refusal.contains("`guests`") && refusal.ends_with("(error 1005, HY000)"),
        "{refusal}"
    );
}

on_postgres!(a_table_that_is_in_the_way_is_named_on_postgres);

async fn a_table_that_is_in_the_way_is_named_on_postgres(url: &str) {
    let place = Place::on(url);
    place.succeed(&["up"]);
    place
        .execute("CREATE TABLE orders (user_id uuid REFERENCES users (id))")
        .await;
    refuses_to_drop_users(&place).await;
}

#[tokio::test]
async fn a_table_that_is_in_the_way_is_named_on_sqlite() {
    let place = Place::new();
    with_ada(&place).await;
    place
        .execute("CREATE TABLE Orders (user_id uuid_text REFERENCES Users (id))")
        .await;
    place
        .execute("INSERT INTO orders SELECT id FROM users")
        .await;
    assert_eq!(
        place.fail(&["reset", "--force"]),
        "error: table `users` cannot be dropped while rows of `Orders` refer to it"
    );
    place.execute("DELETE FROM orders").await;
    place.succeed(&["reset", "--force"]);
}

on_each_backend!(verify_checks_the_schema_whatever_the_log_has);

/// An old program on a new database.
async fn verify_checks_the_schema_whatever_the_log_has(url: &str) {
    let drop_index = match backend(url) {
        DbBackend::MySql => {
            "ALTER TABLE hosts DROP INDEX hosts_user_id, ADD INDEX hosts_user_id (user_id)"
        }
        _ => "DROP INDEX hosts_user_id",
    };
    let place = Place::on(url);
    place.succeed(&["up"]);
    place
        .execute("INSERT INTO seaql_migrations VALUES ('m2030_gone', 0)")
        .await;
    let unknown = "unknown to this program: m2030_gone\n";
    let verify = place.run(&["verify"]);
    assert_eq!(verify.status.code(), Some(1));
    assert_eq!(text(&verify.stdout), unknown);

    place.execute(drop_index).await;
    let verify = place.run(&["verify"]);
    assert_eq!(verify.status.code(), Some(1));
    let difference = "hosts.user_id is not unique: a user could get two hosts\n";
    assert_eq!(text(&verify.stdout), format!("{unknown}{difference}"));
}
