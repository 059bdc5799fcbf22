//! Finds the files of a log, also while it is being rotated.

use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use dhow_model::ports::LogEntry;
use flate2::read::MultiGzDecoder;

use super::form::Form;
use super::records::Records;
use super::rotate::numbered;

/// One file of a log, open.
#[derive(Debug)]
pub struct LogFile {
    /// The file.
    pub file: File,
    /// It is gzip.
    pub compressed: bool,
}

impl LogFile {
    fn open(path: &Path, compressed: bool) -> io::Result<Self> {
        let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        let file = File::options().read(true).custom_flags(flags).open(path)?;
        Ok(Self { file, compressed })
    }

    /// Device and inode: whether two handles are one file.
    ///
    /// # Errors
    /// The kernel's.
    pub fn identity(&self) -> io::Result<(u64, u64)> {
        let metadata = self.file.metadata()?;
        Ok((metadata.dev(), metadata.ino()))
    }

    /// Its first entry; it stands where it stood.
    ///
    /// # Errors
    /// When there is no descriptor left, or it cannot be read.
    pub fn first_entry(&self, form: Form) -> io::Result<Option<LogEntry>> {
        let file = FromStart { file: self.file.try_clone()?, position: 0 };
        let contents: Box<dyn Read + Send> = if self.compressed {
            Box::new(MultiGzDecoder::new(io::BufReader::new(file)))
        } else {
            Box::new(file)
        };
        Records::new(contents, form, self.compressed, 0).next_entry()
    }

    /// Its entries, from where it stands.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub fn records(&mut self, form: Form) -> io::Result<Records> {
        let file = self.file.try_clone()?;
        let position = if self.compressed { 0 } else { self.file.stream_position()? };
        let contents: Box<dyn Read + Send> = if self.compressed {
            Box::new(MultiGzDecoder::new(io::BufReader::new(file)))
        } else {
            Box::new(file)
        };
        Ok(Records::new(contents, form, self.compressed, position))
    }
}

/// Reads a file without moving where its other readers stand.
struct FromStart {
    file: File,
    position: u64,
}

impl Read for FromStart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(buffer, self.position)?;
        self.position += length as u64;
        Ok(length)
    }
}

/// Rotations during one [`open_all`] that make it begin again.
const MOST_ROTATIONS: usize = 20;

/// Opens all files of the log at `path`, the oldest first; none when there is no log.
///
/// A file that is rotated and compressed meanwhile could be met twice, as itself and compressed: then
/// all is opened anew.
///
/// # Errors
/// The kernel's, but for files that are not there.
pub fn open_all(path: &Path) -> io::Result<Vec<LogFile>> {
    let mut files = open_once(path)?;
    for _ in 0..MOST_ROTATIONS {
        let newest = files.last().map(LogFile::identity).transpose()?;
        let now = open_current(path)?.as_ref().map(LogFile::identity).transpose()?;
        if newest == now || now.is_none() {
            break;
        }
        files = open_once(path)?;
    }
    Ok(files)
}

/// The newest is opened first and its elders after it: a rotation meanwhile moves files to higher
/// numbers only, so that each is met at least once, and one that is met twice is known by its inode.
fn open_once(path: &Path) -> io::Result<Vec<LogFile>> {
    let mut files: Vec<LogFile> = Vec::new();
    let mut known = Vec::new();
    let mut add = |file: LogFile| -> io::Result<()> {
        let identity = file.identity()?;
        if !known.contains(&identity) {
            known.push(identity);
            files.push(file);
        }
        Ok(())
    };
    if let Some(file) = present(LogFile::open(path, false))? {
        add(file)?;
    }
    let mut missing = 0;
    for number in 1.. {
        let plain = present(LogFile::open(&numbered(path, number, false), false))?;
        let compressed = present(LogFile::open(&numbered(path, number, true), true))?;
        // A plain file beside its compressed form is being compressed: it is the whole one.
        match plain.or(compressed) {
            Some(file) => {
                add(file)?;
                missing = 0;
            }
            // A rotation leaves one number empty for an instant.
            None if missing == 1 => break,
            None => missing += 1,
        }
    }
    files.reverse();
    Ok(files)
}

/// Opens the file that is written now; none when there is none for the instant of a rotation.
///
/// # Errors
/// The kernel's.
pub fn open_current(path: &Path) -> io::Result<Option<LogFile>> {
    present(LogFile::open(path, false))
}

fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
