//! POSIX access control lists as they stand in an attribute: a version, and entries of tag, permissions and id.
//!
//! The kernel checks them when they are set, and changes them when the mode is; an index is written
//! past it, so the same is done here (Linux `fs/posix_acl.c`, acl(5)).

const VERSION: [u8; 4] = [2, 0, 0, 0];
const ENTRY: usize = 8;

const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// Whether the kernel would take it: owner, named users, group, named groups, mask, others, in this order.
pub(super) fn is_valid(list: &[u8]) -> bool {
    let Some(entries) = list.strip_prefix(&VERSION).filter(|entries| entries.len() % ENTRY == 0) else {
        return false;
    };
    let mut seen = 0;
    let mut last = 0;
    for entry in entries.chunks_exact(ENTRY) {
        let (tag, permissions) = (number(entry), number(&entry[2..]));
        let single = !matches!(tag, USER | GROUP);
        let known = matches!(tag, USER_OBJ | USER | GROUP_OBJ | GROUP | MASK | OTHER);
        if !known || permissions > 7 || tag < last || (single && tag == last) {
            return false;
        }
        if !single && entry[4..] == [0xff; 4] {
            return false;
        }
        seen |= tag;
        last = tag;
    }
    let wanted = USER_OBJ | GROUP_OBJ | OTHER;
    let needs_mask = seen & (USER | GROUP) != 0;
    seen & wanted == wanted && (!needs_mask || seen & MASK != 0)
}

/// A valid list after chmod(2); `None` when it says nothing that the mode does not.
pub(super) fn with_mode(list: &[u8], mode: u16) -> Option<Vec<u8>> {
    let entries = list.get(VERSION.len()..)?;
    let has_mask = entries.chunks_exact(ENTRY).any(|entry| number(entry) == MASK);
    if entries.len() <= 3 * ENTRY {
        return None;
    }
    let mut changed = list.to_vec();
    for entry in changed[VERSION.len()..].chunks_exact_mut(ENTRY) {
        let permissions = match number(entry) {
            USER_OBJ => mode >> 6,
            GROUP_OBJ if !has_mask => mode >> 3,
            MASK => mode >> 3,
            OTHER => mode,
            _ => continue,
        };
        entry[2..4].copy_from_slice(&(permissions & 7).to_le_bytes());
    }
    Some(changed)
}

fn number(bytes: &[u8]) -> u16 {
    u16::from_le_bytes([bytes[0], bytes[1]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut bytes = VERSION.to_vec();
        for (tag, permissions, id) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(permissions.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn lists_are_taken_as_the_kernel_takes_them() {
        let full = list(&[(1, 6, 0), (2, 4, 1000), (2, 5, 999), (4, 4, 0), (0x10, 6, 0), (0x20, 0, 0)]);
        assert!(is_valid(&full));
        assert!(is_valid(&list(&[(1, 6, 0), (4, 4, 0), (0x20, 0, 0)])));
        for wrong in [
            vec![],
            VERSION.to_vec(),
            full[..full.len() - 1].to_vec(),
            list(&[(1, 6, 0), (2, 4, 1000), (4, 4, 0), (0x20, 0, 0)]),
            list(&[(4, 4, 0), (1, 6, 0), (0x20, 0, 0)]),
            list(&[(1, 8, 0), (4, 4, 0), (0x20, 0, 0)]),
            list(&[(1, 6, 0), (1, 6, 0), (4, 4, 0), (0x20, 0, 0)]),
        ] {
            assert!(!is_valid(&wrong), "{wrong:?}");
        }
    }

    #[test]
    fn the_mode_has_the_last_word() {
        let full = list(&[(1, 7, 0), (2, 7, 9), (4, 7, 0), (0x10, 7, 0), (0x20, 7, 0)]);
        let wanted = list(&[(1, 6, 0), (2, 7, 9), (4, 7, 0), (0x10, 4, 0), (0x20, 0, 0)]);
        assert_eq!(with_mode(&full, 0o640), Some(wanted));
        assert_eq!(with_mode(&list(&[(1, 7, 0), (4, 7, 0), (0x20, 7, 0)]), 0o640), None);
    }
}
