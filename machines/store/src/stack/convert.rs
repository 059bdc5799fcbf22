//! A layer in the other format.

use std::fs::File;
use std::io::{Read as _, Write as _};

use dhow_model::{Error, Kind, Result};
use dhow_oci::image::DiffId;

use super::tarred::TAR;
use super::{LayerFormat, NewLayer, Telling, format_of, keep, receive, size_on_disk};
use crate::Core;
use crate::error::Context as _;
use crate::images::register::layer_rows;
use crate::staging::Stage;

impl Core {
    /// Makes the layer one of `format`: its tar is written, taken in anew, verified, and put in its place
    /// in one step. Tells whether it was not that already.
    ///
    /// A directory that may be mounted stays one: a container would see its files disappear. What is
    /// mounted of a tar outlives the file's name.
    ///
    /// # Errors
    /// Conflict when a container may have the directory mounted.
    pub(crate) fn convert(&self, diff_id: &DiffId, format: LayerFormat) -> Result<bool> {
        let _pin = self.pins.pin(*diff_id);
        let place = self.layout.layer(diff_id);
        if format_of(&place) == format {
            return Ok(false);
        }
        let stage = Stage::new(&self.layout)?;
        let layer = self.receive_again(&stage, diff_id, format)?;
        if layer.telling == Telling::NeedsTar {
            let tar = File::open(place.join(TAR)).on("open", &place)?;
            keep(tar, &stage.path().join(&layer.name).join(TAR))?;
        }
        self.sync_files()?;
        // No container may begin to use what is about to go.
        let mut catalog = self.catalog_mut();
        let user = catalog.snapshots.iter().find(|(_, snapshot)| snapshot.layers.contains(diff_id));
        if let (Some((container, _)), LayerFormat::Tar) = (user, format) {
            let container = container.short();
            return Err(Error::conflict(format!("layer {diff_id} is in use by container {container}")));
        }
        stage.exchange(&layer.name, &place)?;
        self.mounts.forget(diff_id);
        let size = size_on_disk(&place)?;
        catalog.layers.insert(*diff_id, size);
        drop(catalog);
        let row = [(*diff_id, size)];
        self.database.post(move |connection| layer_rows(connection, &row))?;
        Ok(true)
    }

    fn receive_again(&self, stage: &Stage, diff_id: &DiffId, format: LayerFormat) -> Result<NewLayer> {
        let (reader, mut writer) = std::io::pipe().context(|| "cannot make a pipe")?;
        let (written, received) = std::thread::scope(|scope| {
            let writing = scope.spawn(move || {
                let written = self.write_tar(diff_id, &mut writer);
                // What is left unread is drained by nobody: the reader sees the end.
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
