//! What a new engine does first: it finds what an earlier one left, and mends it.

use std::collections::BTreeSet;
use std::sync::Arc;

use dhow_model::container::{Exit, State};
use dhow_model::ports::Adopted;
use dhow_model::{Container, ContainerId, Result, Timestamp};

use crate::containers::remove::Removal;
use crate::{Engine, Entry, Events, Ports, Settings, execs, registry};

impl Engine {
    /// Opens the engine over its ports: every container on record is known, and everything that runs
    /// is found again.
    ///
    /// # Errors
    /// When the records cannot be read. What is wrong with one container is logged, and the others go on.
    pub fn open(ports: Ports, settings: Settings) -> Result<Arc<Self>> {
        let engine = Arc::new(Self {
            ports,
            settings,
            registry: registry::Registry::default(),
            execs: execs::Registry::default(),
            events: Events::default(),
            volume_lock: std::sync::Mutex::default(),
        });
        let records = engine.ports.records.containers()?;
        let known: BTreeSet<ContainerId> = records.iter().map(|record| record.id.clone()).collect();
        for record in records {
            engine.recover(record);
        }
        engine.clear_unknown(&known);
        Ok(engine)
    }

    /// One container: what it is now is read from the runtime, not from the record.
    fn recover(self: &Arc<Self>, record: Container) {
        let running = record.state.running().cloned();
        let id = record.id.clone();
        let removing = record.state == State::Removing;
        let entry = self.registry.add(record);
        if let Some(running) = running {
            match self.ports.runtime.adopt(&id) {
                Ok(Adopted::Running(_)) => return,
                Ok(Adopted::Exited(exit)) => self.ended_meanwhile(&entry, exit),
                Ok(Adopted::Gone) => self.ended_meanwhile(&entry, lost(running.started)),
                Err(error) => {
                    tracing::error!(container = id.short(), "adopt: {}", error.report());
                    self.ended_meanwhile(&entry, lost(running.started));
                }
            }
        }
        if removing || (entry.record().host_config.auto_remove && entry.record().state.exit().is_some()) {
            let removal = Removal { force: true, volumes: true };
            if let Err(error) = self.remove_container(id.as_str(), removal) {
                tracing::warn!(container = id.short(), "finish its removal: {}", error.report());
            }
        }
    }

    fn ended_meanwhile(&self, entry: &Entry, exit: Exit) {
        let _turn = entry.turn();
        self.ended(entry, exit);
    }

    /// Snapshots that no record names: a create that was cut off.
    fn clear_unknown(&self, known: &BTreeSet<ContainerId>) {
        let found = self.ports.snapshots.list().unwrap_or_default();
        for id in found.into_iter().filter(|id| !known.contains(id)) {
            if let Err(error) = self.ports.snapshots.remove(&id) {
                tracing::warn!(container = id.short(), "clear what a crash left: {}", error.report());
            }
        }
    }
}

/// The machine was started anew, or the monitor was killed: nobody saw the exit.
fn lost(started: Timestamp) -> Exit {
    Exit { code: 255, started, finished: Timestamp::now(), ..Exit::default() }
}
