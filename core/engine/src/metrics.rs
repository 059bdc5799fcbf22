//! What is counted of the engine's own work, for those who watch it with Prometheus.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dhow_model::Result;
use dhow_model::container::State;
use dhow_model::ports::{HostFacts, OwnUse};

use crate::registry::lock;
use crate::{Engine, Settings};

/// Upper bounds of the histograms' buckets, in seconds: those that Prometheus' libraries have by default.
pub const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// What is done with containers and is timed.
pub const ACTIONS: [&str; 5] = ["changes", "commit", "create", "delete", "start"];

/// The counts.
#[derive(Debug, Default)]
pub struct Counts {
    actions: Mutex<BTreeMap<&'static str, Histogram>>,
    events: AtomicU64,
}

/// How long something took, how often.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    /// How often it took at most so long as each of [`BUCKETS`], and longer than the one before.
    pub buckets: [u64; BUCKETS.len()],
    /// How often in all.
    pub count: u64,
    /// How long in all.
    pub sum: Duration,
}

impl Histogram {
    fn add(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        if let Some(index) = BUCKETS.iter().position(|bound| seconds <= *bound) {
            self.buckets[index] += 1;
        }
        self.count += 1;
        self.sum += took;
    }
}

/// Runs until it is dropped.
pub(crate) struct Timer<'a> {
    counts: &'a Counts,
    action: &'static str,
    begin: Instant,
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        let took = self.begin.elapsed();
        lock(&self.counts.actions).entry(self.action).or_default().add(took);
    }
}

impl Counts {
    /// Times one of [`ACTIONS`].
    pub(crate) fn time(&self, action: &'static str) -> Timer<'_> {
        Timer { counts: self, action, begin: Instant::now() }
    }

    pub(crate) fn event(&self) {
        self.events.fetch_add(1, Ordering::Relaxed);
    }
}

/// All that is counted, at one instant.
#[derive(Debug)]
pub struct Metrics<'a> {
    /// The host.
    pub host: &'a HostFacts,
    /// The configuration.
    pub settings: std::sync::Arc<Settings>,
    /// What the engine's process uses.
    pub own: OwnUse,
    /// Containers, by what they do: the words of Docker's metrics.
    pub containers: BTreeMap<&'static str, usize>,
    /// Images.
    pub images: usize,
    /// Volumes.
    pub volumes: usize,
    /// Execs that run, or are to.
    pub execs: usize,
    /// How long was done what with containers, by [`ACTIONS`].
    pub actions: BTreeMap<&'static str, Histogram>,
    /// Events that were told.
    pub events: u64,
    /// Who listens to them.
    pub listeners: usize,
}

impl Engine {
    /// Counts everything.
    ///
    /// # Errors
    /// When images or volumes cannot be listed.
    pub fn metrics(&self) -> Result<Metrics<'_>> {
        let mut containers: BTreeMap<_, _> = ["paused", "running", "stopped"].map(|word| (word, 0)).into();
        for container in self.containers() {
            let word = match container.state {
                State::Paused(_) => "paused",
                ref state if state.running().is_some() => "running",
                _ => "stopped",
            };
            *containers.entry(word).or_default() += 1;
        }
        let mut actions: BTreeMap<_, _> = ACTIONS.map(|action| (action, Histogram::default())).into();
        actions.extend(lock(&self.counts.actions).clone());
        Ok(Metrics {
            host: self.ports.host.facts(),
            settings: self.settings(),
            own: self.ports.host.own_use(),
            containers,
            images: self.ports.images.list()?.len(),
            volumes: self.ports.volumes.list()?.len(),
            execs: self.execs.active(),
            actions,
            events: self.counts.events.load(Ordering::Relaxed),
            listeners: self.events.listeners(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_by_how_long_it_took() {
        let counts = Counts::default();
        drop(counts.time("start"));
        for millis in [5, 80, 20_000] {
            lock(&counts.actions).entry("start").or_default().add(Duration::from_millis(millis));
        }
        let start = lock(&counts.actions)["start"].clone();
        assert_eq!((start.count, start.buckets[0], start.buckets[4], start.sum.as_secs()), (4, 2, 1, 20));
    }
}
