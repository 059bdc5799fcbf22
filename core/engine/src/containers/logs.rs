//! `logs`: what a container wrote.

use dhow_model::ports::{LogEntry, LogQuery};
use dhow_model::{Error, Result};

use super::start::has_log;
use crate::Engine;

/// A log that is read.
pub struct Log {
    /// Line by line; blocks while it follows.
    pub entries: Box<dyn Iterator<Item = Result<LogEntry>> + Send>,
    /// Raw bytes, not frames.
    pub terminal: bool,
}

impl Engine {
    /// Reads a container's log.
    ///
    /// # Errors
    /// In Docker's words when no stream is chosen or the log cannot be read back.
    pub fn container_logs(&self, text: &str, query: LogQuery) -> Result<Log> {
        let entry = self.container(text)?;
        let record = entry.record();
        if !query.stdout && !query.stderr {
            return Err(Error::invalid("Bad parameters: you must choose at least one stream"));
        }
        if !has_log(&record) {
            return Err(Error::not_implemented("configured logging driver does not support reading"));
        }
        // A container that does not run writes nothing more.
        let follow = query.follow && record.state.running().is_some();
        let entries = self.ports.runtime.logs(&record.id, LogQuery { follow, ..query })?;
        Ok(Log { entries, terminal: record.config.tty })
    }
}
