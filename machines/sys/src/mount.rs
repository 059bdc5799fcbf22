//! The parts of the mount interface that rustix has not: mount_setattr(2).

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

/// Attributes of a mount, as mount_setattr(2) takes them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `MOUNT_ATTR_*` to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` to clear.
    pub clear: u64,
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`, `MS_UNBINDABLE`, or 0 to leave it.
    pub propagation: u64,
}

/// `MOUNT_ATTR_*` (linux/mount.h).
pub mod attribute {
    /// Not writable.
    pub const RDONLY: u64 = 0x1;
    /// Set-user-id bits are ignored.
    pub const NOSUID: u64 = 0x2;
    /// Device nodes cannot be opened.
    pub const NODEV: u64 = 0x4;
    /// Nothing can be executed.
    pub const NOEXEC: u64 = 0x8;
    /// The mask of the access-time values.
    pub const ATIME: u64 = 0x70;
    /// Access times follow the relative rule.
    pub const RELATIME: u64 = 0x0;
    /// No access times.
    pub const NOATIME: u64 = 0x10;
    /// Every access is written down.
    pub const STRICTATIME: u64 = 0x20;
    /// No access times of directories.
    pub const NODIRATIME: u64 = 0x80;
    /// Owners are mapped.
    pub const IDMAP: u64 = 0x10_0000;
    /// Symbolic links are not followed.
    pub const NOSYMFOLLOW: u64 = 0x20_0000;
}

/// Changes the mount that `fd` is the root of, with all mounts below when `recursive`.
///
/// `userns` maps owners and is used with [`attribute::IDMAP`] only.
///
/// # Errors
/// The kernel's; `ENOSYS` before Linux 5.12.
pub fn set_attributes(
    fd: impl AsFd,
    attributes: Attributes,
    recursive: bool,
    userns: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let argument = MountAttr {
        attr_set: attributes.set,
        attr_clr: attributes.clear,
        propagation: attributes.propagation,
        userns_fd: userns.map_or(0, |fd| u64::try_from(fd.as_raw_fd()).unwrap_or(u64::MAX)),
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    let fd = fd.as_fd().as_raw_fd();
    let empty: &CStr = c"";
    let size = size_of::<MountAttr>();
    // SAFETY: path and structure live across the call, and the structure's size is given.
    match unsafe {
        libc::syscall(libc::SYS_mount_setattr, fd, empty.as_ptr(), flags, &raw const argument, size)
    } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// `struct mount_attr` (linux/mount.h).
#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}
