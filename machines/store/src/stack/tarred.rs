//! The tar as the file system: `layer.tar` as it came, and `index.erofs`, which tells where in it
//! each file's contents lie.
//!
//! The kernel mounts the index with the tar as its second device (file-backed EROFS, Linux 6.12):
//! nothing is unpacked. One pass makes both: the stream is read and decompressed by one thread,
//! hashed by a second, written and indexed by a third.

use std::fs::File;
use std::io::{self, BufRead, Read, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::thread;

use dhow_oci::Digest;
use dhow_oci::digest::Sha256;
use dhow_oci::image::DiffId;
use rustix::fs::{Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string,
    fsmount, fsopen,
};

use super::fan::{Taker, fan};
use super::seal::{self, Sealing};
use super::unpack::unpack;
use super::{NewLayer, Telling};
use crate::erofs::{Index, Options, Tar, index_of};
use crate::error::{Context as _, Result};
use crate::layer::Decoder;
use crate::layout::make_directory;
use crate::staging::Stage;
use crate::tar::{self, Fault, Limits, Reader};

pub(super) const TAR: &str = "layer.tar";
pub(super) const INDEX: &str = "index.erofs";
const INDEX_BUFFER: usize = 256 * 1024;

/// Takes in a layer, compressed or not, to the directory `name` of the stage.
///
/// One whose index would be out of proportion (sparse files of terabytes) is unpacked instead.
pub(super) fn receive(stage: &Stage, name: &str, archive: impl Read) -> Result<NewLayer> {
    let directory = stage.path().join(name);
    make_directory(&directory, 0o700)?;
    let mut source = Decoder::new(archive, true, &Limits::default())?;
    let (pump, [hashed, indexed]) = fan();
    let (read, hashed, indexed) = thread::scope(|scope| {
        let hashing = scope.spawn(move || hash(hashed));
        let indexing = scope.spawn(|| write(&directory, indexed));
        let read = pump.pump(&mut source);
        (read, join(hashing), join(indexing))
    });
    // When reading failed the others saw a stream cut off; when one of them failed it knows why.
    match read {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            return Err(error).context(|| "cannot read a layer");
        }
        _ => {}
    }
    let (index, size) = indexed?;
    let diff_id = hashed.context(|| "cannot hash a layer")?;
    let digest = source.finish()?.digest.unwrap_or(diff_id);
    finish(stage, name, Taken { index, size, diff_id, digest })
}

/// A tar that is in its directory on the stage.
pub(super) struct Taken {
    /// An error only where the tar is fine and its index would not be.
    pub(super) index: tar::Result<Index>,
    pub(super) size: u64,
    pub(super) diff_id: DiffId,
    /// Digest of the stream as it came.
    pub(super) digest: Digest,
}

/// Writes the index, or unpacks the layer where it can have none.
pub(super) fn finish(stage: &Stage, name: &str, taken: Taken) -> Result<NewLayer> {
    let Taken { index, size, diff_id, digest } = taken;
    let tar = Tar { digest: diff_id, size };
    match index.and_then(|index| write_index(index, &tar, &stage.path().join(name))) {
        Ok(()) => Ok(NewLayer { diff_id, digest, name: name.to_owned(), telling: Telling::Exact }),
        Err(error) if error.fault() == Fault::Limit => {
            tracing::info!(%diff_id, error = error.to_string(), "the layer is unpacked: it has no index");
            unpack_instead(stage, name, digest)
        }
        Err(error) => Err(error.into()),
    }
}

/// Writes the tar, and answers its index and its size. The index is an error only where the tar is fine.
fn write(directory: &Path, input: Taker) -> Result<(tar::Result<Index>, u64)> {
    let path = directory.join(TAR);
    let file = File::create_new(&path).on("make", &path)?;
    let (index, mut rest) = index(Written { input, file })?;
    // What comes behind the archive belongs to the layer too.
    io::copy(&mut rest, &mut io::sink()).on("write", &path)?;
    let size = rest.file.metadata().on("look at", &path)?.len();
    Ok((index, size))
}

/// Reads an archive to its end, and answers its index and what comes behind it. The index is an error only
/// where the archive is fine.
pub(super) fn index<R: BufRead>(input: R) -> Result<(tar::Result<Index>, R)> {
    let mut reader = Reader::new(input, Limits::default());
    match index_of(&mut reader, Options::default()) {
        Err(error) if error.fault() != Fault::Limit => Err(error.into()),
        index => Ok((index, reader.into_inner())),
    }
}

fn write_index(index: Index, tar: &Tar, directory: &Path) -> tar::Result<()> {
    let file = File::create_new(directory.join(INDEX))?;
    let mut out = Sealing::new(io::BufWriter::with_capacity(INDEX_BUFFER, file));
    index.finish(tar, &mut out)?;
    Ok(out.finish(tar.size)?)
}

/// Makes the index of the tar in `from` again, in the directory `to`; the digest has been verified.
pub(super) fn index_again(diff_id: DiffId, from: &Path, to: &Path) -> Result<()> {
    let path = from.join(TAR);
    let file = File::open(&path).on("open", &path)?;
    let size = file.metadata().on("look at", &path)?.len();
    let mut reader = Reader::new(io::BufReader::with_capacity(INDEX_BUFFER, file), Limits::default());
    let index = index_of(&mut reader, Options::default())?;
    Ok(write_index(index, &Tar { digest: diff_id, size }, to)?)
}

fn unpack_instead(stage: &Stage, name: &str, digest: Digest) -> Result<NewLayer> {
    let tar = stage.path().join(name).join(TAR);
    let file = File::open(&tar).on("open", &tar)?;
    let layer = unpack(stage, &format!("{name}-unpacked"), file)?;
    if layer.telling == Telling::NeedsTar {
        let place = stage.path().join(&layer.name).join(TAR);
        std::fs::rename(&tar, &place).on("keep", &place)?;
    }
    Ok(NewLayer { digest, telling: Telling::Exact, ..layer })
}

pub(super) fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

pub(super) fn hash(mut pieces: Taker) -> io::Result<Digest> {
    let mut hash = Sha256::new();
    while let Some(piece) = pieces.next()? {
        hash.update(&piece);
    }
    Ok(hash.finish())
}

/// A stream of which everything that is looked at has been written to a file.
struct Written {
    input: Taker,
    file: File,
}

impl BufRead for Written {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.input.is_used_up() {
            let piece = self.input.fill_buf()?;
            self.file.write_all(piece)?;
        }
        self.input.fill_buf()
    }

    fn consume(&mut self, length: usize) {
        self.input.consume(length);
    }
}

impl Read for Written {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(out)?;
        self.consume(length);
        Ok(length)
    }
}

/// Mounts a layer, attached nowhere.
///
/// What is not as it was written is refused. Both files are named by their handles: options of mounts have little room for long paths.
pub(super) fn mount(directory: &Path) -> io::Result<OwnedFd> {
    let open = |name| rustix::fs::open(directory.join(name), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let (index, tar) = (open(INDEX)?, open(TAR)?);
    seal::verify(&index, &tar)?;
    let path = |file: &OwnedFd| format!("/proc/self/fd/{}", file.as_raw_fd());
    let context = fsopen("erofs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", path(&index))?;
    fsconfig_set_string(&context, "device", path(&tar))?;
    fsconfig_set_flag(&context, "ro")?;
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NOATIME;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}
