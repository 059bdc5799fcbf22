//! Restart policies: what ended is started again after a while; what should run is started by a new engine.
//!
//! [`policy`] decides, as pure functions. A wait is a sleeping task, no thread. What is waited for is in the
//! record ([`State::Restarting`]), so that the next engine makes good the start that this one owed.

pub(crate) mod policy;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dhow_model::container::{Exit, State};
use dhow_model::{Container, ContainerId, Timestamp};
use tokio::sync::Semaphore;

use crate::containers::start::Cause;
use crate::{Engine, Entry};

/// Containers that a new engine starts at once.
const SIDE_BY_SIDE: usize = 16;

impl Engine {
    /// How long to wait before a container that ended so is started again; nothing when it is not. The caller
    /// has its turn.
    pub(crate) fn restart_wait(&self, entry: &Entry, exit: &Exit) -> Option<Duration> {
        if self.is_shutting_down() {
            return None;
        }
        let record = entry.record();
        let again = policy::starts_again(&record, entry.intent(), exit.code);
        again.then(|| entry.back_off(|backoff| backoff.after(ran(exit))).wait())
    }

    /// Starts a container after a wait, if it still waits for that then.
    pub(crate) fn start_later(self: &Arc<Self>, entry: &Arc<Entry>, exit: Exit, wait: Duration) {
        let (engine, entry) = (Arc::clone(self), Arc::clone(entry));
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            engine.start_owed(entry, exit).await;
        });
    }

    async fn start_owed(self: Arc<Self>, entry: Arc<Entry>, exit: Exit) {
        let started = tokio::task::spawn_blocking(move || self.start_again(&entry, &exit));
        if let Err(panic) = started.await {
            tracing::error!("start a container again: {panic}");
        }
    }

    fn start_again(self: &Arc<Self>, entry: &Arc<Entry>, after: &Exit) {
        let _turn = entry.turn();
        let record = entry.record();
        // It was stopped, removed or started meanwhile; or it has ended again since, and waits longer.
        if self.is_shutting_down() || !matches!(&record.state, State::Restarting(exit) if exit == after) {
            return;
        }
        if let Err(error) = self.start_entry(entry, Cause::Policy) {
            tracing::warn!(container = record.id.short(), "start again: {}", error.report());
        }
    }

    /// Starts what should run and does not: what was up when the machine went down, and what the last engine
    /// was about to start. Returns at once; those whose spaces others join come first.
    pub(crate) fn start_what_should_run(self: &Arc<Self>) {
        let mut waves: BTreeMap<usize, Vec<(Arc<Entry>, Exit)>> = BTreeMap::new();
        for entry in self.registry.all().into_iter().rev() {
            let record = entry.record();
            if !policy::starts_at_boot(&record) {
                continue;
            }
            let Some(exit) = record.state.exit().cloned() else { continue };
            waves.entry(self.depth(&record)).or_default().push((Arc::clone(&entry), exit.clone()));
            let mut waits = (*record).clone();
            if !matches!(waits.state, State::Restarting(_)) {
                waits.restart_count = 0;
                waits.state = State::Restarting(exit);
            }
            // Not on disk: the engine after this one would decide the same.
            entry.replace(waits);
        }
        if !waves.is_empty() {
            tokio::spawn(start_waves(Arc::clone(self), waves));
        }
    }

    /// How many containers must run before this one can.
    fn depth(&self, container: &Container) -> usize {
        let mut next: Option<Arc<Container>> = self.joined_by(container);
        let mut seen: Vec<ContainerId> = vec![container.id.clone()];
        while let Some(other) = next.take() {
            if seen.contains(&other.id) {
                break;
            }
            seen.push(other.id.clone());
            next = self.joined_by(&other);
        }
        seen.len() - 1
    }

    /// The container whose spaces it joins.
    fn joined_by(&self, container: &Container) -> Option<Arc<Container>> {
        let name = container.host_config.donors().next()?;
        self.container(name).ok().map(|entry| entry.record())
    }
}

async fn start_waves(engine: Arc<Engine>, waves: BTreeMap<usize, Vec<(Arc<Entry>, Exit)>>) {
    let places = Arc::new(Semaphore::new(SIDE_BY_SIDE));
    for wave in waves.into_values() {
        let mut starts = tokio::task::JoinSet::new();
        for (entry, exit) in wave {
            let (engine, places) = (Arc::clone(&engine), Arc::clone(&places));
            starts.spawn(async move {
                let _place = places.acquire().await;
                engine.start_owed(entry, exit).await;
            });
        }
        starts.join_all().await;
    }
}

/// How long a process ran.
pub(crate) fn ran(exit: &Exit) -> Duration {
    between(exit.started, exit.finished)
}

/// From one instant to a later one.
pub(crate) fn between(first: Timestamp, later: Timestamp) -> Duration {
    if first.is_never() || later.is_never() {
        return Duration::ZERO;
    }
    let nanos = later.unix_nanos().saturating_sub(first.unix_nanos());
    u64::try_from(nanos).map_or(Duration::ZERO, Duration::from_nanos)
}
