//! The tree of a container as `docker cp` sees it: its layers, with its binds and volumes and the files made for it
//! laid over them; while it runs by its own mounts (see [`view`]).

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use dhow_model::container::{MountKind, MountPoint};
use dhow_model::ports::{ArchiveTarget, MountedTree, UserSpace};
use dhow_model::{Error, Result};
use dhow_sys::mount::{Attributes, attribute};
use rustix::mount::{MountPropagationFlags, MoveMountFlags, OpenTreeFlags, move_mount, open_tree};
use rustix::thread::UnshareFlags;

use super::mounted::Access;
use super::running::Process;
use super::turns::Turn;
use super::view;
use crate::Core;
use crate::error::{Cause, Context as _};

/// A container's root directory, and what keeps the mounts below it alive.
#[derive(Debug)]
pub(super) struct ContainerTree<'a> {
    /// Closed before the turn is given back.
    pub(super) root: OwnedFd,
    /// What must be neither removed nor renamed, in no order, absolute.
    pub(super) mount_points: Vec<PathBuf>,
    /// The mount namespace that holds what was laid over; it is gone with its last handle.
    _namespace: Option<OwnedFd>,
    _turn: Option<Turn<'a>>,
}

impl Core {
    pub(super) fn tree(&self, target: &ArchiveTarget, access: Access) -> Result<ContainerTree<'_>> {
        if let Some(pid) = target.pid {
            return self.running_tree(target, pid);
        }
        let laid = self.laid(target)?;
        let alone = laid.is_empty();
        let turn = (!alone || access == Access::Write).then(|| self.turns.wait(&target.id));
        if alone {
            let root = self.mount(&target.id, access)?;
            return Ok(ContainerTree { root, mount_points: Vec::new(), _namespace: None, _turn: turn });
        }
        let mount_points = laid.iter().map(|(mount, _)| mount.destination.clone()).collect();
        // Writable, so that places to mount on can be made, as the container's start does.
        let root = self.mount(&target.id, Access::Write)?;
        let place = self.layout.base();
        let (seen_by, read_only) = (target.seen_by.clone(), target.read_only);
        let laying = in_a_thread(move || -> std::result::Result<_, Cause> {
            let laid = lay_over(root, &place, laid, seen_by.as_ref())?;
            // A link of a volume must not lead past it; the places to mount on are made now.
            let sealed = Attributes { set: attribute::RDONLY, ..Attributes::default() };
            if read_only {
                dhow_sys::mount::set_attributes(&laid.0, sealed, false, None)?;
            }
            Ok(laid)
        });
        let (root, namespace) =
            laying.context(|| format!("cannot mount the volumes of container {}", target.id.short()))?;
        Ok(ContainerTree { root, mount_points, _namespace: Some(namespace), _turn: turn })
    }

    fn running_tree(&self, target: &ArchiveTarget, pid: i32) -> Result<ContainerTree<'_>> {
        let process = Process::find(pid, &self.layout.container(&target.id).join("rw"))?;
        let (place, seen) = (self.layout.base(), target.clone());
        let assembled = in_a_thread(move || view::assemble(&process, &seen, &place));
        let (root, namespace, mount_points) =
            assembled.context(|| format!("cannot look into container {}", target.id.short()))?;
        Ok(ContainerTree { root, mount_points, _namespace: Some(namespace), _turn: None })
    }

    /// What is laid over the layers, and with it the mounts of images, which have no path.
    fn laid(&self, target: &ArchiveTarget) -> Result<Vec<(MountPoint, Option<MountedTree>)>> {
        let laid = target.mounts.iter().filter(|mount| mount.kind != MountKind::Tmpfs);
        let with_tree = |mount: &MountPoint| {
            let tree =
                mount.image.as_ref().map(|image| self.image_tree(image, mount.subpath.as_deref(), None));
            Ok((mount.clone(), tree.transpose()?))
        };
        let mut laid = laid.map(with_tree).collect::<Result<Vec<_>>>()?;
        let files = self.own_files(target).into_iter();
        laid.extend(files.filter(|file| !is_taken(target, &file.destination)).map(|file| (file, None)));
        Ok(laid)
    }

    /// The files that its last start made for it.
    fn own_files(&self, target: &ArchiveTarget) -> Vec<MountPoint> {
        let directory = self.layout.container(&target.id);
        let files = view::FILES.iter().map(|name| (directory.join(name), Path::new("/etc").join(name)));
        let made = files.filter(|(source, _)| source.is_file());
        made.map(|(source, destination)| own_file(source, destination)).collect()
    }
}

fn is_taken(target: &ArchiveTarget, destination: &Path) -> bool {
    target.mounts.iter().any(|mount| mount.destination == destination)
}

fn own_file(source: PathBuf, destination: PathBuf) -> MountPoint {
    // Of the engine's own, whose owners nobody maps.
    MountPoint { source, non_recursive: true, ..MountPoint::new(MountKind::Volume, destination) }
}

/// Only a thread can leave the namespace of its process, and this one must not come back.
fn in_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> std::result::Result<T, Cause> + Send + 'static,
) -> std::result::Result<T, Cause> {
    let thread = std::thread::Builder::new().name("store-mounts".into());
    thread.spawn(work)?.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Attaches the tree in a mount namespace of its own and mounts the others below it.
fn lay_over(
    root: OwnedFd,
    place: &Path,
    mut mounts: Vec<(MountPoint, Option<MountedTree>)>,
    seen_by: Option<&UserSpace>,
) -> std::result::Result<(OwnedFd, OwnedFd), Cause> {
    mounts.sort_by_key(|(mount, _)| mount.destination.components().count());
    own_namespace(root, place, |root| {
        mounts.iter().try_for_each(|(mount, tree)| {
            let done = match tree.as_ref().and_then(MountedTree::handle) {
                Some(tree) => lay(root, mount, tree),
                None => bind(root, mount, seen_by),
            };
            done.map_err(|error| named(&mount.destination, error))
        })
    })
}

/// Attaches the tree in a mount namespace of its own, in which `lay` mounts more below it.
///
/// The thread's end does not end the namespace: the answered handle holds it.
pub(super) fn own_namespace(
    root: OwnedFd,
    place: &Path,
    lay: impl FnOnce(&OwnedFd) -> std::io::Result<()>,
) -> std::result::Result<(OwnedFd, OwnedFd), Cause> {
    #[allow(deprecated, reason = "files are not unshared, so no other thread is concerned")]
    rustix::thread::unshare(UnshareFlags::NEWNS)?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private)?;
    move_mount(&root, "", rustix::fs::CWD, place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    lay(&root)?;
    let namespace = std::fs::File::open("/proc/thread-self/ns/mnt")?;
    Ok((root, namespace.into()))
}

fn bind(root: &OwnedFd, mount: &MountPoint, seen_by: Option<&UserSpace>) -> std::io::Result<()> {
    let source = rustix::fs::open(
        &mount.source,
        rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    let source = match &mount.subpath {
        // Whoever writes to the volume may make links in it.
        Some(subpath) => dhow_sys::path::handle(&source, subpath)?,
        None => source,
    };
    let clone =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let recursive = if mount.non_recursive { OpenTreeFlags::empty() } else { OpenTreeFlags::AT_RECURSIVE };
    let tree = open_tree(&source, "", clone | recursive)?;
    if let Some(user) = seen_by.filter(|_| mount.kind == MountKind::Bind && mount.id_map.is_none()) {
        let seen = Attributes { set: attribute::IDMAP, ..Attributes::default() };
        // Of a file system that cannot be seen so, the owners are those of the host.
        let _ =
            dhow_sys::mount::set_attributes(&tree, seen, !mount.non_recursive, Some(user.handle().as_fd()));
    }
    lay(root, mount, tree.as_fd())
}

fn lay(root: &OwnedFd, mount: &MountPoint, tree: BorrowedFd<'_>) -> std::io::Result<()> {
    let target = target(root, mount, dhow_sys::path::is_directory(tree)?)?;
    dhow_sys::mount::attach(tree, &target, &[(restricted(mount.writable), false)])
}

/// Nothing is executed through our mounts, and no device opened.
pub(super) fn restricted(writable: bool) -> Attributes {
    let read_only = if writable { 0 } else { attribute::RDONLY };
    let set = attribute::NODEV | attribute::NOSUID | attribute::NOEXEC | read_only;
    Attributes { set, ..Attributes::default() }
}

fn target(root: &OwnedFd, mount: &MountPoint, directory: bool) -> std::io::Result<OwnedFd> {
    let mode = rustix::fs::Mode::from_raw_mode(0o755);
    if directory {
        dhow_sys::path::make_directories(root, &mount.destination, mode)
    } else {
        dhow_sys::path::make_file(root, &mount.destination, mode)
    }
}

pub(super) fn named(destination: &Path, error: std::io::Error) -> std::io::Error {
    std::io::Error::new(error.kind(), format!("{}: {error}", destination.display()))
}

fn mount_of<'a>(target: &'a ArchiveTarget, path: &Path) -> Option<&'a MountPoint> {
    // A tmpfs is not seen.
    let there = |mount: &&MountPoint| mount.kind != MountKind::Tmpfs;
    let above = target.mounts.iter().filter(there).filter(|mount| path.starts_with(&mount.destination));
    above.max_by_key(|mount| mount.destination.components().count())
}

/// Whether a path is in a directory of the host that has its own owners.
pub(super) fn is_bind(target: &ArchiveTarget, path: &Path) -> bool {
    mount_of(target, path).is_some_and(|mount| mount.kind == MountKind::Bind && mount.id_map.is_none())
}

/// Whether the path may be written: the rules are Docker's, and so are the words.
pub(super) fn check_writable(target: &ArchiveTarget, path: &Path) -> Result<()> {
    let forbidden = |what: &str| Err(Error::new(dhow_model::Kind::Forbidden, what));
    match mount_of(target, path) {
        Some(mount) if !mount.writable => forbidden("mounted volume is marked read-only"),
        None if target.read_only => forbidden("container rootfs is marked read-only"),
        _ => Ok(()),
    }
}
