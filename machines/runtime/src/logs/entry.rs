//! What is written to a log: a line, or a part of one that is longer than 16 KiB.

use dhow_model::Timestamp;
use dhow_model::ports::LogStream;

/// One entry on its way into a log.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Where it was written to.
    pub stream: LogStream,
    /// When.
    pub at: Timestamp,
    /// The bytes, with the line's end where it has one.
    pub bytes: &'a [u8],
    /// Its place in its line; none when it is the whole line.
    pub part: Option<Part>,
}

/// The place of an entry in a line of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The line's own number, to find its parts again.
    pub id: [u8; 32],
    /// From 1.
    pub ordinal: u32,
    /// The line ends with it.
    pub last: bool,
}

impl<'a> Entry<'a> {
    /// The bytes without the line's end.
    #[must_use]
    pub fn text(&self) -> &'a [u8] {
        self.bytes.strip_suffix(b"\n").unwrap_or(self.bytes)
    }
}

impl Part {
    /// The line's number as text.
    #[must_use]
    pub fn id_text(&self) -> String {
        hexadecimal(&self.id)
    }
}

/// Bytes as text.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The lines of both streams that are not at their end yet.
#[derive(Debug, Default)]
pub struct OpenLines {
    stdout: Option<Part>,
    stderr: Option<Part>,
}

impl OpenLines {
    /// The place of the next entry of `stream`, whose bytes are `bytes`.
    pub fn place(&mut self, stream: LogStream, bytes: &[u8]) -> Option<Part> {
        let open = match stream {
            LogStream::Stdout => &mut self.stdout,
            LogStream::Stderr => &mut self.stderr,
        };
        let last = bytes.ends_with(b"\n");
        let part = match *open {
            Some(before) => Part { ordinal: before.ordinal.saturating_add(1), last, ..before },
            None if last => return None,
            None => Part { id: random(), ordinal: 1, last },
        };
        *open = (!last).then_some(part);
        Some(part)
    }
}

/// A number that nothing else has.
#[must_use]
pub fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    // Without random numbers two things may look like one: no reason to lose either.
    let _ = rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_line_are_numbered_and_streams_do_not_mix() {
        let mut lines = OpenLines::default();
        assert_eq!(lines.place(LogStream::Stdout, b"whole\n"), None);
        let first = lines.place(LogStream::Stdout, b"a").unwrap();
        assert_eq!(lines.place(LogStream::Stderr, b"whole\n"), None);
        let second = lines.place(LogStream::Stdout, b"b").unwrap();
        let third = lines.place(LogStream::Stdout, b"c\n").unwrap();
        assert_eq!([first.ordinal, second.ordinal, third.ordinal], [1, 2, 3]);
        assert_eq!([first.last, second.last, third.last], [false, false, true]);
        assert!(first.id == third.id && first.id_text().len() == 64);
        assert_eq!(lines.place(LogStream::Stdout, b"whole\n"), None);
    }
}
