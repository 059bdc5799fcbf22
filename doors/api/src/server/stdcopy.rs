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
    /// Then come the details that the log has of it, and a space; ours has none.
    pub(crate) details: bool,
}

impl LineFormat {
    /// Writes one line of a log.
    pub(crate) fn write(self, entry: &LogEntry, out: &mut impl Write) -> io::Result<()> {
        let mut time = if self.timestamps { nine_digits(entry.at.unix_nanos()) } else { String::new() };
        if self.details {
            time.push(' ');
        }
        if !self.terminal {
            out.write_all(&header(entry.stream, time.len() + entry.bytes.len())?)?;
        }
        out.write_all(time.as_bytes())?;
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
        };
        for (terminal, timestamps, bytes) in [
            (true, false, &b"hi\n"[..]),
            (false, false, b"\x02\0\0\0\0\0\0\x03hi\n"),
            (true, true, b"1970-01-01T00:00:01.500000000Z hi\n"),
            (false, true, b"\x02\0\0\0\0\0\0\x221970-01-01T00:00:01.500000000Z hi\n"),
        ] {
            let mut out = Vec::new();
            LineFormat { terminal, timestamps, details: false }.write(&entry, &mut out).unwrap();
            assert_eq!(out, bytes);
        }
    }
}
