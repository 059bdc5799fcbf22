//! Where an engine listens, as written in `-H` and `DOCKER_HOST`, and how to get there.

use std::fmt;
use std::io;
use std::net::{IpAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::carrier::Carrier;
use super::ssh::Remote;
use super::{Error, pump, resolve, tls};

/// The ports of IANA for Docker, without TLS and with it.
const PORTS: (u16, u16) = (2375, 2376);
/// How long a machine may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(30);

/// The address of an engine.
#[derive(Clone, Debug)]
pub struct Endpoint {
    place: Place,
    tls: Option<Arc<rustls::ClientConfig>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Unix(PathBuf),
    Tcp { host: String, port: Option<u16>, written: String },
    Ssh(Remote),
}

impl Endpoint {
    /// The socket at a path.
    pub fn unix(socket: impl Into<PathBuf>) -> Endpoint {
        Endpoint { place: Place::Unix(socket.into()), tls: None }
    }

    /// Reads an address: `unix:///run/dhow/dhow.sock`, `tcp://host:2376`, `ssh://user@host`.
    pub fn parse(host: &str) -> Result<Endpoint, Error> {
        let Some((scheme, rest)) = host.split_once("://") else {
            return Err(Error::Host(format!("unable to parse docker host `{host}`")));
        };
        let place = match scheme {
            "unix" if !rest.is_empty() => Place::Unix(rest.into()),
            "unix" => return Err(Error::Host(format!("no socket path in docker host `{host}`"))),
            "tcp" => tcp(host, rest)?,
            "ssh" => Place::Ssh(Remote::parse(rest)?),
            "http" | "https" | "npipe" | "fd" => {
                return Err(Error::Host(format!("docker host `{host}`: {scheme} is not supported")));
            }
            _ => return Err(Error::Host(format!("unable to parse docker host `{host}`"))),
        };
        Ok(Endpoint { place, tls: None })
    }

    /// The same with TLS, when it is TCP: nothing else is spoken with it.
    pub fn with_tls(self, files: &tls::TlsFiles) -> Result<Endpoint, Error> {
        match self.place {
            Place::Tcp { .. } => Ok(Endpoint { tls: Some(files.load()?), ..self }),
            _ => Ok(self),
        }
    }

    /// The path of the socket, when it is one of this machine.
    pub fn socket(&self) -> Option<&Path> {
        match &self.place {
            Place::Unix(path) => Some(path),
            _ => None,
        }
    }

    /// A stream to the engine, and what carries it.
    pub(crate) fn open(&self) -> Result<(UnixStream, Carrier), Error> {
        match &self.place {
            Place::Unix(path) => match UnixStream::connect(path) {
                Ok(stream) => Ok((stream, Carrier::Kernel)),
                Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
                    Err(Error::Forbidden { host: self.to_string(), source })
                }
                Err(source) => Err(Error::NotListening { host: self.to_string(), source }),
            },
            Place::Tcp { host, port, .. } => self.open_tcp(host, *port),
            Place::Ssh(remote) => remote.open(),
        }
    }

    fn open_tcp(&self, host: &str, port: Option<u16>) -> Result<(UnixStream, Carrier), Error> {
        let not_there = |source| Error::NotListening { host: self.to_string(), source };
        let port = port.unwrap_or(if self.tls.is_some() { PORTS.1 } else { PORTS.0 });
        let addresses = resolve::addresses(host).map_err(Error::transport("dial tcp"))?;
        let stream = connect(&addresses, port).map_err(not_there)?;
        stream.set_nodelay(true).map_err(not_there)?;
        match &self.tls {
            // Reading, writing, half-closing and duplicating are the same calls for a socket of any family.
            None => Ok((UnixStream::from(OwnedFd::from(stream)), Carrier::Kernel)),
            Some(config) => pump::start(stream, host, Arc::clone(config)),
        }
    }
}

fn connect(addresses: &[IpAddr], port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpStream::connect_timeout(&(*address, port).into(), PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn tcp(written: &str, rest: &str) -> Result<Place, Error> {
    let wrong = |why: &str| Error::Host(format!("unable to parse docker host `{written}`: {why}"));
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains('/') {
        return Err(wrong("a path is not supported"));
    }
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let port = port.map(str::parse).transpose().map_err(|_| wrong("invalid port"))?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() {
        return Err(wrong("no host"));
    }
    Ok(Place::Tcp { host: host.into(), port, written: written.into() })
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Unix(path) => write!(out, "unix://{}", path.display()),
            Place::Tcp { written, .. } => out.write_str(written),
            Place::Ssh(remote) => write!(out, "ssh://{remote}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_written_back() {
        for (text, written) in [
            ("unix:///run/x", "unix:///run/x"),
            ("tcp://1.2.3.4:2375", "tcp://1.2.3.4:2375"),
            ("tcp://[::1]:2376/", "tcp://[::1]:2376/"),
            ("ssh://me@there:22/run/x", "ssh://me@there:22/run/x"),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), written);
        }
        assert_eq!(Endpoint::unix("/run/x").socket(), Some(Path::new("/run/x")));
    }

    #[test]
    fn a_wrong_address_is_refused() {
        let words = |host| Endpoint::parse(host).unwrap_err().to_string();
        assert_eq!(words("/run/x"), "unable to parse docker host `/run/x`");
        assert!(words("npipe:////./pipe/x").contains("npipe is not supported"));
        assert!(words("unix://").contains("no socket path"));
        assert!(words("gopher://x").contains("unable to parse"));
        assert!(words("tcp://:2375").contains("no host"));
        assert!(words("tcp://x:99999").contains("invalid port"));
        assert!(words("tcp://x/y/z").contains("a path is not supported"));
    }
}
