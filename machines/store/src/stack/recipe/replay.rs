//! Makes the tar again: literal bytes from the recipe, contents from the tree.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use std::os::unix::ffi::OsStrExt as _;

use super::{END, FILE, LITERAL, LITERAL_MAX, MAGIC, PATH_MAX};

/// Writes the tar of the tree below `root`; answers how many bytes it has.
pub(crate) fn replay(recipe: File, root: &OwnedFd, out: &mut dyn Write) -> io::Result<u64> {
    let mut reader = BufReader::new(recipe);
    let mut magic = [0; 16];
    reader.read_exact(&mut magic)?;
    if &magic != MAGIC {
        return Err(invalid("this is no layer recipe"));
    }
    let mut records = BufReader::new(zstd::stream::read::Decoder::with_buffer(reader)?);
    let mut buffer = Vec::new();
    let mut written = 0;
    loop {
        match tag(&mut records)? {
            LITERAL => {
                let bytes = field(&mut records, LITERAL_MAX, &mut buffer)?;
                out.write_all(bytes)?;
                written += bytes.len() as u64;
            }
            FILE => {
                let path =
                    PathBuf::from(std::ffi::OsStr::from_bytes(field(&mut records, PATH_MAX, &mut buffer)?));
                let size = number(&mut records)?;
                contents(root, &path, size, &mut buffer, out)?;
                written += size;
            }
            END if number(&mut records)? == written => return Ok(written),
            END => return Err(invalid("the recipe is of a tar of another size")),
            other => return Err(invalid(&format!("unknown record {other:#x} in a layer recipe"))),
        }
    }
}

/// Copies all of a file, which must have that size.
fn contents(
    root: &OwnedFd,
    path: &Path,
    size: u64,
    buffer: &mut Vec<u8>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let about = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let mut file = open(root, path, size).map_err(about)?;
    buffer.resize(128 * 1024, 0);
    let mut left = size;
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        file.read_exact(&mut buffer[..wanted]).map_err(about)?;
        out.write_all(&buffer[..wanted])?;
        left -= wanted as u64;
    }
    Ok(())
}

/// Opens a regular file of the tree, following nothing.
pub(super) fn open(root: &OwnedFd, path: &Path, size: u64) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let file = openat2(root, path, flags, Mode::empty(), resolve)?;
    let stat = fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile
        || u64::try_from(stat.st_size) != Ok(size)
    {
        return Err(invalid("the layer's file was changed"));
    }
    Ok(file.into())
}

fn tag(records: &mut impl BufRead) -> io::Result<u8> {
    let mut byte = [0];
    records.read_exact(&mut byte)?;
    Ok(byte[0])
}

fn field<'a>(records: &mut impl BufRead, most: usize, buffer: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
    let length = usize::try_from(number(records)?).unwrap_or(usize::MAX);
    if length > most {
        return Err(invalid("a field of a layer recipe is too long"));
    }
    buffer.resize(length, 0);
    records.read_exact(buffer)?;
    Ok(buffer)
}

fn number(records: &mut impl BufRead) -> io::Result<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = tag(records)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(invalid("a number of a layer recipe is too long"))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
