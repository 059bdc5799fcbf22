//! Copies a tree of files, for a tmpfs that begins with what was at its place.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use dhow_sys::path;
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Uid};

/// Copies what is in `from` into `to`: directories, files and links, with owners and modes.
///
/// The tree may be in a volume that others write to meanwhile. A name is looked up once, what it is on
/// is told by the handle, and only the handle is read: a link in the place of what was a file or a
/// directory a moment ago would lead to the host's files, which are still in sight here.
pub(super) fn tree(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let from = rustix::fs::openat(from, ".", flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&from)?;
    own(to, Path::new(""), &stat)?;
    rustix::fs::chmodat(to, ".", mode(&stat), AtFlags::empty())?;
    for entry in Dir::read_from(&from)? {
        let entry = entry?;
        let name = Path::new(std::ffi::OsStr::from_bytes(entry.file_name().to_bytes()));
        if name != Path::new(".") && name != Path::new("..") {
            copy(&path::handle_of_entry(&from, name)?, to, name)?;
        }
    }
    Ok(())
}

/// Copies what a handle is on; sockets, pipes and devices are left out.
fn copy(source: &OwnedFd, to: BorrowedFd<'_>, name: &Path) -> io::Result<()> {
    let stat = rustix::fs::statat(source, "", AtFlags::EMPTY_PATH)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            rustix::fs::mkdirat(to, name, Mode::RWXU)?;
            tree(source.as_fd(), path::handle_of_entry(to, name)?.as_fd())
        }
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(source, "", Vec::new())?;
            rustix::fs::symlinkat(target, to, name)?;
            own(to, name, &stat)
        }
        FileType::RegularFile => {
            // The handle itself cannot be read; this opens what it is on and nothing else.
            let again = format!("/proc/self/fd/{}", source.as_raw_fd());
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let mut source = File::from(rustix::fs::open(again, flags, Mode::empty())?);
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let mut target = File::from(rustix::fs::openat(to, name, flags, Mode::RUSR)?);
            io::copy(&mut source, &mut target)?;
            // The owner first: changing it clears the set-user-id bit.
            own(to, name, &stat)?;
            Ok(rustix::fs::fchmod(&target, mode(&stat))?)
        }
        _ => Ok(()),
    }
}

fn own(directory: BorrowedFd<'_>, name: &Path, like: &Stat) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(like.st_uid), Gid::from_raw(like.st_gid));
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
    Ok(rustix::fs::chownat(directory, name, Some(uid), Some(gid), flags)?)
}

fn mode(stat: &Stat) -> Mode {
    Mode::from_raw_mode(stat.st_mode & 0o7777)
}
