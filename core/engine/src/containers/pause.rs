//! `pause` and `unpause`: the freezer, which no process can notice or refuse.

use std::sync::Arc;

use dhow_model::container::{Refusal, State};
use dhow_model::{Error, Result};

use super::refused;
use crate::{Engine, health};

impl Engine {
    /// Freezes every process of a container.
    ///
    /// # Errors
    /// Conflict when it does not run or is frozen.
    pub fn pause_container(&self, text: &str) -> Result<()> {
        let entry = self.container(text)?;
        let _turn = entry.turn();
        let record = entry.record();
        let running = record.state.must_be_active().map_err(|refusal| match refusal {
            Refusal::Paused => Error::conflict(format!("Container {} is already paused", record.id)),
            Refusal::NotRunning => Error::conflict(format!("Container {} is not running", record.id)),
            other => refused(&record)(other),
        })?;
        if entry.is_being_removed() {
            return Err(refused(&record)(Refusal::Removing));
        }
        self.ports.runtime.pause(&record.id)?;
        entry.advance(&self.ports, |record| {
            record.state = State::Paused(running.clone());
            health::ended(record);
        })?;
        self.ports.runtime.keep_paused(&record.id)?;
        self.tell_container(&record, "pause", &[]);
        Ok(())
    }

    /// Thaws it.
    ///
    /// # Errors
    /// Conflict when it is not frozen.
    pub fn unpause_container(self: &Arc<Self>, text: &str) -> Result<()> {
        let entry = self.container(text)?;
        let _turn = entry.turn();
        let record = entry.record();
        let running = record.state.may_unpause().map_err(refused(&record))?;
        self.ports.runtime.resume(&record.id)?;
        entry.set_state(&self.ports, State::Running(running.clone()))?;
        self.tell_container(&record, "unpause", &[]);
        self.watch_health(&entry);
        Ok(())
    }
}
