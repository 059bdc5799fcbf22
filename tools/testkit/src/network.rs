//! Network namespaces of engines and containers, entered by tests.

use std::net::SocketAddr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
pub use dhow_model::ports::NetworkSpace;
use dhow_net::link::{Address, Pair};
use dhow_net::sandbox::Sandbox;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A host of an engine's own, as far as networks are concerned: a namespace in which `lo` is up.
///
/// # Errors
/// The kernel's.
pub fn host() -> Result<NetworkSpace> {
    Ok(Sandbox::new()?.into_space())
}

/// The address of a [`host`] on the wire to the [`outside`].
pub const HOST: &str = "192.0.2.1";

/// A machine outside, on a wire with a host.
///
/// # Errors
/// The kernel's.
pub fn outside(host: &NetworkSpace) -> Result<NetworkSpace> {
    let (mut host, mut outside) = (Sandbox::at(host.path().to_owned())?, Sandbox::new()?);
    let namespace = outside.as_fd();
    let wire = Pair { name: "wire0", master: None, peer: "eth0", namespace, mac: None, mtu: None };
    host.links().add_pair(&wire)?;
    for (sandbox, link, address) in [(&mut host, "wire0", HOST), (&mut outside, "eth0", "192.0.2.9")] {
        let end = sandbox.links().find(link)?.context("an end of the wire")?.index;
        sandbox.links().configure(end, &[Address { address: address.parse()?, prefix: 24 }], &[])?;
    }
    Ok(outside.into_space())
}

/// A program in it.
#[must_use]
pub fn command(space: &NetworkSpace, program: &Path) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", space.path().display())).arg("--").arg(program);
    command
}

/// Takes this thread there, and all that it starts afterwards.
///
/// # Errors
/// The kernel's.
pub fn enter(namespace: BorrowedFd<'_>) -> Result<()> {
    Ok(move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))?)
}

/// Does something in a namespace, on a thread of its own.
///
/// # Panics
/// When the deed does, or the namespace cannot be entered.
pub fn within<T: Send>(namespace: BorrowedFd<'_>, deed: impl FnOnce() -> T + Send) -> T {
    let entered = || {
        enter(namespace).expect("a network namespace");
        deed()
    };
    std::thread::scope(|scope| scope.spawn(entered).join()).expect("the deed does not panic")
}

/// The same in that of a process.
///
/// # Errors
/// When there is no such process.
pub fn of_process<T: Send>(pid: u32, deed: impl FnOnce() -> T + Send) -> Result<T> {
    let namespace = std::fs::File::open(format!("/proc/{pid}/ns/net")).context("a namespace")?;
    Ok(within(namespace.as_fd(), deed))
}

/// A socket of SCTP, bound to an address; none where the kernel does not speak it.
///
/// # Errors
/// The kernel's.
pub fn sctp(own: SocketAddr) -> Result<Option<OwnedFd>> {
    let (family, kind) = (AddressFamily::INET, SocketType::STREAM);
    match rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, Some(ipproto::SCTP)) {
        Err(Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT) => Ok(None),
        made => {
            let socket = made.context("make a socket of SCTP")?;
            rustix::net::bind(&socket, &own).context("bind a socket of SCTP")?;
            Ok(Some(socket))
        }
    }
}

/// Answers every association with a word, for ever.
///
/// # Errors
/// The kernel's.
pub fn serve_sctp(socket: OwnedFd, word: &'static [u8]) -> Result<()> {
    rustix::net::listen(&socket, 8)?;
    std::thread::spawn(move || {
        while let Ok(association) = rustix::net::accept(&socket) {
            // Who asked may be gone.
            let _ = rustix::io::write(&association, word);
        }
    });
    Ok(())
}

/// What somebody says to a new association.
///
/// # Errors
/// The kernel's: nobody is there.
pub fn ask_sctp(socket: &OwnedFd, to: SocketAddr) -> Result<Vec<u8>> {
    rustix::net::connect(socket, &to)?;
    let mut heard = vec![0; 64];
    let length = rustix::io::read(socket, &mut heard[..])?;
    heard.truncate(length);
    Ok(heard)
}
