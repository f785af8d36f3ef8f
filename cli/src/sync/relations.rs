//! The relations of each entity, and what they are called.
//!
//! A foreign key that is unique and not null, or whose columns have the name of the other table, is
//! called after the tables (`user`, `host`, `reviews`); of several such keys the best one is. Any other
//! is called after its columns (`approved_by`, `hosts_by_approved_by`), even where it is the only one:
//! a new one renames nothing unless it is unique.
//!
//! A has-one has its name before the columns have theirs: a new column renames none.
//!
//! `Related` leads along the has-one, or else along the first key in the table, which was there before
//! the others.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use heck::ToUpperCamelCase;

use super::{
    names,
    table::{Reference, Table},
};

/// A relation of an entity.
pub(super) struct Relation<'a> {
    pub(super) field: String,
    /// The module of the other entity; `None` for the entity itself.
    pub(super) module: Option<&'a str>,
    pub(super) kind: Kind<'a>,
    /// The name of the relation, where the other entity's name is not enough.
    pub(super) variant: Option<String>,
    /// Whether `Related` has to be written out for this way: SeaORM implements it for none of several
    /// ways to one entity.
    pub(super) is_related: bool,
}

pub(super) enum Kind<'a> {
    BelongsTo(&'a Reference),
    /// With the name of the way there, where there are several.
    HasOne(Option<String>),
    HasMany(Option<String>),
    /// Many to many, through this module.
    Via(&'a str),
}

/// A foreign key and the table that has it.
#[derive(Clone, Copy)]
struct Way<'a> {
    from: &'a Table,
    place: usize,
    /// The module of the table that it leads to.
    module: &'a str,
}

impl<'a> Way<'a> {
    fn reference(self) -> &'a Reference {
        &self.from.references[self.place]
    }

    fn is(self, other: Way<'_>) -> bool {
        self.from.name == other.from.name && self.place == other.place
    }

    fn is_unique(self) -> bool {
        self.from.is_unique(&self.reference().columns)
    }

    /// Whether the columns have the name of the other table, or the names that they have there.
    fn is_named(self) -> bool {
        let reference = self.reference();
        names::stem(reference) == self.module || reference.columns == reference.foreign_columns
    }

    /// Whether every row has one, and a row of its own.
    fn is_one_to_one(self) -> bool {
        self.is_unique() && !self.from.is_optional(self.reference())
    }

    /// How good it is as the has-one between two tables: the least is the best.
    fn rank(self) -> Reverse<(bool, bool, bool)> {
        Reverse((
            self.is_one_to_one() && self.is_named(),
            self.is_one_to_one(),
            self.is_unique() && self.is_named(),
        ))
    }

    /// Where its first column is in the table.
    fn position(self) -> Option<usize> {
        let position = |column: &String| self.from.columns.iter().position(|c| c.name == *column);
        self.reference().columns.iter().filter_map(position).min()
    }
}

/// What is taken in one entity.
#[derive(Default)]
struct Taken {
    fields: BTreeSet<String>,
    /// What SeaORM makes of the fields, which it does not keep apart itself.
    methods: BTreeSet<String>,
    variants: BTreeSet<String>,
}

impl Taken {
    /// The field of a relation; `methods` is what SeaORM makes of a field of that name.
    fn field(&mut self, name: &str, methods: impl Fn(&str) -> Vec<String>) -> String {
        let field = free(of_relation(name), "_row", |name| {
            let is_made = |method| self.methods.contains(method);
            self.fields.contains(name) || methods(name).iter().any(is_made)
        });
        self.methods.extend(methods(&field));
        self.fields.insert(field.clone());
        field
    }

    fn variant(&mut self, field: &str) -> String {
        let variant = free(variant(field), "Row", |name| self.variants.contains(name));
        self.variants.insert(variant.clone());
        // SeaORM calls the way back of a table to itself this.
        self.variants.insert(format!("{variant}Reverse"));
        variant
    }
}

/// SeaORM makes longer names of a relation's, in which an underscore at the end would be in the middle.
fn of_relation(name: &str) -> String {
    match name.strip_suffix('_') {
        Some(word) => format!("{word}_row"),
        None => name.to_owned(),
    }
}

fn free(mut name: String, end: &str, is_taken: impl Fn(&str) -> bool) -> String {
    while is_taken(&name) {
        name.truncate(name.trim_end_matches('_').len());
        name.push_str(end);
    }
    name
}

/// A name in camel case, as SeaORM makes it of the name it is given, which may be in camel case.
fn variant(name: &str) -> String {
    name.to_upper_camel_case().to_upper_camel_case()
}

/// One end of a foreign key.
struct End<'a> {
    way: Way<'a>,
    is_forward: bool,
    /// The table at this end, and the one at the other.
    table: &'a Table,
    other: &'a Table,
    /// Whether `Related` goes this way.
    is_related: bool,
    /// What the relation is called.
    field: String,
}

impl End<'_> {
    /// What SeaORM makes of a field of this name at this end.
    fn methods(&self, field: &str) -> Vec<String> {
        let way = self.way;
        if !self.is_forward && !way.is_unique() {
            return adder(field);
        }
        let mut methods = vec![setter(field)];
        if !self.is_forward || way.from.is_optional(way.reference()) {
            methods.push(setter(&format!("{field}_option")));
        }
        methods
    }
}

fn setter(field: &str) -> String {
    format!("set_{field}")
}

fn adder(field: &str) -> Vec<String> {
    vec![format!("add_{}", pluralizer::pluralize(field, 1, false))]
}

/// The names of a table's has-ones, which no column takes: one that an app adds would rename them.
#[derive(Default)]
pub(super) struct HasOnes {
    fields: BTreeSet<String>,
    methods: BTreeSet<String>,
}

impl HasOnes {
    /// Of every table, in the order of the tables.
    pub(super) fn of(tables: &[Table], modules: &BTreeMap<&str, String>) -> Vec<Self> {
        let graph = Graph::new(tables, modules);
        let of_table = |table| {
            let mut names = Self::default();
            for end in graph.ends(table) {
                if !end.is_forward && end.way.is_unique() {
                    let field = of_relation(&end.field);
                    names.methods.extend(end.methods(&field));
                    names.fields.insert(field);
                }
            }
            names
        };
        tables.iter().map(of_table).collect()
    }

    /// Whether a field of this name would be in the way of a has-one.
    pub(super) fn take(&self, field: &str) -> bool {
        self.fields.contains(field) || self.methods.contains(&setter(field))
    }
}

/// The relations of every table, in the order of the tables: its own foreign keys, then those to it,
/// then many to many. And a note on each many-to-many that is left out.
pub(super) fn of<'a>(
    tables: &'a [Table],
    modules: &'a BTreeMap<&str, String>,
    fields: &[BTreeMap<&str, String>],
) -> (Vec<Vec<Relation<'a>>>, Vec<String>) {
    let graph = Graph::new(tables, modules);
    let taken = tables.iter().zip(fields);
    let mut taken: Vec<_> = taken
        .map(|(table, fields)| graph.taken(table, fields))
        .collect();
    let mut ends: Vec<_> = tables.iter().flat_map(|table| graph.ends(table)).collect();
    // The ways that `Related` goes have the first choice of names, at both ends: a has-one would lose
    // its own to any other way. Of `host` and `host_option` the first one makes the second one's method.
    ends.sort_by_cached_key(|end| (!end.is_related, end.field.clone(), !end.is_forward));
    for end in &mut ends {
        let taken = &mut taken[graph.index(end.table)];
        end.field = taken.field(&end.field, |field| end.methods(field));
    }
    // A way back is called by the way there.
    ends.sort_by_key(|end| !end.is_forward);
    let mut relations: Vec<Vec<(bool, Relation<'_>)>> = tables.iter().map(|_| Vec::new()).collect();
    let mut ways_there: Vec<(Way<'_>, Option<String>)> = Vec::new();
    for end in ends {
        let there = ways_there.iter().find(|(way, _)| way.is(end.way));
        let there = there.and_then(|(_, variant)| variant.clone());
        let place = graph.index(end.table);
        let relation = graph.relation(&end, there, &mut taken[place]);
        if end.is_forward {
            ways_there.push((end.way, relation.variant.clone()));
        }
        relations[place].push((end.is_forward, relation));
    }
    let mut relations: Vec<_> = relations.into_iter().map(in_order).collect();
    let left_out = graph.add_many_to_many(&mut relations, &mut taken);
    (relations, left_out)
}

fn in_order(mut relations: Vec<(bool, Relation<'_>)>) -> Vec<Relation<'_>> {
    relations.sort_by(|(a_forward, a), (b_forward, b)| {
        (b_forward, &a.field).cmp(&(a_forward, &b.field))
    });
    relations
        .into_iter()
        .map(|(_, relation)| relation)
        .collect()
}

struct Graph<'a> {
    /// By name.
    tables: &'a [Table],
    modules: &'a BTreeMap<&'a str, String>,
    /// Every foreign key, with the table it leads to.
    ways: Vec<(Way<'a>, &'a Table)>,
}

impl<'a> Graph<'a> {
    fn new(tables: &'a [Table], modules: &'a BTreeMap<&'a str, String>) -> Self {
        let mut graph = Self {
            tables,
            modules,
            ways: Vec::new(),
        };
        for from in tables {
            for (place, reference) in from.references.iter().enumerate() {
                let Some(to) = graph.table(&reference.table) else {
                    continue;
                };
                let module = graph.module(to);
                let way = Way {
                    from,
                    place,
                    module,
                };
                graph.ways.push((way, to));
            }
        }
        graph
    }

    fn index(&self, table: &Table) -> usize {
        self.place(&table.name).unwrap_or_default()
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.tables
            .binary_search_by(|table| table.name.as_str().cmp(name))
            .ok()
    }

    fn module(&self, table: &Table) -> &'a str {
        &self.modules[table.name.as_str()]
    }

    /// What the columns of a table take, and the names by which SeaORM calls relations itself: those of
    /// its neighbours, and of theirs, to which many-to-many relations lead.
    fn taken(&self, table: &Table, fields: &BTreeMap<&str, String>) -> Taken {
        let near = self.neighbours(table).into_iter();
        let others = near.flat_map(|other| [vec![other], self.neighbours(other)].concat());
        let modules = others.map(|other| self.module(other));
        Taken {
            fields: fields.values().cloned().collect(),
            methods: fields
                .values()
                .map(String::as_str)
                .chain(names::HIDING)
                .map(setter)
                .collect(),
            variants: modules
                .flat_map(|module| [module.to_upper_camel_case(), variant(module)])
                .collect(),
        }
    }

    fn table(&self, name: &str) -> Option<&'a Table> {
        Some(&self.tables[self.place(name)?])
    }

    /// The foreign keys of the table, or those to it, with the table at the other end. Those to
    /// itself are its own.
    fn ways(&self, table: &Table, is_forward: bool) -> Vec<(Way<'a>, &'a Table)> {
        let ways = self.ways.iter().filter_map(|&(way, to)| match is_forward {
            true => (way.from.name == table.name).then_some((way, to)),
            false => {
                (to.name == table.name && way.from.name != table.name).then_some((way, way.from))
            }
        });
        ways.collect()
    }

    fn neighbours(&self, table: &Table) -> Vec<&'a Table> {
        let ways = [true, false]
            .into_iter()
            .flat_map(|forward| self.ways(table, forward));
        let others = ways.map(|(_, other)| other);
        others.filter(|other| other.name != table.name).collect()
    }

    /// The foreign keys from one table to another.
    fn between(&self, from: &Table, to: &Table) -> impl Iterator<Item = Way<'a>> {
        let ways = self.ways(from, true).into_iter();
        ways.filter_map(move |(way, other)| (other.name == to.name).then_some(way))
    }

    /// The foreign key from one table to another that is called after the tables.
    fn principal(&self, from: &Table, to: &Table) -> Option<Way<'a>> {
        self.between(from, to)
            .filter(|way| way.is_one_to_one() || way.is_named())
            .min_by_key(|way| (way.rank(), way.position()))
    }

    /// The best foreign key between two tables, whichever of them has it.
    fn related(&self, a: &Table, b: &Table) -> Option<Way<'a>> {
        if a.name == b.name {
            return None;
        }
        let best = |from: &Table, to: &Table| {
            let ways = self.between(from, to);
            ways.min_by_key(|way| (way.rank(), way.position()))
        };
        let ways = [best(a, b), best(b, a)].into_iter().flatten();
        ways.min_by_key(|way| (way.rank(), !way.is_named(), way.position(), &way.from.name))
    }

    /// How many relations a table has to another one.
    fn count(&self, table: &Table, other: &Table) -> usize {
        let ways = [true, false]
            .into_iter()
            .flat_map(|forward| self.ways(table, forward));
        ways.filter(|(_, end)| end.name == other.name).count()
    }

    fn ends(&self, table: &'a Table) -> Vec<End<'a>> {
        let mut ends = Vec::new();
        for is_forward in [true, false] {
            for (way, other) in self.ways(table, is_forward) {
                let best = self.related(table, other);
                ends.push(End {
                    way,
                    is_forward,
                    table,
                    other,
                    is_related: best.is_some_and(|best| best.is(way)),
                    field: self.name(way, is_forward, table, other),
                });
            }
        }
        ends
    }

    /// What the relation at one end of a foreign key is called, unless that is taken.
    fn name(&self, way: Way<'_>, is_forward: bool, table: &Table, other: &Table) -> String {
        let stem = names::stem(way.reference());
        let base = match is_forward || way.is_unique() {
            true => self.module(other).to_owned(),
            false => names::plural(&other.name, self.module(other)),
        };
        let to = if is_forward { other } else { table };
        let best = self.principal(way.from, to);
        let is_principal = best.is_some_and(|best| best.is(way)) && table.name != other.name;
        match (is_forward, is_principal) {
            (_, true) => base,
            (true, false) => stem,
            (false, false) => format!("{}_by_{stem}", base.trim_end_matches('_')),
        }
    }

    /// The relation at this end. Where there are several to the other table, `there` is what the way
    /// there is called.
    fn relation(&self, end: &End<'a>, there: Option<String>, taken: &mut Taken) -> Relation<'a> {
        let &End {
            way,
            is_forward,
            table,
            other,
            is_related,
            ref field,
        } = end;
        let is_self = table.name == other.name;
        let is_one_of_several = self.count(table, other) > 1;
        let variant = match (is_self, is_one_of_several, is_related) {
            (false, false, _) => None,
            (false, true, true) => Some(variant(self.module(other))),
            (false, true, false) | (true, _, _) => Some(taken.variant(field)),
        };
        Relation {
            field: field.clone(),
            module: (!is_self).then(|| self.module(other)),
            kind: match (is_forward, way.is_unique()) {
                (true, _) => Kind::BelongsTo(way.reference()),
                (false, true) => Kind::HasOne(there),
                (false, false) => Kind::HasMany(there),
            },
            variant,
            is_related: is_related && is_one_of_several,
        }
    }

    /// A junction is a table whose primary key is made up of two foreign keys; a third one does not
    /// matter unless it leads to one of the same tables. Where there is another way between the two
    /// tables, the junction itself is the way, which a note says.
    fn add_many_to_many(
        &self,
        relations: &mut [Vec<Relation<'a>>],
        taken: &mut [Taken],
    ) -> Vec<String> {
        let mut left_out = Vec::new();
        let junctions: Vec<_> = self
            .tables
            .iter()
            .filter_map(|t| self.junction(t))
            .collect();
        let leads_once = |(junction, a, b): &(&Table, &Table, &Table)| {
            self.count(junction, a) == 1 && self.count(junction, b) == 1
        };
        for of_two in &junctions {
            let &(junction, a, b) = of_two;
            let is_between = |(_, x, y): &&(&Table, &Table, &Table)| {
                (x.name == a.name && y.name == b.name) || (x.name == b.name && y.name == a.name)
            };
            let rivals = junctions.iter().filter(|junction| leads_once(junction));
            let is_only_one = leads_once(of_two) && rivals.filter(is_between).count() == 1;
            if !is_only_one || self.count(a, b) > 0 {
                left_out.push(format!(
                    "the many-to-many of {} and {} by {} is left out: there is another way between \
                     them",
                    a.name, b.name, junction.name
                ));
                continue;
            }
            for (here, there) in [(a, b), (b, a)] {
                let place = self.index(here);
                let module = self.module(there);
                let field = taken[place].field(&names::plural(&there.name, module), adder);
                relations[place].push(Relation {
                    field,
                    module: Some(module),
                    kind: Kind::Via(self.module(junction)),
                    variant: None,
                    is_related: false,
                });
            }
        }
        left_out
    }

    fn junction(&self, table: &'a Table) -> Option<(&'a Table, &'a Table, &'a Table)> {
        let key = &table.primary_key;
        let is_of_key = |r: &&Reference| r.columns.iter().all(|column| key.contains(column));
        let references: Vec<_> = table.references.iter().filter(is_of_key).collect();
        let [one, two] = references.as_slice() else {
            return None;
        };
        let (a, b) = (self.table(&one.table)?, self.table(&two.table)?);
        let columns: BTreeSet<_> = one.columns.iter().chain(&two.columns).collect();
        let is_whole =
            columns.len() == key.len() && one.columns.len() + two.columns.len() == key.len();
        let is_between_two = a.name != b.name && a.name != table.name && b.name != table.name;
        (is_whole && is_between_two).then_some((table, a, b))
    }
}
