//! Names in Rust for what has a name in the database.
//!
//! A row of `users` is a `user`. A word that Rust reserves gets an underscore (`type_`), a name
//! that begins with a digit gets `column_` or `table_` in front. A column that is called like a has-one of
//! its table gets `column_` in front.

use std::collections::{BTreeMap, BTreeSet};

use heck::{ToSnakeCase, ToUpperCamelCase};

use super::{
    SyncError,
    relations::HasOnes,
    table::{Enum, Reference, Table},
};

/// The module of every table, by the table's name.
///
/// Two entities that would be written to one file are refused.
pub(super) fn modules(tables: &[Table]) -> Result<BTreeMap<&str, String>, SyncError> {
    let mut owners = BTreeMap::from([("SeaOrmActiveEnums".to_owned(), "the enums".to_owned())]);
    let mut modules = BTreeMap::new();
    for Table { name, .. } in tables {
        let module = identifier(&singular(name), "table")
            .ok_or_else(|| refused(&format!("table `{name}`"), "it has no name in Rust"))?;
        let table = format!("table `{name}`");
        // Relations are called by it, in camel case.
        if let Some(owner) = owners.insert(module.to_upper_camel_case(), table.clone()) {
            return Err(SyncError::Schema(format!(
                "{table} and {owner} would both be the module `{module}`"
            )));
        }
        modules.insert(name.as_str(), module);
    }
    Ok(modules)
}

/// Fields whose setters would hide methods that SeaORM calls.
pub(super) const HIDING: [&str; 2] = ["parent_key", "parent_key_for"];

/// The field of every column of a table, by the column's name.
pub(super) fn fields<'a>(
    table: &'a Table,
    has_ones: &HasOnes,
) -> Result<BTreeMap<&'a str, String>, SyncError> {
    let mut owners = BTreeMap::new();
    let mut fields = BTreeMap::new();
    for column in &table.columns {
        let what = || format!("{}.{}", table.name, column.name);
        let snake = column.name.to_snake_case();
        let is_taken = match snake.as_str() {
            name if has_ones.take(name) => true,
            name if HIDING.contains(&name) => true,
            // In camel case they are types of the enums that SeaORM makes of columns and of keys.
            "entity_name" => true,
            "column" | "value_type" => table.primary_key.contains(&column.name),
            _ => false,
        };
        let field = match is_taken {
            true => Some(format!("column_{snake}")),
            false => identifier(&snake, "column"),
        };
        let field = field.ok_or_else(|| refused(&what(), "it has no name in Rust"))?;
        // The entity calls the column by the name of its field, in camel case.
        if let Some(owner) = owners.insert(field.to_upper_camel_case(), &column.name) {
            let why = format!("`{owner}` and it would both be the column `{field}`");
            return Err(refused(&what(), &why));
        }
        fields.insert(column.name.as_str(), field);
    }
    Ok(fields)
}

fn refused(what: &str, why: &str) -> SyncError {
    SyncError::Schema(format!("no entity can be written for {what}: {why}"))
}

/// Whether the entity takes the column's name from that of its field.
pub(super) fn is_implied(column: &str, field: &str) -> bool {
    // rustc normalizes other letters.
    column.is_ascii() && field == column && column.to_snake_case() == column
}

/// The name for several rows of a table.
pub(super) fn plural(table: &str, module: &str) -> String {
    let table = table.to_snake_case();
    match identifier(&table, "table") {
        Some(plural) if plural != *module => plural,
        _ => pluralizer::pluralize(module, 2, false),
    }
}

/// The name of what a foreign key leads to: `approved_by` for `approved_by_id`, `billing_country` for
/// a `billing_country_code` that is the `code` of a country.
pub(super) fn stem(reference: &Reference) -> String {
    let Reference {
        columns,
        foreign_columns,
        ..
    } = reference;
    let mut stems: Vec<_> = columns
        .iter()
        .zip(foreign_columns)
        .map(|(column, foreign)| {
            let column = column.to_snake_case();
            let ends = ["id", "uuid", &foreign.to_snake_case()].map(|end| format!("_{end}"));
            let stem = ends
                .iter()
                .find_map(|end| column.strip_suffix(end.as_str()));
            stem.map_or_else(|| column.clone(), str::to_owned)
        })
        .collect();
    stems.dedup();
    let stem = stems.join("_");
    identifier(&stem, "column").unwrap_or(stem)
}

/// `snake` as a name of Rust, if it can be one; `kind` goes in front of a digit.
fn identifier(snake: &str, kind: &str) -> Option<String> {
    let name = match snake.chars().next()? {
        first if first.is_numeric() => format!("{kind}_{snake}"),
        // In camel case it would be a keyword again.
        _ if snake == "self" => format!("{kind}_self"),
        _ if is_reserved(snake) => format!("{snake}_"),
        _ => snake.to_owned(),
    };
    is_identifier(&name).then_some(name)
}

fn is_identifier(name: &str) -> bool {
    syn::parse_str::<syn::Ident>(name).is_ok()
}

/// Keywords, and the crates that an entity names.
fn is_reserved(name: &str) -> bool {
    const CRATES: [&str; 7] = [
        "async_trait",
        "core",
        "gen",
        "guesthouse_entity",
        "sea_orm",
        "serde",
        "std",
    ];
    CRATES.contains(&name) || !is_identifier(name)
}

/// The last word of `table` in the singular, in the case of a module.
pub(crate) fn singular(table: &str) -> String {
    let table = table.to_snake_case();
    let (words, last) = match table.rsplit_once('_') {
        Some((words, last)) => (format!("{words}_"), last),
        None => (String::new(), table.as_str()),
    };
    let singular = match last {
        // Words that look like plurals and are not, or that are their own plural.
        "alias" | "analysis" | "atlas" | "axis" | "basis" | "bias" | "bonus" | "bus" | "campus"
        | "canvas" | "census" | "chaos" | "chassis" | "consensus" | "corpus" | "crisis"
        | "focus" | "gas" | "iris" | "kubernetes" | "lens" | "nexus" | "radius" | "redis" | "s"
        | "species" | "status" | "surplus" | "us" | "virus" => last.to_owned(),
        "lenses" => "lens".to_owned(),
        _ => match last.strip_suffix("ches") {
            Some("ca" | "ni" | "quicke" | "a" | "heada" | "toothe" | "avalan" | "cli" | "psy") => {
                last[..last.len() - 1].to_owned()
            }
            _ => pluralizer::pluralize(last, 1, false),
        },
    };
    words + &singular
}

// ---- enums ----

/// The name of an enum in Rust. A name that the macros of SeaORM use would clash with theirs.
pub(super) fn enum_type(name: &str) -> String {
    const TAKEN: [&str; 16] = [
        "Box",
        "Clone",
        "DoubleEndedIterator",
        "Entity",
        "Enum",
        "Err",
        "ExactSizeIterator",
        "Iterator",
        "None",
        "Ok",
        "Option",
        "Result",
        "Self",
        "Some",
        "String",
        "Vec",
    ];
    let camel = name.to_upper_camel_case();
    match TAKEN.contains(&camel.as_str()) {
        true => format!("{camel}Type"),
        false => camel,
    }
}

/// The name of a value of an enum in Rust.
pub(super) fn variant(value: &str) -> String {
    let camel = value.to_upper_camel_case();
    match camel.chars().next() {
        Some(first) if first.is_numeric() => format!("N{camel}"),
        _ => camel,
    }
}

/// Leaves out the enums that cannot be written in Rust; their columns are texts then.
pub(super) fn keep_expressible(enums: &mut Vec<Enum>) {
    let mut taken = BTreeSet::new();
    enums.retain(|found| {
        let name = enum_type(&found.name);
        let variants: BTreeSet<_> = found.values.iter().map(|value| variant(value)).collect();
        // The macros of SeaORM make four more types of each enum.
        let types =
            ["", "Enum", "Iter", "Variant", "VariantIter"].map(|end| format!("{name}{end}"));
        let is_plain = |value: &String| {
            let mut characters = value.chars();
            characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ' '))
        };
        is_identifier(&name)
            && found.name == found.name.to_snake_case()
            && variants.len() == found.values.len()
            && variants.iter().all(|variant| is_identifier(variant))
            && found.values.iter().all(is_plain)
            && types.iter().all(|name| taken.insert(name.clone()))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("caches", "cache"),
            ("matches", "match"),
            ("bias", "bias"),
            ("lenses", "lens"),
            ("licenses", "license"),
            ("species", "species"),
            ("kubernetes", "kubernetes"),
            ("us", "us"),
            ("data_s", "data_s"),
            ("caches_by_us", "caches_by_us"),
        ] {
            assert_eq!(singular(table), module);
        }
    }

    #[test]
    fn a_name_of_the_database_becomes_one_of_rust() {
        for (name, field) in [
            ("email", Some("email")),
            ("type", Some("type_")),
            ("gen", Some("gen_")),
            ("super", Some("super_")),
            ("self", Some("column_self")),
            ("2fa_enabled", Some("column_2fa_enabled")),
            ("", None),
            ("...", None),
        ] {
            assert_eq!(identifier(name, "column").as_deref(), field, "{name}");
        }
        assert!(is_implied("user_id", "user_id"));
        for (column, field) in [
            ("type", "type_"),
            ("type_", "type_"),
            ("userId", "user_id"),
            ("größe", "größe"),
        ] {
            assert!(!is_implied(column, field), "{column}");
        }
    }
}
