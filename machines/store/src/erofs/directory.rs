//! Directory blocks: entries in front, their names behind, in the order of the names.
//!
//! The kernel searches blocks and then entries by halves, so all names, `.` and `..` among them, are
//! in one order, byte by byte. An entry and its name never leave their block.

use super::disk::{BLOCK, directory_entry};
use super::tree::{Directory, Id};

/// Bytes of an entry without its name.
const ENTRY: usize = 12;
/// A block holds at least one entry: 12 bytes and a name of 255.
const BYTES: usize = 1 << super::disk::BLOCK_BITS;

/// Bytes of a directory's blocks, of which the last may be cut short.
pub(super) fn size(directory: &Directory) -> u64 {
    let (mut blocks, mut used) = (0, 0);
    for (name, _) in names(directory, 0) {
        let more = ENTRY + name.len();
        if used + more > BYTES {
            (blocks, used) = (blocks + 1, 0);
        }
        used += more;
    }
    blocks * BLOCK + used as u64
}

/// The blocks; `describe` answers an inode's number and mode.
pub(super) fn blocks(id: Id, directory: &Directory, describe: impl Fn(Id) -> (u64, u16)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut block: Vec<(&[u8], Id)> = Vec::new();
    let mut used = 0;
    for (name, child) in names(directory, id) {
        let more = ENTRY + name.len();
        if used + more > BYTES {
            write(&block, &describe, &mut bytes);
            bytes.resize(bytes.len().next_multiple_of(BYTES), 0);
            block.clear();
            used = 0;
        }
        block.push((name, child));
        used += more;
    }
    write(&block, &describe, &mut bytes);
    bytes
}

fn write(block: &[(&[u8], Id)], describe: &impl Fn(Id) -> (u64, u16), bytes: &mut Vec<u8>) {
    let mut at = block.len() * ENTRY;
    for (name, id) in block {
        let (nid, mode) = describe(*id);
        // Within a block of 512 bytes.
        bytes.extend_from_slice(&directory_entry(nid, u16::try_from(at).unwrap_or(u16::MAX), mode));
        at += name.len();
    }
    block.iter().for_each(|(name, _)| bytes.extend_from_slice(name));
}

/// All names of a directory, itself and its parent among them.
fn names(directory: &Directory, id: Id) -> impl Iterator<Item = (&[u8], Id)> {
    let mut dots = [(&b"."[..], id), (b"..", directory.parent)].into_iter().peekable();
    let mut children = directory.children.iter().map(|(name, id)| (name.as_ref(), *id)).peekable();
    std::iter::from_fn(move || {
        let dot_first = match (dots.peek(), children.peek()) {
            (Some((dot, _)), Some((name, _))) => dot < name,
            (dot, _) => dot.is_some(),
        };
        if dot_first { dots.next() } else { children.next() }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn directory(names: &[&str]) -> Directory {
        let children = names.iter().zip(1..).map(|(name, id)| (name.as_bytes().into(), id));
        Directory { parent: 0, children: children.collect::<BTreeMap<_, _>>() }
    }

    #[test]
    fn dots_stand_where_their_bytes_belong() {
        let directory = directory(&["!", "-", "..a", ".a", "0"]);
        let found: Vec<_> = names(&directory, 0).map(|(name, _)| String::from_utf8_lossy(name)).collect();
        assert_eq!(found, ["!", "-", ".", "..", "..a", ".a", "0"]);
    }

    #[test]
    fn no_entry_leaves_its_block() {
        let long = ["a".repeat(255), "b".repeat(255), "c".repeat(100)];
        let directory = directory(&long.each_ref().map(String::as_str));
        let bytes = blocks(0, &directory, |id| (id.into(), 0o100_644));
        assert_eq!(bytes.len() as u64, size(&directory));
        assert_eq!(bytes.len(), 512 + (255 + 12) + (100 + 12));
        assert_eq!(&bytes[512 + 24..][..255], "b".repeat(255).as_bytes());
    }
}
