//! Rotation: `name` becomes `name.1`, `name.1` becomes `name.2`, and the last one goes.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use dhow_sys::fork::{Fork, exit_now, fork};
use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::process::{Pid, WaitOptions, waitpid};

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
    for compressed in [false, true] {
        let _ = fs::remove_file(numbered(path, max_files - 1, compressed));
        for number in (1..max_files - 1).rev() {
            // Most of them are not there, which is no error.
            let _ = fs::rename(numbered(path, number, compressed), numbered(path, number + 1, compressed));
        }
    }
    fs::rename(path, numbered(path, 1, false))
}

/// Compresses number 1 in a process of its own: the compressor's memory goes with it, and output is
/// read meanwhile. Returns the process, to be given to [`wait`]; none when there can be no process,
/// then it was done here.
pub fn compress_aside(path: &Path) -> Option<Pid> {
    let (from, to) = (numbered(path, 1, false), numbered(path, 1, true));
    match fork() {
        Ok(Fork::Parent(child)) => Some(child),
        Ok(Fork::Child) => exit_now(i32::from(compress(&from, &to).is_err())),
        Err(_) => {
            // What cannot be compressed stays as it is, and is read as it is.
            let _ = compress(&from, &to);
            None
        }
    }
}

/// Waits for the process of [`compress_aside`].
pub fn wait(child: Pid) {
    let _ = rustix::io::retry_on_intr(|| waitpid(Some(child), WaitOptions::empty()));
}

/// Writes `to` as gzip of `from`, and removes `from` when that is whole.
fn compress(from: &Path, to: &Path) -> io::Result<()> {
    let part = to.with_extension("part");
    let mut encoder = GzEncoder::new(File::create(&part)?, Compression::default());
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
