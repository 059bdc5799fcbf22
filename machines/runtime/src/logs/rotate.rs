//! Rotation: `name` becomes `name.1`, `name.1` becomes `name.2`, and the last one goes.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use dhow_sys::fork::{Fork, exit_now, fork};
use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::process::{Pid, WaitOptions, waitpid};

/// How much the compressor gives way to others.
const NICE: i32 = 10;

/// Rotations during one [`clear`].
const MOST_ROTATIONS: usize = 10;

/// The file of number `number`, compressed or not.
#[must_use]
pub fn numbered(path: &Path, number: u32, compressed: bool) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}{}", if compressed { ".gz" } else { "" }));
    PathBuf::from(name)
}

/// Moves every file of the log one number up, `path` itself to 1; at most `max_files` (2 or more)
/// are left, with the new file that the caller makes.
///
/// # Errors
/// When `path` itself cannot be renamed.
pub fn shift(path: &Path, max_files: u32) -> io::Result<()> {
    let mut rotated: Vec<_> = siblings(path)?.into_iter().filter(|file| file.kind != Kind::Part).collect();
    rotated.sort_by_key(|file| std::cmp::Reverse(file.number));
    for file in rotated {
        // One that stays where it is will be overwritten, and nothing is worse for it.
        let _ = if file.number >= max_files - 1 {
            fs::remove_file(&file.path)
        } else {
            fs::rename(&file.path, numbered(path, file.number + 1, file.kind == Kind::Compressed))
        };
    }
    fs::rename(path, numbered(path, 1, false))
}

/// Compresses what was rotated, in a process of its own: the compressor's memory goes with it, and
/// output is read meanwhile. What an earlier one left, that was killed, is made good on the way. Returns
/// the process, to be given to [`wait`]; none when there can be no process, then it was done here.
pub fn compress_aside(path: &Path) -> Option<Pid> {
    match fork() {
        Ok(Fork::Parent(child)) => Some(child),
        Ok(Fork::Child) => {
            // Whoever waits for the end of one of our streams must not wait for this.
            let _ = dhow_sys::descriptors::close_all_but(&mut []);
            let _ = rustix::process::nice(NICE);
            compress_all(path);
            exit_now(0)
        }
        Err(_) => {
            compress_all(path);
            None
        }
    }
}

/// Waits for the process of [`compress_aside`].
pub fn wait(child: Pid) {
    let _ = rustix::io::retry_on_intr(|| waitpid(Some(child), WaitOptions::empty()));
}

/// Whether the process of [`compress_aside`] has ended.
#[must_use]
pub fn has_ended(child: Pid) -> bool {
    !matches!(waitpid(Some(child), WaitOptions::NOHANG), Ok(None))
}

/// What cannot be compressed stays as it is, and is read as it is.
fn compress_all(path: &Path) {
    for file in siblings(path).unwrap_or_default() {
        if file.kind == Kind::Plain {
            let _ = compress(&file.path, &numbered(path, file.number, true));
        }
    }
}

/// Writes `to` as gzip of `from`, and removes `from` when that is whole.
///
/// The part is made before `from` is opened, and `logs --clear` removes them in the other order: what it
/// removed cannot come back.
fn compress(from: &Path, to: &Path) -> io::Result<()> {
    let part = part(from);
    // As readable as what it is made of.
    let new = File::options().write(true).create(true).truncate(true).mode(0o640).open(&part)?;
    let mut encoder = GzEncoder::new(new, Compression::default());
    let written = io::copy(&mut File::open(from)?, &mut encoder)
        .and_then(|_| encoder.finish())
        .and_then(|_| fs::rename(&part, to));
    match written {
        Ok(()) => fs::remove_file(from),
        Err(error) => {
            let _ = fs::remove_file(&part);
            Err(error)
        }
    }
}

/// What `from` is compressed into, until that is whole.
fn part(from: &Path) -> PathBuf {
    let mut name = from.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

/// Empties the log at `path`, whoever writes it meanwhile.
///
/// # Errors
/// The kernel's, but for files that are not there.
pub fn clear(path: &Path) -> io::Result<()> {
    // A rotation in between gives the old contents another number: then once more.
    for _ in 0..MOST_ROTATIONS {
        let emptied = empty(path)?;
        for file in siblings(path)? {
            match fs::remove_file(&file.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if emptied == identity(path)? {
            return Ok(());
        }
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, "it is rotated faster than it can be emptied"))
}

fn empty(path: &Path) -> io::Result<Option<(u64, u64)>> {
    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    match File::options().write(true).custom_flags(flags).open(path) {
        Ok(file) => {
            file.set_len(0)?;
            let metadata = file.metadata()?;
            Ok(Some((metadata.dev(), metadata.ino())))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Device and inode of the file at `path`; none when there is none.
///
/// # Errors
/// The kernel's.
pub fn identity(path: &Path) -> io::Result<Option<(u64, u64)>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some((metadata.dev(), metadata.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A rotated file.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rotated {
    kind: Kind,
    number: u32,
    path: PathBuf,
}

/// What a rotated file is, in the order in which they are to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Plain,
    Part,
    Compressed,
}

/// The rotated files of the log at `path`, in that order.
fn siblings(path: &Path) -> io::Result<Vec<Rotated>> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
    else {
        return Ok(Vec::new());
    };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?.file_name();
        let place = entry.to_str().and_then(|entry| entry.strip_prefix(name)).and_then(place_of);
        found.extend(place.map(|(kind, number)| Rotated { kind, number, path: directory.join(&entry) }));
    }
    found.sort();
    Ok(found)
}

/// What the end of a rotated file's name says: `.3`, `.3.part` or `.3.gz`.
fn place_of(suffix: &str) -> Option<(Kind, u32)> {
    let suffix = suffix.strip_prefix('.')?;
    let (number, kind) = match suffix.split_once('.') {
        None => (suffix, Kind::Plain),
        Some((number, "part")) => (number, Kind::Part),
        Some((number, "gz")) => (number, Kind::Compressed),
        Some(_) => return None,
    };
    let digits = !number.starts_with(['0', '+']);
    number.parse().ok().filter(|_| digits).map(|number| (kind, number))
}

/// Bytes on disk of all files of the log at `path`.
///
/// # Errors
/// The kernel's, but for files that are not there.
pub fn size(path: &Path) -> io::Result<u64> {
    let mut size = 0;
    let rotated = siblings(path)?;
    for file in rotated.iter().map(|file| file.path.as_path()).chain([path]) {
        match fs::symlink_metadata(file) {
            Ok(metadata) => size += metadata.blocks() * 512,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_emptied_with_all_that_was_rotated_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        for name in ["log", "log.1", "log.2.gz", "log.3.part", "log.9", "log.x", "other", "log.gz"] {
            fs::write(directory.path().join(name), "text").unwrap();
        }
        assert!(size(&path).unwrap() >= 4096);
        clear(&path).unwrap();
        let mut left: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["log", "log.gz", "log.x", "other"]);
        assert_eq!((fs::read(&path).unwrap().len(), size(&path).unwrap()), (0, 0));
        clear(&directory.path().join("none")).unwrap();
    }

    #[test]
    fn what_a_killed_compressor_left_is_made_good_with_the_next_rotation() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        for name in ["log.1", "log.2", "log.2.part", "log.3.gz"] {
            fs::write(directory.path().join(name), name).unwrap();
        }
        compress_all(&path);
        let mut left: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["log.1.gz", "log.2.gz", "log.3.gz"]);
        let others = fs::metadata(directory.path().join("log.1.gz")).unwrap().mode() & 0o007;
        assert_eq!(others, 0, "a log is not for everybody, packed or not");
    }
}
