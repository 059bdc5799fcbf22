//! What a process does to itself before it executes another program.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, RawFd};

use rustix::process::Pid;

/// Executes the program; returns only when that fails.
#[must_use]
pub fn execute(program: &CStr, arguments: &[CString], environment: &[CString]) -> io::Error {
    let argv = pointers(arguments);
    let envp = pointers(environment);
    // SAFETY: both arrays end with a null pointer, and all strings outlive the call.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    io::Error::last_os_error()
}

/// Executes the program that the descriptor is on; returns only when that fails.
#[must_use]
pub fn execute_descriptor(program: impl AsFd, arguments: &[CString], environment: &[CString]) -> io::Error {
    let argv = pointers(arguments);
    let envp = pointers(environment);
    let fd = program.as_fd().as_raw_fd();
    // SAFETY: both arrays end with a null pointer, and all strings outlive the call.
    unsafe { libc::fexecve(fd, argv.as_ptr(), envp.as_ptr()) };
    io::Error::last_os_error()
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
}

/// Duplicates `fd` to the numbers 0, 1 or 2, which stay open over exec.
///
/// # Errors
/// The kernel's.
pub fn duplicate_to(fd: impl AsFd, number: RawFd) -> io::Result<()> {
    let from = fd.as_fd().as_raw_fd();
    if from == number {
        rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?;
        return Ok(());
    }
    // SAFETY: the numbers 0 to 2 are the standard streams, which no value of ours owns.
    match unsafe { libc::dup2(from, number) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Whether another process of the same user may look into this one (prctl(2), `PR_SET_DUMPABLE`).
///
/// # Errors
/// The kernel's.
pub fn set_dumpable(dumpable: bool) -> io::Result<()> {
    prctl(libc::PR_SET_DUMPABLE, u64::from(dumpable))
}

/// Orphans below this process become its children.
///
/// # Errors
/// The kernel's.
pub fn become_subreaper() -> io::Result<()> {
    prctl(libc::PR_SET_CHILD_SUBREAPER, 1)
}

/// Capabilities stay when the user changes from root.
///
/// # Errors
/// The kernel's.
pub fn keep_capabilities(keep: bool) -> io::Result<()> {
    prctl(libc::PR_SET_KEEPCAPS, u64::from(keep))
}

fn prctl(operation: i32, value: u64) -> io::Result<()> {
    // SAFETY: these operations take numbers only.
    match unsafe { libc::prctl(operation, value, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// personality(2).
///
/// # Errors
/// The kernel's.
pub fn set_personality(persona: u64) -> io::Result<()> {
    // SAFETY: takes a number only.
    match unsafe { libc::personality(persona) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Sets a limit of this process; the numbers are those of setrlimit(2).
///
/// # Errors
/// The kernel's.
pub fn set_limit(resource: u32, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the structure lives across the call.
    match unsafe { libc::setrlimit(resource, &raw const limit) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sets a limit of another process (prlimit(2)).
///
/// # Errors
/// The kernel's: `EPERM` beyond its hard limit without CAP_SYS_RESOURCE.
pub fn set_limit_of(process: Pid, resource: u32, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    let process = process.as_raw_nonzero().get();
    let no_old = std::ptr::null_mut::<libc::rlimit64>();
    // SAFETY: the structure lives across the call; a null pointer asks for nothing back.
    match unsafe { libc::syscall(libc::SYS_prlimit64, process, resource, &raw const limit, no_old) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The limits of this process.
///
/// # Errors
/// The kernel's.
pub fn limit(resource: u32) -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure lives across the call.
    match unsafe { libc::getrlimit(resource, &raw mut limit) } {
        0 => Ok((limit.rlim_cur, limit.rlim_max)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// ioprio_set(2) of this process.
///
/// # Errors
/// The kernel's.
pub fn set_io_priority(class: u32, level: u32) -> io::Result<()> {
    const WHO_PROCESS: i32 = 1;
    const CLASS_SHIFT: u32 = 13;
    let priority = (class << CLASS_SHIFT) | level;
    // SAFETY: takes numbers only.
    match unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, priority) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// `struct sched_attr` (sched_setattr(2)), without the size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SchedulerAttributes {
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// -20 to 19.
    pub nice: i32,
    /// For the real-time policies.
    pub priority: u32,
    /// Nanoseconds.
    pub runtime: u64,
    /// Nanoseconds.
    pub deadline: u64,
    /// Nanoseconds.
    pub period: u64,
}

/// sched_setattr(2) of this process.
///
/// # Errors
/// The kernel's.
pub fn set_scheduler(attributes: SchedulerAttributes) -> io::Result<()> {
    #[repr(C)]
    struct SchedAttr {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
    }
    let SchedulerAttributes { policy, flags, nice, priority, runtime, deadline, period } = attributes;
    let size = u32::try_from(size_of::<SchedAttr>()).unwrap_or(0);
    let argument = SchedAttr { size, policy, flags, nice, priority, runtime, deadline, period };
    // SAFETY: the structure lives across the call and has its own size.
    match unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const argument, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Processors on which this process may run, by number.
///
/// # Errors
/// The kernel's; `InvalidInput` for a number beyond 1023.
pub fn set_affinity(processors: &[usize]) -> io::Result<()> {
    let mut set = [0_u64; 16];
    for number in processors {
        let word = set.get_mut(number / 64).ok_or(io::ErrorKind::InvalidInput)?;
        *word |= 1 << (number % 64);
    }
    // SAFETY: the array lives across the call and its size is given.
    match unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(&set), set.as_ptr()) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// A session keyring of its own, called `name` (keyctl(2), `KEYCTL_JOIN_SESSION_KEYRING`).
///
/// # Errors
/// The kernel's; `ENOSYS` where it has no keys.
pub fn join_session_keyring(name: &CStr) -> io::Result<()> {
    const JOIN_SESSION_KEYRING: i32 = 1;
    // SAFETY: the string lives across the call.
    match unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, name.as_ptr(), 0, 0, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Sets the NIS domain name.
///
/// # Errors
/// The kernel's.
pub fn set_domain_name(name: &[u8]) -> io::Result<()> {
    Ok(rustix::system::setdomainname(name)?)
}

/// Takes every handler and every blocked signal away: a program that is executed keeps what is
/// ignored and blocked, and ours is not its business.
///
/// # Errors
/// The kernel's.
pub fn reset_signals() -> io::Result<()> {
    for signal in (1..=31).filter(|s| *s != libc::SIGKILL && *s != libc::SIGSTOP) {
        // SAFETY: the default action runs no code of ours.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: initialises the set.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    // SAFETY: the set was initialised above.
    match unsafe { libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Brings the loopback interface of this network namespace up.
///
/// # Errors
/// The kernel's.
pub fn bring_loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)?;
    // SAFETY: all bits zero are a valid structure of numbers and bytes.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(*b"lo") {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    request.ifr_ifru.ifru_flags = i16::try_from(libc::IFF_UP | libc::IFF_RUNNING).unwrap_or(1);
    // SAFETY: the structure lives across the call.
    match unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
