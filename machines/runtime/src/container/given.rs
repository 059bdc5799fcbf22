//! What a process in a user namespace could not make or reach: its parent, who is root of the host, does it before.
//!
//! Sources of binds lie in directories that only the host's root may enter; device nodes are made by it alone; and
//! pipes belong to who made them. Where the parent has not the right either, the process tries for itself, as it can.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use dhow_oci::runtime::{IdMapping, Mount, NamespaceKind, Spec};
use dhow_sys::mount::attribute;
use rustix::fs::{AtFlags, FileType, Gid, Uid};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::Stdio;
use super::error::{Context as _, Error, Result};
use super::init::{devices, mounts};
use super::plan::{IdentityPlan, MountPlan, Plan, Source};
use crate::cgroups::Cgroup;

/// Makes and opens what the process of a plan needs.
pub(super) fn prepare(plan: &mut Plan, spec: &Spec, cgroup: Option<&Cgroup>) -> Result<()> {
    if !plan.namespaces.is_private(NamespaceKind::User) {
        return Ok(());
    }
    give_cgroup(plan, cgroup)?;
    for number in 0..plan.mounts.len() {
        let Some(mount) = plan.mounts.get(number) else { continue };
        let made = match &mount.source {
            Source::Bind { path, .. } => {
                let path = path.clone();
                mounts::bound(Some(plan), mount).map(|tree| (tree, path))
            }
            Source::FileSystem { .. } if is_dev(mount) && plan.fills_dev => {
                dev(plan, mount, spec).map(|tree| (tree, mount.destination.clone()))
            }
            Source::FileSystem { .. }
                if mount.is("mqueue") && !plan.namespaces.is_private(NamespaceKind::Ipc) =>
            {
                // The host's queues.
                file_system(mount).map(|tree| (tree, mount.destination.clone()))
            }
            Source::FileSystem { .. } | Source::Tree | Source::Held(_) | Source::Cgroup => continue,
        };
        match made {
            Ok(made) => {
                plan.held.push(made);
                let held = Source::Held(plan.held.len() - 1);
                plan.mounts.iter_mut().skip(number).take(1).for_each(|mount| mount.source = held.clone());
            }
            // Of who may not, the process itself is told what it may.
            Err(error) if is_denied(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What a bind of a configuration names, with its owners mapped where that was asked for; nothing when it is none.
///
/// # Errors
/// What is wrong with it, or not there.
pub fn clone_bind(mount: &Mount) -> Result<Option<OwnedFd>> {
    let planned = super::plan::mounts::plan(mount, "")?;
    if !planned.is_bind() {
        return Ok(None);
    }
    mounts::bound(None, &planned).map(Some)
}

/// Gives the container's own cgroup to its root, where it may write there: what the kernel says can be given away
/// (cgroups(7), "Cgroup delegation containment").
fn give_cgroup(plan: &Plan, cgroup: Option<&Cgroup>) -> Result<()> {
    let writable =
        |mount: &MountPlan| mount.source == Source::Cgroup && mount.attributes.set & attribute::RDONLY == 0;
    let is_own = plan.namespaces.is_new(NamespaceKind::Cgroup) && plan.mounts.iter().any(writable);
    let Some(directory) = cgroup.and_then(Cgroup::birth_directory).filter(|_| is_own) else { return Ok(()) };
    let Some((uid, gid)) = outside(plan, (0, 0)) else { return Ok(()) };
    let given = std::fs::read_to_string("/sys/kernel/cgroup/delegate").unwrap_or_default();
    for name in std::iter::once(".").chain(given.lines()) {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        match rustix::fs::chownat(directory, name, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), flags)
        {
            // Controllers that it has not.
            Err(Errno::NOENT) => {}
            done => done.doing(|| format!("give {name} of the cgroup to the container's root"))?,
        }
    }
    Ok(())
}

fn is_dev(mount: &MountPlan) -> bool {
    mount.destination == Path::new("/dev") && mount.is("tmpfs") && !mount.copy_up && mount.id_map.is_none()
}

fn is_denied(error: &Error) -> bool {
    matches!(error.errno, Some(libc::EPERM | libc::EACCES))
}

/// A tmpfs of the host's, in which nodes are devices: in one of a user namespace they are none.
fn dev(plan: &Plan, mount: &MountPlan, spec: &Spec) -> Result<OwnedFd> {
    let what = || "make /dev for a user namespace";
    let owner = |(uid, gid): (u32, u32)| outside(plan, (uid, gid)).unwrap_or((uid, gid));
    let tree = file_system(mount)?;
    let (uid, gid) = owner((0, 0));
    rustix::fs::chownat(&tree, "", Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::EMPTY_PATH)
        .doing(what)?;
    let listed = spec.linux.as_ref().map_or(&[][..], |linux| &linux.devices);
    // Modes are those that were asked for.
    let before = rustix::process::umask(rustix::fs::Mode::empty());
    let made = devices::make_nodes(&tree, listed, owner);
    rustix::process::umask(before);
    made.map(|()| tree)
}

fn file_system(mount: &MountPlan) -> Result<OwnedFd> {
    let name = mount.destination.display();
    let Source::FileSystem { kind, device, data } = &mount.source else {
        return Err(Error::configuration(format!("{name} is no file system")));
    };
    mounts::file_system(kind, device, data, MountAttrFlags::empty())
        .doing(|| format!("mount {kind} for {name}"))
}

/// Gives pipes to the user that the process becomes: programs open their standard streams again by name.
pub(super) fn give_streams(stdio: &Stdio, linux: Option<&dhow_oci::runtime::Linux>, identity: &IdentityPlan) {
    let (Stdio::Files(files), Some(linux)) = (stdio, linux) else { return };
    let uid = host_id(&linux.uid_mappings, identity.uid);
    let gid = host_id(&linux.gid_mappings, identity.gid);
    let (Some(uid), Some(gid)) = (uid, gid) else { return };
    for file in files {
        let is_pipe =
            rustix::fs::fstat(file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
        if is_pipe {
            // They can be used without, as long as they are not opened again.
            let _ = rustix::fs::fchown(file.as_fd(), Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        }
    }
}

fn outside(plan: &Plan, (uid, gid): (u32, u32)) -> Option<(u32, u32)> {
    let namespaces = &plan.namespaces;
    Some((host_id(&namespaces.uid_mappings, uid)?, host_id(&namespaces.gid_mappings, gid)?))
}

/// Who an id of the container is on the host.
fn host_id(mappings: &[IdMapping], id: u32) -> Option<u32> {
    mappings.iter().find_map(|mapping| {
        let at = id.checked_sub(mapping.container_id).filter(|at| *at < mapping.size)?;
        mapping.host_id.checked_add(at)
    })
}
