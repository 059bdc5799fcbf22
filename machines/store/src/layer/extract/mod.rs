//! Unpacks a tar below a directory handle.
//!
//! The calling thread decompresses, a second one writes; the uncompressed stream is hashed where
//! there is less to do, so that its diff id is known when the last file is.

mod place;
mod whiteout;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use dhow_model::container::UserMap;
use dhow_oci::Digest;
use rustix::fs::futimens;

use self::place::Placing;
pub(super) use self::whiteout::is_whiteout;
pub(crate) use self::whiteout::{OPAQUE_NAME, PREFIX};
use super::attributes::{Skipped, modified_only, timestamps};
use super::compression::{Blob, Compression, Decoder};
use super::owners;
use super::pipeline::{Hashing, Passed, PipeReader, pipe};
use super::tree::{Missing, Tree, clean, split};
use crate::tar::{Entry, Error, Limits, Reader, Result, Time};

/// So much of an archive is read at once.
const BUFFER: usize = 256 * 1024;

/// How a tar is unpacked.
#[derive(Debug, Clone, Default)]
pub struct ExtractOptions {
    /// What `.wh.` names mean.
    pub whiteouts: Whiteouts,
    /// Everything belongs to this user and group instead of the archive's.
    pub owner: Option<(u32, u32)>,
    /// The archive's entry for the root sets owner, mode and time of the directory itself.
    pub root_attributes: bool,
    /// It is an error to replace a directory by something else, or the reverse.
    pub no_overwrite_dir_non_dir: bool,
    /// Hash the stream as it came, too.
    pub hash_blob: bool,
    /// What the archive may ask for.
    pub limits: Limits,
    /// The directory is in a container in a user namespace, seen from the host; the archive is as it sees it.
    pub users: Option<Arc<UserMap>>,
    /// What is mounted in the tree, by absolute paths: nothing of it is removed.
    pub mount_points: Vec<PathBuf>,
}

/// What a name that begins with `.wh.` means (OCI image specification, "Whiteouts").
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Whiteouts {
    /// It becomes overlayfs' own form: a device 0:0, or an attribute of the directory.
    #[default]
    Overlay,
    /// It is a name like any other.
    Keep,
}

impl ExtractOptions {
    /// A layer into a directory of its own, to lie in a stack below overlayfs.
    #[must_use]
    pub fn layer() -> Self {
        Self { root_attributes: true, hash_blob: true, ..Self::default() }
    }

    /// An archive into a directory that is in use: `docker cp`, `PUT /containers/{id}/archive`.
    #[must_use]
    pub fn copy_in() -> Self {
        Self { whiteouts: Whiteouts::Keep, ..Self::default() }
    }
}

/// What was unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted {
    /// Digest of the uncompressed stream.
    pub diff_id: Digest,
    /// Bytes of the uncompressed stream.
    pub size: u64,
    /// The stream as it came.
    pub blob: Blob,
    /// Entries of the archive.
    pub entries: u64,
    /// Bytes of file contents.
    pub contents: u64,
    /// Attributes that could not be kept.
    pub skipped: Skipped,
}

/// Unpacks `archive`, compressed or not, below `into`.
///
/// Nothing outside `into` is read, made or changed, whatever the archive says and whoever moves
/// directories meanwhile. The stream is read to its end. A failure leaves what was unpacked so far:
/// a layer is unpacked to a temporary name and moved when it is whole.
///
/// # Errors
/// What is wrong with the archive, and at which entry; or what the kernel refused.
pub fn extract(archive: impl Read, into: BorrowedFd<'_>, options: &ExtractOptions) -> Result<Extracted> {
    let mut source = Decoder::new(archive, options.hash_blob, &options.limits)?;
    // Inflating takes longer than writing; reading does not.
    let hashing = match source.compression() {
        Compression::None | Compression::Zstd => Hashing::WhenWritten,
        _ => Hashing::WhenRead,
    };
    let (writer, reader) = pipe(hashing);
    let (read, written) = thread::scope(|scope| {
        let writing = scope.spawn(|| Extractor::new(into, options).run(reader));
        let read = writer.pump(&mut source);
        (read, writing.join())
    });
    let written = written.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    // When reading failed the writer saw a stream cut off; when writing failed the reader saw a broken pipe.
    let read = match read {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(error.into()),
        read => read,
    };
    let (counts, hashed) = written?;
    let blob = source.finish()?;
    let passed = read?.or(hashed).ok_or_else(|| Error::format("archive was not hashed"))?;
    Ok(Extracted {
        diff_id: passed.digest,
        size: passed.size,
        blob,
        entries: counts.entries,
        contents: counts.contents,
        skipped: counts.skipped,
    })
}

/// The same as [`extract`] for who does not ask what the archive was: in this thread, and nothing is hashed.
///
/// # Errors
/// Those of [`extract`].
pub fn extract_unhashed(
    archive: impl Read,
    into: BorrowedFd<'_>,
    options: &ExtractOptions,
) -> Result<Skipped> {
    unhashed(archive, Extractor::new(into, options))
}

/// The same into the directory `path` of a container's tree, a path without links.
///
/// Links that were there before mean what they mean to the programs of the container; those of the archive lead
/// nowhere but below `path`.
///
/// # Errors
/// Those of [`extract`].
pub fn extract_in_container(
    archive: impl Read,
    (root, path): (BorrowedFd<'_>, &[u8]),
    options: &ExtractOptions,
) -> Result<Skipped> {
    let tree = Tree::of_container(root, path)?;
    unhashed(archive, Extractor { tree, ..Extractor::new(root, options) })
}

fn unhashed(archive: impl Read, mut extractor: Extractor<'_>) -> Result<Skipped> {
    let options = extractor.options;
    let source = Decoder::new(archive, false, &options.limits)?;
    let mut reader = Reader::new(BufReader::with_capacity(BUFFER, source), options.limits.clone());
    extractor.entries(&mut reader)?;
    let mut source = reader.into_inner();
    // The rest is padding; what is wrong with it is told all the same.
    std::io::copy(&mut source, &mut std::io::sink())?;
    source.into_inner().finish()?;
    Ok(extractor.counts.skipped)
}

/// Unpacks an uncompressed tar that is in memory or has been hashed elsewhere, in this thread.
///
/// # Errors
/// Those of [`extract`].
pub fn extract_plain(archive: impl BufRead, into: BorrowedFd<'_>, options: &ExtractOptions) -> Result<()> {
    Extractor::new(into, options).entries(&mut Reader::new(archive, options.limits.clone()))
}

/// What was done.
#[derive(Debug, Default)]
struct Counts {
    entries: u64,
    contents: u64,
    skipped: Skipped,
}

/// The unpacking of one archive.
struct Extractor<'a> {
    tree: Tree<'a>,
    options: &'a ExtractOptions,
    counts: Counts,
    /// Times of directories, set when nothing is put into them any more. Those without a time of
    /// the last reading were made on the way.
    directories: BTreeMap<Vec<u8>, (Option<Time>, Time)>,
}

impl<'a> Extractor<'a> {
    fn new(into: BorrowedFd<'a>, options: &'a ExtractOptions) -> Self {
        Self { tree: Tree::new(into), options, counts: Counts::default(), directories: BTreeMap::new() }
    }

    fn run(mut self, input: PipeReader) -> Result<(Counts, Option<Passed>)> {
        let mut reader = Reader::new(input, self.options.limits.clone());
        self.entries(&mut reader)?;
        let passed = reader.into_inner().finish()?;
        Ok((self.counts, passed))
    }

    fn entries<R: BufRead>(&mut self, reader: &mut Reader<R>) -> Result<()> {
        while let Some(mut entry) = reader.next_entry()? {
            self.counts.entries += 1;
            if let Some(map) = &self.options.users {
                owners::stored_outside(map, &mut entry).map_err(|error| error.at(&entry.path))?;
            }
            self.entry(&entry, reader).map_err(|error| error.at(&entry.path))?;
        }
        self.directory_times()
    }

    fn entry<R: BufRead>(&mut self, entry: &Entry, reader: &mut Reader<R>) -> Result<()> {
        let path = clean(&entry.path, self.options.limits.depth)?;
        if path.is_empty() {
            return self.root(entry);
        }
        let (directory, name) = split(&path);
        if self.options.whiteouts != Whiteouts::Keep && name.starts_with(whiteout::PREFIX) {
            return self.whiteout(entry, directory, name);
        }
        let contents = Placing { path: &path, directory, name, entry }.place(self, reader)?;
        self.counts.contents += contents;
        self.note_made(entry, self.tree.real_path(directory, name));
        Ok(())
    }

    /// Remembered is where it is, not how the archive got there: a link on the way may be another file
    /// when the directory's time is set.
    fn note_made(&mut self, entry: &Entry, path: Vec<u8>) {
        if entry.is_directory() {
            self.directories.insert(path, (entry.accessed, entry.modified));
        }
        self.note_parents(entry);
    }

    /// A directory that the archive did not name gets the time of what first needed it: then the
    /// same archive makes the same tree.
    fn note_parents(&mut self, entry: &Entry) {
        for parent in self.tree.take_made() {
            self.directories.entry(parent).or_insert((Some(entry.modified), entry.modified));
        }
    }

    /// The entry of the root itself must be a directory (CVE-2021-29136).
    fn root(&mut self, entry: &Entry) -> Result<()> {
        if !entry.is_directory() {
            return Err(Error::refused("the root of an archive is a directory and nothing else"));
        }
        if !self.options.root_attributes {
            return Ok(());
        }
        let root = self.tree.enter(b"", Missing::Refuse)?;
        place::attributes(self.options, entry).set(root, &mut self.counts.skipped)?;
        self.directories.insert(self.tree.base_path(), (entry.accessed, entry.modified));
        Ok(())
    }

    /// A place where something is mounted stays, and so does the directory that it is in. The kernel refuses the
    /// place itself; of a directory it would be asked when all else in that is gone.
    fn check_not_mounted(&self, path: &[u8]) -> Result<()> {
        let path = Path::new("/").join(OsStr::from_bytes(path));
        match self.options.mount_points.iter().find(|point| point.starts_with(&path)) {
            // Docker's words.
            Some(point) => {
                Err(Error::mounted(format!("unlinkat {}: device or resource busy", point.display())))
            }
            None => Ok(()),
        }
    }

    /// What was at a path is gone, and what was below it.
    fn forget(&mut self, path: &[u8]) {
        self.tree.forget();
        let below = [path, b"/"].concat();
        let gone = |key: &[u8]| key == path || key.starts_with(&below);
        let keys = self.directories.range(path.to_vec()..).map(|(key, _)| key);
        let keys: Vec<_> =
            keys.take_while(|key| key.starts_with(path)).filter(|key| gone(key)).cloned().collect();
        for key in keys {
            self.directories.remove(&key);
        }
    }

    fn directory_times(&mut self) -> Result<()> {
        let mut tree = self.tree.whole();
        for (path, (accessed, modified)) in std::mem::take(&mut self.directories) {
            let times = match accessed {
                Some(_) => timestamps(accessed, modified),
                None => modified_only(modified),
            };
            let directory = tree.enter(&path, Missing::Refuse).map_err(|error| error.at(&path))?;
            futimens(directory, &times)
                .map_err(|error| Error::system("times cannot be set", error).at(&path))?;
        }
        Ok(())
    }
}
