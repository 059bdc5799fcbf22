//! A layer goes out: its tar, byte for byte.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread;

use dhow_oci::Digest;
use dhow_oci::digest::Sha256;
use dhow_oci::image::DiffId;

use super::fan::fan;
use super::recipe::replay;
use super::tarred::{TAR, hash, join};
use super::unpack::{RECIPE, TREE, read_info};
use crate::Core;
use crate::error::{Context as _, Error, Kind, Result};

impl Core {
    /// Writes the layer's tar and verifies that it is the one that came.
    pub(crate) fn write_tar(&self, diff_id: &DiffId, out: &mut dyn Write) -> Result<u64> {
        let told = || format!("the tar of layer {diff_id} cannot be had");
        // What is read is not put away by a conversion.
        let _reader = self.readers.pin(*diff_id);
        let directory = self.layout.layer(diff_id);
        let (digest, size) = match File::open(directory.join(TAR)) {
            Ok(tar) => copy(tar, out).context(told)?,
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).context(told),
            Err(_) => tell(&directory, out).context(told)?,
        };
        if digest == *diff_id {
            return Ok(size);
        }
        Err(Error::new(Kind::Corrupt, format!("layer {diff_id} is damaged: what is on disk is {digest}")))
    }

    /// How many bytes the layer's tar has.
    pub(crate) fn tar_size(&self, diff_id: &DiffId) -> Result<u64> {
        let _reader = self.readers.pin(*diff_id);
        let directory = self.layout.layer(diff_id);
        match std::fs::metadata(directory.join(TAR)) {
            Ok(metadata) => Ok(metadata.len()),
            Err(_) => Ok(read_info(&directory)?.tar_size),
        }
    }
}

/// Copies a tar that is kept as it came; it is hashed beside that.
fn copy(mut tar: File, out: &mut dyn Write) -> io::Result<(Digest, u64)> {
    let (source, [hashed, mut written]) = fan();
    let mut size = 0;
    thread::scope(|scope| {
        let reading = scope.spawn(move || source.pump(&mut tar));
        let hashing = scope.spawn(move || hash(hashed));
        // The other two end when this one gives up.
        let mut write = move || -> io::Result<u64> {
            while let Some(piece) = written.next()? {
                out.write_all(&piece)?;
                size += piece.len() as u64;
            }
            Ok(size)
        };
        let written = write();
        drop(write);
        let read = join(reading);
        match (written, read) {
            // When reading failed the writer saw a stream cut off.
            (_, Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            (written, _) => Ok((join(hashing)?, written?)),
        }
    })
}

/// Makes the tar of a tree again.
fn tell(directory: &Path, out: &mut dyn Write) -> io::Result<(Digest, u64)> {
    let recipe = File::open(directory.join(RECIPE))?;
    let root: OwnedFd = File::open(directory.join(TREE))?.into();
    let mut hashing = Hashing { out, hash: Sha256::new() };
    let size = replay(recipe, &root, &mut hashing)?;
    Ok((hashing.hash.finish(), size))
}

struct Hashing<'a> {
    out: &'a mut dyn Write,
    hash: Sha256,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write_all(bytes)?;
        self.hash.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Keeps the tar of a layer that no recipe can tell.
pub(crate) fn keep(mut archive: impl Read, path: &Path) -> Result<()> {
    let mut file = File::create(path).on("make", path)?;
    io::copy(&mut archive, &mut file).on("write", path).map(drop)
}
