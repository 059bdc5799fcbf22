//! Which layer formats there are on this machine, found out by trying.
//!
//! File-backed EROFS is a matter of the kernel's version, of its configuration, of a module that may be
//! missing, and of the file system below: a tiny layer is made, mounted below an overlay and read.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use rustix::mount::MountAttrFlags;

use super::mount::{Lower, NAME, Overlay};
use super::{LayerFormat, receive, tarred};
use crate::error::{Error, Kind, Result};
use crate::layout::Layout;
use crate::staging::Stage;
use crate::tar::{Entry, Writer};

/// Not a multiple of anything: the last block of a file is where mistakes are.
const CONTENTS: &[u8] = b"a layer that is a tar and an index";

/// What layers are on this machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Formats {
    /// What new layers become.
    pub(crate) new: LayerFormat,
    /// Whether layers that are tars can be mounted.
    pub(crate) mounts_tars: bool,
}

/// Tries the format that is wanted; without a wish, what the machine can do is taken.
pub(crate) fn choose(layout: &Layout, wanted: Option<LayerFormat>) -> Result<Formats> {
    let tried = try_tar(layout);
    let mounts_tars = tried.is_ok();
    match (wanted, tried) {
        (Some(LayerFormat::Tar), Err(error)) => Err(Error::new(
            Kind::Unavailable,
            "layers cannot be kept as tars: this kernel does not mount their index",
        )
        .because(error)),
        (None, Err(error)) => {
            tracing::info!(%error, "layers are kept as directories: the index of a tar cannot be mounted");
            Ok(Formats { new: LayerFormat::Directory, mounts_tars })
        }
        (wanted, _) => Ok(Formats { new: wanted.unwrap_or(LayerFormat::Tar), mounts_tars }),
    }
}

/// The layer to try stays: a disk that is full at a later start must not change the answer. One that a
/// power cut spoiled is made again.
fn try_tar(layout: &Layout) -> io::Result<()> {
    let place = layout.probe();
    if place.is_dir() && look(layout, &place).is_ok() {
        return Ok(());
    }
    make(layout, &place).map_err(|error| io::Error::other(error.report()))?;
    look(layout, &place)
}

fn look(layout: &Layout, place: &Path) -> io::Result<()> {
    let layer = tarred::mount(place)?;
    let lower = [Lower::Mounted(Arc::new(layer)), Lower::Directory(layout.base())];
    let overlay =
        Overlay { lower: &lower, writable: None, attributes: MountAttrFlags::empty(), source: NAME };
    let read = read(&overlay.mount()?, "probe/file".as_ref())?;
    if read == CONTENTS { Ok(()) } else { Err(io::Error::other("what is read is not what was written")) }
}

fn make(layout: &Layout, place: &Path) -> Result<()> {
    let mut tar = Writer::new(Vec::new());
    tar.append(&Entry::directory("probe"), &mut io::empty())?;
    tar.append(&Entry::file("probe/file", CONTENTS.len() as u64), &mut &*CONTENTS)?;
    let tar = tar.finish()?;
    let stage = Stage::new(layout)?;
    let layer = receive(&stage, "layer", LayerFormat::Tar, &*tar)?;
    if !stage.publish(&layer.name, place)? {
        stage.exchange(&layer.name, place)?;
    }
    Ok(())
}

fn read(root: &OwnedFd, path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(root.as_fd(), path, flags, Mode::empty())?;
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut std::fs::File::from(file), &mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_that_a_power_cut_spoiled_is_made_again() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::create(directory.path()).unwrap();
        let Ok(Formats { new: LayerFormat::Tar, mounts_tars: true }) = choose(&layout, None) else {
            eprintln!("not run: needs root and a kernel that mounts the index of a tar");
            return;
        };
        std::fs::write(layout.probe().join(tarred::INDEX), "").unwrap();
        std::fs::write(layout.probe().join(tarred::TAR), "").unwrap();
        assert!(choose(&layout, Some(LayerFormat::Tar)).unwrap().mounts_tars);
        assert_eq!(choose(&layout, Some(LayerFormat::Directory)).unwrap().new, LayerFormat::Directory);
    }
}
