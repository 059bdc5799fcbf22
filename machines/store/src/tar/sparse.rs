//! Maps of sparse files: which pieces of the file are in the archive.
//!
//! Four forms are about: GNU's old one (type `S`, four pieces in the header and more in blocks that
//! follow it) and three in PAX records: 0.0 (a pair of records a piece), 0.1 (one record with all)
//! and 1.0 (decimal lines in front of the data). GNU tar manual, "Storing Sparse Files".

use super::error::{Error, Result};
use super::header::Block;
use super::number::unsigned;

/// A piece of a file that is in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// What the header of an old GNU sparse file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OldMap {
    pub(super) segments: Vec<Segment>,
    /// Another block of pieces follows.
    pub(super) continued: bool,
    /// The size with the holes.
    pub(super) real_size: u64,
}

impl OldMap {
    pub(super) fn parse(block: &Block) -> Result<Self> {
        let mut map = Self {
            segments: Vec::new(),
            continued: block[482] != 0,
            real_size: unsigned(&block[483..495], "sparse size")?,
        };
        old_pieces(&block[386..482], &mut map.segments)?;
        Ok(map)
    }

    /// Takes the pieces of a continuation block.
    pub(super) fn extend(&mut self, block: &Block) -> Result<()> {
        self.continued = block[504] != 0;
        old_pieces(&block[..504], &mut self.segments)
    }
}

/// Pairs of 12-byte numbers; an empty pair ends them.
fn old_pieces(fields: &[u8], segments: &mut Vec<Segment>) -> Result<()> {
    for pair in fields.chunks_exact(24) {
        if pair[0] == 0 || pair[12] == 0 {
            break;
        }
        segments.push(Segment {
            offset: unsigned(&pair[..12], "sparse offset")?,
            length: unsigned(&pair[12..], "sparse length")?,
        });
    }
    Ok(())
}

/// Reads the comma-separated numbers of `GNU.sparse.map`.
pub(super) fn parse_list(value: &[u8]) -> Result<Vec<Segment>> {
    if value.is_empty() {
        return Ok(Vec::new());
    }
    pairs(value.split(|&byte| byte == b','))
}

/// Reads the map in front of the data (format 1.0) from the lines at hand.
///
/// `None` says that the lines are not complete yet.
pub(super) fn parse_lines(data: &[u8], most: usize) -> Result<Option<Vec<Segment>>> {
    let wanted = lines_wanted(data, most)?;
    let lines = data.split_inclusive(|&byte| byte == b'\n');
    let whole: Vec<_> = lines.map_while(|line| line.strip_suffix(b"\n")).take(wanted).collect();
    if whole.len() < wanted { Ok(None) } else { pairs(whole.into_iter().skip(1)).map(Some) }
}

/// How many lines the map has in all, as its first line says.
pub(super) fn lines_wanted(data: &[u8], most: usize) -> Result<usize> {
    let Some(end) = data.iter().position(|&byte| byte == b'\n') else { return Ok(1) };
    let count = decimal(&data[..end], "sparse count")?;
    let count = usize::try_from(count).ok().filter(|&count| count <= most);
    count.map(|count| count * 2 + 1).ok_or_else(|| Error::limit("too many pieces in a sparse file"))
}

fn pairs<'a>(mut numbers: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Segment>> {
    let mut segments = Vec::new();
    while let Some(offset) = numbers.next() {
        let Some(length) = numbers.next() else { return Err(Error::format("sparse map has an odd number")) };
        segments.push(Segment {
            offset: decimal(offset, "sparse offset")?,
            length: decimal(length, "sparse length")?,
        });
    }
    Ok(segments)
}

/// Reads digits and nothing else.
pub(super) fn decimal(text: &[u8], what: &str) -> Result<u64> {
    let wrong = || Error::format(format!("{what} is no number: {}", super::shown(text)));
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Err(wrong());
    }
    std::str::from_utf8(text).ok().and_then(|digits| digits.parse().ok()).ok_or_else(wrong)
}

/// Checks a map: ascending, without overlap, within the file, and as long as what is stored.
pub(super) fn check(segments: &[Segment], real_size: u64, stored: u64) -> Result<()> {
    let mut end = 0;
    let mut total = 0_u64;
    for segment in segments {
        if segment.offset < end {
            return Err(Error::format("sparse map is not in order, or overlaps"));
        }
        end =
            segment.offset.checked_add(segment.length).filter(|&end| end <= real_size).ok_or_else(|| {
                Error::format(format!("sparse map goes beyond the file's size {real_size}"))
            })?;
        total = total.saturating_add(segment.length);
    }
    if total == stored {
        return Ok(());
    }
    Err(Error::format(format!("sparse map tells of {total} bytes, {stored} are stored")))
}
