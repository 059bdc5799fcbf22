//! Whatever the tar is, an index is refused or made, and one that is made can be walked: every name,
//! every inode and every chunk is where it may be, and there is no file that the tar does not tell of.
#![no_main]

use dhow_fuzz::tree::{self, File};
use dhow_oci::Digest;
use dhow_store::erofs::{Options, Tar, index_of};
use dhow_store::tar::{Limits, Reader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { file: 1 << 40, ..Limits::default() };
    let options = Options { copied: 1 << 20, tables: 1 << 20, ..Options::default() };
    let Ok(index) = index_of(&mut Reader::new(bytes, limits.clone()), options) else { return };
    let size = bytes.len() as u64;
    let mut image = Vec::new();
    let Ok(summary) = index.finish(&Tar { digest: Digest::of(b""), size }, &mut image) else { return };
    assert!(image.len() as u64 == summary.size && image.len() % 512 == 0 && image.len() >= 1536);
    let walk = Walk { image: &image, tar_blocks: size / 512 };
    let mut seen = std::collections::BTreeSet::new();
    let root = u64::from(walk.u16(1024 + 14));
    let mut told = tree::of(bytes, limits).expect("who makes an index knows where its names are");
    let mut waiting = vec![Found { nid: root, parent: root, kind: 2, path: Vec::new() }];
    while let Some(found) = waiting.pop() {
        let kind = told.remove(&found.path).map(|file| kind_of(&file));
        assert!(kind.is_some(), "{} is not in the tar", found.path.escape_ascii());
        assert!(kind == Some(found.kind) || kind == Some(0) && !matches!(found.kind, 2 | 7));
        let first = seen.insert(found.nid);
        assert!(first || found.kind != 2, "a directory has two names");
        if first {
            walk.inode(&found, &mut waiting);
        }
    }
    assert!(told.is_empty(), "not in the index: {told:?}");
    assert_eq!(seen.len() as u64, summary.inodes);
    // Every file takes a byte of a name in the tar at least.
    assert!(summary.inodes <= 1 + size);
});

/// A name in a directory of the image.
struct Found {
    nid: u64,
    parent: u64,
    kind: u8,
    path: Vec<u8>,
}

/// As a directory of the image says it; 0 is any that is neither directory nor link.
const fn kind_of(file: &File) -> u8 {
    match file {
        File::Directory => 2,
        File::Link(_) => 7,
        File::Other => 0,
    }
}

struct Walk<'a> {
    image: &'a [u8],
    tar_blocks: u64,
}

impl Walk<'_> {
    fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.image[at..at + 2].try_into().unwrap())
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.image[at..at + 4].try_into().unwrap())
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.image[at..at + 8].try_into().unwrap())
    }

    fn inode(&self, found: &Found, waiting: &mut Vec<Found>) {
        let (nid, kind) = (found.nid, found.kind);
        let at = usize::try_from(nid).unwrap() * 32;
        let format = self.u16(at);
        let long = format & 1 == 1;
        let core = if long { 64 } else { 32 };
        assert!(at % 512 + core <= 512, "an inode crosses a block");
        let count = usize::from(self.u16(at + 2));
        let behind = at + core + if count == 0 { 0 } else { 12 + 4 * (count - 1) };
        let size = if long { self.u64(at + 8) } else { self.u32(at + 8).into() };
        let union = self.u32(at + 16);
        let wanted = match self.u16(at + 4) & 0o170_000 {
            0o100_000 => 1,
            0o040_000 => 2,
            0o020_000 => 3,
            0o060_000 => 4,
            0o010_000 => 5,
            0o120_000 => 7,
            other => panic!("mode {other:o}"),
        };
        assert_eq!(kind, wanted);
        match format >> 1 {
            0 if kind == 1 => assert_eq!(size, 0),
            4 => self.chunks(behind.next_multiple_of(8), size, union),
            0 | 2 if kind == 2 || kind == 7 => {
                let bytes = self.bytes(format >> 1 == 2, union, size, behind);
                if kind == 2 {
                    directory(&bytes, found, waiting);
                }
            }
            0 => assert_eq!(size, 0),
            other => panic!("layout {other}"),
        }
    }

    fn bytes(&self, inline: bool, block: u32, size: u64, behind: usize) -> Vec<u8> {
        let size = usize::try_from(size).unwrap();
        let tail = if inline { size % 512 } else { 0 };
        assert!(tail == 0 || behind % 512 + tail <= 512, "a tail crosses a block");
        let start = usize::try_from(block).unwrap() * 512;
        let mut bytes = self.image[start..start + size - tail].to_vec();
        bytes.extend_from_slice(&self.image[behind..behind + tail]);
        bytes
    }

    fn chunks(&self, table: usize, size: u64, format: u32) {
        assert_eq!(format & !0x1f, 0x20);
        let chunk = 512_u64 << (format & 0x1f);
        for number in 0..size.div_ceil(chunk) {
            let at = table + usize::try_from(number).unwrap() * 8;
            let (device, block) = (self.u16(at + 2), self.u32(at + 4));
            let blocks = (size - number * chunk).min(chunk).div_ceil(512);
            let end = u64::from(block) + blocks;
            match device {
                0 if block == u32::MAX => {}
                0 => assert!(end <= self.image.len() as u64 / 512),
                1 => assert!(end <= self.tar_blocks, "contents beyond the tar"),
                other => panic!("device {other}"),
            }
        }
    }
}

/// Takes the names of a directory apart: in order, each once, none that would lead elsewhere.
fn directory(bytes: &[u8], of: &Found, waiting: &mut Vec<Found>) {
    let mut last: Vec<u8> = Vec::new();
    let mut dots = 0;
    for block in bytes.chunks(512) {
        let entry = |at: usize| &block[at * 12..at * 12 + 12];
        let name_at = |at: usize| usize::from(u16::from_le_bytes(entry(at)[8..10].try_into().unwrap()));
        let count = name_at(0) / 12;
        for at in 0..count {
            let end = if at + 1 < count { name_at(at + 1) } else { block.len() };
            let name = block[name_at(at)..end].split(|&byte| byte == 0).next().unwrap();
            assert!(!name.is_empty() && name.len() <= 255 && !name.contains(&b'/') && name > last.as_slice());
            last = name.to_vec();
            let child = u64::from_le_bytes(entry(at)[..8].try_into().unwrap());
            match name {
                b"." => assert_eq!(child, of.nid),
                b".." => assert_eq!(child, of.parent),
                _ => {
                    let path = [&of.path[..], b"/", name].concat();
                    waiting.push(Found { nid: child, parent: of.nid, kind: entry(at)[10], path });
                    continue;
                }
            }
            dots += 1;
        }
    }
    assert_eq!(dots, 2);
}
