//! Walks a tree in byte order and writes what it finds.

use std::collections::HashMap;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, SeekFrom, Stat, fstat, openat, seek, statat};
use rustix::io::{Errno, pread};

use super::super::extract::{OPAQUE_NAME, PREFIX, is_whiteout};
use super::super::owners;
use super::super::remove::names;
use super::super::tree::open_directory;
use super::describe::{Xattrs, describe};
use super::{CreateOptions, Form};
use crate::tar::{Entry, EntryKind, Error, Result, Writer};

const BUFFER: usize = 256 * 1024;

/// One walk.
pub(super) struct Walk<'a, W> {
    options: &'a CreateOptions,
    writer: Writer<W>,
    /// Where a file with more than one name was written first.
    links: HashMap<(u64, u64), Vec<u8>>,
    scratch: Vec<u8>,
    buffer: Vec<u8>,
}

impl<'a, W: Write> Walk<'a, W> {
    pub(super) fn new(options: &'a CreateOptions, writer: Writer<W>) -> Self {
        Self { options, writer, links: HashMap::new(), scratch: Vec::new(), buffer: vec![0; BUFFER] }
    }

    /// Writes what is in a directory.
    pub(super) fn tree(mut self, directory: BorrowedFd<'_>) -> Result<Writer<W>> {
        let xattrs = Xattrs::of(directory, &mut self.scratch)?;
        if self.options.root_entry {
            let stat = fstat(directory).map_err(|error| Error::system("cannot be looked at", error))?;
            self.write_directory((directory, b"."), &stat, b"./".to_vec(), &xattrs)?;
        }
        self.opaque(&xattrs, b"")?;
        self.children(directory, b"", 1)?;
        Ok(self.writer)
    }

    /// Writes one file or directory under another name.
    pub(super) fn path(mut self, parent: BorrowedFd<'_>, name: &[u8], rename: &[u8]) -> Result<Writer<W>> {
        let there = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
        there.map_err(|error| Error::system("cannot be looked at", error).at(rename))?;
        self.child(parent, name, rename.to_vec(), 1).map_err(|error| error.at(rename))?;
        Ok(self.writer)
    }

    fn children(&mut self, directory: BorrowedFd<'_>, path: &[u8], depth: usize) -> Result<()> {
        if depth > self.options.limits.depth {
            let most = self.options.limits.depth;
            return Err(Error::limit(format!("directories are more than {most} deep")).at(path));
        }
        let names =
            names(directory).map_err(|error| Error::system("directory cannot be read", error).at(path))?;
        for name in names {
            let below = [path, name.as_slice()].concat();
            let shown = below.clone();
            self.child(directory, &name, below, depth).map_err(|error| error.at(&shown))?;
        }
        Ok(())
    }

    fn child(&mut self, parent: BorrowedFd<'_>, name: &[u8], path: Vec<u8>, depth: usize) -> Result<()> {
        let stat = match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            // In a tree that is in use a file may go between being listed and being looked at.
            Err(Errno::NOENT) => return Ok(()),
            stat => stat.map_err(|error| Error::system("cannot be looked at", error))?,
        };
        if self.options.form == Form::Overlay {
            if is_whiteout(&stat) {
                return self.whiteout(&path, name);
            }
            if name.starts_with(PREFIX) {
                return Err(Error::refused("a layer cannot hold a file whose name begins with .wh."));
            }
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.directory(parent, name, path, depth),
            FileType::RegularFile => self.file(parent, name, path),
            _ => self.other(parent, name, &stat, path),
        }
    }

    fn directory(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        mut path: Vec<u8>,
        depth: usize,
    ) -> Result<()> {
        let directory = open_directory(parent, name)
            .map_err(|error| Error::system("directory cannot be opened", error))?;
        let stat = fstat(&directory).map_err(|error| Error::system("cannot be looked at", error))?;
        let xattrs = Xattrs::of(directory.as_fd(), &mut self.scratch)?;
        path.push(b'/');
        self.write_directory((parent, name), &stat, path.clone(), &xattrs)?;
        self.opaque(&xattrs, &path)?;
        self.children(directory.as_fd(), &path, depth + 1)
    }

    fn write_directory(
        &mut self,
        at: (BorrowedFd<'_>, &[u8]),
        stat: &Stat,
        path: Vec<u8>,
        xattrs: &Xattrs,
    ) -> Result<()> {
        self.refuse_partial(xattrs)?;
        let Some(mut entry) = describe(at, stat, path)? else { return Ok(()) };
        entry.xattrs.clone_from(&xattrs.kept);
        self.write_empty(entry)
    }

    fn file(&mut self, parent: BorrowedFd<'_>, name: &[u8], path: Vec<u8>) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(parent, name, flags, Mode::empty())
            .map_err(|error| Error::system("cannot be opened", error))?;
        let stat = fstat(&file).map_err(|error| Error::system("cannot be looked at", error))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Error::refused("it was replaced while it was read"));
        }
        if let Some(link) = self.other_name(&stat, &path) {
            return self.write_link(&link, &stat, path, (parent, name));
        }
        let xattrs = Xattrs::of(file.as_fd(), &mut self.scratch)?;
        if self.options.form == Form::Overlay && xattrs.overlay("whiteout").is_some() {
            return self.whiteout(&path, name);
        }
        self.refuse_partial(&xattrs)?;
        let Some(mut entry) = describe((parent, name), &stat, path)? else { return Ok(()) };
        entry.xattrs = xattrs.kept;
        let size = entry.size;
        self.begin(entry)?;
        self.contents(&file, &stat, size)?;
        self.writer.end()
    }

    fn other(&mut self, parent: BorrowedFd<'_>, name: &[u8], stat: &Stat, path: Vec<u8>) -> Result<()> {
        if let Some(link) = self.other_name(stat, &path) {
            return self.write_link(&link, stat, path, (parent, name));
        }
        let Some(mut entry) = describe((parent, name), stat, path)? else { return Ok(()) };
        entry.xattrs = Xattrs::of_named(parent, name, &mut self.scratch)?.kept;
        self.write_empty(entry)
    }

    /// The name under which a file was written already; else this one is remembered.
    fn other_name(&mut self, stat: &Stat, path: &[u8]) -> Option<Vec<u8>> {
        if stat.st_nlink < 2 {
            return None;
        }
        let key = (stat.st_dev, stat.st_ino);
        let known = self.links.get(&key).cloned();
        if known.is_none() {
            self.links.insert(key, path.to_vec());
        }
        known
    }

    fn write_link(
        &mut self,
        target: &[u8],
        stat: &Stat,
        path: Vec<u8>,
        at: (BorrowedFd<'_>, &[u8]),
    ) -> Result<()> {
        let Some(mut entry) = describe(at, stat, path)? else { return Ok(()) };
        entry.kind = EntryKind::HardLink(target.to_vec());
        entry.size = 0;
        self.write_empty(entry)
    }

    /// Deleting something leaves no owner or time worth keeping: the entry is the same every time.
    fn whiteout(&mut self, path: &[u8], name: &[u8]) -> Result<()> {
        let directory = &path[..path.len() - name.len()];
        self.write_empty(Entry { mode: 0o600, ..Entry::file([directory, PREFIX, name].concat(), 0) })
    }

    fn opaque(&mut self, xattrs: &Xattrs, path: &[u8]) -> Result<()> {
        if self.options.form == Form::Plain || !xattrs.is_opaque() {
            return Ok(());
        }
        self.write_empty(Entry { mode: 0o600, ..Entry::file([path, OPAQUE_NAME].concat(), 0) })
    }

    /// Some overlays keep only a pointer to what lies below: to write that as it stands would lose it.
    fn refuse_partial(&self, xattrs: &Xattrs) -> Result<()> {
        if self.options.form == Form::Plain {
            return Ok(());
        }
        for (name, option) in [("redirect", "redirect_dir"), ("metacopy", "metacopy")] {
            if xattrs.overlay(name).is_some() {
                return Err(Error::refused(format!(
                    "the overlay was mounted with {option}, and this holds only a pointer to a layer below"
                )));
            }
        }
        Ok(())
    }

    fn write_empty(&mut self, entry: Entry) -> Result<()> {
        self.begin(entry)?;
        self.writer.end()
    }

    fn begin(&mut self, mut entry: Entry) -> Result<()> {
        if let Some(map) = &self.options.users {
            owners::seen_inside(map, &mut entry);
        }
        self.writer.begin(&entry)
    }

    /// Writes exactly as much as the header says. Holes are not read, and written as zeros: what the
    /// file system made a hole of must not show in the digest.
    fn contents(&mut self, file: &OwnedFd, stat: &Stat, size: u64) -> Result<()> {
        let sparse = u64::try_from(stat.st_blocks).unwrap_or_default().saturating_mul(512) < size;
        let mut at = 0;
        while at < size {
            let (data, hole) = if sparse { next_data(file, at, size)? } else { (at, size) };
            self.writer.write_zeros(data - at)?;
            self.data(file, data, hole)?;
            at = hole;
        }
        Ok(())
    }

    fn data(&mut self, file: &OwnedFd, mut from: u64, to: u64) -> Result<()> {
        while from < to {
            let most = usize::try_from(to - from).unwrap_or(usize::MAX).min(self.buffer.len());
            match pread(file, &mut self.buffer[..most], from) {
                Ok(0) => {
                    return Err(Error::refused(format!(
                        "the file became shorter while it was read: {} bytes are missing",
                        to - from
                    )));
                }
                Ok(length) => {
                    self.writer.write(&self.buffer[..length])?;
                    from += length as u64;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(Error::system("contents cannot be read", error)),
            }
        }
        Ok(())
    }
}

/// The next piece of a file that is no hole: where it begins and ends.
pub(in crate::layer) fn next_data(file: &OwnedFd, at: u64, size: u64) -> Result<(u64, u64)> {
    let data = match seek(file, SeekFrom::Data(at)) {
        Ok(data) => data.min(size),
        // Nothing but a hole up to the end.
        Err(Errno::NXIO) => return Ok((size, size)),
        // The file system knows nothing of holes.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok((at, size)),
        Err(error) => return Err(Error::system("contents cannot be read", error)),
    };
    let hole =
        seek(file, SeekFrom::Hole(data)).map_err(|error| Error::system("contents cannot be read", error))?;
    Ok((data, hole.clamp(data, size)))
}
