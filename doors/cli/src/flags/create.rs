//! What `run` and `create` send: the flags as docker's `Config`, `HostConfig` and
//! `NetworkingConfig`, field by field, with the same empty values where nothing was said.

use std::collections::BTreeMap;

use serde::Serialize;

use super::device::{self, DeviceRequest, Mapping, Throttle, Weight};
use super::environment;
use super::health::Health;
use super::limits::{self, Ulimit};
use super::mount::Mount;
use super::network::{EndpointSettings, Networking};
use super::ports::{Binding, Empty, Ports};
use super::security::{self, SecurityOptions};
use super::volume::Volume;
use super::{Parsed, bytes, number, validate};
use crate::error::{Error, Result};

/// The body of `POST /containers/create`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateRequest {
    #[serde(flatten)]
    pub(crate) config: Config,
    pub(crate) host_config: HostConfig,
    networking_config: NetworkingConfig,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkingConfig {
    endpoints_config: BTreeMap<String, EndpointSettings>,
}

/// What belongs to the container wherever it runs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Config {
    hostname: String,
    domainname: String,
    user: String,
    pub(crate) attach_stdin: bool,
    pub(crate) attach_stdout: bool,
    pub(crate) attach_stderr: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    exposed_ports: BTreeMap<String, Empty>,
    pub(crate) tty: bool,
    pub(crate) open_stdin: bool,
    pub(crate) stdin_once: bool,
    env: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck: Option<Health>,
    pub(crate) image: String,
    volumes: BTreeMap<String, Empty>,
    working_dir: String,
    entrypoint: Option<Vec<String>>,
    on_build: Option<Vec<String>>,
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    stop_signal: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_timeout: Option<i64>,
}

/// What belongs to this host.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct HostConfig {
    binds: Option<Vec<String>>,
    #[serde(rename = "ContainerIDFile")]
    container_id_file: String,
    log_config: LogConfig,
    network_mode: String,
    port_bindings: BTreeMap<String, Vec<Binding>>,
    restart_policy: RestartPolicy,
    pub(crate) auto_remove: bool,
    volume_driver: String,
    volumes_from: Option<Vec<String>>,
    pub(crate) console_size: [u16; 2],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    cap_add: Option<Vec<String>>,
    cap_drop: Option<Vec<String>>,
    cgroupns_mode: String,
    dns: Vec<String>,
    dns_options: Vec<String>,
    dns_search: Vec<String>,
    extra_hosts: Option<Vec<String>>,
    group_add: Option<Vec<String>>,
    ipc_mode: String,
    cgroup: String,
    links: Option<Vec<String>>,
    oom_score_adj: i64,
    pid_mode: String,
    privileged: bool,
    publish_all_ports: bool,
    readonly_rootfs: bool,
    security_opt: Option<Vec<String>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    storage_opt: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tmpfs: BTreeMap<String, String>,
    #[serde(rename = "UTSMode")]
    uts_mode: String,
    userns_mode: String,
    shm_size: i64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    sysctls: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    runtime: String,
    isolation: String,
    #[serde(flatten)]
    resources: Resources,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mounts: Vec<Mount>,
    masked_paths: Option<Vec<String>>,
    readonly_paths: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    init: Option<bool>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct LogConfig {
    r#type: String,
    config: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RestartPolicy {
    name: String,
    maximum_retry_count: i64,
}

/// What the container may use.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Resources {
    cpu_shares: i64,
    memory: i64,
    nano_cpus: i64,
    cgroup_parent: String,
    blkio_weight: i64,
    blkio_weight_device: Vec<Weight>,
    blkio_device_read_bps: Vec<Throttle>,
    blkio_device_write_bps: Vec<Throttle>,
    #[serde(rename = "BlkioDeviceReadIOps")]
    blkio_device_read_iops: Vec<Throttle>,
    #[serde(rename = "BlkioDeviceWriteIOps")]
    blkio_device_write_iops: Vec<Throttle>,
    cpu_period: i64,
    cpu_quota: i64,
    cpu_realtime_period: i64,
    cpu_realtime_runtime: i64,
    cpuset_cpus: String,
    cpuset_mems: String,
    devices: Vec<Mapping>,
    device_cgroup_rules: Option<Vec<String>>,
    device_requests: Option<Vec<DeviceRequest>>,
    memory_reservation: i64,
    memory_swap: i64,
    memory_swappiness: i64,
    oom_kill_disable: bool,
    pids_limit: i64,
    ulimits: Vec<Ulimit>,
    cpu_count: i64,
    cpu_percent: i64,
    #[serde(rename = "IOMaximumIOps")]
    io_maximum_iops: u64,
    #[serde(rename = "IOMaximumBandwidth")]
    io_maximum_bandwidth: i64,
}

impl CreateRequest {
    /// Reads the flags; what contradicts itself is refused here, before the engine is asked.
    pub(crate) fn of(parsed: &Parsed) -> Result<CreateRequest> {
        let networking = Networking::of(parsed).map_err(Error::refused)?;
        let ports = Ports::parse(&parsed.list("publish"), &parsed.list("expose")).map_err(Error::refused)?;
        let volumes = volumes(parsed).map_err(Error::refused)?;
        check_modes(parsed).map_err(Error::refused)?;
        let mut config = Config::of(parsed)?;
        config.exposed_ports = ports.exposed;
        config.volumes = volumes.unnamed;
        let mut host_config = HostConfig::of(parsed).map_err(Error::refused)?;
        host_config.binds = some(volumes.bound);
        host_config.port_bindings = ports.published;
        host_config.network_mode = networking.mode;
        let networking_config = NetworkingConfig { endpoints_config: networking.endpoints };
        Ok(CreateRequest { config, host_config, networking_config })
    }
}

impl Config {
    fn of(parsed: &Parsed) -> Result<Config> {
        let text = |name: &str| parsed.text_or_empty(name).to_owned();
        let attached = |name: &str| parsed.all("attach").any(|stream| stream.eq_ignore_ascii_case(name));
        let by_default = !parsed.is_given("attach");
        let open_stdin = parsed.is_on("interactive");
        let attach_stdin = attached("stdin") || open_stdin;
        let entrypoint = parsed.text("entrypoint").map(|program| vec![program.to_owned()]);
        let variables = environment::variables(&parsed.list("env-file"), &parsed.list("env"))?;
        Ok(Config {
            hostname: text("hostname"),
            domainname: text("domainname"),
            user: text("user"),
            attach_stdin,
            attach_stdout: by_default || attached("stdout"),
            attach_stderr: by_default || attached("stderr"),
            exposed_ports: BTreeMap::new(),
            tty: parsed.is_on("tty"),
            open_stdin,
            // What is attached to standard input closes it when it leaves.
            stdin_once: open_stdin && attach_stdin,
            env: some(variables),
            cmd: some(parsed.arguments.iter().skip(1).cloned().collect()),
            healthcheck: Health::of(parsed).map_err(Error::refused)?,
            image: parsed.argument(0).to_owned(),
            volumes: BTreeMap::new(),
            working_dir: text("workdir"),
            entrypoint,
            on_build: None,
            labels: environment::labels(&parsed.list("label-file"), &parsed.list("label"))?,
            stop_signal: text("stop-signal"),
            stop_timeout: parsed.integer("stop-timeout"),
        })
    }
}

impl Config {
    /// Adds variables that the command line did not set itself.
    pub(crate) fn add_variables(&mut self, variables: Vec<(String, &str)>) {
        for (name, value) in variables {
            let is_set = |known: &String| known.split('=').next() == Some(&name);
            if !self.env.iter().flatten().any(is_set) {
                self.env.get_or_insert_default().push(format!("{name}={value}"));
            }
        }
    }
}

impl HostConfig {
    fn of(parsed: &Parsed) -> Result<HostConfig, String> {
        let text = |name: &str| parsed.text_or_empty(name).to_owned();
        let list = |name: &str| some(parsed.list(name));
        let options = SecurityOptions::parse(&parsed.list("security-opt"))?;
        let unmasked = options.system_paths_unconfined.then(Vec::new);
        Ok(HostConfig {
            binds: None,
            container_id_file: text("cidfile"),
            log_config: log_config(parsed)?,
            network_mode: String::new(),
            port_bindings: BTreeMap::new(),
            restart_policy: restart_policy(parsed)?,
            auto_remove: parsed.is_on("rm"),
            volume_driver: text("volume-driver"),
            volumes_from: list("volumes-from"),
            console_size: [0, 0],
            annotations: environment::pairs(&parsed.list("annotation")),
            cap_add: some(security::capabilities(&parsed.list("cap-add"))),
            cap_drop: some(security::capabilities(&parsed.list("cap-drop"))),
            cgroupns_mode: text("cgroupns"),
            dns: parsed.all("dns").map(validate::address).collect::<Result<_, _>>()?,
            dns_options: parsed.list("dns-option"),
            dns_search: parsed.all("dns-search").map(validate::dns_search).collect::<Result<_, _>>()?,
            extra_hosts: some(parsed.all("add-host").map(validate::extra_host).collect::<Result<_, _>>()?),
            group_add: list("group-add"),
            ipc_mode: text("ipc"),
            cgroup: String::new(),
            links: list("link"),
            oom_score_adj: parsed.integer("oom-score-adj").unwrap_or(0),
            pid_mode: text("pid"),
            privileged: parsed.is_on("privileged"),
            publish_all_ports: parsed.is_on("publish-all"),
            readonly_rootfs: parsed.is_on("read-only"),
            security_opt: if parsed.is_given("security-opt") { Some(options.options) } else { None },
            storage_opt: storage_options(parsed)?,
            tmpfs: parsed.all("tmpfs").map(tmpfs).collect(),
            uts_mode: text("uts"),
            userns_mode: text("userns"),
            shm_size: size(parsed, "shm-size"),
            sysctls: environment::pairs(&parsed.list("sysctl")),
            runtime: text("runtime"),
            isolation: text("isolation"),
            resources: Resources::of(parsed)?,
            mounts: parsed.all("mount").map(Mount::parse).collect::<Result<_, _>>()?,
            masked_paths: unmasked.clone(),
            readonly_paths: unmasked,
            init: parsed.is_given("init").then(|| parsed.is_on("init")),
        })
    }
}

impl Resources {
    fn of(parsed: &Parsed) -> Result<Resources, String> {
        let text = |name: &str| parsed.text_or_empty(name).to_owned();
        let number = |name: &str| parsed.integer(name).unwrap_or(0);
        let swappiness = parsed.integer("memory-swappiness").unwrap_or(-1);
        if !(-1..=100).contains(&swappiness) {
            return Err(format!("invalid value: {swappiness}. Valid memory swappiness range is 0-100"));
        }
        let (devices, requests) = devices(parsed)?;
        Ok(Resources {
            cpu_shares: number("cpu-shares"),
            memory: size(parsed, "memory"),
            nano_cpus: parsed.text("cpus").map_or(Ok(0), limits::cpus)?,
            cgroup_parent: text("cgroup-parent"),
            blkio_weight: number("blkio-weight"),
            blkio_weight_device: parsed
                .all("blkio-weight-device")
                .map(device::weight)
                .collect::<Result<_, _>>()?,
            blkio_device_read_bps: rates(parsed, "device-read-bps", device::bytes_per_second)?,
            blkio_device_write_bps: rates(parsed, "device-write-bps", device::bytes_per_second)?,
            blkio_device_read_iops: rates(parsed, "device-read-iops", device::operations_per_second)?,
            blkio_device_write_iops: rates(parsed, "device-write-iops", device::operations_per_second)?,
            cpu_period: number("cpu-period"),
            cpu_quota: number("cpu-quota"),
            cpu_realtime_period: number("cpu-rt-period"),
            cpu_realtime_runtime: number("cpu-rt-runtime"),
            cpuset_cpus: text("cpuset-cpus"),
            cpuset_mems: text("cpuset-mems"),
            devices,
            device_cgroup_rules: some(parsed.list("device-cgroup-rule")),
            device_requests: requests,
            memory_reservation: size(parsed, "memory-reservation"),
            memory_swap: size(parsed, "memory-swap"),
            memory_swappiness: swappiness,
            oom_kill_disable: parsed.is_on("oom-kill-disable"),
            pids_limit: number("pids-limit"),
            ulimits: ulimits(parsed)?,
            cpu_count: number("cpu-count"),
            cpu_percent: number("cpu-percent"),
            io_maximum_iops: parsed.text("io-maxiops").map_or(Ok(0), number::unsigned)?,
            io_maximum_bandwidth: size(parsed, "io-maxbandwidth"),
        })
    }
}

/// An empty list of docker's is null.
fn some(list: Vec<String>) -> Option<Vec<String>> {
    Some(list).filter(|list| !list.is_empty())
}

/// A size whose form was checked when it was read.
fn size(parsed: &Parsed, name: &str) -> i64 {
    match parsed.text(name) {
        Some("-1") => -1,
        Some(text) => bytes::binary(text).unwrap_or(0),
        None => 0,
    }
}

fn rates(
    parsed: &Parsed,
    name: &str,
    read: fn(&str) -> Result<Throttle, String>,
) -> Result<Vec<Throttle>, String> {
    parsed.all(name).map(read).collect()
}

/// The last limit of each name, by name.
fn ulimits(parsed: &Parsed) -> Result<Vec<Ulimit>, String> {
    let mut limits = BTreeMap::new();
    for value in parsed.all("ulimit") {
        let limit = Ulimit::parse(value)?;
        limits.insert(limit.name.clone(), limit);
    }
    Ok(limits.into_values().collect())
}

type Devices = (Vec<Mapping>, Option<Vec<DeviceRequest>>);

fn devices(parsed: &Parsed) -> Result<Devices, String> {
    let mut mappings = Vec::new();
    let mut cdi = Vec::new();
    for name in parsed.all("device") {
        if device::is_cdi_name(name) {
            cdi.push(name.to_owned());
        } else {
            mappings.push(Mapping::parse(name)?);
        }
    }
    let mut requests = parsed.all("gpus").map(device::gpus).collect::<Result<Vec<_>, _>>()?;
    if !cdi.is_empty() {
        requests.push(DeviceRequest::cdi(cdi));
    }
    Ok((mappings, Some(requests).filter(|requests| !requests.is_empty())))
}

#[derive(Default)]
struct Volumes {
    unnamed: BTreeMap<String, Empty>,
    bound: Vec<String>,
}

fn volumes(parsed: &Parsed) -> Result<Volumes, String> {
    let mut volumes = Volumes::default();
    for spec in parsed.all("volume") {
        match Volume::parse(spec)? {
            Volume::Unnamed(path) => drop(volumes.unnamed.insert(path, Empty {})),
            Volume::Bound(bind) => volumes.bound.push(bind),
        }
    }
    Ok(volumes)
}

fn tmpfs(spec: &str) -> (String, String) {
    let (path, options) = spec.split_once(':').unwrap_or((spec, ""));
    (path.to_owned(), options.to_owned())
}

fn storage_options(parsed: &Parsed) -> Result<BTreeMap<String, String>, String> {
    let pair = |option: &str| match option.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err("invalid storage option".to_owned()),
    };
    parsed.all("storage-opt").map(pair).collect()
}

fn log_config(parsed: &Parsed) -> Result<LogConfig, String> {
    let driver = parsed.text_or_empty("log-driver").to_owned();
    if driver == "none" && parsed.is_given("log-opt") {
        return Err(format!("invalid logging opts for driver {driver}"));
    }
    Ok(LogConfig { r#type: driver, config: environment::pairs(&parsed.list("log-opt")) })
}

fn restart_policy(parsed: &Parsed) -> Result<RestartPolicy, String> {
    let policy = parsed.text("restart").unwrap_or("no");
    let (name, count) = match policy.split_once(':') {
        Some(("", _)) => {
            return Err("invalid restart policy format: no policy provided before colon".to_owned());
        }
        Some((name, count)) => (name, count),
        None => (policy, ""),
    };
    let maximum_retry_count = match count {
        "" => 0,
        count => number::signed_decimal(count)
            .ok_or("invalid restart policy format: maximum retry count must be an integer")?,
    };
    if parsed.is_on("rm") && !matches!(name, "no" | "") {
        return Err("conflicting options: cannot specify both --restart and --rm".to_owned());
    }
    Ok(RestartPolicy { name: name.to_owned(), maximum_retry_count })
}

/// Namespaces are the container's own, the host's, or (for some) another container's.
fn check_modes(parsed: &Parsed) -> Result<(), String> {
    let of_container = |mode: &str| mode.strip_prefix("container:").is_some_and(|name| !name.is_empty());
    let mac_address = parsed.text_or_empty("mac-address");
    if !mac_address.is_empty() && !validate::is_mac_address(mac_address) {
        return Err(format!("{mac_address} is not a valid mac address"));
    }
    for (flag, name, container) in [("pid", "PID", true), ("uts", "UTS", false), ("userns", "USER", false)] {
        match parsed.text_or_empty(flag) {
            "" | "host" => {}
            mode if container && of_container(mode) => {}
            _ => return Err(format!("--{flag}: invalid {name} mode")),
        }
    }
    match parsed.text_or_empty("cgroupns") {
        "" | "host" | "private" => Ok(()),
        _ => Err("--cgroupns: invalid CGROUP mode".to_owned()),
    }
}
