//! A path as `docker cp` writes it, found in a container's tree.
//!
//! Links are followed inside the tree up to the last component; that one is not, unless the path
//! ends with a slash or `/.`: then the directory itself is meant.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use dhow_model::Timestamp;
use dhow_model::ports::PathStat;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, readlinkat, statat};

/// Where a path leads.
#[derive(Debug)]
pub(super) struct Location {
    /// The directory that it is in, or the directory itself.
    pub(super) parent: OwnedFd,
    /// The name there; `.` for the directory itself.
    pub(super) name: OsString,
    /// What clients call it: the last component.
    pub(super) base: String,
    pub(super) stat: Stat,
    /// Absolute and clean.
    path: PathBuf,
}

impl Location {
    pub(super) fn find(root: &OwnedFd, path: &Path) -> io::Result<Self> {
        let written = path.as_os_str().as_bytes();
        let dot = written == b"." || written.ends_with(b"/.");
        let path = clean(path);
        let itself = dot || written.ends_with(b"/") || path == Path::new("/");
        let base = match path.file_name() {
            _ if dot => ".".into(),
            Some(name) => name.to_string_lossy().into_owned(),
            None => "/".into(),
        };
        let (parent, name) = match path.file_name() {
            Some(name) if !itself => (path.parent().unwrap_or(Path::new("/")), name),
            _ => (path.as_path(), OsStr::new(".")),
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let parent = dhow_sys::path::open(root, parent, flags, Mode::empty())?;
        let stat = statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Self { parent, name: name.into(), base, stat, path })
    }

    pub(super) fn is_directory(&self) -> bool {
        FileType::from_raw_mode(self.stat.st_mode) == FileType::Directory
    }

    /// What Docker tells of it.
    pub(super) fn describe(&self, root: &OwnedFd) -> io::Result<PathStat> {
        let nanos = i128::from(self.stat.st_mtime) * 1_000_000_000 + i128::from(self.stat.st_mtime_nsec);
        let is_link = FileType::from_raw_mode(self.stat.st_mode) == FileType::Symlink;
        Ok(PathStat {
            name: self.base.clone(),
            size: self.stat.st_size,
            mode: go_mode(self.stat.st_mode),
            mtime: Timestamp::from_nanos(nanos),
            link_target: if is_link { self.target(root)? } else { String::new() },
        })
    }

    /// Where a link leads, seen from the container's root; it need not exist.
    fn target(&self, root: &OwnedFd) -> io::Result<String> {
        if let Ok(found) = dhow_sys::path::handle(root, &self.path)
            && let Ok(path) = resolved(root, &found)
        {
            return Ok(path.to_string_lossy().into_owned());
        }
        let text = readlinkat(&self.parent, &self.name, Vec::new())?;
        let text = Path::new(OsStr::from_bytes(text.to_bytes()));
        let from = self.path.parent().unwrap_or(Path::new("/"));
        Ok(clean(&from.join(text)).to_string_lossy().into_owned())
    }
}

/// An absolute path without `.` and `..`.
pub(super) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

/// Where a handle is, seen from the tree's root.
pub(super) fn resolved(root: &OwnedFd, handle: &OwnedFd) -> io::Result<PathBuf> {
    let (top, found) = (path_of(root)?, path_of(handle)?);
    let below = found.strip_prefix(&top).map_err(io::Error::other)?;
    Ok(Path::new("/").join(below))
}

/// The path of a handle, as the kernel tells it.
fn path_of(handle: &OwnedFd) -> io::Result<PathBuf> {
    use std::os::fd::AsRawFd as _;
    std::fs::read_link(format!("/proc/self/fd/{}", handle.as_raw_fd()))
}

/// Go's `os.FileMode`.
fn go_mode(mode: u32) -> u32 {
    let kind = match FileType::from_raw_mode(mode) {
        FileType::Directory => 1 << 31,
        FileType::Symlink => 1 << 27,
        FileType::BlockDevice => 1 << 26,
        FileType::CharacterDevice => 1 << 26 | 1 << 21,
        FileType::Fifo => 1 << 25,
        FileType::Socket => 1 << 24,
        _ => 0,
    };
    let special = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
    let special = special.iter().filter(|(bit, _)| mode & bit != 0).fold(0, |all, (_, go)| all | go);
    kind | special | (mode & 0o777)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_gos() {
        for (unix, go) in [
            (0o100_644, 0o644),
            (0o040_755, 0x8000_01ed),
            (0o120_777, 0x0800_01ff),
            (0o104_755, 0x0080_01ed),
            (0o041_777, 0x8010_01ff),
            (0o020_666, 0x0420_01b6),
        ] {
            assert_eq!(go_mode(unix), go, "{unix:o}");
        }
    }
}
