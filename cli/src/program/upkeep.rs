//! The library's checks and repairs: `verify`, `audit` and `backfill-guests`.

use std::collections::BTreeSet;

use guesthouse::{EmailAudit, Model, RoleAudit, SchemaError};
use indicatif::{ProgressBar, ProgressStyle};
use sea_orm_migration::{
    MigratorTrait,
    sea_orm::{DatabaseConnection, DbErr},
};

use super::{
    failure::{Failure, is_denied},
    output::say,
};
use crate::{log::Log, sync::singular, waiting};

/// Whether the library's promises can rest on the database: every migration applied and no other, and
/// no difference in the schema. Prints what it found.
pub(super) async fn verify<M: MigratorTrait>(
    db: &DatabaseConnection,
    model: &Model,
) -> Result<bool, Failure> {
    let found: Vec<String> = match Log::read::<M>(db).await {
        Ok(log) => {
            let pending = log.pending().map(|name| format!("pending: {name}"));
            let unknown = log.unknown.iter();
            let unknown = unknown.map(|name| format!("unknown to this program: {name}"));
            pending.chain(unknown).collect()
        }
        Err(error) if is_denied(&error) => vec![unreadable_log(error).to_string()],
        Err(error) => return Err(error.into()),
    };
    for line in &found {
        say(line);
    }
    let differences = match waiting::for_any_table(model.verify(db)).await {
        Ok(()) => Vec::new(),
        Err(SchemaError::Drift(differences)) => differences,
        Err(SchemaError::Database(error)) => return Err(error.into()),
    };
    for difference in &differences {
        say(&difference.to_string());
    }
    let in_order = found.is_empty() && differences.is_empty();
    if in_order {
        say("verify: the schema keeps what the library promises");
    }
    Ok(in_order)
}

/// The log of migrations, or that the user may not read it.
pub(super) async fn read_log<M: MigratorTrait>(db: &DatabaseConnection) -> Result<Log, Failure> {
    Log::read::<M>(db)
        .await
        .map_err(|error| match is_denied(&error) {
            true => unreadable_log(error),
            false => error.into(),
        })
}

fn unreadable_log(error: DbErr) -> Failure {
    let why = Failure::from(error);
    Failure::new(format!("the log of migrations cannot be read: {why}"))
}

pub(super) async fn print_audit(db: &DatabaseConnection, model: &Model) -> Result<(), Failure> {
    let roles = model.audit(db).await?;
    let of_guests = |role: &&RoleAudit| role.is_for_every_owner;
    let mut counts: Vec<(String, u64)> = Vec::new();
    for role in &roles {
        counts.push((role.owner_table.clone(), role.owners));
    }
    for role in roles.iter().filter(|role| !of_guests(role)) {
        counts.push((role.table.clone(), role.rows));
    }
    for role in roles.iter().filter(of_guests) {
        let what = format!("{} without {}", role.owner_table, singular(&role.table));
        counts.push((what, role.owners_without));
    }
    let width = counts.iter().map(|(what, _)| what.len()).max();
    let width = width.map_or(20, |longest| longest.max(20));
    let mut counted = BTreeSet::new();
    for (what, count) in counts {
        // A table can be the owner of several roles, and a role itself.
        if counted.insert(what.clone()) {
            say(&format!("{what:<width$} {count}"));
        }
    }
    let EmailAudit {
        malformed,
        to_rewrite,
        collisions,
    } = model.audit_emails(db).await?.unwrap_or_default();
    for user_id in malformed {
        say(&format!("address malformed    {user_id}"));
    }
    for user_id in to_rewrite {
        say(&format!("address to rewrite   {user_id}"));
    }
    for users in collisions {
        let users: Vec<_> = users.iter().map(ToString::to_string).collect();
        say(&format!("one mailbox          {}", users.join(" ")));
    }
    Ok(())
}

/// The bar is drawn on standard error, and only if that is a terminal.
pub(super) async fn backfill(db: &DatabaseConnection, model: &Model) -> Result<(), Failure> {
    let bar = ProgressBar::new(0);
    if !bar.is_hidden() {
        // Counting reads every user, so it is done only for a bar that somebody sees.
        let roles = model.audit(db).await?;
        let guests = roles.iter().filter(|role| role.is_for_every_owner);
        bar.set_length(guests.map(|role| role.owners_without).sum());
    }
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} guests, {eta} to go") {
        bar.set_style(style);
    }
    let given = model.backfill_guests(db, |total| bar.set_position(total));
    let given = given.await?.ok_or_else(|| {
        Failure::new("backfill-guests: the tables of this program have no guests".to_owned())
    })?;
    bar.finish_and_clear();
    say(&format!(
        "backfill-guests: {given} users have been given a guest"
    ));
    Ok(())
}

impl From<guesthouse::Error> for Failure {
    fn from(error: guesthouse::Error) -> Self {
        // What the driver said is worth a line here, worded as discreetly as for a migration.
        let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref());
        match source {
            Some(source) => DbErr::into(DbErr::clone(source)),
            None => Self::new(error.to_string()),
        }
    }
}
