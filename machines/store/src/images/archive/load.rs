//! Brings the images of an archive in, one by one: each is whole or not there.

use std::fs::File;
use std::io::{self, Read};

use dhow_model::image::Loaded;
use dhow_model::ports::LoadProgress;
use dhow_oci::Platform;
use dhow_oci::image::DiffId;

use super::super::register::NewImage;
use super::members::Members;
use super::{Found, FoundLayer, docker, invalid, oci};
use crate::Core;
use crate::error::Result;
use crate::layer::Decoder;
use crate::stack::{Telling, Unpacked, keep, unpack};
use crate::staging::Stage;
use crate::tar::Limits;

/// Told on the way.
type Progress<'a> = &'a mut dyn FnMut(LoadProgress);

impl Core {
    pub(in super::super) fn load(
        &self,
        archive: &mut dyn Read,
        platform: Option<&Platform>,
        progress: Progress<'_>,
    ) -> Result<Vec<Loaded>> {
        let stage = Stage::new(&self.layout)?;
        let members = Members::stage(&stage, archive)?;
        let mut loaded = Vec::new();
        for (number, found) in find(&members, platform)?.into_iter().enumerate() {
            let image = self.load_image(&stage, &members, (number, found), progress)?;
            progress(LoadProgress::Image(image.clone()));
            loaded.push(image);
        }
        Ok(loaded)
    }

    fn load_image(
        &self,
        stage: &Stage,
        members: &Members,
        (number, found): (usize, Found),
        progress: Progress<'_>,
    ) -> Result<Loaded> {
        // Held until the record names them; what came in vain goes when they are dropped.
        let pins: Vec<_> = found.layers.iter().map(|layer| self.pins.pin(layer.diff_id)).collect();
        let registered =
            self.load_layers(stage, members, (number, &found.layers), progress).and_then(|layers| {
                let names = found.names.clone();
                let new = NewImage {
                    config: found.config,
                    config_bytes: &found.config_bytes,
                    manifest: found.manifest.as_deref(),
                    parent: None,
                    layers,
                    names,
                };
                self.register(stage, new)
            });
        drop(pins);
        match registered {
            Ok(id) => Ok(Loaded { id, references: found.names }),
            Err(error) => {
                let layers: Vec<DiffId> = found.layers.iter().map(|layer| layer.diff_id).collect();
                self.collect_layers(&layers)?;
                Err(error)
            }
        }
    }

    fn load_layers(
        &self,
        stage: &Stage,
        members: &Members,
        (number, layers): (usize, &[FoundLayer]),
        progress: Progress<'_>,
    ) -> Result<Vec<(DiffId, u64)>> {
        let mut sizes = Vec::new();
        for (height, layer) in layers.iter().enumerate() {
            let known = self.layer_size(&layer.diff_id);
            let before = layers[..height].iter().position(|below| below.diff_id == layer.diff_id);
            let size = match known.or(before.map(|at| sizes[at])) {
                Some(size) => size,
                None => {
                    self.load_layer(stage, members, (&format!("layer-{number}-{height}"), layer), progress)?
                }
            };
            sizes.push(size);
        }
        Ok(layers.iter().map(|layer| layer.diff_id).zip(sizes).collect())
    }

    fn load_layer(
        &self,
        stage: &Stage,
        members: &Members,
        (name, layer): (&str, &FoundLayer),
        progress: Progress<'_>,
    ) -> Result<u64> {
        let (file, total) = members.open(&layer.member)?;
        let counted = Counted { file, layer: layer.diff_id.short(), current: 0, told: 0, total, progress };
        let unpacked = unpack(stage, name, counted).map_err(|error| about(layer, &error))?;
        verify(layer, &unpacked)?;
        if unpacked.telling == Telling::NeedsTar {
            let (file, _) = members.open(&layer.member)?;
            let tar = Decoder::new(file, false, &Limits::default())?;
            keep(tar, &stage.path().join(name).join("layer.tar"))?;
        }
        self.publish_layer(stage, &unpacked)?;
        Ok(unpacked.size)
    }
}

/// The images that the archive's documents name.
fn find(members: &Members, platform: Option<&Platform>) -> Result<Vec<Found>> {
    if members.has("manifest.json") {
        return docker::find(members, platform);
    }
    if members.has("index.json") {
        return oci::find(members, platform);
    }
    if members.has("repositories") {
        return Err(invalid("it is of a format from before Docker 1.10; save it again with a newer version"));
    }
    // Docker's words, for whoever looks for them.
    Err(invalid("open /manifest.json: no such file or directory"))
}

fn verify(layer: &FoundLayer, unpacked: &Unpacked) -> Result<()> {
    let FoundLayer { diff_id, member, digest } = layer;
    if let Some(digest) = digest
        && unpacked.digest != *digest
    {
        return Err(invalid(format!("{member} is altered: its digest is {}", unpacked.digest)));
    }
    if unpacked.diff_id != *diff_id {
        return Err(invalid(format!(
            "{member} is not the image's layer: wrong diff id calculated on extraction {:?}, expected {:?}",
            unpacked.diff_id.to_string(),
            diff_id.to_string()
        )));
    }
    Ok(())
}

fn about(layer: &FoundLayer, error: &crate::Error) -> crate::Error {
    crate::Error::new(error.kind(), format!("cannot load layer {}: {}", layer.member, error.report()))
}

/// Tells how far the reading of a layer is, every few megabytes.
struct Counted<'a> {
    file: File,
    layer: String,
    current: u64,
    told: u64,
    total: u64,
    progress: Progress<'a>,
}

impl Read for Counted<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(out)?;
        self.current += length as u64;
        if self.current - self.told >= 4 << 20 || (length == 0 && self.told < self.total) {
            self.told = self.current;
            (self.progress)(LoadProgress::Layer {
                id: self.layer.clone(),
                current: self.current,
                total: Some(self.total),
            });
        }
        Ok(length)
    }
}
