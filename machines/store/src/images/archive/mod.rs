//! Archives of images: Docker's (`manifest.json`) and OCI layouts (`index.json`), compressed or not.
//!
//! Reading goes in three steps. [`members`] stages the archive's files, for they come in any order, and takes in
//! the layers among them ([`arriving`]);
//! [`docker`] and [`oci`] read from its documents which images there are: a list of [`Found`];
//! [`load`] brings in their layers ([`intake`]), verifies every digest, and registers them one by one.
//! [`save`] writes archives that are both at once.

mod arriving;
mod docker;
mod documents;
mod intake;
mod load;
mod members;
mod oci;
mod save;

pub use documents::read_any_document;

use dhow_oci::image::DiffId;
use dhow_oci::{Digest, ImageConfig, Platform, Reference};

use crate::error::{Error, Kind, Result};
use crate::stack::MOST_LAYERS;

/// An image that an archive has.
#[derive(Debug)]
pub(super) struct Found {
    config: ImageConfig,
    config_bytes: Vec<u8>,
    /// The OCI manifest, where there is one.
    manifest: Option<Vec<u8>>,
    /// Lowest first; as many as the configuration has.
    layers: Vec<FoundLayer>,
    names: Vec<Reference>,
}

/// One layer of it.
#[derive(Debug)]
struct FoundLayer {
    diff_id: DiffId,
    /// The archive's member that has it.
    member: String,
    /// What a descriptor says of it.
    digest: Option<Digest>,
}

/// Puts the layers of a configuration and of a manifest together.
fn pair(config: &ImageConfig, members: Vec<(String, Option<Digest>)>) -> Result<Vec<FoundLayer>> {
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() > MOST_LAYERS {
        return Err(invalid(format!(
            "image has {} layers; at most {MOST_LAYERS} can be mounted",
            diff_ids.len()
        )));
    }
    if diff_ids.len() != members.len() {
        return Err(invalid(format!(
            "invalid manifest, layers length mismatch: expected {}, got {}",
            diff_ids.len(),
            members.len()
        )));
    }
    let layer = |(diff_id, (member, digest)): (&DiffId, _)| FoundLayer { diff_id: *diff_id, member, digest };
    Ok(diff_ids.iter().zip(members).map(layer).collect())
}

/// What an image's configuration says it runs on.
fn platform_of(config: &ImageConfig) -> Platform {
    Platform {
        architecture: config.architecture.clone(),
        os: config.os.clone(),
        variant: config.variant.clone(),
        os_version: String::new(),
    }
}

fn invalid(what: impl std::fmt::Display) -> Error {
    Error::new(Kind::InvalidArgument, format!("invalid archive: {what}"))
}
