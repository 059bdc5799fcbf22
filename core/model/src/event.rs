//! What happened, told to whoever listens on `/events`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// One event: which thing, and what was done to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What kind of thing.
    pub kind: EventKind,
    /// `create`, `start`, `exec_create: sh`, `health_status: healthy`, …
    pub action: String,
    /// The thing's id or name.
    pub actor: String,
    /// Its attributes: name, image, labels, exit code, …
    pub attributes: BTreeMap<String, String>,
    /// When.
    pub at: Timestamp,
}

/// The kinds of things that events are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// A container.
    Container,
    /// An image.
    Image,
    /// A volume.
    Volume,
    /// A network.
    Network,
    /// The engine itself.
    Daemon,
}
