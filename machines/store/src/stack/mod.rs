//! Layers by diff id, and the stacks they make.
//!
//! This is the seam of layer formats: [`receive`] takes a layer in ([`follow`] behind who writes it), [`Core::lower`](crate::Core) says
//! what is mounted, [`Core::write_tar`] gives the tar back, [`Core::convert`] makes one of the other.
//! How a layer lies on disk is known here alone:
//!
//! | [`LayerFormat`] | in `layers/<diff id>/` | below overlayfs |
//! |---|---|---|
//! | [`Tar`](LayerFormat::Tar), [`tarred`] | `layer.tar` as it came, `index.erofs` with its [`seal`] | the index, mounted with the tar as its device ([`mounts`]) |
//! | [`Directory`](LayerFormat::Directory), [`unpack`](mod@unpack) | `fs/`, the [`recipe`] (or `layer.tar`), `layer.json` | `fs/` |
//!
//! Each layer has one of them, and a stack may mix both. Which one new layers get is found out when the
//! store is opened ([`probe`]).

mod convert;
mod fan;
mod follow;
pub(crate) mod mapped;
mod mount;
mod mounts;
mod pins;
mod probe;
mod recipe;
mod seal;
mod tarball;
mod tarred;
mod unpack;
mod verify;

use std::io::Read;
use std::path::Path;

pub(crate) use dhow_model::image::LayerFormat;
use dhow_oci::Digest;
use dhow_oci::image::DiffId;

use crate::Core;
use crate::error::{Context as _, Result};
use crate::layout::Layout;
use crate::snapshots::disk_usage;
use crate::staging::Stage;

pub(crate) use follow::begin;
pub(crate) use mount::{Lower, NAME, Overlay, Writable};
pub(crate) use mounts::Mounts;
pub(crate) use pins::{Pin, Pins};
pub(crate) use probe::{Formats, choose};
pub(crate) use tarball::keep;

/// The most layers of an image: overlayfs stacks 500, and a few are ours.
pub(crate) const MOST_LAYERS: usize = 490;

/// A layer that is whole, but not in its place.
#[derive(Debug)]
pub(crate) struct NewLayer {
    pub(crate) diff_id: DiffId,
    /// Digest of the stream as it came.
    pub(crate) digest: Digest,
    /// Its directory's name on the stage.
    pub(crate) name: String,
    /// How its tar is told.
    pub(crate) telling: Telling,
}

/// Whether a layer gives its tar back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Telling {
    /// It does.
    Exact,
    /// It cannot: the tar itself must be kept.
    NeedsTar,
}

/// Takes in a layer, compressed or not, to the directory `name` of the stage.
pub(crate) fn receive(
    stage: &Stage,
    name: &str,
    format: LayerFormat,
    archive: impl Read,
) -> Result<NewLayer> {
    match format {
        LayerFormat::Tar => tarred::receive(stage, name, archive),
        LayerFormat::Directory => unpack::unpack(stage, name, archive),
    }
}

/// What the layer in this directory is. No layer has both, unless somebody put the other there: then it is its
/// tree that is mounted.
pub(crate) fn format_of(directory: &Path) -> LayerFormat {
    match directory.join(unpack::TREE).is_dir() || !directory.join(tarred::INDEX).exists() {
        true => LayerFormat::Directory,
        false => LayerFormat::Tar,
    }
}

/// Bytes that the layer in this directory takes.
pub(crate) fn size_on_disk(directory: &Path) -> Result<u64> {
    let file = |name| {
        let path = directory.join(name);
        std::fs::metadata(&path).on("look at", &path).map(|metadata| metadata.len())
    };
    match format_of(directory) {
        LayerFormat::Tar => Ok(file(tarred::TAR)? + file(tarred::INDEX)?),
        LayerFormat::Directory => disk_usage(directory),
    }
}

impl Core {
    /// The size of a layer that is here and whole; it must be pinned.
    pub(crate) fn layer_size(&self, diff_id: &DiffId) -> Option<u64> {
        let known = self.catalog().layers.get(diff_id).copied();
        known.filter(|_| self.layout.layer(diff_id).is_dir() && !self.is_marked_damaged(diff_id))
    }

    /// Puts a layer in its place; when another thread was faster, theirs stays. It must be pinned.
    /// Answers how many bytes it takes.
    pub(crate) fn publish_layer(&self, stage: &Stage, layer: &NewLayer) -> Result<u64> {
        let place = self.layout.layer(&layer.diff_id);
        if self.is_marked_damaged(&layer.diff_id) {
            self.put_away(&layer.diff_id, &place)?;
            self.mounts.forget(&layer.diff_id);
        }
        stage.publish(&layer.name, &place)?;
        size_on_disk(&place)
    }

    /// What lies below a writable layer, topmost first; the last is what all containers share.
    pub(crate) fn lower(&self, layers: &[DiffId]) -> Result<Vec<Lower>> {
        let own = layers.iter().rev().map(|layer| self.lower_layer(layer));
        own.chain([Ok(Lower::Directory(self.layout.base()))]).collect()
    }

    /// A layer that the kernel of this boot cannot mount is unpacked.
    pub(crate) fn lower_layer(&self, diff_id: &DiffId) -> Result<Lower> {
        if let Some(known) = self.mounts.known(diff_id) {
            return Ok(known);
        }
        self.refuse_damaged(diff_id)?;
        match self.mounts.lower(&self.layout, diff_id) {
            Err(error) if !self.formats.mounts_tars => {
                tracing::info!(%diff_id, error = error.report(), "the layer is unpacked");
                self.convert(diff_id, LayerFormat::Directory)?;
                self.mounts.lower(&self.layout, diff_id)
            }
            done => done,
        }
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
            self.mounts.forget(diff_id);
            self.catalog_mut().layers.remove(diff_id);
            gone.push(*diff_id);
        }
        drop(pins);
        Ok(gone)
    }
}

/// The layers below `layers/`, and the bytes that each takes.
pub(crate) fn present(layout: &Layout) -> Result<Vec<(DiffId, u64)>> {
    let directory = layout.layers();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&directory).on("read", &directory)? {
        let entry = entry.on("read", &directory)?;
        let diff_id = entry.file_name().to_str().and_then(|name| Digest::from_hex(name).ok());
        if let (Some(diff_id), Ok(size)) = (diff_id, size_on_disk(&entry.path())) {
            found.push((diff_id, size));
        }
    }
    Ok(found)
}
