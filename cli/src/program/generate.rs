//! A new migration: its file, and its place in the list of migrations.
//!
//! The list is a `vec![…]` of boxed migrations, in a function that returns them. It is read by `syn`,
//! and what is there stays as it is, comments included. A list that is not found, or is not the only one,
//! is refused, and nothing is written.

use std::{
    fs::{self, File},
    io::{self, Write},
    ops::Range,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use syn::{
    Expr, Item, ItemFn, Macro, Signature, Token,
    punctuated::Punctuated,
    spanned::Spanned,
    visit::{self, Visit},
};
use tempfile::NamedTempFile;

use super::failure::Failure;
use crate::sync::singular;

/// Where the list of migrations may be, and the folder of the files beside it.
const LISTS: [&str; 4] = ["src/lib.rs", "src/main.rs", "lib.rs", "mod.rs"];

/// Writes a migration into the package or module in `dir`, and returns the files it has written.
///
/// One whose name begins with `create_` creates that table; with an `owner` it is a has-one of the
/// owner's table. Any other refuses to run until it is written.
pub(super) fn generate(
    dir: &Path,
    name: &str,
    owner: Option<&str>,
    now: DateTime<Utc>,
) -> Result<[PathBuf; 2], Failure> {
    let name = name.trim().replace(' ', "_");
    if !is_snake_case(&name) || !owner.is_none_or(is_snake_case) {
        return Err(refused(
            "a name is made of lower-case letters, digits and underscores",
        ));
    }
    let table = name
        .strip_prefix("create_")
        .filter(|table| !table.is_empty());
    if owner.is_some() && table.is_none() {
        return Err(refused(
            "--belongs-to is for a migration that creates a table (create_TABLE)",
        ));
    }
    let list = find_list(dir)?;
    let stem = format!("m{}_{name}", now.format("%Y%m%d_%H%M%S"));
    let content = match (table, owner) {
        (Some(table), Some(owner)) => has_one(guards(dir), table, owner),
        (Some(table), None) => create_table(guards(dir), table),
        (None, _) => unwritten(&stem),
    };
    let file = list.path.with_file_name(format!("{stem}.rs"));
    let listed = list.with(&stem);
    let written = write_new(&file, &content).and_then(|()| {
        // Without its place in the list the migration would be a file that nobody sees.
        replace(&list.path, &listed).inspect_err(|_| drop(fs::remove_file(&file)))
    });
    match written {
        Ok(()) => Ok([file, list.path]),
        Err(error) => Err(refused(&format!("{}: {error}", file.display()))),
    }
}

fn refused(why: &str) -> Failure {
    Failure::new(format!("generate: {why}"))
}

fn is_snake_case(name: &str) -> bool {
    let is_of_a_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    !name.is_empty() && name.chars().all(is_of_a_name)
}

/// The list of migrations in its file.
struct List {
    path: PathBuf,
    text: String,
    module: Place,
    /// What is between the brackets of the `vec![…]`.
    inside: Range<usize>,
    last_has_comma: bool,
    /// Where the last migration ends, if there is one.
    last_end: Option<usize>,
}

/// Where the `mod` item of a new migration goes, in bytes. What is after the list stays there.
enum Place {
    /// After the last module before the list, or the last import.
    After(usize),
    /// Before the first item: attributes and documentation of the file stay at its top.
    Before(usize),
}

fn find_list(dir: &Path) -> Result<List, Failure> {
    let mut found = None;
    for path in LISTS.map(|name| dir.join(name)) {
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(refused(&format!("{}: {error}", path.display()))),
        };
        for list in lists(&path, &text)? {
            if found.replace(list).is_some() {
                return Err(refused(&format!(
                    "{} has more than one list of migrations",
                    dir.display()
                )));
            }
        }
    }
    found.ok_or_else(|| {
        refused(&format!(
            "no list of migrations in {}: a function there returns them as a `vec![…]`",
            dir.display()
        ))
    })
}

fn lists(path: &Path, text: &str) -> Result<Vec<List>, Failure> {
    let file: syn::File = syn::parse_str(text)
        .map_err(|error| refused(&format!("{} is not Rust: {error}", path.display())))?;
    let mut lists = Lists::default();
    lists.visit_file(&file);
    let lists = lists.found.into_iter().map(|(inside, elements)| List {
        path: path.to_owned(),
        text: text.to_owned(),
        module: place(&file.items, inside.start),
        inside,
        last_has_comma: elements.trailing_punct(),
        last_end: elements.last().map(|last| last.span().byte_range().end),
    });
    Ok(lists.collect())
}

fn place(items: &[Item], list_start: usize) -> Place {
    let end = |item: &Item| item.span().byte_range().end;
    let before: Vec<_> = items
        .iter()
        .filter(|item| end(item) <= list_start)
        .collect();
    let is_module = |item: &&&Item| matches!(item, Item::Mod(module) if module.content.is_none());
    let is_module_or_import = |item: &&&Item| matches!(item, Item::Mod(_) | Item::Use(_));
    let last = before.iter().rfind(is_module);
    let last = last.or_else(|| before.iter().rfind(is_module_or_import));
    match last {
        Some(item) => Place::After(end(item)),
        None => Place::Before(
            items
                .first()
                .map_or(0, |item| item.span().byte_range().start),
        ),
    }
}

/// Every `vec![…]` in a function that returns migrations.
#[derive(Default)]
struct Lists {
    is_in_one: bool,
    found: Vec<(Range<usize>, Punctuated<Expr, Token![,]>)>,
}

impl Lists {
    fn enter(&mut self, signature: &Signature, body: impl FnOnce(&mut Self)) {
        struct Returns(bool);
        impl Visit<'_> for Returns {
            fn visit_ident(&mut self, name: &proc_macro2::Ident) {
                self.0 |= name == "MigrationTrait";
            }
        }
        let mut returns = Returns(false);
        returns.visit_return_type(&signature.output);
        let outer = std::mem::replace(&mut self.is_in_one, returns.0);
        body(self);
        self.is_in_one = outer;
    }
}

impl Visit<'_> for Lists {
    /// The modules beside the list have no such names in an inline module, such as one of tests.
    fn visit_item_mod(&mut self, _module: &syn::ItemMod) {}

    fn visit_item_fn(&mut self, function: &ItemFn) {
        self.enter(&function.sig, |lists| visit::visit_item_fn(lists, function));
    }

    fn visit_impl_item_fn(&mut self, function: &syn::ImplItemFn) {
        self.enter(&function.sig, |lists| {
            visit::visit_impl_item_fn(lists, function);
        });
    }

    fn visit_macro(&mut self, call: &Macro) {
        if !self.is_in_one || !call.path.is_ident("vec") {
            return;
        }
        if let Ok(elements) = call.parse_body_with(Punctuated::parse_terminated) {
            let delimiter = call.delimiter.span();
            let inside = delimiter.open().byte_range().end..delimiter.close().byte_range().start;
            self.found.push((inside, elements));
        }
    }
}

impl List {
    /// The text with one more module and one more migration.
    fn with(&self, stem: &str) -> String {
        let Self { text, inside, .. } = self;
        let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let line = text[..inside.start].rfind('\n').map_or(0, |at| at + 1);
        let indent: String = text[line..].chars().take_while(|c| *c == ' ').collect();
        let boxed = format!("{indent}    Box::new({stem}::Migration),{end}");
        let within = &text[inside.clone()];
        let listed = match self.last_end {
            None => format!("{}{end}{boxed}{indent}", within.trim_end()),
            Some(_) if !within.contains('\n') => {
                let others = within.trim().trim_end_matches(',');
                format!("{end}{indent}    {others},{end}{boxed}{indent}")
            }
            Some(last) => {
                let (listed, comments) = within.split_at(last - inside.start);
                let comma = if self.last_has_comma { "" } else { "," };
                format!("{listed}{comma}{}{end}{boxed}{indent}", comments.trim_end())
            }
        };
        let (at, module) = match self.module {
            Place::After(at) => (at, format!("{end}mod {stem};")),
            Place::Before(at) => (at, format!("mod {stem};{end}{end}")),
        };
        let between = &text[at..inside.start];
        [&text[..at], &module, between, &listed, &text[inside.end..]].concat()
    }
}

fn write_new(path: &Path, content: &str) -> io::Result<()> {
    File::create_new(path)?.write_all(content.as_bytes())
}

fn replace(path: &Path, content: &str) -> io::Result<()> {
    let mut file = NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(content.as_bytes())?;
    fs::set_permissions(file.path(), fs::metadata(path)?.permissions())?;
    file.persist(path)?;
    Ok(())
}

/// The crate from which the migrations import the guards of a table.
fn guards(dir: &Path) -> &'static str {
    let manifest = fs::read_to_string(dir.join("Cargo.toml")).unwrap_or_default();
    let depends_on = |name: &str| {
        let mut lines = manifest.lines();
        lines.any(|line| line.starts_with(name) && !line.starts_with("name"))
    };
    match depends_on("guesthouse-migration") && !depends_on("guesthouse-cli") {
        true => "guesthouse_migration",
        false => "guesthouse_cli",
    }
}

fn create_table(guards: &str, table: &str) -> String {
    let columns = r#"            .col(ColumnDef::new("id").uuid().not_null().primary_key())
"#;
    migration(guards, &format!("The `{table}` table."), table, columns)
}

fn has_one(guards: &str, table: &str, owner: &str) -> String {
    let about = format!(
        "The `{table}` table: a row of `{owner}` has at most one {}.",
        singular(table)
    );
    let foreign_key = format!("{}_id", singular(owner));
    let columns = format!(
        r#"            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            // Of the type that `{owner}.id` has.
            .col(ColumnDef::new("{foreign_key}").uuid().not_null())
            // What makes "at most one" true.
            .index(
                Index::create()
                    .name("{table}_{foreign_key}")
                    .col("{foreign_key}")
                    .unique(),
            )
            .foreign_key(
                ForeignKey::create()
                    .name("{table}_{foreign_key}_fkey")
                    .from("{table}", "{foreign_key}")
                    .to("{owner}", "id")
                    .on_delete(ForeignKeyAction::Restrict),
            )
"#
    );
    migration(guards, &about, table, &columns)
}

fn migration(guards: &str, about: &str, table: &str, columns: &str) -> String {
    format!(
        r#"//! {about}

use {guards}::{{drop_table, refuse_to_hide}};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {{
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {{
        refuse_to_hide(manager, "{table}").await?;
        let table = Table::create()
            .table("{table}")
{columns}            .take();
        manager.create_table(table).await
    }}

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {{
        drop_table(manager, "{table}").await
    }}
}}
"#
    )
}

/// A migration that did nothing would count as applied.
fn unwritten(stem: &str) -> String {
    format!(
        r#"//! What this migration changes.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {{
    async fn up(&self, _manager: &SchemaManager) -> Result<(), DbErr> {{
        Err(DbErr::Migration("{stem} is not written yet".to_owned()))
    }}

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {{
        Err(DbErr::Migration("{stem} is not written yet".to_owned()))
    }}
}}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000, 0).unwrap()
    }

    const STEM: &str = "m20261118_110640_create_couriers";

    /// Generates `create_couriers` where `lib.rs` is this, and returns what becomes of it.
    fn generated(lib: &str) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lib.rs");
        fs::write(&path, lib).unwrap();
        let outcome = generate(dir.path(), "create_couriers", Some("users"), now());
        let after = fs::read_to_string(&path).unwrap();
        let files = fs::read_dir(dir.path()).unwrap().count();
        match outcome {
            Ok(written) => {
                assert_eq!(written, [path.with_file_name(format!("{STEM}.rs")), path]);
                assert_eq!(files, 2);
                assert!(
                    syn::parse_str::<syn::File>(&fs::read_to_string(&written[0]).unwrap()).is_ok()
                );
                Ok(after)
            }
            Err(failure) => {
                assert_eq!((after.as_str(), files), (lib, 1), "nothing is written");
                Err(failure.to_string())
            }
        }
    }

    #[test]
    fn a_migration_is_put_at_the_end_of_the_list() {
        let lists = [
            (
                "vec![Box::new(a::Migration)]",
                "vec![\n        Box::new(a::Migration),\n        NEW\n    ]",
            ),
            ("vec![]", "vec![\n        NEW\n    ]"),
            (
                "vec![\n        // oldest\n        Box::new(a::Migration) // newest\n    ]",
                "vec![\n        // oldest\n        Box::new(a::Migration), // newest\n        NEW\n    ]",
            ),
            (
                "vec![\n        Box::new(a::Migration),\n        Box::new(b::Migration), /* é */\n    ]",
                "vec![\n        Box::new(a::Migration),\n        Box::new(b::Migration), /* é */\n        NEW\n    ]",
            ),
            (
                "Migrator::migrations().into_iter().chain(vec![Box::new(a::Migration) as Box<_>]).collect()",
                "Migrator::migrations().into_iter().chain(vec![\n        Box::new(a::Migration) as Box<_>,\n        NEW\n    ]).collect()",
            ),
        ];
        for (before, after) in lists {
            let lib = |modules: &str, list: &str| {
                format!(
                    "//! Migrations: é.\n\nmod a;\nmod b;{modules}\n\nfn own() -> Vec<Box<dyn MigrationTrait>> {{\n    {list}\n}}\n"
                )
            };
            let new = format!("Box::new({STEM}::Migration),");
            let expected = lib(&format!("\nmod {STEM};"), &after.replace("NEW", &new));
            assert_eq!(generated(&lib("", before)).unwrap(), expected);
            let windows = lib("", before).replace('\n', "\r\n");
            assert_eq!(generated(&windows).unwrap(), expected.replace('\n', "\r\n"));
        }
    }

    #[test]
    fn a_list_in_the_implementation_of_a_migrator_is_found() {
        let lib = "pub struct M;\nimpl MigratorTrait for M {\n    fn migrations() -> Vec<Box<dyn MigrationTrait>> {\n        vec![]\n    }\n}\n";
        assert_eq!(
            generated(lib).unwrap(),
            format!(
                "mod {STEM};\n\npub struct M;\nimpl MigratorTrait for M {{\n    fn migrations() -> Vec<Box<dyn MigrationTrait>> {{\n        vec![\n            Box::new({STEM}::Migration),\n        ]\n    }}\n}}\n"
            )
        );
    }

    /// What comes after the list stays there, and what is of the whole file at its top.
    #[test]
    fn a_module_is_put_before_the_list() {
        let own = "fn own() -> Vec<Box<dyn MigrationTrait>> {\n    vec![]\n}\n";
        let new = format!("        Box::new({STEM}::Migration),\n");
        let listed = own.replace("vec![]", &format!("vec![\n{new}    ]"));
        for (before, after, with_module) in [
            (
                "mod a;\n\n",
                "\n#[cfg(test)]\nmod tests;\n",
                "mod a;\nNEW\n\n",
            ),
            ("use b::c;\n\n", "\nmod tests;\n", "use b::c;\nNEW\n\n"),
            ("mod tests {}\n\n", "\nuse b::c;\n", "mod tests {}\nNEW\n\n"),
            ("", "\nmod tests;\n", "NEW\n\n"),
            (
                "//! Migrations.\n#![warn(missing_docs)]\n\n/// The list.\n",
                "\nmod tests;\n",
                "//! Migrations.\n#![warn(missing_docs)]\n\nNEW\n\n/// The list.\n",
            ),
            (
                "",
                "\nmod tests {\n    fn own() -> Vec<Box<dyn MigrationTrait>> {\n        vec![]\n    }\n}\n",
                "NEW\n\n",
            ),
        ] {
            let with_module = with_module.replace("NEW", &format!("mod {STEM};"));
            assert_eq!(
                generated(&format!("{before}{own}{after}")).unwrap(),
                format!("{with_module}{listed}{after}")
            );
        }
    }

    #[test]
    fn nothing_is_written_where_there_is_no_one_list() {
        for (lib, why) in [
            (
                "fn numbers() -> Vec<u8> { vec![1] }",
                "no list of migrations in",
            ),
            (
                "fn own() -> Vec<Box<dyn MigrationTrait>> { own_too() }",
                "no list of migrations in",
            ),
            (
                "fn a() -> Vec<Box<dyn MigrationTrait>> { vec![] } fn b() -> Vec<Box<dyn MigrationTrait>> { vec![] }",
                "has more than one list of migrations",
            ),
            (
                "mod own { fn own() -> Vec<Box<dyn MigrationTrait>> { vec![] } }",
                "no list of migrations in",
            ),
            ("fn (", "is not Rust"),
        ] {
            let said = generated(lib).unwrap_err();
            assert!(
                said.starts_with("generate: ") && said.contains(why),
                "{said}"
            );
        }
    }

    #[test]
    fn a_name_that_is_no_name_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["add-reviews", "", " ", "Reviews", "a/b", "é", "../m"] {
            let failure = generate(dir.path(), name, None, now()).unwrap_err();
            assert_eq!(
                failure.to_string(),
                "generate: a name is made of lower-case letters, digits and underscores"
            );
        }
        let failure = generate(dir.path(), "add_reviews", Some("users"), now()).unwrap_err();
        assert!(failure.to_string().contains("--belongs-to"), "{failure}");
    }
}
