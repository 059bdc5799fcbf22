//! /dev: the nodes that every container has, those of its configuration, and the usual links.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use dhow_oci::runtime::Device;
use dhow_sys::path;
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, makedev};
use rustix::io::Errno;

use super::super::error::{Context as _, Error, Result};
use super::mounts::{clone_handle, cover};

/// OCI runtime specification, "Default Devices".
const DEFAULT: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
/// OCI runtime specification, "Dev symbolic links".
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Fills /dev below the root.
pub(super) fn fill(root: BorrowedFd<'_>, devices: &[Device]) -> Result<()> {
    let dev =
        path::make_directories(root, Path::new("/dev"), Mode::from_raw_mode(0o755)).doing(|| "make /dev")?;
    for (name, major, minor) in DEFAULT {
        let given = devices.iter().any(|device| device.path == Path::new("/dev").join(name));
        if !given {
            let node = Node {
                kind: FileType::CharacterDevice,
                number: makedev(major, minor),
                mode: Mode::from_raw_mode(0o666),
                owner: (0, 0),
            };
            make(&dev, Path::new(name), &Path::new("/dev").join(name), &node)?;
        }
    }
    for device in devices {
        let (parent, name) = path::parent_and_name(root, &device.path, Mode::from_raw_mode(0o755))
            .doing(|| format!("make the directory of {}", device.path.display()))?;
        make(&parent, &name, &device.path, &node(device)?)?;
    }
    for (name, target) in LINKS {
        match rustix::fs::symlinkat(target, &dev, name) {
            Err(error) if error != Errno::EXIST => return Err(error).doing(|| format!("link /dev/{name}")),
            _ => {}
        }
    }
    Ok(())
}

/// The nodes that a container has in /dev, in a file system that is not its own yet: its process, in a user namespace,
/// could make none. `owner` says who somebody of the container is on the host.
pub(in super::super) fn make_nodes(
    dev: &OwnedFd,
    devices: &[Device],
    owner: impl Fn((u32, u32)) -> (u32, u32),
) -> Result<()> {
    let all = DEFAULT.iter().map(|(name, major, minor)| Device {
        path: Path::new("/dev").join(name),
        kind: "c".into(),
        major: (*major).into(),
        minor: (*minor).into(),
        ..Device::default()
    });
    let given = |device: &Device| devices.iter().any(|other| other.path == device.path);
    let missing: Vec<Device> = all.filter(|device| !given(device)).collect();
    for device in missing.iter().chain(devices) {
        let Ok(name) = device.path.strip_prefix("/dev") else { continue };
        let what = || format!("make the device {}", device.path.display());
        let (parent, name) = path::parent_and_name(dev, name, Mode::from_raw_mode(0o755)).doing(what)?;
        let node = node(device)?;
        match rustix::fs::mknodat(&parent, &name, node.kind, node.mode, node.number) {
            Err(Errno::EXIST) if is_same(&parent, &name, &node) => continue,
            done => done.doing(what)?,
        }
        let (uid, gid) = owner(node.owner);
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        rustix::fs::chownat(&parent, &name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).doing(what)?;
    }
    Ok(())
}

struct Node {
    kind: FileType,
    number: u64,
    mode: Mode,
    owner: (u32, u32),
}

fn node(device: &Device) -> Result<Node> {
    let wrong = |what: &str| Error::configuration(format!("device {}: {what}", device.path.display()));
    let kind = match device.kind.as_str() {
        "c" | "u" => FileType::CharacterDevice,
        "b" => FileType::BlockDevice,
        "p" => FileType::Fifo,
        other => return Err(wrong(&format!("type {other:?} is unknown"))),
    };
    let number = |value: i64| u32::try_from(value).map_err(|_| wrong("its number is out of range"));
    Ok(Node {
        kind,
        number: if kind == FileType::Fifo {
            0
        } else {
            makedev(number(device.major)?, number(device.minor)?)
        },
        mode: Mode::from_raw_mode(device.file_mode.unwrap_or(0o666) & 0o7777),
        owner: (device.uid.unwrap_or(0), device.gid.unwrap_or(0)),
    })
}

/// Makes a node; where the kernel forbids that (a user namespace), the host's is laid over a file.
fn make(parent: &OwnedFd, name: &Path, full: &Path, node: &Node) -> Result<()> {
    let what = || format!("make the device {}", full.display());
    match rustix::fs::mknodat(parent, name, node.kind, node.mode, node.number) {
        Ok(()) => {}
        Err(Errno::EXIST) if is_same(parent, name, node) => return Ok(()),
        Err(Errno::PERM) => return borrow(parent, name, full).doing(what),
        Err(error) => return Err(error).doing(what),
    }
    let (uid, gid) = (Uid::from_raw(node.owner.0), Gid::from_raw(node.owner.1));
    if node.owner != (0, 0) {
        rustix::fs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).doing(what)?;
    }
    Ok(())
}

fn is_same(parent: &OwnedFd, name: &Path, node: &Node) -> bool {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
    stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == node.kind && stat.st_rdev == node.number)
}

fn borrow(parent: &OwnedFd, name: &Path, full: &Path) -> std::io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let device = rustix::fs::openat(CWD, full, flags, Mode::empty())?;
    let tree = clone_handle(device.as_fd(), false)?;
    match rustix::fs::mknodat(parent, name, FileType::RegularFile, Mode::from_raw_mode(0o666), 0) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let place = path::handle_of_entry(parent, name)?;
    Ok(cover(place.as_fd(), &tree)?)
}

/// A handle on the host's /dev/null, made sure to be it: an image may have anything of that name
/// (CVE-2025-31133).
pub(super) fn null() -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let null: PathBuf = "/dev/null".into();
    let handle = rustix::fs::openat(CWD, &null, flags, Mode::empty()).doing(|| "open /dev/null")?;
    let stat = rustix::fs::statat(&handle, "", AtFlags::EMPTY_PATH).doing(|| "look at /dev/null")?;
    let is_null =
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == makedev(1, 3);
    if is_null {
        Ok(handle)
    } else {
        Err(Error::configuration("/dev/null of the host is not the null device"))
    }
}
