//! An e-mail address in the one form in which it is stored and looked up.

mod characters;

use std::{
    borrow::Cow,
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;

use characters::is_visible;

/// The longest address that mail can be delivered to, in bytes of UTF-8
/// ([RFC 3696, erratum 1690](https://www.rfc-editor.org/errata/eid1690)).
const MAX_BYTES: usize = 254;

/// The longest part before the `@`, in bytes of UTF-8
/// ([RFC 5321](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.1)).
const MAX_LOCAL_BYTES: usize = 64;

/// How much longer than its normal form an address can be: by quoting, composition and Punycode.
const MAX_SHRINKING: usize = 8;

/// A valid e-mail address, normalised so that one mailbox has one spelling.
///
/// White space around the address is dropped. Databases differ in which texts they treat as equal;
/// for normalised addresses that makes no difference.
///
/// - The part before the `@` is lower-cased and composed (NFC), and loses quotes and backslashes
///   that it does not need: `"Ada"@example.com` is `ada@example.com`. It has at most 64 bytes:
///   letters, marks, digits and symbols of any script
///   ([RFC 6531](https://www.rfc-editor.org/rfc/rfc6531)), and the ASCII characters that
///   [RFC 5322](https://www.rfc-editor.org/rfc/rfc5322#section-3.4.1) allows.
/// - The domain is in its Unicode form by [UTS 46](https://www.unicode.org/reports/tr46/):
///   `xn--bcher-kva.example` is `bücher.example`. In their ASCII form its labels have letters,
///   digits, hyphens and underscores, each at most 63 bytes and all together at most 253. An IP
///   address in brackets is a domain too.
/// - An address with an invisible character is malformed: a control or format character, a space
///   beyond ASCII, a private, unassigned or ignorable one. The set is that of Unicode 14.0, so that
///   two builds of an app accept the same addresses.
///
/// `Debug` is redacted, so that an address does not reach a log by accident; `Display` and
/// [`as_ref`](AsRef::as_ref) show it.
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
/// let email: Email = "\"ada\"@xn--bcher-kva.example".parse()?;
/// assert_eq!(email.as_ref(), "ada@bücher.example");
///
/// assert_eq!("ada at example.com".parse::<Email>(), Err(InvalidEmail::Malformed));
/// # Ok::<(), InvalidEmail>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Cow<'_, str>", into = "String")]
pub struct Email(String);

/// Why a text is not an [`Email`].
///
/// The error never contains the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum InvalidEmail {
    /// Nothing but white space.
    #[error("the e-mail address is empty")]
    Empty,
    /// More than 254 bytes once normalised, or, if it is malformed, as given.
    #[error("the e-mail address is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Not of the form `local@domain`, or with an invisible character.
    #[error("the e-mail address is malformed")]
    Malformed,
}

impl FromStr for Email {
    type Err = InvalidEmail;

    fn from_str(text: &str) -> Result<Self, InvalidEmail> {
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidEmail::Empty);
        }
        if text.len() > MAX_BYTES * MAX_SHRINKING {
            return Err(InvalidEmail::TooLong);
        }
        match normalised(text) {
            Some(address) if address.len() <= MAX_BYTES => Ok(Self(address)),
            None if text.len() <= MAX_BYTES => Err(InvalidEmail::Malformed),
            _ => Err(InvalidEmail::TooLong),
        }
    }
}

/// The normalised address; `None` if it is malformed.
fn normalised(text: &str) -> Option<String> {
    let (local, domain) = text.rsplit_once('@')?;
    let local = local_part(local)?;
    let domain = match domain.strip_prefix('[') {
        Some(literal) => ip_address(literal.strip_suffix(']')?)?,
        None => host_name(domain)?,
    };
    Some(format!("{local}@{domain}"))
}

/// The part before the `@`: as a [dot-atom](https://www.rfc-editor.org/rfc/rfc5322#section-3.2.3)
/// if it can be one, else quoted.
fn local_part(text: &str) -> Option<String> {
    let content = match text.strip_prefix('"') {
        Some(quoted) => unquoted(quoted)?,
        None if is_dot_atom(text) => text.to_owned(),
        None => return None,
    };
    let content = folded(&content);
    let is_valid = |c| c == ' ' || is_visible(c);
    if !content.chars().all(is_valid) {
        return None;
    }
    let local = match is_dot_atom(&content) {
        true => content,
        false => format!("\"{}\"", content.replace('\\', r"\\").replace('"', "\\\"")),
    };
    (local.len() <= MAX_LOCAL_BYTES).then_some(local)
}

/// The text between the quotes without its backslashes. The first quote is gone already.
fn unquoted(quoted: &str) -> Option<String> {
    let quoted = quoted.strip_suffix('"')?;
    let mut content = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    while let Some(c) = characters.next() {
        match c {
            '"' => return None,
            '\\' => content.push(characters.next()?),
            c => content.push(c),
        }
    }
    Some(content)
}

fn is_dot_atom(text: &str) -> bool {
    let is_atext =
        |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || !c.is_ascii();
    text.split('.')
        .all(|atom| !atom.is_empty() && atom.chars().all(|c| is_atext(c) && is_visible(c)))
}

/// Lower-cases and composes a text. Each can undo the other, so both repeat until nothing changes.
/// Unicode's case and composition maps settle after a few rounds.
fn folded(text: &str) -> String {
    let mut text = text.to_owned();
    loop {
        let next: String = text.to_lowercase().nfc().collect();
        if next == text {
            return text;
        }
        text = next;
    }
}

/// A host name in its Unicode form, in lower case: UTS 46 returns Cherokee in capitals, which the
/// check of the database refuses.
fn host_name(text: &str) -> Option<String> {
    // UTS 46 would map the other full stops to this one, and drop ignorable characters.
    let is_full_stop = |c| matches!(c, '\u{3002}' | '\u{ff0e}' | '\u{ff61}');
    if !text.chars().all(|c| is_visible(c) && !is_full_stop(c)) {
        return None;
    }
    let (deny, hyphens) = (AsciiDenyList::EMPTY, Hyphens::CheckFirstLast);
    let uts46 = Uts46::new();
    let ascii = uts46
        .to_ascii(text.as_bytes(), deny, hyphens, DnsLength::Verify)
        .ok()?;
    let is_label_character = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let is_label = |label: &str| !label.is_empty() && label.chars().all(is_label_character);
    let is_number = |label: &str| label.chars().all(|c| c.is_ascii_digit());
    if !ascii.split('.').all(is_label) || ascii.rsplit('.').next().is_some_and(is_number) {
        return None;
    }
    let (unicode, valid) = uts46.to_unicode(ascii.as_bytes(), deny, hyphens);
    valid.ok()?;
    let name = folded(&unicode);
    name.chars().all(is_visible).then_some(name)
}

/// An [address literal](https://www.rfc-editor.org/rfc/rfc5321#section-4.1.3), in its shortest
/// form.
fn ip_address(text: &str) -> Option<String> {
    const IPV6: &str = "ipv6:";

    match text.get(..IPV6.len()) {
        Some(tag) if tag.eq_ignore_ascii_case(IPV6) => {
            let address: Ipv6Addr = text[IPV6.len()..].parse().ok()?;
            Some(format!("[{IPV6}{address}]"))
        }
        _ => {
            let address: Ipv4Addr = text.parse().ok()?;
            Some(format!("[{address}]"))
        }
    }
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
            "\"ada@example.com",
            "ad\"a@example.com",
            "a\\da@example.com",
            "\"a\"b\"@example.com",
            "\"ada\\\"@example.com",
            "(comment)ada@example.com",
            "ada@(comment)example.com",
            "ada@example.com.",
            "ada@example-.com",
            "a@a/b.com",
            "a@a?b.com",
            "a@a%20b.com",
            "a@exam'ple.com",
            "a@[<script>]",
            "a@[anything]",
            "a@[127.0.0.256]",
            "a@[ipv6:1.2.3.4]",
            "a@1",
            "a@1.2.3.4",
            "a@xn--a.example",
            "a@xn--abc-.example",
            "ada@example\u{3002}com",
            "ada@example\u{ff0e}com",
            "ada@example\u{ff61}com",
        ];
        for text in malformed {
            assert_eq!(parse(text), Err(InvalidEmail::Malformed), "{text:?}");
        }
    }

    #[test]
    fn characters_that_nobody_sees_are_malformed() {
        let invisible = [
            '\u{a0}',
            '\u{34f}',
            '\u{115f}',
            '\u{1160}',
            '\u{2028}',
            '\u{2800}',
            '\u{3000}',
            '\u{3164}',
            '\u{e000}',
            '\u{fe0f}',
            '\u{ffa0}',
            '\u{fffd}',
            // Assigned by Unicode 15.
            '\u{11f02}',
            '\u{10ffff}',
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
    fn addresses_of_every_script_are_valid() {
        let valid = [
            "\u{938}\u{902}\u{92a}\u{930}\u{94d}\u{915}@\u{921}\u{93e}\u{91f}\u{93e}\u{92e}\u{947}\u{932}.\u{92d}\u{93e}\u{930}\u{924}",
            "\u{e17}\u{e14}\u{e2a}\u{e2d}\u{e1a}@\u{e15}\u{e31}\u{e27}\u{e2d}\u{e22}\u{e48}\u{e32}\u{e07}.\u{e44}\u{e17}\u{e22}",
            "\u{cac}\u{cc6}\u{c82}\u{cac}\u{cb2}@\u{ca1}\u{cc7}\u{c9f}\u{cbe}\u{cae}\u{cc7}\u{cb2}\u{ccd}.\u{cad}\u{cbe}\u{cb0}\u{ca4}",
            "\u{b89}\u{ba4}\u{bb5}\u{bbf}@\u{b9f}\u{bc7}\u{b9f}\u{bcd}\u{b9f}\u{bbe}\u{bae}\u{bc6}\u{baf}\u{bbf}\u{bb2}\u{bcd}.\u{b87}\u{ba8}\u{bcd}\u{ba4}\u{bbf}\u{baf}\u{bbe}",
            "\u{43f}\u{43e}\u{447}\u{442}\u{430}@\u{43f}\u{43e}\u{447}\u{442}\u{430}.\u{440}\u{444}",
            "\u{1f600}@example.com",
            "ada@\u{13e3}\u{13b3}\u{13a9}.example",
            "ada@localhost",
            "ada_b@my_host.example",
            "a+b.c'd@r3---sn.example",
        ];
        for text in valid {
            assert!(parse(text).is_ok(), "{text:?}");
        }
        // A label has at most 63 bytes in its ASCII form, whatever its length here.
        let long = "a@\u{e2d}\u{e07}\u{e04}\u{e4c}\u{e01}\u{e23}\u{e1b}\u{e01}\u{e04}\u{e23}\u{e2d}\u{e07}\u{e2a}\u{e48}\u{e27}\u{e19}\u{e17}\u{e49}\u{e2d}\u{e07}\u{e16}\u{e34}\u{e48}\u{e19}.\u{e44}\u{e17}\u{e22}";
        assert_eq!(parse(long).as_deref(), Ok(long));
        let label = "\u{fc}".repeat(32);
        assert!(parse(&format!("a@{label}.example")).is_ok());
        let label = "a".repeat(64);
        assert_eq!(
            parse(&format!("a@{label}.example")),
            Err(InvalidEmail::Malformed)
        );
        assert_eq!(
            parse(&format!("{label}a@example.com")),
            Err(InvalidEmail::Malformed)
        );
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
            ("ada@xn--bcher-kva.example", "ada@b\u{fc}cher.example"),
            ("ada@XN--BCHER-KVA.example", "ada@b\u{fc}cher.example"),
            ("ada@bu\u{308}cher.example", "ada@b\u{fc}cher.example"),
            (
                "ada@xn--80a1acny.xn--p1ai",
                "ada@\u{43f}\u{43e}\u{447}\u{442}\u{430}.\u{440}\u{444}",
            ),
            ("ada@\u{ff45}xample.com", "ada@example.com"),
            ("\"ada\"@example.com", "ada@example.com"),
            ("\"a\\da\"@example.com", "ada@example.com"),
            ("\"ada.l\"@example.com", "ada.l@example.com"),
            ("\"Ada L\"@example.com", "\"ada l\"@example.com"),
            ("\"a\\@b\"@example.com", "\"a@b\"@example.com"),
            ("\"a\\\"\\\\b\"@example.com", "\"a\\\"\\\\b\"@example.com"),
            ("ada@[127.0.0.1]", "ada@[127.0.0.1]"),
            ("ada@[IPv6:0:0:0:0:0:0:0:1]", "ada@[ipv6:::1]"),
            (
                "\u{7528}\u{6237}@\u{4f8b}\u{5b50}.com",
                "\u{7528}\u{6237}@\u{4f8b}\u{5b50}.com",
            ),
        ];
        for (text, spelling) in spellings {
            assert_eq!(parse(text).as_deref(), Ok(spelling), "{text:?}");
        }
    }

    /// Parsing a normalised address again returns the same address, whatever its letters.
    #[test]
    fn normalising_twice_changes_nothing() {
        let mut seen = 0;
        for c in '\u{21}'..=char::MAX {
            for text in [
                format!("{c}@example.com"),
                format!("x{c}\u{307}@example.com"),
                format!("ada@x{c}y.example"),
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
