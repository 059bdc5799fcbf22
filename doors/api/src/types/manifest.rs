//! The manifests of an image, as `manifests` asks for them (1.47 in lists, 1.48 in inspections).
//!
//! Docker has many for an image of several platforms; an image of ours is of one. One that was imported or committed
//! here has no manifest before it is saved, and shows none.

use dhow_engine::images::ImageManifest;
use dhow_model::{ContainerId, Image};
use dhow_oci::{Digest, Platform};
use serde::Serialize;
use serde_json::Value;

/// What a manifest is taken for that does not say.
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// One manifest.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Manifest {
    #[serde(rename = "ID")]
    id: Digest,
    descriptor: Descriptor,
    available: bool,
    size: Size,
    kind: &'static str,
    image_data: ImageData,
}

/// As OCI has it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: Digest,
    size: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Size {
    content: u64,
    total: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ImageData {
    platform: Platform,
    size: Unpacked,
    containers: Vec<ContainerId>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Unpacked {
    unpacked: u64,
}

impl Manifest {
    /// Of an image and the manifest that it came with.
    ///
    /// Layers are kept as containers use them, and not as blobs: they count as unpacked.
    pub(crate) fn new(image: &Image, manifest: ImageManifest) -> Self {
        let ImageManifest { bytes, config, platform, containers } = manifest;
        let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let media_type = said["mediaType"].as_str().unwrap_or(OCI_MANIFEST).to_owned();
        let id = Digest::of(&bytes);
        let content = u64::try_from(bytes.len() + config).unwrap_or(u64::MAX);
        Self {
            id,
            descriptor: Descriptor { media_type, digest: id, size: bytes.len() },
            available: true,
            size: Size { content, total: content + image.size },
            kind: "image",
            image_data: ImageData { platform, size: Unpacked { unpacked: image.size }, containers },
        }
    }
}
