//! How the layers of images lie on the disk: told, and changed.

use dhow_model::Result;
use dhow_model::image::{LayerFormat, LayersUsage, StoredLayer};

use crate::Engine;

/// What a conversion did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversion {
    /// How many layers have become what was asked for.
    pub converted: usize,
    /// All of the image's layers as they are now, lowest first.
    pub layers: Vec<StoredLayer>,
}

impl Engine {
    /// The layers of an image, lowest first.
    ///
    /// # Errors
    /// `No such image: …`
    pub fn image_layers(&self, text: &str) -> Result<Vec<StoredLayer>> {
        self.ports.images.layers(&self.image(text)?.id)
    }

    /// The layers of all images, each once.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn stored_layers(&self) -> Result<Vec<StoredLayer>> {
        self.ports.images.all_layers()
    }

    /// What all layers take on the disk.
    ///
    /// # Errors
    /// When they cannot be measured.
    pub fn layers_usage(&self) -> Result<LayersUsage> {
        self.ports.images.layers_usage()
    }

    /// Makes the layers of an image ones of `format`.
    ///
    /// # Errors
    /// Not found; conflict where a container may have a layer mounted as a directory; unavailable where the
    /// kernel does not mount tars.
    pub fn convert_image(&self, text: &str, format: LayerFormat) -> Result<Conversion> {
        let image = self.image(text)?;
        let converted = self.ports.images.convert(&image.id, format)?;
        if converted > 0 {
            self.tell_image("convert", &image.id.to_string(), text);
        }
        Ok(Conversion { converted, layers: self.ports.images.layers(&image.id)? })
    }
}
