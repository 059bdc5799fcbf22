//! The seal of an index: what its bytes were when they were written, and how long its tar is.
//!
//! ```text
//!   index.erofs:  the image as EROFS has it | "dhow\0idx" | bytes of layer.tar, 8 | CRC-32 of all before, 4 | 0, 4
//! ```
//! EROFS has a checksum of its superblock only: of an inode or an address that a disk has spoiled the kernel
//! would show another file. So all of the index is read before it is mounted (a percent of the layer, which
//! mounting reads anyway), at several gigabytes a second. It guards against accidents, not against root.

use std::io::{self, Read as _, Write};
use std::os::fd::AsFd;

use flate2::Crc;

const MAGIC: [u8; 8] = *b"dhow\0idx";
const LENGTH: usize = 24;
const BUFFER: usize = 256 * 1024;

/// Passes an image on, and seals it.
#[derive(Debug)]
pub(super) struct Sealing<W> {
    out: W,
    sum: Crc,
}

impl<W: Write> Sealing<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, sum: Crc::new() }
    }

    /// Ends the image, whose tar has so many bytes.
    pub(super) fn finish(mut self, tar: u64) -> io::Result<()> {
        self.write_all(&MAGIC)?;
        self.write_all(&tar.to_le_bytes())?;
        let sum = self.sum.sum();
        self.out.write_all(&sum.to_le_bytes())?;
        self.out.write_all(&[0; 4])?;
        self.out.flush()
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Fails with `InvalidData` when the index is not as it was written, or the tar has another length.
pub(super) fn verify(index: impl AsFd, tar: impl AsFd) -> io::Result<()> {
    let length = u64::try_from(rustix::fs::fstat(&index)?.st_size).unwrap_or(0);
    let end = length.checked_sub(LENGTH as u64).ok_or_else(|| spoiled("its index is cut off"))?;
    let mut file = std::fs::File::from(index.as_fd().try_clone_to_owned()?);
    let mut sum = Crc::new();
    let mut buffer = vec![0; BUFFER];
    // The sum is of the image, the magic and the length.
    let mut left = end + 16;
    while left > 0 {
        let most = usize::try_from(left).map_or(BUFFER, |left| left.min(BUFFER));
        file.read_exact(&mut buffer[..most])?;
        sum.update(&buffer[..most]);
        left -= most as u64;
    }
    let seal = read_seal(&index, end)?;
    if seal[..8] != MAGIC || seal[16..20] != sum.sum().to_le_bytes() {
        return Err(spoiled("its index is not as it was written"));
    }
    let told = seal[8..16].try_into().map_or(0, u64::from_le_bytes);
    let found = u64::try_from(rustix::fs::fstat(&tar)?.st_size).unwrap_or(0);
    if told != found {
        return Err(spoiled(&format!("layer.tar has {found} bytes instead of {told}")));
    }
    Ok(())
}

fn read_seal(index: impl AsFd, at: u64) -> io::Result<[u8; LENGTH]> {
    let mut seal = [0; LENGTH];
    let mut filled = 0;
    while filled < LENGTH {
        match rustix::io::pread(&index, &mut seal[filled..], at + filled as u64)? {
            0 => return Err(spoiled("its index is cut off")),
            read => filled += read,
        }
    }
    Ok(seal)
}

fn spoiled(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
