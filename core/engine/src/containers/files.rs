//! `diff`, `export` and `cp`: a container's files.

use std::io::{Read, Write};
use std::path::Path;

use dhow_model::ports::{ArchiveOptions, ArchiveTarget, Change, PathStat};
use dhow_model::{Container, Error, Kind, Result};

use crate::Engine;

impl Engine {
    /// What the writable layer changed.
    ///
    /// # Errors
    /// `No such container: …`
    pub fn container_changes(&self, text: &str) -> Result<Vec<Change>> {
        let _timer = self.counts.time("changes");
        self.ports.snapshots.changes(&self.container(text)?.record().id)
    }

    /// Writes the merged tree as one flat tar.
    ///
    /// # Errors
    /// What cannot be read or written.
    pub fn export_container(&self, text: &str, out: &mut dyn Write) -> Result<()> {
        let record = self.container(text)?.record();
        let pid = record.state.running().map(|running| running.pid);
        self.ports.snapshots.export(&record.id, pid, out)?;
        self.tell_container(&record, "export", &[]);
        Ok(())
    }

    /// Looks at one path.
    ///
    /// # Errors
    /// In Docker's words when it does not exist.
    pub fn stat_path(&self, text: &str, path: &str) -> Result<PathStat> {
        let record = self.container(text)?.record();
        let _held = self.hold_volumes(&record)?;
        let path = checked(path)?;
        self.ports.snapshots.stat(&target(&record), Path::new(path)).map_err(missing(text, path))
    }

    /// Writes a path as a tar; `begin` is called once before the first byte.
    ///
    /// # Errors
    /// As [`stat_path`](Self::stat_path).
    pub fn read_archive(
        &self,
        text: &str,
        path: &str,
        begin: &mut dyn FnMut(PathStat) -> Result<()>,
        out: &mut dyn Write,
    ) -> Result<()> {
        let record = self.container(text)?.record();
        let _held = self.hold_volumes(&record)?;
        let path = checked(path)?;
        let snapshots = &self.ports.snapshots;
        snapshots.read_archive(&target(&record), Path::new(path), begin, out).map_err(missing(text, path))?;
        self.tell_container(&record, "archive-path", &[]);
        Ok(())
    }

    /// Unpacks a tar into a directory.
    ///
    /// # Errors
    /// As [`stat_path`](Self::stat_path); forbidden when the place is read-only.
    pub fn write_archive(
        &self,
        text: &str,
        path: &str,
        options: ArchiveOptions,
        tar: &mut dyn Read,
    ) -> Result<()> {
        let record = self.container(text)?.record();
        let _held = self.hold_volumes(&record)?;
        let path = checked(path)?;
        let snapshots = &self.ports.snapshots;
        snapshots
            .write_archive(&target(&record), Path::new(path), options, tar)
            .map_err(missing(text, path))?;
        self.tell_container(&record, "extract-to-dir", &[]);
        Ok(())
    }
}

fn target(record: &Container) -> ArchiveTarget {
    ArchiveTarget {
        id: record.id.clone(),
        pid: record.state.running().map(|running| running.pid),
        mounts: record.mounts.clone(),
        read_only: record.host_config.readonly_rootfs,
    }
}

fn checked(path: &str) -> Result<&str> {
    if path.is_empty() {
        return Err(Error::invalid("bad parameter: path cannot be empty"));
    }
    Ok(path)
}

/// Clients match on these words.
fn missing<'a>(container: &'a str, path: &'a str) -> impl Fn(Error) -> Error + 'a {
    move |error| match error.kind() {
        Kind::NotFound => {
            Error::not_found(format!("Could not find the file {path} in container {container}"))
        }
        _ => error,
    }
}
