//! What a monitor leaves in the run directory, for engines that come later.
//!
//! ```text
//! <exec-root>/containers/<id>/        0700, made by the engine; all of it is gone after a boot
//!   monitor.sock                      0600, while the monitor lives
//!   state.json                        State, from the start on
//!   exit.json                         Exit, once the container has ended
//!   <exec id>.sock                    0600, while that exec's monitor lives
//!   <exec id>.exit.json               Exit, until an engine has read it
//! ```
//! Records are written beside their place and renamed, so that there is none or a whole one. They
//! are not synced: after a boot no process of them is left.

use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use dhow_model::container::Running;
use rustix::fs::{AtFlags, Mode, OFlags, openat, renameat, unlinkat};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::channel::Channel;

/// The longest record that is read.
const LONGEST: u64 = 64 * 1024;

/// What a container's monitor knows and a later engine needs when that monitor is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The first process.
    pub running: Running,
    /// When the kernel made it, in clock ticks since boot: ids are used again, pairs are not.
    pub ticks: u64,
    /// Its cgroup, as the configuration named it; empty when it did not.
    pub cgroup: String,
}

/// The names in the run directory that belong to a container (`exec` none) or to one of its execs.
#[derive(Debug, Clone)]
pub struct Names {
    /// The control socket.
    pub socket: String,
    /// The exit record.
    pub exit: String,
}

/// The name of a container's [`State`].
pub const STATE: &str = "state.json";

impl Names {
    /// The names for a target.
    #[must_use]
    pub fn of(exec: Option<&str>) -> Self {
        match exec {
            None => Self { socket: "monitor.sock".into(), exit: "exit.json".into() },
            Some(id) => Self { socket: format!("{id}.sock"), exit: format!("{id}.exit.json") },
        }
    }
}

/// Opens a run directory.
///
/// # Errors
/// The kernel's.
pub fn open_directory(path: &std::path::Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Writes a record, whole or not at all.
///
/// # Errors
/// The kernel's.
pub fn write(directory: BorrowedFd<'_>, name: &str, record: &impl Serialize) -> io::Result<()> {
    let part = format!("{name}.part");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let mut file = std::fs::File::from(openat(directory, &*part, flags, Mode::RUSR | Mode::WUSR)?);
    let bytes = serde_json::to_vec(record)?;
    let written = io::Write::write_all(&mut file, &bytes)
        .and_then(|()| Ok(renameat(directory, &*part, directory, name)?));
    if written.is_err() {
        remove(directory, &part);
    }
    written
}

/// Reads a record; none when it is not there.
///
/// # Errors
/// The kernel's, and [`io::ErrorKind::InvalidData`] when it is none.
pub fn read<T: DeserializeOwned>(directory: BorrowedFd<'_>, name: &str) -> io::Result<Option<T>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = match openat(directory, name, flags, Mode::empty()) {
        Ok(file) => std::fs::File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes)?;
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Removes a name; it is no error that it is not there.
pub fn remove(directory: BorrowedFd<'_>, name: &str) {
    let _ = unlinkat(directory, name, AtFlags::empty());
}

/// Makes a control socket and listens on it.
///
/// # Errors
/// The kernel's.
pub fn listen_at(directory: BorrowedFd<'_>, name: &str) -> io::Result<OwnedFd> {
    let socket = seqpacket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    // Before it has a name: there is no instant in which others could connect.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    remove(directory, name);
    bind(&socket, &address(directory, name)?)?;
    listen(&socket, 16)?;
    Ok(socket)
}

/// Connects to a control socket.
///
/// # Errors
/// The kernel's: not found or refused when the monitor is gone.
pub fn connect_to(directory: BorrowedFd<'_>, name: &str) -> io::Result<Channel> {
    let socket = seqpacket(SocketFlags::CLOEXEC)?;
    connect(&socket, &address(directory, name)?)?;
    Ok(Channel::from(socket))
}

fn seqpacket(flags: SocketFlags) -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

/// Through the directory's handle: an address has room for 108 bytes, and two ids of 64 digits below
/// some directory of the user's are longer.
fn address(directory: BorrowedFd<'_>, name: &str) -> io::Result<SocketAddrUnix> {
    let directory = directory.as_fd().as_raw_fd();
    Ok(SocketAddrUnix::new(format!("/proc/self/fd/{directory}/{name}"))?)
}

/// When the kernel made process `pid`: field 22 of its stat. None when there is no such process.
#[must_use]
pub fn ticks_of(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may contain anything.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_there_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let handle = open_directory(directory.path()).unwrap();
        assert!(read::<Running>(handle.as_fd(), "x").unwrap().is_none());
        let running = Running { pid: 1, started: dhow_model::Timestamp::NEVER };
        write(handle.as_fd(), "x", &running).unwrap();
        assert_eq!(read::<Running>(handle.as_fd(), "x").unwrap(), Some(running));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        std::fs::write(directory.path().join("x"), "{\"pid\":").unwrap();
        assert!(read::<Running>(handle.as_fd(), "x").is_err());
    }

    #[test]
    fn a_socket_can_be_reached_however_long_its_path_is() {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let handle = open_directory(&deep).unwrap();
        let name = Names::of(Some(&"e".repeat(64))).socket;
        let _listener = listen_at(handle.as_fd(), &name).unwrap();
        connect_to(handle.as_fd(), &name).unwrap();
        let mode = std::fs::metadata(deep.join(name)).unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o600);
    }

    #[test]
    fn a_process_is_known_by_the_time_it_was_made() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(ticks_of(own), ticks_of(own));
        assert!(ticks_of(own).is_some_and(|ticks| ticks > 0));
        assert_eq!(ticks_of(i32::MAX), None);
    }
}
