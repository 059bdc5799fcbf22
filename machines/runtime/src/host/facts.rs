//! What this machine is.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::BorrowedFd;
use std::path::Path;

use dhow_model::Result;
use dhow_model::ports::HostFacts;
use dhow_oci::runtime::NamespaceKind;
use dhow_sys::identity;
use rustix::fs::{Access, AtFlags};

use crate::cgroups::{Layout, Version};
use crate::container::plan::identity::LIMITS;
use crate::container::plan::namespaces;
use crate::container::{NAMESPACES, lack_of};

/// Controllers whose absence a user should know of, and what then cannot be set.
const WANTED: [(&str, &str); 6] = [
    ("memory", "No memory limit support"),
    ("memory.swap", "No swap limit support"),
    ("pids", "No pids limit support"),
    ("cpu", "No cpu cfs quota support"),
    ("cpuset", "No cpuset support"),
    ("blkio", "No blkio weight support"),
];

/// oom_score_adj(5) ends here.
const LEAST_OOM_SCORE: i64 = -1000;

/// Looks at everything once.
pub(super) fn gather() -> Result<HostFacts> {
    let system = rustix::system::uname();
    let layout = Layout::detect()?;
    let version = if layout.version() == Version::V2 { 2 } else { 1 };
    let mut controllers = controllers(&layout);
    controllers.extend(weighs_block_devices(version).then(|| "blkio.weight".to_owned()));
    controllers.extend(counts_swap(&layout).then(|| "memory.swap".to_owned()));
    let last = identity::last_capability();
    let capabilities = identity::bounding_set(last);
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let raises = may_raise_limits();
    Ok(HostFacts {
        name: system.nodename().to_string_lossy().into_owned(),
        kernel: system.release().to_string_lossy().into_owned(),
        operating_system: field(&release, "PRETTY_NAME").unwrap_or_else(|| "Linux".into()),
        os_version: field(&release, "VERSION_ID").unwrap_or_default(),
        architecture: system.machine().to_string_lossy().into_owned(),
        processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        memory: memory(),
        cgroup_version: version,
        warnings: warnings(&layout, &controllers, capabilities, last),
        missing_namespaces: missing_namespaces(),
        thermal: thermal(),
        processors_allowed: own_status("Cpus_allowed_list"),
        memory_nodes_allowed: own_status("Mems_allowed_list"),
        controllers,
        forwards_packets: is_on("/proc/sys/net/ipv4/ip_forward", "1"),
        seccomp: fs::exists("/proc/sys/kernel/seccomp/actions_avail").unwrap_or(false),
        apparmor: is_on("/sys/module/apparmor/parameters/enabled", "Y"),
        selinux: fs::exists("/sys/fs/selinux/enforce").unwrap_or(false),
        last_group: last_group(&fs::read_to_string("/proc/self/gid_map").unwrap_or_default()),
        hard_limits: hard_limits(raises),
        least_oom_score: if raises { LEAST_OOM_SCORE } else { own_oom_score() },
        capabilities,
    })
}

/// The kernel asks for the right in the first user namespace, in which ids have no end: who is root of another one has it
/// not.
fn may_raise_limits() -> bool {
    const SYS_RESOURCE: u32 = 24;
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let is_first = map.split_whitespace().eq(["0", "0", "4294967295"]);
    let has = |(effective, ..): (u64, _, _)| effective & (1 << SYS_RESOURCE) != 0;
    is_first && dhow_sys::identity::capabilities().is_ok_and(has)
}

/// What the kernel lets any process have of open files, and of all else what we have ourselves where that cannot be raised.
fn hard_limits(raises: bool) -> BTreeMap<String, u64> {
    let mut limits = BTreeMap::new();
    let own = LIMITS.iter().zip(0_u32..).filter(|_| !raises);
    for (name, resource) in own {
        if let Ok((_, hard)) = dhow_sys::process::limit(resource)
            && hard != u64::MAX
        {
            limits.insert(name.to_lowercase(), hard);
        }
    }
    let files = fs::read_to_string("/proc/sys/fs/nr_open").ok().and_then(|text| text.trim().parse().ok());
    if let Some(files) = files {
        let entry = limits.entry("nofile".to_owned()).or_insert(files);
        *entry = files.min(*entry);
    }
    limits
}

fn own_oom_score() -> i64 {
    let text = fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
    text.trim().parse().unwrap_or_default()
}

/// Of those that follow the first one (user_namespaces(7)).
fn last_group(map: &str) -> u32 {
    let count = map.lines().find_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(0)), Some(_), Some(Ok(count))) => Some(count),
            _ => None,
        }
    });
    count.unwrap_or_default().saturating_sub(1)
}

/// One line of os-release(5), without its quotes.
fn field(text: &str, name: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
    Some(value.trim_matches(['"', '\'']).to_owned())
}

fn memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// Those whose limits can be set: mounted, and not read-only. Version 2 lists them in its root.
fn controllers(layout: &Layout) -> Vec<String> {
    let writable = layout.hierarchies.iter().filter(|hierarchy| is_writable(hierarchy.root()));
    match layout.version() {
        Version::V1 => {
            let all = writable.flat_map(|hierarchy| &hierarchy.mount.controllers);
            all.map(|controller| controller.v1_name().to_owned()).collect()
        }
        Version::V2 => {
            let text = writable.map(|hierarchy| {
                fs::read_to_string(hierarchy.mount.mount_point.join("cgroup.controllers")).unwrap_or_default()
            });
            let name = |name: &str| if name == "io" { "blkio".to_owned() } else { name.to_owned() };
            text.flat_map(|text| text.split_whitespace().map(name).collect::<Vec<_>>()).collect()
        }
    }
}

fn is_writable(directory: BorrowedFd<'_>) -> bool {
    rustix::fs::accessat(directory, ".", Access::WRITE_OK, AtFlags::empty()).is_ok()
}

/// Namespaces of which none can be made: the kernel has no such kind, or none are allowed here.
fn missing_namespaces() -> Vec<String> {
    let is_missing = |kind: &NamespaceKind| lack_of(*kind).is_some();
    let kinds = NAMESPACES.iter().copied().filter(is_missing);
    kinds.map(|kind| namespaces::file(kind).to_owned()).collect()
}

/// In numerical order; a virtual machine has none.
fn thermal() -> Vec<String> {
    let number = |name: &str| name.strip_prefix("cpu")?.parse::<u32>().ok();
    let entries = fs::read_dir("/sys/devices/system/cpu").into_iter().flatten().flatten();
    let mut numbers: Vec<u32> = entries.filter_map(|entry| number(entry.file_name().to_str()?)).collect();
    numbers.sort_unstable();
    let paths = numbers.into_iter().map(|cpu| format!("/sys/devices/system/cpu/cpu{cpu}/thermal_throttle"));
    paths.filter(|path| Path::new(path).exists()).collect()
}

/// A line of /proc/self/status.
fn own_status(name: &str) -> String {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_default().trim().to_owned()
}

/// Whether an input and output scheduler with weights is there; its files are in every group but the root
/// of version 2.
fn weighs_block_devices(version: u32) -> bool {
    let exists = |directory: &Path, names: [&str; 2]| {
        names.iter().any(|name| fs::exists(directory.join(name)).unwrap_or(false))
    };
    if version == 1 {
        return exists(Path::new("/sys/fs/cgroup/blkio"), ["blkio.weight", "blkio.bfq.weight"]);
    }
    let groups = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    groups.into_iter().any(|group| exists(&group.path(), ["io.weight", "io.bfq.weight"]))
}

/// Whether swap is counted and can be limited: the kernel may be told not to (`swapaccount=0`). The file is in every
/// group but the root of version 2.
fn counts_swap(layout: &Layout) -> bool {
    let (memory, swap) = match layout.version() {
        Version::V1 => ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
        Version::V2 => ("memory.max", "memory.swap.max"),
    };
    // Where no group is there yet that would have either, nothing speaks against it.
    has_file(layout, swap) || !has_file(layout, memory)
}

fn has_file(layout: &Layout, file: &str) -> bool {
    layout.hierarchies.iter().any(|hierarchy| {
        let below = fs::read_dir(&hierarchy.mount.mount_point).into_iter().flatten().flatten();
        let directories = below.map(|entry| entry.path()).chain([hierarchy.mount.mount_point.clone()]);
        directories.into_iter().any(|directory| fs::exists(directory.join(file)).unwrap_or(false))
    })
}

fn warnings(layout: &Layout, controllers: &[String], capabilities: u64, last: u32) -> Vec<String> {
    let missing = WANTED.iter().filter(|(name, _)| !controllers.iter().any(|known| known == name));
    let mut warnings: Vec<String> = missing.map(|(_, text)| format!("WARNING: {text}")).collect();
    let all = u64::MAX >> (63 - last);
    let lost = dhow_oci::capabilities::CapabilitySet(all & !capabilities).names();
    if !lost.is_empty() {
        warnings.push(format!("WARNING: Not available to containers on this machine: {}", lost.join(", ")));
    }
    if !dhow_oci::capabilities::CapabilitySet(capabilities).contains("CAP_SYS_ADMIN") {
        warnings
            .push("WARNING: No CAP_SYS_ADMIN: nothing can be mounted, and no container started".to_owned());
    }
    if !layout.hierarchies.iter().any(|hierarchy| is_writable(hierarchy.root())) {
        let why = if layout.hierarchies.is_empty() { "not mounted" } else { "read-only" };
        warnings.push(format!("WARNING: No cgroups: they are {why}. Containers cannot be limited or paused"));
    }
    let lacking = NAMESPACES.iter().filter(|kind| **kind != NamespaceKind::User).copied().filter_map(lack_of);
    warnings.extend(lacking.map(|lack| format!("WARNING: No isolation of one kind: {lack}")));
    warnings
}

fn is_on(path: &str, value: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.trim() == value)
}
