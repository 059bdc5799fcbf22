//! A layer goes out: its tar, byte for byte.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use dhow_oci::Digest;
use dhow_oci::image::DiffId;
use sha2::{Digest as _, Sha256};

use super::recipe::replay;
use super::tarred::TAR;
use super::unpack::read_info;
use crate::Core;
use crate::error::{Context as _, Error, Kind, Result};

impl Core {
    /// Writes the layer's tar and verifies that it is the one that came.
    pub(crate) fn write_tar(&self, diff_id: &DiffId, out: &mut dyn Write) -> Result<u64> {
        let told = || format!("cannot write layer {diff_id}");
        let mut hashing = Hashing { out, hash: Sha256::new() };
        let size = self.replay(diff_id, &mut hashing)?;
        let digest = Digest::from_sha256(hashing.hash.finalize().into());
        if digest == *diff_id {
            return Ok(size);
        }
        Err(Error::new(Kind::Corrupt, format!("{}: what is on disk is {digest}", told())))
    }

    /// How many bytes the layer's tar has.
    pub(crate) fn tar_size(&self, diff_id: &DiffId) -> Result<u64> {
        let directory = self.layout.layer(diff_id);
        match std::fs::metadata(directory.join(TAR)) {
            Ok(metadata) => Ok(metadata.len()),
            Err(_) => Ok(read_info(&directory)?.tar_size),
        }
    }

    fn replay(&self, diff_id: &DiffId, out: &mut dyn Write) -> Result<u64> {
        let told = || format!("cannot write layer {diff_id}");
        let directory = self.layout.layer(diff_id);
        match File::open(directory.join(TAR)) {
            Ok(mut tar) => return io::copy(&mut tar, &mut { out }).context(told),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).context(told),
            Err(_) => {}
        }
        let recipe = File::open(directory.join("recipe")).context(told)?;
        let root: OwnedFd = File::open(directory.join("fs")).context(told)?.into();
        replay(recipe, &root, out).context(told)
    }
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
pub(crate) fn keep(mut archive: impl Read, path: &std::path::Path) -> Result<()> {
    let mut file = File::create(path).on("make", path)?;
    io::copy(&mut archive, &mut file).on("write", path).map(drop)
}
