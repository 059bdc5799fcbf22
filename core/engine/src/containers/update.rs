//! `update`: other limits and another restart policy, also of a container that runs.

use std::sync::Arc;

use dhow_model::container::{HostConfig, State};
use dhow_model::{Container, Error, Result};

use crate::plan::{discard, resources, update, validate};
use crate::{Engine, Entry};

impl Engine {
    /// Reads what an update asks of limits; what the user should know is answered.
    ///
    /// # Errors
    /// In Docker's words: a wrong value, values that do not fit together.
    pub(crate) fn check_limits(&self, wanted: &mut HostConfig) -> Result<Vec<String>> {
        let facts = self.ports.host.facts();
        let warnings = discard::discard(wanted, facts);
        validate::check_update(wanted, facts)?;
        Ok(warnings)
    }

    /// Changes limits and the restart policy of a container: what `wanted` says nothing about stays.
    ///
    /// The record changes first and says that the process may lag behind: of an engine that is killed in
    /// between, the next one sets the limits.
    ///
    /// # Errors
    /// In Docker's words: a limit that the kernel refuses. Then everything is as it was.
    pub(crate) fn update_limits(&self, text: &str, wanted: &HostConfig) -> Result<()> {
        let entry = self.container(text)?;
        let _turn = entry.turn();
        let id = entry.record().id.clone();
        self.update(&entry, wanted).map_err(|error| {
            Error::new(error.kind(), format!("Cannot update container {id}: {}", error.report()))
        })?;
        self.tell_container(&entry.record(), "update", &[]);
        Ok(())
    }

    fn update(&self, entry: &Entry, wanted: &HostConfig) -> Result<()> {
        let old = entry.record();
        if old.state == State::Removing || entry.is_being_removed() {
            return Err(Error::conflict("container is marked for removal and cannot be \"update\""));
        }
        let new = update::merged(&old.host_config, wanted)?;
        let runs = old.state.running().is_some();
        entry.change(&self.ports, |record| {
            record.host_config = Arc::new(new);
            record.limits_pending = runs;
        })?;
        if !runs {
            return Ok(());
        }
        if let Err(error) = self.set_limits(&old, wanted) {
            self.undo_update(entry, &old);
            return Err(error);
        }
        entry.change(&self.ports, |record| record.limits_pending = false)?;
        Ok(())
    }

    /// Sets limits of a container that runs.
    fn set_limits(&self, record: &Container, limits: &HostConfig) -> Result<()> {
        let devices = self.devices(limits)?;
        self.ports.runtime.update(&record.id, &resources::update(limits, &devices))
    }

    /// Some limits may have been set before one was refused.
    fn undo_update(&self, entry: &Entry, old: &Container) {
        let undone = self.set_limits(old, &old.host_config).and_then(|()| {
            entry.change(&self.ports, |record| {
                record.host_config = Arc::clone(&old.host_config);
                record.limits_pending = false;
            })
        });
        if let Err(error) = undone {
            tracing::warn!(container = old.id.short(), "undo an update: {}", error.report());
            entry.replace(Container {
                host_config: Arc::clone(&old.host_config),
                ..(*entry.record()).clone()
            });
        }
    }

    /// Makes good what an engine was killed in the middle of. The caller has the container's turn.
    pub(crate) fn finish_update(&self, entry: &Entry) {
        let record = entry.record();
        if !record.limits_pending || record.state.running().is_none() {
            return;
        }
        let done = self.set_limits(&record, &record.host_config);
        let done = done.and_then(|()| entry.change(&self.ports, |record| record.limits_pending = false));
        if let Err(error) = done {
            tracing::warn!(container = record.id.short(), "finish an update: {}", error.report());
        }
    }
}
