//! A container's tree, mounted where nobody sees it.
//!
//! The mount is never attached anywhere: it lives as long as its handle, and is gone with the process.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string,
    fsmount, fsopen,
};

use crate::Core;
use crate::error::{Context as _, Result};
use dhow_model::ContainerId;

/// What is wanted of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// To look only: the writable layer is mounted as one more layer that cannot be written.
    Read,
    /// To change it as the container would.
    Write,
}

impl Core {
    /// Mounts the tree of a container that does not run. Nothing in it can be executed, and no device opened.
    pub(crate) fn mount(&self, id: &ContainerId, access: Access) -> Result<OwnedFd> {
        let snapshot = self.snapshot(id)?;
        let directory = self.layout.container(id);
        let (upper, work) = (directory.join("rw"), directory.join("work"));
        let mut lower = self.lower(&snapshot.layers);
        let writable = match access {
            Access::Read => {
                lower.insert(0, upper);
                None
            }
            Access::Write => {
                self.renew_work(&work)?;
                Some((upper, work))
            }
        };
        let writable = writable.as_ref().map(|(upper, work)| (upper.as_path(), work.as_path()));
        overlay(&lower, writable).context(|| format!("cannot mount the tree of container {}", id.short()))
    }
}

/// Mounts layers, topmost first, and answers a handle on the root.
fn overlay(lower: &[PathBuf], writable: Option<(&Path, &Path)>) -> rustix::io::Result<OwnedFd> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", "dhow")?;
    for (index, layer) in lower.iter().enumerate() {
        match fsconfig_set_string(&context, "lowerdir+", layer) {
            // Before Linux 6.8 all layers are one option.
            Err(_) if index == 0 => {
                fsconfig_set_string(&context, "lowerdir", joined(lower).as_os_str())?;
                break;
            }
            done => done?,
        }
    }
    let attributes = MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NOEXEC
        | MountAttrFlags::MOUNT_ATTR_NOATIME;
    if let Some((upper, work)) = writable {
        fsconfig_set_string(&context, "upperdir", upper)?;
        fsconfig_set_string(&context, "workdir", work)?;
        // Without it the whole disk is synced when the mount goes.
        fsconfig_set_flag(&context, "volatile")?;
        fsconfig_create(&context)?;
        return fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes);
    }
    fsconfig_set_flag(&context, "ro")?;
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes | MountAttrFlags::MOUNT_ATTR_RDONLY)
}

/// The option's own separators are escaped.
fn joined(lower: &[PathBuf]) -> PathBuf {
    let mut text = Vec::new();
    for layer in lower {
        if !text.is_empty() {
            text.push(b':');
        }
        for &byte in layer.as_os_str().as_bytes() {
            if matches!(byte, b':' | b'\\' | b',') {
                text.push(b'\\');
            }
            text.push(byte);
        }
    }
    PathBuf::from(OsStr::from_bytes(&text))
}
