//! The layers of this moment as overlays take them: each is looked up, and mounted, once.
//!
//! A mounted layer is held by its descriptor alone and attached nowhere: nobody on the host sees it,
//! it is gone when the engine is, and what containers have of it stays with them. Containers of one
//! image share its mounts, and so the pages of its files. The next engine mounts anew: a mount costs
//! 60 µs, and two of the same files do not mind one another.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dhow_oci::image::DiffId;

use super::{Lower, tarred};
use crate::error::{Context as _, Error, Kind, Result};
use crate::layout::Layout;

/// So many are held at most, where as many descriptors may be open; the one that was not used for longest
/// goes first. Each takes about 15 kB of the kernel's memory.
const MOST: usize = 1024;
/// What is left to others: of so many descriptors one may be a layer.
const SHARE: u64 = 4;

/// Layers that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Mounts(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    layers: HashMap<DiffId, (Lower, u64)>,
    /// Counts the questions.
    clock: u64,
}

impl Mounts {
    /// The layer, if it was asked for before.
    pub(super) fn known(&self, diff_id: &DiffId) -> Option<Lower> {
        self.lock().find(diff_id)
    }

    /// The layer as overlays take it.
    pub(super) fn lower(&self, layout: &Layout, diff_id: &DiffId) -> Result<Lower> {
        // Without the lock: mounting a large layer reads from the disk.
        let lower = look(layout, diff_id)?;
        Ok(self.lock().keep(*diff_id, lower))
    }

    /// The layer goes, or is another now.
    pub(crate) fn forget(&self, diff_id: &DiffId) {
        self.lock().layers.remove(diff_id);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn find(&mut self, diff_id: &DiffId) -> Option<Lower> {
        self.clock += 1;
        let (lower, used) = self.layers.get_mut(diff_id)?;
        *used = self.clock;
        Some(lower.clone())
    }

    /// Another thread may have been faster: then all share what that one has.
    fn keep(&mut self, diff_id: DiffId, lower: Lower) -> Lower {
        let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let share = descriptors.and_then(|most| usize::try_from(most / SHARE).ok()).unwrap_or(MOST);
        if self.layers.len() >= share.min(MOST)
            && let Some(oldest) = self.layers.iter().min_by_key(|(_, (_, used))| *used).map(|(id, _)| *id)
        {
            self.layers.remove(&oldest);
        }
        let clock = self.clock;
        self.layers.entry(diff_id).or_insert((lower, clock)).0.clone()
    }
}

fn look(layout: &Layout, diff_id: &DiffId) -> Result<Lower> {
    let directory = layout.layer(diff_id);
    if !directory.join(tarred::INDEX).exists() {
        return Ok(Lower::Directory(directory.join("fs")));
    }
    match tarred::mount(&directory) {
        Ok(root) => Ok(Lower::Mounted(Arc::<OwnedFd>::new(root))),
        Err(error) if is_damage(&error) => {
            Err(Error::new(Kind::Corrupt, format!("the index of layer {diff_id} is damaged")).because(error))
        }
        Err(error) => Err(error).context(|| format!("cannot mount layer {diff_id}")),
    }
}

/// What EROFS says of an index that is none (`EFSCORRUPTED` is `EUCLEAN`).
fn is_damage(error: &std::io::Error) -> bool {
    let errno = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    matches!(errno, Some(rustix::io::Errno::INVAL | rustix::io::Errno::UCLEAN | rustix::io::Errno::IO))
}
