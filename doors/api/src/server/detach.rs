//! The keys by which a client at a terminal leaves without ending the process.
//!
//! Docker's own client looks for them itself; others leave it to the engine.

use dhow_model::{Error, Result};

/// Ctrl-P, Ctrl-Q.
const DEFAULT: [u8; 2] = [16, 17];

/// A sequence of keys, and how much of it was typed.
pub(crate) struct DetachKeys {
    sequence: Vec<u8>,
    typed: usize,
    /// Hears of it when the sequence is complete.
    left: Option<Box<dyn FnOnce() + Send>>,
}

impl DetachKeys {
    /// Reads `ctrl-p,ctrl-q` or `a,b`; empty is the default.
    ///
    /// # Errors
    /// Invalid argument, in Docker's words.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self { sequence: DEFAULT.into(), typed: 0, left: None });
        }
        let keys = text.split(',').map(|key| byte(key.trim()));
        let sequence = keys.collect::<Option<Vec<u8>>>();
        let wrong = || Error::invalid(format!("Invalid detach keys ({text}) provided"));
        Ok(Self { sequence: sequence.ok_or_else(wrong)?, typed: 0, left: None })
    }

    /// The same, and `left` is called when the client has typed them.
    pub(crate) fn telling(self, left: impl FnOnce() + Send + 'static) -> Self {
        Self { left: Some(Box::new(left)), ..self }
    }

    /// Takes what was typed: what of it is for the process, or nothing when the sequence is complete.
    ///
    /// The beginning of the sequence is held back until it is known not to be one.
    pub(crate) fn feed(&mut self, typed: &[u8]) -> Option<Vec<u8>> {
        let mut passed = Vec::with_capacity(typed.len());
        for byte in typed {
            if *byte != self.sequence[self.typed] {
                passed.extend_from_slice(&self.sequence[..self.typed]);
                self.typed = 0;
            }
            if *byte == self.sequence[self.typed] {
                self.typed += 1;
            } else {
                passed.push(*byte);
            }
            if self.typed == self.sequence.len() {
                if let Some(left) = self.left.take() {
                    left();
                }
                return None;
            }
        }
        Some(passed)
    }
}

fn byte(key: &str) -> Option<u8> {
    match (key.strip_prefix("ctrl-").map(str::as_bytes), key.as_bytes()) {
        (Some([letter @ (b'a'..=b'z' | b'@' | b'[' | b'\\' | b']' | b'^' | b'_')]), _) => Some(letter & 0x1f),
        (None, [one]) => Some(*one),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_docker_writes_them() {
        for (text, sequence) in [
            ("", Some(vec![16, 17])),
            ("ctrl-a,x", Some(vec![1, 120])),
            ("ctrl-@", Some(vec![0])),
            ("ctrl-", None),
            ("ab", None),
        ] {
            assert_eq!(DetachKeys::parse(text).ok().map(|keys| keys.sequence), sequence, "{text}");
        }
    }

    #[test]
    fn the_sequence_detaches_and_everything_else_is_passed_on() {
        for (typed, passed) in [
            (&[&b"ls\n"[..]][..], Some(&b"ls\n"[..])),
            (&[b"a\x10\x11"], None),
            (&[b"a\x10", b"\x11"], None),
            (&[b"\x10", b"b"], Some(b"\x10b")),
            (&[b"\x10\x10\x11"], None),
        ] {
            let mut keys = DetachKeys::parse("").unwrap();
            let all: Option<Vec<Vec<u8>>> = typed.iter().map(|bytes| keys.feed(bytes)).collect();
            assert_eq!(all.map(|all| all.concat()).as_deref(), passed, "{typed:?}");
        }
    }
}
