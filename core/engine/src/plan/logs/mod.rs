//! Where a container's output goes: drivers and their options, in Docker's words.
//!
//! [`options`] makes a plan for the runtime of a driver and its options: [`file`](mod@file) for those that
//! write one, [`syslog`] for that service; [`attributes`] and the [`tag`] are what every entry bears. All
//! of it is checked when the container is created, with an example of a container.
//!
//! Docker's options mean what they mean with Docker. Where none says how much is kept, it is 20 MiB in each
//! of five files, rotated ones compressed: no container fills the disk with its log.

pub mod attributes;
pub mod file;
pub mod size;
pub mod syslog;
pub mod tag;

use std::collections::BTreeMap;

use dhow_model::container::LogConfig;
use dhow_model::ports::{LogFileKind, LogOptions, LogReceiver, LogService};
use dhow_model::{Container, Error, Result};

pub use size::size;

/// The drivers that there are, as `info` lists them.
pub const DRIVERS: [&str; 5] = ["journald", "json-file", "local", "none", "syslog"];

/// Drivers that Docker has besides.
const FOREIGN: [&str; 6] = ["awslogs", "etwlogs", "fluentd", "gcplogs", "gelf", "splunk"];

/// Options that every driver has for what an entry bears.
const DESCRIBING: [&str; 5] = ["labels", "labels-regex", "env", "env-regex", "tag"];

/// Options of every driver's.
const GENERAL: [&str; 2] = ["mode", "max-buffer-size"];

/// Options of the file beside a service that cannot be read back.
const CACHE: [&str; 4] = ["cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"];

/// As much waits for a service at most where entries may be lost. Docker's.
const BUFFER: u64 = 1_000_000;

/// What a log tells of its container.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Without a slash.
    pub name: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// `sha256:…`.
    pub image_id: String,
    /// As the user named it.
    pub image_name: String,
    /// The host's name.
    pub hostname: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its variables.
    pub env: Vec<String>,
}

impl Source {
    /// The container, on a host of this name.
    #[must_use]
    pub fn of(container: &Container, hostname: &str) -> Self {
        Self {
            id: container.id.to_string(),
            name: container.name.to_string(),
            command: super::merge::command(&container.config).cloned().collect(),
            image_id: container.image.map(|id| id.to_string()).unwrap_or_default(),
            image_name: container.image_name.clone(),
            hostname: hostname.into(),
            labels: container.config.labels.clone(),
            env: container.config.env.clone(),
        }
    }
}

/// Checks a log's driver and options.
///
/// # Errors
/// Invalid argument, in Docker's words.
pub fn check(config: &LogConfig) -> Result<()> {
    let example = Source { id: "0".repeat(64), image_id: "0".repeat(64), ..Source::default() };
    options(config, &example).map(drop)
}

/// The plan of a log.
///
/// # Errors
/// Invalid argument, in Docker's words, for a driver or an option that is not there or is wrong.
pub fn options(config: &LogConfig, source: &Source) -> Result<LogOptions> {
    let driver = driver(config);
    if driver == "none" {
        return Ok(LogOptions::default());
    }
    general(&config.config)?;
    known(driver)?;
    if let Some(name) = config.config.keys().find(|name| !is_option(driver, name)) {
        return Err(unknown(driver, name));
    }
    if driver == "syslog" {
        syslog::check(&config.config)?;
    }
    let Some(kind) = file_kind(config) else {
        return Ok(LogOptions { file: None, service: Some(service(driver, &config.config, source)?) });
    };
    let file = file::options(kind, &config.config, source).map_err(not_initialized)?;
    let service = match kind {
        LogFileKind::Json | LogFileKind::Local => None,
        LogFileKind::Cache => Some(service(driver, &config.config, source)?),
    };
    Ok(LogOptions { file: Some(file), service })
}

/// The file from which a log is read back; none when it cannot be.
#[must_use]
pub fn file_kind(config: &LogConfig) -> Option<LogFileKind> {
    match driver(config) {
        "none" => None,
        "json-file" => Some(LogFileKind::Json),
        "local" => Some(LogFileKind::Local),
        _ => {
            let disabled = config.config.get("cache-disabled").map(String::as_str);
            (boolean(disabled.unwrap_or_default()) != Some(true)).then_some(LogFileKind::Cache)
        }
    }
}

fn driver(config: &LogConfig) -> &str {
    if config.kind.is_empty() { "json-file" } else { &config.kind }
}

fn service(driver: &str, options: &BTreeMap<String, String>, source: &Source) -> Result<LogService> {
    let drop_beyond = match options.get("mode").map(String::as_str) {
        Some("non-blocking") => Some(options.get("max-buffer-size").map_or(Ok(BUFFER), |text| size(text))?),
        _ => None,
    };
    let receiver = if driver == "journald" {
        LogReceiver::Journald(journal_fields(options, source).map_err(not_initialized)?)
    } else {
        LogReceiver::Syslog(syslog::plan(options, source).map_err(not_initialized)?)
    };
    Ok(LogService { receiver, drop_beyond })
}

/// The journal's fields of a container.
fn journal_fields(options: &BTreeMap<String, String>, source: &Source) -> Result<BTreeMap<String, String>> {
    let tag = tag::of(options, source)?;
    let mut fields = BTreeMap::from(
        [
            ("CONTAINER_ID", tag::short(&source.id)),
            ("CONTAINER_ID_FULL", &source.id),
            ("CONTAINER_NAME", &source.name),
            ("CONTAINER_TAG", &tag),
            ("IMAGE_NAME", &source.image_name),
            ("SYSLOG_IDENTIFIER", &tag),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    for (name, value) in attributes::of(options, source)? {
        let name = attributes::journal_name(&name);
        if !name.is_empty() {
            fields.insert(name, value);
        }
    }
    Ok(fields)
}

fn general(options: &BTreeMap<String, String>) -> Result<()> {
    let mode = options.get("mode").map_or("", String::as_str);
    if !["", "blocking", "non-blocking"].contains(&mode) {
        return Err(Error::invalid(format!("logger: logging mode not supported: {mode}")));
    }
    if let Some(text) = options.get("max-buffer-size") {
        if mode != "non-blocking" {
            let words = "logger: max-buffer-size option is only supported with 'mode=non-blocking'";
            return Err(Error::invalid(words));
        }
        let words = |error: Error| Error::invalid(format!("error parsing option max-buffer-size: {error}"));
        size(text).map_err(words)?;
    }
    match options.get("cache-disabled").filter(|text| !text.is_empty() && boolean(text).is_none()) {
        Some(text) => Err(Error::invalid(format!("invalid value for option cache-disabled: {text}"))),
        None => Ok(()),
    }
}

fn known(driver: &str) -> Result<()> {
    if DRIVERS.contains(&driver) {
        return Ok(());
    }
    if FOREIGN.contains(&driver) {
        return Err(Error::invalid(format!("logger: no log driver named '{driver}' is registered")));
    }
    Err(Error::invalid(format!("error looking up logging plugin {driver}: plugin {driver:?} not found")))
}

fn is_option(driver: &str, name: &str) -> bool {
    let own: &[&str] = match driver {
        "json-file" | "local" => &file::OPTIONS,
        "syslog" => &syslog::OPTIONS,
        _ => &[],
    };
    [own, &DESCRIBING, &GENERAL, &CACHE].into_iter().any(|names| names.contains(&name))
}

fn unknown(driver: &str, name: &str) -> Error {
    Error::invalid(match driver {
        "local" => format!("unknown log opt '{name}' for log driver local"),
        _ => format!("unknown log opt '{name}' for {driver} log driver"),
    })
}

/// What Docker finds with the first start is found here before.
fn not_initialized(error: Error) -> Error {
    let words = "failed to create task for container: failed to initialize logging driver";
    Error::invalid(format!("{words}: {error}"))
}

/// Go's booleans.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
