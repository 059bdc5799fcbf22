//! How log files are kept.

use std::collections::BTreeMap;

use dhow_model::ports::{LogFileKind, LogFileOptions};
use dhow_model::{Error, Result};

use super::{Source, attributes, boolean, size, tag};

/// Options of those drivers that write files.
pub(super) const OPTIONS: [&str; 3] = ["max-size", "max-file", "compress"];

/// Bytes of a file where nothing says.
const SIZE: u64 = 20 << 20;

/// Files where nothing says.
const FILES: u32 = 5;

/// The plan of a file; the options of one beside a service begin with `cache-`.
pub(super) fn options(
    kind: LogFileKind,
    options: &BTreeMap<String, String>,
    source: &Source,
) -> Result<LogFileOptions> {
    let option = |name: &str| match kind {
        LogFileKind::Cache => options.get(&format!("cache-{name}")).map(String::as_str),
        LogFileKind::Json | LogFileKind::Local => options.get(name).map(String::as_str),
    };
    let max_size = max_size(option("max-size"), kind)?;
    // Whoever says how long a file of JSON gets and nothing more means one file, with Docker.
    let single = kind == LogFileKind::Json && option("max-size").is_some();
    let max_files = match option("max-file") {
        Some(text) => files(text, kind)?,
        None if single || max_size.is_none() => 1,
        None => FILES,
    };
    let compress = match option("compress") {
        Some(text) => compress(text, kind)?,
        None => !single && max_files > 1 && max_size.is_some(),
    };
    if compress && (max_files < 2 || max_size.is_none()) {
        return Err(Error::invalid(match kind {
            LogFileKind::Json => {
                "compress cannot be true when max-file is less than 2 or max-size is not set"
            }
            LogFileKind::Local | LogFileKind::Cache => {
                "compression cannot be enabled when max file count is 1"
            }
        }));
    }
    let attributes = described(options, source)?;
    Ok(LogFileOptions { kind, max_size, max_files, compress, attributes })
}

/// Bytes of a file; none where it says `-1`: no limit, which only we take.
fn max_size(text: Option<&str>, kind: LogFileKind) -> Result<Option<u64>> {
    let text = match text {
        None => return Ok(Some(SIZE)),
        Some("-1") => return Ok(None),
        Some(text) => text,
    };
    if text.bytes().all(|byte| byte == b'0') && !text.is_empty() {
        return Err(Error::invalid("max-size must be a positive number"));
    }
    size::decimal(text).map(Some).map_err(|error| match kind {
        LogFileKind::Json => error,
        LogFileKind::Local | LogFileKind::Cache => {
            Error::invalid(format!("invalid value for max-size: {text}: {error}"))
        }
    })
}

fn files(text: &str, kind: LogFileKind) -> Result<u32> {
    let number: i64 = text.parse().map_err(|_| {
        let words = format!("strconv.Atoi: parsing {text:?}: invalid syntax");
        Error::invalid(match kind {
            LogFileKind::Json => words,
            LogFileKind::Local | LogFileKind::Cache => format!("invalid value for max-file: {text}: {words}"),
        })
    })?;
    match (number, kind) {
        (1.., _) => Ok(u32::try_from(number).unwrap_or(u32::MAX)),
        (0, LogFileKind::Local | LogFileKind::Cache) => Ok(1),
        (_, LogFileKind::Json) => Err(Error::invalid("max-file cannot be less than 1")),
        _ => Err(Error::invalid("max-file must not be negative")),
    }
}

fn compress(text: &str, kind: LogFileKind) -> Result<bool> {
    boolean(text).ok_or_else(|| {
        let words = format!("strconv.ParseBool: parsing {text:?}: invalid syntax");
        Error::invalid(match kind {
            LogFileKind::Json => words,
            LogFileKind::Local | LogFileKind::Cache => {
                format!("invalid boolean value for compress: {words}")
            }
        })
    })
}

/// Labels and variables; and the tag, where one was asked for.
fn described(options: &BTreeMap<String, String>, source: &Source) -> Result<BTreeMap<String, String>> {
    let mut described = attributes::of(options, source)?;
    if let Some(template) = options.get("tag").filter(|template| !template.is_empty()) {
        let tag = tag::render(template, options, source)?;
        if !tag.is_empty() {
            described.insert("tag".into(), tag);
        }
    }
    Ok(described)
}
