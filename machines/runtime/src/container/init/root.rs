//! The root file system: mounted, entered, and everything else left behind.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use dhow_model::ports::RootfsPlan;
use dhow_oci::runtime::NamespaceKind;
use dhow_sys::mount::{Attributes, attribute, set_attributes};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};

use super::super::error::{Context as _, Error, Result};
use super::super::plan::Plan;

/// Mounts the root file system and answers a handle on its root; nothing without a mount namespace.
///
/// Everything is then done below the handle, and by handles: what a path means may change while it
/// is used, what a handle is on does not.
pub(super) fn mount(rootfs: &RootfsPlan, bundle: &Path, plan: &Plan) -> Result<Option<OwnedFd>> {
    if !plan.namespaces.has_mount_namespace() {
        return Ok(None);
    }
    change("/", of_the_host(plan.root_propagation)).doing(|| "set the propagation of the host's mounts")?;
    let (tree, place) = match rootfs {
        RootfsPlan::Directory(path) => {
            let path = bundle.join(path);
            (bind(&path)?, path)
        }
        // Who is no root of the host does not get to that directory. Over the root itself it is out of the way:
        // paths from there go on below it.
        RootfsPlan::Mounted { .. } if plan.namespaces.is_private(NamespaceKind::User) => {
            (mounted(rootfs)?, PathBuf::from("/"))
        }
        RootfsPlan::Mounted { upper, .. } => (mounted(rootfs)?, upper.clone()),
    };
    if plan.root_propagation & libc::MS_SHARED != 0 {
        make_parent_private(&place)?;
    }
    attach(&tree, &place)?;
    if plan.root_nodev {
        let closed = Attributes { set: attribute::NODEV, ..Attributes::default() };
        set_attributes(&tree, closed, true, None).doing(|| "close the device nodes of the root")?;
    }
    Ok(Some(tree))
}

/// Attaches it in a mount namespace that only the caller and the other runtimes that it runs are in, and
/// answers where.
/// # Errors
/// The kernel's.
pub fn attach_root(rootfs: &RootfsPlan, bundle: &Path) -> Result<PathBuf> {
    match rootfs {
        RootfsPlan::Directory(path) => Ok(bundle.join(path)),
        RootfsPlan::Mounted { upper, .. } => {
            make_parent_private(upper)?;
            attach(&mounted(rootfs)?, upper)?;
            Ok(upper.clone())
        }
    }
}

/// What becomes of the host's mounts in this mount namespace, of which the container's are copies.
///
/// Nothing that is mounted here is to be seen outside; what is mounted outside may come in. Only a
/// container whose root is shared may have mounts that go on being the host's as well. What is
/// unbindable is made so in the end: here it could not be copied.
const fn of_the_host(root_propagation: u64) -> u64 {
    if root_propagation & libc::MS_SHARED != 0 {
        root_propagation
    } else if root_propagation & (libc::MS_PRIVATE | libc::MS_UNBINDABLE) != 0 {
        libc::MS_PRIVATE | libc::MS_REC
    } else {
        libc::MS_SLAVE | libc::MS_REC
    }
}

/// Makes the mount that `place` is in private: in a shared one the host would see the root attached,
/// and pivot_root(2) refuses it.
fn make_parent_private(place: &Path) -> Result<()> {
    let what = || format!("make the mount of {} private", place.display());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut here = rustix::fs::open(place, flags, Mode::empty()).doing(what)?;
    loop {
        let above = rustix::fs::openat(&here, "..", flags, Mode::empty()).doing(what)?;
        if is_root_of_mount(&here, &above).doing(what)? {
            let private = Attributes { propagation: libc::MS_PRIVATE, ..Attributes::default() };
            return set_attributes(&here, private, false, None).doing(what);
        }
        here = above;
    }
}

/// The root of everything is above itself.
fn is_root_of_mount(directory: &OwnedFd, above: &OwnedFd) -> std::io::Result<bool> {
    let (here, there) = (rustix::fs::fstat(directory)?, rustix::fs::fstat(above)?);
    let is_same = (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino);
    Ok(is_same || dhow_sys::mount::id(directory)? != dhow_sys::mount::id(above)?)
}

fn bind(path: &Path) -> Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(CWD, path, flags)
        .doing(|| format!("open the root file system {}", path.display()))
}

/// The store has mounted it; whoever holds other handles on it does not matter once it is attached.
fn mounted(rootfs: &RootfsPlan) -> Result<OwnedFd> {
    let tree = rootfs.tree().ok_or_else(|| Error::configuration("no mount came with the plan"))?;
    rustix::io::fcntl_dupfd_cloexec(tree, 0).doing(|| "hold the root file system")
}

/// pivot_root(2) wants a mount that is somewhere: it is laid over the directory it is made of.
fn attach(tree: &OwnedFd, place: &Path) -> Result<()> {
    let what = || format!("mount the root file system at {}", place.display());
    // A bundle's root may be named by a link; it is the caller's own.
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS;
    rustix::mount::move_mount(tree, "", CWD, place, flags).doing(what)?;
    // pivot_root(2) refuses a shared mount; a bind of one is shared too.
    let private = Attributes { propagation: libc::MS_PRIVATE, ..Attributes::default() };
    set_attributes(tree, private, false, None).doing(|| "make the root mount private")
}

/// Makes it the root of everything, and lets go of the host's.
pub(super) fn enter(root: &OwnedFd, plan: &Plan, no_pivot: bool) -> Result<()> {
    if plan.root_readonly {
        let read_only = Attributes { set: attribute::RDONLY, ..Attributes::default() };
        set_attributes(root, read_only, false, None).doing(|| "make the root file system read-only")?;
    }
    rustix::process::fchdir(root).doing(|| "enter the root file system")?;
    if no_pivot { move_root() } else { pivot() }?;
    rustix::process::chdir("/").doing(|| "enter the new root")?;
    if plan.root_propagation != 0 {
        change("/", plan.root_propagation).doing(|| "set the propagation of the root")?;
    }
    Ok(())
}

/// The new root is laid over the old one, which is then the mount below it and goes.
fn pivot() -> Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let old = rustix::fs::open("/", flags, Mode::empty()).doing(|| "open the old root")?;
    rustix::process::pivot_root(".", ".").doing(|| "pivot_root")?;
    rustix::process::fchdir(old.as_fd()).doing(|| "go to the old root")?;
    // Unmounting must not propagate to the host.
    change(".", libc::MS_SLAVE | libc::MS_REC).doing(|| "make the old root a slave")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).doing(|| "let go of the old root")
}

/// The initial ramdisk cannot be pivoted away from.
fn move_root() -> Result<()> {
    rustix::mount::mount_move(".", "/").doing(|| "move the root file system to /")?;
    rustix::process::chroot(".").doing(|| "change the root")
}

fn change(path: &str, propagation: u64) -> rustix::io::Result<()> {
    let flags = u32::try_from(propagation).unwrap_or(0);
    rustix::mount::mount_change(path, MountPropagationFlags::from_bits_retain(flags))
}

/// Without a mount namespace the root is changed for this process only.
pub(super) fn change_only(rootfs: &RootfsPlan, bundle: &Path) -> Result<()> {
    let RootfsPlan::Directory(path) = rootfs else {
        return Err(Error::configuration("a root that is to be mounted needs a mount namespace"));
    };
    let path = bundle.join(path);
    rustix::process::chroot(&path).doing(|| format!("change the root to {}", path.display()))?;
    rustix::process::chdir("/").doing(|| "enter the new root")
}
