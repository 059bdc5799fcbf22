//! The host's cgroup hierarchies, as a container is shown them.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::CWD;
use rustix::mount::OpenTreeFlags;

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
    /// This process's own group, on the host.
    own: PathBuf,
}

impl Hierarchy {
    /// The hierarchy as a detached mount: with its own namespace, whose root is the container's group;
    /// or else the group itself.
    pub(super) fn tree(&self, private: bool) -> io::Result<OwnedFd> {
        if private {
            return Ok(file_system(&self.kind, &self.kind, &self.data)?);
        }
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        Ok(rustix::mount::open_tree(CWD, &self.own, flags)?)
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
    Ok(mounts.lines().filter_map(|line| hierarchy(line, &groups)).collect())
}

/// One line of mountinfo(5): `… root mountpoint options … - type source super-options`.
fn hierarchy(line: &str, groups: &str) -> Option<Hierarchy> {
    let (left, right) = line.split_once(" - ")?;
    let place = left.split(' ').nth(4)?;
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
    let own = groups.lines().find_map(|line| own_group(line, &controllers)).unwrap_or("/");
    let data = controllers.iter().flat_map(|controller| match controller.split_once('=') {
        Some((key, value)) => vec![("none".to_owned(), None), (key.to_owned(), Some(value.to_owned()))],
        None => vec![((*controller).to_owned(), None)],
    });
    Some(Hierarchy {
        data: data.collect(),
        own: PathBuf::from(format!("{place}{own}")),
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
        assert_eq!(cpu.own, PathBuf::from("/sys/fs/cgroup/cpu,cpuacct/dhow/x"));
        assert_eq!(cpu.links().collect::<Vec<_>>(), ["cpu", "cpuacct"]);
        let systemd = hierarchy(&line("systemd", "cgroup cgroup rw,xattr,name=systemd"), groups).unwrap();
        assert_eq!(systemd.data, [("none".into(), None), ("name".into(), Some("systemd".into()))]);
        assert_eq!(systemd.own, PathBuf::from("/sys/fs/cgroup/systemd/s"));
        let unified = hierarchy(&line("unified", "cgroup2 cgroup2 rw"), groups).unwrap();
        assert_eq!(unified.own, PathBuf::from("/sys/fs/cgroup/unified/u"));
        assert_eq!(hierarchy(&line("x", "tmpfs tmpfs rw"), groups), None);
    }
}
