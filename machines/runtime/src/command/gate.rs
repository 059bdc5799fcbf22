//! The gate between create and start: a socket in the container's directory on which the created
//! process listens.
//!
//! ```text
//!   start                         created process
//!     │ connects                    │ accepts
//!     │ ── one byte ──────────────▶ │ executes the program: its end closes
//!     │ ◀──────────── end of stream │   or, when it cannot: ◀── Failed
//! ```
//! A fifo like runc's would let through as well, but could not say why the program did not start.
//! Who connects and goes away without the byte has only looked; a gate that refuses is open.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// The socket's name in the container's directory.
pub(super) const NAME: &str = "start";

/// Makes the gate of a container.
pub(super) fn make(directory: &Path) -> io::Result<OwnedFd> {
    let handle = open(directory)?;
    let socket = socket()?;
    rustix::net::bind(&socket, &address(&handle)?)?;
    rustix::net::listen(&socket, 4)?;
    Ok(socket)
}

/// Connects to the process behind the gate.
pub(super) fn connect(directory: &Path) -> io::Result<OwnedFd> {
    let handle = open(directory)?;
    let socket = socket()?;
    rustix::net::connect(&socket, &address(&handle)?)?;
    Ok(socket)
}

/// Whether a created process waits behind it.
pub(super) fn is_closed(directory: &Path) -> bool {
    directory.join(NAME).exists() && connect(directory).is_ok()
}

fn socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

fn open(directory: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// By the handle: the path itself may be longer than the 108 bytes of an address.
fn address(directory: &OwnedFd) -> io::Result<SocketAddrUnix> {
    let path = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(NAME);
    Ok(SocketAddrUnix::new(path)?)
}
