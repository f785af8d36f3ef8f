//! The relations of each entity, and what they are called.
//!
//! Of several foreign keys between two tables one is the principal way: the unique one, then the one
//! whose columns have the name of the other table, then the first in the table. Its relation is named
//! after the other entity (`user`, `host`, `reviews`), the others after their columns (`approved_by`,
//! `hosts_by_approved_by`), so that a new column renames nothing.

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
}

impl<'a> Way<'a> {
    fn reference(self) -> &'a Reference {
        &self.from.references[self.place]
    }

    fn is(self, other: Way<'_>) -> bool {
        self.from.name == other.from.name && self.place == other.place
    }

    /// How good a way it is to the other table: the least is the best.
    fn rank(self, module: &str) -> impl Ord {
        let reference = self.reference();
        let is_unique = self.from.is_unique(&reference.columns);
        let is_named = names::stem(&reference.columns) == module;
        let is_certain = !self.from.is_optional(reference);
        let first = |column: &String| self.from.columns.iter().position(|c| c.name == *column);
        (
            Reverse((
                is_unique && is_named,
                is_unique && is_certain,
                is_named,
                is_unique,
            )),
            reference.columns.iter().filter_map(first).min(),
            self.from.name.clone(),
        )
    }
}

/// What is taken in one entity.
#[derive(Default)]
struct Taken {
    fields: BTreeSet<String>,
    variants: BTreeSet<String>,
}

impl Taken {
    fn field(&mut self, name: &str) -> String {
        // SeaORM makes longer names of it, in which an underscore at the end would be in the middle.
        let name = match name.strip_suffix('_') {
            Some(word) => format!("{word}_row"),
            None => name.to_owned(),
        };
        let field = free(&self.fields, name, "_row");
        self.fields.insert(field.clone());
        field
    }

    fn variant(&mut self, field: &str) -> String {
        let variant = free(&self.variants, variant(field), "Row");
        self.variants.insert(variant.clone());
        // SeaORM calls the way back of a table to itself this.
        self.variants.insert(format!("{variant}Reverse"));
        variant
    }
}

fn free(taken: &BTreeSet<String>, mut name: String, end: &str) -> String {
    while taken.contains(&name) {
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
}

/// The relations of every table, in the order of the tables: its own foreign keys, then those to it,
/// then many to many.
pub(super) fn of<'a>(
    tables: &'a [Table],
    modules: &'a BTreeMap<&str, String>,
    fields: &[BTreeMap<&str, String>],
) -> Vec<Vec<Relation<'a>>> {
    let graph = Graph::new(tables, modules);
    let taken = tables.iter().zip(fields);
    let mut taken: Vec<_> = taken
        .map(|(table, fields)| graph.taken(table, fields))
        .collect();
    let mut ends: Vec<_> = tables.iter().flat_map(|table| graph.ends(table)).collect();
    // The ways that `Related` goes have the first choice of names, at both ends: a has-one would lose
    // its own to any other way. A way back is called by the way there, which comes before it.
    ends.sort_by_key(|end| (!end.is_related, !end.is_forward));
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
    graph.add_many_to_many(&mut relations, &mut taken);
    relations
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
                let to = graph.table(&reference.table);
                graph.ways.extend(to.map(|to| (Way { from, place }, to)));
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

    /// The best foreign key from one table to another.
    fn principal(&self, from: &Table, to: &Table) -> Option<Way<'a>> {
        let ways = self.ways(from, true).into_iter();
        let there = ways.filter(|(_, other)| other.name == to.name);
        there
            .map(|(way, _)| way)
            .min_by_key(|way| way.rank(self.module(to)))
    }

    /// The best foreign key between two tables, whichever of them has it.
    fn related(&self, a: &Table, b: &Table) -> Option<Way<'a>> {
        if a.name == b.name {
            return None;
        }
        let ways = [(a, b), (b, a)];
        let best = ways.iter().filter_map(|(from, to)| {
            let way = self.principal(from, to)?;
            Some((way.rank(self.module(to)), way))
        });
        best.min_by(|a, b| a.0.cmp(&b.0)).map(|(_, way)| way)
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
                });
            }
        }
        ends
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
        } = end;
        let reference = way.reference();
        let stem = names::stem(&reference.columns);
        let is_self = table.name == other.name;
        let is_unique = way.from.is_unique(&reference.columns);
        let (from, to) = if is_forward {
            (table, other)
        } else {
            (other, table)
        };
        let is_principal = self.principal(from, to).is_some_and(|best| best.is(way));
        let base = match is_forward || is_unique {
            true => self.module(other).to_owned(),
            false => names::plural(&other.name, self.module(other)),
        };
        let field = taken.field(&match (is_forward, is_principal && !is_self) {
            (_, true) => base,
            (true, false) => stem,
            (false, false) => format!("{}_by_{stem}", base.trim_end_matches('_')),
        });
        let is_one_of_several = self.count(table, other) > 1;
        let variant = match (is_self, is_one_of_several, is_related) {
            (false, false, _) => None,
            (false, true, true) => Some(variant(self.module(other))),
            (false, true, false) | (true, _, _) => Some(taken.variant(&field)),
        };
        Relation {
            field,
            module: (!is_self).then(|| self.module(other)),
            kind: match (is_forward, is_unique) {
                (true, _) => Kind::BelongsTo(reference),
                (false, true) => Kind::HasOne(there),
                (false, false) => Kind::HasMany(there),
            },
            variant,
            is_related: is_related && is_one_of_several,
        }
    }

    /// A junction is a table whose primary key is made up of its two foreign keys. Where there is
    /// another way between the two tables, the junction itself is the way.
    fn add_many_to_many(&self, relations: &mut [Vec<Relation<'a>>], taken: &mut [Taken]) {
        let junctions: Vec<_> = self
            .tables
            .iter()
            .filter_map(|t| self.junction(t))
            .collect();
        for &(junction, a, b) in &junctions {
            let is_between = |(_, x, y): &&(&Table, &Table, &Table)| {
                (x.name == a.name && y.name == b.name) || (x.name == b.name && y.name == a.name)
            };
            let is_only_one = junctions.iter().filter(is_between).count() == 1;
            if !is_only_one || self.count(a, b) > 0 {
                continue;
            }
            for (here, there) in [(a, b), (b, a)] {
                let place = self.index(here);
                let module = self.module(there);
                let field = taken[place].field(&names::plural(&there.name, module));
                relations[place].push(Relation {
                    field,
                    module: Some(module),
                    kind: Kind::Via(self.module(junction)),
                    variant: None,
                    is_related: false,
                });
            }
        }
    }

    fn junction(&self, table: &'a Table) -> Option<(&'a Table, &'a Table, &'a Table)> {
        let [one, two] = table.references.as_slice() else {
            return None;
        };
        let (a, b) = (self.table(&one.table)?, self.table(&two.table)?);
        let mut columns: Vec<_> = one.columns.iter().chain(&two.columns).collect();
        let mut key: Vec<_> = table.primary_key.iter().collect();
        columns.sort();
        key.sort();
        let is_between_two = a.name != b.name && a.name != table.name && b.name != table.name;
        let is_only_way = self.count(table, a) == 1 && self.count(table, b) == 1;
        (columns == key && is_between_two && is_only_way).then_some((table, a, b))
    }
}
