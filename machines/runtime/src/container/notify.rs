//! The listener of a filter: who answers system calls that the filter asks about (`SCMP_ACT_NOTIFY`).

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use dhow_oci::runtime::{Spec, State, VERSION};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::error::{Context as _, Result};

/// Where the descriptor of notifications is sent, and what is said along.
#[derive(Debug)]
pub struct Notify {
    path: String,
    message: serde_json::Value,
}

impl Notify {
    /// The listener of a configuration, for a container's process `pid`.
    #[must_use]
    pub fn of(spec: &Spec, id: &str, bundle: &Path, pid: i32) -> Option<Self> {
        let seccomp = spec.linux.as_ref()?.seccomp.as_ref()?;
        if seccomp.listener_path.is_empty() {
            return None;
        }
        let state = State {
            oci_version: VERSION.into(),
            id: id.into(),
            status: "creating".into(),
            pid,
            bundle: bundle.into(),
            annotations: spec.annotations.clone(),
        };
        // OCI runtime specification, "Container Process State".
        let message = serde_json::json!({
            "ociVersion": VERSION,
            "fds": ["seccompFd"],
            "pid": pid,
            "metadata": seccomp.listener_metadata,
            "state": state,
        });
        Some(Self { path: seccomp.listener_path.clone(), message })
    }

    pub(super) fn deliver(&self, descriptors: &[OwnedFd]) -> Result<()> {
        self.send(descriptors).doing(|| format!("send the seccomp descriptor to {}", self.path))
    }

    fn send(&self, descriptors: &[OwnedFd]) -> io::Result<()> {
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(&self.path)?)?;
        let descriptors: Vec<_> = descriptors.iter().map(|fd| fd.as_fd()).collect();
        dhow_sys::channel::send(&socket, self.message.to_string().as_bytes(), &descriptors)
    }
}
