//! The end of an engine that does not leave its containers running.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::containers::stop::{StopRequest, settled};
use crate::{Engine, Entry};

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
        for entry in self.registry.all() {
            stopping.spawn(end(Arc::clone(self), entry));
        }
        let all = async { while stopping.join_next().await.is_some() {} };
        let Ok(seconds) = u64::try_from(settings.shutdown_timeout) else { return all.await };
        if tokio::time::timeout(Duration::from_secs(seconds), all).await.is_err() {
            tracing::warn!(seconds, "containers are left running: they did not stop in time");
        }
    }
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
