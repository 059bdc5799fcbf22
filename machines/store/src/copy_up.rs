//! Copy-up: an empty volume gets what the image has at its place, all of it or nothing.
//!
//! ```text
//! staging/<unique>/whole       while it is copied; a crash leaves it to the next start
//! volumes/<name>/whole         copied, and on the disk; a crash from here on is made up for
//! volumes/<name>/data          gets its entries, by one rename each, and then its owner and times
//! ```
//! The volume's own directory stays the same: containers that run may have it mounted.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::Path;

use dhow_model::ports::Durability;
use dhow_model::{ContainerId, Error, Result, Volume};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::Core;
use crate::error::Context as _;
use crate::layer::{copy_attributes, copy_tree};
use crate::layout::make_directory;
use crate::snapshots::directory_of;
use crate::staging::Stage;

/// What is copied and waits to be moved in.
const WHOLE: &str = "whole";

impl Core {
    /// Fills an empty volume with the directory `path` of a container. One that is not empty stays as
    /// it is, and so does one for which the container has no such directory.
    pub(crate) fn copy_up(
        &self,
        volume: &Volume,
        id: &ContainerId,
        path: &Path,
        durability: Durability,
    ) -> Result<()> {
        if !is_empty(&volume.mountpoint)? {
            return Ok(());
        }
        let _bound = self.quotas.obey()?;
        if volume.mount().is_some() {
            return self.copy_into(volume, id, path);
        }
        let _one_at_a_time = self.copy_ups.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !is_empty(&volume.mountpoint)? {
            return Ok(());
        }
        let told = || format!("cannot copy {} of container {} to its volume", path.display(), id.short());
        let Some(from) = directory_of(self, id, path)? else { return Ok(()) };
        let stage = Stage::new(&self.layout)?;
        let staged = stage.path().join(WHOLE);
        make_directory(&staged, 0o700)?;
        // What is not of the volume's project could not be moved there.
        self.quotas.join(&staged, &volume.mountpoint)?;
        let into = File::open(&staged).on("open", &staged)?;
        let copied =
            copy_tree(from.as_fd(), into.as_fd()).map_err(|error| Error::internal(told()).because(error))?;
        if copied.entries > 0 && durability == Durability::Committed {
            self.sync_files()?;
        }
        stage.publish(WHOLE, &self.layout.volume(&volume.name).join(WHOLE))?;
        self.finish_copy_up(volume)
    }

    /// Another file system has no room for what is not whole yet.
    fn copy_into(&self, volume: &Volume, id: &ContainerId, path: &Path) -> Result<()> {
        let Some(from) = directory_of(self, id, path)? else { return Ok(()) };
        let told = || format!("cannot fill volume {} with {}", volume.name, path.display());
        let into = File::open(&volume.mountpoint).on("open", &volume.mountpoint)?;
        copy_tree(from.as_fd(), into.as_fd())
            .and_then(|_| copy_attributes(from.as_fd(), into.as_fd()))
            .map_err(|error| Error::internal(told()).because(error))
    }

    /// Moves in what was copied; nothing, when nothing waits.
    pub(crate) fn finish_copy_up(&self, volume: &Volume) -> Result<()> {
        let whole = self.layout.volume(&volume.name).join(WHOLE);
        let from = match File::open(&whole) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            from => from.on("open", &whole)?,
        };
        for entry in std::fs::read_dir(&whole).on("read", &whole)? {
            let name = entry.on("read", &whole)?.file_name();
            let place = volume.mountpoint.join(&name);
            match renameat_with(CWD, whole.join(&name), CWD, &place, RenameFlags::NOREPLACE) {
                // A container made one of that name meanwhile.
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error).on("put in its place", &place),
            }
        }
        let data = File::open(&volume.mountpoint).on("open", &volume.mountpoint)?;
        copy_attributes(from.as_fd(), data.as_fd())
            .map_err(|error| Error::internal(format!("cannot fill volume {}", volume.name)).because(error))?;
        self.trash.discard(&whole).map(drop)
    }
}

fn is_empty(directory: &Path) -> Result<bool> {
    Ok(std::fs::read_dir(directory).on("read", directory)?.next().is_none())
}
