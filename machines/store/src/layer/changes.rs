//! What a writable layer changed, as `docker diff` tells it.
//!
//! The upper directory of an overlay is held against the layers below it, of which only the names
//! that the upper directory has are looked at: the cost is that of the change, not of the image.
//!
//! A path is listed as added, deleted, or changed: its kind, owner, mode, size, time of writing or
//! attributes differ. A directory that only holds changes is listed as changed too, before them. What is
//! below a deleted directory is not listed. A file that was opened for writing and left as it was is
//! in the upper directory, and no change.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use dhow_model::ports::{Change, ChangeKind};
use rustix::fs::{AtFlags, FileType, Stat, statat};
use rustix::io::Errno;

use super::create::Xattrs;
use super::extract::is_whiteout;
use super::remove::names;
use super::tree::open_directory;
use crate::tar::{Error, Limits, Result};

/// Compares the upper directory of an overlay with the directories below it, uppermost first.
///
/// # Errors
/// When something cannot be looked at.
pub fn changes(upper: BorrowedFd<'_>, lowers: &[BorrowedFd<'_>]) -> Result<Vec<Change>> {
    let own = |directory: &BorrowedFd<'_>| {
        open_directory(*directory, b".").map_err(|error| Error::system("layer cannot be opened", error))
    };
    let below = Below(lowers.iter().map(own).collect::<Result<_>>()?);
    let mut comparison =
        Comparison { found: Vec::new(), scratch: Vec::new(), depth: Limits::default().depth };
    comparison.directory(upper, &below, b"")?;
    Ok(comparison.found)
}

/// What is merged below one directory, uppermost first.
struct Below(Vec<OwnedFd>);

/// What lies below at one name.
struct Old<'a> {
    stat: Stat,
    /// Where the uppermost one is.
    parent: BorrowedFd<'a>,
    /// What it is made of when it is a directory.
    merged: Below,
}

impl Below {
    /// Looks for a name as the overlay would: marks of deletion end the search.
    fn find(&self, name: &[u8], scratch: &mut Vec<u8>) -> Result<Option<Old<'_>>> {
        let mut found: Option<Old<'_>> = None;
        for layer in &self.0 {
            let stat = match statat(layer, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                stat => stat.map_err(|error| Error::system("layer cannot be looked at", error))?,
            };
            let is_directory = is_directory(&stat);
            if is_whiteout(&stat) || (found.is_some() && !is_directory) {
                break;
            }
            let old = found.get_or_insert(Old { stat, parent: layer.as_fd(), merged: Self(Vec::new()) });
            if !is_directory {
                break;
            }
            let directory = open_directory(layer.as_fd(), name)
                .map_err(|error| Error::system("layer cannot be opened", error))?;
            let opaque = Xattrs::of(directory.as_fd(), scratch)?.is_opaque();
            old.merged.0.push(directory);
            if opaque {
                break;
            }
        }
        Ok(found)
    }

    /// The names that show through.
    fn names(&self, scratch: &mut Vec<u8>) -> Result<BTreeSet<Vec<u8>>> {
        let mut all = BTreeSet::new();
        for layer in &self.0 {
            all.extend(names(layer.as_fd()).map_err(|error| Error::system("layer cannot be read", error))?);
        }
        let mut shown = BTreeSet::new();
        for name in all {
            if self.find(&name, scratch)?.is_some() {
                shown.insert(name);
            }
        }
        Ok(shown)
    }
}

struct Comparison {
    found: Vec<Change>,
    scratch: Vec<u8>,
    depth: usize,
}

impl Comparison {
    fn directory(&mut self, upper: BorrowedFd<'_>, below: &Below, path: &[u8]) -> Result<()> {
        if path.iter().filter(|&&byte| byte == b'/').count() > self.depth {
            return Err(Error::limit(format!("directories are more than {} deep", self.depth)).at(path));
        }
        let mut here: BTreeSet<_> = names(upper)
            .map_err(|error| Error::system("directory cannot be read", error).at(path))?
            .into_iter()
            .collect();
        if Xattrs::of(upper, &mut self.scratch)?.is_opaque() {
            // Everything below was deleted; what is here was made anew.
            here.extend(below.names(&mut self.scratch)?);
        }
        for name in here {
            let path = [path, b"/", name.as_slice()].concat();
            self.name(upper, below, &name, &path).map_err(|error| error.at(&path))?;
        }
        Ok(())
    }

    fn name(&mut self, upper: BorrowedFd<'_>, below: &Below, name: &[u8], path: &[u8]) -> Result<()> {
        let old = below.find(name, &mut self.scratch)?;
        let new = match statat(upper, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if is_whiteout(&stat) => None,
            Ok(stat) => Some(stat),
            // Hidden by an opaque directory, or gone since it was listed.
            Err(Errno::NOENT) => None,
            Err(error) => return Err(Error::system("cannot be looked at", error)),
        };
        match (old, new) {
            (None, None) => {}
            (Some(_), None) => self.note(ChangeKind::Deleted, path),
            (None, Some(stat)) => {
                self.note(ChangeKind::Added, path);
                self.inside(upper, &stat, name, &Below(Vec::new()), path)?;
            }
            (Some(old), Some(stat)) => self.both(upper, &stat, name, &old, path)?,
        }
        Ok(())
    }

    fn both(
        &mut self,
        upper: BorrowedFd<'_>,
        new: &Stat,
        name: &[u8],
        old: &Old<'_>,
        path: &[u8],
    ) -> Result<()> {
        let before = self.found.len();
        self.note(ChangeKind::Modified, path);
        self.inside(upper, new, name, &old.merged, path)?;
        let holds_changes = self.found.len() > before + 1;
        if !holds_changes && !self.differs((upper, new), (old.parent, &old.stat), name)? {
            self.found.truncate(before);
        }
        Ok(())
    }

    fn inside(
        &mut self,
        upper: BorrowedFd<'_>,
        stat: &Stat,
        name: &[u8],
        below: &Below,
        path: &[u8],
    ) -> Result<()> {
        if !is_directory(stat) {
            return Ok(());
        }
        let directory = open_directory(upper, name)
            .map_err(|error| Error::system("directory cannot be opened", error))?;
        self.directory(directory.as_fd(), below, path)
    }

    /// Size and time of a directory are those of its names, of which each is looked at.
    fn differs(
        &mut self,
        new: (BorrowedFd<'_>, &Stat),
        old: (BorrowedFd<'_>, &Stat),
        name: &[u8],
    ) -> Result<bool> {
        let owner = |stat: &Stat| (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_rdev);
        let contents = |stat: &Stat| (stat.st_size, stat.st_mtime, stat.st_mtime_nsec);
        if owner(new.1) != owner(old.1) || (!is_directory(new.1) && contents(new.1) != contents(old.1)) {
            return Ok(true);
        }
        let mut kept = |parent| Xattrs::of_named(parent, name, &mut self.scratch).map(|xattrs| xattrs.kept);
        Ok(kept(new.0)? != kept(old.0)?)
    }

    fn note(&mut self, kind: ChangeKind, path: &[u8]) {
        self.found.push(Change { kind, path: PathBuf::from(OsString::from_vec(path.to_vec())) });
    }
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}
