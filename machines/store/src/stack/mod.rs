//! Layers by diff id, and the stacks they make.
//!
//! This is the seam of layer formats: [`unpack`](mod@unpack) takes a layer in, [`Core::lower`](crate::Core) says
//! what is mounted, [`Core::write_tar`] gives the tar back. How a layer lies on disk is known here
//! alone: today a tree with a recipe ([`recipe`]).

mod mount;
mod pins;
mod recipe;
mod tarball;
mod unpack;

use dhow_oci::image::DiffId;
use serde::{Deserialize, Serialize};

use crate::Core;
use crate::error::{Context as _, Result};
use crate::layout::Layout;
use crate::staging::Stage;

pub(crate) use mount::{Lower, Overlay, Writable};
pub(crate) use pins::Pins;
pub(crate) use tarball::keep;
pub(crate) use unpack::{Telling, Unpacked, unpack};

/// The most layers of an image: overlayfs stacks 500, and a few are ours.
pub(crate) const MOST_LAYERS: usize = 490;

/// What is written beside a layer's tree.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LayerInfo {
    /// Bytes of file content.
    pub(crate) size: u64,
    /// Bytes of the tar.
    pub(crate) tar_size: u64,
}

/// Reads what is written beside a layer's tree.
pub(crate) fn read_info(layout: &Layout, diff_id: &DiffId) -> Result<LayerInfo> {
    let path = layout.layer(diff_id).join("layer.json");
    let text = std::fs::read(&path).on("read", &path)?;
    serde_json::from_slice(&text).on("read", &path)
}

impl Core {
    /// The size of a layer that is here and whole; it must be pinned.
    pub(crate) fn layer_size(&self, diff_id: &DiffId) -> Option<u64> {
        self.catalog().layers.get(diff_id).copied().filter(|_| self.layout.layer(diff_id).is_dir())
    }

    /// Puts a layer in its place; when another thread was faster, theirs stays. It must be pinned.
    pub(crate) fn publish_layer(&self, stage: &Stage, layer: &Unpacked) -> Result<()> {
        stage.publish(&layer.name, &self.layout.layer(&layer.diff_id)).map(drop)
    }

    /// The trees below a writable layer, topmost first; the last is the one that all containers share.
    pub(crate) fn lower(&self, layers: &[DiffId]) -> Vec<Lower> {
        let own = layers.iter().rev().map(|layer| self.layout.layer(layer).join("fs"));
        own.chain([self.layout.base()]).map(Lower::Directory).collect()
    }

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
            self.catalog_mut().layers.remove(diff_id);
            gone.push(*diff_id);
        }
        drop(pins);
        Ok(gone)
    }
}
