//! Appends entries to the log file, rotates it, and lives through a full disk.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use dhow_model::Timestamp;
use dhow_model::ports::LogStream;
use rustix::process::Pid;

use super::entry::Entry;
use super::form::Form;
use super::rotate;

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
    form: Form,
    /// Made ready by the form.
    attributes: Vec<u8>,
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
    pub fn open(path: PathBuf, form: Form, attributes: Vec<u8>, limits: Limits) -> io::Result<Self> {
        let file = open(&path, false)?;
        let mut size = file.metadata()?.len();
        if form == Form::Json && size > 0 && last_byte(&path, size)? != b'\n' {
            // Half a line of a crash: the next one shall not be its end.
            append(&file, b"\n")?;
            size += 1;
        }
        Ok(Self {
            size,
            path,
            form,
            attributes,
            file,
            limits,
            gathered: Vec::new(),
            entries_gathered: 0,
            lost: None,
            compressing: None,
        })
    }

    /// Adds an entry; it is in the file after the next [`flush`](Self::flush) at the latest.
    pub fn write(&mut self, entry: &Entry<'_>) {
        if self.is_full() {
            self.flush();
            self.rotate();
        }
        self.form.encode(&mut self.gathered, entry, &self.attributes);
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
        let written = self.tell_loss().and_then(|()| append(&self.file, &self.gathered));
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
        self.compressing = self.compressing.take().filter(|child| !rotate::has_ended(*child));
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
        // It may have been emptied by `logs --clear` meanwhile.
        self.size = self.file.metadata().map_or(self.size, |metadata| metadata.len());
        if !self.is_full() {
            return;
        }
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
        let (stream, at) = (LogStream::Stderr, Timestamp::now());
        let entry = Entry { stream, at, bytes: sentence.as_bytes(), part: None };
        self.form.encode(&mut line, &entry, &[]);
        append(&self.file, &line)?;
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

fn last_byte(path: &std::path::Path, size: u64) -> io::Result<u8> {
    let mut byte = [0];
    File::open(path)?.read_exact_at(&mut byte, size - 1)?;
    Ok(byte[0])
}

/// Appends all of `bytes`, or nothing of them: half an entry would make the next one unreadable too.
fn append(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(length) => written += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                take_back(file, written as u64);
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Asks the file how long it is: others may have emptied it.
fn take_back(file: &File, written: u64) {
    if let Ok(metadata) = file.metadata() {
        let _ = file.set_len(metadata.len().saturating_sub(written));
    }
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

    fn open_json(path: PathBuf, limits: Limits) -> io::Result<LogWriter> {
        LogWriter::open(path, Form::Json, Vec::new(), limits)
    }

    fn write_lines(writer: &mut LogWriter, lines: std::ops::Range<u32>) {
        for line in lines {
            let line = format!("line {line}\n");
            let (stream, at) = (LogStream::Stdout, Timestamp::from_nanos(0));
            writer.write(&Entry { stream, at, bytes: line.as_bytes(), part: None });
        }
        writer.close();
    }

    #[test]
    fn a_full_file_is_rotated_and_the_oldest_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        // Each line has 67 bytes: a file is full with two.
        let mut writer = open_json(path.clone(), limits(Some(100), 3, false)).unwrap();
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
        let mut writer = open_json(path, limits(Some(100), 4, true)).unwrap();
        write_lines(&mut writer, 0..9);
        assert_eq!(names(directory.path()), ["log", "log.1.gz", "log.2.gz", "log.3.gz"]);
    }

    #[test]
    fn a_single_file_is_emptied() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut writer = open_json(path.clone(), limits(Some(100), 1, false)).unwrap();
        write_lines(&mut writer, 0..5);
        assert_eq!(names(directory.path()), ["log"]);
        assert!(fs::read_to_string(path).unwrap().contains("line 4"));
    }

    #[test]
    fn a_link_in_the_place_of_the_log_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        std::os::unix::fs::symlink(directory.path().join("elsewhere"), &path).unwrap();
        assert!(open_json(path, limits(None, 1, false)).is_err());
    }

    #[test]
    fn half_a_line_of_a_crash_does_not_swallow_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        fs::write(&path, "{\"log\":\"ha").unwrap();
        let mut writer = open_json(path.clone(), limits(None, 1, false)).unwrap();
        write_lines(&mut writer, 0..1);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.lines().nth(1).is_some_and(|line| line.contains("line 0")), "{text}");
    }

    #[test]
    fn a_log_that_was_emptied_by_others_is_not_full() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut writer = open_json(path.clone(), limits(Some(200), 1, false)).unwrap();
        write_lines(&mut writer, 0..3);
        rotate::clear(&path).unwrap();
        write_lines(&mut writer, 3..5);
        assert_eq!(fs::read_to_string(path).unwrap().lines().count(), 2);
    }
}
