//! Makes an image appear: its files are whole and synced, then one transaction names it.

use std::sync::Arc;

use dhow_model::ports::Durability;
use dhow_model::{Error, ImageId, Result, Timestamp};
use dhow_oci::image::DiffId;
use dhow_oci::{Digest, ImageConfig, Reference};
use rusqlite::Connection;

use crate::Core;
use crate::blobs;
use crate::catalog::ImageRow;
use crate::stack::MOST_LAYERS;
use crate::staging::Stage;

/// An image whose layers are in their place, and pinned.
#[derive(Debug)]
pub(crate) struct NewImage<'a> {
    pub(crate) config: ImageConfig,
    pub(crate) config_bytes: &'a [u8],
    pub(crate) manifest: Option<&'a [u8]>,
    pub(crate) parent: Option<ImageId>,
    /// The layers with their sizes, lowest first.
    pub(crate) layers: Vec<(DiffId, u64)>,
    pub(crate) names: Vec<Reference>,
}

impl Core {
    /// Stores configuration and manifest, waits for the disk, and names the image.
    pub(crate) fn register(&self, stage: &Stage, new: NewImage<'_>) -> Result<ImageId> {
        check(&new)?;
        let id = blobs::put(&self.layout, stage, new.config_bytes)?;
        let manifest = new.manifest.map(|bytes| blobs::put(&self.layout, stage, bytes)).transpose()?;
        // One that is known was synced when it came.
        let known = self.catalog().images.get(&id).map(|entry| entry.row.manifest);
        if known.is_none_or(|known| manifest.is_some() && known.is_none()) {
            self.sync_files()?;
        }
        let _change = self.begin_change();
        self.put_again(stage, &new, [Some(id), manifest])?;
        let row = self.row(id, &new, manifest);
        self.write_rows(&row, &new)?;
        let mut catalog = self.catalog_mut();
        catalog.layers.extend(new.layers.iter().copied());
        catalog.show(row, Arc::new(new.config));
        for name in new.names {
            catalog.set_name(name, id);
        }
        drop(catalog);
        self.write_copy();
        Ok(id)
    }

    /// Until the lock was ours, the same image may have been removed with its documents.
    fn put_again(&self, stage: &Stage, new: &NewImage<'_>, blobs: [Option<Digest>; 2]) -> Result<()> {
        if blobs.iter().flatten().all(|digest| self.layout.blob(digest).exists()) {
            return Ok(());
        }
        blobs::put(&self.layout, stage, new.config_bytes)?;
        new.manifest.map(|bytes| blobs::put(&self.layout, stage, bytes)).transpose()?;
        self.sync_files()
    }

    /// The image's row: one that is known keeps what it had.
    fn row(&self, id: ImageId, new: &NewImage<'_>, manifest: Option<Digest>) -> ImageRow {
        let catalog = self.catalog();
        let known = catalog.on_record(&id).map(|entry| &entry.row);
        let parent = new.parent.filter(|parent| *parent != id && catalog.images.contains_key(parent));
        let tagged = if new.names.is_empty() { Timestamp::NEVER } else { Timestamp::now() };
        ImageRow {
            id,
            parent: known.and_then(|row| row.parent).or(parent),
            manifest: known.and_then(|row| row.manifest).or(manifest),
            last_tagged: known.map_or(tagged, |row| row.last_tagged.max(tagged)),
        }
    }

    fn write_rows(&self, row: &ImageRow, new: &NewImage<'_>) -> Result<()> {
        let row = row.clone();
        let layers = new.layers.clone();
        let names: Vec<String> = new.names.iter().map(Reference::to_string).collect();
        self.database.write(Durability::Committed, move |connection| {
            image_row(connection, &row)?;
            layer_rows(connection, &layers)?;
            names.iter().try_for_each(|name| name_row(connection, name, &row.id.to_string()))
        })
    }
}

fn check(new: &NewImage<'_>) -> Result<()> {
    let count = new.layers.len();
    if count > MOST_LAYERS {
        return Err(Error::invalid(format!(
            "image has {count} layers; at most {MOST_LAYERS} can be mounted"
        )));
    }
    Ok(())
}

pub(crate) fn image_row(connection: &Connection, row: &ImageRow) -> rusqlite::Result<()> {
    let mut upsert = connection.prepare_cached(
        "INSERT OR REPLACE INTO image (id, parent, manifest, last_tagged) VALUES (?1, ?2, ?3, ?4)",
    )?;
    let text = |digest: &Digest| digest.to_string();
    let (parent, manifest) = (row.parent.as_ref().map(text), row.manifest.as_ref().map(text));
    upsert.execute((row.id.to_string(), parent, manifest, row.last_tagged.to_string())).map(drop)
}

pub(crate) fn layer_rows(connection: &Connection, layers: &[(DiffId, u64)]) -> rusqlite::Result<()> {
    let mut insert =
        connection.prepare_cached("INSERT OR REPLACE INTO layer (diff_id, size) VALUES (?1, ?2)")?;
    for (diff_id, size) in layers {
        insert.execute((diff_id.to_string(), i64::try_from(*size).unwrap_or(i64::MAX)))?;
    }
    Ok(())
}

pub(crate) fn name_row(connection: &Connection, name: &str, image: &str) -> rusqlite::Result<()> {
    let mut upsert =
        connection.prepare_cached("INSERT OR REPLACE INTO name (reference, image) VALUES (?1, ?2)")?;
    upsert.execute((name, image)).map(drop)
}
