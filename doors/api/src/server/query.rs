//! The query of a request: pairs, read as Docker reads them.

use std::collections::BTreeSet;
use std::str::FromStr;

use dhow_model::{Error, Result};

/// Decoded pairs in their order.
#[derive(Debug, Default, Clone)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `a=1&b=two%20words`.
    ///
    /// # Errors
    /// Invalid argument for a `%` that two hexadecimal digits do not follow, and for a `;`, which once stood between pairs.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if text.contains(';') {
            return Err(Error::invalid("invalid semicolon separator in query"));
        }
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(key, true)?, decode(value, true)?))
        });
        pairs.collect::<Result<_>>().map(Self)
    }

    /// The first value of `key`; empty when there is none.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.0.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// The first value of `key` that is not empty.
    pub(crate) fn given(&self, key: &str) -> Option<&str> {
        Some(self.text(key)).filter(|value| !value.is_empty())
    }

    /// Every value of `key`.
    pub(crate) fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// The keys that are there, with commas between.
    pub(crate) fn keys(&self) -> String {
        let keys: BTreeSet<&str> = self.0.iter().map(|(key, _)| key.as_str()).collect();
        keys.into_iter().collect::<Vec<_>>().join(",")
    }

    /// Whether `key` is set to anything but nothing, `0`, `no`, `false` or `none`.
    pub(crate) fn is_set(&self, key: &str) -> bool {
        let value = self.text(key).trim().to_ascii_lowercase();
        !matches!(value.as_str(), "" | "0" | "no" | "false" | "none")
    }

    /// The same, and `default` when `key` is not there at all.
    pub(crate) fn is_set_or(&self, key: &str, default: bool) -> bool {
        if self.0.iter().any(|(k, _)| k == key) { self.is_set(key) } else { default }
    }

    /// A number, when `key` is given.
    ///
    /// # Errors
    /// Invalid argument, with the words of Go's parser, which clients know.
    pub(crate) fn number<T: FromStr>(&self, key: &str) -> Result<Option<T>> {
        let Some(value) = self.given(key) else { return Ok(None) };
        let number = value.parse().map_err(|_| {
            Error::invalid(format!("strconv.Atoi: parsing {value:?}: invalid syntax, as the value of {key}"))
        })?;
        Ok(Some(number))
    }
}

/// Decodes percent escapes, and `+` where `form` says so.
pub(crate) fn decode(text: &str, form: bool) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'+' if form => bytes.push(b' '),
            b'%' => {
                let (digits, tail) = rest.split_at_checked(2).ok_or_else(|| bad_escape(rest))?;
                bytes.push(hex_byte(digits).ok_or_else(|| bad_escape(digits))?);
                rest = tail;
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| Error::invalid(format!("{text:?} is not UTF-8 once decoded")))
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some(digit(digits[0])? << 4 | digit(digits[1])?)
}

fn bad_escape(digits: &[u8]) -> Error {
    Error::invalid(format!("invalid URL escape {:?}", format!("%{}", String::from_utf8_lossy(digits))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_as_forms_are() {
        let query = Query::parse("a=1&b=two%20words&b=x+y&flag&e=").unwrap();
        assert_eq!(query.text("a"), "1");
        assert_eq!(query.all("b").collect::<Vec<_>>(), ["two words", "x y"]);
        assert_eq!((query.text("flag"), query.given("e")), ("", None));
        for (wrong, words) in [
            ("a=%2", "invalid URL escape \"%2\""),
            ("a=%zzz", "invalid URL escape \"%zz\""),
            ("a=1;b=2", "invalid semicolon separator in query"),
        ] {
            assert_eq!(Query::parse(wrong).unwrap_err().to_string(), words);
        }
    }

    #[test]
    fn truth_is_dockers() {
        for (value, truth) in [
            ("1", true),
            ("true", true),
            ("True", true),
            ("yes", true),
            ("0", false),
            ("False", false),
            ("none", false),
            ("", false),
        ] {
            assert_eq!(Query::parse(&format!("k={value}")).unwrap().is_set("k"), truth, "{value:?}");
        }
        assert!(Query::parse("").unwrap().is_set_or("k", true));
        assert!(!Query::parse("k=0").unwrap().is_set_or("k", true));
    }

    #[test]
    fn a_number_that_is_none_is_named() {
        let query = Query::parse("t=5&x=five").unwrap();
        assert_eq!(query.number::<i64>("t").unwrap(), Some(5));
        assert_eq!(query.number::<i64>("u").unwrap(), None);
        assert!(query.number::<i64>("x").unwrap_err().to_string().contains("\"five\""));
    }
}
