//! The sockets that the engine listens on.

use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::{UnixListener as StdListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use dhow_api::Listener;
use dhow_sys::inherit;
use rustix::fs::{Mode, fchmod};
use rustix::net::sockopt::socket_domain;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustls::ServerConfig;
use tokio::net::{TcpListener, UnixListener};

use super::address::Address;
use super::configuration::Access;

/// The group that may use a socket of which nothing is said, where it exists.
const GROUP: &str = "docker";
/// Connections that wait to be accepted: what the kernel allows by itself (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;
const INSECURE: &str = "Binding to IP address without --tlsverify is insecure and gives root access on this machine to everyone who has access to your network.";
const BROWSER: &str = "Binding to an IP address, even on localhost, can also give access to scripts run in a browser. Be safe out there!";

/// Bound sockets; those that have a path are removed with the value.
#[derive(Debug)]
pub(super) struct Sockets {
    bound: Vec<Bound>,
    paths: Vec<PathBuf>,
    tls: Option<Arc<ServerConfig>>,
}

#[derive(Debug)]
enum Bound {
    Unix(StdListener),
    Tcp(StdTcpListener),
}

impl Sockets {
    /// Binds every address; `inherited` is what the service manager passed.
    pub(super) fn bind(
        access: &Access,
        tls: Option<Arc<ServerConfig>>,
        inherited: Vec<OwnedFd>,
    ) -> Result<Self> {
        let mut sockets = Self { bound: Vec::new(), paths: Vec::new(), tls };
        let mut inherited: Vec<Option<OwnedFd>> = inherited.into_iter().map(Some).collect();
        for address in &access.hosts {
            match address {
                Address::Unix(path) => sockets.bind_unix(path, &access.group)?,
                Address::Tcp(_) => sockets.bind_tcp(address, access)?,
                Address::Inherited(number) => sockets.take(&mut inherited, *number)?,
            }
        }
        Ok(sockets)
    }

    fn bind_unix(&mut self, path: &Path, group: &str) -> Result<()> {
        let bound = unix(path, group).with_context(|| format!("can't create unix socket {}", path.display()));
        self.bound.push(Bound::Unix(bound?));
        self.paths.push(path.into());
        Ok(())
    }

    fn bind_tcp(&mut self, address: &Address, access: &Access) -> Result<()> {
        let Address::Tcp(socket) = address else { return Ok(()) };
        if !access.tls.as_ref().is_some_and(|tls| tls.verify) {
            tracing::warn!(host = %address, "{INSECURE}");
            tracing::warn!(host = %address, "{BROWSER}");
            ensure!(
                access.insecure || socket.ip().is_loopback(),
                "{address}: {INSECURE} Give --tlsverify with certificates, or override this by explicitly \
                 specifying '--tls=false' or '--tlsverify=false'"
            );
        }
        let bound = StdTcpListener::bind(socket).with_context(|| format!("listen tcp {socket}: bind"));
        self.bound.push(Bound::Tcp(bound?));
        Ok(())
    }

    fn take(&mut self, inherited: &mut [Option<OwnedFd>], number: Option<i32>) -> Result<()> {
        ensure!(
            !inherited.is_empty(),
            "no sockets found via socket activation: make sure the service was started by systemd"
        );
        let wanted = match number {
            None => 0..inherited.len(),
            Some(number) => {
                let index = usize::try_from(number - inherit::FIRST).ok();
                let index = index.filter(|index| *index < inherited.len());
                let index = index.context("too few socket activated files passed in by systemd")?;
                index..index + 1
            }
        };
        for index in wanted {
            let number = index + 3;
            let failed = || format!("failed to listen on systemd activated file: fd {number}");
            let descriptor = inherited[index].take().with_context(failed)?;
            self.bound.push(of_service_manager(descriptor).with_context(failed)?);
        }
        Ok(())
    }

    /// Binds the address for metrics.
    pub(super) fn metrics(address: SocketAddr) -> Result<StdTcpListener> {
        StdTcpListener::bind(address).with_context(|| format!("listen tcp {address}: bind"))
    }

    /// The listeners, for the workers.
    pub(super) fn listeners(&mut self) -> Result<Vec<Listener>> {
        self.bound.drain(..).map(|bound| listener_of(bound, self.tls.as_ref())).collect()
    }
}

/// The listener for metrics, for the workers: without TLS.
pub(super) fn plain(listener: StdTcpListener) -> Result<Listener> {
    listener_of(Bound::Tcp(listener), None)
}

fn listener_of(bound: Bound, tls: Option<&Arc<ServerConfig>>) -> Result<Listener> {
    Ok(match bound {
        Bound::Unix(listener) => {
            listener.set_nonblocking(true)?;
            Listener::Unix(UnixListener::from_std(listener)?)
        }
        Bound::Tcp(listener) => {
            listener.set_nonblocking(true)?;
            Listener::Tcp(TcpListener::from_std(listener)?, tls.cloned())
        }
    })
}

impl Drop for Sockets {
    fn drop(&mut self) {
        for path in &self.paths {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// TCP that somebody else bound is spoken with TLS where there is a configuration, as dockerd does.
fn of_service_manager(descriptor: OwnedFd) -> Result<Bound> {
    ensure!(rustix::net::sockopt::socket_acceptconn(&descriptor)?, "it does not listen");
    match socket_domain(&descriptor)? {
        AddressFamily::UNIX => Ok(Bound::Unix(descriptor.into())),
        AddressFamily::INET | AddressFamily::INET6 => Ok(Bound::Tcp(descriptor.into())),
        other => bail!("sockets of family {other:?} are not supported"),
    }
}

/// A socket that nobody listens on any more is one of an engine that was killed.
fn unix(path: &Path, group: &str) -> Result<StdListener> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    if path.exists() {
        ensure!(UnixStream::connect(path).is_err(), "another engine listens there");
        std::fs::remove_file(path)?;
    }
    let group = gid(if group.is_empty() { GROUP } else { group }, group.is_empty())?;
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // The kernel makes the file with the mode of the socket's own inode: so the mask of the whole process
    // need not be changed. Nobody can connect before it listens, and it listens when all is set.
    fchmod(&socket, Mode::from_raw_mode(0o600))?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    if let Some(gid) = group {
        chown(path, Some(0), Some(gid))?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    }
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// By number or from /etc/group: the C library's look-up would load the host's name service.
fn gid(group: &str, optional: bool) -> Result<Option<u32>> {
    let text = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let line = text.lines().find(|line| line.split(':').next() == Some(group));
    let number = line.and_then(|line| line.split(':').nth(2)).map(str::parse).transpose();
    let named = number.with_context(|| format!("the number of group {group} in /etc/group"))?;
    // A group may be called by a number that is not its own: the name comes first, as in dockerd.
    match named.or_else(|| group.parse().ok()) {
        None if !optional => bail!("group {group} not found"),
        found => Ok(found),
    }
}
