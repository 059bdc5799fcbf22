//! Network namespaces that are ready before somebody needs one: to make one takes half a millisecond.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use dhow_model::ports::NetworkSpace;

use super::ipv6;
use crate::sandbox::Sandbox;

/// Each costs the kernel some 100 kB.
const READY: usize = 4;

/// A few namespaces that nobody is in yet. The first is asked for before any is made: who never uses networks has none.
#[derive(Debug, Default)]
pub(super) struct Pool {
    ready: Arc<Mutex<Vec<NetworkSpace>>>,
    /// Tells the maker that one was taken.
    taken: OnceLock<SyncSender<()>>,
}

impl Pool {
    /// One that is ready, or a new one.
    pub(super) fn take(&self) -> io::Result<NetworkSpace> {
        let ready = lock(&self.ready).pop();
        let space = match ready {
            Some(space) => space,
            None => new()?,
        };
        let taken = self.taken.get_or_init(|| start(Arc::clone(&self.ready)));
        match taken.try_send(()) {
            // It is at it.
            Ok(()) | Err(TrySendError::Full(())) => {}
            Err(TrySendError::Disconnected(())) => tracing::debug!("nobody makes namespaces in advance"),
        }
        Ok(space)
    }
}

fn new() -> io::Result<NetworkSpace> {
    Ok(Sandbox::prepared(ipv6::is_not_for_new_links)?.into_space())
}

fn start(ready: Arc<Mutex<Vec<NetworkSpace>>>) -> SyncSender<()> {
    let (sender, receiver) = sync_channel(1);
    let maker = thread::Builder::new().name("namespaces".to_owned());
    if let Err(error) = maker.spawn(move || make(&ready, &receiver)) {
        tracing::warn!("no thread to make namespaces in advance: {error}");
    }
    sender
}

fn make(ready: &Mutex<Vec<NetworkSpace>>, taken: &Receiver<()>) {
    while taken.recv().is_ok() {
        while lock(ready).len() < READY {
            match new() {
                Ok(space) => lock(ready).push(space),
                Err(error) => {
                    // Whoever needs one is told why there is none.
                    tracing::debug!("make a namespace in advance: {error}");
                    break;
                }
            }
        }
    }
}

fn lock(ready: &Mutex<Vec<NetworkSpace>>) -> std::sync::MutexGuard<'_, Vec<NetworkSpace>> {
    ready.lock().unwrap_or_else(PoisonError::into_inner)
}
