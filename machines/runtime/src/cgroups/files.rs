//! Reading and writing the kernel's files below a held directory.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::{Errno, read, write};

/// No file of a cgroup is larger than this, but for lists of processes.
const LARGEST: usize = 16 << 20;

/// Writes a value with one call, as the kernel wants it.
pub(super) fn write_value(directory: impl AsFd, file: &str, value: &str) -> Result<(), Errno> {
    let fd = open(directory, file, OFlags::WRONLY)?;
    write_all(&fd, value)
}

/// The same into an open file.
pub(super) fn write_all(file: impl AsFd, value: &str) -> Result<(), Errno> {
    let written = rustix::io::retry_on_intr(|| write(file.as_fd(), value.as_bytes()))?;
    // A part of a value would be another value.
    if written == value.len() { Ok(()) } else { Err(Errno::IO) }
}

/// Reads a whole file.
pub(super) fn read_value(directory: impl AsFd, file: &str) -> Result<String, Errno> {
    let fd = open(directory, file, OFlags::RDONLY)?;
    let mut buffer = vec![0; 4096];
    let mut length = 0;
    loop {
        let count = rustix::io::retry_on_intr(|| read(&fd, &mut buffer[length..]))?;
        if count == 0 {
            break;
        }
        length += count;
        if length == buffer.len() {
            if length >= LARGEST {
                return Err(Errno::FBIG);
            }
            buffer.resize(length * 2, 0);
        }
    }
    buffer.truncate(length);
    String::from_utf8(buffer).map_err(|_| Errno::ILSEQ)
}

/// Opens a file for reading or writing. Its name has no slash: a directory, a link or another file
/// system is never met.
pub(super) fn open(directory: impl AsFd, file: &str, mode: OFlags) -> Result<OwnedFd, Errno> {
    debug_assert!(!file.contains('/'));
    let flags = mode | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::io::retry_on_intr(|| openat(directory.as_fd(), file, flags, Mode::empty()))
}

/// Opens a directory somewhere below another one, never leaving it.
pub(super) fn open_directory(root: impl AsFd, path: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let opened = rustix::io::retry_on_intr(|| openat2(root.as_fd(), path, flags, Mode::empty(), resolve));
    match opened {
        // Kernels before 5.6, and filters of system calls that do not know it. The path is clean, and
        // the kernel makes no links in this file system.
        Err(Errno::NOSYS) => openat(root.as_fd(), path, flags | OFlags::NOFOLLOW, Mode::empty()),
        opened => opened,
    }
}

/// The value of a key in lines of `KEY VALUE`.
pub(super) fn value_of(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// An error of the system with what was done.
pub(super) fn failure(what: impl Into<String>, cause: impl Into<io::Error>) -> dhow_model::Error {
    dhow_model::Error::internal(what).because(cause.into())
}
