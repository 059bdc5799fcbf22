//! Network namespaces, held by a descriptor: no process is in them yet, and no file names them.
//!
//! When the last descriptor is closed and the last process has left, the kernel takes a namespace away
//! with all its links. Nothing is left to clean up, however the engine ends.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::thread;

use dhow_model::ports::NetworkSpace;
use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use crate::link::{Change, Links};

/// A namespace, and a conversation with the kernel about the links in it.
#[derive(Debug)]
pub struct Sandbox {
    namespace: OwnedFd,
    links: Links,
}

impl Sandbox {
    /// A new one, in which `lo` is up.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new() -> io::Result<Self> {
        Self::prepared(|| Ok(()))
    }

    /// A new one, after `prepare` was run in it.
    pub(crate) fn prepared(prepare: impl FnOnce() -> io::Result<()> + Send) -> io::Result<Self> {
        elsewhere(|| {
            #[allow(deprecated, reason = "the other form differs in its name only")]
            rustix::thread::unshare(UnshareFlags::NEWNET)?;
            Self::prepared_here(prepare)
        })
    }

    /// One that was made elsewhere, after `prepare` was run in it.
    pub(crate) fn prepared_in(
        namespace: BorrowedFd<'_>,
        prepare: impl FnOnce() -> io::Result<()> + Send,
    ) -> io::Result<Self> {
        within(namespace, || Self::prepared_here(prepare))
    }

    /// That of a process, or of whatever else a path of `/proc` names.
    ///
    /// # Errors
    /// The kernel's.
    pub fn at(path: PathBuf) -> io::Result<Self> {
        elsewhere(move || {
            let namespace = open(&path)?;
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(Self { namespace, links: Links::open()? })
        })
    }

    fn prepared_here(prepare: impl FnOnce() -> io::Result<()>) -> io::Result<Self> {
        prepare()?;
        let mut sandbox = Self::here()?;
        sandbox.raise_loopback()?;
        Ok(sandbox)
    }

    fn here() -> io::Result<Self> {
        Ok(Self { namespace: open("/proc/thread-self/ns/net")?, links: Links::open()? })
    }

    fn raise_loopback(&mut self) -> io::Result<()> {
        let Some(loopback) = self.links.find("lo")? else { return Ok(()) };
        self.links.change(loopback.index, &Change { up: Some(true), ..Change::default() })
    }

    /// The links in it.
    pub const fn links(&mut self) -> &mut Links {
        &mut self.links
    }

    /// The namespace alone, as the engine holds it.
    #[must_use]
    pub fn into_space(self) -> NetworkSpace {
        let path = self.path();
        NetworkSpace::new(self.namespace, path, self.links.into_socket())
    }

    /// A path by which other processes open it while this one holds it.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.namespace.as_raw_fd()).into()
    }
}

impl AsFd for Sandbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }
}

fn open(path: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Runs `deed` in a namespace, on a thread of its own.
pub(crate) fn within<T: Send>(
    namespace: BorrowedFd<'_>,
    deed: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    elsewhere(|| {
        move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))?;
        deed()
    })
}

/// Runs `deed` on a thread of its own, which ends in the namespace that it went to.
fn elsewhere<T: Send>(deed: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| scope.spawn(deed).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}
