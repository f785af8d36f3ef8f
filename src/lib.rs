//! Has-one relations for [SeaORM 2](sea_orm) that hold under concurrency.
//!
//! Each user of a marketplace has one guest, made at sign-up, and at most one host, made by
//! onboarding and enforced by a unique index. The calls below return the same typed answer to one
//! caller or fifty, on their own or inside your transaction, on SQLite, PostgreSQL and MariaDB.
//!
//! | I want to | call |
//! | --- | --- |
//! | sign people up | [`sign_up`], [`sign_up_with_id`], [`sign_up_all`] |
//! | make a user a host, and undo it | [`become_host`], [`become_hosts`], [`stop_hosting`] |
//! | give any owner a role of my own | [`Role`], [`onboard`], [`onboard_all`], [`offboard`], [`backfill`] |
//! | use a `users` table of my own | [`SignUp`], [`sign_up_as`], [`sign_up_all_as`], [`change_email_as`], [`delete_user_as`] |
//! | read accounts | [`Account::find`], [`Account::find_by_email`], [`Accounts`] |
//! | show them | [`AccountView`], [`AccountSummary`], [`describe()`] |
//! | change an address, delete a user | [`change_email`], [`delete_user`] |
//! | run my own statements beside them | [`retry::transaction`], [`retry::attempts`] |
//! | make several calls on one connection | [`Session`] |
//! | adopt a database that already has users | [`audit()`], [`audit_emails`], [`backfill_guests`] |
//! | check the live schema | [`verify_schema`], [`Model::verify`] |
//!
//! Calls on accounts and roles take a connection or a transaction, and use only that. An [`Error`]
//! shows what was refused and whether anything was written. The [guides](guide) begin with what a
//! has-one needs in the database.
//!
//! # Traces
//!
//! Each call on accounts, roles and the schema is a `tracing` span at DEBUG, with ids, the role and
//! the outcome. It is named after the function that does the work: `sign_up`, or `onboard` for
//! [`become_host`]. An error is an event, and its kind ([`Error::name`]) is the span's field
//! `error.type`, as in OpenTelemetry. The functions of [`mod@retry`] report each further attempt at
//! DEBUG, and [`verify_schema`] reports at WARN what breaks no guarantee by itself. No span or
//! event holds an e-mail address, SQL or a URL.
//!
//! # Features
//!
//! `sqlite` (default), `postgres`, `mysql` (MariaDB 10.6 or later): one for each database you use.
//! `openapi` derives utoipa schemas for the views.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(any(feature = "sqlite", feature = "postgres", feature = "mysql")))]
compile_error!("guesthouse needs a database: enable feature `sqlite`, `postgres` or `mysql`");

/// The program on the front page of the repository runs as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod accounts;
mod describe;
mod error;
pub mod guide;
mod model;
pub mod retry;
mod role;
mod schema;
mod scope;
mod session;
mod statements;

pub use accounts::{
    Account, AccountSummary, AccountView, Accounts, Audit, Email, EmailAudit, GuestSummary,
    GuestView, HostSummary, HostView, InvalidEmail, Page, SignUp, SignUps, audit, audit_emails,
    backfill_guests, become_host, become_hosts, change_email, change_email_as, delete_user,
    delete_user_as, sign_up, sign_up_all, sign_up_all_as, sign_up_as, sign_up_with_id,
    stop_hosting,
};
pub use describe::{
    Association, AssociationKind, ColumnSchema, PerBackend, Schema, TableSchema, Views, describe,
};
pub use error::Error;
pub use guesthouse_entity::{guest, host, user};
pub use model::{Model, RoleAudit};
pub use retry::{Attempts, attempts, retry, transaction, transaction_with};
pub use role::{
    Beside, KeyOf, Onboarding, Onboardings, OwnerId, Owners, OwnersPage, Role, backfill, offboard,
    onboard, onboard_all,
};
pub use schema::{Difference, SchemaError, verify_schema};
pub use session::{Session, SessionTransaction};
