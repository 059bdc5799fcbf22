//! What probing a container found.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// The health of a container that is probed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// In one word.
    pub status: HealthStatus,
    /// Probes that failed since the last one that did not.
    pub failing_streak: u32,
    /// The last probes, the newest last.
    pub log: Vec<Probe>,
}

/// Health in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// No probe has succeeded yet, nor have too many failed.
    Starting,
    /// The last probe succeeded, or not enough have failed since.
    Healthy,
    /// Too many probes failed in a row, or nothing is probed now.
    Unhealthy,
}

/// One probe that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Probe {
    /// When it began.
    pub start: Timestamp,
    /// When it was over.
    pub end: Timestamp,
    /// What the program ended with; -1 when it did not end by itself.
    pub exit_code: i32,
    /// What it wrote, as far as it is kept.
    pub output: String,
}

/// What is done with a container that became unhealthy; Docker does nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthAction {
    /// Nothing.
    #[default]
    None,
    /// It is stopped and started, as if somebody had asked for that.
    Restart,
    /// It is stopped, as if somebody had asked for that.
    Stop,
    /// It is killed; its restart policy decides as for any other end.
    Kill,
}

impl HealthAction {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::None, Self::Restart, Self::Stop, Self::Kill];

    /// The word that the API takes.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Restart => "restart",
            Self::Stop => "stop",
            Self::Kill => "kill",
        }
    }

    /// Whether nothing is done.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

impl HealthStatus {
    /// The word that the API shows.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}
