//! `attach` and `resize`: a stream to a container's standard streams.

use std::os::fd::OwnedFd;

use dhow_model::ports::{AttachOptions, Target, TerminalSize};
use dhow_model::{Error, Result};

use super::refused;
use crate::Engine;

/// A stream to a process.
#[derive(Debug)]
pub struct Attached {
    /// As [`dhow_model::ports::Runtime::attach`] describes it.
    pub stream: OwnedFd,
    /// Raw bytes, not frames.
    pub terminal: bool,
}

impl Engine {
    /// Opens a stream to a container's standard streams; to one that does not run yet, for its start.
    ///
    /// # Errors
    /// Conflict when it is paused.
    pub fn attach_container(&self, text: &str, options: AttachOptions) -> Result<Attached> {
        let entry = self.container(text)?;
        let record = entry.record();
        if matches!(record.state, dhow_model::container::State::Paused(_)) {
            return Err(Error::conflict(format!(
                "container {} is paused, unpause the container before attach",
                record.id
            )));
        }
        if matches!(record.state, dhow_model::container::State::Restarting(_)) {
            return Err(Error::conflict(format!(
                "container {text} is restarting, wait until the container is running"
            )));
        }
        let options = AttachOptions { stdin: options.stdin && record.config.open_stdin, ..options };
        let stream = self.ports.runtime.attach(&Target::container(record.id.clone()), options)?;
        self.tell_container(&record, "attach", &[]);
        Ok(Attached { stream, terminal: record.config.tty })
    }

    /// Tells that a client has left an attached container by its keys.
    pub fn tell_detached(&self, text: &str) {
        if let Ok(entry) = self.container(text) {
            self.tell_container(&entry.record(), "detach", &[]);
        }
    }

    /// Sets the size of a container's terminal.
    ///
    /// # Errors
    /// Conflict when it does not run.
    pub fn resize_container(&self, text: &str, size: TerminalSize) -> Result<()> {
        let entry = self.container(text)?;
        let record = entry.record();
        record.state.must_run().map_err(refused(&record))?;
        self.ports.runtime.resize(&Target::container(record.id.clone()), size)?;
        let more = [("height", size.rows.to_string()), ("width", size.columns.to_string())];
        self.tell_container(&record, "resize", &more);
        Ok(())
    }
}
