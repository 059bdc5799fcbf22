//! Extended attributes: which are kept, sets of them that files have in common, and their bytes.

use std::collections::HashMap;
use std::sync::Arc;

use super::acl;
use crate::layer::{Skipped, is_overlay};
use crate::tar::{Entry, EntryKind, Error, Result, shown};

/// Namespaces that the format knows, with their numbers.
const PREFIXES: [(&[u8], u8); 3] = [(b"user.", 1), (b"trusted.", 4), (b"security.", 6)];
/// Attributes that have a number of their own, and no name behind it.
pub(super) const ACCESS: &[u8] = b"system.posix_acl_access";
const DEFAULT: &[u8] = b"system.posix_acl_default";
/// overlayfs' attribute of a directory in which nothing of the layers below shows.
const OPAQUE: (&[u8], &[u8]) = (b"trusted.overlay.opaque", b"y");
const CAPABILITY: &[u8] = b"security.capability";

/// Bytes in front of an inode's attributes.
const HEADER: u64 = 12;
/// What an inode can count: 65,535 units of 4 bytes, of which the first stands for the header.
const MOST: u64 = HEADER + 4 * 65_534;

/// A set of attributes, by number; the first is empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SetId(u32);

/// Names and values, sorted by name.
type Set = Arc<[Attribute]>;

/// A name and a value.
type Attribute = (Box<[u8]>, Box<[u8]>);

/// All sets, each once: most files have none, many have the same.
#[derive(Debug)]
pub(super) struct Sets {
    sets: Vec<Set>,
    known: HashMap<Set, SetId>,
}

impl Sets {
    pub(super) fn new() -> Self {
        let empty: Set = Arc::from([]);
        Self { known: HashMap::from([(Arc::clone(&empty), SetId(0))]), sets: vec![empty] }
    }

    pub(super) fn get(&self, id: SetId) -> &[Attribute] {
        self.sets.get(usize::try_from(id.0).unwrap_or(usize::MAX)).map_or(&[], |set| set)
    }

    /// A set with the attributes of an entry that the directory form of a layer would keep, added to another.
    pub(super) fn add(&mut self, to: SetId, entry: &Entry, skipped: &mut Skipped) -> Result<SetId> {
        if entry.xattrs.is_empty() {
            return Ok(to);
        }
        let mut set = self.get(to).to_vec();
        for (name, value) in &entry.xattrs {
            if is_kept(&entry.kind, name) {
                check(&entry.kind, name, value).map_err(|what| {
                    Error::format(format!("attribute {} cannot be set: {what}", shown(name)))
                })?;
                put(&mut set, name, value);
            } else {
                skipped.note(&entry.path, name);
            }
        }
        self.intern(set)
    }

    /// The same set with the mark of an opaque directory.
    pub(super) fn opaque(&mut self, id: SetId) -> Result<SetId> {
        let mut set = self.get(id).to_vec();
        put(&mut set, OPAQUE.0, OPAQUE.1);
        self.intern(set)
    }

    /// The same set with an access list that says what the mode says, as chmod(2) leaves it.
    pub(super) fn with_mode(&mut self, id: SetId, mode: u16) -> Result<SetId> {
        let Ok(at) = self.get(id).binary_search_by(|(name, _)| name.as_ref().cmp(ACCESS)) else {
            return Ok(id);
        };
        let mut set = self.get(id).to_vec();
        match acl::with_mode(&set[at].1, mode) {
            Some(list) => set[at].1 = list.into(),
            None => drop(set.remove(at)),
        }
        self.intern(set)
    }

    fn intern(&mut self, set: Vec<Attribute>) -> Result<SetId> {
        if let Some(id) = self.known.get(set.as_slice()) {
            return Ok(*id);
        }
        let size: u64 = set.iter().map(encoded_length).sum();
        if size + HEADER > MOST {
            return Err(Error::limit(format!(
                "extended attributes of {size} bytes; at most {MOST} are possible"
            )));
        }
        let id = u32::try_from(self.sets.len()).map_err(|_| Error::limit("too many extended attributes"))?;
        let set: Set = set.into();
        self.known.insert(Arc::clone(&set), SetId(id));
        self.sets.push(set);
        Ok(SetId(id))
    }
}

fn put(set: &mut Vec<Attribute>, name: &[u8], value: &[u8]) {
    match set.binary_search_by(|(other, _)| other.as_ref().cmp(name)) {
        Ok(at) => set[at].1 = value.into(),
        Err(at) => set.insert(at, (name.into(), value.into())),
    }
}

/// Whether the attribute is one that an archive may set on such a file; the kernel has no place for the rest.
fn is_kept(kind: &EntryKind, name: &[u8]) -> bool {
    if is_overlay(name) {
        return false;
    }
    if name.starts_with(b"user.") {
        return matches!(kind, EntryKind::File | EntryKind::Directory);
    }
    if name == ACCESS || name == DEFAULT {
        return !matches!(kind, EntryKind::Symlink(_));
    }
    PREFIXES.iter().any(|(prefix, _)| name.starts_with(prefix))
}

/// What setxattr(2) would refuse.
fn check(kind: &EntryKind, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
    if name.len() > 255 || name.contains(&0) || encoded_name(name).is_none() {
        return Err("its name is not possible");
    }
    if value.len() > 0xffff {
        return Err("it has more than 65,535 bytes");
    }
    match name {
        DEFAULT if *kind != EntryKind::Directory => Err("only a directory has one"),
        ACCESS | DEFAULT if !acl::is_valid(value) => Err("it is no access control list"),
        CAPABILITY if !is_capability(value) => Err("it is no set of capabilities"),
        _ => Ok(()),
    }
}

/// Version 2 has 20 bytes, version 3 the owner of its user namespace too (linux/capability.h).
fn is_capability(value: &[u8]) -> bool {
    matches!((value.len(), value.get(3)), (20, Some(2)) | (24, Some(3)))
}

/// The number of the namespace and the rest of the name.
fn encoded_name(name: &[u8]) -> Option<(u8, &[u8])> {
    match name {
        ACCESS => return Some((2, b"")),
        DEFAULT => return Some((3, b"")),
        _ => {}
    }
    let found = PREFIXES.iter().find_map(|(prefix, number)| Some((*number, name.strip_prefix(*prefix)?)));
    found.filter(|(_, rest)| !rest.is_empty())
}

fn encoded_length((name, value): &Attribute) -> u64 {
    let name = encoded_name(name).map_or(0, |(_, rest)| rest.len());
    (4 + name + value.len()).next_multiple_of(4) as u64
}

fn encode((name, value): &Attribute, out: &mut Vec<u8>) {
    let (number, rest) = encoded_name(name).unwrap_or_default();
    // Both were checked when the attribute was taken in.
    out.push(u8::try_from(rest.len()).unwrap_or(u8::MAX));
    out.push(number);
    out.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(rest);
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// The attributes that lie in the image once, for all inodes that have them.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Where each begins, in units of 4 bytes.
    places: HashMap<Attribute, u32>,
    pub(super) bytes: Vec<u8>,
}

impl Shared {
    /// Shares what more than one inode has; `uses` are the sets of all inodes.
    pub(super) fn new(sets: &Sets, uses: impl Iterator<Item = SetId>) -> Self {
        let mut inodes = vec![0_u32; sets.sets.len()];
        for id in uses {
            inodes[usize::try_from(id.0).unwrap_or(usize::MAX)] += 1;
        }
        let mut counts: HashMap<&Attribute, u32> = HashMap::new();
        for (set, inodes) in sets.sets.iter().zip(&inodes) {
            for attribute in set.iter() {
                *counts.entry(attribute).or_default() += inodes;
            }
        }
        let mut shared = Self::default();
        for attribute in sets.sets.iter().flat_map(|set| set.iter()) {
            if counts.remove(attribute).is_some_and(|count| count > 1) {
                shared.place(attribute);
            }
        }
        shared
    }

    fn place(&mut self, attribute: &Attribute) {
        // Beyond 16 GiB of attributes the rest stays with its inodes.
        if let Ok(place) = u32::try_from(self.bytes.len() / 4) {
            self.places.insert(attribute.clone(), place);
            encode(attribute, &mut self.bytes);
        }
    }

    /// The bytes behind an inode with these attributes.
    pub(super) fn encode(&self, set: &[Attribute]) -> Vec<u8> {
        if set.is_empty() {
            return Vec::new();
        }
        let mut shared: Vec<u32> =
            set.iter().filter_map(|attribute| self.places.get(attribute)).copied().collect();
        // The inode counts them in one byte.
        shared.truncate(255);
        let mut bytes = vec![0; 12];
        bytes[4] = u8::try_from(shared.len()).unwrap_or(u8::MAX);
        bytes.extend(shared.iter().flat_map(|place| place.to_le_bytes()));
        let is_shared = |attribute| self.places.get(attribute).is_some_and(|place| shared.contains(place));
        set.iter()
            .filter(|attribute| !is_shared(attribute))
            .for_each(|attribute| encode(attribute, &mut bytes));
        bytes
    }

    /// How many bytes that are.
    pub(super) fn length(&self, set: &[Attribute]) -> u64 {
        self.encode(set).len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_that_two_files_have_is_kept_once() {
        let mut sets = Sets::new();
        let mut skipped = Skipped::default();
        let mut entry = Entry::file("f", 0);
        entry.xattrs = vec![(b"user.a".to_vec(), b"1".to_vec()), (b"trusted.b".to_vec(), vec![])];
        let first = sets.add(SetId(0), &entry, &mut skipped).unwrap();
        assert_eq!(sets.add(SetId(0), &entry, &mut skipped).unwrap(), first);
        let shared = Shared::new(&sets, [first, first].into_iter());
        assert_eq!(shared.length(sets.get(first)), 20);
        let alone = Shared::new(&sets, [first].into_iter());
        assert_eq!((alone.bytes.len(), alone.length(sets.get(first))), (0, 12 + 8 + 8));
        assert_eq!(skipped.count, 0);
    }

    #[test]
    fn what_an_archive_may_not_set_is_left_out_and_told() {
        let mut sets = Sets::new();
        let mut skipped = Skipped::default();
        let mut entry = Entry::new("l", EntryKind::Symlink(b"t".to_vec()), 0o777);
        for name in ["user.a", "trusted.overlay.opaque", "system.nfs4_acl", "strange"] {
            entry.xattrs.push((name.into(), b"y".to_vec()));
        }
        assert_eq!(sets.add(SetId(0), &entry, &mut skipped).unwrap(), SetId(0));
        assert_eq!(skipped.count, 4);
    }

    #[test]
    fn a_value_that_the_format_cannot_hold_is_refused_by_name() {
        let mut entry = Entry::file("f", 0);
        entry.xattrs = vec![(b"user.big".to_vec(), vec![0; 65_536])];
        let error = Sets::new().add(SetId(0), &entry, &mut Skipped::default()).unwrap_err();
        assert!(error.to_string().contains("user.big"), "{error}");
    }
}
