//! clone3(2), or clone(2): a child in new namespaces, born in its cgroup, with a descriptor that names it.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use rustix::fs::{Mode, OFlags};
use rustix::process::Pid;

/// What the child gets that the parent has not.
#[derive(Debug, Clone, Copy, Default)]
pub struct CloneOptions<'a> {
    /// `CLONE_NEW*` flags.
    pub namespaces: u64,
    /// A cgroup v2 directory to be born in (Linux 5.7).
    pub cgroup: Option<BorrowedFd<'a>>,
    /// The child is the caller's sibling: its parent is the caller's parent.
    pub sibling: bool,
}

/// A child, by number and by descriptor.
#[derive(Debug)]
pub struct Child {
    /// In the caller's pid namespace.
    pub pid: Pid,
    /// Names this process and no later one of the same number.
    pub pidfd: OwnedFd,
}

/// Copies this process: answers nothing in the child, and the child in the parent.
///
/// The caller must have a single thread. It is not checked here: the check costs as much as a
/// tenth of a start, and the callers are the launcher's children and `dhow runtime`, which make none.
///
/// # Errors
/// The kernel's; `EINVAL` where it does not know a flag.
pub fn clone3(options: CloneOptions<'_>) -> io::Result<Option<Child>> {
    match newest(options) {
        // Filters of containers answer so: they cannot look at flags that lie in memory.
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => oldest(options),
        done => done,
    }
}

fn newest(options: CloneOptions<'_>) -> io::Result<Option<Child>> {
    let mut pidfd: RawFd = -1;
    let mut arguments = CloneArgs {
        flags: options.flags(),
        pidfd: &raw mut pidfd as u64,
        exit_signal: options.exit_signal(),
        ..CloneArgs::default()
    };
    if let Some(cgroup) = options.cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = u64::try_from(cgroup.as_raw_fd()).unwrap_or(u64::MAX);
    }
    let size = size_of::<CloneArgs>();
    // SAFETY: the structure lives across the call and its size is given; without CLONE_VM the child
    // has its own copy of the memory, so that both return here like after fork(2).
    let result = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size) };
    born(result, pidfd)
}

/// By clone(2), which knows no cgroups: the child is moved there before its parent goes on.
fn oldest(options: CloneOptions<'_>) -> io::Result<Option<Child>> {
    let mut pidfd: RawFd = -1;
    let flags = options.flags() | options.exit_signal();
    let (no_stack, to) = (0_u64, &raw mut pidfd);
    // SAFETY: as above; the first three arguments have this order on x86_64, aarch64 and riscv64, and with
    // CLONE_PIDFD the third is where the descriptor is stored.
    let result = unsafe { libc::syscall(libc::SYS_clone, flags, no_stack, to, 0_u64, 0_u64) };
    let child = born(result, pidfd)?;
    if let (Some(child), Some(cgroup)) = (&child, options.cgroup)
        && let Err(error) = attach(child.pid, cgroup)
    {
        let _ = rustix::process::pidfd_send_signal(&child.pidfd, rustix::process::Signal::KILL);
        let _ = rustix::process::waitpid(Some(child.pid), rustix::process::WaitOptions::empty());
        return Err(error);
    }
    Ok(child)
}

fn attach(process: Pid, cgroup: BorrowedFd<'_>) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(cgroup, "cgroup.procs", flags, Mode::empty())?;
    rustix::io::write(file, process.as_raw_nonzero().to_string().as_bytes())?;
    Ok(())
}

fn born(result: libc::c_long, pidfd: RawFd) -> io::Result<Option<Child>> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        child => {
            let pid = i32::try_from(child).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
            // SAFETY: the kernel has stored a new descriptor that nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Some(Child { pid, pidfd }))
        }
    }
}

impl CloneOptions<'_> {
    const fn flags(&self) -> u64 {
        let sibling = if self.sibling { libc::CLONE_PARENT as u64 } else { 0 };
        self.namespaces | libc::CLONE_PIDFD as u64 | sibling
    }

    const fn exit_signal(&self) -> u64 {
        // With CLONE_PARENT the kernel takes the caller's own exit signal.
        if self.sibling { 0 } else { libc::SIGCHLD as u64 }
    }
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// `struct clone_args` (linux/sched.h).
#[repr(C, align(8))]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}
