//! An e-mail address in the one form in which it is stored and looked up.

use std::{borrow::Cow, fmt, str::FromStr};

use email_address::{EmailAddress, Options};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// The longest address that mail can be delivered to, in bytes of UTF-8
/// ([RFC 3696, erratum 1690](https://www.rfc-editor.org/errata/eid1690)).
const MAX_BYTES: usize = 254;

/// A valid e-mail address, normalised so that one mailbox has one spelling.
///
/// White space around the address is dropped, letters are lower-cased and Unicode is composed
/// (NFC), so `" Ada@Example.COM "` and `"ada@example.com"` are one account, as are `é` typed as
/// one character or as two. Databases differ in what they take for equal; with a normalised
/// address they need not judge. Addresses beyond ASCII are accepted
/// ([RFC 6531](https://www.rfc-editor.org/rfc/rfc6531)).
///
/// `Debug` is redacted, so that an address does not reach a log by accident; `Display` and
/// [`as_ref`](AsRef::as_ref) give it out.
///
/// # Examples
///
/// ```
/// use guesthouse::{Email, InvalidEmail};
///
/// let email: Email = " Ada@Example.COM ".parse()?;
/// assert_eq!(email.as_ref(), "ada@example.com");
/// assert_eq!(format!("{email:?}"), "Email(redacted)");
///
/// assert_eq!("ada at example.com".parse::<Email>(), Err(InvalidEmail::Malformed));
/// # Ok::<(), InvalidEmail>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Cow<'_, str>", into = "String")]
pub struct Email(String);

/// Why a text is no [`Email`]. It never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum InvalidEmail {
    /// Nothing but white space.
    #[error("the e-mail address is empty")]
    Empty,
    /// More than 254 bytes once normalised.
    #[error("the e-mail address is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Not of the form `local@domain`, or with a control or format character in it.
    #[error("the e-mail address is malformed")]
    Malformed,
}

impl FromStr for Email {
    type Err = InvalidEmail;

    fn from_str(text: &str) -> Result<Self, InvalidEmail> {
        let address = normalised(text);
        if address.is_empty() {
            return Err(InvalidEmail::Empty);
        }
        if address.len() > MAX_BYTES {
            return Err(InvalidEmail::TooLong);
        }
        if address.chars().any(is_invisible) {
            return Err(InvalidEmail::Malformed);
        }
        EmailAddress::parse_with_options(&address, Options::default().without_display_text())
            .map_err(|_| InvalidEmail::Malformed)?;
        Ok(Self(address))
    }
}

/// Lower-casing can undo a composition and the other way round, so both repeat until nothing
/// changes. Unicode's case and composition maps settle after a few rounds.
fn normalised(text: &str) -> String {
    let mut address = text.trim().to_owned();
    loop {
        let next: String = address.to_lowercase().nfc().collect();
        let next = next.trim();
        if next == address {
            return address;
        }
        address = next.to_owned();
    }
}

/// Characters that two addresses could differ in without a reader seeing it.
fn is_invisible(c: char) -> bool {
    matches!(
        c.general_category(),
        GeneralCategory::Control | GeneralCategory::Format
    )
}

impl TryFrom<&str> for Email {
    type Error = InvalidEmail;

    fn try_from(text: &str) -> Result<Self, InvalidEmail> {
        text.parse()
    }
}

impl TryFrom<String> for Email {
    type Error = InvalidEmail;

    fn try_from(text: String) -> Result<Self, InvalidEmail> {
        text.parse()
    }
}

impl TryFrom<Cow<'_, str>> for Email {
    type Error = InvalidEmail;

    fn try_from(text: Cow<'_, str>) -> Result<Self, InvalidEmail> {
        text.parse()
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.0
    }
}

impl AsRef<str> for Email {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, InvalidEmail> {
        text.parse::<Email>().map(String::from)
    }

    #[test]
    fn blank_text_is_empty() {
        for text in ["", " ", "\t\r\n", "\u{a0}\u{3000}"] {
            assert_eq!(parse(text), Err(InvalidEmail::Empty), "{text:?}");
        }
    }

    #[test]
    fn at_most_254_bytes() {
        let longest = |domain: usize| {
            let label = "d".repeat(61);
            let rest = "e".repeat(domain - 3 * 62);
            format!("{}@{label}.{label}.{label}.{rest}", "l".repeat(64))
        };
        let fits = longest(189);
        assert_eq!(fits.len(), 254);
        assert_eq!(parse(&fits), Ok(fits.clone()));
        assert_eq!(parse(&format!("  {fits}  ")), Ok(fits));
        assert_eq!(parse(&longest(190)), Err(InvalidEmail::TooLong));
        assert_eq!(parse(&"a".repeat(1 << 20)), Err(InvalidEmail::TooLong));
    }

    #[test]
    fn malformed_addresses() {
        let malformed = [
            "ada",
            "@example.com",
            "ada@",
            "ada@@example.com",
            "ada@b@example.com",
            "ada lovelace@example.com",
            "ada@exam ple.com",
            "ada.@example.com",
            ".ada@example.com",
            "a..b@example.com",
            "ada@-example.com",
            "ada@example..com",
            "Ada <ada@example.com>",
            "ada@example.com, grace@example.com",
        ];
        for text in malformed {
            assert_eq!(parse(text), Err(InvalidEmail::Malformed), "{text:?}");
        }
    }

    #[test]
    fn control_and_format_characters_are_malformed() {
        let invisible = [
            '\0',
            '\u{1}',
            '\n',
            '\r',
            '\u{7f}',
            '\u{85}',
            '\u{ad}',
            '\u{200b}',
            '\u{200d}',
            '\u{202e}',
            '\u{2066}',
            '\u{feff}',
            '\u{e0061}',
        ];
        for c in invisible {
            for text in [format!("a{c}da@example.com"), format!("ada@exam{c}ple.com")] {
                assert_eq!(parse(&text), Err(InvalidEmail::Malformed), "{text:?}");
            }
        }
        assert_eq!(parse("ada@example.com\0"), Err(InvalidEmail::Malformed));
    }

    #[test]
    fn one_mailbox_has_one_spelling() {
        let spellings = [
            ("ADA@EXAMPLE.COM", "ada@example.com"),
            ("\tAda@Example.com\n", "ada@example.com"),
            ("jose\u{301}@example.com", "jos\u{e9}@example.com"),
            ("JOSE\u{301}@example.com", "jos\u{e9}@example.com"),
            ("\u{212b}ngstrom@example.com", "\u{e5}ngstrom@example.com"),
            ("stra\u{df}e@example.com", "stra\u{df}e@example.com"),
            (
                "\u{7528}\u{6237}@\u{4f8b}\u{5b50}.com",
                "\u{7528}\u{6237}@\u{4f8b}\u{5b50}.com",
            ),
        ];
        for (text, spelling) in spellings {
            assert_eq!(parse(text).as_deref(), Ok(spelling), "{text:?}");
        }
    }

    /// Whatever a letter becomes, it becomes the same when the result is parsed again.
    #[test]
    fn normalising_twice_changes_nothing() {
        let mut seen = 0;
        for c in '\u{21}'..=char::MAX {
            for text in [
                format!("{c}@example.com"),
                format!("x{c}\u{307}@example.com"),
            ] {
                if let Ok(once) = parse(&text) {
                    assert_eq!(parse(&once), Ok(once), "{text:?}");
                    seen += 1;
                }
            }
        }
        assert!(seen > 100_000, "{seen} addresses were accepted");
    }

    #[test]
    fn serde_takes_any_spelling_and_gives_the_normalised_one() {
        let email: Email = serde_json::from_str(r#""Ada@Example.com""#).unwrap();
        assert_eq!(
            serde_json::to_string(&email).unwrap(),
            r#""ada@example.com""#
        );

        let refused = serde_json::from_str::<Email>(r#""secret at example""#).unwrap_err();
        assert!(!refused.to_string().contains("secret"), "{refused}");
    }
}
