//! Where a container's output goes.

use std::collections::BTreeMap;

use dhow_model::container::LogConfig;
use dhow_model::ports::LogOptions;
use dhow_model::{Error, Result};

/// Options of a log that only describe it.
const DESCRIBING: [&str; 5] = ["labels", "labels-regex", "env", "env-regex", "tag"];

/// Reads the log's driver and options.
///
/// # Errors
/// Invalid argument, in Docker's words, for a driver or an option that is not there.
pub fn options(config: &LogConfig) -> Result<LogOptions> {
    match config.kind.as_str() {
        "none" => Ok(LogOptions::None),
        "" | "json-file" => json_file(&config.config),
        other => Err(Error::invalid(format!(
            "error looking up logging plugin {other}: plugin {other:?} not found"
        ))),
    }
}

fn json_file(options: &BTreeMap<String, String>) -> Result<LogOptions> {
    for name in options.keys() {
        let known =
            matches!(name.as_str(), "max-size" | "max-file" | "compress" | "mode" | "max-buffer-size");
        if DESCRIBING.contains(&name.as_str()) {
            return Err(Error::not_implemented(format!("log option {name:?} is not supported yet")));
        }
        if !known {
            return Err(Error::invalid(format!("unknown log opt '{name}' for json-file log driver")));
        }
    }
    if options.get("mode").is_some_and(|mode| mode != "blocking") {
        return Err(Error::not_implemented("log option \"mode\" other than blocking is not supported yet"));
    }
    let max_size = options.get("max-size").filter(|text| *text != "-1").map(|text| size(text)).transpose()?;
    let max_files = match options.get("max-file") {
        Some(text) => text.parse().ok().filter(|files| *files >= 1),
        None => Some(1),
    };
    let max_files = max_files.ok_or_else(|| Error::invalid("max-file cannot be less than 1"))?;
    let compress = match options.get("compress").map(String::as_str) {
        None => false,
        Some("true" | "1" | "t") => true,
        Some("false" | "0" | "f") => false,
        Some(other) => return Err(Error::invalid(format!("invalid value for compress: {other:?}"))),
    };
    if compress && (max_files == 1 || max_size.is_none()) {
        return Err(Error::invalid(
            "compress cannot be true when max-file is less than 2 or max-size is not set",
        ));
    }
    Ok(LogOptions::JsonFile { max_size, max_files, compress })
}

/// Reads `10m`, `1GB`, `4096`; units are powers of 1024.
///
/// # Errors
/// Invalid argument for anything else, and for 0.
pub fn size(text: &str) -> Result<u64> {
    let wrong = || Error::invalid(format!("invalid size: '{text}'"));
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = lower[digits.len()..].trim_end_matches('b').trim_end_matches('i');
    let shift = match unit {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.trim().parse().map_err(|_| wrong())?;
    number.checked_shl(shift).filter(|size| size >> shift == number && *size > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<LogOptions> {
        let config = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        options(&LogConfig { kind: "json-file".into(), config })
    }

    #[test]
    fn options_of_json_file_are_read_or_refused() {
        let all = read(&[("max-size", "10m"), ("max-file", "3"), ("compress", "true")]).unwrap();
        assert_eq!(all, LogOptions::JsonFile { max_size: Some(10 << 20), max_files: 3, compress: true });
        for wrong in [
            [("max-size", "ten")],
            [("max-size", "99999999999999999999g")],
            [("max-file", "0")],
            [("nope", "1")],
            [("compress", "true")],
        ] {
            assert!(read(&wrong).is_err(), "{wrong:?}");
        }
        assert!(options(&LogConfig { kind: "gelf".into(), ..LogConfig::default() }).is_err());
    }
}
