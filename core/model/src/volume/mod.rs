//! A volume: storage that bypasses the writable layer and outlives the container.

mod local;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use local::{VolumeMount, check_options};

use crate::{ContainerId, Error, Result, Timestamp};

/// The label by which clients tell a volume that nobody named.
pub const ANONYMOUS: &str = "com.docker.volume.anonymous";

/// Bytes of a name: it is that of a directory (NAME_MAX).
const LONGEST_NAME: usize = 255;

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
    /// Bytes that it may take; 0 is no limit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub size: u64,
    /// Made for a container that is not on record yet; it goes with the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_for: Option<ContainerId>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_zero(size: &u64) -> bool {
    *size == 0
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
    if name.len() == 1 {
        return Err(Error::invalid(format!(
            "create {name}: volume name is too short, names should be at least two alphanumeric characters"
        )));
    }
    if name.len() > LONGEST_NAME {
        let words = format!("create {name}: error while creating volume root path: file name too long");
        return Err(Error::invalid(words));
    }
    if crate::container::is_restricted_name(name) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "create {name}: {name:?} includes invalid characters for a local volume name, only \
         \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_long_enough_for_a_volume_and_short_enough_for_a_directory() {
        let told = |name: &str| check_name(name).map_or_else(|error| error.to_string(), |()| String::new());
        let longest = "n".repeat(255);
        for good in ["ab", "a.b-c_d", &longest] {
            assert_eq!(told(good), "");
        }
        let short =
            "create a: volume name is too short, names should be at least two alphanumeric characters";
        assert_eq!(told("a"), short);
        assert!(told(&format!("{longest}n")).ends_with("file name too long"));
        assert!(told("-a").contains("includes invalid characters for a local volume name"));
    }
}
