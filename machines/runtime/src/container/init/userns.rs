//! A user namespace that only holds a mapping, for mounts whose owners are mapped.

use std::io;
use std::os::fd::OwnedFd;

use dhow_sys::clone::{CloneOptions, clone3};
use dhow_sys::procfs::Procfs;
use rustix::fs::OFlags;
use rustix::process::{Signal, WaitOptions};

/// Makes a user namespace with these mappings (the form of /proc/PID/uid_map); a child that does
/// nothing holds it until its descriptor is taken.
pub(super) fn with_mappings(users: &str, groups: &str) -> io::Result<OwnedFd> {
    let namespaces = u64::from(libc::CLONE_NEWUSER.unsigned_abs());
    let Some(child) = clone3(CloneOptions { namespaces, ..CloneOptions::default() })? else {
        loop {
            let _ = rustix::thread::nanosleep(&rustix::time::Timespec { tv_sec: 3600, tv_nsec: 0 });
        }
    };
    let mapped = map(child.pid.as_raw_nonzero().get(), users, groups);
    rustix::process::pidfd_send_signal(&child.pidfd, Signal::KILL)?;
    rustix::process::waitpid(Some(child.pid), WaitOptions::empty())?;
    mapped
}

fn map(pid: i32, users: &str, groups: &str) -> io::Result<OwnedFd> {
    let procfs = Procfs::private()?;
    procfs.write(format!("{pid}/uid_map"), users.as_bytes())?;
    procfs.write(format!("{pid}/gid_map"), groups.as_bytes())?;
    // The file of a namespace is a magic link: the directory is verified, the link is followed on purpose.
    let directory = procfs.open(format!("{pid}/ns"), OFlags::PATH | OFlags::DIRECTORY)?;
    Ok(rustix::fs::openat(directory, "user", OFlags::RDONLY | OFlags::CLOEXEC, rustix::fs::Mode::empty())?)
}
