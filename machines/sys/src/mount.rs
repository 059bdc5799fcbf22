//! The parts of the mount interface that rustix has not: mount_setattr(2), and the way without it; and a new file
//! system by one call.
//!
//! Before Linux 5.12 attributes are set by mount(2), of mounts that are attached only: [`attach`] does
//! both in the order that the kernel allows. See `classic`.

mod classic;

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

use rustix::fs::{AtFlags, StatxFlags};
use rustix::mount::MoveMountFlags;

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
/// The kernel's. Before Linux 5.12 `EINVAL` of a mount that is attached nowhere; owners cannot be mapped then.
pub fn set_attributes(
    fd: impl AsFd,
    attributes: Attributes,
    recursive: bool,
    userns: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    match newest(fd.as_fd(), attributes, recursive, userns) {
        Err(error) if is_lack(&error) && userns.is_some() => {
            Err(io::Error::other("this kernel has no mount_setattr(2), which came with Linux 5.12"))
        }
        Err(error) if is_lack(&error) => classic::set(fd.as_fd(), attributes, recursive),
        done => done,
    }
}

/// Attaches a detached mount over what `place` is on, with its attributes: the second of each pair says
/// whether they are those of the mounts below, too. Nobody can see it without them, but before Linux 5.12.
///
/// # Errors
/// The kernel's.
pub fn attach(tree: impl AsFd, place: impl AsFd, attributes: &[(Attributes, bool)]) -> io::Result<()> {
    let asked = attributes.iter().filter(|(attributes, _)| *attributes != Attributes::default());
    let mut late = Vec::new();
    for (attributes, recursive) in asked {
        match newest(tree.as_fd(), *attributes, *recursive, None) {
            Err(error) if is_lack(&error) => late.push((*attributes, *recursive)),
            done => done?,
        }
    }
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(tree.as_fd(), "", place, "", flags)?;
    late.into_iter().try_for_each(|(attributes, recursive)| classic::set(tree.as_fd(), attributes, recursive))
}

/// Mounts a new file system over the working directory by one mount(2), which takes two thirds of the time that
/// fsopen(2) to move_mount(2) take (decision 18); answers whether it did: what that call cannot say is left to the others.
///
/// # Errors
/// The kernel's.
pub fn mount_here(
    kind: &str,
    device: &str,
    data: &[(String, Option<String>)],
    attributes: Attributes,
) -> io::Result<bool> {
    let Some((flags, text)) = classic::options(data, attributes) else { return Ok(false) };
    rustix::mount::mount(device, ".", kind, flags, Some(CString::new(text)?.as_c_str()))?;
    Ok(true)
}

/// The number of the mount that a handle is in, as `/proc/self/mountinfo` has it.
///
/// # Errors
/// The kernel's.
pub fn id(handle: impl AsFd) -> io::Result<u64> {
    let wanted = StatxFlags::MNT_ID;
    match rustix::fs::statx(&handle, "", AtFlags::EMPTY_PATH, wanted) {
        // Linux 5.8 and later.
        Ok(found) if found.stx_mask & wanted.bits() != 0 => Ok(found.stx_mnt_id),
        _ => classic::id(handle.as_fd()),
    }
}

fn is_lack(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOSYS)
}

fn newest(
    fd: BorrowedFd<'_>,
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
    let fd = fd.as_raw_fd();
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
