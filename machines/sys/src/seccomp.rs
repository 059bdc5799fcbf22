//! seccomp(2): installs a filter of system calls.

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};

const SET_MODE_FILTER: libc::c_uint = 1;
const FLAG_NEW_LISTENER: u32 = 1 << 3;

/// Installs a filter for the calling thread. Instructions are as `struct sock_filter` lies in memory.
/// Returns the descriptor of notifications when the flags ask for one. Allocates nothing.
///
/// # Errors
/// The kernel's.
pub fn install(program: &[u64], flags: u32) -> io::Result<Option<OwnedFd>> {
    let length = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let filter = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: the filter points to `len` instructions of 8 bytes, which the kernel copies and does not
    // write to.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, flags, std::ptr::from_ref(&filter)) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    if flags & FLAG_NEW_LISTENER == 0 {
        return Ok(None);
    }
    let fd = libc::c_int::try_from(result).map_err(|_| io::ErrorKind::InvalidData)?;
    // SAFETY: the kernel made this descriptor for us just now.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }))
}
