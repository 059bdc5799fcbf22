//! Signals to a process that is named by a descriptor.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _};

/// Sends signal `number` (real-time ones too, which rustix has no safe way for) to the process that
/// `process`, a pidfd, names.
///
/// # Errors
/// The kernel's: `ESRCH` when it has ended, `EINVAL` for a number that is no signal.
pub fn send(process: impl AsFd, number: i32) -> io::Result<()> {
    let process = process.as_fd().as_raw_fd();
    let no_details = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null pointer stands for the details that kill(2) would give.
    match unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process, number, no_details, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The same for all processes of the group that the process leads, where the kernel can (Linux 6.9), and else
/// for the process alone.
///
/// # Errors
/// As [`send`].
pub fn send_to_group(process: impl AsFd, number: i32) -> io::Result<()> {
    /// `PIDFD_SIGNAL_PROCESS_GROUP` (pidfd_send_signal(2)).
    const GROUP: libc::c_uint = 1 << 2;
    let descriptor = process.as_fd().as_raw_fd();
    let no_details = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null pointer stands for the details that kill(2) would give.
    match unsafe { libc::syscall(libc::SYS_pidfd_send_signal, descriptor, number, no_details, GROUP) } {
        0 => Ok(()),
        _ => send(process, number),
    }
}
