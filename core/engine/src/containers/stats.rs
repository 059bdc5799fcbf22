//! `stats`: what containers use, now and again.
//!
//! All who follow containers share one thread, and all who follow the same container share its samples:
//! a second's look at it costs the same for one follower and for a thousand. The thread is there while
//! somebody follows.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::{Duration, Instant};

use dhow_model::ports::Sample;
use dhow_model::{Container, ContainerId, Error, Kind, Result};
use tokio::sync::watch;

use crate::registry::lock;
use crate::{Engine, Entry};

/// Time between two samples, as Docker's.
const PERIOD: Duration = Duration::from_secs(1);

/// A container at the time of a sample.
#[derive(Debug, Clone)]
pub struct Measurement {
    /// Its record.
    pub container: Arc<Container>,
    /// What it used; none when it does not run.
    pub sample: Option<Sample>,
    taken: Instant,
}

impl Measurement {
    fn new(container: Arc<Container>, sample: Option<Sample>) -> Self {
        Self { container, sample, taken: Instant::now() }
    }

    /// Whether another one now would be too near to tell what a second costs.
    fn is_young(&self) -> bool {
        self.taken.elapsed() < PERIOD / 2
    }
}

/// The latest measurement of a container; none before the first.
type Latest = watch::Sender<Option<Arc<Measurement>>>;

/// The containers that are followed.
#[derive(Debug, Default)]
pub(crate) struct Samplers {
    followed: Mutex<Followed>,
    /// Somebody follows a container that nobody followed.
    more: Condvar,
}

#[derive(Debug, Default)]
struct Followed {
    containers: HashMap<ContainerId, Arc<Latest>>,
    has_thread: bool,
}

/// One who follows a container.
#[derive(Debug)]
pub struct Follower {
    latest: watch::Receiver<Option<Arc<Measurement>>>,
    is_first: bool,
}

impl Follower {
    /// The next measurement; none when the container was removed. Whoever is slow misses some.
    pub async fn next(&mut self) -> Option<Arc<Measurement>> {
        if std::mem::take(&mut self.is_first) {
            let known = self.latest.borrow_and_update().clone();
            if known.is_some() {
                return known;
            }
        }
        self.latest.changed().await.ok()?;
        self.latest.borrow_and_update().clone()
    }
}

impl Engine {
    /// What a container uses now.
    ///
    /// # Errors
    /// `No such container: …`, or that nothing could be read.
    pub fn measure_container(&self, text: &str) -> Result<Measurement> {
        let entry = self.container(text)?;
        self.measure(&entry)
    }

    fn measure(&self, entry: &Entry) -> Result<Measurement> {
        let container = entry.record();
        if container.state.running().is_none() {
            return Ok(Measurement::new(container, None));
        }
        match self.ports.runtime.sample(&container.id) {
            Ok(mut sample) => {
                sample.memory.limit = sample.memory.limit.min(self.ports.host.facts().memory);
                Ok(Measurement::new(container, Some(sample)))
            }
            // It has ended meanwhile.
            Err(error) if matches!(error.kind(), Kind::Conflict | Kind::NotFound) => {
                Ok(Measurement::new(container, None))
            }
            Err(error) => Err(error),
        }
    }

    /// Follows a container, whether it runs or not, until it is removed.
    ///
    /// # Errors
    /// `No such container: …`, or when no thread can be had.
    pub fn follow_container(self: &Arc<Self>, text: &str) -> Result<Follower> {
        let id = self.container(text)?.record().id.clone();
        let mut followed = lock(&self.samplers.followed);
        if !followed.has_thread {
            let engine = Arc::downgrade(self);
            let thread = std::thread::Builder::new().name("sampler".into());
            thread
                .spawn(move || sample_for_ever(&engine))
                .map_err(|error| Error::internal("cannot start the sampler").because(error))?;
            followed.has_thread = true;
        }
        let latest = followed.containers.entry(id).or_default().subscribe();
        self.samplers.more.notify_all();
        Ok(Follower { latest, is_first: true })
    }

    /// Looks at the containers that are followed: all of them, or those that were not looked at yet.
    fn sample_followed(&self, all: bool) {
        let followed: Vec<_> = {
            let followed = lock(&self.samplers.followed);
            followed.containers.iter().map(|(id, latest)| (id.clone(), Arc::clone(latest))).collect()
        };
        for (id, latest) in followed {
            if latest.borrow().as_ref().is_some_and(|known| !all || known.is_young()) {
                continue;
            }
            match self.registry.find(id.as_str()).and_then(|entry| self.measure(&entry)) {
                Ok(measured) => drop(latest.send_replace(Some(Arc::new(measured)))),
                Err(error) if error.kind() == Kind::NotFound => {
                    lock(&self.samplers.followed).containers.remove(&id);
                }
                Err(error) => tracing::warn!(container = id.short(), "stats: {}", error.report()),
            }
        }
    }

    /// Waits for the next round: false when that is nobody's business any more. A container that is new among the
    /// followed is looked at meanwhile.
    fn wait_for_round(&self, due: Instant) -> bool {
        loop {
            let mut followed = lock(&self.samplers.followed);
            followed.containers.retain(|_, latest| latest.receiver_count() > 0);
            if followed.containers.is_empty() {
                followed.has_thread = false;
                return false;
            }
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            let waited = self.samplers.more.wait_timeout(followed, left);
            drop(waited);
            self.sample_followed(false);
        }
    }
}

fn sample_for_ever(engine: &Weak<Engine>) {
    while let Some(engine) = engine.upgrade() {
        let due = Instant::now() + PERIOD;
        engine.sample_followed(true);
        if !engine.wait_for_round(due) {
            return;
        }
    }
}
