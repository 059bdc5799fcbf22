//! The flags of `run` and `create` that describe a container: the same names, short forms and
//! forms of values as docker's.

use super::{
    BYTES, BYTES_OR_UNLIMITED, DURATION, Flag, INT, Kind, LABEL, LINK, LIST, MAP, STRING, SWITCH, UINT,
    UINT16, device, environment, flag, limits, mount, network, validate,
};

const DECIMAL: Kind = Kind::new("decimal", |value| limits::cpus(value).map(drop));
const ULIMIT: Kind = Kind::new("ulimit", |value| limits::Ulimit::parse(value).map(drop));
const MOUNT: Kind = Kind::new("mount", |value| mount::Mount::parse(value).map(drop));
const NETWORK: Kind = Kind::new("network", |value| network::Attachment::parse(value).map(drop));
const GPUS: Kind = Kind::new("gpu-request", |value| device::gpus(value).map(drop));
const ENV: Kind = Kind::new("list", environment::check);
const SYSCTL: Kind = Kind::new("map", validate::sysctl);
const ADDRESS: Kind = Kind::new("list", |value| validate::address(value).map(drop));
const DOMAIN: Kind = Kind::new("list", |value| validate::dns_search(value).map(drop));
const EXTRA_HOST: Kind = Kind::new("list", |value| validate::extra_host(value).map(drop));
const STREAM: Kind = Kind::new("list", validate::stream);
const CGROUP_RULE: Kind = Kind::new("list", validate::device_cgroup_rule);
const WEIGHT: Kind = Kind::new("list", |value| device::weight(value).map(drop));
const BPS: Kind = Kind::new("list", |value| device::bytes_per_second(value).map(drop));
const IOPS: Kind = Kind::new("list", |value| device::operations_per_second(value).map(drop));

/// What the container is called and what runs in it.
pub(crate) const PROCESS: &[Flag] = &[
    flag("attach", STREAM, "Attach to STDIN, STDOUT or STDERR").short('a'),
    flag("cidfile", STRING, "Write the container's id to this file"),
    flag("domainname", STRING, "NIS domain name of the container"),
    flag("entrypoint", STRING, "Run this instead of the image's entrypoint"),
    flag("env", ENV, "Set a variable of the environment").short('e'),
    flag("env-file", LIST, "Set the variables that this file lists"),
    flag("group-add", LIST, "Join a further group"),
    flag("hostname", STRING, "Host name of the container").short('h'),
    flag("init", SWITCH, "Run an init in the container that passes signals on and reaps processes"),
    flag("interactive", SWITCH, "Keep standard input open, attached or not").short('i'),
    flag("label", LABEL, "Set a label").short('l'),
    flag("label-file", LIST, "Set the labels that this file lists"),
    flag("name", STRING, "Name of the container"),
    flag("annotation", MAP, "Hand an annotation to the OCI runtime"),
    flag("platform", STRING, "Platform of the image, where it has several"),
    flag("pull", STRING, "Pull the image first: always, missing or never (default \"missing\")"),
    flag("quiet", SWITCH, "Do not show how the pull goes on").short('q'),
    flag("restart", STRING, "What to do when the container exits (default \"no\")"),
    flag("rm", SWITCH, "Remove the container and its unnamed volumes when it exits"),
    flag("stop-signal", STRING, "Signal that stops the container"),
    flag("stop-timeout", INT, "Seconds that a stop waits before it kills"),
    flag("tty", SWITCH, "Give the container a terminal").short('t'),
    flag("user", STRING, "User, by name or number (<name|uid>[:<group|gid>])").short('u'),
    flag("workdir", STRING, "Working directory in the container").short('w'),
    flag("disable-content-trust", SWITCH, "Do not verify the image's signature (default true)").hidden(),
    flag("use-api-socket", SWITCH, "Give the container the engine's socket and the user's credentials"),
];

/// What keeps it apart.
pub(crate) const ISOLATION: &[Flag] = &[
    flag("cap-add", LIST, "Add a capability"),
    flag("cap-drop", LIST, "Drop a capability"),
    flag("cgroup-parent", STRING, "Make the container's cgroup below this one"),
    flag("cgroupns", STRING, "Cgroup namespace: host, private, or as the engine is set up"),
    flag("ipc", STRING, "IPC namespace to use"),
    flag("isolation", STRING, "Kind of isolation"),
    flag("pid", STRING, "PID namespace to use"),
    flag("privileged", SWITCH, "Give the container all privileges"),
    flag("read-only", SWITCH, "Mount the root file system read-only"),
    flag("runtime", STRING, "OCI runtime to use"),
    flag("security-opt", LIST, "Security option, such as seccomp=FILE or no-new-privileges"),
    flag("sysctl", SYSCTL, "Set a kernel parameter of the container's namespaces"),
    flag("userns", STRING, "User namespace to use"),
    flag("uts", STRING, "UTS namespace to use"),
];

/// Where it keeps files.
pub(crate) const STORAGE: &[Flag] = &[
    flag("log-driver", STRING, "Driver that keeps the container's output"),
    flag("log-opt", LIST, "Option of the log driver"),
    flag("mount", MOUNT, "Mount a file system (type=bind|volume|tmpfs|image,source=…,target=…)"),
    flag("storage-opt", LIST, "Option of the storage driver"),
    flag("tmpfs", LIST, "Mount a file system in memory"),
    flag("volume", LIST, "Mount a volume or a directory of the host ([source:]target[:options])").short('v'),
    flag("volume-driver", STRING, "Driver of the volumes"),
    flag("volumes-from", LIST, "Mount what another container has mounted"),
];

/// What it is connected to.
pub(crate) const NETWORKING: &[Flag] = &[
    flag("add-host", EXTRA_HOST, "Add a name to /etc/hosts (name:address)"),
    flag("dns", ADDRESS, "Name server"),
    flag("dns-opt", LIST, "").spelling_of("dns-option"),
    flag("dns-option", LIST, "Option of the name resolver"),
    flag("dns-search", DOMAIN, "Domain in which names are searched"),
    flag("expose", LIST, "Tell of a port or a range of ports"),
    flag("ip", STRING, "IPv4 address of the container"),
    flag("ip6", STRING, "IPv6 address of the container"),
    flag("link", LINK, "Link to another container"),
    flag("link-local-ip", LIST, "Link-local address of the container"),
    flag("mac-address", STRING, "MAC address of the container"),
    flag("net", NETWORK, "").spelling_of("network"),
    flag("network", NETWORK, "Network to connect to"),
    flag("net-alias", LIST, "").spelling_of("network-alias"),
    flag("network-alias", LIST, "Further name of the container on its network"),
    flag("publish", LIST, "Publish a port at the host ([[address:]port:]port[/protocol])").short('p'),
    flag("publish-all", SWITCH, "Publish every exposed port at a free port of the host").short('P'),
];

/// How much it may use, which can be changed while it runs.
pub(crate) const LIMITS: &[Flag] = &[
    flag("blkio-weight", UINT16, "Share of block input and output, 10 to 1000 (default 0)"),
    flag("cpu-period", INT, "Period of the CPU scheduler, in microseconds"),
    flag("cpu-quota", INT, "CPU time in one period, in microseconds"),
    flag("cpu-rt-period", INT, "Period of the real-time scheduler, in microseconds"),
    flag("cpu-rt-runtime", INT, "Real-time in one period, in microseconds"),
    flag("cpu-shares", INT, "Share of CPU time").short('c'),
    flag("cpus", DECIMAL, "Number of CPUs"),
    flag("cpuset-cpus", STRING, "CPUs to run on (0-3, 0,1)"),
    flag("cpuset-mems", STRING, "Memory nodes to use (0-3, 0,1)"),
    flag("kernel-memory", BYTES, "").hidden(),
    flag("memory", BYTES, "Memory limit").short('m'),
    flag("memory-reservation", BYTES, "Soft limit of memory"),
    flag("memory-swap", BYTES_OR_UNLIMITED, "Limit of memory and swap together, -1 for none"),
    flag("pids-limit", INT, "Limit of processes, -1 for none"),
];

/// What else it may use.
pub(crate) const RESOURCES: &[Flag] = &[
    flag("blkio-weight-device", WEIGHT, "Share of one device's input and output"),
    flag("cpu-count", INT, "").hidden(),
    flag("cpu-percent", INT, "").hidden(),
    flag("device", LIST, "Give the container a device of the host"),
    flag("device-cgroup-rule", CGROUP_RULE, "Allow a class of devices"),
    flag("device-read-bps", BPS, "Limit reads from a device, in bytes a second"),
    flag("device-read-iops", IOPS, "Limit reads from a device, in operations a second"),
    flag("device-write-bps", BPS, "Limit writes to a device, in bytes a second"),
    flag("device-write-iops", IOPS, "Limit writes to a device, in operations a second"),
    flag("gpus", GPUS, "Give the container GPUs ('all' for all of them)"),
    flag("io-maxbandwidth", BYTES, "").hidden(),
    flag("io-maxiops", UINT, "").hidden(),
    flag("memory-swappiness", INT, "How readily memory is swapped, 0 to 100 (default -1)"),
    flag("oom-kill-disable", SWITCH, "Do not kill when memory runs out"),
    flag("oom-score-adj", INT, "Change the host's preference for killing (-1000 to 1000)"),
    flag("shm-size", BYTES, "Size of /dev/shm"),
    flag("ulimit", ULIMIT, "Limit of the process (name=soft[:hard])"),
];

/// What can be changed while it runs, beside its [`LIMITS`].
pub(crate) const RESTART: &[Flag] = &[flag("restart", STRING, "Whether it is started again when it ends")];

/// What it is connected to, changed while it runs.
pub(crate) const RECONNECT: &[Flag] = &[
    flag("network-add", LIST, "Connect to a network too (NAME or name=NAME,alias=…,ip=…)"),
    flag("network-rm", LIST, "Disconnect from a network"),
    flag("publish-add", LIST, "Publish a port too ([[address:]port:]port[/protocol])"),
    flag("publish-rm", LIST, "Do not publish a port any more"),
];

/// How it is known to be well.
pub(crate) const HEALTH: &[Flag] = &[
    flag("health-cmd", STRING, "Command that checks the container's health"),
    flag("health-interval", DURATION, "Time between two checks (ms|s|m|h)"),
    flag("health-on-failure", STRING, "What to do when it is unhealthy (none|restart|stop|kill)"),
    flag("health-retries", INT, "Failures in a row that mean unhealthy"),
    flag("health-start-interval", DURATION, "Time between two checks in the start period (ms|s|m|h)"),
    flag("health-start-period", DURATION, "Time to start before failures count (ms|s|m|h)"),
    flag("health-timeout", DURATION, "Time that one check may take (ms|s|m|h)"),
    flag("no-healthcheck", SWITCH, "Do not check the container's health"),
];
