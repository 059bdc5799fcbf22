//! A layer in the other format.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Write as _};

use dhow_model::image::StoredLayer;
use dhow_model::ports::Durability;
use dhow_model::{ContainerId, Error, ImageId, Kind, Result};
use dhow_oci::image::DiffId;

use super::tarred::TAR;
use super::{LayerFormat, NewLayer, Telling, format_of, keep, receive, size_on_disk};
use crate::Core;
use crate::catalog::{Catalog, Entry};
use crate::error::Context as _;
use crate::images::missing;
use crate::images::register::layer_rows;
use crate::staging::Stage;

impl Core {
    /// The layers of an image, lowest first.
    pub(crate) fn stored_layers(&self, image: &ImageId) -> Result<Vec<StoredLayer>> {
        let layers = self.layers_of(image)?;
        Ok(layers.iter().map(|layer| self.stored(layer)).collect())
    }

    /// The layers of all images.
    pub(crate) fn all_stored_layers(&self) -> Vec<StoredLayer> {
        let all = self.catalog().images.values().flat_map(Entry::layers).copied().collect::<BTreeSet<_>>();
        all.iter().map(|layer| self.stored(layer)).collect()
    }

    /// Makes the layers of an image ones of `format`; tells how many have become it.
    pub(crate) fn convert_image(&self, image: &ImageId, format: LayerFormat) -> Result<usize> {
        if format == LayerFormat::Tar && !self.formats.mounts_tars {
            let words = "layers cannot be kept as tars: this kernel does not mount their index";
            return Err(Error::new(Kind::Unavailable, words));
        }
        let layers = self.layers_of(image)?;
        let mut converted = 0;
        let done: Result<()> = layers.iter().try_for_each(|layer| {
            converted += usize::from(self.convert(layer, format)?);
            Ok(())
        });
        // The image may have gone meanwhile.
        let collected = self.collect_layers(&layers);
        done?;
        collected.map(|_| converted)
    }

    fn layers_of(&self, image: &ImageId) -> Result<Vec<DiffId>> {
        let layers = self.catalog().images.get(image).map(|entry| entry.layers().to_vec());
        layers.ok_or_else(|| missing(&self.catalog(), image))
    }

    fn stored(&self, diff_id: &DiffId) -> StoredLayer {
        let size = self.catalog().layers.get(diff_id).copied().unwrap_or_default();
        StoredLayer { diff_id: *diff_id, format: format_of(&self.layout.layer(diff_id)), size }
    }

    /// Makes the layer one of `format`: its tar is written, taken in anew, verified, and put in its place
    /// in one step. Tells whether it has become that.
    ///
    /// A directory that may be mounted stays one: a container would see its files disappear. What is
    /// mounted of a tar outlives the file's name.
    ///
    /// # Errors
    /// Conflict when a container may have the directory mounted, or somebody reads it.
    pub(crate) fn convert(&self, diff_id: &DiffId, format: LayerFormat) -> Result<bool> {
        let _pin = self.pins.pin(*diff_id);
        let place = self.layout.layer(diff_id);
        if format_of(&place) == format {
            return Ok(false);
        }
        // Said before the work; whoever comes later is seen below.
        self.may_go(&self.catalog(), diff_id, format)?;
        let (stage, layer) = self.made_again(diff_id, format)?;
        let made = stage.path().join(&layer.name);
        if format_of(&made) != format {
            tracing::info!(%diff_id, "the layer stays a directory: its tar has no index");
            return Ok(false);
        }
        let size = size_on_disk(&made)?;
        self.sync_files()?;
        self.put_instead(*diff_id, || self.exchange(&stage, &layer, format, size))
    }

    /// Exchanges the two. Which size is right is not known to a start after a crash in between: so it is
    /// off the record meanwhile, and such a start measures.
    pub(super) fn put_instead<T>(&self, diff_id: DiffId, exchange: impl FnOnce() -> Result<T>) -> Result<T> {
        self.database.write(Durability::Committed, move |connection| {
            let mut forget = connection.prepare_cached("DELETE FROM layer WHERE diff_id = ?1")?;
            forget.execute([diff_id.to_string()]).map(drop)
        })?;
        let exchanged = exchange();
        let row = [(diff_id, self.catalog().layers.get(&diff_id).copied().unwrap_or_default())];
        self.database.write(Durability::Committed, move |connection| layer_rows(connection, &row))?;
        exchanged
    }

    fn exchange(&self, stage: &Stage, layer: &NewLayer, format: LayerFormat, size: u64) -> Result<bool> {
        let (diff_id, place) = (&layer.diff_id, self.layout.layer(&layer.diff_id));
        // No container may begin to use what is about to go, and nobody to read it.
        let mut catalog = self.catalog_mut();
        let readers = self.readers.lock();
        if format_of(&place) == format {
            // Another thread was faster.
            return Ok(false);
        }
        self.may_go(&catalog, diff_id, format)?;
        if format == LayerFormat::Tar && readers.contains_key(diff_id) {
            return Err(Error::conflict(format!("layer {diff_id} is being read: try again later")));
        }
        stage.exchange(&layer.name, &place)?;
        self.mounts.forget(diff_id);
        catalog.layers.insert(*diff_id, size);
        Ok(true)
    }

    fn may_go(&self, catalog: &Catalog, diff_id: &DiffId, format: LayerFormat) -> Result<()> {
        match catalog.layer_user(diff_id) {
            Some(container) if format == LayerFormat::Tar => Err(Error::conflict(format!(
                "layer {diff_id} is in use by container {}: a directory that may be mounted stays one",
                container.short()
            ))),
            _ => Ok(()),
        }
    }

    /// The layer, whole and verified, on a stage; its tar is written and taken in anew.
    pub(super) fn made_again(&self, diff_id: &DiffId, format: LayerFormat) -> Result<(Stage, NewLayer)> {
        let place = self.layout.layer(diff_id);
        let stage = Stage::new(&self.layout)?;
        let layer = self.receive_again(&stage, diff_id, format)?;
        if layer.telling == Telling::NeedsTar {
            let tar = File::open(place.join(TAR)).on("open", &place)?;
            keep(tar, &stage.path().join(&layer.name).join(TAR))?;
        }
        Ok((stage, layer))
    }

    fn receive_again(&self, stage: &Stage, diff_id: &DiffId, format: LayerFormat) -> Result<NewLayer> {
        let (reader, mut writer) = std::io::pipe().context(|| "cannot make a pipe")?;
        let (written, received) = std::thread::scope(|scope| {
            let writing = scope.spawn(move || {
                let written = self.write_tar(diff_id, &mut writer);
                written.and_then(|_| writer.flush().context(|| "cannot write a layer"))
            });
            let mut reader = reader;
            let received = receive(stage, "layer", format, &mut reader);
            // A writer that still has something to say must not wait for ever.
            let rest = std::io::copy(&mut reader.by_ref(), &mut std::io::sink());
            drop((reader, rest));
            (writing.join(), received)
        });
        let layer = received?;
        written.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        if layer.diff_id == *diff_id {
            return Ok(layer);
        }
        Err(Error::new(Kind::Corrupt, format!("layer {diff_id}: what is on disk is {}", layer.diff_id)))
    }
}

impl Catalog {
    /// A container whose root, or an image that it mounts, has the layer.
    pub(crate) fn layer_user(&self, diff_id: &DiffId) -> Option<&ContainerId> {
        let has =
            |image: &ImageId| self.on_record(image).is_some_and(|entry| entry.layers().contains(diff_id));
        let root = self.snapshots.iter().find(|(_, snapshot)| snapshot.layers.contains(diff_id));
        let beside = || self.kept.iter().find(|(_, images)| images.iter().any(has));
        root.map(|(container, _)| container).or_else(|| beside().map(|(container, _)| container))
    }
}
