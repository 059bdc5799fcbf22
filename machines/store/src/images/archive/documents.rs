//! The documents of an archive, read strictly: what two programs could read differently is refused.
//!
//! Nothing here touches a file; this is what the fuzz targets feed.

use std::collections::BTreeMap;

use dhow_oci::image::{Index, Manifest};
use dhow_oci::{ImageConfig, Reference, image::media_type};
use serde::{Deserialize, Serialize};

use super::invalid;
use crate::error::Result;

/// One image of Docker's `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DockerItem {
    /// The member with the configuration.
    pub(super) config: String,
    /// `name:tag`.
    #[serde(default)]
    pub(super) repo_tags: Option<Vec<String>>,
    /// The members with the layers, lowest first.
    #[serde(default)]
    pub(super) layers: Option<Vec<String>>,
}

/// The old `repositories`: name → tag → layer.
pub(super) type Repositories = BTreeMap<String, BTreeMap<String, String>>;

/// What a member of an OCI layout is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OciDocument {
    /// One image.
    Manifest(Box<Manifest>),
    /// Several.
    Index(Index),
}

/// The members that tell a manifest from an index.
#[derive(Deserialize)]
struct Shape {
    #[serde(default, rename = "mediaType")]
    media_type: Option<String>,
    #[serde(default)]
    config: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    layers: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    manifests: Option<serde::de::IgnoredAny>,
}

/// Reads `manifest.json`.
pub(super) fn docker_manifest(bytes: &[u8]) -> Result<Vec<DockerItem>> {
    serde_json::from_slice(bytes).map_err(|error| invalid(format!("manifest.json: {error}")))
}

/// Reads a manifest or an index.
///
/// One document that is both is an attack on whoever checks it as one and uses it as the other
/// (GHSA-xmmx-7jpf-fx42), and so is one that says another type than its descriptor.
pub(super) fn oci_document(name: &str, expected: &str, bytes: &[u8]) -> Result<OciDocument> {
    let wrong = |error: serde_json::Error| invalid(format!("{name}: {error}"));
    let shape: Shape = serde_json::from_slice(bytes).map_err(wrong)?;
    let is_manifest = shape.layers.is_some() || shape.config.is_some();
    if is_manifest && shape.manifests.is_some() {
        return Err(invalid(format!("{name} has both \"layers\" and \"manifests\"")));
    }
    let said = shape.media_type.as_deref().filter(|said| !said.is_empty());
    for said in [said, Some(expected).filter(|expected| !expected.is_empty())].into_iter().flatten() {
        let is_index = matches!(said, media_type::OCI_INDEX | media_type::DOCKER_INDEX);
        if is_index == is_manifest {
            return Err(invalid(format!("{name} is not of its media type {said:?}")));
        }
    }
    if is_manifest {
        serde_json::from_slice(bytes).map(|manifest| OciDocument::Manifest(Box::new(manifest))).map_err(wrong)
    } else {
        serde_json::from_slice(bytes).map(OciDocument::Index).map_err(wrong)
    }
}

/// Reads an image configuration.
pub(super) fn config(name: &str, bytes: &[u8]) -> Result<ImageConfig> {
    let config: ImageConfig =
        serde_json::from_slice(bytes).map_err(|error| invalid(format!("configuration {name}: {error}")))?;
    if config.rootfs.kind != "layers" {
        return Err(invalid(format!("configuration {name}: rootfs is of type {:?}", config.rootfs.kind)));
    }
    Ok(config)
}

/// Reads bytes as every document that an archive may have; for fuzzing.
///
/// # Errors
/// Those of the last reader.
pub fn read_any_document(bytes: &[u8]) -> Result<()> {
    for item in docker_manifest(bytes).unwrap_or_default() {
        item.repo_tags.unwrap_or_default().iter().for_each(|text| drop(tag(text)));
    }
    for expected in ["", media_type::OCI_INDEX, media_type::OCI_MANIFEST] {
        drop(oci_document("document", expected, bytes));
    }
    config("document", bytes).map(drop)
}

/// Reads a name that an image is given.
pub(super) fn tag(text: &str) -> Result<Reference> {
    let reference = Reference::parse(text).map_err(|error| invalid(format!("tag {text:?}: {error}")))?;
    match (reference.tag(), reference.digest()) {
        (Some(_), None) => Ok(reference),
        _ => Err(invalid(format!("{text:?} is no tag"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_a_manifest_or_an_index_and_never_both() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let config = format!(r#""config":{{"digest":"{digest}","size":2}}"#);
        for (text, word) in [
            (format!(r#"{{"schemaVersion":2,{config},"layers":[],"manifests":[]}}"#), "both"),
            (format!(r#"{{"schemaVersion":2,{config},"manifests":[]}}"#), "both"),
            (r#"{"schemaVersion":2,"layers":[],"layers":[]}"#.into(), "duplicate field"),
            (
                format!(
                    r#"{{"schemaVersion":2,"mediaType":"{}",{config},"layers":[]}}"#,
                    media_type::OCI_INDEX
                ),
                "not of its media type",
            ),
            (r#"{"schemaVersion":2}"#.into(), "manifests"),
            ("[]".into(), "invalid"),
        ] {
            let error = oci_document("blob", "", text.as_bytes()).unwrap_err().report();
            assert!(error.contains(word), "{text}: {error}");
        }
        let index = r#"{"schemaVersion":2,"manifests":[]}"#;
        assert!(matches!(oci_document("blob", "", index.as_bytes()), Ok(OciDocument::Index(_))));
        assert!(oci_document("blob", media_type::OCI_MANIFEST, index.as_bytes()).is_err());
    }
}
