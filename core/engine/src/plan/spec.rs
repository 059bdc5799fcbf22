//! The OCI configuration of a container.

use std::collections::BTreeMap;

use dhow_model::container::user_map::Span;
use dhow_model::container::{Config, HostConfig, IdRange, MountKind, MountPoint, donor};
use dhow_model::{Container, Error, Result};
use dhow_oci::runtime::{
    ConsoleSize, IdMapping, Linux, Mount, Namespace, NamespaceKind, Process, Rlimit, Root, Spec, User,
    VERSION,
};

use super::rights::{self, Options};
use super::{Facts, Joined, files, merge, resources, user};
use crate::user_space;

/// The kernel reads the ids of `ping_group_range` as numbers with a sign.
const LAST_PINGING_GROUP: u32 = i32::MAX as u32;

/// The search path of a container whose image has none.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Works out the configuration.
///
/// # Errors
/// In Docker's words: a user that is not there, an option that is none.
pub fn plan(record: &Container, facts: &Facts) -> Result<Spec> {
    let host = &record.host_config;
    let options = rights::options(host)?;
    let own_names = host.uts_mode != "host";
    Ok(Spec {
        oci_version: VERSION.into(),
        root: Some(Root { path: "rootfs".into(), readonly: host.readonly_rootfs }),
        hostname: if own_names { record.config.hostname.clone() } else { String::new() },
        domainname: if own_names { record.config.domainname.clone() } else { String::new() },
        mounts: mounts(record, facts)?,
        hooks: None,
        annotations: host.annotations.clone(),
        linux: Some(linux(record, &options, facts)?),
        process: Some(process(record, &options, facts)?),
    })
}

fn process(record: &Container, options: &Options, facts: &Facts) -> Result<Process> {
    let (config, host) = (&record.config, &record.host_config);
    let none = Vec::new();
    let further = host.group_add.as_ref().unwrap_or(&none);
    let identity = user::resolve(&config.user, further, &facts.passwd, &facts.group)?;
    let set = rights::capability_set(host, facts.host.capabilities)?;
    let [rows, columns] = host.console_size;
    Ok(Process {
        terminal: config.tty,
        console_size: (rows > 0 && columns > 0)
            .then(|| ConsoleSize { height: rows.into(), width: columns.into() }),
        user: User {
            uid: identity.uid,
            gid: identity.gid,
            additional_gids: identity.groups,
            ..User::default()
        },
        args: merge::command(config).cloned().collect(),
        env: env(config, &identity.home, &facts.linked.variables),
        cwd: if config.working_dir.is_empty() { "/".into() } else { config.working_dir.clone() },
        capabilities: Some(rights::process_sets(set, identity.uid)),
        rlimits: rlimits(host, facts),
        no_new_privileges: options.no_new_privileges.unwrap_or(facts.settings.no_new_privileges),
        apparmor_profile: apparmor(host, options, facts),
        oom_score_adj: i32::try_from(host.oom_score_adj).ok().filter(|score| *score != 0),
        ..Process::default()
    })
}

fn apparmor(host: &HostConfig, options: &Options, facts: &Facts) -> String {
    if !facts.host.apparmor || host.privileged {
        return String::new();
    }
    // No profile of ours is loaded yet: only what was asked for is applied.
    options.apparmor.clone().filter(|profile| profile != "unconfined").unwrap_or_default()
}

/// What every process gets, unless the image or the user says otherwise.
pub(super) fn env(config: &Config, home: &str, linked: &[String]) -> Vec<String> {
    let mut first = vec![format!("PATH={PATH}"), format!("HOSTNAME={}", config.hostname)];
    if config.tty {
        first.push("TERM=xterm".into());
    }
    first.extend_from_slice(linked);
    let mut env = merge::variables(first, &config.env);
    if !env.iter().any(|pair| pair.starts_with("HOME=")) {
        env.push(format!("HOME={home}"));
    }
    env
}

fn rlimits(host: &HostConfig, facts: &Facts) -> Vec<Rlimit> {
    let own = host.ulimits.iter().flatten();
    let given: Vec<&str> = own.clone().map(|limit| limit.name.as_str()).collect();
    let general = facts.settings.ulimits.iter().filter(|limit| !given.contains(&limit.name.as_str()));
    let number = |value: i64| u64::try_from(value).unwrap_or(u64::MAX);
    let rlimit = |limit: &dhow_model::container::Ulimit| Rlimit {
        kind: format!("RLIMIT_{}", limit.name.to_uppercase()),
        hard: number(limit.hard),
        soft: number(limit.soft),
    };
    general.chain(own).map(rlimit).collect()
}

fn linux(record: &Container, options: &Options, facts: &Facts) -> Result<Linux> {
    let host = &record.host_config;
    let set = rights::capability_set(host, facts.host.capabilities)?;
    let hidden = !(options.unmasked || host.privileged);
    let visible = |paths: &Option<Vec<String>>, default: Vec<String>| {
        if hidden { paths.clone().unwrap_or(default) } else { Vec::new() }
    };
    Ok(Linux {
        sysctl: sysctls(host, user_space::last_group(facts)),
        resources: Some(resources::plan(host, facts)?),
        cgroups_path: cgroups_path(record, facts),
        namespaces: namespaces(host, facts)?,
        devices: resources::nodes(host, facts),
        seccomp: rights::seccomp(record, options, set, facts)?,
        rootfs_propagation: root_propagation(&record.mounts),
        uid_mappings: facts.user.as_ref().map(|user| mappings(&user.map.users)).unwrap_or_default(),
        gid_mappings: facts.user.as_ref().map(|user| mappings(&user.map.groups)).unwrap_or_default(),
        masked_paths: visible(&host.masked_paths, rights::masked_paths(&facts.host)),
        readonly_paths: visible(&host.readonly_paths, rights::readonly_paths()),
        ..Linux::default()
    })
}

/// Those of a network that is the container's, in which programs without rights listen on any port and send
/// echo requests, and those that were asked for.
fn sysctls(host: &HostConfig, last_group: u32) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    if host.network_mode != "host" && host.network_donor().is_none() {
        all.insert("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned());
        all.insert(
            "net.ipv4.ping_group_range".to_owned(),
            format!("0 {}", last_group.min(LAST_PINGING_GROUP)),
        );
    }
    all.extend(host.sysctls.clone());
    all
}

fn cgroups_path(record: &Container, facts: &Facts) -> String {
    let own = record.host_config.cgroup_parent.as_str();
    let parent = if own.is_empty() { facts.settings.cgroup_parent.as_str() } else { own };
    format!("/{}/{}", parent.trim_matches('/'), record.id)
}

/// A bind that shares what is mounted below it needs a root that does.
fn root_propagation(mounts: &[MountPoint]) -> String {
    let has = |kind: &str| mounts.iter().any(|mount| mount.propagation.trim_start_matches('r') == kind);
    if has("shared") {
        "shared".into()
    } else if has("slave") {
        "slave".into()
    } else {
        String::new()
    }
}

fn namespaces(host: &HostConfig, facts: &Facts) -> Result<Vec<Namespace>> {
    let new = |kind| Namespace { kind, path: None };
    let joined = |kind, file: &str, mode: &str| -> Result<Namespace> {
        let other = other(mode, facts)?;
        Ok(Namespace { kind, path: Some(format!("/proc/{}/ns/{file}", other.donor.pid).into()) })
    };
    let mut all = vec![new(NamespaceKind::Mount)];
    all.extend(
        facts.user.iter().map(|user| Namespace { kind: NamespaceKind::User, path: Some(user.path.clone()) }),
    );
    match host.network_mode.as_str() {
        "host" => {}
        mode if donor(mode).is_some() => all.push(joined(NamespaceKind::Network, "net", mode)?),
        _ => all.push(Namespace { kind: NamespaceKind::Network, path: facts.network.clone() }),
    }
    if host.uts_mode != "host" {
        all.push(new(NamespaceKind::Uts));
    }
    match host.ipc_mode.as_str() {
        "host" => {}
        mode if donor(mode).is_some() => all.push(joined(NamespaceKind::Ipc, "ipc", mode)?),
        _ => all.push(new(NamespaceKind::Ipc)),
    }
    match host.pid_mode.as_str() {
        "host" => {}
        mode if donor(mode).is_some() => all.push(joined(NamespaceKind::Pid, "pid", mode)?),
        _ => all.push(new(NamespaceKind::Pid)),
    }
    if host.cgroupns_mode != "host" {
        all.push(new(NamespaceKind::Cgroup));
    }
    Ok(all)
}

fn other<'a>(mode: &str, facts: &'a Facts) -> Result<&'a Joined> {
    let name = donor(mode).unwrap_or_default();
    facts.joined.get(name).ok_or_else(|| Error::internal(format!("{mode} was not looked up")))
}

/// What every container has, what was asked for, and the files made for it; what lies below something
/// comes after it.
fn mounts(record: &Container, facts: &Facts) -> Result<Vec<Mount>> {
    let host = &record.host_config;
    let taken =
        |place: &str| record.mounts.iter().any(|mount| mount.destination == std::path::Path::new(place));
    let mut all: Vec<Mount> =
        system(host, facts)?.into_iter().filter(|m| !taken(&m.destination.to_string_lossy())).collect();
    let files = files::mounts(record, facts).into_iter().map(|mount| own(mount, facts));
    all.extend(files.filter(|mount| !taken(&mount.destination.to_string_lossy())));
    for one in &record.mounts {
        all.push(id_mapped(point(one), one, record, facts)?);
    }
    all.sort_by_key(|mount| mount.destination.components().count());
    Ok(all)
}

fn system(host: &HostConfig, facts: &Facts) -> Result<Vec<Mount>> {
    let sealed = if host.privileged { "rw" } else { "ro" };
    let cgroups = if rights::options(host)?.writable_cgroups { "rw" } else { sealed };
    let mut all = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", sealed]),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", cgroups]),
    ];
    let bound = ["rbind", "nosuid", "noexec", "nodev"];
    let own_queues = || mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]);
    match host.ipc_mode.as_str() {
        "host" => {
            // Mounted from inside the host's namespace these are the host's queues, also where the host
            // has not mounted them.
            all.push(own_queues());
            all.push(mount("/dev/shm", "bind", "/dev/shm", &bound));
        }
        mode if donor(mode).is_some() => {
            let shm = format!("/proc/{}/root/dev/shm", other(mode, facts)?.donor.pid);
            all.push(own_queues());
            all.push(mount("/dev/shm", "bind", &shm, &bound));
        }
        "none" => all.push(own_queues()),
        _ => {
            all.push(own_queues());
            let size = format!("size={}", host.shm_size);
            all.push(mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", &size]));
        }
    }
    Ok(all)
}

pub(super) fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Mount {
    Mount {
        destination: destination.into(),
        kind: kind.into(),
        source: source.into(),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        ..Mount::default()
    }
}

/// Files that are the container's belong to its users, whoever they are on the host.
fn own(mut mount: Mount, facts: &Facts) -> Mount {
    let Some(user) = &facts.user else { return mount };
    mount.uid_mappings = mappings(&user.map.users);
    mount.gid_mappings = mappings(&user.map.groups);
    mount
        .options
        .push(if mount.options.iter().any(|option| option == "rbind") { "ridmap" } else { "idmap" }.into());
    mount
}

fn mappings(spans: &[Span]) -> Vec<IdMapping> {
    let mapping =
        |span: &Span| IdMapping { container_id: span.inside, host_id: span.outside, size: span.count };
    spans.iter().map(mapping).collect()
}

/// Owners of files are seen as others, where that was asked for.
fn id_mapped(mut mount: Mount, point: &MountPoint, record: &Container, facts: &Facts) -> Result<Mount> {
    let Some(map) = &point.id_map else {
        return Ok(if user_space::is_own(point.kind) { own(mount, facts) } else { mount });
    };
    let user = user::resolve(&record.config.user, &[], &facts.passwd, &facts.group)?;
    let owner = facts.owners.get(&point.source).copied().unwrap_or_default();
    let (users, groups) = map.ranges(owner, (user.uid, user.gid));
    let spans = facts.user.as_ref().map(|user| (user.map.users.as_slice(), user.map.groups.as_slice()));
    mount.uid_mappings = seen_from_outside(&users, spans.map(|(users, _)| users));
    mount.gid_mappings = seen_from_outside(&groups, spans.map(|(_, groups)| groups));
    mount.options.push(if point.non_recursive { "idmap" } else { "ridmap" }.into());
    Ok(mount)
}

/// Whom the container sees, as the kernel takes it: by the numbers of the host. Of whom it cannot see nothing is said.
fn seen_from_outside(ranges: &[IdRange], spans: Option<&[Span]>) -> Vec<IdMapping> {
    let mapping =
        |range: IdRange| IdMapping { container_id: range.stored, host_id: range.seen, size: range.count };
    let Some(spans) = spans else { return ranges.iter().copied().map(mapping).collect() };
    let part = |range: &IdRange, span: &Span| {
        let first = range.seen.max(span.inside);
        let end = range.seen.saturating_add(range.count).min(span.inside.saturating_add(span.count));
        let size = end.checked_sub(first).filter(|size| *size > 0)?;
        let stored = range.stored + (first - range.seen);
        Some(IdMapping { container_id: stored, host_id: span.outside + (first - span.inside), size })
    };
    ranges.iter().flat_map(|range| spans.iter().filter_map(move |span| part(range, span))).collect()
}

/// A bind, volume, image or tmpfs that was asked for.
fn point(point: &MountPoint) -> Mount {
    let destination = point.destination.to_string_lossy();
    if point.kind == MountKind::Tmpfs {
        let options: Vec<&str> = point.options.iter().map(String::as_str).collect();
        return mount(&destination, "tmpfs", "tmpfs", &options);
    }
    let mut options = vec![if point.non_recursive { "bind" } else { "rbind" }];
    match (point.writable, point.recursive_read_only) {
        // Not `rw`: what the host has mounted read-only stays so.
        (true, _) => {}
        (false, true) => options.push("rro"),
        (false, false) => options.push("ro"),
    }
    options.push(if point.propagation.is_empty() { "rprivate" } else { &point.propagation });
    // Found by the runtime, below the volume: its links were made by whoever writes in it.
    let below = point.subpath.as_ref().map(|below| format!("X-mount.subdir={}", below.display()));
    options.extend(below.as_deref());
    match &point.image {
        // The store mounts it, and what is at the path in it: see `StartPlan::trees`.
        Some(image) => mount(&destination, "bind", &image.to_string(), &["bind", "ro", "rprivate"]),
        None => mount(&destination, "bind", &point.source.to_string_lossy(), &options),
    }
}
