//! Paths that somebody else wrote, resolved below a held directory.
//!
//! A path of a container, an archive or a build context is never joined to a string: between a check
//! and a use its author may swap a component for a link (CVE-2018-15664, CVE-2021-30465,
//! CVE-2024-45310). `openat2` resolves all of it in one call, with `..` and absolute links ending at
//! the held directory, and what follows acts on the handle.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Opens `path` as if `root` were the root directory; links inside are followed inside.
///
/// # Errors
/// The kernel's; a magic link is `ELOOP`.
pub fn open(root: impl AsFd, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    retry(|| rustix::fs::openat2(root.as_fd(), non_empty(path), flags | OFlags::CLOEXEC, mode, resolve))
}

/// Opens `path` below `root`; a link that leads out of it is refused.
///
/// # Errors
/// The kernel's: `EXDEV` for what leads out, `ELOOP` for a magic link.
pub fn open_beneath(root: impl AsFd, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    retry(|| rustix::fs::openat2(root.as_fd(), non_empty(path), flags | OFlags::CLOEXEC, mode, resolve))
}

/// A handle on what is at `path`, without any right to read it; a link at its end is followed.
///
/// # Errors
/// As [`open`].
pub fn handle(root: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    open(root, path, OFlags::PATH, Mode::empty())
}

/// A handle on what is at `path`; a link at its end is not followed.
///
/// # Errors
/// As [`open`].
pub fn handle_of_link(root: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    open(root, path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())
}

/// Makes the directory `path` and all above it that are missing, and answers a handle on it.
///
/// Links on the way are followed inside `root`. A dangling link on the way is not completed: that
/// would make a directory where its author, not its user, wants one.
///
/// # Errors
/// The kernel's; `ENOTDIR` when something on the way is no directory.
pub fn make_directories(root: impl AsFd, path: &Path, mode: Mode) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    match open(&root, path, flags, Mode::empty()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        done => return done,
    }
    let mut walked = PathBuf::from("/");
    let mut directory = open(&root, &walked, flags, Mode::empty())?;
    for component in path.components() {
        let Component::Normal(name) = component else {
            // `..` is resolved by the kernel, on the whole path walked so far.
            walked.push(component);
            directory = open(&root, &walked, flags, Mode::empty())?;
            continue;
        };
        walked.push(name);
        directory = match open(&root, &walked, flags, Mode::empty()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_directory(&directory, name.as_ref(), mode)?
            }
            done => done?,
        };
    }
    Ok(directory)
}

/// Makes an empty file at `path`, and the directories above it; what is there already stays.
///
/// # Errors
/// The kernel's.
pub fn make_file(root: impl AsFd, path: &Path, mode: Mode) -> io::Result<OwnedFd> {
    match handle(&root, path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        done => return done,
    }
    let (parent, name) = parent_and_name(&root, path, Mode::from_raw_mode(0o755))?;
    match rustix::fs::mknodat(&parent, &name, FileType::RegularFile, mode, 0) {
        Ok(()) | Err(Errno::EXIST) => handle_of_entry(&parent, &name),
        Err(error) => Err(error.into()),
    }
}

/// The directory that `path` is in, made where it is missing, and the name in it.
///
/// # Errors
/// The kernel's; `InvalidInput` when the path has no last name.
pub fn parent_and_name(root: impl AsFd, path: &Path, mode: Mode) -> io::Result<(OwnedFd, PathBuf)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let parent = make_directories(root, path.parent().unwrap_or(Path::new("/")), mode)?;
    Ok((parent, name.into()))
}

/// A handle on an entry of a directory, never following it.
///
/// # Errors
/// The kernel's.
pub fn handle_of_entry(directory: impl AsFd, name: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(directory, name, flags, Mode::empty())?)
}

/// Whether the handle is on a directory.
///
/// # Errors
/// The kernel's.
pub fn is_directory(fd: impl AsFd) -> io::Result<bool> {
    let stat = rustix::fs::statat(fd, "", AtFlags::EMPTY_PATH)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

fn make_directory(parent: &OwnedFd, name: &Path, mode: Mode) -> io::Result<OwnedFd> {
    match rustix::fs::mkdirat(parent, name, mode) {
        // The mode is set again: the first one was cut by the umask.
        Ok(()) => rustix::fs::chmodat(parent, name, mode, AtFlags::empty())?,
        Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(parent, name, flags, Mode::empty())?)
}

/// The kernel answers `EAGAIN` when it cannot rule out that `..` was raced by a rename.
fn retry(mut call: impl FnMut() -> rustix::io::Result<OwnedFd>) -> io::Result<OwnedFd> {
    for _ in 0..128 {
        match call() {
            Err(Errno::AGAIN | Errno::INTR) => {}
            done => return Ok(done?),
        }
    }
    Ok(call()?)
}

fn non_empty(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn root(of: &Path) -> OwnedFd {
        rustix::fs::open(of, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap()
    }

    #[test]
    fn no_link_leads_out_of_the_root() {
        let directory = tempfile::tempdir().unwrap();
        let (inside, outside) = (directory.path().join("in"), directory.path().join("out"));
        std::fs::create_dir_all(inside.join("etc")).unwrap();
        std::fs::create_dir_all(&outside).unwrap();
        symlink(&outside, inside.join("absolute")).unwrap();
        symlink("../../../../../out", inside.join("dots")).unwrap();
        symlink("/proc/self/root", inside.join("magic")).unwrap();
        let root = root(&inside);
        for way in ["absolute/new", "dots/new", "../out/new", "magic/new"] {
            drop(make_directories(&root, Path::new(way), Mode::from_raw_mode(0o755)));
            drop(make_file(&root, &Path::new(way).join("file"), Mode::from_raw_mode(0o644)));
        }
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    }

    #[test]
    fn directories_are_made_behind_links_that_stay_inside() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("usr/lib")).unwrap();
        symlink("/usr/lib", directory.path().join("lib")).unwrap();
        make_directories(root(directory.path()), Path::new("/lib/a/b"), Mode::from_raw_mode(0o750)).unwrap();
        assert!(directory.path().join("usr/lib/a/b").is_dir());
        make_file(root(directory.path()), Path::new("/lib/a/file"), Mode::from_raw_mode(0o600)).unwrap();
        assert!(directory.path().join("usr/lib/a/file").is_file());
    }
}
