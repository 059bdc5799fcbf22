//! A container's tree, mounted where nobody sees it.
//!
//! The mount is never attached anywhere: it lives as long as its handle, and is gone with the process.

use std::os::fd::OwnedFd;

use dhow_model::ContainerId;
use rustix::mount::MountAttrFlags;

use super::running;
use crate::Core;
use crate::error::{Context as _, Result};
use crate::stack::{Lower, NAME, Overlay, Writable};

/// What is wanted of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// To look only: the writable layer is mounted as one more layer that cannot be written.
    Read,
    /// To change it as the container would.
    Write,
}

impl Core {
    /// A container's layers without what is mounted over them, to look at; `pid` is its first process when it
    /// runs: then its own mount is looked through, because a second one on the same writable layer is
    /// undefined while the first changes it.
    /// Answers whether it is that of the process.
    pub(crate) fn own_tree(&self, id: &ContainerId, pid: Option<i32>) -> dhow_model::Result<(OwnedFd, bool)> {
        let own = pid.map(|pid| running::own_tree(pid, &self.layout.container(id).join("rw")));
        match own {
            Some(Ok(tree)) => Ok((tree, true)),
            // A program that has changed its root, or has just ended, has no such mount to copy.
            Some(Err(_)) | None => Ok((self.mount(id, Access::Read)?, false)),
        }
    }

    /// Mounts the tree of a container that does not run. Nothing in it can be executed, and no device opened.
    pub(crate) fn mount(&self, id: &ContainerId, access: Access) -> Result<OwnedFd> {
        let snapshot = self.snapshot(id)?;
        let directory = self.layout.container(id);
        let (upper, work) = (directory.join("rw"), directory.join("work"));
        let mut lower = self.lower(&snapshot.layers)?;
        let writable = match access {
            Access::Read => {
                lower.insert(0, Lower::Directory(upper.clone()));
                None
            }
            Access::Write => {
                self.renew_work(&work)?;
                // Without `volatile` the whole disk is synced when the mount goes.
                Some(Writable { upper: &upper, work: &work, volatile: true })
            }
        };
        let mut attributes = MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NOEXEC
            | MountAttrFlags::MOUNT_ATTR_NOATIME;
        attributes.set(MountAttrFlags::MOUNT_ATTR_RDONLY, writable.is_none());
        let overlay = Overlay { lower: &lower, writable, attributes, source: NAME };
        let mounted = self.quotas.with_room(&upper, || overlay.mount())?;
        mounted.context(|| format!("cannot mount the tree of container {}", id.short()))
    }
}
