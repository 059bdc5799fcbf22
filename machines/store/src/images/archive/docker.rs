//! Docker's archive: `manifest.json` lists images; each names its configuration and its layers.

use dhow_oci::image::{DiffId, Index};
use dhow_oci::{Digest, Platform};

use super::documents::{DockerItem, OciDocument, config, docker_manifest, oci_document, tag};
use super::members::Members;
use super::{Found, invalid, pair, platform_of};
use crate::error::{Error, Result};

/// Nobody gives an image more names than this.
const MOST_NAMES: usize = 1_000;

/// The images of the archive.
pub(super) fn find(members: &Members<'_>, platform: Option<&Platform>) -> Result<Vec<Found>> {
    let items = docker_manifest(&members.document("manifest.json")?)?;
    items.into_iter().map(|item| image(members, item, platform)).collect()
}

fn image(members: &Members<'_>, item: DockerItem, platform: Option<&Platform>) -> Result<Found> {
    let config_bytes = members.document(&item.config)?;
    verify_name(&item.config, &config_bytes)?;
    let config = config(&item.config, &config_bytes)?;
    if let Some(wanted) = platform
        && !platform_of(&config).runs_on(wanted)
    {
        return Err(Error::not_found(format!(
            "image {} is for {}, not for the requested platform ({wanted})",
            item.config,
            platform_of(&config)
        )));
    }
    let tags = item.repo_tags.unwrap_or_default();
    if tags.len() > MOST_NAMES {
        return Err(invalid(format!("image {} has more than {MOST_NAMES} names", item.config)));
    }
    let layers = item.layers.unwrap_or_default();
    let layers = layers.into_iter().map(|name| (check(members, name), None));
    let layers: Vec<_> = layers.map(|(name, digest)| Ok((name?, digest))).collect::<Result<_>>()?;
    Ok(Found {
        layers: pair(&config, layers)?,
        manifest: manifest(members, Digest::of(&config_bytes), &config.rootfs.diff_ids),
        config,
        config_bytes,
        names: tags.iter().map(|text| tag(text)).collect::<Result<_>>()?,
    })
}

fn check(members: &Members<'_>, name: String) -> Result<String> {
    if members.has(&name) {
        return Ok(name);
    }
    Err(invalid(format!("open {name}: no such file or directory")))
}

/// A configuration that is named by a digest must have it.
fn verify_name(name: &str, bytes: &[u8]) -> Result<()> {
    let stem = name.rsplit('/').next().unwrap_or(name);
    let Ok(expected) = Digest::from_hex(stem.strip_suffix(".json").unwrap_or(stem)) else { return Ok(()) };
    let digest = Digest::of(bytes);
    if digest == expected {
        return Ok(());
    }
    Err(invalid(format!("{name} is altered: its digest is {digest}")))
}

/// Newer archives are OCI layouts too: then the image has a manifest. It is a gift, not a need:
/// what is odd about it is no reason to refuse the image.
fn manifest(members: &Members<'_>, config: Digest, diff_ids: &[DiffId]) -> Option<Vec<u8>> {
    let index: Index = serde_json::from_slice(&members.document("index.json").ok()?).ok()?;
    index.manifests.iter().take(1_000).find_map(|descriptor| {
        let name = format!("blobs/sha256/{}", descriptor.digest.hex());
        let bytes = members.document(&name).ok()?;
        let document = oci_document(&name, &descriptor.media_type, &bytes).ok()?;
        let fits = matches!(&document, OciDocument::Manifest(manifest)
            if manifest.config.digest == config && manifest.layers.len() == diff_ids.len());
        (fits && Digest::of(&bytes) == descriptor.digest).then_some(bytes)
    })
}
