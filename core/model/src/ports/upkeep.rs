//! Upkeep: what is stored, compared with itself.

use serde::{Deserialize, Serialize};

use crate::Result;

/// Looks after what is stored.
pub trait Upkeep: Send + Sync {
    /// Reads every layer, index, blob, record and reference, and compares each with every other.
    ///
    /// With `repair` what can be made again from something else is. What cannot is never used from here
    /// on: containers on it do not start, images on it are not saved, until it is loaded again.
    fn check(&self, repair: bool) -> Result<CheckReport>;
}

/// What a check read and found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CheckReport {
    /// Layers that were read.
    pub layers: u64,
    /// Configurations and manifests that were read.
    pub blobs: u64,
    /// Images, containers and volumes on record.
    pub records: u64,
    /// Bytes of layers that were read and hashed.
    pub bytes: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Finding {
    /// What it is about: `layer sha256:…`, `volume data`.
    pub object: String,
    /// What is wrong with it.
    pub problem: String,
    /// What became of it.
    pub state: FindingState,
    /// Images that it touches, by a name or their id.
    #[serde(default)]
    pub images: Vec<String>,
    /// Containers that it touches, by their names.
    #[serde(default)]
    pub containers: Vec<String>,
}

/// What became of something that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingState {
    /// It is as it must be again.
    Repaired,
    /// `repair` can mend it.
    Repairable,
    /// It cannot be made again from anything here.
    Lost,
}
