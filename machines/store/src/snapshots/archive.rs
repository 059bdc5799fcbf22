//! Paths of a container as archives: `docker cp`, `export`, `diff`.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dhow_model::ports::{ArchiveOptions, ArchiveTarget, Change, PathStat};
use dhow_model::{ContainerId, Error, Result};
use dhow_sys::identity::FileOwner;
use rustix::fs::{Mode, OFlags};

use super::location::{Location, clean, resolved};
use super::mounted::Access;
use super::tree::{ContainerTree, check_writable, is_bind};
use crate::Core;
use crate::error::Context as _;
use crate::layer::{CreateOptions, ExtractOptions, create, create_path, extract_in_container};
use crate::stack::Lower;

impl Core {
    pub(super) fn changes(&self, id: &ContainerId) -> Result<Vec<Change>> {
        let snapshot = self.snapshot(id)?;
        let upper = self.layout.container(id).join("rw");
        let upper = File::open(&upper).on("open", &upper)?;
        let lower = self.lower(&snapshot.layers)?;
        let lower = lower.iter().map(Lower::open).collect::<rustix::io::Result<Vec<OwnedFd>>>();
        let lower = lower.context(|| format!("cannot open the layers of container {}", id.short()))?;
        let lower: Vec<BorrowedFd<'_>> = lower.iter().map(OwnedFd::as_fd).collect();
        Ok(crate::layer::changes(upper.as_fd(), &lower)?)
    }

    pub(super) fn export(&self, target: &ArchiveTarget, out: &mut dyn Write) -> Result<()> {
        let (root, is_running) = self.own_tree(&target.id, target.pid)?;
        let root = reopen(&root).context(|| format!("cannot export container {}", target.id.short()))?;
        // What is mounted for us alone has the owners of the disk, which are the container's.
        let users = target.users.clone().filter(|_| is_running);
        Ok(create(root.as_fd(), &CreateOptions::seen_from_host(users), out).map(drop)?)
    }

    pub(super) fn stat(&self, target: &ArchiveTarget, path: &Path) -> Result<PathStat> {
        let tree = self.tree(target, Access::Read)?;
        let location = find(&tree.root, target, path)?;
        location.describe(&tree.root).context(|| format!("cannot look at {}", path.display()))
    }

    pub(super) fn read_archive(
        &self,
        target: &ArchiveTarget,
        path: &Path,
        begin: &mut dyn FnMut(PathStat) -> Result<()>,
        out: &mut dyn Write,
    ) -> Result<()> {
        let tree = self.tree(target, Access::Read)?;
        let location = find(&tree.root, target, path)?;
        let stat = location.describe(&tree.root).context(|| format!("cannot look at {}", path.display()))?;
        begin(stat)?;
        // Clients put another name in front of the root's entries: it must be empty.
        let rename = if location.base == "/" { b"" } else { location.base.as_bytes() };
        let options = CreateOptions::seen_from_host(target.users.clone());
        if !location.is_directory() {
            let file = (location.parent.as_fd(), location.name.as_bytes());
            return Ok(create_path(file, rename, &options, out).map(drop)?);
        }
        let told = || format!("cannot open {}", path.display());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory =
            rustix::fs::openat(&location.parent, &location.name, flags, Mode::empty()).context(told)?;
        Ok(create_path((directory.as_fd(), b"."), rename, &options, out).map(drop)?)
    }

    /// Owners come from the archive either way: clients that build images by it (buildpacks) rely on
    /// that, whatever the option's name says.
    pub(super) fn write_archive(
        &self,
        target: &ArchiveTarget,
        path: &Path,
        options: ArchiveOptions,
        tar: &mut dyn Read,
    ) -> Result<()> {
        let into = self.destination(target, path)?;
        let users = match &target.seen_by {
            // Seen with the numbers of the container, directories of somebody else cannot be written by anybody.
            Some(user) if is_bind(target, &into.place) => Some(Arc::new(user.map().inverse())),
            _ => target.users.clone(),
        };
        let into = match &target.seen_by {
            Some(_) if users.is_some() => {
                drop(into);
                self.destination(&ArchiveTarget { seen_by: None, ..target.clone() }, path)?
            }
            _ => into,
        };
        // To the files of a user namespace the host's root is nobody, who could make none.
        let root = users.as_ref().map(|users| users.root()).transpose()?;
        let owner = root.map(|(uid, gid)| FileOwner::new(uid, gid)).transpose();
        let _owner = owner.context(|| "cannot write as the root of the container")?;
        let extract_options = ExtractOptions {
            no_overwrite_dir_non_dir: options.no_overwrite_dir_non_dir,
            users,
            mount_points: into.tree.mount_points.clone(),
            ..ExtractOptions::copy_in()
        };
        let _bound = self.quotas.obey()?;
        let place = (into.tree.root.as_fd(), into.place.as_os_str().as_bytes());
        Ok(extract_in_container(tar, place, &extract_options).map(drop)?)
    }

    fn destination(&self, target: &ArchiveTarget, path: &Path) -> Result<Destination<'_>> {
        let tree = self.tree(target, Access::Write)?;
        let into =
            dhow_sys::path::open(&tree.root, &clean(path), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty());
        let directory = into.map_err(|error| match error.kind() {
            io::ErrorKind::NotADirectory if dhow_sys::path::handle(&tree.root, &clean(path)).is_ok() => {
                Error::invalid("extraction point is not a directory")
            }
            _ => not_found(error, target, path),
        })?;
        // Where it is, and not how it was named: links lead from one mount to another.
        let place = resolved(&tree.root, &directory).context(|| format!("cannot find {}", path.display()))?;
        check_writable(target, &place)?;
        Ok(Destination { place, tree })
    }
}

/// A directory that is written to.
struct Destination<'a> {
    /// Where it is in the container, without links on the way.
    place: PathBuf,
    tree: ContainerTree<'a>,
}

fn find(root: &OwnedFd, target: &ArchiveTarget, path: &Path) -> Result<Location> {
    Location::find(root, path).map_err(|error| not_found(error, target, path))
}

/// The words are Docker's.
fn not_found(error: io::Error, target: &ArchiveTarget, path: &Path) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => {
            Error::not_found(format!("Could not find the file {} in container {}", path.display(), target.id))
        }
        io::ErrorKind::NotADirectory => Error::internal(format!("lstat {}: not a directory", path.display())),
        _ => Error::internal(format!("cannot open {}", path.display())).because(error),
    }
}

/// The handle of a mount is one for looking up; this one can be listed.
fn reopen(root: &OwnedFd) -> io::Result<OwnedFd> {
    dhow_sys::path::open(root, Path::new("."), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
}
