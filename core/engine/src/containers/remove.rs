//! `rm` and `prune`: removes the writable layer of a container that does not run.

use std::sync::Arc;
use std::time::Instant;

use dhow_model::container::{Refusal, State};
use dhow_model::{Container, ContainerId, Kind, Result};

use super::refused;
use super::stop::{LONGEST_KILL, SIGKILL, STOPPED, does_not_end};
use crate::plan::mounts;
use crate::{Engine, Entry};

/// How a container is removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removal {
    /// One that runs is killed.
    pub force: bool,
    /// Its anonymous volumes go too.
    pub volumes: bool,
}

/// What `prune` removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The containers.
    pub ids: Vec<ContainerId>,
    /// Bytes that their writable layers took.
    pub reclaimed: u64,
}

impl Engine {
    /// Removes a container.
    ///
    /// # Errors
    /// Conflict when it runs and force is not asked for.
    pub fn remove_container(self: &Arc<Self>, text: &str, removal: Removal) -> Result<()> {
        let _timer = self.counts.time("delete");
        let entry = self.container(text)?;
        let _removal = removal.force.then(|| {
            entry.intend(STOPPED);
            entry.begin_removal()
        });
        loop {
            // Looked at in its turn: a start may be on its way.
            let turn = entry.turn();
            let record = entry.record();
            if !self.registry.has(&record.id) {
                // Its own end, or another client, has removed it meanwhile.
                return Ok(());
            }
            match record.state.may_remove() {
                Ok(()) => return self.remove_stopped(&entry, removal.volumes),
                Err(refusal) if !removal.force => return Err(refused(&record)(refusal)),
                // Who waits to start it finds it gone.
                Err(Refusal::MustStopRestarting) => return self.remove_stopped(&entry, removal.volumes),
                Err(_) => self.kill_processes(&record)?,
            }
            // Its end is recorded by who takes the next turn.
            drop(turn);
            self.until_ended(&entry)?;
        }
    }

    /// The record says first that it is going: the next engine finishes what this one could not. It is
    /// off the record before its files go: no power cut leaves a container without them.
    fn remove_stopped(&self, entry: &Entry, volumes: bool) -> Result<()> {
        let record = entry.record();
        if record.state != State::Removing {
            entry.set_state(&self.ports, State::Removing)?;
        }
        self.ports.runtime.release(&record.id)?;
        self.ports.records.delete_container(&record.id, crate::registry::durability(&record))?;
        self.ports.snapshots.remove(&record.id)?;
        self.execs.forget(&record.id);
        self.registry.forget(&record.id);
        self.tell_container(&record, "destroy", &[]);
        if volumes {
            self.remove_anonymous(&record);
        }
        Ok(())
    }

    /// All processes are killed; their end is taken like any other.
    fn kill_processes(&self, record: &Container) -> Result<()> {
        self.tell_container(record, "kill", &[("signal", SIGKILL.to_string())]);
        match self.ports.runtime.kill_all(&record.id) {
            Err(error) if error.kind() != Kind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Waits for the end of a process that was killed. It is killed again and again, for a freeze that was
    /// on its way when the signal came holds it back.
    pub(crate) fn until_ended(&self, entry: &Entry) -> Result<()> {
        let end = Instant::now() + LONGEST_KILL;
        loop {
            entry.wait_briefly();
            let record = entry.record();
            if record.state.running().is_none() {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(does_not_end(&record));
            }
            self.kill_once_more(&record)?;
        }
    }

    fn remove_anonymous(&self, record: &Container) {
        for mount in record.volumes().filter(|mount| mounts::is_anonymous(&mount.name)) {
            match self.remove_volume(&mount.name, false) {
                // Another container uses it, or it is gone: either is as it should be.
                Err(error) if !matches!(error.kind(), Kind::Conflict | Kind::NotFound) => {
                    tracing::warn!(volume = mount.name, "remove: {}", error.report());
                }
                _ => {}
            }
        }
    }

    /// Removes every container that does not run and that `keep` does not want.
    ///
    /// # Errors
    /// When one cannot be removed; those before it are gone.
    pub fn prune_containers(self: &Arc<Self>, wanted: impl Fn(&Container) -> bool) -> Result<Pruned> {
        let mut pruned = Pruned::default();
        for entry in self.registry.all() {
            let record = entry.record();
            if record.state.is_active() || !wanted(&record) {
                continue;
            }
            let size = self.ports.snapshots.usage(&record.id).unwrap_or_default().writable;
            match self.remove_container(record.id.as_str(), Removal::default()) {
                Ok(()) => {
                    pruned.reclaimed += size;
                    pruned.ids.push(record.id.clone());
                }
                // It was started or removed meanwhile.
                Err(error) if matches!(error.kind(), Kind::Conflict | Kind::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        let more = [("reclaimed".to_owned(), pruned.reclaimed.to_string())].into();
        self.tell(dhow_model::event::EventKind::Container, "prune", "", more);
        Ok(pruned)
    }
}
