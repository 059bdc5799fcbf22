//! Reads a log back: all of it or its last lines, within a span of time, and on while it grows.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Seek as _, SeekFrom};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use dhow_model::Timestamp;
use dhow_model::ports::{LogEntry, LogQuery, LogStream};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;

use super::files::{self, LogFile};
use super::form::Form;
use super::records::Records;
use super::{rotate, tail};

/// Told whether the container has ended, so that nothing more will be written.
pub type Ended = Box<dyn Fn() -> bool + Send>;

/// The entries of a log, one after another; blocks when it follows and there is nothing new.
///
/// A file that was compressed while a reader that follows was still reading it is found again by the last
/// entry that was read. A reader that falls behind holds what is rotated away meanwhile; one that is behind by more than
/// it may hold goes on with the oldest that is kept.
pub struct LogReader {
    path: PathBuf,
    form: Form,
    query: LogQuery,
    ended: Ended,
    files: VecDeque<LogFile>,
    current: Option<Current>,
    skip: u64,
    /// What the last entry is known by.
    last: Option<u64>,
    changes: Option<OwnedFd>,
    /// Entries since it was last looked whether the log was rotated.
    unlooked: u32,
    done: bool,
}

/// A follower looks so often whether the log was rotated, in entries: a file has many more.
const LOOK: u32 = 64;

/// What a follower that is behind may hold. Files that are rotated away take room on the disk as long as they are held.
const HELD_FILES: usize = 64;
const HELD_BYTES: u64 = 256 << 20;

/// The file that is being read.
struct Current {
    file: LogFile,
    records: Records,
    /// Was read already, to see whether there is more.
    ahead: Option<LogEntry>,
}

impl LogReader {
    /// Opens the log at `path`; it is no error that there is none.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(path: PathBuf, form: Form, query: LogQuery, ended: Ended) -> io::Result<Self> {
        // Watch first, look then: what is written in between is seen.
        let changes = if query.follow { watch(&path)? } else { None };
        let mut files = files::open_all(&path)?;
        let skip = match query.tail {
            Some(lines) => tail::keep_last(&mut files, form, lines)?,
            None => 0,
        };
        Ok(Self {
            path,
            form,
            query,
            ended,
            files: files.into(),
            current: None,
            skip,
            last: None,
            changes,
            unlooked: 0,
            done: false,
        })
    }

    /// The next entry that was asked for.
    fn advance(&mut self) -> io::Result<Option<LogEntry>> {
        while !self.done && !self.query.end.load(Ordering::Relaxed) {
            let Some(entry) = self.next_entry()? else { break };
            if self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            if self.query.follow {
                self.last = Some(fingerprint(&entry));
            }
            if self.query.until.is_some_and(|until| entry.at > until) {
                break;
            }
            if self.is_wanted(&entry) {
                return Ok(Some(entry));
            }
        }
        self.done = true;
        Ok(None)
    }

    fn is_wanted(&self, entry: &LogEntry) -> bool {
        let stream = match entry.stream {
            LogStream::Stdout => self.query.stdout,
            LogStream::Stderr => self.query.stderr,
        };
        stream && self.query.since.is_none_or(|since| entry.at >= since)
    }

    /// The next entry of whichever file; none at the end of everything.
    fn next_entry(&mut self) -> io::Result<Option<LogEntry>> {
        // Before the current file is read: with a successor it is final, and is then read to its very end.
        self.hold_what_was_rotated()?;
        loop {
            // Asked before the file is read: what was written until then is read after it.
            let ended = !self.query.follow || (self.ended)() || self.is_past();
            if let Some(current) = &mut self.current
                && let Some(entry) = current.next()?
            {
                return Ok(Some(entry));
            }
            if let Some(next) = self.files.pop_front() {
                self.current = Some(Current::new(next, self.form)?);
            } else if self.find_successors()? {
                // Read them in the next round.
            } else if ended || self.query.end.load(Ordering::Relaxed) {
                return Ok(None);
            } else {
                self.wait()?;
            }
        }
    }

    /// Whether whatever is written now is too late.
    fn is_past(&self) -> bool {
        self.query.until.is_some_and(|until| Timestamp::now() > until)
    }

    /// Opens what came after the newest file that is known, before that is rotated away.
    fn hold_what_was_rotated(&mut self) -> io::Result<()> {
        self.unlooked += 1;
        if !self.query.follow || self.unlooked < LOOK {
            return Ok(());
        }
        self.unlooked = 0;
        let current = self.current.as_ref().map(|current| &current.file);
        let Some(newest) = self.files.back().or(current) else { return Ok(()) };
        let known = newest.identity()?;
        if rotate::identity(&self.path)?.is_none_or(|now| now == known) || self.holds_enough()? {
            return Ok(());
        }
        let first = newest.first_entry(self.form)?.as_ref().map(fingerprint);
        let mut after = files::open_all(&self.path)?.into_iter();
        for file in after.by_ref() {
            // It may have been compressed meanwhile: then it is another file, which begins alike.
            let again = || -> io::Result<bool> {
                Ok(file.first_entry(self.form)?.as_ref().map(fingerprint) == first)
            };
            if file.identity()? == known || file.compressed && again().unwrap_or(false) {
                break;
            }
        }
        // Nothing, when it is gone already: that is found out at its end.
        self.files.extend(after);
        Ok(())
    }

    fn holds_enough(&self) -> io::Result<bool> {
        let mut bytes = 0;
        for file in &self.files {
            bytes += file.file.metadata()?.len();
        }
        Ok(self.files.len() >= HELD_FILES || bytes >= HELD_BYTES)
    }

    /// Sees whether the log was rotated or emptied since; true when there is something to read.
    fn find_successors(&mut self) -> io::Result<bool> {
        if !self.query.follow {
            return Ok(false);
        }
        let Some(current) = &mut self.current else {
            self.files = files::open_all(&self.path)?.into();
            return Ok(!self.files.is_empty());
        };
        let identity = current.file.identity()?;
        match files::open_current(&self.path)? {
            None => return Ok(false),
            Some(newest) if newest.identity()? == identity => {
                return current.begin_again_when_emptied(self.form);
            }
            Some(_) => {}
        }
        // The old file is final now; its last lines may have come since it was read.
        current.ahead = current.next()?;
        if current.ahead.is_some() {
            return Ok(true);
        }
        self.files = self.files_after(identity)?;
        Ok(!self.files.is_empty())
    }

    /// The files that are newer than the one that was read to its end.
    fn files_after(&mut self, identity: (u64, u64)) -> io::Result<VecDeque<LogFile>> {
        let mut files = VecDeque::new();
        let mut found = false;
        for file in files::open_all(&self.path)? {
            if file.identity()? == identity {
                found = true;
                files.clear();
            } else {
                files.push_back(file);
            }
        }
        if !found {
            self.skip = forget_what_was_read(&mut files, self.form, self.last)?;
        }
        Ok(files)
    }

    /// Waits for a change of the directory, and now and then returns without one: whoever ends the
    /// reading from outside has only a flag to set.
    fn wait(&self) -> io::Result<()> {
        let timeout = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
        let Some(changes) = &self.changes else {
            return match poll(&mut [], Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
                Err(error) => Err(error.into()),
            };
        };
        let mut polled = [PollFd::new(changes, PollFlags::IN)];
        match poll(&mut polled, Some(&timeout)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut events = [0u8; 4096];
        match rustix::io::read(changes, &mut events) {
            Ok(_) | Err(rustix::io::Errno::AGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Leaves in `files` the one with the `last` entry that was read, and those after it; returns how many
/// entries of it were read. When none has it, all of them are newer.
fn forget_what_was_read(files: &mut VecDeque<LogFile>, form: Form, last: Option<u64>) -> io::Result<u64> {
    let Some(last) = last else { return Ok(0) };
    for index in (0..files.len()).rev() {
        let mut records = files[index].records(form)?;
        let (mut count, mut found) = (0, None);
        while let Some(entry) = records.next_entry()? {
            count += 1;
            if fingerprint(&entry) == last {
                found = Some(count);
            }
        }
        files[index].file.seek(SeekFrom::Start(0))?;
        if let Some(read) = found {
            files.drain(..index);
            return Ok(read);
        }
    }
    Ok(0)
}

/// Two entries have the same one only when they are alike in everything.
fn fingerprint(entry: &LogEntry) -> u64 {
    let mut hasher = DefaultHasher::new();
    (entry.at, entry.stream as u8, &entry.bytes).hash(&mut hasher);
    hasher.finish()
}

impl Iterator for LogReader {
    type Item = io::Result<LogEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.advance().transpose();
        if matches!(entry, Some(Err(_))) {
            self.done = true;
        }
        entry
    }
}

impl Current {
    fn new(mut file: LogFile, form: Form) -> io::Result<Self> {
        Ok(Self { records: file.records(form)?, file, ahead: None })
    }

    fn next(&mut self) -> io::Result<Option<LogEntry>> {
        match self.ahead.take() {
            Some(entry) => Ok(Some(entry)),
            None => self.records.next_entry(),
        }
    }

    /// A log of a single file is emptied in its place when it is full, and any by `logs --clear`.
    fn begin_again_when_emptied(&mut self, form: Form) -> io::Result<bool> {
        if self.file.compressed || self.file.file.metadata()?.len() >= self.records.position() {
            return Ok(false);
        }
        self.file.file.seek(SeekFrom::Start(0))?;
        self.records = self.file.records(form)?;
        Ok(true)
    }
}

/// A user may have 128 of these on many machines, and a log may be followed by more: those who come too
/// late look five times a second.
fn watch(path: &std::path::Path) -> io::Result<Option<OwnedFd>> {
    let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
    let changes = match inotify::init(flags) {
        Err(rustix::io::Errno::MFILE) => return Ok(None),
        made => made?,
    };
    let flags = inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVE;
    let directory = path.parent().unwrap_or(std::path::Path::new("."));
    match inotify::add_watch(&changes, directory, flags) {
        Err(rustix::io::Errno::NOSPC | rustix::io::Errno::NOENT) => Ok(None),
        watched => Ok(watched.map(|_| Some(changes))?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::LogWriter;
    use crate::logs::entry::Entry;
    use crate::logs::writer::Limits;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    const ALL: Limits = Limits { max_size: None, max_files: 1, compress: false };
    const FORMS: [Form; 2] = [Form::Json, Form::Binary];

    fn query() -> LogQuery {
        LogQuery { stdout: true, stderr: true, ..LogQuery::default() }
    }

    fn read(path: &std::path::Path, form: Form, query: LogQuery) -> Vec<String> {
        LogReader::open(path.into(), form, query, Box::new(|| true))
            .unwrap()
            .map(|entry| String::from_utf8(entry.unwrap().bytes).unwrap().trim_end().to_owned())
            .collect()
    }

    /// Lines `0..count`, line n at second n; every third on standard error.
    fn written(count: u32, form: Form, limits: Limits) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut writer = LogWriter::open(path.clone(), form, Vec::new(), limits).unwrap();
        for line in 0..count {
            let stream = if line % 3 == 0 { LogStream::Stderr } else { LogStream::Stdout };
            let at = Timestamp::from_nanos(i128::from(line) * 1_000_000_000);
            writer.write(&Entry { stream, at, bytes: format!("{line}\n").as_bytes(), part: None });
        }
        writer.close();
        (directory, path)
    }

    #[test]
    fn a_log_is_read_by_stream_by_time_and_from_its_end() {
        for form in FORMS {
            check_queries(form);
        }
    }

    fn check_queries(form: Form) {
        let (_directory, path) = written(7, form, ALL);
        let at = |second: i128| Some(Timestamp::from_nanos(second * 1_000_000_000));
        for (query, lines) in [
            (query(), "0 1 2 3 4 5 6"),
            (LogQuery { stderr: false, ..query() }, "1 2 4 5"),
            (LogQuery { since: at(5), ..query() }, "5 6"),
            (LogQuery { until: at(1), ..query() }, "0 1"),
            (LogQuery { tail: Some(2), ..query() }, "5 6"),
            (LogQuery { tail: Some(0), ..query() }, ""),
            (LogQuery { tail: Some(99), ..query() }, "0 1 2 3 4 5 6"),
            (LogQuery { tail: Some(3), stdout: false, ..query() }, "6"),
        ] {
            assert_eq!(read(&path, form, query.clone()).join(" "), lines, "{form:?} {query:?}");
        }
    }

    #[test]
    fn rotated_and_compressed_files_are_one_log() {
        for (form, compress) in FORMS.into_iter().flat_map(|form| [(form, false), (form, true)]) {
            let limits = Limits { max_size: Some(200), max_files: 9, compress };
            let (_directory, path) = written(20, form, limits);
            let all: Vec<String> = (0..20).map(|n| n.to_string()).collect();
            assert_eq!(read(&path, form, query()), all);
            for tail in [1, 3, 7, 20, 50] {
                let lines = read(&path, form, LogQuery { tail: Some(tail), ..query() });
                let from = 20usize.saturating_sub(tail.try_into().unwrap());
                assert_eq!(lines, all[from..], "the last {tail}, {form:?}, compressed: {compress}");
            }
        }
    }

    #[test]
    fn a_long_log_is_tailed_across_the_blocks_it_is_read_in() {
        for form in FORMS {
            let (_directory, path) = written(5000, form, ALL);
            let lines = read(&path, form, LogQuery { tail: Some(3000), ..query() });
            assert_eq!((lines.len(), lines[0].as_str(), lines[2999].as_str()), (3000, "2000", "4999"));
        }
    }

    #[test]
    fn more_readers_may_follow_than_the_kernel_watches_for() {
        let (_directory, path) = written(2, Form::Json, ALL);
        let query = LogQuery { follow: true, ..query() };
        let readers: Vec<_> = (0..200)
            .map(|_| LogReader::open(path.clone(), Form::Json, query.clone(), Box::new(|| true)).unwrap())
            .collect();
        assert!(readers.into_iter().all(|reader| reader.map(Result::unwrap).count() == 2));
    }

    #[test]
    fn following_goes_on_through_rotations_until_the_container_has_ended() {
        for form in FORMS {
            follow_through_rotations(form);
        }
    }

    fn follow_through_rotations(form: Form) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let limits = Limits { max_size: Some(500), max_files: 50, compress: false };
        let ended = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&ended);
        let is_ended: Ended = Box::new(move || asked.load(Ordering::SeqCst));
        let query = LogQuery { follow: true, ..query() };
        let reader = LogReader::open(path.clone(), form, query, is_ended).unwrap();
        let reading = std::thread::spawn(move || reader.map(|e| e.unwrap().bytes).collect::<Vec<_>>());
        let mut writer = LogWriter::open(path, form, Vec::new(), limits).unwrap();
        for line in 0..200 {
            let bytes = format!("{line}\n");
            let (stream, at) = (LogStream::Stdout, Timestamp::now());
            writer.write(&Entry { stream, at, bytes: bytes.as_bytes(), part: None });
            writer.flush();
        }
        writer.close();
        ended.store(true, Ordering::SeqCst);
        let lines = reading.join().unwrap();
        let all: Vec<Vec<u8>> = (0..200).map(|n| format!("{n}\n").into_bytes()).collect();
        assert_eq!(lines, all);
    }

    /// It reads every other line that is written, and is ten files behind in the end, of which three are kept.
    #[test]
    fn who_follows_slowly_loses_nothing_that_is_rotated_away() {
        for (form, compress) in FORMS.into_iter().flat_map(|form| [(form, false), (form, true)]) {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("log");
            let limits = Limits { max_size: Some(64 * 1024), max_files: 3, compress };
            let mut writer = LogWriter::open(path.clone(), form, Vec::new(), limits).unwrap();
            let ended = Arc::new(AtomicBool::new(false));
            let asked = Arc::clone(&ended);
            let is_ended: Ended = Box::new(move || asked.load(Ordering::SeqCst));
            let query = LogQuery { follow: true, ..query() };
            let mut reader = LogReader::open(path, form, query, is_ended).unwrap();
            let text = |line: u32| format!("{line} {}\n", "x".repeat(40)).into_bytes();
            let mut lines = Vec::new();
            for line in 0..20_000 {
                let (stream, at) = (LogStream::Stdout, Timestamp::now());
                writer.write(&Entry { stream, at, bytes: &text(line), part: None });
                writer.flush();
                if line % 2 == 1 {
                    lines.push(reader.next().unwrap().unwrap().bytes);
                }
            }
            writer.close();
            ended.store(true, Ordering::SeqCst);
            lines.extend(reader.map(|entry| entry.unwrap().bytes));
            let lost = (0..20_000).zip(&lines).position(|(line, read)| text(line) != *read);
            assert_eq!((lost, lines.len()), (None, 20_000), "{form:?}, compressed: {compress}");
        }
    }

    #[test]
    fn a_compressed_file_that_is_cut_is_read_as_far_as_it_goes() {
        for form in FORMS {
            let limits = Limits { max_size: Some(1000), max_files: 3, compress: true };
            let (_directory, path) = written(100, form, limits);
            let all = read(&path, form, query());
            let oldest = files::open_all(&path).unwrap().remove(0).file;
            let rotated = super::super::rotate::numbered(&path, 2, true);
            let length = oldest.metadata().unwrap().len();
            std::fs::File::options().write(true).open(&rotated).unwrap().set_len(length * 2 / 3).unwrap();
            let left = read(&path, form, query());
            assert!(left.len() < all.len() && left.len() > all.len() / 3, "{form:?} {}", left.len());
            assert_eq!(left.last(), all.last());
            let tail = LogQuery { tail: Some(left.len() as u64 - 1), ..query() };
            assert_eq!(read(&path, form, tail), left[1..]);
        }
    }

    #[test]
    fn no_log_is_an_empty_log() {
        assert!(read(std::path::Path::new("/nonexistent/log"), Form::Json, query()).is_empty());
    }
}
