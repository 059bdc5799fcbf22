//! Files of the host as a tar archive.

use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use tar::{Builder, EntryType, Header};

use super::{CAPABILITY, PAX_ATTRIBUTE};

/// Writes a file, or a folder with all that is in it, under the name `top`; `.` leaves the folder's
/// own name away. Symbolic links are packed as such.
pub(crate) fn pack(source: &Path, top: &str, out: impl Write) -> io::Result<()> {
    let mut builder = Builder::new(out);
    append(&mut builder, source, Path::new(top))?;
    builder.into_inner()?.flush()
}

fn append(builder: &mut Builder<impl Write>, path: &Path, name: &Path) -> io::Result<()> {
    let found = std::fs::symlink_metadata(path)?;
    let kind = found.file_type();
    let mut header = header(&found)?;
    if kind.is_dir() {
        header.set_entry_type(EntryType::Directory);
        builder.append_data(&mut header, name, io::empty())?;
        return append_inside(builder, path, name);
    }
    if kind.is_symlink() {
        header.set_entry_type(EntryType::Symlink);
        return builder.append_link(&mut header, name, std::fs::read_link(path)?);
    }
    if kind.is_file() {
        let file = File::open(path)?;
        header.set_size(found.len());
        if let Some(capability) = capability(&file) {
            let key = format!("{PAX_ATTRIBUTE}{CAPABILITY}");
            builder.append_pax_extensions([(key.as_str(), capability.as_slice())])?;
        }
        // A file that grows or shrinks meanwhile must not shift what follows it.
        let exact = io::Read::take(io::Read::chain(file, io::repeat(0)), found.len());
        return builder.append_data(&mut header, name, exact);
    }
    append_special(builder, header, &found, name)
}

fn capability(file: &File) -> Option<Vec<u8>> {
    // The kernel's structure has 20 or 24 bytes.
    let mut value = [0; 64];
    let length = rustix::fs::fgetxattr(file, CAPABILITY, &mut value).ok()?;
    Some(value[..length].to_vec())
}

fn append_inside(builder: &mut Builder<impl Write>, path: &Path, name: &Path) -> io::Result<()> {
    let mut names: Vec<_> =
        std::fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    names.sort();
    names.iter().try_for_each(|inner| append(builder, &path.join(inner), &name.join(inner)))
}

/// Devices and pipes; a socket means nothing elsewhere and is left out, as tar leaves it out.
fn append_special(
    builder: &mut Builder<impl Write>,
    mut header: Header,
    found: &Metadata,
    name: &Path,
) -> io::Result<()> {
    let kind = found.file_type();
    let entry = match () {
        () if kind.is_fifo() => EntryType::Fifo,
        () if kind.is_char_device() => EntryType::Char,
        () if kind.is_block_device() => EntryType::Block,
        () => return Ok(()),
    };
    header.set_entry_type(entry);
    if entry != EntryType::Fifo {
        header.set_device_major(rustix::fs::major(found.rdev()))?;
        header.set_device_minor(rustix::fs::minor(found.rdev()))?;
    }
    builder.append_data(&mut header, name, io::empty())
}

fn header(found: &Metadata) -> io::Result<Header> {
    let mut header = Header::new_gnu();
    header.set_mode(found.mode() & 0o7777);
    header.set_uid(u64::from(found.uid()));
    header.set_gid(u64::from(found.gid()));
    header.set_mtime(u64::try_from(found.mtime()).unwrap_or(0));
    header.set_size(0);
    Ok(header)
}
