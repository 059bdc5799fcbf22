//! A call of another runtime that makes a process: its streams, or its terminal, come to us.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::process::Command;

use dhow_model::ports::StdioPlan;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::Pid;

use super::super::record;
use super::super::spawn::own;
use super::super::stream::{Ends, Streams};
use super::Other;
use crate::container::Result;

/// Has the runtime make a process, which writes its number and gets our streams.
pub(super) fn call(
    other: &Other,
    mut command: Command,
    stdio: &StdioPlan,
) -> Result<(Pid, OwnedFd, Streams)> {
    command.arg("--pid-file").arg(other.file("pid"));
    if stdio.terminal {
        return with_terminal(other, command, stdio);
    }
    let (streams, Ends { mut stdin, stdout, stderr }) =
        Streams::pipes(stdio).map_err(|error| own("make pipes", &error))?;
    if !stdio.open_stdin {
        stdin = nothing()?;
    }
    command.arg(&other.id).stdin(stdin).stdout(stdout).stderr(stderr);
    other.run(command)?;
    let (pid, process) = other.process()?;
    Ok((pid, process, streams))
}

/// What ends at once. Not the host's null device: crun gives its streams to the user of the container, whatever they are.
fn nothing() -> Result<OwnedFd> {
    let pipe = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
    pipe.map(|(reader, _)| reader).map_err(|error| own("make pipes", &error.into()))
}

fn with_terminal(other: &Other, mut command: Command, stdio: &StdioPlan) -> Result<(Pid, OwnedFd, Streams)> {
    let name = format!("{}console", other.call);
    let (socket, directory) =
        listen(&other.directory, &name).map_err(|error| own("listen for the terminal", &error))?;
    // Its own path may be longer than an address can be.
    let address = format!("/proc/{}/fd/{}/{name}", std::process::id(), directory.as_raw_fd());
    command.arg("--console-socket").arg(address).arg(&other.id);
    // Nobody reads what it says there: it has a log.
    let (unread, said) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|error| own("make pipes", &error.into()))?;
    let again = said.try_clone().map_err(|error| own("make pipes", &error))?;
    command.stdin(nothing()?).stdout(said).stderr(again);
    let called = other.run(command);
    drop(unread);
    let _ = fs::remove_file(other.directory.join(&name));
    called?;
    let master = receive(&socket).map_err(|error| own("receive the terminal", &error))?;
    if let Some(size) = stdio.size {
        dhow_sys::terminal::resize(&master, size.rows, size.columns)
            .map_err(|error| own("set the size of the terminal", &error))?;
    }
    let streams = Streams::terminal(master).map_err(|error| own("hold the terminal", &error))?;
    let (pid, process) = other.process()?;
    Ok((pid, process, streams))
}

fn listen(directory: &Path, name: &str) -> io::Result<(OwnedFd, OwnedFd)> {
    let directory = record::open_directory(directory)?;
    let address = format!("/proc/self/fd/{}/{name}", directory.as_raw_fd());
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(address)?)?;
    rustix::net::listen(&socket, 1)?;
    Ok((socket, directory))
}

/// The runtime has connected and sent it before it ended.
fn receive(socket: &OwnedFd) -> io::Result<OwnedFd> {
    rustix::io::ioctl_fionbio(socket, true)?;
    let connection = rustix::net::accept_with(socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    let (_, descriptors) = dhow_sys::channel::receive(&connection, &mut [0; 4096])?;
    descriptors.into_iter().next().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}
