//! One entry in the binary form of Docker's `local` driver.
//!
//! ```text
//!   4 bytes   length, big-endian          again after the message, so that the file can be read backwards
//!   message   1 source   text             "stdout", "stderr"
//!   (protobuf)2 time     varint           nanoseconds since 1970
//!             3 line     bytes            without the line's end
//!             4 partial  varint           1 when it is a part of a line
//!             5 place    message          1 last (varint), 2 id (text), 3 ordinal (varint)
//!             6 attribute message         1 key, 2 value; once for each
//!   4 bytes   length
//! ```

use std::collections::BTreeMap;

use dhow_model::Timestamp;
use dhow_model::ports::{LogEntry, LogStream};

use super::entry::{Entry, Part};

/// The longest message that is read: a line of 16 KiB, and ten times as much for attributes.
pub const LONGEST: usize = 256 * 1024;

/// Bytes of a length, of which each record has two.
pub const LENGTH: usize = 4;

const VARINT: u64 = 0;
const BYTES: u64 = 2;

/// Appends the record of one entry; `attributes` are from [`attributes`].
pub fn encode(out: &mut Vec<u8>, entry: &Entry<'_>, attributes: &[u8]) {
    let begin = out.len();
    out.extend_from_slice(&[0; LENGTH]);
    let source: &[u8] = match entry.stream {
        LogStream::Stdout => b"stdout",
        LogStream::Stderr => b"stderr",
    };
    field(out, 1, source);
    number(out, 2, u64::try_from(entry.at.unix_nanos()).unwrap_or(0));
    field(out, 3, entry.text());
    if let Some(part) = &entry.part {
        number(out, 4, 1);
        field(out, 5, &place(part));
    }
    out.extend_from_slice(attributes);
    let length = u32::try_from(out.len() - begin - LENGTH).unwrap_or(u32::MAX).to_be_bytes();
    out[begin..begin + LENGTH].copy_from_slice(&length);
    out.extend_from_slice(&length);
}

/// Attributes, as each record ends with them.
#[must_use]
pub fn attributes(attributes: &BTreeMap<String, String>) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in attributes {
        let mut pair = Vec::new();
        field(&mut pair, 1, key.as_bytes());
        field(&mut pair, 2, value.as_bytes());
        field(&mut out, 6, &pair);
    }
    out
}

fn place(part: &Part) -> Vec<u8> {
    let mut out = Vec::new();
    if part.last {
        number(&mut out, 1, 1);
    }
    field(&mut out, 2, part.id_text().as_bytes());
    number(&mut out, 3, part.ordinal.into());
    out
}

fn field(out: &mut Vec<u8>, tag: u64, bytes: &[u8]) {
    varint(out, tag << 3 | BYTES);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn number(out: &mut Vec<u8>, tag: u64, value: u64) {
    varint(out, tag << 3 | VARINT);
    varint(out, value);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// What the bytes at the front of a buffer are.
#[derive(Debug, PartialEq, Eq)]
pub enum Front {
    /// A record of so many bytes.
    Record(LogEntry, usize),
    /// Perhaps a record, when there is more.
    Cut,
    /// No record.
    Damage,
}

/// Reads the record at the front of `bytes`.
#[must_use]
pub fn front(bytes: &[u8]) -> Front {
    let Some(length) = length_at(bytes, 0) else { return Front::Cut };
    if !(1..=LONGEST).contains(&length) {
        return Front::Damage;
    }
    match length_at(bytes, LENGTH + length) {
        None => Front::Cut,
        Some(again) if again != length => Front::Damage,
        Some(_) => match decode(&bytes[LENGTH..LENGTH + length]) {
            Some(entry) => Front::Record(entry, length + 2 * LENGTH),
            None => Front::Damage,
        },
    }
}

/// The length that is written at `at`.
#[must_use]
pub fn length_at(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(LENGTH)?)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?) as usize)
}

/// Reads a message; fields that are not known are passed over.
fn decode(message: &[u8]) -> Option<LogEntry> {
    let (mut stream, mut nanos, mut line) = (None, 0, &[][..]);
    let (mut partial, mut last) = (false, false);
    let mut attributes = BTreeMap::new();
    let mut fields = Fields(message);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(b"stdout")) => stream = Some(LogStream::Stdout),
            (1, Value::Bytes(b"stderr")) => stream = Some(LogStream::Stderr),
            (2, Value::Number(value)) => nanos = value,
            (3, Value::Bytes(bytes)) => line = bytes,
            (4, Value::Number(value)) => partial = value != 0,
            (5, Value::Bytes(place)) => last = is_last(place)?,
            (6, Value::Bytes(pair)) => attributes.extend([attribute(pair)?]),
            _ => {}
        }
    }
    let mut bytes = Vec::with_capacity(line.len() + 1);
    bytes.extend_from_slice(line);
    if !partial || last {
        bytes.push(b'\n');
    }
    let at = Timestamp::from_nanos(i128::from(nanos.cast_signed()));
    Some(LogEntry { stream: stream?, at, bytes, attributes })
}

fn is_last(place: &[u8]) -> Option<bool> {
    let mut fields = Fields(place);
    let mut last = false;
    while let Some(field) = fields.next()? {
        if let (1, Value::Number(value)) = field {
            last = value != 0;
        }
    }
    Some(last)
}

fn attribute(pair: &[u8]) -> Option<(String, String)> {
    let mut fields = Fields(pair);
    let (mut key, mut value) = (String::new(), String::new());
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(bytes)) => key = String::from_utf8_lossy(bytes).into_owned(),
            (2, Value::Bytes(bytes)) => value = String::from_utf8_lossy(bytes).into_owned(),
            _ => {}
        }
    }
    Some((key, value))
}

/// The fields of a message, one after another.
struct Fields<'a>(&'a [u8]);

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

impl<'a> Fields<'a> {
    /// The outer none is damage, the inner one the end.
    #[expect(clippy::option_option, reason = "damage and the end are two things")]
    fn next(&mut self) -> Option<Option<(u64, Value<'a>)>> {
        if self.0.is_empty() {
            return Some(None);
        }
        let key = self.varint()?;
        let value = match key & 7 {
            VARINT => Value::Number(self.varint()?),
            BYTES => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            1 => self.take(8).map(|_| Value::Other)?,
            5 => self.take(4).map(|_| Value::Other)?,
            _ => return None,
        };
        Some(Some((key >> 3, value)))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for place in 0..10 {
            let byte = *self.take(1)?.first()?;
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(bytes: &[u8], part: Option<Part>) -> Entry<'_> {
        Entry { stream: LogStream::Stderr, at: Timestamp::from_nanos(1_500_000_000), bytes, part }
    }

    fn record(bytes: &[u8], part: Option<Part>) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&mut out, &entry(bytes, part), &[]);
        out
    }

    #[test]
    fn a_record_is_written_as_docker_writes_it() {
        let message = b"\x0a\x06stderr\x10\x80\xde\xa0\xcb\x05\x1a\x02hi";
        let length = [0, 0, 0, u8::try_from(message.len()).unwrap()];
        assert_eq!(record(b"hi\n", None), [&length[..], message, &length[..]].concat());
    }

    #[test]
    fn what_was_written_is_read_back() {
        let part = |last| Some(Part { id: [7; 32], ordinal: 3, last });
        for (bytes, part) in [
            (&b"hi\n"[..], None),
            (b"\xff\n", None),
            (b"\n", None),
            (b"be", part(false)),
            (b"end\n", part(true)),
        ] {
            let written = record(bytes, part);
            let Front::Record(read, length) = front(&written) else { panic!("{bytes:?}") };
            assert_eq!((read.bytes, length), (bytes.to_vec(), written.len()));
            assert_eq!((read.stream, read.at.unix_nanos()), (LogStream::Stderr, 1_500_000_000));
        }
    }

    #[test]
    fn attributes_are_read_back() {
        let pairs = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".into(), "ü=".into())]);
        let mut out = Vec::new();
        encode(&mut out, &entry(b"x\n", None), &attributes(&pairs));
        let Front::Record(read, _) = front(&out) else { panic!() };
        assert_eq!(read.attributes, pairs);
    }

    #[test]
    fn what_is_cut_and_what_is_damaged_is_told_apart() {
        let whole = record(b"hello\n", None);
        for length in 0..whole.len() {
            assert_eq!(front(&whole[..length]), Front::Cut, "{length}");
        }
        for at in [0, whole.len() - 1, LENGTH] {
            let mut wrong = whole.clone();
            wrong[at] ^= 0x17;
            assert_eq!(front(&wrong), Front::Damage, "{at}");
        }
    }
}
