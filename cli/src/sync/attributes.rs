//! Attributes that an app wants its entities to have, from a file in the folder of the entities.
//!
//! Each line of `attributes.txt` names an entity, a field of one or an enum of PostgreSQL, then the
//! attribute. What every entity derives every enum derives too, for the entities hold them:
//!
//! ```text
//! # Every entity and enum, one of either, and a field
//! *           #[derive(serde::Serialize)]
//! mood        #[serde(rename_all = "lowercase")]
//! user        #[serde(rename_all = "camelCase")]
//! user.email  #[serde(skip)]
//! ```

use std::collections::BTreeMap;

use syn::parse::Parser;

use super::{SyncError, table::Enum};

/// The name of the file.
pub(super) const FILE: &str = "attributes.txt";

#[derive(Default)]
pub(super) struct Attributes {
    /// In the order of the file.
    lines: Vec<Line>,
}

struct Line {
    number: usize,
    target: String,
    attribute: String,
}

impl Attributes {
    pub(super) fn parse(text: &str) -> Result<Self, SyncError> {
        let mut lines = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            let line = line.trim();
            // An attribute begins with `#` like a comment, but never stands first on a line.
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (target, attribute) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let attribute = attribute.trim();
            let parsed = syn::Attribute::parse_outer.parse_str(attribute);
            if parsed.is_ok_and(|attributes| attributes.len() == 1) {
                lines.push(Line {
                    number,
                    target: target.to_owned(),
                    attribute: attribute.to_owned(),
                });
            } else {
                return Err(refused(number, "an entity and one attribute are expected"));
            }
        }
        Ok(Self { lines })
    }

    /// Checks that every line names an entity, an enum or a field that exists.
    pub(super) fn check<'a>(
        &self,
        enums: &[Enum],
        entities: impl Iterator<Item = (&'a String, &'a BTreeMap<&'a str, String>)>,
    ) -> Result<(), SyncError> {
        let mut targets = vec!["*".to_owned()];
        targets.extend(enums.iter().map(|found| found.name.clone()));
        for (module, fields) in entities {
            targets.push(module.clone());
            targets.extend(fields.values().map(|field| format!("{module}.{field}")));
        }
        match self
            .lines
            .iter()
            .find(|line| !targets.contains(&line.target))
        {
            Some(line) => {
                let why = format!("there is no entity, enum or field `{}`", line.target);
                Err(refused(line.number, &why))
            }
            None => Ok(()),
        }
    }

    /// What an entity or an enum derives besides `own`, each once: rustfmt makes one list of all.
    pub(super) fn derives<'a>(&'a self, name: &str, own: &[&'a str]) -> Vec<&'a str> {
        let mut derives = own.to_vec();
        let lines = self.lines.iter().filter(|line| is_of(line, name));
        for derived in lines.filter_map(Line::derives).flatten() {
            if !derives.contains(&derived) {
                derives.push(derived);
            }
        }
        derives
    }

    /// The other attributes of an entity, a line each.
    pub(super) fn of_model(&self, module: &str) -> String {
        self.of("", |line| is_of(line, module) && line.derives().is_none())
    }

    /// The other attributes of an enum, a line each. Those of every entity may say something of fields.
    pub(super) fn of_enum(&self, name: &str) -> String {
        self.of("", |line| line.target == name && line.derives().is_none())
    }

    /// The attributes of a field, a line each.
    pub(super) fn of_field(&self, module: &str, field: &str) -> String {
        let name = format!("{module}.{field}");
        self.of("    ", |line| line.target == name)
    }

    fn of(&self, indent: &str, is_meant: impl Fn(&Line) -> bool) -> String {
        let lines = self.lines.iter().filter(|line| is_meant(line));
        lines
            .map(|line| format!("{indent}{}\n", line.attribute))
            .collect()
    }
}

impl Line {
    fn derives(&self) -> Option<impl Iterator<Item = &str>> {
        let list = self
            .attribute
            .strip_prefix("#[derive(")?
            .strip_suffix(")]")?;
        Some(
            list.split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty()),
        )
    }
}

fn is_of(line: &Line, name: &str) -> bool {
    line.target == "*" || line.target == name
}

fn refused(line: usize, why: &str) -> SyncError {
    SyncError::Schema(format!("line {line} of {FILE}: {why}"))
}
