//! What a new engine does first: it finds what an earlier one left, and mends it.

use std::collections::HashSet;
use std::sync::Arc;

use dhow_model::container::{Exit, Intent, State};
use dhow_model::ports::Adopted;
use dhow_model::{Container, ContainerId, Result, Timestamp};

use crate::containers::remove::Removal;
use crate::{Engine, Entry, Events, Ports, Settings, execs, health, registry};

impl Engine {
    /// Opens the engine over its ports: every container on record is known, and everything that runs
    /// is found again. What should run and does not is started after that. To be called inside an
    /// asynchronous runtime.
    ///
    /// # Errors
    /// When the records cannot be read. What is wrong with one container is logged, and the others go on.
    pub fn open(ports: Ports, settings: Settings) -> Result<Arc<Self>> {
        let engine = Arc::new(Self {
            ports,
            settings: std::sync::RwLock::new(Arc::new(settings)),
            shutting_down: std::sync::atomic::AtomicBool::new(false),
            registry: registry::Registry::default(),
            execs: execs::Registry::default(),
            events: Events::default(),
            counts: crate::metrics::Counts::default(),
            samplers: crate::containers::stats::Samplers::default(),
            networks: std::sync::Mutex::default(),
            claimed_volumes: std::sync::Mutex::default(),
            attached_volumes: std::sync::Mutex::default(),
        });
        engine.load_networks()?;
        let records = engine.ports.records.containers()?;
        let known: HashSet<ContainerId> = records.iter().map(|record| record.id.clone()).collect();
        let left = engine.ports.runtime.left()?;
        for record in records {
            engine.recover(record, &left);
        }
        engine.clear_unknown(&known);
        engine.detach_unused();
        engine.settle_default()?;
        if let Err(error) = engine.restore_networks() {
            tracing::error!("find the networks again: {}", error.report());
        }
        engine.start_what_should_run();
        Ok(engine)
    }

    /// One container: what it is now is read from the runtime, not from the record.
    fn recover(self: &Arc<Self>, record: Arc<Container>, left: &HashSet<ContainerId>) {
        let id = record.id.clone();
        let removing = record.state == State::Removing;
        let ended = record.state.running().is_none();
        self.keep_images_again(&record);
        let entry = self.registry.add(record);
        if ended && !removing && !left.contains(&id) && !entry.record().host_config.auto_remove {
            // As nearly all of thousands: nothing of it runs, and nothing is owed to it.
            return;
        }
        let found = {
            let _turn = entry.turn();
            let found = self.find_again(&entry);
            self.finish_update(&entry);
            found.and_then(|()| self.disconnect_ended(&entry))
        };
        if let Err(error) = found {
            tracing::error!(container = id.short(), "find it again: {}", error.report());
        }
        self.hold_volumes_again(&entry.record());
        self.watch_health_again(&entry);
        // One that was never started is owed no start: whoever made it would have removed it with its end.
        let over = entry.record().host_config.auto_remove && entry.record().state.running().is_none();
        if removing || over {
            let removal = Removal { force: true, volumes: true };
            if let Err(error) = self.remove_container(id.as_str(), removal) {
                tracing::warn!(container = id.short(), "finish its removal: {}", error.report());
            }
        }
    }

    /// The record may be one step behind: an engine that is killed between a deed and its record leaves
    /// a process that no record knows, a frozen one, or the exit of a run that was never recorded.
    fn find_again(&self, entry: &Entry) -> Result<()> {
        let record = entry.record();
        let adopted = self.ports.runtime.adopt(&record.id).unwrap_or_else(|error| {
            tracing::error!(container = record.id.short(), "adopt: {}", error.report());
            Adopted::Gone
        });
        match (adopted, &record.state) {
            (Adopted::Running(_), State::Running(_)) => self.thaw(&record),
            (Adopted::Running(_), State::Paused(_)) => {
                self.ports.runtime.pause(&record.id)?;
                self.ports.runtime.keep_paused(&record.id)?;
            }
            (Adopted::Running(running), _) => {
                entry.intend(Intent::default());
                entry.advance(&self.ports, |record| {
                    record.state = State::Running(running);
                    health::begun(record);
                })?;
                self.thaw(&record);
            }
            (Adopted::Exited(exit), State::Running(_) | State::Paused(_)) => {
                self.ended(entry, exit);
            }
            (Adopted::Exited(exit), state) => {
                if *state != State::Removing && state.exit() != Some(&exit) {
                    // One that was being started again, and ended before that was recorded, is still owed a start.
                    let owed = matches!(state, State::Restarting(_));
                    let ended = if owed { State::Restarting(exit) } else { State::Exited(exit) };
                    entry.set_state(&self.ports, ended)?;
                }
                self.ports.runtime.release(&record.id)?;
            }
            (Adopted::Gone, State::Running(running) | State::Paused(running)) => {
                self.ended(entry, lost(running.started));
            }
            (Adopted::Gone, _) => self.ports.runtime.release(&record.id)?,
        }
        Ok(())
    }

    /// What a container that runs uses is still mounted.
    fn hold_volumes_again(&self, record: &Container) {
        if record.state.running().is_none() {
            return;
        }
        if let Err(error) = self.attach_volumes(record) {
            tracing::error!(container = record.id.short(), "{}", error.report());
        }
    }

    fn keep_images_again(&self, record: &Container) {
        if let Err(error) = self.ports.snapshots.keep_images(&record.id, &record.mounted_images()) {
            tracing::error!(container = record.id.short(), "an image that it mounts: {}", error.report());
        }
    }

    /// An engine that was killed while it connected a container has left that on record.
    fn disconnect_ended(&self, entry: &Entry) -> Result<()> {
        let record = entry.record();
        if record.is_connected() && record.state.running().is_none() {
            entry.advance(&self.ports, Container::disconnect)?;
        }
        Ok(())
    }

    /// An engine that was killed while it froze a container, for a commit, has left it so.
    fn thaw(&self, record: &Container) {
        if let Err(error) = self.ports.runtime.resume(&record.id) {
            // Where nothing can be frozen, nothing was.
            tracing::debug!(container = record.id.short(), "thaw: {}", error.report());
        }
    }

    /// Snapshots that no record names: a create that was cut off.
    fn clear_unknown(&self, known: &HashSet<ContainerId>) {
        let found = self.ports.snapshots.list().unwrap_or_else(|error| {
            tracing::warn!("look for what a crash left: {}", error.report());
            Vec::new()
        });
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
