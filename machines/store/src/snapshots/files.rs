//! Small looks into a container's tree: one file for the engine, one directory for a new volume.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use dhow_model::{ContainerId, Error, Result};
use rustix::fs::{FileType, Mode, OFlags, fstat};

use super::mounted::Access;
use crate::Core;
use crate::error::Context as _;
use crate::layer::{CreateOptions, ExtractOptions, Whiteouts, create, extract};

impl Core {
    pub(super) fn read_file(&self, id: &ContainerId, path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
        let root = self.mount(id, Access::Read)?;
        let told = || format!("cannot read {} of container {}", path.display(), id.short());
        // Without O_NONBLOCK a pipe of that name would hold us for ever.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let Some(file) = existing(dhow_sys::path::open(&root, path, flags, Mode::empty())).context(told)?
        else {
            return Ok(None);
        };
        let stat = fstat(&file).context(told)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        File::from(file).take(limit + 1).read_to_end(&mut bytes).context(told)?;
        if bytes.len() as u64 > limit {
            return Err(Error::invalid(format!("{}: it has more than {limit} bytes", told())));
        }
        Ok(Some(bytes))
    }
}

/// Copies the directory `path` of a container into the empty directory `into`; into one that is not
/// empty, or from what is no directory, nothing.
pub(crate) fn populate(core: &Core, id: &ContainerId, path: &Path, into: &Path) -> Result<()> {
    if std::fs::read_dir(into).on("read", into)?.next().is_some() {
        return Ok(());
    }
    let told = || format!("cannot copy {} of container {} to its volume", path.display(), id.short());
    let root = core.mount(id, Access::Read)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let Some(from) = existing(dhow_sys::path::open(&root, path, flags, Mode::empty())).context(told)? else {
        return Ok(());
    };
    let into = File::open(into).on("open", into)?;
    copy(&from, &into.into()).map_err(|error| Error::internal(told()).because(error))
}

fn copy(from: &OwnedFd, into: &OwnedFd) -> crate::tar::Result<()> {
    let (reader, mut writer) = io::pipe()?;
    let create_options = CreateOptions { root_entry: true, ..CreateOptions::plain() };
    let extract_options =
        ExtractOptions { whiteouts: Whiteouts::Keep, root_attributes: true, ..ExtractOptions::default() };
    let (read, written) = std::thread::scope(|scope| {
        let reading = scope.spawn(move || create(from.as_fd(), &create_options, &mut writer).map(drop));
        let written = extract(reader, into.as_fd(), &extract_options).map(drop);
        (reading.join(), written)
    });
    let read = read.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    written.and(read)
}

/// What is not there is nothing, and neither is what is behind something that is no directory.
fn existing(opened: io::Result<OwnedFd>) -> io::Result<Option<OwnedFd>> {
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(error) => match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
            Some(
                rustix::io::Errno::NOENT
                | rustix::io::Errno::NOTDIR
                | rustix::io::Errno::LOOP
                | rustix::io::Errno::NXIO
                | rustix::io::Errno::ACCESS,
            ) => Ok(None),
            _ => Err(error),
        },
    }
}
