//! The model as data, for what is generated from it: clients, documentation, forms.

use std::collections::BTreeMap;

use sea_orm::{
    ColumnTrait, ColumnType, EntityTrait, IdenStatic, Identity, Iterable, ModelTrait,
    PrimaryKeyToColumn, RelationDef, RelationTrait, RelationType,
    sea_query::{
        ArrayType, ForeignKeyAction, ForeignKeyBuilder, MysqlQueryBuilder, PostgresQueryBuilder,
        SqliteQueryBuilder, TableBuilder, TableName, TableRef,
    },
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error as _, Visitor, value},
    forward_to_deserialize_any,
};

use crate::{
    accounts::{AccountSummary, AccountView, GuestSummary, GuestView, HostSummary, HostView},
    guest, host,
    model::Model,
    schema::model_name,
    user,
};

/// The whole model: what [`describe()`] returns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Schema {
    /// The table of each model: `{"guest": "guests", …}`.
    pub models: BTreeMap<String, String>,
    /// The tables, by name.
    pub tables: BTreeMap<String, TableSchema>,
}

/// One table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TableSchema {
    /// The model whose rows it holds, such as `guest`.
    pub model: String,
    /// The columns, in the order of the table.
    pub columns: Vec<ColumnSchema>,
    /// The associations, in the order of the entity.
    pub associations: Vec<Association>,
    /// What of a row may leave the server.
    pub views: Views,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ColumnSchema {
    /// The name in the database, which is also that of the model's field.
    pub name: String,
    /// The type in the database.
    pub database_type: PerBackend,
    /// The type of one value in the model, by its name in `sea_orm::entity::prelude`. A nullable
    /// column has an `Option` of it, an array a `Vec`; for an enum it is the type of the stored
    /// values.
    pub rust_type: String,
    /// Whether it is the primary key or a part of it.
    pub primary_key: bool,
    /// Whether it may be null.
    pub nullable: bool,
    /// Whether no two rows share a value: a unique index or the primary key is on this column
    /// alone.
    pub unique: bool,
    /// Whether it holds any number of values.
    pub array: bool,
    /// The values it may have, if it is an enum.
    pub enum_values: Option<Vec<String>>,
    /// The database's own value for a row that is written without this column; `None` if such a row
    /// is refused, and for a table of the app's own, whose entity does not declare it. Rows saved
    /// through SeaORM never need it: the entities set these columns.
    pub default: Option<PerBackend>,
}

/// What each backend spells differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PerBackend {
    /// In SQLite; `None` if it has no such thing.
    pub sqlite: Option<String>,
    /// In PostgreSQL; `None` if it has no such thing.
    pub postgres: Option<String>,
    /// In MariaDB and MySQL; `None` if they have no such thing.
    pub mysql: Option<String>,
}

/// A link from the rows of one table to those of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Association {
    /// The name of the entity's relation, in snake case: `host`.
    pub name: String,
    /// How many rows it leads to, and which side has the foreign key.
    pub kind: AssociationKind,
    /// The table it leads to.
    pub table: String,
    /// The column of the foreign key: in this table for [`AssociationKind::BelongsTo`], else in
    /// the other one. Columns of a composite key are separated by commas.
    pub foreign_key: String,
    /// The column that the foreign key refers to, in the table that does not have the key.
    pub references: String,
    /// Whether there may be no row at the other end. The guest of a user is optional, since
    /// [`sign_up`](crate::sign_up) makes it and the database does not require it.
    pub optional: bool,
    /// What the foreign key does when the row it refers to is deleted, as in SQL: `RESTRICT`.
    /// `None` on the side that does not have the key.
    pub on_delete: Option<String>,
}

/// The kind of an [`Association`]; in JSON `belongs_to`, `has_one`, `has_many`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AssociationKind {
    /// This table has the foreign key.
    BelongsTo,
    /// The other table has the foreign key, with a unique index on it.
    HasOne,
    /// The other table has the foreign key.
    HasMany,
}

/// The keys of the JSON that shows a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Views {
    /// Of one row: [`AccountView`], [`GuestView`], [`HostView`].
    pub default: Vec<String>,
    /// In a list: [`AccountSummary`], [`GuestSummary`], [`HostSummary`].
    pub summary: Vec<String>,
}

/// Describes users, guests and hosts, as the entities, the views and the migrated database have
/// them.
///
/// Each call makes it from the entities and the views, without a database. It covers all three
/// backends, whatever features are on; two calls give the same JSON, byte for byte.
///
/// Types and defaults are those of the migrated database. The entities declare neither the type of
/// a timestamp on MariaDB nor any default; these follow from the type of the column, as they do in
/// the migrations.
///
/// # Examples
///
/// ```
/// use guesthouse::{AssociationKind, describe};
///
/// let schema = describe();
/// let users = &schema.tables[&schema.models["user"]];
/// let host = users.associations.iter().find(|other| other.name == "host").ok_or("no host")?;
/// assert_eq!((host.kind, host.optional), (AssociationKind::HasOne, true));
///
/// let json = serde_json::to_value(&schema)?;
/// let email = &json["tables"]["users"]["columns"][1];
/// assert_eq!(email["name"], "email");
/// assert_eq!(email["database_type"]["postgres"], "varchar(254)");
/// assert_eq!(email["unique"], true);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn describe() -> Schema {
    Model::accounts().describe()
}

impl Views {
    /// No keys: the app decides which parts of its own rows may leave the server.
    fn none() -> Self {
        Self {
            default: Vec::new(),
            summary: Vec::new(),
        }
    }
}

impl Schema {
    pub(crate) fn empty() -> Self {
        Self {
            models: BTreeMap::new(),
            tables: BTreeMap::new(),
        }
    }

    pub(crate) fn add_users(&mut self) {
        let views = Views {
            default: fields::<AccountView>(),
            summary: fields::<AccountSummary>(),
        };
        self.add_ours::<user::Entity>(views);
    }

    pub(crate) fn add_guests(&mut self) {
        let views = Views {
            default: fields::<GuestView>(),
            summary: fields::<GuestSummary>(),
        };
        self.add_ours::<guest::Entity>(views);
    }

    pub(crate) fn add_hosts(&mut self) {
        let views = Views {
            default: fields::<HostView>(),
            summary: fields::<HostSummary>(),
        };
        self.add_ours::<host::Entity>(views);
    }

    /// The entities declare no defaults; the migrations give one to every column of some types.
    fn add_ours<E: EntityTrait>(&mut self, views: Views) {
        self.add::<E>(views, default_of);
    }

    /// An entity of the app's own.
    pub(crate) fn add_theirs<E: EntityTrait>(&mut self) {
        self.add::<E>(Views::none(), |_, _| None);
    }

    fn add<E: EntityTrait>(
        &mut self,
        views: Views,
        default_of: fn(&ColumnType, bool) -> Option<PerBackend>,
    ) {
        let model = model_name::<E>();
        let columns: Vec<_> = E::Column::iter()
            .map(|name| column::<E>(name, default_of))
            .collect();
        let associations = E::Relation::iter()
            .map(|relation| association(&snake_case(&relation.name()), &relation.def(), &columns))
            .collect();
        let table = E::default().table_name().to_owned();
        self.models.insert(model.clone(), table.clone());
        let description = TableSchema {
            model,
            columns,
            associations,
            views,
        };
        self.tables.insert(table, description);
    }
}

fn column<E: EntityTrait>(
    column: E::Column,
    default_of: fn(&ColumnType, bool) -> Option<PerBackend>,
) -> ColumnSchema {
    let def = column.def();
    let kind = def.get_column_type();
    let element = match kind {
        ColumnType::Array(element) => element,
        kind => kind,
    };
    let primary_key =
        E::PrimaryKey::iter().any(|key| key.into_column().as_str() == column.as_str());
    ColumnSchema {
        name: column.as_str().to_owned(),
        database_type: database_type(kind),
        rust_type: rust_type(&E::Model::get_value_type(column)),
        primary_key,
        nullable: def.is_null(),
        unique: def.is_unique() || (primary_key && E::PrimaryKey::iter().count() == 1),
        array: matches!(kind, ColumnType::Array(_)),
        enum_values: match element {
            ColumnType::Enum { variants, .. } => {
                Some(variants.iter().map(ToString::to_string).collect())
            }
            _ => None,
        },
        default: default_of(kind, primary_key),
    }
}

/// As sea-query writes it into `CREATE TABLE`, where it can.
fn database_type(kind: &ColumnType) -> PerBackend {
    use ColumnType as T;

    fn rendered(by: &impl TableBuilder, kind: &T) -> String {
        let mut sql = String::new();
        by.prepare_column_type(kind, &mut sql);
        sql
    }
    // sea-query panics on these, or writes `unsupported`.
    let only_postgres = matches!(
        kind,
        T::Array(_) | T::Vector(_) | T::Interval(..) | T::Cidr | T::Inet | T::MacAddr | T::LTree
    );
    let not_sqlite = only_postgres || matches!(kind, T::Bit(_) | T::VarBit(_) | T::Year);
    let not_postgres = matches!(kind, T::Year);
    PerBackend {
        sqlite: (!not_sqlite).then(|| rendered(&SqliteQueryBuilder, kind)),
        postgres: (!not_postgres).then(|| rendered(&PostgresQueryBuilder, kind)),
        mysql: match kind {
            // The `timestamp` of sea-query is not what the migrations make: it ends in 2038.
            T::TimestampWithTimeZone => Some("datetime(6)".to_owned()),
            kind => (!only_postgres).then(|| rendered(&MysqlQueryBuilder, kind)),
        },
    }
}

/// The defaults that the migrations of this library give to columns of these types.
fn default_of(kind: &ColumnType, primary_key: bool) -> Option<PerBackend> {
    let (sqlite, postgres, mysql) = match kind {
        ColumnType::Uuid if primary_key => (
            "randomblob(16)",
            "gen_random_uuid()",
            "unhex(replace(uuid(), '-', ''))",
        ),
        ColumnType::TimestampWithTimeZone => (
            "strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')",
            "now()",
            "utc_timestamp(6)",
        ),
        _ => return None,
    };
    Some(PerBackend {
        sqlite: Some(sqlite.to_owned()),
        postgres: Some(postgres.to_owned()),
        mysql: Some(mysql.to_owned()),
    })
}

fn rust_type(kind: &ArrayType) -> String {
    let name = match kind {
        ArrayType::Bool => "bool",
        ArrayType::TinyInt => "i8",
        ArrayType::SmallInt => "i16",
        ArrayType::Int => "i32",
        ArrayType::BigInt => "i64",
        ArrayType::TinyUnsigned => "u8",
        ArrayType::SmallUnsigned => "u16",
        ArrayType::Unsigned => "u32",
        ArrayType::BigUnsigned => "u64",
        ArrayType::Float => "f32",
        ArrayType::Double => "f64",
        ArrayType::Char => "char",
        ArrayType::String | ArrayType::Enum(_) => "String",
        ArrayType::Bytes => "Vec<u8>",
        ArrayType::ChronoDate => "Date",
        ArrayType::ChronoTime => "Time",
        ArrayType::ChronoDateTime => "DateTime",
        ArrayType::ChronoDateTimeUtc => "DateTimeUtc",
        ArrayType::ChronoDateTimeLocal => "DateTimeLocal",
        ArrayType::ChronoDateTimeWithTimeZone => "DateTimeWithTimeZone",
        // `Uuid`, and what another crate's features may add, such as `Json`: named like the type.
        named => return format!("{named:?}"),
    };
    name.to_owned()
}

fn association(name: &str, relation: &RelationDef, columns: &[ColumnSchema]) -> Association {
    // SeaORM calls the side without the foreign key the owner.
    let kind = match (relation.is_owner, &relation.rel_type) {
        (false, _) => AssociationKind::BelongsTo,
        (true, RelationType::HasOne) => AssociationKind::HasOne,
        (true, RelationType::HasMany) => AssociationKind::HasMany,
    };
    let has_key = kind == AssociationKind::BelongsTo;
    let (key, referred) = if has_key {
        (&relation.from_col, &relation.to_col)
    } else {
        (&relation.to_col, &relation.from_col)
    };
    let may_be_null = |key: &Identity| {
        key.iter().any(|part| {
            let part = part.to_string();
            columns
                .iter()
                .any(|column| column.nullable && column.name == part)
        })
    };
    Association {
        name: name.to_owned(),
        kind,
        table: table_of(&relation.to_tbl),
        foreign_key: names(key),
        references: names(referred),
        optional: !has_key || may_be_null(key),
        on_delete: has_key.then(|| {
            let mut sql = String::new();
            let action = relation.on_delete.unwrap_or(ForeignKeyAction::NoAction);
            SqliteQueryBuilder.prepare_foreign_key_action(&action, &mut sql);
            sql
        }),
    }
}

fn table_of(table: &TableRef) -> String {
    match table {
        TableRef::Table(TableName(_, name), _) => name.to_string(),
        // A relation is between entities, and an entity is a table.
        other => format!("{other:?}"),
    }
}

fn names(columns: &Identity) -> String {
    let names: Vec<_> = columns.iter().map(ToString::to_string).collect();
    names.join(",")
}

/// SeaORM names the variant `CoverPhoto` after the module `cover_photo` that it leads to.
fn snake_case(variant: &str) -> String {
    let mut name = String::new();
    for letter in variant.chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

/// The names of the fields of `V`, in the order in which they are serialised.
///
/// A derived `Deserialize` begins by naming them, so no value of `V` is needed.
fn fields<V: DeserializeOwned>() -> Vec<String> {
    struct Listen<'a>(&'a mut Vec<String>);

    impl<'de> Deserializer<'de> for Listen<'_> {
        type Error = value::Error;

        fn deserialize_struct<T: Visitor<'de>>(
            self,
            _name: &'static str,
            fields: &'static [&'static str],
            _visitor: T,
        ) -> Result<T::Value, Self::Error> {
            self.0.extend(fields.iter().copied().map(str::to_owned));
            Err(value::Error::custom("heard all there is"))
        }

        fn deserialize_any<T: Visitor<'de>>(self, _visitor: T) -> Result<T::Value, Self::Error> {
            Err(value::Error::custom("not a struct"))
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
            option unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier
            ignored_any
        }
    }

    let mut heard = Vec::new();
    let _ = V::deserialize(Listen(&mut heard));
    heard
}

#[cfg(test)]
mod tests {
    use sea_orm::sea_query::{RcOrArc, StringLen};
    use uuid::Uuid;

    use super::*;

    /// What none of the three tables has.
    mod listing {
        use sea_orm::entity::prelude::*;

        #[derive(Clone, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
        #[sea_orm(rs_type = "String", db_type = "Enum", enum_name = "listing_state")]
        pub enum State {
            #[sea_orm(string_value = "draft")]
            Draft,
            #[sea_orm(string_value = "open")]
            Open,
        }

        #[sea_orm::model]
        #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
        #[sea_orm(table_name = "listings")]
        pub struct Model {
            #[sea_orm(primary_key)]
            pub id: i64,
            pub state: State,
            #[cfg(feature = "postgres")]
            pub tags: Vec<String>,
            pub cover_photo_id: Option<i32>,
            #[sea_orm(belongs_to, from = "cover_photo_id", to = "id", on_delete = "SetNull")]
            pub cover_photo: BelongsTo<Option<super::cover_photo::Entity>>,
            #[sea_orm(has_many)]
            pub stays: HasMany<super::stay::Entity>,
        }

        impl ActiveModelBehavior for ActiveModel {}
    }

    mod cover_photo {
        use sea_orm::entity::prelude::*;

        #[sea_orm::model]
        #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
        #[sea_orm(table_name = "photos")]
        pub struct Model {
            #[sea_orm(primary_key)]
            pub id: i32,
        }

        impl ActiveModelBehavior for ActiveModel {}
    }

    mod stay {
        use sea_orm::entity::prelude::*;

        #[sea_orm::model]
        #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
        #[sea_orm(table_name = "stays")]
        pub struct Model {
            #[sea_orm(primary_key, auto_increment = false)]
            pub listing_id: i64,
            #[sea_orm(primary_key, auto_increment = false)]
            pub night: Date,
            #[sea_orm(belongs_to, from = "listing_id", to = "id")]
            pub listing: BelongsTo<super::listing::Entity>,
        }

        impl ActiveModelBehavior for ActiveModel {}
    }

    fn described<E: EntityTrait>() -> TableSchema {
        let mut schema = Schema::empty();
        schema.add_theirs::<E>();
        schema.tables.remove(E::default().table_name()).unwrap()
    }

    fn found<'a>(columns: &'a [ColumnSchema], name: &str) -> &'a ColumnSchema {
        columns.iter().find(|column| column.name == name).unwrap()
    }

    #[test]
    fn enums_have_their_values() {
        let state = &described::<listing::Entity>().columns[1];
        assert_eq!(state.rust_type, "String");
        assert_eq!(
            state.enum_values,
            Some(vec!["draft".to_owned(), "open".to_owned()])
        );
        let types = &state.database_type;
        assert_eq!(types.postgres.as_deref(), Some("listing_state"));
        assert_eq!(types.mysql.as_deref(), Some("ENUM('draft', 'open')"));
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn arrays_are_recognised_by_their_elements() {
        let columns = described::<listing::Entity>().columns;
        let tags = found(&columns, "tags");
        assert!(tags.array && !tags.nullable);
        assert_eq!(tags.rust_type, "String");
        assert_eq!(
            tags.database_type,
            PerBackend {
                sqlite: None,
                postgres: Some("varchar[]".to_owned()),
                mysql: None,
            }
        );
    }

    #[test]
    fn a_nullable_key_is_an_optional_association() {
        let listings = described::<listing::Entity>();
        assert!(found(&listings.columns, "cover_photo_id").nullable);
        assert_eq!(
            listings.associations,
            [
                Association {
                    name: "cover_photo".to_owned(),
                    kind: AssociationKind::BelongsTo,
                    table: "photos".to_owned(),
                    foreign_key: "cover_photo_id".to_owned(),
                    references: "id".to_owned(),
                    optional: true,
                    on_delete: Some("SET NULL".to_owned()),
                },
                Association {
                    name: "stay".to_owned(),
                    kind: AssociationKind::HasMany,
                    table: "stays".to_owned(),
                    foreign_key: "listing_id".to_owned(),
                    references: "id".to_owned(),
                    optional: true,
                    on_delete: None,
                },
            ]
        );
    }

    #[test]
    fn one_part_of_a_composite_key_is_not_unique() {
        let stays = described::<stay::Entity>();
        for column in &stays.columns {
            assert!(column.primary_key && !column.unique, "{column:?}");
        }
        let listing = &stays.associations[0];
        assert_eq!(listing.on_delete.as_deref(), Some("NO ACTION"));
        assert!(!listing.optional);
    }

    /// A type that a backend lacks does not panic.
    #[test]
    fn every_type_is_rendered_or_none() {
        use ColumnType as T;
        for (kind, missing) in [
            (T::Array(RcOrArc::new(T::Text)), "sqlite mysql"),
            (T::Vector(Some(3)), "sqlite mysql"),
            (T::Interval(None, None), "sqlite mysql"),
            (T::Cidr, "sqlite mysql"),
            (T::Inet, "sqlite mysql"),
            (T::MacAddr, "sqlite mysql"),
            (T::LTree, "sqlite mysql"),
            (T::Bit(Some(1)), "sqlite"),
            (T::VarBit(1), "sqlite"),
            (T::Year, "sqlite postgres"),
            (T::Char(None), ""),
            (T::String(StringLen::None), ""),
            (T::Text, ""),
            (T::Blob, ""),
            (T::BigUnsigned, ""),
            (T::Double, ""),
            (T::Decimal(None), ""),
            (T::Money(None), ""),
            (T::DateTime, ""),
            (T::TimestampWithTimeZone, ""),
            (T::Binary(16), ""),
            (T::VarBinary(StringLen::Max), ""),
            (T::Boolean, ""),
            (T::JsonBinary, ""),
            (T::Uuid, ""),
        ] {
            let types = database_type(&kind);
            for (backend, spelling) in [
                ("sqlite", types.sqlite),
                ("postgres", types.postgres),
                ("mysql", types.mysql),
            ] {
                let known = spelling.is_some_and(|spelling| !spelling.is_empty());
                assert_eq!(known, !missing.contains(backend), "{kind:?} on {backend}");
            }
        }
    }

    /// The keys described for the views are those of their JSON.
    #[test]
    fn views_are_the_keys_of_the_json() {
        fn assert_keys<V: Serialize + DeserializeOwned>(view: V) {
            let text = serde_json::to_string(&view).unwrap();
            let places = fields::<V>()
                .iter()
                .map(|field| text.find(&format!("\"{field}\":")).unwrap())
                .collect::<Vec<_>>();
            assert!(places.is_sorted(), "{text}");
            let json = serde_json::to_value(view).unwrap();
            assert_eq!(json.as_object().unwrap().len(), places.len(), "{text}");
        }
        let id = Uuid::nil();
        assert_keys(GuestSummary { id });
        assert_keys(GuestView { id });
        assert_keys(HostSummary { id });
        assert_keys(HostView { id });
        assert_keys(AccountSummary {
            id,
            guest: None,
            host: None,
        });
        assert_keys(AccountView {
            id,
            email: String::new(),
            guest: None,
            host: None,
        });
    }
}
