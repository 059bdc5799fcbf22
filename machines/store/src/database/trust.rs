//! Whether the database can be believed unread, or must be looked through before it is used.
//!
//! To look through all of it takes as long as it is large, and a start has no time for that. SQLite's log makes
//! it safe from the death of an engine; what damages a database is a machine that goes down while the disk lies
//! about what it has, or somebody who writes to the file. So a mark lies beside it:
//!
//! ```text
//! used <boot id>                         written, and synced, before the first change of an engine
//! closed <inode> <size> <changed>        written after the last change was folded and synced; the file's own figures
//! ```
//! It is believed when the mark is of this boot, or when the file is the one that was closed. A mark that is not
//! there, or torn, says no.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A mark is padded to this, so that a new one is written over the old one in place, in one sector.
const LENGTH: usize = 128;

/// The mark beside a database.
#[derive(Debug)]
pub(super) struct Mark {
    database: PathBuf,
    path: PathBuf,
    boot: String,
}

impl Mark {
    pub(super) fn of(database: &Path) -> Self {
        // Without a boot id no mark is of this boot: everything is looked through.
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self {
            database: database.to_owned(),
            path: database.with_extension("mark"),
            boot: boot.trim().to_owned(),
        }
    }

    /// Whether the database is as SQLite left it.
    pub(super) fn is_trusted(&self) -> bool {
        let found = self.read().unwrap_or_default();
        let used = !self.boot.is_empty() && found == self.used();
        used || self.closed().is_ok_and(|closed| found == closed)
    }

    /// Says that the database changes from here on. Until that is on the disk, nothing may change.
    pub(super) fn begin(&self) {
        if self.read().is_ok_and(|found| found == self.used()) {
            return;
        }
        let begun = self.write(&self.used()).and_then(|file| file.sync_data());
        if let Err(error) = begun {
            // The disk is full: without a mark the next engine looks through all, which is only slow.
            tracing::debug!(%error, "cannot mark the database as used");
            drop(std::fs::remove_file(&self.path));
        }
    }

    /// Says that the last change was folded and synced. It need not outlive a power cut itself.
    pub(super) fn end(&self) {
        if let Err(error) = self.closed().and_then(|closed| self.write(&closed)) {
            tracing::debug!(%error, "cannot mark the database as closed");
        }
    }

    fn used(&self) -> String {
        format!("used {}", self.boot)
    }

    fn closed(&self) -> io::Result<String> {
        let meta = std::fs::metadata(&self.database)?;
        Ok(format!("closed {} {} {}.{:09}", meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()))
    }

    fn read(&self) -> io::Result<String> {
        let mut bytes = [0; LENGTH];
        let length = File::open(&self.path)?.read_at(&mut bytes, 0)?;
        let text = String::from_utf8_lossy(&bytes[..length]);
        let whole = text.strip_suffix('\n').unwrap_or_default();
        Ok(whole.trim_end().to_owned())
    }

    fn write(&self, text: &str) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let file = options.create(true).write(true).truncate(false).mode(0o600).open(&self.path)?;
        let padding = LENGTH - 1;
        file.write_all_at(format!("{text:<padding$}\n").as_bytes(), 0)?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark() -> (tempfile::TempDir, Mark) {
        let scratch = tempfile::tempdir().unwrap();
        let database = scratch.path().join("state.sqlite");
        std::fs::write(&database, "tables").unwrap();
        let mark = Mark::of(&database);
        (scratch, mark)
    }

    #[test]
    fn what_was_never_marked_is_looked_through() {
        assert!(!mark().1.is_trusted());
    }

    #[test]
    fn an_engine_that_was_killed_is_no_reason_to_look_but_a_machine_that_went_down_is() {
        let (_scratch, mut mark) = mark();
        mark.begin();
        assert!(mark.is_trusted());
        mark.boot = "the next one".to_owned();
        assert!(!mark.is_trusted());
    }

    #[test]
    fn what_was_closed_is_trusted_after_a_boot_until_somebody_writes_to_it() {
        let (_scratch, mut mark) = mark();
        mark.begin();
        mark.end();
        mark.boot = "the next one".to_owned();
        assert!(mark.is_trusted());
        std::fs::write(&mark.database, "other tables").unwrap();
        assert!(!mark.is_trusted());
    }

    #[test]
    fn a_mark_that_was_torn_is_none() {
        let (_scratch, mark) = mark();
        mark.begin();
        let whole = std::fs::read(&mark.path).unwrap();
        for length in [0, 5, 40, whole.len() - 1] {
            std::fs::write(&mark.path, &whole[..length]).unwrap();
            assert!(!mark.is_trusted(), "{length} bytes");
        }
    }
}
