//! From a tar to its index: entries are read, contents passed by.

use std::io::BufRead;

use super::index::{Index, Options};
use super::sparse::Extent;
use crate::tar::{EntryKind, Reader, Result};

/// Reads a tar to its end and answers its index.
///
/// The reader must stand at the first byte of the tar. Contents are not looked at, but for pieces
/// of sparse files that are not aligned to blocks. What the stream has behind the archive is left
/// to the caller ([`Reader::into_inner`]).
///
/// # Errors
/// What is wrong with the tar, and at which entry;
/// [`Fault::Limit`](crate::tar::Fault::Limit) where the tar is fine and its index would not be.
pub fn index_of<R: BufRead>(reader: &mut Reader<R>, options: Options) -> Result<Index> {
    let mut index = Index::new(options);
    let mut extents = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        extents.clear();
        if entry.kind == EntryKind::File {
            let mut source = reader.position();
            extents.extend(reader.pieces().map(|(offset, length)| {
                let extent = Extent { offset, source, length };
                source += length;
                extent
            }));
        }
        index.add(&entry, &extents)?;
        while index.wants_contents() {
            match reader.next_chunk()? {
                Some((offset, bytes)) => index.contents(offset, bytes),
                None => break,
            }
        }
    }
    Ok(index)
}
