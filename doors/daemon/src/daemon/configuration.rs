//! Flags and configuration file, made one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use dhow_engine::Settings;
use dhow_engine::runtimes::{OWN, is_known};
use dhow_model::container::{LogConfig, Ulimit};
use dhow_model::ports::RuntimeProgram;
use dhow_net::HostPolicy;
use dhow_store::LayerFormat;

use super::address::{Address, TLS_PORT};
use super::file::{self, File};
use super::flags::{ContainerFlags, Flags, Given};
use super::log::LogStyle;
use super::networks;
use super::storage;
use super::tls::Tls;

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

/// What containers have that do not say.
fn of_containers(flags: &Flags, file: &File) -> Result<Settings> {
    let flags = &flags.containers;
    let mut settings = Settings {
        log: log(
            either(&flags.log_driver, &file.log_driver),
            pairs(&flags.log_opts, "log-opt")?,
            &file.log_opts,
        )?,
        ulimits: flags.default_ulimits.iter().map(|text| ulimit(text)).collect::<Result<_>>()?,
        init: either(&flags.init, &file.init).unwrap_or(false),
        no_new_privileges: either(&flags.no_new_privileges, &file.no_new_privileges).unwrap_or(false),
        dns: both(&flags.dns, &file.dns),
        dns_options: both(&flags.dns_opts, &file.dns_opts),
        dns_search: both(&flags.dns_search, &file.dns_search),
        seccomp_profile: seccomp(either(&flags.seccomp_profile, &file.seccomp_profile).as_deref())?,
        ..Settings::default()
    };
    let of_file = file.default_ulimits.iter();
    settings.ulimits.extend(of_file.map(|(name, limit)| Ulimit {
        name: name.clone(),
        soft: limit.soft,
        hard: limit.hard,
    }));
    settings.ulimits.iter().try_for_each(check_ulimit)?;
    servers(&settings)?;
    let cdi = both(&flags.cdi_directories, &file.cdi_spec_dirs);
    if !cdi.is_empty() {
        // An empty name is how dockerd says that there are none.
        let named = cdi.iter().filter(|path| !path.as_os_str().is_empty());
        settings.cdi_directories = named.map(|path| absolute(path)).collect::<Result<_>>()?;
    }
    cgroup_driver(&both(&flags.exec_opts, &file.exec_opts))?;
    if let Some(parent) = either(&flags.cgroup_parent, &file.cgroup_parent).filter(|it| !it.is_empty()) {
        settings.cgroup_parent = of_slice(&parent);
    }
    modes(flags, file, &mut settings)?;
    networks::apply(flags, file, &mut settings)?;
    let in_file = file.default_shm_size.as_ref().map(ToString::to_string);
    if let Some(size) = either(&flags.default_shm_size, &in_file) {
        let size = dhow_engine::plan::logs::size(&size)
            .map_err(|error| anyhow::anyhow!("default-shm-size: {error}"))?;
        settings.shm_size = i64::try_from(size)?;
    }
    Ok(settings)
}

fn modes(flags: &ContainerFlags, file: &File, settings: &mut Settings) -> Result<()> {
    if let Some(mode) = either(&flags.default_ipc_mode, &file.default_ipc_mode).filter(|it| !it.is_empty()) {
        let hint = "use \"shareable\" or \"private\"";
        ensure!(
            ["private", "shareable"].contains(&mode.as_str()),
            "IPC mode \"{mode}\" is not supported as default value; {hint}"
        );
        settings.ipc_mode = mode;
    }
    let mode = either(&flags.default_cgroupns_mode, &file.default_cgroupns_mode).unwrap_or_default();
    ensure!(
        ["", "private", "host"].contains(&mode.as_str()),
        "invalid default cgroup namespace ({mode}): use \"host\" or \"private\""
    );
    settings.cgroupns_mode = mode;
    Ok(())
}

fn seccomp(profile: Option<&str>) -> Result<Option<String>> {
    match profile {
        None | Some("" | "builtin" | "default") => Ok(None),
        Some("unconfined") => Ok(Some("unconfined".into())),
        Some(file) => {
            let text = std::fs::read_to_string(file);
            Ok(Some(text.with_context(|| format!("read the seccomp profile {file}"))?))
        }
    }
}

/// Nothing is called otherwise here: layers are an overlay of the kernel's.
fn driver(name: Option<&str>) -> Result<()> {
    match name {
        None | Some("" | "overlay2" | "overlayfs") => Ok(()),
        Some(other) => bail!("driver not supported: {other}"),
    }
}

/// The directory of a slice: `a-b.slice` is in `a.slice` (systemd.slice(5)), and so below the limits of both. Other
/// paths are as they are.
fn of_slice(parent: &str) -> String {
    let Some(name) = parent.strip_suffix(".slice").filter(|name| !name.contains('/')) else {
        return parent.into();
    };
    let ends = name.match_indices('-').map(|(end, _)| end).chain([name.len()]).filter(|end| *end > 0);
    ends.map(|end| format!("/{}.slice", &name[..end])).collect()
}

/// Addresses and domains, in dockerd's words.
fn servers(settings: &Settings) -> Result<()> {
    for address in &settings.dns {
        ensure!(address.parse::<std::net::IpAddr>().is_ok(), "{address} is not an ip address");
    }
    for domain in &settings.dns_search {
        let odd = |c: char| c.is_whitespace() || c.is_control();
        ensure!(!domain.trim().is_empty() && !domain.contains(odd), "{domain} is not a valid domain");
    }
    Ok(())
}

fn check_ulimit(limit: &Ulimit) -> Result<()> {
    let (soft, hard) = (limit.soft, limit.hard);
    ensure!(
        hard < 0 || (0..=hard).contains(&soft),
        "ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
    );
    Ok(())
}

fn cgroup_driver(options: &[String]) -> Result<()> {
    for (key, value) in pairs(options, "exec-opt")? {
        ensure!(key == "native.cgroupdriver", "unknown option: '{key}'");
        ensure!(
            ["cgroupfs", "systemd"].contains(&value.as_str()),
            "native.cgroupdriver={value}: it is neither cgroupfs nor systemd"
        );
    }
    Ok(())
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

/// Runtimes of the flags and of the file, by name, and which of them is for who does not say.
fn runtimes(flags: &Flags, file: &File) -> Result<(BTreeMap<String, RuntimeProgram>, String)> {
    let mut runtimes: BTreeMap<String, RuntimeProgram> = BTreeMap::new();
    for (name, runtime) in &file.runtimes {
        ensure!(!runtime.is_both(), "runtime '{name}': cannot have both a runtimeType and a path");
        if let Some(program) = runtime.program() {
            runtimes.insert(name.clone(), program);
        }
    }
    for (name, path) in pairs(&flags.containers.runtimes, "add-runtime")? {
        ensure!(!runtimes.contains_key(&name), "runtime '{name}' was already defined");
        runtimes.insert(name, RuntimeProgram { path: path.into(), arguments: Vec::new() });
    }
    for (name, runtime) in &runtimes {
        ensure!(name != OWN, "runtime name '{name}' is reserved");
        ensure!(!name.is_empty() && !name.contains('/'), "'{name}' is no name of a runtime");
        ensure!(
            !runtime.path.as_os_str().is_empty(),
            "runtime '{name}': either a runtimeType or a path must be configured"
        );
    }
    let default = either(&flags.containers.default_runtime, &file.default_runtime);
    let default = default.filter(|name| !name.is_empty()).unwrap_or_else(|| OWN.into());
    ensure!(
        runtimes.contains_key(&default) || is_known(&default),
        "specified default runtime '{default}' does not exist"
    );
    Ok((runtimes, default))
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

fn log(
    driver: Option<String>,
    mut options: BTreeMap<String, String>,
    more: &BTreeMap<String, String>,
) -> Result<LogConfig> {
    options.extend(more.clone());
    let log = LogConfig { kind: driver.unwrap_or_else(|| "json-file".into()), config: options };
    dhow_engine::plan::logs::check(&log).map_err(|error| anyhow::anyhow!("{error}"))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_below_those_that_it_is_named_after() {
        for (parent, place) in [
            ("a.slice", "/a.slice"),
            ("a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice"),
            ("/x/y", "/x/y"),
            ("/x/a-b.slice", "/x/a-b.slice"),
        ] {
            assert_eq!(of_slice(parent), place);
        }
    }
}
