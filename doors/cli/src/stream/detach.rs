//! The keys by which a user leaves a container and lets it run: `ctrl-p,ctrl-q` by default.

/// Where nothing else is said.
const DEFAULT: [u8; 2] = [16, 17];

/// Reads a list of keys: `ctrl-x,a,DEL`.
pub(crate) fn parse(keys: &str) -> Result<Vec<u8>, String> {
    if keys.is_empty() {
        return Ok(DEFAULT.to_vec());
    }
    keys.split(',').map(|key| byte_of(key).ok_or_else(|| format!("Unknown character: '{key}'"))).collect()
}

fn byte_of(key: &str) -> Option<u8> {
    if let [byte] = key.as_bytes() {
        return Some(*byte);
    }
    if key == "DEL" {
        return Some(127);
    }
    match key.strip_prefix("ctrl-")?.as_bytes() {
        [letter @ b'a'..=b'z'] => Some(letter - b'a' + 1),
        [b'@'] => Some(0),
        [b'['] => Some(27),
        [b'\\'] => Some(28),
        [b']'] => Some(29),
        [b'^'] => Some(30),
        [b'_'] => Some(31),
        _ => None,
    }
}

/// Watches what is typed for the keys. A part of the sequence is held back until it is clear
/// whether the rest follows.
#[derive(Debug)]
pub(crate) struct Watcher {
    keys: Vec<u8>,
    matched: usize,
}

impl Watcher {
    pub(crate) fn new(keys: Vec<u8>) -> Watcher {
        Watcher { keys, matched: 0 }
    }

    /// Passes typed bytes on to `out`; true when the sequence is complete.
    pub(crate) fn pass(&mut self, typed: &[u8], out: &mut Vec<u8>) -> bool {
        for byte in typed {
            if self.keys.get(self.matched) != Some(byte) && self.matched > 0 {
                out.extend_from_slice(&self.keys[..self.matched]);
                self.matched = 0;
            }
            if self.keys.get(self.matched) != Some(byte) {
                out.push(*byte);
                continue;
            }
            self.matched += 1;
            if self.matched == self.keys.len() {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_by_name() {
        assert_eq!(parse("").unwrap(), [16, 17]);
        assert_eq!(parse("ctrl-a,x,DEL,ctrl-[").unwrap(), [1, b'x', 127, 27]);
        assert_eq!(parse("ctrl-A").unwrap_err(), "Unknown character: 'ctrl-A'");
    }

    #[test]
    fn half_a_sequence_is_passed_on_when_it_comes_to_nothing() {
        let mut watcher = Watcher::new(vec![16, 17]);
        let mut out = Vec::new();
        assert!(!watcher.pass(b"a\x10", &mut out));
        assert_eq!(out, b"a");
        assert!(!watcher.pass(b"b\x10\x10", &mut out));
        assert_eq!(out, b"a\x10b\x10");
        assert!(watcher.pass(b"\x11never seen", &mut out));
        assert_eq!(out, b"a\x10b\x10");
    }
}
