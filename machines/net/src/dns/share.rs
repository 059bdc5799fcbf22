//! How many questions are under way to upstream servers, and whose.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// In all, as Docker has it for each container.
const PLACES: usize = 1024;
/// Of one container, that wait for a place.
const QUEUE: usize = 1024;
/// How long one waits, as with Docker.
const PATIENCE: Duration = Duration::from_secs(4);
/// Places of others that became free are looked for this often.
const GLANCE: Duration = Duration::from_millis(50);

/// All places.
#[derive(Debug, Default)]
pub(super) struct Places {
    taken: AtomicUsize,
}

/// Those that one container has.
///
/// It may have half as many as are free: a third of all when it is alone, a quarter when two want as many as they
/// can get. So there are some left for who has none, when others wait for servers that do not answer.
#[derive(Debug)]
pub(super) struct Share {
    places: Arc<Places>,
    taken: AtomicUsize,
    waiting: AtomicUsize,
    freed: Notify,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Share>);

impl Share {
    pub(super) fn new(places: Arc<Places>) -> Arc<Self> {
        Arc::new(Self { places, taken: 0.into(), waiting: 0.into(), freed: Notify::new() })
    }

    /// One that is free now.
    pub(super) fn take(self: &Arc<Self>) -> Option<Place> {
        let all = self.places.taken.fetch_add(1, Ordering::Relaxed);
        let own = self.taken.fetch_add(1, Ordering::Relaxed);
        let free = PLACES.saturating_sub(all);
        if own < free.div_ceil(2) {
            return Some(Place(Arc::clone(self)));
        }
        self.give_back();
        None
    }

    fn give_back(&self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
        self.places.taken.fetch_sub(1, Ordering::Relaxed);
    }

    /// One, when it becomes free soon.
    pub(super) async fn wait(self: &Arc<Self>) -> Option<Place> {
        let _waiting = Waiting::new(&self.waiting)?;
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            // Woken or not: it is tried again.
            let _ = timeout(GLANCE, self.freed.notified()).await;
            if let Some(place) = self.take() {
                return Some(place);
            }
        }
        None
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.give_back();
        self.0.freed.notify_one();
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Option<Self> {
        let one = Self(count);
        (count.fetch_add(1, Ordering::Relaxed) < QUEUE).then_some(one)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_of(share: &Arc<Share>) -> Vec<Place> {
        std::iter::from_fn(|| share.take()).collect()
    }

    #[test]
    fn who_wants_all_leaves_some_for_the_next() {
        let places = Arc::new(Places::default());
        let shares: Vec<_> = (0..15).map(|_| Share::new(Arc::clone(&places))).collect();
        let mut held: Vec<Vec<Place>> = shares.iter().map(all_of).collect();
        assert_eq!(held[0].len(), 342);
        assert!(
            held.iter().all(|places| !places.is_empty()),
            "{:?}",
            held.iter().map(Vec::len).collect::<Vec<_>>()
        );
        held.clear();
        assert_eq!(all_of(&shares[3]).len(), 342);
        assert_eq!(places.taken.load(Ordering::Relaxed), 0);
    }
}
