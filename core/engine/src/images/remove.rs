//! `rmi` and `prune`: takes names away, and images that nobody needs.

use dhow_model::image::Removed;
use dhow_model::{Error, Image, Kind, Result};
use dhow_oci::Reference;

use crate::Engine;

/// How an image is removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImageRemoval {
    /// All its names go, and stopped containers do not hold it.
    pub force: bool,
    /// Unnamed images that it was made from stay.
    pub keep_parents: bool,
}

/// What `prune` removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrunedImages {
    /// Names and images.
    pub removed: Vec<Removed>,
    /// Bytes that are free now.
    pub reclaimed: u64,
}

impl Engine {
    /// Removes a name of an image, and the image with its last one.
    ///
    /// # Errors
    /// Conflict, in Docker's words, when a container uses it or it has names in several repositories.
    pub fn remove_image(&self, text: &str, removal: ImageRemoval) -> Result<Vec<Removed>> {
        let image = match self.image(text) {
            Err(error) if error.kind() == Kind::Corrupt => self.damaged_image(text)?.ok_or(error)?,
            found => found?,
        };
        let named =
            Reference::parse_tagged(text).ok().filter(|reference| image.references.contains(reference));
        let mut done = Vec::new();
        match named {
            Some(reference) if image.references.len() > 1 => {
                self.untag(&image, &reference, &mut done)?;
                return Ok(done);
            }
            Some(_) if removal.force => {}
            Some(_) => self.check_last_name(text, &image)?,
            None if image.references.len() > 1 && !removal.force && several_repositories(&image) => {
                return Err(Error::conflict(format!(
                    "conflict: unable to delete {} (must be forced) - image is referenced in multiple repositories",
                    image.id.short()
                )));
            }
            None => self.check_unused(&image, removal.force)?,
        }
        for reference in &image.references {
            self.untag(&image, reference, &mut done)?;
        }
        match self.ports.images.remove(&image.id, !removal.keep_parents) {
            Ok(removed) => {
                self.tell_image("delete", &image.id.to_string(), &image.id.to_string());
                done.extend(removed);
                Ok(done)
            }
            // Untagged it is; a stopped container or an image made from it still needs its layers.
            Err(error) if error.kind() == Kind::Conflict && !done.is_empty() => Ok(done),
            Err(error) => Err(error),
        }
    }

    fn untag(&self, image: &Image, reference: &Reference, done: &mut Vec<Removed>) -> Result<()> {
        if self.ports.images.untag(reference)? {
            self.tell_image("untag", &image.id.to_string(), &reference.familiar());
            done.push(Removed::Untagged(reference.familiar()));
        }
        Ok(())
    }

    /// A name in use may be taken away by force; then only the name goes.
    fn check_last_name(&self, name: &str, image: &Image) -> Result<()> {
        let user = self.containers().into_iter().find(|container| container.uses_image(&image.id));
        match user {
            Some(container) => Err(Error::conflict(format!(
                "conflict: unable to remove repository reference {name:?} (must force) - container {} is using its referenced image {}",
                container.id.short(),
                image.id.short()
            ))),
            None => Ok(()),
        }
    }

    fn check_unused(&self, image: &Image, force: bool) -> Result<()> {
        for container in self.containers() {
            if !container.uses_image(&image.id) {
                continue;
            }
            let (id, used) = (image.id.short(), container.id.short());
            if container.state.is_active() {
                return Err(Error::conflict(format!(
                    "conflict: unable to delete {id} (cannot be forced) - image is being used by running container {used}"
                )));
            }
            if !force {
                return Err(Error::conflict(format!(
                    "conflict: unable to delete {id} (must be forced) - image is being used by stopped container {used}"
                )));
            }
        }
        Ok(())
    }

    /// Removes images that no container uses: those without a name, or all of them.
    ///
    /// One that cannot be removed does not hold up the others: it is told in the log, as with Docker. Where all
    /// are wanted, those go too that have lost something, and layers that a check has set aside.
    ///
    /// # Errors
    /// When nothing was removed, the first failure.
    pub fn prune_images(
        &self,
        unnamed_only: bool,
        wanted: Option<&dyn Fn(&Image) -> bool>,
    ) -> Result<PrunedImages> {
        let before = self.layers_usage()?.total();
        let mut pruned = PrunedImages::default();
        let mut failure = None;
        // What a filter asks for is not known of them.
        let damaged = if wanted.is_none() { self.ports.images.damaged()? } else { Vec::new() };
        for image in self.images()?.into_iter().chain(damaged) {
            let is_wanted = wanted.is_none_or(|wanted| wanted(&image));
            let candidate = (image.references.is_empty() || !unnamed_only) && is_wanted;
            if !candidate || self.check_unused(&image, false).is_err() {
                continue;
            }
            match self.remove_image(&image.id.to_string(), ImageRemoval { force: true, keep_parents: false })
            {
                Ok(removed) => pruned.removed.extend(removed),
                // It is the parent of one that stays, or went with one before.
                Err(error) if matches!(error.kind(), Kind::Conflict | Kind::NotFound) => {}
                Err(error) => {
                    tracing::warn!(image = %image.id, "prune: {}", error.report());
                    failure.get_or_insert(error);
                }
            }
        }
        if let Some(failure) = failure.filter(|_| pruned.removed.is_empty()) {
            return Err(failure);
        }
        if wanted.is_none() {
            self.ports.images.discard_set_aside()?;
        }
        pruned.reclaimed = before.saturating_sub(self.layers_usage()?.total());
        let more = [("reclaimed".to_owned(), pruned.reclaimed.to_string())].into();
        self.tell(dhow_model::event::EventKind::Image, "prune", "", more);
        Ok(pruned)
    }
}

fn several_repositories(image: &Image) -> bool {
    let mut names = image.references.iter().map(Reference::familiar_name);
    let first = names.next();
    names.any(|name| Some(name) != first)
}
