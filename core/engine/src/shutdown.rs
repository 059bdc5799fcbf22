//! The end of an engine that does not leave its containers running.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::containers::stop::{StopRequest, settled};
use crate::{Engine, Entry};

/// Seconds that a container has beyond its own time before the engine leaves it.
const GRACE: u64 = 5;

impl Engine {
    /// Whether the engine is ending and takes its containers along: what ends now is not started again.
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        self.shutting_down.load(Ordering::Relaxed)
    }

    /// Stops every container, all at once, unless they are to go on. Returns when all have ended, or when
    /// the time for it is over. Nobody asked for any of them to stay stopped: the next engine starts
    /// those that are to be started again.
    pub async fn shut_down(self: &Arc<Self>) {
        let settings = self.settings();
        if settings.live_restore {
            return;
        }
        self.shutting_down.store(true, Ordering::Relaxed);
        let mut stopping = JoinSet::new();
        let all = self.registry.all();
        let running = all.iter().map(|entry| entry.record()).filter(|record| record.state.is_active());
        let asked = running.map(|record| record.config.stop_timeout.unwrap_or(settings.stop_timeout));
        let longest = longest(settings.shutdown_timeout, asked);
        for entry in all {
            stopping.spawn(end(Arc::clone(self), entry));
        }
        let all = async { while stopping.join_next().await.is_some() {} };
        let Some(seconds) = longest else { return all.await };
        if tokio::time::timeout(Duration::from_secs(seconds), all).await.is_err() {
            tracing::warn!(seconds, "containers are left running: they did not stop in time");
        }
    }
}

/// How many seconds there are for all to end, as with Docker: what the engine was told, or more when one of them may
/// take longer, and then some for its end. A negative time is for ever.
fn longest(own: i64, asked: impl Iterator<Item = i64>) -> Option<u64> {
    let own = u64::try_from(own).ok()?;
    asked
        .map(|seconds| u64::try_from(seconds).ok())
        .try_fold(own, |longest, seconds| seconds.map(|seconds| longest.max(seconds.saturating_add(GRACE))))
}

async fn end(engine: Arc<Engine>, entry: Arc<Entry>) {
    // A start that is on its way comes to its end first; there are no further ones.
    let Ok(record) = settled(&entry).await else { return };
    if record.state.running().is_none() {
        return;
    }
    match engine.end_process(&entry, &StopRequest::default()).await {
        Ok(()) => engine.tell_container(&record, "stop", &[]),
        Err(error) => tracing::warn!(container = record.id.short(), "stop: {}", error.report()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_waits_for_the_one_that_may_take_longest() {
        for (own, asked, seconds) in [
            (15, &[][..], Some(15)),
            (15, &[10, 1], Some(15)),
            (15, &[10, 20], Some(25)),
            (1, &[0], Some(5)),
            (15, &[10, -1], None),
            (-1, &[10], None),
            (15, &[i64::MAX], Some(9_223_372_036_854_775_812)),
        ] {
            assert_eq!(longest(own, asked.iter().copied()), seconds, "{own} {asked:?}");
        }
    }
}
