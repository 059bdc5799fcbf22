//! Mounts below the root, by handle.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use dhow_model::ports::MountedTree;
use dhow_oci::runtime::NamespaceKind;
use dhow_sys::mount::{Attributes, attach, attribute, mount_here, set_attributes};
use dhow_sys::path;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags};
use rustix::thread::LinkNameSpaceType;

use super::super::error::{Context as _, Error, Result};
use super::super::plan::mounts::IdMap;
use super::super::plan::{MountPlan, Plan, Source};
use super::super::spawn::lines;

/// What all mounts of a container need.
pub(super) struct Tools<'a> {
    root: BorrowedFd<'a>,
    plan: &'a Plan,
}

/// Files of /proc that may be replaced: they show the container its own figures.
const REPLACEABLE: [&str; 10] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/net/dev",
];
/// What is mounted with the destination as working directory: a device would be looked for there.
const WITHOUT_DEVICE: [&str; 4] = ["proc", "tmpfs", "devpts", "mqueue"];
const PROC: &str = "/proc";
const PROCFS: i64 = 0x9fa0;
const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o755);

impl<'a> Tools<'a> {
    pub(super) fn new(root: BorrowedFd<'a>, plan: &'a Plan) -> Result<Self> {
        Ok(Self { root, plan })
    }

    /// Mounts one, with its attributes set before anybody can see it.
    pub(super) fn mount(&self, mount: &MountPlan) -> Result<()> {
        let name = mount.destination.display();
        match &mount.source {
            Source::Bind { path, .. } => {
                let tree = bound(Some(self.plan), mount)?;
                self.place_bound(mount, path, tree.as_fd())
            }
            Source::Held(number) => {
                let held = self.plan.held.get(*number);
                let (tree, path) =
                    held.ok_or_else(|| Error::configuration(format!("no mount is held for {name}")))?;
                self.place_bound(mount, path, tree.as_fd())
            }
            Source::Tree => {
                let tree = self.plan.trees.get(&mount.destination).and_then(MountedTree::handle);
                let tree = tree.ok_or_else(|| Error::configuration(format!("no mount came for {name}")))?;
                let directory = path::is_directory(tree).doing(|| format!("look at the mount {name}"))?;
                self.place(mount, tree, directory)
            }
            Source::FileSystem { kind, device, data } => {
                if is_plain(mount) && self.mount_at_once(mount, kind, device, data)? {
                    return Ok(());
                }
                let tree = file_system(kind, device, data, MountAttrFlags::empty())
                    .doing(|| format!("mount {kind} for {name}"))?;
                self.place(mount, tree.as_fd(), true)
            }
            Source::Cgroup => self.cgroups(mount),
        }
    }

    /// The quicker way (decision 18), where mount(2) can say what is asked for; answers whether it could.
    fn mount_at_once(
        &self,
        mount: &MountPlan,
        kind: &str,
        device: &str,
        data: &[(String, Option<String>)],
    ) -> Result<bool> {
        let destination = self.destination(mount, true)?;
        let what = || format!("mount {kind} for {}", mount.destination.display());
        rustix::process::fchdir(&destination).doing(what)?;
        mount_here(kind, device, data, mount.attributes).doing(what)
    }

    fn place_bound(&self, mount: &MountPlan, source: &Path, tree: BorrowedFd<'_>) -> Result<()> {
        let directory = path::is_directory(tree).doing(|| format!("look at {}", source.display()))?;
        self.place(mount, tree, directory)
    }

    /// Sets the attributes of a detached mount and attaches it to its destination.
    fn place(&self, mount: &MountPlan, tree: BorrowedFd<'_>, directory: bool) -> Result<()> {
        let name = mount.destination.display();
        if mount.destination == Path::new(PROC)
            && rustix::fs::fstatfs(tree).doing(|| format!("look at the mount {name}"))?.f_type != PROCFS
        {
            // What the kernel is told there by programs would be told to a file.
            return Err(Error::configuration(format!(
                "{PROC} cannot be mounted because it is not of type proc"
            )));
        }
        let destination = self.destination(mount, directory)?;
        if mount.copy_up {
            super::copy::tree(destination.as_fd(), tree).doing(|| format!("copy {name} into its tmpfs"))?;
        }
        attach(tree, &destination, &[(mount.attributes, false), (mount.recursive, true)])
            .doing(|| format!("attach the mount {name} with its options"))?;
        for propagation in &mount.propagation {
            let recursive = propagation & libc::MS_REC != 0;
            let change = Attributes { propagation: propagation & !libc::MS_REC, ..Attributes::default() };
            set_attributes(tree, change, recursive, None)
                .doing(|| format!("set the propagation of the mount {name}"))?;
        }
        Ok(())
    }

    /// A handle on the destination, made where it is missing, and allowed to be mounted on.
    fn destination(&self, mount: &MountPlan, directory: bool) -> Result<OwnedFd> {
        let name = mount.destination.display();
        let what = || match &mount.source {
            Source::Bind { path, .. } => error_mounting(path, mount),
            Source::FileSystem { .. } | Source::Tree | Source::Held(_) | Source::Cgroup => {
                format!("make the mount point {name}")
            }
        };
        if mount.is("proc") || mount.is("sysfs") {
            self.refuse_link(&mount.destination)?;
        }
        let made = if directory {
            path::make_directories(self.root, &mount.destination, DIRECTORY_MODE)
        } else {
            path::make_file(self.root, &mount.destination, DIRECTORY_MODE)
        };
        let handle = made.doing(what)?;
        if !directory && path::is_directory(&handle).doing(what)? {
            return Err(std::io::Error::from_raw_os_error(libc::ENOTDIR)).doing(what);
        }
        let on_proc = rustix::fs::fstatfs(&handle).doing(what)?.f_type == PROCFS;
        let allowed = mount.is("proc") || REPLACEABLE.iter().any(|file| Path::new(file) == mount.destination);
        if on_proc && !allowed {
            // Laid over /proc, a file of the container's would get what is meant for the kernel
            // (CVE-2019-16884).
            return Err(Error::configuration(format!("{name} cannot be mounted because it is inside /proc")));
        }
        Ok(handle)
    }

    /// A link in place of /proc would have the kernel's files mounted where the image wants them
    /// (CVE-2019-19921).
    fn refuse_link(&self, destination: &Path) -> Result<()> {
        let Ok(entry) = path::handle_of_link(self.root, destination) else { return Ok(()) };
        match path::is_directory(&entry) {
            Ok(true) => Ok(()),
            _ => Err(Error::configuration(format!(
                "{} must be mounted on ordinary directory",
                destination.display()
            ))),
        }
    }

    /// The container's cgroups: one mount for version 2, a tmpfs with one for each hierarchy else.
    fn cgroups(&self, mount: &MountPlan) -> Result<()> {
        let hierarchies = super::cgroups::hierarchies().doing(|| "look for the hierarchies of cgroups")?;
        let [only] = hierarchies.as_slice() else {
            return self.cgroups_v1(mount, &hierarchies);
        };
        let tree = only.tree().doing(|| format!("mount {}", only.name))?;
        self.place(mount, tree.as_fd(), true)
    }

    fn cgroups_v1(&self, mount: &MountPlan, all: &[super::cgroups::Hierarchy]) -> Result<()> {
        let data = [("mode".to_owned(), Some("755".to_owned()))];
        let tmpfs = file_system("tmpfs", "tmpfs", &data, MountAttrFlags::empty())
            .doing(|| "mount a tmpfs for the cgroups")?;
        // It is made read-only, where it is, when everything is in it.
        let writable = Attributes { set: mount.attributes.set & !attribute::RDONLY, ..mount.attributes };
        self.place(&MountPlan { attributes: writable, ..mount.clone() }, tmpfs.as_fd(), true)?;
        for hierarchy in all {
            let Ok(tree) = hierarchy.tree() else { continue };
            // The tmpfs is new, and nobody else's: a name in it needs no walk.
            let name = hierarchy.name.as_str();
            let what = || format!("mount the hierarchy {name}");
            rustix::fs::mkdirat(&tmpfs, name, DIRECTORY_MODE).doing(what)?;
            let own = Attributes { propagation: libc::MS_PRIVATE, ..mount.attributes };
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let place = rustix::fs::openat(&tmpfs, name, flags, Mode::empty()).doing(what)?;
            attach(&tree, &place, &[(own, false)]).doing(what)?;
            for link in hierarchy.links() {
                rustix::fs::symlinkat(hierarchy.name.as_str(), &tmpfs, link)
                    .doing(|| format!("link {link}"))?;
            }
        }
        let done = set_attributes(&tmpfs, mount.attributes, false, None);
        done.doing(|| "make the cgroups read-only")
    }
}

/// What a bind names, as a detached mount with its owners mapped where that was asked for.
pub(in super::super) fn bound(plan: Option<&Plan>, mount: &MountPlan) -> Result<OwnedFd> {
    let Source::Bind { path, below, recursive } = &mount.source else {
        return Err(Error::configuration(format!("{} is no bind", mount.destination.display())));
    };
    let tree = match (below, of_process(path)) {
        (Some(below), _) => {
            let what = || format!("cannot access path {}/{}", path.display(), below.display());
            Ok(clone_below(path, below, *recursive).doing(what)?)
        }
        (None, Some((pid, below))) => clone_of_process(pid, below, *recursive),
        (None, None) => clone_tree(path, *recursive).map_err(Into::into),
    };
    let tree = tree.doing(|| error_mounting(path, mount))?;
    if let Some(map) = &mount.id_map {
        map_ids(plan, mount, &tree, map)?;
    }
    Ok(tree)
}

/// Maps the owners of a detached mount, by a user namespace made for it or the container's own.
fn map_ids(plan: Option<&Plan>, mount: &MountPlan, tree: &OwnedFd, map: &IdMap) -> Result<()> {
    let what = || format!("map the owners of the mount {}", mount.destination.display());
    let (users, groups) = match &map.mappings {
        Some((users, groups)) => (lines(users), lines(groups)),
        None => match plan.filter(|plan| plan.namespaces.is_private(NamespaceKind::User)) {
            Some(plan) => (lines(&plan.namespaces.uid_mappings), lines(&plan.namespaces.gid_mappings)),
            None => return Err(Error::configuration("idmap without mappings needs a user namespace")),
        },
    };
    let userns = super::userns::with_mappings(&users, &groups).doing(what)?;
    let attributes = Attributes { set: attribute::IDMAP, ..Attributes::default() };
    match set_attributes(tree, attributes, map.recursive, Some(userns.as_fd())) {
        // NFS, CIFS, and what the kernel makes by itself.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            Err(error).doing(|| format!("{}: its file system maps no owners", what()))
        }
        done => done.doing(what),
    }
}

/// runc's words.
fn error_mounting(source: &Path, mount: &MountPlan) -> String {
    format!("error mounting {:?} to rootfs at {:?}", source.display(), mount.destination.display())
}

/// Whether nothing has to be done with a new mount before it is attached, or after.
fn is_plain(mount: &MountPlan) -> bool {
    let in_its_place = mount.is("proc") || mount.destination != Path::new(PROC);
    in_its_place
        && WITHOUT_DEVICE.iter().any(|kind| mount.is(kind))
        && !mount.copy_up
        && mount.id_map.is_none()
        && mount.propagation.is_empty()
        && mount.recursive == Attributes::default()
}

/// A new mount of a file system, attached nowhere.
pub(in super::super) fn file_system(
    kind: &str,
    device: &str,
    data: &[(String, Option<String>)],
    attributes: MountAttrFlags,
) -> rustix::io::Result<OwnedFd> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    if !device.is_empty() {
        rustix::mount::fsconfig_set_string(&context, "source", device)?;
    }
    for (key, value) in data {
        match value {
            Some(value) => rustix::mount::fsconfig_set_string(&context, key.as_str(), value.as_str())?,
            None => rustix::mount::fsconfig_set_flag(&context, key.as_str())?,
        }
    }
    rustix::mount::fsconfig_create(&context)?;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// A copy of what is mounted at a path of the host, attached nowhere.
fn clone_tree(source: &Path, recursive: bool) -> rustix::io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    rustix::mount::open_tree(CWD, source, flags)
}

/// `/proc/PID/root/BELOW`: what a process sees at a path.
pub fn of_process(source: &Path) -> Option<(i32, &Path)> {
    let (pid, below) = source.to_str()?.strip_prefix("/proc/")?.split_once("/root/")?;
    Some((pid.parse().ok()?, Path::new(below)))
}

/// The same of a path in the mount namespace of a process: only there the kernel lets it be copied. Links
/// on the way lead nowhere but there. To be called while this process has one thread.
///
/// # Errors
/// The kernel's.
pub fn clone_of_process(pid: i32, below: &Path, recursive: bool) -> std::io::Result<OwnedFd> {
    let open = |path: &str| rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let (own, theirs) = (open("/proc/self/ns/mnt")?, open(&format!("/proc/{pid}/ns/mnt"))?);
    let enter = |space: &OwnedFd| {
        rustix::thread::move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Mount))
    };
    enter(&theirs)?;
    let tree = clone_tree(&Path::new("/").join(below), recursive);
    enter(&own)?;
    Ok(tree?)
}

/// The same of what is at `below` in a directory; its links lead nowhere outside, for whoever writes in it
/// may have put them there (CVE-2024-23651 is of the kind).
fn clone_below(source: &Path, below: &Path, recursive: bool) -> std::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let source = rustix::fs::open(source, flags, Mode::empty())?;
    let handle = path::handle(&source, below)?;
    Ok(clone_handle(handle.as_fd(), recursive)?)
}

/// A copy of the mount that a handle is in, beginning there.
pub(super) fn clone_handle(handle: BorrowedFd<'_>, recursive: bool) -> rustix::io::Result<OwnedFd> {
    let mut flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    rustix::mount::open_tree(handle, "", flags)
}

/// Attaches a mount over what a handle is on.
pub(super) fn cover(handle: BorrowedFd<'_>, tree: &OwnedFd) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(tree, "", handle, "", flags)
}
