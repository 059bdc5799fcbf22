//! Cuts a stream of bytes into log entries: lines, and parts of lines that are longer than 16 KiB.

/// The longest entry, with its line's end.
pub const LONGEST: usize = 16 * 1024;

/// The part of a stream that has not seen its line's end yet.
#[derive(Debug, Default)]
pub struct Splitter {
    rest: Vec<u8>,
}

impl Splitter {
    /// Adds what was read and gives each entry that is complete to `sink`.
    pub fn push(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&[u8])) {
        if self.rest.is_empty() {
            let used = cut(bytes, sink);
            self.rest.extend_from_slice(&bytes[used..]);
        } else {
            let mut all = std::mem::take(&mut self.rest);
            all.extend_from_slice(bytes);
            let used = cut(&all, sink);
            self.rest.extend_from_slice(&all[used..]);
        }
    }

    /// The stream has ended: what is left is an entry without a line's end.
    pub fn finish(&mut self, sink: &mut dyn FnMut(&[u8])) {
        let rest = std::mem::take(&mut self.rest);
        if !rest.is_empty() {
            sink(&rest);
        }
    }
}

/// Gives the entries at the front of `bytes`; returns how many bytes they took.
fn cut(bytes: &[u8], sink: &mut dyn FnMut(&[u8])) -> usize {
    let mut used = 0;
    loop {
        let ahead = &bytes[used..];
        let window = &ahead[..ahead.len().min(LONGEST)];
        let taken = match window.iter().position(|b| *b == b'\n') {
            Some(end) => end + 1,
            None if window.len() == LONGEST => before_cut_character(window),
            None => return used,
        };
        sink(&window[..taken]);
        used += taken;
    }
}

/// The length of `window` without a UTF-8 character that its end cuts in two: a part of a character
/// cannot be written in JSON and would be lost.
fn before_cut_character(window: &[u8]) -> usize {
    match std::str::from_utf8(window) {
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => error.valid_up_to(),
        _ => window.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut splitter = Splitter::default();
        let mut entries = Vec::new();
        let mut sink = |bytes: &[u8]| entries.push(bytes.to_vec());
        for chunk in chunks {
            splitter.push(chunk, &mut sink);
        }
        splitter.finish(&mut sink);
        entries
    }

    #[test]
    fn lines_are_found_however_the_stream_arrives() {
        let whole = split(&[b"one\ntwo\n\nlast"]);
        assert_eq!(whole, [&b"one\n"[..], b"two\n", b"\n", b"last"]);
        assert_eq!(whole, split(&[b"o", b"ne\ntw", b"o\n\nla", b"st"]));
        assert!(split(&[b""]).is_empty());
    }

    #[test]
    fn a_line_longer_than_16_kib_comes_in_parts() {
        let lengths = |n: usize| {
            let mut line = vec![b'x'; n];
            line.push(b'\n');
            split(&[&line]).iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(lengths(LONGEST - 1), [LONGEST]);
        assert_eq!(lengths(LONGEST), [LONGEST, 1]);
        assert_eq!(lengths(2 * LONGEST + 5), [LONGEST, LONGEST, 6]);
    }

    #[test]
    fn no_character_is_cut_in_two() {
        let line = format!("x{}\n", "é".repeat(LONGEST));
        let entries = split(&[line.as_bytes()]);
        assert!(entries.iter().all(|e| std::str::from_utf8(e).is_ok()));
        assert_eq!(entries.concat(), line.as_bytes());
    }
}
