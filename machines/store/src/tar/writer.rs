//! Writes a tar: ustar, with PAX records only where a value does not fit. The same entries give the same bytes.

use std::io::{self, Read, Write};

use super::entry::{Entry, EntryKind};
use super::error::{Error, Result};
use super::header::{BLOCK, Block, checksums};
use super::number::write_octal;
use super::pax::{time_text, write_record};

const ZEROS: [u8; 16 * 1024] = [0; 16 * 1024];

/// A tar that is written from front to back.
#[derive(Debug)]
pub struct Writer<W> {
    output: W,
    /// Bytes of contents that the entry at hand still wants.
    left: u64,
    padding: u64,
}

impl<W: Write> Writer<W> {
    /// Writes to `output`.
    pub const fn new(output: W) -> Self {
        Self { output, left: 0, padding: 0 }
    }

    /// Writes an entry whose contents, [`Entry::size`] bytes, come from `contents`.
    ///
    /// # Errors
    /// When they are fewer, or the output fails.
    pub fn append(&mut self, entry: &Entry, contents: &mut dyn Read) -> Result<()> {
        self.begin(entry)?;
        let mut buffer = vec![0; 64 * 1024];
        while self.left > 0 {
            let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
            match contents.read(&mut buffer[..wanted]) {
                Ok(0) => {
                    return Err(
                        Error::format(format!("contents are {} bytes short", self.left)).at(&entry.path)
                    );
                }
                Ok(length) => self.write(&buffer[..length])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::stream("contents cannot be read", error).at(&entry.path)),
            }
        }
        self.end()
    }

    /// Writes the header of an entry; then exactly [`Entry::size`] bytes go to [`write`](Self::write).
    ///
    /// # Errors
    /// When the output fails.
    pub fn begin(&mut self, entry: &Entry) -> Result<()> {
        debug_assert_eq!(self.left, 0, "the entry before is not complete");
        let (block, records) = encode(entry);
        if !records.is_empty() {
            self.extended_header(entry, &records)?;
        }
        self.put(&block)?;
        self.left = entry.size;
        self.padding = entry.size.next_multiple_of(BLOCK as u64) - entry.size;
        Ok(())
    }

    /// Writes some of the contents.
    ///
    /// # Errors
    /// When the output fails, or there are more than the header says.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or_else(|| Error::format("contents are longer than the header says"))?;
        self.put(bytes)
    }

    /// Writes `length` zeros of contents: a hole.
    ///
    /// # Errors
    /// Those of [`write`](Self::write).
    pub fn write_zeros(&mut self, mut length: u64) -> Result<()> {
        while length > 0 {
            let piece = usize::try_from(length).unwrap_or(usize::MAX).min(ZEROS.len());
            self.write(&ZEROS[..piece])?;
            length -= piece as u64;
        }
        Ok(())
    }

    /// Ends an entry: its contents must be complete.
    ///
    /// # Errors
    /// When they are not, or the output fails.
    pub fn end(&mut self) -> Result<()> {
        if self.left > 0 {
            return Err(Error::format(format!("contents are {} bytes short", self.left)));
        }
        let padding = usize::try_from(std::mem::take(&mut self.padding)).unwrap_or_default();
        self.put(&ZEROS[..padding])
    }

    /// Writes the end of the archive and gives the output back.
    ///
    /// # Errors
    /// When the output fails.
    pub fn finish(mut self) -> Result<W> {
        self.put(&ZEROS[..2 * BLOCK])?;
        self.output.flush().map_err(|error| Error::stream("the archive cannot be written", error))?;
        Ok(self.output)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.output.write_all(bytes).map_err(|error| Error::stream("the archive cannot be written", error))
    }

    fn extended_header(&mut self, entry: &Entry, records: &[u8]) -> Result<()> {
        let base = base_name(&entry.path);
        let mut name = b"PaxHeaders.0/".to_vec();
        name.extend_from_slice(&base[..base.len().min(80)]);
        let header = Entry::file(name, records.len() as u64);
        let (mut block, _) = encode(&header);
        block[156] = b'x';
        seal(&mut block);
        self.put(&block)?;
        self.put(records)?;
        self.put(&ZEROS[..records.len().next_multiple_of(BLOCK) - records.len()])
    }
}

/// The header block of an entry, and the records of what does not fit in it, sorted by key.
fn encode(entry: &Entry) -> (Block, Vec<u8>) {
    let mut block = [0; BLOCK];
    let mut records: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut needs = |key: &str, value: Vec<u8>| records.push((key.as_bytes().to_vec(), value));
    if !write_name(&mut block, &entry.path) {
        needs("path", entry.path.clone());
    }
    if let EntryKind::HardLink(target) | EntryKind::Symlink(target) = &entry.kind
        && !write_link(&mut block, target)
    {
        needs("linkpath", target.clone());
    }
    write_octal(&mut block[100..108], u64::from(entry.mode & 0o7777));
    for (field, key, value) in [
        (108..116, "uid", u64::from(entry.uid)),
        (116..124, "gid", u64::from(entry.gid)),
        (124..136, "size", entry.size),
    ] {
        if !write_octal(&mut block[field.clone()], value) {
            write_octal(&mut block[field], 0);
            needs(key, value.to_string().into_bytes());
        }
    }
    write_time(&mut block, entry, &mut needs);
    write_kind(&mut block, entry);
    seal(&mut block);
    for (name, value) in &entry.xattrs {
        records.push(([b"SCHILY.xattr.", name.as_slice()].concat(), value.clone()));
    }
    records.sort();
    let mut data = Vec::new();
    for (key, value) in &records {
        write_record(&mut data, key, value);
    }
    (block, data)
}

fn write_time(block: &mut Block, entry: &Entry, needs: &mut dyn FnMut(&str, Vec<u8>)) {
    let seconds = u64::try_from(entry.modified.seconds).unwrap_or_default();
    let fits = write_octal(&mut block[136..148], seconds);
    if !fits {
        write_octal(&mut block[136..148], 0);
    }
    if !fits || entry.modified.seconds < 0 || entry.modified.nanos != 0 {
        needs("mtime", time_text(entry.modified).into_bytes());
    }
    if let Some(accessed) = entry.accessed {
        needs("atime", time_text(accessed).into_bytes());
    }
}

fn write_kind(block: &mut Block, entry: &Entry) {
    let (flag, (major, minor)) = match &entry.kind {
        EntryKind::File => (b'0', (0, 0)),
        EntryKind::HardLink(_) => (b'1', (0, 0)),
        EntryKind::Symlink(_) => (b'2', (0, 0)),
        EntryKind::CharDevice(major, minor) => (b'3', (*major, *minor)),
        EntryKind::BlockDevice(major, minor) => (b'4', (*major, *minor)),
        EntryKind::Directory => (b'5', (0, 0)),
        EntryKind::Fifo => (b'6', (0, 0)),
    };
    block[156] = flag;
    block[257..265].copy_from_slice(b"ustar\x0000");
    // 12 and 20 bits of the kernel's device numbers always fit the seven digits.
    write_octal(&mut block[329..337], u64::from(major));
    write_octal(&mut block[337..345], u64::from(minor));
}

/// Sets the checksum: six digits, a NUL and a space, as ever.
fn seal(block: &mut Block) {
    let sum = u64::try_from(checksums(block).0).unwrap_or_default();
    write_octal(&mut block[148..155], sum);
    block[155] = b' ';
}

/// Writes the path, split at a slash where it is too long; tells when it does not fit.
fn write_name(block: &mut Block, path: &[u8]) -> bool {
    if path.len() <= 100 {
        block[..path.len()].copy_from_slice(path);
        return true;
    }
    // The first slash that leaves a name short enough; it must not be the last byte.
    let from = path.len() - 101;
    let split = path[from..path.len() - 1].iter().position(|&byte| byte == b'/').map(|at| from + at);
    if let Some(split) = split.filter(|&split| split > 0 && split <= 155) {
        block[345..345 + split].copy_from_slice(&path[..split]);
        block[..path.len() - split - 1].copy_from_slice(&path[split + 1..]);
        return true;
    }
    block[..100].copy_from_slice(&path[..100]);
    false
}

fn write_link(block: &mut Block, target: &[u8]) -> bool {
    let length = target.len().min(100);
    block[157..157 + length].copy_from_slice(&target[..length]);
    target.len() <= 100
}

fn base_name(path: &[u8]) -> &[u8] {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}
