//! `diff`, `export` and `cp`: a container's files.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use dhow_model::container::MountKind;
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
        self.ports.snapshots.export(&self.target(&record)?, out)?;
        self.tell_container(&record, "export", &[]);
        Ok(())
    }

    /// Looks at one path.
    ///
    /// # Errors
    /// In Docker's words when it does not exist.
    pub fn stat_path(&self, text: &str, path: &str) -> Result<PathStat> {
        let path = checked(path)?;
        self.with_files(text, |record| {
            self.ports.snapshots.stat(&self.target(record)?, Path::new(path)).map_err(missing(text, path))
        })
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
        let path = checked(path)?;
        self.with_files(text, |record| {
            let read = self.ports.snapshots.read_archive(&self.target(record)?, Path::new(path), begin, out);
            read.map_err(missing(text, path))?;
            self.tell_container(record, "archive-path", &[]);
            Ok(())
        })
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
        let path = checked(path)?;
        self.with_files(text, |record| {
            let written =
                self.ports.snapshots.write_archive(&self.target(record)?, Path::new(path), options, tar);
            written.map_err(missing(text, path))?;
            self.tell_container(record, "extract-to-dir", &[]);
            Ok(())
        })
    }

    fn target(&self, record: &Container) -> Result<ArchiveTarget> {
        let pid = record.state.running().map(|running| running.pid);
        let binds = record.mounts.iter().any(|mount| mount.kind == MountKind::Bind);
        // What it has of its own is as it sees it, unless its mounts show it with the numbers of the host.
        let stopped = self.map_of(&record.host_config).filter(|_| pid.is_none() && binds);
        let seen_by =
            stopped.map(|map| self.ports.host.user_space(&Arc::new(map.inverse()), false)).transpose()?;
        Ok(ArchiveTarget {
            id: record.id.clone(),
            pid,
            mounts: record.mounts.clone(),
            read_only: record.host_config.readonly_rootfs,
            users: record.user_map.clone().filter(|_| pid.is_some()),
            seen_by,
        })
    }

    /// Works with the files of a container as it is when that begins.
    ///
    /// One that does not run cannot be started meanwhile, for its writable layer is mounted: two such mounts
    /// of one layer are undefined behaviour. Whoever starts it waits, as with Docker.
    fn with_files<T>(&self, text: &str, work: impl FnOnce(&Container) -> Result<T>) -> Result<T> {
        let entry = self.container(text)?;
        let before = entry.record();
        let turn = before.state.running().is_none().then(|| entry.turn());
        // Who found it running works with its process, which is looked for, and no mount of its own.
        let record = if turn.is_some() { entry.record() } else { before };
        let _turn = turn.filter(|_| record.state.running().is_none());
        let _held = self.hold_volumes(&record)?;
        work(&record)
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
