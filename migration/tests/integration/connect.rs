//! Why the database cannot be opened, reported at once.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpListener},
    thread,
};

use sea_orm_migration::sea_orm::Database;

use crate::support::{Place, as_role, beside, text};

/// The one line that `status` fails with.
fn refusal(url: &str) -> String {
    let place = Place::new();
    let output = place.run(&["status", "--database-url", url]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(text(&output.stdout), "");
    let line = text(&output.stderr);
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(!line.contains("hunter"), "{line}");
    line.trim_start_matches("error: ").trim_end().to_owned()
}

#[test]
fn a_server_that_is_not_there_is_reported_at_once() {
    // Of tcpmux, which nobody runs.
    let port = 1;
    for scheme in ["postgres", "postgresql", "mysql"] {
        assert_eq!(
            refusal(&format!("{scheme}://app:hunter2@127.0.0.1:{port}/app")),
            format!("nobody answers at 127.0.0.1:{port}")
        );
    }
    let no_host = refusal("postgres://app:hunter2@db.invalid/app");
    assert!(
        no_host.starts_with("nobody answers at db.invalid:5432 ("),
        "{no_host}"
    );
    assert!(
        refusal("postgres://app:hunter2@%2Fnowhere/app").starts_with("nobody answers at /nowhere"),
    );
}

#[test]
fn something_else_on_the_port_is_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        for _ in 0..2 {
            let (mut client, _) = listener.accept().unwrap();
            // A client that has seen enough goes before it has read all.
            let _ = client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            let _ = client.shutdown(Shutdown::Write);
            let _ = client.read_to_end(&mut Vec::new());
        }
    });
    let server_name = format!("127.0.0.1:{port}");
    assert_eq!(
        refusal(&format!("postgres://app:hunter2@{server_name}/app")),
        format!(
            "{server_name} does not answer as the database of the URL would: unexpected response from \
             SSLRequest: 0x48"
        )
    );
    assert_eq!(
        refusal(&format!("mysql://app:hunter2@{server_name}/app")),
        format!("{server_name} ends the connection at once")
    );
    server.join().unwrap();
}

#[test]
fn a_url_that_cannot_be_read_is_reported_without_its_values() {
    let escape = "in a user name or a password, write %23 for `#`, %2F for `/`, %3F for `?` and \
                  %40 for `@`";
    let port = format!("the port in the database URL is not a number up to 65535 ({escape})");
    let character = format!("the database URL has a character that is not escaped ({escape})");
    let parameter = |name| {
        format!(
            "the parameter `{name}` of the database URL is not known, or has a value that is not"
        )
    };
    for (url, expected) in [
        ("postgres://app:hunter2@db:99999/app", &port),
        ("mysql://app:hunter2@db:hunter/app", &port),
        ("postgres://app:hunt/er2@db/app", &port),
        ("postgres://app:hunt#er2@db/app", &port),
        ("postgres://app:12#hunter2@db/app", &character),
        ("postgres://app:12/hunter2@db/app", &character),
        ("mysql://app:hunter2@db/app#hunter", &character),
        (
            "postgres://app:hunter2@db/app?sslmode=hunter",
            &parameter("sslmode"),
        ),
        ("postgres://db/app?port=hunter&user=app", &parameter("port")),
        (
            "mysql://app:hunter2@db/app?charset=utf8mb4&ssl-mode=hunter",
            &parameter("ssl-mode"),
        ),
        ("sqlite://app.db?mode=hunter", &parameter("mode")),
    ] {
        assert_eq!(&refusal(url), expected, "{url}");
    }
    let unknown =
        "the database URL is not one this program can open (sqlite: or postgres: or mysql:)";
    for url in [
        "oracle://app:hunter2@db/app",
        "app:hunter2@db",
        "hunter2",
        "mariadb://h/d",
    ] {
        assert_eq!(refusal(url), unknown, "{url}");
    }
}

#[test]
fn a_url_without_a_database_is_reported_on_mariadb() {
    for url in [
        "mysql://root:hunter2@127.0.0.1",
        "mysql://root@127.0.0.1:3306/",
    ] {
        assert_eq!(
            refusal(url),
            "the database URL names no database (mysql://HOST/DATABASE)"
        );
    }
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let place = Place::new();
    let new = place.dir.path().join("new.db");
    let new = new.display();
    let fail = |command, url: String| place.fail(&[command, "--database-url", &url]);
    assert_eq!(
        fail("up", format!("sqlite://{new}")),
        format!("error: unable to open database file: {new} (add ?mode=rwc to create it)")
    );
    for url in [
        format!("sqlite://{new}?mode=rwc"),
        format!("sqlite://{new}?mode=rw"),
        format!("sqlite:{new}"),
    ] {
        assert_eq!(
            fail("verify", url),
            format!("error: unable to open database file: {new}")
        );
    }
    assert_eq!(
        fail("up", format!("sqlite://{new}/below.db?mode=rwc")),
        format!("error: unable to open database file: {new}/below.db")
    );
    assert_eq!(fs::read_dir(place.dir.path()).unwrap().count(), 0);
    assert_eq!(
        fail("up", format!("sqlite://{new}?mode=rwc&vfs=hunter2")),
        "error: a parameter of the database URL has a value that is not known (code 1)"
    );
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let place = Place::new();
    let file = place.dir.path().join("test.db");
    place.succeed(&["up", "-n", "1"]);
    let read_only = place.url().replace("mode=rwc", "mode=ro");
    assert_eq!(
        place.fail(&["up", "--database-url", &read_only]),
        format!(
            "error: {}: attempt to write a readonly database (code 8)",
            file.display()
        )
    );
    fs::write(&file, "not a database, but long enough to be taken for one").unwrap();
    for command in ["status", "up", "verify"] {
        assert_eq!(
            place.fail(&[command]),
            format!(
                "error: {}: file is not a database (code 26)",
                file.display()
            )
        );
    }
}

on_postgres!(what_the_server_refuses_is_reported_on_postgres);

async fn what_the_server_refuses_is_reported_on_postgres(url: &str) {
    let missing = format!("{url}_missing");
    let name = missing.rsplit('/').next().unwrap();
    assert_eq!(
        refusal(&missing),
        format!("database \"{name}\" does not exist (code 3D000)")
    );
    let address = url.split('@').nth(1).unwrap();
    let server = address.split('/').next().unwrap();
    assert_eq!(
        refusal(&url.replace("postgres@", "hunter@")),
        format!("{server} refuses the user or the password (code 28000)")
    );
    assert_eq!(
        refusal(&format!("{url}?sslmode=require")),
        format!("no TLS with {server}: server does not support TLS")
    );
    let missing_file = refusal(&format!("{url}?sslmode=verify-full&sslrootcert=/hunter"));
    assert!(missing_file.starts_with("no TLS with "), "{missing_file}");
}

on_mariadb!(what_the_server_refuses_is_reported_on_mariadb);

async fn what_the_server_refuses_is_reported_on_mariadb(url: &str) {
    let missing = format!("{url}_missing");
    let name = missing.rsplit('/').next().unwrap();
    assert_eq!(
        refusal(&missing),
        format!("Unknown database '{name}' (error 1049, 42000)")
    );
    let address = url.split('@').nth(1).unwrap();
    let server = address.split('/').next().unwrap();
    let wrong = url.replace("root@", "nobody-hunter:hunter2@");
    assert_eq!(
        refusal(&wrong),
        format!("{server} refuses the user or the password (code 28000)")
    );
    as_role(url, "GRANT USAGE ON *.* TO {role}", async |role| {
        assert_eq!(
            refusal(role),
            format!("{server} refuses the user in this database (code 42000)")
        );
    })
    .await;
    for (parameter, number) in [
        ("charset=hunter2", 1115),
        ("collation=hunter2", 1273),
        ("timezone=hunter2", 1298),
    ] {
        assert_eq!(
            refusal(&format!("{url}?{parameter}")),
            format!(
                "a parameter of the database URL has a value that is not known (error {number})"
            )
        );
    }
    let limit = "GRANT SELECT ON {database}.* TO {role} WITH MAX_USER_CONNECTIONS 1";
    as_role(url, limit, async |role| {
        let one = Database::connect(role).await.unwrap();
        assert_eq!(
            refusal(role),
            "the server has no more connections for this user (error 1226)"
        );
        one.close().await.unwrap();
    })
    .await;
}

/// The server has a certificate of an authority that nobody knows, and lets nobody in without TLS.
#[test]
#[cfg_attr(
    not(feature = "postgres"),
    ignore = "needs the feature `postgres` and a server; scripts/test runs it"
)]
fn a_server_with_tls_is_spoken_to_on_postgres() {
    let script = r#"
        for parameters in a=b sslmode=require \
            "sslmode=verify-full&sslrootcert=$GUESTHOUSE_TEST_TLS_AUTHORITY" \
            sslmode=verify-full sslmode=disable
        do
            gm up -u "$GUESTHOUSE_TEST_TLS?$parameters" | tail -n 1
        done"#;
    let printed = beside("postgres-tls", script);
    let lines: Vec<_> = printed.lines().collect();
    let in_step = "sync: skipped, no entity folder was given (--entity-dir)";
    assert_eq!(lines[..3], [in_step; 3]);
    let [unknown, without] = &lines[3..] else {
        unreachable!("{printed}");
    };
    assert!(
        unknown.starts_with("error: no TLS with 127.0.0.1:"),
        "{unknown}"
    );
    assert!(
        unknown.ends_with("invalid peer certificate: UnknownIssuer"),
        "{unknown}"
    );
    assert!(
        without.ends_with(" refuses the user without TLS (code 28000)"),
        "{without}"
    );
}
