//! What an expression is known to be in each insert, although some of its columns are not.

use sqlparser::{
    ast::{
        BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
        InTarget, UnaryOperator, Value,
    },
    dialect::{Dialect, MySqlDialect, PostgreSqlDialect, SQLiteDialect},
    parser::Parser,
};

use super::definition::whole;

/// What is known of a value. Whoever takes more for known than is so reports what is no difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::schema) enum Known {
    Null,
    /// A truth value is 1 or 0.
    Number(i64),
    Text(String),
    /// Not null, and the same each time.
    Same,
    /// Not null.
    Present,
    Unknown,
}

impl Known {
    /// Of an expression as a catalogue has it, in which `given` knows the columns.
    pub(in crate::schema) fn of_sql(expression: &str, given: &dyn Fn(&str) -> Self) -> Self {
        let dialects: [&dyn Dialect; 3] =
            [&PostgreSqlDialect {}, &MySqlDialect {}, &SQLiteDialect {}];
        let parsed = dialects.iter().find_map(|&dialect| {
            let parser = Parser::new(dialect).try_with_sql(expression);
            parser.ok().and_then(whole)
        });
        parsed.map_or(Self::Unknown, |expr| Self::of(&expr, given))
    }

    pub(super) fn of(expr: &Expr, given: &dyn Fn(&str) -> Self) -> Self {
        let of = |expr: &Expr| Self::of(expr, given);
        match expr {
            Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => of(inner),
            Expr::Identifier(name) => given(&name.value),
            // With the name of the table.
            Expr::CompoundIdentifier(names) => match names.as_slice() {
                [_, name] => given(&name.value),
                _ => Self::Unknown,
            },
            Expr::Value(literal) => Self::of_literal(&literal.value),
            Expr::Cast {
                expr: inner,
                data_type,
                ..
            } => of(inner).cast(data_type),
            Expr::UnaryOp { op, expr: inner } => of(inner).operated(*op),
            Expr::BinaryOp { left, op, right } => of(left).combined(op, &of(right)),
            Expr::IsNull(inner) | Expr::IsUnknown(inner) => of(inner).is_null(),
            Expr::IsNotNull(inner) | Expr::IsNotUnknown(inner) => of(inner).is_null().not(),
            Expr::IsTrue(inner) => of(inner).is(true),
            Expr::IsNotTrue(inner) => of(inner).is(true).not(),
            Expr::IsFalse(inner) => of(inner).is(false),
            Expr::IsNotFalse(inner) => of(inner).is(false).not(),
            Expr::IsNotDistinctFrom(left, right) => of(left).is_same_as(&of(right)),
            Expr::IsDistinctFrom(left, right) => of(left).is_same_as(&of(right)).not(),
            Expr::In {
                expr: inner,
                target: InTarget::List(list),
                negated,
                ..
            } => {
                let found = of(inner).is_among(list.iter().map(of));
                if *negated { found.not() } else { found }
            }
            // What PostgreSQL makes of a list.
            Expr::AnyOp {
                left,
                compare_op: BinaryOperator::Eq,
                right,
                ..
            } => match elements(right) {
                Some(list) => of(left).is_among(list.iter().map(of)),
                None => Self::Unknown,
            },
            Expr::Function(function) => Self::of_call(function, given),
            _ => Self::Unknown,
        }
    }

    fn of_literal(literal: &Value) -> Self {
        match literal {
            Value::Null => Self::Null,
            Value::Boolean(truth) => truth.into(),
            Value::Number(digits, _) => number(digits).map_or(Self::Same, Self::Number),
            Value::SingleQuotedString(text) => Self::Text(text.clone()),
            Value::Placeholder(_) => Self::Unknown,
            _ => Self::Same,
        }
    }

    fn of_call(function: &Function, given: &dyn Fn(&str) -> Self) -> Self {
        let FunctionArguments::List(list) = &function.args else {
            return Self::Unknown;
        };
        let arguments = list.args.iter().map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Self::of(expr, given),
            _ => Self::Unknown,
        });
        let arguments: Vec<_> = arguments.collect();
        let nulls = || arguments.iter().map(Self::is_null).collect::<Vec<_>>();
        let count = |wanted: &Self| match nulls() {
            nulls if nulls.contains(&Self::Unknown) => Self::Unknown,
            nulls => nulls.iter().filter(|it| *it == wanted).count().into(),
        };
        match function.name.to_string().to_lowercase().as_str() {
            "coalesce" | "ifnull" => {
                let mut others = arguments.iter().filter(|it| **it != Self::Null);
                others.next().cloned().unwrap_or(Self::Null)
            }
            "num_nulls" => count(&true.into()),
            "num_nonnulls" => count(&false.into()),
            "lower" | "upper" | "lcase" | "ucase" => match arguments.as_slice() {
                [Self::Null] => Self::Null,
                [argument] if argument.is_same() => Self::Same,
                _ => Self::Unknown,
            },
            _ => Self::Unknown,
        }
    }

    /// Whether it is a value other than null, the same each time.
    pub(in crate::schema) fn is_same(&self) -> bool {
        matches!(self, Self::Number(_) | Self::Text(_) | Self::Same)
    }

    /// Whether it is false, and not null, with which a check lets the row pass.
    pub(super) fn is_false(&self) -> bool {
        self.truth() == Some(false)
    }

    fn truth(&self) -> Option<bool> {
        match self {
            Self::Number(number) => Some(*number != 0),
            _ => None,
        }
    }

    fn is_null(&self) -> Self {
        match self {
            Self::Unknown => Self::Unknown,
            known => (*known == Self::Null).into(),
        }
    }

    fn is(&self, truth: bool) -> Self {
        match self {
            Self::Null => false.into(),
            known => known.truth().map(|it| it == truth).into(),
        }
    }

    fn not(self) -> Self {
        match self {
            Self::Null => Self::Null,
            known => known.truth().map(|truth| !truth).into(),
        }
    }

    fn operated(self, operator: UnaryOperator) -> Self {
        match (operator, self) {
            (UnaryOperator::Not, known) => known.not(),
            (_, Self::Null) => Self::Null,
            (UnaryOperator::Minus, Self::Number(number)) => {
                number.checked_neg().map_or(Self::Same, Self::Number)
            }
            (_, known) if known.is_same() => Self::Same,
            _ => Self::Unknown,
        }
    }

    fn combined(&self, operator: &BinaryOperator, other: &Self) -> Self {
        use BinaryOperator::{And, Eq, Gt, GtEq, Is, IsNot, Lt, LtEq, NotEq, Or, Plus, Spaceship};
        match (operator, self, other) {
            (And, one, two) => one.and(two),
            // By De Morgan's laws.
            (Or, one, two) => one.clone().not().and(&two.clone().not()).not(),
            (Is | Spaceship, one, two) => one.is_same_as(two),
            (IsNot, one, two) => one.is_same_as(two).not(),
            (_, Self::Null, _) | (_, _, Self::Null) => match operator {
                Eq | NotEq | Lt | LtEq | Gt | GtEq | Plus => Self::Null,
                _ => Self::Unknown,
            },
            (Eq, one, two) => one.equals(two).into(),
            (NotEq, one, two) => one.equals(two).map(|is_equal| !is_equal).into(),
            (_, Self::Number(one), Self::Number(two)) => match operator {
                Lt => (one < two).into(),
                LtEq => (one <= two).into(),
                Gt => (one > two).into(),
                GtEq => (one >= two).into(),
                Plus => one.checked_add(*two).map_or(Self::Same, Self::Number),
                _ => Self::Unknown,
            },
            _ => Self::Unknown,
        }
    }

    fn and(&self, other: &Self) -> Self {
        match (self, other) {
            (one, two) if one.is_false() || two.is_false() => false.into(),
            (Self::Null, Self::Null) => Self::Null,
            (Self::Null, known) | (known, Self::Null) => match known.truth() {
                Some(_) => Self::Null,
                None => Self::Unknown,
            },
            (one, two) => one.truth().and(two.truth()).into(),
        }
    }

    /// Texts are compared in a way that is not known: by case, accents, or spaces at their end. Those
    /// without accents that differ without regard to case and spaces differ by any way.
    fn equals(&self, other: &Self) -> Option<bool> {
        match (self, other) {
            (Self::Number(one), Self::Number(two)) => Some(one == two),
            (Self::Text(one), Self::Text(two)) if one == two => Some(true),
            (Self::Text(one), Self::Text(two)) => {
                let is_plain = one.is_ascii() && two.is_ascii();
                let differs = !one.trim_end().eq_ignore_ascii_case(two.trim_end());
                (is_plain && differs).then_some(false)
            }
            _ => None,
        }
    }

    /// Null is the same as null.
    fn is_same_as(&self, other: &Self) -> Self {
        match (self.is_null().truth(), other.is_null().truth()) {
            (Some(true), Some(true)) => true.into(),
            (Some(true), Some(false)) | (Some(false), Some(true)) => false.into(),
            (Some(false), Some(false)) => self.equals(other).into(),
            _ => Self::Unknown,
        }
    }

    fn is_among(&self, list: impl Iterator<Item = Self>) -> Self {
        if *self == Self::Null {
            return Self::Null;
        }
        let found: Vec<_> = list.map(|one| self.equals(&one)).collect();
        match () {
            () if found.contains(&Some(true)) => true.into(),
            () if found.contains(&None) => Self::Unknown,
            () => false.into(),
        }
    }

    fn cast(self, to: &DataType) -> Self {
        let to_text = matches!(
            to,
            DataType::Text | DataType::Varchar(None) | DataType::CharacterVarying(None)
        );
        let to_number = matches!(
            to,
            DataType::SmallInt(_)
                | DataType::Int(_)
                | DataType::Integer(_)
                | DataType::BigInt(_)
                | DataType::Numeric(_)
                | DataType::Boolean
        );
        match self {
            Self::Number(number) if to_number => Self::Number(number),
            Self::Text(text) if to_text => Self::Text(text),
            Self::Text(text) if to_number => number(&text).map_or(Self::Same, Self::Number),
            known if known.is_same() => Self::Same,
            known => known,
        }
    }
}

impl From<bool> for Known {
    fn from(truth: bool) -> Self {
        Self::Number(truth.into())
    }
}

impl From<&bool> for Known {
    fn from(truth: &bool) -> Self {
        (*truth).into()
    }
}

impl From<Option<bool>> for Known {
    fn from(truth: Option<bool>) -> Self {
        truth.map_or(Self::Unknown, Self::from)
    }
}

impl From<usize> for Known {
    fn from(count: usize) -> Self {
        i64::try_from(count).map_or(Self::Present, Self::Number)
    }
}

/// A whole number, also with zeros after the point.
fn number(digits: &str) -> Option<i64> {
    let whole = match digits.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|digit| digit == b'0') => whole,
        _ => digits,
    };
    whole.parse().ok()
}

/// The elements of an array that is written out.
fn elements(expr: &Expr) -> Option<&[Expr]> {
    match expr {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => elements(inner),
        Expr::Array(array) => Some(&array.elem),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_that_is_the_same_each_time_is_known() {
        let is_same = |default: &str| Known::of_sql(default, &|_| Known::Unknown).is_same();
        for default in [
            "''",
            "0",
            "-1",
            "'-1'::integer",
            "'x'::character varying(20)",
            "('it''s'::text)::citext",
            "false",
            "x'00'",
            "coalesce(NULL, 'x')",
        ] {
            assert!(is_same(default), "{default}");
        }
        for default in [
            "NULL",
            "NULL::character varying",
            "now()",
            "CURRENT_TIMESTAMP",
            "current_timestamp()",
            "uuid()",
            "nextval('users_number_seq'::regclass)",
            "('a'::text || random())",
            "coalesce(`a`, 'x')",
            "`a`",
            "",
        ] {
            assert!(!is_same(default), "{default}");
        }
    }

    /// `none` is null, `zero` is 0, `free` is a text, `now` is never null, and of `other` nothing is
    /// known.
    #[test]
    fn a_condition_is_known_as_far_as_its_columns_are() {
        let given = |name: &str| match name {
            "none" => Known::Null,
            "zero" => Known::Number(0),
            "free" => Known::Text("free".into()),
            "now" => Known::Present,
            _ => Known::Unknown,
        };
        for (condition, expected) in [
            ("none IS NOT NULL OR none IS NOT NULL", Some(false)),
            ("none IS NOT NULL OR other IS NOT NULL", None),
            ("none IS NOT NULL AND other", Some(false)),
            ("none > 3", None),
            ("none > 3 OR zero", None),
            ("(none > 3) IS NOT FALSE", Some(true)),
            ("zero", Some(false)),
            ("NOT zero", Some(true)),
            ("zero IS TRUE", Some(false)),
            ("zero = true", Some(false)),
            ("zero = 0 AND zero < 1", Some(true)),
            ("now IS NULL", Some(false)),
            ("now = 'x'", None),
            ("free = 'paid'", Some(false)),
            ("free = 'FREE '", None),
            ("free = 'fr\u{e9}e'", None),
            ("free <> 'paid'", Some(true)),
            ("free IN ('a', 'b')", Some(false)),
            ("free NOT IN ('a', 'b')", Some(true)),
            ("free IN ('a', other)", None),
            ("free IN ('a', 'free')", Some(true)),
            ("free IN ('a', NULL)", None),
            (
                "((free)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[]))",
                Some(false),
            ),
            ("coalesce(none, free) = 'paid'", Some(false)),
            ("coalesce(other, free) = 'paid'", None),
            ("num_nonnulls(none, free) = 2", Some(false)),
            ("num_nonnulls(none, other) = 2", None),
            (
                "(((none IS NOT NULL))::integer + ((none IS NOT NULL))::integer) = 1",
                Some(false),
            ),
            ("none IS DISTINCT FROM 'x'", Some(true)),
            ("none IS NOT DISTINCT FROM 'x'", Some(false)),
            ("length(free) > 9", None),
            ("lower(none) IS NULL", Some(true)),
            ("CASE WHEN zero THEN 1 ELSE 0 END", None),
        ] {
            let known = Known::of_sql(condition, &given);
            assert_eq!(known.truth(), expected, "{condition}: {known:?}");
        }
    }
}
