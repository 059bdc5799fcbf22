//! What the engine is configured with, by flags and its configuration file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use dhow_model::container::{LogConfig, Ulimit};
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
    /// The log of containers that do not say.
    pub log: LogConfig,
    /// Limits of containers that do not say.
    pub ulimits: Vec<Ulimit>,
    /// Every container gets a small init, unless it says no.
    pub init: bool,
    /// Every container is started with `no-new-privileges`, unless it says no.
    pub no_new_privileges: bool,
    /// A seccomp profile instead of the built-in one: Docker's JSON, or `unconfined`.
    pub seccomp_profile: Option<String>,
    /// Labels of the engine.
    pub labels: Vec<String>,
    /// Debug mode is on.
    pub debug: bool,
    /// Name servers of containers that do not say.
    pub dns: Vec<String>,
    /// Resolver options of containers that do not say.
    pub dns_options: Vec<String>,
    /// Search domains of containers that do not say.
    pub dns_search: Vec<String>,
    /// Where vendors describe their devices (CDI); the last has precedence.
    pub cdi_directories: Vec<PathBuf>,
    /// Runtimes by name, beside our own.
    pub runtimes: BTreeMap<String, RuntimeProgram>,
    /// The runtime of containers that do not say.
    pub default_runtime: String,
    /// What `info` tells of the storage driver: names and values.
    pub storage: Vec<(String, String)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            id: String::new(),
            version: env!("CARGO_PKG_VERSION").into(),
            data_root: "/var/lib/dhow".into(),
            cgroup_parent: "/dhow".into(),
            shm_size: 64 << 20,
            log: LogConfig { kind: "json-file".into(), config: BTreeMap::new() },
            ulimits: Vec::new(),
            init: false,
            no_new_privileges: false,
            seccomp_profile: None,
            labels: Vec::new(),
            debug: false,
            dns: Vec::new(),
            dns_options: Vec::new(),
            dns_search: Vec::new(),
            cdi_directories: vec!["/etc/cdi".into(), "/var/run/cdi".into()],
            runtimes: BTreeMap::new(),
            default_runtime: crate::runtimes::OWN.into(),
            storage: Vec::new(),
        }
    }
}
