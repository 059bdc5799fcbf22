//! The connection with a service that takes entries: how it is made, without ever waiting for it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use dhow_model::ports::{LogReceiver, SyslogAddress};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, send, socket_with, sockopt,
};

use super::encrypted::Encrypted;
use super::journal;

/// As long is waited for an answer to a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a machine's own syslog server may listen.
const LOCAL: [&str; 3] = ["/dev/log", "/var/run/syslog", "/var/run/log"];

/// A line of /etc/hosts is looked for in so much of it.
const LONGEST_HOSTS: usize = 1 << 20;

/// One connection.
#[derive(Debug)]
pub struct Link {
    socket: OwnedFd,
    /// Where it goes, for words.
    name: String,
    /// A message can be sent in parts.
    pub stream: bool,
    /// It is being made, for so long at most.
    pub until: Option<Instant>,
    tls: Option<Encrypted>,
}

impl Link {
    /// Begins to connect.
    ///
    /// # Errors
    /// When nobody listens, and in Docker's words when there is no local server.
    pub fn begin(receiver: &LogReceiver) -> io::Result<Self> {
        let LogReceiver::Syslog(syslog) = receiver else {
            return Self::unix(Path::new(journal::SOCKET), SocketType::DGRAM);
        };
        match &syslog.address {
            SyslogAddress::Local => Self::local(),
            SyslogAddress::Unix(path) => Self::unix(path, SocketType::STREAM),
            SyslogAddress::UnixDatagram(path) => Self::unix(path, SocketType::DGRAM),
            SyslogAddress::Tcp(host, port) => Self::internet(host, *port, SocketType::STREAM),
            SyslogAddress::Tls(host, port, tls) => {
                let tls = Encrypted::begin(tls, host)?;
                let mut link = Self::internet(host, *port, SocketType::STREAM)?;
                link.until.get_or_insert_with(|| Instant::now() + PATIENCE);
                link.tls = Some(tls);
                Ok(link)
            }
            SyslogAddress::Udp(host, port) => Self::internet(host, *port, SocketType::DGRAM),
        }
    }

    /// The same, and waits for it.
    ///
    /// # Errors
    /// As [`begin`](Self::begin), and when nobody answers.
    pub fn make(receiver: &LogReceiver) -> io::Result<Self> {
        let mut link = Self::begin(receiver)?;
        while let Some(until) = link.until {
            let left = until.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).ok();
            let mut polled = [PollFd::new(&link.socket, link.awaited())];
            if rustix::io::retry_on_intr(|| poll(&mut polled, left.as_ref()))? == 0 {
                return Err(timed_out(&link.name));
            }
            link.finish()?;
        }
        Ok(link)
    }

    /// What is polled for while it is being made.
    #[must_use]
    pub fn awaited(&self) -> PollFlags {
        self.tls.as_ref().map_or(PollFlags::OUT, Encrypted::interest)
    }

    /// Whether something that was taken is still to be sent.
    #[must_use]
    pub fn is_owed(&self) -> bool {
        self.until.is_none() && self.tls.as_ref().is_some_and(Encrypted::is_owed)
    }

    /// The connection was answered, or a step of it.
    ///
    /// # Errors
    /// When it was refused.
    pub fn finish(&mut self) -> io::Result<()> {
        sockopt::socket_error(&self.socket)?.map_err(|error| dial(&self.name, error))?;
        let made = self.tls.as_mut().map_or(Ok(true), |tls| tls.shake_hands(self.socket.as_fd()))?;
        if made {
            self.until = None;
        }
        Ok(())
    }

    /// Its socket, to be polled.
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Sends as much as there is room for; none when there is no room at all.
    ///
    /// # Errors
    /// When it is broken.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        if let Some(tls) = &mut self.tls {
            return tls.send(self.socket.as_fd(), bytes);
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match rustix::io::retry_on_intr(|| send(&self.socket, bytes, flags)) {
            Ok(sent) => Ok(Some(sent)),
            Err(Errno::AGAIN | Errno::NOBUFS) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends what was taken before; whether nothing is left.
    ///
    /// # Errors
    /// When it is broken.
    pub fn flush(&mut self) -> io::Result<bool> {
        self.tls.as_mut().map_or(Ok(true), |tls| tls.flush(self.socket.as_fd()))
    }

    fn local() -> io::Result<Self> {
        let places = LOCAL.iter().flat_map(|path| {
            [SocketType::DGRAM, SocketType::STREAM].map(|kind| Self::unix(Path::new(path), kind))
        });
        let found = places.into_iter().find_map(Result::ok);
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "Unix syslog delivery error"))
    }

    fn unix(path: &Path, kind: SocketType) -> io::Result<Self> {
        let socket = socket_with(AddressFamily::UNIX, kind, flags(), None)?;
        let network = if kind == SocketType::STREAM { "unix" } else { "unixgram" };
        let name = format!("{network} {}", path.display());
        connect(&socket, &SocketAddrUnix::new(path)?).map_err(|error| dial(&name, error))?;
        Ok(Self { socket, name, stream: kind == SocketType::STREAM, until: None, tls: None })
    }

    fn internet(host: &str, port: u16, kind: SocketType) -> io::Result<Self> {
        let address = SocketAddr::new(resolve(host)?, port);
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = socket_with(family, kind, flags(), None)?;
        let stream = kind == SocketType::STREAM;
        if stream {
            // A server whose machine is gone is not believed in for ever.
            sockopt::set_socket_keepalive(&socket, true)?;
            sockopt::set_tcp_user_timeout(&socket, 60_000)?;
        }
        let name = format!("{} {address}", if stream { "tcp" } else { "udp" });
        let until = match connect(&socket, &address) {
            Ok(()) => None,
            Err(Errno::INPROGRESS) => Some(Instant::now() + PATIENCE),
            Err(error) => return Err(dial(&name, error)),
        };
        Ok(Self { socket, name, stream, until, tls: None })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let (Some(tls), None) = (&mut self.tls, self.until) {
            tls.end(self.socket.as_fd());
        }
    }
}

fn flags() -> SocketFlags {
    SocketFlags::CLOEXEC | SocketFlags::NONBLOCK
}

/// Docker's words.
fn dial(name: &str, error: Errno) -> io::Error {
    let error = io::Error::from(error);
    io::Error::new(error.kind(), format!("dial {name}: connect: {}", words(&error)))
}

fn timed_out(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("dial {name}: i/o timeout"))
}

/// The kernel's words without their number.
#[must_use]
pub fn words(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    }
}

/// An address, or a name that the machine itself knows: this program asks no name server.
fn resolve(host: &str) -> io::Result<IpAddr> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    if let Ok(address) = host.parse() {
        return Ok(address);
    }
    let hosts = std::fs::read("/etc/hosts").unwrap_or_default();
    let hosts = String::from_utf8_lossy(&hosts[..hosts.len().min(LONGEST_HOSTS)]).into_owned();
    let localhost = (host == "localhost").then_some(Ipv4Addr::LOCALHOST.into());
    named(&hosts, host).or(localhost).ok_or_else(|| {
        let words = format!("lookup {host}: no such host in /etc/hosts: give the address of the log server");
        io::Error::new(io::ErrorKind::NotFound, words)
    })
}

/// The address of `host` in a hosts file.
fn named(hosts: &str, host: &str) -> Option<IpAddr> {
    hosts.lines().find_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|name| name.eq_ignore_ascii_case(host)).then_some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_hosts_file_are_found() {
        let hosts = "127.0.0.1 localhost\n# 1.1.1.1 loghost\n10.0.0.9\tlog.lan LogHost # ours\nbad x\n";
        assert_eq!(named(hosts, "loghost"), Some("10.0.0.9".parse().unwrap()));
        assert_eq!(named(hosts, "other"), None);
        assert_eq!(resolve("[::1]").unwrap(), "::1".parse::<IpAddr>().unwrap());
        assert!(resolve("no-such-host.invalid").is_err());
    }
}
