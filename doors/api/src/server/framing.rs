//! Output in the form that a client asked for, where the process has the other one.
//!
//! An exec is created with or without a terminal, and started with or without one: the first decides
//! what the process has, the second what the client reads.

use std::borrow::Cow;

use dhow_model::ports::LogStream;

use super::stdcopy::{self, HEADER};

/// How the bytes of a process become those of its client.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Framing {
    /// They already are.
    #[default]
    Same,
    /// Raw bytes of a terminal, for a client that reads frames.
    Add,
    /// Frames, for a client that reads raw bytes: it gets standard output alone, as from Docker.
    Strip(Frame),
    /// Frames, for a client that reads raw bytes of whichever stream it asked for.
    StripAll(Frame),
}

/// Where in a frame the last piece ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Frame {
    header: Vec<u8>,
    left: usize,
}

impl Framing {
    /// From what the process has to what the client asked for.
    pub(crate) fn between(process_has_terminal: bool, client_wants_terminal: bool) -> Self {
        match (process_has_terminal, client_wants_terminal) {
            (true, false) => Self::Add,
            (false, true) => Self::Strip(Frame::default()),
            _ => Self::Same,
        }
    }

    /// The next piece, as the client reads it.
    pub(crate) fn pass<'a>(&mut self, piece: &'a [u8]) -> Cow<'a, [u8]> {
        match self {
            Self::Same => piece.into(),
            Self::Add => stdcopy::frame(LogStream::Stdout, piece).into(),
            Self::Strip(frame) => frame.strip(piece, Some(LogStream::Stdout)).into(),
            Self::StripAll(frame) => frame.strip(piece, None).into(),
        }
    }
}

impl Frame {
    fn strip(&mut self, mut piece: &[u8], only: Option<LogStream>) -> Vec<u8> {
        let mut payload = Vec::new();
        while !piece.is_empty() {
            if self.left == 0 {
                let count = (HEADER - self.header.len()).min(piece.len());
                self.header.extend_from_slice(&piece[..count]);
                piece = &piece[count..];
                if let [_, _, _, _, length @ ..] = self.header.as_slice()
                    && let Ok(length) = <[u8; 4]>::try_from(length)
                {
                    self.left = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                }
                if self.header.len() == HEADER && self.left == 0 {
                    self.header.clear();
                }
                continue;
            }
            let count = self.left.min(piece.len());
            if only.is_none_or(|only| self.header.first() == Some(&(only as u8))) {
                payload.extend_from_slice(&piece[..count]);
            }
            piece = &piece[count..];
            self.left -= count;
            if self.left == 0 {
                self.header.clear();
            }
        }
        payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_added_or_taken_off_wherever_pieces_are_cut() {
        let framed = b"\x01\0\0\0\0\0\0\x02ab\x02\0\0\0\0\0\0\x03err\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\x01c";
        for length in 1..=framed.len() {
            let mut framing = Framing::between(false, true);
            let raw: Vec<u8> =
                framed.chunks(length).flat_map(|piece| framing.pass(piece).into_owned()).collect();
            assert_eq!(raw, b"abc", "in pieces of {length}");
        }
        let mut all = Framing::StripAll(Frame::default());
        assert_eq!(all.pass(framed).as_ref(), b"aberrc");
        assert_eq!(Framing::between(true, false).pass(b"hi").as_ref(), b"\x01\0\0\0\0\0\0\x02hi");
        assert_eq!(Framing::between(true, true).pass(b"hi").as_ref(), b"hi");
    }
}
