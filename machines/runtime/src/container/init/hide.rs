//! Paths that a container may not see, or may not write.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use dhow_sys::mount::{Attributes, attach, attribute};
use dhow_sys::path;
use rustix::mount::MountAttrFlags;

use super::super::error::{Context as _, Result};
use super::devices;
use super::mounts::{clone_handle, cover, file_system};

/// Makes paths read-only, with all that is mounted below; what is not there needs none.
pub(super) fn read_only(root: BorrowedFd<'_>, paths: &[String]) -> Result<()> {
    for name in paths {
        let Some(place) = existing(root, name)? else { continue };
        let what = || format!("make {name} read-only");
        let tree = clone_handle(place.as_fd(), true).doing(what)?;
        let read_only = Attributes { set: attribute::RDONLY, ..Attributes::default() };
        attach(&tree, &place, &[(read_only, true)]).doing(what)?;
    }
    Ok(())
}

/// Hides paths: a file behind the null device, a directory behind an empty one.
///
/// One empty directory and one handle on the null device serve all: a copy of a mount costs less than
/// a new one.
pub(super) fn mask(root: BorrowedFd<'_>, paths: &[String]) -> Result<()> {
    if paths.is_empty() {
        return Ok(());
    }
    let null = devices::null()?;
    let mut empty: Option<OwnedFd> = None;
    for name in paths {
        let Some(place) = existing(root, name)? else { continue };
        let what = || format!("mask {name}");
        let tree = if path::is_directory(&place).doing(what)? {
            match &empty {
                Some(first) => clone_handle(first.as_fd(), false).doing(what)?,
                None => {
                    let first = empty_directory().doing(what)?;
                    cover(place.as_fd(), &first).doing(what)?;
                    empty = Some(first);
                    continue;
                }
            }
        } else {
            clone_handle(null.as_fd(), false).doing(what)?
        };
        cover(place.as_fd(), &tree).doing(what)?;
    }
    Ok(())
}

fn empty_directory() -> rustix::io::Result<OwnedFd> {
    // Its root is the only inode that it may have.
    let data = [("nr_inodes".to_owned(), Some("1".to_owned()))];
    file_system("tmpfs", "tmpfs", &data, MountAttrFlags::MOUNT_ATTR_RDONLY)
}

fn existing(root: BorrowedFd<'_>, name: &str) -> Result<Option<OwnedFd>> {
    match path::handle(root, Path::new(name)) {
        Ok(handle) => Ok(Some(handle)),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => Ok(None),
        Err(error) => Err(error).doing(|| format!("look for {name}")),
    }
}
