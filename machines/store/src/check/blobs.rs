//! Configurations and manifests.

use std::collections::BTreeSet;
use std::sync::Arc;

use dhow_model::ports::Durability;
use dhow_model::{ImageId, Result};
use dhow_oci::Digest;

use super::{Check, names};
use crate::blobs;
use crate::catalog::{Entry, ImageRow};
use crate::images::register::image_row;
use crate::{Core, repair};

impl Check<'_> {
    pub(super) fn blobs(&mut self) -> Result<()> {
        let entries: Vec<Entry> = self.core.catalog().images.values().cloned().collect();
        for entry in &entries {
            self.manifest(entry);
        }
        self.stray_blobs()
    }

    /// First of all: they name the layers.
    pub(super) fn configurations(&mut self) {
        let entries: Vec<Entry> = self.core.catalog().all_on_record().cloned().collect();
        for entry in &entries {
            self.report.blobs += 1;
            if let Err(error) = self.core.verify_configuration(&entry.row.id) {
                let users = (names(entry), self.containers_of(&entry.row.id));
                self.lost(format!("configuration {}", entry.row.id), error.report(), users);
            }
        }
    }

    /// Without it an image has all that a container needs.
    fn manifest(&mut self, entry: &Entry) {
        let Some(manifest) = entry.row.manifest else { return };
        self.report.blobs += 1;
        if let Err(error) = blobs::read(&self.core.layout, &manifest)
            && self.core.catalog().images.contains_key(&entry.row.id)
        {
            let object = format!("manifest {manifest} of image {}", names(entry).join(", "));
            let row = ImageRow { manifest: None, ..entry.row.clone() };
            self.mend(object, error.report(), |core| forget_manifest(core, manifest, row));
        }
    }

    fn containers_of(&self, image: &ImageId) -> Vec<String> {
        let catalog = self.core.catalog();
        let above = catalog.snapshots.iter().filter(|(_, snapshot)| snapshot.image == Some(*image));
        above.map(|(id, _)| id.to_string()).collect()
    }

    fn stray_blobs(&mut self) -> Result<()> {
        let found = repair::entries(&self.core.layout.blobs())?;
        // Nobody registers an image meanwhile: its blobs are there before its record is.
        let _change = self.core.begin_change();
        let needed: BTreeSet<String> = {
            let catalog = self.core.catalog();
            let rows = catalog.all_on_record().map(|entry| &entry.row);
            rows.flat_map(|row| [Some(row.id), row.manifest]).flatten().map(|digest| digest.hex()).collect()
        };
        for (file, path) in found {
            if file.to_str().is_none_or(|file| !needed.contains(file)) && path.exists() {
                let problem = "no record needs it".to_owned();
                self.mend(path.display().to_string(), problem, |core| core.trash.discard(&path).map(drop));
            }
        }
        Ok(())
    }
}

impl Core {
    /// Reads an image's configuration. One that has lost it is used no more, and one that has all again is.
    fn verify_configuration(&self, id: &ImageId) -> Result<()> {
        // No load brings it meanwhile.
        let _change = self.begin_change();
        let Some(row) = self.catalog().on_record(id).map(|entry| entry.row.clone()) else { return Ok(()) };
        let config = blobs::read_config(&self.layout, id).inspect_err(|_| self.catalog_mut().hide(id))?;
        let is_whole = config.rootfs.diff_ids.iter().all(|layer| self.layout.layer(layer).is_dir());
        let mut catalog = self.catalog_mut();
        match catalog.hidden.get_mut(id) {
            Some(_) if is_whole => catalog.show(row, Arc::new(config)),
            Some(hidden) => hidden.config = Arc::new(config),
            None => {}
        }
        Ok(())
    }
}

fn forget_manifest(core: &Core, manifest: Digest, row: ImageRow) -> Result<()> {
    let _change = core.begin_change();
    core.trash.discard(&core.layout.blob(&manifest))?;
    if let Some(known) = core.catalog_mut().images.get_mut(&row.id) {
        known.row.manifest = None;
    }
    core.database.write(Durability::Committed, move |connection| image_row(connection, &row))
}
