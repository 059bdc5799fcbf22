//! The tree that a layer's tar tells of, as a list of paths: slow, and written without a look at the index.
//!
//! Entries are followed in their order, as an unpacked layer would grow: a name replaces what was there, a
//! directory stays a directory, links on the way to a name are followed inside the tree, and a hard link is
//! what its target is at that moment.

use std::collections::BTreeMap;

use dhow_store::tar::{Entry, EntryKind, Limits, Reader};

/// A path from the root, which is empty; each name of it begins with a slash.
pub type Path = Vec<u8>;

/// What is at a path, as far as it matters where names lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum File {
    /// With names of its own.
    Directory,
    /// Leads elsewhere.
    Link(Vec<u8>),
    /// Anything else, a mark of what a layer deletes among them.
    Other,
}

/// All that is there.
pub struct Tree(BTreeMap<Path, File>);

/// The tree of a tar of which an index could be made; nothing when it leads nowhere after all.
#[must_use]
pub fn of(bytes: &[u8], limits: Limits) -> Option<BTreeMap<Path, File>> {
    let mut tree = Tree(BTreeMap::from([(Path::new(), File::Directory)]));
    let mut reader = Reader::new(bytes, limits);
    while let Some(entry) = reader.next_entry().ok()? {
        tree.add(&entry)?;
    }
    Some(tree.0)
}

impl Tree {
    fn add(&mut self, entry: &Entry) -> Option<()> {
        let mut way = clean(&entry.path)?;
        let Some(name) = way.pop() else { return Some(()) };
        match (name.strip_prefix(b".wh."), &entry.kind) {
            (Some(b".wh..opq"), _) => drop(self.enter(&way, true)?),
            (Some(hidden), _) if hidden.starts_with(b".wh.") => {}
            (Some(hidden), _) => {
                let path = below(&self.enter(&way, true)?, hidden);
                self.0.entry(path).or_insert(File::Other);
            }
            (None, EntryKind::HardLink(target)) => self.hard_link(&way, &name, target)?,
            (None, EntryKind::Directory) => {
                let path = below(&self.enter(&way, true)?, &name);
                if self.0.get(&path) != Some(&File::Directory) {
                    self.put(&way, &name, File::Directory)?;
                }
            }
            (None, EntryKind::Symlink(target)) => self.put(&way, &name, File::Link(target.clone()))?,
            (None, _) => self.put(&way, &name, File::Other)?,
        }
        Some(())
    }

    fn hard_link(&mut self, way: &[Vec<u8>], name: &[u8], target: &[u8]) -> Option<()> {
        let target = clean(target)?;
        let (old, source) = target.split_last()?;
        let source = below(&self.enter(source, false)?, old);
        if target.split_last() == Some((&name.to_vec(), way)) && self.0.contains_key(&source) {
            return Some(());
        }
        let path = self.make_room(way, name)?;
        let file = self.0.get(&source)?.clone();
        self.0.insert(path, file);
        Some(())
    }

    fn put(&mut self, way: &[Vec<u8>], name: &[u8], file: File) -> Option<()> {
        let path = self.make_room(way, name)?;
        self.0.insert(path, file);
        Some(())
    }

    /// Takes away what is at a name, with all below it; the way there may lead elsewhere then.
    fn make_room(&mut self, way: &[Vec<u8>], name: &[u8]) -> Option<Path> {
        let path = below(&self.enter(way, true)?, name);
        let inside = below(&path, b"");
        self.0.retain(|other, _| *other != path && !other.starts_with(&inside));
        let path = below(&self.enter(way, true)?, name);
        (!self.0.contains_key(&path)).then_some(path)
    }

    /// The directory that a way leads to; those that are missing are made, where that is wanted.
    fn enter(&mut self, way: &[Vec<u8>], make: bool) -> Option<Path> {
        let mut ahead: Vec<Vec<u8>> = way.iter().rev().cloned().collect();
        let mut here = Path::new();
        while let Some(name) = ahead.pop() {
            if name == b".." {
                here.truncate(here.iter().rposition(|&byte| byte == b'/')?);
                continue;
            }
            let there = below(&here, &name);
            match self.0.get(&there) {
                Some(File::Directory) => here = there,
                Some(File::Link(target)) => {
                    if target.starts_with(b"/") {
                        here.clear();
                    }
                    ahead.extend(parts(target).rev().map(<[u8]>::to_vec));
                }
                Some(File::Other) => return None,
                None if make => {
                    self.0.insert(there.clone(), File::Directory);
                    here = there;
                }
                None => return None,
            }
        }
        Some(here)
    }
}

/// The names of a path, `..` taken out by its text.
fn clean(path: &[u8]) -> Option<Vec<Vec<u8>>> {
    parts(path).try_fold(Vec::new(), |mut names, part| {
        match part {
            b".." => drop(names.pop()?),
            name => names.push(name.to_vec()),
        }
        Some(names)
    })
}

fn parts(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b"."))
}

fn below(directory: &[u8], name: &[u8]) -> Path {
    [directory, b"/", name].concat()
}
