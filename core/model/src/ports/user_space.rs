//! User namespaces, made for containers before anything else of them.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::container::UserMap;

/// A user namespace, and a network namespace that belongs to it: who is root in the one rules the other.
///
/// Both are gone with the last handle and the last process in them.
#[derive(Debug, Clone)]
pub struct UserSpace {
    handle: Arc<OwnedFd>,
    network: Option<Arc<OwnedFd>>,
    path: PathBuf,
    map: Arc<UserMap>,
}

impl UserSpace {
    /// A namespace by its handle, the path by which other processes open it, and who its users are.
    #[must_use]
    pub fn new(handle: OwnedFd, network: Option<OwnedFd>, path: PathBuf, map: Arc<UserMap>) -> Self {
        Self { handle: Arc::new(handle), network: network.map(Arc::new), path, map }
    }

    /// The handle.
    #[must_use]
    pub fn handle(&self) -> &OwnedFd {
        &self.handle
    }

    /// The network namespace, where one was made with it.
    #[must_use]
    pub fn network(&self) -> Option<&OwnedFd> {
        self.network.as_deref()
    }

    /// A path that holds while the handle does.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Who its users are.
    #[must_use]
    pub const fn map(&self) -> &Arc<UserMap> {
        &self.map
    }
}
