//! `load` and `save`: images with every layer and their metadata, as a tar.

use std::io::{Read, Write};

use dhow_model::image::Loaded;
use dhow_model::ports::{LoadProgress, SaveFormat, SaveItem};
use dhow_model::{Error, ImageId, Result};
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
            for (id, references) in self.meant_by(name, platform)? {
                match items.iter_mut().find(|item| item.id == id) {
                    Some(item) => add_new(&mut item.references, references),
                    None => items.push(SaveItem { id, references }),
                }
            }
        }
        Ok(items)
    }

    /// A repository without a tag means all its tags; an id none.
    fn meant_by(&self, text: &str, platform: Option<&Platform>) -> Result<Vec<(ImageId, Vec<Reference>)>> {
        let tags = self.tags_of(text)?;
        if tags.is_empty() {
            let image = self.image_on(text, platform)?;
            let named = Reference::parse_tagged(text).ok().filter(|name| image.references.contains(name));
            return Ok(vec![(image.id, named.into_iter().collect())]);
        }
        let tag = |tag: Reference| Ok((self.image_on(&tag.familiar(), platform)?.id, vec![tag]));
        tags.into_iter().map(tag).collect()
    }

    /// All tags of a repository that is named without one.
    fn tags_of(&self, text: &str) -> Result<Vec<Reference>> {
        let named =
            Reference::parse(text).ok().filter(|name| name.tag().is_none() && name.digest().is_none());
        let Some(name) = named else { return Ok(Vec::new()) };
        let all = self.images()?.into_iter().flat_map(|image| image.references);
        let of = |other: &Reference| other.familiar_name() == name.familiar_name() && other.tag().is_some();
        let mut tags: Vec<Reference> = all.filter(of).collect();
        tags.sort();
        Ok(tags)
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

fn add_new(known: &mut Vec<Reference>, more: Vec<Reference>) {
    let new: Vec<Reference> = more.into_iter().filter(|reference| !known.contains(reference)).collect();
    known.extend(new);
}
