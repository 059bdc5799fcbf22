//! One entry of the log as a line of JSON, byte for byte as Docker's `json-file` driver writes it.

use std::borrow::Cow;
use std::io::Write as _;

use dhow_model::Timestamp;
use dhow_model::ports::{LogEntry, LogStream};
use serde::Deserialize;

/// The longest line that is read: 16 KiB with each byte escaped, and as much again for attributes.
pub const LONGEST_LINE: u64 = 256 * 1024;

/// Appends the line of one entry.
pub fn encode(line: &mut Vec<u8>, stream: LogStream, at: Timestamp, bytes: &[u8]) {
    line.extend_from_slice(b"{\"log\":\"");
    for chunk in bytes.utf8_chunks() {
        escape(line, chunk.valid());
        for _ in chunk.invalid() {
            line.extend_from_slice(b"\\ufffd");
        }
    }
    line.extend_from_slice(match stream {
        LogStream::Stdout => b"\",\"stream\":\"stdout\",\"time\":\"",
        LogStream::Stderr => b"\",\"stream\":\"stderr\",\"time\":\"",
    });
    // Writing to a vector cannot fail.
    let _ = writeln!(line, "{at}\"}}");
}

/// Reads one line; none when it is not such a line (a file that was cut, or written by others).
#[must_use]
pub fn decode(line: &[u8]) -> Option<LogEntry> {
    #[derive(Deserialize)]
    struct Line<'a> {
        #[serde(borrow)]
        log: Cow<'a, str>,
        stream: LogStream,
        time: Timestamp,
    }
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    Some(LogEntry { stream: line.stream, at: line.time, bytes: line.log.into_owned().into_bytes() })
}

/// Appends `text` as the inside of a JSON string. `<`, `>`, `&` and the two line separators of
/// Unicode are escaped too, as Go does so that JSON can stand within HTML and JavaScript.
fn escape(line: &mut Vec<u8>, text: &str) {
    let mut plain_from = 0;
    for (at, character) in text.char_indices() {
        let escaped: &[u8] = match character {
            '"' => b"\\\"",
            '\\' => b"\\\\",
            '\n' => b"\\n",
            '\r' => b"\\r",
            '\u{2028}' => b"\\u2028",
            '\u{2029}' => b"\\u2029",
            '<' | '>' | '&' | '\0'..='\x1f' => &unicode_escape(character),
            _ => continue,
        };
        line.extend_from_slice(&text.as_bytes()[plain_from..at]);
        line.extend_from_slice(escaped);
        plain_from = at + character.len_utf8();
    }
    line.extend_from_slice(&text.as_bytes()[plain_from..]);
}

/// `\u00XX` of a character below 0x80.
fn unicode_escape(character: char) -> [u8; 6] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let byte = (u32::from(character) & 0x7f) as usize;
    [b'\\', b'u', b'0', b'0', DIGITS[byte >> 4], DIGITS[byte & 15]]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(bytes: &[u8]) -> String {
        let mut line = Vec::new();
        encode(&mut line, LogStream::Stdout, Timestamp::from_nanos(1_500_000_000), bytes);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_line_is_written_as_docker_writes_it() {
        assert_eq!(
            line(b"hello\n"),
            "{\"log\":\"hello\\n\",\"stream\":\"stdout\",\"time\":\"1970-01-01T00:00:01.5Z\"}\n"
        );
        for (bytes, text) in [
            (&b"a\"b\\c"[..], r#"a\"b\\c"#),
            (b"tab\tcr\r", r"tab\u0009cr\r"),
            (b"<a> & b", r"\u003ca\u003e \u0026 b"),
            (b"\x1b[0m", r"\u001b[0m"),
            (b"\xff\xfe.", r"\ufffd\ufffd."),
            ("é\u{2028}".as_bytes(), r"é\u2028"),
        ] {
            assert!(line(bytes).starts_with(&format!("{{\"log\":\"{text}\",")), "{}", line(bytes));
        }
    }

    #[test]
    fn what_was_written_is_read_back() {
        for bytes in [&b"plain\n"[..], b"\"\\\n", b"<&>\t\x01", "grüße\n".as_bytes(), b""] {
            let entry = decode(line(bytes).as_bytes()).unwrap();
            assert_eq!(entry.bytes, bytes);
            assert_eq!(entry.stream, LogStream::Stdout);
            assert_eq!(entry.at.unix_nanos(), 1_500_000_000);
        }
    }

    #[test]
    fn other_lines_are_no_entries() {
        for wrong in [&b""[..], b"{}", b"{\"log\":\"x", b"\xff", b"null"] {
            assert!(decode(wrong).is_none());
        }
    }
}
