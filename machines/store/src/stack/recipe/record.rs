//! Records a recipe on a thread of its own, from a copy of the stream.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufRead, BufWriter, Read, Write};
use std::path::Path;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::{END, FILE, LITERAL, LITERAL_MAX, MAGIC, PATH_MAX};
use crate::error::{Context as _, Error, Result};
use crate::tar::{Entry, EntryKind, Limits, Reader};

const PIECE: usize = 256 * 1024;
const PIECES: usize = 8;

/// A file of the tree whose contents the recipe leaves out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) path: Vec<u8>,
    pub(crate) size: u64,
}

/// What was recorded.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) left: Vec<Left>,
    /// Bytes of the tar.
    pub(crate) size: u64,
}

/// The thread that records.
#[derive(Debug)]
pub(crate) struct Recorder {
    thread: JoinHandle<Result<Recorded>>,
}

/// A reader that sends a copy of all it reads to the recorder.
#[derive(Debug)]
pub(crate) struct Tee<R> {
    input: R,
    piece: Vec<u8>,
    /// Gone when the recorder has given up.
    pieces: Option<SyncSender<Vec<u8>>>,
}

impl Recorder {
    /// Starts recording all that is read through the answered reader.
    pub(crate) fn start<R: Read>(path: &Path, input: R, limits: Limits) -> Result<(Self, Tee<R>)> {
        let file = File::create(path).on("make", path)?;
        let (pieces, incoming) = sync_channel(PIECES);
        let thread = std::thread::Builder::new()
            .name("store-recipe".into())
            .spawn(move || record(file, incoming, limits))
            .context(|| "cannot start the thread that records a layer")?;
        Ok((Self { thread }, Tee { input, piece: Vec::new(), pieces: Some(pieces) }))
    }

    /// Waits for the end; the reader must be at its end, and dropped.
    pub(crate) fn finish(self) -> Result<Recorded> {
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl<R> Tee<R> {
    /// Sends what is held and gives the reader back.
    pub(crate) fn into_inner(mut self) -> R {
        self.send();
        self.input
    }

    fn send(&mut self) {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        if let Some(pieces) = &self.pieces
            && pieces.send(piece).is_err()
        {
            self.pieces = None;
        }
    }
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.input.read(out)?;
        if self.pieces.is_some() {
            self.piece.extend_from_slice(&out[..length]);
            if self.piece.len() >= PIECE {
                self.send();
            }
        }
        Ok(length)
    }
}

fn record(file: File, incoming: Receiver<Vec<u8>>, limits: Limits) -> Result<Recorded> {
    let told = || "cannot write a layer's recipe";
    let output = Output::new(file).context(told)?;
    let tap =
        Tap { incoming, piece: Vec::new(), at: 0, output: Rc::new(RefCell::new(output)), failure: None };
    let output = Rc::clone(&tap.output);
    let mut reader = Reader::new(tap, limits);
    while let Some(entry) = reader.next_entry()? {
        if let Some(path) = path_left_out(&entry, reader.stored()) {
            output.borrow_mut().leave(path, entry.size).context(told)?;
        }
    }
    let mut tap = reader.into_inner();
    io::copy(&mut tap, &mut io::sink()).context(told)?;
    if let Some(failure) = tap.failure.take() {
        return Err(failure).context(told);
    }
    drop(tap);
    let output = Rc::into_inner(output).ok_or_else(|| Error::internal(told()))?;
    output.into_inner().finish().context(told)
}

/// The path whose file has just these contents, when the recipe may leave them out.
fn path_left_out(entry: &Entry, stored: u64) -> Option<Vec<u8>> {
    if entry.kind != EntryKind::File || entry.size == 0 || stored != entry.size {
        return None;
    }
    let parts: Vec<&[u8]> =
        entry.path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    let odd = |part: &&[u8]| *part == b".." || part.starts_with(b".wh.");
    let path = parts.join(&b'/');
    (!path.is_empty() && path.len() <= PATH_MAX && !parts.iter().any(odd)).then_some(path)
}

/// The copied stream; what is consumed goes to the recipe.
struct Tap {
    incoming: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
    output: Rc<RefCell<Output>>,
    failure: Option<io::Error>,
}

impl BufRead for Tap {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at == self.piece.len() {
            // The other end is gone: that was all.
            let Ok(piece) = self.incoming.recv() else { break };
            (self.piece, self.at) = (piece, 0);
        }
        Ok(&self.piece[self.at..])
    }

    fn consume(&mut self, length: usize) {
        let taken = &self.piece[self.at..self.at + length];
        if let Err(error) = self.output.borrow_mut().take(taken) {
            self.failure.get_or_insert(error);
        }
        self.at += length;
    }
}

impl Read for Tap {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(out)?;
        self.consume(length);
        Ok(length)
    }
}

/// The recipe as it is written.
struct Output {
    file: zstd::stream::write::Encoder<'static, BufWriter<File>>,
    literal: Vec<u8>,
    /// Bytes of contents that are still left out.
    skip: u64,
    recorded: Recorded,
}

impl Output {
    fn new(mut file: File) -> io::Result<Self> {
        file.write_all(MAGIC)?;
        let file = zstd::stream::write::Encoder::new(BufWriter::new(file), 1)?;
        Ok(Self { file, literal: Vec::new(), skip: 0, recorded: Recorded { left: Vec::new(), size: 0 } })
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.recorded.size += bytes.len() as u64;
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
        self.skip -= skipped as u64;
        for piece in bytes[skipped..].chunks(LITERAL_MAX) {
            if self.literal.len() + piece.len() > LITERAL_MAX {
                self.flush_literal()?;
            }
            self.literal.extend_from_slice(piece);
        }
        Ok(())
    }

    /// The next `size` bytes are those of the file.
    fn leave(&mut self, path: Vec<u8>, size: u64) -> io::Result<()> {
        self.flush_literal()?;
        self.file.write_all(&[FILE])?;
        self.number(path.len() as u64)?;
        self.file.write_all(&path)?;
        self.number(size)?;
        self.skip = size;
        self.recorded.left.push(Left { path, size });
        Ok(())
    }

    fn flush_literal(&mut self) -> io::Result<()> {
        if self.literal.is_empty() {
            return Ok(());
        }
        self.file.write_all(&[LITERAL])?;
        self.number(self.literal.len() as u64)?;
        self.file.write_all(&self.literal)?;
        self.literal.clear();
        Ok(())
    }

    fn number(&mut self, mut value: u64) -> io::Result<()> {
        while value >= 0x80 {
            self.file.write_all(&[u8::try_from(value & 0x7f).unwrap_or_default() | 0x80])?;
            value >>= 7;
        }
        self.file.write_all(&[u8::try_from(value).unwrap_or_default()])
    }

    fn finish(mut self) -> io::Result<Recorded> {
        self.flush_literal()?;
        self.file.write_all(&[END])?;
        self.number(self.recorded.size)?;
        self.file.finish()?.flush()?;
        Ok(self.recorded)
    }
}
