//! The engine serves any has-one: it imports nothing of the accounts, which stand on top of it. And the
//! statements stand in one place: nothing else looks at the backend.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The files of the engine: those of a folder or one module, without what is the accounts' among them.
const ENGINE: [&str; 4] = ["role.rs", "role", "statements.rs", "statements"];
const ACCOUNTS: [&str; 2] = ["statements/accounts.rs", "statements/accounts"];

const OF_ACCOUNTS: [&str; 12] = [
    "accounts", "user", "guest", "host", "users", "guests", "hosts", "email", "Account",
    "Accounts", "Email", "SignUp",
];

/// How code looks at the backend, or sends SQL.
const LOOKS: [&str; 5] = [
    "get_database_backend",
    "DbBackend::",
    "Statement::from",
    "_raw(",
    "execute_unprepared(",
];

/// The parameter that `Onboardings` has unless another is named, which is in the public API.
const EXCEPTION: &str = "M = guesthouse_entity::host::Model";

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).unwrap();
    entries
        .flat_map(|entry| files(&entry.unwrap().path()))
        .collect()
}

/// The lines of these files that are no comments, each with its place.
fn code(paths: &[PathBuf]) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for path in paths {
        let name = path.strip_prefix(src()).unwrap().display().to_string();
        for (n, line) in fs::read_to_string(path).unwrap().lines().enumerate() {
            if !line.trim_start().starts_with("//") {
                lines.push((format!("{name}:{}", n + 1), line.to_owned()));
            }
        }
    }
    lines
}

#[test]
fn the_engine_imports_nothing_of_the_accounts() {
    let accounts = ACCOUNTS.map(|path| src().join(path));
    let mut engine: Vec<_> = ENGINE
        .iter()
        .flat_map(|path| files(&src().join(path)))
        .collect();
    engine.retain(|file| !accounts.iter().any(|path| file.starts_with(path)));
    assert!(engine.len() > 15, "{engine:?}");

    let lines = code(&engine);
    let of_accounts = lines.iter().filter(|(_, line)| {
        let line = line
            .replace(EXCEPTION, "")
            .replace("pub(crate) mod accounts;", "");
        let words: Vec<_> = line
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .collect();
        OF_ACCOUNTS.iter().any(|word| words.contains(word))
    });
    assert_eq!(
        of_accounts.collect::<Vec<_>>(),
        Vec::<&(String, String)>::new()
    );
}

#[test]
fn statements_and_schema_alone_send_sql_and_look_at_the_backend() {
    let elsewhere: Vec<_> = files(&src())
        .into_iter()
        .filter(|file| {
            // A session is a connection: it has a backend, and opens transactions in its dialect.
            !["statements", "schema", "session"].iter().any(|place| {
                file.starts_with(src().join(place))
                    || *file == src().join(place).with_extension("rs")
            })
        })
        .collect();
    let lines = code(&elsewhere);
    let looks = lines
        .iter()
        .filter(|(_, line)| LOOKS.iter().any(|look| line.contains(look)));
    let looks: Vec<_> = looks.collect();
    assert_eq!(looks, Vec::<&(String, String)>::new());
}
