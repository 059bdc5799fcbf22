//! The two forms of a log file, and where each lies.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dhow_model::ContainerId;
use dhow_model::ports::LogFileKind;

use super::entry::Entry;
use super::{binary, json};

/// How entries are written in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Lines of JSON.
    Json,
    /// Records of bytes.
    Binary,
}

impl From<LogFileKind> for Form {
    fn from(kind: LogFileKind) -> Self {
        match kind {
            LogFileKind::Json => Self::Json,
            LogFileKind::Local | LogFileKind::Cache => Self::Binary,
        }
    }
}

impl Form {
    /// Attributes, made ready for every entry.
    #[must_use]
    pub fn attributes(self, attributes: &BTreeMap<String, String>) -> Vec<u8> {
        match self {
            Self::Json => json::attributes(attributes),
            Self::Binary => binary::attributes(attributes),
        }
    }

    /// Appends one entry with attributes that were made ready.
    pub fn encode(self, out: &mut Vec<u8>, entry: &Entry<'_>, attributes: &[u8]) {
        match self {
            Self::Json => json::encode(out, entry, attributes),
            Self::Binary => binary::encode(out, entry, attributes),
        }
    }
}

/// The current file of a log of a container whose directory is `directory`.
#[must_use]
pub fn path(directory: &Path, id: &ContainerId, kind: LogFileKind) -> PathBuf {
    match kind {
        LogFileKind::Json => directory.join(format!("{id}-json.log")),
        LogFileKind::Local => directory.join("local-logs").join("container.log"),
        LogFileKind::Cache => directory.join("container-cached.log"),
    }
}
