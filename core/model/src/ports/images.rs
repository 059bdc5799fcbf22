//! Images: named, immutable stacks of layers.

use std::io::{Read, Write};

use dhow_oci::{ImageConfig, Platform, Reference};

use crate::image::{LayerFormat, LayersUsage, Loaded, Removed, StoredLayer};
use crate::{ContainerId, Image, ImageId, Result};

/// The images of this machine.
///
/// An image appears when its configuration, all its layers and its record are stored and verified,
/// and is named last: a crash leaves garbage that the next start clears, never half an image.
/// Layers are shared and counted; a layer goes when the last image and the last container above it
/// are gone.
pub trait Images: Send + Sync {
    /// Every image, newest first.
    fn list(&self) -> Result<Vec<Image>>;

    /// The image that a complete reference names (by tag, or by digest of manifest or configuration).
    fn by_reference(&self, reference: &Reference) -> Result<Option<Image>>;

    /// The image with this id.
    fn by_id(&self, id: &ImageId) -> Result<Option<Image>>;

    /// Images on record that have lost their configuration or a layer: nothing uses them and no other question
    /// finds them, but they can be untagged and removed, and a load makes them whole again. Where it is the
    /// configuration that is lost it is empty here.
    fn damaged(&self) -> Result<Vec<Image>>;

    /// The ids that begin with `hex` digits, two at most.
    fn by_id_prefix(&self, hex: &str) -> Result<Vec<ImageId>>;

    /// The configuration, byte for byte as it came.
    fn config_bytes(&self, id: &ImageId) -> Result<Vec<u8>>;

    /// The manifest that it came with, byte for byte; none for one that was made here.
    fn manifest_bytes(&self, id: &ImageId) -> Result<Option<Vec<u8>>>;

    /// Points a name to an image, and away from the one that had it.
    fn tag(&self, reference: &Reference, id: &ImageId) -> Result<()>;

    /// Takes a name away; tells whether it was there.
    fn untag(&self, reference: &Reference) -> Result<bool>;

    /// Deletes an image that has no names and the parents and layers that nobody needs any more.
    ///
    /// With `prune_parents` the unnamed images it was made from go too.
    ///
    /// # Errors
    /// Conflict when an image or a snapshot is built on it.
    fn remove(&self, id: &ImageId, prune_parents: bool) -> Result<Vec<Removed>>;

    /// Reads a docker-archive or an OCI layout, compressed or not, with one or many images.
    ///
    /// Each image is whole or not there; an error names the entry that is wrong.
    fn load(
        &self,
        archive: &mut dyn Read,
        platform: Option<&Platform>,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Vec<Loaded>>;

    /// Writes images as a tar that Docker, podman and skopeo read.
    fn save(&self, items: &[SaveItem], format: SaveFormat, out: &mut dyn Write) -> Result<()>;

    /// Makes an image of one layer from a flat tar, compressed or not.
    fn import(&self, request: ImportRequest, tar: &mut dyn Read) -> Result<ImageId>;

    /// Makes the writable layer of a snapshot a read-only one on top of its image's.
    ///
    /// The configuration is `request.config`, with the new layer added to `rootfs` and one line to
    /// `history`.
    fn commit(&self, request: CommitRequest) -> Result<ImageId>;

    /// The layers of an image as they lie on the disk, lowest first.
    fn layers(&self, id: &ImageId) -> Result<Vec<StoredLayer>>;

    /// The layers of all images, each once.
    fn all_layers(&self) -> Result<Vec<StoredLayer>>;

    /// What the layers take, those included that are nobody's or damaged.
    fn layers_usage(&self) -> Result<LayersUsage>;

    /// Deletes the layers that a check has set aside.
    fn discard_set_aside(&self) -> Result<()>;

    /// Makes the layers of an image ones of `format`; tells how many have become it. Their tars are the same,
    /// byte for byte. A layer that cannot be indexed in proportion stays a directory.
    ///
    /// # Errors
    /// Conflict where a container may have a directory mounted, or somebody reads it: that layer stays, and
    /// those below it are converted. Unavailable where the kernel does not mount tars.
    fn convert(&self, id: &ImageId, format: LayerFormat) -> Result<usize>;
}

/// How far `load` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadProgress {
    /// A layer is being stored.
    Layer {
        /// Its short id.
        id: String,
        /// Bytes read of it.
        current: u64,
        /// Bytes in all, when known.
        total: Option<u64>,
    },
    /// An image is whole.
    Image(Loaded),
}

/// An image to save, under the names asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaveItem {
    /// Which.
    pub id: ImageId,
    /// The names to write; none for an image asked for by id.
    pub references: Vec<Reference>,
}

/// The shape of a saved archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SaveFormat {
    /// An OCI layout that has Docker's `manifest.json` too: what Docker writes since 25.
    #[default]
    Both,
    /// Docker's `manifest.json` only.
    Docker,
}

/// An image to make from a flat tar.
#[derive(Debug, Clone, Default)]
pub struct ImportRequest {
    /// Defaults for containers, platform, author, creation time; its `rootfs` is filled in.
    pub config: ImageConfig,
    /// The comment in its history.
    pub message: String,
    /// The name to give it.
    pub reference: Option<Reference>,
}

/// An image to make from a container.
#[derive(Debug, Clone)]
pub struct CommitRequest {
    /// Whose writable layer.
    pub container: ContainerId,
    /// The container's image: its layers and history come below.
    pub parent: Option<ImageId>,
    /// Defaults for containers, author, comment, creation time, platform.
    pub config: ImageConfig,
    /// The line of `history`.
    pub created_by: String,
    /// The name to give it.
    pub reference: Option<Reference>,
}
