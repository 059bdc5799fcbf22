//! Owners of entries where a tree is seen with the numbers of the host, and an archive has those of a container.
//!
//! Numbers are in three places: the owner and group of a file, the lists of access (`system.posix_acl_*`), and the root
//! of capabilities (`security.capability`), which is there in the third form only (capabilities(7)).

use dhow_model::container::UserMap;
use dhow_model::container::user_map::{NOBODY, Span, inside, outside};

use crate::tar::{Entry, Error, Result};

const CAPABILITY: &[u8] = b"security.capability";
const LISTS: [&[u8]; 2] = [b"system.posix_acl_access", b"system.posix_acl_default"];

/// The forms of `struct vfs_cap_data` (linux/capability.h): length, and number in the first word.
const SECOND: (usize, u32) = (20, 0x0200_0000);
const THIRD: (usize, u32) = (24, 0x0300_0000);
const FORM: u32 = 0xff00_0000;

/// `struct posix_acl_xattr_entry`: a header of one word, then entries with tag, rights and number.
const HEADER: usize = 4;
const ACCESS: usize = 8;
const USER: u16 = 0x02;
const GROUP: u16 = 0x08;

/// What the host calls its own numbers becomes what the container calls them; whoever is nobody there is nobody.
pub(super) fn seen_inside(map: &UserMap, entry: &mut Entry) {
    let (users, groups) = (map.users.as_slice(), map.groups.as_slice());
    let known = |spans: &[Span], id: u32| inside(spans, id).unwrap_or(NOBODY);
    entry.uid = known(users, entry.uid);
    entry.gid = known(groups, entry.gid);
    for (name, value) in &mut entry.xattrs {
        if name.as_slice() == CAPABILITY {
            *value = capability(value, |root| inside(users, root.unwrap_or(0)).filter(|root| *root != 0));
        } else if LISTS.contains(&name.as_slice()) {
            list(value, |tag, id| Some(if tag == USER { known(users, id) } else { known(groups, id) }));
        }
    }
}

/// The reverse.
pub(super) fn stored_outside(map: &UserMap, entry: &mut Entry) -> Result<()> {
    let nobody = |id: u32| Error::refused(format!("the user namespace has no owner {id}"));
    entry.uid = outside(&map.users, entry.uid).ok_or_else(|| nobody(entry.uid))?;
    entry.gid = outside(&map.groups, entry.gid).ok_or_else(|| nobody(entry.gid))?;
    for (name, value) in &mut entry.xattrs {
        if name.as_slice() == CAPABILITY {
            *value = capability(value, |root| outside(&map.users, root.unwrap_or(0)));
        } else if LISTS.contains(&name.as_slice()) {
            list(value, |tag, id| outside(if tag == USER { &map.users } else { &map.groups }, id));
        }
    }
    Ok(())
}

/// Capabilities with another root; without one they are those of the root of whoever looks.
fn capability(value: &[u8], root: impl Fn(Option<u32>) -> Option<u32>) -> Vec<u8> {
    let Some(first) = word(value, 0) else { return value.to_vec() };
    let before = match (value.len(), first & FORM) {
        form if form == SECOND => None,
        form if form == THIRD => word(value, SECOND.0),
        _ => return value.to_vec(),
    };
    let (form, tail) = match root(before) {
        Some(root) => (THIRD.1, root.to_le_bytes().to_vec()),
        None => (SECOND.1, Vec::new()),
    };
    let first = (first & !FORM) | form;
    [&first.to_le_bytes(), value.get(4..SECOND.0).unwrap_or_default(), &tail].concat()
}

/// A list of access with other numbers; of whom there is none, it says what it said.
fn list(value: &mut [u8], other: impl Fn(u16, u32) -> Option<u32>) {
    let entries = value.get_mut(HEADER..).unwrap_or_default();
    for entry in entries.chunks_exact_mut(ACCESS) {
        let (Some(tag), Some(id)) = (entry.first_chunk::<2>().copied(), word(entry, 4)) else { continue };
        let tag = u16::from_le_bytes(tag);
        if (tag == USER || tag == GROUP)
            && let Some(id) = other(tag, id)
            && let Some(place) = entry.get_mut(4..8)
        {
            place.copy_from_slice(&id.to_le_bytes());
        }
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk::<4>().map(|word| u32::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> UserMap {
        let span = |outside| vec![Span { inside: 0, outside, count: 1000 }];
        UserMap { users: span(100_000), groups: span(200_000) }
    }

    #[test]
    fn every_number_of_an_entry_is_told_in_the_others_words_and_back() {
        let second = [&0x0200_0001_u32.to_le_bytes()[..], &[7; 16]].concat();
        let access = |user: u32, group: u32| {
            let entry = |tag: u16, id: u32| [&tag.to_le_bytes()[..], &[6, 0], &id.to_le_bytes()].concat();
            let all = [entry(1, u32::MAX), entry(USER, user), entry(GROUP, group), entry(0x20, u32::MAX)];
            [&2_u32.to_le_bytes()[..], &all.concat()].concat()
        };
        let mut entry = Entry { uid: 5, gid: 6, ..Entry::file("x", 0) };
        let named = |value: &[u8], name: &[u8]| (name.to_vec(), value.to_vec());
        entry.xattrs =
            vec![named(&second, CAPABILITY), named(&access(7, 8), LISTS[0]), named(b"v", b"user.x")];
        let before = entry.clone();
        stored_outside(&map(), &mut entry).unwrap();
        assert_eq!((entry.uid, entry.gid), (100_005, 200_006));
        let third = [&0x0300_0001_u32.to_le_bytes()[..], &[7; 16], &100_000_u32.to_le_bytes()].concat();
        assert_eq!(entry.xattrs[0].1, third);
        assert_eq!(entry.xattrs[1].1, access(100_007, 200_008));
        seen_inside(&map(), &mut entry);
        assert_eq!(entry, before);
    }

    #[test]
    fn who_is_not_in_the_ranges_is_nobody_and_stores_nothing() {
        let mut entry = Entry { uid: 0, gid: 100_000, ..Entry::file("x", 0) };
        seen_inside(&map(), &mut entry);
        assert_eq!((entry.uid, entry.gid), (NOBODY, NOBODY));
        assert!(stored_outside(&map(), &mut Entry { uid: 1000, ..Entry::file("x", 0) }).is_err());
        for odd in [&b""[..], &[1, 2, 3], &[0; 20], &[9; 24], &[0; 100]] {
            assert_eq!(capability(odd, |_| Some(1)), odd);
            let mut value = odd.to_vec();
            list(&mut value, |_, _| Some(1));
            assert_eq!(value, odd);
        }
    }
}
