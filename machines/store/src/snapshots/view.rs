//! What `docker cp` sees of a container that runs: its own root mount, with its volumes, its binds and the files made
//! for it laid over, each copied from its mount namespace; and nothing else of what is mounted there.
//!
//! So `/proc`, `/sys`, `/dev` and every tmpfs are the directories of the layers below, as with Docker: a walk through
//! them would end in files that cannot be read, or never.
//!
//! The kernel refuses to remove or rename a mount point in the mount namespace of who asks alone; in another it takes
//! the mount away. All that is mounted over files that can be reached here is therefore a mount point here, too: of what
//! is not shown, the place itself is mounted over itself.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use dhow_model::container::{MountKind, MountPoint};
use dhow_model::ports::ArchiveTarget;
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use super::running::Process;
use super::tree::{named, own_namespace, restricted};
use crate::error::Cause;

/// What is made for every container and laid over its root, if its directory has it.
pub(super) const FILES: [&str; 3] = ["hostname", "hosts", "resolv.conf"];

/// A mount that is shown.
#[derive(Debug, Clone)]
struct Shown {
    place: PathBuf,
    recursive: bool,
    writable: bool,
}

/// Makes the tree, in a mount namespace of its own; answers its root, the namespace, and all mount points.
///
/// The thread that calls this must be given up: it has been in the namespace of the container.
pub(super) fn assemble(
    process: &Process,
    target: &ArchiveTarget,
    base: &Path,
) -> Result<(OwnedFd, OwnedFd, Vec<PathBuf>), Cause> {
    let (root, laid) = copied(process, &shown(target))?;
    let mut points = process.mount_points();
    points.sort_by_key(|point| point.components().count());
    let lay = |root: &OwnedFd| -> io::Result<()> {
        for (mount, tree) in &laid {
            let place = match dhow_sys::path::handle(root, &mount.place) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                place => place.map_err(|error| named(&mount.place, error))?,
            };
            let attributes = (restricted(mount.writable), false);
            dhow_sys::mount::attach(tree, place, &[attributes])
                .map_err(|error| named(&mount.place, error))?;
        }
        points.iter().try_for_each(|point| guard(root, point).map_err(|error| named(point, error)))
    };
    let (root, namespace) = own_namespace(root, base, |root| {
        dhow_sys::mount::set_attributes(root, restricted(true), false, None)?;
        lay(root)
    })?;
    Ok((root, namespace, points))
}

fn shown(target: &ArchiveTarget) -> Vec<Shown> {
    let files = FILES.iter().map(|name| Shown {
        place: Path::new("/etc").join(name),
        recursive: false,
        writable: true,
    });
    let mounts = target.mounts.iter().filter(|mount| mount.kind != MountKind::Tmpfs);
    let mounts = mounts.map(|mount: &MountPoint| Shown {
        place: mount.destination.clone(),
        // What the container mounted in a volume itself is its own affair.
        recursive: mount.kind == MountKind::Bind && !mount.non_recursive,
        writable: mount.writable,
    });
    let mut all: Vec<Shown> = mounts.collect();
    let more: Vec<Shown> = files.filter(|file| !all.iter().any(|mount| mount.place == file.place)).collect();
    all.extend(more);
    all.sort_by_key(|mount| mount.place.components().count());
    all
}

/// Mounts are copied from within their namespace only. Nothing of the container is run there, and all paths are
/// resolved below its root.
fn copied(process: &Process, shown: &[Shown]) -> Result<(OwnedFd, Vec<(Shown, OwnedFd)>), Cause> {
    #[allow(deprecated, reason = "files are not unshared, so no other thread is concerned")]
    rustix::thread::unshare(UnshareFlags::FS)?;
    let own = std::fs::File::open("/proc/thread-self/ns/mnt")?;
    let root = process.root()?;
    let enter = |namespace| move_into_link_name_space(namespace, Some(LinkNameSpaceType::Mount));
    let namespace = process.namespace()?;
    enter(namespace.as_fd())?;
    let mut laid = Vec::new();
    for mount in shown {
        match dhow_sys::path::handle(&root, &mount.place) {
            Ok(place) => laid.push((mount.clone(), copy(&place, mount.recursive)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(named(&mount.place, error).into()),
        }
    }
    let root = copy(&root, false)?;
    enter(own.as_fd())?;
    Ok((root, laid))
}

/// Makes a place that is mounted over in the container a mount point here.
fn guard(root: &OwnedFd, point: &Path) -> io::Result<()> {
    let place = match dhow_sys::path::handle_of_link(root, point) {
        // It is in something that is not shown.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(());
        }
        place => place?,
    };
    if is_mount_root(&place)? {
        return Ok(());
    }
    dhow_sys::mount::attach(copy(&place, false)?, &place, &[])
}

/// False where the kernel does not tell: a mount point that is laid over itself once more is what it was.
fn is_mount_root(place: &OwnedFd) -> io::Result<bool> {
    use rustix::fs::{AtFlags, StatxAttributes, StatxFlags, statx};
    match statx(place, "", AtFlags::EMPTY_PATH, StatxFlags::empty()) {
        Err(Errno::NOSYS) => Ok(false),
        found => Ok(found?.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)),
    }
}

fn copy(place: &OwnedFd, recursive: bool) -> io::Result<OwnedFd> {
    let clone =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let recursive = if recursive { OpenTreeFlags::AT_RECURSIVE } else { OpenTreeFlags::empty() };
    Ok(open_tree(place, "", clone | recursive)?)
}
