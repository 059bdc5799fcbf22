//! The tree as it grows: inodes by number, directories by name. Paths are walked as the kernel would.

use std::collections::{BTreeMap, VecDeque};

use super::disk::{NAME, kind};
use super::sparse::Sparse;
use super::xattrs::SetId;
use crate::layer::components;
use crate::tar::{Error, Result, Time, shown};

/// An inode's number here; it has nothing to do with that in the image.
pub(super) type Id = u32;

/// The directory that is mounted.
pub(super) const ROOT: Id = 0;

/// As many links as the kernel follows (path_resolution(7)).
const LINKS: usize = 40;

/// A file of any kind.
#[derive(Debug)]
pub(super) struct Inode {
    pub(super) body: Body,
    pub(super) modified: Time,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) xattrs: SetId,
    /// Twelve bits.
    pub(super) mode: u16,
}

/// What makes the kinds of files different.
#[derive(Debug)]
pub(super) enum Body {
    Directory(Box<Directory>),
    /// All bytes, one after the other, from this place of the tar.
    File {
        size: u64,
        source: u64,
    },
    Sparse(Box<Sparse>),
    Symlink(Box<[u8]>),
    /// With its encoded number.
    Character(u32),
    Block(u32),
    Fifo,
}

/// Names, in the order in which the kernel searches them.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) parent: Id,
    pub(super) children: BTreeMap<Box<[u8]>, Id>,
}

impl Inode {
    /// Permissions with the type.
    pub(super) const fn full_mode(&self) -> u16 {
        self.mode
            | match self.body {
                Body::Directory(_) => kind::DIRECTORY,
                Body::File { .. } | Body::Sparse(_) => kind::FILE,
                Body::Symlink(_) => kind::SYMLINK,
                Body::Character(_) => kind::CHARACTER,
                Body::Block(_) => kind::BLOCK,
                Body::Fifo => kind::FIFO,
            }
    }

    /// overlayfs' mark of a deleted file.
    pub(super) const fn is_whiteout(&self) -> bool {
        matches!(self.body, Body::Character(0))
    }

    pub(super) fn directory(parent: Id, mode: u16, modified: Time) -> Self {
        let body = Body::Directory(Box::new(Directory { parent, children: BTreeMap::new() }));
        Self { body, modified, uid: 0, gid: 0, xattrs: SetId::default(), mode }
    }
}

/// What happens when a directory on the way does not exist.
#[derive(Debug, Clone, Copy)]
pub(super) enum Missing {
    /// It is made, belongs to root, and has this time.
    Make(Time),
    Refuse,
}

/// All inodes, reachable or replaced.
#[derive(Debug)]
pub(super) struct Tree {
    inodes: Vec<Inode>,
    /// The directory that was last entered, and by which path: tars are in directory order.
    last: Option<(Vec<u8>, Id)>,
}

impl Tree {
    pub(super) fn new() -> Self {
        Self { inodes: vec![Inode::directory(ROOT, 0o755, Time::default())], last: None }
    }

    pub(super) fn len(&self) -> usize {
        self.inodes.len()
    }

    /// An inode; numbers come from this tree alone.
    pub(super) fn inode(&self, id: Id) -> &Inode {
        &self.inodes[index(id)]
    }

    pub(super) fn inode_mut(&mut self, id: Id) -> &mut Inode {
        &mut self.inodes[index(id)]
    }

    pub(super) fn directory(&self, id: Id) -> Option<&Directory> {
        match &self.inode(id).body {
            Body::Directory(directory) => Some(directory),
            _ => None,
        }
    }

    /// What is at a name of a directory.
    pub(super) fn child(&self, directory: Id, name: &[u8]) -> Option<Id> {
        self.directory(directory)?.children.get(name).copied()
    }

    /// Adds an inode at a name that is free.
    pub(super) fn insert(&mut self, directory: Id, name: &[u8], inode: Inode) -> Result<Id> {
        let id = Id::try_from(self.inodes.len())
            .map_err(|_| Error::limit("an index has at most 4,294,967,295 files"))?;
        self.link(directory, name, id)?;
        self.inodes.push(inode);
        Ok(id)
    }

    /// Gives an inode a name more.
    pub(super) fn link(&mut self, directory: Id, name: &[u8], id: Id) -> Result<()> {
        if name.len() > NAME {
            let (name, length) = (shown(name), name.len());
            return Err(Error::limit(format!("name {name} has {length} bytes; at most {NAME} are possible")));
        }
        match &mut self.inode_mut(directory).body {
            Body::Directory(directory) => directory.children.insert(name.into(), id),
            _ => return Err(not_a_directory(name)),
        };
        Ok(())
    }

    /// Takes what is at a name away, and all that is below it.
    pub(super) fn remove(&mut self, directory: Id, name: &[u8]) {
        let Body::Directory(parent) = &mut self.inode_mut(directory).body else { return };
        let mut gone = Vec::from_iter(parent.children.remove(name));
        // It may have been on the way to the directory that was last entered.
        self.last = None;
        while let Some(id) = gone.pop() {
            if let Body::Directory(directory) = &mut self.inode_mut(id).body {
                gone.extend(std::mem::take(&mut directory.children).into_values());
            }
        }
    }

    /// The directory at a clean path, links on the way followed inside the tree.
    pub(super) fn enter(&mut self, path: &[u8], missing: Missing) -> Result<Id> {
        if let Some((last, id)) = &self.last
            && last == path
        {
            return Ok(*id);
        }
        let id = self.walk(path, missing)?;
        match &mut self.last {
            Some((last, last_id)) => {
                last.clear();
                last.extend_from_slice(path);
                *last_id = id;
            }
            None => self.last = Some((path.to_vec(), id)),
        }
        Ok(id)
    }

    fn walk(&mut self, path: &[u8], missing: Missing) -> Result<Id> {
        let mut here = ROOT;
        for name in components(path) {
            match self.step(here, name, missing)? {
                Step::Into(id) => here = id,
                Step::Link(_) => return self.walk_links(path, missing),
            }
        }
        Ok(here)
    }

    /// Walks from the root and replaces links by what they say.
    fn walk_links(&mut self, path: &[u8], missing: Missing) -> Result<Id> {
        let mut ahead: VecDeque<Vec<u8>> = components(path).map(<[u8]>::to_vec).collect();
        let mut here = ROOT;
        let mut links = 0;
        while let Some(name) = ahead.pop_front() {
            if name == b".." {
                here = self.parent(here).ok_or_else(|| out_of_the_root(path))?;
                continue;
            }
            let target = match self.step(here, &name, missing)? {
                Step::Into(id) => {
                    here = id;
                    continue;
                }
                Step::Link(target) => target,
            };
            links += 1;
            if links > LINKS {
                return Err(Error::refused(format!("invalid path {}: too many symbolic links", shown(path))));
            }
            if target.starts_with(b"/") {
                here = ROOT;
            }
            for part in components(&target).rev().filter(|part| *part != b".") {
                ahead.push_front(part.to_vec());
            }
        }
        Ok(here)
    }

    fn step(&mut self, here: Id, name: &[u8], missing: Missing) -> Result<Step> {
        let Some(id) = self.child(here, name) else {
            return match missing {
                Missing::Make(time) => self.insert(here, name, self.made(here, time)).map(Step::Into),
                Missing::Refuse => Err(Error::format(format!("directory {} does not exist", shown(name)))),
            };
        };
        match &self.inode(id).body {
            Body::Directory(_) => Ok(Step::Into(id)),
            Body::Symlink(target) => Ok(Step::Link(target.clone())),
            _ => Err(not_a_directory(name)),
        }
    }

    /// A directory that no entry told of: root's, but below one with the set-group-id bit of its
    /// group, as mkdir(2) makes it.
    fn made(&self, parent: Id, time: Time) -> Inode {
        let above = self.inode(parent);
        match above.mode & 0o2000 {
            0 => Inode::directory(parent, 0o755, time),
            _ => Inode { gid: above.gid, ..Inode::directory(parent, 0o2755, time) },
        }
    }

    fn parent(&self, id: Id) -> Option<Id> {
        (id != ROOT).then(|| self.directory(id).map(|directory| directory.parent)).flatten()
    }
}

/// One component of a path.
enum Step {
    Into(Id),
    Link(Box<[u8]>),
}

/// A number as an index: there is no smaller machine than 32 bits.
pub(super) fn index(id: Id) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}

fn not_a_directory(name: &[u8]) -> Error {
    Error::format(format!("directory {} cannot be entered: it is a file", shown(name)))
}

fn out_of_the_root(path: &[u8]) -> Error {
    Error::refused(format!("invalid path {}: a symbolic link on the way leads out of the root", shown(path)))
}
