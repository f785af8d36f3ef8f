//! The entities of [Guesthouse](https://docs.rs/guesthouse): what the rows of `users`, `guests`
//! and `hosts` are.
//!
//! A user has one guest and at most one host; a guest and a host belong to exactly one user:
//!
//! ```
//! use guesthouse_entity::{guest, host, user};
//! use sea_orm::{RelationTrait, RelationType};
//!
//! assert_eq!(user::Relation::Guest.def().rel_type, RelationType::HasOne);
//! assert_eq!(user::Relation::Host.def().rel_type, RelationType::HasOne);
//! assert!(guest::Relation::User.def().is_owner == false);
//! assert!(host::Relation::User.def().is_owner == false);
//! ```
//!
//! # Layout
//!
//! - [`generated`]: columns, types and relations. `sync` writes it from the live schema; it is
//!   never edited by hand.
//! - [`on_save`]: what happens whenever a row is saved, also through plain SeaORM: ids and
//!   timestamps are filled in.

// The generated entities call `guesthouse_entity::on_save`, so that the same bytes compile here
// and in the entity crate of an app that runs `sync` into its own folder.
extern crate self as guesthouse_entity;

#[expect(
    missing_docs,
    reason = "columns are documented by the migrations that make them"
)]
pub mod generated;
mod on_save;

pub use generated::*;
pub use on_save::on_save;
