//! Writes the image from front to back.

use std::io::Write;

use dhow_oci::Digest;

use super::directory;
use super::disk::{
    BLOCK, CHECKED, Inode, Layout, SLOT, SUPER, Superblock, TAR_DEVICE, chunk_format, chunk_index,
    device_slot, seal,
};
use super::index::Index;
use super::plan::{Plan, Shape};
use super::sparse::{bits_for, block_of, chunks};
use super::tree::{Body, Id, ROOT};
use crate::layer::Skipped;
use crate::tar::{Error, Result};

/// The tar that an index points into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tar {
    /// Digest of all its bytes: the layer's diff id. The image names it, and takes its own id from it.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Bytes of the image.
    pub size: u64,
    /// Files of all kinds, each once.
    pub inodes: u64,
    /// Bytes of contents that are copied into the image.
    pub copied: u64,
    /// Attributes that could not be kept.
    pub skipped: Skipped,
}

impl Index {
    /// Writes the image.
    ///
    /// # Errors
    /// [`Fault::Limit`](crate::tar::Fault::Limit) when it would be larger than the format allows, or the tar ends
    /// without the zeros behind its last contents; when contents are missing, or `out` fails.
    pub fn finish(mut self, tar: &Tar, out: &mut impl Write) -> Result<Summary> {
        self.copies.verify_complete()?;
        self.verify_tar(tar.size)?;
        let plan = Plan::new(&mut self)?;
        let mut image = Image { from: &self, plan: &plan, out: Output::new(out) };
        image.front(tar)?;
        image.inodes()?;
        image.data()?;
        image.out.put(&self.copies.bytes)?;
        image.out.put(&plan.shared.bytes)?;
        image.out.pad_to(u64::from(plan.end) * BLOCK)?;
        let size = image.out.finish()?;
        let (inodes, copied) = (plan.order.len() as u64, self.copies.bytes.len() as u64);
        Ok(Summary { size, inodes, copied, skipped: self.skipped })
    }
}

/// An image that is being written.
struct Image<'a> {
    from: &'a Index,
    plan: &'a Plan,
    out: Output<'a>,
}

impl Image<'_> {
    fn front(&mut self, tar: &Tar) -> Result<()> {
        let blocks = u32::try_from(tar.size.div_ceil(BLOCK))
            .map_err(|_| Error::limit("an index cannot address a tar of 2 TiB"))?;
        let chunked = |body: &Body| matches!(body, Body::File { size: 1.., .. } | Body::Sparse(_));
        let superblock = Superblock {
            root: u16::try_from(self.plan.number(ROOT))
                .map_err(|_| Error::limit("the root is out of reach"))?,
            inodes: self.plan.order.len() as u64,
            epoch: self.plan.epoch,
            blocks: self.plan.end,
            shared: self.plan.attributes,
            uuid: uuid(&tar.digest),
            chunked: self.plan.order.iter().any(|&id| chunked(&self.from.tree.inode(id).body)),
        };
        let mut tag = [0; 64];
        tag.copy_from_slice(&tar.digest.hex().as_bytes()[..64]);
        self.out.pad_to(SUPER)?;
        self.out.put(&superblock.bytes())?;
        self.out.put(&device_slot(&tag, blocks))
    }

    fn inodes(&mut self) -> Result<()> {
        let mut data = self.plan.data;
        for (&id, serial) in self.plan.order.iter().zip(1_u32..) {
            let shape = self.plan.shape(self.from, id);
            self.out.pad_to(self.plan.number(id) * SLOT)?;
            self.inode(id, &shape, serial, data)?;
            data += u32::try_from(shape.blocks).map_err(|_| Error::limit("the index is too large"))?;
        }
        self.out.pad_to(u64::from(self.plan.data) * BLOCK)
    }

    fn inode(&mut self, id: Id, shape: &Shape, serial: u32, data: u32) -> Result<()> {
        let inode = self.from.tree.inode(id);
        let union = match &inode.body {
            Body::File { size: 1.., .. } | Body::Sparse(_) => chunk_format(bits(&inode.body)),
            Body::Character(number) | Body::Block(number) => *number,
            Body::Directory(_) | Body::Symlink(_) if shape.blocks > 0 => data,
            _ => 0,
        };
        let (bytes, length) = Inode {
            layout: shape.layout,
            xattrs: shape.xattrs,
            mode: inode.full_mode(),
            links: self.plan.links(id),
            size: shape.size,
            modified: Some(inode.modified).filter(|time| *time != self.plan.epoch),
            union,
            serial,
            uid: inode.uid,
            gid: inode.gid,
        }
        .bytes(self.plan.epoch);
        self.out.put(&bytes[..length])?;
        self.out.put(&self.plan.shared.encode(self.from.xattrs.get(inode.xattrs)))?;
        match shape.layout {
            Layout::Plain => Ok(()),
            Layout::Inline => {
                let whole = usize::try_from(shape.blocks * BLOCK).unwrap_or(usize::MAX);
                let bytes = self.bytes_of(id);
                self.out.put(bytes.get(whole..).unwrap_or_default())
            }
            Layout::Chunks => self.chunks(&inode.body),
        }
    }

    /// The table of a file's chunks.
    fn chunks(&mut self, body: &Body) -> Result<()> {
        self.out.pad_to(self.out.at().next_multiple_of(8))?;
        match body {
            Body::File { size, source } => {
                let bits = bits_for(*size);
                for number in 0..chunks(*size, bits) {
                    let block = block_of(source + number * (BLOCK << bits))?;
                    self.out.put(&chunk_index(TAR_DEVICE, block))?;
                }
            }
            Body::Sparse(sparse) => {
                for chunk in sparse.table_entries() {
                    let (device, block) = chunk?.address(self.plan.copies);
                    self.out.put(&chunk_index(device, block))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The whole blocks of directories and links.
    fn data(&mut self) -> Result<()> {
        for &id in &self.plan.order {
            let shape = self.plan.shape(self.from, id);
            if shape.blocks == 0 {
                continue;
            }
            let whole = usize::try_from(shape.blocks * BLOCK).unwrap_or(usize::MAX);
            let bytes = self.bytes_of(id);
            self.out.put(&bytes[..bytes.len().min(whole)])?;
            self.out.pad_to(self.out.at().next_multiple_of(BLOCK))?;
        }
        Ok(())
    }

    /// The bytes of a directory or a link.
    fn bytes_of(&self, id: Id) -> Vec<u8> {
        match &self.from.tree.inode(id).body {
            Body::Directory(directory) => directory::blocks(id, directory, |child| {
                (self.plan.number(child), self.from.tree.inode(child).full_mode())
            }),
            Body::Symlink(target) => target.to_vec(),
            _ => Vec::new(),
        }
    }
}

fn bits(body: &Body) -> u8 {
    match body {
        Body::File { size, .. } => bits_for(*size),
        Body::Sparse(sparse) => sparse.bits,
        _ => 0,
    }
}

/// An id of the image, for overlayfs tells its layers apart by it: version 8, from the tar's digest.
fn uuid(digest: &Digest) -> [u8; 16] {
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&digest.as_bytes()[..16]);
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    uuid
}

/// What was written so far, in large pieces. The first of them gets the checksum.
struct Output<'a> {
    out: &'a mut dyn Write,
    held: Vec<u8>,
    written: u64,
}

impl<'a> Output<'a> {
    const PIECE: usize = 64 * 1024;

    fn new(out: &'a mut dyn Write) -> Self {
        Self { out, held: Vec::with_capacity(2 * Self::PIECE), written: 0 }
    }

    fn at(&self) -> u64 {
        self.written + self.held.len() as u64
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.held.extend_from_slice(bytes);
        if self.held.len() >= Self::PIECE { self.flush() } else { Ok(()) }
    }

    fn pad_to(&mut self, at: u64) -> Result<()> {
        let mut left = at.saturating_sub(self.at());
        while left > 0 {
            let piece = left.min(BLOCK);
            self.put(&[0; 512][..usize::try_from(piece).unwrap_or(512)])?;
            left -= piece;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.written == 0 {
            seal(&mut self.held);
        }
        let wrong = |error| Error::stream("the index cannot be written", error);
        self.out.write_all(&self.held).map_err(wrong)?;
        self.written += self.held.len() as u64;
        self.held.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<u64> {
        self.pad_to(CHECKED as u64)?;
        self.flush()?;
        self.out.flush().map_err(|error| Error::stream("the index cannot be written", error))?;
        Ok(self.written)
    }
}
