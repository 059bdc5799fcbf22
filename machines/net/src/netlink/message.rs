//! One message: a header, what its kind begins with, and attributes.

use std::ffi::CStr;

const HEADER: usize = 16;
const ATTRIBUTE_HEADER: usize = 4;
/// An attribute that holds attributes says so (`NLA_F_NESTED`).
const NESTED: u16 = 0x8000;
const KIND_MASK: u16 = 0x3fff;

/// A request that is being written. Numbers are in the machine's order, unless they say otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// A request of a kind (`RTM_…`), with flags (`NLM_F_…`), that begins with `start` (`ifinfomsg`, …).
    pub(crate) fn new(kind: u16, flags: u16, start: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend([0; 4]);
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; HEADER - 8]);
        bytes.extend(start);
        let mut message = Self { bytes };
        message.pad();
        message
    }

    /// Adds an attribute.
    pub(crate) fn put(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let length = u16::try_from(ATTRIBUTE_HEADER + value.len()).unwrap_or(u16::MAX);
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.pad();
        self
    }

    /// Adds a string, which ends with a zero byte.
    pub(crate) fn text(&mut self, kind: u16, text: &str) -> &mut Self {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.put(kind, &bytes)
    }

    /// Adds a number of 32 bits.
    pub(crate) fn number(&mut self, kind: u16, value: u32) -> &mut Self {
        self.put(kind, &value.to_ne_bytes())
    }

    /// Adds an attribute that holds what `fill` adds.
    pub(crate) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let at = self.bytes.len();
        self.put(kind | NESTED, &[]);
        fill(self);
        let length = u16::try_from(self.bytes.len() - at).unwrap_or(u16::MAX);
        self.bytes[at..at + 2].copy_from_slice(&length.to_ne_bytes());
        self
    }

    /// Adds bytes that are no attribute.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend(bytes);
        self.pad();
        self
    }

    /// Whether the kernel says all of this of a thing, after as many bytes as this begins with. It says more.
    pub(crate) fn is_said_by(&self, answer: &[u8], start: usize) -> bool {
        let asked = self.bytes.get(HEADER + start..);
        asked.zip(answer.get(start..)).is_some_and(|(asked, said)| holds(asked, said))
    }

    /// The bytes to send: with the length, further flags, and the number by which an answer is known.
    pub(super) fn finish(&self, flags: u16, sequence: u32) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let flags = flags | u16::from_ne_bytes([bytes[6], bytes[7]]);
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        bytes
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// Whether of each kind there are as many attributes in `said` as in `asked`, with the same values in the same order.
fn holds(asked: &[u8], said: &[u8]) -> bool {
    let of = |bytes, wanted: u16| {
        Raw { rest: bytes }.filter(move |(kind, _)| kind & KIND_MASK == wanted & KIND_MASK)
    };
    let same = |(kind, asked): (u16, &[u8]), (_, said): (u16, &[u8])| {
        if kind & NESTED == 0 { asked == said } else { holds(asked, said) }
    };
    Raw { rest: asked }.all(|(kind, _)| {
        of(asked, kind).count() == of(said, kind).count()
            && of(asked, kind).zip(of(said, kind)).all(|(asked, said)| same(asked, said))
    })
}

/// The attributes of an answer, in their order. What is cut off ends them.
pub(crate) fn attributes(bytes: &[u8]) -> Attributes<'_> {
    Attributes { rest: bytes }
}

/// See [`attributes`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// The first of a kind.
    pub(crate) fn get(self, wanted: u16) -> Option<&'a [u8]> {
        self.into_iter().find_map(|(kind, value)| (kind == wanted).then_some(value))
    }

    /// The same as a number of 32 bits in the machine's order.
    pub(crate) fn number(self, wanted: u16) -> Option<u32> {
        self.get(wanted)?.try_into().ok().map(u32::from_ne_bytes)
    }

    /// The same as text up to its zero byte.
    pub(crate) fn text(self, wanted: u16) -> Option<&'a str> {
        CStr::from_bytes_until_nul(self.get(wanted)?).ok()?.to_str().ok()
    }

    /// The attributes in an attribute.
    pub(crate) fn nested(self, wanted: u16) -> Option<Self> {
        self.get(wanted).map(attributes)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let mut raw = Raw { rest: self.rest };
        let (kind, value) = raw.next()?;
        self.rest = raw.rest;
        Some((kind & KIND_MASK, value))
    }
}

/// The same with the flags of their kinds.
struct Raw<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Raw<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let number = |at: usize| Some(u16::from_ne_bytes(self.rest.get(at..at + 2)?.try_into().ok()?));
        let (length, kind) = (usize::from(number(0)?), number(2)?);
        let value = self.rest.get(ATTRIBUTE_HEADER..length)?;
        self.rest = self.rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut message = Message::new(16, 0, &[1, 2, 3, 4]);
        message.text(3, "eth0").nest(18, |inside| {
            inside.text(1, "veth").number(2, 7);
        });
        let bytes = message.finish(5, 9);
        assert_eq!(usize::try_from(u32::from_ne_bytes(bytes[..4].try_into().unwrap())).unwrap(), bytes.len());
        assert_eq!(bytes[6..12], [5, 0, 9, 0, 0, 0]);
        let all = attributes(&bytes[20..]);
        assert_eq!(all.text(3), Some("eth0"));
        assert_eq!(all.nested(18).unwrap().number(2), Some(7));
        assert_eq!(all.get(4), None);
    }

    #[test]
    fn what_was_asked_for_is_found_in_what_the_kernel_says() {
        let said = |parts: &[u32], further: bool| {
            let mut message = Message::new(16, 0, &[1, 2, 3, 4]);
            message.text(3, "eth0").nest(18, |inside| {
                for part in parts {
                    inside.number(2, *part);
                }
                if further {
                    inside.text(9, "further");
                }
            });
            message
        };
        let asked = said(&[7, 8], false);
        let is_said = |answer: Message| asked.is_said_by(&answer.bytes[HEADER..], 4);
        assert!(is_said(said(&[7, 8], false)) && is_said(said(&[7, 8], true)));
        for parts in [&[8, 7][..], &[7], &[7, 8, 9]] {
            assert!(!is_said(said(parts, false)), "{parts:?}");
        }
        assert!(!asked.is_said_by(&[], 4) && !asked.is_said_by(&[1, 2, 3, 4], 4));
    }

    #[test]
    fn what_is_cut_off_ends_the_attributes() {
        assert_eq!(attributes(&[8, 0, 1, 0, 1]).count(), 0);
        assert_eq!(attributes(&[0, 0, 0, 0]).count(), 0);
        assert_eq!(attributes(&[5, 0, 1, 0, 7]).collect::<Vec<_>>(), [(1, &[7][..])]);
    }
}
