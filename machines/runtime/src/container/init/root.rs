//! The root file system: mounted, entered, and everything else left behind.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use dhow_model::ports::RootfsPlan;
use dhow_sys::mount::{Attributes, attribute, set_attributes};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags,
};

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
    // Nothing that is mounted here is to be seen outside; what is mounted outside may come in.
    let propagation =
        if plan.root_propagation == 0 { libc::MS_SLAVE | libc::MS_REC } else { plan.root_propagation };
    change("/", propagation).doing(|| "make the mounts of the host slaves")?;
    let (tree, place) = match rootfs {
        RootfsPlan::Directory(path) => {
            let path = bundle.join(path);
            (bind(&path)?, path)
        }
        RootfsPlan::Overlay { lower, upper, work, volatile } => {
            (overlay(lower, upper, work, *volatile)?, upper.clone())
        }
    };
    attach(&tree, &place)?;
    Ok(Some(tree))
}

fn bind(path: &Path) -> Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(CWD, path, flags)
        .doing(|| format!("open the root file system {}", path.display()))
}

/// The layers are mounted in the container's own namespace: the host never sees them.
fn overlay(lower: &[PathBuf], upper: &Path, work: &Path, volatile: bool) -> Result<OwnedFd> {
    let what = || "mount the layers of the root file system";
    let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).doing(what)?;
    for layer in lower {
        // One call a layer (Linux 6.8): a list of many would not fit into one option.
        rustix::mount::fsconfig_set_string(&context, "lowerdir+", layer)
            .or_else(|_| rustix::mount::fsconfig_set_string(&context, "lowerdir", joined(lower)))
            .doing(|| format!("add the layer {}", layer.display()))?;
    }
    rustix::mount::fsconfig_set_string(&context, "upperdir", upper)
        .doing(|| format!("use {}", upper.display()))?;
    rustix::mount::fsconfig_set_string(&context, "workdir", work)
        .doing(|| format!("use {}", work.display()))?;
    if volatile {
        rustix::mount::fsconfig_set_flag(&context, "volatile")
            .doing(|| "make the root file system volatile")?;
    }
    rustix::mount::fsconfig_create(&context).doing(what)?;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).doing(what)
}

/// All layers as one option, for kernels before 6.8; setting it again replaces it.
fn joined(lower: &[PathBuf]) -> String {
    let escape = |path: &PathBuf| path.to_string_lossy().replace('\\', "\\\\").replace(':', "\\:");
    lower.iter().map(escape).collect::<Vec<_>>().join(":")
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
        return Err(Error::configuration("an overlay root needs a mount namespace"));
    };
    let path = bundle.join(path);
    rustix::process::chroot(&path).doing(|| format!("change the root to {}", path.display()))?;
    rustix::process::chdir("/").doing(|| "enter the new root")
}
