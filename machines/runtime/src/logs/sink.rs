//! Where a monitor writes what its container writes: the file, the service, or both.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Instant;

use dhow_model::ports::{LogFileOptions, LogOptions, LogStream};
use dhow_model::{ContainerId, Timestamp};
use rustix::event::PollFlags;

use super::entry::{Entry, OpenLines, Part};
use super::form::{self, Form};
use super::service::Service;
use super::writer::{Limits, LogWriter};

/// As many nanoseconds a line may be dated ahead: beyond them the clock was set back.
const MOST_AHEAD: i128 = 1_000_000_000;

/// A log that is written.
#[derive(Debug)]
pub struct Sink {
    file: Option<LogWriter>,
    service: Option<Box<Service>>,
    lines: OpenLines,
    last: Timestamp,
    /// The line that the last entry was a part of.
    last_line: Option<[u8; 32]>,
}

impl Sink {
    /// Opens the log of a container whose directory is `directory`; none when its output goes nowhere.
    ///
    /// # Errors
    /// When the file cannot be opened, or the service is not there.
    pub fn open(directory: &Path, id: &ContainerId, options: LogOptions) -> io::Result<Option<Self>> {
        let LogOptions { file, service } = options;
        if file.is_none() && service.is_none() {
            return Ok(None);
        }
        let service = service.map(Service::open).transpose()?.map(Box::new);
        let file = file.map(|file| open_file(directory, id, &file)).transpose()?;
        Ok(Some(Self { file, service, lines: OpenLines::default(), last: Timestamp::NEVER, last_line: None }))
    }

    /// Adds an entry that was complete at that time.
    pub fn write(&mut self, stream: LogStream, at: Timestamp, bytes: &[u8]) {
        let part = self.lines.place(stream, bytes);
        let at = self.stamp(part, at);
        let entry = Entry { stream, at, bytes, part };
        if let Some(file) = &mut self.file {
            file.write(&entry);
        }
        if let Some(service) = &mut self.service {
            service.write(&entry);
        }
    }

    /// The times of a log go forward: who asks for what was written until then stops at the first that is later.
    ///
    /// Lines that were read at once have times of their own: readers find their place again by them. Parts
    /// of a line bear the time of its first, unless the other stream wrote in between.
    fn stamp(&mut self, part: Option<Part>, at: Timestamp) -> Timestamp {
        let line = part.map(|part| part.id);
        if line.is_none() || line != self.last_line {
            let next = self.last.unix_nanos() + 1;
            let is_late = at <= self.last && next - at.unix_nanos() < MOST_AHEAD;
            self.last = if is_late { Timestamp::from_nanos(next) } else { at };
        }
        self.last_line = line;
        self.last
    }

    /// What was added is in the file.
    pub fn flush(&mut self) {
        if let Some(file) = &mut self.file {
            file.flush();
        }
    }

    /// Gives memory back, when nothing was written for a while.
    pub fn rest(&mut self) {
        if let Some(file) = &mut self.file {
            file.rest();
        }
    }

    /// Writes what is left and waits until all is done with the file.
    pub fn close(&mut self) {
        if let Some(file) = &mut self.file {
            file.close();
        }
    }

    /// Whether no more output is to be read now.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.service.as_ref().is_some_and(|service| service.is_full())
    }

    /// Whether the service has not got everything yet.
    #[must_use]
    pub fn is_owed(&self) -> bool {
        self.service.as_ref().is_some_and(|service| service.is_owed())
    }

    /// What is polled for, besides output.
    #[must_use]
    pub fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        self.service.as_ref()?.interest()
    }

    /// When [`serve`](Self::serve) is to be called though nothing happened.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.service.as_ref()?.deadline()
    }

    /// What is polled for has happened, or the deadline is there.
    pub fn serve(&mut self, flags: PollFlags) {
        if let Some(service) = &mut self.service {
            if flags.intersects(PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR) {
                service.hung_up();
            } else {
                service.serve();
            }
        }
    }
}

fn open_file(directory: &Path, id: &ContainerId, options: &LogFileOptions) -> io::Result<LogWriter> {
    let path = form::path(directory, id, options.kind);
    if let Some(parent) = path.parent().filter(|parent| *parent != directory) {
        match rustix::fs::mkdir(parent, rustix::fs::Mode::RWXU) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let form = Form::from(options.kind);
    let &LogFileOptions { max_size, max_files, compress, .. } = options;
    let limits = Limits { max_size, max_files, compress };
    LogWriter::open(path, form, form.attributes(&options.attributes), limits)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use dhow_model::ports::LogFileKind;

    use super::*;
    use LogStream::{Stderr, Stdout};

    /// The stream, second and text's beginning of what is in a log after these were written.
    fn written(entries: &[(LogStream, i128, &[u8])]) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let id = ContainerId::from_random([7; 32]);
        let file = LogFileOptions {
            kind: LogFileKind::Json,
            max_size: None,
            max_files: 1,
            compress: false,
            attributes: BTreeMap::new(),
        };
        let options = LogOptions { file: Some(file), service: None };
        let mut sink = Sink::open(directory.path(), &id, options).unwrap().unwrap();
        for (stream, nanos, bytes) in entries {
            sink.write(*stream, Timestamp::from_nanos(*nanos), bytes);
        }
        sink.close();
        let text = std::fs::read_to_string(form::path(directory.path(), &id, LogFileKind::Json)).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.map(|line| format!("{} {}", line["log"], line["time"].as_str().unwrap())).collect()
    }

    #[test]
    fn parts_bear_the_time_of_the_first_unless_that_would_go_back() {
        let second = 1_000_000_000;
        let told = written(&[
            (Stdout, 1, b"a"),
            (Stdout, second, b"b"),
            (Stdout, second, b"c\n"),
            (Stdout, second, b"d"),
            (Stderr, 2 * second, b"e\n"),
            (Stderr, 2 * second, b"f\n"),
            (Stdout, 2 * second, b"g"),
            (Stdout, 3 * second, b"h\n"),
            // The clock was set back.
            (Stdout, 1, b"i\n"),
        ]);
        let wanted = [
            (r#""a""#, "00.000000001Z"),
            (r#""b""#, "00.000000001Z"),
            (r#""c\n""#, "00.000000001Z"),
            (r#""d""#, "01Z"),
            (r#""e\n""#, "02Z"),
            (r#""f\n""#, "02.000000001Z"),
            (r#""g""#, "02.000000002Z"),
            (r#""h\n""#, "02.000000002Z"),
            (r#""i\n""#, "00.000000001Z"),
        ];
        let wanted: Vec<String> =
            wanted.iter().map(|(text, at)| format!("{text} 1970-01-01T00:00:{at}")).collect();
        assert_eq!(told, wanted);
    }
}
