//! Layers by diff id, and the stacks they make.

mod pins;

use dhow_oci::image::DiffId;
use serde::{Deserialize, Serialize};

use crate::Core;
use crate::error::Result;

pub(crate) use pins::Pins;

/// What is written beside a layer's tree, for a database that got lost.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LayerInfo {
    /// Bytes of file content.
    pub(crate) size: u64,
}

/// The most layers that overlayfs puts on top of each other.
pub(crate) const MOST_LAYERS: usize = 500;

impl Core {
    /// Deletes those of `candidates` that nobody needs: no record, and no load or commit under way.
    pub(crate) fn collect_layers(&self, candidates: &[DiffId]) -> Result<Vec<DiffId>> {
        let mut gone = Vec::new();
        // Held over check and rename: a load that would use the layer waits, and then misses it.
        let pins = self.pins.lock();
        for diff_id in candidates {
            if pins.contains_key(diff_id) || self.catalog().needs_layer(diff_id) || gone.contains(diff_id) {
                continue;
            }
            self.trash.discard(&self.layout.layer(diff_id))?;
            gone.push(*diff_id);
        }
        drop(pins);
        if !gone.is_empty() {
            let mut catalog = self.catalog_mut();
            catalog.layers.retain(|diff_id, _| !gone.contains(diff_id));
        }
        Ok(gone)
    }
}
