//! Databases and runs of the program for the tests.

use std::process::{Command, Output};

use guesthouse_migration::Migrator;
use sea_orm_migration::{
    MigratorTrait,
    sea_orm::{ConnectionTrait, Database, DatabaseConnection},
};
use tempfile::TempDir;

/// A database in memory, migrated.
pub(crate) async fn migrated() -> DatabaseConnection {
    let db = empty().await;
    Migrator::up(&db, None).await.unwrap();
    db
}

pub(crate) async fn empty() -> DatabaseConnection {
    Database::connect("sqlite::memory:").await.unwrap()
}

pub(crate) async fn execute(db: &DatabaseConnection, sql: &str) {
    db.execute_unprepared(sql).await.unwrap();
}

/// A folder with a database file and an entity folder, for runs of the program.
pub(crate) struct Place {
    pub(crate) dir: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!(
            "sqlite://{}?mode=rwc",
            self.dir.path().join("test.db").display()
        )
    }

    pub(crate) async fn execute(&self, sql: &str) {
        let db = Database::connect(self.url()).await.unwrap();
        execute(&db, sql).await;
        db.close().await.unwrap();
    }

    /// The program with these arguments, apart from the environment of the test.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_guesthouse-migration"));
        command
            .current_dir(self.dir.path())
            .args(arguments)
            .env("DATABASE_URL", self.url());
        for name in [
            "CARGO_MANIFEST_DIR",
            "GUESTHOUSE_ENTITY_DIR",
            "GUESTHOUSE_FORCE_DOWN",
        ] {
            command.env_remove(name);
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs the program, which must succeed, and returns what it printed.
    pub(crate) fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        text(&output.stdout)
    }

    /// Runs the program, which must exit with 1, and returns its complaint.
    pub(crate) fn fail(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        text(&output.stderr).lines().last().unwrap().to_owned()
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
