//! What the front page shows beside its snippets, which run as documentation tests.

const README: &str = include_str!("../../README.md");

#[test]
fn the_diagram_is_the_generated_one() {
    let diagram = include_str!("../../entity/src/generated/schema.mmd");
    assert!(diagram.contains("users ||--o| guests") && diagram.contains("users ||--o| hosts"));
    assert!(README.contains(&format!("```mermaid\n{diagram}```")));
}

#[test]
fn the_two_commands_are_there() {
    assert!(README.contains("cargo run --example quickstart -- ada@example.com grace@example.com"));
    assert!(README.contains("\nscripts/test\n"));
}
