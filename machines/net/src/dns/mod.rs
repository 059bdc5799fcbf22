//! The name server inside containers: 127.0.0.11, port 53, UDP and TCP.
//!
//! [`Server`] is one for an engine, and lives on its tasks. For each container there are [`Listeners`], sockets in
//! the container's own network namespace: nobody else can ask. A packet is read as a `question`; what it asks for
//! is asked of [`Names`], which is the engine, and `answer` writes what that knows. All other questions are handed
//! on by `forward` to the servers of the `host`, or those that the container was given, with `sockets` of the
//! container's namespace; how many at a time is a matter of `share`. What the engine itself wants to know is `look_up`.
//!
//! Nothing is kept: a container that is closed leaves no task and no socket, and so does an engine that is killed.

mod answer;
mod forward;
mod guest;
mod host;
mod listeners;
mod look_up;
mod question;
mod share;
mod sockets;

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use dhow_model::ContainerId;
use dhow_model::ports::Names;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use forward::Silent;
use guest::Guest;
use host::HostServers;
pub use listeners::{ADDRESS, Listeners};
use share::Places;
use sockets::Sockets;

/// Serves names to containers.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    runtime: Handle,
    open: Mutex<HashMap<ContainerId, AbortHandle>>,
}

/// What all containers have in common.
struct Shared {
    names: Arc<dyn Names>,
    host: HostServers,
    silent: Silent,
    sockets: Sockets,
    places: Arc<Places>,
}

impl Server {
    /// A server that knows `names`, and asks the host's servers as `resolv_conf` has them for all else.
    #[must_use]
    pub fn new(names: Arc<dyn Names>, resolv_conf: PathBuf, runtime: Handle) -> Self {
        let shared = Shared {
            names,
            host: HostServers::new(resolv_conf),
            silent: Silent::default(),
            sockets: Sockets::default(),
            places: Arc::default(),
        };
        Self { shared: Arc::new(shared), runtime, open: Mutex::default() }
    }

    /// Serves a container: opens sockets in its namespace, in which `lo` is up. Blocks for less than a millisecond.
    ///
    /// An engine that begins does so for every container that is running.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(&self, container: &ContainerId, namespace: BorrowedFd<'_>) -> io::Result<()> {
        self.serve(container, Listeners::open(namespace)?)
    }

    /// Serves a container at sockets that were opened before, in its namespace; in place of others that it had.
    ///
    /// # Errors
    /// The kernel's.
    pub fn serve(&self, container: &ContainerId, listeners: Listeners) -> io::Result<()> {
        let guest = Guest::new(container.clone(), Arc::clone(&self.shared), listeners.namespace);
        let _runtime = self.runtime.enter();
        let datagrams = tokio::net::UdpSocket::from_std(listeners.datagrams)?;
        let streams = tokio::net::TcpListener::from_std(listeners.streams)?;
        let task = self.runtime.spawn(guest.serve(datagrams, streams)).abort_handle();
        if let Some(before) = self.tasks().insert(container.clone(), task) {
            before.abort();
        }
        Ok(())
    }

    /// Ends with a container, and with all that it asked. Its namespace is held until then, also when nothing runs
    /// in it any more.
    pub fn close(&self, container: &ContainerId) {
        if let Some(task) = self.tasks().remove(container) {
            task.abort();
        }
    }

    /// The addresses that the host's servers have for a name, those of version 4 first; none, when they know of none.
    /// Blocks for as long as they take, and is called from no task.
    ///
    /// # Errors
    /// When none of them answers, or it is no name.
    pub fn look_up(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let (shared, name) = (Arc::clone(&self.shared), name.to_owned());
        let asked = self.runtime.spawn(async move { shared.look_up(&name).await });
        self.runtime.block_on(asked).map_err(io::Error::other)?
    }

    fn tasks(&self) -> std::sync::MutexGuard<'_, HashMap<ContainerId, AbortHandle>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks().drain().for_each(|(_, task)| task.abort());
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Shared").field("host", &self.host).finish_non_exhaustive()
    }
}

/// What any bytes would be answered with by an engine that knows `names`; for fuzzing.
#[doc(hidden)]
#[must_use]
pub fn answer_to(names: &dyn Names, asker: &ContainerId, packet: &[u8]) -> Option<Vec<u8>> {
    match question::Question::read(packet) {
        question::Read::Nothing => None,
        question::Read::Refused(answer) => Some(answer),
        question::Read::Question(question) => {
            let _ = question::is_answer(packet, &question, question.message.header().id());
            answer::own(names, asker, &question, question.size.into())
        }
    }
}
