//! Copies a directory tree: what an image has at the place of an empty volume.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, copy_file_range, fstat, ftruncate, futimens, ioctl_ficlone,
    linkat, makedev, mkdirat, mknodat, openat, statat, symlinkat,
};
use rustix::io::{Errno, pread, pwrite};

use super::attributes::{Attributes, Skipped};
use super::create::{Xattrs, describe, next_data};
use super::remove::names;
use super::tree::open_directory;
use crate::tar::{Entry, EntryKind, Error, Limits, Result};

/// What was copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    /// Files, links, devices and directories.
    pub entries: u64,
    /// Bytes of file contents, without holes.
    pub contents: u64,
    /// Attributes that could not be kept.
    pub skipped: Skipped,
}

/// Copies what is in `from` into `to`, and what `from` itself is: owner, mode, attributes, times.
///
/// Hard links stay links, holes stay holes, and where the file system can, contents are shared
/// instead of copied. Sockets are left out. `to` should be empty: a name that is there is an error.
///
/// # Errors
/// When something cannot be read or made.
pub fn copy_tree(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<Copied> {
    let mut copy = Copy::into(to);
    copy.directory(from, to, b"", 0)?;
    Ok(copy.copied)
}

/// Gives a directory what another one is, not what is in it: owner, mode, attributes, times.
///
/// # Errors
/// When something cannot be read or set.
pub fn copy_attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    Copy::into(to).attributes(from, to, b"")
}

struct Copy<'a> {
    copied: Copied,
    /// Where a file with more than one name was copied first.
    links: HashMap<(u64, u64), Vec<u8>>,
    scratch: Vec<u8>,
    root: BorrowedFd<'a>,
}

impl<'a> Copy<'a> {
    fn into(root: BorrowedFd<'a>) -> Self {
        Self { copied: Copied::default(), links: HashMap::new(), scratch: Vec::new(), root }
    }

    /// Copies what is in a directory, then what it is: its times last.
    fn directory(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        path: &[u8],
        depth: usize,
    ) -> Result<()> {
        if depth > Limits::default().depth {
            return Err(Error::limit(format!("directories are more than {depth} deep")).at(path));
        }
        for name in names(from).map_err(|error| Error::system("directory cannot be read", error).at(path))? {
            let path = if path.is_empty() { name.clone() } else { [path, name.as_slice()].join(&b'/') };
            self.name(from, to, &path, depth).map_err(|error| error.at(&path))?;
        }
        self.attributes(from, to, path)
    }

    fn attributes(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, path: &[u8]) -> Result<()> {
        let stat = fstat(from).map_err(|error| Error::system("cannot be looked at", error))?;
        let Some(mut entry) = describe((from, b"."), &stat, path.to_vec())? else { return Ok(()) };
        entry.xattrs = Xattrs::of(from, &mut self.scratch)?.kept;
        let attributes = of(&entry);
        attributes.set(to, &mut self.copied.skipped)?;
        futimens(to, &attributes.times()).map_err(|error| Error::system("times cannot be set", error))
    }

    fn name(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, path: &[u8], depth: usize) -> Result<()> {
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
        let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| Error::system("cannot be looked at", error))?;
        let Some(entry) = describe((from, name), &stat, path.to_vec())? else { return Ok(()) };
        self.copied.entries += 1;
        if !entry.is_directory() && stat.st_nlink > 1 && self.link(&stat, to, path, name)? {
            return Ok(());
        }
        match &entry.kind {
            EntryKind::Directory => {
                mkdirat(to, name, Mode::RWXU).map_err(cannot_make)?;
                let opened =
                    |at| open_directory(at, name).map_err(|error| Error::system("cannot be opened", error));
                self.directory(opened(from)?.as_fd(), opened(to)?.as_fd(), path, depth + 1)
            }
            EntryKind::File => self.file(from, to, name, entry),
            _ => self.special(from, to, name, entry),
        }
    }

    /// Links to the copy that was made of another name of the file, if one was.
    fn link(&mut self, stat: &Stat, to: BorrowedFd<'_>, path: &[u8], name: &[u8]) -> Result<bool> {
        let key = (stat.st_dev, stat.st_ino);
        let Some(first) = self.links.get(&key) else {
            self.links.insert(key, path.to_vec());
            return Ok(false);
        };
        // Nobody else knows the volume yet: its paths are ours.
        linkat(self.root, first.as_slice(), to, name, AtFlags::empty()).map_err(cannot_make)?;
        Ok(true)
    }

    fn file(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &[u8],
        mut entry: Entry,
    ) -> Result<()> {
        let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let source = openat(from, name, read, Mode::empty());
        let source = source.map_err(|error| Error::system("cannot be opened", error))?;
        let stat = fstat(&source).map_err(|error| Error::system("cannot be looked at", error))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Error::refused("it was replaced while it was read"));
        }
        let write = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let target = openat(to, name, write, Mode::RUSR | Mode::WUSR).map_err(cannot_make)?;
        self.copied.contents += contents(&source, &target, entry.size)?;
        entry.xattrs = Xattrs::of(source.as_fd(), &mut self.scratch)?.kept;
        of(&entry).set(target.as_fd(), &mut self.copied.skipped)
    }

    fn special(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &[u8],
        mut entry: Entry,
    ) -> Result<()> {
        let mode = Mode::RUSR | Mode::WUSR;
        match &entry.kind {
            EntryKind::Symlink(target) => symlinkat(target.as_slice(), to, name),
            EntryKind::CharDevice(major, minor) => {
                mknodat(to, name, FileType::CharacterDevice, mode, makedev(*major, *minor))
            }
            EntryKind::BlockDevice(major, minor) => {
                mknodat(to, name, FileType::BlockDevice, mode, makedev(*major, *minor))
            }
            _ => mknodat(to, name, FileType::Fifo, mode, 0),
        }
        .map_err(cannot_make)?;
        entry.xattrs = Xattrs::of_named(from, name, &mut self.scratch)?.kept;
        let has_mode = !matches!(entry.kind, EntryKind::Symlink(_));
        of(&entry).set_named(to, name, has_mode, &mut self.copied.skipped)
    }
}

fn of(entry: &Entry) -> Attributes<'_> {
    Attributes { entry, uid: entry.uid, gid: entry.gid }
}

fn cannot_make(error: Errno) -> Error {
    Error::system("cannot be made", error)
}

/// Shares the contents, or copies them piece by piece; answers how many bytes.
fn contents(source: &OwnedFd, target: &OwnedFd, size: u64) -> Result<u64> {
    if size == 0 {
        return Ok(0);
    }
    if ioctl_ficlone(target, source).is_ok() {
        return Ok(size);
    }
    let (mut at, mut copied) = (0, 0);
    while at < size {
        let (data, hole) = next_data(source, at, size)?;
        copy_range(source, target, data, hole)
            .map_err(|error| Error::system("contents cannot be copied", error))?;
        copied += hole - data;
        at = hole;
    }
    // The last piece may have been a hole, or the file became shorter.
    ftruncate(target, size).map_err(|error| Error::system("size cannot be set", error))?;
    Ok(copied)
}

fn copy_range(source: &OwnedFd, target: &OwnedFd, mut at: u64, end: u64) -> Result<(), Errno> {
    while at < end {
        let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(1 << 30);
        let (mut read_at, mut write_at) = (at, at);
        match copy_file_range(source, Some(&mut read_at), target, Some(&mut write_at), wanted) {
            Ok(0) => return Ok(()),
            Ok(length) => at += length as u64,
            Err(Errno::INTR) => {}
            // Another file system, or one that cannot.
            Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => {
                return copy_by_hand(source, target, at, end);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn copy_by_hand(source: &OwnedFd, target: &OwnedFd, mut at: u64, end: u64) -> Result<(), Errno> {
    let mut buffer = vec![0; 256 * 1024];
    while at < end {
        let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
        let length = match pread(source, &mut buffer[..wanted], at) {
            Ok(0) => return Ok(()),
            Err(Errno::INTR) => continue,
            read => read?,
        };
        let mut written = 0;
        while written < length {
            match pwrite(target, &buffer[written..length], at + written as u64) {
                Err(Errno::INTR) => {}
                wrote => written += wrote?,
            }
        }
        at += length as u64;
    }
    Ok(())
}
