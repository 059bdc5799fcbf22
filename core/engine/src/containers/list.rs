//! `ps` and `inspect`: what is known of containers.

use std::sync::Arc;

use dhow_model::ports::SnapshotUsage;
use dhow_model::{Container, Result};

use crate::Engine;

impl Engine {
    /// All containers, the newest first.
    #[must_use]
    pub fn containers(&self) -> Vec<Arc<Container>> {
        self.registry.all().iter().map(|entry| entry.record()).collect()
    }

    /// What a container takes on disk.
    ///
    /// # Errors
    /// When its files cannot be read.
    pub fn container_usage(&self, container: &Container) -> Result<SnapshotUsage> {
        self.ports.snapshots.usage(&container.id)
    }
}
