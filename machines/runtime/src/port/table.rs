//! The processes that run, and the clients that wait for one to be started.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dhow_model::container::Running;
use dhow_model::ports::{AttachOptions, Target};
use dhow_model::{ContainerId, Error, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::monitor::channel::Channel;

/// Clients that may wait for one start: attaching costs two descriptors.
const WAITING: usize = 64;

/// A process that runs.
#[derive(Debug)]
pub(super) struct Known {
    /// Which.
    pub(super) target: Target,
    /// Its number in the table.
    pub(super) token: u64,
    /// The conversation with its monitor.
    pub(super) channel: Channel,
    /// A pidfd.
    pub(super) process: OwnedFd,
    /// Its id and when it was started.
    pub(super) running: Running,
    /// Its cgroup, as the configuration named it; empty for an exec.
    pub(super) cgroup: String,
    /// Its monitor thaws it when this engine is gone.
    pub(super) thaws: bool,
}

/// A client whose target does not run yet.
pub(super) type Waiting = (AttachOptions, OwnedFd);

/// The table.
#[derive(Debug, Default)]
pub(super) struct Table(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    last_token: u64,
    by_token: HashMap<u64, Arc<Known>>,
    by_target: HashMap<Target, Arc<Known>>,
    waiting: HashMap<Target, Vec<Waiting>>,
}

impl Table {
    /// The process, if it runs.
    pub(super) fn get(&self, target: &Target) -> Option<Arc<Known>> {
        self.lock().by_target.get(target).cloned()
    }

    /// The process of a token.
    pub(super) fn of_token(&self, token: u64) -> Option<Arc<Known>> {
        self.lock().by_token.get(&token).cloned()
    }

    /// The process and the client given back, or nothing when the client waits for the start now.
    pub(super) fn get_or_wait(
        &self,
        target: &Target,
        options: AttachOptions,
        client: OwnedFd,
    ) -> Result<Option<(Arc<Known>, OwnedFd)>> {
        let mut entries = self.lock();
        if let Some(known) = entries.by_target.get(target) {
            return Ok(Some((Arc::clone(known), client)));
        }
        let waiting = entries.waiting.entry(target.clone()).or_default();
        if waiting.len() >= WAITING {
            waiting.retain(|(_, client)| !has_hung_up(client));
        }
        if waiting.len() >= WAITING {
            return Err(Error::conflict(format!("too many clients wait for container {}", target.id)));
        }
        waiting.push((options, client));
        Ok(None)
    }

    /// The clients that wait for a target; they wait no longer.
    pub(super) fn take_waiting(&self, target: &Target) -> Vec<Waiting> {
        self.lock().waiting.remove(target).unwrap_or_default()
    }

    /// Adds a process that `make`s itself with its token. Clients that came between the sending of
    /// the plan and now are returned.
    pub(super) fn insert(&self, make: impl FnOnce(u64) -> Known) -> (Arc<Known>, Vec<Waiting>) {
        let mut entries = self.lock();
        entries.last_token += 1;
        let known = Arc::new(make(entries.last_token));
        if let Some(old) = entries.by_target.insert(known.target.clone(), Arc::clone(&known)) {
            entries.by_token.remove(&old.token);
        }
        entries.by_token.insert(known.token, Arc::clone(&known));
        let late = entries.waiting.remove(&known.target).unwrap_or_default();
        (known, late)
    }

    /// Takes a process out; a later one of the same target stays. False when it was out already.
    pub(super) fn remove(&self, known: &Known) -> bool {
        let mut entries = self.lock();
        if entries.by_target.get(&known.target).is_some_and(|other| other.token == known.token) {
            entries.by_target.remove(&known.target);
        }
        entries.by_token.remove(&known.token).is_some()
    }

    /// Forgets the clients that wait for a container or one of its execs.
    pub(super) fn forget_waiting(&self, id: &ContainerId) {
        self.lock().waiting.retain(|target, _| target.id != *id);
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // A panic elsewhere leaves the maps whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the other side of a client's stream is gone: nothing will ever be read from it.
fn has_hung_up(client: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(client, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut polled, Some(&now)), Ok(1..))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::client::stream_pair;

    #[test]
    fn clients_that_are_gone_hold_no_places() {
        let table = Table::default();
        let target = Target::container(ContainerId::from_random([7; 32]));
        let options = AttachOptions { stdin: false, stdout: true, stderr: false };
        let wait = || {
            let (ours, theirs) = stream_pair().unwrap();
            table.get_or_wait(&target, options, theirs).map(|_| ours)
        };
        let mut here: Vec<OwnedFd> = (0..WAITING).map(|_| wait().unwrap()).collect();
        assert!(wait().is_err(), "the places are taken");
        drop(here.pop());
        here.push(wait().unwrap());
        assert!(wait().is_err(), "only one was free");
    }
}
