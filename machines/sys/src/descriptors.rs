//! Descriptors that a process closes, or leaves to the program that it executes.

use std::io;
use std::ops::RangeInclusive;
use std::os::fd::RawFd;

use rustix::fs::{Dir, OFlags};

use crate::procfs::Procfs;

/// Marks every descriptor from `first` on as closed by exec.
///
/// # Errors
/// The kernel's.
pub fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    close_range(first..=RawFd::MAX, libc::CLOSE_RANGE_CLOEXEC)
}

/// Closes every descriptor from 3 on but `kept`, whoever thinks to own it: for a process that will
/// use none of its other values again, nor drop them.
///
/// # Errors
/// The kernel's.
pub fn close_all_but(kept: &mut [RawFd]) -> io::Result<()> {
    kept.sort_unstable();
    let mut first = 3;
    for kept in kept.iter().copied().filter(|kept| *kept >= 3) {
        if kept > first {
            close_range(first..=kept - 1, 0)?;
        }
        first = kept + 1;
    }
    close_range(first..=RawFd::MAX, 0)
}

fn close_range(range: RangeInclusive<RawFd>, flags: u32) -> io::Result<()> {
    // SAFETY: takes numbers only.
    match unsafe { libc::syscall(libc::SYS_close_range, *range.start(), *range.end(), flags) } {
        0 => return Ok(()),
        _ => match io::Error::last_os_error() {
            // Linux 5.9 has the call, 5.11 the flag.
            error if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) => {}
            error => return Err(error),
        },
    }
    one_by_one(&range, flags)
}

/// The slower way. It allocates; whoever calls this has a single thread.
fn one_by_one(range: &RangeInclusive<RawFd>, flags: u32) -> io::Result<()> {
    let open = match Procfs::at_proc() {
        Ok(procfs) => listed(&procfs)?,
        // A container without /proc: the kernel's own limit, but where somebody raised it.
        Err(_) => (0..1 << 20).collect(),
    };
    for descriptor in open.into_iter().filter(|descriptor| range.contains(descriptor)) {
        close(descriptor, flags)?;
    }
    Ok(())
}

/// The numbers in `/proc/self/fd`; that of the directory itself is among them, and closed already.
fn listed(procfs: &Procfs) -> io::Result<Vec<RawFd>> {
    let mut numbers = Vec::new();
    for entry in Dir::new(procfs.open("self/fd", OFlags::RDONLY | OFlags::DIRECTORY)?)? {
        numbers.extend(entry?.file_name().to_str().ok().and_then(|name| name.parse::<RawFd>().ok()));
    }
    Ok(numbers)
}

fn close(descriptor: RawFd, flags: u32) -> io::Result<()> {
    let answer = if flags & libc::CLOSE_RANGE_CLOEXEC == 0 {
        // SAFETY: takes a number only; the caller uses none of the values that own these descriptors.
        unsafe { libc::close(descriptor) }
    } else {
        // SAFETY: takes numbers only.
        unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) }
    };
    match answer {
        -1 => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::EBADF) => Ok(()),
            error => Err(error),
        },
        _ => Ok(()),
    }
}
