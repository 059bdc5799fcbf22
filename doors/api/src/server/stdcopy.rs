//! Docker's stream format: standard output and standard error in one connection.
//!
//! ```text
//!   byte 0        1 2 3      4 5 6 7               then
//!   stream (1,2)  0 0 0      length, big-endian    that many bytes
//! ```
//! Where there is a terminal there is one stream only, and its bytes are sent as they are.

use std::io::{self, Write};

use dhow_model::ports::{LogEntry, LogStream};

use super::version::ApiVersion;

/// The media type of what is attached: with frames only where there is no terminal.
pub(crate) fn media_type(terminal: bool, version: ApiVersion) -> &'static str {
    if terminal || version.before(42) {
        "application/vnd.docker.raw-stream"
    } else {
        "application/vnd.docker.multiplexed-stream"
    }
}

/// How the lines of a log are sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LineFormat {
    /// Without frames.
    pub(crate) terminal: bool,
    /// Each line begins with its time.
    pub(crate) timestamps: bool,
    /// Then come its attributes, and a space.
    pub(crate) details: bool,
}

impl LineFormat {
    /// Writes one line of a log.
    pub(crate) fn write(self, entry: &LogEntry, out: &mut impl Write) -> io::Result<()> {
        let mut before = if self.timestamps { nine_digits(entry.at.unix_nanos()) } else { String::new() };
        if self.details {
            let attributes = entry.attributes.iter();
            let attributes = attributes.map(|(key, value)| format!("{}={}", escaped(key), escaped(value)));
            before += &attributes.collect::<Vec<_>>().join(",");
            before.push(' ');
        }
        if !self.terminal {
            out.write_all(&header(entry.stream, before.len() + entry.bytes.len())?)?;
        }
        out.write_all(before.as_bytes())?;
        out.write_all(&entry.bytes)
    }
}

/// The length of a frame's head.
pub(crate) const HEADER: usize = 8;

/// A frame around a piece of a stream that is no longer than a buffer.
pub(crate) fn frame(stream: LogStream, piece: &[u8]) -> Vec<u8> {
    let head = header(stream, piece.len()).unwrap_or_default();
    [head.as_slice(), piece].concat()
}

/// The eight bytes before a frame's payload.
pub(crate) fn header(stream: LogStream, length: usize) -> io::Result<[u8; HEADER]> {
    let length = u32::try_from(length).map_err(io::Error::other)?.to_be_bytes();
    Ok([stream as u8, 0, 0, 0, length[0], length[1], length[2], length[3]])
}

/// As in the query of a URL, where a blank is a plus.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(byte.into());
            }
            b' ' => escaped.push('+'),
            _ => escaped += &format!("%{byte:02X}"),
        }
    }
    escaped
}

/// RFC 3339 with all nine digits, and a space: what `logs --timestamps` writes.
fn nine_digits(nanos: i128) -> String {
    match jiff::Timestamp::from_nanosecond(nanos) {
        Ok(instant) => format!("{instant:.9} "),
        Err(_) => "0001-01-01T00:00:00.000000000Z ".into(),
    }
}

#[cfg(test)]
mod tests {
    use dhow_model::Timestamp;

    use super::*;

    #[test]
    fn a_line_is_framed_and_dated_where_asked_for() {
        let entry = LogEntry {
            stream: LogStream::Stderr,
            at: Timestamp::from_nanos(1_500_000_000),
            bytes: b"hi\n".to_vec(),
            attributes: [("a b", "1/2"), ("tag", "x")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        };
        for (terminal, timestamps, details, bytes) in [
            (true, false, false, &b"hi\n"[..]),
            (false, false, false, b"\x02\0\0\0\0\0\0\x03hi\n"),
            (true, true, false, b"1970-01-01T00:00:01.500000000Z hi\n"),
            (true, true, true, b"1970-01-01T00:00:01.500000000Z a+b=1%2F2,tag=x hi\n"),
            (false, true, false, b"\x02\0\0\0\0\0\0\x221970-01-01T00:00:01.500000000Z hi\n"),
        ] {
            let mut out = Vec::new();
            LineFormat { terminal, timestamps, details }.write(&entry, &mut out).unwrap();
            assert_eq!(out, bytes);
        }
    }
}
