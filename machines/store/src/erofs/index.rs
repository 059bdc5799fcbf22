//! The index as it is made: entries are added in the order of the tar.

use super::disk::{BLOCK, BLOCK_BITS, device_number};
use super::sparse::{Extent, Sparse, block_of};
use super::tree::{Body, Id, Inode, Missing, Tree};
use super::xattrs::{SetId, Sets};
use crate::layer::{PREFIX, Skipped, clean, split};
use crate::tar::{Entry, EntryKind, Error, Fault, Limits, Result, shown};

/// As long as a symbolic link can be (symlink(2)).
const LINK: usize = 4_095;

/// How much an index may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Components of a path.
    pub depth: usize,
    /// Bytes of pieces that are copied into the index, and held in memory until it is written.
    pub copied: u64,
    /// Bytes of tables of sparse files: a hole of terabytes costs nothing to claim.
    pub tables: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { depth: Limits::default().depth, copied: 64 << 20, tables: 256 << 20 }
    }
}

/// The file tree of a tar, told entry by entry.
///
/// Each entry takes about 150 bytes and its name until [`finish`](Self::finish) writes the image.
#[derive(Debug)]
pub struct Index {
    options: Options,
    pub(super) tree: Tree,
    pub(super) xattrs: Sets,
    pub(super) copies: Copies,
    pub(super) skipped: Skipped,
    /// Bytes of tables of sparse files so far.
    tables: u64,
    /// Where the contents end in the tar that lie farthest behind.
    end: u64,
}

/// Pieces of files that are copied into the index.
#[derive(Debug, Default)]
pub(super) struct Copies {
    pub(super) bytes: Vec<u8>,
    /// The file whose contents come now, where its copies begin, and how many bytes of contents are to come.
    open: Option<(Id, usize, u64)>,
}

impl Index {
    /// Begins the index of an empty tar: a root directory of mode 0755 and nothing in it.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            options,
            tree: Tree::new(),
            xattrs: Sets::new(),
            copies: Copies::default(),
            skipped: Skipped::default(),
            tables: 0,
            end: 0,
        }
    }

    /// Adds an entry; what was at its name is replaced, a directory by a directory only updated.
    ///
    /// `extents` are the pieces of a file's contents in the tar: ascending, not empty, within its
    /// size, with holes between them. When [`wants_contents`](Self::wants_contents) says so, the
    /// contents follow by [`contents`](Self::contents).
    ///
    /// # Errors
    /// What is wrong with the entry. The index is of no use then.
    pub fn add(&mut self, entry: &Entry, extents: &[Extent]) -> Result<()> {
        self.copies.verify_complete()?;
        self.entry(entry, extents).map_err(|error| error.at(&entry.path))
    }

    /// Whether the last entry has pieces that must be copied into the index.
    #[must_use]
    pub const fn wants_contents(&self) -> bool {
        self.copies.open.is_some()
    }

    /// Takes a piece of the last entry's contents, in any size, if it wants them.
    pub fn contents(&mut self, offset: u64, bytes: &[u8]) {
        let Some((id, start, left)) = &mut self.copies.open else { return };
        let Body::Sparse(sparse) = &self.tree.inode(*id).body else { return };
        let copies = &mut self.copies.bytes;
        sparse.for_copies(offset, bytes, |at, part| {
            let at = usize::try_from(at).map_or(usize::MAX, |at| at.saturating_add(*start));
            if let Some(place) = copies.get_mut(at..at.saturating_add(part.len())) {
                place.copy_from_slice(part);
            }
        });
        *left = left.saturating_sub(bytes.len() as u64);
        if *left == 0 {
            self.copies.open = None;
        }
    }

    /// Linux 6.18 fails to read a block of a device that the device has not all of.
    pub(super) fn verify_tar(&self, size: u64) -> Result<()> {
        if self.end > size {
            return Err(Error::format(format!("tar of {size} bytes has contents up to {}", self.end)));
        }
        if self.end.next_multiple_of(BLOCK) > size {
            return Err(Error::limit("the last block of the tar's contents is cut short"));
        }
        Ok(())
    }

    fn entry(&mut self, entry: &Entry, extents: &[Extent]) -> Result<()> {
        check(entry, extents)?;
        let path = clean(&entry.path, self.options.depth)?;
        if path.is_empty() {
            return self.root(entry);
        }
        let (directory, name) = split(&path);
        if name.starts_with(PREFIX) {
            return self.whiteout(entry, directory, name);
        }
        if let EntryKind::HardLink(target) = &entry.kind {
            return self.hard_link(entry, &path, target);
        }
        if entry.is_directory() {
            return self.directory(entry, directory, name);
        }
        let body = self.body(entry, extents)?;
        let inode = self.inode(entry, body)?;
        let parent = self.make_room(entry, directory, name)?;
        let id = self.tree.insert(parent, name, inode)?;
        self.end = extents.iter().map(|extent| extent.source + extent.length).fold(self.end, u64::max);
        self.open_copies(id)
    }

    /// The entry of the root itself must be a directory (CVE-2021-29136).
    fn root(&mut self, entry: &Entry) -> Result<()> {
        if !entry.is_directory() {
            return Err(Error::refused("the root of an archive is a directory and nothing else"));
        }
        self.update(super::tree::ROOT, entry)
    }

    /// The directory of an entry, in which its name is free: what was there is replaced.
    fn make_room(&mut self, entry: &Entry, directory: &[u8], name: &[u8]) -> Result<Id> {
        let missing = Missing::Make(entry.modified);
        let parent = self.tree.enter(directory, missing)?;
        if self.tree.child(parent, name).is_none() {
            return Ok(parent);
        }
        self.tree.remove(parent, name);
        // What was there may have been on the way to the directory.
        let parent = self.tree.enter(directory, missing)?;
        match self.tree.child(parent, name) {
            None => Ok(parent),
            Some(_) => Err(Error::refused("it lies on the way to itself")),
        }
    }

    fn directory(&mut self, entry: &Entry, directory: &[u8], name: &[u8]) -> Result<()> {
        let parent = self.tree.enter(directory, Missing::Make(entry.modified))?;
        let before = self.tree.child(parent, name);
        if let Some(id) = before.filter(|&id| self.tree.directory(id).is_some()) {
            return self.update(id, entry);
        }
        let hidden = before.is_some_and(|id| self.tree.inode(id).is_whiteout());
        let parent = self.make_room(entry, directory, name)?;
        let id = self.tree.insert(parent, name, Inode::directory(parent, 0, entry.modified))?;
        if hidden {
            // What lies below was deleted, and must not show through the directory that comes instead.
            self.set_opaque(id)?;
        }
        self.update(id, entry)
    }

    /// Says of a directory what the entry says; what is in it stays.
    fn update(&mut self, id: Id, entry: &Entry) -> Result<()> {
        let xattrs = self.xattrs.add(self.tree.inode(id).xattrs, entry, &mut self.skipped)?;
        let inode = self.tree.inode_mut(id);
        (inode.uid, inode.gid, inode.modified) = (entry.uid, entry.gid, entry.modified);
        (inode.xattrs, inode.mode) = (xattrs, permissions(entry));
        Ok(())
    }

    fn inode(&mut self, entry: &Entry, body: Body) -> Result<Inode> {
        let xattrs = self.xattrs.add(SetId::default(), entry, &mut self.skipped)?;
        let (uid, gid, modified) = (entry.uid, entry.gid, entry.modified);
        Ok(Inode { body, modified, uid, gid, xattrs, mode: permissions(entry) })
    }

    fn body(&mut self, entry: &Entry, extents: &[Extent]) -> Result<Body> {
        Ok(match &entry.kind {
            EntryKind::File => self.file(entry.size, extents)?,
            EntryKind::Symlink(target) => Body::Symlink(target.as_slice().into()),
            EntryKind::CharDevice(0, 0) => {
                // It would delete the file below it, which is for `.wh.` names to say.
                return Err(Error::refused("a character device 0:0 is overlayfs' own mark"));
            }
            EntryKind::CharDevice(major, minor) => Body::Character(number(*major, *minor)?),
            EntryKind::BlockDevice(major, minor) => Body::Block(number(*major, *minor)?),
            EntryKind::Fifo => Body::Fifo,
            EntryKind::Directory | EntryKind::HardLink(_) => {
                return Err(Error::format("it has no contents of its own"));
            }
        })
    }

    fn file(&mut self, size: u64, extents: &[Extent]) -> Result<Body> {
        match extents {
            [] if size == 0 => return Ok(Body::File { size, source: 0 }),
            [all] if all.length == size && all.source % BLOCK == 0 => {
                return Ok(Body::File { size, source: all.source });
            }
            _ => {}
        }
        let held = self.copies.bytes.len() as u64;
        let first = u32::try_from(held >> BLOCK_BITS).map_err(|_| Error::limit("the index is too large"))?;
        let sparse = Sparse::new(size, extents, first, self.options.copied.saturating_sub(held))?;
        self.tables = self.tables.saturating_add(sparse.table());
        if self.tables > self.options.tables {
            let most = self.options.tables;
            return Err(Error::limit(format!(
                "the holes of sparse files take more than {most} bytes to tell"
            )));
        }
        Ok(Body::Sparse(Box::new(sparse)))
    }

    /// Makes room for the pieces of a file that are to be copied.
    fn open_copies(&mut self, id: Id) -> Result<()> {
        let Body::Sparse(sparse) = &self.tree.inode(id).body else { return Ok(()) };
        let start = self.copies.bytes.len();
        let room = usize::try_from(sparse.copied()).map_err(|_| Error::limit("the index is too large"))?;
        if room > 0 {
            self.copies.open = Some((id, start, sparse.stored()));
            self.copies.bytes.resize(start + room, 0);
        }
        Ok(())
    }

    /// Links to a file of the tree; its directory may be reached through links, itself is not followed.
    fn hard_link(&mut self, entry: &Entry, path: &[u8], target: &[u8]) -> Result<()> {
        let wrong = |why: &str| {
            let (from, to) = (shown(&entry.path), shown(target));
            Error::refused(format!("invalid hardlink {from} -> {to}: {why}"))
        };
        let clean = clean(target, self.options.depth).map_err(|error| wrong(&error.to_string()))?;
        if clean.is_empty() {
            return Err(wrong("the target is a directory"));
        }
        let (source, old) = split(&clean);
        let source = self.tree.enter(source, Missing::Refuse).map_err(|error| match error.fault() {
            Fault::Refused => error,
            _ => wrong("the target does not exist"),
        })?;
        if clean == path && self.tree.child(source, old).is_some() {
            return Ok(());
        }
        let (directory, name) = split(path);
        let parent = self.make_room(entry, directory, name)?;
        // Looked up now: the target may have been below what the link replaced.
        let id = self.tree.child(source, old).ok_or_else(|| wrong("the target does not exist"))?;
        if self.tree.directory(id).is_some() {
            return Err(wrong("the target is a directory"));
        }
        self.tree.link(parent, name, id)
    }
}

impl Copies {
    /// Contents that never came would be read as zeros.
    pub(super) fn verify_complete(&self) -> Result<()> {
        match self.open {
            None => Ok(()),
            Some((_, _, left)) => Err(Error::format(format!("contents are {left} bytes short"))),
        }
    }
}

/// What an entry says by itself.
fn check(entry: &Entry, extents: &[Extent]) -> Result<()> {
    if entry.uid == u32::MAX || entry.gid == u32::MAX {
        return Err(Error::format("owner or group is out of range"));
    }
    if entry.modified.nanos >= 1_000_000_000 {
        return Err(Error::format("time is out of range"));
    }
    if entry.path.contains(&0) {
        return Err(Error::format("name has a NUL byte"));
    }
    if let EntryKind::Symlink(target) = &entry.kind {
        if target.is_empty() || target.contains(&0) {
            return Err(Error::format("link has no target, or one with a NUL byte"));
        }
        if target.len() > LINK {
            return Err(Error::limit(format!("link target is longer than {LINK} bytes")));
        }
    }
    check_extents(entry, extents)
}

fn check_extents(entry: &Entry, extents: &[Extent]) -> Result<()> {
    if entry.kind != EntryKind::File && (entry.size != 0 || !extents.is_empty()) {
        return Err(Error::format("only a regular file has contents"));
    }
    // i_size is signed in the kernel.
    if i64::try_from(entry.size).is_err() {
        return Err(Error::limit(format!("file of {} bytes", entry.size)));
    }
    let mut end = 0;
    for extent in extents {
        let after = extent.offset.checked_add(extent.length).filter(|&after| after <= entry.size);
        let (Some(after), true) = (after, extent.offset >= end && extent.length > 0) else {
            return Err(Error::format("pieces of the file are not in order, or go beyond its size"));
        };
        let last = extent.source.checked_add(extent.length - 1);
        block_of(last.ok_or_else(|| Error::format("pieces of the file lie beyond any tar"))?)?;
        end = after;
    }
    Ok(())
}

fn number(major: u32, minor: u32) -> Result<u32> {
    device_number(major, minor).ok_or_else(|| Error::format(format!("device number {major}:{minor}")))
}

/// Twelve bits; a link's are always the same.
fn permissions(entry: &Entry) -> u16 {
    match entry.kind {
        EntryKind::Symlink(_) => 0o777,
        _ => u16::try_from(entry.mode & 0o7777).unwrap_or_default(),
    }
}
