//! Flags and configuration file, made one.
//!
//! The file is dockerd's `daemon.json`: every key is one of its flags. A key that is not served is
//! refused by name, and so is one that a flag gives too, as dockerd does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use dhow_engine::Settings;
use dhow_model::container::{LogConfig, Ulimit};
use dhow_model::ports::RuntimeProgram;
use dhow_store::LayerFormat;
use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use super::flags::Flags;

const FILE: &str = "/etc/dhow/daemon.json";
const HOST: &str = "unix:///run/dhow/dhow.sock";
const LONGEST_FILE: u64 = 1 << 20;

/// What the engine is started with.
#[derive(Debug, Clone)]
pub(super) struct Configuration {
    pub(super) hosts: Vec<String>,
    pub(super) group: String,
    pub(super) data_root: PathBuf,
    pub(super) exec_root: PathBuf,
    pub(super) pidfile: PathBuf,
    pub(super) settings: Settings,
    pub(super) store: dhow_store::Options,
    pub(super) validate_only: bool,
    level: String,
    json_log: bool,
}

/// `daemon.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
struct File {
    hosts: Vec<String>,
    data_root: Option<PathBuf>,
    layer_format: Option<String>,
    exec_root: Option<PathBuf>,
    pidfile: Option<PathBuf>,
    debug: Option<bool>,
    log_level: Option<String>,
    log_format: Option<String>,
    group: Option<String>,
    labels: Vec<String>,
    cgroup_parent: Option<String>,
    default_shm_size: Option<String>,
    default_ulimits: BTreeMap<String, FileUlimit>,
    log_driver: Option<String>,
    log_opts: BTreeMap<String, String>,
    init: Option<bool>,
    no_new_privileges: Option<bool>,
    seccomp_profile: Option<String>,
    dns: Vec<String>,
    dns_opts: Vec<String>,
    dns_search: Vec<String>,
    live_restore: Option<bool>,
    runtimes: BTreeMap<String, FileRuntime>,
    default_runtime: Option<String>,
    cdi_spec_dirs: Vec<PathBuf>,
}

/// Docker's other way to name a runtime (`runtimeType`) is one of containerd's shims, and refused.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FileRuntime {
    path: PathBuf,
    #[serde(default)]
    runtime_args: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FileUlimit {
    hard: i64,
    soft: i64,
}

impl Configuration {
    /// Reads flags and file.
    pub(super) fn read(flags: Flags) -> Result<Self> {
        let mut file = read_file(flags.config_file.as_deref())?;
        let runtimes = runtimes(&flags.runtimes, std::mem::take(&mut file.runtimes))?;
        let flags = merge(flags, file)?;
        let data_root = absolute(flags.data_root.as_deref().unwrap_or(Path::new("/var/lib/dhow")))?;
        let exec_root = absolute(flags.exec_root.as_deref().unwrap_or(Path::new("/run/dhow")))?;
        let level = if flags.debug { Some("debug".into()) } else { flags.log_level.clone() };
        let json_log = match flags.log_format.as_deref() {
            None | Some("text") => false,
            Some("json") => true,
            Some(other) => bail!("invalid log format: {other}"),
        };
        let hosts = if flags.hosts.is_empty() { vec![HOST.into()] } else { flags.hosts.clone() };
        Ok(Self {
            settings: Settings { runtimes, ..settings(&flags, &data_root)? },
            store: dhow_store::Options { layers: layer_format(flags.layer_format.as_deref())? },
            pidfile: flags.pidfile.clone().unwrap_or_else(|| exec_root.join("dhow.pid")),
            group: flags.group.clone().unwrap_or_default(),
            validate_only: flags.validate,
            level: level.unwrap_or_else(|| "info".into()),
            hosts,
            data_root,
            exec_root,
            json_log,
        })
    }

    /// Messages go to standard error from here on.
    pub(super) fn start_log(&self) -> Result<()> {
        let level = match self.level.as_str() {
            level @ ("debug" | "info" | "warn" | "error" | "trace") => level,
            "fatal" => "error",
            other => bail!("invalid logging level: {other}"),
        };
        let subscriber =
            tracing_subscriber::fmt().with_env_filter(EnvFilter::new(level)).with_writer(std::io::stderr);
        let ansi = rustix::termios::isatty(std::io::stderr());
        if self.json_log {
            subscriber.json().init()
        } else {
            subscriber.with_ansi(ansi).init()
        }
        Ok(())
    }
}

/// Monitors have another working directory.
fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("the directory {}", path.display()))
}

fn read_file(path: Option<&Path>) -> Result<File> {
    let given = path.unwrap_or(Path::new(FILE));
    let text = match std::fs::metadata(given) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && path.is_none() => {
            return Ok(File::default());
        }
        Err(error) => {
            return Err(error).with_context(|| format!("read the configuration {}", given.display()));
        }
        Ok(metadata) if metadata.len() > LONGEST_FILE => {
            bail!("{} is too long for a configuration", given.display())
        }
        Ok(_) => std::fs::read_to_string(given)
            .with_context(|| format!("read the configuration {}", given.display()))?,
    };
    if text.trim().is_empty() {
        return Ok(File::default());
    }
    serde_json::from_str(&text).with_context(|| {
        format!(
            "unable to configure the engine with file {}: a key that is unknown or not supported, or no JSON",
            given.display()
        )
    })
}

/// Each setting from where it is given; from both is an error.
fn merge(mut flags: Flags, file: File) -> Result<Flags> {
    let one = |key: &str, both: bool| {
        ensure!(
            !both,
            "the following directives are specified both as a flag and in the configuration file: {key}"
        );
        Ok(())
    };
    macro_rules! optional {
        ($field:ident, $key:literal) => {
            one($key, flags.$field.is_some() && file.$field.is_some())?;
            flags.$field = flags.$field.or(file.$field);
        };
    }
    macro_rules! list {
        ($field:ident, $from:ident, $key:literal) => {
            one($key, !flags.$field.is_empty() && !file.$from.is_empty())?;
            flags.$field.extend(file.$from);
        };
    }
    optional!(data_root, "data-root");
    optional!(layer_format, "layer-format");
    optional!(exec_root, "exec-root");
    optional!(pidfile, "pidfile");
    optional!(log_level, "log-level");
    optional!(log_format, "log-format");
    optional!(group, "group");
    optional!(cgroup_parent, "cgroup-parent");
    optional!(default_shm_size, "default-shm-size");
    optional!(log_driver, "log-driver");
    optional!(seccomp_profile, "seccomp-profile");
    optional!(default_runtime, "default-runtime");
    list!(hosts, hosts, "hosts");
    list!(labels, labels, "labels");
    list!(cdi_directories, cdi_spec_dirs, "cdi-spec-dirs");
    list!(dns, dns, "dns");
    list!(dns_options, dns_opts, "dns-opts");
    list!(dns_search, dns_search, "dns-search");
    one("log-opts", !flags.log_opts.is_empty() && !file.log_opts.is_empty())?;
    flags.log_opts.extend(file.log_opts.into_iter().map(|(key, value)| format!("{key}={value}")));
    let limits =
        file.default_ulimits.into_iter().map(|(name, limit)| format!("{name}={}:{}", limit.soft, limit.hard));
    flags.default_ulimits.extend(limits);
    flags.debug |= file.debug.unwrap_or(false);
    flags.init |= file.init.unwrap_or(false);
    flags.no_new_privileges |= file.no_new_privileges.unwrap_or(false);
    ensure!(
        file.live_restore != Some(false),
        "live-restore cannot be turned off: containers always go on when the engine ends"
    );
    Ok(flags)
}

fn settings(flags: &Flags, data_root: &Path) -> Result<Settings> {
    let mut settings = Settings { data_root: data_root.into(), debug: flags.debug, ..Settings::default() };
    if let Some(parent) = &flags.cgroup_parent {
        ensure!(
            !parent.ends_with(".slice"),
            "cgroup-parent {parent}: the systemd cgroup driver is not supported yet"
        );
        settings.cgroup_parent.clone_from(parent);
    }
    if let Some(size) = &flags.default_shm_size {
        let size = dhow_engine::plan::logs::size(size)
            .map_err(|error| anyhow::anyhow!("default-shm-size: {error}"))?;
        settings.shm_size = i64::try_from(size)?;
    }
    settings.log = log(flags)?;
    settings.ulimits = flags.default_ulimits.iter().map(|text| ulimit(text)).collect::<Result<_>>()?;
    settings.init = flags.init;
    settings.no_new_privileges = flags.no_new_privileges;
    if let Some(name) = &flags.default_runtime {
        settings.default_runtime.clone_from(name);
    }
    if !flags.cdi_directories.is_empty() {
        // An empty name is how dockerd says that there are none.
        let named = flags.cdi_directories.iter().filter(|path| !path.as_os_str().is_empty());
        settings.cdi_directories = named.map(|path| absolute(path)).collect::<Result<_>>()?;
    }
    settings.labels.clone_from(&flags.labels);
    settings.dns.clone_from(&flags.dns);
    settings.dns_options.clone_from(&flags.dns_options);
    settings.dns_search.clone_from(&flags.dns_search);
    settings.seccomp_profile = match flags.seccomp_profile.as_deref() {
        None | Some("builtin" | "default") => None,
        Some("unconfined") => Some("unconfined".into()),
        Some(file) => {
            Some(std::fs::read_to_string(file).with_context(|| format!("read the seccomp profile {file}"))?)
        }
    };
    Ok(settings)
}

/// Runtimes of the flags and of the file, by name.
fn runtimes(
    flags: &[String],
    file: BTreeMap<String, FileRuntime>,
) -> Result<BTreeMap<String, RuntimeProgram>> {
    let mut all: BTreeMap<String, RuntimeProgram> = BTreeMap::new();
    for text in flags {
        let (name, path) =
            text.split_once('=').with_context(|| format!("add-runtime {text:?} is no NAME=PATH"))?;
        all.insert(name.into(), RuntimeProgram { path: path.into(), arguments: Vec::new() });
    }
    for (name, runtime) in file {
        ensure!(
            !all.contains_key(&name),
            "runtime {name:?} is specified both as a flag and in the configuration file"
        );
        all.insert(name, RuntimeProgram { path: runtime.path, arguments: runtime.runtime_args });
    }
    for (name, runtime) in &all {
        ensure!(name != dhow_engine::runtimes::OWN, "runtime name {name:?} is reserved");
        ensure!(!name.is_empty() && !name.contains('/'), "{name:?} is no name of a runtime");
        ensure!(!runtime.path.as_os_str().is_empty(), "runtime {name:?} has no path");
    }
    Ok(all)
}

fn layer_format(text: Option<&str>) -> Result<Option<LayerFormat>> {
    match text {
        None | Some("auto") => Ok(None),
        Some("tar") => Ok(Some(LayerFormat::Tar)),
        Some("directory") => Ok(Some(LayerFormat::Directory)),
        Some(other) => bail!("layer-format {other:?} is not known: auto, tar or directory"),
    }
}

fn log(flags: &Flags) -> Result<LogConfig> {
    let pair = |text: &String| {
        let (key, value) =
            text.split_once('=').with_context(|| format!("log-opt {text:?} is no KEY=VALUE"))?;
        Ok((key.to_owned(), value.to_owned()))
    };
    let config = flags.log_opts.iter().map(pair).collect::<Result<_>>()?;
    let log = LogConfig { kind: flags.log_driver.clone().unwrap_or_else(|| "json-file".into()), config };
    dhow_engine::plan::logs::options(&log).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(log)
}

/// `NAME=SOFT[:HARD]`.
fn ulimit(text: &str) -> Result<Ulimit> {
    let wrong = || format!("default-ulimit {text:?} is no NAME=SOFT[:HARD]");
    let (name, values) = text.split_once('=').with_context(wrong)?;
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    Ok(Ulimit {
        name: name.into(),
        soft: soft.parse().with_context(wrong)?,
        hard: hard.parse().with_context(wrong)?,
    })
}
