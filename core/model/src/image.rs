//! An image as the store knows it.

use dhow_oci::{Digest, ImageConfig, Reference};
use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// The digest of an image's configuration, byte for byte: what Docker's classic store calls image id.
pub type ImageId = Digest;

/// One image: its configuration, names and size.
#[derive(Debug, Clone)]
pub struct Image {
    /// Digest of the configuration.
    pub id: ImageId,
    /// The configuration, read (its bytes are in the store).
    pub config: std::sync::Arc<ImageConfig>,
    /// Every name that points to it, in order.
    pub references: Vec<Reference>,
    /// Bytes of file content of all layers, uncompressed.
    pub size: u64,
    /// Size of each layer, lowest first; as long as `config.rootfs.diff_ids`.
    pub layer_sizes: Vec<u64>,
    /// The image it was made from here (by commit), if any.
    pub parent: Option<ImageId>,
    /// When its last tag was set.
    pub last_tagged: Timestamp,
    /// Digest of the manifest, where it came with one or one was made.
    pub manifest: Option<Digest>,
}

/// What `load` made of one image of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loaded {
    /// The image.
    pub id: ImageId,
    /// The names that it was given.
    pub references: Vec<Reference>,
}

/// What removing names and images did, in the order it was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Removed {
    /// A name was taken away.
    Untagged(String),
    /// An image or a layer stack was deleted.
    Deleted(Digest),
}
