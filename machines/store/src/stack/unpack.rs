//! A layer comes in: unpacked beside its place, hashed and recorded in one pass.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, openat2, statat};
use serde::{Deserialize, Serialize};

use super::recipe::{Left, Recorder};
use super::{NewLayer, Telling};
use crate::error::{Context as _, Result};
use crate::layer::{Compression, Decoder, ExtractOptions, extract};
use crate::layout::make_directory;
use crate::staging::Stage;
use crate::tar::Limits;

/// A layer's tree, how to get its tar back, and what is written beside them.
pub(super) const TREE: &str = "fs";
pub(super) const RECIPE: &str = "recipe";
pub(super) const INFO: &str = "layer.json";

/// What is written beside a layer's tree.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LayerInfo {
    /// Bytes of the tar.
    pub(super) tar_size: u64,
}

/// Reads what is written beside the tree of the layer in this directory.
pub(super) fn read_info(directory: &Path) -> Result<LayerInfo> {
    let path = directory.join(INFO);
    let text = std::fs::read(&path).on("read", &path)?;
    serde_json::from_slice(&text).on("read", &path)
}

/// Unpacks a layer, compressed or not, to the directory `name` of the stage.
pub(super) fn unpack(stage: &Stage, name: &str, archive: impl Read) -> Result<NewLayer> {
    let directory = stage.path().join(name);
    make_directory(&directory, 0o700)?;
    let tree = directory.join(TREE);
    make_directory(&tree, 0o755)?;
    let limits = Limits::default();
    let (start, archive) = look_ahead(archive)?;
    // Where it is not compressed the stream's digest is the diff id: one hash does.
    let compressed = Compression::detect(&start) != Compression::None;
    let source = Decoder::new(archive, compressed, &limits)?;
    let recipe = directory.join(RECIPE);
    let (recorder, mut tee) = Recorder::start(&recipe, source, limits)?;
    let root: OwnedFd = File::open(&tree).on("open", &tree)?.into();
    let options = ExtractOptions { hash_blob: false, ..ExtractOptions::layer() };
    let extracted = extract(&mut tee, root.as_fd(), &options);
    let source = tee.into_inner();
    let recorded = recorder.finish();
    let extracted = extracted?;
    let blob = source.finish()?;
    let telling = match recorded {
        Ok(recorded) if gives_back(&root, &recorded.left) => Telling::Exact,
        Ok(_) => Telling::NeedsTar,
        Err(error) => return Err(error),
    };
    if telling == Telling::NeedsTar {
        std::fs::remove_file(&recipe).on("remove", &recipe)?;
    }
    write_info(&directory, &LayerInfo { tar_size: extracted.size })?;
    Ok(NewLayer {
        diff_id: extracted.diff_id,
        digest: blob.digest.unwrap_or(extracted.diff_id),
        name: name.to_owned(),
        telling,
    })
}

/// Writes it.
pub(super) fn write_info(directory: &Path, info: &LayerInfo) -> Result<()> {
    let path = directory.join(INFO);
    let text = serde_json::to_vec(info).on("write", &path)?;
    std::fs::write(&path, text).on("write", &path)
}

fn look_ahead(mut archive: impl Read) -> Result<(Vec<u8>, impl Read)> {
    let mut start = Vec::new();
    (&mut archive).take(6).read_to_end(&mut start).context(|| "cannot read a layer")?;
    Ok((start.clone(), std::io::Cursor::new(start).chain(archive)))
}

/// Whether each file that the recipe leaves out is in the tree with its size, reached through no
/// link, and no two are the same: then each has the contents that its member had.
fn gives_back(root: &OwnedFd, left: &[Left]) -> bool {
    let mut seen = HashSet::with_capacity(left.len());
    let mut directory: Option<(PathBuf, OwnedFd)> = None;
    left.iter().all(|file| {
        let path = Path::new(OsStr::from_bytes(&file.path));
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return false };
        if directory.as_ref().is_none_or(|(known, _)| known != parent) {
            directory = open_directory(root, parent).map(|handle| (parent.to_path_buf(), handle));
        }
        let Some((_, handle)) = &directory else { return false };
        seen.insert(file.path.as_slice())
            && statat(handle, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| {
                FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
                    && u64::try_from(stat.st_size) == Ok(file.size)
            })
    })
}

fn open_directory(root: &OwnedFd, path: &Path) -> Option<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    openat2(root, path, flags, Mode::empty(), resolve).ok()
}
