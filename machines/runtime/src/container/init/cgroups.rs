//! The host's cgroup hierarchies, as a container is shown them.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{MountAttrFlags, OpenTreeFlags};

use super::mounts::file_system;

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hierarchy {
    /// The name of its directory: `memory`, `cpu,cpuacct`, `unified`.
    pub(super) name: String,
    /// `cgroup` or `cgroup2`.
    kind: String,
    /// What mount(2) needs to find it again: `memory`, `name=systemd`.
    data: Vec<(String, Option<String>)>,
    /// This process's own group, where a mount of the host shows it.
    own: Option<PathBuf>,
}

impl Hierarchy {
    /// The hierarchy from the own group on, as a detached mount.
    ///
    /// A copy of the host's mount is the same file system, and costs a tenth of a new one: that takes 0.1 ms of
    /// the one lock of all cgroups, for each hierarchy of version 1. A new one begins at the root of the
    /// namespace that this process is in.
    pub(super) fn tree(&self) -> io::Result<OwnedFd> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let own = self.own.as_ref().map(|own| rustix::mount::open_tree(CWD, own, flags));
        match own {
            Some(Ok(tree)) => Ok(tree),
            _ => Ok(file_system(&self.kind, &self.kind, &self.data, MountAttrFlags::empty())?),
        }
    }

    /// Further names of a hierarchy with several controllers.
    pub(super) fn links(&self) -> impl Iterator<Item = &str> {
        self.name.split(',').filter(|_| self.name.contains(','))
    }
}

/// All hierarchies below /sys/fs/cgroup, in the order in which they are mounted.
pub(super) fn hierarchies() -> io::Result<Vec<Hierarchy>> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let groups = std::fs::read_to_string("/proc/self/cgroup")?;
    let mut found: Vec<Hierarchy> = Vec::new();
    for hierarchy in mounts.lines().filter_map(|line| hierarchy(line, &groups)) {
        // What is mounted later lies over what is at the same place, and hides it.
        found.retain(|hidden| hidden.name != hierarchy.name);
        found.push(hierarchy);
    }
    Ok(found)
}

/// One line of mountinfo(5): `… root mountpoint options … - type source super-options`.
fn hierarchy(line: &str, groups: &str) -> Option<Hierarchy> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(3);
    let (root, place) = (left.next()?, left.next()?);
    let mut right = right.split(' ');
    let kind = right.next().filter(|kind| kind.starts_with("cgroup"))?;
    let options = right.nth(1)?;
    if !place.starts_with("/sys/fs/cgroup") {
        return None;
    }
    let name = place.rsplit('/').next()?.to_owned();
    let controllers: Vec<&str> = match kind {
        "cgroup2" => Vec::new(),
        _ => options.split(',').filter(|option| is_controller(option)).collect(),
    };
    let own = groups.lines().find_map(|line| own_group(line, &controllers));
    let data = controllers.iter().flat_map(|controller| match controller.split_once('=') {
        Some((key, value)) => vec![("none".to_owned(), None), (key.to_owned(), Some(value.to_owned()))],
        None => vec![((*controller).to_owned(), None)],
    });
    Some(Hierarchy {
        data: data.collect(),
        own: own.and_then(|own| shown_at(own, root, place)),
        kind: kind.into(),
        name,
    })
}

fn is_controller(option: &str) -> bool {
    !matches!(option, "rw" | "ro" | "xattr" | "noprefix" | "clone_children" | "cpuset_v2_mode")
        && !option.starts_with("release_agent")
}

/// One line of cgroups(7), /proc/PID/cgroup: `id:controllers:path`.
fn own_group<'a>(line: &'a str, controllers: &[&str]) -> Option<&'a str> {
    let (_, rest) = line.split_once(':')?;
    let (names, path) = rest.split_once(':')?;
    let same = match controllers {
        [] => names.is_empty(),
        some => names.split(',').any(|name| some.contains(&name)),
    };
    same.then_some(path)
}

/// Where a mount whose root is the group `root` shows the group `own`.
///
/// A group outside the cgroup namespace that this process is in is told with `..`, and not found this way.
fn shown_at(own: &str, root: &str, place: &str) -> Option<PathBuf> {
    let below = Path::new(own).strip_prefix(root).ok()?;
    let plain = below.components().all(|part| matches!(part, Component::Normal(_)));
    plain.then(|| Path::new(place).join(below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_both_versions_are_understood() {
        let groups = "3:cpu,cpuacct:/dhow/x\n1:name=systemd:/s\n0::/u\n";
        let line = |place: &str, tail: &str| {
            format!("30 25 0:26 / /sys/fs/cgroup/{place} rw,nosuid shared:9 - {tail}")
        };
        let cpu = hierarchy(&line("cpu,cpuacct", "cgroup cgroup rw,cpu,cpuacct"), groups).unwrap();
        assert_eq!(cpu.own, Some(PathBuf::from("/sys/fs/cgroup/cpu,cpuacct/dhow/x")));
        assert_eq!(cpu.links().collect::<Vec<_>>(), ["cpu", "cpuacct"]);
        let systemd = hierarchy(&line("systemd", "cgroup cgroup rw,xattr,name=systemd"), groups).unwrap();
        assert_eq!(systemd.data, [("none".into(), None), ("name".into(), Some("systemd".into()))]);
        assert_eq!(systemd.own, Some(PathBuf::from("/sys/fs/cgroup/systemd/s")));
        let unified = hierarchy(&line("unified", "cgroup2 cgroup2 rw"), groups).unwrap();
        assert_eq!(unified.own, Some(PathBuf::from("/sys/fs/cgroup/unified/u")));
        assert_eq!(hierarchy(&line("x", "tmpfs tmpfs rw"), groups), None);
    }

    #[test]
    fn an_own_group_is_found_only_where_a_mount_shows_it() {
        assert_eq!(shown_at("/a/b", "/", "/m"), Some("/m/a/b".into()));
        assert_eq!(shown_at("/a/b", "/a", "/m"), Some("/m/b".into()));
        assert_eq!(shown_at("/", "/", "/m"), Some("/m".into()));
        assert_eq!(shown_at("/ab", "/a", "/m"), None);
        assert_eq!(shown_at("/../b", "/", "/m"), None);
        assert_eq!(shown_at("/", "/..", "/m"), None);
    }
}
