//! `HostConfig`: the settings that concern the host (Docker Engine API, `HostConfig`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Limits, mounts, privileges and namespaces of a container, in Docker's field names.
///
/// Every field is one that the engine honours, at least in part; the engine refuses by name the
/// values that it does not serve, and the API door the fields of Docker that are missing here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostConfig {
    // Mounts
    /// `source:destination[:options]`.
    pub binds: Option<Vec<String>>,
    /// Mounts in their long form.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Destination → tmpfs options.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tmpfs: BTreeMap<String, String>,
    /// `container[:ro|rw]` whose volumes are mounted here too.
    pub volumes_from: Option<Vec<String>>,
    /// Driver of anonymous volumes.
    pub volume_driver: String,
    /// The root file system is mounted read-only.
    pub readonly_rootfs: bool,
    /// Bytes of /dev/shm; 0 is 64 MiB.
    pub shm_size: i64,
    /// Options of the writable layer.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub storage_opt: BTreeMap<String, String>,

    // Life
    /// A file that the client wrote the id to.
    #[serde(rename = "ContainerIDFile")]
    pub container_id_file: String,
    /// Where its output goes.
    pub log_config: LogConfig,
    /// Whether it is started again.
    pub restart_policy: RestartPolicy,
    /// It is removed when it ends.
    pub auto_remove: bool,
    /// A small init is process 1 and reaps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    /// The OCI runtime; empty is our own.
    pub runtime: String,
    /// Rows and columns of the first terminal.
    pub console_size: [u32; 2],
    /// Pairs given to the runtime.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,

    // Namespaces
    /// `default`, `none`, `host`, `bridge`, `container:ID`, or a network's name.
    pub network_mode: String,
    /// `80/tcp` → bindings.
    pub port_bindings: BTreeMap<String, Vec<PortBinding>>,
    /// Every exposed port gets a binding.
    pub publish_all_ports: bool,
    /// `private`, `host`, `shareable`, `none` or `container:ID`.
    pub ipc_mode: String,
    /// Empty, `host` or `container:ID`.
    pub pid_mode: String,
    /// Empty or `host`.
    #[serde(rename = "UTSMode")]
    pub uts_mode: String,
    /// Empty or `host`.
    pub userns_mode: String,
    /// `private`, `host` or empty.
    pub cgroupns_mode: String,
    /// `container:ID` of the cgroup; unused.
    pub cgroup: String,
    /// Name servers.
    pub dns: Option<Vec<String>>,
    /// Resolver options.
    pub dns_options: Option<Vec<String>>,
    /// Search domains.
    pub dns_search: Option<Vec<String>>,
    /// `name:address` lines of /etc/hosts.
    pub extra_hosts: Option<Vec<String>>,
    /// Old links, `id:alias`.
    pub links: Option<Vec<String>>,

    // Privileges
    /// Capabilities beyond the default ones.
    pub cap_add: Option<Vec<String>>,
    /// Capabilities taken from the default ones.
    pub cap_drop: Option<Vec<String>>,
    /// Further groups of the process.
    pub group_add: Option<Vec<String>>,
    /// Everything is allowed.
    pub privileged: bool,
    /// `seccomp=…`, `no-new-privileges`, `apparmor=…`, `label=…`, `systempaths=…`.
    pub security_opt: Option<Vec<String>>,
    /// Kernel parameters of its namespaces.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
    /// Paths hidden from it; nothing is the default list.
    pub masked_paths: Option<Vec<String>>,
    /// Paths it may only read; nothing is the default list.
    pub readonly_paths: Option<Vec<String>>,
    /// Windows only; empty or `default`.
    pub isolation: String,

    // Limits
    /// Relative weight of processor time.
    pub cpu_shares: i64,
    /// Bytes.
    pub memory: i64,
    /// Billionths of a processor.
    pub nano_cpus: i64,
    /// Of Windows: kept, and of no effect.
    pub cpu_count: i64,
    /// The cgroup below which its own is made.
    pub cgroup_parent: String,
    /// 10 to 1000.
    pub blkio_weight: u16,
    /// A weight for each device.
    pub blkio_weight_device: Option<Vec<WeightDevice>>,
    /// Bytes a second.
    pub blkio_device_read_bps: Option<Vec<ThrottleDevice>>,
    /// Bytes a second.
    pub blkio_device_write_bps: Option<Vec<ThrottleDevice>>,
    /// Operations a second.
    #[serde(rename = "BlkioDeviceReadIOps")]
    pub blkio_device_read_iops: Option<Vec<ThrottleDevice>>,
    /// Operations a second.
    #[serde(rename = "BlkioDeviceWriteIOps")]
    pub blkio_device_write_iops: Option<Vec<ThrottleDevice>>,
    /// Microseconds.
    pub cpu_period: i64,
    /// Microseconds in each period.
    pub cpu_quota: i64,
    /// Microseconds.
    pub cpu_realtime_period: i64,
    /// Microseconds in each real-time period.
    pub cpu_realtime_runtime: i64,
    /// `0-3,7`.
    pub cpuset_cpus: String,
    /// `0,1`.
    pub cpuset_mems: String,
    /// Devices of the host.
    pub devices: Option<Vec<DeviceMapping>>,
    /// Further rules of the device controller: `c 1:3 rwm`.
    pub device_cgroup_rules: Option<Vec<String>>,
    /// Devices by driver; not served yet.
    pub device_requests: Option<Vec<DeviceRequest>>,
    /// Bytes; the limit under pressure.
    pub memory_reservation: i64,
    /// Bytes of memory and swap together; -1 is no limit.
    pub memory_swap: i64,
    /// 0 to 100; nothing is the kernel's.
    pub memory_swappiness: Option<i64>,
    /// The kernel stops it instead of killing when memory is out.
    pub oom_kill_disable: Option<bool>,
    /// -1000 to 1000.
    pub oom_score_adj: i64,
    /// Processes; 0, -1 or nothing is no limit.
    pub pids_limit: Option<i64>,
    /// Limits of setrlimit(2).
    pub ulimits: Option<Vec<Ulimit>>,
}

/// A mount in its long form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Mount {
    /// `bind`, `volume`, `image`, `tmpfs`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// A path, or the name of a volume or image.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Where in the container.
    pub target: String,
    /// Not writable.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// Ignored on Linux.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub consistency: String,
    /// For binds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind_options: Option<BindOptions>,
    /// For volumes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_options: Option<VolumeOptions>,
    /// For images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_options: Option<ImageOptions>,
    /// For tmpfs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmpfs_options: Option<TmpfsOptions>,
}

/// Options of a bind mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BindOptions {
    /// `rprivate`, `private`, `rshared`, `shared`, `rslave`, `slave`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub propagation: String,
    /// Mounts below the source are not brought along.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub non_recursive: bool,
    /// A missing source is made as a directory.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub create_mountpoint: bool,
    /// Read-only does not apply to mounts below.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only_non_recursive: bool,
    /// It is an error when read-only cannot apply to mounts below.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only_force_recursive: bool,
    /// Owners of files are seen as others: `owner`, or what [`IdMap::parse`](super::IdMap::parse) reads. Not Docker's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id_map: String,
}

/// Options of a volume mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeOptions {
    /// An empty volume is not filled with what the image has there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_copy: bool,
    /// Labels of a volume that is made.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Driver of a volume that is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver_config: Option<DriverConfig>,
    /// A path in the volume that is mounted instead of its root.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subpath: String,
}

/// Options of an image mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageOptions {
    /// A path in the image that is mounted instead of its root.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subpath: String,
}

/// A driver's name and options.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DriverConfig {
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its options.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// Options of a tmpfs mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TmpfsOptions {
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<i64>,
    /// Permission bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// `["key", "value"]` or `["key"]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<Vec<Vec<String>>>,
}

/// Where output goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LogConfig {
    /// `json-file`, `none`; empty is the engine's default.
    #[serde(rename = "Type")]
    pub kind: String,
    /// `max-size`, `max-file`, `compress`, …
    pub config: BTreeMap<String, String>,
}

/// Whether a container that ended is started again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RestartPolicy {
    /// Empty or `no`; `always`, `unless-stopped`, `on-failure`.
    pub name: String,
    /// For `on-failure`.
    pub maximum_retry_count: i64,
}

/// One published port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PortBinding {
    /// Address on the host; empty is all.
    #[serde(rename = "HostIp")]
    pub host_ip: String,
    /// Port or range; empty is any.
    pub host_port: String,
}

/// A device of the host, in the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeviceMapping {
    /// Path on the host; a directory brings all devices below.
    pub path_on_host: String,
    /// Path in the container.
    pub path_in_container: String,
    /// Of `r`, `w`, `m`.
    pub cgroup_permissions: String,
}

/// A device by driver or name (CDI).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeviceRequest {
    /// `cdi`, `nvidia`, …
    pub driver: String,
    /// How many; -1 is all.
    pub count: i64,
    /// Names.
    #[serde(rename = "DeviceIDs")]
    pub device_ids: Option<Vec<String>>,
    /// An OR of ANDs.
    pub capabilities: Option<Vec<Vec<String>>>,
    /// The driver's options.
    pub options: Option<BTreeMap<String, String>>,
}

/// A weight of block input and output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct WeightDevice {
    /// The device's path.
    pub path: String,
    /// 10 to 1000.
    pub weight: u16,
}

/// A rate of block input and output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ThrottleDevice {
    /// The device's path.
    pub path: String,
    /// Bytes or operations a second.
    pub rate: u64,
}

/// A limit of setrlimit(2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Ulimit {
    /// `nofile`, `nproc`, …
    pub name: String,
    /// The most it may raise to; -1 is no limit.
    pub hard: i64,
    /// The limit; -1 is no limit.
    pub soft: i64,
}

impl Ulimit {
    /// What a limit may be of.
    pub const NAMES: [&str; 15] = [
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ];
}
