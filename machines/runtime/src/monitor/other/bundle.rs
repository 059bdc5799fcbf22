//! The bundle that another runtime is given: its configuration, and the mounts that such a runtime cannot make by itself.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use dhow_model::ports::{MountedTree, StartPlan};
use dhow_oci::runtime::{Mount, NamespaceKind, Root, Spec};
use rustix::mount::{MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags};
use rustix::thread::UnshareFlags;

use super::super::spawn::{lost, own};
use super::Other;
use crate::container::{Error, Result, attach_root, clone_bind, clone_of_process, of_process};
use crate::init_command;

/// Older runtimes refuse every other one (crun 1.8), and newer ones understand it.
const SPOKEN: &str = "1.0.2";
/// The beginning of the option of a bind that mounts a part of its source.
const SUBDIRECTORY: &str = "X-mount.subdir=";

/// Directories of every host that are of no use to a runtime. Its root, and what is mounted in it, are put over two of
/// them where nobody else sees it: ours are in directories that are closed to users of containers.
const OPEN_PLACES: [&str; 5] = ["/mnt", "/srv", "/media", "/opt", "/home"];

/// The configuration as another runtime understands it, and the mounts that it needs.
pub(super) fn bundle(plan: &StartPlan, other: &Other) -> Result<Spec> {
    let mut spec = Spec::clone(&plan.spec);
    spec.oci_version = SPOKEN.into();
    #[allow(deprecated, reason = "files are not unshared, and there is one thread")]
    rustix::thread::unshare(UnshareFlags::NEWNS)
        .map_err(|error| own("make a mount namespace", &error.into()))?;
    let readonly = spec.root.as_ref().is_some_and(|root| root.readonly);
    let mut held = Vec::new();
    let mut places = other.directory.join("mounts");
    let path = if is_remapped(&spec) {
        held = hold_binds(&mut spec)?;
        let (root, open) = open_places()?;
        let tree = plan.rootfs.tree().ok_or_else(|| lost("no mount came with the plan".to_owned()))?;
        attach(tree, &root).map_err(|error| own("mount the root file system", &error))?;
        places = open;
        root
    } else {
        attach_root(&plan.rootfs, &plan.directory)?
    };
    spec.root = Some(Root { path, readonly });
    for (number, mount) in spec.mounts.iter_mut().enumerate() {
        let place = places.join(number.to_string());
        if let Some((_, tree)) = held.iter().find(|(of, _)| *of == number) {
            mount_at(tree.as_fd(), mount, place)?;
            continue;
        }
        match plan.trees.get(&mount.destination).and_then(MountedTree::handle) {
            Some(tree) if mount.destination == Path::new(init_command::PLACE) => {
                mount_init(tree, mount, place)?
            }
            Some(tree) => mount_at(tree, mount, place)?,
            None => mount_part(mount, place)?,
        }
    }
    Ok(spec)
}

/// Whether the runtime sets the container up as somebody who is no root of the host.
fn is_remapped(spec: &Spec) -> bool {
    let namespaces = spec.linux.as_ref().map_or(&[][..], |linux| &linux.namespaces);
    namespaces.iter().any(|namespace| namespace.kind == NamespaceKind::User)
}

/// The sources of binds, as only the root of the host gets at them, with their owners mapped.
fn hold_binds(spec: &mut Spec) -> Result<Vec<(usize, OwnedFd)>> {
    let mut held = Vec::new();
    for (number, mount) in spec.mounts.iter_mut().enumerate() {
        if mount.kind != "bind" || mount.destination == Path::new(init_command::PLACE) {
            continue;
        }
        let Some(tree) = clone_bind(mount)? else { continue };
        mount.options.retain(|option| {
            !matches!(option.as_str(), "idmap" | "ridmap") && !option.starts_with(SUBDIRECTORY)
        });
        mount.uid_mappings.clear();
        mount.gid_mappings.clear();
        held.push((number, tree));
    }
    Ok(held)
}

/// Two directories that everybody gets to: one for the root, which has to be there for later calls too, and in our mount
/// namespace alone an empty one for other mounts.
fn open_places() -> Result<(PathBuf, PathBuf)> {
    let failed = |error: io::Error| own("make a place that the container's user gets to", &error);
    let is_open = |place: &PathBuf| {
        fs::symlink_metadata(place)
            .is_ok_and(|found| found.is_dir() && found.permissions().mode() & 0o001 != 0)
    };
    let mut places = OPEN_PLACES.iter().map(PathBuf::from).filter(is_open);
    let (root, others) = places
        .next()
        .zip(places.next())
        .ok_or_else(|| failed(io::Error::other(format!("two of {} are needed", OPEN_PLACES.join(", ")))))?;
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .and_then(|()| {
            rustix::mount::mount("tmpfs", &others, "tmpfs", MountFlags::empty(), Some(c"mode=755"))
        })
        .map_err(|error| failed(error.into()))?;
    Ok((root, others))
}

/// What another runtime cannot mount by a path is attached here, and mounted from there.
fn mount_part(mount: &mut Mount, place: PathBuf) -> Result<()> {
    let part = mount.options.iter().position(|option| option.starts_with(SUBDIRECTORY));
    let source = PathBuf::from(&mount.source);
    let tree = match (part, of_process(&source)) {
        (Some(at), _) => {
            let below = mount.options.remove(at).split_off(SUBDIRECTORY.len());
            clone_part(&source, Path::new(&below))
        }
        (None, Some((pid, below))) if mount.kind == "bind" => clone_of_process(pid, below, true),
        (None, _) => return Ok(()),
    };
    let tree = tree.map_err(|error| not_mounted(mount, &error))?;
    mount_at(tree.as_fd(), mount, place)
}

fn mount_at(tree: BorrowedFd<'_>, mount: &mut Mount, place: PathBuf) -> Result<()> {
    attach(tree, &place).map_err(|error| not_mounted(mount, &error))?;
    mount.source = place.to_string_lossy().into_owned();
    Ok(())
}

/// The tree has our program in it, under the name that is the mount's source.
fn mount_init(tree: BorrowedFd<'_>, mount: &mut Mount, place: PathBuf) -> Result<()> {
    let name = mount.source.clone();
    mount_at(tree, mount, place.clone())?;
    mount.source = place.join(name).to_string_lossy().into_owned();
    Ok(())
}

fn not_mounted(mount: &Mount, error: &io::Error) -> Error {
    own(&format!("mount {} for {}", mount.source, mount.destination.display()), error)
}

/// Resolved here, below the volume: its links were made by whoever writes in it.
fn clone_part(source: &Path, below: &Path) -> io::Result<OwnedFd> {
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
    let whole = rustix::fs::open(source, flags, rustix::fs::Mode::empty())?;
    let part = dhow_sys::path::handle(&whole, below)?;
    let clone =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    Ok(rustix::mount::open_tree(&part, "", clone | OpenTreeFlags::AT_RECURSIVE)?)
}

fn attach(tree: BorrowedFd<'_>, place: &Path) -> io::Result<()> {
    if dhow_sys::path::is_directory(tree)? {
        fs::create_dir_all(place)?;
    } else {
        place.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::File::create(place)?;
    }
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    Ok(rustix::mount::move_mount(tree, "", rustix::fs::CWD, place, flags)?)
}
