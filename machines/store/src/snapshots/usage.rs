//! How much a tree takes: bytes of file content, each file once however many names it has.
//!
//! A container may be moving directories meanwhile: every one is opened below the handle of the one
//! before it, never through a link.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use crate::error::{Context as _, Result};

/// What lies deeper is not counted: each level takes a descriptor.
const DEPTH: usize = 512;

/// Adds up the regular files below `root`. What disappears meanwhile is not counted.
pub(crate) fn disk_usage(root: &Path) -> Result<u64> {
    let top = open(rustix::fs::CWD, root).on("open", root)?;
    let mut count = Count { total: 0, linked: HashSet::new() };
    let mut open_directories = vec![Dir::new(top).on("read", root)?];
    while let Some(directory) = open_directories.last_mut() {
        match directory.next() {
            None => drop(open_directories.pop()),
            Some(entry) => {
                let entry = entry.on("read", root)?;
                let below = count.entry(directory, entry.file_name()).on("look into", root)?;
                if let Some(below) = below.filter(|_| open_directories.len() < DEPTH) {
                    open_directories.push(Dir::new(below).on("read", root)?);
                }
            }
        }
    }
    Ok(count.total)
}

struct Count {
    total: u64,
    /// Files with several names, by device and number.
    linked: HashSet<(u64, u64)>,
}

impl Count {
    /// Counts an entry; one that is a directory is opened.
    fn entry(&mut self, directory: &Dir, name: &std::ffi::CStr) -> rustix::io::Result<Option<OwnedFd>> {
        if matches!(name.to_bytes(), b"." | b"..") {
            return Ok(None);
        }
        let stat = match statat(directory.fd()?, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(None),
            stat => stat?,
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => match open(directory.fd()?, name) {
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
                opened => opened.map(Some),
            },
            FileType::RegularFile if stat.st_nlink == 1 || self.linked.insert((stat.st_dev, stat.st_ino)) => {
                self.total += u64::try_from(stat.st_size).unwrap_or_default();
                Ok(None)
            }
            _ => Ok(None),
        }
    }
}

fn open(parent: impl std::os::fd::AsFd, name: impl rustix::path::Arg) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty())
}
