//! User namespaces that nobody is in: held by a descriptor, for mounts whose owners are mapped and for containers.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Signal, WaitOptions};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use crate::clone::{Child, CloneOptions, clone3};
use crate::procfs::Procfs;

/// A user namespace, and what was made in it.
#[derive(Debug)]
pub struct UserNamespace {
    /// The namespace.
    pub user: OwnedFd,
    /// A network namespace that belongs to it, if one was asked for.
    pub network: Option<OwnedFd>,
}

/// Makes a user namespace with these mappings (the form of /proc/PID/uid_map).
///
/// A child that does nothing holds it until its descriptors are taken. It allocates nothing and takes no
/// lock, so the caller may have other threads; it is gone before this returns, or with the calling thread.
///
/// # Errors
/// The kernel's.
pub fn make(procfs: &Procfs, users: &str, groups: &str, network: bool) -> io::Result<UserNamespace> {
    let kinds = libc::CLONE_NEWUSER | if network { libc::CLONE_NEWNET } else { 0 };
    let namespaces = u64::from(kinds.unsigned_abs());
    let Some(child) = clone3(CloneOptions { namespaces, ..CloneOptions::default() })? else { wait() };
    let made = fill(procfs, &child, (users, groups)).and_then(|()| {
        let network = network.then(|| namespace_of(procfs, &child, "net")).transpose()?;
        Ok(UserNamespace { user: namespace_of(procfs, &child, "user")?, network })
    });
    end(&child)?;
    made
}

/// Makes a network namespace that belongs to a user namespace.
///
/// # Errors
/// The kernel's.
pub fn network_in(procfs: &Procfs, user: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let (ours, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let Some(child) = clone3(CloneOptions::default())? else {
        let there = rustix::thread::move_into_link_name_space(user, Some(LinkNameSpaceType::User));
        #[allow(deprecated, reason = "the other form differs in its name only")]
        let made = there.and_then(|()| rustix::thread::unshare(UnshareFlags::NEWNET));
        let errno = made.err().map_or(0, rustix::io::Errno::raw_os_error);
        let _ = rustix::io::write(&theirs, &errno.to_ne_bytes());
        wait()
    };
    drop(theirs);
    let mut errno = [0; 4];
    let made = rustix::io::retry_on_intr(|| rustix::io::read(&ours, &mut errno)).map_err(io::Error::from);
    let made = made.and_then(|_| match i32::from_ne_bytes(errno) {
        0 => namespace_of(procfs, &child, "net"),
        errno => Err(io::Error::from_raw_os_error(errno)),
    });
    end(&child)?;
    made
}

/// In the child: it is there, until it is killed or the thread that made it ends.
fn wait() -> ! {
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    loop {
        let _ = rustix::thread::nanosleep(&rustix::time::Timespec { tv_sec: 3600, tv_nsec: 0 });
    }
}

fn end(child: &Child) -> io::Result<()> {
    rustix::process::pidfd_send_signal(&child.pidfd, Signal::KILL)?;
    rustix::io::retry_on_intr(|| rustix::process::waitpid(Some(child.pid), WaitOptions::empty()))?;
    Ok(())
}

fn fill(procfs: &Procfs, child: &Child, (users, groups): (&str, &str)) -> io::Result<()> {
    let pid = child.pid.as_raw_nonzero();
    procfs.write(format!("{pid}/uid_map"), users.as_bytes())?;
    procfs.write(format!("{pid}/gid_map"), groups.as_bytes())
}

/// The file of a namespace is a magic link: the directory is verified, the link is followed on purpose.
fn namespace_of(procfs: &Procfs, child: &Child, name: &str) -> io::Result<OwnedFd> {
    let path = format!("{}/ns", child.pid.as_raw_nonzero());
    let directory = procfs.open(path, OFlags::PATH | OFlags::DIRECTORY)?;
    Ok(rustix::fs::openat(&directory, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}
