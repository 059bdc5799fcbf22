//! What stands behind a flag or in the place of an argument, and the words for it.

use dhow_api::client::{Client, Request};
use serde_json::Value as Json;

use super::Candidate;
use crate::contexts;
use crate::error::Result;
use crate::session::{Session, variable_of};

/// What may stand in a place.
#[derive(Debug)]
pub(super) enum Offer {
    Nothing,
    Files,
    Words(&'static [&'static str]),
    Containers(Which),
    /// Containers that are on a network, or those that are not.
    Members {
        network: String,
        inside: bool,
    },
    /// `NAME:`, for the name by which it is known.
    Links,
    /// `container:NAME`, beside these words.
    Namespaces(&'static [&'static str]),
    Images,
    Volumes,
    Networks,
    Contexts,
    /// Names of the environment's variables.
    Variables,
    LogDrivers,
    /// Whatever has a name.
    Anything,
    /// `NAME:`, or a file.
    CopyEnds,
}

/// Which containers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which {
    All,
    Running,
    /// Running or not, but for the states that are named.
    In(&'static [&'static str]),
}

const STOPPED: Which = Which::In(&["created", "exited"]);
const STOPPED_OR_DEAD: Which = Which::In(&["created", "exited", "dead"]);
const NOT_PAUSED: Which = Which::In(&["running", "restarting"]);

const RESTARTS: &[&str] = &["no", "always", "on-failure", "unless-stopped"];
const PLATFORMS: &[&str] = &[
    "linux/386",
    "linux/amd64",
    "linux/arm",
    "linux/arm/v5",
    "linux/arm/v6",
    "linux/arm/v7",
    "linux/arm64",
    "linux/arm64/v8",
    "linux/ppc64le",
    "linux/s390x",
    "linux/riscv64",
    "windows/amd64",
    "wasip1/wasm",
];
const SIGNALS: &[&str] = &[
    "ABRT", "ALRM", "BUS", "CHLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "KILL", "PIPE", "POLL", "PROF",
    "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1",
    "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
];
const CAPABILITIES: &[&str] = &[
    "ALL",
    "CAP_AUDIT_CONTROL",
    "CAP_AUDIT_READ",
    "CAP_AUDIT_WRITE",
    "CAP_BLOCK_SUSPEND",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_KILL",
    "CAP_LEASE",
    "CAP_LINUX_IMMUTABLE",
    "CAP_MAC_ADMIN",
    "CAP_MAC_OVERRIDE",
    "CAP_MKNOD",
    "CAP_NET_ADMIN",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_RAW",
    "CAP_PERFMON",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_CHROOT",
    "CAP_SYSLOG",
    "CAP_SYS_MODULE",
    "CAP_SYS_NICE",
    "CAP_SYS_PACCT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_WAKE_ALARM",
];
const ULIMITS: &[&str] = &[
    "as=",
    "chroot=",
    "core=",
    "cpu=",
    "data=",
    "fsize=",
    "locks=",
    "maxlogins=",
    "maxsyslogins=",
    "memlock=",
    "msgqueue=",
    "nice=",
    "nofile=",
    "nproc=",
    "priority=",
    "rss=",
    "rtprio=",
    "sigpending=",
    "stack=",
];
const SECURITY: &[&str] = &[
    "apparmor=",
    "label=disable",
    "label=level:",
    "label=role:",
    "label=type:",
    "label=user:",
    "no-new-privileges",
    "seccomp=",
    "systempaths=unconfined",
];
const EVENT_FILTERS: &[&str] = &[
    "container=",
    "daemon=",
    "event=",
    "image=",
    "label=",
    "network=",
    "node=",
    "scope=",
    "type=",
    "volume=",
];
const TYPES: &[&str] =
    &["config", "container", "image", "network", "node", "plugin", "secret", "service", "task", "volume"];
const NETWORK_DRIVERS: &[&str] = &["bridge", "ipvlan", "macvlan"];

/// What lists and prunes are narrowed by, where it is more than labels and times.
fn filters(command: &str) -> &'static [&'static str] {
    match command {
        "ps" => &[
            "ancestor=",
            "before=",
            "expose=",
            "exited=",
            "health=",
            "id=",
            "is-task=",
            "label=",
            "name=",
            "network=",
            "publish=",
            "since=",
            "status=",
            "volume=",
        ],
        "images" => &["before=", "dangling=", "label=", "reference=", "since=", "until="],
        "volume ls" | "volume list" => &["dangling=", "driver=", "label=", "name="],
        "network ls" | "network list" => {
            &["dangling=", "driver=", "id=", "label=", "name=", "scope=", "type="]
        }
        "events" => EVENT_FILTERS,
        "plugin ls" | "plugin list" => &["capability=", "enabled="],
        _ => &["label=", "label!=", "until="],
    }
}

/// What stands behind a flag of a command.
pub(super) fn of_flag(command: &str, flag: &str) -> Offer {
    match (command, flag) {
        ("run" | "create" | "update", "restart") => Offer::Words(RESTARTS),
        (_, "detach-keys") => Offer::Words(&["ctrl-"]),
        ("run" | "create", _) => of_creation(flag),
        ("exec", "env") => Offer::Variables,
        ("kill" | "stop" | "restart", "signal") => Offer::Words(SIGNALS),
        ("inspect", "type") => Offer::Words(TYPES),
        (command, "filter") => Offer::Words(filters(command)),
        ("network create", "driver") => Offer::Words(NETWORK_DRIVERS),
        ("image convert", "layers") => Offer::Words(&["directory", "tar"]),
        ("", "context") => Offer::Contexts,
        ("", "log-level") => Offer::Words(&["debug", "info", "warn", "error", "fatal"]),
        ("context create", "from") => Offer::Contexts,
        (_, "platform") => Offer::Words(PLATFORMS),
        (_, "env-file" | "input" | "output" | "config" | "tlscacert" | "tlscert" | "tlskey") => Offer::Files,
        _ => Offer::Nothing,
    }
}

fn of_creation(flag: &str) -> Offer {
    match flag {
        "attach" => Offer::Words(&["stderr", "stdin", "stdout"]),
        "cap-add" | "cap-drop" => Offer::Words(CAPABILITIES),
        "cgroupns" => Offer::Words(&["host", "private"]),
        "env" => Offer::Variables,
        "cidfile" | "device" | "env-file" | "label-file" => Offer::Files,
        "health-on-failure" => Offer::Words(&["none", "restart", "stop", "kill"]),
        "ipc" => Offer::Namespaces(&["host", "none", "private", "shareable"]),
        "link" => Offer::Links,
        "volumes-from" => Offer::Containers(Which::All),
        "log-driver" => Offer::LogDrivers,
        "log-opt" => Offer::Words(&[
            "compress=",
            "env=",
            "env-regex=",
            "labels=",
            "max-buffer-size=",
            "max-file=",
            "max-size=",
            "mode=",
            "syslog-address=",
            "syslog-facility=",
            "syslog-format=",
            "tag=",
        ]),
        "network" | "network-add" | "network-rm" => Offer::Networks,
        "pid" => Offer::Namespaces(&["host"]),
        "platform" => Offer::Words(PLATFORMS),
        "pull" => Offer::Words(&["always", "missing", "never"]),
        "security-opt" => Offer::Words(SECURITY),
        "stop-signal" => Offer::Words(SIGNALS),
        "storage-opt" => Offer::Words(&["size="]),
        "ulimit" => Offer::Words(ULIMITS),
        "userns" | "uts" => Offer::Words(&["host"]),
        "volume-driver" => Offer::Words(&["local"]),
        _ => Offer::Nothing,
    }
}

/// What stands in the place of a command's argument, after so many others.
pub(super) fn of_argument(command: &str, before: &[String], forced: bool) -> Offer {
    match (command, before.len()) {
        ("run" | "create" | "history", 1..) | ("tag", 2..) => Offer::Nothing,
        ("run" | "create" | "history" | "tag" | "rmi" | "save" | "image convert" | "image inspect", _) => {
            Offer::Images
        }
        ("images" | "image tree", 0) => Offer::Images,
        ("attach" | "exec", 1..)
        | ("rename" | "export" | "logs" | "commit" | "diff" | "port" | "top", 1..) => Offer::Nothing,
        ("attach" | "exec" | "pause", _) => Offer::Containers(NOT_PAUSED),
        ("unpause", _) => Offer::Containers(Which::In(&["paused"])),
        ("start", _) => Offer::Containers(STOPPED),
        ("rm", _) => Offer::Containers(if forced { Which::All } else { STOPPED_OR_DEAD }),
        ("commit" | "diff" | "kill" | "port" | "stats" | "stop" | "top" | "wait", _) => {
            Offer::Containers(Which::Running)
        }
        ("container inspect" | "export" | "logs" | "rename" | "restart" | "update", _) => {
            Offer::Containers(Which::All)
        }
        ("cp", 0 | 1) => Offer::CopyEnds,
        ("inspect", _) => Offer::Anything,
        ("volume rm" | "volume remove" | "volume inspect", _) => Offer::Volumes,
        ("volume clone" | "volume export" | "volume import" | "volume rename" | "volume snapshot", 0) => {
            Offer::Volumes
        }
        ("volume import", _) => Offer::Files,
        ("network inspect" | "network rm" | "network remove", _) => Offer::Networks,
        ("network connect" | "network disconnect", 0) => Offer::Networks,
        ("network connect", _) => Offer::Members { network: before[0].clone(), inside: false },
        ("network disconnect", _) => Offer::Members { network: before[0].clone(), inside: true },
        ("context use" | "context update" | "context export", 0) => Offer::Contexts,
        ("context inspect" | "context rm" | "context remove", _) => Offer::Contexts,
        ("completion", 0) => Offer::Words(&["bash", "zsh", "fish"]),
        ("import" | "context import", _) => Offer::Files,
        _ => Offer::Nothing,
    }
}

impl Offer {
    pub(super) fn words(&self, session: &Session, last: &str) -> Result<Vec<Candidate>> {
        let plain = |words: Vec<String>| Ok(words.into_iter().map(|word| (word, "")).collect());
        let known = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        match self {
            Offer::Nothing | Offer::Files => Ok(Vec::new()),
            Offer::Words(words) => plain(known(words)),
            Offer::Containers(which) => plain(containers(session, *which)?),
            Offer::Members { network, inside } => plain(members(session, network, *inside)?),
            Offer::Links => {
                let names = containers(session, Which::All)?;
                plain(names.iter().map(|name| format!("{name}:")).collect())
            }
            Offer::Namespaces(words) if !last.starts_with("container:") => {
                plain([vec!["container:".to_owned()], known(words)].concat())
            }
            Offer::Namespaces(_) => {
                let names = containers(session, Which::All)?;
                plain(names.iter().map(|name| format!("container:{name}")).collect())
            }
            Offer::Images => plain(images(&session.present_client()?)?),
            Offer::Volumes => plain(volumes(&session.present_client()?)?),
            Offer::Networks => plain(listed(&session.present_client()?, &["networks"], "Name")?),
            Offer::Contexts => contexts_of(session),
            Offer::Variables => plain(variables()),
            Offer::LogDrivers => plain(log_drivers(&session.present_client()?)?),
            Offer::Anything => plain(anything(session)?),
            Offer::CopyEnds if last.contains(['/', ':']) => Ok(Vec::new()),
            Offer::CopyEnds => {
                let names = containers(session, Which::All)?;
                plain(names.iter().map(|name| format!("{name}:")).collect())
            }
        }
    }
}

fn containers(session: &Session, which: Which) -> Result<Vec<String>> {
    let all = !matches!(which, Which::Running);
    names(session, all, |container| is_meant(container, which))
}

fn members(session: &Session, network: &str, inside: bool) -> Result<Vec<String>> {
    let is_inside = |container: &Json| {
        let networks = container.pointer("/NetworkSettings/Networks").and_then(Json::as_object);
        networks.is_some_and(|networks| networks.contains_key(network))
    };
    names(session, true, |container| is_inside(container) == inside)
}

fn names(session: &Session, all: bool, is_meant: impl Fn(&Json) -> bool) -> Result<Vec<String>> {
    let request = Request::get(&["containers", "json"]).query_flag("all", all);
    let found: Vec<Json> = session.present_client()?.send(request)?.json()?;
    let with_ids = variable_of("DOCKER_COMPLETION_SHOW_CONTAINER_IDS").is_some_and(|value| value == "yes");
    let mut words = Vec::new();
    for container in found.iter().filter(|container| is_meant(container)) {
        words.extend(container.get("Id").and_then(Json::as_str).filter(|_| with_ids).map(str::to_owned));
        let names = container.get("Names").and_then(Json::as_array).into_iter().flatten();
        words.extend(names.filter_map(Json::as_str).map(|name| name.trim_start_matches('/').to_owned()));
    }
    Ok(words)
}

fn is_meant(container: &Json, which: Which) -> bool {
    let state = container.get("State").and_then(Json::as_str).unwrap_or_default();
    match which {
        Which::In(states) => states.contains(&state),
        Which::All | Which::Running => true,
    }
}

fn images(client: &Client) -> Result<Vec<String>> {
    let found: Vec<Json> = client.send(Request::get(&["images", "json"]))?.json()?;
    let tags = found.iter().filter_map(|image| image.get("RepoTags")?.as_array()).flatten();
    Ok(tags.filter_map(Json::as_str).map(str::to_owned).collect())
}

fn volumes(client: &Client) -> Result<Vec<String>> {
    let found: Json = client.send(Request::get(&["volumes"]))?.json()?;
    Ok(texts(found.get("Volumes"), "Name"))
}

fn listed(client: &Client, path: &[&str], field: &str) -> Result<Vec<String>> {
    let found: Json = client.send(Request::get(path))?.json()?;
    Ok(texts(Some(&found), field))
}

fn texts(list: Option<&Json>, field: &str) -> Vec<String> {
    let items = list.and_then(Json::as_array).into_iter().flatten();
    items.filter_map(|item| item.get(field)?.as_str()).map(str::to_owned).collect()
}

fn log_drivers(client: &Client) -> Result<Vec<String>> {
    let info: Json = client.send(Request::get(&["info"]))?.json()?;
    let drivers = info.pointer("/Plugins/Log").and_then(Json::as_array).into_iter().flatten();
    Ok(drivers.filter_map(Json::as_str).map(str::to_owned).collect())
}

fn anything(session: &Session) -> Result<Vec<String>> {
    let mut words = containers(session, Which::All)?;
    let client = session.present_client()?;
    words.extend(images(&client)?);
    words.extend(listed(&client, &["networks"], "Name")?);
    words.extend(volumes(&client)?);
    Ok(words)
}

fn contexts_of(session: &Session) -> Result<Vec<Candidate>> {
    let present = session.context_name()?;
    let names = session.contexts().list().into_iter().map(|context| context.name);
    let names = std::iter::once(contexts::DEFAULT.to_owned()).chain(names);
    Ok(names.map(|name| if name == present { (name, "current") } else { (name, "") }).collect())
}

fn variables() -> Vec<String> {
    std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect()
}
