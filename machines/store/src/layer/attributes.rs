//! Owner, mode, extended attributes and times, set by handle and never through a link.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{
    AtFlags, CWD, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, chmodat, chownat,
    fchmod, fchown, fsetxattr, futimens, lsetxattr, openat, utimensat,
};
use rustix::io::Errno;

use crate::tar::{Entry, Error, Result, Time, shown};

/// What is overlayfs' own and must come from no archive: it would redirect, hide or reveal files.
const OVERLAY: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];

/// Whether an attribute is overlayfs' own.
pub(crate) fn is_overlay(name: &[u8]) -> bool {
    OVERLAY.iter().any(|prefix| name.starts_with(prefix))
}

/// The attributes that could not be kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    /// How many.
    pub count: u64,
    /// The first ones: path and attribute.
    pub examples: Vec<String>,
}

impl Skipped {
    pub(crate) fn note(&mut self, path: &[u8], name: &[u8]) {
        self.count += 1;
        if self.examples.len() < 8 {
            self.examples.push(format!("{} of {}", shown(name), shown(path)));
        }
    }
}

/// What is to be set on a file.
pub(super) struct Attributes<'e> {
    pub(super) entry: &'e Entry,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Attributes<'_> {
    /// Sets all on a regular file; with a directory the times come last, when it is complete.
    pub(super) fn set(&self, file: BorrowedFd<'_>, skipped: &mut Skipped) -> Result<()> {
        // The owner first: a change of it clears set-id bits and capabilities.
        fchown(file, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))
            .map_err(|error| Error::system("owner cannot be set", error))?;
        self.set_xattrs(skipped, |name, value| fsetxattr(file, name, value, XattrFlags::empty()))?;
        fchmod(file, self.mode()).map_err(|error| Error::system("mode cannot be set", error))?;
        if !self.entry.is_directory() {
            futimens(file, &self.times()).map_err(|error| Error::system("times cannot be set", error))?;
        }
        Ok(())
    }

    /// Sets all on what cannot be opened: a link, a device, a pipe.
    pub(super) fn set_named(
        &self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        has_mode: bool,
        skipped: &mut Skipped,
    ) -> Result<()> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| Error::system("owner cannot be set", error))?;
        // There is no setxattrat before Linux 6.13; the directory's own handle in procfs does as well.
        let mut path = format!("/proc/self/fd/{}/", parent.as_raw_fd()).into_bytes();
        path.extend_from_slice(name);
        self.set_xattrs(skipped, |name, value| lsetxattr(path.as_slice(), name, value, XattrFlags::empty()))?;
        if has_mode {
            chmod_named(parent, name, self.mode())
                .map_err(|error| Error::system("mode cannot be set", error))?;
        }
        utimensat(parent, name, &self.times(), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| Error::system("times cannot be set", error))
    }

    fn set_xattrs(
        &self,
        skipped: &mut Skipped,
        set: impl Fn(&[u8], &[u8]) -> Result<(), Errno>,
    ) -> Result<()> {
        for (name, value) in &self.entry.xattrs {
            if is_overlay(name) {
                skipped.note(&self.entry.path, name);
                continue;
            }
            match set(name, value) {
                Ok(()) => {}
                // The file system or the kind of file has no such attributes: Docker goes on too.
                Err(Errno::OPNOTSUPP | Errno::PERM) => skipped.note(&self.entry.path, name),
                Err(error @ (Errno::NOSPC | Errno::TOOBIG | Errno::RANGE)) => {
                    let (name, length) = (shown(name), value.len());
                    let words = format!(
                        "attribute {name} of {length} bytes finds no room: a file system may keep a few thousand with a file"
                    );
                    return Err(Error::system(words, error));
                }
                Err(error) => {
                    return Err(Error::system(format!("attribute {} cannot be set", shown(name)), error));
                }
            }
        }
        Ok(())
    }

    fn mode(&self) -> Mode {
        Mode::from_raw_mode(self.entry.mode & 0o7777)
    }

    pub(super) fn times(&self) -> Timestamps {
        timestamps(self.entry.accessed, self.entry.modified)
    }
}

/// Without a time of the last reading, that of the last writing serves for both.
pub(super) fn timestamps(accessed: Option<Time>, modified: Time) -> Timestamps {
    let spec = |time: Time| Timespec { tv_sec: time.seconds, tv_nsec: time.nanos.into() };
    Timestamps { last_access: spec(accessed.unwrap_or(modified)), last_modification: spec(modified) }
}

/// Only the time of the last writing.
pub(super) fn modified_only(modified: Time) -> Timestamps {
    let mut times = timestamps(None, modified);
    times.last_access.tv_nsec = UTIME_OMIT;
    times
}

/// Changes the mode of what is not to be opened, through a handle that cannot be a link (CVE-2021-41089).
fn chmod_named(parent: BorrowedFd<'_>, name: &[u8], mode: Mode) -> Result<(), Errno> {
    let file = openat(parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    if rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) == rustix::fs::FileType::Symlink
    {
        return Err(Errno::LOOP);
    }
    chmodat(CWD, format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()), mode, AtFlags::empty())
}
