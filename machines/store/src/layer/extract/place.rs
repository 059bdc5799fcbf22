//! Puts one entry into its place.

use std::io::BufRead;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, fsetxattr, ftruncate, linkat, makedev, mkdirat, mknodat, openat, statat,
    symlinkat,
};
use rustix::io::{Errno, pwrite};

use super::super::attributes::Attributes;
use super::super::remove::remove;
use super::super::tree::{Missing, clean, open_directory, split};
use super::whiteout::{OPAQUE, is_whiteout};
use super::{ExtractOptions, Extractor, Whiteouts};
use crate::tar::{Entry, EntryKind, Error, Reader, Result, shown};

/// An entry and where it goes.
pub(super) struct Placing<'e> {
    pub(super) path: &'e [u8],
    pub(super) directory: &'e [u8],
    pub(super) name: &'e [u8],
    pub(super) entry: &'e Entry,
}

/// What there was at a name before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Directory,
    File,
    Whiteout,
    Other,
}

impl Placing<'_> {
    /// Makes the file and sets all that the entry says of it; answers the bytes of its contents.
    pub(super) fn place<R: BufRead>(&self, to: &mut Extractor<'_>, reader: &mut Reader<R>) -> Result<u64> {
        match &self.entry.kind {
            EntryKind::File => return self.file(to, reader),
            EntryKind::Directory => self.directory(to)?,
            EntryKind::HardLink(target) => self.hard_link(to, target)?,
            EntryKind::Symlink(target) => {
                self.make(to, |parent| symlinkat(target.as_slice(), parent, self.name))?;
                to.tree.note_link(self.directory, self.name)?;
                self.finish_named(to, false)?;
            }
            EntryKind::CharDevice(major, minor) => {
                self.node(to, FileType::CharacterDevice, (*major, *minor))?
            }
            EntryKind::BlockDevice(major, minor) => self.node(to, FileType::BlockDevice, (*major, *minor))?,
            EntryKind::Fifo => self.node(to, FileType::Fifo, (0, 0))?,
        }
        Ok(0)
    }

    fn file<R: BufRead>(&self, to: &mut Extractor<'_>, reader: &mut Reader<R>) -> Result<u64> {
        // A new file always: writing into one that is there would write through its other names.
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Its mode from the beginning: a copy that is cut off leaves a file that can be read as far as it goes.
        let mode = Mode::from_raw_mode(self.entry.mode & 0o777);
        let file = self.make(to, |parent| openat(parent, self.name, flags, mode))?;
        let mut end = 0;
        let mut written = 0;
        while let Some((offset, bytes)) = reader.next_chunk()? {
            write_all(&file, bytes, offset)?;
            end = offset + bytes.len() as u64;
            written += bytes.len() as u64;
        }
        if end != self.entry.size {
            ftruncate(&file, self.entry.size).map_err(|error| Error::system("size cannot be set", error))?;
        }
        attributes(to.options, self.entry).set(file.as_fd(), &mut to.counts.skipped)?;
        Ok(written)
    }

    fn directory(&self, to: &mut Extractor<'_>) -> Result<()> {
        let parent = to.tree.enter(self.directory, Missing::Make)?;
        let made = mkdirat(parent, self.name, Mode::RWXU);
        let before = match made {
            Ok(()) => Before::Nothing,
            Err(Errno::EXIST) => before(parent, self.name)?,
            Err(error) => return Err(self.cannot_make(error)),
        };
        if matches!(before, Before::Whiteout | Before::File | Before::Other) {
            self.replace(to, before)?;
            let parent = to.tree.enter(self.directory, Missing::Make)?;
            mkdirat(parent, self.name, Mode::RWXU).map_err(|error| self.cannot_make(error))?;
        }
        let parent = to.tree.enter(self.directory, Missing::Make)?;
        let directory = open_directory(parent, self.name).map_err(|error| self.cannot_make(error))?;
        if before == Before::Whiteout {
            // What lies below was deleted, and must not show through the directory that comes instead.
            fsetxattr(&directory, OPAQUE, b"y", rustix::fs::XattrFlags::empty())
                .map_err(|error| Error::system("directory cannot be made opaque", error))?;
        }
        attributes(to.options, self.entry).set(directory.as_fd(), &mut to.counts.skipped)
    }

    /// Links to a file of the tree; its directory may be reached through links, itself is not followed.
    fn hard_link(&self, to: &mut Extractor<'_>, target: &[u8]) -> Result<()> {
        let wrong = |why: String| {
            Error::refused(format!(
                "invalid hardlink {} -> {}: {why}",
                shown(&self.entry.path),
                shown(target)
            ))
        };
        let clean = clean(target, to.options.limits.depth).map_err(|error| wrong(error.to_string()))?;
        if clean.is_empty() {
            return Err(wrong("the target is a directory".to_owned()));
        }
        let (directory, name) = split(&clean);
        let source =
            to.tree.enter(directory, Missing::Refuse).map_err(|error| hard_link_error(error, &wrong))?;
        let source = rustix::io::fcntl_dupfd_cloexec(source, 0)
            .map_err(|error| Error::system("descriptor cannot be duplicated", error))?;
        if clean == self.path && before(source.as_fd(), name)? != Before::Nothing {
            return Ok(());
        }
        let link = |parent: BorrowedFd<'_>| linkat(&source, name, parent, self.name, AtFlags::empty());
        match self.make_or(to, link)? {
            Err(Errno::NOENT) => Err(wrong("the target does not exist".to_owned())),
            Err(Errno::PERM) => Err(wrong("the target is a directory".to_owned())),
            made => made.map_err(|error| self.cannot_make(error)),
        }
    }

    fn node(&self, to: &mut Extractor<'_>, kind: FileType, (major, minor): (u32, u32)) -> Result<()> {
        if kind == FileType::CharacterDevice
            && (major, minor) == (0, 0)
            && to.options.whiteouts == Whiteouts::Overlay
        {
            // It would delete the file below it, which is for `.wh.` names to say.
            return Err(Error::refused("a character device 0:0 is overlayfs' own mark"));
        }
        let device = makedev(major, minor);
        self.make(to, |parent| mknodat(parent, self.name, kind, Mode::RUSR | Mode::WUSR, device))?;
        self.finish_named(to, true)
    }

    fn finish_named(&self, to: &mut Extractor<'_>, has_mode: bool) -> Result<()> {
        let Extractor { tree, options, counts, .. } = to;
        let parent = tree.enter(self.directory, Missing::Refuse)?;
        attributes(options, self.entry).set_named(parent, self.name, has_mode, &mut counts.skipped)
    }

    fn make<T>(
        &self,
        to: &mut Extractor<'_>,
        make: impl Fn(BorrowedFd<'_>) -> Result<T, Errno>,
    ) -> Result<T> {
        self.make_or(to, make)?.map_err(|error| self.cannot_make(error))
    }

    /// Makes what is no directory; what was there is replaced: the last entry of a name counts.
    fn make_or<T>(
        &self,
        to: &mut Extractor<'_>,
        make: impl Fn(BorrowedFd<'_>) -> Result<T, Errno>,
    ) -> Result<Result<T, Errno>> {
        let parent = to.tree.enter(self.directory, Missing::Make)?;
        match make(parent) {
            Err(Errno::EXIST) => {}
            made => return Ok(made),
        }
        let before = before(parent, self.name)?;
        self.replace(to, before)?;
        let parent = to.tree.enter(self.directory, Missing::Make)?;
        Ok(make(parent))
    }

    fn replace(&self, to: &mut Extractor<'_>, before: Before) -> Result<()> {
        let new = self.entry.is_directory();
        if to.options.no_overwrite_dir_non_dir
            && before != Before::Nothing
            && new != (before == Before::Directory)
        {
            let (name, path) = (shown(self.name), shown(self.path));
            return Err(Error::refused(if new {
                format!("cannot overwrite non-directory {path} with directory {name}")
            } else {
                format!("cannot overwrite directory {path} with non-directory {name}")
            }));
        }
        to.tree.enter(self.directory, Missing::Make)?;
        to.check_not_mounted(&to.tree.real_path(self.directory, self.name))?;
        let parent = to.tree.enter(self.directory, Missing::Make)?;
        remove(parent, self.name)
            .map_err(|error| Error::system("what was there cannot be removed", error))?;
        // A plain file leads nowhere: what is known of the way here stays true.
        if before != Before::File {
            let gone = to.tree.real_path(self.directory, self.name);
            to.forget(&gone);
        }
        Ok(())
    }

    fn cannot_make(&self, error: Errno) -> Error {
        Error::system("cannot be made", error).at(&self.entry.path)
    }
}

/// What the entry says, with the owner that was asked for.
pub(super) fn attributes<'e>(options: &ExtractOptions, entry: &'e Entry) -> Attributes<'e> {
    let (uid, gid) = options.owner.unwrap_or((entry.uid, entry.gid));
    Attributes { entry, uid, gid }
}

fn before(parent: BorrowedFd<'_>, name: &[u8]) -> Result<Before> {
    match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if is_whiteout(&stat) => Ok(Before::Whiteout),
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => Ok(Before::Directory),
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => Ok(Before::File),
        Ok(_) => Ok(Before::Other),
        Err(Errno::NOENT) => Ok(Before::Nothing),
        Err(error) => Err(Error::system("what was there cannot be looked at", error)),
    }
}

/// A target that is not there is the archive's fault, not the kernel's.
fn hard_link_error(error: Error, wrong: &dyn Fn(String) -> Error) -> Error {
    if error.fault() == crate::tar::Fault::Refused {
        return error;
    }
    wrong("the target does not exist".to_owned())
}

fn write_all(file: &OwnedFd, mut bytes: &[u8], mut offset: u64) -> Result<()> {
    while !bytes.is_empty() {
        match pwrite(file, bytes, offset) {
            Ok(0) => return Err(Error::system("contents cannot be written", Errno::IO)),
            Ok(length) => {
                bytes = &bytes[length..];
                offset += length as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(Error::system("contents cannot be written", error)),
        }
    }
    Ok(())
}
