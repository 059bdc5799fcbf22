//! The catalog: images, names, layers and snapshots in memory, as the database has them.
//!
//! Whoever changes it writes the database first, except where a check and a change must be one step
//! (a snapshot on an image, the removal of an image): then the catalog changes first, and back when
//! the database fails.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use dhow_model::{ContainerId, Image, ImageId, Timestamp, Volume};
use dhow_oci::image::DiffId;
use dhow_oci::{Digest, ImageConfig, Reference};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::blobs;
use crate::database::Database;
use crate::error::{Context as _, Result};
use crate::layout::Layout;
use crate::side_by_side;

/// What is known without a look at the disk.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) images: HashMap<ImageId, Entry>,
    pub(crate) names: BTreeMap<Reference, ImageId>,
    pub(crate) layers: HashMap<DiffId, u64>,
    pub(crate) snapshots: HashMap<ContainerId, Snapshot>,
    /// Images that containers mount beside their own.
    pub(crate) kept: HashMap<ContainerId, Vec<ImageId>>,
    pub(crate) volumes: BTreeMap<String, Volume>,
    /// Images on record that have lost their configuration or a layer. They are not among `images`, and nothing
    /// uses them; they can be removed, and a load makes them whole. Of one whose configuration could not be read
    /// the layers are not known: it has none.
    pub(crate) hidden: HashMap<ImageId, Entry>,
}

/// One image.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) config: Arc<ImageConfig>,
    pub(crate) created: Timestamp,
    pub(crate) row: ImageRow,
    pub(crate) references: BTreeSet<Reference>,
}

/// What the database has of an image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ImageRow {
    pub(crate) id: ImageId,
    pub(crate) parent: Option<ImageId>,
    pub(crate) manifest: Option<Digest>,
    pub(crate) last_tagged: Timestamp,
}

/// A writable layer: what it lies on.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) image: Option<ImageId>,
    /// Lowest first.
    pub(crate) layers: Arc<[DiffId]>,
}

impl Entry {
    pub(crate) fn new(row: ImageRow, config: Arc<ImageConfig>) -> Self {
        let created = config.created.as_deref().and_then(|text| Timestamp::parse(text).ok());
        Self { config, created: created.unwrap_or_default(), row, references: BTreeSet::new() }
    }

    pub(crate) fn layers(&self) -> &[DiffId] {
        &self.config.rootfs.diff_ids
    }
}

impl Catalog {
    /// Reads everything. An image whose configuration is damaged is hidden, and said.
    pub(crate) fn read(database: &Database, layout: &Layout) -> Result<Self> {
        let mut catalog = Self::default();
        let rows = database.read(image_rows)?;
        let configs = side_by_side::map(&rows, |row| blobs::read_config(layout, &row.id));
        for (row, config) in rows.into_iter().zip(configs) {
            match config {
                Ok(config) => drop(catalog.images.insert(row.id, Entry::new(row, Arc::new(config)))),
                Err(error) => {
                    tracing::error!(image = %row.id, error = error.report(), "an image is damaged");
                    catalog.hidden.insert(row.id, Entry::new(row, Arc::default()));
                }
            }
        }
        for (reference, id) in database.read(|c| pairs::<String>(c, "SELECT reference, image FROM name"))? {
            let (Ok(reference), Ok(id)) = (Reference::parse(&reference), id.parse::<Digest>()) else {
                continue;
            };
            catalog.set_name(reference, id);
        }
        for (id, size) in database.read(|c| pairs::<i64>(c, "SELECT diff_id, size FROM layer"))? {
            if let Ok(id) = id.parse() {
                catalog.layers.insert(id, u64::try_from(size).unwrap_or_default());
            }
        }
        for (id, snapshot) in database.read(snapshot_rows)? {
            if let Ok(id) = id.parse() {
                catalog.snapshots.insert(id, snapshot);
            }
        }
        for (name, body) in database.read(|c| pairs::<String>(c, "SELECT name, body FROM volume"))? {
            let volume =
                serde_json::from_str(&body).context(|| format!("the record of volume {name} is damaged"))?;
            catalog.volumes.insert(name, volume);
        }
        Ok(catalog)
    }

    /// The image as the model has it.
    pub(crate) fn image(&self, id: &ImageId) -> Option<Image> {
        self.images.get(id).map(|entry| self.image_of(entry))
    }

    /// The same of an entry.
    pub(crate) fn image_of(&self, entry: &Entry) -> Image {
        let size_of = |layer| self.layers.get(layer).copied().unwrap_or_default();
        let layer_sizes: Vec<u64> = entry.layers().iter().map(size_of).collect();
        Image {
            id: entry.row.id,
            config: Arc::clone(&entry.config),
            references: entry.references.iter().cloned().collect(),
            size: layer_sizes.iter().sum(),
            layer_sizes,
            parent: entry.row.parent.filter(|parent| self.images.contains_key(parent)),
            last_tagged: entry.row.last_tagged,
            manifest: entry.row.manifest,
        }
    }

    /// An image on record, whole or not.
    pub(crate) fn on_record(&self, id: &ImageId) -> Option<&Entry> {
        self.images.get(id).or_else(|| self.hidden.get(id))
    }

    /// All of them.
    pub(crate) fn all_on_record(&self) -> impl Iterator<Item = &Entry> {
        self.images.values().chain(self.hidden.values())
    }

    /// Whether there are layers of which nobody knows that they are needed.
    pub(crate) fn hides_layers(&self) -> bool {
        self.hidden.values().any(|entry| entry.layers().is_empty())
    }

    /// From here on nothing uses the image.
    pub(crate) fn hide(&mut self, id: &ImageId) {
        if let Some(entry) = self.images.remove(id) {
            self.names.retain(|_, named| named != id);
            self.hidden.insert(*id, entry);
        }
    }

    /// An image is whole: one that was hidden has its names again.
    pub(crate) fn show(&mut self, row: ImageRow, config: Arc<ImageConfig>) {
        let id = row.id;
        let names = self.hidden.remove(&id).map(|hidden| hidden.references).unwrap_or_default();
        match self.images.get_mut(&id) {
            Some(entry) => entry.row = row,
            None => drop(self.images.insert(id, Entry::new(row, config))),
        }
        names.into_iter().for_each(|name| self.set_name(name, id));
    }

    /// Points a name to an image, and away from the one that had it.
    pub(crate) fn set_name(&mut self, reference: Reference, id: ImageId) {
        if self.on_record(&id).is_none() {
            return;
        }
        self.remove_name(&reference);
        if let Some(hidden) = self.hidden.get_mut(&id) {
            hidden.references.insert(reference);
            return;
        }
        if let Some(entry) = self.images.get_mut(&id) {
            entry.references.insert(reference.clone());
        }
        self.names.insert(reference, id);
    }

    /// Takes a name away; tells which image had it.
    pub(crate) fn remove_name(&mut self, reference: &Reference) -> Option<ImageId> {
        let Some(id) = self.names.remove(reference) else {
            let mut hidden = self.hidden.values_mut();
            return hidden.find_map(|hidden| hidden.references.remove(reference).then_some(hidden.row.id));
        };
        if let Some(entry) = self.images.get_mut(&id) {
            entry.references.remove(reference);
        }
        Some(id)
    }

    /// The stack of every image and every snapshot.
    pub(crate) fn stacks(&self) -> impl Iterator<Item = &[DiffId]> {
        let images = self.all_on_record().map(Entry::layers);
        images.chain(self.snapshots.values().map(|snapshot| &*snapshot.layers))
    }

    /// A container that was made from the image, or mounts it.
    pub(crate) fn user_of(&self, id: &ImageId) -> Option<&ContainerId> {
        let made = self.snapshots.iter().find(|(_, snapshot)| snapshot.image == Some(*id));
        let mounts = || self.kept.iter().find(|(_, images)| images.contains(id));
        made.map(|(container, _)| container).or_else(|| mounts().map(|(container, _)| container))
    }

    /// Whether a record needs the layer.
    pub(crate) fn needs_layer(&self, diff_id: &DiffId) -> bool {
        self.stacks().any(|stack| stack.contains(diff_id))
    }

    /// Images and names as they are written beside the database.
    pub(crate) fn copy(&self) -> CatalogCopy {
        let mut images: Vec<&Entry> = self.all_on_record().collect();
        images.sort_by_key(|entry| entry.row.id);
        let copy = |entry: &Entry| ImageCopy {
            row: entry.row.clone(),
            names: entry.references.iter().map(Reference::to_string).collect(),
        };
        CatalogCopy { images: images.into_iter().map(copy).collect() }
    }
}

/// What `images.json` holds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CatalogCopy {
    pub(crate) images: Vec<ImageCopy>,
}

/// One image of `images.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ImageCopy {
    #[serde(flatten)]
    pub(crate) row: ImageRow,
    pub(crate) names: Vec<String>,
}

fn image_rows(connection: &Connection) -> rusqlite::Result<Vec<ImageRow>> {
    let mut query = connection.prepare("SELECT id, parent, manifest, last_tagged FROM image")?;
    let digest = |text: Option<String>| text.and_then(|text| text.parse().ok());
    let rows = query.query_map([], |row| {
        let last_tagged: String = row.get(3)?;
        Ok(digest(row.get(0)?).map(|id| {
            Ok(ImageRow {
                id,
                parent: digest(row.get(1)?),
                manifest: digest(row.get(2)?),
                last_tagged: Timestamp::parse(&last_tagged).unwrap_or_default(),
            })
        }))
    })?;
    rows.filter_map(|row| row.and_then(Option::transpose).transpose()).collect()
}

fn snapshot_rows(connection: &Connection) -> rusqlite::Result<Vec<(String, Snapshot)>> {
    let mut query = connection.prepare("SELECT id, image, layers FROM snapshot")?;
    // Containers of one image share its stack, here as on the disk.
    let mut stacks: HashMap<String, Arc<[DiffId]>> = HashMap::new();
    let rows = query.query_map([], |row| {
        let image: Option<String> = row.get(1)?;
        let text = row.get_ref(2)?.as_str()?;
        let layers = stacks.get(text).cloned().unwrap_or_else(|| {
            let layers = text.split_whitespace().filter_map(|hex| Digest::from_hex(hex).ok()).collect();
            Arc::clone(stacks.entry(text.to_owned()).or_insert(layers))
        });
        let snapshot = Snapshot { image: image.and_then(|text| text.parse().ok()), layers };
        Ok((row.get(0)?, snapshot))
    })?;
    rows.collect()
}

fn pairs<V: rusqlite::types::FromSql>(
    connection: &Connection,
    query: &str,
) -> rusqlite::Result<Vec<(String, V)>> {
    connection.prepare(query)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}
