//! What is done by mount(2): a new file system in one call, and attributes before Linux 5.12.
//!
//! mount(2) replaces all attributes at once and knows no mounts below, so those that are there are read, and
//! the mounts below are looked for. Places are named by `/proc/self/fd/N`, which the kernel follows to the
//! very mount that the handle is on, whatever lies over it.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, StatVfsMountFlags};
use rustix::mount::{MountFlags, MountPropagationFlags};

use super::{Attributes, attribute};

/// mount(2) reads no more of the options.
const PAGE: usize = 4096;

/// Of each attribute the flag of mount(2) and that of statvfs(2).
const FLAGS: [(u64, MountFlags, StatVfsMountFlags); 7] = [
    (attribute::RDONLY, MountFlags::RDONLY, StatVfsMountFlags::RDONLY),
    (attribute::NOSUID, MountFlags::NOSUID, StatVfsMountFlags::NOSUID),
    (attribute::NODEV, MountFlags::NODEV, StatVfsMountFlags::NODEV),
    (attribute::NOEXEC, MountFlags::NOEXEC, StatVfsMountFlags::NOEXEC),
    (attribute::NOATIME, MountFlags::NOATIME, StatVfsMountFlags::NOATIME),
    (attribute::NODIRATIME, MountFlags::NODIRATIME, StatVfsMountFlags::NODIRATIME),
    (attribute::NOSYMFOLLOW, MountFlags::from_bits_retain(256), StatVfsMountFlags::from_bits_retain(0x2000)),
];

/// Attributes and options of a new mount as mount(2) takes them; nothing for what it would take as something else.
pub(super) fn options(
    data: &[(String, Option<String>)],
    attributes: Attributes,
) -> Option<(MountFlags, String)> {
    let mut flags = MountFlags::empty();
    let mut left = attributes.set;
    // Read-only would be the file system, for all who share it, and not this mount alone.
    for (attribute, flag, _) in FLAGS.iter().filter(|(attribute, ..)| *attribute != attribute::RDONLY) {
        flags.set(*flag, attributes.set & attribute != 0);
        left &= !attribute;
    }
    flags.set(MountFlags::STRICTATIME, left & attribute::STRICTATIME != 0);
    left &= !attribute::STRICTATIME;
    let texts = || data.iter().flat_map(|(key, value)| [Some(key), value.as_ref()]).flatten();
    if left != 0 || attributes.propagation != 0 || texts().any(|text| text.contains([',', '\\', '\0'])) {
        return None;
    }
    let option = |(key, value): &(String, Option<String>)| match value {
        Some(value) => format!("{key}={value}"),
        None => key.clone(),
    };
    let text = data.iter().map(option).collect::<Vec<_>>().join(",");
    (text.len() < PAGE).then_some((flags, text))
}

/// Changes the mount that `fd` is the root of, which must be attached in this process's namespace.
pub(super) fn set(fd: BorrowedFd<'_>, attributes: Attributes, recursive: bool) -> io::Result<()> {
    if attributes.propagation != 0 {
        let flags = u32::try_from(attributes.propagation).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut flags = MountPropagationFlags::from_bits_retain(flags);
        flags.set(MountPropagationFlags::REC, recursive);
        rustix::mount::mount_change(path_of(fd), flags)?;
    }
    if attributes.set | attributes.clear == 0 {
        return Ok(());
    }
    change(fd, attributes)?;
    if recursive {
        below(fd)?.iter().try_for_each(|mount| change(mount.as_fd(), attributes))?;
    }
    Ok(())
}

fn change(mount: BorrowedFd<'_>, attributes: Attributes) -> io::Result<()> {
    let now = rustix::fs::statvfs(path_of(mount))?.f_flag;
    let mut flags = MountFlags::BIND;
    for (attribute, flag, told) in FLAGS {
        let is_set = now.contains(told) && attributes.clear & attribute == 0;
        flags.set(flag, is_set || attributes.set & attribute == attribute);
    }
    // Access times are one value of several: without a flag mount(2) takes the relative rule.
    if attributes.clear & attribute::ATIME != 0 && attributes.set & attribute::STRICTATIME != 0 {
        flags = (flags - MountFlags::NOATIME) | MountFlags::STRICTATIME;
    }
    Ok(rustix::mount::mount_remount(path_of(mount), flags, "")?)
}

/// The mounts below one, each the topmost of its place.
fn below(mount: BorrowedFd<'_>) -> io::Result<Vec<OwnedFd>> {
    let top = id(mount)?;
    // The thread may have a namespace of its own.
    let table = std::fs::read_to_string("/proc/thread-self/mountinfo")?;
    let mounts: Vec<(u64, u64, PathBuf)> = table.lines().filter_map(line).collect();
    let place = mounts.iter().find(|(id, ..)| *id == top).map(|(.., place)| place.clone());
    let place = place.ok_or_else(|| io::Error::other("the mount is attached nowhere"))?;
    let mut family = vec![top];
    let mut found = Vec::new();
    // A mount has a higher place in the table than the one that it is on.
    for (id, parent, path) in &mounts {
        let Ok(inside) = path.strip_prefix(&place) else { continue };
        if family.contains(parent) && !inside.as_os_str().is_empty() {
            family.push(*id);
            found.push(open(mount, inside)?);
        }
    }
    Ok(found)
}

fn open(mount: BorrowedFd<'_>, inside: &Path) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    Ok(rustix::fs::openat2(mount, inside, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)?)
}

/// Id, parent and place of a line: `36 35 98:0 ROOT PLACE OPTIONS …`.
fn line(line: &str) -> Option<(u64, u64, PathBuf)> {
    let mut fields = line.split(' ');
    let (id, parent) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((id, parent, unescaped(fields.nth(2)?).into()))
}

/// Space, tab, line feed and backslash are written as `\040` and so on.
fn unescaped(field: &str) -> String {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.iter().fold(field.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// The number of the mount that a handle is in.
pub(super) fn id(handle: BorrowedFd<'_>) -> io::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", handle.as_raw_fd()))?;
    let number = text.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
    number.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn path_of(handle: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", handle.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, UnmountFlags};

    fn tmpfs() -> io::Result<OwnedFd> {
        let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        rustix::mount::fsconfig_create(&context)?;
        Ok(rustix::mount::fsmount(
            &context,
            FsMountFlags::FSMOUNT_CLOEXEC,
            MountAttrFlags::MOUNT_ATTR_NOSUID,
        )?)
    }

    fn flags(mount: &OwnedFd) -> StatVfsMountFlags {
        rustix::fs::statvfs(path_of(mount.as_fd())).unwrap().f_flag
    }

    /// On a thread with a mount namespace of its own.
    fn in_a_namespace(test: impl FnOnce() + Send + 'static) {
        if !rustix::process::geteuid().is_root() {
            eprintln!("not run: needs root");
            return;
        }
        let thread = std::thread::spawn(move || {
            #[allow(deprecated, reason = "files are not unshared, so no other thread is concerned")]
            rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNS).unwrap();
            let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
            rustix::mount::mount_change("/", private).unwrap();
            test();
        });
        thread.join().unwrap();
    }

    #[test]
    fn what_is_set_stays_and_mounts_below_follow() {
        in_a_namespace(|| {
            let place = tempfile::tempdir().unwrap();
            let place_handle = rustix::fs::open(place.path(), OFlags::PATH, Mode::empty()).unwrap();
            let outer = tmpfs().unwrap();
            super::super::attach(&outer, &place_handle, &[]).unwrap();
            std::fs::create_dir(place.path().join("with space")).unwrap();
            let inner_place = rustix::fs::open(place.path().join("with space"), OFlags::PATH, Mode::empty());
            let inner = tmpfs().unwrap();
            super::super::attach(&inner, inner_place.unwrap(), &[]).unwrap();

            let read_only = Attributes { set: attribute::RDONLY, ..Attributes::default() };
            set(outer.as_fd(), read_only, false).unwrap();
            assert!(flags(&outer).contains(StatVfsMountFlags::RDONLY | StatVfsMountFlags::NOSUID));
            assert!(!flags(&inner).contains(StatVfsMountFlags::RDONLY));
            set(outer.as_fd(), read_only, true).unwrap();
            assert!(flags(&inner).contains(StatVfsMountFlags::RDONLY | StatVfsMountFlags::NOSUID));
            let clear = Attributes { clear: attribute::NOSUID, ..Attributes::default() };
            set(inner.as_fd(), clear, false).unwrap();
            assert!(!flags(&inner).contains(StatVfsMountFlags::NOSUID));
            rustix::mount::unmount(place.path(), UnmountFlags::DETACH).unwrap();
        });
    }

    #[test]
    fn a_new_mount_is_asked_for_in_one_call_where_that_says_the_same() {
        let data =
            |value: &str| [("mode".to_owned(), Some(value.to_owned())), ("newinstance".to_owned(), None)];
        let asked = |set, value: &str| {
            super::super::classic::options(&data(value), Attributes { set, ..Attributes::default() })
        };
        let (flags, text) = asked(attribute::NOSUID | attribute::STRICTATIME, "755").unwrap();
        assert_eq!(flags, MountFlags::NOSUID | MountFlags::STRICTATIME);
        assert_eq!(text, "mode=755,newinstance");
        assert_eq!(asked(attribute::RDONLY, "755"), None);
        assert_eq!(asked(attribute::IDMAP, "755"), None);
        assert_eq!(asked(0, "755,size=1"), None);
        assert_eq!(asked(0, &"7".repeat(5000)), None);
    }

    #[test]
    fn a_mount_has_the_same_number_either_way() {
        let root = rustix::fs::open("/", OFlags::PATH, Mode::empty()).unwrap();
        let told =
            rustix::fs::statx(&root, "", rustix::fs::AtFlags::EMPTY_PATH, rustix::fs::StatxFlags::MNT_ID)
                .unwrap();
        assert_eq!(id(root.as_fd()).unwrap(), told.stx_mnt_id);
    }
}
