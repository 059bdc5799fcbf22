//! An entry as a message of the journal's native protocol.
//!
//! ```text
//!   NAME=value\n                         where the value is one line
//!   NAME\n<8 bytes: length>value\n       everywhere else, the length little-endian
//! ```

use std::collections::BTreeMap;

use dhow_model::ports::LogStream;

use super::entry::Entry;

/// Where the journal listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// Writes one message; `ordinal` counts those of this container from 1.
#[must_use]
pub fn message(fields: &BTreeMap<String, String>, entry: &Entry<'_>, ordinal: u64) -> Vec<u8> {
    let mut message = Vec::with_capacity(entry.bytes.len() + 1024);
    field(&mut message, "PRIORITY", priority(entry.stream));
    field(&mut message, "MESSAGE", entry.text());
    for (name, value) in fields {
        field(&mut message, name, value.as_bytes());
    }
    field(&mut message, "SYSLOG_TIMESTAMP", entry.at.to_string().as_bytes());
    field(&mut message, "CONTAINER_LOG_ORDINAL", ordinal.to_string().as_bytes());
    if let Some(part) = &entry.part {
        field(&mut message, "CONTAINER_PARTIAL_ID", part.id_text().as_bytes());
        field(&mut message, "CONTAINER_PARTIAL_ORDINAL", part.ordinal.to_string().as_bytes());
        field(&mut message, "CONTAINER_PARTIAL_LAST", part.last.to_string().as_bytes());
        if !part.last {
            field(&mut message, "CONTAINER_PARTIAL_MESSAGE", b"true");
        }
    }
    message
}

/// The sentence that tells a loss, as a message.
#[must_use]
pub fn loss(fields: &BTreeMap<String, String>, sentence: &str) -> Vec<u8> {
    let mut message = Vec::new();
    field(&mut message, "PRIORITY", priority(LogStream::Stderr));
    field(&mut message, "MESSAGE", sentence.as_bytes());
    for (name, value) in fields {
        field(&mut message, name, value.as_bytes());
    }
    message
}

/// What a container writes is an error or informational.
fn priority(stream: LogStream) -> &'static [u8] {
    match stream {
        LogStream::Stdout => b"6",
        LogStream::Stderr => b"3",
    }
}

fn field(message: &mut Vec<u8>, name: &str, value: &[u8]) {
    message.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        message.push(b'\n');
        message.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        message.push(b'=');
    }
    message.extend_from_slice(value);
    message.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::entry::Part;
    use dhow_model::Timestamp;

    #[test]
    fn an_entry_is_a_message_with_all_its_fields() {
        let fields = BTreeMap::from([
            ("CONTAINER_NAME".to_owned(), "web".to_owned()),
            ("LABEL".to_owned(), "two\nlines".to_owned()),
        ]);
        let part = Some(Part { id: [1; 32], ordinal: 2, last: false });
        let at = Timestamp::from_nanos(0);
        let entry = Entry { stream: LogStream::Stdout, at, bytes: b"hi=there", part };
        let expected = [
            b"PRIORITY=6\nMESSAGE=hi=there\nCONTAINER_NAME=web\nLABEL\n\x09\0\0\0\0\0\0\0two\nlines\n"
                .as_slice(),
            b"SYSLOG_TIMESTAMP=1970-01-01T00:00:00Z\nCONTAINER_LOG_ORDINAL=9\n",
            format!("CONTAINER_PARTIAL_ID={}\n", "01".repeat(32)).as_bytes(),
            b"CONTAINER_PARTIAL_ORDINAL=2\nCONTAINER_PARTIAL_LAST=false\nCONTAINER_PARTIAL_MESSAGE=true\n",
        ]
        .concat();
        assert_eq!(message(&fields, &entry, 9), expected);
    }
}
