//! Images: configurations, names, and the layers they stand on.
//!
//! [`register`] makes an image appear, [`remove`] takes it away; [`archive`] loads and saves, [`import`]
//! and [`commit`] make images of one new layer.

pub(crate) mod archive;
mod commit;
mod import;
pub(crate) mod register;
mod remove;

use std::io::{Read, Write};
use std::sync::Arc;

use dhow_model::image::{LayerFormat, LayersUsage, Loaded, Removed, StoredLayer};
use dhow_model::ports::{
    CommitRequest, Durability, Images, ImportRequest, LoadProgress, SaveFormat, SaveItem,
};
use dhow_model::{Error, Image, ImageId, Kind, Result, Timestamp};
use dhow_oci::{Platform, Reference};

use crate::catalog::Catalog;
use crate::error::Context as _;
use crate::{Core, blobs};

/// The images of this machine.
#[derive(Debug, Clone)]
pub struct ImageStore {
    pub(crate) core: Arc<Core>,
}

impl Images for ImageStore {
    fn list(&self) -> Result<Vec<Image>> {
        let catalog = self.core.catalog();
        let mut entries: Vec<_> = catalog.images.values().collect();
        entries.sort_by(|a, b| b.created.cmp(&a.created).then(a.row.id.cmp(&b.row.id)));
        Ok(entries.into_iter().filter_map(|entry| catalog.image(&entry.row.id)).collect())
    }

    fn by_reference(&self, reference: &Reference) -> Result<Option<Image>> {
        let catalog = self.core.catalog();
        if let Some(id) = catalog.names.get(reference) {
            return Ok(catalog.image(id));
        }
        let Some(digest) = reference.digest() else { return Ok(None) };
        // A digest stands for itself, but the image must be known under that repository.
        let same = |known: &Reference| {
            known.repository() == reference.repository() && known.registry() == reference.registry()
        };
        let found = catalog.images.values().find(|entry| {
            (entry.row.id == digest || entry.row.manifest == Some(digest))
                && entry.references.iter().any(same)
        });
        Ok(found.and_then(|entry| catalog.image(&entry.row.id)))
    }

    fn by_id(&self, id: &ImageId) -> Result<Option<Image>> {
        Ok(self.core.catalog().image(id))
    }

    fn damaged(&self) -> Result<Vec<Image>> {
        let catalog = self.core.catalog();
        Ok(catalog.hidden.values().map(|entry| catalog.image_of(entry)).collect())
    }

    fn by_id_prefix(&self, hex: &str) -> Result<Vec<ImageId>> {
        let catalog = self.core.catalog();
        let begins = |id: &&ImageId| id.hex().starts_with(hex);
        Ok(catalog.images.keys().filter(begins).take(2).copied().collect())
    }

    fn config_bytes(&self, id: &ImageId) -> Result<Vec<u8>> {
        if !self.core.catalog().images.contains_key(id) {
            return Err(missing(&self.core.catalog(), id));
        }
        blobs::read(&self.core.layout, id)
    }

    fn manifest_bytes(&self, id: &ImageId) -> Result<Option<Vec<u8>>> {
        let manifest = {
            let catalog = self.core.catalog();
            catalog.images.get(id).ok_or_else(|| missing(&catalog, id))?.row.manifest
        };
        manifest.map(|digest| blobs::read(&self.core.layout, &digest)).transpose()
    }

    fn tag(&self, reference: &Reference, id: &ImageId) -> Result<()> {
        self.core.tag(reference, id)
    }

    fn untag(&self, reference: &Reference) -> Result<bool> {
        self.core.untag(reference)
    }

    fn remove(&self, id: &ImageId, prune_parents: bool) -> Result<Vec<Removed>> {
        self.core.remove_image(id, prune_parents)
    }

    fn load(
        &self,
        archive: &mut dyn Read,
        platform: Option<&Platform>,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Vec<Loaded>> {
        self.core.load(archive, platform, progress)
    }

    fn save(&self, items: &[SaveItem], format: SaveFormat, out: &mut dyn Write) -> Result<()> {
        self.core.save(items, format, out)
    }

    fn import(&self, request: ImportRequest, tar: &mut dyn Read) -> Result<ImageId> {
        self.core.import(request, tar)
    }

    fn commit(&self, request: CommitRequest) -> Result<ImageId> {
        self.core.commit(request)
    }

    fn layers(&self, id: &ImageId) -> Result<Vec<StoredLayer>> {
        self.core.stored_layers(id)
    }

    fn all_layers(&self) -> Result<Vec<StoredLayer>> {
        Ok(self.core.all_stored_layers())
    }

    fn layers_usage(&self) -> Result<LayersUsage> {
        self.core.layers_usage()
    }

    fn discard_set_aside(&self) -> Result<()> {
        self.core.discard_set_aside()
    }

    fn convert(&self, id: &ImageId, format: LayerFormat) -> Result<usize> {
        self.core.convert_image(id, format)
    }
}

impl Core {
    fn tag(&self, reference: &Reference, id: &ImageId) -> Result<()> {
        let _change = self.begin_change();
        if !self.catalog().images.contains_key(id) {
            return Err(missing(&self.catalog(), id));
        }
        let now = Timestamp::now();
        let (name, image) = (reference.to_string(), id.to_string());
        self.database.write(Durability::Committed, move |connection| {
            register::name_row(connection, &name, &image)?;
            let mut touch = connection.prepare_cached("UPDATE image SET last_tagged = ?2 WHERE id = ?1")?;
            touch.execute((&image, now.to_string())).map(drop)
        })?;
        let mut catalog = self.catalog_mut();
        catalog.set_name(reference.clone(), *id);
        if let Some(entry) = catalog.images.get_mut(id) {
            entry.row.last_tagged = now;
        }
        drop(catalog);
        self.write_copy();
        Ok(())
    }

    fn untag(&self, reference: &Reference) -> Result<bool> {
        let _change = self.begin_change();
        let is_name = |catalog: &Catalog| {
            let mut hidden = catalog.hidden.values();
            catalog.names.contains_key(reference) || hidden.any(|image| image.references.contains(reference))
        };
        if !is_name(&self.catalog()) {
            return Ok(false);
        }
        let name = reference.to_string();
        self.database.write(Durability::Committed, move |connection| {
            connection.prepare_cached("DELETE FROM name WHERE reference = ?1")?.execute([&name]).map(drop)
        })?;
        self.catalog_mut().remove_name(reference);
        self.write_copy();
        Ok(true)
    }

    /// Writes images and names beside the database, for the day when that is lost.
    /// What it is written for was done: on a full disk there is no new copy, but images can be removed.
    pub(crate) fn write_copy(&self) {
        let copy = self.catalog().copy();
        let path = self.layout.images();
        let directory = path.parent().unwrap_or(&path);
        let text = serde_json::to_vec_pretty(&copy).context(|| "cannot write down the images");
        let written = text.and_then(|text| crate::records::replace_file(directory, "images.json", &text));
        if let Err(error) = written {
            tracing::warn!(path = %path.display(), error = error.report(), "no copy of the images");
        }
    }
}

/// Why an image is not found that was.
pub(crate) fn missing(catalog: &Catalog, id: &ImageId) -> Error {
    if !catalog.hidden.contains_key(id) {
        return no_such(id);
    }
    let words = format!("image {} has lost its configuration or a layer: load it again", id.short());
    Error::new(Kind::Corrupt, words)
}

pub(crate) fn no_such(id: &ImageId) -> Error {
    Error::not_found(format!("No such image: {id}"))
}
