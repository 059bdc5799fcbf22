//! One entry of the log as a line of JSON, byte for byte as Docker's `json-file` driver writes it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write as _;

use dhow_model::Timestamp;
use dhow_model::ports::{LogEntry, LogStream};
use serde::Deserialize;

use super::entry::Entry;

/// The longest line that is read: 16 KiB with each byte escaped, and as much again for attributes.
pub const LONGEST: usize = 256 * 1024;

/// As many crashes without a whole line between them are looked past.
const MOST_BEGINNINGS: usize = 64;

/// How every line begins. It cannot be within a text of JSON, where quotes are escaped.
const BEGIN: &[u8] = b"{\"log\":\"";

/// Appends the line of one entry; `attributes` are from [`attributes`].
pub fn encode(line: &mut Vec<u8>, entry: &Entry<'_>, attributes: &[u8]) {
    line.extend_from_slice(BEGIN);
    for chunk in entry.bytes.utf8_chunks() {
        escape(line, chunk.valid());
        for _ in chunk.invalid() {
            line.extend_from_slice(b"\\ufffd");
        }
    }
    line.extend_from_slice(match entry.stream {
        LogStream::Stdout => b"\",\"stream\":\"stdout\",",
        LogStream::Stderr => b"\",\"stream\":\"stderr\",",
    });
    line.extend_from_slice(attributes);
    // Writing to a vector cannot fail.
    let _ = writeln!(line, "\"time\":\"{}\"}}", entry.at);
}

/// Attributes, as they stand in every line.
#[must_use]
pub fn attributes(attributes: &BTreeMap<String, String>) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in attributes {
        out.extend_from_slice(if out.is_empty() { b"\"attrs\":{\"" } else { b",\"" });
        escape(&mut out, key);
        out.extend_from_slice(b"\":\"");
        escape(&mut out, value);
        out.push(b'"');
    }
    if !out.is_empty() {
        out.extend_from_slice(b"},");
    }
    out
}

/// Reads one line; none when there is no entry in it. What stands before an entry is passed over:
/// half a line that was cut by a crash, with the next one behind it.
#[must_use]
pub fn decode(mut line: &[u8]) -> Option<LogEntry> {
    for _ in 0..MOST_BEGINNINGS {
        if let Some(entry) = decode_exactly(line) {
            return Some(entry);
        }
        line = &line[begin_after(line, 1)?..];
    }
    None
}

/// Where the next entry may begin, at `from` or after it.
#[must_use]
pub fn begin_after(line: &[u8], from: usize) -> Option<usize> {
    line.get(from..)?.windows(BEGIN.len()).position(|window| window == BEGIN).map(|at| from + at)
}

fn decode_exactly(line: &[u8]) -> Option<LogEntry> {
    #[derive(Deserialize)]
    struct Line<'a> {
        #[serde(borrow, default)]
        log: Cow<'a, str>,
        stream: LogStream,
        time: Timestamp,
        #[serde(default)]
        attrs: BTreeMap<String, String>,
    }
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    Some(LogEntry {
        stream: line.stream,
        at: line.time,
        bytes: line.log.into_owned().into_bytes(),
        attributes: line.attrs,
    })
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
        let at = Timestamp::from_nanos(1_500_000_000);
        encode(&mut line, &Entry { stream: LogStream::Stdout, at, bytes, part: None }, &[]);
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
    fn attributes_stand_between_stream_and_time() {
        let pairs = BTreeMap::from([("b".to_owned(), "<2>".to_owned()), ("a".into(), "1".into())]);
        let mut line = Vec::new();
        let entry =
            Entry { stream: LogStream::Stderr, at: Timestamp::from_nanos(0), bytes: b"x\n", part: None };
        encode(&mut line, &entry, &attributes(&pairs));
        assert_eq!(
            String::from_utf8(line.clone()).unwrap(),
            "{\"log\":\"x\\n\",\"stream\":\"stderr\",\"attrs\":{\"a\":\"1\",\"b\":\"\\u003c2\\u003e\"},\
             \"time\":\"1970-01-01T00:00:00Z\"}\n"
        );
        assert_eq!(decode(&line).unwrap().attributes, pairs);
    }

    #[test]
    fn an_entry_behind_half_of_another_is_read() {
        let cut = &line(b"cut")[..20];
        for before in ["\0\0\0", cut, "{\"log\":\"", "garbage"] {
            let text = format!("{before}{}", line(b"whole\n"));
            assert_eq!(decode(text.as_bytes()).unwrap().bytes, b"whole\n", "{before}");
        }
    }

    #[test]
    fn other_lines_are_no_entries() {
        for wrong in [&b""[..], b"{}", b"{\"log\":\"x", b"\xff", b"null"] {
            assert!(decode(wrong).is_none());
        }
    }
}
