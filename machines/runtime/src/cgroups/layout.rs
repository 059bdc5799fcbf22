//! What of cgroups is mounted here, and where this process is in it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dhow_model::error::{Error, Result};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use super::controller::Controller;
use super::files::{failure, open_directory, read_value, write_value};

/// The two versions of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// A hierarchy for each controller or a few of them.
    V1,
    /// One hierarchy.
    V2,
}

/// What is mounted.
#[derive(Debug)]
pub struct Layout {
    /// The hierarchies, in the order in which they were mounted.
    pub hierarchies: Vec<Hierarchy>,
}

/// One mounted hierarchy, held open.
#[derive(Debug)]
pub struct Hierarchy {
    /// What is known of it.
    pub mount: HierarchyMount,
    pub(super) root: Arc<OwnedFd>,
}

/// What the kernel tells of a hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HierarchyMount {
    /// Where it is mounted.
    pub mount_point: PathBuf,
    /// Of which version it is.
    pub version: Version,
    /// Version 1: the controllers. Version 2: empty, each cgroup says for itself which it has.
    pub controllers: Vec<Controller>,
    /// `systemd` of a version 1 hierarchy that is `name=systemd`.
    pub name: Option<String>,
    /// The cgroup of this process, seen from the mount point; no slash at either end.
    pub own: String,
    /// The kernel's number of the mount.
    pub(super) id: u64,
}

impl Layout {
    /// Looks at what is mounted in this mount namespace. Nothing at all is no error.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn detect() -> Result<Self> {
        let mounts = read("/proc/self/mountinfo")?;
        let own = read("/proc/self/cgroup")?;
        let mut hierarchies: Vec<Hierarchy> = Vec::new();
        for mount in parse(&mounts, &own) {
            let is_known = hierarchies.iter().any(|known| known.mount.is_same(&mount));
            if let Some(root) = open(&mount).filter(|_| !is_known) {
                hierarchies.push(Hierarchy { mount, root: Arc::new(root) });
            }
        }
        Ok(Self { hierarchies })
    }

    /// Version 2 when there is nothing else: files of version 2 then set the limits.
    #[must_use]
    pub fn version(&self) -> Version {
        let pure_v2 = self.hierarchies.iter().all(|hierarchy| hierarchy.mount.version == Version::V2);
        if pure_v2 && !self.hierarchies.is_empty() { Version::V2 } else { Version::V1 }
    }
}

impl Hierarchy {
    /// Its root directory.
    #[must_use]
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

/// Where the processes go that stand in the way of limits.
const ASIDE: &str = "init";

impl Layout {
    /// Makes room for limits inside a container: version 2 passes no controllers on to the children of a
    /// cgroup that has processes, and the container's own are in what is the root here. They are moved
    /// into a cgroup beside those of the containers to come. Nothing is done anywhere else.
    ///
    /// # Errors
    /// When the processes cannot be moved; nobody's limits can be set then.
    pub fn make_room(&self) -> Result<()> {
        let [only] = self.hierarchies.as_slice() else { return Ok(()) };
        let root = only.root();
        // The machine's own root has no type, and is exempt from the rule.
        let is_root = read_value(root, "cgroup.type").is_err();
        if only.mount.version == Version::V1 || is_root || !only.mount.own.is_empty() {
            return Ok(());
        }
        let failed = |error: Errno| failure("cannot make room for limits in the cgroup around us", error);
        match rustix::fs::mkdirat(root, ASIDE, Mode::from_raw_mode(0o755)) {
            // As it is on most machines of this kind: not ours to arrange.
            Err(Errno::ROFS | Errno::ACCESS | Errno::PERM) => return Ok(()),
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(failed(error)),
        }
        let aside = open_directory(root, ASIDE).map_err(failed)?;
        // Those that are born meanwhile are found when it is looked again.
        for _ in 0..100 {
            let processes = read_value(root, "cgroup.procs").map_err(failed)?;
            if processes.trim().is_empty() {
                return Ok(());
            }
            for process in processes.lines() {
                match write_value(&aside, "cgroup.procs", process) {
                    Ok(()) | Err(Errno::SRCH) => {}
                    Err(error) => return Err(failed(error)),
                }
            }
        }
        Err(failed(Errno::BUSY))
    }
}

impl HierarchyMount {
    /// Whether its cgroups have processors of their own, by the rules of version 1.
    pub(super) fn has_processors(&self) -> bool {
        self.version == Version::V1 && self.controllers.contains(&Controller::Cpuset)
    }

    fn is_same(&self, other: &Self) -> bool {
        self.version == other.version && self.controllers == other.controllers && self.name == other.name
    }
}

/// What cannot be reached (behind a closed directory, or with another mount over it) is as if not
/// mounted.
fn open(mount: &HierarchyMount) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, &mount.mount_point, flags, Mode::empty()).ok()?;
    (dhow_sys::mount::id(&root).ok()? == mount.id).then_some(root)
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|error| Error::internal(format!("cannot read {path}")).because(error))
}

/// The mounts of hierarchies in `/proc/self/mountinfo`, with what `/proc/self/cgroup` tells.
#[must_use]
pub fn parse(mountinfo: &str, own: &str) -> Vec<HierarchyMount> {
    mountinfo.lines().filter_map(|line| parse_mount(line, own)).collect()
}

/// One line: `31 23 0:28 ROOT MOUNTPOINT OPTIONS [FIELDS] - TYPE SOURCE SUPER_OPTIONS`.
fn parse_mount(line: &str, own: &str) -> Option<HierarchyMount> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut mount = mount.split(' ');
    let id = mount.next()?.parse().ok()?;
    let mut mount = mount.skip(2);
    let (root, mount_point) = (unescape(mount.next()?), unescape(mount.next()?));
    let mut filesystem = filesystem.split(' ');
    let version = match filesystem.next()? {
        "cgroup" => Version::V1,
        "cgroup2" => Version::V2,
        _ => return None,
    };
    let options = filesystem.nth(1)?;
    let (mut controllers, mut name) = (Vec::new(), None);
    if version == Version::V1 {
        controllers = options.split(',').filter_map(Controller::from_v1_name).collect();
        name = options.split(',').find_map(|option| option.strip_prefix("name=")).map(str::to_owned);
        if controllers.is_empty() && name.is_none() {
            return None;
        }
    }
    let own = below(&root, own_path(own, version, &controllers, name.as_deref())?);
    Some(HierarchyMount { mount_point: mount_point.into(), version, controllers, name, own, id })
}

/// The path of this process in one hierarchy. Lines are `ID:CONTROLLERS:PATH`.
fn own_path<'a>(
    own: &'a str,
    version: Version,
    controllers: &[Controller],
    name: Option<&str>,
) -> Option<&'a str> {
    own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (id, list, path) = (fields.next()?, fields.next()?, fields.next()?);
        let same = match (version, controllers.first(), name) {
            (Version::V2, ..) => id == "0" && list.is_empty(),
            (Version::V1, Some(first), _) => list.split(',').any(|each| each == first.v1_name()),
            (Version::V1, None, Some(name)) => list.strip_prefix("name=") == Some(name),
            (Version::V1, None, None) => false,
        };
        same.then_some(path)
    })
}

/// `path` seen from a mount whose root is `root`: in a container without a cgroup namespace both are
/// paths of the host.
fn below(root: &str, path: &str) -> String {
    let within = Path::new(path).strip_prefix(root).unwrap_or_else(|_| Path::new(path));
    within.to_string_lossy().trim_matches('/').to_owned()
}

/// Octal escapes, which the kernel writes for space, tab, line feed and backslash.
fn unescape(field: &str) -> String {
    let mut text = field.to_owned();
    for (escape, plain) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        if text.contains(escape) {
            text = text.replace(escape, plain);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
99 31 0:32 / /mnt/again rw,relatime - cgroup cgroup rw,memory
";

    #[test]
    fn a_hybrid_machine_has_a_hierarchy_for_each_mount() {
        let own = "4:memory:/process\n3:cpu,cpuacct:/\n1:name=systemd:/init.scope\n0::/user\n";
        let found = parse(HYBRID, own);
        let text: Vec<String> = found
            .iter()
            .map(|m| format!("{} {:?} {:?} own={}", m.mount_point.display(), m.controllers, m.name, m.own))
            .collect();
        assert_eq!(
            text,
            [
                "/sys/fs/cgroup/cpu,cpuacct [Cpu, Cpuacct] None own=",
                "/sys/fs/cgroup/memory [Memory] None own=process",
                "/sys/fs/cgroup/systemd [] Some(\"systemd\") own=init.scope",
                "/sys/fs/cgroup/unified [] None own=user",
                "/mnt/again [Memory] None own=process",
            ]
        );
        assert!(found[4].is_same(&found[1]) && !found[0].is_same(&found[1]));
    }

    #[test]
    fn in_a_container_without_a_namespace_the_own_path_is_seen_from_the_mount() {
        let mounts = "1 2 0:3 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        assert_eq!(parse(mounts, "0::/docker/abc/inner\n")[0].own, "inner");
        assert_eq!(parse(mounts, "0::/docker/abc\n")[0].own, "");
    }

    #[test]
    fn a_mount_point_with_a_space_is_read_back() {
        let mounts = "1 2 0:3 / /mnt/my\\040groups rw - cgroup2 cgroup rw\n";
        assert_eq!(parse(mounts, "0::/\n")[0].mount_point, Path::new("/mnt/my groups"));
    }

    #[test]
    fn lines_of_nonsense_are_passed_over() {
        assert!(parse("nonsense\n - \n1 2 3 - cgroup\n1 2 3 / / rw - cgroup2 x rw\n", "").is_empty());
    }
}
