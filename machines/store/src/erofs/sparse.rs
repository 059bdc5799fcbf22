//! Where the contents of a file come from: the tar, a hole, or a copy in the index.
//!
//! A file is cut into chunks of one size, and each is a hole, or begins at a block of the tar, or at
//! a block of the index. A file that is in the tar in one piece is one chunk. Of a sparse file the
//! chunks that are partly hole, or that begin between two blocks of the tar, are copied into the index.
//! The size of its chunks is the one for which table and copies together are smallest.

use std::ops::Range;

use super::disk::{BLOCK, BLOCK_BITS, CHUNK_BITS, CHUNK_INDEX, HOLE, TAR_DEVICE};
use crate::tar::{Error, Result};

/// A piece of a file that is in the tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where it belongs in the file.
    pub offset: u64,
    /// Where it is in the tar.
    pub source: u64,
    /// Bytes.
    pub length: u64,
}

impl Extent {
    const fn end(&self) -> u64 {
        self.offset + self.length
    }

    /// Whether the blocks of the file are blocks of the tar.
    const fn is_aligned(&self) -> bool {
        self.source % BLOCK == self.offset % BLOCK
    }
}

/// A file that is not in the tar in one piece.
#[derive(Debug)]
pub(super) struct Sparse {
    pub(super) size: u64,
    /// Chunks have `BLOCK << bits` bytes.
    pub(super) bits: u8,
    /// Ascending; what can be joined is.
    extents: Vec<Extent>,
    /// Chunks that are copied, ascending.
    copied: Vec<u64>,
    /// Block of the first copied chunk among the copies.
    first_copy: u32,
}

/// Where a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk {
    Hole,
    /// This block of the tar.
    Tar(u32),
    /// This block of the copies.
    Copy(u32),
}

impl Chunk {
    /// Device and block, when the copies begin at `copies`.
    pub(super) fn address(self, copies: u32) -> (u16, u32) {
        match self {
            Self::Hole => (0, HOLE),
            Self::Tar(block) => (TAR_DEVICE, block),
            Self::Copy(block) => (0, copies + block),
        }
    }
}

/// Bits of the smallest chunk that has a whole file, or of the largest chunk.
pub(super) fn bits_for(size: u64) -> u8 {
    (0..CHUNK_BITS).find(|&bits| BLOCK << bits >= size).unwrap_or(CHUNK_BITS)
}

/// How many chunks a file has.
pub(super) const fn chunks(size: u64, bits: u8) -> u64 {
    size.div_ceil(BLOCK << bits)
}

/// The block of a byte of the tar.
pub(super) fn block_of(source: u64) -> Result<u32> {
    // The last number marks holes.
    u32::try_from(source >> BLOCK_BITS)
        .ok()
        .filter(|&block| block != HOLE)
        .ok_or_else(|| Error::limit("contents lie beyond the 2 TiB of a tar that an index can address"))
}

impl Sparse {
    /// Decides on the chunks of a file; `first_copy` is the next free block among the copies.
    ///
    /// The extents are ascending, not empty, and within `size`.
    ///
    /// # Errors
    /// When more than `most` bytes would have to be copied.
    pub(super) fn new(size: u64, extents: &[Extent], first_copy: u32, most: u64) -> Result<Self> {
        let extents = joined(extents);
        let copies =
            |bits| copied_chunks(&extents, size, bits).map(|range| range.end - range.start).sum::<u64>();
        let cost = |bits| chunks(size, bits) * CHUNK_INDEX + copies(bits) * (BLOCK << bits);
        let bits = (0..=bits_for(size)).rev().min_by_key(|&bits| cost(bits)).unwrap_or(0);
        if copies(bits) * (BLOCK << bits) > most {
            return Err(Error::limit(format!(
                "pieces of the file are not aligned, and more than {most} bytes"
            )));
        }
        let copied = copied_chunks(&extents, size, bits).flatten().collect();
        Ok(Self { size, bits, copied, extents, first_copy })
    }

    /// Bytes of the table of chunks.
    pub(super) const fn table(&self) -> u64 {
        chunks(self.size, self.bits) * CHUNK_INDEX
    }

    /// Bytes of the copies: whole blocks.
    pub(super) fn copied(&self) -> u64 {
        let chunk = BLOCK << self.bits;
        let last = self
            .copied
            .last()
            .map_or(0, |last| (self.size - last * chunk).min(chunk).next_multiple_of(BLOCK));
        (self.copied.len() as u64).saturating_sub(1) * chunk + last
    }

    /// Bytes of contents in the tar.
    pub(super) fn stored(&self) -> u64 {
        self.extents.iter().map(|extent| extent.length).sum()
    }

    /// Hands out the parts of a piece of contents that are copied, and where each goes among this file's copies.
    pub(super) fn for_copies(&self, mut offset: u64, mut bytes: &[u8], mut put: impl FnMut(u64, &[u8])) {
        let chunk = BLOCK << self.bits;
        while !bytes.is_empty() {
            let number = offset / chunk;
            let left = chunk - offset % chunk;
            let (part, rest) = bytes.split_at(usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len()));
            if let Ok(at) = self.copied.binary_search(&number) {
                put(at as u64 * chunk + offset % chunk, part);
            }
            offset += part.len() as u64;
            bytes = rest;
        }
    }

    /// Where the chunks are, one after the other.
    pub(super) fn table_entries(&self) -> impl Iterator<Item = Result<Chunk>> {
        let chunk = BLOCK << self.bits;
        let mut extents = self.extents.iter().peekable();
        let mut copied = self.copied.iter().zip(0_u32..).peekable();
        (0..chunks(self.size, self.bits)).map(move |number| {
            if let Some((_, at)) = copied.next_if(|(copied, _)| **copied == number) {
                return copy_block(self.first_copy, at, self.bits).map(Chunk::Copy);
            }
            let start = number * chunk;
            while extents.next_if(|extent| extent.end() <= start).is_some() {}
            match extents.peek() {
                Some(extent) if extent.offset <= start => {
                    block_of(extent.source + (start - extent.offset)).map(Chunk::Tar)
                }
                _ => Ok(Chunk::Hole),
            }
        })
    }
}

fn copy_block(first: u32, at: u32, bits: u8) -> Result<u32> {
    let offset = at.checked_mul(1_u32.checked_shl(bits.into()).unwrap_or(0));
    let block = offset.and_then(|offset| offset.checked_add(first));
    block.ok_or_else(|| Error::limit("the index is too large"))
}

/// The extents with those joined that follow one another in the file and in the tar.
fn joined(extents: &[Extent]) -> Vec<Extent> {
    let mut joined: Vec<Extent> = Vec::with_capacity(extents.len());
    for extent in extents {
        match joined.last_mut() {
            Some(last) if last.end() == extent.offset && last.source + last.length == extent.source => {
                last.length += extent.length;
            }
            _ => joined.push(*extent),
        }
    }
    joined.shrink_to_fit();
    joined
}

/// The chunks that cannot be taken from the tar, ascending and each once.
fn copied_chunks(extents: &[Extent], size: u64, bits: u8) -> impl Iterator<Item = Range<u64>> {
    let chunk = BLOCK << bits;
    let mut next = 0;
    let ranges = extents.iter().flat_map(move |extent| {
        let (first, last) = (extent.offset / chunk, (extent.end() - 1) / chunk);
        if !extent.is_aligned() {
            return [first..last + 1, 0..0];
        }
        let begins_late = extent.offset > first * chunk;
        let ends_early = extent.end() < ((last + 1) * chunk).min(size);
        [first..first + u64::from(begins_late), last..last + u64::from(ends_early)]
    });
    ranges.map(move |range| {
        let fresh = range.start.max(next)..range.end;
        next = next.max(range.end);
        if fresh.is_empty() { 0..0 } else { fresh }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u64 = 1 << 26;

    fn extent(offset: u64, source: u64, length: u64) -> Extent {
        Extent { offset, source, length }
    }

    fn table(sparse: &Sparse) -> Vec<Chunk> {
        sparse.table_entries().map(Result::unwrap).collect()
    }

    #[test]
    fn a_file_of_holes_is_one_chunk() {
        let sparse = Sparse::new(10 << 30, &[], 0, MOST).unwrap();
        assert_eq!((table(&sparse), sparse.copied()), (vec![Chunk::Hole], 0));
    }

    #[test]
    fn aligned_pieces_are_taken_from_the_tar() {
        let sparse = Sparse::new(12_288, &[extent(4096, 1536, 4096)], 0, MOST).unwrap();
        assert_eq!(sparse.bits, 3);
        assert_eq!(table(&sparse), [Chunk::Hole, Chunk::Tar(3), Chunk::Hole]);
        // The last piece may end anywhere when the file does.
        let sparse = Sparse::new(8_200, &[extent(4096, 1536, 4104)], 0, MOST).unwrap();
        assert_eq!((table(&sparse), sparse.copied()), (vec![Chunk::Hole, Chunk::Tar(3), Chunk::Tar(11)], 0));
    }

    #[test]
    fn what_is_not_aligned_is_copied() {
        let sparse = Sparse::new(2048, &[extent(100, 512, 10)], 7, MOST).unwrap();
        assert_eq!(table(&sparse), [Chunk::Copy(7), Chunk::Hole, Chunk::Hole, Chunk::Hole]);
        let mut copied = Vec::new();
        sparse.for_copies(100, b"0123456789", |at, bytes| copied.push((at, bytes.to_vec())));
        assert_eq!(copied, [(100, b"0123456789".to_vec())]);
    }

    #[test]
    fn a_little_data_in_a_huge_file_costs_little() {
        let sparse =
            Sparse::new(10 << 30, &[extent(5_000_000_000 / 4096 * 4096, 512, 4096)], 0, MOST).unwrap();
        assert!(sparse.table() + sparse.copied() < 1 << 20, "{} and {}", sparse.table(), sparse.copied());
        assert_eq!(table(&sparse).iter().filter(|chunk| **chunk != Chunk::Hole).count(), 1);
    }

    #[test]
    fn a_file_that_would_be_copied_as_a_whole_is_refused() {
        let error = Sparse::new(1 << 43, &[extent(1, 512, 1 << 42)], 0, MOST).unwrap_err();
        assert_eq!(error.fault(), crate::tar::Fault::Limit);
    }

    #[test]
    fn pieces_that_touch_are_joined() {
        assert_eq!(joined(&[extent(0, 512, 10), extent(10, 522, 5), extent(20, 527, 1)]).len(), 2);
    }
}
