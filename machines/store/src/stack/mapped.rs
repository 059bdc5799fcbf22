//! Stacks of containers in a user namespace: every layer is mounted once more, with its owners mapped.
//!
//! On the disk everything belongs to the users that the container knows, root among them; the host knows them
//! as the users of its ranges. The kernel translates at each mount (mount_setattr(2), `MOUNT_ATTR_IDMAP`), for the
//! writable layer in both directions: nothing is copied, and nothing is given to somebody else.
//!
//! What an overlay does by itself (its work directory, copies of what is changed) it does as who mounted it,
//! and to a layer whose owners are mapped the root of the host is nobody: so the container's root mounts it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dhow_model::ports::UserSpace;
use dhow_oci::image::DiffId;
use dhow_sys::identity::FileOwner;
use dhow_sys::mount::{Attributes, attribute, set_attributes};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, statat};
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};

use super::mount::{Lower, Overlay, Writable};
use crate::Core;
use crate::error::{Context as _, Error, Kind, Result};
use crate::layout::{Layout, make_directory};
use crate::staging::Stage;

/// A layer with its owners mapped; `again` mounts it anew, where a mount that is attached nowhere cannot be copied
/// (before Linux 6.15).
pub(super) fn lower(
    lower: &Lower,
    again: impl FnOnce() -> io::Result<OwnedFd>,
    user: &UserSpace,
) -> io::Result<Lower> {
    let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = match lower {
        Lower::Directory(path) => open_tree(CWD, path, clone)?,
        Lower::Mounted(root) => match open_tree(&**root, "", clone | OpenTreeFlags::AT_EMPTY_PATH) {
            Ok(tree) => tree,
            Err(_) => again()?,
        },
    };
    map(&tree, user)?;
    Ok(Lower::Mounted(Arc::new(tree)))
}

fn map(tree: &OwnedFd, user: &UserSpace) -> io::Result<()> {
    let attributes = Attributes { set: attribute::IDMAP, ..Attributes::default() };
    set_attributes(tree, attributes, false, Some(user.handle().as_fd()))
}

/// Mounts an overlay whose writable layer is in `directory`, in the name of the container's root.
pub(crate) fn overlay(
    lower: Vec<Lower>,
    directory: &Path,
    volatile: bool,
    user: &UserSpace,
) -> io::Result<OwnedFd> {
    let (uid, gid) = user.map().root().map_err(|error| io::Error::other(error.report()))?;
    let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let own = open_tree(CWD, directory, clone)?;
    map(&own, user)?;
    let place = PathBuf::from(format!("/proc/self/fd/{}", own.as_raw_fd()));
    // By its path on the disk it is told apart from others: its upper directory has another one here.
    let source = directory.join("rw").to_string_lossy().into_owned();
    let (upper, work) = (place.join("rw"), place.join("work"));
    let writable = Some(Writable { upper: &upper, work: &work, volatile });
    let _owner = FileOwner::new(uid, gid)?;
    Overlay { lower: &lower, writable, attributes: MountAttrFlags::empty(), source: &source }.mount()
}

impl Core {
    /// What lies below a writable layer, with its owners mapped, topmost first.
    pub(crate) fn mapped_lower(&self, layers: &[DiffId], user: &UserSpace) -> Result<Vec<Lower>> {
        let own = layers.iter().rev().map(|layer| self.mapped_layer(layer, user));
        own.chain([self.mounts.base(&self.layout, user)]).collect()
    }

    pub(crate) fn mapped_layer(&self, layer: &DiffId, user: &UserSpace) -> Result<Lower> {
        let lower = self.lower_layer(layer)?;
        self.mounts.mapped(&self.layout, layer, (&lower, user))
    }

    /// Tries all of it, with a file that is read and one that is written.
    pub(crate) fn try_mapping(&self, user: &UserSpace) -> Result<()> {
        let what = "userns-remap needs a kernel that maps the owners of overlays (Linux 6.15)";
        let tried = try_it(&self.layout, user);
        tried.map_err(|error| Error::new(Kind::Unavailable, what).because(error))
    }
}

fn try_it(layout: &Layout, user: &UserSpace) -> Result<()> {
    let stage = Stage::new(layout)?;
    let place = stage.path();
    for name in ["lower", "rw", "work"] {
        make_directory(&place.join(name), 0o755)?;
    }
    let read = place.join("lower/read");
    File::create(&read).on("make", &read)?;
    let none = || Err(rustix::io::Errno::INVAL.into());
    let told = || "cannot mount an overlay".to_owned();
    let below = lower(&Lower::Directory(place.join("lower")), none, user).context(told)?;
    let root = overlay(vec![below], place, true, user).context(told)?;
    let (uid, gid) = user.map().root()?;
    let owner = FileOwner::new(uid, gid).context(told)?;
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
    rustix::fs::openat(&root, "written", flags, Mode::from_raw_mode(0o600)).context(told)?;
    drop(owner);
    let seen = statat(&root, "read", AtFlags::empty()).context(told)?.st_uid;
    let stored = rustix::fs::stat(place.join("rw/written")).context(told)?.st_uid;
    if (seen, stored) == (uid, 0) {
        return Ok(());
    }
    Err(Error::internal(format!("root is {seen} and {stored} instead of {uid} and 0")))
}
