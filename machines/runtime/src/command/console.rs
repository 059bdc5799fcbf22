//! Terminals of the command: handed to who listens on `--console-socket`, or served here.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use dhow_model::{Error, Result};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::termios::{OptionalActions, Termios};

use super::arguments::Parsed;

/// Sends the master side of a terminal to who listens at `path`, with a name along, as runc does.
pub(super) fn send(path: &str, master: BorrowedFd<'_>) -> Result<()> {
    send_descriptor(Path::new(path), b"/dev/ptmx", master)
        .map_err(|error| Error::internal(format!("cannot send the terminal to {path}")).because(error))
}

/// Sends the descriptor of a process to who listens at `--pidfd-socket`.
pub(super) fn send_process(parsed: &Parsed, process: BorrowedFd<'_>) -> Result<()> {
    let Some(path) = parsed.value("pidfd-socket").filter(|path| !path.is_empty()) else { return Ok(()) };
    send_descriptor(Path::new(path), b"pidfd", process)
        .map_err(|error| Error::internal(format!("cannot send the process to {path}")).because(error))
}

fn send_descriptor(path: &Path, name: &[u8], descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    dhow_sys::channel::send(&socket, name, &[descriptor])
}

/// Whether the flags fit the process; create, and whoever detaches, cannot serve a terminal.
pub(super) fn check(parsed: &Parsed, terminal: bool) -> Result<()> {
    let socket = parsed.value("console-socket").is_some_and(|path| !path.is_empty());
    let serves = parsed.value("detach").is_some_and(|value| value == "false");
    if terminal && !socket && !serves {
        return Err(Error::invalid(
            "cannot allocate tty if runtime will detach without setting console socket",
        ));
    }
    if socket && !terminal {
        return Err(Error::invalid("cannot use console socket if runtime will not detach or allocate tty"));
    }
    Ok(())
}

/// The caller's terminal, passing every key on, until this value ends.
pub(super) struct Raw(Option<Termios>);

impl Raw {
    /// Does nothing where standard input is no terminal.
    pub(super) fn enter() -> Self {
        let stdin = std::io::stdin();
        let Ok(before) = rustix::termios::tcgetattr(&stdin) else { return Self(None) };
        let mut raw = before.clone();
        raw.make_raw();
        let _ = rustix::termios::tcsetattr(&stdin, OptionalActions::Now, &raw);
        Self(Some(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = rustix::termios::tcsetattr(std::io::stdin(), OptionalActions::Drain, before);
        }
    }
}

/// Gives a terminal the size of the caller's.
pub(super) fn follow_size(master: BorrowedFd<'_>) {
    if let Ok(size) = rustix::termios::tcgetwinsize(std::io::stdin()) {
        let _ = rustix::termios::tcsetwinsize(master, size);
    }
}
