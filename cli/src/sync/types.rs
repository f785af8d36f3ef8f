//! What a column holds: in Rust, in the entity and in the diagram (D29).

use std::borrow::Cow;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Type {
    /// The type of the field.
    pub(super) rust: Cow<'static, str>,
    /// The type in the diagram.
    pub(super) word: &'static str,
    /// The `column_type` of the field, where it does not follow from the type of the field.
    pub(super) column_type: Option<Cow<'static, str>>,
    /// What the column is read as, and what a value is written as.
    pub(super) casts: Option<(&'static str, String)>,
    /// The feature of SeaORM that has the type.
    pub(super) feature: Option<&'static str>,
}

impl Type {
    fn new(rust: &'static str, word: &'static str) -> Self {
        Self {
            rust: rust.into(),
            word,
            column_type: None,
            casts: None,
            feature: None,
        }
    }

    fn of(self, column_type: impl Into<Cow<'static, str>>) -> Self {
        Self {
            column_type: Some(column_type.into()),
            ..self
        }
    }

    fn needs(self, feature: &'static str) -> Self {
        Self {
            feature: Some(feature),
            ..self
        }
    }

    pub(super) fn boolean() -> Self {
        Self::new("bool", "bool")
    }

    /// An integer of so many bytes.
    pub(super) fn integer(bytes: u8) -> Self {
        match bytes {
            1 | 2 => Self::new("i16", "smallint"),
            3 | 4 => Self::new("i32", "int"),
            _ => Self::new("i64", "bigint"),
        }
    }

    /// An integer of so many bytes that is never negative.
    pub(super) fn unsigned(bytes: u8) -> Self {
        match bytes {
            1 => Self::new("u8", "tinyint_unsigned"),
            2 => Self::new("u16", "smallint_unsigned"),
            3 | 4 => Self::new("u32", "int_unsigned"),
            _ => Self::new("u64", "bigint_unsigned"),
        }
    }

    pub(super) fn float() -> Self {
        Self::new("f32", "float").of("Float")
    }

    pub(super) fn double() -> Self {
        Self::new("f64", "double").of("Double")
    }

    /// How many digits a `Decimal` holds, whatever they are.
    pub(super) const DIGITS_OF_DECIMAL: u32 = 28;

    /// A decimal of so many digits, so many of them after the point.
    pub(super) fn decimal(precision: Option<(u32, u32)>) -> Self {
        let decimal = Self::new("Decimal", "decimal").needs("with-rust_decimal");
        match precision {
            Some((digits, scale)) => decimal.of(format!("Decimal(Some(({digits}, {scale})))")),
            None => decimal,
        }
    }

    /// PostgreSQL gives it out as a text of the session's locale, unless asked for a number.
    pub(super) fn money() -> Self {
        Self {
            casts: Some(("numeric", "money".to_owned())),
            ..Self::new("Decimal", "money")
                .of("Money(None)")
                .needs("with-rust_decimal")
        }
    }

    pub(super) fn char(length: u32) -> Self {
        Self::new("String", "char").of(format!("Char(Some({length}))"))
    }

    pub(super) fn varchar(length: Option<u32>) -> Self {
        let varchar = Self::new("String", "varchar");
        match length {
            Some(length) => varchar.of(format!("String(StringLen::N({length}))")),
            None => varchar,
        }
    }

    pub(super) fn text() -> Self {
        Self::new("String", "text").of("Text")
    }

    /// A type without a counterpart in Rust, as the text that the database writes for it and reads as
    /// it. Without the first cast the driver could not read it; without the second it would be compared
    /// as a text.
    pub(super) fn as_text(declared: &str) -> Self {
        Self::cast("text", declared)
    }

    /// The same on MariaDB/MySQL, which calls a text this in a cast.
    pub(super) fn as_char(declared: &str) -> Self {
        Self::cast("char", declared)
    }

    fn cast(text: &'static str, declared: &str) -> Self {
        Self {
            casts: Some((text, declared.to_owned())),
            ..Self::new("String", "custom").of(format!("custom({declared:?})"))
        }
    }

    pub(super) fn bytes() -> Self {
        Self::new("Vec<u8>", "blob").of("Blob")
    }

    pub(super) fn uuid() -> Self {
        Self::new("Uuid", "uuid")
    }

    pub(super) fn json() -> Self {
        Self::new("Json", "json").needs("with-json")
    }

    pub(super) fn json_binary() -> Self {
        Self::json().of("JsonBinary")
    }

    pub(super) fn date() -> Self {
        Self::new("Date", "date")
    }

    pub(super) fn time() -> Self {
        Self::new("Time", "time")
    }

    pub(super) fn date_time() -> Self {
        Self::new("DateTime", "datetime")
    }

    pub(super) fn moment() -> Self {
        Self::new("DateTimeWithTimeZone", "timestamptz")
    }

    /// An enum of PostgreSQL, by the name of its type in Rust.
    pub(super) fn of_enum(rust: &str) -> Self {
        Self {
            rust: format!("super::sea_orm_active_enums::{rust}").into(),
            ..Self::new("", "enum")
        }
    }

    /// An array of values that have a type in Rust; `None` for others.
    pub(super) fn array(element: &Self) -> Option<Self> {
        let is_plain = element.casts.is_none() && element.rust != "Json";
        is_plain.then(|| Self {
            rust: format!("Vec<{}>", element.rust).into(),
            ..Self::new("", "array").needs("postgres-array")
        })
    }

    /// Whether two values of it can be compared for equality once and for all.
    pub(super) fn is_eq(&self) -> bool {
        !["f32", "f64"].iter().any(|float| self.rust.contains(float))
    }
}
