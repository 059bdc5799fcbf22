//! Addresses to listen on, as `-H` and `hosts` write them, in dockerd's words where they are wrong.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};

/// `sun_path` of unix(7), without its last NUL.
const LONGEST: usize = 107;
/// Where nothing is said: IANA's numbers for Docker.
const PORT: u16 = 2375;
/// The same with TLS.
pub(super) const TLS_PORT: u16 = 2376;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Address {
    /// A path.
    Unix(PathBuf),
    /// An address and a port.
    Tcp(SocketAddr),
    /// What the service manager listens on already: all of it, or one descriptor.
    Inherited(Option<i32>),
}

impl Address {
    /// Reads one.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        let read = match scheme {
            "unix" => unix(rest),
            "tcp" => tcp(rest),
            "fd" => return inherited(rest),
            other => bail!("invalid bind address ({text}): unsupported proto '{other}'"),
        };
        read.with_context(|| format!("invalid bind address ({text})"))
    }

    /// TCP on this machine alone.
    pub(super) fn loopback(port: u16) -> Self {
        Self::Tcp((Ipv4Addr::LOCALHOST, port).into())
    }
}

fn unix(path: &str) -> Result<Address> {
    ensure!(!path.contains("://"), "invalid unix address: {path}");
    ensure!(path.starts_with('/'), "the path of a socket must be absolute");
    ensure!(path.len() <= LONGEST, "a socket's path has at most {LONGEST} bytes");
    Ok(Address::Unix(path.into()))
}

fn tcp(text: &str) -> Result<Address> {
    ensure!(!text.contains('/'), "should not contain a path element");
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port = match port.filter(|port| !port.is_empty()) {
        None => PORT,
        Some(port) => match port.parse() {
            Ok(0) | Err(_) => bail!("invalid port: {port}"),
            Ok(number) => number,
        },
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let address = match host {
        "" | "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        host => host.parse().ok().with_context(|| format!("{host} is no IP address"))?,
    };
    Ok(Address::Tcp((address, port).into()))
}

fn inherited(text: &str) -> Result<Address> {
    match text {
        "" | "*" => Ok(Address::Inherited(None)),
        number => {
            let number = number.parse().ok();
            let number = number
                .with_context(|| format!("failed to parse systemd fd address: should be a number: {text}"));
            Ok(Address::Inherited(Some(number?)))
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(out, "unix://{}", path.display()),
            Self::Tcp(address) => write!(out, "tcp://{address}"),
            Self::Inherited(None) => write!(out, "fd://"),
            Self::Inherited(Some(number)) => write!(out, "fd://{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_dockerd_reads_them() {
        for (text, read) in [
            ("unix:///run/a.sock", "unix:///run/a.sock"),
            ("tcp://127.0.0.1:2377", "tcp://127.0.0.1:2377"),
            ("tcp://0.0.0.0", "tcp://0.0.0.0:2375"),
            ("tcp://", "tcp://127.0.0.1:2375"),
            ("tcp://:5555", "tcp://127.0.0.1:5555"),
            ("localhost:2376", "tcp://127.0.0.1:2376"),
            ("tcp://[::1]:2376", "tcp://[::1]:2376"),
            ("fd://", "fd://"),
            ("fd://*", "fd://"),
            ("fd://4", "fd://4"),
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), read, "{text}");
        }
    }

    #[test]
    fn wrong_addresses_are_refused_in_dockerds_words() {
        for (text, words) in [
            ("ssh://host", "invalid bind address (ssh://host): unsupported proto 'ssh'"),
            ("tcp://1.2.3.4:0", "invalid bind address (tcp://1.2.3.4:0): invalid port: 0"),
            ("tcp://1.2.3.4:x", "invalid bind address (tcp://1.2.3.4:x): invalid port: x"),
            ("/a", "invalid bind address (/a): should not contain a path element"),
            ("unix://tcp://a", "invalid bind address (unix://tcp://a): invalid unix address: tcp://a"),
            ("unix://a", "invalid bind address (unix://a): the path of a socket must be absolute"),
            ("fd://a", "failed to parse systemd fd address: should be a number: a"),
        ] {
            assert_eq!(format!("{:#}", Address::parse(text).unwrap_err()), words);
        }
    }
}
