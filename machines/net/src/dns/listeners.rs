//! Where a container's questions arrive: a UDP and a TCP socket on 127.0.0.11 in its network namespace.
//!
//! Programs ask at port 53. The sockets are elsewhere, and a table in the namespace leads there, because one who is
//! bound to 127.0.0.11:53 keeps every program of the container from being a name server on all addresses itself.
//! The port is always the same one where that is possible: when an engine takes over from another, programs that
//! keep their socket go on being answered. It is one below 512 that nobody has a use for, so that it is neither
//! taken by a program that wants any port nor by one that wants a reserved one.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use dhow_model::ports::SpareListeners;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::firewall;
use crate::sandbox;

/// Docker's, and what containers have in /etc/resolv.conf.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
const PORT: u16 = 53;
/// None of them was ever assigned to a service. Then any that is free.
const REAL: [u16; 5] = [6, 8, 10, 12, 0];
/// Connections that wait to be taken.
const BACKLOG: i32 = 32;

/// The sockets of one namespace. It lives as long as they do.
#[derive(Debug)]
pub struct Listeners {
    pub(super) datagrams: UdpSocket,
    pub(super) streams: TcpListener,
    pub(super) namespace: OwnedFd,
}

impl Listeners {
    /// Those that were opened in advance, in this namespace.
    ///
    /// # Errors
    /// The kernel's: no descriptor is left.
    pub fn from_spare(spare: SpareListeners, namespace: impl AsFd) -> io::Result<Self> {
        let SpareListeners { datagrams, streams } = spare;
        Ok(Self { datagrams, streams, namespace: namespace.as_fd().try_clone_to_owned()? })
    }

    /// Them without the namespace, which does not live longer for them.
    #[must_use]
    pub fn into_spare(self) -> SpareListeners {
        SpareListeners { datagrams: self.datagrams, streams: self.streams }
    }

    /// Opens them in a namespace in which `lo` is up.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(namespace: BorrowedFd<'_>) -> io::Result<Self> {
        sandbox::within(namespace, || Self::here(namespace))
    }

    /// Opens them in the namespace that this thread is in, of which `namespace` is a handle.
    ///
    /// # Errors
    /// The kernel's.
    pub fn here(namespace: impl AsFd) -> io::Result<Self> {
        let (datagrams, streams, port) = bind_any(&REAL)?;
        match firewall::redirect(ADDRESS, PORT, port) {
            Ok(()) => Self::of(datagrams, streams, namespace),
            Err(error) => {
                // Without it, containers that are name servers on all addresses have to do without us, and all
                // others are served the same.
                tracing::debug!("names are served at port 53 itself: {error}");
                drop((datagrams, streams));
                let (datagrams, streams, _) = bind_any(&[PORT])?;
                Self::of(datagrams, streams, namespace)
            }
        }
    }

    fn of(datagrams: OwnedFd, streams: OwnedFd, namespace: impl AsFd) -> io::Result<Self> {
        let namespace = namespace.as_fd().try_clone_to_owned()?;
        Ok(Self { datagrams: datagrams.into(), streams: streams.into(), namespace })
    }
}

/// Both sockets at the first of these ports that is free for both.
fn bind_any(ports: &[u16]) -> io::Result<(OwnedFd, OwnedFd, u16)> {
    let mut refused = Errno::ADDRINUSE;
    for port in ports {
        match bind(*port) {
            Ok(bound) => return Ok(bound),
            Err(errno) => refused = errno,
        }
    }
    Err(io::Error::new(io::Error::from(refused).kind(), format!("cannot listen on {ADDRESS}: {refused}")))
}

fn bind(port: u16) -> Result<(OwnedFd, OwnedFd, u16), Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let datagrams = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)?;
    rustix::net::bind(&datagrams, &SocketAddrV4::new(ADDRESS, port))?;
    let own = SocketAddrV4::try_from(rustix::net::getsockname(&datagrams)?)?;
    let streams = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    // Connections of the engine before this one may not have ended yet.
    sockopt::set_socket_reuseaddr(&streams, true)?;
    rustix::net::bind(&streams, &own)?;
    rustix::net::listen(&streams, BACKLOG)?;
    Ok((datagrams, streams, own.port()))
}
