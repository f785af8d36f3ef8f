//! Compares the catalogue with what must hold, and words every difference in terms of the domain.

use std::cell::RefCell;

use sea_orm::{
    ColumnType,
    sea_query::{ForeignKeyAction, StringLen},
};

use super::{
    Column as Wanted, Difference, Reference, Table as WantedTable,
    catalogue::{
        Bound, Catalogue, Clause, Column, Demand, Flaw, ForeignKey, Index, Intervention, KeyFlaw,
        Kind, Known, Part, Setting, Storage, Table, Upkeep, mentions,
    },
    with_article,
};

/// The result of the comparison.
#[derive(Default)]
pub(super) struct Outcome {
    pub differences: Vec<Difference>,
    pub warnings: Vec<Warning>,
}

/// What breaks no promise by itself, and may be intended.
pub(super) struct Warning {
    pub table: String,
    pub about: About,
    pub message: String,
}

/// What a warning is about, by its kind and name.
pub(super) enum About {
    Index { column: &'static str, index: String },
    Trigger(String),
    Rule(String),
    ForeignKey(String),
    Column(String),
}

pub(super) fn compare(catalogue: &Catalogue, wanted: &[WantedTable]) -> Outcome {
    let mut outcome = Outcome::default();
    let first = wanted.first().map_or("", |table| table.name.as_str());
    for setting in &catalogue.settings {
        if matches!(setting, Setting::TimeZone(_)) && !has_timestamp(catalogue, wanted) {
            continue;
        }
        let (expected, found) = setting.words(catalogue.dialect.connection);
        outcome.add(first, None, expected, found);
    }
    for table in wanted {
        match catalogue.tables.get(&table.name) {
            None => outcome.add(
                &table.name,
                None,
                "a table",
                format!(
                    "table {} is missing: nobody could {}",
                    table.name, table.purpose
                ),
            ),
            Some(found) => Comparison {
                catalogue,
                table,
                found,
                outcome: &mut outcome,
            }
            .run(),
        }
    }
    outcome
}

/// Whether a moment that is compared is converted by the time zone of the connection.
fn has_timestamp(catalogue: &Catalogue, wanted: &[WantedTable]) -> bool {
    wanted.iter().any(|table| {
        let is_moment = |name: &str| {
            let is_it = |it: &&Wanted| it.name == name && it.ours;
            let wanted = table.columns.iter().find(is_it);
            wanted.is_some_and(|it| it.kind == ColumnType::TimestampWithTimeZone)
        };
        let found = catalogue.tables.get(&table.name);
        let mut columns = found.iter().flat_map(|it| &it.columns);
        columns.any(|it| it.declared.starts_with("timestamp") && is_moment(&it.name))
    })
}

impl Outcome {
    fn add(&mut self, table: &str, column: Option<&str>, expected: &str, found: String) {
        self.differences.push(Difference {
            table: table.to_owned(),
            column: column.map(str::to_owned),
            expected: expected.to_owned(),
            // SQLite accepts any text as a type or a name; a difference stays one line.
            found: found.split_whitespace().collect::<Vec<_>>().join(" "),
        });
    }

    fn warn(&mut self, table: &str, about: About, message: String) {
        self.warnings.push(Warning {
            table: table.to_owned(),
            about,
            message,
        });
    }
}

/// The comparison of one table that exists.
struct Comparison<'a> {
    catalogue: &'a Catalogue,
    table: &'a WantedTable,
    found: &'a Table,
    outcome: &'a mut Outcome,
}

impl<'a> Comparison<'a> {
    fn run(mut self) {
        self.definition();
        self.storage();
        self.interventions();
        self.clauses();
        self.deferrable_keys();
        self.keys_left_out();
        self.checks_left_out();
        for wanted in &self.table.columns {
            let found = self.found.columns.iter().find(|c| c.name == wanted.name);
            match found {
                None => self.differs(
                    wanted.name,
                    "a column",
                    format!("is missing: nobody could {}", self.table.purpose),
                ),
                Some(found) => {
                    if wanted.ours {
                        self.type_of(wanted, found);
                        self.readable(wanted);
                    }
                    self.upkeep(wanted, found);
                    self.null(wanted, found);
                    self.primary_key(wanted);
                    self.unique(wanted);
                    self.collation(wanted, found);
                    self.foreign_key(wanted);
                    self.lower_case(wanted);
                }
            }
        }
        self.columns_of_the_app();
        self.keys_of_the_app();
    }

    fn differs(&mut self, column: &str, expected: &str, found: String) {
        self.outcome
            .add(&self.table.name, Some(column), expected, found);
    }

    fn definition(&mut self) {
        let name = &self.table.name;
        if self.found.unread {
            self.outcome.add(
                name,
                None,
                "a definition in SQL that can be read",
                format!(
                    "table {name} has a definition that could not be read: its keys are unknown"
                ),
            );
        }
    }

    fn storage(&mut self) {
        let WantedTable { name, row, .. } = self.table;
        for storage in &self.found.storage {
            let (expected, found) = match storage {
                Storage::NoTransactions => (
                    "InnoDB",
                    format!("table {name} is not kept by InnoDB: {row} could be stored by half"),
                ),
                Storage::Unlogged => (
                    "a logged table",
                    format!("table {name} is unlogged: {row} could be lost in a crash"),
                ),
                Storage::Temporary => (
                    "a lasting table",
                    format!("table {name} is temporary: {row} could be lost with the connection"),
                ),
                Storage::Inherited => (
                    "no table that inherits from it",
                    format!(
                        "table {name} has children, which its keys leave out: \
                         {row} could be there twice"
                    ),
                ),
                Storage::Inherits => (
                    "a table of its own",
                    format!(
                        "table {name} is the child of another table: \
                         {row} could be changed or removed through it"
                    ),
                ),
                Storage::Hidden => (
                    "no row level security for this role",
                    format!(
                        "row level security of table {name} applies to this role: \
                         {row} could be there and not be found"
                    ),
                ),
                Storage::Elsewhere => (
                    "the same table on every connection",
                    format!(
                        "table {name} is not the same one on every {}: \
                         {row} could be there and not be found",
                        self.catalogue.dialect.connection
                    ),
                ),
            };
            self.outcome.add(name, None, expected, found);
        }
    }

    /// PostgreSQL accepts no `ON CONFLICT` on a table with a rule for INSERT or UPDATE.
    fn interventions(&mut self) {
        let WantedTable {
            name, row, purpose, ..
        } = self.table;
        for Intervention {
            name: own,
            is_rule,
            is_before,
            events,
            ..
        } in &self.found.interventions
        {
            match (is_rule, events.as_str()) {
                (true, "INSERT" | "UPDATE") => self.outcome.add(
                    name,
                    None,
                    "no rule for INSERT or UPDATE",
                    format!("rule {own} of table {name} rewrites {events}: nobody could {purpose}"),
                ),
                (true, _) if *is_before => self.outcome.add(
                    name,
                    None,
                    "no rule instead of DELETE",
                    format!(
                        "rule {own} of table {name} replaces {events}: \
                         {row} could stay when it is removed"
                    ),
                ),
                (true, _) => self.outcome.warn(
                    name,
                    About::Rule(own.clone()),
                    format!("this rule adds statements to {events}, which could refuse it"),
                ),
                (false, _) if *is_before => self.outcome.warn(
                    name,
                    About::Trigger(own.clone()),
                    format!(
                        "this trigger runs before {events}: it could change {row}, or keep it back"
                    ),
                ),
                (false, _) => self.outcome.warn(
                    name,
                    About::Trigger(own.clone()),
                    format!("this trigger runs with {events}: it could refuse {row}"),
                ),
            }
        }
    }

    fn clauses(&mut self) {
        let WantedTable { name, row, .. } = self.table;
        for Clause {
            column,
            constraint,
            action,
        } in &self.found.clauses
        {
            let clause = format!("{constraint} ON CONFLICT {action}");
            let harm = match action.as_str() {
                _ if constraint == "CHECK" => "a SQLite that heeds it would not refuse".to_owned(),
                "REPLACE" => format!("{row} could be replaced by another one"),
                "IGNORE" => format!("{row} could be left out without an error"),
                "FAIL" => format!("{row} could stay of a statement that failed"),
                _ => "a refusal would end the transaction of the caller".to_owned(),
            };
            let found = match column {
                Some(_) => format!("has {clause}: {harm}"),
                None => format!("table {name} has {clause}: {harm}"),
            };
            self.outcome
                .add(name, column.as_deref(), "ON CONFLICT ABORT", found);
        }
    }

    /// PostgreSQL refuses an insert that takes any key as its arbiter, as one with an id of the
    /// caller's does, while one of the keys is deferrable. Those over a column that must be unique
    /// are reported with it.
    fn deferrable_keys(&mut self) {
        let WantedTable { name, purpose, .. } = self.table;
        if !self.table.any_key_is_arbiter {
            return;
        }
        for index in &self.found.indexes {
            let is_named = |wanted: &Wanted| {
                (wanted.unique && index.unique || wanted.primary && index.primary)
                    && index.is_over(wanted.name)
            };
            if index.flaw == Some(Flaw::Deferrable) && !self.table.columns.iter().any(is_named) {
                self.outcome.add(
                    name,
                    None,
                    "no deferrable key",
                    format!(
                        "table {name} has a deferrable key (index {}): \
                         nobody could {purpose} with an id of the caller's",
                        index.name
                    ),
                );
            }
        }
    }

    /// Keys over columns that this library does not set, to which the database gives the same value
    /// each time.
    fn keys_left_out(&mut self) {
        let WantedTable { name, purpose, .. } = self.table;
        for index in &self.found.indexes {
            let is_same = |part: &Part| match part {
                Part::Column(part) => self.column_left_out(part).is_some_and(|column| {
                    let is_null = column.nullable && self.left_out(column) == Known::Null;
                    self.left_out(column).is_same() || is_null && index.nulls_equal
                }),
                Part::Expression(text) => {
                    let given = |column: &str| self.given(column);
                    Known::of_sql(text, &given).is_same()
                }
            };
            if !(index.unique || index.excludes)
                || index.flaw == Some(Flaw::Partial)
                || !index.parts.iter().all(is_same)
            {
                continue;
            }
            let key = &index.name;
            if self.may_be_filled() {
                self.outcome.warn(
                    name,
                    About::Column(index.others("")),
                    format!(
                        "this key gets the same value in each insert (index {key}): \
                         unless a trigger fills it, nobody but the first could {purpose}"
                    ),
                );
            } else {
                self.outcome.add(
                    name,
                    None,
                    "no unique key over a column that is left out",
                    format!(
                        "table {name} has a key that gets the same value in each insert \
                         (index {key}): nobody but the first could {purpose}"
                    ),
                );
            }
        }
    }

    /// Checks that refuse the values of several columns that this library does not set.
    fn checks_left_out(&mut self) {
        let WantedTable { name, purpose, .. } = self.table;
        let may_be_filled = self.may_be_filled();
        for demand in &self.found.demands {
            let Some(columns) = self.refused_by(demand) else {
                continue;
            };
            let is_reported =
                |it: &&Column| !it.filled && (!it.nullable || demand.a_value(&it.name));
            if columns.len() == 1 || columns.iter().any(is_reported) {
                continue;
            }
            let names: Vec<_> = columns.iter().map(|it| it.name.as_str()).collect();
            let leaving = match names.join(" and ") {
                names if names.is_empty() => String::new(),
                names => format!(" that leaves out {names}"),
            };
            if may_be_filled && !names.is_empty() {
                self.outcome.warn(
                    name,
                    About::Column(names.join(" and ")),
                    format!(
                        "a check refuses each row{leaving}: \
                         unless a trigger fills them, nobody could {purpose}"
                    ),
                );
            } else {
                self.outcome.add(
                    name,
                    None,
                    "no check that refuses what is left out",
                    format!(
                        "table {name} has a check that refuses each row{leaving}: \
                         nobody could {purpose}"
                    ),
                );
            }
        }
    }

    /// The columns that the check asks for, if it refuses their values in each insert.
    fn refused_by(&self, demand: &Demand) -> Option<Vec<&'a Column>> {
        let asked = RefCell::new(Vec::<&Column>::new());
        let given = |name: &str| {
            let column = self.column_left_out(name);
            let is_asked = |column: &Column| asked.borrow().iter().any(|it| it.name == column.name);
            if let Some(column) = column.filter(|column| !is_asked(column)) {
                asked.borrow_mut().push(column);
            }
            self.given(name)
        };
        demand.refuses(&given).then(|| asked.into_inner())
    }

    /// What is known of a column in each insert.
    fn given(&self, name: &str) -> Known {
        let column = self.column_left_out(name);
        column.map_or(Known::Unknown, |column| self.left_out(column))
    }

    /// The column of this name, if this library does not set it. Where case does not matter, names
    /// are in lower case.
    fn column_left_out(&self, name: &str) -> Option<&'a Column> {
        let columns = &self.found.columns;
        let exact = columns.iter().find(|column| column.name == name);
        let alike = |column: &&Column| column.name.to_lowercase() == name.to_lowercase();
        let found = exact.or_else(|| columns.iter().find(alike))?;
        let is_known = self.table.columns.iter().any(|it| it.name == found.name);
        (!is_known).then_some(found)
    }

    /// What a column gets from an insert that leaves it out.
    fn left_out(&self, column: &Column) -> Known {
        let is_generated = |column: &Column| column.upkeep == Some(Upkeep::Generated);
        // Only a generated column is made from others; from other generated ones, nothing is known.
        let given = |name: &str| {
            let other = self
                .column_left_out(name)
                .filter(|it| is_generated(column) && !is_generated(it));
            other.map_or(Known::Unknown, |other| self.left_out(other))
        };
        let known = match &column.default_value {
            _ if !column.filled => Known::Null,
            None => Known::Present,
            Some(expression) => Known::of_sql(expression, &given),
        };
        // A text becomes another value where it is stored as a number or a moment.
        let declared = column.declared.to_lowercase();
        let is_text = declared.contains("char") || declared.contains("text");
        match known {
            Known::Text(_) if !is_text => Known::Same,
            known => known,
        }
    }

    /// Whether a trigger may give a value to a column that an insert leaves out.
    fn may_be_filled(&self) -> bool {
        let mut triggers = self.found.interventions.iter();
        self.catalogue.dialect.triggers_fill
            && triggers.any(|it| !it.is_rule && it.is_before && it.events.contains("INSERT"))
    }

    fn type_of(&mut self, wanted: &Wanted, found: &Column) {
        let (kind, characters) = match wanted.kind {
            ColumnType::Uuid => (Kind::Uuid, None),
            ColumnType::String(StringLen::N(length)) => (Kind::Text, Some(length)),
            ColumnType::String(_) | ColumnType::Text => (Kind::Text, None),
            ColumnType::TimestampWithTimeZone => (Kind::Moment, None),
            // A key of another type is the app's responsibility.
            _ => return,
        };
        let dialect = &self.catalogue.dialect;
        if !(dialect.holds)(kind, &found.declared) {
            let row = &self.table.row;
            let expected = (dialect.name)(kind);
            let declared = match found.declared.as_str() {
                "" => "without a type",
                declared => declared,
            };
            return self.differs(
                wanted.name,
                expected,
                format!(
                    "is {declared}, not {expected}: {row} could not be read back as it was stored"
                ),
            );
        }
        if let (Some(needed), Some(there)) = (characters, found.characters)
            && there < i64::from(needed)
        {
            self.differs(
                wanted.name,
                &format!("at least {needed} characters"),
                format!(
                    "holds only {there} characters: a longer {} could not be stored",
                    wanted.name
                ),
            );
        }
        if kind != Kind::Text {
            return;
        }
        if let Some(charset) = &found.charset {
            self.differs(
                wanted.name,
                "a character set of all characters",
                format!(
                    "is kept in {charset}: {} of another script could not be stored",
                    with_article(wanted.name)
                ),
            );
        }
        if let Some(collation) = &found.folding {
            self.differs(
                wanted.name,
                "a binary collation",
                format!("is compared by {collation}: two {}", self.taken_for_one()),
            );
        }
    }

    fn upkeep(&mut self, wanted: &Wanted, found: &Column) {
        match found.upkeep {
            Some(Upkeep::Generated) if wanted.written => self.differs(
                wanted.name,
                "a column that takes a value",
                format!("is generated: nobody could {}", self.table.purpose),
            ),
            Some(Upkeep::OnUpdate) if wanted.ours && !wanted.follows_updates => self.differs(
                wanted.name,
                "a column that keeps its value",
                format!(
                    "is rewritten on every update: {} could lose it",
                    self.table.row
                ),
            ),
            _ => {}
        }
    }

    fn null(&mut self, wanted: &Wanted, found: &Column) {
        if wanted.nullable || !found.nullable {
            return;
        }
        let row = &self.table.row;
        let found = match wanted.refers_to {
            Some(_) => format!("may be null: {row} could belong to nobody"),
            None => format!("may be null: {row} could be without it"),
        };
        self.differs(wanted.name, "not null", found);
    }

    fn primary_key(&mut self, wanted: &Wanted) {
        if !wanted.primary {
            return;
        }
        let key = self.found.indexes.iter().find(|index| index.primary);
        let harm = format!("two {} could share it", self.table.name);
        let found = match key {
            Some(key) if key.is_over(wanted.name) => match key.flaw {
                None => return self.redundant(wanted, &key.name),
                Some(Flaw::Deferrable) => format!(
                    "is the primary key only at commit (index {} is deferrable): {harm} until then",
                    key.name
                ),
                Some(Flaw::Prefix) => format!("is the primary key only by its beginning: {harm}"),
                Some(Flaw::Invalid | Flaw::Partial) => {
                    format!(
                        "is not the primary key (index {} is invalid): {harm}",
                        key.name
                    )
                }
                Some(Flaw::Outdated) => format!(
                    "is the primary key by an order that has changed (index {}): {harm}",
                    key.name
                ),
            },
            Some(key) if key.has(wanted.name) => format!(
                "is the primary key only together with {}: {harm}",
                key.others(wanted.name)
            ),
            _ => format!("is not the primary key: {harm}"),
        };
        self.differs(wanted.name, "the primary key", found);
    }

    fn unique(&mut self, wanted: &Wanted) {
        if !wanted.unique {
            return;
        }
        // Of several sound indexes, the one with the usual name is the arbiter, and the others are
        // redundant.
        let usual = format!("{}_{}", self.table.name, wanted.name);
        let mut unique: Vec<_> = self.found.indexes.iter().filter(|i| i.unique).collect();
        unique.sort_by_key(|index| index.name != usual);
        let arbiter = unique
            .iter()
            .find(|index| index.is_over(wanted.name) && index.is_sound());
        if let Some(arbiter) = arbiter {
            self.redundant(wanted, &arbiter.name);
            return self.other_arbiters(wanted, &unique, &arbiter.name);
        }
        let harm = match (&wanted.refers_to, wanted.name) {
            (Some(reference), _) => format!(
                "{} could get two {}",
                with_article(&reference.owner),
                self.table.name
            ),
            (None, "email") => format!("two {} could share an address", self.table.name),
            (None, _) => format!("two {} could share it", self.table.name),
        };
        let nearest = unique
            .iter()
            .filter_map(|index| Some((index.nearly(wanted.name)?, index)))
            .min_by_key(|(near, _)| *near);
        let Some((near, index)) = nearest else {
            return self.differs(wanted.name, "unique", format!("is not unique: {harm}"));
        };
        let (name, one) = (&index.name, self.taken_for_one());
        let found = match near {
            Nearly::Folding => format!(
                "is unique by {} (index {name}): two {one}",
                index.folding.as_deref().unwrap_or_default()
            ),
            Nearly::Outdated => format!(
                "is unique by an order that has changed (index {name} was built by another version \
                 of its collation): {harm}"
            ),
            Nearly::Invalid => format!("is not unique (index {name} is invalid): {harm}"),
            Nearly::Deferrable => {
                format!("is unique only at commit (index {name} is deferrable): {harm} until then")
            }
            Nearly::Partial => {
                format!("is unique only for some rows (index {name} is partial): {harm}")
            }
            Nearly::Prefix => format!("is unique only by its beginning (index {name}): two {one}"),
            Nearly::Expression => {
                format!("is unique only within an expression (index {name}): two {one}")
            }
            Nearly::Composite => format!(
                "is unique only together with {} (index {name}): {harm}",
                index.others(wanted.name)
            ),
        };
        self.differs(wanted.name, "unique", found);
        self.other_arbiters(wanted, &unique, name);
    }

    /// Unique indexes over the same column that compare by another rule, or too late: PostgreSQL
    /// takes every one of them as an arbiter of an insert.
    fn other_arbiters(&mut self, wanted: &Wanted, unique: &[&Index], arbiter: &str) {
        for index in unique {
            if !index.is_over(wanted.name) || index.name == arbiter {
                continue;
            }
            let name = &index.name;
            if index.flaw == Some(Flaw::Deferrable) {
                self.differs(
                    wanted.name,
                    "no deferrable key",
                    format!(
                        "has a key that is checked only at commit (index {name} is deferrable): \
                         nobody could {}",
                        self.table.purpose
                    ),
                );
            } else if let Some(collation) = &index.folding
                // Under these two rules of SQLite, different addresses of the library stay
                // different.
                && !["NOCASE", "RTRIM"].contains(&collation.as_str())
            {
                let one = self.taken_for_one();
                self.differs(
                    wanted.name,
                    "a binary collation",
                    format!("is unique by {collation} as well (index {name}): two {one}"),
                );
            }
        }
    }

    /// A foreign key compares by the collation of the owner's key, the unique index by that of the
    /// role's column. Where only the former folds texts, two of them are one owner's.
    fn collation(&mut self, wanted: &Wanted, found: &Column) {
        let Some(reference) = &wanted.refers_to else {
            return;
        };
        let owners = self.catalogue.tables.get(&reference.table);
        let key = owners.and_then(|it| it.columns.iter().find(|c| c.name == reference.column));
        if key.is_some_and(|key| key.folding.is_some() && key.folding != found.folding) {
            let key = format!("{}.{}", reference.table, reference.column);
            self.differs(
                wanted.name,
                &format!("the collation of {key}"),
                format!(
                    "is compared by another collation than {key}: {} could get two {}",
                    with_article(&reference.owner),
                    self.table.name
                ),
            );
        }
    }

    fn foreign_key(&mut self, wanted: &Wanted) {
        let keys = self.found.foreign_keys.iter();
        let mut keys: Vec<_> = keys.filter(|key| key.has(wanted.name)).collect();
        let first = match &wanted.refers_to {
            None => None,
            Some(reference) => {
                let action = words(reference.on_delete);
                keys.sort_by_key(|key| {
                    (
                        !key.is(reference),
                        key.on_delete != action,
                        key.flaw.is_some(),
                        key.columns.len() > 1,
                    )
                });
                let first = keys.first().copied().filter(|key| key.columns.len() == 1);
                self.key_to_owner(wanted, reference, first);
                first
            }
        };
        for key in keys {
            if !first.is_some_and(|first| std::ptr::eq(first, key)) {
                self.other_key(wanted, key);
            }
        }
    }

    /// Checks the key that comes nearest to the one that must exist.
    fn key_to_owner(&mut self, wanted: &Wanted, reference: &Reference, key: Option<&ForeignKey>) {
        let action = words(reference.on_delete);
        let row = &self.table.row;
        let owner = &reference.owner;
        let found = match key {
            None => format!("has no foreign key: {row} could outlive its {owner}"),
            Some(key) if !key.is(reference) => format!(
                "refers to {}, not {}.{}: {row} could outlive its {owner}",
                key.target(),
                reference.table,
                reference.column
            ),
            Some(key) if key.on_delete != action => self.action(wanted, key),
            Some(key) => {
                let to = format!("a foreign key to {}", key.target());
                match key.flaw {
                    None => return,
                    Some(KeyFlaw::NotEnforced) => {
                        format!("has {to} that is not enforced: {row} could belong to nobody")
                    }
                    Some(KeyFlaw::Disabled) => {
                        format!(
                            "has {to} whose triggers are disabled: {row} could belong to nobody"
                        )
                    }
                    Some(KeyFlaw::Deferred) => format!(
                        "has {to} that is checked only at commit: \
                         {row} could belong to nobody until then"
                    ),
                    Some(KeyFlaw::NotValidated) => format!(
                        "has a foreign key that was never validated: {row} could belong to nobody"
                    ),
                }
            }
        };
        let expected = format!(
            "a foreign key to {}.{} with ON DELETE {action}",
            reference.table, reference.column
        );
        self.differs(wanted.name, &expected, found);
    }

    /// Checks a key beside the one that must exist. The database acts on each of them, and an
    /// insert has to satisfy each.
    fn other_key(&mut self, wanted: &Wanted, key: &ForeignKey) {
        let written = || self.table.columns.iter().filter(|column| column.written);
        let is_named_here = written()
            .find(|column| key.has(column.name))
            .is_some_and(|column| column.name == wanted.name);
        if !is_named_here || key.flaw == Some(KeyFlaw::NotEnforced) {
            return;
        }
        let to_owner = wanted
            .refers_to
            .as_ref()
            .filter(|reference| reference.table == key.to_table);
        let expected_action = to_owner.map(|reference| words(reference.on_delete));
        if key.acts() && expected_action != Some(key.on_delete.as_str()) {
            let found = self.action(wanted, key);
            return self.differs(wanted.name, "no other action on delete", found);
        }
        let may_be_null = |name: &String| {
            let column = self
                .found
                .columns
                .iter()
                .find(|column| column.name == *name);
            column.is_some_and(|column| column.nullable && !column.filled)
                && !written().any(|column| column.name == *name)
        };
        let others_written = written().filter(|column| key.has(column.name)).count() > 1;
        let is_satisfiable = match to_owner {
            Some(reference) => key.is(reference) || key.columns.len() > 1 && !others_written,
            None => key.columns.iter().any(may_be_null),
        };
        if !is_satisfiable {
            self.differs(
                wanted.name,
                "no other foreign key",
                format!(
                    "refers to {}: nobody could {}",
                    key.target(),
                    self.table.purpose
                ),
            );
        }
    }

    /// What a key does when the row that it refers to is deleted.
    fn action(&self, wanted: &Wanted, key: &ForeignKey) -> String {
        let row = &self.table.row;
        let to_owner = wanted
            .refers_to
            .as_ref()
            .filter(|reference| reference.table == key.to_table);
        let owner = match to_owner {
            Some(reference) => reference.owner.clone(),
            None => format!("row of {}", key.to_table),
        };
        let harm = match key.on_delete.as_str() {
            "CASCADE" => format!("{row} could vanish with its {owner}"),
            "SET NULL" => format!("{row} could belong to nobody"),
            "SET DEFAULT" => format!("{row} could pass to another {owner}"),
            _ => format!(
                "{} could be gone before {row} is looked for",
                with_article(&owner)
            ),
        };
        format!("has a foreign key with ON DELETE {}: {harm}", key.on_delete)
    }

    fn lower_case(&mut self, wanted: &Wanted) {
        let name = wanted.name;
        let demands = &self.found.demands;
        if wanted.lower_case && !demands.iter().any(|demand| demand.lower_case(name)) {
            self.differs(
                name,
                &format!("a check that {name} = lower({name})"),
                "may hold capital letters: one address could sign up twice".to_owned(),
            );
        }
    }

    fn readable(&mut self, wanted: &Wanted) {
        let name = wanted.name;
        let is_moment = wanted.kind == ColumnType::TimestampWithTimeZone;
        if !is_moment || !self.catalogue.dialect.unreadable_moments {
            return;
        }
        let demands = &self.found.demands;
        let within = |bound| demands.iter().any(|demand| demand.within(name, bound));
        if !within(Bound::First) || !within(Bound::Last) {
            let row = &self.table.row;
            self.differs(
                name,
                &format!("a check that {name} lies within the years 1 to 9999"),
                format!(
                    "has no check that it lies within the years 1 to 9999: {row} could not be read"
                ),
            );
        }
    }

    /// Columns that this library does not set.
    fn columns_of_the_app(&mut self) {
        let may_be_filled = self.may_be_filled();
        for found in &self.found.columns {
            if self.table.columns.iter().any(|c| c.name == found.name) {
                continue;
            }
            let demands = &self.found.demands;
            let needs_value =
                !found.nullable || demands.iter().any(|demand| demand.a_value(&found.name));
            let is_alone =
                |columns: Vec<&Column>| matches!(&columns[..], [it] if it.name == found.name);
            let is_refused = demands
                .iter()
                .any(|it| self.refused_by(it).is_some_and(is_alone));
            let (expected, says) = match found.filled {
                false if needs_value || is_refused => ("null, or a default", "may not be left out"),
                true if is_refused => (
                    "a default that each check accepts",
                    "has a default that a check refuses",
                ),
                _ => continue,
            };
            let purpose = &self.table.purpose;
            if may_be_filled {
                self.outcome.warn(
                    &self.table.name,
                    About::Column(found.name.clone()),
                    format!(
                        "this column may not be left out: \
                         unless a trigger fills it, nobody could {purpose}"
                    ),
                );
            } else {
                self.differs(
                    &found.name,
                    expected,
                    format!("{says}: nobody could {purpose}"),
                );
            }
        }
    }

    /// Keys over columns that this library does not set. One that cascades from a table of the model
    /// takes a row whose own owner is still there.
    fn keys_of_the_app(&mut self) {
        for key in &self.found.foreign_keys {
            let is_written = |wanted: &Wanted| wanted.written && key.has(wanted.name);
            if !key.acts() || self.table.columns.iter().any(is_written) {
                continue;
            }
            let is_of_the_model = self.catalogue.tables.contains_key(&key.to_table);
            if is_of_the_model
                && key.on_delete == "CASCADE"
                && key.flaw != Some(KeyFlaw::NotEnforced)
            {
                self.takes_along(key);
                continue;
            }
            self.outcome.warn(
                &self.table.name,
                About::ForeignKey(key.columns.join(", ")),
                format!(
                    "this foreign key acts ON DELETE {}: {} could be changed or removed with \
                     a row of {}",
                    key.on_delete, self.table.row, key.to_table
                ),
            );
        }
    }

    fn takes_along(&mut self, key: &ForeignKey) {
        let WantedTable {
            name, row, columns, ..
        } = self.table;
        let mut owners = columns.iter().flat_map(|column| &column.refers_to);
        let other = match owners.find(|reference| reference.table == key.to_table) {
            Some(reference) => format!("another {}", reference.owner),
            None if key.to_table == *name => format!("another row of {name}"),
            None => format!("a row of {}", key.to_table),
        };
        let column = key.columns.first().map_or("", String::as_str);
        self.differs(
            column,
            "no other action on delete",
            format!("has a foreign key with ON DELETE CASCADE: {row} could vanish with {other}"),
        );
    }

    fn taken_for_one(&self) -> String {
        format!("{} could be taken for one", self.table.name)
    }

    /// Warns of every other sound index that is over this column alone.
    fn redundant(&mut self, wanted: &Wanted, arbiter: &str) {
        let others = self.found.indexes.iter().filter(|index| {
            index.is_over(wanted.name)
                && index.is_sound()
                && !index.excludes
                && index.name != arbiter
        });
        for index in others {
            self.outcome.warn(
                &self.table.name,
                About::Index {
                    column: wanted.name,
                    index: index.name.clone(),
                },
                "this index is redundant: another one keeps the column unique".to_owned(),
            );
        }
    }
}

impl Setting {
    /// What is needed, and what is there.
    fn words(&self, connection: &str) -> (&'static str, String) {
        match self {
            Self::AtFirst(setting) => setting.words_on(&format!("on every new {connection}")),
            setting => setting.words_on(&format!("on this {connection}")),
        }
    }

    fn words_on(&self, on: &str) -> (&'static str, String) {
        match self {
            Self::NotMariaDb(version) => (
                "MariaDB 10.6 or later",
                format!("the server is {version}: nobody could sign up"),
            ),
            Self::ForeignKeysOff => (
                "foreign keys on",
                format!("foreign keys are off {on}: a user could be deleted under a host"),
            ),
            Self::UniqueChecksOff => (
                "unique checks on",
                format!("unique checks are off {on}: a user could get two hosts"),
            ),
            Self::ChecksOff => (
                "checks on",
                format!("checks are off {on}: one address could sign up twice"),
            ),
            Self::AutocommitOff => (
                "autocommit on",
                format!("autocommit is off {on}: a user could be lost with the connection"),
            ),
            Self::CompletionType(kind) => (
                "completion_type NO_CHAIN",
                format!("completion_type is {kind} {on}: a user could be lost with the connection"),
            ),
            Self::NoJournal => (
                "a rollback journal",
                format!("the journal is off {on}: a user could be left without a guest"),
            ),
            Self::NotStrict => (
                "a strict sql_mode",
                format!("sql_mode is not strict {on}: an address could be stored as another one"),
            ),
            Self::Oracle => (
                "a sql_mode without ORACLE",
                format!("sql_mode has ORACLE {on}: nobody could sign up"),
            ),
            Self::CharacterSet(found) => (
                "utf8mb4",
                format!("{found} {on}: an address could be stored as another one"),
            ),
            Self::Encoding(found) => (
                "UTF8",
                format!("{found} {on}: an address could be stored as another one"),
            ),
            Self::ReadUncommitted => (
                "READ COMMITTED or stricter",
                format!(
                    "transactions read uncommitted rows {on}: a host could be found and never be stored"
                ),
            ),
            Self::TimeZone(found) => (
                "time_zone +00:00",
                format!("time_zone is {found} {on}: a time could be read back as another one"),
            ),
            Self::AtFirst(setting) => setting.words_on(on),
        }
    }
}

/// What a unique index lacks to keep a column unique. Of several indexes the one with the first
/// variant is reported.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Nearly {
    Folding,
    Outdated,
    Invalid,
    Deferrable,
    Partial,
    Prefix,
    Expression,
    Composite,
}

impl Index {
    /// Whether it keeps a column unique at once and by the texts themselves.
    fn is_sound(&self) -> bool {
        self.flaw.is_none() && self.folding.is_none()
    }

    fn is_over(&self, column: &str) -> bool {
        matches!(self.parts.as_slice(), [Part::Column(name)] if name == column)
    }

    fn has(&self, column: &str) -> bool {
        self.parts.iter().any(|part| match part {
            Part::Column(name) => name == column,
            Part::Expression(_) => false,
        })
    }

    fn nearly(&self, column: &str) -> Option<Nearly> {
        match self.parts.as_slice() {
            [Part::Expression(text)] => mentions(text, column).then_some(Nearly::Expression),
            [_] if self.has(column) => match self.flaw {
                Some(Flaw::Partial) => Some(Nearly::Partial),
                Some(Flaw::Deferrable) => Some(Nearly::Deferrable),
                Some(Flaw::Invalid) => Some(Nearly::Invalid),
                Some(Flaw::Prefix) => Some(Nearly::Prefix),
                Some(Flaw::Outdated) => Some(Nearly::Outdated),
                None => self.folding.is_some().then_some(Nearly::Folding),
            },
            _ => self.has(column).then_some(Nearly::Composite),
        }
    }

    /// The other parts, in words.
    fn others(&self, column: &str) -> String {
        let others = self.parts.iter().filter_map(|part| match part {
            Part::Column(name) if name == column => None,
            Part::Column(name) => Some(name.as_str()),
            Part::Expression(_) => Some("an expression"),
        });
        others.collect::<Vec<_>>().join(" and ")
    }
}

impl ForeignKey {
    fn is(&self, wanted: &Reference) -> bool {
        self.to_table == wanted.table && self.to_columns == [wanted.column.as_str()]
    }

    fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|own| own == column)
    }

    /// Whether it changes rows when one that they refer to is deleted.
    fn acts(&self) -> bool {
        ["CASCADE", "SET NULL", "SET DEFAULT"].contains(&self.on_delete.as_str())
    }

    fn target(&self) -> String {
        match self.to_columns.as_slice() {
            [column] => format!("{}.{column}", self.to_table),
            columns => format!("{} ({})", self.to_table, columns.join(", ")),
        }
    }
}

fn words(action: ForeignKeyAction) -> &'static str {
    match action {
        ForeignKeyAction::Restrict => "RESTRICT",
        ForeignKeyAction::Cascade => "CASCADE",
        ForeignKeyAction::SetNull => "SET NULL",
        ForeignKeyAction::SetDefault => "SET DEFAULT",
        _ => "NO ACTION",
    }
}
