//! Compiles what `sync` writes, many schemas in one crate outside the workspace.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use guesthouse_migration::sync::GeneratedFile;

use crate::support::text;

const MANIFEST: &str = r#"
[workspace]

[package]
name = "entities"
version = "0.0.0"
edition = "2024"

[dependencies]
async-trait = "0.1"
guesthouse-entity = { path = "{root}/entity" }
sea-orm = { version = "2.0.4", default-features = false, features = [
    "macros",
    "postgres-array",
    "runtime-tokio",
    "sqlx-postgres",
    "with-chrono",
    "with-json",
    "with-rust_decimal",
    "with-uuid",
] }
serde = { version = "1", features = ["derive"] }
"#;

/// One crate with the entities of many schemas.
pub(crate) struct Crate {
    folder: PathBuf,
    schemas: String,
}

impl Crate {
    pub(crate) fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(folder.join("src"));
        fs::create_dir_all(folder.join("src")).unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let manifest = MANIFEST.replace("{root}", root.to_str().unwrap());
        fs::write(folder.join("Cargo.toml"), manifest).unwrap();
        fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
        Self {
            folder,
            schemas: String::new(),
        }
    }

    /// Adds the entities of a schema, and what is expected of them.
    pub(crate) fn add(&mut self, name: &str, files: &[GeneratedFile], expects: &str) {
        let folder = self.folder.join("src").join(name);
        fs::create_dir_all(&folder).unwrap();
        for file in files {
            fs::write(folder.join(&file.name), &file.content).unwrap();
        }
        self.schemas
            .push_str(&format!("pub mod {name};\npub mod {name}_expects {{ use crate::{name}::*; use sea_orm::entity::prelude::*; {expects} }}\n"));
    }

    /// Panics with what the compiler says, which has nothing to say of entities in order.
    pub(crate) fn check(self) {
        let lib = format!(
            "#![deny(warnings)]\n#![allow(unused_imports)]\n{}",
            self.schemas
        );
        fs::write(self.folder.join("src/lib.rs"), lib).unwrap();
        let mut command = Command::new(env!("CARGO"));
        for name in ["CARGO_MANIFEST_DIR", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
            command.env_remove(name);
        }
        let output = command
            .current_dir(&self.folder)
            .args(["check", "--quiet"])
            // Beside the workspace's own build, so that a second run of the test is quick.
            .env("CARGO_TARGET_DIR", self.folder.with_file_name("scratch"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    /// Panics where rustfmt would write a file in another way.
    pub(crate) fn check_format(&self) {
        let files = glob(&self.folder.join("src"));
        let output = Command::new("rustfmt")
            .args(["--edition", "2024", "--check"])
            .args(files)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stdout));
    }
}

fn glob(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let rust = files
        .into_iter()
        .filter(|file| file.extension().is_some_and(|end| end == "rs"));
    rust.chain(folders.iter().flat_map(|folder| glob(folder)))
        .collect()
}
