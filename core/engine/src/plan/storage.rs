//! `StorageOpt`: the size of the writable layer.

use std::collections::BTreeMap;

use dhow_model::{Error, Result};

use super::logs::size;

/// Bytes that the writable layer may take; 0 is no limit.
///
/// # Errors
/// Invalid argument for options that are none, and for what is no size.
pub fn layer_size(options: &BTreeMap<String, String>) -> Result<u64> {
    if let Some(other) = options.keys().find(|name| !name.eq_ignore_ascii_case("size")) {
        return Err(Error::invalid(format!("Unknown option {other}")));
    }
    let Some((name, value)) = options.iter().next() else { return Ok(0) };
    or_zero(value)
        .map_err(|_| Error::invalid(format!("invalid size of the storage option {name}: {value:?}")))
}

/// A size of which 0 is none.
///
/// # Errors
/// As those of [`size()`].
pub fn or_zero(text: &str) -> Result<u64> {
    if text == "0" { Ok(0) } else { size(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_the_only_option() {
        let read = |name: &str, value: &str| {
            layer_size(&BTreeMap::from([(name.to_owned(), value.to_owned())]))
                .map_or_else(|error| error.to_string(), |size| size.to_string())
        };
        assert_eq!(layer_size(&BTreeMap::new()).unwrap(), 0);
        assert_eq!(read("size", "1G"), "1073741824");
        assert_eq!(read("Size", "0"), "0");
        assert_eq!(read("foo", "1G"), "Unknown option foo");
        assert_eq!(read("size", "much"), "invalid size of the storage option size: \"much\"");
    }
}
