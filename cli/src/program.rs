//! The command line: SeaORM's commands, `sync`, and the upkeep of a live database.
//!
//! | command | does |
//! | --- | --- |
//! | `up [-n N]` | applies pending migrations, all of them unless `-n` is given, then syncs if none is left; only reads if none is pending |
//! | `down [-n N] [--force]` | rolls back the last migrations, one unless `-n` is given |
//! | `status` | lists every migration; creates nothing |
//! | `fresh` | drops every table, view, sequence and type, applies all migrations, then syncs |
//! | `refresh [--force]` | rolls everything back, applies it again, then syncs |
//! | `reset [--force]` | rolls everything back |
//! | `generate NAME [--belongs-to TABLE]` | writes a new migration and puts it into the list |
//! | `sync [--check]` | brings the entities in step with the live schema, or prints how they differ |
//! | `verify` | prints how the live schema differs from what the library's promises rest on, and what is pending |
//! | `audit` | counts owners, roles and users without a guest; prints the ids of users whose stored address `Email` would not store |
//! | `backfill-guests` | gives every user without a guest one |
//!
//! `--database-url` (or `DATABASE_URL`) names the database, `--database-schema` (or
//! `DATABASE_SCHEMA`) its schema on PostgreSQL, `--entity-dir` (or `GUESTHOUSE_ENTITY_DIR`) the folder
//! of the entities; the default under `cargo run` is `entity/src/generated` beside the package that
//! runs. Without a schema, the tables are where the search path leads to the log of migrations.
//! `DATABASE_URL`, `DATABASE_SCHEMA` and `GUESTHOUSE_ENTITY_DIR` may be set in a file `.env`, in the
//! working directory or above it; the environment takes precedence. Without a command it runs `up`, as
//! SeaORM's own program does. A command that fails prints one line and exits with 1, and arguments that
//! are not understood exit with 2; no message has the connection string or a value from a row. Programs
//! that migrate at the same time take turns, with each other and with [`crate::up`]. `down`, `refresh` and
//! `reset` roll back nothing if a table of Guesthouse holds rows or, unless migrations of the app's own are
//! rolled back, too, if another table refers to it; a table of the app's own is looked at when its
//! migration is rolled back.

use std::{
    env,
    ffi::OsString,
    fmt,
    marker::PhantomData,
    path::{Path, PathBuf},
    process::ExitCode,
};

use chrono::Utc;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use guesthouse::Model;
use sea_orm_migration::{
    MigratorTrait,
    sea_orm::{ConnectOptions, DatabaseConnection, DbErr},
};

use self::{
    failure::Failure,
    output::{complain, lost, say, show_progress},
};
use crate::{
    drop_table::quoted,
    forced,
    log::Log,
    place,
    sync::{self, GeneratedFile},
    turn::Turn,
    up,
};

mod connect;
mod dotenv;
mod failure;
mod fresh;
mod generate;
mod output;
mod upkeep;

/// Runs the program's own arguments against `migrator`, and returns what `main` exits with.
///
/// This is the whole `main.rs` of an app's migrations, beside their list:
///
/// ```
/// use std::process::ExitCode;
/// # mod app { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/app.rs")); }
/// # use app::AppMigrator;
///
/// #[tokio::main]
/// async fn main() -> ExitCode {
/// #   if cfg!(not(feature = "sqlite")) { return ExitCode::SUCCESS; }
/// #   let this_has_no_arguments = std::env::args().len() < 2;
/// #   if this_has_no_arguments {
/// #       let arguments = ["app", "status", "--database-url", "sqlite::memory:"];
/// #       return guesthouse_cli::run_from(AppMigrator, arguments).await;
/// #   }
///     guesthouse_cli::run(AppMigrator).await
/// }
/// ```
pub async fn run<M: MigratorTrait>(migrator: M) -> ExitCode {
    run_from(migrator, env::args_os()).await
}

/// As [`run`], with the arguments given; the first one is the name of the program.
///
/// ```
/// # mod app { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/app.rs")); }
/// # use app::AppMigrator;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::process::ExitCode {
/// # if cfg!(not(feature = "sqlite")) { return std::process::ExitCode::SUCCESS; }
/// guesthouse_cli::run_from(AppMigrator, ["migrate", "status", "--database-url", "sqlite::memory:"]).await
/// # }
/// ```
pub async fn run_from<M, I, T>(migrator: M, arguments: I) -> ExitCode
where
    M: MigratorTrait,
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    Program::new(migrator).run_from(arguments).await
}

/// The program of an app with tables of its own.
///
/// ```
/// use guesthouse::{Model, host};
/// use guesthouse_cli::Program;
/// # mod app { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/app.rs")); }
/// # use app::AppMigrator;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::process::ExitCode {
/// # if cfg!(not(feature = "sqlite")) { return std::process::ExitCode::SUCCESS; }
/// // An app names its own role here.
/// let model = Model::accounts().role::<host::Entity>();
/// Program::new(AppMigrator)
///     .model(model)
///     .run_from(["migrate", "status", "--database-url", "sqlite::memory:"])
///     .await
/// # }
/// ```
#[must_use = "does nothing until `run`"]
pub struct Program<M> {
    migrator: PhantomData<M>,
    model: Model,
}

impl<M> fmt::Debug for Program<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("model", &self.model)
            .finish()
    }
}

impl<M: MigratorTrait> Program<M> {
    /// With the migrations of this migrator, and the tables of this library.
    pub fn new(_migrator: M) -> Self {
        Self {
            migrator: PhantomData,
            model: Model::accounts(),
        }
    }

    /// The tables that `verify` checks, `audit` counts and `backfill-guests` fills.
    pub fn model(self, model: Model) -> Self {
        Self { model, ..self }
    }

    /// Runs the program's own arguments, and returns what `main` exits with.
    pub async fn run(self) -> ExitCode {
        self.run_from(env::args_os()).await
    }

    /// Runs these arguments; the first one is the name of the program.
    pub async fn run_from<I, T>(self, arguments: I) -> ExitCode
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        let outcome = match Arguments::parse(arguments) {
            Err(failure) => Err(failure),
            Ok(Err(usage)) => output::print_usage(&usage).map(|()| {
                u8::try_from(usage.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
            }),
            Ok(Ok(arguments)) => {
                show_progress(arguments.verbose);
                let file = connect::sqlite_file(&arguments.database_url);
                let outcome = arguments.run::<M>(&self.model).await;
                outcome.map_err(|failure| failure.of_file(file))
            }
        };
        match outcome.and_then(|code| lost().map(|()| code)) {
            Ok(code) => code,
            Err(failure) => {
                complain(&failure);
                ExitCode::FAILURE
            }
        }
    }
}

/// Migrates a database and keeps the entities in step with it.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The database
    #[arg(
        short = 'u',
        long,
        global = true,
        env = "DATABASE_URL",
        hide_env_values = true,
        default_value = "sqlite://guesthouse.db?mode=rwc"
    )]
    database_url: String,
    /// The schema in which the tables are, on PostgreSQL [as the server's search path has it]
    #[arg(
        short = 's',
        long,
        global = true,
        env = "DATABASE_SCHEMA",
        value_name = "SCHEMA"
    )]
    database_schema: Option<String>,
    /// Show debug messages
    #[arg(short = 'v', long, global = true)]
    verbose: bool,
    /// The folder of the generated entities [under `cargo run`: ../entity/src/generated]
    #[arg(long, global = true, env = "GUESTHOUSE_ENTITY_DIR", value_name = "DIR")]
    entity_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Apply pending migrations, then sync
    Up {
        /// How many; all of them unless given
        #[arg(short, long = "num", value_name = "N")]
        n: Option<u32>,
    },
    /// Roll back the last migrations
    Down {
        /// How many
        #[arg(short, long = "num", value_name = "N", default_value_t = 1)]
        n: u32,
        /// Drop tables that still hold rows
        #[arg(long)]
        force: bool,
    },
    /// List every migration, without creating anything
    Status,
    /// Drop every table, view, sequence and type, apply all migrations, then sync
    Fresh,
    /// Roll everything back, apply it again, then sync
    Refresh {
        /// Drop tables that still hold rows
        #[arg(long)]
        force: bool,
    },
    /// Roll everything back
    Reset {
        /// Drop tables that still hold rows
        #[arg(long)]
        force: bool,
    },
    /// Write a new migration, and put it into the list of migrations
    Generate {
        /// Such as `create_couriers` or `add_motto_to_hosts`
        name: String,
        /// The table of the owners: each of them has at most one row of the new table
        #[arg(long, value_name = "TABLE")]
        belongs_to: Option<String>,
        /// The package of the migrations, or the folder of their module [under `cargo run`: the package that runs]
        #[arg(long, env = "MIGRATION_DIR", value_name = "DIR")]
        migration_dir: Option<PathBuf>,
    },
    /// Bring the entities in step with the live schema
    Sync {
        /// Write nothing; print the difference and exit with 1 if there is one
        #[arg(long)]
        check: bool,
    },
    /// Print how the live schema differs from what the promises of the roles rest on
    Verify,
    /// Count owners, roles and users without a guest, and check the stored addresses
    Audit,
    /// Give every user without a guest one
    BackfillGuests,
}

impl Arguments {
    /// Reads the arguments, the environment and `.env`. The inner error is about arguments that are not
    /// understood.
    fn parse<I, T>(arguments: I) -> Result<Result<Self, clap::Error>, Failure>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        let mut command = Self::command();
        for (name, value) in dotenv::variables()? {
            let argument = match name.as_str() {
                "DATABASE_URL" => "database_url",
                "DATABASE_SCHEMA" => "database_schema",
                "GUESTHOUSE_ENTITY_DIR" => "entity_dir",
                _ => continue,
            };
            command = command.mut_arg(argument, |argument| {
                argument.default_value(value).hide_default_value(true)
            });
        }
        let matches = command.try_get_matches_from(arguments);
        Ok(matches.and_then(|matches| Self::from_arg_matches(&matches)))
    }

    fn chosen(&self) -> &Command {
        self.command.as_ref().unwrap_or(&Command::Up { n: None })
    }

    async fn run<M: MigratorTrait>(self, model: &Model) -> Result<ExitCode, Failure> {
        // Elsewhere it would have no effect, and the tables of another schema would be used.
        if self.database_schema.is_some() && !self.database_url.starts_with("postgres") {
            return Err(Failure::new(
                "--database-schema (DATABASE_SCHEMA) is for PostgreSQL only".to_owned(),
            ));
        }
        match self.chosen() {
            Command::Generate {
                name,
                belongs_to,
                migration_dir,
            } => self::generate(name, belongs_to.as_deref(), migration_dir.as_deref())?,
            Command::Status => self.status::<M>().await?,
            Command::Sync { check } => return self.sync::<M>(*check).await,
            Command::Verify => return self.verify::<M>(model).await,
            Command::Audit => {
                upkeep::print_audit(&self.connect_to_existing().await?, model).await?;
            }
            Command::BackfillGuests => {
                upkeep::backfill(&self.connect_to_existing().await?, model).await?;
            }
            _ => self.migrate::<M>().await?,
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn status<M: MigratorTrait>(&self) -> Result<(), Failure> {
        let url = self.existing_url();
        let log = match connect::is_missing_file(&url) {
            true => Log::of_nothing::<M>()?,
            false => upkeep::read_log::<M>(&self.connect_to_existing().await?).await?,
        };
        for (name, applied) in &log.migrations {
            let status = if *applied { "Applied" } else { "Pending" };
            say(&format!("{status:<8} {name}"));
        }
        log.is_complete()?;
        Ok(())
    }

    async fn migrate<M: MigratorTrait>(&self) -> Result<(), Failure> {
        let creates = matches!(self.chosen(), Command::Up { .. } | Command::Fresh);
        let db = match creates {
            true => self.connect(&self.database_url, true).await?,
            false => self.connect_to_existing().await?,
        };
        if matches!(self.chosen(), Command::Up { .. }) {
            // This creates nothing, so it needs no right to create tables.
            let log = upkeep::read_log::<M>(&db).await?;
            if log.is_complete()? {
                tracing::info!("No pending migrations");
                return self
                    .sync_if_possible::<M>(&place::of(&log, &db).await?)
                    .await;
            }
        }
        let turn = Turn::take(&db).await?;
        let outcome = self.migrate_in_turn::<M>(&db).await;
        turn.end().await;
        outcome
    }

    async fn migrate_in_turn<M: MigratorTrait>(
        &self,
        db: &DatabaseConnection,
    ) -> Result<(), Failure> {
        let log = Log::read::<M>(db).await?;
        let db = place::of(&log, db).await?;
        match *self.chosen() {
            Command::Up { n } => up::apply::<M>(&db, &log, n).await?,
            // This creates nothing either.
            Command::Down { .. } if log.applied().next().is_none() => {
                log.is_complete()?;
                tracing::info!("No applied migrations");
            }
            Command::Down { n, force } => {
                let last = usize::try_from(n).unwrap_or(usize::MAX);
                rollback(force, &db, &log, last, M::down(&db, Some(n))).await?;
            }
            Command::Fresh => {
                place::refuse_to_hide_by(&db, log.names()).await?;
                fresh::drop_everything(&db).await?;
                M::up(&db, None).await?;
            }
            Command::Refresh { force } => {
                place::refuse_to_hide_by(&db, log.names()).await?;
                rollback(force, &db, &log, usize::MAX, M::refresh(&db)).await?;
            }
            Command::Reset { force } => {
                rollback(force, &db, &log, usize::MAX, M::reset(&db)).await?;
            }
            _ => {}
        }
        match self.chosen() {
            // Otherwise `sync` would delete the entities of tables that are yet to come.
            Command::Up { n: Some(_) } if !Log::read::<M>(&db).await?.is_complete()? => {
                say("sync: skipped, migrations are pending");
                Ok(())
            }
            Command::Up { .. } | Command::Fresh | Command::Refresh { .. } => {
                self.sync_if_possible::<M>(&db).await
            }
            _ => Ok(()),
        }
    }

    async fn verify<M: MigratorTrait>(&self, model: &Model) -> Result<ExitCode, Failure> {
        let in_order = upkeep::verify::<M>(&self.connect_to_existing().await?, model).await?;
        Ok(if in_order {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    async fn sync<M: MigratorTrait>(&self, check: bool) -> Result<ExitCode, Failure> {
        let dir = self.entity_dir().ok_or_else(|| {
            Failure::new("no entity folder: give --entity-dir, or run under cargo".to_owned())
        })?;
        let db = self.connect_to_existing().await?;
        let log = upkeep::read_log::<M>(&db).await?;
        // Where nothing was applied, reading the schema is an error.
        if !log.is_complete()? && log.applied().next().is_some() {
            return Err(Failure::new(
                "migrations are pending, and `sync` would remove the entities of their tables: run `up`"
                    .to_owned(),
            ));
        }
        let db = place::of(&log, &db).await?;
        if !check {
            write_entities::<M>(&db, &dir).await?;
            return Ok(ExitCode::SUCCESS);
        }
        let difference = sync::diff(&dir, &entities::<M>(&db, &dir).await?)?;
        if difference.is_empty() {
            say("sync: the entities are in step with the schema");
            return Ok(ExitCode::SUCCESS);
        }
        say(difference.trim_end());
        complain(&format!(
            "the entities in {} are stale: run `sync`",
            dir.display()
        ));
        Ok(ExitCode::FAILURE)
    }

    /// A deployed program has no source tree; that is no reason to fail after a migration.
    async fn sync_if_possible<M: MigratorTrait>(
        &self,
        db: &DatabaseConnection,
    ) -> Result<(), Failure> {
        match self.entity_dir() {
            None => say("sync: skipped, no entity folder was given (--entity-dir)"),
            Some(dir) if !dir.is_dir() => {
                say(&format!(
                    "sync: skipped, there is no folder {}",
                    dir.display()
                ));
            }
            Some(dir) => write_entities::<M>(db, &dir).await?,
        }
        Ok(())
    }

    /// Cargo says at run time where the package is; a path from compile time would be another
    /// machine's.
    fn entity_dir(&self) -> Option<PathBuf> {
        let beside_the_package = || {
            let package = env::var_os("CARGO_MANIFEST_DIR")?;
            Some(Path::new(&package).parent()?.join("entity/src/generated"))
        };
        self.entity_dir.clone().or_else(beside_the_package)
    }

    /// For commands that have nothing to do in a new SQLite file.
    async fn connect_to_existing(&self) -> Result<DatabaseConnection, Failure> {
        self.connect(&self.existing_url(), false).await
    }

    fn existing_url(&self) -> String {
        self.database_url.replace("mode=rwc", "mode=rw")
    }

    async fn connect(&self, url: &str, creates: bool) -> Result<DatabaseConnection, Failure> {
        let mut options = ConnectOptions::new(url);
        // A migration may take longer than any limit, and without one sqlx's pool has no task of its own.
        options
            .idle_timeout(None)
            .max_lifetime(None)
            .sqlx_logging(false);
        if let Some(schema) = &self.database_schema {
            options.set_schema_search_path(quoted(schema));
        }
        connect::open(options, creates).await
    }
}

fn generate(name: &str, belongs_to: Option<&str>, dir: Option<&Path>) -> Result<(), Failure> {
    let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let dir = dir.map(Path::to_owned).or(package).ok_or_else(|| {
        Failure::new("no folder of migrations: give --migration-dir, or run under cargo".to_owned())
    })?;
    for file in generate::generate(&dir, name, belongs_to, Utc::now())? {
        say(&format!("generate: {}", file.display()));
    }
    Ok(())
}

/// Rolls back the last migrations that `log` has, unless one of them would refuse to.
async fn rollback(
    force: bool,
    db: &DatabaseConnection,
    log: &Log,
    last: usize,
    migrations: impl Future<Output = Result<(), DbErr>>,
) -> Result<(), DbErr> {
    let rollback = async {
        let applied: Vec<_> = log.applied().collect();
        place::refuse_to_drop_for(db, applied.into_iter().rev().take(last)).await?;
        migrations.await
    };
    if force {
        forced(rollback).await
    } else {
        rollback.await
    }
}

async fn write_entities<M: MigratorTrait>(
    db: &DatabaseConnection,
    dir: &Path,
) -> Result<(), Failure> {
    let changed = sync::write(dir, &entities::<M>(db, dir).await?)?;
    if changed.is_empty() {
        say("sync: the entities are in step with the schema");
    }
    for name in changed {
        let file = dir.join(name);
        let removed = if file.exists() { "" } else { "removed " };
        say(&format!("sync: {removed}{}", file.display()));
    }
    Ok(())
}

/// The files of the schema that `db` writes to, with the attributes that the app keeps in the folder.
async fn entities<M: MigratorTrait>(
    db: &DatabaseConnection,
    dir: &Path,
) -> Result<Vec<GeneratedFile>, Failure> {
    let options = sync::Options {
        migration_table: M::migration_table_name().to_string(),
        attributes: sync::attributes(dir)?,
    };
    let generated = sync::generate_with(db, &options).await?;
    for note in generated.notes {
        say(&format!("sync: note: {note}"));
    }
    for table in sync::tables_to_remove(dir, &generated.files)? {
        if let Some(schema) = place::behind(db, &table).await? {
            return Err(Failure::new(format!(
                "table `{table}` is in the schema `{schema}`, and not in that of the log of migrations: \
                 its entity would be removed"
            )));
        }
    }
    Ok(generated.files)
}
