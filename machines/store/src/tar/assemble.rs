//! An entry put together from its header and the extended headers before it. Nothing is read here.

use super::entry::{Entry, EntryKind, Time};
use super::error::{Error, Result, shown};
use super::header::Header;
use super::limits::Limits;
use super::pax::{Extension, Sparse};
use super::sparse::{OldMap, Segment};

/// Everything that came before the contents.
#[derive(Debug, Default)]
pub(super) struct Before {
    /// PAX records of this entry.
    pub(super) extension: Option<Extension>,
    /// GNU long name.
    pub(super) name: Option<Vec<u8>>,
    /// GNU long link.
    pub(super) link: Option<Vec<u8>>,
}

/// An entry, and how its contents are stored.
#[derive(Debug)]
pub(super) struct Assembled {
    pub(super) entry: Entry,
    /// Bytes in the archive, without the padding to a block.
    pub(super) stored: u64,
    pub(super) map: Map,
}

/// Where the stored bytes belong.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Map {
    /// The file as it is.
    Whole,
    /// Pieces of a sparse file.
    Pieces(Vec<Segment>),
    /// The pieces are told in front of the data (PAX sparse 1.0).
    InFront,
}

impl Before {
    /// Whether nothing waits for an entry.
    pub(super) const fn is_empty(&self) -> bool {
        self.extension.is_none() && self.name.is_none() && self.link.is_none()
    }
}

/// Puts an entry together.
///
/// Where two headers say different things about the same, and programs differ in whom they
/// believe, the archive is refused: what one reader checked is not what the next one would unpack.
pub(super) fn assemble(
    header: Header,
    before: Before,
    globals: &Extension,
    limits: &Limits,
) -> Result<Assembled> {
    let mut extension = before.extension.unwrap_or_default().or(globals);
    let sparse = extension.sparse.take();
    let sparse_name = sparse.as_ref().and_then(|sparse| sparse.name.clone());
    let path = choose("name", before.name, extension.path.take())?;
    let path = sparse_name.or(path).unwrap_or_else(|| header.name.clone());
    let build = || -> Result<Assembled> {
        check_name(&path, limits)?;
        let link = choose("link target", before.link, extension.link.take())?;
        let stored = stored_size(&header, &extension)?;
        let kind = kind(&header, &path, link, &extension)?;
        check_link(&kind, limits)?;
        if kind != EntryKind::File && stored != 0 {
            // Readers differ on whether these bytes are contents or headers.
            return Err(Error::format(format!("only a regular file has contents, this has {stored} bytes")));
        }
        let (size, map) = contents(&kind, stored, header.sparse, sparse, limits)?;
        let entry = Entry {
            path: Vec::new(),
            kind,
            mode: header.mode,
            uid: id("owner", extension.uid.unwrap_or(header.uid))?,
            gid: id("group", extension.gid.unwrap_or(header.gid))?,
            size,
            modified: extension.modified.unwrap_or(Time { seconds: header.mtime, nanos: 0 }),
            accessed: extension.accessed,
            xattrs: std::mem::take(&mut extension.xattrs),
        };
        Ok(Assembled { entry, stored, map })
    };
    match build() {
        Ok(mut assembled) => {
            assembled.entry.path = path;
            Ok(assembled)
        }
        Err(error) => Err(error.at(&path)),
    }
}

fn choose(what: &str, gnu: Option<Vec<u8>>, pax: Option<Vec<u8>>) -> Result<Option<Vec<u8>>> {
    match (gnu, pax) {
        (Some(gnu), Some(pax)) if gnu != pax => Err(Error::format(format!(
            "two headers give it another {what}: {} and {}",
            shown(&gnu),
            shown(&pax)
        ))),
        (gnu, pax) => Ok(pax.or(gnu)),
    }
}

fn check_name(path: &[u8], limits: &Limits) -> Result<()> {
    if path.is_empty() {
        return Err(Error::format("an entry has no name"));
    }
    if path.len() > limits.path {
        return Err(Error::limit(format!("name is longer than {} bytes", limits.path)));
    }
    Ok(())
}

fn check_link(kind: &EntryKind, limits: &Limits) -> Result<()> {
    let (EntryKind::HardLink(target) | EntryKind::Symlink(target)) = kind else { return Ok(()) };
    if target.is_empty() {
        return Err(Error::format("link has no target"));
    }
    if target.len() > limits.path {
        return Err(Error::limit(format!("link target is longer than {} bytes", limits.path)));
    }
    Ok(())
}

/// A PAX size that contradicts a header in which it would have fitted lets one reader see headers
/// where another sees contents.
fn stored_size(header: &Header, extension: &Extension) -> Result<u64> {
    const FITS: u64 = 0o77_777_777_777;
    match extension.size {
        Some(size) if size <= FITS && size != header.size => {
            Err(Error::format(format!("header says {} bytes, extended header {size}", header.size)))
        }
        Some(size) => Ok(size),
        None => Ok(header.size),
    }
}

fn kind(header: &Header, path: &[u8], link: Option<Vec<u8>>, extension: &Extension) -> Result<EntryKind> {
    let device = || -> Result<(u32, u32)> {
        let (major, minor) = extension.device;
        let (major, minor) = (major.unwrap_or(header.device.0), minor.unwrap_or(header.device.1));
        // Linux has 12 and 20 bits, and cuts off the rest: 4096:0 would become 0:0, a mark of overlayfs.
        let number = |value: u64, bits: u32| u32::try_from(value).ok().filter(|number| number >> bits == 0);
        let numbers = number(major, 12).zip(number(minor, 20));
        numbers.ok_or_else(|| Error::format(format!("device number {major}:{minor}")))
    };
    let target = || link.unwrap_or_else(|| header.link.clone());
    Ok(match header.flag {
        // Before POSIX a directory was a file whose name ends with a slash; GNU tar holds to that for every kind of file.
        b'0' | 0 | b'7' | b'S' if path.ends_with(b"/") => EntryKind::Directory,
        b'0' | 0 | b'7' | b'S' => EntryKind::File,
        b'1' => EntryKind::HardLink(target()),
        b'2' => EntryKind::Symlink(target()),
        b'3' => device().map(|(major, minor)| EntryKind::CharDevice(major, minor))?,
        b'4' => device().map(|(major, minor)| EntryKind::BlockDevice(major, minor))?,
        b'5' => EntryKind::Directory,
        b'6' => EntryKind::Fifo,
        other => return Err(Error::refused(format!("unhandled tar header type {other}"))),
    })
}

/// An owner of `u32::MAX` would mean "leave it as it is" to the kernel.
fn id(what: &str, value: u64) -> Result<u32> {
    u32::try_from(value)
        .ok()
        .filter(|&id| id != u32::MAX)
        .ok_or_else(|| Error::format(format!("{what} {value} is out of range")))
}

fn contents(
    kind: &EntryKind,
    stored: u64,
    old: Option<OldMap>,
    sparse: Option<Sparse>,
    limits: &Limits,
) -> Result<(u64, Map)> {
    let (size, map) = match (old, sparse) {
        (None, None) => (stored, Map::Whole),
        (Some(_), Some(_)) => return Err(Error::format("two sparse maps")),
        _ if *kind != EntryKind::File => return Err(Error::format("only a regular file can be sparse")),
        (Some(old), None) => (old.real_size, Map::Pieces(old.segments)),
        (None, Some(sparse)) => pax_map(sparse)?,
    };
    if size > limits.file {
        return Err(Error::limit(format!("file of {size} bytes; at most {} are allowed", limits.file)));
    }
    if let Map::Pieces(segments) = &map {
        if segments.len() > limits.segments {
            return Err(Error::limit("too many pieces in a sparse file"));
        }
        super::sparse::check(segments, size, stored)?;
    }
    Ok((size, map))
}

fn pax_map(sparse: Sparse) -> Result<(u64, Map)> {
    let Some(size) = sparse.real_size else { return Err(Error::format("sparse file without its size")) };
    match (sparse.major, sparse.minor) {
        (1, 0) if sparse.segments.is_empty() => Ok((size, Map::InFront)),
        (0, 0 | 1) if sparse.count.is_none_or(|count| u64::try_from(sparse.segments.len()) == Ok(count)) => {
            Ok((size, Map::Pieces(sparse.segments)))
        }
        (0, 0 | 1) | (1, 0) => Err(Error::format("sparse map has another number of pieces than it says")),
        (major, minor) => Err(Error::refused(format!("sparse format {major}.{minor} is not known"))),
    }
}
