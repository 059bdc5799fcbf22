//! What a layer deletes: `.wh.` names (OCI image specification, "Whiteouts").

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Mode, Stat, XattrFlags, fsetxattr, mknodat, statat};
use rustix::io::Errno;

use super::super::tree::{Missing, open_directory};
use super::Extractor;
use crate::tar::{Entry, Error, Result, shown};

/// Begins the name of what is no file but deletes one.
pub(crate) const PREFIX: &[u8] = b".wh.";
/// In a directory: nothing of the layers below shows in it.
pub(crate) const OPAQUE_NAME: &[u8] = b".wh..wh..opq";
/// overlayfs' attribute of an opaque directory.
pub(in crate::layer) const OPAQUE: &str = "trusted.overlay.opaque";

/// Whether it is overlayfs' mark of a deleted file.
pub(in crate::layer) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

impl Extractor<'_> {
    /// Does what a `.wh.` name says. Its contents, mode and owner say nothing.
    pub(super) fn whiteout(&mut self, entry: &Entry, directory: &[u8], name: &[u8]) -> Result<()> {
        let target = &name[PREFIX.len()..];
        if name == OPAQUE_NAME {
            set_opaque(self.tree.enter(directory, Missing::Make)?)?;
        } else if matches!(target, b"" | b"." | b"..") {
            return Err(Error::refused(format!("invalid whiteout {}: it names no file", shown(name))));
        } else if !target.starts_with(PREFIX) {
            // Other `.wh..wh.` names were aufs' bookkeeping; they mean nothing elsewhere.
            self.deleted(directory, target)?;
        }
        self.note_parents(entry);
        Ok(())
    }

    fn deleted(&mut self, directory: &[u8], target: &[u8]) -> Result<()> {
        let parent = self.tree.enter(directory, Missing::Make)?;
        match mknodat(parent, target, FileType::CharacterDevice, Mode::empty(), 0) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => hide_below(parent, target),
            Err(error) => Err(Error::system("whiteout cannot be made", error)),
        }
    }
}

/// The layer itself has something at the name of a whiteout: a whiteout is about the layers below
/// only, so that stays, and a directory stops showing what is below it.
fn hide_below(parent: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
    let stat = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|error| Error::system("what was there cannot be looked at", error))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Ok(());
    }
    let directory =
        open_directory(parent, name).map_err(|error| Error::system("directory cannot be opened", error))?;
    set_opaque(directory.as_fd())
}

fn set_opaque(directory: BorrowedFd<'_>) -> Result<()> {
    fsetxattr(directory, OPAQUE, b"y", XattrFlags::empty())
        .map_err(|error| Error::system("directory cannot be made opaque", error))
}
