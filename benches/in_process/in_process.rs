//! What a call costs in the process alone: rows are recorded, no database answers.
//!
//! `cargo bench --manifest-path benches/in_process/Cargo.toml`

use std::{collections::BTreeMap, hint::black_box};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use guesthouse::{Accounts, Email, become_host, sign_up};
use sea_orm::{
    DatabaseBackend, DatabaseConnection, MockDatabase, Value, prelude::DateTimeWithTimeZone,
};
use tokio::runtime::Runtime;
use uuid::Uuid;

type Row = BTreeMap<String, Value>;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

/// A connection that answers its one statement with these rows.
fn answering(rows: &[Row]) -> DatabaseConnection {
    MockDatabase::new(DatabaseBackend::Postgres)
        .append_query_results([rows.to_vec()])
        .into_connection()
}

fn now() -> Value {
    DateTimeWithTimeZone::default().into()
}

/// A guest's or host's columns, under a prefix.
fn role(prefix: &str) -> [(String, Value); 4] {
    let id = || Value::from(Uuid::from_u128(7));
    [
        ("id", id()),
        ("user_id", id()),
        ("created_at", now()),
        ("updated_at", now()),
    ]
    .map(|(name, value)| (format!("{prefix}{name}"), value))
}

fn user(prefix: &str) -> [(String, Value); 4] {
    let address = Value::from("ada@example.com");
    [
        ("id", Uuid::from_u128(7).into()),
        ("email", address),
        ("created_at", now()),
        ("updated_at", now()),
    ]
    .map(|(name, value): (&str, Value)| (format!("{prefix}{name}"), value))
}

fn calls(criterion: &mut Criterion) {
    let runtime = runtime();
    let email: Email = "ada@example.com".parse().unwrap();

    let no_trigger = || ("guesthouse_runs_on".to_owned(), Value::from(false));
    let both = user("A_").into_iter().chain(role("B_"));
    let signed_up = Row::from_iter(both.chain([no_trigger()]));
    criterion.bench_function("sign_up", |bencher| {
        bencher.iter_batched(
            || answering(std::slice::from_ref(&signed_up)),
            |db| runtime.block_on(sign_up(&db, email.clone())).unwrap(),
            BatchSize::SmallInput,
        );
    });

    for (name, is_new) in [("become_host, new", true), ("become_host, existing", false)] {
        let flag = ("guesthouse_is_new".to_owned(), Value::from(is_new));
        let host = Row::from_iter(role("").into_iter().chain([flag, no_trigger()]));
        criterion.bench_function(name, |bencher| {
            bencher.iter_batched(
                || answering(std::slice::from_ref(&host)),
                |db| {
                    let host = runtime
                        .block_on(become_host(&db, Uuid::from_u128(7)))
                        .unwrap();
                    assert_eq!(host.is_new(), is_new);
                    host
                },
                BatchSize::SmallInput,
            );
        });
    }
}

fn page(criterion: &mut Criterion) {
    let runtime = runtime();
    // Read by position, which for recorded rows is the order of their names.
    let cells = user("").into_iter().chain(role("")).chain(role(""));
    let row: Row = cells
        .enumerate()
        .map(|(n, (_, value))| (format!("{n:02}"), value))
        .collect();
    // A user who comes twice is an error.
    let mut rows = vec![row; 100];
    for (n, row) in (0..).zip(&mut rows) {
        row.insert("00".to_owned(), Uuid::from_u128(n).into());
    }
    criterion.bench_function("a page of 100 accounts", |bencher| {
        bencher.iter_batched(
            || answering(&rows),
            |db| {
                let page = runtime
                    .block_on(Accounts::all().limit(100).fetch(&db))
                    .unwrap();
                assert_eq!(page.accounts.len(), 100);
                page
            },
            BatchSize::SmallInput,
        );
    });
}

fn email(criterion: &mut Criterion) {
    for (name, address) in [
        ("an address", "ada.lovelace@example.com"),
        (
            "an address to be normalised",
            " Jose\u{301}.Garci\u{301}a@EXAMPLE.com ",
        ),
        ("no address", "ada.lovelace.example.com"),
    ] {
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| black_box(address).parse::<Email>().ok());
        });
    }
}

criterion_group!(benches, calls, page, email);
criterion_main!(benches);
