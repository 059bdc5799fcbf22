//! Cuts a stream of bytes into log entries: lines, and parts of lines that are longer than 16 KiB.

use dhow_model::Timestamp;

/// The longest entry, with its line's end.
pub const LONGEST: usize = 16 * 1024;

/// The part of a stream that has not seen its line's end yet.
#[derive(Debug, Default)]
pub struct Splitter {
    rest: Vec<u8>,
    /// When the first part of the current line was read: all its parts bear that time.
    line_began: Option<Timestamp>,
}

impl Splitter {
    /// Adds what was read at `now` and gives each entry that is complete to `sink`.
    pub fn push(&mut self, bytes: &[u8], now: Timestamp, sink: &mut dyn FnMut(&[u8], Timestamp)) {
        if self.rest.is_empty() {
            let used = self.cut(bytes, now, sink);
            self.rest.extend_from_slice(&bytes[used..]);
        } else {
            let mut all = std::mem::take(&mut self.rest);
            all.extend_from_slice(bytes);
            let used = self.cut(&all, now, sink);
            self.rest.extend_from_slice(&all[used..]);
        }
    }

    /// The stream has ended: what is left is an entry without a line's end.
    pub fn finish(&mut self, now: Timestamp, sink: &mut dyn FnMut(&[u8], Timestamp)) {
        let rest = std::mem::take(&mut self.rest);
        let at = self.line_began.take().unwrap_or(now);
        if !rest.is_empty() {
            sink(&rest, at);
        }
    }

    /// Gives the entries at the front of `bytes`; returns how many bytes they took.
    fn cut(&mut self, bytes: &[u8], now: Timestamp, sink: &mut dyn FnMut(&[u8], Timestamp)) -> usize {
        let mut used = 0;
        loop {
            let ahead = &bytes[used..];
            let window = &ahead[..ahead.len().min(LONGEST)];
            let at = self.line_began.unwrap_or(now);
            let taken = match window.iter().position(|b| *b == b'\n') {
                Some(end) => {
                    self.line_began = None;
                    end + 1
                }
                None if window.len() == LONGEST => {
                    self.line_began = Some(at);
                    before_cut_character(window)
                }
                None => {
                    self.line_began = (!window.is_empty() || self.line_began.is_some()).then_some(at);
                    return used;
                }
            };
            sink(&window[..taken], at);
            used += taken;
        }
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
        let mut sink = |bytes: &[u8], _| entries.push(bytes.to_vec());
        for chunk in chunks {
            splitter.push(chunk, Timestamp::NEVER, &mut sink);
        }
        splitter.finish(Timestamp::NEVER, &mut sink);
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

    #[test]
    fn all_parts_of_a_line_bear_the_time_of_its_first() {
        let mut splitter = Splitter::default();
        let mut times = Vec::new();
        for second in 1..4 {
            let now = Timestamp::from_nanos(second * 1_000_000_000);
            splitter.push(&[b'x'; LONGEST], now, &mut |_, at| times.push(at.unix_seconds()));
        }
        splitter.push(b"\nnext\n", Timestamp::from_nanos(9_000_000_000), &mut |_, at| {
            times.push(at.unix_seconds());
        });
        assert_eq!(times, [1, 1, 1, 1, 9]);
    }
}
