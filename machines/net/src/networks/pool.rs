//! Network namespaces that are ready before somebody needs one, with what will be wanted in them: to make all that takes more
//! than a millisecond.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use dhow_model::ports::NetworkSpace;

use super::ipv6;
use crate::link::Links;
use crate::sandbox::Sandbox;

/// Each costs the kernel some 130 kB.
const READY: usize = 4;

/// Completes a new namespace; the links are those of the host.
pub(super) type Complete = fn(&mut Links, NetworkSpace) -> io::Result<NetworkSpace>;

/// A few namespaces that nobody is in yet. The first is asked for before any is made: who never uses networks has none.
/// One that was taken does not come back: nobody gets what another container has left.
#[derive(Debug)]
pub(super) struct Pool {
    ready: Arc<Mutex<Vec<NetworkSpace>>>,
    complete: Complete,
    /// Tells the maker that one was taken.
    taken: OnceLock<SyncSender<()>>,
}

impl Pool {
    /// Of namespaces that are completed so.
    pub(super) fn of(complete: Complete) -> Self {
        Self { ready: Arc::default(), complete, taken: OnceLock::new() }
    }

    /// One that is ready, or a new one with nothing in it.
    pub(super) fn take(&self) -> io::Result<NetworkSpace> {
        let ready = lock(&self.ready).pop();
        let space = match ready {
            Some(space) => space,
            None => new()?,
        };
        let taken = self.taken.get_or_init(|| start(Arc::clone(&self.ready), self.complete));
        match taken.try_send(()) {
            // It is at it.
            Ok(()) | Err(TrySendError::Full(())) => {}
            Err(TrySendError::Disconnected(())) => tracing::debug!("nobody makes namespaces in advance"),
        }
        Ok(space)
    }
}

/// One with nothing in it but its loopback.
pub(super) fn new() -> io::Result<NetworkSpace> {
    Ok(Sandbox::prepared(ipv6::is_not_for_new_links)?.into_space())
}

/// One that was made with a user namespace; those cannot be made in advance without it.
pub(super) fn of_user(namespace: &OwnedFd) -> io::Result<NetworkSpace> {
    Ok(Sandbox::prepared_in(namespace.as_fd(), ipv6::is_not_for_new_links)?.into_space())
}

fn start(ready: Arc<Mutex<Vec<NetworkSpace>>>, complete: Complete) -> SyncSender<()> {
    let (sender, receiver) = sync_channel(1);
    let maker = thread::Builder::new().name("namespaces".to_owned());
    if let Err(error) = maker.spawn(move || make(&ready, complete, &receiver)) {
        tracing::warn!("no thread to make namespaces in advance: {error}");
    }
    sender
}

fn make(ready: &Mutex<Vec<NetworkSpace>>, complete: Complete, taken: &Receiver<()>) {
    while taken.recv().is_ok() {
        if let Err(error) = fill(ready, complete) {
            // Whoever needs one is told why there is none.
            tracing::debug!("make a namespace in advance: {error}");
        }
    }
}

fn fill(ready: &Mutex<Vec<NetworkSpace>>, complete: Complete) -> io::Result<()> {
    let mut links = Links::open()?;
    while lock(ready).len() < READY {
        let space = complete(&mut links, new()?)?;
        lock(ready).push(space);
    }
    Ok(())
}

fn lock(ready: &Mutex<Vec<NetworkSpace>>) -> std::sync::MutexGuard<'_, Vec<NetworkSpace>> {
    ready.lock().unwrap_or_else(PoisonError::into_inner)
}
