//! What the engine is configured with, by flags and its configuration file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use dhow_model::container::{LogConfig, Ulimit, UserMap};
use dhow_model::ports::RuntimeProgram;

/// Settings that concern every container.
#[derive(Debug, Clone)]
pub struct Settings {
    /// An id of this installation.
    pub id: String,
    /// The engine's version.
    pub version: String,
    /// Where data are.
    pub data_root: PathBuf,
    /// The cgroup below which those of containers are made.
    pub cgroup_parent: String,
    /// Bytes of /dev/shm where a container does not say.
    pub shm_size: i64,
    /// The mode of IPC of containers that do not say: `private` or `shareable`.
    pub ipc_mode: String,
    /// The mode of the cgroup namespace of containers that do not say: `private`, `host`, or, when it is
    /// empty, what suits the machine.
    pub cgroupns_mode: String,
    /// The log of containers that do not say.
    pub log: LogConfig,
    /// Limits of containers that do not say.
    pub ulimits: Vec<Ulimit>,
    /// Every container gets a small init, unless it says no.
    pub init: bool,
    /// Every container is started with `no-new-privileges`, unless it says no.
    pub no_new_privileges: bool,
    /// Who the users of containers are on the host, unless a container says that they are the host's own.
    pub user_map: Option<Arc<UserMap>>,
    /// A seccomp profile instead of the built-in one: Docker's JSON, or `unconfined`.
    pub seccomp_profile: Option<String>,
    /// Labels of the engine.
    pub labels: Vec<String>,
    /// Debug mode is on.
    pub debug: bool,
    /// Blocks that addresses of new networks are cut from.
    pub address_pools: Vec<crate::networks::Source>,
    /// What is said of the default network.
    pub default_network: crate::networks::DefaultNetwork,
    /// Options of new networks that do not say, by driver.
    pub network_options: BTreeMap<String, BTreeMap<String, String>>,
    /// What `host-gateway` stands for; empty for the host's address on the container's network.
    pub host_gateway: Vec<std::net::IpAddr>,
    /// Name servers of containers that do not say.
    pub dns: Vec<String>,
    /// Resolver options of containers that do not say.
    pub dns_options: Vec<String>,
    /// Search domains of containers that do not say.
    pub dns_search: Vec<String>,
    /// Where vendors describe their devices (CDI); the last has precedence.
    pub cdi_directories: Vec<PathBuf>,
    /// Containers go on when the engine ends; otherwise they are stopped.
    pub live_restore: bool,
    /// Seconds that all containers together have to stop when the engine ends; negative is for ever.
    pub shutdown_timeout: i64,
    /// Seconds that a container that does not say has between its stop signal and the kill.
    pub stop_timeout: i64,
    /// Layers that are pulled at once.
    pub max_concurrent_downloads: i64,
    /// Layers that are pushed at once.
    pub max_concurrent_uploads: i64,
    /// How often a download is tried.
    pub max_download_attempts: i64,
    /// Runtimes by name, beside our own.
    pub runtimes: BTreeMap<String, RuntimeProgram>,
    /// The runtime of containers that do not say.
    pub default_runtime: String,
    /// The size of writable layers of containers that do not say; empty is no limit.
    pub layer_size: String,
    /// What `info` tells of the storage driver: names and values.
    pub storage: Vec<(String, String)>,
}

/// The data directory of the engine whose default bridge has the plain name.
const USUAL_ROOT: &str = "/var/lib/dhow";

impl Settings {
    /// The bridge of the default network: the engines of one host have one each.
    #[must_use]
    pub fn bridge(&self) -> String {
        if let Some(bridge) = &self.default_network.bridge {
            return bridge.clone();
        }
        if self.data_root == std::path::Path::new(USUAL_ROOT) {
            return "dhow0".to_owned();
        }
        let of_root = dhow_oci::Digest::of(self.data_root.as_os_str().as_encoded_bytes()).hex();
        format!("dhow-{}", of_root.get(..8).unwrap_or_default())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            id: String::new(),
            version: env!("CARGO_PKG_VERSION").into(),
            data_root: USUAL_ROOT.into(),
            cgroup_parent: "/dhow".into(),
            shm_size: 64 << 20,
            ipc_mode: "private".into(),
            cgroupns_mode: String::new(),
            log: LogConfig { kind: "json-file".into(), config: BTreeMap::new() },
            ulimits: Vec::new(),
            init: false,
            no_new_privileges: false,
            user_map: None,
            seccomp_profile: None,
            labels: Vec::new(),
            debug: false,
            address_pools: crate::networks::default_sources(),
            default_network: crate::networks::DefaultNetwork::default(),
            network_options: BTreeMap::new(),
            host_gateway: Vec::new(),
            dns: Vec::new(),
            dns_options: Vec::new(),
            dns_search: Vec::new(),
            cdi_directories: vec!["/etc/cdi".into(), "/var/run/cdi".into()],
            live_restore: true,
            shutdown_timeout: 15,
            stop_timeout: 10,
            max_concurrent_downloads: 3,
            max_concurrent_uploads: 5,
            max_download_attempts: 5,
            runtimes: BTreeMap::new(),
            default_runtime: crate::runtimes::OWN.into(),
            layer_size: String::new(),
            storage: Vec::new(),
        }
    }
}

impl Settings {
    /// What a reload may change, as Docker's event tells it.
    pub(crate) fn reloadable(&self) -> BTreeMap<String, String> {
        let runtimes: Vec<String> = self
            .runtimes
            .iter()
            .map(|(name, runtime)| format!("{name}:{}", runtime.path.display()))
            .collect();
        let labels: Vec<String> = self.labels.iter().map(|label| format!("{label:?}")).collect();
        let pairs = [
            ("debug", self.debug.to_string()),
            ("default-cgroupns-mode", self.cgroupns_mode.clone()),
            ("default-ipc-mode", self.ipc_mode.clone()),
            ("default-runtime", self.default_runtime.clone()),
            ("default-shm-size", self.shm_size.to_string()),
            ("default-stop-timeout", self.stop_timeout.to_string()),
            ("labels", format!("[{}]", labels.join(","))),
            ("live-restore", self.live_restore.to_string()),
            ("max-concurrent-downloads", self.max_concurrent_downloads.to_string()),
            ("max-concurrent-uploads", self.max_concurrent_uploads.to_string()),
            ("max-download-attempts", self.max_download_attempts.to_string()),
            ("runtimes", runtimes.join(" ")),
            ("shutdown-timeout", self.shutdown_timeout.to_string()),
        ];
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }
}
