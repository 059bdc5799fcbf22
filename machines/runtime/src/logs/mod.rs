//! The log of a container: what its processes wrote, as lines of JSON, rotated.
//!
//! In reading order: [`split`] cuts a stream into entries, [`json`] is the form of an entry,
//! [`writer`] appends them and [`rotate`]s the files, [`files`] finds the files again, [`tail`]
//! their last lines, [`reader`] reads them back and follows.
//!
//! ```text
//! <container's directory>/
//!   <id>-json.log         {"log":"hello\n","stream":"stdout","time":"2026-01-02T03:04:05.678Z"}
//!   <id>-json.log.1       what it was before, rotated when it had reached max-size
//!   <id>-json.log.2.gz    older: higher numbers; compressed by option
//! ```
//! Names, form, the splitting at 16 KiB and the order of rotation are those of Docker's `json-file`
//! driver, since programs that collect logs read these files beside the engine.

pub mod files;
pub mod json;
pub mod reader;
pub mod rotate;
pub mod split;
pub mod tail;
pub mod writer;

use std::path::{Path, PathBuf};

use dhow_model::ContainerId;

pub use reader::LogReader;
pub use writer::LogWriter;

/// The log file of a container whose directory is `directory`.
#[must_use]
pub fn path(directory: &Path, id: &ContainerId) -> PathBuf {
    directory.join(format!("{id}-json.log"))
}
