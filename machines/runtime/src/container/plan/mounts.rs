//! Mounts: options as people write them, to what the kernel takes.

use std::path::{Component, Path, PathBuf};

use dhow_oci::runtime::{IdMapping, Mount};
use dhow_sys::mount::{Attributes, attribute};

use super::super::error::{Error, Result};

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPlan {
    /// In the container: absolute, without `..`.
    pub destination: PathBuf,
    /// What is mounted.
    pub source: Source,
    /// Attributes of the mount itself.
    pub attributes: Attributes,
    /// Attributes of it and all mounts below (`rro` and the like).
    pub recursive: Attributes,
    /// `MS_SHARED` and the like, with `MS_REC`, in order; 0 flags are left out.
    pub propagation: Vec<u64>,
    /// A tmpfs begins with what the root file system has there.
    pub copy_up: bool,
    /// Owners are mapped.
    pub id_map: Option<IdMap>,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A path of the host.
    Bind {
        /// The path.
        path: PathBuf,
        /// A path in it that is mounted instead: `X-mount.subdir=` of mount(8).
        below: Option<PathBuf>,
        /// With the mounts below it.
        recursive: bool,
    },
    /// One of the plan's own [trees](super::Plan::trees).
    Tree,
    /// One of the plan's [held](super::Plan::held) mounts.
    Held(usize),
    /// A file system.
    FileSystem {
        /// `tmpfs`, `proc`, …
        kind: String,
        /// The device, or a name.
        device: String,
        /// `key=value` and flags, as the file system takes them.
        data: Vec<(String, Option<String>)>,
    },
    /// The container's cgroups, whatever version the host has.
    Cgroup,
}

/// A mount whose owners are mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMap {
    /// The mounts below too.
    pub recursive: bool,
    /// Its own mapping; nothing is the container's.
    pub mappings: Option<(Vec<IdMapping>, Vec<IdMapping>)>,
}

impl MountPlan {
    /// Device nodes in it cannot be opened. Those of /dev are the configuration's own, and those of
    /// devpts are terminals.
    pub(super) fn close_device_nodes(&mut self) {
        let own = match &self.source {
            Source::FileSystem { kind, .. } => kind == "devpts" || self.destination == Path::new("/dev"),
            Source::Bind { .. } | Source::Tree | Source::Held(_) | Source::Cgroup => false,
        };
        if own {
            return;
        }
        for attributes in [&mut self.attributes, &mut self.recursive] {
            attributes.clear &= !attribute::NODEV;
        }
        let all = matches!(self.source, Source::Bind { recursive: true, .. });
        let attributes = if all { &mut self.recursive } else { &mut self.attributes };
        attributes.set |= attribute::NODEV;
    }

    /// Whether a path of the host is mounted.
    #[must_use]
    pub const fn is_bind(&self) -> bool {
        matches!(self.source, Source::Bind { .. })
    }

    /// Whether a file system of this kind is mounted.
    #[must_use]
    pub fn is(&self, wanted: &str) -> bool {
        matches!(&self.source, Source::FileSystem { kind, .. } if kind == wanted)
    }
}

/// Options that set or clear attributes of one mount; with `r` in front, of all mounts below too.
const ATTRIBUTES: &[(&str, u64, u64)] = &[
    ("ro", attribute::RDONLY, 0),
    ("rw", 0, attribute::RDONLY),
    ("nosuid", attribute::NOSUID, 0),
    ("suid", 0, attribute::NOSUID),
    ("nodev", attribute::NODEV, 0),
    ("dev", 0, attribute::NODEV),
    ("noexec", attribute::NOEXEC, 0),
    ("exec", 0, attribute::NOEXEC),
    ("noatime", attribute::NOATIME, attribute::ATIME),
    ("atime", 0, attribute::ATIME),
    ("relatime", attribute::RELATIME, attribute::ATIME),
    ("norelatime", 0, attribute::ATIME),
    ("strictatime", attribute::STRICTATIME, attribute::ATIME),
    ("nostrictatime", 0, attribute::ATIME),
    ("nodiratime", attribute::NODIRATIME, 0),
    ("diratime", 0, attribute::NODIRATIME),
    ("nosymfollow", attribute::NOSYMFOLLOW, 0),
    ("symfollow", 0, attribute::NOSYMFOLLOW),
];

/// The beginning of the option that mounts a part of what a bind names.
const SUBDIRECTORY: &str = "X-mount.subdir=";

const PROPAGATION: &[(&str, u64)] = &[
    ("shared", libc::MS_SHARED),
    ("slave", libc::MS_SLAVE),
    ("private", libc::MS_PRIVATE),
    ("unbindable", libc::MS_UNBINDABLE),
];

/// Options of the file system that mount(2) knew as flags.
const SUPERBLOCK_FLAGS: &[&str] = &["sync", "dirsync", "mand", "lazytime", "silent"];
/// Options that turn those off, or say what is so anyway.
const WITHOUT_EFFECT: &[&str] =
    &["async", "nomand", "nolazytime", "loud", "defaults", "iversion", "noiversion"];

/// Every option that is understood and not handed to the file system.
#[must_use]
pub fn mount_options() -> Vec<String> {
    let plain = ATTRIBUTES.iter().map(|(name, ..)| *name).chain(PROPAGATION.iter().map(|(name, _)| *name));
    let recursive = plain.clone().map(|name| format!("r{name}"));
    let others = ["bind", "rbind", "remount", "tmpcopyup", "idmap", "ridmap"];
    let others = others.iter().chain(SUPERBLOCK_FLAGS).chain(WITHOUT_EFFECT).copied();
    let mut names: Vec<String> = plain.chain(others).map(str::to_owned).chain(recursive).collect();
    names.sort();
    names
}

/// Works out one mount; `label` is the SELinux label of file systems that are made for the container.
pub(in super::super) fn plan(mount: &Mount, label: &str) -> Result<MountPlan> {
    let bind = mount.options.iter().any(|o| o == "bind" || o == "rbind") || mount.kind == "bind";
    let mut plan = MountPlan {
        destination: destination(mount)?,
        source: source(mount, bind)?,
        attributes: Attributes::default(),
        recursive: Attributes::default(),
        propagation: Vec::new(),
        copy_up: false,
        id_map: None,
    };
    for option in &mount.options {
        apply(&mut plan, option)?;
    }
    map_ids(&mut plan, mount)?;
    if !label.is_empty() && !["proc", "sysfs", "mqueue"].iter().any(|kind| plan.is(kind)) {
        add_data(&mut plan, &format!("context={label}"));
    }
    if plan.copy_up && !plan.is("tmpfs") {
        return Err(Error::configuration("tmpcopyup is for a tmpfs only"));
    }
    Ok(plan)
}

fn apply(plan: &mut MountPlan, option: &str) -> Result<()> {
    let plain = option.strip_prefix('r').filter(|_| !is_attribute(option)).unwrap_or(option);
    let recursive = plain.len() != option.len();
    if let Some((_, set, clear)) = ATTRIBUTES.iter().find(|(name, ..)| *name == plain) {
        let target = if recursive { &mut plan.recursive } else { &mut plan.attributes };
        target.set = target.set & !clear | set;
        // Of what was set the kernel is not asked to clear anything, but for the access-time values.
        target.clear = target.clear & !set | clear;
        if *clear & attribute::ATIME == 0 {
            target.clear &= !target.set | attribute::ATIME;
        }
        return Ok(());
    }
    if let Some((_, flag)) = PROPAGATION.iter().find(|(name, _)| *name == plain) {
        plan.propagation.push(flag | if recursive { libc::MS_REC } else { 0 });
        return Ok(());
    }
    match option {
        "bind" | "rbind" | "remount" => {}
        "tmpcopyup" => plan.copy_up = true,
        "idmap" | "ridmap" => plan.id_map = Some(IdMap { recursive: option == "ridmap", mappings: None }),
        _ if WITHOUT_EFFECT.contains(&option) => {}
        _ => add_data(plan, option),
    }
    Ok(())
}

fn is_attribute(option: &str) -> bool {
    ATTRIBUTES.iter().any(|(name, ..)| *name == option)
}

/// What is no option of ours is the file system's; a bind mount has none, and ignores it as mount(2) does.
fn add_data(plan: &mut MountPlan, option: &str) {
    let Source::FileSystem { data, .. } = &mut plan.source else { return };
    match option.split_once('=') {
        Some((key, value)) if !SUPERBLOCK_FLAGS.contains(&key) => data.push((key.into(), Some(value.into()))),
        _ => data.push((option.into(), None)),
    }
}

fn source(mount: &Mount, bind: bool) -> Result<Source> {
    if bind {
        let recursive = mount.options.iter().any(|o| o == "rbind");
        let path = PathBuf::from(&mount.source);
        if mount.source.is_empty() {
            return Err(Error::configuration(format!("mount of {}: no source", mount.destination.display())));
        }
        let below = mount.options.iter().find_map(|option| option.strip_prefix(SUBDIRECTORY));
        return Ok(Source::Bind { path, below: below.map(PathBuf::from), recursive });
    }
    match mount.kind.as_str() {
        "" => Err(Error::configuration(format!("mount of {}: no type", mount.destination.display()))),
        "cgroup" | "cgroup2" => Ok(Source::Cgroup),
        kind => Ok(Source::FileSystem { kind: kind.into(), device: mount.source.clone(), data: Vec::new() }),
    }
}

/// The specification asks for absolute destinations; older configurations have relative ones, which
/// are taken from the root.
fn destination(mount: &Mount) -> Result<PathBuf> {
    let mut clean = PathBuf::from("/");
    for component in mount.destination.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            _ => {}
        }
    }
    if mount.destination.as_os_str().is_empty() {
        return Err(Error::configuration("a mount has no destination"));
    }
    Ok(clean)
}

fn map_ids(plan: &mut MountPlan, mount: &Mount) -> Result<()> {
    let given = !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty();
    if !given {
        return Ok(());
    }
    if !plan.is_bind() {
        return Err(Error::configuration("id mappings are for bind mounts only"));
    }
    if mount.uid_mappings.is_empty() || mount.gid_mappings.is_empty() {
        return Err(Error::configuration("a mount with id mappings needs both uidMappings and gidMappings"));
    }
    let recursive = plan.id_map.as_ref().is_some_and(|map| map.recursive);
    let mappings = Some((mount.uid_mappings.clone(), mount.gid_mappings.clone()));
    plan.id_map = Some(IdMap { recursive, mappings });
    Ok(())
}

/// `rootfsPropagation` as mount(2) flags; 0 for none.
pub(super) fn propagation_of(text: &str) -> Result<u64> {
    if text.is_empty() {
        return Ok(0);
    }
    let plain = text.strip_prefix('r').unwrap_or(text);
    let found = PROPAGATION.iter().find(|(name, _)| *name == plain);
    let (_, flag) =
        found.ok_or_else(|| Error::configuration(format!("rootfsPropagation={text} is not supported")))?;
    Ok(flag | if plain.len() == text.len() { 0 } else { libc::MS_REC })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(kind: &str, options: &[&str]) -> MountPlan {
        let options = options.iter().map(|o| (*o).to_owned()).collect();
        plan(
            &Mount {
                destination: "/x".into(),
                kind: kind.into(),
                source: "/s".into(),
                options,
                ..Mount::default()
            },
            "",
        )
        .unwrap()
    }

    #[test]
    fn options_become_attributes_data_and_propagation() {
        let tmpfs =
            planned("tmpfs", &["nosuid", "strictatime", "mode=755", "size=64k", "rprivate", "ro", "rw"]);
        assert_eq!(tmpfs.attributes.set, attribute::NOSUID | attribute::STRICTATIME);
        assert_eq!(tmpfs.attributes.clear, attribute::RDONLY | attribute::ATIME);
        assert_eq!(tmpfs.propagation, [libc::MS_PRIVATE | libc::MS_REC]);
        let Source::FileSystem { data, .. } = &tmpfs.source else { panic!("{tmpfs:?}") };
        assert_eq!(data[0], ("mode".into(), Some("755".into())));
        let bind = planned("", &["rbind", "rro", "rnosuid", "ridmap"]);
        assert_eq!(bind.source, Source::Bind { path: "/s".into(), below: None, recursive: true });
        assert_eq!(bind.recursive.set, attribute::RDONLY | attribute::NOSUID);
        assert!(bind.id_map.unwrap().recursive);
    }

    #[test]
    fn an_option_that_begins_with_r_is_not_taken_for_a_recursive_one() {
        assert_eq!(planned("bind", &["relatime"]).recursive, Attributes::default());
        assert_eq!(planned("bind", &["rw"]).attributes.clear, attribute::RDONLY);
        assert_eq!(planned("bind", &["rrw"]).recursive.clear, attribute::RDONLY);
    }

    #[test]
    fn a_label_is_for_what_is_made_and_can_have_one() {
        let label = "system_u:object_r:container_file_t:s0:c1,c2";
        for (kind, expected) in [("tmpfs", 1), ("devpts", 1), ("proc", 0), ("sysfs", 0)] {
            let mount = Mount { destination: "/x".into(), kind: kind.into(), ..Mount::default() };
            let Source::FileSystem { data, .. } = plan(&mount, label).unwrap().source else {
                panic!("{kind}")
            };
            assert_eq!(data.len(), expected, "{kind}: {data:?}");
            assert!(data.iter().all(|(key, value)| key == "context" && value.as_deref() == Some(label)));
        }
    }

    #[test]
    fn a_destination_cannot_climb() {
        let mount =
            Mount { destination: "/a/../../etc/./x".into(), kind: "tmpfs".into(), ..Mount::default() };
        assert_eq!(plan(&mount, "").unwrap().destination, PathBuf::from("/etc/x"));
    }
}
