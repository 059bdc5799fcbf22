//! Blobs: configurations and manifests, byte for byte, named by their digest.

use std::io::Read as _;

use dhow_oci::{Digest, ImageConfig};

use crate::error::{Context as _, Error, Kind, Result};
use crate::layout::Layout;
use crate::staging::Stage;

/// A configuration or a manifest of more bytes than this is refused.
pub(crate) const JSON_MAX: u64 = 8 << 20;

/// Stores `bytes`; what is there already stays.
pub(crate) fn put(layout: &Layout, stage: &Stage, bytes: &[u8]) -> Result<Digest> {
    let digest = Digest::of(bytes);
    let place = layout.blob(&digest);
    if place.exists() && read(layout, &digest).is_ok() {
        return Ok(digest);
    }
    let name = digest.hex();
    let staged = stage.path().join(&name);
    std::fs::write(&staged, bytes).on("write", &staged)?;
    // Over what is there: that is damaged, or the same bytes.
    std::fs::rename(&staged, &place).on("write", &place)?;
    Ok(digest)
}

/// Reads a blob and verifies it.
pub(crate) fn read(layout: &Layout, digest: &Digest) -> Result<Vec<u8>> {
    let path = layout.blob(digest);
    let file = std::fs::File::open(&path).on("open", &path)?;
    // Most are read at once: a start reads thousands.
    let mut bytes = Vec::with_capacity(4 << 10);
    file.take(JSON_MAX + 1).read_to_end(&mut bytes).on("read", &path)?;
    if Digest::of(&bytes) == *digest {
        return Ok(bytes);
    }
    Err(Error::new(Kind::Corrupt, format!("blob {digest} is damaged: its bytes have another digest")))
}

/// Reads an image's configuration.
pub(crate) fn read_config(layout: &Layout, id: &Digest) -> Result<ImageConfig> {
    let bytes = read(layout, id)?;
    serde_json::from_slice(&bytes).context(|| format!("configuration {id} is damaged"))
}
