//! Makes an image of one layer: from a flat tar, or on top of another image from a container.

use std::io::Read;

use dhow_model::ports::ImportRequest;
use dhow_model::{ImageId, Result};
use dhow_oci::image::{DiffId, History};
use dhow_oci::{ImageConfig, Reference};

use super::register::NewImage;
use crate::Core;
use crate::error::Context as _;
use crate::stack::{NewLayer, Telling, receive};
use crate::staging::Stage;

/// What lies below a new layer.
#[derive(Debug, Default)]
pub(super) struct Below {
    pub(super) parent: Option<ImageId>,
    pub(super) layers: Vec<(DiffId, u64)>,
    pub(super) history: Vec<History>,
}

impl Core {
    pub(super) fn import(&self, request: ImportRequest, tar: &mut dyn Read) -> Result<ImageId> {
        let stage = Stage::new(&self.layout)?;
        let layer = self.own_layer(&stage, receive(&stage, "layer", self.formats.new, tar)?)?;
        let mut config = request.config;
        if config.comment.is_empty() {
            config.comment.clone_from(&request.message);
        }
        let line =
            History { created: config.created.clone(), comment: request.message, ..History::default() };
        self.put_on_top(&stage, layer, Below::default(), (config, line), request.reference)
    }

    /// A layer that was made here has whatever tar we say: where no recipe can tell the one that
    /// came, the tree is written as one that can be told.
    fn own_layer(&self, stage: &Stage, layer: NewLayer) -> Result<NewLayer> {
        if layer.telling == Telling::Exact {
            return Ok(layer);
        }
        let tree = stage.path().join(&layer.name).join("fs");
        super::commit::pack(stage, "again", self.formats.new, &tree)
    }

    /// Puts the new layer in its place and registers an image that has it topmost.
    pub(super) fn put_on_top(
        &self,
        stage: &Stage,
        layer: NewLayer,
        below: Below,
        (mut config, line): (ImageConfig, History),
        name: Option<Reference>,
    ) -> Result<ImageId> {
        let _pin = self.pins.pin(layer.diff_id);
        let size = self.publish_layer(stage, &layer)?;
        let mut layers = below.layers;
        layers.push((layer.diff_id, size));
        config.rootfs.kind = "layers".into();
        config.rootfs.diff_ids = layers.iter().map(|(diff_id, _)| *diff_id).collect();
        config.history = below.history;
        config.history.push(line);
        let config_bytes = serde_json::to_vec(&config).context(|| "cannot write down the image")?;
        let new = NewImage {
            config,
            config_bytes: &config_bytes,
            manifest: None,
            parent: below.parent,
            layers,
            names: name.into_iter().collect(),
        };
        self.register(stage, new)
    }
}
