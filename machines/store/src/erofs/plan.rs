//! Where everything goes: one pass over the tree, before a byte is written.
//!
//! ```text
//! 0      nothing           (room for a boot sector)
//! 1024   superblock, and the slot of the tar
//! 1280   inodes            a directory, its files, then its directories; behind each inode its
//!                          attributes, and a short directory, a link or a table of chunks
//!        blocks            of long directories and long links
//!        copies            pieces of sparse files
//!        attributes        that more than one inode has
//! ```

use std::ops::Range;

use super::directory;
use super::disk::{BLOCK, CHUNK_INDEX, FIRST_INODE, Inode as DiskInode, Layout, SLOT};
use super::index::Index;
use super::sparse::{bits_for, chunks};
use super::tree::{Body, Id, Inode, ROOT, Tree, index};
use super::xattrs::{SetId, Shared};
use crate::tar::{Error, Result, Time};

/// The place of everything in the image.
#[derive(Debug)]
pub(super) struct Plan {
    /// Inodes in the order in which they are written.
    pub(super) order: Vec<Id>,
    /// Their numbers in the image, by their numbers in the tree.
    numbers: Vec<u32>,
    links: Vec<u32>,
    pub(super) shared: Shared,
    pub(super) epoch: Time,
    /// First blocks of the regions behind the inodes, and the end.
    pub(super) data: u32,
    pub(super) copies: u32,
    pub(super) attributes: u32,
    pub(super) end: u32,
}

/// How much room an inode needs, and in which form.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) layout: Layout,
    pub(super) size: u64,
    pub(super) xattrs: u64,
    /// Bytes behind the attributes.
    tail: u64,
    /// Whole blocks elsewhere.
    pub(super) blocks: u64,
    compact: bool,
}

impl Plan {
    pub(super) fn new(from: &mut Index) -> Result<Self> {
        let (order, links) = walk(&from.tree)?;
        settle_access_lists(from, &order)?;
        let shared = Shared::new(&from.xattrs, order.iter().map(|&id| from.tree.inode(id).xattrs));
        let mut plan = Self {
            epoch: most_common_time(&from.tree, &order, &links),
            numbers: vec![0; from.tree.len()],
            order,
            links,
            shared,
            data: 0,
            copies: 0,
            attributes: 0,
            end: 0,
        };
        plan.place(from)?;
        Ok(plan)
    }

    /// The number of an inode in the image.
    pub(super) fn number(&self, id: Id) -> u64 {
        self.numbers[index(id)].into()
    }

    /// How many names an inode has.
    pub(super) fn links(&self, id: Id) -> u32 {
        self.links[index(id)]
    }

    fn place(&mut self, from: &Index) -> Result<()> {
        let mut room = Room { end: FIRST_INODE, gap: 0..0 };
        let mut blocks = 0;
        for position in 0..self.order.len() {
            let id = self.order[position];
            let shape = self.shape(from, id);
            let number = room.take(&shape) / SLOT;
            self.numbers[index(id)] = u32::try_from(number).map_err(|_| too_large())?;
            blocks += shape.blocks;
        }
        let numbers = &self.numbers;
        self.order.sort_unstable_by_key(|&id| numbers[index(id)]);
        self.data = block(room.end.div_ceil(BLOCK))?;
        self.copies = block(u64::from(self.data) + blocks)?;
        self.attributes = block(u64::from(self.copies) + from.copies.bytes.len() as u64 / BLOCK)?;
        self.end = block(u64::from(self.attributes) + (self.shared.bytes.len() as u64).div_ceil(BLOCK))?;
        Ok(())
    }

    /// The form of an inode; the same in every pass.
    pub(super) fn shape(&self, from: &Index, id: Id) -> Shape {
        let inode = from.tree.inode(id);
        let size = size(&inode.body);
        let may_be_compact = DiskInode::may_be_compact(self.links(id), size, inode.uid, inode.gid);
        let compact = inode.modified == self.epoch && may_be_compact;
        let xattrs = self.shared.length(from.xattrs.get(inode.xattrs));
        let mut shape = Shape { layout: Layout::Plain, size, xattrs, tail: 0, blocks: 0, compact };
        let table = |chunks: u64| {
            (shape.core() + xattrs).next_multiple_of(CHUNK_INDEX) - shape.core() - xattrs
                + chunks * CHUNK_INDEX
        };
        match &inode.body {
            Body::File { size: 0, .. } => {}
            Body::File { size, .. } => {
                (shape.layout, shape.tail) = (Layout::Chunks, table(chunks(*size, bits_for(*size))));
            }
            Body::Sparse(sparse) => {
                (shape.layout, shape.tail) = (Layout::Chunks, table(sparse.table() / CHUNK_INDEX))
            }
            Body::Directory(_) => shape.place_bytes(size % BLOCK),
            // The kernel of Linux 6.12 reads a link from one block or from whole ones.
            Body::Symlink(_) => shape.place_bytes(size),
            Body::Character(_) | Body::Block(_) | Body::Fifo => {}
        }
        shape
    }
}

impl Shape {
    /// Bytes of the inode itself.
    const fn core(&self) -> u64 {
        DiskInode::length(self.compact)
    }

    const fn length(&self) -> u64 {
        self.core() + self.xattrs + self.tail
    }

    /// Puts the last bytes behind the inode when they fit into its block, and all others into blocks.
    fn place_bytes(&mut self, last: u64) {
        if last > 0 && self.core() + self.xattrs + last <= BLOCK {
            (self.layout, self.tail) = (Layout::Inline, last);
            self.blocks = (self.size - last) / BLOCK;
        } else {
            self.blocks = self.size.div_ceil(BLOCK);
        }
    }

    /// The first place at or behind `at`: bytes behind the inode must lie in one block, and so does the inode.
    fn place(&self, at: u64) -> u64 {
        let at = at.next_multiple_of(SLOT);
        let together = if self.layout == Layout::Inline { self.length() } else { self.core() };
        if at % BLOCK + together > BLOCK { at.next_multiple_of(BLOCK) } else { at }
    }
}

/// Where the next inodes go.
struct Room {
    /// Behind all inodes so far.
    end: u64,
    /// What the last one that had to begin a block left free: its files, which come next, fill it.
    gap: Range<u64>,
}

impl Room {
    /// The place of an inode.
    fn take(&mut self, shape: &Shape) -> u64 {
        let inside = shape.place(self.gap.start);
        if inside + shape.length() <= self.gap.end {
            self.gap.start = inside + shape.length();
            return inside;
        }
        let at = shape.place(self.end);
        if at - self.end >= SLOT {
            self.gap = self.end..at;
        }
        self.end = at + shape.length();
        at
    }
}

/// The inodes that have a name, and how many each has: behind a directory its files, then its
/// directories, each with what is in it.
fn walk(tree: &Tree) -> Result<(Vec<Id>, Vec<u32>)> {
    let mut links = vec![0_u32; tree.len()];
    let mut order = Vec::with_capacity(tree.len());
    let mut waiting = vec![ROOT];
    links[index(ROOT)] = 2;
    while let Some(id) = waiting.pop() {
        order.push(id);
        let Some(directory) = tree.directory(id) else { continue };
        let first = waiting.len();
        for &child in directory.children.values() {
            if tree.directory(child).is_some() {
                // Itself has two names: its own, and `.`; and its parent has one more, `..`.
                links[index(child)] = 2;
                count(&mut links[index(id)])?;
                waiting.push(child);
                continue;
            }
            if links[index(child)] == 0 {
                order.push(child);
            }
            count(&mut links[index(child)])?;
        }
        waiting[first..].reverse();
    }
    Ok((order, links))
}

fn count(links: &mut u32) -> Result<()> {
    *links = links.checked_add(1).ok_or_else(|| Error::limit("a file has too many names"))?;
    Ok(())
}

/// chmod(2) changes an access list, and a tar says both.
fn settle_access_lists(from: &mut Index, order: &[Id]) -> Result<()> {
    for &id in order {
        let Inode { xattrs, mode, .. } = *from.tree.inode(id);
        if xattrs != SetId::default() {
            from.tree.inode_mut(id).xattrs = from.xattrs.with_mode(xattrs, mode)?;
        }
    }
    Ok(())
}

/// The time that lets the most inodes take the short form, which has none of its own.
fn most_common_time(tree: &Tree, order: &[Id], links: &[u32]) -> Time {
    let candidates = order.iter().filter_map(|&id| {
        let inode = tree.inode(id);
        let size = size_without_names(&inode.body);
        DiskInode::may_be_compact(links[index(id)], size, inode.uid, inode.gid).then_some(inode.modified)
    });
    let mut times: Vec<Time> = candidates.collect();
    times.sort_unstable();
    let runs = times.chunk_by(|one, other| one == other);
    runs.rev().max_by_key(|run| run.len()).and_then(|run| run.first()).copied().unwrap_or_default()
}

fn size(body: &Body) -> u64 {
    match body {
        Body::Directory(directory) => directory::size(directory),
        other => size_without_names(other),
    }
}

/// The size of what is no directory; one of 4 GiB has never been seen.
const fn size_without_names(body: &Body) -> u64 {
    match body {
        Body::File { size, .. } => *size,
        Body::Sparse(sparse) => sparse.size,
        Body::Symlink(target) => target.len() as u64,
        Body::Directory(_) | Body::Character(_) | Body::Block(_) | Body::Fifo => 0,
    }
}

fn block(number: u64) -> Result<u32> {
    u32::try_from(number).map_err(|_| too_large())
}

fn too_large() -> Error {
    Error::limit("the index is too large")
}
