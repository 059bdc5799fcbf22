//! Reads a tar from a stream, entry by entry, and never more than its limits allow.

use std::io::{self, BufRead, Read};

use super::assemble::{Assembled, Before, Map, assemble};
use super::entry::Entry;
use super::error::{Error, Result};
use super::header::{BLOCK, Block, Header};
use super::limits::Limits;
use super::pax::Extension;
use super::sparse::{self, Segment};
use crate::fill::fill;

/// A tar that is read from front to back.
///
/// [`next_entry`](Self::next_entry) answers an entry; its contents are then read by
/// [`next_chunk`](Self::next_chunk) without a copy, or by [`contents`](Self::contents) as a stream
/// with the holes filled. What is not read is skipped.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    limits: Limits,
    globals: Extension,
    entries: u64,
    position: u64,
    name: Vec<u8>,
    body: Body,
    ended: bool,
}

/// What is left of the contents of the entry at hand.
#[derive(Debug, Default)]
struct Body {
    /// Bytes in the archive.
    stored: u64,
    /// Bytes after them up to the next block.
    padding: u64,
    /// The pieces, last first.
    segments: Vec<Segment>,
    /// Where the next byte belongs in the file.
    at: u64,
    /// Size of the file.
    size: u64,
    /// Bytes handed out and not yet taken from the input.
    lent: usize,
}

impl<R: BufRead> Reader<R> {
    /// Reads from `input`, which must be uncompressed.
    pub fn new(input: R, limits: Limits) -> Self {
        Self {
            input,
            limits,
            globals: Extension::default(),
            entries: 0,
            position: 0,
            name: Vec::new(),
            body: Body::default(),
            ended: false,
        }
    }

    /// The next entry, or `None` behind the last one.
    ///
    /// # Errors
    /// What is wrong with the archive, and at which entry.
    pub fn next_entry(&mut self) -> Result<Option<Entry>> {
        if self.ended {
            return Ok(None);
        }
        self.skip_contents()?;
        let mut before = Before::default();
        while let Some(header) = self.next_header(&before)? {
            match header.flag {
                b'x' | b'X' | b'g' | b'L' | b'K' => self.extension(&header, &mut before)?,
                _ => return self.begin(header, before).map(Some),
            }
        }
        self.ended = true;
        Ok(None)
    }

    /// Bytes of the archive read so far: behind [`next_entry`](Self::next_entry), where the contents begin.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Bytes of the entry's contents that the archive still has: fewer than its size where it is sparse.
    pub const fn stored(&self) -> u64 {
        self.body.stored
    }

    /// The pieces of the contents that the archive still has, one after the other from
    /// [`position`](Self::position) on: where each belongs in the file, and its length.
    pub fn pieces(&self) -> impl Iterator<Item = (u64, u64)> {
        self.body.segments.iter().rev().map(|segment| (segment.offset, segment.length))
    }

    /// The next piece of the contents: where it belongs in the file, and its bytes.
    ///
    /// Holes are left out. `None` is the end.
    ///
    /// # Errors
    /// When the archive ends before the contents do.
    pub fn next_chunk(&mut self) -> Result<Option<(u64, &[u8])>> {
        self.release();
        let Some(segment) = self.body.segments.last() else { return Ok(None) };
        self.body.at = segment.offset;
        self.lend(usize::MAX).map(Some)
    }

    /// The contents as a stream; holes are read as zeros.
    pub fn contents(&mut self) -> Contents<'_, R> {
        Contents(self)
    }

    /// The stream, of which the archive may be the first part only.
    pub fn into_inner(mut self) -> R {
        self.release();
        self.input
    }

    /// Hands out what the input has of the current piece, at most `most` bytes and at least one.
    fn lend(&mut self, most: usize) -> Result<(u64, &[u8])> {
        let body = &mut self.body;
        let name = &self.name;
        let buffer = self.input.fill_buf().map_err(|error| Error::from(error).at(name))?;
        if buffer.is_empty() {
            return Err(Error::format("unexpected EOF: archive ends in the middle of its contents").at(name));
        }
        let Some(segment) = body.segments.last_mut() else { return Ok((body.at, &[])) };
        let left = usize::try_from(segment.length).unwrap_or(usize::MAX);
        let length = buffer.len().min(left).min(most);
        let offset = segment.offset;
        segment.offset += length as u64;
        segment.length -= length as u64;
        if segment.length == 0 {
            body.segments.pop();
        }
        body.stored -= length as u64;
        body.at = offset + length as u64;
        body.lent = length;
        Ok((offset, &buffer[..length]))
    }

    fn release(&mut self) {
        let lent = std::mem::take(&mut self.body.lent);
        self.input.consume(lent);
        self.position += lent as u64;
    }

    fn skip_contents(&mut self) -> Result<()> {
        self.release();
        let padding = self.body.padding;
        let mut left = self.body.stored + padding;
        self.body = Body::default();
        while left > 0 {
            let length = self.input.fill_buf().map_err(|error| Error::from(error).at(&self.name))?.len();
            if length == 0 && left <= padding {
                // All contents are there, the zeros behind them are not: umoci's `insert` writes such
                // layers, and everybody reads them.
                return Ok(());
            }
            if length == 0 {
                return Err(Error::format("unexpected EOF: archive ends in the middle of its contents")
                    .at(&self.name));
            }
            let length = length.min(usize::try_from(left).unwrap_or(usize::MAX));
            self.input.consume(length);
            self.position += length as u64;
            left -= length as u64;
        }
        Ok(())
    }

    /// The next header; `None` at two blocks of zeros or at the end of the stream.
    fn next_header(&mut self, before: &Before) -> Result<Option<Header>> {
        let header = match self.block()? {
            Some(block) => Header::parse(&block)?,
            None => None,
        };
        if header.is_none() {
            if !before.is_empty() {
                return Err(Error::format("unexpected EOF: archive ends after an extended header"));
            }
            return self.verify_end().map(|()| None);
        }
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(Error::limit(format!("archive has more than {} entries", self.limits.entries)));
        }
        Ok(header)
    }

    /// A block of zeros with entries behind it is read by some programs to the end and by some not.
    fn verify_end(&mut self) -> Result<()> {
        match self.block()? {
            Some(block) if block.iter().any(|&byte| byte != 0) => {
                Err(Error::format("archive goes on behind a lone block of zeros"))
            }
            _ => Ok(()),
        }
    }

    /// Reads a block; `None` at the end of the stream.
    fn block(&mut self) -> Result<Option<Block>> {
        let mut block = [0; BLOCK];
        match fill(&mut self.input, &mut block)? {
            0 => return Ok(None),
            BLOCK => self.position += BLOCK as u64,
            _ => return Err(Error::format("unexpected EOF: archive ends in the middle of a header")),
        }
        Ok(Some(block))
    }

    /// Takes in an extended header. Two of one kind for one entry are refused.
    fn extension(&mut self, header: &Header, before: &mut Before) -> Result<()> {
        let data = self.extension_data(header)?;
        let first = match header.flag {
            b'g' if before.is_empty() => {
                self.globals = Extension::parse_global(&data)?.or(&self.globals);
                true
            }
            b'g' => return Err(Error::format("global extended header between the headers of an entry")),
            b'L' => before.name.replace(long_name(data)?).is_none(),
            b'K' => before.link.replace(long_name(data)?).is_none(),
            _ => before.extension.replace(Extension::parse(&data)?).is_none(),
        };
        if first { Ok(()) } else { Err(Error::format("two extended headers of one kind for one entry")) }
    }

    fn extension_data(&mut self, header: &Header) -> Result<Vec<u8>> {
        if header.size > self.limits.extension {
            let most = self.limits.extension;
            return Err(Error::limit(format!(
                "extended header of {} bytes; at most {most} are allowed",
                header.size
            )));
        }
        let size = usize::try_from(header.size).unwrap_or(usize::MAX);
        let mut data = Vec::with_capacity(size.next_multiple_of(BLOCK));
        while data.len() < size {
            let block = self
                .block()?
                .ok_or_else(|| Error::format("unexpected EOF: archive ends in an extended header"))?;
            data.extend_from_slice(&block);
        }
        data.truncate(size);
        Ok(data)
    }

    /// Begins an entry: reads what is left of a sparse map and makes the contents ready.
    fn begin(&mut self, mut header: Header, before: Before) -> Result<Entry> {
        while header.sparse.as_ref().is_some_and(|map| map.continued) {
            let block =
                self.block()?.ok_or_else(|| Error::format("unexpected EOF: archive ends in a sparse map"))?;
            if let Some(map) = &mut header.sparse {
                map.extend(&block)?;
                if map.segments.len() > self.limits.segments {
                    return Err(Error::limit("too many pieces in a sparse file").at(&header.name));
                }
            }
        }
        let Assembled { entry, mut stored, map } = assemble(header, before, &self.globals, &self.limits)?;
        let padding = stored.next_multiple_of(BLOCK as u64) - stored;
        let mut segments = match map {
            Map::Whole => vec![Segment { offset: 0, length: stored }],
            Map::Pieces(segments) => segments,
            Map::InFront => self.map_in_front(&entry, &mut stored).map_err(|error| error.at(&entry.path))?,
        };
        segments.retain(|segment| segment.length > 0);
        segments.reverse();
        self.name.clone_from(&entry.path);
        self.body = Body { stored, padding, segments, at: 0, size: entry.size, lent: 0 };
        Ok(entry)
    }

    /// Reads the map in front of the data, which is padded to a block, and takes it off what is stored.
    fn map_in_front(&mut self, entry: &Entry, stored: &mut u64) -> Result<Vec<Segment>> {
        let mut lines = Vec::new();
        let mut newlines = 0;
        let mut wanted = 1;
        loop {
            if *stored < BLOCK as u64 || lines.len() as u64 > self.limits.extension {
                return Err(Error::format("sparse map does not end"));
            }
            let block =
                self.block()?.ok_or_else(|| Error::format("unexpected EOF: archive ends in a sparse map"))?;
            *stored -= BLOCK as u64;
            newlines += block.iter().filter(|&&byte| byte == b'\n').count();
            lines.extend_from_slice(&block);
            // The first line says how many follow: only then is it worth to look again.
            if newlines < wanted {
                continue;
            }
            if let Some(segments) = sparse::parse_lines(&lines, self.limits.segments)? {
                sparse::check(&segments, entry.size, *stored)?;
                return Ok(segments);
            }
            wanted = sparse::lines_wanted(&lines, self.limits.segments)?;
        }
    }
}

/// A long name ends with a NUL and has none inside.
fn long_name(mut data: Vec<u8>) -> Result<Vec<u8>> {
    let end = data.iter().position(|&byte| byte == 0).unwrap_or(data.len());
    if data[end..].iter().any(|&byte| byte != 0) {
        return Err(Error::format(format!("long name {} has a NUL byte", super::shown(&data))));
    }
    data.truncate(end);
    Ok(data)
}

/// The contents of the entry at hand, with zeros for holes.
#[derive(Debug)]
pub struct Contents<'a, R>(&'a mut Reader<R>);

impl<R: BufRead> Read for Contents<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let reader = &mut *self.0;
        reader.release();
        let body = &mut reader.body;
        let next = body.segments.last().map_or(body.size, |segment| segment.offset);
        if next > body.at {
            let hole = usize::try_from(next - body.at).unwrap_or(usize::MAX).min(out.len());
            out[..hole].fill(0);
            body.at += hole as u64;
            return Ok(hole);
        }
        if body.segments.is_empty() || out.is_empty() {
            return Ok(0);
        }
        let (_, chunk) = reader.lend(out.len())?;
        let length = chunk.len();
        out[..length].copy_from_slice(chunk);
        reader.release();
        Ok(length)
    }
}
