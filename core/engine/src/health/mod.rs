//! Health checks: a program that is run in the container again and again tells how it is.
//!
//! [`policy`] decides, as pure functions; [`probe`] runs the program once. Each container that is probed has
//! one sleeping task, no thread; it ends with the run of the container that it belongs to.

pub(crate) mod policy;
mod probe;

use std::sync::Arc;
use std::time::Duration;

use dhow_model::container::{Health, HealthAction, HealthStatus, Probe, Running, State};
use dhow_model::{Container, Timestamp};
use tokio::sync::watch;

use crate::containers::stop::StopRequest;
use crate::restart::between;
use crate::{Engine, Entry};
use policy::Check;

/// The health of a container that is not probed any more, as Docker shows it.
pub(crate) fn ended(record: &mut Container) {
    if let Some(health) = &mut record.health {
        health.status = HealthStatus::Unhealthy;
    }
}

/// The health of a container that was just started.
pub(crate) fn begun(record: &mut Container) {
    record.health = Check::of(&record.config).map(|_| Check::begun(record.health.take()));
}

impl Engine {
    /// Probes a container that runs until this run of it is over or frozen.
    pub(crate) fn watch_health(self: &Arc<Self>, entry: &Arc<Entry>) {
        let record = entry.record();
        let (State::Running(run), Some(check)) = (&record.state, Check::of(&record.config)) else { return };
        let watcher = Watcher {
            changes: entry.watch(),
            engine: Arc::clone(self),
            entry: Arc::clone(entry),
            check: Arc::new(check),
            run: run.clone(),
        };
        tokio::spawn(watcher.watch());
    }

    /// The same for a container that an earlier engine started: its health is as it was found last.
    pub(crate) fn watch_health_again(self: &Arc<Self>, entry: &Arc<Entry>) {
        let record = entry.record();
        if record.health.is_none() && matches!(record.state, State::Running(_)) {
            let mut record = (*record).clone();
            begun(&mut record);
            entry.replace(record);
        }
        self.watch_health(entry);
    }
}

/// Who watches over one run of a container.
struct Watcher {
    engine: Arc<Engine>,
    entry: Arc<Entry>,
    check: Arc<Check>,
    run: Running,
    changes: watch::Receiver<u64>,
}

impl Watcher {
    async fn watch(mut self) {
        while self.sleep().await {
            let start = Timestamp::now();
            let probe = {
                let (engine, entry) = (Arc::clone(&self.engine), Arc::clone(&self.entry));
                let probe = probe::run(engine, entry, Arc::clone(&self.check), start);
                tokio::select! {
                    probe = probe => probe,
                    () = over(&mut self.changes, &self.entry, &self.run) => return,
                }
            };
            let Some(became_unhealthy) = self.note(probe).await else { return };
            if became_unhealthy {
                self.act();
            }
        }
    }

    /// Until the next probe; false when there is none.
    async fn sleep(&mut self) -> bool {
        let record = self.entry.record();
        let Some(health) = &record.health else { return false };
        let wait = self.check.wait(health.status, between(self.run.started, Timestamp::now()));
        tokio::select! {
            () = tokio::time::sleep(wait) => true,
            () = over(&mut self.changes, &self.entry, &self.run) => false,
        }
    }

    /// Notes what a probe found, and whether it made the container unhealthy; nothing when the run is over.
    async fn note(&self, probe: Probe) -> Option<bool> {
        let (engine, entry) = (Arc::clone(&self.engine), Arc::clone(&self.entry));
        let (check, run) = (Arc::clone(&self.check), self.run.clone());
        let noted = tokio::task::spawn_blocking(move || engine.note_probe(&entry, &check, &run, probe));
        noted.await.ok().flatten()
    }

    /// Does what was asked for when the container is unhealthy.
    fn act(&self) {
        let (engine, entry) = (Arc::clone(&self.engine), Arc::clone(&self.entry));
        let action = self.check.on_failure;
        tokio::spawn(async move {
            let id = entry.record().id.clone();
            let done = match action {
                HealthAction::None => return,
                HealthAction::Kill => engine.kill_unhealthy(&id),
                HealthAction::Stop => engine.stop_container(id.as_str(), StopRequest::default()).await,
                HealthAction::Restart => engine.restart_container(id.as_str(), StopRequest::default()).await,
            };
            if let Err(error) = done {
                tracing::warn!(container = id.short(), "{action:?} for its health: {}", error.report());
            }
        });
    }
}

/// Waits until a run of a container is over, or frozen.
async fn over(changes: &mut watch::Receiver<u64>, entry: &Entry, run: &Running) {
    while is_of(&entry.record(), run) {
        if changes.changed().await.is_err() {
            return;
        }
    }
}

fn is_of(record: &Container, run: &Running) -> bool {
    matches!(&record.state, State::Running(running) if running == run)
}

impl Engine {
    fn note_probe(&self, entry: &Entry, check: &Check, run: &Running, probe: Probe) -> Option<bool> {
        let _turn = entry.turn();
        let record = entry.record();
        let before = record.health.as_ref().filter(|_| is_of(&record, run))?;
        let after: Duration = between(run.started, probe.start);
        let health = check.judge(before, probe, after);
        let (old, new) = (before.status, health.status);
        self.keep_health(entry, health, old != new);
        if old != new {
            self.tell_container(&entry.record(), &format!("health_status: {}", new.word()), &[]);
        }
        Some(old != new && new == HealthStatus::Unhealthy)
    }

    /// Only another status is worth the disk: the next engine goes on from there.
    fn keep_health(&self, entry: &Entry, health: Health, on_disk: bool) {
        if on_disk {
            let kept = entry.advance(&self.ports, |record| record.health = Some(health.clone()));
            let Err(error) = kept else { return };
            tracing::warn!("record the health of a container: {}", error.report());
        }
        entry.replace(Container { health: Some(health), ..(*entry.record()).clone() });
    }
}
