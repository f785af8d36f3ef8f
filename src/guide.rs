//! The guides, from what a has-one needs in the database to a cluster.
//!
//! | guide | about |
//! | --- | --- |
//! | [`one_to_one`] | what a has-one needs in the database, and how find-or-create goes wrong |
//! | [`roles`] | a has-one of your own, and owners of your own |
//! | [`transactions`] | your conditions and statements in one transaction, and retries |
//! | [`lost_answers`] | errors, deadlines, and calls that can be repeated |
//! | [`accounts`] | reading accounts page by page, and what leaves the server |
//! | [`adopting`] | bulk calls, back-fill, audit, and the check before serving |
//! | [`migrations`] | the schema, the program that migrates it, and entities from the live schema |
//! | [`databases`] | how the three differ, what was tested, and what was not |
//! | [`scaling`] | SQLite, PostgreSQL with a standby, Galera, poolers |
//! | [`recipes`] | an outbox, a verified e-mail, erasing a person, a profile |
//!
//! The comparison with other crates is in `docs/benchmarks.md` of the repository.

#[doc = include_str!("../docs/one-to-one.md")]
pub mod one_to_one {}

#[doc = include_str!("../docs/roles.md")]
pub mod roles {}

/// [recipes]: recipes
#[doc = include_str!("../docs/transactions.md")]
pub mod transactions {}

/// [scaling]: scaling
#[doc = include_str!("../docs/lost-answers.md")]
pub mod lost_answers {}

#[doc = include_str!("../docs/accounts.md")]
pub mod accounts {}

#[doc = include_str!("../docs/adopting.md")]
pub mod adopting {}

#[doc = include_str!("../docs/migrations.md")]
pub mod migrations {}

#[doc = include_str!("../docs/databases.md")]
pub mod databases {}

#[doc = include_str!("../docs/scaling.md")]
pub mod scaling {}

#[doc = include_str!("../docs/recipes.md")]
pub mod recipes {}

/// Its pictures are in the repository.
#[cfg(doctest)]
#[doc = include_str!("../docs/benchmarks.md")]
mod benchmarks {}
