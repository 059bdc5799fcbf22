//! The flags of `dhow daemon`: dockerd's own, for what is served.

use std::path::PathBuf;

use clap::{ArgAction, Parser};

/// The engine.
#[derive(Debug, Clone, Default, Parser)]
#[command(name = "dhow daemon", about = "The engine", version, disable_version_flag = true)]
pub(super) struct Flags {
    /// Sockets to listen on: unix:///path
    #[arg(short = 'H', long = "host", value_name = "ADDRESS")]
    pub(super) hosts: Vec<String>,
    /// Where images, containers and volumes are
    #[arg(long, value_name = "DIRECTORY")]
    pub(super) data_root: Option<PathBuf>,
    /// How new layers lie on disk: auto, tar or directory
    #[arg(long, value_name = "FORMAT")]
    pub(super) layer_format: Option<String>,
    /// Where sockets and monitors are: nothing here survives a boot
    #[arg(long, value_name = "DIRECTORY")]
    pub(super) exec_root: Option<PathBuf>,
    /// Where the process id is written
    #[arg(short = 'p', long, value_name = "FILE")]
    pub(super) pidfile: Option<PathBuf>,
    /// The configuration file, JSON with dockerd's keys
    #[arg(long, value_name = "FILE")]
    pub(super) config_file: Option<PathBuf>,
    /// Debug messages are logged
    #[arg(short = 'D', long)]
    pub(super) debug: bool,
    /// debug, info, warn, error
    #[arg(short = 'l', long, value_name = "LEVEL")]
    pub(super) log_level: Option<String>,
    /// text or json
    #[arg(long, value_name = "FORMAT")]
    pub(super) log_format: Option<String>,
    /// The group that may use the sockets
    #[arg(short = 'G', long, value_name = "GROUP")]
    pub(super) group: Option<String>,
    /// A label of the engine
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(super) labels: Vec<String>,
    /// The cgroup below which those of containers are made
    #[arg(long, value_name = "PATH")]
    pub(super) cgroup_parent: Option<String>,
    /// Bytes of /dev/shm of containers that do not say
    #[arg(long, value_name = "SIZE")]
    pub(super) default_shm_size: Option<String>,
    /// A limit of containers that do not say: `NAME=SOFT[:HARD]`
    #[arg(long = "default-ulimit", value_name = "LIMIT")]
    pub(super) default_ulimits: Vec<String>,
    /// The log of containers that do not say: json-file or none
    #[arg(long, value_name = "DRIVER")]
    pub(super) log_driver: Option<String>,
    /// An option of that log
    #[arg(long = "log-opt", value_name = "KEY=VALUE")]
    pub(super) log_opts: Vec<String>,
    /// Every container gets a small init
    #[arg(long)]
    pub(super) init: bool,
    /// No process of a container gains rights
    #[arg(long)]
    pub(super) no_new_privileges: bool,
    /// A seccomp profile instead of the built-in one, or `unconfined`
    #[arg(long, value_name = "FILE")]
    pub(super) seccomp_profile: Option<String>,
    /// An OCI runtime beside our own: `NAME=PATH`
    #[arg(long = "add-runtime", value_name = "RUNTIME")]
    pub(super) runtimes: Vec<String>,
    /// The runtime of containers that do not say
    #[arg(long, value_name = "NAME")]
    pub(super) default_runtime: Option<String>,
    /// A directory where vendors describe their devices (CDI)
    #[arg(long = "cdi-spec-dir", value_name = "DIRECTORY")]
    pub(super) cdi_directories: Vec<PathBuf>,
    /// A name server of containers that do not say
    #[arg(long = "dns", value_name = "ADDRESS")]
    pub(super) dns: Vec<String>,
    /// A resolver option of containers that do not say
    #[arg(long = "dns-opt", value_name = "OPTION")]
    pub(super) dns_options: Vec<String>,
    /// A search domain of containers that do not say
    #[arg(long = "dns-search", value_name = "DOMAIN")]
    pub(super) dns_search: Vec<String>,
    /// Containers go on when the engine ends: always so, the flag is taken for dockerd's sake
    #[arg(long, action = ArgAction::SetTrue)]
    pub(super) live_restore: bool,
    /// The configuration is checked, and nothing started
    #[arg(long)]
    pub(super) validate: bool,
}
