//! Turns: one writable mount of a container's layers at a time.
//!
//! Overlayfs says that two of them on one writable layer are undefined behaviour, and only warns.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use dhow_model::ContainerId;

/// Whose layers are mounted writable just now.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    taken: Mutex<HashSet<ContainerId>>,
    given_back: Condvar,
}

/// A turn; it is given back when dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    id: ContainerId,
}

impl Turns {
    /// Waits until nobody else has the container's turn.
    pub(super) fn wait(&self, id: &ContainerId) -> Turn<'_> {
        let mut taken = self.lock();
        while !taken.insert(id.clone()) {
            taken = self.given_back.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        Turn { turns: self, id: id.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<ContainerId>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.lock().remove(&self.id);
        self.turns.given_back.notify_all();
    }
}
