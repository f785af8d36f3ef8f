//! What the library promises, on every backend.
//!
//! One binary, so that the crates are linked once. The features choose the databases; the tests of
//! the others are ignored. PostgreSQL and MariaDB are where `GUESTHOUSE_TEST_POSTGRES` and
//! `GUESTHOUSE_TEST_MARIADB` say: servers on which databases can be created. `scripts/test` starts
//! both, and runs all tests.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

#[macro_use]
mod support;

mod accounts;
mod audit;
mod budget;
mod bulk;
mod by_hand;
mod cancellation;
mod change_email;
mod changed_by_hooks;
mod connections;
mod courier;
mod delete_user;
mod describe;
mod email;
mod ended_transaction;
mod entity;
mod error_codes;
mod errors;
mod evidence;
mod find;
mod floors;
mod folded_addresses;
mod hooks;
mod hosting;
mod import;
mod interleaving;
mod keys_of_owners;
mod limits;
mod locks;
mod migration;
mod numbers;
mod onboarding;
mod own_users;
mod own_users_at_once;
mod owners;
#[cfg(feature = "mysql")]
mod pool_settings;
mod quickstart;
mod race;
mod readme;
mod recipes;
#[cfg(feature = "sqlite")]
mod replaced;
mod retry;
mod rights;
mod roles;
mod schema;
mod schema_sync;
mod service;
mod session;
mod shared_transaction;
mod sign_up;
mod sign_up_with_id;
mod sql;
mod stale_statements;
mod tenants;
mod timeouts;
mod tracing;
mod transactions;
mod triggers;
mod unreadable;
mod unusual_roles;
