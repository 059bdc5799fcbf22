//! A volume: storage that bypasses the writable layer and outlives the container.

mod local;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use local::{VolumeMount, check_options};

use crate::{Error, Result, Timestamp};

/// The label by which clients tell a volume that nobody named.
pub const ANONYMOUS: &str = "com.docker.volume.anonymous";

/// A named or anonymous volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name; 64 hexadecimal digits for an anonymous one.
    pub name: String,
    /// `local`.
    pub driver: String,
    /// Where its data are on the host.
    pub mountpoint: PathBuf,
    /// When it was made.
    pub created: Timestamp,
    /// Free pairs.
    pub labels: BTreeMap<String, String>,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
    /// Made without a name, by a container.
    pub anonymous: bool,
    /// Nobody writes in it: it is a snapshot.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// The volume that it was copied from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub origin: String,
}

impl Volume {
    /// The file system that is mounted in place of its directory while it is used.
    #[must_use]
    pub fn mount(&self) -> Option<VolumeMount> {
        VolumeMount::of(&self.options)
    }
}

/// Checks a volume name: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
///
/// # Errors
/// Invalid argument, in Docker's words.
pub fn check_name(name: &str) -> Result<()> {
    if crate::container::is_restricted_name(name) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "create {name}: {name:?} includes invalid characters for a local volume name, only \
         \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )))
}
