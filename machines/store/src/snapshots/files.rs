//! Small looks into a container's tree: one file for the engine, one directory for a new volume.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use dhow_model::{ContainerId, Error, Result};
use rustix::fs::{FileType, Mode, OFlags, fstat};

use super::location::clean;
use super::mounted::Access;
use crate::Core;
use crate::error::Context as _;

impl Core {
    /// Of a container that has changed nothing, what is known of its image does.
    pub(super) fn read_file(
        &self,
        id: &ContainerId,
        pid: Option<i32>,
        path: &Path,
        limit: u64,
    ) -> Result<Option<Vec<u8>>> {
        let upper = self.layout.container(id).join("rw");
        let unchanged = std::fs::read_dir(&upper).on("read", &upper)?.next().is_none();
        let image = self.snapshot(id)?.image.filter(|_| unchanged);
        let Some(image) = image else { return self.read_merged_file(id, pid, path, limit) };
        let known = self.small_files.get(image, path);
        if let Some(contents) = known.filter(|known| known.as_ref().is_none_or(|c| c.len() as u64 <= limit)) {
            return Ok(contents.map(|contents| contents.to_vec()));
        }
        let contents = self.read_merged_file(id, pid, path, limit)?;
        self.small_files.put(image, path, contents.as_deref());
        Ok(contents)
    }

    /// Makes a directory of a container that is new, unless its image has it.
    pub(super) fn make_directory_in(&self, id: &ContainerId, path: &Path) -> Result<()> {
        let image = self.snapshot(id)?.image;
        if image.is_some_and(|image| self.small_files.has_directory(image, path)) {
            return Ok(());
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let opened = dhow_sys::path::open(self.mount(id, Access::Read)?, &clean(path), flags, Mode::empty());
        match opened.map_err(|error| error.kind()) {
            Ok(_) => image.into_iter().for_each(|image| self.small_files.put_directory(image, path)),
            Err(io::ErrorKind::NotADirectory) => {
                return Err(Error::internal(format!("Cannot mkdir: {} is not a directory", path.display())));
            }
            Err(_) => {
                let _bound = self.quotas.obey()?;
                let tree = self.mount(id, Access::Write)?;
                dhow_sys::path::make_directories(&tree, &clean(path), Mode::from_raw_mode(0o755))
                    .context(|| format!("Cannot mkdir: {}", path.display()))?;
            }
        }
        Ok(())
    }

    fn read_merged_file(
        &self,
        id: &ContainerId,
        pid: Option<i32>,
        path: &Path,
        limit: u64,
    ) -> Result<Option<Vec<u8>>> {
        let (root, _) = self.own_tree(id, pid)?;
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

/// A directory of a container that does not run; none when there is no such directory.
pub(crate) fn directory_of(core: &Core, id: &ContainerId, path: &Path) -> Result<Option<OwnedFd>> {
    let root = core.mount(id, Access::Read)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    existing(dhow_sys::path::open(&root, path, flags, Mode::empty()))
        .context(|| format!("cannot open {} of container {}", path.display(), id.short()))
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
