//! The program a newcomer runs first.

use std::{
    path::Path,
    process::{Command, Output},
};

use crate::support;

fn quickstart(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(support::example("quickstart"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("DATABASE_URL")
        .output()
        .unwrap()
}

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8(bytes.to_vec())
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
#[cfg_attr(not(feature = "sqlite"), ignore = "needs the feature `sqlite`")]
fn signs_up_makes_a_host_twice_and_lists() {
    let folder = tempfile::tempdir().unwrap();

    let first = quickstart(folder.path(), &["ada@example.com", "Grace@Example.com"]);

    assert!(first.status.success(), "{first:?}");
    let said = lines(&first.stdout);
    assert_eq!(said[0], "ada@example.com has signed up");
    assert_eq!(said[1], "grace@example.com has signed up");
    let host = said[2]
        .strip_prefix("ada@example.com is now host ")
        .unwrap();
    assert_eq!(said[3], format!("ada@example.com is host {host} already"));
    assert_table(&said[4..], host);

    let second = quickstart(folder.path(), &["ada@example.com", "grace@example.com"]);

    assert!(second.status.success(), "{second:?}");
    let said = lines(&second.stdout);
    assert_eq!(said[0], "ada@example.com was there already");
    assert_eq!(said[1], "grace@example.com was there already");
    assert_eq!(
        said[2..4],
        [
            format!("ada@example.com is host {host} already"),
            said[3].clone()
        ]
    );
    assert_table(&said[4..], host);
}

/// A blank line, a header and two rows, with columns that begin below their headers.
fn assert_table(said: &[String], host: &str) {
    let [blank, header, ada, grace] = said else {
        panic!("{said:#?}")
    };
    assert_eq!(blank, "");
    let column = |name: &str| header.find(name).unwrap();
    let cell = |row: &str, name: &str| {
        row[column(name)..]
            .split_whitespace()
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(cell(ada, "EMAIL"), "ada@example.com");
    assert_eq!(cell(grace, "EMAIL"), "grace@example.com");
    assert_eq!(
        (cell(ada, "HOST"), cell(grace, "HOST")),
        (host.to_owned(), "-".to_owned())
    );
    for row in [ada, grace] {
        for name in ["USER", "GUEST"] {
            assert!(cell(row, name).parse::<uuid::Uuid>().is_ok(), "{row}");
        }
    }
}

#[test]
#[cfg_attr(not(feature = "sqlite"), ignore = "needs the feature `sqlite`")]
fn what_is_no_address_is_named_and_the_others_are_kept() {
    let folder = tempfile::tempdir().unwrap();

    let run = quickstart(folder.path(), &["not an address", "ada@example.com", ""]);

    assert_eq!(run.status.code(), Some(1));
    assert_eq!(
        lines(&run.stderr),
        [
            r#""not an address": the e-mail address is malformed"#,
            r#""": the e-mail address is empty"#,
        ],
    );
    assert_eq!(lines(&run.stdout)[0], "ada@example.com has signed up");
}

#[test]
#[cfg_attr(not(feature = "sqlite"), ignore = "needs the feature `sqlite`")]
fn without_arguments_it_has_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let run = quickstart(folder.path(), &[]);
    assert!(run.status.success(), "{run:?}");
    assert_eq!(lines(&run.stdout)[1], "grace@example.com has signed up");
}
