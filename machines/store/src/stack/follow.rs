//! A layer that is hashed and indexed behind the one who writes it.
//!
//! Whoever reads an archive writes the layer's tar and goes on to the next member; a thread of the
//! layer's own reads what is written already, out of the page cache, and never more than one piece of it
//! at a time. So several layers of one stream are hashed side by side, and however far the reader is
//! ahead costs no memory of ours.

use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use dhow_oci::digest::Sha256;

use super::NewLayer;
use super::tarred::{self, TAR, Taken};
use crate::error::{Context as _, Result};
use crate::layout::make_directory;
use crate::staging::Stage;

const PIECE: usize = 256 * 1024;

/// A layer whose uncompressed tar comes to the directory `name` of the stage.
pub(crate) fn begin(stage: &Stage, name: &str) -> Result<(TarWriter, Follower)> {
    let directory = stage.path().join(name);
    make_directory(&directory, 0o700)?;
    let path = directory.join(TAR);
    let file = File::create_new(&path).on("make", &path)?;
    let written = File::open(&path).on("open", &path)?;
    let progress = Arc::new(Progress::default());
    let follower = Follower { name: name.to_owned(), path: path.clone(), written, progress };
    Ok((TarWriter { path, file, progress: Arc::clone(&follower.progress) }, follower))
}

/// How far the writer is.
#[derive(Debug, Default)]
struct Progress {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default, Clone, Copy)]
struct State {
    written: u64,
    whole: bool,
    /// The writer is gone.
    ended: bool,
}

impl Progress {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    /// Waits until more than `known` bytes are there, or the writer has ended.
    fn beyond(&self, known: u64) -> State {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = |state: &mut State| state.written <= known && !state.ended;
        *self.changed.wait_while(state, waiting).unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the tar. Dropped before [`end`](Self::end) it was cut off.
#[derive(Debug)]
pub(crate) struct TarWriter {
    path: PathBuf,
    file: File,
    progress: Arc<Progress>,
}

impl TarWriter {
    /// Appends to the tar.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).on("write", &self.path)?;
        self.progress.change(|state| state.written += bytes.len() as u64);
        Ok(())
    }

    /// This was all.
    pub(crate) fn end(self) {
        self.progress.change(|state| state.whole = true);
    }
}

impl Drop for TarWriter {
    fn drop(&mut self) {
        self.progress.change(|state| state.ended = true);
    }
}

/// Takes the layer in.
#[derive(Debug)]
pub(crate) struct Follower {
    name: String,
    path: PathBuf,
    written: File,
    progress: Arc<Progress>,
}

impl Follower {
    /// Follows the writer to the end, or until somebody says `stop`.
    ///
    /// # Errors
    /// What is wrong with the layer, or with the machine.
    pub(crate) fn take_in(self, stage: &Stage, stop: &AtomicBool) -> Result<NewLayer> {
        let Self { name, path, written, progress } = self;
        let input =
            Following { written, progress, stop, piece: Vec::new(), at: 0, size: 0, hash: Sha256::new() };
        let (index, mut input) = tarred::index(input)?;
        // What comes behind the archive belongs to the layer too.
        io::copy(&mut input, &mut io::sink()).on("read", &path)?;
        let diff_id = input.hash.finish();
        tarred::finish(stage, &name, Taken { index, size: input.size, diff_id, digest: diff_id })
    }
}

/// What has been written, as a stream that is hashed.
struct Following<'a> {
    written: File,
    progress: Arc<Progress>,
    stop: &'a AtomicBool,
    piece: Vec<u8>,
    at: usize,
    size: u64,
    hash: Sha256,
}

impl Following<'_> {
    fn next(&mut self) -> io::Result<()> {
        let state = self.progress.beyond(self.size);
        if self.stop.load(Ordering::Relaxed) || (state.ended && !state.whole) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream was cut off"));
        }
        let there = usize::try_from(state.written - self.size).unwrap_or(PIECE).min(PIECE);
        self.piece.resize(there, 0);
        self.written.read_exact_at(&mut self.piece, self.size)?;
        self.hash.update(&self.piece);
        (self.at, self.size) = (0, self.size + there as u64);
        Ok(())
    }
}

impl BufRead for Following<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.piece.len() {
            self.next()?;
        }
        Ok(&self.piece[self.at..])
    }

    fn consume(&mut self, length: usize) {
        self.at = (self.at + length).min(self.piece.len());
    }
}

impl Read for Following<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(out)?;
        self.consume(length);
        Ok(length)
    }
}
