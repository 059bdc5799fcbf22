//! Brings the images of an archive in, one by one: each is whole or not there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use dhow_model::image::Loaded;
use dhow_model::ports::LoadProgress;
use dhow_oci::Platform;
use dhow_oci::image::DiffId;

use super::super::register::NewImage;
use super::intake::{Incoming, layer_progress, take_in};
use super::members::{Contents, Members};
use super::{Found, FoundLayer, docker, invalid, oci};
use crate::Core;
use crate::error::Result;
use crate::layer::Decoder;
use crate::stack::{NewLayer, Telling, keep};
use crate::staging::Stage;
use crate::tar::Limits;

/// Told on the way.
pub(super) type Progress<'a> = &'a mut dyn FnMut(LoadProgress);

impl Core {
    pub(in super::super) fn load(
        &self,
        archive: &mut dyn Read,
        platform: Option<&Platform>,
        progress: Progress<'_>,
    ) -> Result<Vec<Loaded>> {
        let stage = Stage::new(&self.layout)?;
        let members = Members::stage(self, &stage, archive)?;
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
        members: &Members<'_>,
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

    /// Puts the layers in their place that are not here yet; answers what each takes.
    fn load_layers(
        &self,
        stage: &Stage,
        members: &Members<'_>,
        (number, layers): (usize, &[FoundLayer]),
        progress: Progress<'_>,
    ) -> Result<Vec<(DiffId, u64)>> {
        let mut seen = BTreeSet::new();
        let missing = layers.iter().filter(|layer| seen.insert(layer.diff_id));
        let missing: Vec<_> = missing.filter(|layer| self.layer_size(&layer.diff_id).is_none()).collect();
        let mut incoming = Vec::new();
        let mut files = Vec::new();
        let mut sizes = BTreeMap::new();
        for layer in missing {
            match members.layer(&layer.member).map_err(|error| about(layer, &error))? {
                Contents::Layer(received) => {
                    verify(layer, &received)?;
                    let total = members.size(&layer.member)?;
                    progress(layer_progress(&layer.diff_id, total, total));
                    sizes.insert(layer.diff_id, self.publish_layer(stage, &received)?);
                }
                Contents::File(file, size) => {
                    let name = format!("layer-{number}-{}", incoming.len());
                    incoming.push(Incoming { diff_id: layer.diff_id, name, file, size });
                    files.push(layer);
                }
            }
        }
        let received = take_in(stage, self.formats.new, &incoming, progress);
        for (layer, received) in files.into_iter().zip(received) {
            let received = received.map_err(|error| about(layer, &error))?;
            verify(layer, &received)?;
            if received.telling == Telling::NeedsTar {
                keep_tar(stage, members, (layer, &received))?;
            }
            sizes.insert(layer.diff_id, self.publish_layer(stage, &received)?);
        }
        let size = |layer: &FoundLayer| {
            sizes.get(&layer.diff_id).copied().or_else(|| self.layer_size(&layer.diff_id))
        };
        let sized = |layer: &FoundLayer| size(layer).map(|size| (layer.diff_id, size));
        let all: Option<Vec<_>> = layers.iter().map(sized).collect();
        all.ok_or_else(|| crate::Error::internal("a layer disappeared while its image was loaded"))
    }
}

fn keep_tar(stage: &Stage, members: &Members<'_>, (layer, received): (&FoundLayer, &NewLayer)) -> Result<()> {
    let Contents::File(file, _) = members.layer(&layer.member)? else { return Ok(()) };
    let tar = Decoder::new(file, false, &Limits::default())?;
    keep(tar, &stage.path().join(&received.name).join("layer.tar"))
}

/// The images that the archive's documents name.
fn find(members: &Members<'_>, platform: Option<&Platform>) -> Result<Vec<Found>> {
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

fn verify(layer: &FoundLayer, received: &NewLayer) -> Result<()> {
    let FoundLayer { diff_id, member, digest } = layer;
    if let Some(digest) = digest
        && received.digest != *digest
    {
        return Err(invalid(format!("{member} is altered: its digest is {}", received.digest)));
    }
    if received.diff_id != *diff_id {
        return Err(invalid(format!(
            "{member} is not the image's layer: wrong diff id calculated on extraction {:?}, expected {:?}",
            received.diff_id.to_string(),
            diff_id.to_string()
        )));
    }
    Ok(())
}

fn about(layer: &FoundLayer, error: &crate::Error) -> crate::Error {
    crate::Error::new(error.kind(), format!("cannot load layer {}: {}", layer.member, error.report()))
}
