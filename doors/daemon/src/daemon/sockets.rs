//! The sockets that the engine listens on.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::{UnixListener as StdListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::net::UnixListener;

/// The group that may use the default socket, where it exists.
const GROUP: &str = "docker";
/// `sun_path` of unix(7), without its last NUL.
const LONGEST: usize = 107;

/// Bound sockets, removed with the value.
#[derive(Debug)]
pub(super) struct Sockets {
    bound: Vec<(PathBuf, StdListener)>,
}

impl Sockets {
    /// Binds every address.
    pub(super) fn bind(hosts: &[String], group: &str) -> Result<Self> {
        let mut sockets = Self { bound: Vec::new() };
        for host in hosts {
            let path = path(host)?;
            let listener = bind(&path, group).with_context(|| format!("listen on {host}"))?;
            sockets.bound.push((path, listener));
        }
        Ok(sockets)
    }

    /// The listeners, for the workers.
    pub(super) fn listeners(&self) -> Result<Vec<UnixListener>> {
        let listener = |(_, listener): &(PathBuf, StdListener)| -> Result<UnixListener> {
            let copy = listener.try_clone()?;
            copy.set_nonblocking(true)?;
            Ok(UnixListener::from_std(copy)?)
        };
        self.bound.iter().map(listener).collect()
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        for (path, _) in &self.bound {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn path(host: &str) -> Result<PathBuf> {
    match host.split_once("://") {
        Some(("unix", path)) => {
            ensure!(
                path.starts_with('/'),
                "invalid bind address ({host}): the path of a socket must be absolute"
            );
            ensure!(
                path.len() <= LONGEST,
                "invalid bind address ({host}): a socket's path has at most {LONGEST} bytes"
            );
            Ok(path.into())
        }
        Some((scheme @ ("tcp" | "fd" | "ssh" | "npipe"), _)) => {
            bail!("{host}: {scheme} is not supported yet")
        }
        _ => bail!("invalid bind address ({host}): unix:///path is expected"),
    }
}

/// A socket that nobody listens on any more is one of an engine that was killed.
fn bind(path: &Path, group: &str) -> Result<StdListener> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    if path.exists() {
        ensure!(UnixStream::connect(path).is_err(), "another engine listens there");
        std::fs::remove_file(path)?;
    }
    // Nobody may connect before owner and mode are set.
    let mask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let listener = StdListener::bind(path);
    rustix::process::umask(mask);
    let listener = listener?;
    match gid(if group.is_empty() { GROUP } else { group })? {
        Some(gid) => {
            chown(path, Some(0), Some(gid))?;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
        }
        None => ensure!(group.is_empty(), "group {group} not found"),
    }
    Ok(listener)
}

/// By number or from /etc/group: the C library's look-up would load the host's name service.
fn gid(group: &str) -> Result<Option<u32>> {
    if let Ok(number) = group.parse() {
        return Ok(Some(number));
    }
    let text = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let line = text.lines().find(|line| line.split(':').next() == Some(group));
    let number = line.and_then(|line| line.split(':').nth(2)).map(str::parse).transpose();
    number.with_context(|| format!("the number of group {group} in /etc/group"))
}
