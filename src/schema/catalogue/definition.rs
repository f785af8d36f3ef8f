//! What only a definition in SQL shows. `sqlparser` parses a check or a foreign key, but only
//! splits a table into tokens: it cannot parse some clauses, such as
//! `UNIQUE (email) ON CONFLICT REPLACE` of SQLite and `IGNORED` of MariaDB (D32).

use sqlparser::{
    ast::{
        BinaryOperator, DataType, Expr, ForeignKeyConstraint, Function, FunctionArg,
        FunctionArgExpr, FunctionArguments, TableConstraint, UnaryOperator, Value,
    },
    dialect::{Dialect, GenericDialect, PostgreSqlDialect},
    keywords::Keyword,
    parser::Parser,
    tokenizer::{Token, Tokenizer},
};

use super::known::Known;

/// What a check demands of each row.
pub(in crate::schema) struct Demand {
    expression: Expr,
    /// The column that `VALUE` stands for in the check of a domain.
    value: Option<String>,
    /// Whether names are in lower case, since case does not matter.
    in_lower_case: bool,
    /// Whether it was checked of the rows that were there before it.
    is_validated: bool,
}

/// A moment that a column may not pass.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::schema) enum Bound {
    /// The beginning of the year 1.
    First,
    /// The end of the year 9999.
    Last,
}

impl Demand {
    /// Of an expression as PostgreSQL writes it; `None` if it cannot be parsed.
    pub(super) fn of(expression: &str, value: Option<String>, is_validated: bool) -> Option<Self> {
        let parser = Parser::new(&PostgreSqlDialect {}).try_with_sql(expression);
        Some(Self {
            expression: whole(parser.ok()?)?,
            value,
            in_lower_case: false,
            is_validated,
        })
    }

    /// Whether there is no row whose text is not in lower case.
    pub(in crate::schema) fn lower_case(&self, column: &str) -> bool {
        let is_column = |expr: &Expr| self.is(exact(expr), column);
        let is_lower = |expr: &Expr| self.is_lower(exact(expr), column);
        let is_it = |expr: &Expr| {
            sides_of_equal(expr).is_some_and(|(left, right)| {
                is_column(left) && is_lower(right) || is_lower(left) && is_column(right)
            })
        };
        self.is_validated && demands(&self.expression, &is_it)
    }

    /// Whether an expression is the column in lower case, as a whole or trimmed.
    fn is_lower(&self, expr: &Expr, column: &str) -> bool {
        match (bare(expr), argument_of(bare(expr), &["lower", "lcase"])) {
            (_, Some(argument)) => self.is(trimmed(argument), column),
            (expr, None) if std::ptr::eq(trimmed(expr), expr) => false,
            (expr, None) => self.is_lower(trimmed(expr), column),
        }
    }

    /// Whether there is no row whose moment lies beyond the bound.
    pub(in crate::schema) fn within(&self, column: &str, bound: Bound) -> bool {
        let is_it = |expr: &Expr| {
            let Expr::BinaryOp { left, op, right } = expr else {
                return false;
            };
            use BinaryOperator::{Gt, GtEq, Lt, LtEq};
            let (op, limit) = match (self.is(left, column), self.is(right, column), op) {
                (true, false, op) => (op.clone(), right),
                (false, true, Lt) => (Gt, left),
                (false, true, LtEq) => (GtEq, left),
                (false, true, Gt) => (Lt, left),
                (false, true, GtEq) => (LtEq, left),
                _ => return false,
            };
            let Some(moment) = moment(limit) else {
                return false;
            };
            match (bound, op) {
                (Bound::First, Gt | GtEq) => moment.as_str() >= "00001",
                (Bound::Last, Lt) => moment.as_str() <= "10000-01-01 00:00:00+00",
                (Bound::Last, LtEq) => moment.as_str() < "10000",
                _ => false,
            }
        };
        self.is_validated && demands(&self.expression, &is_it)
    }

    /// Whether it refuses every row in which the columns are as `given` knows them.
    pub(in crate::schema) fn refuses(&self, given: &dyn Fn(&str) -> Known) -> bool {
        let given = |name: &str| match &self.value {
            Some(column) if name == "VALUE" => given(column),
            Some(_) => Known::Unknown,
            None => given(name),
        };
        Known::of(&self.expression, &given).is_false()
    }

    /// Whether it refuses every row without a value.
    pub(in crate::schema) fn a_value(&self, column: &str) -> bool {
        demands(
            &self.expression,
            &|expr| matches!(expr, Expr::IsNotNull(inner) if self.is(inner, column)),
        )
    }

    fn is(&self, expr: &Expr, column: &str) -> bool {
        let is_named = |name: &str| match self.in_lower_case {
            true => name == column.to_lowercase(),
            false => name == column,
        };
        match bare(expr) {
            Expr::Identifier(name) => match &self.value {
                Some(value) => value == column && name.value == "VALUE",
                None => is_named(&name.value),
            },
            // With the name of the table.
            Expr::CompoundIdentifier(names) => {
                matches!(names.as_slice(), [_, name] if is_named(&name.value))
            }
            _ => false,
        }
    }
}

/// Whether an expression is false for every row that `known` refuses. Null is not enough: a check
/// that is null lets the row pass.
fn demands(expr: &Expr, known: &impl Fn(&Expr) -> bool) -> bool {
    match expr {
        Expr::Nested(inner) | Expr::IsTrue(inner) | Expr::IsNotFalse(inner) => {
            demands(inner, known)
        }
        Expr::BinaryOp {
            left,
            op: BinaryOperator::And,
            right,
        } => demands(left, known) || demands(right, known),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::Or,
            right,
        } => demands(left, known) && demands(right, known),
        _ => known(expr),
    }
}

/// The two sides that an expression requires to be equal.
fn sides_of_equal(expr: &Expr) -> Option<(&Expr, &Expr)> {
    match expr {
        Expr::BinaryOp {
            left,
            op: BinaryOperator::Eq | BinaryOperator::Spaceship | BinaryOperator::Is,
            right,
        } => Some((left, right)),
        Expr::IsNotDistinctFrom(left, right) => Some((left, right)),
        Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr,
        } => match bare(expr) {
            Expr::BinaryOp {
                left,
                op: BinaryOperator::NotEq,
                right,
            } => Some((left, right)),
            _ => None,
        },
        _ => None,
    }
}

/// An expression without parentheses and without casts to text of any length, which PostgreSQL
/// adds.
fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => bare(inner),
        Expr::Cast {
            expr: inner,
            data_type: DataType::Text | DataType::Varchar(None) | DataType::CharacterVarying(None),
            ..
        } => bare(inner),
        _ => expr,
    }
}

/// A side of an equation, without a collation under which only identical texts are equal.
fn exact(expr: &Expr) -> &Expr {
    match bare(expr) {
        Expr::Collate {
            expr: inner,
            collation,
        } => {
            let name = collation.to_string().to_lowercase();
            let name = name.trim_matches(['"', '`']);
            match ["binary", "c", "posix"].contains(&name) || name.ends_with("_bin") {
                true => bare(inner),
                false => expr,
            }
        }
        expr => expr,
    }
}

/// The text that an expression trims, or the expression if it trims none.
fn trimmed(expr: &Expr) -> &Expr {
    let expr = bare(expr);
    match expr {
        Expr::Trim { expr: inner, .. } => bare(inner),
        _ => match argument_of(expr, &["btrim", "ltrim", "rtrim", "trim"]) {
            Some(argument) => bare(argument),
            None => expr,
        },
    }
}

/// The first argument of a call to one of these functions. `lcase` is what MariaDB calls `lower`.
fn argument_of<'a>(expr: &'a Expr, functions: &[&str]) -> Option<&'a Expr> {
    let Expr::Function(Function { name, args, .. }) = expr else {
        return None;
    };
    let name = name.to_string().to_lowercase();
    let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
    match args {
        FunctionArguments::List(list) if functions.contains(&name) => match list.args.first()? {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) => Some(argument),
            _ => None,
        },
        _ => None,
    }
}

/// A moment AD as PostgreSQL prints it in ISO style, but with a year of five digits, so that texts
/// sort by time.
fn moment(expr: &Expr) -> Option<String> {
    let literal = match expr {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => return moment(inner),
        Expr::Value(literal) => literal,
        _ => return None,
    };
    let Value::SingleQuotedString(text) = &literal.value else {
        return None;
    };
    let (year, rest) = text.split_once('-')?;
    let year: u32 = year.parse().ok().filter(|&year| year < 100_000)?;
    (!text.ends_with(" BC")).then(|| format!("{year:05}-{rest}"))
}

/// The expression, if it is all there is to parse.
pub(super) fn whole(mut parser: Parser<'_>) -> Option<Expr> {
    let expression = parser.parse_expr().ok()?;
    (parser.peek_token().token == Token::EOF).then_some(expression)
}

/// The definition of a table.
pub(super) struct Definition<'a> {
    dialect: &'a dyn Dialect,
    pub is_temporary: bool,
    /// Columns and constraints.
    items: Vec<Item>,
}

struct Item(Vec<Token>);

/// What SQLite does about a row that a constraint refuses.
pub(in crate::schema) struct Clause {
    /// The column that it is written on; `None` for a constraint of the table.
    pub column: Option<String>,
    /// Such as `UNIQUE (email)`.
    pub constraint: String,
    /// What follows `ON CONFLICT`.
    pub action: String,
}

impl<'a> Definition<'a> {
    /// `None` if it is of another dialect. Names are in lower case, since case does not matter,
    /// except those of tables.
    pub(super) fn of(create_table: &str, dialect: &'a dyn Dialect) -> Option<Self> {
        let tokens = tokens(create_table, dialect)?;
        let begin = tokens.iter().position(|token| *token == Token::LParen)?;
        let body = &tokens[begin + 1..];
        let end = depths(body).position(|depth| depth < 0)?;
        let body = &body[..end];

        let mut items = vec![Item(Vec::new())];
        for (token, depth) in body.iter().zip(depths(body)) {
            match items.last_mut() {
                Some(item) if depth > 0 || *token != Token::Comma => item.0.push(token.clone()),
                _ => items.push(Item(Vec::new())),
            }
        }
        Some(Self {
            dialect,
            is_temporary: tokens[..begin]
                .iter()
                .any(|token| [Keyword::TEMPORARY, Keyword::TEMP].contains(&keyword(Some(token)))),
            items,
        })
    }

    /// What the checks demand, without those that MySQL does not enforce.
    pub(super) fn demands(&self) -> Vec<Demand> {
        let mut demands = Vec::new();
        for item in &self.items {
            for (at, _) in item.find(&[Keyword::CHECK]) {
                let condition = item.parenthesis(at + 1);
                let after = at + condition.len() + 3;
                if item.starts_with(after, &[Keyword::NOT, Keyword::ENFORCED]) {
                    continue;
                }
                // `sqlparser` binds XOR tighter than AND, and MariaDB does not.
                if condition
                    .iter()
                    .any(|token| keyword(Some(token)) == Keyword::XOR)
                {
                    continue;
                }
                let tokens = condition.iter().map(in_lower_case).collect();
                let parser = Parser::new(self.dialect).with_tokens(tokens);
                demands.extend(whole(parser).map(|expression| Demand {
                    expression,
                    value: None,
                    in_lower_case: true,
                    is_validated: true,
                }));
            }
        }
        demands
    }

    /// The foreign keys of MariaDB, none of which is written on a column; `None` if one cannot be
    /// parsed.
    pub(super) fn foreign_keys(&self) -> Option<Vec<ForeignKeyConstraint>> {
        let mut keys = Vec::new();
        for item in &self.items {
            if item.column().is_some() || item.find(&[Keyword::FOREIGN]).next().is_none() {
                continue;
            }
            let mut parser = Parser::new(self.dialect).with_tokens(item.0.clone());
            match parser.parse_optional_table_constraint() {
                Ok(Some(TableConstraint::ForeignKey(key))) => keys.push(key),
                _ => return None,
            }
        }
        Some(keys)
    }

    /// The columns that have a collation of their own, each with it.
    pub(super) fn collations(&self) -> impl Iterator<Item = (String, String)> {
        self.items.iter().filter_map(|item| {
            let (at, _) = item.find(&[Keyword::COLLATE]).last()?;
            Some((item.column()?, text(item.0.get(at + 1)?)))
        })
    }

    /// The columns that SQLite generates, each with its expression.
    pub(super) fn generated(&self) -> impl Iterator<Item = (String, String)> {
        self.items.iter().filter_map(|item| {
            let (at, _) = item.find(&[Keyword::AS]).next()?;
            Some((item.column()?, sql(item.parenthesis(at + 1))))
        })
    }

    /// The columns of each foreign key that SQLite checks only at commit.
    pub(super) fn deferred_keys(&self) -> Vec<Vec<String>> {
        let mut deferred = Vec::new();
        for item in &self.items {
            for (at, _) in item.find(&[Keyword::INITIALLY, Keyword::DEFERRED]) {
                let is_denied = at >= 2 && item.starts_with(at - 2, &[Keyword::NOT]);
                if is_denied {
                    continue;
                }
                let own = item.column().map(|column| vec![column]);
                let listed = item
                    .find(&[Keyword::FOREIGN, Keyword::KEY])
                    .filter(|&(key, _)| key < at);
                deferred.extend(own.or_else(|| Some(item.names(listed.last()?.1 + 1))));
            }
        }
        deferred
    }

    /// The `ON CONFLICT` clauses of SQLite, other than ABORT, which is the default.
    pub(super) fn clauses(&self) -> Vec<Clause> {
        let mut clauses = Vec::new();
        for item in &self.items {
            for (at, last) in item.find(&[Keyword::ON, Keyword::CONFLICT]) {
                let action = item
                    .0
                    .get(last + 1)
                    .map(text)
                    .unwrap_or_default()
                    .to_uppercase();
                if action != "ABORT" {
                    clauses.push(Clause {
                        column: item.column(),
                        constraint: item.constraint_before(at),
                        action,
                    });
                }
            }
        }
        clauses
    }
}

impl Item {
    /// The column that it defines.
    fn column(&self) -> Option<String> {
        let is_constraint = [
            Keyword::CONSTRAINT,
            Keyword::PRIMARY,
            Keyword::UNIQUE,
            Keyword::CHECK,
            Keyword::FOREIGN,
        ]
        .contains(&keyword(self.0.first()));
        match is_constraint {
            true => None,
            false => self.0.first().map(text),
        }
    }

    /// Where these words stand outside parentheses: the positions of the first and the last.
    fn find<'a>(&'a self, words: &'a [Keyword]) -> impl Iterator<Item = (usize, usize)> + 'a {
        depths(&self.0)
            .enumerate()
            .filter(|&(at, depth)| depth == 0 && self.starts_with(at, words))
            .map(|(at, _)| (at, at + words.len() - 1))
    }

    fn starts_with(&self, at: usize, words: &[Keyword]) -> bool {
        let mut words = words.iter().enumerate();
        words.all(|(after, &word)| keyword(self.0.get(at + after)) == word)
    }

    /// The tokens within the parentheses that begin here.
    fn parenthesis(&self, at: usize) -> &[Token] {
        match self.0.get(at..) {
            Some([Token::LParen, inner @ ..]) => {
                let end = depths(inner).position(|depth| depth < 0);
                &inner[..end.unwrap_or(inner.len())]
            }
            _ => &[],
        }
    }

    /// The names in the list that begins here.
    fn names(&self, at: usize) -> Vec<String> {
        let list = self.parenthesis(at).split(|token| *token == Token::Comma);
        list.filter_map(|name| name.first().map(text)).collect()
    }

    /// The last constraint before this place, in words.
    fn constraint_before(&self, at: usize) -> String {
        let known: [(&[Keyword], &str); 4] = [
            (&[Keyword::PRIMARY, Keyword::KEY], "PRIMARY KEY"),
            (&[Keyword::UNIQUE], "UNIQUE"),
            (&[Keyword::NOT, Keyword::NULL], "NOT NULL"),
            (&[Keyword::CHECK], "CHECK"),
        ];
        let all = known.into_iter().flat_map(|(words, name)| {
            let before = self.find(words).filter(|&(first, _)| first < at);
            before.map(move |(first, last)| (first, last, name))
        });
        let Some((_, last, name)) = all.max_by_key(|&(first, ..)| first) else {
            return String::new();
        };
        let columns = self.names(last + 1);
        match name != "CHECK" && !columns.is_empty() {
            true => format!("{name} ({})", columns.join(", ")),
            false => name.to_owned(),
        }
    }
}

/// Whether an expression names the column.
pub(in crate::schema) fn mentions(expression: &str, column: &str) -> bool {
    let tokens = tokens(expression, &GenericDialect {}).unwrap_or_default();
    let mut words = tokens
        .iter()
        .filter(|token| matches!(token, Token::Word(_)));
    words.any(|word| text(word) == column.to_lowercase())
}

/// The columns and expressions of an index, without their order.
pub(super) fn parts(create_index: &str, dialect: &dyn Dialect) -> Option<Vec<String>> {
    let all = Item(tokens(create_index, dialect)?);
    let begin = all.0.iter().position(|token| *token == Token::LParen)?;
    let list = all.parenthesis(begin);
    let mut parts = vec![Vec::new()];
    for (token, depth) in list.iter().zip(depths(list)) {
        let order = [Keyword::ASC, Keyword::DESC].contains(&keyword(Some(token)));
        match parts.last_mut() {
            Some(part) if depth > 0 || *token != Token::Comma && !order => part.push(token.clone()),
            Some(_) if order => {}
            _ => parts.push(Vec::new()),
        }
    }
    Some(parts.iter().map(|part| sql(part)).collect())
}

/// Whether a trigger of SQLite runs before its event, as it does by default, and the event, such as
/// `INSERT`.
pub(super) fn timing(create_trigger: &str, dialect: &dyn Dialect) -> (bool, String) {
    let tokens = tokens(create_trigger, dialect).unwrap_or_default();
    let mut is_before = true;
    for token in &tokens {
        match keyword(Some(token)) {
            Keyword::AFTER => is_before = false,
            event @ (Keyword::INSERT | Keyword::UPDATE | Keyword::DELETE) => {
                return (is_before, format!("{event:?}"));
            }
            _ => {}
        }
    }
    (is_before, String::new())
}

/// `None` if the SQL is of another dialect.
fn tokens(sql: &str, dialect: &dyn Dialect) -> Option<Vec<Token>> {
    let mut tokens = Tokenizer::new(dialect, sql).tokenize().ok()?;
    tokens.retain(|token| !matches!(token, Token::Whitespace(_)));
    Some(tokens)
}

/// How many parentheses are open after each token.
fn depths(tokens: &[Token]) -> impl Iterator<Item = i32> {
    tokens.iter().scan(0, |depth, token| {
        *depth += match token {
            Token::LParen => 1,
            Token::RParen => -1,
            _ => 0,
        };
        Some(*depth)
    })
}

/// The keyword of a token, unless it is quoted, which makes it a name.
fn keyword(token: Option<&Token>) -> Keyword {
    match token {
        Some(Token::Word(word)) if word.quote_style.is_none() => word.keyword,
        _ => Keyword::NoKeyword,
    }
}

/// A name in lower case.
fn text(token: &Token) -> String {
    match token {
        Token::Word(word) => word.value.to_lowercase(),
        Token::SingleQuotedString(text) | Token::DoubleQuotedString(text) => text.to_lowercase(),
        token => token.to_string(),
    }
}

/// The tokens, written so that they can be read again.
fn sql(tokens: &[Token]) -> String {
    let written = tokens.iter().map(|token| match token {
        Token::SingleQuotedString(text) => format!("'{}'", text.replace('\'', "''")),
        token => token.to_string(),
    });
    written.collect::<Vec<_>>().join(" ")
}

fn in_lower_case(token: &Token) -> Token {
    match token {
        Token::Word(word) => {
            let mut word = word.clone();
            word.value = word.value.to_lowercase();
            Token::Word(word)
        }
        token => token.clone(),
    }
}

#[cfg(test)]
mod tests {
    use sqlparser::dialect::{MySqlDialect, SQLiteDialect};

    use super::*;

    fn definition<'a>(sql: &str, dialect: &'a dyn Dialect) -> Definition<'a> {
        Definition::of(sql, dialect).unwrap()
    }

    /// Each backend returns the check in a spelling of its own.
    #[test]
    fn every_spelling_of_the_check_is_one() {
        let keeps = |check: &str, dialect: &dyn Dialect| {
            let table = format!("CREATE TABLE users (a int, CHECK ({check}))");
            let demands = definition(&table, dialect).demands();
            demands.iter().any(|demand| demand.lower_case("email"))
        };
        for check in [
            "email = lower(email)",
            "Lower(email) == email AND length(email) > 3",
            r#"(("email") = LOWER("email"))"#,
            "`email` IS NOT NULL and (email = lower(email) and x)",
            "[email]=lower ( [email] ) -- as it is normalised\n",
            "users.email = lower(users.email)",
            "NOT (email <> lower(email))",
            "email IS lower(email) AND nick NOTNULL AND email GLOB '*@*'",
            "CAST(email AS text) = lower(email)",
            "(email = lower(email) AND a) OR (b AND lower(email) = email)",
            "email = lower(trim(email))",
            "trim(lower(email), ' ') = email COLLATE BINARY",
        ] {
            assert!(keeps(check, &SQLiteDialect {}), "{check}");
        }
        for check in [
            "`email` = lcase(`email`)",
            "`email` <=> lower(`email`)",
            "`email` = lcase(trim(both ' ' from `email`)) collate utf8mb4_bin",
        ] {
            assert!(keeps(check, &MySqlDialect {}), "{check}");
        }
        let otherwise = "`a` xor `b` and `email` = lcase(`email`)";
        assert!(!keeps(otherwise, &MySqlDialect {}));
        for check in [
            "email = loweremail",
            "email = lower(email) OR a",
            "email = 'lower(email)'",
            "'email' = lower('email')",
            "email COLLATE NOCASE = lower(email)",
            "email = lower(e)",
            "email = trim(email)",
            "email = lower(coalesce(email, e))",
            "email = lower(email) COLLATE NOCASE",
            "email = upper(email)",
            "email = my.lower(email)",
            "email <> lower(email)",
            "email = lower(email) IS NOT NULL",
            "CASE WHEN a THEN email = lower(email) ELSE 1 END",
            "email = lower(email) LIKE '%'",
            "email = lower(email) IN (0, 1)",
            "email = lower(email) BETWEEN 0 AND 1",
            "email = lower(email) ISNULL",
            "1 OR a AND email = lower(email)",
            "1 IS email = lower(email)",
            "CAST(email AS varchar(3)) = lower(email)",
        ] {
            assert!(!keeps(check, &SQLiteDialect {}), "{check}");
        }
        for (check, keeps) in [
            ("((email)::text = lower((email)::text))", true),
            ("((a > 1) AND (lower((email)::text) = (email)::text))", true),
            ("(((email)::text = lower((email)::text)) IS TRUE)", true),
            (
                "((email)::text = TRIM(BOTH FROM lower((email)::text)))",
                true,
            ),
            (
                r#"((email)::text = (lower((email)::text) COLLATE "C"))"#,
                true,
            ),
            (
                r#"((email)::text = lower(((email)::text COLLATE "C")))"#,
                false,
            ),
            ("((email)::citext = (lower((email)::text))::citext)", false),
            (
                "((email)::character varying(3) = lower((email)::text))",
                false,
            ),
            (r#"("Email" = lower("Email"))"#, false),
            ("email =", false),
        ] {
            let demand = Demand::of(check, None, true);
            assert_eq!(
                demand.is_some_and(|it| it.lower_case("email")),
                keeps,
                "{check}"
            );
        }
        let of_domain = Demand::of(
            "((VALUE)::text = lower((VALUE)::text))",
            Some("email".into()),
            true,
        );
        assert!(of_domain.unwrap().lower_case("email"));
    }

    #[test]
    fn bounds_are_compared_as_moments() {
        for (check, first, last) in [
            (
                "at >= '0001-01-01 00:00:00+00'::timestamp with time zone",
                true,
                false,
            ),
            ("at > '2020-01-01'::date", true, false),
            (
                "at >= '0001-01-01 00:00:00+00 BC'::timestamptz",
                false,
                false,
            ),
            ("at > '-infinity'::timestamptz", false, false),
            (
                "('2020-01-01 00:00:00+00'::timestamptz <= at) AND (at < '2100-01-01 00:00:00+00')",
                true,
                true,
            ),
            ("at < '10000-01-01 00:00:00+00'::timestamptz", false, true),
            ("at <= '10000-01-01 00:00:00+00'::timestamptz", false, false),
            (
                "at <= '9999-12-31 23:59:59.999999+00'::timestamptz",
                false,
                true,
            ),
            ("at < '20000-01-01 00:00:00+00'::timestamptz", false, false),
            ("at < 'infinity'::timestamptz", false, false),
            ("at < now()", false, false),
            ("other < '2100-01-01 00:00:00+00'", false, false),
        ] {
            let demand = Demand::of(check, None, true).unwrap();
            let found = (
                demand.within("at", Bound::First),
                demand.within("at", Bound::Last),
            );
            assert_eq!(found, (first, last), "{check}");
        }
    }

    #[test]
    fn checks_are_found_where_they_count() {
        let create_table = "CREATE TABLE users (
            a text DEFAULT 'it''s CHECK (b IS NOT NULL)' CHECK (a IS NOT NULL), -- CHECK (c IS NOT NULL)
            /* CHECK (d IS NOT NULL) */ `check` text,
            CONSTRAINT unenforced CHECK ((e IS NOT NULL)) /*!80016 NOT ENFORCED */,
            CONSTRAINT last CHECK (((f IS NOT NULL) AND g))) ENGINE=InnoDB PARTITION BY HASH (`a`)";
        let demands = definition(create_table, &MySqlDialect {}).demands();
        let has = |column: &&str| demands.iter().any(|demand| demand.a_value(column));
        let found: Vec<_> = ["a", "b", "c", "d", "e", "f", "g"]
            .into_iter()
            .filter(has)
            .collect();
        assert_eq!(found, ["a", "f"]);
    }

    #[test]
    fn each_foreign_key_has_its_own_action() {
        let create_table = "CREATE TEMPORARY TABLE `hosts` (
            `day` date GENERATED ALWAYS AS (cast(`created_at` as date)) STORED,
            KEY `k` (`user_id`) USING HASH IGNORED,
            CONSTRAINT `Plain` FOREIGN KEY (`a`) REFERENCES `Users` (`id`),
            CONSTRAINT `null` FOREIGN KEY (`a`, `B`) REFERENCES `other`.`users` (`id`, `b`)
                ON DELETE SET NULL ON UPDATE CASCADE
            ) ENGINE=InnoDB PAGE_CHECKSUM=1";
        let definition = definition(create_table, &MySqlDialect {});
        let keys = definition.foreign_keys().unwrap();
        let keys: Vec<_> = keys.iter().map(ToString::to_string).collect();
        assert_eq!(
            keys,
            [
                "CONSTRAINT `Plain` FOREIGN KEY (`a`) REFERENCES `Users`(`id`)",
                "CONSTRAINT `null` FOREIGN KEY (`a`, `B`) REFERENCES `other`.`users`(`id`, `b`) \
             ON DELETE SET NULL ON UPDATE CASCADE",
            ]
        );
        assert!(definition.is_temporary);
    }

    #[test]
    fn expressions_of_sqlite_are_found() {
        let create_table =
            "CREATE TABLE users (a text, b text AS (lower(a) || 'it''s, b') STORED UNIQUE,
            c int GENERATED ALWAYS AS ((1)), d text CHECK (CAST(d AS int) > 1))";
        let definition = definition(create_table, &SQLiteDialect {});
        let generated: Vec<_> = definition.generated().collect();
        let of = |column: &str, expression: &str| (column.to_owned(), expression.to_owned());
        assert_eq!(
            generated,
            [of("b", "lower ( a ) || 'it''s, b'"), of("c", "( 1 )")]
        );

        let create_index =
            "CREATE UNIQUE INDEX i ON users (a COLLATE NOCASE desc, (1) ASC, coalesce(b, ''))
            WHERE d > 1";
        assert_eq!(
            parts(create_index, &SQLiteDialect {}).unwrap(),
            ["a COLLATE NOCASE", "( 1 )", "coalesce ( b , '' )"]
        );
    }

    #[test]
    fn clauses_of_sqlite_are_found() {
        let create_table = r#"CREATE TABLE "users" (
            id blob PRIMARY KEY ON CONFLICT FAIL NOT NULL ON CONFLICT ABORT REFERENCES a DEFERRABLE INITIALLY DEFERRED,
            [e mail] text COLLATE nocase UNIQUE ON CONFLICT replace CHECK (e COLLATE rtrim = 'ON CONFLICT FAIL'),
            c text REFERENCES a NOT DEFERRABLE INITIALLY DEFERRED, key text,
            UNIQUE (c, "KEY") ON CONFLICT IGNORE,
            FOREIGN KEY (c, key) REFERENCES b DEFERRABLE INITIALLY DEFERRED FOREIGN KEY (key) REFERENCES b
        ) WITHOUT ROWID"#;
        let definition = definition(create_table, &SQLiteDialect {});
        let clauses = definition.clauses();
        let clauses: Vec<_> = clauses
            .iter()
            .map(|it| {
                (
                    it.column.as_deref(),
                    it.constraint.as_str(),
                    it.action.as_str(),
                )
            })
            .collect();
        assert_eq!(
            clauses,
            [
                (Some("id"), "PRIMARY KEY", "FAIL"),
                (Some("e mail"), "UNIQUE", "REPLACE"),
                (None, "UNIQUE (c, key)", "IGNORE"),
            ]
        );
        let collations: Vec<_> = definition.collations().collect();
        assert_eq!(collations, [("e mail".to_owned(), "nocase".to_owned())]);
        assert_eq!(definition.deferred_keys(), [vec!["id"], vec!["c", "key"]]);
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_nothing() {
        for sql in [
            "CREATE TABLE users",
            "CREATE TABLE users (a text",
            "CREATE TABLE users (a 'x)",
        ] {
            assert!(Definition::of(sql, &SQLiteDialect {}).is_none(), "{sql}");
        }
        let other = "CREATE TABLE hosts (CONSTRAINT `a` FOREIGN KEY (`a`) BORROWS `users` (`id`))";
        assert!(definition(other, &MySqlDialect {}).foreign_keys().is_none());
    }
}
