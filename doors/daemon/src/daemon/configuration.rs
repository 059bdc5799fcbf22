//! Flags and configuration file, made one.

mod containers;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use dhow_engine::Settings;
use dhow_net::HostPolicy;
use dhow_store::LayerFormat;

use super::address::{Address, TLS_PORT};
use super::file::{self, File};
use super::flags::{Flags, Given};
use super::log::LogStyle;
use super::networks;
use super::storage;
use super::tls::Tls;
use containers::{of_containers, runtimes};

const SOCKET: &str = "/run/dhow/dhow.sock";
const SYSTEMD: &str = "native.cgroupdriver=systemd";

/// What the engine is started with.
#[derive(Debug, Clone)]
pub(super) struct Configuration {
    pub(super) access: Access,
    pub(super) data_root: PathBuf,
    pub(super) exec_root: PathBuf,
    pub(super) pidfile: PathBuf,
    pub(super) settings: Settings,
    /// Whose ranges of ids the users of containers get; none for those of the host.
    pub(super) userns_remap: Option<String>,
    pub(super) store: dhow_store::Options,
    pub(super) host: HostPolicy,
    pub(super) log: LogStyle,
    /// Where metrics are served, when they are.
    pub(super) metrics: Option<SocketAddr>,
    /// What the user should know.
    pub(super) warnings: Vec<String>,
}

/// Who may speak to the engine, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Access {
    /// Where it listens.
    pub(super) hosts: Vec<Address>,
    /// The group of unix sockets; empty is the usual one.
    pub(super) group: String,
    /// TLS, when it is on.
    pub(super) tls: Option<Tls>,
    /// It was said in so many words that nobody needs a certificate.
    pub(super) insecure: bool,
}

impl Configuration {
    /// Reads flags and file.
    pub(super) fn read(flags: &Flags, given: &Given) -> Result<Self> {
        let file = file::read(flags, given)?;
        let data_root = either(&flags.data_root, &file.data_root);
        let data_root = absolute(data_root.as_deref().unwrap_or(Path::new("/var/lib/dhow")))?;
        let exec_root = either(&flags.exec_root, &file.exec_root);
        let exec_root = absolute(exec_root.as_deref().unwrap_or(Path::new("/run/dhow")))?;
        driver(either(&flags.storage_driver, &file.storage_driver).as_deref())?;
        let format = either(&flags.layer_format, &file.layer_format);
        let mut settings = settings(flags, &file, &data_root)?;
        let mut warnings = warnings(flags, &file);
        let options = pairs(&both(&flags.storage_opts, &file.storage_opts), "storage-opt")?;
        warnings.extend(storage::apply(&options, &mut settings)?);
        Ok(Self {
            access: access(flags, &file)?,
            settings,
            userns_remap: either(&flags.containers.userns_remap, &file.userns_remap)
                .filter(|text| !text.is_empty()),
            store: dhow_store::Options { layers: layer_format(format.as_deref())? },
            host: flags.network.or(&file.network).policy(networks::publishing(flags, &file)?)?,
            log: log_style(flags, &file)?,
            metrics: metrics(either(&flags.metrics_addr, &file.metrics_addr).as_deref())?,
            pidfile: either(&flags.pidfile, &file.pidfile).unwrap_or_else(|| exec_root.join("dhow.pid")),
            data_root,
            exec_root,
            warnings,
        })
    }
}

/// What has no effect.
fn warnings(flags: &Flags, file: &File) -> Vec<String> {
    let mut warnings = both(&flags.told, &file.warnings);
    let options = both(&flags.containers.exec_opts, &file.exec_opts);
    if options.iter().any(|option| option == SYSTEMD) {
        warnings.push(format!("{SYSTEMD} has no effect: cgroups are made without systemd"));
    }
    let shims = file.runtimes.iter().filter(|(_, runtime)| runtime.program().is_none());
    warnings.extend(shims.map(|(name, _)| {
        format!("runtime '{name}' is one of containerd's shims: containers that ask for it are refused")
    }));
    warnings
}

/// A setting from where it is given: never from both, which was refused.
fn either<T: Clone>(flag: &Option<T>, file: &Option<T>) -> Option<T> {
    flag.clone().or_else(|| file.clone())
}

fn both<T: Clone>(flags: &[T], file: &[T]) -> Vec<T> {
    flags.iter().chain(file).cloned().collect()
}

/// An address of this machine and a port, as Go writes them: without the address it is every one.
fn metrics(text: Option<&str>) -> Result<Option<SocketAddr>> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let whole = match text.strip_prefix(':') {
        Some(port) => format!("[::]:{port}"),
        None => text.replacen("localhost:", "127.0.0.1:", 1),
    };
    whole.parse().map(Some).with_context(|| format!("invalid address for metrics: {text}"))
}

/// Monitors have another working directory.
fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("the directory {}", path.display()))
}

fn log_style(flags: &Flags, file: &File) -> Result<LogStyle> {
    let level = either(&flags.log.log_level, &file.log_level);
    let format = either(&flags.log.log_format, &file.log_format);
    let debug = either(&flags.log.debug, &file.debug).unwrap_or(false);
    let raw = either(&flags.log.raw_logs, &file.raw_logs).unwrap_or(false);
    LogStyle::new(level.as_deref(), format.as_deref(), debug, raw)
}

fn access(flags: &Flags, file: &File) -> Result<Access> {
    let (tls, insecure) = tls(flags, file);
    let hosts = both(&flags.hosts, &file.hosts);
    let hosts = hosts.iter().map(|host| host.trim()).filter(|host| !host.is_empty());
    // The same address twice is one.
    let mut hosts: BTreeSet<Address> = hosts.map(Address::parse).collect::<Result<_>>()?;
    if hosts.is_empty() {
        let usual = if tls.is_some() { Address::loopback(TLS_PORT) } else { Address::Unix(SOCKET.into()) };
        hosts.insert(usual);
    }
    let group = either(&flags.group, &file.group).unwrap_or_default();
    Ok(Access { hosts: hosts.into_iter().collect(), group, tls, insecure })
}

/// Whoever says anything of `tlsverify` has TLS; whoever says TLS alone has it with verification.
fn tls(flags: &Flags, file: &File) -> (Option<Tls>, bool) {
    let environment = std::env::var_os("DOCKER_TLS_VERIFY").filter(|value| !value.is_empty());
    let verify = either(&flags.tls.tlsverify, &file.tlsverify).or(environment.map(|_| true));
    let wanted = verify.map(|_| true).or(either(&flags.tls.tls, &file.tls));
    let insecure = wanted == Some(false) || verify == Some(false);
    if wanted != Some(true) {
        return (None, insecure);
    }
    let place = |flag, file, name: &str| either(flag, file).unwrap_or_else(|| certificates().join(name));
    let tls = Tls {
        verify: verify.unwrap_or(true),
        authorities: place(&flags.tls.tlscacert, &file.tlscacert, "ca.pem"),
        certificate: place(&flags.tls.tlscert, &file.tlscert, "cert.pem"),
        key: place(&flags.tls.tlskey, &file.tlskey, "key.pem"),
    };
    (Some(tls), insecure)
}

/// Where certificates are that nobody says the place of.
fn certificates() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || variable("HOME").unwrap_or_else(|| "/".into()).join(".docker");
    variable("DOCKER_CERT_PATH").or_else(|| variable("DOCKER_CONFIG")).unwrap_or_else(home)
}

fn settings(flags: &Flags, file: &File, data_root: &Path) -> Result<Settings> {
    let own = Settings::default();
    let count = |flag: Option<i64>, file: Option<i64>, usual: i64, what: &str| {
        let count = either(&flag, &file).unwrap_or(usual);
        ensure!(count >= 0, "invalid {what}: {count}");
        // dockerd takes none for the usual number.
        Ok(if count == 0 { usual } else { count })
    };
    let (downloads, uploads) = (flags.max_concurrent_downloads, flags.max_concurrent_uploads);
    let stop =
        either(&flags.end.default_stop_timeout, &file.default_stop_timeout).unwrap_or(own.stop_timeout);
    ensure!(stop >= 0, "invalid default stop timeout: {stop}");
    let attempts = either(&flags.max_download_attempts, &file.max_download_attempts);
    let attempts = attempts.unwrap_or(own.max_download_attempts);
    ensure!(attempts > 0, "invalid max download attempts: {attempts}");
    let (runtimes, default_runtime) = runtimes(flags, file)?;
    let containers = of_containers(flags, file)?;
    Ok(Settings {
        data_root: data_root.into(),
        default_network: flags.network.or(&file.network).default_network()?,
        debug: either(&flags.log.debug, &file.debug).unwrap_or(false),
        labels: labels(&both(&flags.labels, &file.labels))?,
        live_restore: either(&flags.end.live_restore, &file.live_restore).unwrap_or(own.live_restore),
        shutdown_timeout: either(&flags.end.shutdown_timeout, &file.shutdown_timeout)
            .unwrap_or(own.shutdown_timeout),
        stop_timeout: stop,
        max_concurrent_downloads: count(
            downloads,
            file.max_concurrent_downloads,
            own.max_concurrent_downloads,
            "max concurrent downloads",
        )?,
        max_concurrent_uploads: count(
            uploads,
            file.max_concurrent_uploads,
            own.max_concurrent_uploads,
            "max concurrent uploads",
        )?,
        max_download_attempts: attempts,
        runtimes,
        default_runtime,
        ..containers
    })
}

/// Nothing is called otherwise here: layers are an overlay of the kernel's.
fn driver(name: Option<&str>) -> Result<()> {
    match name {
        None | Some("" | "overlay2" | "overlayfs") => Ok(()),
        Some(other) => bail!("driver not supported: {other}"),
    }
}

/// Labels with one value each, in dockerd's words.
fn labels(labels: &[String]) -> Result<Vec<String>> {
    let mut kept: BTreeMap<&str, &str> = BTreeMap::new();
    for label in labels {
        let (key, value) = label.split_once('=').with_context(|| format!("bad attribute format: {label}"))?;
        if let Some(other) = kept.insert(key, value).filter(|other| *other != value) {
            bail!("conflict labels for {key}={value} and {key}={other}");
        }
    }
    Ok(kept.into_iter().map(|(key, value)| format!("{key}={value}")).collect())
}

fn layer_format(text: Option<&str>) -> Result<Option<LayerFormat>> {
    match text {
        None | Some("auto") => Ok(None),
        Some("tar") => Ok(Some(LayerFormat::Tar)),
        Some("directory") => Ok(Some(LayerFormat::Directory)),
        Some(other) => bail!("layer-format {other:?} is not known: auto, tar or directory"),
    }
}

/// `KEY=VALUE`, each.
fn pairs(texts: &[String], what: &str) -> Result<BTreeMap<String, String>> {
    let pair = |text: &String| {
        let (key, value) =
            text.split_once('=').with_context(|| format!("{what} {text:?} is no KEY=VALUE"))?;
        Ok((key.to_owned(), value.to_owned()))
    };
    texts.iter().map(pair).collect()
}
