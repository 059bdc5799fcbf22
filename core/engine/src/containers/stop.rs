//! `stop`, `restart` and `kill`: a signal, a grace, and SIGKILL.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dhow_model::container::Refusal;
use dhow_model::ports::Target;
use dhow_model::{Container, Error, Kind, Result};

use super::refused;
use crate::plan::signal;
use crate::{Engine, Entry};

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
/// What the kernel may take to end a killed process before it is an error.
pub(super) const LONGEST_KILL: Duration = Duration::from_secs(30);
/// How often what was killed is killed again.
const KILL_AGAIN: Duration = Duration::from_millis(100);

/// How a container is stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StopRequest {
    /// The first signal; nothing is the container's own.
    pub signal: Option<String>,
    /// Seconds to SIGKILL; nothing is the container's own, negative waits for ever.
    pub timeout: Option<i64>,
}

impl Engine {
    /// Stops a container and waits until it has ended.
    ///
    /// # Errors
    /// Not modified when it does not run.
    pub async fn stop_container(self: &Arc<Self>, text: &str, request: StopRequest) -> Result<()> {
        let entry = self.container(text)?;
        let record = settled(&entry).await?;
        record.state.may_stop().map_err(refused(&record))?;
        self.end_process(&entry, &request).await?;
        self.tell_container(&record, "stop", &[]);
        Ok(())
    }

    /// Stops a container if it runs, and starts it.
    ///
    /// # Errors
    /// As `stop` and `start`.
    pub async fn restart_container(self: &Arc<Self>, text: &str, request: StopRequest) -> Result<()> {
        let entry = self.container(text)?;
        if settled(&entry).await?.state.running().is_some() {
            // A container that asked to be removed when it ends is not removed by a restart.
            if entry.record().host_config.auto_remove {
                return Err(Error::conflict(
                    "a container with AutoRemove cannot be restarted: start a new one",
                ));
            }
            self.end_process(&entry, &request).await?;
        }
        let engine = Arc::clone(self);
        let id = entry.record().id.to_string();
        run_blocking(move || match engine.start_container(&id) {
            Err(error) if error.kind() == Kind::NotModified => Ok(()),
            done => done,
        })
        .await?;
        self.tell_container(&entry.record(), "restart", &[]);
        Ok(())
    }

    /// Sends a signal; SIGKILL when none is named.
    ///
    /// # Errors
    /// Conflict when it does not run; invalid argument for a signal that is none.
    pub fn kill_container(&self, text: &str, name: &str) -> Result<()> {
        self.kill(text, name).map_err(|error| {
            Error::new(error.kind(), format!("cannot kill container: {text}: {}", error.report()))
        })
    }

    fn kill(&self, text: &str, name: &str) -> Result<()> {
        let signal = if name.is_empty() { SIGKILL } else { signal::parse(name)? };
        let entry = self.container(text)?;
        let record = entry.settled();
        record.state.must_run().map_err(|refusal| match refusal {
            Refusal::NotRunning => Error::conflict(format!("container {} is not running", record.id)),
            other => other.about(record.id.as_str(), &record.name.to_string()),
        })?;
        self.send(&record, signal)?;
        self.tell_container(&record, "kill", &[("signal", signal.to_string())]);
        // Nothing outlives SIGKILL, and clients remove the container next.
        if signal == SIGKILL { self.until_ended(&entry) } else { Ok(()) }
    }

    fn send(&self, record: &Container, signal: i32) -> Result<()> {
        self.ports.runtime.signal(&Target::container(record.id.clone()), signal)?;
        // A frozen process gets a signal when it is thawed; SIGKILL is not to wait for that.
        if signal == SIGKILL && matches!(record.state, dhow_model::container::State::Paused(_)) {
            self.ports.runtime.resume(&record.id)?;
        }
        Ok(())
    }

    pub(crate) async fn end_process(&self, entry: &Arc<Entry>, request: &StopRequest) -> Result<()> {
        let record = entry.record();
        let named = request.signal.as_deref().filter(|name| !name.is_empty());
        let own = Some(record.config.stop_signal.as_str()).filter(|name| !name.is_empty());
        let signal = named.or(own).map_or(Ok(SIGTERM), signal::parse)?;
        let grace = request.timeout.or(record.config.stop_timeout).unwrap_or(self.settings().stop_timeout);
        if self.send_unless_ended(&record, signal)? && self.ended_within(entry, grace).await {
            return Ok(());
        }
        self.send_unless_ended(&record, SIGKILL)?;
        let end = Instant::now() + LONGEST_KILL;
        while !self.ended_in(entry, Some(KILL_AGAIN)).await {
            if Instant::now() > end {
                return Err(does_not_end(&record));
            }
            self.kill_once_more(&entry.record())?;
        }
        Ok(())
    }

    /// Kills what was killed before and has not ended: a freeze may hold the signal back.
    pub(super) fn kill_once_more(&self, record: &Container) -> Result<()> {
        match self.send(record, SIGKILL) {
            Err(error) if !matches!(error.kind(), Kind::NotFound | Kind::Conflict) => Err(error),
            _ => Ok(()),
        }
    }

    /// A process that ended meanwhile is what was wanted.
    fn send_unless_ended(&self, record: &Container, signal: i32) -> Result<bool> {
        self.tell_container(record, "kill", &[("signal", signal.to_string())]);
        match self.send(record, signal) {
            Ok(()) => Ok(true),
            Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Conflict) => Ok(true),
            Err(error) => Err(error),
        }
    }

    async fn ended_within(&self, entry: &Arc<Entry>, seconds: i64) -> bool {
        let limit = u64::try_from(seconds).ok().map(Duration::from_secs);
        self.ended_in(entry, limit).await
    }

    /// Waits until nothing runs, for at most `limit`.
    async fn ended_in(&self, entry: &Arc<Entry>, limit: Option<Duration>) -> bool {
        let mut changes = entry.watch();
        let ended = async {
            while entry.record().state.running().is_some() && self.registry.has(&entry.record().id) {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        match limit {
            Some(limit) => tokio::time::timeout(limit, ended).await.is_ok(),
            None => {
                ended.await;
                true
            }
        }
    }
}

pub(super) fn does_not_end(record: &Container) -> Error {
    Error::internal(format!("container {}: its process does not end", record.id))
}

/// As [`Entry::settled`], where nothing may block.
async fn settled(entry: &Arc<Entry>) -> Result<Arc<Container>> {
    let record = entry.record();
    if record.state.running().is_some() {
        return Ok(record);
    }
    let entry = Arc::clone(entry);
    run_blocking(move || Ok(entry.settled())).await
}

/// Runs a verb on a thread where it may block.
pub(crate) async fn run_blocking<T: Send + 'static>(
    verb: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(verb).await {
        Ok(done) => done,
        Err(panic) => Err(Error::internal("a verb of the engine panicked").because(panic)),
    }
}
