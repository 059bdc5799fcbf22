//! An index against its tar.
//!
//! The same tar gives the same index, byte for byte: making it again is how it is verified, and how it
//! is repaired.

use std::path::Path;

use dhow_model::Result;
use dhow_oci::image::DiffId;

use super::unpack::{LayerInfo, read_info, write_info};
use super::{LayerFormat, format_of, tarred};
use crate::Core;
use crate::error::Context as _;
use crate::staging::Stage;

impl Core {
    /// Whether the layer's index is that of its tar, whose digest has been verified. A layer that has
    /// none needs none.
    pub(crate) fn verify_index(&self, diff_id: &DiffId) -> Result<bool> {
        let directory = self.layout.layer(diff_id);
        if format_of(&directory) == LayerFormat::Directory {
            // A tree, or a tar that lost its index.
            return Ok(directory.join("fs").is_dir());
        }
        let stage = Stage::new(&self.layout)?;
        if let Err(error) = tarred::index_again(*diff_id, &directory, stage.path()) {
            // It was made a directory meanwhile.
            return if directory.join("fs").is_dir() { Ok(true) } else { Err(error) };
        }
        same(&directory.join(tarred::INDEX), &stage.path().join(tarred::INDEX))
    }

    /// Makes the index again and puts it in its place in one step.
    pub(crate) fn renew_index(&self, diff_id: &DiffId) -> Result<()> {
        let directory = self.layout.layer(diff_id);
        let stage = Stage::new(&self.layout)?;
        tarred::index_again(*diff_id, &directory, stage.path())?;
        self.sync_files()?;
        let place = directory.join(tarred::INDEX);
        let _no_conversion = self.catalog_mut();
        if directory.join("fs").is_dir() {
            return Ok(());
        }
        std::fs::rename(stage.path().join(tarred::INDEX), &place).on("put in its place", &place)?;
        self.mounts.forget(diff_id);
        Ok(())
    }

    /// Whether what is written beside a tree is right; beside a tar nothing is.
    pub(crate) fn knows_tar_size(&self, diff_id: &DiffId, bytes: u64) -> bool {
        let directory = self.layout.layer(diff_id);
        !directory.join("fs").is_dir() || read_info(&directory).is_ok_and(|info| info.tar_size == bytes)
    }

    /// Writes it again.
    pub(crate) fn write_tar_size(&self, diff_id: &DiffId, bytes: u64) -> Result<()> {
        write_info(&self.layout.layer(diff_id), &LayerInfo { tar_size: bytes })
    }
}

/// Making the index took as much memory as reading it does.
fn same(one: &Path, other: &Path) -> Result<bool> {
    let read = |path: &Path| std::fs::read(path).on("read", path);
    Ok(read(one)? == read(other)?)
}
