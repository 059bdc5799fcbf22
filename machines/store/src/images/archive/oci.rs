//! An OCI layout: `index.json` names manifests, or indexes of manifests for several platforms.

use std::collections::BTreeMap;

use dhow_oci::image::{Descriptor, Index, Manifest, media_type};
use dhow_oci::{Digest, Platform, Reference};
use serde::Deserialize;

use super::documents::{OciDocument, config, oci_document};
use super::members::Members;
use super::{Found, invalid, pair, platform_of};
use crate::error::{Error, Result};

/// How deep indexes may lie in each other.
const DEPTH: usize = 4;
/// How many documents are read for one archive.
const DOCUMENTS: usize = 10_000;

const REF_NAME: &str = "org.opencontainers.image.ref.name";
const FULL_NAME: &str = "io.containerd.image.name";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

/// The images of the layout: of those that share a name, the one for the platform.
pub(super) fn find(members: &Members<'_>, platform: Option<&Platform>) -> Result<Vec<Found>> {
    check_version(members)?;
    let index = members.document("index.json")?;
    let OciDocument::Index(index) = oci_document("index.json", media_type::OCI_INDEX, &index)? else {
        return Err(invalid("index.json is no index"));
    };
    let mut search = Search { members, platform, left: DOCUMENTS };
    let mut found = Vec::new();
    for (name, descriptors) in by_name(index)? {
        let mut candidates = Vec::new();
        for descriptor in &descriptors {
            search.walk(descriptor, DEPTH, &mut candidates)?;
        }
        // Without a name each manifest is an image of its own.
        let chosen =
            if name.is_some() { search.choose(candidates).into_iter().collect() } else { candidates };
        for candidate in chosen {
            found.push(search.image(candidate, name.clone())?);
        }
    }
    match (found.is_empty(), platform) {
        (true, Some(wanted)) => {
            Err(Error::not_found(format!("the archive has no image for the requested platform ({wanted})")))
        }
        (true, None) => Err(invalid("index.json names no image")),
        (false, _) => Ok(found),
    }
}

fn check_version(members: &Members<'_>) -> Result<()> {
    let bytes = members.document("oci-layout")?;
    let marker: Marker =
        serde_json::from_slice(&bytes).map_err(|error| invalid(format!("oci-layout: {error}")))?;
    if marker.image_layout_version.starts_with("1.") {
        return Ok(());
    }
    Err(invalid(format!("oci-layout: version {:?} is not known", marker.image_layout_version)))
}

/// The index's descriptors, those of one name together.
fn by_name(index: Index) -> Result<Vec<(Option<Reference>, Vec<Descriptor>)>> {
    let mut named: BTreeMap<Option<Reference>, Vec<Descriptor>> = BTreeMap::new();
    for descriptor in index.manifests {
        named.entry(name_of(&descriptor)?).or_default().push(descriptor);
    }
    Ok(named.into_iter().collect())
}

/// A bare tag names nothing: whose tag it is nobody says.
fn name_of(descriptor: &Descriptor) -> Result<Option<Reference>> {
    let annotation = |key: &str| descriptor.annotations.get(key).map(String::as_str);
    let short = annotation(REF_NAME).filter(|name| name.contains(['/', ':']));
    let Some(text) = annotation(FULL_NAME).or(short) else { return Ok(None) };
    let reference =
        Reference::parse_tagged(text).map_err(|error| invalid(format!("name {text:?}: {error}")))?;
    Ok(Some(reference).filter(|reference| reference.tag().is_some()))
}

/// A manifest, and what its descriptor says it runs on.
struct Candidate {
    manifest: Manifest,
    bytes: Vec<u8>,
    platform: Option<Platform>,
}

struct Search<'a> {
    members: &'a Members<'a>,
    platform: Option<&'a Platform>,
    left: usize,
}

impl Search<'_> {
    /// Gathers the manifests of images at or below a descriptor.
    fn walk(&mut self, descriptor: &Descriptor, depth: usize, found: &mut Vec<Candidate>) -> Result<()> {
        if self.skips(descriptor) {
            return Ok(());
        }
        let name = member(&descriptor.digest);
        if depth == 0 || self.left == 0 {
            return Err(invalid(format!("{name}: indexes lie too deep in each other, or are too many")));
        }
        self.left -= 1;
        let bytes = self.blob(descriptor)?;
        match oci_document(&name, &descriptor.media_type, &bytes)? {
            OciDocument::Index(index) => {
                index.manifests.iter().try_for_each(|below| self.walk(below, depth - 1, found))
            }
            OciDocument::Manifest(manifest) => {
                if is_image(&manifest) {
                    found.push(Candidate {
                        manifest: *manifest,
                        bytes,
                        platform: descriptor.platform.clone(),
                    });
                }
                Ok(())
            }
        }
    }

    /// Attestations stand beside the images they are about; their platform is unknown by name. A
    /// layout may be of a few platforms of an index only: what is not wanted need not be there.
    fn skips(&self, descriptor: &Descriptor) -> bool {
        let Some(platform) = &descriptor.platform else { return false };
        let wanted = self.platform.cloned().unwrap_or_else(Platform::host);
        let absent = !self.members.has(&member(&descriptor.digest));
        platform.os == "unknown" || (!platform.runs_on(&wanted) && (absent || self.platform.is_some()))
    }

    /// Of several platforms the one asked for, else this machine's; one alone is taken as it is.
    fn choose(&self, mut candidates: Vec<Candidate>) -> Option<Candidate> {
        let wanted = self.platform.cloned().unwrap_or_else(Platform::host);
        let fits = |candidate: &Candidate| candidate.platform.as_ref().is_none_or(|p| p.runs_on(&wanted));
        let at = candidates.iter().position(fits).unwrap_or(0);
        (at < candidates.len()).then(|| candidates.swap_remove(at))
    }

    fn image(&self, candidate: Candidate, name: Option<Reference>) -> Result<Found> {
        let descriptor = &candidate.manifest.config;
        let config_bytes = self.blob(descriptor)?;
        let config = config(&member(&descriptor.digest), &config_bytes)?;
        if let Some(wanted) = self.platform
            && !platform_of(&config).runs_on(wanted)
        {
            return Err(Error::not_found(format!(
                "image {} is for {}, not for the requested platform ({wanted})",
                descriptor.digest,
                platform_of(&config)
            )));
        }
        let layers = candidate.manifest.layers.iter().map(|layer| self.layer(layer));
        Ok(Found {
            layers: pair(&config, layers.collect::<Result<_>>()?)?,
            config,
            config_bytes,
            manifest: Some(candidate.bytes),
            names: name.into_iter().collect(),
        })
    }

    fn layer(&self, descriptor: &Descriptor) -> Result<(String, Option<Digest>)> {
        let name = member(&descriptor.digest);
        let size = self.members.size(&name)?;
        check_size(&name, descriptor, size)?;
        Ok((name, Some(descriptor.digest)))
    }

    /// Reads a document and verifies what its descriptor says.
    fn blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let name = member(&descriptor.digest);
        let bytes = self.members.document(&name)?;
        check_size(&name, descriptor, bytes.len() as u64)?;
        let digest = Digest::of(&bytes);
        if digest == descriptor.digest {
            return Ok(bytes);
        }
        Err(invalid(format!("{name} is altered: its digest is {digest}")))
    }
}

fn check_size(name: &str, descriptor: &Descriptor, size: u64) -> Result<()> {
    if size == descriptor.size {
        return Ok(());
    }
    Err(invalid(format!("{name} has {size} bytes; its descriptor says {}", descriptor.size)))
}

/// Other things than images lie in layouts too: signatures, charts.
fn is_image(manifest: &Manifest) -> bool {
    matches!(manifest.config.media_type.as_str(), media_type::OCI_CONFIG | media_type::DOCKER_CONFIG)
}

fn member(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}
