//! The structures of the format, as bytes (Linux `fs/erofs/erofs_fs.h`). All numbers are little endian.

use crate::tar::Time;

/// Bits of a block: a tar is made of 512 bytes, so must the file system be that points into it.
pub(super) const BLOCK_BITS: u32 = 9;
/// Bytes of a block.
pub(super) const BLOCK: u64 = 1 << BLOCK_BITS;
/// Inodes lie at multiples of this, and are numbered by it.
pub(super) const SLOT: u64 = 32;
/// Where the superblock is.
pub(super) const SUPER: u64 = 1024;
/// Bytes of the superblock, and of a device slot.
pub(super) const SLOT_128: u64 = 128;
/// The first inode: behind the superblock and the one device slot.
pub(super) const FIRST_INODE: u64 = SUPER + 2 * SLOT_128;
/// What the superblock's checksum is made of ends here: the block in which it begins.
pub(super) const CHECKED: usize = 1024 + 512;
/// Longest name.
pub(super) const NAME: usize = 255;
/// The tar, as the only extra device.
pub(super) const TAR_DEVICE: u16 = 1;
/// A chunk that is a hole.
pub(super) const HOLE: u32 = u32::MAX;
/// The largest chunk there is: a block shifted by so many bits.
pub(super) const CHUNK_BITS: u8 = 31;
/// Bytes of a chunk's address.
pub(super) const CHUNK_INDEX: u64 = 8;

const MAGIC: u32 = 0xe0f5_e1e2;
/// The superblock has a checksum; times are those of the last modification.
const COMPATIBLE: u32 = 0x1 | 0x2;
const CHUNKED_FILE: u32 = 0x4;
const DEVICE_TABLE: u32 = 0x8;
const CHUNK_INDEXES: u16 = 0x20;

/// Type bits of a mode.
pub(super) mod kind {
    pub(in crate::erofs) const FIFO: u16 = 0o010_000;
    pub(in crate::erofs) const CHARACTER: u16 = 0o020_000;
    pub(in crate::erofs) const DIRECTORY: u16 = 0o040_000;
    pub(in crate::erofs) const BLOCK: u16 = 0o060_000;
    pub(in crate::erofs) const FILE: u16 = 0o100_000;
    pub(in crate::erofs) const SYMLINK: u16 = 0o120_000;
    pub(in crate::erofs) const MASK: u16 = 0o170_000;
}

/// What the superblock says.
#[derive(Debug)]
pub(super) struct Superblock {
    pub(super) root: u16,
    pub(super) inodes: u64,
    /// Time of all compact inodes.
    pub(super) epoch: Time,
    pub(super) blocks: u32,
    /// First block of the shared attributes.
    pub(super) shared: u32,
    pub(super) uuid: [u8; 16],
    pub(super) chunked: bool,
}

impl Superblock {
    /// Without its checksum, which [`seal`] adds.
    pub(super) fn bytes(&self) -> [u8; 128] {
        let mut fields = Fields::<128>::new();
        fields.at(0, &MAGIC.to_le_bytes());
        fields.at(8, &COMPATIBLE.to_le_bytes());
        fields.at(12, &[BLOCK_BITS.to_le_bytes()[0]]);
        fields.at(14, &self.root.to_le_bytes());
        fields.at(16, &self.inodes.to_le_bytes());
        fields.at(24, &self.epoch.seconds.to_le_bytes());
        fields.at(32, &self.epoch.nanos.to_le_bytes());
        fields.at(36, &self.blocks.to_le_bytes());
        // 40: the inodes' numbers count from the first byte of the image.
        fields.at(44, &self.shared.to_le_bytes());
        fields.at(48, &self.uuid);
        let chunked = if self.chunked { CHUNKED_FILE } else { 0 };
        fields.at(80, &(DEVICE_TABLE | chunked).to_le_bytes());
        fields.at(86, &1_u16.to_le_bytes());
        // The device table, in units of its slots.
        fields.at(88, &[9, 0]);
        fields.0
    }
}

/// The slot of the tar: a tag of 64 characters, and how many blocks it has.
pub(super) fn device_slot(tag: &[u8; 64], blocks: u32) -> [u8; 128] {
    let mut fields = Fields::<128>::new();
    fields.at(0, tag);
    fields.at(64, &blocks.to_le_bytes());
    fields.0
}

/// Sets the superblock's checksum in the first [`CHECKED`] bytes of an image.
pub(super) fn seal(image: &mut [u8]) {
    let sum = crc32c(&image[1024..CHECKED]);
    image[1028..1032].copy_from_slice(&sum.to_le_bytes());
}

/// CRC-32C without the last inversion. 512 bytes an image are not worth a table.
fn crc32c(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| (sum >> 1) ^ (0x82f6_3b78 & (sum & 1).wrapping_neg()))
    })
}

/// How the contents of an inode are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// In blocks of the image.
    Plain,
    /// Whole blocks in the image, and the rest behind the inode.
    Inline,
    /// In chunks of the tar or the image, addressed behind the inode.
    Chunks,
}

/// An inode, before it is known whether the short form can hold it.
#[derive(Debug)]
pub(super) struct Inode {
    pub(super) layout: Layout,
    /// Bytes of the attributes behind it.
    pub(super) xattrs: u64,
    pub(super) mode: u16,
    pub(super) links: u32,
    pub(super) size: u64,
    /// Time; `None` is that of the superblock.
    pub(super) modified: Option<Time>,
    /// First block, or device number, or [`chunk_format`].
    pub(super) union: u32,
    pub(super) serial: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Inode {
    /// Whether the short form says everything.
    pub(super) fn fits_compact(&self) -> bool {
        self.modified.is_none() && Self::may_be_compact(self.links, self.size, self.uid, self.gid)
    }

    /// Whether the short form says everything but the time.
    pub(super) const fn may_be_compact(links: u32, size: u64, uid: u32, gid: u32) -> bool {
        links <= 0xffff && size <= 0xffff_ffff && uid <= 0xffff && gid <= 0xffff
    }

    /// Bytes of the inode itself.
    pub(super) const fn length(compact: bool) -> u64 {
        if compact { 32 } else { 64 }
    }

    /// The bytes; of the long form all 64, of the short one the first 32.
    pub(super) fn bytes(&self, epoch: Time) -> ([u8; 64], usize) {
        let compact = self.fits_compact();
        let mut fields = Fields::<64>::new();
        let layout: u16 = match self.layout {
            Layout::Plain => 0,
            Layout::Inline => 2,
            Layout::Chunks => 4,
        };
        fields.at(0, &(layout << 1 | u16::from(!compact)).to_le_bytes());
        fields.at(2, &xattr_count(self.xattrs).to_le_bytes());
        fields.at(4, &self.mode.to_le_bytes());
        if compact {
            self.compact(&mut fields);
            return (fields.0, 32);
        }
        let modified = self.modified.unwrap_or(epoch);
        fields.at(8, &self.size.to_le_bytes());
        fields.at(16, &self.union.to_le_bytes());
        fields.at(20, &self.serial.to_le_bytes());
        fields.at(24, &self.uid.to_le_bytes());
        fields.at(28, &self.gid.to_le_bytes());
        fields.at(32, &modified.seconds.to_le_bytes());
        fields.at(40, &modified.nanos.to_le_bytes());
        fields.at(44, &self.links.to_le_bytes());
        (fields.0, 64)
    }

    fn compact(&self, fields: &mut Fields<64>) {
        fields.at(6, &self.links.to_le_bytes()[..2]);
        fields.at(8, &self.size.to_le_bytes()[..4]);
        fields.at(16, &self.union.to_le_bytes());
        fields.at(20, &self.serial.to_le_bytes());
        fields.at(24, &self.uid.to_le_bytes()[..2]);
        fields.at(26, &self.gid.to_le_bytes()[..2]);
    }
}

/// How an inode counts its attributes: their header of 12 bytes is one, every 4 bytes behind it another.
///
/// [`xattrs`](super::xattrs) refuses what this cannot count.
fn xattr_count(bytes: u64) -> u16 {
    u16::try_from(bytes.saturating_sub(8) / 4).unwrap_or(u16::MAX)
}

/// The union of a file in chunks of `BLOCK << bits` bytes.
pub(super) fn chunk_format(bits: u8) -> u32 {
    u32::from(CHUNK_INDEXES | u16::from(bits))
}

/// The address of a chunk.
pub(super) fn chunk_index(device: u16, block: u32) -> [u8; 8] {
    let mut fields = Fields::<8>::new();
    fields.at(2, &device.to_le_bytes());
    fields.at(4, &block.to_le_bytes());
    fields.0
}

/// A directory's entry: inode, where its name begins in the block, and what it is.
pub(super) fn directory_entry(nid: u64, name: u16, mode: u16) -> [u8; 12] {
    let mut fields = Fields::<12>::new();
    fields.at(0, &nid.to_le_bytes());
    fields.at(8, &name.to_le_bytes());
    let kind = match mode & kind::MASK {
        kind::FILE => 1,
        kind::DIRECTORY => 2,
        kind::CHARACTER => 3,
        kind::BLOCK => 4,
        kind::FIFO => 5,
        kind::SYMLINK => 7,
        _ => 0,
    };
    fields.at(10, &[kind]);
    fields.0
}

/// A device number as the kernel encodes it; `None` where it has no room for it (12 and 20 bits).
pub(super) fn device_number(major: u32, minor: u32) -> Option<u32> {
    (major < 1 << 12 && minor < 1 << 20).then_some((minor & 0xff) | major << 8 | (minor & !0xff) << 12)
}

/// Bytes in which fields are set by their offsets.
struct Fields<const N: usize>([u8; N]);

impl<const N: usize> Fields<N> {
    const fn new() -> Self {
        Self([0; N])
    }

    fn at(&mut self, offset: usize, bytes: &[u8]) {
        self.0[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        // The check value of CRC-32C is that of "123456789" after the last inversion.
        assert_eq!(!crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn device_numbers_are_encoded_as_stat_shows_them() {
        assert_eq!(device_number(1, 3), Some(0x103));
        assert_eq!(device_number(0xfff, 0xf_ffff), Some(u32::MAX));
        assert_eq!(device_number(0x1000, 0), None);
        assert_eq!(device_number(0, 0x10_0000), None);
    }
}
