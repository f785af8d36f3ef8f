//! Names in the singular: a row of `users` is a `user`.

use std::collections::BTreeMap;

use heck::ToSnakeCase;

use super::{SyncError, table::Table};

/// The singular of every table, by its name.
///
/// A reserved name is refused as a clash is: two entities would be written to one file.
pub(super) fn singulars(tables: &[Table]) -> Result<BTreeMap<&str, String>, SyncError> {
    let mut owners = BTreeMap::from([
        ("mod".to_owned(), "the list of modules"),
        ("sea_orm_active_enums".to_owned(), "the enums"),
    ]);
    let mut singulars = BTreeMap::new();
    for table in tables {
        let singular = singular(&table.name);
        if let Some(owner) = owners.insert(singular.clone(), &table.name) {
            return Err(SyncError::Schema(format!(
                "table `{}` and {owner} would both be the module `{singular}`",
                table.name
            )));
        }
        singulars.insert(table.name.as_str(), singular);
    }
    Ok(singulars)
}

/// The last word of `table` in the singular, in the case of a module.
fn singular(table: &str) -> String {
    let table = table.to_snake_case();
    match table.rsplit_once('_') {
        Some((words, last)) => format!("{words}_{}", pluralizer::pluralize(last, 1, false)),
        None => pluralizer::pluralize(&table, 1, false),
    }
}

#[cfg(test)]
mod tests {
    use super::singular;

    #[test]
    fn the_last_word_is_in_the_singular() {
        for (table, module) in [
            ("users", "user"),
            ("host_addresses", "host_address"),
            ("companies", "company"),
            ("people", "person"),
            ("statuses", "status"),
            ("series", "series"),
            ("news_item", "news_item"),
            ("HostBadges", "host_badge"),
        ] {
            assert_eq!(singular(table), module);
        }
    }
}
