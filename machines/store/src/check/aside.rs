//! Layers that are other bytes than they must: marked, set aside, counted, and deleted in the end.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use dhow_model::image::LayersUsage;
use dhow_model::{Error, Kind, Result, Timestamp};
use dhow_oci::Digest;
use dhow_oci::image::DiffId;
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use crate::Core;
use crate::error::Context as _;
use crate::repair::entries;
use crate::snapshots::disk_usage;
use crate::stack::{LayerFormat, format_of};

/// A file in a layer's directory: it is other bytes than its name says.
const DAMAGED: &str = "damaged";

impl Core {
    /// Moves a damaged layer out of the way. Containers that have it mounted keep it.
    pub(crate) fn set_aside(&self, diff_id: &DiffId, from: &Path) -> Result<Option<PathBuf>> {
        let aside = self.layout.damaged();
        let now = Timestamp::now().unix_seconds();
        // The same layer may be set aside more than once.
        for number in 0.. {
            let to = aside.join(format!("{}-{now}-{number}", diff_id.hex()));
            match rustix::fs::renameat_with(CWD, from, CWD, &to, RenameFlags::NOREPLACE) {
                Ok(()) => return Ok(Some(to)),
                Err(Errno::EXIST) => {}
                Err(Errno::NOENT) => break,
                Err(error) => return Err(error).on("set aside", from),
            }
        }
        Ok(None)
    }

    /// Takes a layer that another one has replaced out of sight: what a container may have mounted of it stays.
    pub(crate) fn put_away(&self, diff_id: &DiffId, old: &Path) -> Result<()> {
        let user = self.catalog().layer_user(diff_id).cloned();
        if format_of(old) == LayerFormat::Directory && user.is_some() {
            return self.set_aside(diff_id, old).map(drop);
        }
        self.trash.discard(old).map(drop)
    }

    /// What is not in its place takes nothing there.
    pub(super) fn forget_size(&self, diff_id: &DiffId) -> Result<()> {
        self.catalog_mut().layers.remove(diff_id);
        let gone = diff_id.to_string();
        self.database.post(move |connection| {
            connection.prepare_cached("DELETE FROM layer WHERE diff_id = ?1")?.execute([&gone]).map(drop)
        })
    }

    /// The sizes on record are believed, but for layers that are not what they were.
    pub(crate) fn layers_usage(&self) -> Result<LayersUsage> {
        let mut usage = LayersUsage::default();
        for (name, path) in entries(&self.layout.layers())? {
            let diff_id = name.to_str().and_then(|name| Digest::from_hex(name).ok());
            let known = diff_id.and_then(|id| self.layer_size(&id));
            usage.placed += known.map_or_else(|| size_of_what_is_left(&path), Ok)?;
        }
        usage.set_aside = size_of_what_is_left(&self.layout.damaged())?;
        Ok(usage)
    }

    /// What is mounted of a tar outlives its name; a directory stays while a container may have it mounted.
    pub(crate) fn discard_set_aside(&self) -> Result<()> {
        for (name, path) in entries(&self.layout.damaged())? {
            if format_of(&path) == LayerFormat::Tar || !self.may_be_mounted(&name) {
                self.trash.discard(&path)?;
            }
        }
        Ok(())
    }

    /// Whether a container may have what was set aside under this name mounted as a directory.
    fn may_be_mounted(&self, name: &OsStr) -> bool {
        let hex = name.to_str().and_then(|name| name.split('-').next());
        let diff_id = hex.and_then(|hex| Digest::from_hex(hex).ok());
        diff_id.is_none_or(|id| self.catalog().layer_user(&id).is_some())
    }

    /// Says in the layer itself that it is other bytes than its name says: no engine uses it, and who puts another
    /// one in its place takes the mark away with it.
    pub(super) fn mark_damaged(&self, diff_id: &DiffId) {
        let mark = self.layout.layer(diff_id).join(DAMAGED);
        if let Err(error) = std::fs::File::create(&mark)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::error!(mark = %mark.display(), "a damaged layer cannot be marked: {error}");
        }
    }

    pub(super) fn unmark_damaged(&self, diff_id: &DiffId) -> Result<()> {
        let mark = self.layout.layer(diff_id).join(DAMAGED);
        match std::fs::remove_file(&mark) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).on("remove", &mark),
            _ => Ok(()),
        }
    }

    /// Whether a check found it to be other bytes than its name says.
    pub(crate) fn is_marked_damaged(&self, diff_id: &DiffId) -> bool {
        self.layout.layer(diff_id).join(DAMAGED).exists()
    }

    /// Why the layer is not used, if it is not.
    pub(crate) fn refuse_damaged(&self, diff_id: &DiffId) -> Result<()> {
        if self.is_marked_damaged(diff_id) || !self.layout.layer(diff_id).is_dir() {
            return Err(Error::new(
                Kind::Corrupt,
                format!("layer {diff_id} is damaged or lost: load its image again"),
            ));
        }
        Ok(())
    }
}

/// A tree that may go while it is looked at.
fn size_of_what_is_left(path: &Path) -> Result<u64> {
    match disk_usage(path) {
        Err(_) if !path.exists() => Ok(0),
        measured => measured,
    }
}
