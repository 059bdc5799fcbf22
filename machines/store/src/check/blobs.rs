//! Configurations and manifests.

use std::collections::BTreeSet;

use dhow_model::ports::Durability;
use dhow_model::{ImageId, Result};
use dhow_oci::Digest;

use super::{Check, name};
use crate::blobs;
use crate::catalog::{Entry, ImageRow};
use crate::images::register::image_row;
use crate::{Core, repair};

impl Check<'_> {
    pub(super) fn blobs(&mut self) -> Result<()> {
        let entries: Vec<Entry> = self.core.catalog().images.values().cloned().collect();
        for entry in &entries {
            self.configuration(entry);
            self.manifest(entry);
        }
        self.stray_blobs()
    }

    fn configuration(&mut self, entry: &Entry) {
        let id = entry.row.id;
        self.report.blobs += 1;
        if let Err(error) = blobs::read(&self.core.layout, &id)
            && self.core.catalog().images.contains_key(&id)
        {
            let users = (vec![name(entry)], self.containers_of(&id));
            self.lost(format!("configuration {id}"), error.report(), users);
        }
    }

    /// Without it an image has all that a container needs.
    fn manifest(&mut self, entry: &Entry) {
        let Some(manifest) = entry.row.manifest else { return };
        self.report.blobs += 1;
        if let Err(error) = blobs::read(&self.core.layout, &manifest)
            && self.core.catalog().images.contains_key(&entry.row.id)
        {
            let object = format!("manifest {manifest} of image {}", name(entry));
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
            let rows = catalog.images.values().map(|entry| &entry.row);
            rows.flat_map(|row| [Some(row.id), row.manifest]).flatten().map(|digest| digest.hex()).collect()
        };
        if self.core.catalog().damaged > 0 {
            return Ok(());
        }
        for (file, path) in found {
            if file.to_str().is_none_or(|file| !needed.contains(file)) && path.exists() {
                let problem = "no record needs it".to_owned();
                self.mend(path.display().to_string(), problem, |core| core.trash.discard(&path).map(drop));
            }
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
