//! Where an engine listens, as written in `-H` and `DOCKER_HOST`.

use std::fmt;
use std::path::{Path, PathBuf};

use super::Error;

/// The address of an engine. Only unix sockets are served so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    socket: PathBuf,
}

impl Endpoint {
    /// The socket at a path.
    pub fn unix(socket: impl Into<PathBuf>) -> Endpoint {
        Endpoint { socket: socket.into() }
    }

    /// Reads an address such as `unix:///run/dhow/dhow.sock`.
    pub fn parse(host: &str) -> Result<Endpoint, Error> {
        let Some((scheme, rest)) = host.split_once("://") else {
            return Err(Error::Host(format!("unable to parse docker host `{host}`")));
        };
        match scheme {
            "unix" if !rest.is_empty() => Ok(Endpoint::unix(rest)),
            "unix" => Err(Error::Host(format!("no socket path in docker host `{host}`"))),
            "tcp" | "http" | "https" | "ssh" | "npipe" | "fd" => Err(Error::Host(format!(
                "docker host `{host}`: {scheme} is not served yet, only unix sockets are"
            ))),
            _ => Err(Error::Host(format!("unable to parse docker host `{host}`"))),
        }
    }

    /// The path of the socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "unix://{}", self.socket.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_unix_socket_or_a_clear_refusal() {
        assert_eq!(Endpoint::parse("unix:///run/x").unwrap(), Endpoint::unix("/run/x"));
        assert_eq!(Endpoint::unix("/run/x").to_string(), "unix:///run/x");
        let words = |host| Endpoint::parse(host).unwrap_err().to_string();
        assert_eq!(words("/run/x"), "unable to parse docker host `/run/x`");
        assert!(words("tcp://1.2.3.4:2375").contains("tcp is not served yet"));
        assert!(words("unix://").contains("no socket path"));
        assert!(words("gopher://x").contains("unable to parse"));
    }
}
