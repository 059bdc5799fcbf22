//! Writes images as an archive that is both an OCI layout and Docker's format, as Docker does since 25.
//!
//! ```text
//! blobs/sha256/<digest>      layers (uncompressed), configurations, manifests; each once
//! index.json  oci-layout     the OCI layout                      (not with SaveFormat::Docker)
//! manifest.json  repositories  Docker's; podman reads the former, very old engines the latter
//! ```
//! The same images give the same bytes: no time of today is in it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use dhow_model::ports::{SaveFormat, SaveItem};
use dhow_model::{Image, ImageId};
use dhow_oci::image::{Descriptor, DiffId, Index, Manifest, media_type};
use dhow_oci::{Digest, Reference};
use serde_json::json;

use super::documents::{DockerItem, Repositories};
use super::platform_of;
use crate::Core;
use crate::blobs;
use crate::error::{Context as _, Result};
use crate::tar::{Entry, Writer};

const REF_NAME: &str = "org.opencontainers.image.ref.name";
const FULL_NAME: &str = "io.containerd.image.name";

impl Core {
    pub(in super::super) fn save(
        &self,
        items: &[SaveItem],
        format: SaveFormat,
        out: &mut dyn Write,
    ) -> Result<()> {
        let images = self.images_of(items)?;
        // They must not go while they are written.
        let layers: BTreeSet<DiffId> =
            images.iter().flat_map(|image| image.config.rootfs.diff_ids.iter().copied()).collect();
        let _pins: Vec<_> = layers.iter().map(|layer| self.pins.pin(*layer)).collect();
        // Said before the first byte.
        for layer in &layers {
            self.refuse_damaged(layer)?;
            self.tar_size(layer)?;
        }
        images.iter().try_for_each(|image| blobs::read_config(&self.layout, &image.id).map(drop))?;
        let mut archive = Archive { core: self, writer: Writer::new(out), written: BTreeSet::new() };
        archive.directory("blobs/")?;
        archive.directory("blobs/sha256/")?;
        layers.iter().try_for_each(|layer| archive.layer(layer))?;
        let manifests =
            images.iter().map(|image| archive.documents(image)).collect::<Result<Vec<Descriptor>>>()?;
        archive.lists(items, &images, &manifests, format)?;
        archive.writer.finish().map(drop).map_err(Into::into)
    }

    fn images_of(&self, items: &[SaveItem]) -> Result<Vec<Image>> {
        let catalog = self.catalog();
        let image = |id: &ImageId| catalog.image(id).ok_or_else(|| super::super::missing(&catalog, id));
        items.iter().map(|item| image(&item.id)).collect()
    }
}

struct Archive<'a> {
    core: &'a Core,
    writer: Writer<&'a mut dyn Write>,
    /// The blobs that are in the archive already.
    written: BTreeSet<Digest>,
}

impl Archive<'_> {
    fn directory(&mut self, name: &str) -> Result<()> {
        Ok(self.writer.append(&Entry::directory(name), &mut std::io::empty())?)
    }

    fn layer(&mut self, diff_id: &DiffId) -> Result<()> {
        if !self.written.insert(*diff_id) {
            return Ok(());
        }
        let size = self.core.tar_size(diff_id)?;
        self.writer.begin(&Entry::file(path_of(diff_id), size))?;
        self.core.write_tar(diff_id, &mut Body(&mut self.writer))?;
        Ok(self.writer.end()?)
    }

    fn blob(&mut self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        if self.written.insert(digest) {
            self.file(&path_of(&digest), bytes)?;
        }
        Ok(digest)
    }

    fn file(&mut self, name: &str, mut bytes: &[u8]) -> Result<()> {
        Ok(self.writer.append(&Entry::file(name, bytes.len() as u64), &mut bytes)?)
    }

    fn json(&mut self, name: &str, value: &impl serde::Serialize) -> Result<()> {
        let bytes = serde_json::to_vec(value).context(|| format!("cannot write {name}"))?;
        self.file(name, &bytes)
    }

    /// Writes configuration and manifest, and describes the manifest.
    fn documents(&mut self, image: &Image) -> Result<Descriptor> {
        let config = blobs::read(&self.core.layout, &image.id)?;
        self.blob(&config)?;
        let bytes = self.manifest(image, config.len() as u64)?;
        let digest = self.blob(&bytes)?;
        Ok(Descriptor {
            media_type: media_type::OCI_MANIFEST.into(),
            digest,
            size: bytes.len() as u64,
            annotations: BTreeMap::new(),
            platform: Some(platform_of(&image.config)).filter(|platform| !platform.os.is_empty()),
            artifact_type: None,
        })
    }

    /// The layers are written uncompressed, so the manifest is one that says so; the one the image
    /// came with may name compressed blobs, which are not kept.
    fn manifest(&self, image: &Image, config_size: u64) -> Result<Vec<u8>> {
        let describe = |media_type: &str, digest: Digest, size: u64| Descriptor {
            media_type: media_type.into(),
            digest,
            size,
            annotations: BTreeMap::new(),
            platform: None,
            artifact_type: None,
        };
        let layers = image.config.rootfs.diff_ids.iter();
        let layers = layers.map(|id| Ok(describe(media_type::OCI_LAYER, *id, self.core.tar_size(id)?)));
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media_type::OCI_MANIFEST.into()),
            config: describe(media_type::OCI_CONFIG, image.id, config_size),
            layers: layers.collect::<Result<_>>()?,
            annotations: BTreeMap::new(),
        };
        serde_json::to_vec(&manifest).context(|| format!("cannot write the manifest of {}", image.id))
    }

    fn lists(
        &mut self,
        items: &[SaveItem],
        images: &[Image],
        manifests: &[Descriptor],
        format: SaveFormat,
    ) -> Result<()> {
        if format == SaveFormat::Both {
            self.json("index.json", &index(items, manifests))?;
        }
        self.json("manifest.json", &docker_items(items, images))?;
        if format == SaveFormat::Both {
            self.json("oci-layout", &json!({ "imageLayoutVersion": "1.0.0" }))?;
        }
        let repositories = repositories(items, images);
        if repositories.is_empty() { Ok(()) } else { self.json("repositories", &repositories) }
    }
}

fn index(items: &[SaveItem], manifests: &[Descriptor]) -> Index {
    let mut listed = Vec::new();
    for (item, manifest) in items.iter().zip(manifests) {
        let named = item.references.iter().filter_map(|reference| {
            let tag = reference.tag()?;
            let mut descriptor = manifest.clone();
            descriptor.annotations.insert(FULL_NAME.into(), reference.to_string());
            descriptor.annotations.insert(REF_NAME.into(), tag.into());
            Some(descriptor)
        });
        let before = listed.len();
        listed.extend(named);
        if listed.len() == before {
            listed.push(manifest.clone());
        }
    }
    Index {
        schema_version: 2,
        media_type: Some(media_type::OCI_INDEX.into()),
        manifests: listed,
        annotations: BTreeMap::new(),
    }
}

/// One image is listed once, with all names it was asked for by.
fn docker_items(items: &[SaveItem], images: &[Image]) -> Vec<DockerItem> {
    let mut listed: Vec<DockerItem> = Vec::new();
    for (item, image) in items.iter().zip(images) {
        let config = path_of(&image.id);
        let tags: Vec<String> = tagged(item).map(Reference::familiar).collect();
        if let Some(known) = listed.iter_mut().find(|known| known.config == config) {
            known.repo_tags.get_or_insert_default().extend(tags);
            continue;
        }
        listed.push(DockerItem {
            config,
            repo_tags: Some(tags).filter(|tags| !tags.is_empty()),
            layers: Some(image.config.rootfs.diff_ids.iter().map(path_of).collect()),
        });
    }
    listed
}

fn repositories(items: &[SaveItem], images: &[Image]) -> Repositories {
    let mut repositories = Repositories::new();
    for (item, image) in items.iter().zip(images) {
        let Some(top) = image.config.rootfs.diff_ids.last() else { continue };
        for reference in tagged(item) {
            let tags = repositories.entry(reference.familiar_name()).or_default();
            tags.insert(reference.tag().unwrap_or_default().into(), top.hex());
        }
    }
    repositories
}

fn tagged(item: &SaveItem) -> impl Iterator<Item = &Reference> {
    item.references.iter().filter(|reference| reference.tag().is_some())
}

fn path_of(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// The contents of the entry at hand.
struct Body<'a, W>(&'a mut Writer<W>);

impl<W: Write> Write for Body<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
