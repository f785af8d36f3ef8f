//! The front page and the guides: what they quote, and where their links lead.

use std::{
    fs,
    path::{Path, PathBuf},
};

const README: &str = include_str!("../../README.md");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_diagram_is_the_generated_one() {
    let guide = include_str!("../../docs/migrations.md");
    let diagram = include_str!("../../entity/src/generated/schema.mmd");
    assert!(diagram.contains("users ||--o| guests") && diagram.contains("users ||--o| hosts"));
    assert!(guide.contains(&format!("```mermaid\n{diagram}```")));
}

#[test]
fn the_two_commands_are_there() {
    assert!(README.contains("cargo run --example quickstart -- ada@example.com grace@example.com"));
    assert!(README.contains("\nscripts/test\n"));
}

#[test]
fn the_front_page_is_read_in_a_minute() {
    let lines = README.lines().count();
    assert!(lines <= 130, "{lines} lines");
}

/// Lines that are not a program of their own stand in one that runs.
#[test]
fn the_front_page_quotes_the_courier() {
    let sources = ["courier.rs", "main.rs"]
        .map(|name| fs::read_to_string(root().join("examples/courier/src").join(name)).unwrap());
    let quoted = README.split("```rs\n").skip(1);
    let lines: Vec<_> = quoted
        .flat_map(|block| block.split("```").next().unwrap().lines())
        .collect();
    assert!(lines.len() >= 5, "{lines:#?}");
    for line in lines {
        let stands = sources
            .iter()
            .any(|source| source.lines().any(|quoted| quoted.trim() == line.trim()));
        assert!(stands, "{line:?} stands in no file of the example");
    }
}

fn documents() -> Vec<PathBuf> {
    let mut documents: Vec<_> = [
        "",
        "docs",
        "entity",
        "migration",
        "examples/api",
        "examples/courier",
        "examples/own-users",
    ]
    .iter()
    .flat_map(|folder| fs::read_dir(root().join(folder)).unwrap())
    .map(|entry| entry.unwrap().path())
    .filter(|path| path.extension().is_some_and(|end| end == "md"))
    .collect();
    documents.sort();
    assert!(documents.len() >= 15, "{documents:#?}");
    documents
}

/// Links between files of the repository, and to headings in them.
#[test]
fn no_link_is_dead() {
    let mut dead = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        let inline = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'));
        let named = text.lines().filter(|line| line.starts_with('['));
        let named = named.filter_map(|line| line.split_once("]: "));
        let targets = inline
            .map(|(target, _)| target)
            .chain(named.map(|(_, target)| target));
        for target in targets.filter(|target| !target.contains("://")) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = match file {
                "" => document.clone(),
                file => document.parent().unwrap().join(file),
            };
            if !path.exists() || !heading.is_empty() && !has_heading(&path, heading) {
                dead.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
}

/// Whether a document has the heading that GitHub gives this name.
fn has_heading(document: &Path, name: &str) -> bool {
    let text = fs::read_to_string(document).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| line.trim_start_matches(['#', ' ']))
        .any(|heading| {
            let kept = heading.to_lowercase().replace(' ', "-");
            kept.replace(|c: char| !c.is_alphanumeric() && c != '-' && c != '_', "") == name
        })
}
