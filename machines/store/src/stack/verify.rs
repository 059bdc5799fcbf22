//! What lies beside a layer's tar against the tar: its index, or its tree.
//!
//! The same tar gives the same index, byte for byte, and the same tree: making it again is how it is verified, and
//! how it is repaired.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use dhow_model::{Error, Result};
use dhow_oci::image::DiffId;
use rustix::fs::{Mode, OFlags};

use super::unpack::{INFO, LayerInfo, RECIPE, TREE, read_info, write_info};
use super::{LayerFormat, NewLayer, format_of, size_on_disk, tarred};
use crate::Core;
use crate::error::Context as _;
use crate::layer::difference;
use crate::repair::entries;
use crate::staging::Stage;

/// Clocks of file systems lag a little behind.
const LAG: Duration = Duration::from_secs(1);

/// A layer's tree, made anew of its tar.
#[derive(Debug)]
pub(crate) struct Anew {
    stage: Stage,
    layer: NewLayer,
    /// Whether the archive told the time of the root.
    with_root_time: bool,
}

impl Anew {
    fn directory(&self) -> PathBuf {
        self.stage.path().join(&self.layer.name)
    }
}

impl Core {
    /// Whether the layer is a tree, or was one that is gone.
    pub(crate) fn has_tree(&self, diff_id: &DiffId) -> bool {
        let directory = self.layout.layer(diff_id);
        format_of(&directory) == LayerFormat::Directory
            && (directory.join(TREE).is_dir() || directory.join(INFO).exists())
    }

    /// Unpacks the layer's tar beside it; the tar is verified on the way.
    pub(crate) fn tree_again(&self, diff_id: &DiffId) -> Result<Anew> {
        let began = SystemTime::now();
        let (stage, layer) = self.made_again(diff_id, LayerFormat::Directory)?;
        let tree = stage.path().join(&layer.name).join(TREE);
        let modified = std::fs::metadata(&tree).and_then(|tree| tree.modified()).on("look at", &tree)?;
        Ok(Anew { stage, layer, with_root_time: modified + LAG < began })
    }

    /// How the layer's tree is not that of its tar.
    pub(crate) fn tree_differs(&self, anew: &Anew) -> Result<Option<String>> {
        let place = self.layout.layer(&anew.layer.diff_id).join(TREE);
        let wanted = anew.directory().join(TREE);
        let wanted = File::open(&wanted).on("open", &wanted)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::open(&place, flags, Mode::empty()) {
            Ok(found) => Ok(difference(found.as_fd(), wanted.as_fd(), anew.with_root_time)?),
            // It was made a tar meanwhile.
            Err(_) if !self.has_tree(&anew.layer.diff_id) => Ok(None),
            Err(error) => Ok(Some(format!("it cannot be opened: {error}"))),
        }
    }

    /// Puts it in the place of the layer's tree, which stays aside while a container may have it mounted.
    pub(crate) fn put_tree(&self, anew: &Anew) -> Result<()> {
        let size = size_on_disk(&anew.directory())?;
        self.sync_files()?;
        let diff_id = anew.layer.diff_id;
        let exchanged = self.put_instead(diff_id, || self.exchange_tree(anew, size))?;
        if exchanged { self.put_away(&diff_id, &anew.directory()) } else { Ok(()) }
    }

    fn exchange_tree(&self, anew: &Anew, size: u64) -> Result<bool> {
        let diff_id = &anew.layer.diff_id;
        // Nobody may begin to use or to read what is about to go.
        let mut catalog = self.catalog_mut();
        let readers = self.readers.lock();
        if !self.has_tree(diff_id) {
            return Ok(false);
        }
        if readers.contains_key(diff_id) {
            return Err(Error::conflict(format!("layer {diff_id} is being read: try again later")));
        }
        anew.stage.exchange(&anew.layer.name, &self.layout.layer(diff_id))?;
        self.mounts.forget(diff_id);
        catalog.layers.insert(*diff_id, size);
        Ok(true)
    }

    /// What lies in the layer's directory and belongs to no layer of its format.
    pub(crate) fn strays_of(&self, diff_id: &DiffId) -> Result<Vec<PathBuf>> {
        let directory = self.layout.layer(diff_id);
        let known: &[&str] = match format_of(&directory) {
            LayerFormat::Tar => &[tarred::TAR, tarred::INDEX],
            LayerFormat::Directory => &[TREE, INFO, RECIPE, tarred::TAR],
        };
        let is_known = |name: &OsStr| known.iter().any(|known| name == *known);
        let found = entries(&directory)?;
        Ok(found.into_iter().filter(|(name, _)| !is_known(name)).map(|(_, path)| path).collect())
    }

    /// Whether the layer's index is that of its tar, whose digest has been verified. A layer that has
    /// none needs none.
    pub(crate) fn verify_index(&self, diff_id: &DiffId) -> Result<bool> {
        let directory = self.layout.layer(diff_id);
        if format_of(&directory) == LayerFormat::Directory {
            // A tree, or a tar that lost its index.
            return Ok(self.has_tree(diff_id));
        }
        let stage = Stage::new(&self.layout)?;
        if let Err(error) = tarred::index_again(*diff_id, &directory, stage.path()) {
            // It was made a directory meanwhile.
            return if self.has_tree(diff_id) { Ok(true) } else { Err(error) };
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
        if self.has_tree(diff_id) {
            return Ok(());
        }
        std::fs::rename(stage.path().join(tarred::INDEX), &place).on("put in its place", &place)?;
        self.mounts.forget(diff_id);
        Ok(())
    }

    /// Whether what is written beside a tree is right; beside a tar nothing is.
    pub(crate) fn knows_tar_size(&self, diff_id: &DiffId, bytes: u64) -> bool {
        let directory = self.layout.layer(diff_id);
        !directory.join(TREE).is_dir() || read_info(&directory).is_ok_and(|info| info.tar_size == bytes)
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
