//! An inspected container (`GET /containers/{id}/json`).

use dhow_model::container::{Config, Probe, State};
use dhow_model::ports::SnapshotUsage;
use dhow_model::{Container, Timestamp};
use serde::Serialize;

use super::container::{Mount, mounts, words};
use super::network::Settings;
use crate::server::version::ApiVersion;

/// The name of the storage driver on the wire.
pub(crate) const DRIVER: &str = "overlayfs";

/// What an inspection needs beside the record.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    /// `/etc/resolv.conf` of the container, on the host.
    pub(crate) resolv_conf: String,
    /// `/etc/hostname`.
    pub(crate) hostname: String,
    /// `/etc/hosts`.
    pub(crate) hosts: String,
    /// The log, where it has one.
    pub(crate) log: String,
    /// Its execs that run.
    pub(crate) execs: Vec<String>,
    /// What it takes on disk, when asked for.
    pub(crate) size: Option<SnapshotUsage>,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Inspection<'a> {
    id: &'a str,
    created: Timestamp,
    path: &'a str,
    args: Vec<&'a str>,
    state: Status<'a>,
    image: String,
    resolv_conf_path: String,
    hostname_path: String,
    hosts_path: String,
    log_path: String,
    name: String,
    restart_count: u32,
    driver: &'static str,
    platform: &'a str,
    mount_label: &'static str,
    process_label: &'static str,
    app_armor_profile: &'static str,
    #[serde(rename = "ExecIDs")]
    exec_ids: Option<Vec<String>>,
    host_config: HostConfig<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    graph_driver: Option<GraphDriver>,
    #[serde(skip_serializing_if = "Option::is_none")]
    storage: Option<Storage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_rw: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_root_fs: Option<u64>,
    mounts: Vec<Mount<'a>>,
    config: &'a Config,
    network_settings: Settings,
}

impl<'a> Inspection<'a> {
    /// Of a container, for a client of that version.
    pub(crate) fn new(container: &'a Container, around: Surroundings, version: ApiVersion) -> Self {
        let mut words = words(&container.config).map(String::as_str);
        Self {
            id: container.id.as_str(),
            created: container.created,
            path: words.next().unwrap_or_default(),
            args: words.collect(),
            state: Status::new(container),
            image: container.image.map(|id| id.to_string()).unwrap_or_default(),
            resolv_conf_path: around.resolv_conf,
            hostname_path: around.hostname,
            hosts_path: around.hosts,
            log_path: around.log,
            name: format!("/{}", container.name),
            restart_count: container.restart_count,
            driver: DRIVER,
            platform: container.platform.as_ref().map_or("linux", |platform| &platform.os),
            mount_label: "",
            process_label: "",
            app_armor_profile: "",
            exec_ids: Some(around.execs).filter(|execs| !execs.is_empty()),
            host_config: HostConfig::new(&container.host_config, version),
            graph_driver: version.before(52).then(GraphDriver::new),
            storage: (!version.before(52)).then(Storage::new),
            size_rw: around.size.map(|size| size.writable),
            size_root_fs: around.size.map(|size| size.total),
            mounts: mounts(container),
            config: &container.config,
            network_settings: Settings::new(container, version),
        }
    }
}

/// `State`: one word, and the flags that it stands for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Status<'a> {
    status: &'static str,
    running: bool,
    paused: bool,
    restarting: bool,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
    dead: bool,
    pid: i32,
    exit_code: i32,
    error: &'a str,
    started_at: Timestamp,
    finished_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<Health<'a>>,
}

/// What probing found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Health<'a> {
    status: &'static str,
    failing_streak: u32,
    log: &'a [Probe],
}

impl<'a> Health<'a> {
    fn new(health: &'a dhow_model::container::Health) -> Self {
        Self { status: health.status.word(), failing_streak: health.failing_streak, log: &health.log }
    }
}

impl<'a> Status<'a> {
    fn new(container: &'a Container) -> Self {
        let state = &container.state;
        let (running, exit) = (state.running(), state.exit());
        Self {
            status: state.word(),
            running: state.is_active(),
            paused: matches!(state, State::Paused(_)),
            restarting: matches!(state, State::Restarting(_)),
            oom_killed: exit.is_some_and(|exit| exit.oom_killed),
            dead: false,
            pid: running.map_or(0, |running| running.pid),
            exit_code: exit.map_or(0, |exit| exit.code),
            error: exit.map_or("", |exit| &exit.error),
            started_at: running.map(|r| r.started).or(exit.map(|e| e.started)).unwrap_or_default(),
            finished_at: exit.map(|exit| exit.finished).unwrap_or_default(),
            health: container.health.as_ref().map(Health::new),
        }
    }
}

/// The recorded settings and Docker's fields that are not among them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig<'a> {
    #[serde(flatten)]
    recorded: &'a dhow_model::container::HostConfig,
    cpu_percent: i64,
    #[serde(rename = "IOMaximumIOps")]
    io_maximum_iops: i64,
    #[serde(rename = "IOMaximumBandwidth")]
    io_maximum_bandwidth: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel_memory: Option<i64>,
    #[serde(rename = "KernelMemoryTCP", skip_serializing_if = "Option::is_none")]
    kernel_memory_tcp: Option<i64>,
}

impl<'a> HostConfig<'a> {
    fn new(recorded: &'a dhow_model::container::HostConfig, version: ApiVersion) -> Self {
        Self {
            recorded,
            cpu_percent: 0,
            io_maximum_iops: 0,
            io_maximum_bandwidth: 0,
            kernel_memory: version.before(42).then_some(0),
            kernel_memory_tcp: version.before(42).then_some(0),
        }
    }
}

/// How storage was told before 1.52.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GraphDriver {
    data: Option<()>,
    name: &'static str,
}

impl GraphDriver {
    /// Ours; it has nothing to tell.
    pub(crate) const fn new() -> Self {
        Self { data: None, name: DRIVER }
    }
}

/// How it is told since.
#[derive(Debug, Serialize)]
struct Storage {
    #[serde(rename = "RootFS")]
    rootfs: RootFs,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RootFs {
    snapshot: Snapshot,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Snapshot {
    name: &'static str,
}

impl Storage {
    const fn new() -> Self {
        Self { rootfs: RootFs { snapshot: Snapshot { name: DRIVER } } }
    }
}
