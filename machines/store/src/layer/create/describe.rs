//! What the kernel says of a file, as an entry says it.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{FileType, Stat, fgetxattr, flistxattr, lgetxattr, llistxattr, major, minor, readlinkat};
use rustix::io::Errno;

use super::super::attributes::is_overlay;
use crate::tar::{Entry, EntryKind, Error, Result, Time, shown};

/// The kernel allows 64 KiB for a list and for a value (xattr(7)).
const MOST: usize = 64 * 1024;

/// Attributes that belong to this machine's policy, not to the file.
const LOCAL: [&[u8]; 3] = [b"security.selinux", b"security.ima", b"security.evm"];

/// Attributes of a file: those to keep, and overlayfs' own.
#[derive(Debug, Default)]
pub(in crate::layer) struct Xattrs {
    pub(in crate::layer) kept: Vec<(Vec<u8>, Vec<u8>)>,
    pub(in crate::layer) overlay: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Xattrs {
    /// Those of an open file.
    pub(in crate::layer) fn of(file: BorrowedFd<'_>, scratch: &mut Vec<u8>) -> Result<Self> {
        scratch.resize(MOST, 0);
        let length = listed(flistxattr(file, scratch.as_mut_slice()))?;
        Self::collect(&scratch[..length], |name, value| fgetxattr(file, name, value))
    }

    /// Those of what is not to be opened.
    pub(in crate::layer) fn of_named(
        parent: BorrowedFd<'_>,
        name: &[u8],
        scratch: &mut Vec<u8>,
    ) -> Result<Self> {
        let mut path = format!("/proc/self/fd/{}/", parent.as_raw_fd()).into_bytes();
        path.extend_from_slice(name);
        scratch.resize(MOST, 0);
        let length = listed(llistxattr(path.as_slice(), scratch.as_mut_slice()))?;
        Self::collect(&scratch[..length], |name, value| lgetxattr(path.as_slice(), name, value))
    }

    fn collect(list: &[u8], get: impl Fn(&[u8], &mut [u8]) -> Result<usize, Errno>) -> Result<Self> {
        let mut xattrs = Self::default();
        for name in list.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
            if LOCAL.contains(&name) {
                continue;
            }
            let mut value = vec![0; MOST];
            let length = match get(name, &mut value) {
                Ok(length) => length,
                Err(Errno::NODATA) => continue,
                Err(error) => {
                    return Err(Error::system(format!("attribute {} cannot be read", shown(name)), error));
                }
            };
            value.truncate(length);
            value.shrink_to_fit();
            let list = if is_overlay(name) { &mut xattrs.overlay } else { &mut xattrs.kept };
            list.push((name.to_vec(), value));
        }
        xattrs.kept.sort_unstable();
        Ok(xattrs)
    }

    /// Whether nothing of the layers below shows in this directory.
    pub(in crate::layer) fn is_opaque(&self) -> bool {
        self.overlay("opaque") == Some(b"y")
    }

    /// The value of one of overlayfs' own attributes, in its privileged or its plain name space.
    pub(in crate::layer) fn overlay(&self, name: &str) -> Option<&[u8]> {
        let is = |key: &[u8]| {
            [&b"trusted.overlay."[..], b"user.overlay."]
                .iter()
                .any(|p| key.strip_prefix(*p) == Some(name.as_bytes()))
        };
        self.overlay.iter().find(|(key, _)| is(key)).map(|(_, value)| value.as_slice())
    }
}

fn listed(result: Result<usize, Errno>) -> Result<usize> {
    match result {
        Err(Errno::OPNOTSUPP) => Ok(0),
        listed => listed.map_err(|error| Error::system("attributes cannot be listed", error)),
    }
}

/// The entry of a file; `None` for a socket, which no tar can hold.
pub(in crate::layer) fn describe(
    (parent, name): (BorrowedFd<'_>, &[u8]),
    stat: &Stat,
    path: Vec<u8>,
) -> Result<Option<Entry>> {
    let device = (major(stat.st_rdev), minor(stat.st_rdev));
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Directory,
        FileType::Symlink => {
            let target = readlinkat(parent, name, Vec::new());
            EntryKind::Symlink(
                target.map_err(|error| Error::system("link cannot be read", error))?.into_bytes(),
            )
        }
        FileType::CharacterDevice => EntryKind::CharDevice(device.0, device.1),
        FileType::BlockDevice => EntryKind::BlockDevice(device.0, device.1),
        FileType::Fifo => EntryKind::Fifo,
        FileType::Socket => return Ok(None),
        FileType::Unknown => return Err(Error::refused("a file of unknown kind")),
    };
    let size = if kind == EntryKind::File { u64::try_from(stat.st_size).unwrap_or_default() } else { 0 };
    Ok(Some(Entry {
        path,
        kind,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        size,
        modified: modified(stat),
        accessed: None,
        xattrs: Vec::new(),
    }))
}

fn modified(stat: &Stat) -> Time {
    Time { seconds: stat.st_mtime, nanos: u32::try_from(stat.st_mtime_nsec).unwrap_or_default() }
}
