//! `daemon.json`: every key is one of dockerd's flags.
//!
//! A key that no flag is for is refused in dockerd's words, one that is not served told or refused by its name (see
//! [`without_effect`](super::without_effect)), and one that a flag gives too refused as well: nobody should have to
//! find out which of both counts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use dhow_model::ports::RuntimeProgram;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::default_network::{NetworkFlags, NetworkOptions};
use super::flags::{Flags, Given, UNSERVED};
use super::networks::FilePool;
use super::without_effect::{Fate, fate};

const FILE: &str = "/etc/dhow/daemon.json";
const LONGEST: u64 = 1 << 20;

/// Keys whose flag has another name, and the field of that flag.
const NAMED: &[(&str, &str)] = &[
    ("hosts", "hosts"),
    ("labels", "labels"),
    ("default-ulimits", "default_ulimits"),
    ("log-opts", "log_opts"),
    ("dns-opts", "dns_opts"),
    ("exec-opts", "exec_opts"),
    ("storage-opts", "storage_opts"),
    ("runtimes", "runtimes"),
    ("cdi-spec-dirs", "cdi_directories"),
    ("default-address-pools", "address_pools"),
    ("host-gateway-ips", "host_gateways"),
    ("host-gateway-ip", "host_gateways"),
    ("default-network-opts", "network_opts"),
];
/// Names of the file for what is not served, where they are not the flag's.
const UNSERVED_NAMES: &[&str] = &[
    "authorization-plugins",
    "builder",
    "features",
    "insecure-registries",
    "min-api-version",
    "node-generic-resources",
    "proxies",
    "registry-mirrors",
    "allow-nondistributable-artifacts",
    "deprecated-key-path",
];
/// Both may say: what the flags add is added.
const MERGED: &str = "runtimes";

/// What the file says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct File {
    pub(super) hosts: Vec<String>,
    pub(super) group: Option<String>,
    pub(super) tls: Option<bool>,
    pub(super) tlsverify: Option<bool>,
    pub(super) tlscacert: Option<PathBuf>,
    pub(super) tlscert: Option<PathBuf>,
    pub(super) tlskey: Option<PathBuf>,
    pub(super) data_root: Option<PathBuf>,
    pub(super) layer_format: Option<String>,
    pub(super) storage_driver: Option<String>,
    pub(super) storage_opts: Vec<String>,
    pub(super) exec_root: Option<PathBuf>,
    pub(super) pidfile: Option<PathBuf>,
    pub(super) debug: Option<bool>,
    pub(super) log_level: Option<String>,
    pub(super) log_format: Option<String>,
    pub(super) raw_logs: Option<bool>,
    pub(super) metrics_addr: Option<String>,
    pub(super) labels: Vec<String>,
    pub(super) live_restore: Option<bool>,
    pub(super) shutdown_timeout: Option<i64>,
    pub(super) default_stop_timeout: Option<i64>,
    pub(super) cgroup_parent: Option<String>,
    pub(super) exec_opts: Vec<String>,
    pub(super) runtimes: BTreeMap<String, FileRuntime>,
    pub(super) default_runtime: Option<String>,
    pub(super) cdi_spec_dirs: Vec<PathBuf>,
    pub(super) default_ipc_mode: Option<String>,
    pub(super) default_cgroupns_mode: Option<String>,
    pub(super) default_shm_size: Option<Size>,
    pub(super) default_ulimits: BTreeMap<String, FileUlimit>,
    pub(super) log_driver: Option<String>,
    pub(super) log_opts: BTreeMap<String, String>,
    pub(super) init: Option<bool>,
    pub(super) no_new_privileges: Option<bool>,
    pub(super) userns_remap: Option<String>,
    pub(super) seccomp_profile: Option<String>,
    pub(super) dns: Vec<String>,
    pub(super) dns_opts: Vec<String>,
    pub(super) dns_search: Vec<String>,
    pub(super) default_address_pools: Vec<FilePool>,
    pub(super) host_gateway_ips: Vec<String>,
    pub(super) host_gateway_ip: Option<String>,
    pub(super) default_network_opts: NetworkOptions,
    #[serde(flatten)]
    pub(super) network: NetworkFlags,
    pub(super) publish_policy: Option<String>,
    pub(super) max_concurrent_downloads: Option<i64>,
    pub(super) max_concurrent_uploads: Option<i64>,
    pub(super) max_download_attempts: Option<i64>,
    /// What the user should know.
    #[serde(skip)]
    pub(super) warnings: Vec<String>,
}

/// A limit, written as Go writes the type.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FileUlimit {
    pub(super) hard: i64,
    pub(super) soft: i64,
}

/// Another runtime: a program, or one of containerd's shims.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct FileRuntime {
    path: PathBuf,
    runtime_args: Vec<String>,
    runtime_type: String,
    options: Map<String, Value>,
}

impl FileRuntime {
    /// The program to call; none for a shim that is more than its program. The shim for runc is no more than that.
    pub(super) fn program(&self) -> Option<RuntimeProgram> {
        let path = match self.runtime_type.as_str() {
            "" => self.path.clone(),
            "io.containerd.runc.v1" | "io.containerd.runc.v2" => {
                self.options.get("BinaryName").and_then(Value::as_str).unwrap_or("runc").into()
            }
            _ => return None,
        };
        Some(RuntimeProgram { path, arguments: self.runtime_args.clone() })
    }

    /// Whether it says both what it is and where.
    pub(super) fn is_both(&self) -> bool {
        !self.runtime_type.is_empty() && !self.path.as_os_str().is_empty()
    }
}

/// Bytes, or a number with its unit.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Size {
    /// Bytes.
    Bytes(u64),
    /// `64m`.
    Text(String),
}

impl std::fmt::Display for Size {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(out, "{bytes}"),
            Self::Text(text) => out.write_str(text),
        }
    }
}

/// Reads the file that the flags name, or the one that is always looked for.
pub(super) fn read(flags: &Flags, given: &Given) -> Result<File> {
    let path = flags.config_file.as_deref();
    let shown = path.unwrap_or(Path::new(FILE)).display();
    let read = content(path.unwrap_or(Path::new(FILE)), path.is_none()).and_then(|text| parse(&text, given));
    read.with_context(|| format!("unable to configure the Docker daemon with file {shown}"))
}

fn content(path: &Path, optional: bool) -> Result<String> {
    let words = |error: &std::io::Error| {
        let words = error.to_string().to_lowercase();
        // As Go says it, without the number.
        let words = words.split(" (os error").next().unwrap_or_default();
        format!("open {}: {words}", path.display())
    };
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && optional => Ok(String::new()),
        Err(error) => bail!(words(&error)),
        Ok(metadata) if metadata.len() > LONGEST => bail!("it is longer than {LONGEST} bytes"),
        Ok(_) => match std::fs::read_to_string(path) {
            Ok(text) => Ok(text),
            Err(error) => bail!(words(&error)),
        },
    }
}

fn parse(text: &str, given: &Given) -> Result<File> {
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Ok(File::default());
    }
    let keys: Map<String, Value> = serde_json::from_str(text).context("invalid JSON")?;
    let warnings = check(&keys, given)?;
    let file: File = serde_json::from_str(text).context("invalid JSON")?;
    Ok(File { warnings, ..file })
}

/// Refuses what is wrong; what the user should know is returned.
fn check(keys: &Map<String, Value>, given: &Given) -> Result<Vec<String>> {
    let field = |key: &str| {
        let named = NAMED.iter().find(|(name, _)| *name == key).map(|(_, field)| (*field).to_owned());
        named.unwrap_or_else(|| key.replace('-', "_"))
    };
    let unserved = |key: &str| UNSERVED.contains(&key) || UNSERVED_NAMES.contains(&key);
    let known = |key: &str| is_key(key, &field(key));
    let unknown: Vec<&str> =
        keys.keys().map(String::as_str).filter(|key| !known(key) && !unserved(key)).collect();
    if !unknown.is_empty() {
        bail!("the following directives don't match any configuration option: {}", unknown.join(", "));
    }
    let mut refused: Vec<&str> = Vec::new();
    let mut told = Vec::new();
    for (key, value) in keys.iter().filter(|(key, _)| unserved(key)) {
        match fate(key, value) {
            Fate::Nothing => {}
            Fate::Told(words) => told.push(words),
            Fate::Refused => refused.push(key),
        }
    }
    if !refused.is_empty() {
        bail!("the following directives are not supported yet: {}", refused.join(", "));
    }
    let conflict = |(key, value): (&String, &Value)| {
        let values = given.values(&field(key)).filter(|_| key != MERGED)?;
        let flag = match value {
            Value::Object(_) => format!("map[{}]", values.join(" ").replace('=', ":")),
            _ if Given::is_list(&field(key)) => format!("[{}]", values.join(" ")),
            _ => values.join(" "),
        };
        Some(format!("{key}: (from flag: {flag}, from file: {})", go(value)))
    };
    let mut conflicts: Vec<String> = keys.iter().filter_map(conflict).collect();
    conflicts.sort();
    if !conflicts.is_empty() {
        let conflicts = conflicts.join(", ");
        bail!(
            "the following directives are specified both as a flag and in the configuration file: {conflicts}"
        );
    }
    Ok(told)
}

/// Whether the file may have it: a flag's own name, or the one that stands for it.
fn is_key(key: &str, field: &str) -> bool {
    use clap::CommandFactory as _;
    if NAMED.iter().any(|(name, _)| *name == key) {
        return true;
    }
    let only_flags = ["config-file", "validate", "help"];
    let command = Flags::command();
    let found = command.get_arguments().find(|argument| argument.get_id() == field);
    found.is_some_and(|argument| argument.get_long() == Some(key)) && !only_flags.contains(&key)
}

/// A value as Go's `%v` prints it.
fn go(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::String(text) => text.clone(),
        Value::Array(values) => format!("[{}]", values.iter().map(go).collect::<Vec<_>>().join(" ")),
        Value::Object(pairs) => {
            let mut pairs: Vec<String> =
                pairs.iter().map(|(key, value)| format!("{key}:{}", go(value))).collect();
            pairs.sort();
            format!("map[{}]", pairs.join(" "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str, words: &[&str]) -> String {
        let words = std::iter::once("daemon").chain(words.iter().copied());
        let (_, given) = Flags::read(words.map(Into::into).collect()).unwrap();
        format!("{:#}", parse(text, &given).unwrap_err())
    }

    #[test]
    fn what_no_flag_is_for_is_refused_in_dockerds_words() {
        for (text, words) in [
            (r#"{"bogus": 1}"#, "the following directives don't match any configuration option: bogus"),
            (
                r#"{"validate": true}"#,
                "the following directives don't match any configuration option: validate",
            ),
            (r#"{"label": []}"#, "the following directives don't match any configuration option: label"),
            (r#"{"rootless": true}"#, "the following directives are not supported yet: rootless"),
            (
                r#"{"selinux-enabled": true, "experimental": true}"#,
                "the following directives are not supported yet: selinux-enabled",
            ),
            ("[]", "invalid JSON: invalid type: sequence, expected a map at line 1 column 0"),
        ] {
            assert_eq!(refusal(text, &[]), words);
        }
    }

    #[test]
    fn what_flag_and_file_both_say_is_refused_in_dockerds_words() {
        for (text, flags, words) in [
            (
                r#"{"hosts": ["unix:///a", "tcp://b"]}"#,
                vec!["-H", "fd://"],
                "hosts: (from flag: [fd://], from file: [unix:///a tcp://b])",
            ),
            (r#"{"debug": true}"#, vec!["-D"], "debug: (from flag: true, from file: true)"),
            (
                r#"{"log-opts": {"max-size": "1m"}}"#,
                vec!["--log-opt", "max-file=2"],
                "log-opts: (from flag: map[max-file:2], from file: map[max-size:1m])",
            ),
        ] {
            let said =
                "the following directives are specified both as a flag and in the configuration file: ";
            assert_eq!(refusal(text, &flags), format!("{said}{words}"));
        }
    }
}
