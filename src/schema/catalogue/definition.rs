//! What is to be had only from a definition in SQL.

/// Whether an expression names the column.
pub(in crate::schema) fn mentions(expression: &str, column: &str) -> bool {
    tokens(expression).iter().any(|token| token == column)
}

/// An expression without what the backends add to it or spell each in their own way: case, spaces,
/// quotes, parentheses, PostgreSQL's casts to text and MariaDB's name for `lower`.
pub(super) fn bare(expression: &str) -> String {
    bare_tokens(&tokens(expression))
}

/// What the checks in a `CREATE TABLE` demand, those left out that MySQL does not enforce.
pub(super) fn checks(create_table: &str) -> Vec<String> {
    let tokens = tokens(create_table);
    let mut checks = Vec::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        if pair != ["check", "("] {
            continue;
        }
        let demand = &tokens[at + 1..];
        let length = until_closed(demand);
        let (demand, rest) = demand.split_at(length);
        if !starts_with(rest, &["not", "enforced"]) {
            checks.push(bare_tokens(demand));
        }
    }
    checks
}

/// What follows `ON DELETE` in the foreign key of this name, if anything does.
pub(super) fn on_delete(create_table: &str, foreign_key: &str) -> Option<String> {
    let name = foreign_key.to_lowercase();
    let tokens = tokens(create_table);
    let start = tokens
        .windows(3)
        .position(|words| words == ["constraint", name.as_str(), "foreign"])?;
    let clauses = &tokens[start + 3..];
    let end = clauses
        .windows(2)
        .position(|words| words[0] == "constraint" || words == [")", ","])
        .map_or(clauses.len(), |end| end + 1);
    let clauses = &clauses[..end];
    let at = clauses
        .windows(2)
        .position(|words| words == ["on", "delete"])?;
    let action = clauses.get(at + 2)?;
    Some(match (action.as_str(), clauses.get(at + 3)) {
        ("no" | "set", Some(second)) => format!("{action} {second}").to_uppercase(),
        _ => action.to_uppercase(),
    })
}

fn starts_with(tokens: &[String], words: &[&str]) -> bool {
    tokens.len() >= words.len() && tokens.iter().zip(words).all(|(token, word)| token == word)
}

/// How many tokens it takes for the parenthesis that begins them to close.
fn until_closed(tokens: &[String]) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

fn bare_tokens(tokens: &[String]) -> String {
    let words: Vec<&str> = tokens
        .iter()
        .map(|token| match token.as_str() {
            "(" | ")" => "",
            "lcase" => "lower",
            token => token,
        })
        .collect();
    words.concat().replace("::text", "")
}

/// The words and signs of SQL in lower case: identifiers without their quotes, literals as they
/// stand, comments left out. What MySQL wraps in an executable comment counts.
fn tokens(sql: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let length = if first.is_whitespace() {
            first.len_utf8()
        } else if rest.starts_with("--") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(executable) = rest.strip_prefix("/*!") {
            let version = executable.chars().take_while(char::is_ascii_digit);
            3 + version.count()
        } else if rest.starts_with("*/") {
            2
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.find("*/").map_or(rest.len(), |end| 2 + end + 2)
        } else if let Some(close) = closing_quote(first) {
            let (text, length) = quoted(rest, close);
            tokens.push(if first == '\'' {
                rest[..length].to_owned()
            } else {
                text.to_lowercase()
            });
            length
        } else {
            let word = rest.chars().take_while(|&c| is_word(c));
            let length = word.map(char::len_utf8).sum::<usize>();
            let length = length.max(first.len_utf8());
            tokens.push(rest[..length].to_lowercase());
            length
        };
        rest = &rest[length..];
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn closing_quote(c: char) -> Option<char> {
    match c {
        '\'' | '"' | '`' => Some(c),
        '[' => Some(']'),
        _ => None,
    }
}

/// The text between quotes, of which the first begins `sql`, and how long it is with them. A
/// doubled quote is one that belongs to the text.
fn quoted(sql: &str, close: char) -> (String, usize) {
    let mut text = String::new();
    let mut characters = sql.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if c == close && characters.next_if(|&(_, next)| next == close).is_none() {
            return (text, at + close.len_utf8());
        }
        text.push(c);
    }
    (text, sql.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each backend gives the check back in words of its own.
    #[test]
    fn every_spelling_of_the_check_is_one() {
        for expression in [
            "email = lower(email)",
            r#"("email" = LOWER("email"))"#,
            "`email` = lcase(`email`)",
            "((email)::text = lower((email)::text))",
            "[email]=lower ( [email] ) -- as it is normalised\n",
        ] {
            assert_eq!(bare(expression), "email=loweremail", "{expression}");
        }
        assert_ne!(bare("email = lower(email) OR TRUE"), "email=loweremail");
        assert_ne!(bare("email = 'lower(email)'"), "email=loweremail");
    }

    #[test]
    fn checks_are_found_where_they_count() {
        let create_table = "CREATE TABLE users (
            a text DEFAULT 'it''s CHECK (b = 1)' CHECK (a <> ')'), -- CHECK (c = 1)
            /* CHECK (d = 1) */ \"check\" text,
            CONSTRAINT unenforced CHECK ((e = 1)) /*!80016 NOT ENFORCED */,
            CONSTRAINT last CHECK (((f = 1) AND g))";
        assert_eq!(checks(create_table), ["a<>')'", "f=1andg"]);
    }

    #[test]
    fn each_foreign_key_has_its_own_action() {
        let create_table = "CREATE TABLE `hosts` (
            KEY `k` (`user_id`),
            CONSTRAINT `Plain` FOREIGN KEY (`a`) REFERENCES `users` (`id`),
            CONSTRAINT `cascade` FOREIGN KEY (`a`) REFERENCES `users` (`id`) ON DELETE CASCADE,
            CONSTRAINT `null` FOREIGN KEY (`a`) REFERENCES `users` (`id`) ON DELETE SET NULL ON UPDATE CASCADE,
            CONSTRAINT `none` FOREIGN KEY (`a`) REFERENCES `users` (`id`) ON UPDATE CASCADE,
            CONSTRAINT `no` FOREIGN KEY (`a`) REFERENCES `users` (`id`) ON DELETE NO ACTION
            ) ENGINE=InnoDB";
        let action = |name| on_delete(create_table, name);
        assert_eq!(action("Plain"), None);
        assert_eq!(action("cascade").as_deref(), Some("CASCADE"));
        assert_eq!(action("null").as_deref(), Some("SET NULL"));
        assert_eq!(action("none"), None);
        assert_eq!(action("no").as_deref(), Some("NO ACTION"));
    }
}
