//! Whether a program of the host has a port already.

use std::io;
use std::net::{IpAddr, SocketAddr};

use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, ipproto, sockopt};

/// Tries to have a port, and leaves it at once.
///
/// # Errors
/// `AddrInUse`, `AddrNotAvailable`: the kernel's.
pub(super) fn check(protocol: &str, host: IpAddr, port: u16) -> io::Result<()> {
    let (kind, number) = match protocol {
        "udp" => (SocketType::DGRAM, ipproto::UDP),
        "sctp" => (SocketType::STREAM, ipproto::SCTP),
        _ => (SocketType::STREAM, ipproto::TCP),
    };
    match bind((kind, number), SocketAddr::new(host, port)) {
        // A kernel without SCTP has no program that uses it.
        Err(Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT) => Ok(()),
        done => Ok(done?),
    }
}

fn bind((kind, number): (SocketType, Protocol), address: SocketAddr) -> rustix::io::Result<()> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, Some(number))?;
    if kind == SocketType::STREAM {
        // What a program left waiting for its last packets is in nobody's way.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)
}
