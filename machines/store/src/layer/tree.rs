//! A directory tree in which paths that somebody else wrote are walked by handles alone.
//!
//! Every component is opened below the handle of the one before it, without following links, so
//! that a step can never leave the tree. A symbolic link on the way is read and its text walked in
//! the same manner; `..` goes back to a handle that is held, not to where the kernel says the parent
//! is now. A program that moves and swaps directories meanwhile (CVE-2018-15664) can make a write
//! land elsewhere in the tree, never outside it.
//!
//! An archive may be unpacked to a directory of the tree. Links that were there before mean what they mean to
//! the programs of the container: `/var/run -> /run` leads to the tree's `/run`, whatever is unpacked to `/var`.
//! Those that the archive made itself stay below that directory: who unpacks a stranger's archive there expects
//! it there, and nowhere else.

use std::collections::{HashSet, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, openat, readlinkat, statat};
use rustix::io::Errno;

use crate::tar::{Error, Result, shown};

/// As many links as the kernel follows (path_resolution(7)).
const LINKS: usize = 40;

/// A tree, and the way to the directory that was last entered: archives are in directory order.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    root: BorrowedFd<'a>,
    /// The way from the root to the directory in which paths begin.
    base: Vec<Step>,
    /// The way from the root to the directory that was entered last.
    steps: Vec<Step>,
    /// The path by which the last step was reached, when links were on the way.
    by_links: Option<Vec<u8>>,
    /// Directories made on the way and not asked about yet.
    made: Vec<Vec<u8>>,
    /// The links that the archive made, by device and inode; nothing: all of them are the archive's.
    own: Option<HashSet<(u64, u64)>>,
}

#[derive(Debug, Clone)]
struct Step {
    name: Vec<u8>,
    directory: Rc<OwnedFd>,
}

/// Who wrote a part of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Author {
    Archive,
    /// Whoever made the tree.
    Container,
}

/// What happens when a directory on the way does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Make,
    Refuse,
}

impl<'a> Tree<'a> {
    pub(super) const fn new(root: BorrowedFd<'a>) -> Self {
        Self { root, base: Vec::new(), steps: Vec::new(), by_links: None, made: Vec::new(), own: None }
    }

    /// A container's tree, in which paths begin in the directory `base`; no link is on the way to that.
    pub(super) fn of_container(root: BorrowedFd<'a>, base: &[u8]) -> Result<Self> {
        let mut tree = Self { own: Some(HashSet::new()), ..Self::new(root) };
        for name in components(base) {
            tree.step(name, Missing::Refuse).map_err(|error| cannot_enter(name, error))?;
        }
        tree.base.clone_from(&tree.steps);
        Ok(tree)
    }

    /// The same tree, in which paths begin at the root: those of [`real_path`](Self::real_path) do.
    pub(super) const fn whole(&self) -> Self {
        Self::new(self.root)
    }

    /// Remembers a link that the archive made.
    pub(super) fn note_link(&mut self, directory: &[u8], name: &[u8]) -> Result<()> {
        if self.own.is_none() {
            return Ok(());
        }
        let parent = self.enter(directory, Missing::Refuse)?;
        let id = link_id(parent, name).map_err(|error| cannot_enter(name, error))?;
        self.own.get_or_insert_default().insert(id);
        Ok(())
    }

    /// The handle of the directory at a clean path, links on the way followed inside the tree.
    pub(super) fn enter(&mut self, path: &[u8], missing: Missing) -> Result<BorrowedFd<'_>> {
        if self.by_links.as_deref() != Some(path) {
            if self.by_links.take().is_some() {
                self.go_back();
            }
            self.walk(path, missing)?;
        }
        Ok(self.here())
    }

    /// Forgets the way: something on it may have been replaced.
    pub(super) fn forget(&mut self) {
        self.go_back();
        self.by_links = None;
    }

    /// The path of a name in the directory that was entered last by `directory`, from the root and without links.
    pub(super) fn real_path(&self, directory: &[u8], name: &[u8]) -> Vec<u8> {
        if self.by_links.as_deref() != Some(directory) {
            return joined(&self.base, components(directory).chain([name]));
        }
        joined(&self.steps, [name])
    }

    /// The path of where paths begin, from the root.
    pub(super) fn base_path(&self) -> Vec<u8> {
        joined(&self.base, [])
    }

    /// The directories that were made on the way since this was last called.
    pub(super) fn take_made(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.made)
    }

    fn here(&self) -> BorrowedFd<'_> {
        self.steps.last().map_or(self.root, |step| step.directory.as_fd())
    }

    /// To where paths begin.
    fn go_back(&mut self) {
        self.steps.clone_from(&self.base);
    }

    fn walk(&mut self, path: &[u8], missing: Missing) -> Result<()> {
        let (wanted, base) = (|| components(path), self.base.len());
        let known = self.steps.iter().skip(base).zip(wanted());
        let common = known.take_while(|(step, name)| step.name == *name).count();
        self.steps.truncate(base + common);
        for name in wanted().skip(common) {
            match self.step(name, missing) {
                Ok(()) => {}
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    self.walk_links(path, missing)?;
                    self.by_links = Some(path.to_vec());
                    return Ok(());
                }
                Err(error) => return Err(cannot_enter(name, error)),
            }
        }
        Ok(())
    }

    /// Opens, or makes, one directory below the last one.
    fn step(&mut self, name: &[u8], missing: Missing) -> Result<(), Errno> {
        let directory = match open_directory(self.here(), name) {
            Err(Errno::NOENT) if missing == Missing::Make => {
                mkdirat(self.here(), name, Mode::from_raw_mode(0o755))?;
                self.made.push(joined(&self.steps, [name]));
                open_directory(self.here(), name)?
            }
            opened => opened?,
        };
        self.steps.push(Step { name: name.to_vec(), directory: Rc::new(directory) });
        Ok(())
    }

    /// Walks from where paths begin and replaces links by what they say.
    fn walk_links(&mut self, path: &[u8], missing: Missing) -> Result<()> {
        let refused = |why: &str| Error::refused(format!("invalid path {}: {why}", shown(path)));
        self.go_back();
        let mut ahead: VecDeque<_> = components(path).map(|name| (name.to_vec(), Author::Archive)).collect();
        let mut links = 0;
        while let Some((name, author)) = ahead.pop_front() {
            if name == b".." {
                // The path itself is clean: only the text of a link gets here.
                if !self.go_up(author) {
                    return Err(refused("a symbolic link on the way leads out of the root"));
                }
                continue;
            }
            match self.step(&name, missing) {
                Ok(()) => continue,
                Err(Errno::NOTDIR | Errno::LOOP) => links += 1,
                Err(error) => return Err(cannot_enter(&name, error)),
            }
            let (target, author) = self.read_link(&name)?;
            if links > LINKS {
                return Err(refused("too many symbolic links"));
            }
            if target.starts_with(b"/") {
                match author {
                    Author::Archive => self.go_back(),
                    Author::Container => self.steps.clear(),
                }
            }
            for part in components(&target).rev().filter(|part| *part != b".") {
                ahead.push_front((part.to_vec(), author));
            }
        }
        Ok(())
    }

    /// Goes to the directory above; an archive's links never leave where the archive is unpacked, and for a
    /// container there is nothing above its root.
    fn go_up(&mut self, author: Author) -> bool {
        let same = |(step, base): (&Step, &Step)| Rc::ptr_eq(&step.directory, &base.directory);
        let below = || self.steps.len() > self.base.len() && self.steps.iter().zip(&self.base).all(same);
        let may = author == Author::Container || below();
        if may {
            self.steps.pop();
        }
        may
    }

    fn read_link(&self, name: &[u8]) -> Result<(Vec<u8>, Author)> {
        let author = match &self.own {
            Some(own) if !link_id(self.here(), name).is_ok_and(|id| own.contains(&id)) => Author::Container,
            _ => Author::Archive,
        };
        match readlinkat(self.here(), name, Vec::new()) {
            Ok(target) => Ok((target.into_bytes(), author)),
            Err(Errno::INVAL) => Err(cannot_enter(name, Errno::NOTDIR)),
            Err(error) => Err(cannot_enter(name, error)),
        }
    }
}

fn link_id(parent: BorrowedFd<'_>, name: &[u8]) -> Result<(u64, u64), Errno> {
    statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| (stat.st_dev, stat.st_ino))
}

fn joined<'n>(steps: &'n [Step], further: impl IntoIterator<Item = &'n [u8]>) -> Vec<u8> {
    let names = steps.iter().map(|step| step.name.as_slice()).chain(further);
    names.collect::<Vec<_>>().join(&b'/')
}

/// Opens a directory without following a link.
pub(super) fn open_directory(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty())
}

fn cannot_enter(name: &[u8], error: Errno) -> Error {
    Error::system(format!("directory {} cannot be entered", shown(name)), error)
}

/// The parts of a path between slashes.
pub(crate) fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/').filter(|part| !part.is_empty())
}

/// Makes a path relative to the root and takes `.` and `..` out of it, by its text alone.
///
/// # Errors
/// When `..` climbs above the root, or it has more than `depth` components.
pub(crate) fn clean(path: &[u8], depth: usize) -> Result<Vec<u8>> {
    let mut parts = Vec::new();
    for part in components(path) {
        match part {
            b"." => {}
            b".." if parts.pop().is_none() => {
                return Err(Error::refused(format!(
                    "invalid name {}: it leads out of the root",
                    shown(path)
                )));
            }
            b".." => {}
            part => parts.push(part),
        }
    }
    if parts.len() > depth {
        return Err(Error::limit(format!("path has more than {depth} components")));
    }
    Ok(parts.join(&b'/'))
}

/// Splits a clean path into its directory and its last component.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_made_relative_and_clean() {
        for (path, wanted) in [
            (&b"./a//b/./c/"[..], &b"a/b/c"[..]),
            (b"/etc/passwd", b"etc/passwd"),
            (b"a/../b", b"b"),
            (b"./", b""),
            (b"/", b""),
            (b"..a/b..", b"..a/b.."),
        ] {
            assert_eq!(clean(path, 9).unwrap(), wanted);
        }
    }

    #[test]
    fn a_path_that_climbs_out_is_refused_by_name() {
        for path in [&b".."[..], b"../etc/passwd", b"a/../../b", b"/..", b"./../x"] {
            let error = clean(path, 9).unwrap_err().to_string();
            assert!(error.contains("leads out of the root"), "{error}");
        }
    }
}
