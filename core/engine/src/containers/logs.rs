//! `logs`: what a container wrote.

use dhow_model::ports::{LogEntries, LogFileKind, LogQuery};
use dhow_model::{Container, Error, Result};

use crate::Engine;
use crate::plan::logs;

/// A log that is read.
pub struct Log {
    /// Line by line; blocks while it follows.
    pub entries: LogEntries,
    /// Raw bytes, not frames.
    pub terminal: bool,
}

impl Engine {
    /// Reads a container's log.
    ///
    /// # Errors
    /// In Docker's words when no stream is chosen or the log cannot be read back.
    pub fn container_logs(&self, text: &str, query: LogQuery) -> Result<Log> {
        // Before the container is looked for, as with Docker.
        if !query.stdout && !query.stderr {
            return Err(Error::invalid("must specify at least one of 'stdout' or 'stderr'"));
        }
        let record = self.container(text)?.record();
        let kind = file_of(&record)?;
        // A container that does not run writes nothing more.
        let follow = query.follow && record.state.running().is_some();
        let entries = self.ports.runtime.logs(&record.id, kind, LogQuery { follow, ..query })?;
        Ok(Log { entries, terminal: record.config.tty })
    }

    /// Empties a container's log.
    ///
    /// # Errors
    /// When it has none that is kept.
    pub fn clear_container_log(&self, text: &str) -> Result<()> {
        let record = self.container(text)?.record();
        self.ports.runtime.clear_log(&record.id, file_of(&record)?)
    }

    /// Every container with the bytes that its log takes on disk.
    ///
    /// # Errors
    /// When a log cannot be measured.
    pub fn log_sizes(&self) -> Result<Vec<(Container, u64)>> {
        let all = self.registry.all();
        let measured = all.iter().map(|entry| {
            let record = entry.record();
            Ok((Container::clone(&record), self.ports.runtime.log_size(&record.id)?))
        });
        measured.collect()
    }
}

fn file_of(record: &Container) -> Result<LogFileKind> {
    logs::file_kind(&record.host_config.log_config)
        .ok_or_else(|| Error::not_implemented("configured logging driver does not support reading"))
}
