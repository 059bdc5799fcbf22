//! The flags of `dhow daemon`: dockerd's own, for what is served.

use std::path::PathBuf;

use clap::{ArgAction, ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser};

use super::default_network::NetworkFlags;
use super::passed_over::pass_over;

/// Flags of dockerd that have nothing behind them yet, here and in `daemon.json`: told or refused by name.
pub(super) const UNSERVED: &[&str] = &[
    "allow-nondistributable-artifacts",
    "api-cors-header",
    "authorization-plugin",
    "bridge-accept-fwmark",
    "containerd",
    "containerd-namespace",
    "containerd-plugins-namespace",
    "cpu-rt-period",
    "cpu-rt-runtime",
    "cri-containerd",
    "experimental",
    "feature",
    "firewall-backend",
    "http-proxy",
    "https-proxy",
    "init-path",
    "insecure-registry",
    "network-control-plane-mtu",
    "network-diagnostic-port",
    "no-proxy",
    "node-generic-resource",
    "nri-opts",
    "oom-score-adjust",
    "registry-mirror",
    "rootless",
    "selinux-enabled",
    "swarm-default-advertise-addr",
    "userland-proxy-path",
];

/// The engine.
#[derive(Debug, Clone, Default, Parser)]
#[command(name = "dhow daemon", about = "The engine", version, disable_version_flag = true)]
pub(super) struct Flags {
    /// Where to listen: unix:///path, tcp://address:port, fd://
    #[arg(short = 'H', long = "host", value_name = "ADDRESS")]
    pub(super) hosts: Vec<String>,
    /// The group that may use the sockets, by name or number
    #[arg(short = 'G', long, value_name = "GROUP")]
    pub(super) group: Option<String>,
    #[command(flatten)]
    pub(super) tls: TlsFlags,
    /// Where images, containers and volumes are
    #[arg(long, value_name = "DIRECTORY")]
    pub(super) data_root: Option<PathBuf>,
    /// How new layers lie on disk: auto, tar or directory
    #[arg(long, value_name = "FORMAT")]
    pub(super) layer_format: Option<String>,
    /// How layers are put together: overlay2, or overlayfs, which is the same here
    #[arg(short = 's', long, value_name = "DRIVER")]
    pub(super) storage_driver: Option<String>,
    /// An option of the storage driver: overlay2.size=SIZE
    #[arg(long = "storage-opt", value_name = "KEY=VALUE")]
    pub(super) storage_opts: Vec<String>,
    /// Where sockets and monitors are: nothing here survives a boot
    #[arg(long, value_name = "DIRECTORY")]
    pub(super) exec_root: Option<PathBuf>,
    /// Where the process id is written
    #[arg(short = 'p', long, value_name = "FILE")]
    pub(super) pidfile: Option<PathBuf>,
    /// The configuration file, JSON with dockerd's keys
    #[arg(long, value_name = "FILE")]
    pub(super) config_file: Option<PathBuf>,
    /// The configuration is checked, and nothing started
    #[arg(long)]
    pub(super) validate: bool,
    #[command(flatten)]
    pub(super) log: LogFlags,
    /// Where metrics are served, in the format of Prometheus: address:port
    #[arg(long, value_name = "ADDRESS")]
    pub(super) metrics_addr: Option<String>,
    /// Whether the host's own input rules count for published ports: open (no) or host-rules
    #[arg(long, value_name = "POLICY")]
    pub(super) publish_policy: Option<String>,
    /// A label of the engine
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(super) labels: Vec<String>,
    #[command(flatten)]
    pub(super) end: EndFlags,
    #[command(flatten)]
    pub(super) containers: ContainerFlags,
    #[command(flatten)]
    pub(super) network: NetworkFlags,
    /// Layers that are pulled at once
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true)]
    pub(super) max_concurrent_downloads: Option<i64>,
    /// Layers that are pushed at once
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true)]
    pub(super) max_concurrent_uploads: Option<i64>,
    /// How often a download is tried
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true)]
    pub(super) max_download_attempts: Option<i64>,
    /// The version, and nothing else
    #[arg(short = 'v', long, action = ArgAction::Version)]
    version: Option<bool>,
    /// What is said of flags that have nothing behind them.
    #[arg(skip)]
    pub(super) told: Vec<String>,
}

/// How clients from elsewhere are let in.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct TlsFlags {
    /// Use TLS; implied by --tlsverify
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean)]
    pub(super) tls: Option<bool>,
    /// Use TLS, and let nobody in who has no certificate
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean)]
    pub(super) tlsverify: Option<bool>,
    /// Trust certificates that are signed by this authority only
    #[arg(long, value_name = "FILE")]
    pub(super) tlscacert: Option<PathBuf>,
    /// The engine's certificate
    #[arg(long, value_name = "FILE")]
    pub(super) tlscert: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE")]
    pub(super) tlskey: Option<PathBuf>,
}

/// What the engine tells.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct LogFlags {
    /// Debug messages are logged
    #[arg(short = 'D', long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean)]
    pub(super) debug: Option<bool>,
    /// debug, info, warn, error, fatal
    #[arg(short = 'l', long, value_name = "LEVEL")]
    pub(super) log_level: Option<String>,
    /// text or json
    #[arg(long, value_name = "FORMAT")]
    pub(super) log_format: Option<String>,
    /// No colours
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean)]
    pub(super) raw_logs: Option<bool>,
}

/// What happens to containers when the engine ends.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct EndFlags {
    /// Containers go on when the engine ends; so it is unless this is false
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean)]
    pub(super) live_restore: Option<bool>,
    /// Seconds that all containers have to stop when the engine ends
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    pub(super) shutdown_timeout: Option<i64>,
    /// Seconds that a container that does not say has to stop
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    pub(super) default_stop_timeout: Option<i64>,
}

/// What containers have that do not say.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ContainerFlags {
    /// The cgroup below which those of containers are made
    #[arg(long, value_name = "PATH")]
    pub(super) cgroup_parent: Option<String>,
    /// An option of runtimes: native.cgroupdriver=cgroupfs
    #[arg(long = "exec-opt", value_name = "KEY=VALUE")]
    pub(super) exec_opts: Vec<String>,
    /// Another OCI runtime: NAME=PATH
    #[arg(long = "add-runtime", value_name = "NAME=PATH")]
    pub(super) runtimes: Vec<String>,
    /// The runtime of containers that do not say
    #[arg(long, value_name = "NAME")]
    pub(super) default_runtime: Option<String>,
    /// A directory where vendors describe their devices (CDI)
    #[arg(long = "cdi-spec-dir", value_name = "DIRECTORY")]
    pub(super) cdi_directories: Vec<PathBuf>,
    /// Bytes of /dev/shm of containers that do not say
    #[arg(long, value_name = "SIZE")]
    pub(super) default_shm_size: Option<String>,
    /// The mode of IPC of containers that do not say: private or shareable
    #[arg(long, value_name = "MODE")]
    pub(super) default_ipc_mode: Option<String>,
    /// The mode of the cgroup namespace of containers that do not say: private or host
    #[arg(long, value_name = "MODE")]
    pub(super) default_cgroupns_mode: Option<String>,
    /// A limit of containers that do not say: `NAME=SOFT[:HARD]`
    #[arg(long = "default-ulimit", value_name = "LIMIT")]
    pub(super) default_ulimits: Vec<String>,
    /// The log of containers that do not say: json-file, local, journald, syslog or none
    #[arg(long, value_name = "DRIVER")]
    pub(super) log_driver: Option<String>,
    /// An option of that log
    #[arg(long = "log-opt", value_name = "KEY=VALUE")]
    pub(super) log_opts: Vec<String>,
    /// Every container gets a small init
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean)]
    pub(super) init: Option<bool>,
    /// No process of a container gains rights
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean)]
    pub(super) no_new_privileges: Option<bool>,
    /// Containers are in user namespaces: default, `USER[:GROUP]` or `UID[:GID]`, whose ranges /etc/subuid and /etc/subgid have
    #[arg(long, value_name = "USER")]
    pub(super) userns_remap: Option<String>,
    /// A seccomp profile instead of the built-in one, or `unconfined`
    #[arg(long, value_name = "FILE")]
    pub(super) seccomp_profile: Option<String>,
    /// A name server of containers that do not say
    #[arg(long = "dns", value_name = "ADDRESS")]
    pub(super) dns: Vec<String>,
    /// A resolver option of containers that do not say
    #[arg(long = "dns-opt", value_name = "OPTION")]
    pub(super) dns_opts: Vec<String>,
    /// A search domain of containers that do not say
    #[arg(long = "dns-search", value_name = "DOMAIN")]
    pub(super) dns_search: Vec<String>,
    /// A block that new networks are cut from: base=10.0.0.0/8,size=24
    #[arg(long = "default-address-pool", value_name = "POOL")]
    pub(super) address_pools: Vec<String>,
    /// An option of new networks that do not say: driver=option=value
    #[arg(long = "default-network-opt", value_name = "OPTION")]
    pub(super) network_opts: Vec<String>,
    /// What host-gateway stands for in --add-host
    #[arg(long = "host-gateway-ip", value_name = "ADDRESS")]
    pub(super) host_gateways: Vec<String>,
}

impl Flags {
    /// Reads the command line; which of the flags were given is what is returned beside.
    pub(super) fn read(words: Vec<std::ffi::OsString>) -> Result<(Self, Given), clap::Error> {
        let mut command = Self::command();
        let (words, told) = pass_over(words).map_err(|name| {
            let words = format!("--{name} is not supported yet");
            command.error(clap::error::ErrorKind::UnknownArgument, words)
        })?;
        let matches = command.try_get_matches_from_mut(words)?;
        let flags = Self { told, ..Self::from_arg_matches(&matches)? };
        Ok((flags, Given(matches)))
    }
}

/// Which flags the command line has, and how they were written.
#[derive(Debug, Clone, Default)]
pub(super) struct Given(ArgMatches);

impl Given {
    /// What was given to a flag, by the name of its field; nothing when it was not given.
    pub(super) fn values(&self, field: &str) -> Option<Vec<String>> {
        use clap::parser::ValueSource::CommandLine;
        if !self.0.ids().any(|id| id == field) || self.0.value_source(field) != Some(CommandLine) {
            return None;
        }
        let raw = self.0.get_raw(field)?;
        Some(raw.map(|value| value.to_string_lossy().into_owned()).collect())
    }

    /// Whether a flag takes many values.
    pub(super) fn is_list(field: &str) -> bool {
        let command = Flags::command();
        let found = command.get_arguments().find(|argument| argument.get_id() == field);
        found.is_some_and(|argument| matches!(argument.get_action(), ArgAction::Append))
    }
}

/// Go's way to write a truth.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        other => Err(format!("strconv.ParseBool: parsing {other:?}: invalid syntax")),
    }
}
