//! Takes an image away, and what nobody needs without it.

use std::ffi::OsString;

use dhow_model::image::Removed;
use dhow_model::ports::Durability;
use dhow_model::{Error, ImageId, Result};
use dhow_oci::Digest;
use dhow_oci::image::{ChainId, DiffId};

use super::no_such;
use crate::Core;
use crate::catalog::{Catalog, Entry};
use crate::repair::entries;

impl Core {
    pub(super) fn remove_image(&self, id: &ImageId, prune_parents: bool) -> Result<Vec<Removed>> {
        let _change = self.begin_change();
        let mut removed = Vec::new();
        let mut next = Some(*id);
        while let Some(id) = next {
            let entry = self.take(&id)?;
            removed.push(Removed::Deleted(id));
            removed.extend(self.clear(&entry)?);
            let parent = entry.row.parent.filter(|_| prune_parents);
            next = parent.filter(|parent| check(&self.catalog(), parent).is_ok());
        }
        self.write_copy();
        Ok(removed)
    }

    /// Takes the image out of the catalog and the database.
    ///
    /// Out of the catalog first: from here on nobody can begin to build on it.
    fn take(&self, id: &ImageId) -> Result<Entry> {
        let (entry, was_hidden) = {
            let mut catalog = self.catalog_mut();
            check(&catalog, id)?;
            let was_hidden = catalog.hidden.contains_key(id);
            let known = if was_hidden { &mut catalog.hidden } else { &mut catalog.images };
            (known.remove(id).ok_or_else(|| no_such(id))?, was_hidden)
        };
        let image = id.to_string();
        let gone = self.database.write(Durability::Committed, move |connection| {
            connection.prepare_cached("DELETE FROM image WHERE id = ?1")?.execute([&image]).map(drop)
        });
        match gone {
            Ok(()) => Ok(entry),
            Err(error) => {
                let mut catalog = self.catalog_mut();
                let known = if was_hidden { &mut catalog.hidden } else { &mut catalog.images };
                known.insert(*id, entry);
                drop(catalog);
                Err(error)
            }
        }
    }

    /// Deletes the files that only this image needed; tells which stacks are gone, topmost first.
    fn clear(&self, entry: &Entry) -> Result<Vec<Removed>> {
        let stacks = lost_stacks(&self.catalog(), entry.layers());
        let gone = self.collect_layers(&self.layers_only_of(entry)?)?;
        if !gone.is_empty() {
            // Garbage until then is no harm: what no record needs is cleared at the start, too.
            self.database.write(Durability::Relaxed, move |connection| {
                let mut delete = connection.prepare_cached("DELETE FROM layer WHERE diff_id = ?1")?;
                gone.iter().try_for_each(|diff_id| delete.execute([diff_id.to_string()]).map(drop))
            })?;
        }
        self.trash.discard(&self.layout.blob(&entry.row.id))?;
        if let Some(manifest) = entry.row.manifest
            && !self.catalog().all_on_record().any(|other| other.row.manifest == Some(manifest))
        {
            self.trash.discard(&self.layout.blob(&manifest))?;
        }
        Ok(stacks.into_iter().map(|chain_id| Removed::Deleted(chain_id.digest())).collect())
    }

    /// The layers that may go with an image. Of the last one whose configuration was lost it may be any.
    fn layers_only_of(&self, entry: &Entry) -> Result<Vec<DiffId>> {
        if !entry.layers().is_empty() || self.catalog().hides_layers() {
            return Ok(entry.layers().to_vec());
        }
        let present = entries(&self.layout.layers())?;
        let diff_id = |name: &OsString| name.to_str().and_then(|name| Digest::from_hex(name).ok());
        Ok(present.iter().filter_map(|(name, _)| diff_id(name)).collect())
    }
}

/// Whether the image may go; the words are Docker's.
fn check(catalog: &Catalog, id: &ImageId) -> Result<()> {
    let entry = catalog.on_record(id).ok_or_else(|| no_such(id))?;
    let refuse = |how: &str, why: String| {
        let short = id.short();
        Err(Error::conflict(format!("conflict: unable to delete {short} ({how}) - {why}")))
    };
    if !entry.references.is_empty() {
        return refuse("must be forced", "image is referenced in multiple repositories".into());
    }
    if catalog.all_on_record().any(|other| other.row.parent == Some(*id)) {
        return refuse("cannot be forced", "image has dependent child images".into());
    }
    if let Some(container) = catalog.user_of(id) {
        return refuse("cannot be forced", format!("image is being used by container {}", container.short()));
    }
    Ok(())
}

/// The chain ids of the stacks that no record has any more, topmost first.
fn lost_stacks(catalog: &Catalog, layers: &[DiffId]) -> Vec<ChainId> {
    let shared = |stack: &[DiffId]| stack.iter().zip(layers).take_while(|(a, b)| a == b).count();
    let kept = catalog.stacks().map(shared).max().unwrap_or_default();
    let lost = (kept + 1..=layers.len()).rev();
    lost.filter_map(|height| ChainId::of(&layers[..height])).collect()
}
