//! `load` and `save`: images with every layer and their metadata, as a tar.

use std::io::{Read, Write};

use dhow_model::image::Loaded;
use dhow_model::ports::{LoadProgress, SaveFormat, SaveItem};
use dhow_model::{Error, Result};
use dhow_oci::{Platform, Reference};

use crate::Engine;

impl Engine {
    /// Reads images from an archive.
    ///
    /// # Errors
    /// What is wrong with the archive, and where.
    pub fn load_images(
        &self,
        archive: &mut dyn Read,
        platform: Option<&Platform>,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Vec<Loaded>> {
        let loaded = self.ports.images.load(archive, platform, progress)?;
        for image in &loaded {
            self.tell_image("load", &image.id.to_string(), &image.id.to_string());
        }
        Ok(loaded)
    }

    /// Works out what is to be saved, before the first byte is sent.
    ///
    /// # Errors
    /// `No such image: …`, or none of that platform.
    pub fn plan_save(&self, names: &[String], platform: Option<&Platform>) -> Result<Vec<SaveItem>> {
        if names.is_empty() {
            return Err(Error::invalid("no images specified"));
        }
        let mut items: Vec<SaveItem> = Vec::new();
        for name in names {
            let image = self.image_on(name, platform)?;
            let references = self.names_of(name, &image);
            match items.iter_mut().find(|item| item.id == image.id) {
                Some(item) => item.references.extend(references),
                None => items.push(SaveItem { id: image.id, references }),
            }
        }
        Ok(items)
    }

    /// A repository without a tag means all its tags; an id none.
    fn names_of(&self, text: &str, image: &dhow_model::Image) -> Vec<Reference> {
        let Ok(reference) = Reference::parse_tagged(text) else { return Vec::new() };
        let named = image.references.contains(&reference);
        if named { vec![reference] } else { Vec::new() }
    }

    /// Writes images as a tar.
    ///
    /// # Errors
    /// What cannot be read or written.
    pub fn save_images(&self, items: &[SaveItem], out: &mut dyn Write) -> Result<()> {
        self.ports.images.save(items, SaveFormat::Both, out)?;
        for item in items {
            self.tell_image("save", &item.id.to_string(), &item.id.to_string());
        }
        Ok(())
    }
}
