//! `stop`, `restart` and `kill`: a signal, a grace, and SIGKILL.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dhow_model::container::{Intent, Refusal, State};
use dhow_model::ports::Target;
use dhow_model::{Container, ContainerId, Error, Kind, Result};

use super::refused;
use crate::plan::signal;
use crate::restart::policy;
use crate::{Engine, Entry};

pub(super) const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
/// What a stop means to the restart policy.
pub(super) const STOPPED: Intent = Intent { stopped: true, ends: true };
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
        self.end_for_good(&entry, &request).await
    }

    /// Stops a container if it runs, and starts it.
    ///
    /// # Errors
    /// As `stop` and `start`.
    pub async fn restart_container(self: &Arc<Self>, text: &str, request: StopRequest) -> Result<()> {
        let entry = self.container(text)?;
        // One that asked to be removed when it ends is not removed by a restart.
        entry.comes_back(true);
        let started = self.end_and_start(&entry, &request).await;
        entry.comes_back(false);
        started.map_err(|error| {
            Error::new(error.kind(), format!("Cannot restart container {text}: {}", error.report()))
        })?;
        self.tell_container(&entry.record(), "restart", &[]);
        Ok(())
    }

    async fn end_and_start(self: &Arc<Self>, entry: &Arc<Entry>, request: &StopRequest) -> Result<()> {
        let record = settled(entry).await?;
        if record.state.is_active() {
            self.end_for_good(entry, request).await?;
        }
        let engine = Arc::clone(self);
        run_blocking(move || match engine.start_container(record.id.as_str()) {
            Err(error) if error.kind() == Kind::NotModified => Ok(()),
            done => done,
        })
        .await
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
        record.state.may_stop().map_err(|refusal| match refusal {
            Refusal::Already => Error::conflict(format!("container {} is not running", record.id)),
            other => other.about(record.id.as_str(), &record.name.to_string()),
        })?;
        let own = signal::parse(&record.config.stop_signal);
        // As Docker: without a signal of its own any signal means that it is to end.
        let ends = signal == SIGKILL || own.map_or(true, |own| own == signal);
        let record = self.note_end(&entry, Intent { stopped: true, ends })?;
        if record.state.running().is_none() {
            return Ok(());
        }
        self.send(&record, signal)?;
        self.tell_container(&record, "kill", &[("signal", signal.to_string())]);
        // Nothing outlives SIGKILL, and clients remove the container next.
        if signal == SIGKILL { self.until_ended(&entry) } else { Ok(()) }
    }

    fn send(&self, record: &Container, signal: i32) -> Result<()> {
        self.ports.runtime.signal(&Target::container(record.id.clone()), signal)?;
        // A frozen process gets a signal when it is thawed; SIGKILL is not to wait for that.
        if signal == SIGKILL && matches!(record.state, State::Paused(_)) {
            self.ports.runtime.resume(&record.id)?;
        }
        Ok(())
    }

    /// Notes that somebody wants it to end. One that waits to be started again has ended with that.
    fn note_end(&self, entry: &Entry, intent: Intent) -> Result<Arc<Container>> {
        entry.intend(intent);
        let record = entry.record();
        if !policy::is_set(&record.host_config.restart_policy) && record.state.running().is_some() {
            // Nobody will ask before its end is recorded.
            return Ok(record);
        }
        let _turn = entry.turn();
        let record = entry.record();
        match &record.state {
            State::Restarting(exit) if intent.ends => {
                entry.set_state(&self.ports, State::Exited(exit.clone()))
            }
            State::Running(_) | State::Paused(_) => entry.advance(&self.ports, |_| {}),
            _ => Ok(record),
        }
    }

    /// Ends it, and no policy starts it again.
    async fn end_for_good(self: &Arc<Self>, entry: &Arc<Entry>, request: &StopRequest) -> Result<()> {
        let (engine, noted) = (Arc::clone(self), Arc::clone(entry));
        let record = run_blocking(move || engine.note_end(&noted, STOPPED)).await?;
        if record.state.running().is_some() {
            self.end_process(entry, request).await?;
        }
        let (engine, ended) = (Arc::clone(self), Arc::clone(entry));
        run_blocking(move || {
            // Who records the end has told it when the turn is free.
            let _turn = ended.turn();
            engine.tell_container(&record, "stop", &[]);
            Ok(())
        })
        .await
    }

    /// Ends it; whether it is started again is another question.
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

    /// Kills a container for its health; its restart policy decides as for any other end.
    pub(crate) fn kill_unhealthy(&self, id: &ContainerId) -> Result<()> {
        let record = self.container(id.as_str())?.record();
        self.send(&record, SIGKILL)?;
        self.tell_container(&record, "kill", &[("signal", SIGKILL.to_string())]);
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
pub(crate) async fn settled(entry: &Arc<Entry>) -> Result<Arc<Container>> {
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
