//! The catalogue held against what must hold, and every difference put in the words of the domain.

use sea_orm::{
    ColumnType,
    sea_query::{ForeignKeyAction, StringLen},
};

use super::{
    Column as Wanted, Difference, Reference, Table as WantedTable,
    catalogue::{
        Catalogue, Column, Flaw, ForeignKey, Index, KeyFlaw, Kind, Part, Setting, Storage, Table,
        mentions,
    },
    with_article,
};

/// What the comparison came to.
#[derive(Default)]
pub(super) struct Outcome {
    pub differences: Vec<Difference>,
    pub redundant: Vec<RedundantIndex>,
}

/// An index beside another one that does its work.
pub(super) struct RedundantIndex {
    pub table: String,
    pub column: &'static str,
    pub name: String,
}

pub(super) fn compare(catalogue: &Catalogue, wanted: &[WantedTable]) -> Outcome {
    let mut outcome = Outcome::default();
    let first = wanted.first().map_or("", |table| table.name.as_str());
    for setting in &catalogue.settings {
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

impl Outcome {
    fn add(&mut self, table: &str, column: Option<&str>, expected: &str, found: String) {
        self.differences.push(Difference {
            table: table.to_owned(),
            column: column.map(str::to_owned),
            expected: expected.to_owned(),
            // SQLite takes any text for a type or a name; a difference stays one line.
            found: found.split_whitespace().collect::<Vec<_>>().join(" "),
        });
    }
}

/// The comparison of one table that is there.
struct Comparison<'a> {
    catalogue: &'a Catalogue,
    table: &'a WantedTable,
    found: &'a Table,
    outcome: &'a mut Outcome,
}

impl Comparison<'_> {
    fn run(mut self) {
        self.storage();
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
                    self.null(wanted, found);
                    self.primary_key(wanted);
                    self.unique(wanted);
                    self.foreign_key(wanted);
                    self.lower_case(wanted);
                }
            }
        }
        for found in &self.found.columns {
            let is_known = self.table.columns.iter().any(|c| c.name == found.name);
            if !is_known && !found.nullable && !found.filled {
                self.differs(
                    &found.name,
                    "null, or a default",
                    format!("may not be left out: nobody could {}", self.table.purpose),
                );
            }
        }
    }

    fn differs(&mut self, column: &str, expected: &str, found: String) {
        self.outcome
            .add(&self.table.name, Some(column), expected, found);
    }

    fn storage(&mut self) {
        let WantedTable { name, row, .. } = self.table;
        let (expected, found) = match self.found.storage {
            None => return,
            Some(Storage::NoTransactions) => (
                "InnoDB",
                format!("table {name} is not kept by InnoDB: {row} could be stored by half"),
            ),
            Some(Storage::Unlogged) => (
                "a logged table",
                format!("table {name} is unlogged: {row} could be lost in a crash"),
            ),
            Some(Storage::Temporary) => (
                "a lasting table",
                format!("table {name} is temporary: {row} could be lost with the connection"),
            ),
            Some(Storage::Inherited) => (
                "no table that inherits from it",
                format!(
                    "table {name} has children, which its keys leave out: {row} could be there twice"
                ),
            ),
        };
        self.outcome.add(name, None, expected, found);
    }

    fn type_of(&mut self, wanted: &Wanted, found: &Column) {
        let (kind, characters) = match wanted.kind {
            ColumnType::Uuid => (Kind::Uuid, None),
            ColumnType::String(StringLen::N(length)) => (Kind::Text, Some(length)),
            ColumnType::String(_) | ColumnType::Text => (Kind::Text, None),
            ColumnType::TimestampWithTimeZone => (Kind::Moment, None),
            // What an app declares of another type is the app's to keep.
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
        if let Some(collation) = &found.folding {
            self.differs(
                wanted.name,
                "a binary collation",
                format!("is compared by {collation}: two {}", self.taken_for_one()),
            );
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
        let found = match key {
            Some(key) if key.is_over(wanted.name) => {
                return self.redundant(wanted, &key.name);
            }
            Some(key) if key.has(wanted.name) => format!(
                "is the primary key only together with {}: two {} could share it",
                key.others(wanted.name),
                self.table.name
            ),
            _ => format!(
                "is not the primary key: two {} could share it",
                self.table.name
            ),
        };
        self.differs(wanted.name, "the primary key", found);
    }

    fn unique(&mut self, wanted: &Wanted) {
        if !wanted.unique {
            return;
        }
        // Of several that would do, the one that goes by the name of column is not the second.
        let usual = format!("{}_{}", self.table.name, wanted.name);
        let mut unique: Vec<_> = self.found.indexes.iter().filter(|i| i.unique).collect();
        unique.sort_by_key(|index| index.name != usual);
        let judge = unique
            .iter()
            .find(|index| index.is_over(wanted.name) && index.flaw.is_none());
        if let Some(judge) = judge {
            return self.redundant(wanted, &judge.name);
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
            .into_iter()
            .filter_map(|index| Some((index.nearly(wanted.name)?, index)))
            .min_by_key(|&(near, _)| near);
        let found = match nearest {
            None => format!("is not unique: {harm}"),
            Some((near, index)) => {
                let (name, one) = (&index.name, self.taken_for_one());
                match near {
                    Nearly::Invalid => format!("is not unique (index {name} is invalid): {harm}"),
                    Nearly::Deferrable => format!(
                        "is unique only at commit (index {name} is deferrable): {harm} until then"
                    ),
                    Nearly::Partial => {
                        format!("is unique only for some rows (index {name} is partial): {harm}")
                    }
                    Nearly::Prefix => {
                        format!("is unique only by its beginning (index {name}): two {one}")
                    }
                    Nearly::Expression => {
                        format!("is unique only within an expression (index {name}): two {one}")
                    }
                    Nearly::Composite => format!(
                        "is unique only together with {} (index {name}): {harm}",
                        index.others(wanted.name)
                    ),
                }
            }
        };
        self.differs(wanted.name, "unique", found);
    }

    fn foreign_key(&mut self, wanted: &Wanted) {
        let Some(reference) = &wanted.refers_to else {
            return;
        };
        let keys = &self.found.foreign_keys;
        let mut keys: Vec<_> = keys
            .iter()
            .filter(|k| k.column_name == wanted.name)
            .collect();
        let action = words(reference.on_delete);
        if keys
            .iter()
            .any(|key| key.is(reference) && key.on_delete == action && key.flaw.is_none())
        {
            return;
        }
        let row = &self.table.row;
        let owner = &reference.owner;
        keys.sort_by_key(|key| !key.is(reference));
        let found = match keys.first() {
            None => format!("has no foreign key: {row} could outlive its {owner}"),
            Some(key) if !key.is(reference) => format!(
                "refers to {}.{}, not {}.{}: {row} could outlive its {owner}",
                key.to_table, key.to_column, reference.table, reference.column
            ),
            Some(key) if key.on_delete != action => {
                let harm = match key.on_delete.as_str() {
                    "CASCADE" => format!("{row} could vanish with its {owner}"),
                    "SET NULL" => format!("{row} could belong to nobody"),
                    "SET DEFAULT" => format!("{row} could pass to another {owner}"),
                    _ => format!(
                        "{} could be gone before {row} is looked for",
                        with_article(owner)
                    ),
                };
                format!("has a foreign key with ON DELETE {}: {harm}", key.on_delete)
            }
            Some(key) => {
                let to = format!("a foreign key to {}.{}", key.to_table, key.to_column);
                match key.flaw {
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
                    Some(KeyFlaw::NotValidated) | None => format!(
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

    fn lower_case(&mut self, wanted: &Wanted) {
        let name = wanted.name;
        let demand = format!("{name}=lower{name}");
        if wanted.lower_case && !self.found.checks.contains(&demand) {
            self.differs(
                name,
                &format!("a check that {name} = lower({name})"),
                "may hold capital letters: one address could sign up twice".to_owned(),
            );
        }
    }

    fn readable(&mut self, wanted: &Wanted) {
        let Some(readable) = self.catalogue.dialect.readable else {
            return;
        };
        let name = wanted.name;
        if wanted.kind == ColumnType::TimestampWithTimeZone
            && !self.found.checks.contains(&readable(name))
        {
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

    fn taken_for_one(&self) -> String {
        format!("{} could be taken for one", self.table.name)
    }

    /// Notes every index but the judge that is over this column alone.
    fn redundant(&mut self, wanted: &Wanted, judge: &str) {
        let others = self.found.indexes.iter().filter(|index| {
            index.is_over(wanted.name) && index.flaw.is_none() && index.name != judge
        });
        self.outcome
            .redundant
            .extend(others.map(|index| RedundantIndex {
                table: self.table.name.clone(),
                column: wanted.name,
                name: index.name.clone(),
            }));
    }
}

impl Setting {
    /// What is needed, and what is there.
    fn words(&self, connection: &str) -> (&'static str, String) {
        let on = format!("on this {connection}");
        match self {
            Self::ForeignKeysOff => (
                "foreign keys on",
                format!("foreign keys are off {on}: a user could be deleted under a host"),
            ),
            Self::ForeignKeysOffAtFirst => (
                "foreign keys on",
                format!(
                    "foreign keys are off on every new {connection}: \
                     a user could be deleted under a host"
                ),
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
            Self::CharacterSet(found) => (
                "utf8mb4",
                format!("{found} {on}: an address could be stored as another one"),
            ),
            Self::ReadUncommitted => (
                "READ COMMITTED or stricter",
                format!(
                    "transactions read uncommitted rows {on}: a host could be found and never be stored"
                ),
            ),
        }
    }
}

/// What a unique index lacks to keep a column unique. The first says most of what is there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Nearly {
    Invalid,
    Deferrable,
    Partial,
    Prefix,
    Expression,
    Composite,
}

impl Index {
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
            [_] if self.has(column) => self.flaw.map(|flaw| match flaw {
                Flaw::Partial => Nearly::Partial,
                Flaw::Deferrable => Nearly::Deferrable,
                Flaw::Invalid => Nearly::Invalid,
                Flaw::Prefix => Nearly::Prefix,
            }),
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
        self.to_table == wanted.table && self.to_column == wanted.column
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
