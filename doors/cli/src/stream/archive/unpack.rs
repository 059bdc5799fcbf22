//! An archive from a container on its way into the host's files.
//!
//! What a container wrote is not to be trusted: every path of the archive is resolved below the held
//! handle of the destination (`openat2` with RESOLVE_BENEATH), so that neither `..` nor a link that
//! the archive brought itself leads out of it. Entries are made, never opened through: what is in
//! the way is removed first.

use std::fs::{File, Permissions};
use std::io::{self, Read, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags, chownat,
    fchmod, linkat, mkdirat, mknodat, openat, openat2, statat, symlinkat, unlinkat, utimensat,
};
use tar::{Archive, Entry, EntryType};

use super::{CAPABILITY, PAX_ATTRIBUTE};

/// How an archive is unpacked.
pub(crate) struct Unpack<'a> {
    /// The topmost name in the archive; `.` where it has none.
    pub(crate) top: &'a str,
    /// What it becomes.
    pub(crate) rename: Option<&'a str>,
    /// Whether owners are taken over too.
    pub(crate) owners: bool,
}

/// Unpacks an archive below a folder of the host.
pub(crate) fn unpack(archive: impl Read, folder: &Path, how: &Unpack<'_>) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(folder, flags, Mode::empty())?;
    let mut archive = Archive::new(archive);
    let mut work = Work { root, parent: None, folders: Vec::new(), buffer: vec![0; COPY] };
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.into_owned();
        let made = place(&name, how).and_then(|path| work.make(&mut entry, &path, how));
        made.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", name.display())))?;
    }
    // A folder keeps its own mode and time only once everything is in it.
    work.folders.iter().rev().try_for_each(|(path, attributes)| finish(&work.root, path, attributes))
}

/// So much is copied at a time.
const COPY: usize = 256 * 1024;

/// What unpacking holds from one entry to the next.
struct Work {
    root: OwnedFd,
    /// The folder of the entry before: most entries have the same one.
    parent: Option<(PathBuf, Rc<OwnedFd>)>,
    folders: Vec<(PathBuf, Attributes)>,
    buffer: Vec<u8>,
}

/// The path of an entry below the destination, by its name in the archive.
fn place(name: &Path, how: &Unpack<'_>) -> io::Result<PathBuf> {
    let mut parts = Vec::new();
    for component in name.components() {
        match component {
            Component::Normal(part) => parts.push(part),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a path that leads out of the archive",
                ));
            }
        }
    }
    let Some(rename) = how.rename else { return Ok(parts.iter().collect()) };
    let has_top = how.top != "." && parts.first().is_some_and(|first| *first == how.top);
    let below = if has_top { &parts[1..] } else { &parts[..] };
    Ok(Path::new(rename).join(below.iter().collect::<PathBuf>()))
}

/// What is set when an entry is whole.
struct Attributes {
    mode: u32,
    owner: Option<(u32, u32)>,
    time: Timespec,
    /// Extended attributes: the user's own, and what a program may do beyond its user.
    extended: Vec<(String, Vec<u8>)>,
}

impl Work {
    fn make(&mut self, entry: &mut Entry<'_, impl Read>, path: &Path, how: &Unpack<'_>) -> io::Result<()> {
        let attributes = attributes(entry, how)?;
        let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else {
            // The destination itself, which is there already.
            return Ok(());
        };
        let parent = self.open_parent(parent)?;
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            make_folder(&parent, name)?;
            self.folders.push((path.to_owned(), attributes));
            return Ok(());
        }
        if !kind.is_file() {
            clear(&parent, name)?;
        }
        match kind {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                return make_file(&parent, name, entry, &attributes, &mut self.buffer);
            }
            EntryType::Symlink => symlinkat(target(entry)?.as_path(), &*parent, name)?,
            EntryType::Link => return make_link(&self.root, &parent, name, &place(&target(entry)?, how)?),
            EntryType::Fifo | EntryType::Char | EntryType::Block => make_node(&parent, name, entry, kind)?,
            _ => return Ok(()),
        }
        set_owner_and_time(&parent, name, &attributes)
    }

    fn open_parent(&mut self, path: &Path) -> io::Result<Rc<OwnedFd>> {
        if let Some((_, opened)) = self.parent.as_ref().filter(|(known, _)| known == path) {
            return Ok(Rc::clone(opened));
        }
        let opened = Rc::new(open_below(&self.root, path)?);
        self.parent = Some((path.to_owned(), Rc::clone(&opened)));
        Ok(opened)
    }
}

fn attributes(entry: &mut Entry<'_, impl Read>, how: &Unpack<'_>) -> io::Result<Attributes> {
    let header = entry.header();
    let number = |value: u64| u32::try_from(value).map_err(|_| io::Error::from(io::ErrorKind::InvalidData));
    let owner = if how.owners { Some((number(header.uid()?)?, number(header.gid()?)?)) } else { None };
    let time = Timespec { tv_sec: i64::try_from(header.mtime()?).unwrap_or(0), tv_nsec: 0 };
    let mut attributes = Attributes { mode: header.mode()? & 0o7777, owner, time, extended: Vec::new() };
    for extension in entry.pax_extensions()?.into_iter().flatten() {
        let extension = extension?;
        let Ok(key) = extension.key() else { continue };
        if key == "mtime" {
            attributes.time = extension.value().ok().and_then(moment).unwrap_or(time);
        } else if let Some(name) = key.strip_prefix(PAX_ATTRIBUTE).filter(|name| is_kept(name)) {
            attributes.extended.push((name.to_owned(), extension.value_bytes().to_vec()));
        }
    }
    Ok(attributes)
}

/// Not those that say something to the kernel of the host by names of the container: labels, access lists.
fn is_kept(attribute: &str) -> bool {
    attribute == CAPABILITY || attribute.starts_with("user.")
}

/// A time of PAX: seconds with a fraction.
fn moment(text: &str) -> Option<Timespec> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{fraction:0<9}");
    let nanoseconds: i64 = digits.get(..9)?.parse().ok()?;
    let tv_sec: i64 = seconds.parse().ok()?;
    // Before 1970 the fraction leads further back.
    Some(match (seconds.starts_with('-'), nanoseconds) {
        (true, 1..) => Timespec { tv_sec: tv_sec.checked_sub(1)?, tv_nsec: 1_000_000_000 - nanoseconds },
        _ => Timespec { tv_sec, tv_nsec: nanoseconds },
    })
}

fn target(entry: &Entry<'_, impl Read>) -> io::Result<PathBuf> {
    let target = entry.link_name()?.map(|target| target.into_owned());
    target.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a link to nothing"))
}

fn open_below(root: &OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    Ok(openat2(root, path, flags, Mode::empty(), resolve)?)
}

fn make_folder(parent: &OwnedFd, name: &std::ffi::OsStr) -> io::Result<()> {
    match mkdirat(parent, name, Mode::from_raw_mode(0o700)) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::EXIST) if is_folder(parent, name)? => Ok(()),
        Err(rustix::io::Errno::EXIST) => {
            Err(io::Error::new(io::ErrorKind::NotADirectory, "cannot overwrite non-directory with directory"))
        }
        Err(error) => Err(error.into()),
    }
}

fn is_folder(parent: &OwnedFd, name: &std::ffi::OsStr) -> io::Result<bool> {
    let found = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let kind = FileType::from_raw_mode(found.st_mode);
    if kind == FileType::Symlink {
        // A link of the user's to a folder stays; openat2 decides whether it may be followed.
        let followed = statat(parent, name, AtFlags::empty())?;
        return Ok(FileType::from_raw_mode(followed.st_mode) == FileType::Directory);
    }
    Ok(kind == FileType::Directory)
}

/// Removes what is in the way of something that is no folder.
fn clear(parent: &OwnedFd, name: &std::ffi::OsStr) -> io::Result<()> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(rustix::io::Errno::ISDIR | rustix::io::Errno::PERM) => {
            Err(io::Error::new(io::ErrorKind::IsADirectory, "cannot overwrite directory with non-directory"))
        }
        Err(error) => Err(error.into()),
    }
}

fn make_file(
    parent: &OwnedFd,
    name: &std::ffi::OsStr,
    entry: &mut Entry<'_, impl Read>,
    attributes: &Attributes,
    buffer: &mut [u8],
) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || openat(parent, name, flags, Mode::from_raw_mode(0o600));
    let made = match open() {
        Err(rustix::io::Errno::EXIST) => {
            clear(parent, name)?;
            open()?
        }
        other => other?,
    };
    let mut file = File::from(made);
    copy(entry, &mut file, buffer)?;
    set_owner_and_time(parent, name, attributes)?;
    set_extended(file.as_fd(), attributes);
    // After the owner, because a change of owner takes setuid away.
    file.set_permissions(Permissions::from_mode(attributes.mode))
}

/// As docker: who may not give an attribute, and a file system that has none, leave it out.
fn set_extended(file: BorrowedFd<'_>, attributes: &Attributes) {
    for (name, value) in &attributes.extended {
        let _ = rustix::fs::fsetxattr(file, name, value, XattrFlags::empty());
    }
}

fn copy(entry: &mut impl Read, file: &mut File, buffer: &mut [u8]) -> io::Result<()> {
    loop {
        match entry.read(buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => file.write_all(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A hard link to an entry that came before; its path is resolved as that entry's was.
fn make_link(root: &OwnedFd, parent: &OwnedFd, name: &std::ffi::OsStr, target: &Path) -> io::Result<()> {
    let (Some(old), Some(folder)) = (target.file_name(), target.parent()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a hard link to the destination itself"));
    };
    let folder = open_below(root, folder)?;
    Ok(linkat(&folder, old, parent, name, AtFlags::empty())?)
}

fn make_node(
    parent: &OwnedFd,
    name: &std::ffi::OsStr,
    entry: &Entry<'_, impl Read>,
    kind: EntryType,
) -> io::Result<()> {
    let kind = match kind {
        EntryType::Char => FileType::CharacterDevice,
        EntryType::Block => FileType::BlockDevice,
        _ => FileType::Fifo,
    };
    let header = entry.header();
    let (major, minor) = (header.device_major()?.unwrap_or(0), header.device_minor()?.unwrap_or(0));
    let mode = Mode::from_raw_mode(header.mode()? & 0o7777);
    Ok(mknodat(parent, name, kind, mode, rustix::fs::makedev(major, minor))?)
}

fn times(time: Timespec) -> Timestamps {
    Timestamps { last_access: time, last_modification: time }
}

fn set_owner_and_time(parent: &OwnedFd, name: &std::ffi::OsStr, attributes: &Attributes) -> io::Result<()> {
    if let Some((user, group)) = attributes.owner {
        let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
        chownat(parent, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(utimensat(parent, name, &times(attributes.time), AtFlags::SYMLINK_NOFOLLOW)?)
}

fn finish(root: &OwnedFd, path: &Path, attributes: &Attributes) -> io::Result<()> {
    let folder = open_below(root, path)?;
    if let Some((user, group)) = attributes.owner {
        rustix::fs::fchown(&folder, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))?;
    }
    set_extended(folder.as_fd(), attributes);
    fchmod(folder.as_fd(), Mode::from_raw_mode(attributes.mode))?;
    Ok(rustix::fs::futimens(&folder, &times(attributes.time))?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;
    use crate::stream::archive::pack;

    const AS_IS: Unpack<'_> = Unpack { top: "x", rename: None, owners: false };

    fn archive(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            // Written by hand: the library's own way refuses the names that this is about.
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
            if is_link {
                header.as_gnu_mut().unwrap().linkname[..content.len()].copy_from_slice(content.as_bytes());
            }
            let data = if is_link { "" } else { content };
            header.set_size(data.len() as u64);
            header.set_cksum();
            builder.append(&header, data.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn what_was_packed_is_unpacked_under_its_new_name() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("x");
        std::fs::create_dir_all(source.join("sub")).unwrap();
        std::fs::write(source.join("sub/file"), "text").unwrap();
        std::fs::set_permissions(source.join("sub/file"), Permissions::from_mode(0o751)).unwrap();
        std::os::unix::fs::symlink("sub/file", source.join("link")).unwrap();
        let mut bytes = Vec::new();
        pack(&source, "x", &mut bytes).unwrap();
        let target = folder.path().join("target");
        std::fs::create_dir(&target).unwrap();
        unpack(bytes.as_slice(), &target, &Unpack { rename: Some("y"), ..AS_IS }).unwrap();
        assert_eq!(std::fs::read_to_string(target.join("y/link")).unwrap(), "text");
        let (old, new) = (source.join("sub/file"), target.join("y/sub/file"));
        assert_eq!(std::fs::metadata(&new).unwrap().mode() & 0o7777, 0o751);
        assert_eq!(std::fs::metadata(&new).unwrap().mtime(), std::fs::metadata(&old).unwrap().mtime());
        let mut bytes = Vec::new();
        pack(&source, ".", &mut bytes).unwrap();
        unpack(bytes.as_slice(), &target, &Unpack { top: ".", ..AS_IS }).unwrap();
        assert_eq!(std::fs::read_to_string(target.join("sub/file")).unwrap(), "text");
    }

    #[test]
    fn moments_have_nanoseconds() {
        let read = |text| moment(text).map(|moment| (moment.tv_sec, moment.tv_nsec));
        assert_eq!(read("981173106.25"), Some((981_173_106, 250_000_000)));
        assert_eq!(read("7"), Some((7, 0)));
        assert_eq!(read("-1.25"), Some((-2, 750_000_000)));
        assert_eq!(read("1.1234567891"), Some((1, 123_456_789)));
        assert!(read("").is_none() && read("x.1").is_none() && read("1.x").is_none());
    }

    #[test]
    fn nothing_outside_the_destination_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        let (target, outside) = (folder.path().join("target"), folder.path().join("outside"));
        for path in [&target, &outside] {
            std::fs::create_dir(path).unwrap();
        }
        std::fs::write(outside.join("file"), "mine").unwrap();
        let absolute = outside.to_string_lossy().into_owned();
        let hostile: &[&[(&str, EntryType, &str)]] = &[
            &[("../outside/file", EntryType::Regular, "bad")],
            &[("x/../../outside/file", EntryType::Regular, "bad")],
            &[("l", EntryType::Symlink, "../outside"), ("l/file", EntryType::Regular, "bad")],
            &[("m", EntryType::Symlink, &absolute), ("m/file", EntryType::Regular, "bad")],
            &[("n", EntryType::Symlink, "../outside/file"), ("n", EntryType::Link, "l/file")],
            &[("h", EntryType::Link, "../outside/file")],
            &[
                ("k", EntryType::Symlink, ".."),
                ("k/outside", EntryType::Directory, ""),
                ("k/outside/new", EntryType::Regular, ""),
            ],
        ];
        for entries in hostile {
            assert!(unpack(archive(entries).as_slice(), &target, &AS_IS).is_err(), "{entries:?}");
        }
        // A link is replaced, not written through.
        let replaced = [("p", EntryType::Symlink, "../outside/file"), ("p", EntryType::Regular, "new")];
        unpack(archive(&replaced).as_slice(), &target, &AS_IS).unwrap();
        assert_eq!(std::fs::read_to_string(target.join("p")).unwrap(), "new");
        assert_eq!(std::fs::read_to_string(outside.join("file")).unwrap(), "mine");
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    }

    #[test]
    fn files_and_folders_do_not_replace_each_other() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("d")).unwrap();
        std::fs::write(folder.path().join("f"), "").unwrap();
        let words = |kind, name| {
            unpack(archive(&[(name, kind, "")]).as_slice(), folder.path(), &AS_IS).unwrap_err().to_string()
        };
        assert_eq!(words(EntryType::Regular, "d"), "d: cannot overwrite directory with non-directory");
        assert_eq!(words(EntryType::Directory, "f"), "f: cannot overwrite non-directory with directory");
        let cut = &archive(&[("a", EntryType::Regular, "some text")])[..515];
        assert!(unpack(cut, folder.path(), &AS_IS).is_err());
    }
}
