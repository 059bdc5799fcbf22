//! Verbs of images.

mod healthcheck;
pub mod import;
pub mod layers;
pub mod remove;
pub mod transfer;
mod words;

use dhow_model::{ContainerId, Error, Image, ImageId, Kind, Result};
use dhow_oci::{Digest, Platform, Reference};

use crate::Engine;
use crate::registry::shorten;

/// A manifest as it came.
#[derive(Debug, Clone)]
pub struct ImageManifest {
    /// Byte for byte.
    pub bytes: Vec<u8>,
    /// Bytes of the configuration that it names.
    pub config: usize,
    /// What its image runs on.
    pub platform: Platform,
    /// The containers that were made from the image.
    pub containers: Vec<ContainerId>,
}

impl Engine {
    /// All images, the newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn images(&self) -> Result<Vec<Image>> {
        self.ports.images.list()
    }

    /// The image that a client means: by name, by id, or by the beginning of its id.
    ///
    /// # Errors
    /// `No such image: …`; corrupt when it has lost something.
    pub fn image(&self, text: &str) -> Result<Image> {
        let Some(found) = self.find_image(text)? else {
            return Err(match self.damaged_image(text)? {
                Some(_) => lost(text),
                None => no_such(text),
            });
        };
        Ok(found)
    }

    fn find_image(&self, text: &str) -> Result<Option<Image>> {
        let found = match self.image_id(text)? {
            Some(id) => self.ports.images.by_id(&id)?,
            None => self.ports.images.by_reference(&reference(text)?)?,
        };
        match found {
            None => self.image_by_prefix(text),
            found => Ok(found),
        }
    }

    /// The image that a client means and that has lost something: it can be removed, and nothing else.
    pub(super) fn damaged_image(&self, text: &str) -> Result<Option<Image>> {
        let name = Reference::parse_tagged(text).ok();
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        let mut damaged = self.ports.images.damaged()?;
        damaged.retain(|image| {
            let is_named = name.as_ref().is_some_and(|name| image.references.contains(name));
            is_named || !hex.is_empty() && image.id.hex().starts_with(hex)
        });
        match damaged.len() {
            0 | 1 => Ok(damaged.pop()),
            _ => Err(Error::invalid(format!("ambiguous reference: {text}"))),
        }
    }

    /// The same, when it runs on the platform that is asked for.
    ///
    /// # Errors
    /// Not found, in Docker's words.
    pub fn image_on(&self, text: &str, platform: Option<&Platform>) -> Result<Image> {
        let image = self.image(text)?;
        match platform {
            Some(wanted) if !platform_of(&image).runs_on(wanted) => Err(Error::not_found(format!(
                "image with reference {} was found but does not provide the specified platform ({wanted})",
                shorten(text)
            ))),
            _ => Ok(image),
        }
    }

    /// The manifest that an image came with, and what belongs to it; none for one that was made here.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn image_manifest(&self, image: &Image) -> Result<Option<ImageManifest>> {
        let Some(bytes) = self.ports.images.manifest_bytes(&image.id)? else { return Ok(None) };
        let users = self.containers().into_iter().filter(|container| container.image == Some(image.id));
        Ok(Some(ImageManifest {
            bytes,
            config: self.ports.images.config_bytes(&image.id)?.len(),
            platform: platform_of(image),
            containers: users.map(|container| container.id.clone()).collect(),
        }))
    }

    fn image_id(&self, text: &str) -> Result<Option<ImageId>> {
        Ok(text.parse::<Digest>().or_else(|_| Digest::from_hex(text)).ok())
    }

    fn image_by_prefix(&self, text: &str) -> Result<Option<Image>> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        let digits = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if hex.is_empty() || hex.len() > 64 || !hex.bytes().all(digits) {
            return Ok(None);
        }
        match self.ports.images.by_id_prefix(hex)?.as_slice() {
            [] => Ok(None),
            [id] => self.ports.images.by_id(id),
            _ => Err(Error::invalid(format!("ambiguous reference: {text}"))),
        }
    }

    /// Gives an image a further name.
    ///
    /// # Errors
    /// Invalid argument for a name out of its grammar.
    pub fn tag_image(&self, text: &str, repository: &str, tag: &str) -> Result<()> {
        let image = self.image(text)?;
        let reference = named(repository, tag)?.ok_or_else(|| Error::invalid("invalid reference format"))?;
        self.ports.images.tag(&reference, &image.id)?;
        self.tell_image("tag", &image.id.to_string(), &reference.familiar());
        Ok(())
    }
}

fn reference(text: &str) -> Result<Reference> {
    Reference::parse_tagged(text).map_err(|error| Error::invalid(error.to_string()))
}

pub(crate) fn platform_of(image: &Image) -> Platform {
    Platform {
        architecture: image.config.architecture.clone(),
        os: image.config.os.clone(),
        variant: image.config.variant.clone(),
        os_version: String::new(),
    }
}

/// `No such image: …`, with the tag that was meant.
pub(crate) fn no_such(text: &str) -> Error {
    let meant =
        Reference::parse_tagged(text).map_or_else(|_| shorten(text), |reference| reference.familiar());
    Error::not_found(format!("No such image: {meant}"))
}

fn lost(text: &str) -> Error {
    let words = format!("image {text} has lost its configuration or a layer: load it again, or remove it");
    Error::new(Kind::Corrupt, words)
}

/// A repository and a tag as the API gives them; nothing when there is no repository.
///
/// # Errors
/// Invalid argument, in Docker's words.
pub fn named(repository: &str, tag: &str) -> Result<Option<Reference>> {
    if repository.is_empty() {
        return Ok(None);
    }
    let wrong = |error: dhow_oci::reference::InvalidReference| Error::invalid(error.to_string());
    let reference = Reference::parse(repository).map_err(wrong)?;
    if reference.digest().is_some() {
        return Err(Error::invalid("refusing to create a tag with a digest reference"));
    }
    if reference.familiar_name() == "sha256" {
        let words = "refusing to create an ambiguous tag using digest algorithm as name";
        return Err(Error::invalid(words));
    }
    let reference = if tag.is_empty() { reference } else { reference.with_tag(tag).map_err(wrong)? };
    Ok(Some(reference.or_latest()))
}
