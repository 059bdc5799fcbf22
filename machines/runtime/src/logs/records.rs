//! Reads the entries of one file one after another, up to and past what is damaged in it.

use std::io::{self, Read};

use dhow_model::ports::LogEntry;

use super::binary::{self, Front};
use super::form::Form;
use super::json;

/// Read at once.
const BLOCK: usize = 64 * 1024;

/// The entries of a file, from where it stands.
pub struct Records {
    contents: Box<dyn Read + Send>,
    form: Form,
    /// The file is a stream that was compressed: what cannot be inflated is its end.
    compressed: bool,
    buffer: Vec<u8>,
    /// What is before has been read.
    start: usize,
    /// There is no line's end before.
    searched: usize,
    position: u64,
}

impl Records {
    /// The entries of `contents`, of which `position` bytes were passed over.
    #[must_use]
    pub fn new(contents: Box<dyn Read + Send>, form: Form, compressed: bool, position: u64) -> Self {
        Self { contents, form, compressed, buffer: Vec::new(), start: 0, searched: 0, position }
    }

    /// Bytes of the file that were read so far.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next entry that is whole; none when there is no more of it at the moment.
    ///
    /// # Errors
    /// The kernel's.
    pub fn next_entry(&mut self) -> io::Result<Option<LogEntry>> {
        loop {
            let found = match self.form {
                Form::Json => self.take_line(),
                Form::Binary => self.take_record(false),
            };
            if found.is_some() {
                return Ok(found);
            }
            if self.fill()? == 0 {
                // What seems to be cut may be a length that is damaged, with whole records behind it.
                return Ok(if self.form == Form::Binary { self.take_record(true) } else { None });
            }
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        let length = self.buffer.len();
        self.buffer.resize(length + BLOCK, 0);
        let read = loop {
            match self.contents.read(&mut self.buffer[length..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if self.compressed && error.raw_os_error().is_none() => break Ok(0),
                read => break read,
            }
        };
        self.buffer.truncate(length + *read.as_ref().unwrap_or(&0));
        self.position += *read.as_ref().unwrap_or(&0) as u64;
        read
    }

    /// The entry of the next line that has one.
    fn take_line(&mut self) -> Option<LogEntry> {
        while let Some(end) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
            let end = self.searched + end + 1;
            let line = &self.buffer[self.start..end];
            let entry = if line.len() <= json::LONGEST { json::decode(line) } else { None };
            self.start = end;
            self.searched = end;
            if entry.is_some() {
                return entry;
            }
        }
        self.searched = self.buffer.len();
        if self.searched - self.start > json::LONGEST {
            self.forget_line();
        }
        None
    }

    /// A line that is too long: only its end may be an entry.
    fn forget_line(&mut self) {
        let unread = &self.buffer[self.start..];
        let recent = unread.len() - json::LONGEST / 2;
        self.start += json::begin_after(unread, recent).unwrap_or(recent);
    }

    /// The next record that is whole. At the `end` of what there is, one that seems to be cut is passed
    /// over when a whole one is behind it.
    fn take_record(&mut self, end: bool) -> Option<LogEntry> {
        let mut at = self.start;
        let mut cut = None;
        while at < self.buffer.len() {
            match binary::front(&self.buffer[at..]) {
                Front::Record(entry, length) => {
                    self.start = at + length;
                    self.searched = self.start;
                    return Some(entry);
                }
                Front::Cut if !end => {
                    cut.get_or_insert(at);
                    break;
                }
                Front::Cut => {
                    cut.get_or_insert(at);
                    at += 1;
                }
                Front::Damage => at += 1,
            }
        }
        self.start = cut.unwrap_or(at);
        self.searched = self.start;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::entry::Entry;
    use dhow_model::Timestamp;
    use dhow_model::ports::LogStream;

    fn file(form: Form, lines: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        for line in lines {
            let at = Timestamp::from_nanos(1);
            let entry = Entry { stream: LogStream::Stdout, at, bytes: line.as_bytes(), part: None };
            form.encode(&mut out, &entry, &[]);
        }
        out
    }

    fn read(form: Form, bytes: &[u8]) -> Vec<String> {
        let contents = Box::new(io::Cursor::new(bytes.to_vec()));
        let mut records = Records::new(contents, form, false, 0);
        std::iter::from_fn(|| records.next_entry().unwrap())
            .map(|entry| String::from_utf8_lossy(&entry.bytes).trim_end().to_owned())
            .collect()
    }

    #[test]
    fn damage_costs_only_what_is_damaged() {
        let long = vec![b'x'; 3 * json::LONGEST];
        let zeros = vec![0; 5000];
        for form in [Form::Json, Form::Binary] {
            let (before, after) = (file(form, &["one\n", "two\n"]), file(form, &["three\n", "four\n"]));
            let cut = &file(form, &["lost\n"])[..20];
            for damage in [&b""[..], b"\n", b"garbage", cut, &long, &zeros, b"\0\0\x40\0", b"\xff\xff"] {
                let bytes = [&before[..], damage, &after[..]].concat();
                let read = read(form, &bytes);
                assert_eq!(read, ["one", "two", "three", "four"], "{form:?} {}", damage.len());
            }
        }
    }

    #[test]
    fn the_end_of_a_file_may_be_cut_anywhere() {
        for form in [Form::Json, Form::Binary] {
            let whole = file(form, &["one\n", "two\n"]);
            let first = file(form, &["one\n"]).len();
            for length in first..whole.len() {
                assert_eq!(read(form, &whole[..length]), ["one"], "{form:?} {length}");
            }
        }
    }

    /// What the fuzz target does, with some files of chance; the same ones each time.
    #[test]
    fn whatever_stands_before_an_entry_it_is_read() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for round in 0..60 {
            let form = if round % 2 == 0 { Form::Json } else { Form::Binary };
            let mut bytes = file(form, &["before\n"]);
            for _ in 0..random() % 40 {
                let at = usize::try_from(random()).unwrap_or(0) % (bytes.len() + 1);
                match random() % 3 {
                    0 => bytes.insert(at, random().to_le_bytes()[0]),
                    1 if at < bytes.len() => bytes[at] = random().to_le_bytes()[0],
                    _ => bytes.truncate(at),
                }
            }
            // As much as a damaged length may swallow.
            bytes.resize(bytes.len() + binary::LONGEST + 100, b' ');
            bytes.push(b'\n');
            bytes.extend(file(form, &["last\n"]));
            assert_eq!(read(form, &bytes).last().map(String::as_str), Some("last"), "round {round}");
        }
    }
}
