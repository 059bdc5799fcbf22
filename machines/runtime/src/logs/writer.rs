//! Appends entries to the log file, rotates it, and lives through a full disk.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use dhow_model::Timestamp;
use dhow_model::ports::LogStream;
use rustix::process::Pid;

use super::{json, rotate};

/// As much is gathered before it is written, when output comes without a pause.
const GATHERED: usize = 32 * 1024;

/// How large files become, and how many there are.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A file that has as many bytes is rotated; none is no limit.
    pub max_size: Option<u64>,
    /// Files in all, the current one included; 0 counts as 1.
    pub max_files: u32,
    /// Rotated files are compressed.
    pub compress: bool,
}

/// The writing end of a log.
///
/// A container is not stopped by a log that cannot be written (a full disk): what cannot be written
/// is counted, and a line that tells the loss is written as soon as that is possible again.
#[derive(Debug)]
pub struct LogWriter {
    path: PathBuf,
    file: File,
    /// Bytes in `file`; never counts a line that was written in part.
    size: u64,
    limits: Limits,
    gathered: Vec<u8>,
    entries_gathered: u64,
    lost: Option<Lost>,
    compressing: Option<Pid>,
}

/// Entries that could not be written.
#[derive(Debug)]
struct Lost {
    entries: u64,
    why: io::Error,
}

impl LogWriter {
    /// Opens the log, to go on at its end.
    ///
    /// # Errors
    /// When it cannot be opened, or is a symbolic link.
    pub fn open(path: PathBuf, limits: Limits) -> io::Result<Self> {
        let file = open(&path, false)?;
        Ok(Self {
            size: file.metadata()?.len(),
            path,
            file,
            limits,
            gathered: Vec::new(),
            entries_gathered: 0,
            lost: None,
            compressing: None,
        })
    }

    /// Adds an entry; it is in the file after the next [`flush`](Self::flush) at the latest.
    pub fn write(&mut self, stream: LogStream, at: Timestamp, bytes: &[u8]) {
        if self.is_full() {
            self.flush();
            self.rotate();
        }
        json::encode(&mut self.gathered, stream, at, bytes);
        self.entries_gathered += 1;
        if self.gathered.len() >= GATHERED {
            self.flush();
        }
    }

    /// Writes what was gathered.
    pub fn flush(&mut self) {
        if self.gathered.is_empty() {
            return;
        }
        let entries = std::mem::take(&mut self.entries_gathered);
        let written = self.tell_loss().and_then(|()| append(&self.file, self.size, &self.gathered));
        match written {
            Ok(()) => self.size += self.gathered.len() as u64,
            Err(why) => {
                let entries = entries + self.lost.as_ref().map_or(0, |lost| lost.entries);
                self.lost = Some(Lost { entries, why });
            }
        }
        self.gathered.clear();
    }

    /// What was lost and could not be told in the log itself so far.
    #[must_use]
    pub fn loss(&self) -> Option<String> {
        self.lost.as_ref().map(Lost::sentence)
    }

    /// Gives the memory of the buffer back, when nothing was written for a while.
    pub fn rest(&mut self) {
        self.flush();
        self.gathered = Vec::new();
    }

    /// Writes what is left and waits until the compressor is done.
    pub fn close(&mut self) {
        self.rest();
        if let Some(child) = self.compressing.take() {
            rotate::wait(child);
        }
    }

    fn is_full(&self) -> bool {
        let size = self.size + self.gathered.len() as u64;
        self.limits.max_size.is_some_and(|max| size >= max)
    }

    /// Starts a new file. When that fails the old one goes on to be written: rather a log that is
    /// too long than none.
    fn rotate(&mut self) {
        if self.limits.max_files < 2 {
            if self.file.set_len(0).is_ok() {
                self.size = 0;
            }
            return;
        }
        if let Some(child) = self.compressing.take() {
            rotate::wait(child);
        }
        if rotate::shift(&self.path, self.limits.max_files).is_err() {
            return;
        }
        if let Ok(file) = open(&self.path, true) {
            self.file = file;
            self.size = 0;
        }
        if self.limits.compress {
            self.compressing = rotate::compress_aside(&self.path);
        }
    }

    fn tell_loss(&mut self) -> io::Result<()> {
        let Some(lost) = &self.lost else { return Ok(()) };
        let mut line = Vec::new();
        let sentence = format!("{}\n", lost.sentence());
        json::encode(&mut line, LogStream::Stderr, Timestamp::now(), sentence.as_bytes());
        append(&self.file, self.size, &line)?;
        self.size += line.len() as u64;
        self.lost = None;
        Ok(())
    }
}

impl Lost {
    fn sentence(&self) -> String {
        format!("dhow: {} entries of this log could not be written: {}", self.entries, self.why)
    }
}

/// Opens for appending. Never through a link: the directory is the container's own, but a mistake
/// with its permissions shall not become a write elsewhere.
fn open(path: &std::path::Path, new: bool) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW.bits() | rustix::fs::OFlags::CLOEXEC.bits();
    OpenOptions::new()
        .append(true)
        .create(true)
        .create_new(new)
        .mode(0o640)
        .custom_flags(flags.cast_signed())
        .open(path)
}

/// Appends all of `bytes` to a file of `size` bytes, or nothing of them: half a line would make the
/// next one unreadable too.
fn append(mut file: &File, size: u64, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes).inspect_err(|_| {
        let _ = file.set_len(size);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn limits(max_size: Option<u64>, max_files: u32, compress: bool) -> Limits {
        Limits { max_size, max_files, compress }
    }

    fn names(directory: &std::path::Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn write_lines(writer: &mut LogWriter, lines: std::ops::Range<u32>) {
        for line in lines {
            let line = format!("line {line}\n");
            writer.write(LogStream::Stdout, Timestamp::from_nanos(0), line.as_bytes());
        }
        writer.close();
    }

    #[test]
    fn a_full_file_is_rotated_and_the_oldest_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        // Each line has 67 bytes: a file is full with two.
        let mut writer = LogWriter::open(path.clone(), limits(Some(100), 3, false)).unwrap();
        write_lines(&mut writer, 0..9);
        assert_eq!(names(directory.path()), ["log", "log.1", "log.2"]);
        let first = fs::read_to_string(directory.path().join("log.2")).unwrap();
        assert!(first.contains("line 4") && first.contains("line 5"), "{first}");
        assert_eq!(fs::read_to_string(path).unwrap().lines().count(), 1);
    }

    #[test]
    fn rotated_files_are_compressed_by_option() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut writer = LogWriter::open(path, limits(Some(100), 4, true)).unwrap();
        write_lines(&mut writer, 0..9);
        assert_eq!(names(directory.path()), ["log", "log.1.gz", "log.2.gz", "log.3.gz"]);
    }

    #[test]
    fn a_single_file_is_emptied() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut writer = LogWriter::open(path.clone(), limits(Some(100), 1, false)).unwrap();
        write_lines(&mut writer, 0..5);
        assert_eq!(names(directory.path()), ["log"]);
        assert!(fs::read_to_string(path).unwrap().contains("line 4"));
    }

    #[test]
    fn a_link_in_the_place_of_the_log_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        std::os::unix::fs::symlink(directory.path().join("elsewhere"), &path).unwrap();
        assert!(LogWriter::open(path, limits(None, 1, false)).is_err());
    }
}
