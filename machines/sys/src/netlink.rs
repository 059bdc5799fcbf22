//! What rustix lacks of netlink(7) sockets.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _};

/// Errors carry a sentence of the kernel's, and not a copy of the request (`NETLINK_EXT_ACK`, `NETLINK_CAP_ACK`).
///
/// # Errors
/// The kernel's.
pub fn explain_errors(socket: impl AsFd) -> io::Result<()> {
    set(&socket, libc::NETLINK_EXT_ACK, 1)?;
    set(&socket, libc::NETLINK_CAP_ACK, 1)
}

/// Joins a multicast group: the socket then hears what changes.
///
/// # Errors
/// The kernel's.
pub fn join_group(socket: impl AsFd, group: u32) -> io::Result<()> {
    let group = libc::c_int::try_from(group).map_err(|_| io::ErrorKind::InvalidInput)?;
    set(&socket, libc::NETLINK_ADD_MEMBERSHIP, group)
}

fn set(socket: &impl AsFd, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let size = libc::socklen_t::try_from(size_of_val(&value)).unwrap_or(4);
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel reads one int, which lives across the call.
    match unsafe { libc::setsockopt(fd, libc::SOL_NETLINK, option, (&raw const value).cast(), size) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
