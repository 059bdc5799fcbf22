//! The files of an image as a mount that nobody sees: for containers that mount an image beside their own.
//!
//! Nothing is unpacked: it is an overlay of the image's layers without a writable one, so that even who may
//! remount it cannot write.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use dhow_model::ports::{MountedTree, UserSpace};
use dhow_model::{ContainerId, Error, ImageId, Result};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    fsconfig_create, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};
use rustix::thread::UnshareFlags;

use crate::Core;
use crate::error::{Cause, Context as _};
use crate::images::missing;
use crate::stack::{Lower, NAME, Overlay};

/// Without a writable layer, overlayfs wants so many others.
const FEWEST_LAYERS: usize = 2;

impl Core {
    /// One step, so that no image can go between the check and the record.
    pub(super) fn keep_images(&self, id: &ContainerId, images: &[ImageId]) -> Result<()> {
        let mut catalog = self.catalog_mut();
        if let Some(gone) = images.iter().find(|image| !catalog.images.contains_key(*image)) {
            return Err(missing(&catalog, gone));
        }
        if !images.is_empty() {
            catalog.kept.insert(id.clone(), images.to_vec());
        }
        Ok(())
    }

    pub(super) fn image_tree(
        &self,
        image: &ImageId,
        below: Option<&Path>,
        user: Option<&UserSpace>,
    ) -> Result<MountedTree> {
        let told = || format!("cannot mount image {}", image.short());
        let layers = self.catalog().images.get(image).map(|entry| entry.layers().to_vec());
        let layers = layers.ok_or_else(|| missing(&self.catalog(), image))?;
        let lower = layers.iter().rev().map(|layer| match user {
            None => self.lower_layer(layer),
            Some(user) => self.mapped_layer(layer, user),
        });
        let mut lower = lower.collect::<crate::error::Result<Vec<Lower>>>()?;
        while lower.len() < FEWEST_LAYERS {
            lower.push(Lower::Mounted(Arc::new(empty().context(told)?)));
        }
        let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY;
        let tree =
            Overlay { lower: &lower, writable: None, attributes, source: NAME }.mount().context(told)?;
        let Some(below) = below else { return Ok(MountedTree::new(tree)) };
        let (place, path) = (self.layout.base(), below.to_path_buf());
        // A part is copied off an attached mount only (before Linux 6.15), and only a thread can leave the
        // namespace of its process.
        let thread = std::thread::Builder::new().name("store-image".into());
        let copying = thread.spawn(move || part(&tree, &place, &path)).context(told)?;
        let part = copying.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        part.map(MountedTree::new).map_err(|errno| refused(errno, below))
    }
}

/// A directory without anything in it.
fn empty() -> std::result::Result<OwnedFd, Cause> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "mode", "755")?;
    fsconfig_create(&context)?;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_RDONLY)?)
}

/// What is at a path of the tree, as a mount of its own. A link that leads out of the tree is refused: its
/// author is whoever made the image.
fn part(tree: &OwnedFd, place: &Path, below: &Path) -> rustix::io::Result<OwnedFd> {
    #[allow(deprecated, reason = "files are not unshared, so no other thread is concerned")]
    rustix::thread::unshare(UnshareFlags::NEWNS)?;
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    move_mount(tree, "", rustix::fs::CWD, place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    let found = dhow_sys::path::open_beneath(tree, below, OFlags::PATH, Mode::empty());
    let found = found.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    open_tree(&found, "", clone | OpenTreeFlags::AT_EMPTY_PATH)
}

/// The words are Docker's.
fn refused(errno: Errno, below: &Path) -> Error {
    let below = below.display();
    match errno {
        Errno::XDEV => {
            Error::invalid(format!("path concatenation escapes the base directory, subpath: {below}"))
        }
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => {
            Error::not_found(format!("cannot access path {below}: no such file or directory"))
        }
        errno => {
            Error::internal(format!("cannot mount {below} of an image")).because(std::io::Error::from(errno))
        }
    }
}
