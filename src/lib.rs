#![doc = include_str!("../README.md")]

#[cfg(not(any(feature = "sqlite", feature = "postgres", feature = "mysql")))]
compile_error!("guesthouse needs a database: enable feature `sqlite`, `postgres` or `mysql`");

/// The examples in the guides run as tests.
#[cfg(doctest)]
mod guides {
    #[doc = include_str!("../docs/scaling.md")]
    struct Scaling;

    #[doc = include_str!("../docs/benchmarks.md")]
    struct Benchmarks;
}

mod account;
mod accounts;
mod audit;
mod backfill;
mod bulk;
mod describe;
mod email;
mod error;
mod model;
mod onboarding;
mod own_users;
pub mod retry;
mod role;
mod schema;
mod scope;
mod sign_up;
mod statements;

mod view;

pub use account::{Account, change_email, delete_user};
pub use accounts::{Accounts, Page};
pub use audit::{Audit, EmailAudit, audit, audit_emails};
pub use backfill::{backfill, backfill_guests};
pub use bulk::{Onboardings, SignUps, become_hosts, onboard_all, sign_up_all};
pub use describe::{
    Association, AssociationKind, ColumnSchema, PerBackend, Schema, TableSchema, Views, describe,
};
pub use email::{Email, InvalidEmail};
pub use error::Error;
pub use guesthouse_entity::{guest, host, user};
pub use model::Model;
pub use onboarding::{Onboarding, become_host, offboard, onboard, stop_hosting};
pub use own_users::{change_email_as, delete_user_as, sign_up_as};
pub use retry::{Attempts, attempts, retry, transaction, transaction_with};
pub use role::{OwnerId, Role, SignUp};
pub use schema::{Difference, SchemaError, verify_schema};
pub use sign_up::{sign_up, sign_up_with_id};
pub use view::{AccountSummary, AccountView, GuestSummary, GuestView, HostSummary, HostView};
