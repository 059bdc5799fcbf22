//! An image as the store knows it.

use std::collections::BTreeMap;

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
    /// Bytes of all its layers on the disk.
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

/// Bytes of all layers of some images, a layer that several of them have once.
#[must_use]
pub fn size_of_layers<'a>(images: impl IntoIterator<Item = &'a Image>) -> u64 {
    let all =
        images.into_iter().flat_map(|image| image.config.rootfs.diff_ids.iter().zip(&image.layer_sizes));
    all.collect::<BTreeMap<&Digest, &u64>>().into_values().sum()
}

/// How a layer lies on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LayerFormat {
    /// The tar as it came, and an index that the kernel mounts (file-backed EROFS, Linux 6.12).
    Tar,
    /// An unpacked directory.
    Directory,
}

impl std::str::FromStr for LayerFormat {
    type Err = crate::Error;

    fn from_str(text: &str) -> crate::Result<Self> {
        match text {
            "tar" => Ok(Self::Tar),
            "directory" => Ok(Self::Directory),
            _ => Err(crate::Error::invalid(format!("invalid layer format {text:?}: tar or directory"))),
        }
    }
}

/// A layer as it lies on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredLayer {
    /// The digest of its uncompressed tar.
    pub diff_id: Digest,
    /// How it lies there.
    pub format: LayerFormat,
    /// Bytes that it takes.
    pub size: u64,
}

/// Bytes of the files of all layers, as the file system has them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LayersUsage {
    /// Of those in their place.
    pub placed: u64,
    /// Of those that `system check --repair` found damaged and set aside; a prune of images deletes them.
    pub set_aside: u64,
}

impl LayersUsage {
    /// Of all of them.
    #[must_use]
    pub fn total(self) -> u64 {
        self.placed + self.set_aside
    }
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
