//! The one road back: what the runtime tells, to state, record, event and those who wait.

use std::sync::Arc;
use std::time::Duration;

use dhow_model::Container;
use dhow_model::container::{Exit, State};
use dhow_model::ports::{RuntimeEvent, Target};

use crate::containers::remove::Removal;
use crate::{Engine, Entry, health, restart};

impl Engine {
    /// Takes what the runtime tells. Called on a thread of its own, in the order in which it happened.
    pub fn take(self: &Arc<Self>, event: RuntimeEvent) {
        match event {
            RuntimeEvent::Exited { target, exit } => self.exited(&target, exit),
            RuntimeEvent::OutOfMemory { id } => {
                if let Ok(entry) = self.registry.find(id.as_str()) {
                    self.tell_container(&entry.record(), "oom", &[]);
                }
            }
        }
    }

    fn exited(self: &Arc<Self>, target: &Target, exit: Exit) {
        match &target.exec {
            Some(exec) => self.exec_ended(exec, exit),
            None => {
                let Ok(entry) = self.registry.find(target.id.as_str()) else { return };
                // A start that is still on its way holds the turn: its state is written before this one.
                let turn = entry.turn();
                let owed = self.ended(&entry, exit);
                drop(turn);
                if let Some((exit, wait)) = owed {
                    self.start_later(&entry, exit, wait);
                }
                self.after_end(&entry);
            }
        }
    }

    /// Records the end of a container's process: when it is to be started again, that is told. The caller has
    /// the container's turn.
    pub(crate) fn ended(&self, entry: &Entry, exit: Exit) -> Option<(Exit, Duration)> {
        let record = entry.record();
        record.state.running()?;
        let wait = self.restart_wait(entry, &exit);
        let end = |record: &mut Container| {
            health::ended(record);
            record.restart_count += u32::from(wait.is_some());
            record.state = match wait {
                Some(_) => State::Restarting(exit.clone()),
                None => State::Exited(exit.clone()),
            };
            record.disconnect();
        };
        if let Err(error) = entry.advance(&self.ports, end) {
            // The state in memory is the truth for those who ask.
            tracing::error!(container = record.id.short(), "record the exit: {}", error.report());
            let mut changed = (*record).clone();
            end(&mut changed);
            entry.replace(changed);
        }
        // After the record, for with it goes what the next engine would read the exit from. What cannot be
        // released now is found by the next start of the container or the engine.
        if let Err(error) = self.ports.runtime.release(&record.id) {
            tracing::warn!(container = record.id.short(), "release: {}", error.report());
        }
        self.detach_volumes(&record);
        let seconds = restart::ran(&exit).as_secs().to_string();
        let more = [("exitCode", exit.code.to_string()), ("execDuration", seconds)];
        self.tell_container(&record, "die", &more);
        self.leave_networks(&record, &record.networks);
        self.tell_mounts(&record, false);
        wait.map(|wait| (exit, wait))
    }

    /// What follows an end: a container that asked for it is removed.
    pub(crate) fn after_end(self: &Arc<Self>, entry: &Arc<Entry>) {
        let record = entry.record();
        if !record.host_config.auto_remove || entry.will_come_back() {
            return;
        }
        let removal = Removal { force: true, volumes: true };
        match self.remove_container(record.id.as_str(), removal) {
            Err(error) if error.kind() != dhow_model::Kind::NotFound => {
                tracing::warn!(container = record.id.short(), "remove after its end: {}", error.report());
            }
            _ => {}
        }
    }
}
