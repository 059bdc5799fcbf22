//! Terminals: the size, and the controlling one of a session.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

/// A new terminal: the master side, and the process's side.
#[derive(Debug)]
pub struct Terminal {
    /// Read and written by whoever watches the process.
    pub master: OwnedFd,
    /// The process's standard streams.
    pub slave: OwnedFd,
}

/// Opens a new terminal of the devpts that `ptmx` (a handle on a directory with `ptmx` in it) is of.
///
/// The process's side is opened through the master (`TIOCGPTPEER`), never by its path, which the
/// container could have replaced (CVE-2025-52565).
///
/// # Errors
/// The kernel's.
pub fn open(devpts: impl AsFd) -> io::Result<Terminal> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let master = rustix::fs::openat(devpts, "ptmx", flags, Mode::empty())?;
    rustix::pty::unlockpt(&master)?;
    let slave = rustix::pty::ioctl_tiocgptpeer(
        &master,
        OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC,
    )?;
    Ok(Terminal { master, slave })
}

/// Sets rows and columns.
///
/// # Errors
/// The kernel's.
pub fn resize(terminal: impl AsFd, rows: u16, columns: u16) -> io::Result<()> {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(rustix::termios::tcsetwinsize(terminal, size)?)
}

/// Makes it the controlling terminal of this session.
///
/// # Errors
/// The kernel's.
pub fn control(terminal: impl AsFd) -> io::Result<()> {
    // SAFETY: takes a number only.
    match unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSCTTY, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
