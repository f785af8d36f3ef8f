//! Texts of statements, built once each.
//!
//! SeaORM builds the text of a statement anew for every call, which takes longer than everything
//! else in the process. The text depends only on the entities and the names of their tables, the
//! backend and which columns of the rows are set, so it is kept, and a call binds its values to it
//! (D13).

use std::{
    any::TypeId,
    collections::HashMap,
    mem::{Discriminant, discriminant},
    sync::{LazyLock, PoisonError, RwLock},
};

use sea_orm::{
    ActiveModelTrait, DbBackend, EntityTrait, Iterable, Statement, Value, sea_query::Values,
};

static TEXTS: LazyLock<RwLock<HashMap<Key, String>>> = LazyLock::new(RwLock::default);

/// What a text depends on. An app has few of them, since its source fixes the columns that it sets.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    name: &'static str,
    backend: Discriminant<DbBackend>,
    tables: Vec<Table>,
    set_columns: Vec<bool>,
}

/// A table under the name that its entity has now: an entity may name another one for each tenant.
#[derive(PartialEq, Eq, Hash)]
struct Table {
    entity: TypeId,
    schema: Option<String>,
    name: &'static str,
}

impl Table {
    fn of<E: EntityTrait>() -> Self {
        let entity = E::default();
        Self {
            entity: TypeId::of::<E>(),
            schema: entity.schema_name().map(str::to_owned),
            name: entity.table_name(),
        }
    }
}

/// A statement whose text is, or will be, known.
pub(super) struct Text {
    key: Key,
    backend: DbBackend,
    values: Vec<Value>,
}

impl Text {
    /// The statement of this name, which is unique for the entity.
    pub(super) fn of<E: EntityTrait>(name: &'static str, backend: DbBackend) -> Self {
        Self {
            key: Key {
                name,
                backend: discriminant(&backend),
                tables: vec![Table::of::<E>()],
                set_columns: Vec::new(),
            },
            backend,
            values: Vec::new(),
        }
    }

    /// Adds another table that the statement names.
    pub(super) fn and<E: EntityTrait>(mut self) -> Self {
        self.key.tables.push(Table::of::<E>());
        self
    }

    /// Binds the columns of the row that are set, in the entity's order.
    pub(super) fn row<E: EntityTrait>(mut self, row: &E::ActiveModel) -> Self {
        for column in E::Column::iter() {
            let value = row.get(column).into_value();
            self.key.set_columns.push(value.is_some());
            self.values.extend(value);
        }
        self
    }

    /// Binds one value.
    pub(super) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Binds one value, or none.
    pub(super) fn bind_if(mut self, binds: bool, value: &Value) -> Self {
        if binds {
            self.values.push(value.clone());
        }
        self
    }

    /// The statement; `build` is called for the first of its kind only, and always in a debug
    /// build, which compares the two.
    pub(super) fn or_build(self, build: impl FnOnce(DbBackend) -> Statement) -> Statement {
        let Self {
            key,
            backend,
            values,
        } = self;
        let known = TEXTS
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .cloned();
        let sql = match known {
            Some(sql) if cfg!(not(debug_assertions)) => sql,
            known => {
                let built = build(backend);
                debug_assert_eq!(built.values.as_ref().map(|built| &built.0), Some(&values));
                debug_assert!(known.is_none_or(|known| known == built.sql), "{}", key.name);
                let mut texts = TEXTS.write().unwrap_or_else(PoisonError::into_inner);
                texts.insert(key, built.sql.clone());
                built.sql
            }
        };
        Statement {
            sql,
            values: Some(Values(values)),
            db_backend: backend,
        }
    }
}
